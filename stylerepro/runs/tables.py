"""Tables as the sidecar declares them: refused when a column is missing, extra or of another type; exact on disk."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from stylerepro.errors import ResultsError
from stylerepro.files import atomic_path
from stylerepro.runs.declarations import GATE_COLUMNS, Column
from stylerepro.runs.record import cut_short
from stylerepro.runs.scrub import portable

_DTYPES = {"int": "int64", "float": "float64", "bool": "bool", "str": "str"}
_NULLABLE = _DTYPES | {"int": "Int64", "bool": "boolean"}
# What pandera calls a slip of a table as a whole, to what is said of it.
_SLIPS = {
    "column_in_schema": "column {failure_case!r} is not declared",
    "column_in_dataframe": "column {failure_case!r} is missing",
    "not_nullable": "column {column!r} has a gap (row {index})",
}


def check(table: pd.DataFrame, columns: Mapping[str, Column], where: str) -> pd.DataFrame:
    """Return `table` with exactly the declared columns, in their order and types.

    Integers are taken for floats, and whole floats for integers, which pandas makes of them where a table is joined to
    an empty one or has gaps; nothing else is converted. Raises `ResultsError` that lists everything that does not fit.
    """
    import pandera.pandas as pa

    if not isinstance(table, pd.DataFrame):
        raise ResultsError(f"{where} must be a pandas DataFrame, not a {type(table).__name__}.")
    # A run that asked no judge has gaps in their place.
    unasked = {name for gate in GATE_COLUMNS.values() for name in gate} & columns.keys() - set(table.columns)
    table = table.assign(**dict.fromkeys(sorted(unasked), np.nan))
    if table.empty:
        raise ResultsError(f"{where} has no rows. A run without results is not kept.")
    declared = {name: pa.Column(_dtype(column), nullable=column.nullable) for name, column in columns.items()}
    shaped = {name: _shape(table[name], columns[name]) if name in columns else table[name] for name in table.columns}
    order = [*(name for name in columns if name in shaped), *(name for name in shaped if name not in columns)]
    try:
        whole = pd.DataFrame(shaped).reset_index(drop=True)[order]
        return pa.DataFrameSchema(declared, strict=True).validate(whole, lazy=True)
    except pa.errors.SchemaErrors as error:
        raise ResultsError(f"{where} is not as declared: {_in_words(error.failure_cases, columns)}.") from error


def with_in_front(table: pd.DataFrame, run: Mapping[str, str], parameters: Mapping[str, Any]) -> pd.DataFrame:
    """Return `table` behind columns of its run and its parameters; "NAME (parameter)" where the table has one."""
    taken = {*run, *table.columns}
    named = {f"{name} (parameter)" if name in taken else name: cell(value) for name, value in parameters.items()}
    front = pd.DataFrame({**run, **named}, index=table.index)
    return pd.concat([front, table], axis=1)


def cell(value: Any) -> Any:
    """Return a value that fits a cell: a list of one as what it holds, others as JSON; no folder of this machine."""
    value = portable(value)
    if isinstance(value, list) and len(value) == 1 and not isinstance(value[0], list):
        return value[0]
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value


def write(table: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV, numbers in the shortest form that reads back exactly."""
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")


def read(path: Path, types: Mapping[str, str]) -> pd.DataFrame:
    """Read what `write` wrote. types: column name to str, int, float or bool, with "?" behind it where it has gaps.

    Raises `ResultsError` when the file is not such a table.
    """
    where = f"{path.name} of run {path.parent.name}"
    try:
        # A number cut short would still be a number.
        if wrong := cut_short(path, list(types)):
            raise ResultsError(f"{where} {wrong}.")
        # As text first: how exactly pandas reads a float depends on its version, `float` does not.
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        return pd.DataFrame({name: _parse(table[name], Column.parse(text)) for name, text in types.items()})
    except (OSError, ValueError, KeyError) as error:
        raise ResultsError(f"{where} cannot be read: {error}") from error


_READERS: dict[str, Any] = {"int": int, "float": float, "bool": {"True": True, "False": False}.__getitem__, "str": str}


def _parse(texts: pd.Series, column: Column) -> pd.Series:
    read_one, gap = _READERS[column.type], np.nan if column.type == "float" else None
    empty = "" if column.type == "str" and not column.nullable else gap
    values = [empty if text == "" else read_one(text) for text in texts.tolist()]
    return pd.Series(values, dtype=_dtype(column))


def _dtype(column: Column) -> str:
    return (_NULLABLE if column.nullable else _DTYPES)[column.type]


def _shape(series: pd.Series, column: Column) -> pd.Series:
    """Return the series in the declared type where that loses nothing, else as it is, for the schema to refuse."""
    values = series.dropna()
    kinds = {type(value) for value in values.tolist()}
    if series.isna().any() and not column.nullable:
        return series
    if column.type == "float" and kinds <= {int, float}:
        return pd.Series([np.nan if pd.isna(value) else float(value) for value in series], dtype="float64")
    whole = kinds <= {int, float} and all(float(value).is_integer() for value in values)
    fits = {"int": whole, "bool": kinds <= {bool}, "str": kinds <= {str}}
    if not fits.get(column.type):
        return series
    if column.type == "str":
        # A picture given by its path is known by its name: no folder of this machine in a table.
        series = series.map(portable, na_action="ignore")
    return series.reset_index(drop=True).astype(_dtype(column))  # type: ignore[call-overload, no-any-return, unused-ignore]


def _in_words(cases: pd.DataFrame, columns: Mapping[str, Column]) -> str:
    words = []
    for case in cases.to_dict("records"):
        check, name, value = str(case["check"]), case["column"], case["failure_case"]
        other = f"column {name!r} must be {columns[name].type}, not {value}" if name in columns else f"{check}: {value}"
        words.append(_SLIPS.get(check, "").format_map(case) or other)
    shown = list(dict.fromkeys(words))
    return "; ".join(shown[:8]) + ("; …" if len(shown) > 8 else "")
