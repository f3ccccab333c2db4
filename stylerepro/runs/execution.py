"""Do one run: lock, run the notebook by papermill, judge, put in place. It is prepared elsewhere, then moved whole."""

import errno
import functools
import logging
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, TextIO

from stylerepro.errors import ResultsError
from stylerepro.files import atomic_path, is_disk_full, lock, make_folder, project_root, runs_root
from stylerepro.runs import record as records
from stylerepro.runs.experiments import Experiment, load, resolve_parameters
from stylerepro.runs.fingerprint import Fingerprint, compute
from stylerepro.runs.processes import LocalExecutor, own_prefix
from stylerepro.runs.scrub import plain, scrub_notebook

COMPLETED, FAILED, FRESH, BUSY = "completed", "failed", "fresh", "busy"
_START_TIMEOUT = 180  # seconds; a machine busy with other runs is slow to start a kernel
_SOCKET = 95  # bytes of a folder whose sockets Linux (108 bytes in all) and macOS (104) still take
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS", "STYLEREPRO_THREADS",
)  # fmt: skip


@dataclass(frozen=True)
class Task:
    """A run as a worker needs to know it; plain values, so that any executor can carry it.

    label: the profile, or "custom". root: the project's folder. threads, timeout: as of `run_notebook`. digest: the
    fingerprint's when the run was planned, for workers with code of their own. processes: that share the run's parts.
    """

    experiment: str
    label: str
    parameters: Mapping[str, Any]
    root: str
    force: bool = False
    threads: int | None = None
    timeout: int | None = None
    digest: str = ""
    processes: int = 1

    @functools.cached_property
    def name(self) -> str:
        """Return the name of the run's folder."""
        return records.run_name(self.label, self.parameters)

    @property
    def folder(self) -> Path:
        """Return the place of the finished run."""
        return runs_root() / self.experiment / self.name

    @property
    def failed_folder(self) -> Path:
        """Return the place of record, notebook and log of the last failed run."""
        return runs_root() / ".failed" / f"{self.experiment}-{self.name}"

    @property
    def lock_path(self) -> Path:
        """Return the lock of the run's place."""
        return runs_root() / ".staging" / f"{self.experiment}-{self.name}.lock"

    def ended(self, status: str, seconds: float = 0.0, error: str = "", **more: Any) -> "Outcome":
        """Return the outcome of this run; see there."""
        return Outcome(self.experiment, self.label, status, seconds, error, **more)


@dataclass(frozen=True)
class Outcome:
    """The end of a run. status: completed, failed, fresh (another process had just done it) or busy (… is doing it).

    seconds: that it took here. error, cell and log (relative to the project) are for failed ones.
    """

    experiment: str
    label: str
    status: str
    seconds: float = 0.0
    error: str = ""
    cell: Mapping[str, Any] | None = None
    log: str = ""


def perform(task: Task, patience: float = 0.0) -> Outcome:
    """Do one run. Raises nothing but what is wrong with the project itself (`StyleReproError`).

    patience: seconds to wait for another process that is running it.
    """
    os.environ.setdefault("STYLEREPRO_ROOT", task.root)
    experiment, parameters, fingerprint = resolved(task)
    with lock(task.lock_path, wait=patience) as mine:
        if not mine:
            return task.ended(BUSY, error="another process is running it")
        if not task.force and done_record(task.folder, fingerprint.digest):
            return task.ended(FRESH)
        return _attempt(task, experiment, parameters, fingerprint)


def resolved(task: Task) -> tuple[Experiment, dict[str, Any], Fingerprint]:
    """Return the experiment of a task, all its parameters and its fingerprint, by this project's code."""
    experiment = load(task.experiment)
    first = next(iter(experiment.profiles))
    parameters = resolve_parameters(experiment, first, task.parameters)
    return experiment, parameters, compute(experiment, parameters)


def put_in_place(task: Task, result: Path) -> None:
    """Move the whole run in the folder `result` to its place, and remove what earlier tries have left."""
    records.install(result, task.folder)
    shutil.rmtree(task.failed_folder, ignore_errors=True)
    records.tidy_staging(task.experiment, task.name)


def done_record(folder: Path, digest: str) -> dict[str, Any] | None:
    """Return the record of the whole run with this fingerprint's digest; None where the folder does not hold it."""
    with suppress(ResultsError):
        record = records.read_whole(folder)
        whole = record["status"] == records.COMPLETED and (folder / "notebook.ipynb").is_file()
        if whole and record["fingerprint"].get("digest") == digest:
            return record
    return None


def _attempt(task: Task, experiment: Experiment, parameters: dict[str, Any], fingerprint: Fingerprint) -> Outcome:
    """Do a run in its staging folder, and put what comes of it in its place."""
    staging = records.staging_folder(task.experiment, task.name, fingerprint.digest)
    result, executing = staging / "result", staging / "executing.ipynb"
    if task.force:
        shutil.rmtree(staging, ignore_errors=True)
    make_folder(staging)
    # A kill between the end of the notebook and the last move: only the move is left to do.
    if done_record(result, fingerprint.digest):
        put_in_place(task, result)
        return task.ended(COMPLETED)
    shutil.rmtree(result, ignore_errors=True)
    make_folder(result)
    start, given = time.perf_counter(), parameters | {"out": str(result)}
    try:
        with LocalExecutor(task.processes) as company:  # which ends with the run; one that fails there is not missed
            for place in range(1, task.processes):
                company.submit(keep_company, task, place)
            run_notebook(experiment.notebook, executing, given, threads=task.threads, timeout=task.timeout)
        records.write_record(result, _completed(task, result, fingerprint, time.perf_counter() - start))
        # Last of all: with it the folder counts as done, and nothing in it may still be on its way.
        _keep_notebook(load_notebook(executing), result, parameters)
    except Exception as error:
        # Whatever stopped a notebook becomes its record; the other notebooks go on.
        seconds = time.perf_counter() - start
        begun = records.record_of(result)
        begun = begun or records.new_record(experiment, parameters, task.label, fingerprint, manual=False)
        return _failed(task, error, staging, begun, parameters, seconds)
    put_in_place(task, result)
    return task.ended(COMPLETED, time.perf_counter() - start)


def keep_company(task: Task, place: int) -> None:
    """Run the notebook of a run that another process does, for the parts that the two then share.

    What else comes of it lies in a folder of its own in the run's staging folder, and goes with that.
    """
    os.environ.setdefault("STYLEREPRO_ROOT", task.root)
    experiment, parameters, fingerprint = resolved(task)
    own = make_folder(records.staging_folder(task.experiment, task.name, fingerprint.digest) / f"company-{place}")
    executing, given = own / "executing.ipynb", parameters | {"out": str(own)}
    run_notebook(experiment.notebook, executing, given, threads=task.threads, timeout=task.timeout)


def _completed(task: Task, result: Path, fingerprint: Fingerprint, seconds: float) -> dict[str, Any]:
    """Return the notebook's own record with what only the command knows."""
    record = records.record_of(result)
    if record is None:
        raise ResultsError("the notebook ended without a run: it needs `run = results.begin(...)` and `run.save(...)`")
    if record["status"] != records.COMPLETED:
        raise ResultsError("the notebook ended without `run.save(...)`")
    # The fingerprint from before the notebook was read: an edit during the run must leave it stale.
    print_ = {"digest": fingerprint.digest, "components": dict(fingerprint.components)}
    total = round(seconds + record.get("seconds_reused", 0.0), 3)
    return record | {"profile": task.label, "seconds": total, "processes": task.processes, "fingerprint": print_}


def _keep_notebook(notebook: Any, folder: Path, parameters: Mapping[str, Any]) -> None:
    import nbformat

    if notebook is not None:
        with atomic_path(folder / "notebook.ipynb") as temporary:
            nbformat.write(scrub_notebook(notebook, parameters), temporary)


def _failed(
    task: Task, error: Exception, staging: Path, begun: dict[str, Any], parameters: Mapping[str, Any], seconds: float
) -> Outcome:
    """Keep record, notebook and log of a failed run; its unfinished results make room for them."""
    executing, unfinished, log = staging / "executing.ipynb", staging / "failed", staging / "log.txt"
    notebook = load_notebook(executing)
    cell = failed_cell(notebook) if notebook is not None else None
    message, shown = plain(_in_words(error, task.timeout)), ""
    failure = {"type": getattr(error, "ename", type(error).__name__), "message": message, "cell": cell}
    changes = {"status": records.FAILED, "profile": task.label, "error": failure, "seconds": round(seconds, 3)}
    try:
        shutil.rmtree(staging / "result", ignore_errors=True)
        executing.unlink(missing_ok=True)
        _keep_notebook(notebook, make_folder(unfinished), parameters)
        records.write_record(unfinished, begun | changes, parameters)
        with log.open("a", encoding="utf-8") as stream:
            stream.write(f"\n{plain(str(error))}\n")
        log.replace(unfinished / "log.txt")
        records.install(unfinished, task.failed_folder)
        shown = os.path.relpath(task.failed_folder / "log.txt", project_root())
    except OSError as second:
        # Most likely the full disk that stopped the run; why it failed is said all the same.
        shutil.rmtree(unfinished, ignore_errors=True)
        message += f" (and its log could not be kept: {second.strerror or second})"
    return task.ended(FAILED, seconds, message, cell=cell, log=shown)


def papermill_module() -> ModuleType:
    """Return papermill, imported without the grammar of URIs that jsonschema, below it, builds if it can.

    That takes a second of every run, and no schema of a notebook asks for it.
    """
    grammar = "rfc3987_syntax"
    before = grammar in sys.modules
    sys.modules.setdefault(grammar, None)  # type: ignore[arg-type]  # Python's way to say: not to be had
    try:
        import papermill
    finally:
        if not before:
            sys.modules.pop(grammar, None)  # gone already where another thread was here too
    return papermill


def run_notebook(
    notebook: Path, output: Path, parameters: Mapping[str, Any], *, threads: int | None, timeout: int | None
) -> None:
    """Run a notebook with papermill, in the current folder; what is said goes to log.txt beside the output.

    threads: for the kernel's libraries, None leaves it to them. timeout: seconds for one cell, None for no limit.
    Raises what papermill and nbclient raise.
    """
    papermill = papermill_module()
    with (
        (output.parent / "log.txt").open("w", encoding="utf-8") as log,
        tempfile.TemporaryDirectory(prefix=own_prefix(), ignore_cleanup_errors=True) as folder,
        _papermill_logs_to(log),
    ):
        papermill.execute_notebook(
            notebook,
            output,
            dict(parameters),
            kernel_name="python3",
            language="python",
            progress_bar=False,
            start_timeout=_START_TIMEOUT,
            execution_timeout=timeout,
            # What the notebook had to say is on disk by now; asking its process to end, and waiting, takes a second.
            shutdown_kernel="immediate",
            kernel_manager_class=_kernel_class(Path(folder), project_root(), threads, log),
        )


def _kernel_class(folder: Path, root: Path, threads: int | None, log: TextIO) -> type:
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager

    # What the kernel finds set besides what the command was given.
    inline = "module://matplotlib_inline.backend_inline"
    variables = {"STYLEREPRO_ROOT": str(root), "MPLBACKEND": inline, "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
    variables |= dict.fromkeys(_THREAD_VARIABLES, str(threads)) if threads else {}

    class OwnKernelManager(AsyncKernelManager):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            # This interpreter, not the kernel that is registered as "python3" on this machine: it may lack packages.
            self.kernel_spec_manager = KernelSpecManager(kernel_dirs=[])
            self.connection_file = str(folder / "kernel.json")
            if os.name != "nt" and len(os.fsencode(folder)) <= _SOCKET:
                # Sockets in a folder of our own: ports are found free and taken by another before they are used.
                self.transport, self.ip = "ipc", str(folder / "k")
            elif self.has_trait("transport_encryption"):
                self.transport_encryption = "auto"

        async def start_kernel(self, **kwargs: Any) -> None:  # type: ignore[override]
            await self._async_start_kernel(**kwargs, stdout=log, stderr=log, env={**os.environ, **variables})

    return OwnKernelManager


@contextmanager
def _papermill_logs_to(log: TextIO) -> Iterator[None]:
    logger, handler = logging.getLogger("papermill"), logging.StreamHandler(log)
    before = logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = before


def load_notebook(path: Path) -> Any:
    """Return an executed notebook without the cells that papermill adds around an error; None if unreadable."""
    import nbformat

    try:
        notebook = nbformat.read(path, as_version=4)
    except Exception:
        # A notebook cut short by a full disk or a kill is no reason to lose the error that led to it.
        return None
    notebook.cells = [one for one in notebook.cells if "papermill-error-cell-tag" not in one.metadata.get("tags", [])]
    return notebook


def failed_cell(notebook: Any) -> dict[str, Any] | None:
    """Return where a notebook stopped: {"number": of the code cell, "first_line": of its code}; None if nowhere.

    Cells are counted as in the notebook before papermill put in the one with the parameters. Papermill's own marks are
    not to be trusted: a cell that ran into the time limit is called completed.
    """
    own = [cell for cell in notebook.cells if "injected-parameters" not in cell.metadata.get("tags", [])]
    code = [cell for cell in own if cell.cell_type == "code"]
    begun = [(start, cell) for cell in code if (start := cell.metadata.get("papermill", {}).get("start_time"))]
    broken = [cell for _, cell in begun if any(output.output_type == "error" for output in cell.outputs)]
    if not begun:
        return None
    cell = broken[0] if broken else max(begun, key=lambda each: each[0])[1]
    lines = [line for line in cell.source.splitlines() if line.strip()]
    return {"number": code.index(cell) + 1, "first_line": lines[0] if lines else ""}


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
