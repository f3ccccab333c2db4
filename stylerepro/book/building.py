"""The book: reads results and notebooks, computes verdicts from tables, and has Sphinx lay it all out, offline.

`book/` holds what is written by hand. A build copies it to `book/_generated/`, adds a page an experiment and the
ledger's tables, and turns that into HTML. A warning ends the build: no broken link gets as far as a reader.
"""

import filecmp
import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pandas as pd
import yaml

import stylerepro
from stylerepro.book import chapters, explorer, ledger_page, pages, panels, performance, runs, scaling, values
from stylerepro.book.contents import contents, myst
from stylerepro.errors import RunError, unknown
from stylerepro.files import atomic_path, make_folder, project_root, write_text
from stylerepro.ledger import claims, summary
from stylerepro.networks.specs import CARD, NETWORKS
from stylerepro.runs.experiments import PROFILES, REFERENCE, Experiment, discover

_NEEDED = ("sphinx", "myst_nb", "sphinx_book_theme", "sphinx_external_toc", "sphinxcontrib.bibtex")
_BY_HAND = (".md", ".py", ".bib", ".css", ".js", ".svg", ".yml")


def build(out: str | Path | None = None, profile: str | None = None) -> Path:
    """Build the book and return the path of its first page.

    out: folder for the HTML, by default `book/_build/html`. profile: whose runs to show; None or "reference" for the
    committed ones in `results/reference`, another profile for own runs of it and, where there is none, the committed.
    Raises `RunError` when Sphinx is missing or finds anything to warn of, `ResultsError` for a damaged run.
    """
    _check_installed()
    profile = profile or REFERENCE
    if profile not in PROFILES:
        raise RunError(unknown(profile, list(PROFILES), "profile", "The book"))
    folder = project_root() / "book"
    target = make_folder(out if out is not None else folder / "_build" / "html").resolve()
    source = write_sources(folder / "_generated", profile)
    command = [sys.executable, "-m", "sphinx", "-b", "html", "-q", "-W", "--keep-going"]
    command += ["-d", str(folder / "_build" / "doctrees"), str(source), str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    if done.returncode != 0:
        log = folder / "_build" / "sphinx.log"
        said = done.stdout + done.stderr
        write_text(log, said)
        telling = [line for line in said.splitlines() if "WARNING" in line or "rror: " in line or "ERROR" in line]
        raise RunError(
            f"The book was not built: Sphinx found something to mend. All that it said is in {log}:\n"
            + "\n".join(telling[:8] or said.splitlines()[-8:])
        )
    return target / "index.html"


def write_sources(target: Path, profile: str) -> Path:
    """Fill `target` with everything Sphinx reads: what is written by hand, and the generated pages. Returns it.

    A page that has not changed is not written again, so that Sphinx reads only what is new; one that is no longer
    wanted is removed. Raises `RunError` for a text that asks for what cannot be generated.
    """
    entries = pages.in_order(discover())
    shown = runs.shown(profile)
    ledger = claims.load_ledger()
    tables = runs.tables(profile)
    rows = runs.judged(ledger, profile)
    interface = _interface(Path(stylerepro.__file__).parent)
    written = _by_hand()
    explored, missing = panels.panels(entries, {name: (one.folder, one.record) for name, one in shown.items()})
    filling = _Filling(ledger, rows, tables, shown, entries, profile)
    filling.pieces["explorer"] = lambda _: explorer.page(explored, missing, profile)
    files = {path: filling.filled(path, text) for path, text in written.items()} | interface
    generated = {"api": [path.removesuffix(".rst") for path in interface]}
    toc = contents(written["_toc.yml"], entries, generated)
    for entry in entries:
        files[f"notebooks/{entry.name}.ipynb"] = _page(entry, shown.get(entry.name), rows, profile)
    files |= runs.files(shown, rows)
    files[ledger_page.CSV] = summary.plain(pd.DataFrame(rows)).to_csv(index=False, lineterminator="\n")
    if explored:
        files[explorer.DATA] = explorer.script(explored)
    files["_toc.yml"] = yaml.safe_dump(toc, sort_keys=False, allow_unicode=True)
    files["myst.yml"] = yaml.safe_dump(myst(toc, files), sort_keys=False, allow_unicode=True)
    copies = explorer.files(explored)
    for name, text in files.items():
        if not (target / name).is_file() or (target / name).read_text(encoding="utf-8") != text:
            write_text(target / name, text)
    for name, source in copies.items():
        if not (target / name).is_file() or not filecmp.cmp(source, target / name, shallow=False):
            with atomic_path(target / name) as temporary:
                shutil.copyfile(source, temporary)
    for path in target.rglob("*"):
        if path.is_file() and path.relative_to(target).as_posix() not in (files.keys() | copies.keys()):
            path.unlink()
    return target


class _Filling:
    """Puts generated pieces where a text by hand says `{{ name }}` or `{{ name words }}`."""

    def __init__(
        self,
        ledger: claims.Ledger,
        rows: Sequence[ledger_page.Row],
        tables: Mapping[str, pd.DataFrame],
        shown: Mapping[str, runs.Shown],
        entries: Sequence[Experiment],
        profile: str,
    ) -> None:
        titles = {entry.name: entry.title for entry in entries}

        def of(document: str) -> list[ledger_page.Row]:
            return [row for row in rows if row["document"] == document]

        self.pieces: dict[str, Callable[[str], str]] = {
            "summary": lambda _: ledger_page.summary(rows, profile),
            "documents": lambda _: chapters.overview(ledger.documents, rows),
            "findings": lambda _: chapters.findings(ledger, rows, ""),
            "finding": lambda document: chapters.findings(ledger, of(document), "../"),
            "experiments": lambda _: pages.experiments(entries, shown),
            "ledger": lambda _: ledger_page.table(rows, titles),
            "networks": lambda _: pages.networks_table(NETWORKS.values()),
            "compact_card": lambda _: pages.model_card(CARD),
            "verdicts": lambda document: ledger_page.told(of(document)),
            "answer": lambda document: ledger_page.answer(of(document)),
            "claims": lambda document: ledger_page.cards(of(document), titles),
            "citation": lambda document: chapters.citation(ledger.documents, document),
            "notebooks": lambda document: chapters.notebooks([one for one in entries if one.document == document]),
            "value": lambda words: values.value(tables, words),
            "performance": lambda name: performance.performance(shown, name),
            "scaling": scaling.scaling,
        }

    def filled(self, path: str, text: str) -> str:
        """`text`, the file `path` in `book/`, with its pieces; only Markdown has any."""
        if not path.endswith(".md"):
            return text

        def piece(found: re.Match[str]) -> str:
            if found[1] not in self.pieces:
                raise RunError(unknown(found[1], list(self.pieces), "piece", f"book/{path}: the book"))
            return self.pieces[found[1]]((found[2] or "").strip())

        return re.sub(r"\{\{ (\w+)( [^{}]+)? \}\}", piece, text)


def _page(entry: Experiment, run: runs.Shown | None, rows: Sequence[ledger_page.Row], profile: str) -> str:
    mine = [row for row in rows if row["id"] in entry.claims]
    end = f"## Verdicts\n\n{ledger_page.verdicts(mine)}" if mine else ""
    if run is None:
        return pages.notebook_page(entry.notebook, pages.not_run(entry, profile), end, keep_outputs=False)
    return pages.notebook_page(
        run.folder / "notebook.ipynb", pages.record(run), end, caption=pages.caption(run), texts=entry.notebook
    )


def _by_hand() -> dict[str, str]:
    """What is written by hand: path in `book/` to text."""
    folder = project_root() / "book"
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_file() and path.suffix in _BY_HAND and name.parts[0] not in ("_generated", "_build"):
            found[name.as_posix()] = path.read_text(encoding="utf-8")
    if "conf.py" not in found or "_toc.yml" not in found:
        raise RunError(f"The book's sources are not in {folder}: conf.py and _toc.yml are needed there.")
    return found


def _interface(package: Path) -> dict[str, str]:
    """Return a page of the API for each room and each module beside the rooms: path in the book to reStructuredText.

    Sphinx reads the docstrings when it builds. The command is left out: `stylerepro --help` says what it does.
    """
    pages = {}
    for top in sorted(package.iterdir()):
        modules = (
            sorted(top.rglob("*.py"), key=lambda path: (path.name != "__init__.py", path)) if top.is_dir() else [top]
        )
        if not modules or top.name == "cli" or top.name.startswith("_") or modules[0].suffix != ".py":
            continue
        blocks = [_headed(top.stem.capitalize(), "=")]
        for path in modules:
            name = ".".join(path.relative_to(package.parent).with_suffix("").parts).removesuffix(".__init__")
            blocks += [_headed(name.removeprefix("stylerepro."), "-"), f".. automodule:: {name}"]
        pages[f"api/{top.stem}.rst"] = "\n\n".join(blocks) + "\n"
    return pages


def _headed(text: str, line: str) -> str:
    return f"{text}\n{line * len(text)}"


def _check_installed() -> None:
    """Raise `RunError` when a part of the Sphinx stack is missing, and say how to get it."""
    missing = [name for name in _NEEDED if importlib.util.find_spec(name.split(".")[0]) is None]
    if missing:
        raise RunError(f"The book needs {', '.join(missing)}: pip install -e '.[book]' in the project's folder.")
