"""What the book says about several workers and about the overhead of a run: tables from what was measured.

`tests/bench_engines.py` measures, and writes `results/performance/engines.json`.
"""

import json
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

from stylerepro.book.text import figures, pipe_table
from stylerepro.errors import RunError, unknown
from stylerepro.files import results_root

Measured = Mapping[str, Any]

_ENGINES = {"local": "`--jobs {}`", "dask": "`--engine dask`, workers: {}"}
_PARTS = {
    "run": "all of it, on this machine",
    "notebook": "papermill executes a notebook of one empty cell, and its kernel starts and ends",
    "imports": "the imports of a notebook: PyTorch, pandas and this package",
    "papermill": "the imports of the process that watches over it: papermill and this package",
    "dask": "all of it, by a Dask worker that sends the folder back",
}


def scaling(name: str) -> str:
    """The table called `name` (a key of `TABLES`) with the machine it was measured on.

    Raises `RunError` for an unknown name.
    """
    if name not in TABLES:
        raise RunError(unknown(name, list(TABLES), "table", "The book's page on scaling"))
    path = results_root() / "performance" / "engines.json"
    if not path.is_file():
        return "*Not measured here: `python tests/bench_engines.py` does.*"
    measured = json.loads(path.read_text(encoding="utf-8"))
    hardware = measured["hardware"]
    machine = f"{hardware['cores']} cores of {hardware['cpu']}"
    return f"{pipe_table(TABLES[name](measured))}\n\n{machine} · {measured['date']}"


def _sweep(measured: Measured) -> list[tuple[str, ...]]:
    """Each way against one worker here, in the same round."""
    rows = measured["scaling"]
    alone = {row["round"]: row["seconds"] for row in rows if (row["engine"], row["workers"]) == ("local", 1)}
    lines: list[tuple[str, ...]] = [
        ("how", f"{measured['points']} runs, s", "times as fast as one worker here", "cores others used")
    ]
    for engine, workers in dict.fromkeys((row["engine"], row["workers"]) for row in rows):
        mine = [row for row in rows if (row["engine"], row["workers"]) == (engine, workers)]
        ratios = [alone[row["round"]] / row["seconds"] for row in mine]
        taken = figures(median(row["seconds"] for row in mine))
        lines.append((_ENGINES[engine].format(workers), taken, _range(ratios), _range([row["busy"] for row in mine])))
    return lines


def _overhead(measured: Measured) -> list[tuple[str, ...]]:
    """Each part against the whole run, measured beside it."""
    rows = measured["overhead"]
    lines: list[tuple[str, ...]] = [("of a run that does nothing", "s, median", "share of all of it")]
    for part, words in _PARTS.items():
        shares = [row[part] / row["run"] for row in rows]
        lines.append((words, figures(median(row[part] for row in rows)), _range(shares)))
    return lines


def _range(numbers: list[float]) -> str:
    low, high = figures(min(numbers), 2), figures(max(numbers), 2)
    return low if low == high else f"{low} to {high}"


# Name in the page to what makes its lines.
TABLES: Mapping[str, Callable[[Measured], list[tuple[str, ...]]]] = {"sweep": _sweep, "overhead": _overhead}
