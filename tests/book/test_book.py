"""The book: built by Sphinx with warnings as errors, from a small tree of results and from the committed ones."""

import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import small_book
import yaml

from stylerepro import book
from stylerepro.errors import ResultsError, RunError
from stylerepro.ledger import claims

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def project(small_project, monkeypatch):
    """The small project, as the one that a build reads."""
    monkeypatch.setenv("STYLEREPRO_ROOT", str(small_project))
    monkeypatch.setattr(claims, "ledger_folder", lambda: small_project / "ledger")
    return small_project


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


def test_every_page_is_there_and_says_what_it_should(small_book):
    assert small_book.name == "index.html"
    texts = {path.name: path.read_text(encoding="utf-8") for path in all_pages(small_book)}
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


def test_every_link_leads_to_a_page_and_a_place_that_exist(small_book):
    pages = all_pages(small_book)
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme in ("http", "https"):
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            assert target.exists(), f"{path.name} links to {link}"
            if parts.fragment and target in pages:
                assert unquote(parts.fragment) in pages[target].ids, f"{path.name} links to {link}"


def test_no_page_loads_anything_from_elsewhere(small_book):
    for path, page in all_pages(small_book).items():
        assert [load for load in page.loads if urlsplit(load).scheme or load.startswith("//")] == [], path.name


def test_a_link_that_leads_nowhere_ends_the_build_and_is_named(project, tmp_path, monkeypatch):
    root = tmp_path / "broken"
    shutil.copytree(project, root, ignore=shutil.ignore_patterns("_build", "_generated"))
    with (root / "book/extend.md").open("a", encoding="utf-8") as stream:
        stream.write("\n[nowhere](no_such_page.md)\n")
    monkeypatch.setenv("STYLEREPRO_ROOT", str(root))
    with pytest.raises(RunError, match=r"no_such_page\.md"):
        book.build(tmp_path / "html")
    assert "no_such_page" in (root / "book/_build/sphinx.log").read_text()


def test_sources_follow_the_project(project, tmp_path):
    """A page is written when it changes, and removed with its experiment; another profile shows other runs."""
    target = book.write_sources(tmp_path / "sources", "reference")
    page, toc = target / "notebooks/ran.ipynb", yaml.safe_load((target / "_toc.yml").read_text())
    chapter = next(one for one in toc["parts"][1]["chapters"] if one["file"] == "documents/000")
    assert [one["file"] for one in chapter["sections"]] == ["notebooks/ran", "notebooks/waiting"]
    (target / "notebooks/gone.ipynb").write_text("{}")
    before = page.stat().st_mtime_ns
    book.write_sources(target, "reference")
    assert page.stat().st_mtime_ns == before
    assert not (target / "notebooks/gone.ipynb").exists()
    book.write_sources(target, "laptop")
    assert "No own run of profile `laptop` yet" in page.read_text(encoding="utf-8")
    assert "not reproduced" in (target / "ledger.md").read_text(encoding="utf-8").split("000.2")[1]


@pytest.mark.parametrize("named", [True, False])
def test_a_project_on_github_has_buttons_that_open_its_notebooks(tmp_path, monkeypatch, named):
    """The pages of notebooks have the paths of the notebooks in the repository; without one there is no button."""
    small_book.copy_book(tmp_path)
    urls = '[project.urls]\nRepository = "https://github.com/who/what"' if named else ""
    (tmp_path / "pyproject.toml").write_text(f'[project]\nname = "x"\n{urls}\n')
    for path in (tmp_path / "book").glob("*.md"):
        path.unlink()
    (tmp_path / "book/notebooks").mkdir()
    small_book.write_notebook(tmp_path / "book/notebooks/ran.ipynb", "An experiment")
    (tmp_path / "book/_toc.yml").write_text("root: notebooks/ran\n")
    monkeypatch.setenv("STYLEREPRO_ROOT", str(tmp_path))
    exclude = ["-D", "exclude_patterns=documents,methods,_ext"]
    command = [sys.executable, "-m", "sphinx", "-q", *exclude, str(tmp_path / "book"), str(tmp_path / "html")]
    subprocess.run(command, check=True)
    links = set(_Page(tmp_path / "html/notebooks/ran.html").links)
    wanted = {
        "https://github.com/who/what",
        "https://mybinder.org/v2/gh/who/what/main?urlpath=lab/tree/notebooks/ran.ipynb",
        "https://colab.research.google.com/github/who/what/blob/main/notebooks/ran.ipynb",
    }
    assert links & wanted == (wanted if named else set())


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


def test_the_committed_results_make_a_book(real_book):
    """The project as it stands: its notebooks, its committed runs, its own ledger."""
    pages = all_pages(real_book)
    assert {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")} <= {path.stem for path in pages}
    ledger = (real_book.parent / "ledger.html").read_text(encoding="utf-8")
    assert all(f'id="claim-{claim.id.replace(".", "-")}"' in ledger for claim in claims.load_ledger())
    for path, page in pages.items():
        assert [load for load in page.loads if urlsplit(load).scheme or load.startswith("//")] == [], path.name


@pytest.mark.skipif(shutil.which("node") is None, reason="Jupyter Book 2 runs on Node.js, which is not installed")
def test_jupyter_book_2_reads_the_same_sources(project, tmp_path):
    """It fetches its theme for HTML but checks the sources offline: what it cannot resolve it marks, exiting with 0."""
    source = book.write_sources(tmp_path / "source", "reference")
    waiting, listed = yaml.safe_load((source / "myst.yml").read_text())["project"]["toc"], set()
    while waiting:
        one = waiting.pop()
        listed |= {one["file"]} if "file" in one else set()
        waiting += one.get("children", [])
    assert {
        path.relative_to(source).as_posix() for path in source.rglob("*") if path.suffix in (".md", ".ipynb")
    } == listed
    command = [sys.executable, "-m", "jupyter", "book", "build", "--md", "--ci"]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    assert "⛔" not in done.stdout + done.stderr
