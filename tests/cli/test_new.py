"""`stylerepro new`: two files that run, and stand in list, ledger and book; and the claims that they declare."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pandas as pd
import pytest
import small_book
import toy
import yaml

from stylerepro.cli import new
from stylerepro.errors import ClaimError, RunError
from stylerepro.files import write_text
from stylerepro.ledger import claims, summary
from stylerepro.ledger.rules import NOT_TESTED
from stylerepro.runs import experiments

ROOT = Path(__file__).resolve().parents[2]
OWN_CLAIM = {
    "id": "mine.1", "quote": "It is so.", "place": "a guess", "statement": "The value is small.", "why": "A bound.",
    "tolerance": {"absolute": 0.1},
    "sort": "arithmetic",
    "least": {},
    "rule": {"kind": "threshold", "name": "value", "column": "value", "at_most": 5.0, "units": ["name"]},
}  # fmt: skip


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project of the real notebooks, without runs."""
    monkeypatch.setenv("STYLEREPRO_ROOT", str(tmp_path))
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks", ignore=shutil.ignore_patterns(".*"))
    (tmp_path / "stylerepro").symlink_to(ROOT / "stylerepro")
    return tmp_path


@pytest.mark.parametrize("source", experiments.names())
def test_every_experiment_can_be_begun_from(project, source):
    before = {path: path.read_bytes() for path in (project / "notebooks").iterdir()}
    made = new.begin("mine", source)
    assert {path: path.read_bytes() for path in before} == before, "no other file is touched"
    assert {path.name for path in (project / "notebooks").iterdir()} - {path.name for path in before} == {
        "mine.ipynb", "mine.yaml"
    }  # fmt: skip
    original = experiments.load(source)
    assert (made.document, made.claims) == ("own", ("mine.1",))
    for same in ("parameters", "columns", "history_columns", "profiles", "explore", "hardware"):
        assert getattr(made, same) == getattr(original, same), same
    [claim] = [claim for claim in claims.load_ledger() if claim.id == "mine.1"]
    assert (claim.experiment, claim.document) == ("mine", "own")
    told = nbformat.read(made.notebook, as_version=4).cells
    assert told[0].source.startswith(f"# {made.title}\n")


def test_a_minimal_experiment_runs_and_is_in_the_shape_of_the_others(project, call):
    import cells
    import test_repository as shape

    assert "one of the two" in call("new", "my_first")[2]
    assert "one of the two" in call("new", "my_first", "--minimal", "--from", "pooling")[2]
    assert call("new", "my_first", "--minimal")[0] == 0
    made = experiments.load("my_first")
    assert (made.title, made.claims) == ("My first", ("my_first.1",))
    shape.test_notebook_is_clean_and_in_the_usual_shape(made.notebook)
    shape.test_notebook_parameters_are_typed_and_commented(made.notebook)
    shape.test_notebook_has_no_long_helper_and_does_not_know_its_profile(made.notebook)
    told = nbformat.read(made.notebook, as_version=4).cells[0].source
    assert ("copy" in told, "my_first.yaml" in told) == (False, True)
    metrics = cells.executed("my_first")["metrics"]
    assert set(metrics) == set(made.columns)
    assert len(metrics) == 2


def test_a_copy_has_no_outputs(project):
    odd = toy.add(project, "odd")
    notebook = nbformat.read(odd, as_version=4)
    notebook.cells[1].outputs, notebook.cells[1].execution_count = [nbformat.v4.new_output("stream", text="x")], 3
    nbformat.write(notebook, odd)
    copied = nbformat.read(new.begin("mine", "odd").notebook, as_version=4)
    assert [cell for cell in notebook.cells if cell.get("outputs")]
    assert not [cell for cell in copied.cells if cell.get("outputs") or cell.get("execution_count")]


def test_a_new_ablation_keeps_the_rule_it_began_with(project):
    new.begin("mine", "tv_sweep", 'Smooth: "very"')
    rules = {claim.id: claim.rule for claim in claims.load_ledger()}
    assert repr(rules["mine.1"]).replace("'experiment': 'mine'", "'experiment': 'tv_sweep'") == repr(rules["003.1"])
    assert experiments.load("mine").title == 'Smooth: "very"'
    assert "# " in (project / "notebooks/mine.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "source", "message"),
    [
        ("Mine", "tv_sweep", "cannot name an experiment"),
        ("2nd", "tv_sweep", "cannot name an experiment"),
        ("../mine", "tv_sweep", "cannot name an experiment"),
        ("pooling", "tv_sweep", "is an experiment pooling already"),
        ("mine", "tv_swep", "Did you mean 'tv_sweep'"),
        ("mine", "odd", "one cell with results.begin"),
        ("mine", "tv_sweep", "'5' cannot name a document"),
    ],
)
def test_what_cannot_be_begun_leaves_nothing(project, name, source, message):
    odd = toy.add(project, "odd")
    odd.write_text(odd.read_text(encoding="utf-8").replace("results.begin('odd'", "results.begin(NAME"))
    before = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}
    with pytest.raises(RunError, match=message):
        new.begin(name, source, document="5" if "document" in message else "own")
    assert {path: path.read_bytes() for path in project.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError("the disk is full")])
def test_what_is_interrupted_leaves_nothing(project, monkeypatch, error):
    def interrupted(path, text):
        if path.suffix == ".yaml":
            assert (project / "notebooks/mine.ipynb").exists()
            raise error
        write_text(path, text)

    before = {path for path in project.rglob("*") if path.is_file()}
    monkeypatch.setattr(new, "write_text", interrupted)
    with pytest.raises(error if isinstance(error, type) else type(error)):
        new.begin("mine", "tv_sweep")
    assert {path for path in project.rglob("*") if path.is_file()} == before


def own(project, *contents):
    """The toy experiment `mine`, which declares claims of its own."""
    sidecar = yaml.safe_load(toy.SIDECAR) | {"document": "own", "claims": list(contents)}
    toy.add(project, "mine", sidecar=yaml.safe_dump(sidecar))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": "mine.2"}, "'mine.2' stands where 'mine.1' should"),
        ({"quote": ""}, "mine.1: quote is .* at least 1 character"),
        ({"verdict": "reproduced"}, "computed from tables and never typed"),
        ({"rule": {**OWN_CLAIM["rule"], "column": "valeu"}}, "Did you mean 'value'"),
        ({"tolerance": None}, "mine.1"),
    ],
)
def test_an_own_claim_is_checked_like_a_documents(project, change, message):
    own(project, OWN_CLAIM | change)
    with pytest.raises(ClaimError, match=message):
        claims.load_ledger()


@pytest.mark.parametrize(("document", "listed"), [("003", [OWN_CLAIM]), ("own", ["003.1"]), ("methods", [OWN_CLAIM])])
def test_a_document_and_its_claims_belong_together(project, document, listed):
    sidecar = yaml.safe_load(toy.SIDECAR) | {"document": document, "claims": listed}
    toy.add(project, "mine", sidecar=yaml.safe_dump(sidecar))
    with pytest.raises(RunError, match=r"mine\.yaml"):
        experiments.load("mine")


def test_own_claims_are_judged_and_not_counted_among_those_of_the_documents(project):
    own(project, OWN_CLAIM, {**OWN_CLAIM, "id": "mine.2"})
    ledger = claims.load_ledger()
    table = summary.judged(ledger, root=project / "nowhere")
    mine = table[table["experiment"] == "mine"]
    assert mine["id"].tolist() == ["mine.1", "mine.2"]
    assert set(mine["verdict"]) == {NOT_TESTED}
    all_ = re.search(r"\| \*\*all\*\* \|(.*)\|", summary.counts(ledger, table))[1]
    assert sum(map(int, all_.split("|"))) == 34


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Root of the real notebooks' project and what `new` made of it, changed, run in `smoke`, and its book."""
    root = tmp_path_factory.mktemp("new")
    shutil.copytree(ROOT / "notebooks", root / "notebooks", ignore=shutil.ignore_patterns(".*"))
    (root / "stylerepro").symlink_to(ROOT / "stylerepro")
    small_book.copy_book(root)
    environment = {**os.environ, "STYLEREPRO_ROOT": str(root), "PYTHONPATH": str(ROOT), "COLUMNS": "200"}

    def command(*words, code=0):
        line = [sys.executable, "-m", "stylerepro.cli.main", *words]
        done = subprocess.run(line, env=environment, cwd=root, capture_output=True, text=True, check=False, timeout=400)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    told = command("new", "mine", "--from", "tv_sweep", "--title", "Smoother still")
    sidecar = root / "notebooks/mine.yaml"
    text = sidecar.read_text(encoding="utf-8")
    sidecar.write_text(text.replace("    iterations: 4\n", "    iterations: 6\n    gammas: [0.0, 33.0, 66.0]\n"))
    command("run", "mine", "--profile", "smoke")
    return root, told, command


def test_a_new_ablation_runs_with_a_changed_parameter_and_is_listed_and_judged(made):
    root, told, command = made
    assert "notebooks/mine.yaml" in told
    assert "Smoother still" in command("list")
    [run] = (root / "results/runs/mine").glob("smoke-*")
    assert "33.0" in (run / "metrics.csv").read_text(encoding="utf-8")
    command("claims", "--profile", "smoke", "-o", "ledger.csv", code=1)  # the other experiments have not been run
    row = pd.read_csv(root / "ledger.csv").set_index("id").loc["mine.1"]
    assert (row["document"], row["experiment"]) == ("own", "mine")
    assert (row["verdict"], row["sort"]) == (NOT_TESTED, "picture"), "one pair of pictures, and none that is judged"
    assert "no style transfer to judge" in row["reason"]


def test_a_new_ablation_is_in_the_book(made):
    root, *_ = made
    html = small_book.build(root, root / "html", api=False, profile="smoke").parent
    page = (html / "notebooks/mine.html").read_text(encoding="utf-8")
    assert "Smoother still" in page
    assert "66" in page
    chapter = (html / "documents/own.html").read_text(encoding="utf-8")
    assert 'id="claim-mine-1"' in chapter
    assert "notebooks/mine.html" in chapter
    assert "documents/own.html#claim-mine-1" in (html / "ledger.html").read_text(encoding="utf-8")
    assert "Smoother still" in (html / "index.html").read_text(encoding="utf-8")


def test_a_new_document_is_three_files_that_run_and_are_listed_and_judged(tmp_path):
    for folder in ("notebooks", "stylerepro"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns(".*", "__pycache__"))

    def command(*words, code=0):
        environment = {**os.environ, "STYLEREPRO_ROOT": str(tmp_path), "PYTHONPATH": str(tmp_path), "COLUMNS": "80"}
        line = [sys.executable, "-m", "stylerepro.cli.main", *words]
        done = subprocess.run(line, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    toy.add(tmp_path, "toy")
    before = {path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".pyc"}
    command("new", "theirs", "--from", "toy", "--document", "005", "--title", "A sixth")
    made = {path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".pyc"} - before
    names = {path.relative_to(tmp_path).as_posix() for path in made}
    assert names == {"notebooks/theirs.ipynb", "notebooks/theirs.yaml", "stylerepro/ledger/005.yaml"}
    command("run", "theirs", "--profile", "smoke")
    assert "theirs  005  005.1  A sixth\n" in command("list")
    shown = command("claims", "--profile", "smoke", "-o", "ledger.csv", code=1)  # the others have not been run
    assert "\n005.1  not reproduced: yours 0\n" in shown
    row = pd.read_csv(tmp_path / "ledger.csv", dtype=str).set_index("id").loc["005.1"]
    assert (row["document"], row["experiment"]) == ("005", "theirs")
    command("new", "again", "--from", "pooling", "--document", "005")
    assert "again  005  " in command("list"), "a document that there is keeps its file, and its claims are its own"
