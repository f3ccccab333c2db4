"""The book's chapters: what texts ask for is filled in from tables, the contents in two formats, and the API."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from stylerepro.book import building, chapters, performance, runs, text, values
from stylerepro.book.contents import contents, myst
from stylerepro.errors import ResultsError, RunError
from stylerepro.ledger import claims, summary
from stylerepro.runs.experiments import Experiment, discover

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "stylerepro"
TABLE = pd.DataFrame(
    {
        "n": [1, 2, 3, 4], "picture": ["a", "a", "b", "b c"], "error": [0.5, 1.5, float("nan"), 4.0],
        "whole": [1.0, 3.0, 1.0, 2.0], "done": [True, True, False, True], "reading": [None, "x", None, "x"],
    }
)  # fmt: skip


def experiment(name="ran", document="003"):
    return Experiment(name, name.title(), document, (), Path(name), {}, {}, {}, {})


# Numbers in texts


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("t.error", "1.5"),
        ("t.error stat=range", "0.5 to 4"),
        ("t.error n=2 stat=range", "1.5"),
        ("t.error picture=a stat=mean", "1"),
        ("t.error picture=a|b stat=count", "2"),
        ("t.error 'picture=b c'", "4"),
        ("t.error reading=", "0.5"),
        ("t.error done=true stat=max", "4"),
        ("t.error over=whole stat=max", "2"),
        ("t.error n=1 as=percent", "50 %"),
        ("t.error n=1 as=change", "+50 %"),
        ("t.error n=3", "(not measured)"),
        ("t.error picture=z", "(not measured)"),
        ("absent.error", "(not run)"),
    ],
)
def test_a_value_is_looked_up_in_a_table(words, told):
    assert values.value({"t": TABLE}, words) == told


@pytest.mark.parametrize("words", ["t.errors", "t.error picure=a", "t.error over=hole", "t.error stat=medium"])
def test_a_value_that_cannot_be_is_refused_with_the_nearest_name(words):
    with pytest.raises(RunError, match=r"error|picture|whole|median"):
        values.value({"t": TABLE}, words)


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (0.19973, "0.2"),
        (12345.6, "12300"),
        (-2.5, "−2.5"),
        (None, ""),
        (float("nan"), ""),
        (pd.NA, ""),
        (999.9, "1000"),
    ],
)
def test_figures_of_a_number(number, told):
    assert text.figures(number) == told


def test_no_text_types_a_placeholder_that_nothing_fills():
    """All that the book's texts ask of tables names an experiment, its columns and options that exist."""
    declared = {one.name: {**one.columns, **one.history_columns} for one in discover()}
    asked = 0
    for path in sorted((ROOT / "book").rglob("*.md")):
        if {"_generated", "_build"} & set(path.parts):
            continue
        for words in re.findall(r"\{\{ value ([^{}]+) \}\}", path.read_text(encoding="utf-8")):
            name = words.split(".")[0]
            assert name in declared, f"{path.name}: {words}"
            empty = pd.DataFrame({column: pd.Series(dtype=float) for column in declared[name]})
            assert values.value({name: empty}, words) in ("(not measured)", "0"), f"{path.name}: {words}"
            asked += 1
    assert asked > 50


# Chapters


def test_every_document_has_a_chapter_with_its_answer_claims_and_notebooks():
    for document in claims.load_ledger().documents:
        told = (ROOT / f"book/documents/{document}.md").read_text(encoding="utf-8")
        pieces = [f"{{{{ {name} {document} }}}}" for name in ("citation", "answer", "finding", "claims", "notebooks")]
        places = [told.index(piece) for piece in pieces]
        assert places == sorted(places), f"{document}: the answer comes first, its evidence after it"
        for heading in ("## The method", "## What it leaves open", "## Slips"):
            assert heading in told
        assert f"{{cite:p}}`doc{document}`" in told


def test_parameters_that_chapters_name_exist():
    known = {name for one in discover() for name in (*one.parameters, *one.columns)}
    for path in (ROOT / "book/documents").glob("*.md"):
        for line in path.read_text(encoding="utf-8").splitlines():
            cells = line.split(" | ")
            if line.startswith("| ") and len(cells) == 3 and not line.startswith("| silence"):
                assert set(re.findall(r"`([a-z]\w*)`", cells[1])) <= known, f"{path.name}: {cells[1]}"


def document(id, title, authors, institution=None, year=None):
    return claims.Document(id=id, title=title, authors=authors, institution=institution, year=year, link=None)


def test_a_document_is_cited_as_it_prints_itself():
    documents = {
        "000": document("000", "A title", []),
        "001": document("001", "Other", ["A. B.", "C. D."], "Somewhere", 2018),
    }
    assert chapters.citation(documents, "000") == "*A title*. No authors given. No date given."
    assert chapters.citation(documents, "001") == "*Other*. A. B., C. D.. Somewhere. 2018."
    assert chapters.citation(documents, "004") == ""


def test_a_finding_written_for_another_verdict_is_left_out():
    ledger = claims.load_ledger()
    finding = next(iter(ledger.findings.values()))
    other = next(one for one in claims.load_ledger() if one.id == finding.claim)
    row = {"id": other.id, "verdict": "not tested", "document": other.document}
    assert chapters.findings(ledger, [row], "") == ""


def test_notebooks_of_a_document_are_links():
    assert "[Ran](../notebooks/ran.ipynb)" in chapters.notebooks([experiment()])
    assert "no notebook" in chapters.notebooks([])


# Contents

TOC = """
format: jb-book
root: index
parts:
  - caption: Documents
    chapters:
      - file: documents/003
        sections: experiments of 003
      - file: documents/004
        sections: experiments of 004
  - caption: Others
    chapters: experiments
  - caption: End
    chapters:
      - file: api
        sections: api
"""


def test_contents_put_experiments_below_their_documents_and_lose_none():
    entries = [experiment("one"), experiment("two", "005"), experiment("three")]
    toc = contents(TOC, entries, {"api": ["api/first"]})
    first, others, end = toc["parts"]
    assert first["chapters"][0]["sections"] == [{"file": "notebooks/one"}, {"file": "notebooks/three"}]
    assert "sections" not in first["chapters"][1]
    assert others["chapters"] == [{"file": "notebooks/two"}]
    assert end["chapters"][0]["sections"] == [{"file": "api/first"}]


def test_a_part_without_chapters_goes():
    assert [part["caption"] for part in contents(TOC, [experiment()], {})["parts"]] == ["Documents", "End"]


def test_both_builders_have_the_same_contents():
    toc = contents(TOC, [experiment("one")], {"api": ["api/first"]})
    files = ["index.md", "documents/003.md", "documents/004.md", "api.md", "api/first.md", "refs.bib"]
    project = myst(toc, files)["project"]
    assert project["bibliography"] == ["refs.bib"]
    assert project["toc"] == [
        {"file": "index.md"},
        {
            "title": "Documents",
            "children": [
                {"file": "documents/003.md", "children": [{"file": "notebooks/one.ipynb"}]},
                {"file": "documents/004.md"},
            ],
        },
        {"title": "End", "children": [{"file": "api.md", "children": [{"file": "api/first.md"}]}]},
    ]


# The API


def test_the_api_has_every_module_once_but_for_the_command():
    told = "\n".join(building._interface(PACKAGE).values())
    named = re.findall(r"(?m)^\.\. automodule:: ([\w.]+)$", told)
    there = {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in PACKAGE.rglob("*.py")}
    wanted = {name.removesuffix(".__init__") for name in there if not name.startswith("stylerepro.cli")}
    assert sorted(named) == sorted(wanted - {"stylerepro"})


def test_the_api_has_a_page_a_room_and_the_book_names_each():
    rooms = {Path(path).stem for path in building._interface(PACKAGE)}
    assert set(re.findall(r"\(api/(\w+)\.rst\)", (ROOT / "book/api.md").read_text(encoding="utf-8"))) == rooms


# Runs


def write_run(root, name, profile, notebook=True, error=0.5):
    folder = root / name
    folder.mkdir(parents=True)
    record = {"experiment": "ran", "profile": profile, "status": "completed", "start": "2026-11-21T10:00:00+00:00"}
    record |= {"seconds": 1.0, "columns": {"metrics": {"n": "int", "error": "float"}, "history": {}}}
    record |= {"fingerprint": {"digest": "f" * 64, "components": {}}, "parameters": {}, "networks": {}, "commit": None}
    (folder / "run.json").write_text(json.dumps(record))
    (folder / "metrics.csv").write_text(f"n,error\n1,{error}\n")
    if notebook:
        (folder / "notebook.ipynb").write_text("{}")
    return folder


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "notebooks").mkdir()
    monkeypatch.setenv("STYLEREPRO_ROOT", str(tmp_path))
    return tmp_path


def test_own_runs_are_shown_where_there_are_any_and_else_the_reference(project):
    reference = write_run(project / "results/reference", "ran", "reference")
    check = write_run(project / "results/reference", "ran-crosscheck", "crosscheck", notebook=False)
    found = runs.shown("laptop")["ran"]
    assert (found.folder, found.stands_in) == (reference, True)
    assert [folder for folder, _ in found.others] == [check]
    assert not runs.shown("reference")["ran"].stands_in
    own = write_run(project / "results/runs/ran", "laptop-1", "laptop", error=0.7)
    found = runs.shown("laptop")["ran"]
    assert (found.folder, found.stands_in, found.others) == (own, False, ())
    assert runs.shown("reference")["ran"].folder == reference
    assert runs.tables("laptop")["ran"]["error"].tolist() == [0.7]
    assert runs.tables("reference")["ran"]["error"].tolist() == [0.5, 0.5]


def test_the_files_of_shown_runs_and_of_those_behind_a_verdict_come_along(project):
    write_run(project / "results/reference", "ran", "reference")
    behind = {"experiment": "ran", "profile": "paper", "folder": "results/reference/ran-paper"}
    write_run(project / "results/reference", "ran-paper", "paper", notebook=False, error=0.9)
    found = runs.files(runs.shown("reference"), [{"runs": [behind]}])
    assert set(found) == {
        f"runs/ran-{one}/{name}" for one in ("reference", "paper") for name in ("run.json", "metrics.csv")
    }
    assert "0.9" in found["runs/ran-paper/metrics.csv"]


def test_a_claim_is_judged_on_own_runs_where_they_test_it_and_compared(monkeypatch):
    ledger = claims.load_ledger()
    one = next(iter(ledger))
    few = claims.Ledger(ledger.documents, (one, one))
    plain = {"verdict": "reproduced", "value": 1.0}
    answers = {
        "reference": [plain, plain],
        "laptop": [plain | {"value": 1e6}, {"verdict": "not tested", "value": None}],
    }
    monkeypatch.setattr(summary, "judged", lambda _, profile="reference", root=None: answers[profile])
    monkeypatch.setattr(summary, "rows", lambda rows: rows)
    first, second = runs.judged(few, "laptop")
    assert (first["value"], first["reference"], first["agrees"]) == (1e6, 1.0, False)
    assert (second["value"], second["reference"], second["agrees"]) == (1.0, 1.0, None)
    assert runs.judged(few, "reference") == [plain, plain]


# Performance


@pytest.mark.parametrize("name", performance.TABLES)
def test_every_table_on_performance_comes_from_a_committed_run_and_names_its_machine(name):
    shown = runs.shown("reference")
    experiment = performance.TABLES[name][0]
    told = performance.performance(shown, name)
    lines = [line for line in told.splitlines() if line.startswith("|")]
    assert len(lines) > 2
    assert len({line.count("|") for line in lines}) == 1 or len(shown[experiment].others) > 0
    assert runs.hardware(shown[experiment].record) in told
    assert f"](runs/{experiment}-reference/run.json)" in told
    assert f"{{{{ performance {name} }}}}" in (ROOT / "book/performance.md").read_text(encoding="utf-8")


def test_a_table_on_performance_without_a_run_says_so_and_one_that_is_not_there_is_refused():
    assert "no run of `compression`" in performance.performance({}, "compression")
    with pytest.raises(RunError, match="compression"):
        performance.performance({}, "compresion")


def test_a_run_that_lacks_a_column_is_named(project):
    folder = write_run(project / "results/reference", "ran", "reference")
    record = json.loads((folder / "run.json").read_text())
    with pytest.raises(ResultsError, match=r"ran/metrics\.csv lacks 'measured'"):
        performance._lines(folder, record, "metrics", performance.TABLES["vanilla"][2])


# The whole


def test_a_text_that_asks_for_what_nothing_gives_is_refused_by_name():
    filling = building._Filling(claims.load_ledger(), [], {}, {}, [], "reference")
    assert filling.filled("a.md", "x {{ notebooks 000 }} y") == "x There is no notebook for this document yet. y"
    assert filling.filled("a.css", "x {{ nothing }} y") == "x {{ nothing }} y"
    with pytest.raises(RunError, match=r"book/a\.md.*ledger"):
        filling.filled("a.md", "{{ ledgre }}")


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """What Sphinx and Jupyter Book read of the book as it stands."""
    return building.write_sources(tmp_path_factory.mktemp("real") / "source", "reference")


def test_every_picture_of_a_notebook_says_in_words_of_its_own_what_it_shows(sources):
    for path in (sources / "notebooks").glob("*.ipynb"):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        drawn = [cell for cell in cells if any("image/jpeg" in one.get("data", {}) for one in cell.get("outputs", ()))]
        told = [cell["metadata"].get("mystnb", {}).get("image", {}).get("alt", "") for cell in drawn]
        assert all(len(text.split()) > 12 for text in told), path.stem
        assert len(set(told)) == len(told), path.stem


def test_no_placeholder_is_left_and_no_number_is_missing(sources):
    for path in sources.rglob("*.md"):
        told = path.read_text(encoding="utf-8")
        assert "{{" not in told, path.name
        if path.parent.name == "documents" or path.name == "performance.md":
            assert "(not run)" not in told, path.name


def test_every_link_to_a_file_of_a_run_leads_to_one(sources):
    for path in [*sources.rglob("*.md"), *sources.rglob("*.ipynb")]:
        told = path.read_text(encoding="utf-8")
        for link in re.findall(r"\]\(((?:\.\./)?(?:runs/[^)]+|ledger\.csv))\)", told):
            assert (path.parent / link).is_file(), f"{path.name}: {link}"


@pytest.mark.skipif(shutil.which("node") is None, reason="Jupyter Book 2 runs on Node.js, which is not installed")
def test_jupyter_book_2_reads_the_real_book(sources):
    listed = yaml.safe_load((sources / "myst.yml").read_text(encoding="utf-8"))["project"]["toc"]
    found = set()
    while listed:
        one = listed.pop()
        found |= {one["file"]} if "file" in one else set()
        listed += one.get("children", [])
    pages = [path for path in sources.rglob("*") if path.suffix in (".md", ".ipynb") and "_build" not in path.parts]
    assert {path.relative_to(sources).as_posix() for path in pages} == found
    command = [sys.executable, "-m", "jupyter", "book", "build", "--md", "--ci"]
    done = subprocess.run(command, cwd=sources, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    assert "⛔" not in done.stdout + done.stderr
