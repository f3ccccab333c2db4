"""The book: built by Sphinx with warnings as errors, from a small tree of results and from the committed ones."""

import json
import re
import shutil
import subprocess
import sys
from contextlib import nullcontext
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import small_book
import typer
import yaml
from bs4 import BeautifulSoup

from stylerepro.book import building
from stylerepro.cli import main
from stylerepro.errors import ResultsError, RunError
from stylerepro.ledger import claims
from stylerepro.runs.experiments import Experiment

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "stylerepro"


@pytest.fixture
def project(small_project, monkeypatch):
    """The small project, as the one that a build reads."""
    monkeypatch.setenv("STYLEREPRO_ROOT", str(small_project))
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
        self.links += [given["href"]] * (tag == "a") if given.get("href") else []
        loaded = given.get("href" if tag == "link" else "src")
        self.loads += [loaded] if tag in ("script", "img", "iframe", "source", "link") and loaded else []


def all_pages(first: Path) -> dict[Path, _Page]:
    return {path.resolve(): _Page(path) for path in first.parent.rglob("*.html") if "_static" not in path.parts}


def test_every_page_is_there_and_says_what_it_should(small_book):
    assert small_book.name == "index.html"
    texts = {path.name: path.read_text(encoding="utf-8") for path in all_pages(small_book)}
    assert texts.keys() >= {f"{name}.html" for name in ("documents", "how_to_read", "extend", "ledger")}
    assert "Not run yet" in texts["waiting.html"]
    ran = texts["ran.html"]
    assert "c0ffeec0ffee" in ran
    assert "a progress bar" not in ran
    assert ran.index("Abacus") < ran.index("<math") < ran.index("what it printed")
    assert "{{" not in "".join(texts[name] for name in ("index.html", "ledger.html"))


def test_a_page_opens_with_its_claims_and_gives_its_notebooks_as_they_are(small_book):
    page = BeautifulSoup((small_book.parent / "notebooks/ran.html").read_text(encoding="utf-8"), "html.parser")
    article = page.find("article")
    first = article.find("a", href=re.compile("documents/000.html#claim-000-"))
    assert first.sourceline <= article.find(class_="run-record").sourceline
    given = {one.get_text(): one["href"] for one in article.find_all("a", download=True) if "_static" in one["href"]}
    assert list(given) == ["The source notebook", "The executed notebook"]
    texts = [(small_book.parent / "notebooks" / place).read_text(encoding="utf-8") for place in given.values()]
    source, executed = map(json.loads, texts)
    assert not any(cell.get("outputs") for cell in source["cells"])
    assert any(cell.get("outputs") for cell in executed["cells"])


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


def test_a_link_that_leads_nowhere_ends_the_build_and_is_named(project, tmp_path, monkeypatch):
    root = tmp_path / "broken"
    shutil.copytree(project, root, ignore=shutil.ignore_patterns("_build", "_generated"))
    with (root / "book/extend.md").open("a", encoding="utf-8") as stream:
        stream.write("\n[nowhere](no_such_page.md)\n")
    monkeypatch.setenv("STYLEREPRO_ROOT", str(root))
    small_book.leave_out_the_api(monkeypatch)
    with pytest.raises(RunError, match=r"no_such_page\.md"):
        building.build(tmp_path / "html")
    assert "no_such_page" in (root / "book/_build/sphinx.log").read_text()


def test_sources_follow_the_project(project, tmp_path):
    """A page is written when it changes, and removed with its experiment; another profile shows other runs."""
    target = building.write_sources(tmp_path / "sources", "reference")
    page, toc = target / "notebooks/ran.ipynb", yaml.safe_load((target / "_toc.yml").read_text())
    chapter = next(one for one in toc["parts"][1]["chapters"] if one["file"] == "documents/000")
    assert [one["file"] for one in chapter["sections"]] == ["notebooks/ran", "notebooks/waiting"]
    (target / "notebooks/gone.ipynb").write_text("{}")
    before = page.stat().st_mtime_ns
    building.write_sources(target, "reference")
    assert page.stat().st_mtime_ns == before
    assert not (target / "notebooks/gone.ipynb").exists()
    building.write_sources(target, "laptop")
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
        building.build(profile="labtop")


def test_without_sphinx_the_error_says_what_to_install(project, monkeypatch):
    monkeypatch.setattr(building, "_NEEDED", ("sphinx_that_is_not_there",))
    with pytest.raises(RunError, match=r"pip install -e '\.\[book\]'"):
        building.build()


def test_a_book_is_printed_by_a_browser_where_there_is_one(project, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RunError, match="install Chromium"):
        building.print_pdf(tmp_path / "book.pdf")
    browser = tmp_path / "chromium"
    prints = 'echo $1 > "${4#*=}"'
    for does, ended, fault in ((prints, 0, None), ("true", 0, "printed nothing"), (prints, 1, "printed nothing")):
        monkeypatch.setattr(building, "_sphinx", lambda *_, code=ended: subprocess.CompletedProcess([], code))
        browser.write_text(f"#!/bin/sh\n{does}\n")
        browser.chmod(0o755)
        with pytest.raises(RunError, match=fault) if fault else nullcontext():
            building.print_pdf(tmp_path / "book.pdf")
        assert (tmp_path / "book.pdf").read_text() == "--headless\n", "a print that failed leaves the last one"


def test_a_file_where_the_book_should_go_is_an_error_and_stays(project, tmp_path):
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(ResultsError, match="taken is a file"):
        building.build(tmp_path / "taken")
    assert (tmp_path / "taken").read_text() == "mine"


def test_the_committed_results_make_a_book(real_book):
    pages = all_pages(real_book)
    assert {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")} <= {path.stem for path in pages}
    ledger = (real_book.parent / "ledger.html").read_text(encoding="utf-8")
    assert all(f'id="claim-{claim.id.replace(".", "-")}"' in ledger for claim in claims.load_ledger())
    for path, page in pages.items():
        assert [load for load in page.loads if urlsplit(load).scheme or load.startswith("//")] == [], path.name


def test_a_sixth_document_is_three_files_and_an_own_ablation_two(real_book):
    """Its chapter, with all that its YAML says, its place in the contents, its claim, and the counts."""
    paths = {path.relative_to(real_book.parent).as_posix(): path for path in all_pages(real_book)}
    texts = {name: path.read_text(encoding="utf-8") for name, path in paths.items()}
    chapter = BeautifulSoup(texts["documents/005.html"], "html.parser").find("article").get_text(" ", strip=True)
    for words in (
        "005: A sixth document & its doubts", "A. Body, C. Else. 2026.", "Slides on what comes after five.",
        "Does a sixth document need more than three files?", "Not tested", "The error is a half.", "How large is n ?",
        "The sum has no end.", "“The error is", "An experiment of the sixth document : 005.1",
    ):  # fmt: skip
        assert words in chapter
    for page, words in (
        ("documents/005", 'id="claim-005-1"'), ("ledger", "claim-005-1"), ("bibliography", "Body"),
        ("notebooks/sixth", "There is no run of profile"), ("documents", "Slides on what comes after five."),
        ("index", "Six documents on image style transfer make 39 claims"), ("index", "Smoother still"),
        ("documents/own", 'id="claim-mine-1"'), ("documents/own", "notebooks/mine.html"),
        ("ledger", "documents/own.html#claim-mine-1"),
    ):  # fmt: skip
        assert words in texts[f"{page}.html"], page
    listed = ("documents/004", "documents/005", "notebooks/sixth")
    places = [texts["index.html"].index(f'href="{page}.html"') for page in listed]
    assert places == sorted(places)


def test_a_text_that_asks_for_what_nothing_gives_is_refused_by_name():
    pieces = {"ledger": lambda words: f"<{words}>"}
    assert building.filled("a.md", "x {{ ledger 000 }} y {{ ledger }}", pieces) == "x <000> y <>"
    assert building.filled("a.css", "x {{ nothing }} y", pieces) == "x {{ nothing }} y"
    with pytest.raises(RunError, match=r"book/a\.md.*ledger"):
        building.filled("a.md", "{{ ledgre }}", pieces)


TOC = """
format: jb-book
root: index
parts:
  - caption: Documents
    chapters:
      - file: documents
      - documents
      - file: documents/own
        sections: experiments of own
  - caption: Others
    chapters: experiments
  - caption: End
    chapters:
      - file: api
        sections: api
"""


def experiment(name="ran", document="003"):
    return Experiment(name, name.title(), document, (), Path(name), {}, {}, {}, {})


def test_contents_put_experiments_below_their_documents_and_lose_none():
    entries = [experiment("one"), experiment("two", "methods"), experiment("three")]
    documents, others, end = building.contents(TOC, entries, ["003", "004"], ["api/first"])["parts"]
    below = [{"file": "notebooks/one"}, {"file": "notebooks/three"}]
    chapters = [{"file": "documents/003", "sections": below}, {"file": "documents/004"}]
    assert documents["chapters"] == [{"file": "documents"}, *chapters, {"file": "documents/own"}]
    assert others["chapters"] == [{"file": "notebooks/two"}]
    assert end["chapters"][0]["sections"] == [{"file": "api/first"}]
    parts = building.contents(TOC, [experiment()], ["003"], [])["parts"]
    assert [part["caption"] for part in parts] == ["Documents", "End"], "a part without chapters goes"


def test_both_builders_have_the_same_contents():
    toc = building.contents(TOC, [experiment("one")], ["003"], ["api/first"])
    files = ["index.md", "documents.md", "documents/003.md", "documents/own.md", "api.md", "api/first.rst", "refs.bib"]
    project = building.myst(toc, files)["project"]
    assert project["bibliography"] == ["refs.bib"]
    first, documents, end = project["toc"]
    assert (first, end) == ({"file": "index.md"}, {"title": "End", "children": [{"file": "api.md"}]})
    chapter = {"file": "documents/003.md", "children": [{"file": "notebooks/one.ipynb"}]}
    assert documents["children"] == [{"file": "documents.md"}, chapter, {"file": "documents/own.md"}]


def test_the_api_has_every_module_once_but_for_the_command_and_a_page_a_room_which_the_book_names():
    pages = building._interface(PACKAGE)
    named = re.findall(r"(?m)^\.\. automodule:: ([\w.]+)$", "\n".join(pages.values()))
    there = {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in PACKAGE.rglob("*.py")}
    wanted = {name.removesuffix(".__init__") for name in there if not name.startswith("stylerepro.cli")}
    assert sorted(named) == sorted(wanted - {"stylerepro"})
    rooms = {Path(path).stem for path in pages}
    assert set(re.findall(r"\(api/(\w+)\.rst\)", (ROOT / "book/api.md").read_text(encoding="utf-8"))) == rooms


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
        assert not [lacking for lacking in ("{{", "(not run)", "no run of `") if lacking in told], path.name


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
    pages = [path for path in sources.rglob("*") if path.suffix in (".md", ".ipynb")]
    pages = [path for path in pages if not {"_build", "_static"}.intersection(path.parts)]
    assert {path.relative_to(sources).as_posix() for path in pages} == found
    command = [sys.executable, "-m", "jupyter", "book", "build", "--md", "--ci"]
    done = subprocess.run(command, cwd=sources, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    assert "⛔" not in done.stdout + done.stderr


def test_every_command_on_the_page_is_one_with_options_that_exist():
    group = typer.main.get_command(main.app)
    text = (ROOT / "book/scaling.md").read_text(encoding="utf-8").replace("\\\n", "")
    lines = re.findall(r"(?m)^(?:accelerate .*-m stylerepro\.cli\.main|stylerepro) (.*)$", text)
    assert len(lines) >= 8
    for line in lines:
        name, *words = re.sub(r'"[^"]*"', "TEXT", line).split()
        options = {option for parameter in group.commands[name].params for option in parameter.opts}
        assert {word for word in words if word.startswith("-")} <= options, line
