"""A project of two experiments, small enough to build its book in seconds, and the book of the project as it stands."""

import base64
import io
import json
import shutil
from pathlib import Path

import pandas as pd
import PIL.Image
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
ALT = "A white picture that is twice as wide as it is high."
TITLES = {"ran": "An experiment that ran", "waiting": "An experiment that waits"}
LEDGER = """
document: {id: "000", title: A small document, authors: [A. Nobody], institution: null, year: null, link: null}
claims:
  - &claim
    id: "000.1"
    quote: The error is $0.5$.
    place: page 1
    statement: The error is a half.
    number: 0.5
    unit: px
    tolerance: {absolute: 0.1}
    sort: arithmetic
    least: {}
    experiment: ran
    why: A half, give or take 0.1 px.
    rule: &rule {kind: number, name: error, column: error, where: {n: 1}, statistic: closest, within: [0.4, 0.6]}
  - <<: *claim
    id: "000.2"
    rule: {<<: *rule, where: {n: 2}}
  - <<: *claim
    id: "000.3"
    experiment: waiting
    rule: {<<: *rule, experiment: waiting}
"""

SIXTH = """
document:
  id: "005"
  title: "A sixth document & its doubts"
  authors: [A. Body, C. Else]
  institution: null
  year: 2026
  link: null
  about: Slides on what comes after five.
  question: Does a sixth document need more than three files?
  method: "With $x_i$ as before, $\\\\sum_i x_i^2$."
  silences: [{silence: "How large is `n`?", parameter: "`n` of *sixth*", readings: One and two.}]
  slips: [The sum has no end.]
claims:
  - id: "005.1"
    quote: The error is $0.5$.
    place: page 1
    statement: The error is a half.
    number: 0.5
    unit: px
    tolerance: {absolute: 0.1}
    sort: arithmetic
    least: {}
    experiment: sixth
    why: A half, give or take 0.1 px.
    rule: {kind: number, name: error, column: error, where: {n: 1}, statistic: closest, within: [0.4, 0.6]}
"""


def build(root: Path, out: Path, api: bool = True, profile: str = "reference") -> Path:
    """Build the book of the project in `root` and return its first page. api: with the docstrings, for 15 s more."""
    from stylerepro.book import building  # not before conftest.py has said how many threads PyTorch may take

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STYLEREPRO_ROOT", str(root))
        if not api:
            leave_out_the_api(patch)
        return building.build(out, profile)


def leave_out_the_api(patch: pytest.MonkeyPatch) -> None:
    """Have the pages of the API hold their titles alone: they are there to be linked to."""
    from stylerepro.book import building

    whole = building._interface
    patch.setattr(building, "_interface", lambda package: dict.fromkeys(whole(package), "Title\n=====\n"))


@pytest.fixture(scope="session")
def small_project(tmp_path_factory) -> Path:
    """The root of a project of two experiments, of which one has a committed run, and the real book's texts."""
    root = tmp_path_factory.mktemp("project")
    for folder in ("stylerepro/ledger", "notebooks", "results/reference/ran"):
        (root / folder).mkdir(parents=True)
    copy_book(root)
    for name, numbers in (("ran", ["000.1", "000.2"]), ("waiting", ["000.3"])):
        write_notebook(root / f"notebooks/{name}.ipynb", TITLES[name])
        write_sidecar(root / f"notebooks/{name}.yaml", TITLES[name], "000", numbers)
    run = root / "results/reference/ran"
    write_notebook(run / "notebook.ipynb", TITLES["ran"], outputs=True)
    (run / "metrics.csv").write_text("n,error\n1,0.5\n2,0.9\n")
    columns = {"metrics": {"n": "int", "error": "float"}, "history": {}}
    record = {"experiment": "ran", "profile": "reference", "status": "completed", "start": "2026-11-21T10:00:00+00:00"}
    record |= {"seconds": 12.0, "columns": columns, "fingerprint": {"digest": "c0ffee" * 10, "components": {}}}
    record |= {"networks": {}, "hardware": {"cpu": "Abacus", "cores": 2}, "parameters": {}, "commit": None}
    (run / "run.json").write_text(json.dumps(record))
    (root / "stylerepro/ledger/000.yaml").write_text(LEDGER)
    return root


@pytest.fixture(scope="session")
def small_book(small_project, tmp_path_factory) -> Path:
    """The first page of the small project's book."""
    return build(small_project, tmp_path_factory.mktemp("small") / "html", api=False)


@pytest.fixture(scope="session")
def real_book(tmp_path_factory) -> Path:
    """The first page of the project's book, with its notebooks, committed runs and ledger, and a sixth document that
    somebody has added: three files.
    """
    root = tmp_path_factory.mktemp("real")
    for folder in ("notebooks", "stylerepro/ledger"):
        (root / folder).mkdir(parents=True)
        for path in (ROOT / folder).iterdir():
            (root / folder / path.name).symlink_to(path)
    (root / "results").mkdir()
    for folder in ("reference", "networks", "performance"):
        (root / "results" / folder).symlink_to(ROOT / "results" / folder)
    copy_book(root)
    (root / "stylerepro/ledger/005.yaml").write_text(SIXTH)
    write_notebook(root / "notebooks/sixth.ipynb", "An experiment of the sixth document")
    write_sidecar(root / "notebooks/sixth.yaml", "An experiment of the sixth document", "005", ["005.1"])
    return build(root, root / "html")


def copy_book(root: Path) -> None:
    """The book's own texts, without what a build of the real one may have left."""
    shutil.copytree(ROOT / "book", root / "book", ignore=shutil.ignore_patterns("_build", "_generated", "__pycache__"))


def write_notebook(path: Path, title: str, outputs: bool = False) -> None:
    """A notebook of a text and a cell; with `outputs` it has printed tables and a line, and drawn a figure."""
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": f"# {title}\n\nWith $\\sum_i x_i^2$."},
        {
            "cell_type": "code", "metadata": {"tags": ["parameters"], "mystnb": {"image": {"alt": ALT}}},
            "execution_count": None,
            "source": 'out: str = ""  # folder', "outputs": _outputs() if outputs else [],
        },
    ]  # fmt: skip
    cells = [{"id": f"cell-{place}", **cell} for place, cell in enumerate(cells)]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    path.write_text(
        json.dumps({"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5})
    )


def write_sidecar(path: Path, title: str, document: str, claims: list[str]) -> None:
    """A sidecar of two columns, whose experiment takes a minute."""
    sidecar = {"title": title, "document": document, "claims": claims, "expected": {"reference": "1 min"}}
    sidecar |= {"columns": {"n": {"type": "int"}, "error": {"type": "float"}}, "profiles": {"reference": {}}}
    path.write_text(yaml.safe_dump(sidecar))


def _outputs() -> list[dict]:
    """A table too wide for any screen, one as pandas styles it, a figure, what was printed, and a progress bar."""
    wide = "<table class='dataframe'><tr>" + "<td>0.123456</td>" * 60 + "</tr></table>"
    groups = pd.MultiIndex.from_product([["b", "a"], [10, 9]], names=["group", "n"])
    errors = pd.DataFrame({"error, px": [0.5, 12.0, 3.25, None], "name": ["q", "r, s", "p", "t"]}, index=groups)
    styled = errors.style.format(precision=2, na_rep="–").set_caption("Small errors").to_html()
    stream = io.BytesIO()
    PIL.Image.new("RGB", (64, 32), "white").save(stream, "JPEG")
    figure = {"image/jpeg": base64.b64encode(stream.getvalue()).decode(), "text/plain": "<Figure with 2 Axes>"}
    return [
        {"output_type": "stream", "name": "stderr", "text": "a progress bar"},
        *(
            {"output_type": "display_data", "metadata": {}, "data": data}
            for data in ({"text/html": wide, "text/plain": "wide"}, {"text/html": styled}, figure)
        ),
        {"output_type": "stream", "name": "stdout", "text": "what it printed"},
    ]
