"""Parts of a run on disk: tables, tensors and plain values, written whole, read back without running any code."""

import hashlib
import math
import re
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from stylerepro.errors import ResultsError
from stylerepro.files import atomic_path

_KIND = "__kind__"


def compute_once(folder: Path, key: str, compute: Callable[[], Mapping[str, Any]]) -> tuple[dict[str, Any], float]:
    """Return what `compute` gives, from disk if it is there, and the seconds that this saved (0.0 if none).

    The value always comes back from disk form, so that a resumed run and one in a single go are the same bit for bit.
    A damaged file is computed anew, with a warning. Raises `ResultsError` for what a part may not hold.
    """
    path = folder / f"{re.sub(r'[^A-Za-z0-9_.-]+', '_', key)[:60]}-{hashlib.sha256(key.encode()).hexdigest()[:10]}.pt"
    if path.is_file():
        try:
            kept = torch.load(path, weights_only=True)
            return decode(kept["value"]), float(kept["seconds"])
        except Exception as error:
            # Torch raises whatever its unpickler met; whichever it was, the part is cheap to make again.
            warnings.warn(f"part {key!r} of this run was damaged ({type(error).__name__}): made anew", stacklevel=3)
    start = time.perf_counter()
    value = compute()
    if not isinstance(value, Mapping):
        raise ResultsError(f"Part {key!r} gave {type(value).__name__}; a dict of named tables and values is needed.")
    encoded = encode(dict(value), f"part {key!r}")
    # To an open file: by a path torch raises an error of its own that does not say that the disk is full.
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        torch.save({"value": encoded, "seconds": time.perf_counter() - start}, stream)
    return decode(encoded), 0.0


def encode(value: Any, where: str) -> Any:
    """Return `value` as plain containers, numbers, text and CPU tensors; `ResultsError` for anything else."""
    if isinstance(value, pd.DataFrame):
        return {
            _KIND: "table",
            "index": encode(value.index.tolist(), where),
            "columns": [_column(name, value[name], where) for name in value.columns],
        }
    if isinstance(value, torch.Tensor):
        return value.detach().cpu().clone(memory_format=torch.contiguous_format)
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufc":
        return {_KIND: "array", "values": torch.from_numpy(np.ascontiguousarray(value).copy())}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Mapping):
        return {encode(key, where): encode(part, where) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(encode(part, where) for part in value) if type(value) in (list, tuple) else list(value)
    raise ResultsError(
        f"{where} holds a {type(value).__name__}; tables, tensors, arrays, numbers, text, and lists or dicts of them "
        "can be kept."
    )


def decode(value: Any) -> Any:
    """Return what `encode` was given."""
    if isinstance(value, Mapping):
        if value.get(_KIND) == "array":
            return value["values"].numpy().copy()
        if value.get(_KIND) == "table":
            columns = value["columns"]
            series = {column["name"]: pd.Series(column["values"], dtype=column["dtype"]) for column in columns}
            return pd.DataFrame(series).set_axis(decode(value["index"]), axis=0)
        return {key: decode(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(decode(part) for part in value)
    return value


def _column(name: Any, column: pd.Series, where: str) -> dict[str, Any]:
    if not isinstance(name, str):
        raise ResultsError(f"{where} holds a table with the column {name!r}; names of columns must be text.")
    missing = column.dtype.kind not in "biufc"
    values = [None if missing and _is_missing(value) else encode(value, where) for value in column.tolist()]
    return {"name": name, "dtype": str(column.dtype), "values": values}


def _is_missing(value: Any) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value))
