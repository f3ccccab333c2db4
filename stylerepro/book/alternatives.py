"""What the pictures in a notebook's outputs show, in words, for those who do not see them.

Notebooks keep a figure as pixels. What it shows stands around it: the heading, the text just above, and in the code
the titles, labels and rows that were given to it. From these a picture gets its alternative text.
"""

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

KEY = "alternatives"
_LONGEST = 400

# Words that a figure is given, by the name of the argument or method, and how a sentence leads to them.
_GIVEN = {
    "title": "",
    "suptitle": "",
    "set_title": "",
    "xlabel": "Across: ",
    "set_xlabel": "Across: ",
    "ylabel": "Upwards: ",
    "set_ylabel": "Upwards: ",
    "columns": "Columns: ",
    "titles": "Columns: ",
    "rows": "Rows: ",
}
_GRID = ("pictures", "columns", "rows")  # the arguments of plots.picture_grid by place

_UNKNOWN = "…"  # a label that only the run knew

Names = dict[str, ast.expr]
Words = dict[str, list[str]]  # by what leads to them


def describe(cells: Sequence[dict[str, Any]]) -> None:
    """Write the alternative texts of a cell's pictures, in their order, to its metadata as `alternatives`.

    cells: a notebook's, as in its JSON; those with a picture among their outputs are changed.
    """
    heading, above = "", ""
    names: Names = {}
    for cell in cells:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            found = re.findall(r"(?m)^#+ +(.*)$", source)
            heading = _plain(found[-1]) if found else heading
            above = _sentence(source)
            continue
        if cell["cell_type"] != "code":
            continue
        shown = [_panels(output) for output in cell["outputs"] if _is_picture(output)]
        given = _given(source, names, len(shown))
        if shown:
            cell["metadata"][KEY] = [
                _text(heading, f"figure {place} of {len(shown)}" if shown[1:] else "figure", panels, above, words)
                for place, (panels, words) in enumerate(zip(shown, given, strict=True), 1)
            ]


def _is_picture(output: Mapping[str, Any]) -> bool:
    return any(kind.startswith("image/") for kind in output.get("data", {}))


def _panels(output: Mapping[str, Any]) -> str:
    """What matplotlib says of a figure: how many panels it has."""
    said = re.search(r"with (\d+) Axes", "".join(output["data"].get("text/plain", "")))
    return f", {said[1]} panels" if said and said[1] != "1" else ""


def _text(heading: str, figure: str, panels: str, above: str, given: Words) -> str:
    parts = [f"{heading or 'Untitled'}: {figure}{panels}.", _cut(above, _LONGEST // 2)]
    parts += [f"{lead}{'; '.join(words)}." for lead, words in sorted(given.items()) if any(map(_says, words))]
    return _cut(" ".join(part for part in parts if part), _LONGEST)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[:length].rsplit(" ", 1)[0].rstrip(".,;:") + " …"


def _says(word: str) -> bool:
    return word != _UNKNOWN


def _plain(markdown: str) -> str:
    """Markdown without its marks; formulas stay as they are written, without their dollars."""
    text = re.sub(r"!?\[([^]]*)\]\([^)]*\)", r"\1", markdown)
    return " ".join(re.sub(r"[*`$\\{}]|(?m:^[>#] *)", "", text).split())


def _sentence(markdown: str) -> str:
    """The first sentence below the last heading; a table or a list says nothing."""
    text = re.split(r"(?m)^#+ .*$", markdown)[-1].strip().split("\n\n")[0]
    first = "" if re.match(r"[|>*:-]|\d+\.", text) else re.split(r"(?<=[.?!])\s(?=[A-Z])", _plain(text))[0]
    return f"{first.rstrip(':')}." if first and first[-1] not in ".?!" else first


def _given(source: str, names: Names, count: int) -> list[Words]:
    """The words that a cell gives its figures, by what leads to them: for each of `count` figures.

    Where the cell makes as many figures as it shows, each has its own; otherwise they share all words. What names
    stand for is kept in `names`, for this cell and those below.
    """
    try:
        tree = ast.parse(re.sub(r"(?m)^[%!].*$", "", source))
    except SyntaxError:
        return [{}] * count
    for node in ast.walk(tree):
        names.update(_bound(node))
    calls = sorted((one for one in ast.walk(tree) if isinstance(one, ast.Call)), key=lambda one: one.lineno)
    made = [one.lineno for one in calls if _called(one).endswith(("_grid", "subplots"))]
    own = len(made) == count
    found: list[Words] = [{} for _ in range(count if own else 1)]
    for call in calls:
        figure = found[max(0, sum(line <= call.lineno for line in made) - 1) if own else 0] if found else {}
        for name, value in _arguments(call):
            words = figure.setdefault(_GIVEN[name], [])
            said = [word for one in _words(value, names) if (word := _plain(one))]
            words += [word for word in dict.fromkeys(said) if word not in words]
    return found if own else found * count


def _called(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")


def _arguments(call: ast.Call) -> Iterator[tuple[str, ast.expr]]:
    """Those of a call's arguments that are words of a figure, each with a name from `_GIVEN`."""
    name = _called(call)
    if name in _GIVEN and call.args:
        yield name, call.args[0]
    if name.endswith("_grid"):
        yield from ((one, value) for one, value in zip(_GRID, call.args, strict=False) if one in _GIVEN)
    if name.endswith(("_grid", "set")):
        yield from ((one.arg, one.value) for one in call.keywords if one.arg in _GIVEN)


def _bound(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """Names that a statement gives to expressions; in a loop, the sequence that the name runs through."""
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        yield node.targets[0].id, node.value
    elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
        yield node.target.id, node.value
    elif isinstance(node, (ast.For, ast.comprehension)):
        yield from _paired(node.target, node.iter)


def _paired(target: ast.expr, through: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(target, ast.Name):
        yield target.id, through
    elif isinstance(target, ast.Tuple) and isinstance(through, ast.Call):
        called = _called(through)
        if called in ("zip", "enumerate"):
            inner = target.elts[1:] if called == "enumerate" else target.elts
            for one, sequence in zip(inner, through.args, strict=False):
                yield from _paired(one, sequence)
        elif called == "items" and isinstance(through.func, ast.Attribute) and len(target.elts) == 2:
            yield from _paired(target.elts[1], through.func.value)  # a table's labels stand in its values


def _words(node: ast.expr, names: Names, depth: int = 4) -> list[str]:
    """The strings that an expression stands for, as far as they stand in the code; unknown parts are left out."""
    if isinstance(node, ast.Constant):
        return [str(node.value)] if isinstance(node.value, (str, int, float)) else []
    if isinstance(node, ast.Name):
        return _words(names[node.id], names, depth - 1) if depth and node.id in names else []
    if isinstance(node, (ast.List, ast.Tuple, ast.Dict)):
        inner = node.values if isinstance(node, ast.Dict) else node.elts
        return [word for one in inner for word in _words(one, names, depth) or [_UNKNOWN]]
    if isinstance(node, ast.Starred):
        return _words(node.value, names, depth)
    if isinstance(node, ast.JoinedStr):
        return _joined(node, names, depth)
    return []


def _joined(node: ast.JoinedStr, names: Names, depth: int) -> list[str]:
    """An f-string, if all that is put into it is known."""
    parts = []
    for one in node.values:
        words = _words(one.value if isinstance(one, ast.FormattedValue) else one, names, depth)
        if len(words) != 1 or not _says(words[0]):
            return []
        parts += words
    return ["".join(parts)]
