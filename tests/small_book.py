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
DOCUMENT = {"id": "000", "title": "A title", "authors": ["A. Body"], "institution": None, "year": None, "link": None}
RULE = {"kind": "number", "name": "error", "column": "error", "statistic": "mean", "within": [0.4, 0.6]}
CLAIM = {"id": "000.1", "quote": "The error is $0.5$.", "place": "page 1", "number": 0.5, "unit": "px"}
CLAIM |= {"statement": "The error is a half.", "why": "A half, give or take 0.1 px.", "experiment": "ran", "rule": RULE}
CLAIM |= {"tolerance": {"absolute": 0.1}, "sort": "arithmetic", "least": {}}
OWN_CLAIM = {name: value for name, value in CLAIM.items() if name != "experiment"} | {"id": "mine.1"}
LEDGER = {
    "document": DOCUMENT,
    "claims": [
        CLAIM | {"rule": RULE | {"where": {"n": 1}}},
        CLAIM | {"id": "000.2", "rule": RULE | {"where": {"n": 2}}},
        CLAIM | {"id": "000.3", "experiment": "waiting"},
    ],
}
SIXTH = {
    "document": {
        "id": "005", "title": "A sixth document & its doubts", "authors": ["A. Body", "C. Else"], "institution": None,
        "year": 2026, "link": None, "about": "Slides on what comes after five.",
        "question": "Does a sixth document need more than three files?",
        "method": r"With $x_i$ as before, $\sum_i x_i^2$.",
        "silences": [{"silence": "How large is `n`?", "parameter": "`n` of *sixth*", "readings": "One and two."}],
        "slips": ["The sum has no end."],
    },
    "claims": [CLAIM | {"id": "005.1", "experiment": "sixth"}],
}  # fmt: skip


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
    for folder in ("stylerepro/ledger", "notebooks"):
        (root / folder).mkdir(parents=True)
    copy_book(root)
    for name, numbers in (("ran", ["000.1", "000.2"]), ("waiting", ["000.3"])):
        write_notebook(root / f"notebooks/{name}.ipynb", TITLES[name])
        write_sidecar(root / f"notebooks/{name}.yaml", TITLES[name], "000", numbers)
    run = root / "results/reference/ran"
    write_run(run, {1: 0.5, 2: 0.9}, hardware={"cpu": "Abacus", "cores": 2})
    write_notebook(run / "notebook.ipynb", TITLES["ran"], outputs=True)
    (root / "stylerepro/ledger/000.yaml").write_text(yaml.safe_dump(LEDGER))
    return root


@pytest.fixture(scope="session")
def small_book(small_project, tmp_path_factory) -> Path:
    """The first page of the small project's book."""
    return build(small_project, tmp_path_factory.mktemp("small") / "html", api=False)


@pytest.fixture(scope="session")
def real_book(tmp_path_factory) -> Path:
    """The first page of the project's book, with its notebooks, committed runs and ledger, and what somebody has added:
    a sixth document in three files, and an ablation with a claim of its own.
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
    (root / "stylerepro/ledger/005.yaml").write_text(yaml.safe_dump(SIXTH))
    write_notebook(root / "notebooks/sixth.ipynb", "An experiment of the sixth document")
    write_sidecar(root / "notebooks/sixth.yaml", "An experiment of the sixth document", "005", ["005.1"])
    write_notebook(root / "notebooks/mine.ipynb", "Smoother still")
    write_sidecar(root / "notebooks/mine.yaml", "Smoother still", "own", [OWN_CLAIM])
    return build(root, root / "html")


def copy_book(root: Path) -> None:
    """The book's own texts, without what a build of the real one may have left."""
    shutil.copytree(ROOT / "book", root / "book", ignore=shutil.ignore_patterns("_build", "_generated", "__pycache__"))


def write_run(folder: Path, errors: dict[int, float], **changes: object) -> None:
    """A finished run's record, but for `changes`, and its table of n and error."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"{n},{error}" for n, error in errors.items()]
    (folder / "metrics.csv").write_text("\n".join(["n,error", *lines, ""]))
    columns = {"metrics": {"n": "int", "error": "float"}, "history": {}}
    record = {"experiment": "ran", "profile": "reference", "status": "completed", "start": "2026-11-21T10:00:00+00:00"}
    record |= {"seconds": 12.0, "columns": columns, "fingerprint": {"digest": "c0ffee" * 10, "components": {}}}
    record |= {"networks": {}, "hardware": {}, "parameters": {}, "commit": None} | changes
    (folder / "run.json").write_text(json.dumps(record))


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
    content = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    path.write_text(json.dumps(content))


def write_sidecar(path: Path, title: str, document: str, claims: list) -> None:
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
