"""What the command shows: progress of runs, tables of experiments, states and assets. It decides nothing."""

import textwrap
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from stylerepro.runs.execution import BUSY, COMPLETED, FAILED, FRESH, Outcome
from stylerepro.runs.experiments import Experiment
from stylerepro.runs.record import read_progress
from stylerepro.runs.runner import Job, State, duration

if TYPE_CHECKING:
    import pandas as pd

    from stylerepro.cli.doctor import Finding
    from stylerepro.runs.sweeps import Sweep

_WORDS = {COMPLETED: "done", FAILED: "FAILED", FRESH: "done by another process", BUSY: "skipped"}
_START = 1e-9  # seconds; gives rich's reckoning of the speed its first sample, from which it counts


class RunReport:
    """Show how a plan goes on: on a terminal live, elsewhere a line at the start and end of each run.

    The time left is rich's reckoning from the runs that have ended, each counted by its expected time; of a run that
    goes on, from what its notebook says of its loop. clock: gives seconds.
    """

    def __init__(self, console: Console, jobs: Sequence[Job], clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        stale = [job for job in jobs if job.stale]
        known = [job.seconds for job in stale if job.seconds]
        usual = sum(known) / len(known) if known else 1.0
        self._weights = {_title(job): job.seconds or usual for job in stale}
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(20), TimeElapsedColumn())
        options: dict[str, Any] = {"transient": True, "disable": not console.is_terminal, "get_time": clock}
        options |= {"console": console, "speed_estimate_period": float("inf")}
        self._progress = Progress(*columns, TimeRemainingColumn(), **options)
        self._whole = self._progress.add_task("", total=sum(self._weights.values()))
        self._progress.advance(self._whole, _START)
        self._lines: dict[str, TaskID] = {}
        self._done = self._failed = 0
        self._describe()

    def __enter__(self) -> "RunReport":
        if self._weights:
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def __call__(self, job: Job, outcome: Outcome | None) -> None:
        """Show that a job runs, or how it ended; see `runner.Report`."""
        key = _title(job)
        if outcome is None and key not in self._lines:
            expected = f"expected {job.expected}" if job.expected else "no estimate yet"
            self._lines[key] = self._progress.add_task(f"{key}: running, {expected}", total=None, loop=None)
            if not self._console.is_terminal:
                self._print(f"{key}: running, {expected}")
        if outcome is None:
            self._move(job)
        else:
            self._end(job, outcome)

    def _move(self, job: Job) -> None:
        line = self._lines[_title(job)]
        if (said := read_progress(job.task.experiment, job.task.name)) is None:
            return
        done, wanted, name = said
        task = next(task for task in self._progress.tasks if task.id == line)
        if task.fields["loop"] != (wanted, name):  # another loop, of whose speed nothing is known yet
            self._progress.reset(line, total=wanted, completed=done, loop=(wanted, name))
            self._progress.advance(line, _START)
        self._progress.update(line, completed=done, description=f"{_title(job)}: {done} of {wanted} {name}")

    def _end(self, job: Job, outcome: Outcome) -> None:
        key = _title(job)
        if key in self._lines:
            self._progress.remove_task(self._lines.pop(key))
        style = "green" if outcome.status in (COMPLETED, FRESH) else "bold red"
        took = f" in {duration(outcome.seconds)}" if outcome.status in (COMPLETED, FAILED) else ""
        self._print(f"{key}: {_WORDS[outcome.status]}{took}", style)
        for text in failure_lines(outcome):
            self._print(f"    {text}")
        self._done += 1
        self._failed += outcome.status == FAILED
        whole = next(task for task in self._progress.tasks if task.id == self._whole)
        if outcome.status == COMPLETED and not job.resumed:
            self._progress.advance(self._whole, self._weights[key])
        else:  # how long it took here says nothing about the others
            self._progress.update(self._whole, total=(whole.total or 0.0) - self._weights[key])
            self._progress.advance(self._whole, _START)
        said = self._describe()
        if not self._console.is_terminal and len(self._weights) > 1:
            left = whole.time_remaining if self._done < len(self._weights) else None
            self._print(said if left is None else f"{said}, {_roughly(left)} left")

    def _describe(self) -> str:
        failed = f", {self._failed} of them failed" if self._failed else ""
        said = f"{self._done} of {len(self._weights)} done{failed}"
        self._progress.update(self._whole, description=said)
        return said

    def _print(self, line: str, style: str = "") -> None:
        self._console.print(Text(line, style), soft_wrap=True)


def _title(job: Job) -> str:
    return f"{job.task.experiment} ({job.point or job.task.label})"


def failure_lines(outcome: Outcome) -> list[str]:
    """What went wrong, where, and where to read more."""
    lines = [outcome.error] if outcome.error else []
    if outcome.cell:
        lines.append(f"in code cell {outcome.cell['number']}: {outcome.cell['first_line']}")
    if outcome.log:
        lines.append(f"log: {outcome.log}")
    return lines


def plan_lines(jobs: Sequence[Job], workers: int = 1) -> list[str]:
    """What will run and why, what is fresh; how many runs that is and how long they take, so many at once."""
    fresh = [_title(job) for job in jobs if not job.stale]
    stale = [job for job in jobs if job.stale]
    lines = [f"{_title(job)}: stale: {_reasons(job.reasons)}" for job in stale]
    lines += [f"fresh, nothing to do: {', '.join(fresh)}"] if fresh else []
    if stale:
        lines.append(f"{len(stale)} {'run' if len(stale) == 1 else 'runs'} to do{_takes(stale, workers)}")
    return lines


def sweep_lines(sweep: "Sweep", workers: int) -> list[str]:
    """The grid, how many points that is, how they stand, and how long the rest takes, so many at once."""
    lines = [f"{name}: {', '.join(str(one) for one in values)}" for name, values in sweep.grid.items()]
    sizes = " × ".join(str(len(values)) for values in sweep.grid.values())
    lines.append(f"{sizes} = {len(sweep.jobs)} points, {len(sweep.finished)} of them finished")
    if sweep.failed:
        lines.append(f"{len(sweep.failed)} failed last time and are left alone; --retry runs them again")
    if waiting := sweep.waiting:
        lines.append(f"{len(waiting)} to do{_takes(waiting, workers)}")
    return lines


def _takes(jobs: Sequence[Job], workers: int) -> str:
    """Return how long jobs take in all, so many at once, in words."""
    known = [job.seconds for job in jobs if job.seconds is not None]
    at_once = f", {workers} at a time" if min(workers, len(jobs)) > 1 else ""
    if not known:
        return f"{at_once}: no estimate yet"
    unknown = len(jobs) - len(known)
    runs = "1 run" if unknown == 1 else f"{unknown} runs"
    without = f" without {runs} of unknown length" if unknown else ""
    return f"{at_once}: {_roughly(max(max(known), sum(known) / workers))} in all{without}"


def _roughly(seconds: float) -> str:
    return "less than a minute" if seconds < 30 else f"about {duration(60 * max(1, round(seconds / 60)))}"


def _reasons(reasons: Sequence[str]) -> str:
    return "; ".join(reasons[:4]) + (f"; and {len(reasons) - 4} more" if len(reasons) > 4 else "")


def experiments_table(experiments: Iterable[Experiment]) -> Table:
    """Name, title, document, claims, profiles with their expected times."""
    rows = []
    for one in experiments:
        times = [f"{name} ({profile.expected or '?'})" for name, profile in one.profiles.items()]
        rows.append((one.name, one.title, one.document, " ".join(one.claims), ", ".join(times)))
    return table(("experiment", "title", "document", "claims", "profiles"), rows)


def status_table(states: Iterable[State]) -> Table:
    """How each run stands and why."""
    rows = []
    for one in states:
        word = "fresh" if not one.reasons else "never run" if one.reasons == ("never run",) else "stale"
        why = "" if word != "stale" else "\n".join(one.reasons)
        rows.append((one.experiment, one.profile, one.where, word, one.finished[:16].replace("T", " "), why))
    return table(("experiment", "profile", "results", "state", "last run (UTC)", "why"), rows)


def assets_table(assets: Iterable[Any], available: Mapping[str, bool]) -> Table:
    """What can be fetched."""
    rows = []
    for asset in assets:
        size = f"{asset.bytes / 1e6:,.1f} MB" if asset.bytes else "?"
        rows.append(
            (asset.name, asset.kind, size, "yes" if available[asset.name] else "no", asset.licence, asset.source)
        )
    return table(("asset", "kind", "size", "here", "licence", "source"), rows)


def networks_table(networks: Iterable[Any]) -> Table:
    """What trained networks there are."""
    rows = []
    for one in networks:
        about = one.description.trained
        weights = " ".join(f"{about['recipe'][f'{term}_weight']:g}" for term in ("content", "style", "tv"))
        where = "committed" if one.committed else "own"
        label = one.description.architecture.label
        rows.append((one.name, about["style"], label, weights, about["step"], one.path.stat().st_size / 1e6, where))
    shown = [(*row[:4], str(row[4]), f"{row[5]:.1f} MB", row[6]) for row in rows]
    return table(("network", "style", "architecture", "λ_c λ_s λ_TV", "steps", "size", "where"), shown)


def findings_table(findings: Iterable["Finding"]) -> Table:
    """What `doctor` found."""
    return table(("what", "state", "found", "what to do"), map(astuple, findings))


def counts_table(collected: "pd.DataFrame") -> Table:
    """How many rows each run gave."""
    columns = list(collected.columns[:3])
    counts = collected.value_counts(columns, sort=False).reset_index()
    return table((*columns, "rows"), counts.astype(str).to_numpy().tolist())


_LEDGER = (
    "id", "document", "reference", "yours", "effect", "interval", "runs", "n", "network", "profile", "verdict", "claim",
)  # fmt: skip
_WHOLE = ("reference", "yours", "effect", "runs", "n")  # columns of numbers, which are not folded
_NARROW = {"document": 12, "interval": 15, "network": 9, "verdict": 10}  # these are, to leave room for the claim
_STATEMENT = 42  # characters shown of what a claim says


def verdicts_table(rows: Iterable[Mapping[str, Any]], long: bool = False) -> Table:
    """The ledger, a claim a row as `summary.compare` has them; `long`: with what was measured and why the verdict."""
    if long:
        columns = ("id", "statement", "verdict", "measured", "reason")
        return table(columns, ([row[column] or "" for column in columns] for row in rows))
    made = table(_LEDGER, map(_ledger_cells, rows))
    for name, column in zip(_LEDGER, made.columns, strict=True):
        column.no_wrap, column.max_width = column.no_wrap or name in _WHOLE, _NARROW.get(name)
    made.padding = (0, 1, 0, 0)
    return made


def _ledger_cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    from stylerepro.ledger.rules import NOT_TESTED, short_text, stated_text

    numbers = ("reference", "yours", "effect", "low", "high")
    shown = {name: "" if row[name] is None else short_text(row[name]) for name in numbers}
    ends = f"{shown['low']} … {shown['high']}" if row["kind"] == "number" else f"[{shown['low']}, {shown['high']}]"
    untested = row["verdict"] == NOT_TESTED
    return (
        row["id"],
        "" if row["number"] is None else f"{stated_text(row['number'])} {row['unit']}",
        shown["reference"],
        ("≠ " if row["agrees"] is False else "") + shown["yours"],
        shown["effect"],
        ends if shown["low"] != shown["high"] else "",
        str(len(row["runs"])),
        "" if row["n"] is None else str(row["n"]),
        " ".join(name for name, verdict in row["networks"].items() if untested or verdict != NOT_TESTED),
        row["profile"],
        row["verdict"],
        textwrap.shorten(row["statement"], _STATEMENT, placeholder=" …"),
    )


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """A plain table of text."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for position, column in enumerate(columns):
        made.add_column(column, overflow="fold", no_wrap=position == 0)
    for row in rows:
        made.add_row(*(Text(str(cell)) for cell in row))
    return made
