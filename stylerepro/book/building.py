"""The book: reads results and notebooks, computes verdicts from tables, and has Sphinx lay it all out, offline.

`book/` holds what is written by hand. A build copies it to `book/_generated/`, adds a page an experiment and the
ledger's tables, and turns that into HTML. A warning ends the build: no broken link gets as far as a reader.
"""

import importlib.util
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from stylerepro import claims
from stylerepro.book import pages
from stylerepro.errors import RunError
from stylerepro.experiments import CROSSCHECK, PROFILES, REFERENCE, Experiment, discover
from stylerepro.files import make_folder, project_root, write_text
from stylerepro.networks import CARD, NETWORKS
from stylerepro.parameters import unknown
from stylerepro.record import current_runs, reference_root, runs_root

_NEEDED = ("sphinx", "myst_nb", "sphinx_book_theme", "sphinx_external_toc", "sphinxcontrib.bibtex")
_BY_HAND = (".md", ".py", ".bib", ".css", ".svg", ".yml")


def build(out: str | Path | None = None, profile: str | None = None) -> Path:
    """Build the book and return the path of its first page.

    out: folder for the HTML, by default `book/_build/html`. profile: whose runs to show; None or "reference" for the
    committed ones in `results/reference`, another profile for the newest own run of it in `results/runs`.
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
    wanted is removed.
    """
    entries = pages.in_order(discover())
    root = reference_root() if profile == REFERENCE else runs_root()
    runs = {
        record["experiment"]: (folder / "notebook.ipynb", record)
        for folder, record in current_runs(root, profile)
        if (folder / "notebook.ipynb").is_file()
    }
    others = current_runs(root, CROSSCHECK) if profile == REFERENCE else []
    crosschecks = {record["experiment"]: record for _, record in others}
    ledger = claims.load_ledger()
    rows = _rows(ledger, claims.tables_from_results(profile, root))
    titles = {id: document.title for id, document in ledger.documents.items()}
    whys = {claim.id: claim.why for claim in ledger}
    generated = {
        "summary": pages.summary(rows, profile),
        "experiments": pages.experiments(entries, runs),
        "networks": pages.networks_table(NETWORKS.values()),
        "compact_card": pages.model_card(CARD),
        "ledger": pages.ledger(rows, titles, whys, [entry.name for entry in entries]),
    }
    files = {path: _filled(text, generated) for path, text in _by_hand().items()}
    toc = _toc(files["_toc.yml"], entries)
    files["_toc.yml"] = yaml.safe_dump(toc, sort_keys=False, allow_unicode=True)
    files["myst.yml"] = yaml.safe_dump(_myst(toc, files), sort_keys=False, allow_unicode=True)
    for entry in entries:
        shown = runs.get(entry.name), crosschecks.get(entry.name)
        files[f"experiments/{entry.name}.ipynb"] = _page(entry, *shown, rows, profile)
    for name, text in files.items():
        if not (target / name).is_file() or (target / name).read_text(encoding="utf-8") != text:
            write_text(target / name, text)
    for path in target.rglob("*"):
        if path.is_file() and path.relative_to(target).as_posix() not in files:
            path.unlink()
    return target


def _rows(ledger: claims.Ledger, tables: Mapping[str, pd.DataFrame]) -> list[pages.Row]:
    """The claims with their verdicts, a dict each; what a claim does not have is None."""
    judged = claims.evaluate(ledger, tables).astype(object)
    judged = judged.where(judged.notna(), None)
    return [dict(zip(judged.columns, row, strict=True)) for row in judged.itertuples(index=False)]


def _page(
    entry: Experiment,
    run: tuple[Path, Mapping[str, Any]] | None,
    crosscheck: Mapping[str, Any] | None,
    rows: Sequence[pages.Row],
    profile: str,
) -> str:
    mine = [row for row in rows if row["id"] in entry.claims]
    end = f"## Verdicts\n\n{pages.verdicts(mine)}" if mine else ""
    if run is None:
        return pages.notebook_page(entry.notebook, pages.not_run(entry, profile), end, keep_outputs=False)
    return pages.notebook_page(run[0], pages.record(run[1], crosscheck), end)


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


def _filled(text: str, generated: Mapping[str, str]) -> str:
    for name, content in generated.items():
        text = text.replace(f"{{{{ {name} }}}}", content)
    return text


def _toc(text: str, entries: list[Experiment]) -> dict[str, Any]:
    """The table of contents with a page an experiment where it says `experiments`; a part left empty goes."""
    toc = yaml.safe_load(text)
    chapters = [{"file": f"experiments/{entry.name}"} for entry in entries]
    for part in toc["parts"]:
        if part["chapters"] == "experiments":
            part["chapters"] = chapters
    toc["parts"] = [part for part in toc["parts"] if part["chapters"]]
    return toc


def _myst(toc: Mapping[str, Any], files: Mapping[str, str]) -> dict[str, Any]:
    """The same contents in the words of Jupyter Book 2, which reads these sources too, where there is a network."""

    def with_suffix(name: str) -> dict[str, str]:
        return {"file": next((path for path in (f"{name}.md", f"{name}.ipynb") if path in files), f"{name}.ipynb")}

    parts = [
        {"title": part["caption"], "children": [with_suffix(one["file"]) for one in part["chapters"]]}
        for part in toc["parts"]
    ]
    project = {
        "title": "stylerepro",
        "bibliography": [name for name in files if name.endswith(".bib")],
        "toc": [with_suffix(toc["root"]), *parts],
    }
    return {"version": 1, "project": project, "site": {"template": "book-theme"}}


def _check_installed() -> None:
    """Raise `RunError` when a part of the Sphinx stack is missing, and say how to get it."""
    missing = [name for name in _NEEDED if importlib.util.find_spec(name.split(".")[0]) is None]
    if missing:
        raise RunError(f"The book needs {', '.join(missing)}: pip install -e '.[book]' in the project's folder.")
