"""Sweeps: a grid of parameters over one experiment, every point a run of its own, and one table over all of them."""

import itertools
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from stylerepro.errors import ParameterError, ResultsError, ResultsWarning, RunError, unknown
from stylerepro.files import hash_of, runs_root
from stylerepro.runs import record as records
from stylerepro.runs import runner, tables
from stylerepro.runs.execution import done_record
from stylerepro.runs.experiments import Experiment, Parameter, convert, flow, load, resolve_parameters
from stylerepro.runs.scrub import portable


@dataclass(frozen=True)
class Sweep:
    """A planned sweep on top of a profile. grid: parameter to its values, as given.

    jobs: of each point its run; the last parameter varies fastest. retry: those that failed last time are run again.
    """

    experiment: Experiment
    profile: str
    grid: Mapping[str, Sequence[Any]]
    points: Sequence[Mapping[str, Any]]
    jobs: Sequence[runner.Job]
    retry: bool

    @property
    def finished(self) -> list[runner.Job]:
        """Return the points that are done."""
        return [job for job in self.jobs if not job.stale]

    @property
    def failed(self) -> list[runner.Job]:
        """Return the points that failed last time and are left alone."""
        return [job for job in self.jobs if job.failed and not self.retry]

    @property
    def waiting(self) -> list[runner.Job]:
        """Return the points that are to be run."""
        return [job for job in self.jobs if job.stale and (self.retry or not job.failed)]


def grid(experiment: Experiment, texts: Mapping[str, str], seeds: int | None = None) -> dict[str, list[Any]]:
    """Return parameter to its values, from text as typed: "0,1,10" is three, for a list parameter three lists of one.

    Lists of several are written in brackets: "[0,1],[0,10]". seeds: so many values of the parameter `seed` (or `seeds`,
    one at a time), from its default on. Raises `ParameterError` for an unknown parameter, a value of the wrong type, a
    parameter without values, and for seeds where the notebook has none or they are given twice.
    """
    where, known = f"Experiment {experiment.name}", experiment.parameters
    chosen: dict[str, list[Any]] = {}
    for name, text in texts.items():
        if name not in known:
            raise ParameterError(unknown(name, list(known), "parameter", where))
        values = [_value(known[name], piece, where) for piece in _split(text, name)]
        same = portable(values)
        chosen[name] = [value for place, value in enumerate(values) if same[place] not in same[:place]]
    if seeds is not None:
        name = next((seed for seed in ("seed", "seeds") if seed in known), "")
        if not name:
            raise ParameterError(f"{where} has no parameter 'seed', so --seeds has nothing to vary.")
        if name in chosen or seeds < 1:
            raise ParameterError(f"{where}: give either -p {name}=... or --seeds with a number of at least 1.")
        default = known[name].default
        first = (default[0] if default else 0) if isinstance(default, list) else default or 0
        chosen[name] = [_value(known[name], first + step, where) for step in range(seeds)]
    if not chosen:
        raise ParameterError(f"{where}: a sweep needs parameters to vary, for example -p size=64,96 or --seeds 3.")
    return chosen


def _split(text: str, name: str) -> list[Any]:
    if "[" in text or "{" in text:
        try:
            values = flow(f"[{text}]")
        except ValueError:
            raise ParameterError(f"-p {name}={text}: its brackets or commas are not as YAML wants them.") from None
    else:
        values = [piece.strip() for piece in text.split(",") if piece.strip()]
    if not values:
        raise ParameterError(f"-p {name}={text}: give at least one value, such as {name}=1,2,3.")
    return list(values)


def _value(parameter: Parameter, value: Any, where: str) -> Any:
    if parameter.type.startswith("list") and not isinstance(value, list):
        optional = "None" in parameter.type and str(value).lower() in ("none", "null")
        value = None if optional else [value]
    return convert(parameter, value, where)


def plan(name: str, profile: str, texts: Mapping[str, str], *, seeds: int | None = None, retry: bool = False) -> Sweep:
    """Return the sweep over a grid on top of a profile; nothing is run.

    retry: see `Sweep`. Raises `RunError` for an unknown experiment or profile, else as `grid`.
    """
    experiment = load(name)
    if profile not in experiment.profiles:
        raise RunError(unknown(profile, list(experiment.profiles), "profile", f"Experiment {experiment.name}"))
    values = grid(experiment, texts, seeds)
    points = [dict(zip(values, point, strict=True)) for point in itertools.product(*values.values())]
    jobs = runner.plan_points(experiment, profile, [resolve_parameters(experiment, profile, each) for each in points])
    words = [", ".join(f"{name}={tables.cell(value)}" for name, value in point.items()) for point in points]
    named = [replace(job, point=text) for job, text in zip(jobs, words, strict=True)]
    return Sweep(experiment, profile, values, points, named, retry)


def collect(sweep: Sweep) -> pd.DataFrame:
    """Return the metrics of all finished points: run, the grid's parameters, then the declared columns.

    A parameter with a column's name is called "NAME (parameter)". A `ResultsWarning` names each damaged point left out.
    """
    frames = []
    for point, job in zip(sweep.points, sweep.jobs, strict=True):
        folder, wrong = job.task.folder, None
        if record := done_record(folder, job.task.digest):
            try:
                frame = tables.read(folder / "metrics.csv", record["columns"]["metrics"])
                frames.append(tables.with_in_front(frame, {"run": job.task.name}, point))
            except ResultsError as error:
                wrong = str(error)
        elif folder.exists():  # what older code gave must not stand beside what this one does
            wrong = records.damage(folder)
        if wrong:
            warnings.warn(f"{job.point}: {wrong}", ResultsWarning, stacklevel=2)
    columns = ["run", *sweep.grid, *sweep.experiment.columns]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=columns)


def table_path(sweep: Sweep) -> Path:
    """Return where the sweep's table is kept: `results/runs/EXPERIMENT/sweep-PROFILE-HASH.csv`, by the grid."""
    digest = hash_of({name: portable(list(values)) for name, values in sweep.grid.items()})[:8]
    return runs_root() / sweep.experiment.name / f"sweep-{sweep.profile}-{digest}.csv"
