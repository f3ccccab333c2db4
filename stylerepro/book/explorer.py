"""The explorer: a page to look through the settings of the runs that have a gallery.

A run with a gallery gives a panel: each picture is a setting, placed by the columns that the sidecar names as sliders
and choices, with the numbers of its row exactly as the table has them. The data are in the page and the pictures beside
it: from a folder on disk it works as from a server.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from stylerepro.book.pages import command
from stylerepro.book.text import figures, pipe_table
from stylerepro.errors import ResultsError
from stylerepro.runs import gallery
from stylerepro.runs.declarations import Column
from stylerepro.runs.experiments import Experiment, Explore
from stylerepro.runs.record import RECORD

FOLDER = "_static/explorer"
DATA = f"{FOLDER}/data.js"
POINTS = 60  # of a curve at most: it is for looking at, not for reading off
_PLAIN = ("", "1", "-")  # units that are none
_STEP = "step"


@dataclass(frozen=True)
class Panel:
    """One experiment in the explorer. data: what the script gets, plain JSON; folder: its run."""

    data: Mapping[str, Any]
    folder: Path


def panels(
    entries: Iterable[Experiment], runs: Mapping[str, tuple[Path, Mapping[str, Any]]]
) -> tuple[list[Panel], list[Experiment]]:
    """Return the panels of the experiments that can be explored, and those that could be but have no gallery yet.

    runs: experiment to the folder and the record of the run that the book shows.
    Raises `ResultsError` for a damaged gallery, and for one whose table lacks a column that the sidecar names.
    """
    shown, missing = [], []
    for entry in entries:
        if entry.explore and entry.name in runs and (made := panel(entry, *runs[entry.name])):
            shown.append(made)
        elif entry.explore:
            missing.append(entry)
    return shown, missing


def panel(entry: Experiment, folder: Path, record: Mapping[str, Any]) -> Panel | None:
    """Return one experiment's panel; None where it asks for none or its run has no gallery. Raises as `panels`."""
    explore, pictures = entry.explore, gallery.read(folder)
    if explore is None or pictures is None:
        return None
    columns = entry.history_columns if explore.table == "history" else entry.columns
    where = f"{entry.name}: {explore.table}.csv of {folder.name}"
    placed_by = [*explore.sliders, *explore.choices]
    table = _texts(folder / f"{explore.table}.csv", where, [*placed_by, *explore.shown])
    if pictures["row"].max() >= len(table):
        raise ResultsError(f"{where} has {len(table)} rows, fewer than its gallery names. Run the experiment again.")
    rows = table.iloc[pictures["row"]].reset_index(drop=True)
    chosen = {name: [_value(text, columns[name]) for text in rows[name]] for name in placed_by}
    axes = [_axis(name, columns[name], values, name in explore.sliders) for name, values in chosen.items()]
    if pd.DataFrame(chosen).duplicated().any():
        raise ResultsError(f"{where}: {', '.join(chosen)} do not tell its pictures apart; explore needs more.")
    curves, matched = _curves(entry, explore, folder, rows)
    settings = []
    for number, picture in enumerate(pictures.to_dict("records")):
        texts: Any = rows.loc[number]
        settings.append({
            "row": picture["row"],
            "at": [axis["values"].index(chosen[axis["name"]][number]) for axis in axes],
            "files": [picture[kind] for kind in ("picture", "spectrum", "before")],
            "profile": _profile(picture["profile"], where),
            "values": [texts[name] for name in explore.shown],
            "texts": [rounded(texts[name], columns[name]) for name in explore.shown],
            "curve": matched[number],
        })  # fmt: skip
    commit, networks = record.get("commit") or {}, ", ".join(record.get("networks") or {}) or "none"
    made = f"commit {commit['sha'][:10]}" if commit else "outside version control"
    data = {
        "name": entry.name,
        "title": entry.title,
        "chapter": f"notebooks/{entry.name}.html",
        "pictures": f"{FOLDER}/{entry.name}/",
        "table": f"{explore.table}.csv",
        "command": command(record),
        "record": f"profile {record['profile']} · loss network {networks} · {record['start'][:10]} · {made}",
        "axes": axes,
        "numbers": [_column(name, columns[name]) for name in explore.shown],
        "fixed": _fixed([*placed_by, *entry.parameters], rows.drop(columns=[*explore.shown]), columns),
        "settings": settings,
        "curves": curves,
    }
    return Panel(data, folder)


def _texts(path: Path, where: str, needed: Sequence[str]) -> pd.DataFrame:
    """Read a table as it is written: a page that shows its numbers must not round them on the way."""
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise ResultsError(f"{where} cannot be read ({error}). Run the experiment again.") from error
    if lacking := [name for name in needed if name not in table]:
        raise ResultsError(f"{where} has no column {', '.join(lacking)}. Run the experiment again.")
    return table


def _axis(name: str, column: Column, values: Sequence[str], slider: bool) -> dict[str, Any]:
    """Return a column to choose by, its values in order: numbers by size, words as they appear; a gap comes first."""
    number = column.type in ("int", "float")
    order = list(dict.fromkeys(values))
    if number:
        order.sort(key=lambda text: float(text or "-inf"))
    return _column(name, column) | {"slider": slider, "number": number, "values": order}


def _value(text: str, column: Column) -> str:
    """Return a value as one writes it: 10.0 as 10; what cannot be shortened without loss stays."""
    if column.type not in ("int", "float") or text == "":
        return text
    short = f"{float(text):g}"
    return short if float(short) == float(text) else text


def _column(name: str, column: Column) -> dict[str, str]:
    return {"name": name, "doc": column.doc, "unit": "" if column.unit in _PLAIN else column.unit}


def rounded(text: str, column: Column) -> str:
    """Return a number to four significant digits; whole numbers and words as they are; a gap as a dash."""
    return (figures(float(text), 4) if text and column.type == "float" else text) or "–"


def _profile(text: str, where: str) -> list[float]:
    with suppress(ValueError):
        values = [float(number) for number in text.split()]
        if len(values) == len(gallery.FREQUENCIES):
            return values
    raise ResultsError(f"{where} has a gallery with a spectrum that is damaged. Run the experiment again.")


def _fixed(set_by_hand: Sequence[str], rows: pd.DataFrame, columns: Mapping[str, Column]) -> list[dict[str, str]]:
    """Return what all settings have in common: columns of one value that are no result, as far as can be known."""
    return [
        _column(name, column) | {"text": _value(rows[name][0], column)}
        for name, column in columns.items()
        if name in rows and rows[name].nunique() == 1 and rows[name][0] != ""
        # A float is a result, unless it is chosen by or a parameter, maybe in the plural, gives it.
        if column.type != "float" or any(chosen.startswith(name) for chosen in set_by_hand)
    ]


def _curves(
    entry: Experiment, explore: Explore, folder: Path, rows: pd.DataFrame
) -> tuple[dict[str, Any] | None, list[int | None]]:
    """Return the losses over the steps, and which curve is each setting's.

    A curve belongs to a setting when all columns that both tables have are equal; of several the longest. A history
    that does not know every slider cannot say whose curves it holds, so none is shown.
    """
    path, known = folder / "history.csv", entry.history_columns
    losses = [name for name in known if name.endswith("_loss")]
    told = explore.table == "metrics" and losses and {_STEP, *explore.sliders} <= set(known)
    if not told or not path.is_file():
        return None, [None] * len(rows)
    # What a column that may be empty would have said, an older run leaves out.
    needed = [name for name, column in known.items() if not column.nullable]
    table = _texts(path, f"{entry.name}: {path.name} of {folder.name}", needed)
    known = {name: column for name, column in known.items() if name in table}
    keyed = [name for name in known if name != _STEP and (known[name].type != "float" or name in explore.sliders)]
    shared = [name for name in keyed if name in rows]
    lines: dict[tuple[str, ...], dict[str, Any]] = {}
    for _, group in table.groupby(keyed, sort=False):
        line = _line(group, losses)
        mine = tuple(_key(text) for text in group[shared].iloc[0])
        if mine not in lines or len(line["steps"]) > len(lines[mine]["steps"]):
            lines[mine] = line
    keys = [tuple(_key(text) for text in row) for row in rows[shared].values.tolist()]
    wanted = [key for key in dict.fromkeys(keys) if key in lines]
    content = {"columns": [_column(name, known[name]) for name in losses], "lines": [lines[key] for key in wanted]}
    return content if wanted else None, [wanted.index(key) if key in lines else None for key in keys]


def _key(text: str) -> str:
    """Return a value for comparing tables, of which one keeps six digits."""
    with suppress(ValueError):
        return f"{float(text):.6g}"
    return text


def _line(group: pd.DataFrame, losses: Sequence[str]) -> dict[str, Any]:
    places = np.unique(np.linspace(0, len(group) - 1, min(POINTS, len(group))).round().astype(int))
    kept = group.iloc[places]
    numbers = [[float(text or "nan") for text in kept[name]] for name in losses]
    values = [[float(f"{number:.4g}") if np.isfinite(number) else None for number in each] for each in numbers]
    return {"steps": [int(float(text)) for text in kept[_STEP]], "values": values}


def files(shown: Iterable[Panel]) -> dict[str, Path]:
    """Return what the page needs beside it: path in the book's sources to the file that is copied there."""
    copies: dict[str, Path] = {}
    for made in shown:
        place = made.data["pictures"]
        copies |= {place + name: made.folder / name for name in (made.data["table"], RECORD)}
        names = sorted({name for setting in made.data["settings"] for name in setting["files"] if name})
        copies |= {place + name: made.folder / gallery.NAME / name for name in names}
    return copies


def script(shown: Sequence[Panel]) -> str:
    """Return the data of all panels as a script: a page on disk may run one, but may not load a file of data."""
    content = {"frequencies": gallery.FREQUENCIES, "panels": [made.data for made in shown]}
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return f"window.stylereproExplorer = {text};\n"


def page(shown: Sequence[Panel], missing: Sequence[Experiment], profile: str) -> str:
    """Return the page in MyST: the first setting, in whose place the script puts all, and what is missing yet."""
    blocks = ["## Settings", _first(shown[0].data)] if shown else []
    if missing:
        why = "These experiments can be looked through once there is a run with pictures of their settings:"
        listed = "\n".join(f"- {entry.title}: `stylerepro run {entry.name} --profile {profile}`" for entry in missing)
        blocks += ["## Not here yet" if shown else "## Nothing here yet", why, listed]
    return "\n\n".join(blocks)


def _first(data: Mapping[str, Any]) -> str:
    """Return the first setting, for where no script runs."""
    setting = data["settings"][0]
    parts = zip(data["axes"], setting["at"], strict=True)
    told = ", ".join(f"{axis['name']} {axis['values'][place]}" for axis, place in parts)
    picture, spectrum, _ = (f"{data['pictures']}{name}" for name in setting["files"])
    numbers = [
        (f"`{column['name']}`: {column['doc']}", f"{text} {column['unit']}")
        for column, text in zip(data["numbers"], setting["texts"], strict=True)
    ]
    return "\n\n".join([
        "Without JavaScript, and in Jupyter Book 2, this page shows one setting of one experiment: "
        f"[{data['title']}]({data['chapter'].removesuffix('.html')}.ipynb), {told}.",
        _image(picture, f"{data['title']}: {told}", 320),
        _image(spectrum, f"Its amplitude spectrum: {told}", 160),
        pipe_table([("number", "value"), *numbers]),
    ])  # fmt: skip


def _image(path: str, alt: str, width: int) -> str:
    return f"```{{image}} {path}\n:alt: {alt}\n:width: {width}px\n```"
