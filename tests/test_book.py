"""The book: built by Sphinx with warnings as errors from a small tree of results, then opened in a real browser."""

import json
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import browser
import pytest
import yaml

from stylerepro import book, claims
from stylerepro.errors import ResultsError, RunError

ROOT = Path(__file__).resolve().parents[1]
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


@pytest.fixture(scope="module")
def patch():
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def project(tmp_path_factory, patch):
    """A project of two experiments, of which one has a committed run, with three claims and the real book's texts."""
    root = tmp_path_factory.mktemp("project")
    for folder in ("stylerepro", "notebooks", "results/reference/ran"):
        (root / folder).mkdir(parents=True)
    copy_book(root)
    for name, numbers in (("ran", ["000.1", "000.2"]), ("waiting", ["000.3"])):
        write_notebook(root / f"notebooks/{name}.ipynb", TITLES[name])
        sidecar = {"title": TITLES[name], "document": "000", "claims": numbers, "expected": {"reference": "1 min"}}
        sidecar |= {"columns": {"n": {"type": "int"}, "error": {"type": "float"}}, "profiles": {"reference": {}}}
        (root / f"notebooks/{name}.yaml").write_text(yaml.safe_dump(sidecar))
    run = root / "results/reference/ran"
    write_notebook(run / "notebook.ipynb", TITLES["ran"], outputs=True)
    (run / "metrics.csv").write_text("n,error\n1,0.5\n2,0.9\n")
    columns = {"metrics": {"n": "int", "error": "float"}, "history": {}}
    record = {"experiment": "ran", "profile": "reference", "status": "completed", "start": "2026-11-21T10:00:00+00:00"}
    record |= {"seconds": 12.0, "columns": columns, "fingerprint": {"digest": "c0ffee" * 10, "components": {}}}
    record |= {"networks": {}, "hardware": {"cpu": "Abacus", "cores": 2}, "parameters": {}, "commit": None}
    (run / "run.json").write_text(json.dumps(record))
    (root / "ledger").mkdir()
    (root / "ledger/000.yaml").write_text(LEDGER)
    patch.setenv("STYLEREPRO_ROOT", str(root))
    patch.setattr(claims, "FOLDER", root / "ledger")
    return root


def copy_book(root: Path) -> None:
    """The book's own texts, without what a build of the real one may have left."""
    shutil.copytree(ROOT / "book", root / "book", ignore=shutil.ignore_patterns("_build", "_generated", "__pycache__"))


def write_notebook(path: Path, title: str, outputs: bool = False) -> None:
    wide = "<table class='dataframe'><tr>" + "<td>0.123456</td>" * 60 + "</tr></table>"
    shown = [
        {"output_type": "stream", "name": "stderr", "text": "a progress bar"},
        {"output_type": "display_data", "metadata": {}, "data": {"text/html": wide, "text/plain": "wide"}},
        {"output_type": "stream", "name": "stdout", "text": "what it printed"},
    ]
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": f"# {title}\n\nWith $\\sum_i x_i^2$."},
        {
            "cell_type": "code", "metadata": {"tags": ["parameters"]}, "execution_count": None,
            "source": 'out: str = ""  # folder', "outputs": shown if outputs else [],
        },
    ]  # fmt: skip
    cells = [{"id": f"cell-{place}", **cell} for place, cell in enumerate(cells)]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    path.write_text(
        json.dumps({"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5})
    )


@pytest.fixture(scope="module")
def built(project, tmp_path_factory):
    """The first page of the small project's book."""
    return book.build(tmp_path_factory.mktemp("html") / "book")


@pytest.fixture(scope="module")
def profile(tmp_path_factory):
    return tmp_path_factory.mktemp("browser")


class _Page(HTMLParser):
    """Addresses that a page links to or loads, and the ids it has."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links, self.loads, self.ids = [], [], set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.ids.add(given.get("id"))
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        if tag in ("script", "img", "iframe", "source") and given.get("src"):
            self.loads.append(given["src"])
        if tag == "link" and given.get("href"):
            self.loads.append(given["href"])


def all_pages(first: Path) -> dict[Path, _Page]:
    return {path.resolve(): _Page(path) for path in first.parent.rglob("*.html") if "_static" not in path.parts}


def test_every_page_is_there_and_says_what_it_should(built):
    assert built.name == "index.html"
    texts = {path.name: path.read_text(encoding="utf-8") for path in all_pages(built)}
    assert {"documents.html", "how_to_read.html", "extend.html", "ledger.html", "ran.html", "waiting.html"} <= set(
        texts
    )
    assert "Not run yet" in texts["waiting.html"]
    assert "Abacus" in texts["ran.html"]
    assert "c0ffeec0ffee" in texts["ran.html"]
    assert "what it printed" in texts["ran.html"]
    assert "a progress bar" not in texts["ran.html"]
    assert (
        texts["ran.html"].index("Abacus")
        < texts["ran.html"].index("<math")
        < texts["ran.html"].index("what it printed")
    )
    assert "{{" not in "".join(texts[name] for name in ("index.html", "ledger.html"))


def test_every_link_leads_to_a_page_and_a_place_that_exist(built):
    pages = all_pages(built)
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme in ("http", "https"):
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            assert target.exists(), f"{path.name} links to {link}"
            if parts.fragment and target in pages:
                assert unquote(parts.fragment) in pages[target].ids, f"{path.name} links to {link}"


def test_no_page_loads_anything_from_elsewhere(built):
    for path, page in all_pages(built).items():
        assert [load for load in page.loads if urlsplit(load).scheme or load.startswith("//")] == [], path.name


def test_ledger_in_a_browser_shows_the_verdicts_and_no_error(built, profile):
    script = """
      return [...document.querySelectorAll('table.ledger tbody tr')].map(row => ({
        claim: row.cells[0].innerText, measured: row.cells[2].innerText,
        colour: getComputedStyle(row.querySelector('.verdict')).backgroundColor}));
    """
    shown = browser.show(built.parent / "ledger.html", profile, script=script)
    assert shown.complaints == []
    seen = shown.seen
    assert [row["claim"].split() for row in seen] == [
        ["000.1", "reproduced", "ran"],
        ["000.2", "not", "reproduced", "ran"],
        ["000.3", "not", "tested", "waiting"],
    ]
    assert "0.5" in seen[0]["measured"]
    assert "0.9" in seen[1]["measured"]
    colours = {row["colour"] for row in seen}
    assert len(colours) == 3
    assert "rgba(0, 0, 0, 0)" not in colours


@pytest.mark.parametrize("page", ["ledger.html", "experiments/ran.html"])
def test_on_a_phone_no_page_is_wider_than_the_screen(built, profile, page):
    script = "return {screen: innerWidth, page: document.scrollingElement.scrollWidth};"
    shown = browser.show(built.parent / page, profile, width=412, height=900, script=script)
    assert shown.seen["screen"] <= 500
    assert shown.seen["page"] <= shown.seen["screen"]
    assert shown.complaints == []


@pytest.mark.parametrize(
    "fault",
    [
        '<script src="https://cdn.example/script.js"></script>',
        '<link rel="stylesheet" href="https://cdn.example/style.css">',
        '<script>fetch("https://cdn.example/data.json").catch(() => 0)</script>',
        '<img src="missing.png">',
        "<script>undefined.wrong</script>",
        "<script>Promise.reject('wrong')</script>",
        "<script>console.error('wrong')</script>",
    ],
)
def test_the_browser_would_complain(tmp_path, profile, fault):
    """The checks above must be able to fail."""
    page = tmp_path / "page.html"
    page.write_text(f"<html><head></head><body>{fault}</body></html>")
    assert browser.show(page, profile).complaints != []


def test_a_link_that_leads_nowhere_ends_the_build_and_is_named(project, tmp_path, patch):
    root = tmp_path / "broken"
    shutil.copytree(project, root, ignore=shutil.ignore_patterns("_build", "_generated"))
    with (root / "book/extend.md").open("a", encoding="utf-8") as stream:
        stream.write("\n[nowhere](no_such_page.md)\n")
    with pytest.MonkeyPatch.context() as here:
        here.setenv("STYLEREPRO_ROOT", str(root))
        with pytest.raises(RunError, match=r"no_such_page\.md"):
            book.build(tmp_path / "html")
    assert "no_such_page" in (root / "book/_build/sphinx.log").read_text()


def test_sources_follow_the_project(project, tmp_path):
    """A page is written when it changes, and removed with its experiment; another profile shows other runs."""
    target = book.write_sources(tmp_path / "sources", "reference")
    page, toc = target / "experiments/ran.ipynb", yaml.safe_load((target / "_toc.yml").read_text())
    assert [part["file"] for part in toc["parts"][1]["chapters"]] == ["experiments/ran", "experiments/waiting"]
    (target / "experiments/gone.ipynb").write_text("{}")
    before = page.stat().st_mtime_ns
    book.write_sources(target, "reference")
    assert page.stat().st_mtime_ns == before
    assert not (target / "experiments/gone.ipynb").exists()
    book.write_sources(target, "laptop")
    assert "Not run yet" in page.read_text(encoding="utf-8")
    assert "not tested" in (target / "ledger.md").read_text(encoding="utf-8").split("000.2")[1]


def test_an_unknown_profile_is_refused_with_the_nearest_name(project):
    with pytest.raises(RunError, match="laptop"):
        book.build(profile="labtop")


def test_without_sphinx_the_error_says_what_to_install(project, monkeypatch):
    monkeypatch.setattr(book.building, "_NEEDED", ("sphinx_that_is_not_there",))
    with pytest.raises(RunError, match=r"pip install -e '\.\[book\]'"):
        book.build()


def test_a_file_where_the_book_should_go_is_an_error_and_stays(project, tmp_path):
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(ResultsError, match="taken is a file"):
        book.build(tmp_path / "taken")
    assert (tmp_path / "taken").read_text() == "mine"


def test_the_committed_results_make_a_book(tmp_path, monkeypatch):
    """The project as it stands: its notebooks, its committed runs, its own ledger."""
    for folder in ("notebooks", "results/reference"):
        if (ROOT / folder).is_dir():
            shutil.copytree(ROOT / folder, tmp_path / folder)
    copy_book(tmp_path)
    monkeypatch.setenv("STYLEREPRO_ROOT", str(tmp_path))
    monkeypatch.setattr(claims, "FOLDER", ROOT / "stylerepro" / "ledger")
    first = book.build(tmp_path / "html")
    pages = all_pages(first)
    assert {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")} <= {path.stem for path in pages}
    ledger = (first.parent / "ledger.html").read_text(encoding="utf-8")
    assert all(f'id="claim-{claim.id.replace(".", "-")}"' in ledger for claim in claims.load_ledger())
    for path, page in pages.items():
        assert [load for load in page.loads if urlsplit(load).scheme or load.startswith("//")] == [], path.name


@pytest.mark.skipif(shutil.which("node") is None, reason="Jupyter Book 2 runs on Node.js, which is not installed")
def test_jupyter_book_2_reads_the_same_sources(project, tmp_path):
    """It fetches its theme for HTML but checks the sources offline: what it cannot resolve it marks, exiting with 0."""
    source = book.write_sources(tmp_path / "source", "reference")
    contents = yaml.safe_load((source / "myst.yml").read_text())["project"]["toc"]
    listed = [one["file"] for part in contents for one in part.get("children", [part])]
    assert {
        path.relative_to(source).as_posix() for path in source.rglob("*") if path.suffix in (".md", ".ipynb")
    } == set(listed)
    command = [sys.executable, "-m", "jupyter", "book", "build", "--md", "--ci"]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    assert "⛔" not in done.stdout + done.stderr
