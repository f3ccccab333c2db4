"""What the command shows: progress of runs, tables of experiments, states and assets. It decides nothing."""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn
from rich.table import Table
from rich.text import Text

from stylerepro.experiments import Experiment
from stylerepro.record import read_progress
from stylerepro.runner import Job, State, duration
from stylerepro.work import BUSY, COMPLETED, FAILED, FRESH, Outcome

if TYPE_CHECKING:
    import pandas as pd

_WORDS = {COMPLETED: "done", FAILED: "FAILED", FRESH: "done by another process", BUSY: "skipped"}


class RunReport:
    """One line a notebook: on a terminal with the elapsed time, elsewhere one at the start and at the end."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._since: dict[str, float] = {}
        self._lines: dict[str, TaskID] = {}
        columns = (SpinnerColumn(), TextColumn("{task.description}"))
        self._live = Progress(*columns, console=console, transient=True) if console.is_terminal else None

    def __enter__(self) -> "RunReport":
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def started(self, job: Job) -> None:
        """Begin the job's line."""
        key = _title(job)
        self._since[key] = time.monotonic()
        if self._live:
            self._lines[key] = self._live.add_task(self._line(job), total=None, job=job)
        else:
            self._print(self._line(job))

    def tick(self) -> None:
        """Bring the elapsed times up to date."""
        if self._live:
            for task in self._live.tasks:
                self._live.update(task.id, description=self._line(task.fields["job"]))

    def ended(self, job: Job, outcome: Outcome) -> None:
        """Replace the job's line by how it ended."""
        if self._live and (line := self._lines.pop(_title(job), None)) is not None:
            self._live.remove_task(line)
        style = "green" if outcome.status in (COMPLETED, FRESH) else "bold red"
        took = f" in {duration(outcome.seconds)}" if outcome.status in (COMPLETED, FAILED) else ""
        self._print(f"{_title(job)}: {_WORDS[outcome.status]}{took}", style)
        for text in failure_lines(outcome):
            self._print(f"    {text}")

    def _line(self, job: Job) -> str:
        elapsed = duration(time.monotonic() - self._since[_title(job)])
        expected = f"expected {job.expected}" if job.expected else "no estimate yet"
        if not self._live:
            return f"{_title(job)}: running, {expected}"
        progress = read_progress(job.task.experiment, job.task.name)
        return ", ".join(filter(None, (f"{_title(job)}: running {elapsed}", progress, expected)))

    def _print(self, line: str, style: str = "") -> None:
        self._console.print(Text(line, style), soft_wrap=True)


def _title(job: Job) -> str:
    return f"{job.task.experiment} ({job.task.label})"


def failure_lines(outcome: Outcome) -> list[str]:
    """What went wrong, where, and where to read more."""
    lines = [outcome.error] if outcome.error else []
    if outcome.cell:
        lines.append(f"in code cell {outcome.cell['number']}: {outcome.cell['first_line']}")
    if outcome.log:
        lines.append(f"log: {outcome.log}")
    return lines


def plan_lines(jobs: Sequence[Job]) -> list[str]:
    """What will run and why, what is fresh."""
    fresh = [_title(job) for job in jobs if not job.stale]
    lines = [f"{_title(job)}: stale: {_reasons(job.reasons)}" for job in jobs if job.stale]
    return lines + ([f"fresh, nothing to do: {', '.join(fresh)}"] if fresh else [])


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


def counts_table(collected: "pd.DataFrame") -> Table:
    """How many rows each run gave."""
    columns = list(collected.columns[:3])
    counts = collected.value_counts(columns, sort=False).reset_index()
    return table((*columns, "rows"), counts.astype(str).to_numpy().tolist())


def verdicts_table(judged: "pd.DataFrame") -> Table:
    """Each claim with its verdict, the measurement and the reason."""
    columns = ("id", "statement", "verdict", "measured", "reason")
    return table(columns, judged[list(columns)].astype(object).fillna("").astype(str).to_numpy().tolist())


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """A plain table of text."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for position, column in enumerate(columns):
        made.add_column(column, overflow="fold", no_wrap=position == 0)
    for row in rows:
        made.add_row(*(Text(str(cell)) for cell in row))
    return made
