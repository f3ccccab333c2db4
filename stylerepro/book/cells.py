"""Cells of a notebook as a page needs them: what lies beside it comes along, and what cannot be shown is said.

JupyterLab is what a notebook was written for; Sphinx sees pasted pictures, links to files and some outputs otherwise.
"""

import json
import os
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from stylerepro.errors import ResultsWarning
from stylerepro.files import hash_of, project_root

_LINK = re.compile(
    r"""(\]\(\s*|<(?:img|a|source|video|audio)\b[^>]*?\b(?:src|href)\s*=\s*["'])(<[^<>\n]+>|[^\s()<>"']+)""", re.I
)
_CODE = re.compile(r"(^```.*?(?:^```|\Z)|^~~~.*?(?:^~~~|\Z)|`[^`\n]+`)", re.S | re.M)
_SHOWN = {"text/html", "text/latex", "text/markdown", "text/plain", "application/javascript"}
_PICTURES = {"image/svg+xml", "image/png", "image/jpeg", "image/gif"}
_PLACE = re.compile(r"(?:.*[\\/])?notebooks[\\/](\w+)\.ipynb(?::(\d+))?: (?:WARNING|ERROR): (.*)")
_CURES = {
    "image.not_readable": "There is no such picture in the project: put it there, or say where it is.",
    "xref_missing": "The project has no such file, nor the book such a heading: mend the link.",
    "the formula": "The book knows TeX as docutils does: write it in plainer commands.",
    "role_unknown": "Braces before backticks are markup in MyST: put a backslash before the brace.",
}


def local(text: str, cell: Mapping[str, Any], notebook: Path, copies: dict[str, Path]) -> str:
    """Return Markdown of a cell with pasted pictures in it, and links to files that come along.

    notebook: as it stands in `notebooks/`, from where its paths count. copies: takes each file that a link or a picture
    needs, by its path in the book. Pages of the book are linked as such, and what lies outside the project stays as it
    is. In code nothing changes. Of a picture in HTML, which Sphinx does not look at, a `ResultsWarning` says that it is
    not there.
    """
    attachments = cell.get("attachments", {})

    def moved(found: re.Match[str]) -> str:
        target = found[2].strip("<>")
        if target.startswith("attachment:"):
            kinds = attachments.get(unquote(target.removeprefix("attachment:")), {})
            pasted = [f"data:{kind};base64,{''.join(data)}" for kind, data in kinds.items()]
            return f"{found[1]}{pasted[0] if pasted else target}".replace("\n", "")
        if target.startswith("#"):
            return found[0].lower() if found[1].startswith("]") else found[0]
        brought = _brought(target, notebook, copies)
        if brought is None and found[1][:4].lower() == "<img" and not urlsplit(target).scheme:
            say(notebook, cell, f"image file not readable: {target}. {_CURES['image.not_readable']}")
        return f"{found[1]}{brought or found[2]}"

    return "".join(part if at % 2 else _LINK.sub(moved, part) for at, part in enumerate(_CODE.split(text)))


def _brought(target: str, notebook: Path, copies: dict[str, Path]) -> str | None:
    """Return where in the book the file of a link is, None for no file of the project and for a notebook's page."""
    path, fragment = unquote(re.split(r"[?#]", target)[0]), target.partition("#")[2]
    file = Path(os.path.normpath(notebook.parent / path))
    if urlsplit(target).scheme or not path or not file.is_file() or not file.is_relative_to(project_root()):
        return None
    if file.suffix == ".ipynb" and file.with_suffix(".yaml").is_file() and file.parent == notebook.parent:
        return None
    if file.suffix == ".md" and file.is_relative_to(project_root() / "book"):
        return f"../{file.relative_to(project_root() / 'book').as_posix()}" + f"#{fragment}" * bool(fragment)
    # In ASCII, since Sphinx looks for the name as Markdown has encoded it; as text, what it would take for a page.
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", file.name) + ".txt" * (file.suffix in (".md", ".ipynb", ".rst"))
    kept = f"_static/own/{hash_of(file.relative_to(project_root()).as_posix())[:8]}-{name}"
    copies[kept] = file
    return f"../{kept}"


def static(output: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """Return an output with what a page can show, and the kind of the figure that is lost with that, "" for none.

    Widgets go without a word; a figure that a program draws is lost where no picture of it stands beside.
    """
    data = output.get("data", {})
    kept = {kind: content for kind, content in data.items() if kind in _SHOWN | _PICTURES}
    drawn = [kind for kind in data if kind not in kept and "widget" not in kind]
    page = "".join(kept.get("text/html", ""))
    lost = drawn[0] if drawn and not _PICTURES & kept.keys() and (not page or "<script" in page) else ""
    if lost:
        kept = {"text/plain": kept.get("text/plain", f"({lost}, which JupyterLab draws)")}
    return (output | {"data": kept} if "data" in output else output), lost


def faults(said: str, source: Path) -> tuple[list[str], list[str]]:
    """Return what Sphinx said of cells, each with its notebook, number and cure, and what it said of all else.

    source: where the pages lie. A cell's number is that of the notebook, whose page has cells of its own.
    """
    of_cells, others = [], []
    for line in said.splitlines():
        found = _PLACE.match(line)
        if not found and re.search(r"WARNING|ERROR|rror: ", line):
            others.append(line)
        if not found:
            continue
        name, number, what = found.groups()
        cure = next((cure for sign, cure in _CURES.items() if sign in what), "Write it in plain Markdown.")
        cells = json.loads((source / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
        where = f"notebooks/{name}.ipynb"
        if number:
            where = place(Path(where), cells[min(int(number) // 10000, len(cells)) - 1])
        what = re.sub(r" \[[\w.]+\]", "", what).rstrip(".")
        of_cells.append(f"{where}: {what}. {cure}")
    return list(dict.fromkeys(of_cells)), others


def place(notebook: Path, cell: Mapping[str, Any]) -> str:
    """Return where a cell of a page is found in JupyterLab: its notebook, number, counted from 1, and first words."""
    words = " ".join("".join(cell["source"]).split())
    number = cell["metadata"].get("number", "at the end")
    return f"notebooks/{notebook.name}, cell {number} ({words[:40]}{'…' * (len(words) > 40)})"


def say(notebook: Path, cell: Mapping[str, Any], what: str) -> None:
    """Warn of what a page cannot show of a cell, and go on."""
    warnings.warn(f"{place(notebook, cell)}: {what}", ResultsWarning, stacklevel=3)
