"""A notebook's parameters: read from its tagged cell, and checked before anything runs.

The cell is read with `ast` and `tokenize` rather than `papermill.inspect_notebook`: importing papermill takes seconds,
which every `stylerepro run` with nothing to do would pay, and its reader drops a parameter whose comment holds "=".
"""

import ast
import io
import json
import math
import tokenize
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stylerepro.errors import ParameterError

SCALARS = ("int", "float", "bool", "str")
# Where a run writes and whether it shows a bar change no number: they are no part of what a run is identified by.
RESERVED = ("out", "progress")

_WORDS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


@dataclass(frozen=True)
class Parameter:
    """One parameter of a notebook.

    type: as annotated: int, float, bool, str, `list[T]`, `dict[str, T]`, or any of them `| None`.
    help: the comment beside it in the cell, or right above it.
    """

    name: str
    type: str
    default: Any
    help: str


def code_cells(notebook: Path) -> list[tuple[str, list[str]]]:
    """The source and tags of each code cell of a notebook, in order.

    Raises `ParameterError` when the file is not a notebook.
    """
    try:
        content = json.loads(notebook.read_text(encoding="utf-8"))
        cells = [cell for cell in content["cells"] if cell["cell_type"] == "code"]
        return [("".join(cell["source"]), list(cell.get("metadata", {}).get("tags", []))) for cell in cells]
    except FileNotFoundError:
        raise ParameterError(f"There is no notebook {notebook.name} beside its sidecar file.") from None
    except (ValueError, KeyError, TypeError) as error:
        raise ParameterError(
            f"{notebook.name} is not a readable notebook ({error}). Open it in JupyterLab and save it again."
        ) from error


def read_parameters(notebook: Path) -> dict[str, Parameter]:
    """The parameters of a notebook's cell tagged `parameters`, without `out`.

    Raises `ParameterError` for a missing or second tagged cell, a parameter without type or with one that is not
    understood, and a default that is not a plain value of that type.
    """
    tagged = [source for source, tags in code_cells(notebook) if "parameters" in tags]
    if len(tagged) != 1:
        raise ParameterError(
            f"{notebook.name} has {len(tagged)} cells tagged 'parameters'; exactly one is needed, with typed "
            "parameters such as `size: int = 256  # pixels`."
        )
    try:
        tree = ast.parse(tagged[0])
    except SyntaxError as error:
        raise ParameterError(f"{notebook.name}: the parameters cell is not Python ({error}).") from error
    comments = _comments(tagged[0])
    found = {}
    for statement in tree.body:
        if parameter := _parameter(statement, comments, notebook.name):
            found[parameter.name] = parameter
    found.pop("out", None)
    return found


def is_parameter(statement: ast.stmt) -> bool:
    """Whether a statement of the parameters cell gives a parameter its default."""
    if isinstance(statement, ast.AnnAssign):
        return isinstance(statement.target, ast.Name) and statement.value is not None
    return isinstance(statement, ast.Assign) and all(isinstance(one, ast.Name) for one in statement.targets)


def _parameter(statement: ast.stmt, comments: dict[int, tuple[str, bool]], where: str) -> Parameter | None:
    if not is_parameter(statement):
        return None
    if isinstance(statement, ast.Assign):
        raise ParameterError(
            f"{where}: parameter `{ast.unparse(statement)}` has no type; write `name: int = 3`, for example."
        )
    assert isinstance(statement, ast.AnnAssign)
    assert isinstance(statement.target, ast.Name)
    assert statement.value is not None
    name, kind = statement.target.id, ast.unparse(statement.annotation).strip("'\"")
    try:
        default = ast.literal_eval(statement.value)
    except ValueError:
        raise ParameterError(
            f"{where}: the default of {name!r} is `{ast.unparse(statement.value)}`; a parameter's default must be a "
            "plain value, such as 1000 or [0.0, 10.0]."
        ) from None
    parameter = Parameter(name, kind, default, _help(statement, comments))
    return Parameter(name, kind, convert(parameter, default, f"{where}, default"), parameter.help)


def _comments(source: str) -> dict[int, tuple[str, bool]]:
    """Line number to comment text and whether the comment has the line to itself."""
    found = {}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            alone = token.line.strip().startswith("#")
            found[token.start[0]] = (token.string.lstrip("#").strip(), alone)
    return found


def _help(statement: ast.stmt, comments: dict[int, tuple[str, bool]]) -> str:
    beside = comments.get(statement.end_lineno or statement.lineno)
    if beside:
        return beside[0]
    lines: list[str] = []
    number = statement.lineno - 1
    while (above := comments.get(number)) and above[1]:
        lines.insert(0, above[0])
        number -= 1
    return " ".join(lines)


def convert(parameter: Parameter, value: Any, where: str) -> Any:
    """`value` as the parameter's type; text is read as a person types it (`0,10,100`, `true`, `1e-3`, `[a, b]`).

    An int is taken for a float; nothing else is bent. Raises `ParameterError`, beginning with `where`.
    """
    try:
        annotation = ast.parse(parameter.type, mode="eval").body
        return _as(annotation, value)
    except _UnknownTypeError as error:
        raise ParameterError(
            f"{where}: parameter {parameter.name!r} has type {error}, which is not one of {', '.join(SCALARS)}, "
            "list[...], dict[str, ...] or ... | None."
        ) from None
    except (ValueError, TypeError, SyntaxError) as error:
        reason = f" ({error})" if isinstance(error, _ReasonError) else ""
        raise ParameterError(
            f"{where}: parameter {parameter.name!r} takes {parameter.type}, not {value!r}{reason}."
        ) from None


class _UnknownTypeError(Exception):
    pass


class _ReasonError(ValueError):
    pass


def _as(annotation: ast.expr, value: Any) -> Any:
    if isinstance(annotation, ast.BinOp) and isinstance(annotation.op, ast.BitOr):
        return _optional([annotation.left, annotation.right], value)
    if isinstance(annotation, ast.Subscript) and isinstance(annotation.value, ast.Name):
        outer, inner = annotation.value.id, annotation.slice
        if outer == "Optional":
            return _optional([inner], value)
        if outer == "list":
            return [_as(inner, one) for one in _list(value)]
        if outer == "dict" and isinstance(inner, ast.Tuple) and ast.unparse(inner.elts[0]) == "str":
            return {str(key): _as(inner.elts[1], one) for key, one in _mapping(value).items()}
    if isinstance(annotation, ast.Name) and annotation.id in SCALARS:
        return {"int": _int, "float": _float, "bool": _bool, "str": _str}[annotation.id](value)
    raise _UnknownTypeError(ast.unparse(annotation))


def _optional(kinds: list[ast.expr], value: Any) -> Any:
    real = [kind for kind in kinds if not (isinstance(kind, ast.Constant) and kind.value is None)]
    if len(real) != 1:
        raise _UnknownTypeError(" | ".join(ast.unparse(kind) for kind in kinds))
    if value is None or (isinstance(value, str) and value.lower() in ("none", "null")):
        return None
    return _as(real[0], value)


def _list(value: Any) -> list[Any]:
    if isinstance(value, str):
        return _flow(value) if value.strip().startswith("[") else [one.strip() for one in value.split(",") if one]
    if isinstance(value, (list, tuple)):
        return list(value)
    raise TypeError


def _mapping(value: Any) -> Mapping[Any, Any]:
    value = _flow(value) if isinstance(value, str) else value
    if not isinstance(value, Mapping):
        raise TypeError
    return value


def _flow(text: str) -> Any:
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise _ReasonError("brackets or commas are not as YAML wants them") from None


def _int(value: Any) -> int:
    if isinstance(value, (bool, float)):
        raise TypeError
    return int(value)


def _float(value: Any) -> float:
    if isinstance(value, bool):
        raise TypeError
    number = float(value)
    if not math.isfinite(number):
        raise _ReasonError("it must be a finite number")
    return number


def _bool(value: Any) -> bool:
    if isinstance(value, str) and value.lower() in _WORDS:
        return _WORDS[value.lower()]
    if not isinstance(value, bool):
        raise _ReasonError("write true or false")
    return value


def _str(value: Any) -> str:
    if not isinstance(value, str):
        raise _ReasonError("put it in quotes")
    return value
