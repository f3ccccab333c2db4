"""Plan runs: which are wanted, which of them are stale and why; and execute them on any executor."""

import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from stylerepro.errors import ParameterError, RunError, StyleReproError, unknown
from stylerepro.files import hash_of, project_root, reference_root, runs_root
from stylerepro.runs import record as records
from stylerepro.runs.declarations import Values
from stylerepro.runs.execution import COMPLETED, FAILED, FRESH, Outcome, Task, done_record, perform
from stylerepro.runs.experiments import CUSTOM, DEFAULT_PROFILE, Experiment, discover, identifying, resolve_parameters
from stylerepro.runs.fingerprint import Fingerprint, compute, compute_each, explain
from stylerepro.runs.processes import LocalExecutor

_POLL = 0.25  # seconds
_COUNTED = re.compile(r"(^|_)(iterations|steps|evaluations|run|repeats)$")  # parameters that the work grows with
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_NUMBER = re.compile(r"(\d+(?:\.\d+)?)\s*(s|sec|seconds?|min|minutes?|h|hours?|days?)\b")


@dataclass(frozen=True)
class Job:
    """A wanted run. reasons: why it has to run, in plain words; none when its result is there and fresh.

    expected: how long it took last time, or is said to take by the sidecar, in words; "" where nobody knows. seconds:
    the same as a number, None where the words hold none. resumed: it goes on from kept parts. failed: it did so last
    time, by the same code. point: a sweep's values.
    """

    task: Task
    reasons: tuple[str, ...]
    expected: str
    finished: str = ""
    seconds: float | None = None
    resumed: bool = False
    failed: bool = False
    point: str = ""

    @property
    def stale(self) -> bool:
        return bool(self.reasons)


# Is told of a job again and again while it runs, and with its outcome when it has ended.
Report = Callable[[Job, Outcome | None], None]


def parse_overrides(texts: Sequence[str]) -> dict[str, str]:
    """Return `["gamma=0,10", "size=64"]` as name to text. Raises `ParameterError` for one without "="."""
    for text in texts:
        if "=" not in text or not text.partition("=")[0].strip():
            raise ParameterError(f"-p {text!r}: write it as name=value, for example -p size=64.")
    return {name.strip(): value for name, _, value in (text.partition("=") for text in texts)}


def plan(
    names: Sequence[str] = (), profile: str = DEFAULT_PROFILE, overrides: Values | None = None, *, force: bool = False
) -> list[Job]:
    """Return the runs of the named experiments, or of all that have the profile; `force` makes fresh ones stale.

    Raises, before anything runs, `RunError` for an unknown experiment or profile, `ParameterError` for an override that
    one of them does not have or that has the wrong type.
    """
    experiments = discover(names)
    if not experiments:
        where = "Run this inside the project's folder, or set STYLEREPRO_ROOT to it."
        raise RunError(f"There are no experiments here: no notebooks/NAME.yaml. {where}")
    having = [experiment for experiment in experiments if profile in experiment.profiles]
    for experiment in experiments:
        if experiment not in having and (names or not having):
            raise RunError(unknown(profile, list(experiment.profiles), "profile", f"Experiment {experiment.name}"))
    # All values are checked before the first fingerprint, which takes longer, is computed.
    chosen = [(experiment, resolve_parameters(experiment, profile, overrides)) for experiment in having]
    return [job for experiment, values in chosen for job in plan_points(experiment, profile, [values], force=force)]


def plan_points(experiment: Experiment, profile: str, points: Sequence[Values], *, force: bool = False) -> list[Job]:
    """Return the runs of one experiment with these parameters, all of them, whose notebook is read once.

    One that has exactly a profile's values is that profile's run; `profile`'s, where two are alike.
    """
    profiles = [experiment.profiles[name] for name in (*experiment.profiles, profile)]
    labels = {hash_of(identifying(each.parameters)): each.name for each in profiles}
    jobs = [
        _job(experiment, labels.get(hash_of(identifying(parameters)), CUSTOM), parameters, fingerprint, force)
        for parameters, fingerprint in zip(points, compute_each(experiment, points), strict=True)
    ]
    base, folder = profiles[-1], runs_root() / experiment.name
    work = [times_the_work(base.parameters, job.task.parameters) for job in jobs]
    took = [job.seconds / times for job, times in zip(jobs, work, strict=True) if job.finished and job.seconds]
    last = _last_record(folder / base.name, base.name) or {}
    known = sum(took) / len(took) if took else last.get("seconds") or seconds_in(base.expected or "")
    for place, job in enumerate(jobs):
        if job.seconds is None and job.task.label == CUSTOM and known:
            seconds = known * work[place]
            jobs[place] = replace(job, expected=f"about {duration(seconds)}, judged by {base.name}", seconds=seconds)
    return jobs


def times_the_work(usual: Values, values: Values) -> float:
    """Return how many times the work of parameters `usual` others are, roughly.

    Sizes count by their squares, numbers of steps and the lengths of lists as they are, and nothing else.
    """
    times = 1.0
    for name, value in values.items():
        before: Any = usual.get(name)
        if isinstance(value, list) and isinstance(before, list):
            times *= max(len(value), 1) / max(len(before), 1)
        elif type(value) is type(before) and type(value) in (int, float) and min(value, before) > 0:
            times *= (value / before) ** (2 if "size" in name else 1 if _COUNTED.search(name) else 0)
    return times


def _job(experiment: Experiment, label: str, parameters: Values, fingerprint: Fingerprint, force: bool) -> Job:
    task = Task(experiment.name, label, parameters, str(project_root()), force, digest=fingerprint.digest)
    folder = task.folder
    done = done_record(folder, task.digest)
    last = done or _last_record(folder, label)
    finished = str(last["start"]) if last else ""
    expected, seconds = _expected(experiment, label, last)
    if done:
        return Job(task, ("forced",) if force else (), expected, finished, seconds)
    reasons = explain(last["fingerprint"].get("components", {}), fingerprint.components) if last else ["never run"]
    damaged = records.damage(folder) if folder.exists() else None
    if damaged or (last and not reasons):
        reasons = [f"its folder is damaged: {damaged or 'it has no notebook'}"]
    record = records.record_of(task.failed_folder) or {}
    failed = bool(record) and record["fingerprint"].get("digest") == task.digest
    if failed:
        message = (record.get("error") or {}).get("message", "unknown")
        reasons = [f"it failed last time: {message}", *(reasons if last else [])]
    staging = records.staging_folder(task.experiment, task.name, task.digest)
    resumed = next((staging / "parts").glob("*/*.pt"), None) is not None
    if resumed:
        reasons.append("goes on from the parts that are kept")
    return Job(task, tuple(reasons), expected, finished, seconds, resumed and not force, failed)


def _last_record(folder: Path, label: str) -> dict[str, Any] | None:
    """Return the record of the run in `folder`, else of the newest of its profile, which had other parameters."""
    if (record := records.record_of(folder)) or label == CUSTOM:
        return record
    runs = records.finished_runs(folder.parent, f"{label}-")
    same = [record for _, record in runs if record["profile"] == label and not record.get("manual")]
    return max(same, key=lambda record: str(record["start"]), default=None)


def _expected(experiment: Experiment, label: str, last: Mapping[str, Any] | None) -> tuple[str, float | None]:
    if last and last.get("seconds"):
        return f"{duration(float(last['seconds']))} last time", float(last["seconds"])
    profile = experiment.profiles.get(label)
    if profile is None or not profile.expected:
        return "", None
    words = f"{profile.expected} on {experiment.hardware}" if experiment.hardware else profile.expected
    return words, seconds_in(profile.expected)


def seconds_in(words: str) -> float | None:
    """Return the seconds that a sidecar's words say: 180 for "3 min", 4860 for "6 min, and 75 min to train".

    What is joined is added; what stands in brackets, behind a semicolon or is said of a GPU does not count. None where
    that leaves no number.
    """
    plain = re.sub(r"\(.*?\)", "", words).partition(";")[0]
    numbers = [number for part in plain.split(",") if "GPU" not in part for number in _NUMBER.findall(part)]
    return sum(float(number) * _UNITS[unit[0]] for number, unit in numbers) if numbers else None


def duration(seconds: float) -> str:
    """Return seconds as a person says them: 4.2 s, 3 min 5 s, 2 h 10 min."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes_left = divmod(minutes, 60)
    parts = [(hours, "h"), (minutes_left, "min")] if hours else [(minutes, "min"), (rest, "s")]
    return " ".join(f"{number} {unit}" for number, unit in parts if number)


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads_each(jobs: int, processes: int = 1) -> int | None:
    """Return the threads for each of so many processes of `jobs` runs, so that together they do not exceed the machine.

    None for one alone: its libraries choose, as under plain papermill, so that both give the same bits. Raises
    `RunError` for more than there are cores.
    """
    at_once = jobs * processes
    if jobs < 1 or at_once > cores():
        asked = f"--jobs {jobs}" + f" --processes {processes}" * (processes > 1)
        raise RunError(f"{asked} does not fit this machine; it has {cores()} cores, so give 1 to {cores()} in all.")
    return None if at_once == 1 else cores() // at_once


def execute(
    jobs: Sequence[Job],
    *,
    executor: Executor | None = None,
    workers: int = 1,
    processes: int = 1,
    timeout: int | None = None,
    report: Report | None = None,
    fail_fast: bool = False,
) -> list[Outcome]:
    """Run the stale ones of `jobs`; one that fails stops no other, or with `fail_fast` those not begun.

    Outcomes come in the order of `jobs`, in which one worker takes them up; several begin with the longest, so that
    none is left alone with it at the end.

    executor: any `concurrent.futures.Executor` whose workers see the project's folder, or one of `engines`; None runs
    `workers` runs at once and splits the cores among them. processes: that share the parts of each run, on whatever
    machine it is done. timeout: seconds for one cell. On Ctrl-C what is finished stays, and the next call goes on.
    Raises `RunError` for more workers and processes of theirs than cores.
    """
    waiting, running = list(enumerate(job for job in jobs if job.stale)), {}  # type: ignore[var-annotated]
    window, outcomes = len(waiting), {}
    how: dict[str, Any] = {"timeout": timeout, "processes": processes}
    with ExitStack() as own:
        if executor is None:
            threads_each(workers, processes)
            window = max(1, min(workers, len(waiting)))
            how["threads"] = threads_each(window, processes)
            executor = own.enter_context(LocalExecutor(window))
        if window > 1:
            # One of unknown length may be the longest.
            waiting.sort(key=lambda place: float("-inf") if place[1].seconds is None else -place[1].seconds)
        begun = time.perf_counter()
        while waiting or running:
            while waiting and len(running) < window:
                index, job = waiting.pop(0)
                running[executor.submit(perform, replace(job.task, **how))] = (index, job)
            for future, (_, job) in running.items():
                if report and (future.running() or future.done()):
                    report(job, None)
            done, _ = wait(running, timeout=_POLL, return_when=FIRST_COMPLETED)
            for future in done:
                index, job = running.pop(future)
                outcomes[index] = _outcome(future, job, time.perf_counter() - begun)
                if report:
                    report(job, outcomes[index])
                if fail_fast and outcomes[index].status == FAILED:
                    waiting.clear()
                    # Those submitted and not begun end when their executor is closed.
                    running = {future: place for future, place in running.items() if future.running() or future.done()}
    return [outcomes[index] for index in sorted(outcomes)]


def _outcome(future: "Future[Outcome]", job: Job, seconds: float) -> Outcome:
    error = future.exception()
    if error is None:
        return future.result()
    # The worker itself broke: killed from outside, or the project changed under its feet.
    message = str(error) if isinstance(error, StyleReproError) else f"its worker ended: {type(error).__name__}: {error}"
    return job.task.ended(FAILED, seconds, message)


def succeeded(outcomes: Sequence[Outcome]) -> bool:
    """Return True if every run is there now."""
    return all(outcome.status in (COMPLETED, FRESH) for outcome in outcomes)


@dataclass(frozen=True)
class State:
    """The state of one run. where: "own" or "committed"; reasons: why it is stale, none if it is fresh."""

    experiment: str
    profile: str
    where: str
    reasons: tuple[str, ...]
    finished: str


def status(profile: str | None = None) -> list[State]:
    """Return the states of all runs: of one profile, or of the default one and all that have been run.

    Own runs and committed reference runs each have their row.
    """
    committed_runs = records.finished_runs(reference_root())
    committed = {(record["experiment"], record["profile"]): record for _, record in committed_runs}
    states = []
    for experiment in discover():
        for name in (name for name in experiment.profiles if profile in (None, name)):
            parameters = resolve_parameters(experiment, name)
            (job,) = plan_points(experiment, name, [parameters])
            if profile or job.finished or name == DEFAULT_PROFILE:
                states.append(State(experiment.name, name, "own", job.reasons, job.finished))
            if record := committed.get((experiment.name, name)):
                now = compute(experiment, parameters).components
                reasons = explain(record["fingerprint"].get("components", {}), now)
                states.append(State(experiment.name, name, "committed", tuple(reasons), str(record["start"])))
    return states
