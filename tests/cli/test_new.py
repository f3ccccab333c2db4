"""`stylerepro new`: two files that run, and stand in list, ledger and book; and the claims that they declare."""

import shutil
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
from stylerepro.ledger import claims
from stylerepro.ledger.rules import NOT_TESTED
from stylerepro.runs import experiments

ROOT = Path(__file__).resolve().parents[2]
RULE = {"kind": "threshold", "name": "value", "column": "value", "at_most": 5.0, "units": ["name"]}
OWN_CLAIM = small_book.OWN_CLAIM | {"rule": RULE}


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
    added = {path.name for path in (project / "notebooks").iterdir() if path not in before}
    assert added == {"mine.ipynb", "mine.yaml"}
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


@pytest.mark.parametrize(
    ("document", "claim", "message"),
    [
        ("003", OWN_CLAIM, r"mine\.yaml.* among its claims"),
        ("methods", OWN_CLAIM, r"mine\.yaml.* among its claims"),
        ("own", "003.1", r"mine\.yaml.* among its claims"),
        ("own", OWN_CLAIM | {"id": "mine.2"}, "'mine.2' stands where 'mine.1' should"),
        ("own", OWN_CLAIM | {"rule": RULE | {"column": "valeu"}}, "Did you mean 'value'"),
        ("own", OWN_CLAIM | {"tolerance": None}, "mine.1"),
        ("006", "003.1", "mine.yaml: the ledger has no document '006'. Did you mean '00"),
        ("003", "003.77", "mine.yaml: document 003 has no claim '003.77'. Did you mean '003.7'"),
    ],
)
def test_document_and_claims_belong_together_and_own_claims_are_checked_like_others(project, document, claim, message):
    sidecar = yaml.safe_load(toy.SIDECAR) | {"document": document, "claims": [claim]}
    toy.add(project, "mine", sidecar=yaml.safe_dump(sidecar))
    with pytest.raises((RunError, ClaimError), match=message):
        claims.load_ledger()


def test_a_new_ablation_and_a_new_document_run_and_are_listed_and_judged(project, monkeypatch, call):
    """Of the ablation a parameter is changed; the document is three files."""

    def said(*words, code=0):
        ended, out, err = call(*words)
        assert ended == code, out + err
        return out

    def files():
        return {path.relative_to(project).as_posix() for path in project.rglob("*") if path.is_file()}

    monkeypatch.setenv("COLUMNS", "80")
    (project / "stylerepro").unlink()
    skipped = shutil.ignore_patterns("__pycache__", "*.safetensors")
    shutil.copytree(ROOT / "stylerepro", project / "stylerepro", ignore=skipped)
    toy.add(project, "toy")
    assert "notebooks/mine.yaml" in said("new", "mine", "--from", "tv_sweep", "--title", "Smoother still")
    sidecar = project / "notebooks/mine.yaml"
    text = sidecar.read_text(encoding="utf-8")
    sidecar.write_text(text.replace("    iterations: 4\n", "    iterations: 6\n    gammas: [0.0, 33.0, 66.0]\n"))
    before = files()
    said("new", "theirs", "--from", "toy", "--document", "005", "--title", "A sixth")
    assert files() - before == {"notebooks/theirs.ipynb", "notebooks/theirs.yaml", "stylerepro/ledger/005.yaml"}
    said("run", "mine", "theirs", "--profile", "smoke")
    listed = said("list")
    assert "Smoother still" in listed
    assert "theirs  005  005.1  A sixth\n" in listed
    [run] = (project / "results/runs/mine").glob("smoke-*")
    assert "33.0" in (run / "metrics.csv").read_text(encoding="utf-8")
    told = said("claims", "--profile", "smoke", "-o", str(project / "ledger.csv"), code=1)  # others have not been run
    assert "\n005.1  not reproduced: yours 0\n" in told
    rows = pd.read_csv(project / "ledger.csv", dtype=str).set_index("id")
    assert rows.loc["005.1", ["document", "experiment"]].tolist() == ["005", "theirs"]
    mine = rows.loc["mine.1"]
    assert mine[["document", "experiment"]].tolist() == ["own", "mine"]
    assert mine[["verdict", "sort"]].tolist() == [NOT_TESTED, "picture"], "one pair of pictures, and none is judged"
    assert "no style transfer to judge" in mine["reason"]
    said("new", "again", "--from", "pooling", "--document", "005")
    assert "again  005  " in said("list"), "a document that there is keeps its file, and its claims are its own"
