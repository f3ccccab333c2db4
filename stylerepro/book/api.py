"""The package's own documentation, read from its source: nothing is imported, so a page costs milliseconds."""

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from stylerepro.errors import RunError

# Pages in order: name, title, and the modules on it; a package stands for all modules in it.
GROUPS = (
    ("pictures", "Pictures", ("pictures",)),
    ("networks", "Networks", ("networks",)),
    ("transfer", "Transfer", ("transfer",)),
    ("measures", "Measures", ("measures",)),
    ("training", "Training", ("training",)),
    ("studies", "Studies", ("studies",)),
    ("runs", "Runs", ("runs",)),
    ("ledger", "Ledger", ("ledger",)),
    ("book", "Book", ("book",)),
    ("cli", "Cli", ("cli",)),
    ("files", "Files and errors", ("errors", "files")),
)
OTHERS = ("others", "Other modules")
_WIDTH = 88


def pages(source: Path) -> dict[str, str]:
    """A page a group, path in the book to text. source: the package's folder.

    Modules that no group names stand on a page of their own. Raises `RunError` for a group that names none there is.
    """
    modules = {_name(path, source): path for path in sorted(source.rglob("*.py"))}
    placed: set[str] = set()
    found = {}
    for name, title, wanted in GROUPS:
        mine = [one for part in wanted for one in modules if f".{one}.".startswith(f".{part}.")]
        lacking = [part for part in wanted if not any(f".{one}.".startswith(f".{part}.") for one in mine)]
        if lacking:
            raise RunError(f"The book's API names the module {lacking[0]}, which {source.name} does not have.")
        placed |= set(mine)
        found[f"api/{name}.md"] = _page(title, {one: modules[one] for one in mine})
    rest = {one: path for one, path in modules.items() if one and one not in placed}
    if rest:
        found[f"api/{OTHERS[0]}.md"] = _page(OTHERS[1], rest)
    return found


def _name(path: Path, source: Path) -> str:
    """A module's name within the package; the package's own is ""."""
    return ".".join(path.relative_to(source).with_suffix("").parts).removesuffix("__init__").rstrip(".")


def _page(title: str, modules: Mapping[str, Path]) -> str:
    told = [f"# {title}"]
    for name, path in modules.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        told += [f"## `stylerepro.{name}`", prose(ast.get_docstring(tree) or "")]
        for node in _public(tree):
            told += list(_described(node, ""))
    return "\n\n".join(filter(None, told)) + "\n"


def _public(tree: ast.Module | ast.ClassDef) -> Iterator[ast.FunctionDef | ast.ClassDef]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node


def _described(node: ast.FunctionDef | ast.ClassDef, owner: str) -> Iterator[str]:
    """Signature and docstring of a function; of a class with its fields, and its public methods after it."""
    yield f"```python\n{signature(node, owner)}\n```"
    yield prose(ast.get_docstring(node) or "")
    if isinstance(node, ast.ClassDef):
        for method in _public(node):
            if isinstance(method, ast.FunctionDef):
                yield from _described(method, node.name)


def signature(node: ast.FunctionDef | ast.ClassDef, owner: str = "") -> str:
    """How a function is called, or a class is made, without its body. owner: the class of a method."""
    if isinstance(node, ast.FunctionDef):
        marks = {ast.unparse(one) for one in node.decorator_list}
        gives = f" -> {ast.unparse(node.returns)}" if node.returns else ""
        arguments = _arguments(node)
        if owner and "staticmethod" not in marks:
            arguments = arguments[1:]
        if marks & {"property", "cached_property"}:
            return f"{owner}.{node.name}{gives.replace(' ->', ':')}"
        return _wrapped(f"{owner}.{node.name}" if owner else node.name, arguments, gives)
    makers = [one for one in node.body if isinstance(one, ast.FunctionDef) and one.name == "__init__"]
    if makers:
        return _wrapped(f"class {node.name}", _arguments(makers[0])[1:], "")
    fields = [
        ast.unparse(one) for one in node.body
        if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name) and not one.target.id.startswith("_")
    ]  # fmt: skip
    bases = [ast.unparse(one) for one in node.bases]
    return _wrapped(f"class {node.name}", fields or bases, "")


def _arguments(node: ast.FunctionDef) -> list[str]:
    """The parameters one by one, each as it is written, `/` and `*` among them."""
    given = node.args
    positional = [*given.posonlyargs, *given.args]
    defaults = [None] * (len(positional) - len(given.defaults)) + list(given.defaults)
    told = [_argument(one, default) for one, default in zip(positional, defaults, strict=True)]
    if given.posonlyargs:
        told.insert(len(given.posonlyargs), "/")
    if given.vararg:
        told.append("*" + ast.unparse(given.vararg))
    elif given.kwonlyargs:
        told.append("*")
    told += [_argument(one, default) for one, default in zip(given.kwonlyargs, given.kw_defaults, strict=True)]
    return [*told, "**" + ast.unparse(given.kwarg)] if given.kwarg else told


def _argument(argument: ast.arg, default: ast.expr | None) -> str:
    if default is None:
        return ast.unparse(argument)
    return f"{ast.unparse(argument)}{' = ' if argument.annotation else '='}{ast.unparse(default)}"


def _wrapped(name: str, arguments: Sequence[str], gives: str) -> str:
    line = f"{name}({', '.join(arguments)}){gives}"
    if len(line) <= _WIDTH or not arguments:
        return line
    inside = "".join(f"    {one},\n" for one in arguments)
    return f"{name}(\n{inside}){gives}"


def prose(text: str) -> str:
    """A docstring as Markdown: what would be markup there is plain, code stays code."""
    blocks = []
    for block in re.split(r"\n\s*\n", text.strip("\n")):
        lines = block.splitlines()
        if lines and all(line.startswith("    ") for line in lines):
            inside = "\n".join(line[4:] for line in lines)
            blocks.append(f"```python\n{inside}\n```")
        else:
            told = [_escaped(line) for line in lines]
            # Each parameter begins a line of its own, as it does in the source.
            starts = [bool(re.match(r"[\w*, ]+: ", line)) for line in [*lines[1:], ""][: len(lines)]]
            blocks.append("\n".join(line + "\\" * start for line, start in zip(told, starts, strict=True)))
    return "\n\n".join(blocks)


def _escaped(line: str) -> str:
    parts = line.split("`")
    # Between an even number of backticks stands code; an odd one is a plain character.
    if len(parts) % 2 == 0:
        return re.sub(r"([\\`*_{}<>$|\[\]#])", r"\\\1", line.strip())
    plain = [re.sub(r"([\\*_{}<>$|\[\]#])", r"\\\1", part) if place % 2 == 0 else f"`{part}`"
             for place, part in enumerate(parts)]  # fmt: skip
    return "".join(plain).strip()
