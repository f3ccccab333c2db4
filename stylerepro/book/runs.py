"""Which run the book shows of each experiment, and the files of it that a reader can open."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from stylerepro.files import project_root, reference_root, runs_root
from stylerepro.ledger import claims, summary
from stylerepro.ledger.rules import NOT_TESTED
from stylerepro.runs.experiments import CROSSCHECK, REFERENCE
from stylerepro.runs.record import RECORD, current_runs

TABLES = ("metrics.csv", "history.csv")
_BESIDE = (CROSSCHECK, "paper")
Record = Mapping[str, Any]


@dataclass(frozen=True)
class Shown:
    """The runs behind one page. `folder`, `record`: the run whose notebook stands there.

    wanted: the profile that the book was asked for; the run is of another one where there was none. others: folder and
    record of the committed runs beside a reference run, of which there are tables alone: `crosscheck` and `paper`.
    """

    folder: Path
    record: Record
    wanted: str
    others: tuple[tuple[Path, Record], ...] = ()

    @property
    def stands_in(self) -> bool:
        """Whether the run is of another profile than the one asked for."""
        return bool(self.record["profile"] != self.wanted)


def shown(profile: str) -> dict[str, Shown]:
    """Experiment to the run that the book shows: of this profile where there is one, else the committed reference.

    A run without its notebook (of `crosscheck`, or `paper` as it is committed) has nothing to show.
    """
    wanted = _runs(profile)
    reference = wanted if profile == REFERENCE else _runs(REFERENCE)
    beside = [run for other in _BESIDE for run in current_runs(reference_root(), other)]
    found = {}
    for name, (folder, record) in (reference | wanted).items():
        mine = [run for run in beside if run[1]["experiment"] == name] if record["profile"] == REFERENCE else []
        found[name] = Shown(folder, record, profile, tuple(mine))
    return found


def tables(profile: str) -> dict[str, pd.DataFrame]:
    """Experiment to the table that verdicts rest on: of this profile's runs, else of the committed reference."""
    reference = summary.tables_from_results(REFERENCE, reference_root())
    return reference if profile == REFERENCE else reference | summary.tables_from_results(profile, None)


def judged(ledger: claims.Ledger, profile: str) -> list[dict[str, Any]]:
    """The claims with their verdicts, a dict each: on own runs of this profile where they test the claim, else on the
    committed reference. Beside own values stand `reference` and `agrees` (None where there is nothing to compare).
    """
    reference = summary.rows(summary.judged(ledger))
    if profile == REFERENCE:
        return reference
    own = summary.rows(summary.judged(ledger, profile, runs_root()))
    found = []
    for claim, mine, theirs in zip(ledger, own, reference, strict=True):
        row = dict(mine if mine["verdict"] != NOT_TESTED else theirs)
        values = mine["value"], theirs["value"]
        row["reference"], row["agrees"] = values[1], None
        if None not in values and mine["verdict"] != NOT_TESTED:
            row["agrees"] = claim.tolerance.agree(values[1], values[0])
        found.append(row)
    return found


def files(runs: Mapping[str, Shown], rows: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Records and tables of the runs that are shown, and of those behind the claims' `rows`, by path in the book."""
    folders = {}
    for row in rows:
        for run in row["runs"]:
            folders[place(run)] = project_root() / run["folder"]
    for one in runs.values():
        for folder, record in [(one.folder, one.record), *one.others]:
            folders[place(record)] = folder
    return {
        f"{where}/{name}": (folder / name).read_text(encoding="utf-8")
        for where, folder in folders.items()
        for name in (RECORD, *TABLES)
        if (folder / name).is_file()
    }


def place(record: Record) -> str:
    """The folder in the book where the files of a run lie."""
    return f"runs/{record['experiment']}-{record['profile']}"


def links(folder: Path, record: Record, up: str, names: Sequence[str] = (RECORD, *TABLES)) -> str:
    """Links to the files of a run, from a page that is below the book's root by `up` ("../" or "")."""
    there = [name for name in names if (folder / name).is_file()]
    return " · ".join(f"[{name}]({up}{place(record)}/{name})" for name in there)


def hardware(record: Record) -> str:
    """The machine of a run in words: the GPU where one was used, else threads and processor."""
    found, used = record.get("hardware") or {}, (record.get("device") or {}).get("used", "cpu")
    if used != "cpu":
        named = re.search(r"\((.+)\)", used)
        return str(found.get("gpu") or (named and named[1]) or used)
    cpu = found.get("cpu", "an unnamed processor")
    cores, threads = found.get("cores", "unknown"), found.get("threads")
    return f"{cores} cores of {cpu}" + (f", {threads} {'thread' if threads == 1 else 'threads'}" if threads else "")


def duration(seconds: float | None) -> str:
    """How long a run took, in words."""
    if seconds is None:
        return "time not kept"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def commit(record: Record) -> str:
    """The version of the code that a run was made from, in words."""
    found = record.get("commit")
    if not found:
        return "outside version control"
    return f"commit `{found['sha'][:10]}`{' with changes not committed' if found['dirty'] else ''}"


def _runs(profile: str) -> dict[str, tuple[Path, Record]]:
    """Of a profile: for `reference` the committed runs, for another the own ones and else the committed."""
    root = reference_root() if profile == REFERENCE else None
    return {
        record["experiment"]: (folder, record)
        for folder, record in current_runs(root, profile)
        if (folder / "notebook.ipynb").is_file()
    }
