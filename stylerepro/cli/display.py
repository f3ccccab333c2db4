"""What the command shows: progress of runs, tables of experiments, states and assets. It decides nothing."""

import textwrap
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn
from rich.table import Table
from rich.text import Text

from stylerepro.runs.estimate import Countdown, roughly
from stylerepro.runs.execution import BUSY, COMPLETED, FAILED, FRESH, Outcome
from stylerepro.runs.experiments import Experiment
from stylerepro.runs.record import read_progress
from stylerepro.runs.runner import Job, State, duration

if TYPE_CHECKING:
    import pandas as pd

    from stylerepro.cli.doctor import Finding
    from stylerepro.runs.sweeps import Sweep

_WORDS = {COMPLETED: "done", FAILED: "FAILED", FRESH: "done by another process", BUSY: "skipped"}


class RunReport:
    """How a plan goes on, and the time left: on a terminal live, elsewhere a line at the start and end of each run."""

    def __init__(self, console: Console, jobs: Sequence[Job], workers: int = 1) -> None:
        self._console = console
        self._stale = [job for job in jobs if job.stale]
        self._countdown = countdown(self._stale, workers)
        self._failed = 0
        self._running: dict[str, tuple[Job, float]] = {}  # and since when
        self._lines: dict[str, TaskID] = {}
        columns = (SpinnerColumn(), TextColumn("{task.description}"))
        self._live = Progress(*columns, console=console, transient=True) if console.is_terminal else None

    def __enter__(self) -> "RunReport":
        if self._live:
            if self._stale:
                self._live.add_task(self._whole(), total=None, job=None)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def started(self, job: Job) -> None:
        """Begin the job's line."""
        key = _title(job)
        self._running[key] = job, time.monotonic()
        self._countdown.started(key, self._running[key][1])
        if self._live:
            self._lines[key] = self._live.add_task(self._line(job), total=None, job=job)
        else:
            self._print(self._line(job))

    def tick(self) -> None:
        """Bring the times up to date."""
        for key, (job, _) in self._running.items():
            if progress := read_progress(job.task.experiment, job.task.name):
                self._countdown.moved(key, *progress, time.monotonic())
        if self._live:
            for task in self._live.tasks:
                job = task.fields["job"]
                self._live.update(task.id, description=self._line(job) if job else self._whole())

    def ended(self, job: Job, outcome: Outcome) -> None:
        """Replace the job's line by how it ended."""
        if self._live and (line := self._lines.pop(_title(job), None)) is not None:
            self._live.remove_task(line)
        style = "green" if outcome.status in (COMPLETED, FRESH) else "bold red"
        took = f" in {duration(outcome.seconds)}" if outcome.status in (COMPLETED, FAILED) else ""
        self._print(f"{_title(job)}: {_WORDS[outcome.status]}{took}", style)
        for text in failure_lines(outcome):
            self._print(f"    {text}")
        self._running.pop(_title(job), None)
        self._countdown.ended(_title(job), outcome.seconds if outcome.status == COMPLETED else None)
        self._failed += outcome.status == FAILED
        if not self._live and len(self._stale) > 1:
            self._print(self._whole())

    def _whole(self) -> str:
        done, wanted = self._countdown.done, len(self._stale)
        left, unknown = self._countdown.left(time.monotonic())
        parts = [f"{done} of {wanted} done"]
        if self._failed:
            parts.append(f"{self._failed} of them failed")
        if done < wanted:
            parts.append(_time_words(left, unknown, "left"))
        return ", ".join(parts)

    def _line(self, job: Job) -> str:
        elapsed = duration(time.monotonic() - self._running[_title(job)][1])
        expected = f"expected {job.expected}" if job.expected else "no estimate yet"
        if not self._live:
            return f"{_title(job)}: running, {expected}"
        said = self._countdown.loop(_title(job))
        return ", ".join(filter(None, (f"{_title(job)}: running {elapsed}", said, expected)))

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


def countdown(stale: Sequence[Job], workers: int) -> Countdown:
    """The reckoning of the time left of these runs, so many at once."""
    resumed = frozenset(_title(job) for job in stale if job.resumed)
    return Countdown({_title(job): job.seconds for job in stale}, workers, resumed)


def plan_lines(jobs: Sequence[Job], workers: int = 1) -> list[str]:
    """What will run and why, what is fresh; how many runs that is and how long they take, so many at once."""
    fresh = [_title(job) for job in jobs if not job.stale]
    stale = [job for job in jobs if job.stale]
    lines = [f"{_title(job)}: stale: {_reasons(job.reasons)}" for job in stale]
    lines += [f"fresh, nothing to do: {', '.join(fresh)}"] if fresh else []
    if stale:
        at_once = f", {workers} at a time" if min(workers, len(stale)) > 1 else ""
        takes = _time_words(*countdown(stale, workers).left(0.0), "in all")
        lines.append(f"{len(stale)} {'run' if len(stale) == 1 else 'runs'} to do{at_once}: {takes}")
    return lines


def sweep_lines(sweep: "Sweep", workers: int) -> list[str]:
    """The grid, how many points that is, how they stand, and how long the rest takes, so many at once."""
    lines = [f"{name}: {', '.join(str(one) for one in values)}" for name, values in sweep.grid.items()]
    sizes = " × ".join(str(len(values)) for values in sweep.grid.values())
    lines.append(f"{sizes} = {len(sweep.jobs)} points, {len(sweep.finished)} of them finished")
    if sweep.failed:
        lines.append(f"{len(sweep.failed)} failed last time and are left alone; --retry runs them again")
    if waiting := sweep.waiting:
        at_once = f", {workers} at a time" if min(workers, len(waiting)) > 1 else ""
        takes = _time_words(*countdown(waiting, workers).left(0.0), "in all")
        lines.append(f"{len(waiting)} to do{at_once}: {takes}")
    return lines


def _time_words(seconds: float, unknown: int, what: str) -> str:
    runs = "1 run" if unknown == 1 else f"{unknown} runs"
    if not seconds and unknown:
        return "no estimate yet"
    return f"{roughly(seconds)} {what}" + (f" without {runs} of unknown length" if unknown else "")


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
