"""Show in a terminal how runs go on, and tables of experiments, states, claims and assets. It decides nothing.

A table that does not fit its terminal becomes blocks, one a row: no word is ever broken.
"""

import textwrap
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from stylerepro.runs.execution import BUSY, COMPLETED, FAILED, FRESH, Outcome
from stylerepro.runs.experiments import Experiment
from stylerepro.runs.record import read_progress
from stylerepro.runs.runner import Job, State, duration, seconds_in

if TYPE_CHECKING:
    from stylerepro.runs.sweeps import Sweep

_GAP = 2  # spaces between columns, and before the lines of a block
_READABLE = 40  # characters that the last column of a table has at least, where it holds as many
_WIDE = 120  # columns from which on the ledger is a table
_LEDGER = (
    "id", "document", "reference", "yours", "effect", "interval", "runs", "n", "network", "profile", "verdict", "claim",
)  # fmt: skip
_NUMBERS = {"yours": "yours ", "reference": "reference ", "interval": "", "document": "the document says "}
_FOLDED = {"document": 12, "interval": 11, "network": 9, "verdict": 10}  # to leave room for the claim
_STATEMENT = 42  # characters shown of what a claim says
_REASONS = 4  # named of why a run is stale
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
        if outcome:
            self._end(job, outcome)
            return
        key = _title(job)
        if key not in self._lines:
            said = f"{key}: running, {f'expected {job.expected}' if job.expected else 'no estimate yet'}"
            self._lines[key] = self._progress.add_task(said, total=None, loop=None)
            if not self._console.is_terminal:
                say(self._console, said)
        if (progress := read_progress(job.task.experiment, job.task.name)) is None:
            return
        (done, wanted, name), line = progress, self._lines[key]
        task = next(task for task in self._progress.tasks if task.id == line)
        if task.fields["loop"] != (wanted, name):  # another loop, of whose speed nothing is known yet
            self._progress.reset(line, total=wanted, completed=done, loop=(wanted, name))
            self._progress.advance(line, _START)
        self._progress.update(line, completed=done, description=f"{key}: {done} of {wanted} {name}")

    def _end(self, job: Job, outcome: Outcome) -> None:
        key = _title(job)
        if key in self._lines:
            self._progress.remove_task(self._lines.pop(key))
        style = "green" if outcome.status in (COMPLETED, FRESH) else "bold red"
        took = f" in {duration(outcome.seconds)}" if outcome.status in (COMPLETED, FAILED) else ""
        say(self._console, f"{key}: {_WORDS[outcome.status]}{took}", style=style)
        cell = f"in code cell {outcome.cell['number']}: {outcome.cell['first_line']}" if outcome.cell else ""
        done = _results(job) if outcome.status in (COMPLETED, FRESH) and not job.point else ""
        why = (outcome.error, cell, f"log: {outcome.log}" if outcome.log else "", done)
        say(self._console, *filter(None, why), indent="    ")
        self._done += 1
        self._failed += outcome.status == FAILED
        whole = self._progress.tasks[0]
        if outcome.status == COMPLETED and not job.resumed:
            self._progress.advance(self._whole, self._weights[key])
        else:  # how long it took here says nothing about the others
            self._progress.update(self._whole, total=(whole.total or 0.0) - self._weights[key])
            self._progress.advance(self._whole, _START)
        said = self._describe()
        if not self._console.is_terminal and len(self._weights) > 1:
            left = whole.time_remaining if self._done < len(self._weights) else None
            say(self._console, said if left is None else f"{said}, {_roughly(left)} left")

    def _describe(self) -> str:
        failed = f", {self._failed} of them failed" if self._failed else ""
        said = f"{self._done} of {len(self._weights)} done{failed}"
        self._progress.update(self._whole, description=said)
        return said


def _results(job: Job) -> str:
    folder, here = job.task.folder, Path.cwd()
    return f"results in {folder.relative_to(here) if folder.is_relative_to(here) else folder}"


def _title(job: Job) -> str:
    return f"{job.task.experiment} ({job.point or job.task.label})"


def plan_lines(jobs: Sequence[Job], workers: int = 1) -> list[str]:
    """Return what will run and why, what is fresh, and how long it takes, so many at once."""
    stale = [job for job in jobs if job.stale]
    lines = []
    for job in stale:
        more = [f"and {len(job.reasons) - _REASONS} more"] if len(job.reasons) > _REASONS else []
        lines.append(f"{_title(job)}: stale: {'; '.join([*job.reasons[:_REASONS], *more])}")
    lines += [f"{_title(job)}: fresh, nothing to do; {_results(job)}" for job in jobs if not job.stale]
    if stale:
        lines.append(f"{len(stale)} {'run' if len(stale) == 1 else 'runs'} to do{_takes(stale, workers)}")
    return lines


def sweep_lines(sweep: "Sweep", workers: int) -> list[str]:
    """Return the grid, how its points stand, and how long the rest takes, so many at once."""
    lines = [f"{name}: {', '.join(map(str, values))}" for name, values in sweep.grid.items()]
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
    without = f" without {unknown} {'run' if unknown == 1 else 'runs'} of unknown length" if unknown else ""
    return f"{at_once}: {_roughly(max(max(known), sum(known) / workers))} in all{without}"


def _roughly(seconds: float) -> str:
    return "less than a minute" if seconds < 30 else f"about {duration(60 * max(1, round(seconds / 60)))}"


def show(console: Console, columns: Sequence[str], rows: Iterable[Sequence[str]], *, head: int, wide: int = 0) -> None:
    """Print a table of text, whose last column is folded between words.

    Where it does not fit, each row becomes a block: its first `head` cells on a line, the others below. wide: the table
    in any case, so many characters wide at least, beyond the edge of the terminal if need be.
    """
    cells = [[str(cell) for cell in row] for row in rows]
    *fixed, last = zip(columns, *cells, strict=True)
    gap = 1 if wide else _GAP
    least = sum(max(len(line) for cell in column for line in cell.split("\n")) + gap for column in fixed)
    longest = max(len(word) for cell in last for word in cell.split())
    least += longest if wide else max(longest, min(_READABLE, max(map(len, last))))
    if not wide and least > console.width:
        for row in cells:  # one long cell as it is, several short ones in a line with the names of their columns
            named = (f"{column} {cell}" for column, cell in zip(columns[head:], row[head:], strict=True) if cell)
            _block(console, row[:head], row[-1].splitlines() if len(row) == head + 1 else [", ".join(named)])
        return
    width = max(least + gap, wide)
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, gap, 0, 0))
    table.width = width if width > console.width else None
    for position, column in enumerate(columns):
        table.add_column(column, no_wrap=position < len(fixed))
    for row in cells:
        table.add_row(*map(Text, row))
    console.print(table, crop=False)


def say(console: Console, *lines: str, style: str = "", indent: str = "") -> None:
    """Print lines of text: on a terminal folded between words, in a pipe as they are."""
    for line in lines:
        folded = _folded(line, console.width, indent, indent) if console.is_terminal else f"{indent}{line}"
        console.print(Text(folded, style), soft_wrap=True)


def _block(console: Console, head: Sequence[str], lines: Sequence[str]) -> None:
    gap = " " * _GAP
    console.print(Text(_folded(gap.join(filter(None, head)), console.width, "", gap), "bold"), soft_wrap=True)
    for line in filter(None, lines):
        console.print(Text(_folded(line, console.width, gap, gap)), soft_wrap=True)


def _folded(text: str, width: int, first: str = "", following: str = "") -> str:
    return textwrap.fill(
        text, width, initial_indent=first, subsequent_indent=following, break_long_words=False, break_on_hyphens=False
    )


def show_experiments(console: Console, experiments: Iterable[Experiment]) -> None:
    """Print name, document, claims, title, and the profiles with the times to expect."""
    rows = []
    for experiment in experiments:
        expected = {name: seconds_in(profile.expected or "") for name, profile in experiment.profiles.items()}
        times = ", ".join(f"{name} {duration(seconds) if seconds else '?'}" for name, seconds in expected.items())
        rows.append((experiment.name, experiment.document, " ".join(experiment.claims), experiment.title, times))
    show(console, ("experiment", "document", "claims", "title", "profiles"), rows, head=4)


def show_states(console: Console, states: Iterable[State]) -> None:
    """Print how each run stands and why."""
    rows = []
    for state in states:
        word = "fresh" if not state.reasons else "never run" if state.reasons == ("never run",) else "stale"
        why = "\n".join(state.reasons) if word == "stale" else ""
        rows.append((state.experiment, state.profile, state.where, word, state.finished[:16].replace("T", " "), why))
    show(console, ("experiment", "profile", "results", "state", "last run (UTC)", "why"), rows, head=5)


def show_assets(console: Console, assets: Iterable[Any], available: Mapping[str, bool]) -> None:
    """Print what can be fetched, and what of it is here."""
    rows = []
    for asset in assets:
        size, here = f"{asset.bytes / 1e6:,.1f} MB" if asset.bytes else "?", "yes" if available[asset.name] else "no"
        rows.append((asset.name, asset.kind, size, here, asset.licence, asset.source))
    show(console, ("asset", "kind", "size", "here", "licence", "source"), rows, head=3)


def show_networks(console: Console, networks: Iterable[Any]) -> None:
    """Print the trained networks that there are."""
    from stylerepro.networks import naming

    rows = []
    for network in networks:
        about, label = network.description.trained, naming.label(network.description.architecture)
        weights = " ".join(f"{about['recipe'][f'{term}_weight']:g}" for term in ("content", "style", "tv"))
        size, where = f"{network.path.stat().st_size / 1e6:.1f} MB", "committed" if network.committed else "own"
        rows.append((network.name, about["style"], label, weights, str(about["step"]), size, where))
    show(console, ("network", "style", "architecture", "λ_c λ_s λ_TV", "steps", "size", "where"), rows, head=1)


def show_verdicts(
    console: Console, rows: Iterable[Mapping[str, Any]], *, long: bool = False, wide: bool = False
) -> None:
    """Print the ledger, a claim a row as `summary.compare` has them: on a wide terminal as a table, else as blocks.

    long: blocks with all of what was measured and why the verdict. wide: the table in any case.
    """
    if wide or (not long and console.is_terminal and console.width >= _WIDE):
        cells = [_ledger_cells(row) for row in rows]
        widths = [_FOLDED.get(name, _WIDE) for name in _LEDGER]
        folded = [[_folded(cell, width) for cell, width in zip(row, widths, strict=True)] for row in cells]
        show(console, _LEDGER, folded, head=1, wide=_WIDE)
        return
    for row in rows:
        lines = [row["statement"], f"measured: {row['measured']}" if long and row["measured"] else "", row["reason"]]
        if not long:
            lines = [textwrap.shorten(line, console.width - _GAP, placeholder=" …") for line in lines]
        stands_in = row.get("lacking") and row["reason"] != row["lacking"]  # no run of the profile tests the claim
        verdict = f"{row['verdict']} (committed)" if stands_in else row["verdict"]
        cell = {name: text for name, text in zip(_LEDGER, _ledger_cells(row), strict=True) if text}
        numbers = ", ".join(f"{words}{cell[name]}" for name, words in _NUMBERS.items() if name in cell)
        _block(console, (row["id"], ": ".join(filter(None, (verdict, numbers)))), lines)


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
