"""What the book says about speed: tables from the committed results, each with the machine of its run."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd

from stylerepro.book import runs
from stylerepro.book.text import figures, pipe_table
from stylerepro.errors import ResultsError, RunError, unknown
from stylerepro.runs import tables
from stylerepro.runs.record import RECORD

Lines = list[tuple[str, ...]]


def performance(shown: Mapping[str, runs.Shown], name: str) -> str:
    """The table called `name` (a key of `TABLES`), once for each run that has its numbers, with the run's hardware.

    Raises `RunError` for an unknown name.
    """
    if name not in TABLES:
        raise RunError(unknown(name, list(TABLES), "table", "The book's page on performance"))
    experiment, file, make = TABLES[name]
    if experiment not in shown:
        return f"*There is no run of `{experiment}` yet.*"
    one, blocks = shown[experiment], []
    for folder, record in [(one.folder, one.record), *one.others]:
        lines = _lines(folder, record, file, make)
        if len(lines) > 1:
            told = f"{runs.hardware(record)} · `{record['profile']}` · {record['start'][:10]} · "
            blocks.append(f"{pipe_table(lines)}\n\n{told}{runs.links(folder, record, '', (RECORD, f'{file}.csv'))}")
    return "\n\n".join(blocks) or f"*The run of `{experiment}` has no such numbers.*"


def _lines(folder: Path, record: runs.Record, file: str, make: Callable[[pd.DataFrame], Lines]) -> Lines:
    types = record["columns"].get(file)
    if not types or not (folder / f"{file}.csv").is_file():
        return []
    try:
        return make(tables.read(folder / f"{file}.csv", types))
    except (KeyError, IndexError) as error:
        raise ResultsError(
            f"{folder.name}/{file}.csv lacks {error}, which the book's page on performance shows. Run it again."
        ) from error


def _cost(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["measured"] == "cost"]


def _vanilla_vs_fast(table: pd.DataFrame) -> Lines:
    lines: Lines = [("picture, px", "device", "1000 iterations of vanilla, s", "one pass of the network, s", "ratio")]
    for row in _cost(table).to_dict("records"):
        numbers = (row["vanilla_seconds"], row["fast_seconds"], row["ratio"])
        lines.append((str(row["size"]), str(row["device"]), *map(figures, numbers)))
    return lines


def _fair(table: pd.DataFrame) -> Lines:
    fair = table[table["measured"] == "quality"]
    lines: Lines = [("until it reaches the network's", "iterations, median", "range", "ratio of times, median")]
    for words, iterations, ratio in (
        ("total loss", "iterations", "fair_ratio"),
        ("style loss", "iterations_style", "fair_ratio_style"),
    ):
        counted = fair[iterations].dropna().astype(float)
        if len(counted):
            ends = f"{figures(counted.min())} to {figures(counted.max())}"
            lines.append((words, figures(counted.median()), ends, figures(fair[ratio].astype(float).median())))
    return lines


def _named(table: pd.DataFrame) -> pd.DataFrame:
    """With the network's name, multiplier included, as `name`."""
    factor = table["multiplier"].map(lambda one: "" if pd.isna(one) else f", multiplier {one:g}")
    return table.assign(name=table["architecture"].astype(str) + factor.astype(str))


def _networks(table: pd.DataFrame) -> Lines:
    rows = _named(_cost(table))
    rows = rows[(rows["path"] == "eager") & (rows["dtype"] == "float32")]
    places = list(rows[["device", "size"]].drop_duplicates().itertuples(index=False, name=None))
    head = [f"{size} px on {device}, s" for device, size in places]
    lines: Lines = [("network", *head, "parameters, million", "multiply-adds, 10⁹", "peak memory, MB")]
    for name, mine in rows.groupby("name", sort=False):
        seconds = mine.set_index(["device", "size"])["seconds"].to_dict()
        first = mine.iloc[0]
        scales = {"parameters": 1e6, "multiply_adds": 1e9, "peak_memory": 1e6}
        counts = [
            figures(float(first[column]) / scale) if pd.notna(first[column]) else "" for column, scale in scales.items()
        ]
        lines.append((str(name), *(figures(seconds.get(place)) for place in places), *counts))
    return lines


def _ways(table: pd.DataFrame) -> Lines:
    rows = _named(_cost(table).dropna(subset="times_as_fast"))
    paths = list(dict.fromkeys(rows["path"]))
    lines: Lines = [("network", *paths, "largest relative error")]
    for name, mine in rows.groupby("name", sort=False):
        fast = mine.set_index("path")["times_as_fast"].to_dict()
        error = figures(float(mine["relative_error"].max()), 2)
        lines.append((str(name), *(figures(fast.get(path)) for path in paths), error))
    return lines


def _evaluation(table: pd.DataFrame) -> Lines:
    rows = _cost(table)
    rows = rows[rows["optimiser"] != "adam"].sort_values(["device", "size", "times_as_fast"])
    lines: Lines = [
        (
            "loss network",
            "picture, px",
            "device",
            "numbers",
            "an evaluation, s",
            "300 by L-BFGS, s",
            "times as fast as VGG-19",
        )
    ]
    for row in rows.to_dict("records"):
        numbers = (row["seconds_evaluation"], row["seconds_300"], row["times_as_fast"])
        where = (f"`{row['network']}`", str(row["size"]), str(row["device"]), str(row["dtype"]))
        lines.append((*where, *map(figures, numbers)))
    return lines


def _subsets(table: pd.DataFrame) -> Lines:
    rows = _cost(table)
    lines: Lines = [("layers", "picture, px", "an iteration, s", "time", "multiply-adds", "peak memory")]
    for size, mine in rows.groupby("size"):
        whole = mine[mine["subset"] == "all"].iloc[0]
        for _, row in mine.iterrows():
            shares = [row[name] / whole[name] for name in ("seconds_iteration", "multiply_adds", "peak_memory")]
            numbers = (row["seconds_iteration"], *shares)
            lines.append((str(row["subset"]), str(size), *map(figures, numbers)))
    return lines


def _compact(table: pd.DataFrame) -> Lines:
    lines: Lines = [("`compact` against", "times as fast", "share of the peak memory")]
    found = table[table["layer"].isna()].groupby("measured")["value"].median().to_dict()
    for other in ("vgg19", "vgg19-16x"):
        numbers = (found.get(f"times_as_fast_as_{other}"), found.get(f"memory_share_of_{other}"))
        lines.append((f"`{other}`", *map(figures, numbers)))
    return lines


def _compression(table: pd.DataFrame) -> Lines:
    lines: Lines = [
        ("method", "picture, px", "factorisation, s, median", "an iteration from it, over one from the raw picture")
    ]
    for (method, size), mine in table.groupby(["method", "size"], sort=False):
        ratio = mine["iteration_ratio"].dropna().astype(float)
        ends = f"{figures(ratio.min())} to {figures(ratio.max())}" if len(ratio) else ""
        lines.append((str(method), str(size), figures(mine["seconds_factorisation"].median()), ends))
    return lines


def _training(table: pd.DataFrame) -> Lines:
    rows = _named(table[table["reading"].isna()])
    lines: Lines = [("network", "a step, s, median", "steps")]
    for name, mine in rows.groupby("name", sort=False):
        lines.append((str(name), figures(mine["seconds"].median()), figures(float(mine["step"].max()), 4)))
    return lines


# Name in the page to experiment, table ("metrics" or "history") and what makes its lines.
TABLES: Mapping[str, tuple[str, str, Callable[[pd.DataFrame], Lines]]] = {
    "vanilla": ("vanilla_vs_fast", "metrics", _vanilla_vs_fast),
    "fair": ("vanilla_vs_fast", "metrics", _fair),
    "networks": ("efficient_networks", "metrics", _networks),
    "ways": ("efficient_networks", "metrics", _ways),
    "evaluation": ("lbfgs_512", "metrics", _evaluation),
    "subsets": ("layer_subsets", "metrics", _subsets),
    "compact": ("compact_network", "metrics", _compact),
    "compression": ("compression", "metrics", _compression),
    "training": ("efficient_networks", "history", _training),
}
