"""Tables that can be sorted: DataTables from the installed package itables, and cells that it can sort.

A page read from disk may not load a module, and itables ships DataTables as one; a build turns it into an ordinary
script, `_static/datatables.js`, which only pages with a table load. `_static/tables.js` does the rest.

A table that a notebook printed has labels that reach over several rows, and header cells that are empty: neither can
be sorted. Here every row gets its own labels, of which a reader sees the first, and headers lose what is empty.
"""

import copy
import re
from operator import is_not
from pathlib import Path
from typing import Any

from bs4 import BeautifulSoup, Tag
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

# The bundle ends in one list of what it exports: `export{ab as Name,cd as default,...}`.
_EXPORTS = re.compile(r"export\s*\{([^{}]*)\}\s*;?")
_DEFAULT = re.compile(r"\s*([\w$]+)\s+as\s+default\s*")

Grid = list[list[Tag]]


def as_script(module: str, name: str) -> str:
    """A JavaScript module without imports as a classic script: what it exports by default becomes `window.<name>`.

    Raises `ValueError` for a text that does not look like that.
    """
    lists = _EXPORTS.findall(module)
    if len(lists) != 1 or re.search(r"\bimport\s*[{*\"']|\bimport\.meta\b", module):
        raise ValueError(f"expected one list of exports and no import, found {len(lists)} lists")
    found = next((match[1] for one in lists[0].split(",") if (match := _DEFAULT.fullmatch(one))), None)
    if found is None:
        raise ValueError(f"expected a default among the exports, found {lists[0]!r}")
    body = _EXPORTS.sub(lambda _: "", module)
    return f'(function () {{\n"use strict";\n{body}\nwindow.{name} = {found};\n}})();\n'


def write_script(app: Sphinx) -> None:
    import itables

    bundle = Path(itables.__file__).parent / "html" / "dt_bundle.js"
    try:
        script = as_script(bundle.read_text(encoding="utf-8"), "DataTable")
    except (OSError, ValueError) as error:
        raise ExtensionError(
            f"{bundle} is not the DataTables that the book knows how to load: {error}. Install the version of itables "
            "that requirements.txt names, or mend book/_ext/tables.py."
        ) from error
    target = Path(app.outdir) / "_static" / "datatables.js"
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.is_file() or target.read_text(encoding="utf-8") != script:
        target.write_text(script, encoding="utf-8")


def tidy_outputs(app: Sphinx, document: nodes.document) -> None:
    """Tidy the tables among the raw HTML of a page."""
    for node in document.findall(nodes.raw):
        text = node.astext()
        if "html" in node.get("format", "") and "<table" in text:
            node.children = [nodes.Text(tidied(text))]
            node.rawsource = ""


def tidied(html: str) -> str:
    """HTML whose tables have a label in every row and no empty cells in their headers; the rest of it is unchanged.

    All get the class that the theme knows pandas' tables by.
    """
    soup = BeautifulSoup(html, "html.parser")
    for table in soup.find_all("table"):
        table["class"] = [*table.get("class", []), *["dataframe"] * ("dataframe" not in table.get("class", []))]
        if table.thead is not None and _even(grid := _grid(table.thead)):
            _set_rows(table.thead, _without_blanks(grid))
        for body in table.find_all("tbody", recursive=False):
            _expand(body)
    return str(soup)


def _rows(section: Tag) -> list[Tag]:
    return section.find_all("tr", recursive=False)


def _grid(section: Tag) -> Grid:
    """The cells of a table's section by row and column; one that spans several places stands in each of them."""
    rows = _rows(section)
    grid: list[dict[int, Tag]] = [{} for _ in rows]
    for y, row in enumerate(rows):
        x = 0
        for cell in row.find_all(["th", "td"], recursive=False):
            while x in grid[y]:
                x += 1
            width, height = int(cell.get("colspan", 1)), int(cell.get("rowspan", 1))
            for line in grid[y : y + height]:
                line.update(dict.fromkeys(range(x, x + width), cell))
            x += width
    return [[line[x] for x in sorted(line)] for line in grid]


def _even(grid: Grid) -> bool:
    return len({len(line) for line in grid}) == 1


def _without_blanks(grid: Grid) -> Grid:
    """A header where empty cells have gone to the label above or below, and rows that have become the same, too."""
    pairs = list(range(len(grid) - 1))
    for x in range(len(grid[0])):
        for y in pairs:
            if _blank(grid[y + 1][x]) and not _blank(grid[y][x]) and _width(grid[y], x) == 1:
                grid[y + 1][x] = grid[y][x]
        for y in reversed(pairs):
            if _blank(grid[y][x]) and _width(grid[y + 1], x) == 1:
                grid[y][x] = grid[y + 1][x]
    return [line for y, line in enumerate(grid) if y == 0 or any(map(is_not, line, grid[y - 1]))]


def _blank(cell: Tag) -> bool:
    return not cell.get_text().strip()


def _width(line: list[Tag], x: int) -> int:
    return sum(one is line[x] for one in line)  # not ==, which compares what is inside


def _set_rows(section: Tag, grid: Grid) -> None:
    """Put the cells of `grid` into the section, each once, with the spans that they have there."""
    rows = _rows(section)
    for row in rows:
        for cell in row.find_all(["th", "td"], recursive=False):
            cell.extract()
    for row in rows[len(grid) :]:
        row.extract()
    for y, (row, line) in enumerate(zip(rows, grid, strict=False)):
        for x, cell in enumerate(line):
            if (y and grid[y - 1][x] is cell) or (x and line[x - 1] is cell):
                continue
            spans = {"colspan": _width(line, x), "rowspan": sum(one[x] is cell for one in grid)}
            for name, span in spans.items():
                if span > 1:
                    cell[name] = str(span)
                else:
                    del cell[name]
            row.append(cell)


def _expand(body: Tag) -> None:
    """Give every row of a table's body a cell of its own in each column; those that repeat one above are marked."""
    grid = _grid(body)
    if not _even(grid):
        return
    seen: set[int] = set()
    for row, line in zip(_rows(body), grid, strict=True):
        for cell in row.find_all(["th", "td"], recursive=False):
            cell.extract()
        for cell in line:
            row.append(cell if id(cell) not in seen else _repeated(cell))
            seen.add(id(cell))
    for cell in body.find_all(["th", "td"]):
        del cell["rowspan"], cell["colspan"]


def _repeated(cell: Tag) -> Tag:
    again = copy.copy(cell)
    del again["id"]
    again["class"] = [*again.get("class", []), "repeated"]
    inner = Tag(name="span")
    inner.extend(list(again.contents))
    again.append(inner)
    return again


def add_scripts(
    app: Sphinx, page: str, template: str, context: dict[str, Any], document: nodes.document | None
) -> None:
    """Load half a megabyte only where there is something to sort."""
    if "<table" in context.get("body", ""):
        app.add_js_file("datatables.js", loading_method="defer")
        app.add_js_file("tables.js", loading_method="defer")


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("builder-inited", write_script)
    app.connect("doctree-read", tidy_outputs)
    app.connect("html-page-context", add_scripts)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
