"""A run's folder: begun in a notebook's cell, filled part by part, saved whole or not at all, collected into tables.

run = results.begin("tv_sweep", globals())          # in the cell behind the tagged `parameters`
made = run.parts(pairs, compute)                     # each computed once, even if the run is killed in between
run.save(metrics=table, history=curves, figures={"spectra": figure})
"""

import copy
import hashlib
import math
import re
import shutil
import time
import warnings
from collections.abc import Callable, Hashable, Iterable, Mapping, MutableMapping
from contextlib import ExitStack, nullcontext
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from tqdm.auto import tqdm

from stylerepro.errors import ParameterError, ResultsError, ResultsWarning
from stylerepro.files import atomic_path, expanded, keep, lock, make_folder, runs_root
from stylerepro.runs import record as records
from stylerepro.runs import tables
from stylerepro.runs.experiments import RUN_COLUMNS, Experiment, check_parameters, load, profile_of
from stylerepro.runs.fingerprint import Fingerprint, compute
from stylerepro.runs.record import write_record
from stylerepro.runs.scrub import portable

if TYPE_CHECKING:
    from stylerepro.runs.gallery import Gallery

__all__ = ["Run", "begin", "collect", "tables_of"]

# A committed figure is to be looked at, not printed: WebP, stepping down in quality until it is small.
_FIGURE_BYTES = 200_000
_QUALITIES = (88, 75, 60, 45)
_KIND = "__kind__"
_LONG = 20.0  # seconds; a part that takes more is worth the company of another process
_LOOK = 1.0  # seconds


class Run:
    """A run of an experiment, made by `begin`.

    parameters: all of them, checked and in their declared types. dtype: what "auto" came to, of one that declares it.
    """

    def __init__(
        self, experiment: Experiment, parameters: dict[str, Any], fingerprint: Fingerprint, out: Path | None
    ) -> None:
        self.experiment, self.parameters = experiment, parameters
        staging = runs_root() / ".staging"
        self._manual = out is None or staging.resolve() not in out.resolve().parents
        if out is not None and not self._manual:
            self._workshop = out.parent  # the command's staging folder of this run
        else:
            # Two by hand at once, of the same values, must not write into each other's folder.
            name = records.run_name(records.MANUAL, parameters)
            self._workshop, self._lock = records.claim_staging(experiment.name, name, fingerprint.digest)
        if out and not (out / records.RECORD).exists():  # no earlier run, so what a run writes over is somebody's
            for name in ("figures", "gallery", "gallery.csv", "metrics.csv", "history.csv"):
                keep(out / name)
        self._folder = make_folder(out or self._workshop / "result")
        self._own = out is None
        profile = profile_of(experiment, parameters)
        self._record = records.new_record(experiment, parameters, profile, fingerprint, manual=self._manual)
        self._parts = make_folder(self._workshop / "parts" / fingerprint.digest[:12])
        # One that goes on began with the first part that is kept: a rule must be older than that.
        if kept := [path.stat().st_mtime for path in self._parts.glob("*.pt")]:
            self._record["start"] = datetime.fromtimestamp(min(kept), UTC).isoformat(timespec="seconds")
        self._start, self._saved_seconds = time.perf_counter(), 0.0
        self.dtype = ""
        if isinstance(asked := parameters.get("dtype"), str):
            # A part like any other, so that a run which goes on elsewhere goes on in the format that it began in.
            chosen = self.part(f"dtype {asked}", partial(_dtype, asked, parameters.get("device", "cpu")))
            self.dtype = str(chosen["used"])
            self._record["dtype"] = {"asked": asked, "used": self.dtype}
        write_record(self._folder, self._record)

    def __repr__(self) -> str:
        return f"<run of {self.experiment.name}, profile {self.profile}>"

    @property
    def profile(self) -> str:
        """The profile with exactly these parameters, else "custom"."""
        return str(self._record["profile"])

    def part(self, key: str, compute: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
        """Return what `compute()` gives, computed once: an interrupted run that is started again takes it from disk.

        `compute` gives a dict of tables, tensors, arrays, numbers and text (also nested). `key` must tell this part
        from all others of the run. What was computed by other code or with other parameters is never taken. Tensors
        come back on the CPU. Raises `ResultsError` for a value of another kind.
        """
        value = self._part(key, compute, wait=math.inf)
        assert value is not None
        return value

    def _part(self, key: str, compute: Callable[[], Mapping[str, Any]], wait: float) -> dict[str, Any] | None:
        """Return a part; None where another process of this run is at it for longer than the seconds to wait."""
        path = self._parts / f"{_file_name(key)}.pt"
        with lock(path.with_suffix(".lock"), wait=wait) as mine:
            if not mine:
                return None
            value, saved = compute_once(path, key, compute)
        self._saved_seconds += saved
        return value

    def parts(
        self, jobs: Iterable[Hashable], compute: Callable[..., Mapping[str, Any]], name: str = "settings"
    ) -> dict[Any, dict[str, Any]]:
        """Compute a part for each of `jobs`, with progress: job to `compute(*job)`, or `compute(job)` for no tuple.

        name: of what is counted, in the plural; it tells the parts of one loop from those of another. Several processes
        of one run share them, each taking those that no other is at.
        """
        wanted = list(dict.fromkeys(jobs))
        values: dict[Any, dict[str, Any]] = {}
        # Short ones are all done by one process, the others waiting: they may be timings.
        with ExitStack() as alone, tqdm(total=len(wanted), desc=name, leave=False, disable=not self._manual) as bar:
            alone.enter_context(lock(self._parts / f"{_file_name(name)}.lock", wait=math.inf))
            while left := [job for job in wanted if job not in values]:
                for job in left:
                    if not self._manual:
                        records.write_progress(self._workshop, len(values), len(wanted), name)
                    arguments, start = job if isinstance(job, tuple) else (job,), time.perf_counter()
                    if (value := self._part(f"{name} {job}", partial(compute, *arguments), wait=0.0)) is not None:
                        values[job] = value
                        bar.update()
                    if time.perf_counter() - start > _LONG:
                        alone.close()
                if all(job not in values for job in left):
                    time.sleep(_LOOK)
        return {job: values[job] for job in wanted}

    def save(
        self,
        metrics: pd.DataFrame,
        history: pd.DataFrame | None = None,
        figures: Mapping[str, Any] | None = None,
        *,
        gallery: "Gallery | None" = None,
        dpi: int = 100,
    ) -> None:
        """Write metrics.csv, history.csv, figures/NAME.webp, the gallery and run.json, all or nothing.

        metrics, history: with exactly the columns that the sidecar declares. figures: matplotlib figures or pictures
        (1, 3, H, W) in [0, 1], by names; what the name of a file cannot hold becomes "-". `dpi` is for the former.
        gallery: a `stylerepro.runs.gallery.Gallery`, pictures of single settings for the book's explorer. Raises
        `ResultsError` for a table that is not as declared, for two figures of one name, and for a picture of the
        gallery that belongs to no row of it.
        """
        checked = {"metrics": tables.check(metrics, self.experiment.columns, "metrics")}
        if self.experiment.history_columns:
            if history is None:
                raise ResultsError(f"history is missing; the sidecar of {self.experiment.name} declares its columns.")
            checked["history"] = tables.check(history, self.experiment.history_columns, "history")
        elif history is not None:
            raise ResultsError(f"The sidecar of {self.experiment.name} declares no columns for a history.")
        # One of a style has its name, which may be a path.
        named = {re.sub(r"[^A-Za-z0-9_-]+", "-", portable(name)): figure for name, figure in (figures or {}).items()}
        if len(named) < len(figures or {}):
            raise ResultsError(f"Two of the figures would have one name: {', '.join(figures or {})}.")
        # By hand two may save in one place at once; by the command a run's place is locked from its start.
        with lock(runs_root() / ".staging" / "by-hand.lock", wait=math.inf) if self._manual else nullcontext():
            make_folder(self._folder)
            shutil.rmtree(self._folder / "figures", ignore_errors=True)
            for name, table in checked.items():
                tables.write(table, self._folder / f"{name}.csv")
            for name, figure in named.items():
                write_figure(figure, self._folder / "figures" / f"{name}.webp", dpi)
            if gallery is not None:
                if (explore := self.experiment.explore) is None:
                    raise ResultsError(f"A gallery needs `explore` in the sidecar of {self.experiment.name}.")
                gallery.write(self._folder, checked[explore.table])
            seconds = time.perf_counter() - self._start + self._saved_seconds
            times = {"seconds": round(seconds, 3), "seconds_reused": round(self._saved_seconds, 3)}
            # The record says "completed" only now that everything it speaks of is there.
            write_record(self._folder, self._record | {"status": records.COMPLETED} | times)
            place = self._folder
            if self._own:
                place = runs_root() / self.experiment.name / records.run_name(records.MANUAL, self.parameters)
                records.install(self._folder, place)
            if self._manual:
                print(f"results in {place}")


def begin(experiment: str, namespace: MutableMapping[str, Any]) -> Run:
    """Begin a run in a notebook: `begin("tv_sweep", globals())`, in the cell behind the parameters.

    Takes the declared parameters from `namespace`, checks them and puts them back in their declared types: papermill
    hands over `false`, `[0, 10]` and YAML's `1e2` as text. With `out` empty the run is kept in
    `results/runs/EXPERIMENT/manual-HASH/`, else in that folder. A parameter `dtype` of "auto" becomes the format that
    is faster on this machine, or that the run began in. Raises `ParameterError` for a parameter of the wrong type,
    `NetworkError` for a device that this machine lacks and `ResultsError` where no folder can be made.
    """
    declared = load(experiment)
    parameters = check_parameters(declared, namespace)
    if isinstance(device := parameters.get("device"), str):
        from stylerepro.networks.loss_network import pick_device  # here: it takes a second, and its notebook has it

        pick_device(device)
    # What the notebook computes with is what the record says that it did.
    namespace.update(copy.deepcopy(parameters))
    out = namespace.get("out", "")
    if not isinstance(out, str):
        raise ParameterError(f"Experiment {experiment}: parameter 'out' takes a folder as text, not {out!r}.")
    run = Run(declared, parameters, compute(declared, parameters), expanded(out) if out else None)
    if run.dtype:
        namespace["dtype"] = run.dtype
    return run


def _dtype(asked: str, device: str) -> dict[str, str]:
    from stylerepro.networks.loss_network import pick_device
    from stylerepro.networks.precision import pick_dtype

    return {"used": str(pick_dtype(asked, pick_device(device))).removeprefix("torch.")}


def write_figure(figure: Any, path: Path, dpi: int = 100) -> None:
    """Write a matplotlib figure or a picture (1, 3, H, W) as a small WebP, lower in quality where it is large."""
    make_folder(path.parent)
    for quality in _QUALITIES:
        if isinstance(figure, torch.Tensor):
            from stylerepro.pictures import images

            images.write(figure, path, quality=quality)
        elif hasattr(figure, "savefig"):
            with atomic_path(path) as temporary:
                figure.savefig(temporary, dpi=dpi, bbox_inches="tight", pil_kwargs={"quality": quality})
        else:
            raise ResultsError(
                f"Figure {path.stem!r} is a {type(figure).__name__}; a matplotlib figure or a picture is needed."
            )
        if path.stat().st_size <= _FIGURE_BYTES:
            return


def tables_of(
    root: Path | None = None, profile: str | None = None, table: str = "metrics", parameters: bool = False
) -> dict[str, pd.DataFrame]:
    """Return experiment to one table over its runs, in the declared types, with experiment, profile and run in front.

    root: a folder to look in; None for own runs and, where there is none, the committed ones. Of each experiment and
    profile the newest run counts, and every run with parameters of its own. table: "metrics" or "history". parameters:
    put those of its run before each row too. Damaged runs are passed over with a `ResultsWarning`.
    """
    frames: dict[str, list[pd.DataFrame]] = {}
    for folder, record in records.current_runs(root, profile):
        types = record["columns"].get(table)
        if not types:
            continue
        try:
            frame = tables.read(folder / f"{table}.csv", types)
        except ResultsError as error:
            warnings.warn(str(error), ResultsWarning, stacklevel=2)
            continue
        where = dict(zip(RUN_COLUMNS, (record["experiment"], record["profile"], folder.name), strict=True))
        own = (record["parameters"] or {}) if parameters else {}
        frames.setdefault(record["experiment"], []).append(tables.with_in_front(frame, where, own))
    return {name: pd.concat(tables_, ignore_index=True) for name, tables_ in frames.items()}


def collect(
    root: Path | None = None,
    profile: str | None = None,
    table: str = "metrics",
    *,
    experiment: str | None = None,
    parameters: bool = False,
) -> pd.DataFrame:
    """Return one table over the runs of all experiments, or of one, see `tables_of`; what one lacks is empty.

    Raises `RunError` for an experiment that there is not.
    """
    found = tables_of(root, profile, table, parameters)
    wanted = list(found) if experiment is None else [load(experiment).name]
    frames = [found[name] for name in wanted if name in found]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=list(RUN_COLUMNS))


def _file_name(key: str) -> str:
    return f"{re.sub(r'[^A-Za-z0-9_.-]+', '_', key)[:60]}-{hashlib.sha256(key.encode()).hexdigest()[:10]}"


def compute_once(path: Path, key: str, compute: Callable[[], Mapping[str, Any]]) -> tuple[dict[str, Any], float]:
    """Return what `compute` gives, from the file if it is there, and the seconds that this saved (0.0 if none).

    The value always comes back from disk form, so that a resumed run and one in a single go are the same bit for bit.
    A damaged file is computed anew, with a warning. Raises `ResultsError` for what a part may not hold.
    """
    if path.is_file():
        try:
            kept = torch.load(path, weights_only=True)
            return decode(kept["value"]), float(kept["seconds"])
        except Exception as error:
            # Torch raises whatever its unpickler met; whichever it was, the part is cheap to make again.
            warnings.warn(f"part {key!r} of this run was damaged ({type(error).__name__}): made anew", stacklevel=3)
    start = time.perf_counter()
    value = compute()
    if not isinstance(value, Mapping):
        raise ResultsError(f"Part {key!r} gave {type(value).__name__}; a dict of named tables and values is needed.")
    encoded = encode(dict(value), f"part {key!r}")
    # To an open file: by a path torch raises an error of its own that does not say that the disk is full.
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        torch.save({"value": encoded, "seconds": time.perf_counter() - start}, stream)
    return decode(encoded), 0.0


def encode(value: Any, where: str) -> Any:
    """Return `value` as plain containers, numbers, text and CPU tensors; `ResultsError` for anything else."""
    if isinstance(value, pd.DataFrame):
        return {
            _KIND: "table",
            "index": encode(value.index.tolist(), where),
            "columns": [_column(name, value[name], where) for name in value.columns],
        }
    if isinstance(value, torch.Tensor):
        return value.detach().cpu().clone(memory_format=torch.contiguous_format)
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufc":
        return {_KIND: "array", "values": torch.from_numpy(np.ascontiguousarray(value).copy())}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Mapping):
        return {encode(key, where): encode(part, where) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(encode(part, where) for part in value) if type(value) in (list, tuple) else list(value)
    raise ResultsError(
        f"{where} holds a {type(value).__name__}; tables, tensors, arrays, numbers, text, and lists or dicts of them "
        "can be kept."
    )


def decode(value: Any) -> Any:
    """Return what `encode` was given."""
    if isinstance(value, Mapping):
        if value.get(_KIND) == "array":
            return value["values"].numpy().copy()
        if value.get(_KIND) == "table":
            columns = value["columns"]
            series = {column["name"]: pd.Series(column["values"], dtype=column["dtype"]) for column in columns}
            return pd.DataFrame(series).set_axis(decode(value["index"]), axis=0)
        return {key: decode(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(decode(part) for part in value)
    return value


def _column(name: Any, column: pd.Series, where: str) -> dict[str, Any]:
    if not isinstance(name, str):
        raise ResultsError(f"{where} holds a table with the column {name!r}; names of columns must be text.")
    missing = column.dtype.kind not in "biufc"
    values = [None if missing and pd.isna(value) is True else encode(value, where) for value in column.tolist()]
    return {"name": name, "dtype": str(column.dtype), "values": values}
