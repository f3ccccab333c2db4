"""One run, in a worker: lock, execute, judge, put in place. Everything is prepared aside and then moved, whole."""

import errno
import os
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from stylerepro.errors import ResultsError
from stylerepro.files import is_disk_full, lock, make_folder, project_root, runs_root
from stylerepro.runs import record as records
from stylerepro.runs.experiments import Experiment, load, resolve_parameters
from stylerepro.runs.fingerprint import Fingerprint, compute

COMPLETED, FAILED, FRESH, BUSY = "completed", "failed", "fresh", "busy"


@dataclass(frozen=True)
class Task:
    """What a worker needs to know; plain values, so that any executor can carry it.

    label: the profile, or "custom". root: the project's folder. threads, timeout: as of `notebook.execute`. digest: the
    fingerprint's when the run was planned, for workers with code of their own.
    """

    experiment: str
    label: str
    parameters: Mapping[str, Any]
    root: str
    force: bool = False
    threads: int | None = None
    timeout: int | None = None
    digest: str = ""

    @property
    def name(self) -> str:
        """The name of the run's folder."""
        return records.run_name(self.label, self.parameters)


@dataclass(frozen=True)
class Outcome:
    """How a run ended. status: completed, failed, fresh (another process had just done it) or busy (… is doing it).

    seconds: that it took here. error, cell and log (relative to the project) are for failed ones.
    """

    experiment: str
    label: str
    status: str
    seconds: float = 0.0
    error: str = ""
    cell: Mapping[str, Any] | None = None
    log: str = ""


def perform(task: Task) -> Outcome:
    """Do one run. Raises nothing but what is wrong with the project itself (`StyleReproError`)."""
    os.environ.setdefault("STYLEREPRO_ROOT", task.root)
    experiment = load(task.experiment)
    parameters = experiment_parameters(experiment, task.parameters)
    fingerprint = compute(experiment, parameters)
    with lock(lock_path(task.experiment, task.name)) as mine:
        if not mine:
            message = "another process is running it"
            return Outcome(task.experiment, task.label, BUSY, error=message)
        target = runs_root() / task.experiment / task.name
        if not task.force and is_done(target, fingerprint):
            return Outcome(task.experiment, task.label, FRESH)
        return _Attempt(task, experiment, parameters, fingerprint, target).perform()


def experiment_parameters(experiment: Experiment, values: Mapping[str, Any]) -> dict[str, Any]:
    """All parameters of a run, from those that a task carries."""
    first = next(iter(experiment.profiles))
    return resolve_parameters(experiment, first, values)


def lock_path(experiment: str, name: str) -> Path:
    """The lock of one run's place."""
    return runs_root() / ".staging" / f"{experiment}-{name}.lock"


def is_done(folder: Path, fingerprint: Fingerprint) -> bool:
    """Whether a folder holds the whole run with this fingerprint."""
    return done_record(folder, fingerprint.digest) is not None


def done_record(folder: Path, digest: str) -> dict[str, Any] | None:
    """The record of the whole run with the fingerprint of this digest; None where the folder does not hold it."""
    try:
        record = records.read_whole(folder)
    except ResultsError:
        return None
    same = record["fingerprint"].get("digest") == digest
    whole = record["status"] == records.COMPLETED and (folder / "notebook.ipynb").is_file()
    return record if same and whole else None


class _Attempt:
    def __init__(
        self, task: Task, experiment: Experiment, parameters: dict[str, Any], fingerprint: Fingerprint, target: Path
    ) -> None:
        self.task, self.experiment, self.parameters = task, experiment, parameters
        self.fingerprint, self.target = fingerprint, target
        self.staging = records.staging_folder(task.experiment, task.name, fingerprint.digest)
        self.result = self.staging / "result"

    def perform(self) -> Outcome:
        if self.task.force:
            shutil.rmtree(self.staging, ignore_errors=True)
        make_folder(self.staging)
        # A kill between the end of the notebook and the last move: only the move is left to do.
        if is_done(self.result, self.fingerprint):
            return self._settle(0.0)
        shutil.rmtree(self.result, ignore_errors=True)
        make_folder(self.result)
        start = time.perf_counter()
        try:
            self._execute()
            self._check(time.perf_counter() - start)
        except Exception as error:
            # Whatever stopped a notebook becomes its record; the other notebooks go on.
            return self._fail(error, time.perf_counter() - start)
        return self._settle(time.perf_counter() - start)

    def _execute(self) -> None:
        notebook_module().execute(
            self.experiment.notebook,
            self.staging / "executing.ipynb",
            self.parameters | {"out": str(self.result)},
            root=project_root(),
            threads=self.task.threads,
            timeout=self.task.timeout,
        )

    def _check(self, seconds: float) -> None:
        """Take the notebook's own record, and complete it with what only the command knows."""
        try:
            record = records.read_record(self.result)
        except ResultsError:
            raise ResultsError(
                "the notebook ended without a run: it needs `run = results.begin(...)` and `run.save(...)`"
            ) from None
        if record["status"] != records.COMPLETED:
            raise ResultsError("the notebook ended without `run.save(...)`")
        # The fingerprint from before the notebook was read: an edit during the run must leave it stale.
        print_ = {"digest": self.fingerprint.digest, "components": dict(self.fingerprint.components)}
        total = round(seconds + record.get("seconds_reused", 0.0), 3)
        records.write_record(
            self.result, record | {"profile": self.task.label, "seconds": total, "fingerprint": print_}
        )
        # Last of all: with it the folder counts as done, and nothing in it may still be on its way.
        self._keep_notebook(self._executed(), self.result)

    def _executed(self) -> Any:
        return notebook_module().load_notebook(self.staging / "executing.ipynb")

    def _keep_notebook(self, notebook: Any, folder: Path) -> None:
        import nbformat

        from stylerepro.files import atomic_path
        from stylerepro.runs.scrub import scrub_notebook

        if notebook is not None:
            with atomic_path(folder / "notebook.ipynb") as temporary:
                nbformat.write(scrub_notebook(notebook, self.parameters), temporary)

    def _settle(self, seconds: float) -> Outcome:
        records.install(self.result, self.target)
        shutil.rmtree(self.staging, ignore_errors=True)
        shutil.rmtree(records.failed_folder(self.task.experiment, self.task.name), ignore_errors=True)
        records.tidy_staging(self.task.experiment, self.task.name)
        return Outcome(self.task.experiment, self.task.label, COMPLETED, seconds)

    def _fail(self, error: Exception, seconds: float) -> Outcome:
        from stylerepro.runs.scrub import plain

        notebook = self._executed()
        cell = notebook_module().failed_cell(notebook) if notebook is not None else None
        message, shown = plain(_in_words(error, self.task.timeout)), ""
        failure = {"type": getattr(error, "ename", type(error).__name__), "message": message, "cell": cell}
        changes = {"status": records.FAILED, "profile": self.task.label, "error": failure, "seconds": round(seconds, 3)}
        try:
            kept = self._keep_failure(changes, notebook, plain(str(error)))
            shown = os.path.relpath(kept / "log.txt", project_root())
        except OSError as second:
            # Most likely the full disk that stopped the run; why it failed is said all the same.
            shutil.rmtree(self.staging / "failed", ignore_errors=True)
            message += f" (and its log could not be kept: {second.strerror or second})"
        return Outcome(self.task.experiment, self.task.label, FAILED, seconds, message, cell, shown)

    def _keep_failure(self, changes: dict[str, Any], notebook: Any, text: str) -> Path:
        """Keep record, notebook and log of the failed run; the unfinished results make room for them."""
        try:
            record = records.read_record(self.result)
        except ResultsError:
            record = records.new_record(
                self.experiment, self.parameters, self.task.label, self.fingerprint, manual=False
            )
        shutil.rmtree(self.result, ignore_errors=True)
        (self.staging / "executing.ipynb").unlink(missing_ok=True)
        aside = make_folder(self.staging / "failed")
        self._keep_notebook(notebook, aside)
        records.write_record(aside, record | changes, self.parameters)
        log = self.staging / "log.txt"
        with log.open("a", encoding="utf-8") as stream:
            stream.write(f"\n{text}\n")
        log.replace(aside / "log.txt")
        kept = records.failed_folder(self.task.experiment, self.task.name)
        records.install(aside, kept)
        return kept


def notebook_module() -> ModuleType:
    """`stylerepro.runs.notebook`, without the grammar of URIs that jsonschema, below papermill, builds if it can.

    That takes a second of every run, and no schema of a notebook asks for it.
    """
    grammar = "rfc3987_syntax"
    before = grammar in sys.modules
    sys.modules.setdefault(grammar, None)  # type: ignore[arg-type]  # Python's way to say: not to be had
    try:
        from stylerepro.runs import notebook
    finally:
        if not before:
            sys.modules.pop(grammar, None)  # gone already where another thread was here too
    return notebook


def _in_words(error: Exception, timeout: int | None) -> str:
    name = type(error).__name__
    if name == "CellTimeoutError":
        return f"the cell took longer than the limit of {timeout} s"
    if name == "DeadKernelError":
        return "the notebook's process died; the usual cause is too little memory"
    if name == "PapermillExecutionError":
        words = f"{error.ename}: {error.evalue}".removesuffix(": ")  # type: ignore[attr-defined]
    else:
        words = f"{name}: {error}" if not isinstance(error, ResultsError) else str(error)
    full = is_disk_full(error) or os.strerror(errno.ENOSPC) in words
    if full and "The disk is full" not in words:
        words = f"The disk is full: {words}. Free some space on the disk that holds {runs_root()}, then run again."
    return words
