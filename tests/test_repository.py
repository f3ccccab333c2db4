"""What holds for the repository as a whole: notebooks without outputs, no traces of a machine, sizes, the README."""

import ast
import json
import math
import re
import subprocess
import sys
import tomllib
from itertools import zip_longest
from pathlib import Path

import pytest

from stylerepro.book import ledger_page
from stylerepro.ledger import export, summary
from stylerepro.ledger.claims import load_ledger
from stylerepro.runs import experiments
from stylerepro.training import library

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PACKAGE = ROOT / "stylerepro"
REEXPORTED = {"transfer": ["from stylerepro.transfer.transfer import transfer as transfer"]}
REFERENCE_LIMIT = 45_000_000
FILE_LIMIT = 1_500_000
WEIGHTS_LIMIT = 6_000_000  # bytes: a loss network in float16
# Put together here, so that this file does not name them either.
REGISTRIES = ["py" + "pi.org", "python" + "hosted.org", "npm" + "js.org", "npm" + "js.com", "deb.deb" + "ian.org"]
MACHINE_PATH = re.compile(r"(?<![\w./~-])/(?:home|root|Users|work|farm|tmp|var/folders)/\w")


@pytest.fixture(scope="module")
def tracked() -> list[Path]:
    """Files that git has or would take: what a clone of the next commit would hold."""
    command = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        names = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\0")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this is not a git clone")
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def texts(tracked) -> dict[str, str]:
    readable = {}
    for path in tracked:
        try:
            readable[path.relative_to(ROOT).as_posix()] = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
    return readable


def cells(path: Path) -> list[dict]:
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def source(cell: dict) -> str:
    return "".join(cell["source"])


def code_cells(path: Path) -> list[dict]:
    return [cell for cell in cells(path) if cell["cell_type"] == "code"]


def plain(cell: dict) -> str:
    """The Python of a cell, without the notebook's own commands."""
    return "\n".join(line for line in source(cell).splitlines() if not line.lstrip().startswith(("%", "!")))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_clean_and_in_the_usual_shape(path):
    for cell in cells(path):
        assert not cell.get("outputs"), "clear the outputs before committing"
        assert cell.get("execution_count") is None
    title = cells(path)[0]
    assert (title["cell_type"], path.with_suffix(".yaml").is_file()) == ("markdown", True)
    assert source(title).startswith("# ")
    code = code_cells(path)
    tagged = [place for place, cell in enumerate(code) if "parameters" in cell["metadata"].get("tags", [])]
    assert len(tagged) == 1, "exactly one cell is tagged `parameters`"
    assert f'results.begin("{path.stem}", globals())' in source(code[tagged[0] + 1])
    assert any("run.save(" in source(cell) for cell in code)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_parameters_are_typed_and_commented(path):
    (cell,) = [cell for cell in cells(path) if "parameters" in cell["metadata"].get("tags", [])]
    statements, lines = ast.parse(source(cell)).body, ["", *source(cell).splitlines()]
    assert all(isinstance(statement, ast.AnnAssign) for statement in statements)
    assert [
        lines[statement.lineno]
        for statement in statements
        if "#" not in lines[statement.end_lineno or 0] and not lines[statement.lineno - 1].startswith("#")
    ] == []
    declared = experiments.load(path.stem)
    assert {"smoke", "laptop", "reference"} <= set(declared.profiles)
    assert all(profile.expected for profile in declared.profiles.values()), "each profile says how long it takes"
    assert declared.hardware


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_has_no_long_helper_and_does_not_know_its_profile(path):
    for cell in code_cells(path):
        assert not re.search(r"\bprofile\b|PROFILE", source(cell))
        for node in ast.walk(ast.parse(plain(cell))):
            if isinstance(node, ast.FunctionDef):
                length = (node.end_lineno or 0) - node.lineno + 1
                assert length <= 25, f"{node.name} has {length} lines: it belongs in stylerepro/studies/"


def test_no_file_names_a_package_registry(texts):
    assert [(name, host) for name, text in texts.items() for host in REGISTRIES if host in text] == []


def test_no_file_names_a_path_of_a_machine(texts):
    """Tests may name such a path to see it taken out; there it is made up."""
    paths = {name: match[0] for name, text in texts.items() if (match := MACHINE_PATH.search(text))}
    assert {name: path for name, path in paths.items() if not name.startswith("tests/")} == {}


def test_the_package_grows_no_thicker():
    """What is over a limit is to be shortened, not the limit raised.

    Not there yet: the limits of lines and files are where the package stands. It was to come down to 11,700 lines in 65
    files, 3,800 of them science without the paintings, and 10,500 of tests, and to grow from there by no more than
    1,300 for faults of the field, the real network and rules that a sceptic accepts, which took 2,300.
    """
    lines = {path: path.read_text(encoding="utf-8").count("\n") for path in PACKAGE.rglob("*.py")}
    assert {path.name: count for path, count in lines.items() if count > 400} == {}
    names = {path.name for path in PACKAGE.iterdir() if not path.name.startswith("__")}
    assert len(names) <= 12, sorted(names)
    assert len(lines) <= 85
    assert sum(lines.values()) <= 16_640
    rooms = [PACKAGE / room for room in ("pictures", "networks", "transfer", "measures", "training")]
    paintings = PACKAGE / "pictures" / "paintings"
    science = [path for path in lines if any(path.is_relative_to(room) for room in rooms)]
    assert sum(lines[path] for path in science if not path.is_relative_to(paintings)) <= 5_275
    tests = list((ROOT / "tests").rglob("*.py"))
    assert sum(path.read_text(encoding="utf-8").count("\n") for path in tests) <= 14_073


def test_no_two_files_of_tests_share_a_name():
    """Of two that do, pytest takes only one."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))


def test_readme_lists_the_rooms_in_the_order_of_their_imports(texts):
    layers = tomllib.loads(texts["pyproject.toml"])["tool"]["importlinter"]["contracts"][0]["layers"]
    layout = texts["README.md"].split("## Layout")[1]
    listed = re.findall(r"^  (\w+)(?:/|\.py) ", layout, re.MULTILINE)
    assert listed == layers[::-1]
    rooms = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    assert rooms - {"__init__"} == set(layers)


def test_the_imports_that_readme_shows_work():
    code = "from stylerepro import LossNetwork, images, results\nfrom stylerepro.transfer import transfer\n"
    code += "assert LossNetwork.__name__ == 'LossNetwork' and callable(transfer) and images.read and results.begin"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_room_says_what_lives_there_and_holds_nothing_else():
    for path in PACKAGE.glob("*/__init__.py"):
        docstring, *code = ast.parse(path.read_text(encoding="utf-8")).body
        assert ast.unparse(docstring).count("\\n") <= 7
        assert [ast.unparse(line) for line in code] == REEXPORTED.get(path.parent.name, []), path.parent.name


def test_every_name_is_imported_from_the_module_that_defines_it(texts):
    wrong = []
    for name, text in texts.items():
        if name.endswith(".ipynb") and name.startswith("notebooks/"):
            text = "\n".join(map(plain, code_cells(ROOT / name)))
        elif not name.endswith(".py") or name.startswith("results/"):
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "stylerepro":
                known = defined(str(node.module))
                wrong += [f"{name}: {node.module}.{alias.name}" for alias in node.names if alias.name not in known]
    assert wrong == []


def defined(module: str) -> set[str]:
    """The names that a module of the package defines itself, and the modules in it."""
    folder = ROOT.joinpath(*module.split("."))
    path = folder.with_suffix(".py") if folder.with_suffix(".py").is_file() else folder / "__init__.py"
    known = {child.stem for child in folder.glob("*")}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            known.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            known |= {name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)}
    return known


def test_committed_files_are_small(tracked):
    limits = {path: WEIGHTS_LIMIT if path.suffix == ".safetensors" else FILE_LIMIT for path in tracked}
    assert {path.name: path.stat().st_size for path, limit in limits.items() if path.stat().st_size > limit} == {}
    for folder, limit in {"reference": REFERENCE_LIMIT, "networks": library.LIMIT}.items():
        files = [path for path in tracked if path.is_relative_to(ROOT / "results" / folder)]
        assert sum(path.stat().st_size for path in files) < limit, folder


def test_linters_and_types_are_checked_by_make_test(texts):
    rules = texts["Makefile"]
    assert re.search(r"^test: .*\blint\b", rules, re.MULTILINE)
    for command in ("ruff check", "ruff format --check", "mypy", "lint-imports"):
        assert f"$(BIN)/{command}" in rules
    assert 'filterwarnings = ["error"' in texts["pyproject.toml"]


def leaves_of(content):
    """Numbers and words of a JSON file, or of a text, in order; what another processor computes differs by a little."""
    if isinstance(content, dict | list):
        for part in content.items() if isinstance(content, dict) else content:
            yield from leaves_of(list(part) if isinstance(part, tuple) else part)
    elif isinstance(content, str):
        for word in re.split(r"[^\w.−+-]+", content):
            try:
                yield float(word.replace("−", "-"))
            except ValueError:
                yield word
    else:
        yield content


def alike(one, other):
    numbers = [isinstance(each, float | int) and not isinstance(each, bool) for each in (one, other)]
    return math.isclose(one, other, rel_tol=1e-4) if all(numbers) else one == other


def test_readme_and_citation_say_what_ledger_sidecars_and_committed_results_do(texts):
    ledger = load_ledger()
    table = summary.judged(ledger)
    assert texts["README.md"] == ledger_page.readme(ledger, texts["README.md"], table), "stylerepro claims --readme"
    for path, text in export.files(ledger, table).items():
        made, kept = (json.loads(one) if path.endswith(".json") else [one] for one in (text, texts[path]))
        pairs = zip_longest(leaves_of(made), leaves_of(kept))
        assert [pair for pair in pairs if not alike(*pair)] == [], "stylerepro claims --readme"
    assert texts["CITATION.cff"] == ledger_page.citation_file(ledger, texts["CITATION.cff"]), "the same"
    assert "38 claims" in texts["README.md"]
    assert "| 003.1, 003.2, 003.9 | 3 min |" in texts["README.md"]


def test_readme_names_only_commands_and_options_that_exist(texts):
    import typer

    from stylerepro.cli import main

    group = typer.main.get_command(main.app)
    lines = re.findall(r"^stylerepro (.*?)(?:#.*)?$", texts["README.md"], re.MULTILINE)
    shown = [part for line in lines for part in line.removeprefix("stylerepro ").split(" && stylerepro ")]
    assert len(shown) > 10
    for line in shown:
        name, *words = line.split()
        assert name in group.commands, f"README names `stylerepro {name}`"
        options = {option for parameter in group.commands[name].params for option in parameter.opts}
        assert {word for word in words if word.startswith("-")} <= options, line
    assert set(group.commands) == {line.split()[0] for line in shown}, "README leaves out a command"


def test_readme_names_only_files_and_make_targets_that_exist(texts):
    for link in re.findall(r"\]\(([^)#:]+)\)", texts["README.md"]):
        assert (ROOT / link).exists(), link
    targets = set(re.findall(r"^([a-z-]+):", texts["Makefile"], re.MULTILINE))
    assert set(re.findall(r"^make ([a-z-]+)", texts["README.md"], re.MULTILINE)) <= targets
