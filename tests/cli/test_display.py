"""What the command shows at any width: no word broken, nothing lost, and the ledger as blocks or as a table."""

import io
import re
import sys

import pytest
import toy
from rich.console import Console

from stylerepro.cli import display, main
from stylerepro.files import project_root
from stylerepro.ledger import summary
from stylerepro.ledger.claims import load_ledger

SWEEP = "sweep tv_sweep -p size=64,96,128 -p network=compact,vgg16,vgg16-caffe --plan"
TABLES = ["list", SWEEP, "networks", "fetch", "doctor", "transfer --settings", "status"]
WIDTHS = [(80, True), (60, True), (80, False)]


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[\d;?]*\w", "", text)


def words(text: str) -> set[str]:
    return {stripped for word in plain(text).split() if (stripped := word.strip(",:"))}


def put_on(monkeypatch, width: int, terminal: bool) -> None:
    """Let the command believe in a terminal of this width, or in a pipe."""
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1" if terminal else "")


@pytest.fixture
def ran(tmp_path, monkeypatch):
    """A small project with two runs, one of which became stale."""
    monkeypatch.setenv("STYLEREPRO_ROOT", str(tmp_path))
    for name in ("a_toy_with_a_name_of_some_length", "toy"):
        notebook = toy.add(tmp_path, name)
        toy.save(name)
    notebook.write_text(notebook.read_text(encoding="utf-8").replace("gamma / 3", "gamma / 4"), encoding="utf-8")


@pytest.mark.parametrize("command", TABLES)
def test_no_word_of_a_table_is_broken_or_lost(request, monkeypatch, call, command):
    if command == "status":
        request.getfixturevalue("ran")
    put_on(monkeypatch, 1000, False)
    _, data, _ = call(*command.split())
    assert len(words(data)) > 5
    heads = words(data.splitlines()[0]) | {"here"}
    for width, terminal in WIDTHS:
        put_on(monkeypatch, width, terminal)
        _, shown, _ = call(*command.split())
        assert words(shown) - words(data) == set()
        assert words(data) - words(shown) - heads == set()
        lines = [line.rstrip() for line in plain(shown).splitlines() if " rows in " not in line]  # which names a path
        assert max(map(len, lines)) <= max(width, *(len(word) + 2 for word in words(data)))


@pytest.fixture(scope="module")
def rows():
    return list(summary.rows(summary.compare(load_ledger())))


def claims_on(rows, width: int, terminal: bool, **how: bool) -> str:
    console = Console(width=width, file=io.StringIO(), force_terminal=terminal, color_system=None)
    display.show_verdicts(console, rows, **how)
    return plain(console.file.getvalue())


@pytest.mark.parametrize("how", [{}, {"long": True}, {"wide": True}], ids=str)
@pytest.mark.parametrize(("width", "terminal"), [*WIDTHS, (120, True)])
def test_no_word_of_the_ledger_is_broken(rows, width, terminal, how):
    shown = claims_on(rows, width, terminal, **how)
    data = claims_on(rows, 1000, False, long=True) + claims_on(rows, 1000, False, wide=True)
    assert words(shown) - words(data) <= {"…"}


@pytest.mark.parametrize(("width", "terminal"), [*WIDTHS, (160, False)])
def test_a_narrow_ledger_is_a_block_a_claim_with_its_numbers_and_a_line_why(rows, width, terminal):
    shown = claims_on(rows, width, terminal)
    assert len(re.findall(r"^\S", shown, re.MULTILINE)) == len(rows)
    [block] = re.findall(r"^000\.4 .*\n(?:  .*\n)+", shown, re.MULTILINE)
    flat = " ".join(block.split())
    assert flat.startswith("000.4 not reproduced: reference 0.00301, 0.00301 … 0.0106, the document says 0.0001")
    assert block.endswith("\n  outside 5e−05 … 0.00015\n")


def test_a_wide_terminal_has_the_ledger_as_a_table_and_others_when_asked(rows):
    for shown in (claims_on(rows, 120, True), claims_on(rows, 120, False, wide=True)):
        assert shown.split()[:3] == ["id", "document", "reference"]
        assert max(len(line.rstrip()) for line in shown.splitlines()) <= 120
    assert claims_on(rows, 80, True, wide=True) == claims_on(rows, 120, True)


def test_the_list_is_compact(monkeypatch, call):
    put_on(monkeypatch, 80, False)
    _, shown, _ = call("list")
    assert len(shown.splitlines()) <= 2.5 * len(list((project_root() / "notebooks").glob("*.yaml")))


@pytest.mark.parametrize(
    ("spoil", "code", "told"),
    [
        ("", 0, r"packages +ok"),
        ("missing", 1, r"packages +wrong +missing: no-such-package; not as pinned: typer .*pip install -r"),
        ("other", 0, r"packages +note +not as pinned: typer \S+ \(==0\.0\.1\)"),
        ("torchvision", 1, r"devices +wrong +\w+Error"),
    ],
)
def test_the_doctor_names_what_is_wrong_and_ends_with_1(tmp_path, monkeypatch, call, spoil, code, told):
    """A check that breaks, as with a torchvision of another build, is itself a finding, and hides no other."""
    monkeypatch.setenv("STYLEREPRO_ROOT", str(tmp_path))
    pins = {"missing": "typer==0.0.1\nno-such-package==1.0\n", "other": "typer==0.0.1\n"}
    foreign = 'never-here==1.0; python_version == "2.7"\n'
    text = f"# pinned\ntorch=={main.metadata.version('torch').partition('+')[0]}\n{foreign}{pins.get(spoil, '')}"
    (tmp_path / "requirements.txt").write_text(text)
    if spoil == "torchvision":
        monkeypatch.setitem(sys.modules, "torchvision", None)
    put_on(monkeypatch, 1000, False)
    ended, out, _ = call("doctor")
    assert ended == code
    assert re.search(told, out)
    for name in ("packages", "devices"):
        assert f"\n{name} " in out
