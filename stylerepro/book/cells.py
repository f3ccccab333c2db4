"""Notebooks as pages of the book: what lies beside a cell comes along, and what cannot be shown is said.

JupyterLab is what a notebook was written for; Sphinx sees pasted pictures, links to files and some outputs otherwise.
"""

import ast
import json
import os
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from stylerepro.errors import ResultsError, ResultsWarning
from stylerepro.files import hash_of, project_root
from stylerepro.runs.experiments import is_parameter

_LINK = re.compile(
    r"""(\]\(\s*|<(?:img|a|source|video|audio)\b[^>]*?\b(?:src|href)\s*=\s*["'])(<[^<>\n]+>|[^\s()<>"']+)""", re.I
)
_CODE = re.compile(r"(^```.*?(?:^```|\Z)|^~~~.*?(?:^~~~|\Z)|`[^`\n]+`)", re.S | re.M)
_KINDS = {"text/html", "text/latex", "text/markdown", "text/plain", "application/javascript"}
_PICTURES = {"image/svg+xml", "image/png", "image/jpeg", "image/gif"}
# Longer code is folded away behind a click, so that a page reads as a chapter; what a run changed is always shown.
_SHOWN_LINES = 6
_SHOWN = {"injected-parameters", "show-input"}
_PLACE = re.compile(r"(?:.*[\\/])?notebooks[\\/](\w+)\.ipynb(?::(\d+))?: (?:WARNING|ERROR): (.*)")
_CURES = {
    "image.not_readable": "There is no such picture in the project: put it there, or say where it is.",
    "xref_missing": "The project has no such file, nor the book such a heading: mend the link.",
    "the formula": "The book knows TeX as docutils does: write it in plainer commands.",
    "role_unknown": "Braces before backticks are markup in MyST: put a backslash before the brace.",
}


def notebook_page(
    notebook: Path,
    top: str,
    end: str,
    keep_outputs: bool = True,
    caption: str = "",
    texts: Path | None = None,
    copies: dict[str, Path] | None = None,
) -> str:
    """A notebook as a page of the book, in JSON: `top` below its title, `end` behind its last cell.

    Interactive widgets are left out, since a printed page has no kernel; without `keep_outputs` all outputs are. Long
    code is folded, unless its cell is tagged `show-input`. caption: stands below every cell that drew a figure.
    texts: the notebook as it stands now, from which its pictures have their alternative texts, so that a run need not
    be made anew for them; its folder is where the paths of links and pictures begin. copies: takes the files that these
    need, by path in the book. What a page cannot show is a `ResultsWarning` that names the cell.
    Raises `ResultsError` for a file that is no notebook with a title.
    """
    try:
        content = json.loads(notebook.read_text(encoding="utf-8"))
        cells = content["cells"]
        title = "".join(cells[0]["source"])
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ResultsError(f"{notebook} is not a notebook that the book can show: {error!r}. Run it again.") from error
    if cells[0]["cell_type"] != "markdown" or not re.match(r"# \S", title):
        raise ResultsError(f"{notebook} must begin with a text cell whose first line is a title ('# ...').")
    if texts is not None:
        _describe(cells, texts)
    beside, copies, number, usual = texts or notebook, {} if copies is None else copies, 0, dict[str, str]()
    content["cells"] = []
    for cell in cells:
        content["cells"].append(cell)
        # What papermill has put in is no cell of the notebook.
        number += "injected-parameters" not in cell.setdefault("metadata", {}).get("tags", [])
        cell["metadata"]["number"] = number
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            cell["source"] = local(source, cell, beside, copies)
            cell.pop("attachments", None)
        elif cell["cell_type"] == "code":
            tags = cell["metadata"].setdefault("tags", [])
            if source.count("\n") >= _SHOWN_LINES and not _SHOWN.intersection(tags):
                tags.append("hide-input")
            if "parameters" in tags:
                usual = _values(source)
                prompts = dict.fromkeys(["code_prompt_show", "code_prompt_hide"], "All parameters")
                cell["metadata"].setdefault("mystnb", {}).update(prompts)
            if "injected-parameters" in tags:
                changed = {name: value for name, value in _values(source).items() if usual.get(name) != value}
                told = "".join(f"\n{name} = {value}" for name, value in changed.items())
                cell["source"] = f"# what this run set; the other parameters are as above{told}"
            # The last cell's first rows of the whole table are for JupyterLab; a page links to the table.
            if re.search(r"^\w+\.head\(\)\s*\Z", source, re.M):
                cell["outputs"] = [one for one in cell["outputs"] if one.get("output_type") != "execute_result"]
            cell["outputs"] = _static(cell, beside, copies) if keep_outputs else []
            if caption and any(kind.startswith("image/") for one in cell["outputs"] for kind in one.get("data", {})):
                content["cells"].append({"cell_type": "markdown", "metadata": {}, "source": f"{caption}\n"})
    heading, _, rest = cells[0]["source"].partition("\n")
    cells[0]["source"] = f"{heading}\n\n{top}\n\n{rest.strip()}\n"
    if end:
        content["cells"].append({"cell_type": "markdown", "metadata": {}, "source": f"{end}\n"})
    if content.get("nbformat_minor", 0) > 4:
        for place, cell in enumerate(content["cells"]):
            cell.setdefault("id", f"page-{place}")
    content["metadata"].pop("widgets", None)
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"


def _values(source: str) -> dict[str, str]:
    """Return the names that a cell of parameters sets, each with its value as Python writes it."""
    lines: list[Any] = list(filter(is_parameter, ast.parse(source).body))
    return {ast.unparse(getattr(one, "target", None) or one.targets[0]): ast.unparse(one.value) for one in lines}


def _describe(cells: Sequence[dict[str, Any]], notebook: Path) -> None:
    """Give cells the alternative texts (`mystnb.image.alt`) of the notebook's cells with the same ids.

    Where the notebook has got a cell since, its text is added to that of the cell before it, of which it was a part.
    """
    ran = {cell.get("id"): cell for cell in cells}
    texts: dict[str, str] = {}
    id = ""
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        id = cell["id"] if cell.get("id") in ran else id  # cells had none before nbformat 4.5
        text = cell["metadata"].get("mystnb", {}).get("image", {}).get("alt")
        if id and text:
            texts[id] = f"{texts[id]} {text}" if id in texts else text
    for id, text in texts.items():
        ran[id]["metadata"]["mystnb"] = {"image": {"alt": text}}


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
            _say(notebook, cell, f"image file not readable: {target}. {_CURES['image.not_readable']}")
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


def _static(cell: Mapping[str, Any], notebook: Path, copies: dict[str, Path]) -> list[dict[str, Any]]:
    """Return a cell's outputs with what a page can show of each; one that is left with nothing goes.

    Widgets go without a word; a figure that a program draws is lost where no picture of it stands beside.
    """
    outputs = []
    for output in cell["outputs"]:
        data = output.get("data", {})
        kept = {kind: content for kind, content in data.items() if kind in _KINDS | _PICTURES}
        drawn = [kind for kind in data if kind not in kept and "widget" not in kind]
        page = "".join(kept.get("text/html", ""))
        if drawn and not _PICTURES & kept.keys() and (not page or "<script" in page):
            kept = {"text/plain": kept.get("text/plain", f"({drawn[0]}, which JupyterLab draws)")}
            cure = 'Draw it as a picture too, in plotly by fig.show("png"), and run it again.'
            _say(notebook, cell, f"JupyterLab has a program to draw {drawn[0]}, and a page has not. {cure}")
        if "text/markdown" in kept:
            kept["text/markdown"] = local("".join(kept["text/markdown"]), cell, notebook, copies)
        if kept or "data" not in output:
            outputs.append(output | ({"data": kept} if kept else {}))
    return outputs


def faults(said: str, source: Path) -> tuple[list[str], list[str]]:
    """Return what Sphinx said of cells, each with its notebook, number and cure, and what it said of all else.

    source: where the pages lie. A cell's number is that of the notebook, whose page has cells of its own.
    """
    of_cells, others = [], []
    for line in said.splitlines():
        found = _PLACE.match(line)
        if not found:
            others += [line] * bool(re.search(r"WARNING|ERROR|rror: ", line))
            continue
        name, number, what = found.groups()
        cure = next((cure for sign, cure in _CURES.items() if sign in what), "Write it in plain Markdown.")
        cells = json.loads((source / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
        where = f"notebooks/{name}.ipynb"
        if number:
            where = _place(Path(where), cells[min(int(number) // 10000, len(cells)) - 1])
        what = re.sub(r" \[[\w.]+\]", "", what).rstrip(".")
        of_cells.append(f"{where}: {what}. {cure}")
    return list(dict.fromkeys(of_cells)), others


def _place(notebook: Path, cell: Mapping[str, Any]) -> str:
    """Return where a cell of a page is found in JupyterLab: its notebook, number, counted from 1, and first words."""
    words = " ".join("".join(cell["source"]).split())
    number = cell["metadata"].get("number", "at the end")
    return f"notebooks/{notebook.name}, cell {number} ({words[:40]}{'…' * (len(words) > 40)})"


def _say(notebook: Path, cell: Mapping[str, Any], what: str) -> None:
    """Warn of what a page cannot show of a cell, and go on."""
    warnings.warn(f"{_place(notebook, cell)}: {what}", ResultsWarning, stacklevel=3)
