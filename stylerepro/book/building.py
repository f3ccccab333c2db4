"""Building the book: what Sphinx reads is written to one folder, and Sphinx lays it out, offline.

`book/` holds what is written by hand. A build copies it to `book/_generated/`, adds a page an experiment and the
ledger's tables, and turns that into HTML. A warning ends the build: no broken link gets as far as a reader. A cell of a
notebook that cannot be shown is named instead, and the rest of the book is built.
"""

import filecmp
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
import yaml
from PIL import Image, ImageOps

import stylerepro
from stylerepro.book import cells, explorer, ledger_page, pages, text
from stylerepro.book.ledger_page import Row
from stylerepro.book.pages import Shown
from stylerepro.errors import ResultsError, ResultsWarning, RunError, unknown
from stylerepro.files import atomic_path, make_folder, project_root, write_text
from stylerepro.ledger import claims, summary
from stylerepro.networks.specs import NETWORKS
from stylerepro.runs.experiments import CUSTOM, PROFILES, REFERENCE, Experiment, discover

_NEEDED = ("sphinx", "myst_nb", "sphinx_book_theme", "sphinx_copybutton", "sphinx_external_toc", "sphinxcontrib.bibtex")
_CHAPTER = re.compile(r"documents/\d+\.md")
_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome", "msedge")
_BY_HAND = (".md", ".py", ".bib", ".css", ".js", ".svg", ".yml")


def build(out: str | Path | None = None, profile: str | None = None) -> Path:
    """Build the book and return the path of its first page.

    out: folder for the HTML, by default `book/_build/html`. profile: whose runs to show; None or "reference" for the
    committed ones in `results/reference`, another profile for own runs of it and, where there is none, the committed;
    "custom" for the newest own run of each experiment with values of its own, which count for no verdict.
    What cannot be shown of a notebook as JupyterLab shows it is a `ResultsWarning` that names the cell and the cure.
    Raises `RunError` when Sphinx is missing or finds anything else to warn of, `ResultsError` for a damaged run.
    """
    if missing := [name for name in _NEEDED if importlib.util.find_spec(name.split(".")[0]) is None]:
        raise RunError(f"The book needs {', '.join(missing)}: pip install -e '.[book]' in the project's folder.")
    profile = profile or REFERENCE
    if profile not in (*PROFILES, CUSTOM):
        raise RunError(unknown(profile, [*PROFILES, CUSTOM], "profile", "The book"))
    folder = project_root() / "book"
    target = make_folder(out if out is not None else folder / "_build" / "html").resolve()
    source = write_sources(folder / "_generated", profile)
    done = _sphinx("html", target, "-W", "--keep-going")
    if done.returncode != 0:
        log = folder / "_build" / "sphinx.log"
        said = done.stdout + done.stderr
        write_text(log, said)
        of_cells, others = cells.faults(said, source)
        if others or not of_cells:
            first = "\n".join([*others, *of_cells][:8] or said.splitlines()[-8:])
            raise RunError(f"The book was not built: Sphinx found something to mend. All of it is in {log}:\n{first}")
        for fault in of_cells:  # the page is there, but for that
            warnings.warn(fault, ResultsWarning, stacklevel=2)
    return target / "index.html"


def print_pdf(to: Path) -> None:
    """Print all pages of the book that was built last, but the package's, by Chromium; `RunError` where that fails."""
    browser = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if browser is None:
        raise RunError(f"Printing needs one of {', '.join(_BROWSERS)}: install Chromium.")
    whole = project_root() / "book" / "_build" / "print"
    made = _sphinx("singlehtml", whole, "-t", "print").returncode == 0  # links to pages left out are no fault here
    with atomic_path(to.resolve()) as temporary:
        command = [browser, "--headless", "--no-sandbox", "--no-pdf-header-footer", f"--print-to-pdf={temporary}"]
        subprocess.run([*command, (whole / "index.html").as_uri()], capture_output=True)
        if not (made and temporary.stat().st_size):
            raise RunError(f"{browser} printed nothing from {whole / 'index.html'}: open that page and print it.")


def _sphinx(builder: str, target: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    folder = project_root() / "book"
    command = [sys.executable, "-m", "sphinx", "-b", builder, "-q", *options]
    command += ["-d", str(folder / "_build" / f"doctrees-{builder}"), str(folder / "_generated"), str(target)]
    # Notebooks hold every sign, and so does what is said of them; uncoloured, as Sphinx is not wherever CI is set.
    own = {**os.environ, "PYTHONIOENCODING": "utf-8", "NO_COLOR": "1"}
    return subprocess.run(command, capture_output=True, cwd=folder, env=own, encoding="utf-8", errors="replace")


def write_sources(target: Path, profile: str) -> Path:
    """Fill `target` with everything Sphinx reads: what is written by hand, and the generated pages. Returns it.

    A page that has not changed is not written again, so that Sphinx reads only what is new; one that is no longer
    wanted is removed. Raises `RunError` for a text that asks for what cannot be generated.
    """
    entries, runs, ledger = pages.in_order(discover()), pages.shown(profile), claims.load_ledger()
    judged = summary.judged(ledger) if profile in (REFERENCE, CUSTOM) else summary.compare(ledger, profile)
    rows = summary.rows(judged)
    explored, missing = explorer.panels(entries, {name: (run.folder, run.record) for name, run in runs.items()})
    interface, written = _interface(Path(stylerepro.__file__).parent), _by_hand()
    # Chapters are those of the ledger's documents, whatever else has been written.
    listed = {f"documents/{id}.md" for id in ledger.documents}
    written = {path: content for path, content in written.items() if path in listed or not _CHAPTER.match(path)}
    for id, document in ledger.documents.items():
        written.setdefault(f"documents/{id}.md", ledger_page.chapter(document))
    toc = contents(written["_toc.yml"], entries, ledger.documents, [path.removesuffix(".rst") for path in interface])
    copies: dict[str, Path] = {}
    pieces = _pieces(ledger, rows, runs, entries, profile, copies)
    pieces["explorer"] = lambda _: explorer.page(explored, missing, REFERENCE if profile == CUSTOM else profile)
    files = {path: filled(path, content, pieces) for path, content in written.items()} | interface
    copies |= explorer.files(explored)
    for entry in entries:
        files[f"notebooks/{entry.name}.ipynb"] = _page(entry, runs.get(entry.name), rows, profile, copies)
    files |= pages.files(runs, rows)
    files[ledger_page.CSV] = summary.plain(pd.DataFrame(rows)).to_csv(index=False, lineterminator="\n")
    files["documents.bib"] = ledger_page.bibliography(ledger.documents)
    if explored:
        files[explorer.DATA] = explorer.script(explored)
    files["_toc.yml"] = yaml.safe_dump(toc, sort_keys=False, allow_unicode=True)
    files["myst.yml"] = yaml.safe_dump(myst(toc, files), sort_keys=False, allow_unicode=True)
    for name, content in files.items():
        if not (target / name).is_file() or (target / name).read_text(encoding="utf-8") != content:
            write_text(target / name, content)
    for name, source in copies.items():
        small = name.startswith(pages.THUMBNAILS)
        if not (target / name).is_file() or (not small and not filecmp.cmp(source, target / name, shallow=False)):
            with atomic_path(target / name) as temporary:
                (_shrink if small else shutil.copyfile)(source, temporary)
    for path in target.rglob("*"):
        if path.is_file() and path.relative_to(target).as_posix() not in (files.keys() | copies.keys()):
            path.unlink()
    return target


def _shrink(source: Path, target: Path) -> None:
    """Write the upper part of a figure as a thumbnail."""
    with Image.open(source) as figure:
        ImageOps.fit(figure.convert("RGB"), (480, 300), centering=(0.5, 0.0)).save(target, "WEBP", quality=80)


def _pieces(
    ledger: claims.Ledger, rows: Sequence[Row], runs: Mapping[str, Shown], entries: Sequence[Experiment], profile: str,
    copies: dict[str, Path],
) -> dict[str, Callable[[str], str]]:  # fmt: skip
    """Return what a text by hand may ask for: name to what makes the piece from the words behind the name."""
    titles, tables = {entry.name: entry.title for entry in entries}, pages.tables(profile)
    # Of a document the picture of its first experiment.
    first = {entry.document: pages.thumbnail(entry, runs, copies) for entry in reversed(entries)}

    def of(document: str) -> list[Row]:
        return [row for row in rows if row["document"] == document]

    return {
        "count": lambda what: text.count(ledger, what),
        "summary": lambda _: ledger_page.standing(rows, profile),
        "trust": lambda _: ledger_page.trust(rows),
        "documents": lambda _: ledger_page.overview(ledger.documents, rows, first),
        "findings": lambda _: ledger_page.findings(ledger, rows, ""),
        "finding": lambda document: ledger_page.findings(ledger, of(document), "../"),
        "experiments": lambda _: pages.experiments(entries, runs, copies),
        "figure": lambda words: pages.figure(runs, words, copies),
        "ledger": lambda _: ledger_page.table(rows, titles),
        "networks": lambda _: pages.networks_table(NETWORKS.values()),
        "card": lambda name: pages.model_card(NETWORKS[name]),
        "answer": lambda document: text.subscripts(ledger_page.answer(of(document))),
        "claims": lambda document: text.subscripts(ledger_page.cards(of(document), titles, ledger.documents)),
        "citation": lambda document: ledger_page.citation(ledger.documents, document),
        "notebooks": lambda id: ledger_page.notebooks([entry for entry in entries if entry.document == id]),
        "value": lambda words: text.value(tables, words),
        "table": lambda words: pages.run_table(runs, words),
        "machine": lambda name: pages.machine(runs, name),
    }


def filled(path: str, content: str, pieces: Mapping[str, Callable[[str], str]]) -> str:
    """Return the file `path` in `book/` with a piece wherever it says `{{ name }}` or `{{ name words }}`.

    Only Markdown has any. Raises `RunError` for a piece that there is not.
    """
    if not path.endswith(".md"):
        return content

    def piece(found: re.Match[str]) -> str:
        if found[1] not in pieces:
            raise RunError(unknown(found[1], list(pieces), "piece", f"book/{path}: the book"))
        return pieces[found[1]]((found[2] or "").strip())

    return re.sub(r"\{\{ (\w+)(\s[^{}]+)?\s\}\}", piece, content)


def contents(
    toc: str, entries: Sequence[Experiment], documents: Collection[str], interface: Sequence[str]
) -> dict[str, Any]:
    """Return `_toc.yml` as sphinx-external-toc reads it, the generated pages in their places.

    Among a part's chapters `documents` stands for the chapters of the ledger's documents; `sections: experiments of X`
    for a page for each experiment of X, `sections: api` for the pages of `interface`, and `chapters: experiments` for
    one for each experiment that has no place yet. A part that is left without chapters goes.
    """
    content: dict[str, Any] = yaml.safe_load(toc)
    sections: dict[str, list[str]] = {"api": list(interface)}
    for entry in entries:
        sections.setdefault(f"experiments of {entry.document}", []).append(f"notebooks/{entry.name}")
    for part in content["parts"]:
        chapters: list[dict[str, Any]] = []
        for page in part["chapters"] if isinstance(part["chapters"], list) else ():
            each = [{"file": f"documents/{id}", "sections": f"experiments of {id}"} for id in documents]
            chapters += each if page == "documents" else [page]
        for page in chapters:
            files = sections.pop(page.pop("sections", ""), [])
            page |= {"sections": [{"file": file} for file in files]} if files else {}
        part["chapters"] = chapters or part["chapters"]
    left = [{"file": file} for files in sections.values() for file in files]
    parts = [part if isinstance(part["chapters"], list) else {**part, "chapters": left} for part in content["parts"]]
    return {**content, "parts": [part for part in parts if part["chapters"]]}


def myst(toc: Mapping[str, Any], files: Collection[str]) -> dict[str, Any]:
    """Return the same contents for Jupyter Book 2, which reads no reStructuredText. files: paths of all sources."""

    def page(entry: Mapping[str, Any]) -> dict[str, Any]:
        name = entry["file"]
        listed: dict[str, Any] = {"file": f"{name}.md" if f"{name}.md" in files else f"{name}.ipynb"}
        below = [section for section in entry.get("sections", ()) if f"{section['file']}.rst" not in files]
        return listed | ({"children": [page(section) for section in below]} if below else {})

    parts = [{"title": part["caption"], "children": [page(one) for one in part["chapters"]]} for part in toc["parts"]]
    project = {
        "title": "stylerepro",
        "bibliography": [name for name in files if name.endswith(".bib")],
        "toc": [page({"file": toc["root"]}), *parts],
    }
    return {"version": 1, "project": project, "site": {"template": "book-theme"}}


def _page(entry: Experiment, run: Shown | None, rows: Sequence[Row], profile: str, copies: dict[str, Path]) -> str:
    mine = [row for row in rows if row["id"] in entry.claims]
    told = [text.subscripts(ledger_page.answer(mine))] if mine else []
    end = text.subscripts(f"## Verdicts\n\n{ledger_page.verdicts(mine)}") if mine else ""
    how: dict[str, Any] = {"keep_outputs": False}
    notebook, kept = entry.notebook, {"source": entry.notebook}
    if run is None:
        told.append(pages.not_run(entry, profile))
    else:
        notebook = kept["executed"] = run.folder / "notebook.ipynb"
        lead = pages.figure({entry.name: run}, f"{entry.name}.{entry.lead}", copies) if entry.lead else ""
        told += [lead, pages.record(run)]
        how = {"caption": pages.caption(run), "texts": entry.notebook}
    place = f"_static/notebooks/{entry.name}"
    copies |= {f"{place}-{kind}.ipynb": path for kind, path in kept.items()}
    told.append(" · ".join(f'<a download href="../{place}-{kind}.ipynb">The {kind} notebook</a>' for kind in kept))
    try:
        return cells.notebook_page(notebook, "\n\n".join(told), end, copies=copies, **how)
    except ResultsError as error:
        warnings.warn(f"{error} Its page says so, and nothing else.", ResultsWarning, stacklevel=2)
        said = [f"# {entry.title}", ":::{error}", text.one_line(str(error)), ":::", end]
        return nbformat.writes(nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("\n\n".join(said))]))


def _by_hand() -> dict[str, str]:
    """Return what is written by hand: path in `book/` to text."""
    folder = project_root() / "book"
    written = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_file() and path.suffix in _BY_HAND and name.parts[0] not in ("_generated", "_build"):
            written[name.as_posix()] = path.read_text(encoding="utf-8")
    if "conf.py" not in written or "_toc.yml" not in written:
        raise RunError(f"The book's sources are not in {folder}: conf.py and _toc.yml are needed there.")
    return written


def _interface(package: Path) -> dict[str, str]:
    """Return a page of the API for each room and each module beside the rooms: path in the book to reStructuredText.

    Sphinx reads the docstrings when it builds. The command is left out: `stylerepro --help` says what it does.
    """
    pages = {}
    for top in sorted(package.iterdir()):
        modules = sorted(top.rglob("*.py"), key=lambda path: (path.name != "__init__.py", path)) or [top]
        if top.name == "cli" or top.name.startswith("_") or modules[0].suffix != ".py":
            continue
        blocks = [f"{top.stem.capitalize()}\n{'=' * len(top.stem)}"]
        for path in modules:
            name = ".".join(path.relative_to(package.parent).with_suffix("").parts).removesuffix(".__init__")
            title = name.removeprefix("stylerepro.")
            blocks += [f"{title}\n{'-' * len(title)}", f".. automodule:: {name}"]
        pages[f"api/{top.stem}.rst"] = "\n\n".join(blocks) + "\n"
    return pages
