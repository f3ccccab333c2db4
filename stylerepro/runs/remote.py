"""One run on another machine: where it is done there, whether the code there is the same, how its folder comes back.

The worker's own `STYLEREPRO_ROOT` is the project there. Where it is not set, that is the folder of the one who asks, if
the worker sees that very folder, else what `files.project_root` finds. A worker that sees the asker's results writes
into them; any other sends the run's folder back whole.
"""

import io
import os
import pickle
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from stylerepro.errors import ResultsError, RunError, StyleReproError
from stylerepro.files import lock, make_folder, project_root, runs_root, write_text
from stylerepro.runs import record as records
from stylerepro.runs.execution import (
    BUSY,
    COMPLETED,
    FAILED,
    FRESH,
    Outcome,
    Task,
    done_record,
    experiment_parameters,
    lock_path,
    perform,
)
from stylerepro.runs.experiments import load
from stylerepro.runs.fingerprint import compute, explain
from stylerepro.runs.pool import end, own_prefix

_POLL = 0.5  # seconds
# A lost worker's lock may outlive it on a network's file system, and a shared folder shows what is new only after a
# while.
_PATIENCE = 120.0  # seconds


@dataclass(frozen=True)
class Errand:
    """A task for another machine. token: a file that lies in the asker's folder of results, to know it by."""

    task: Task
    token: str


@dataclass(frozen=True)
class Parcel:
    """What comes back. files: the run's folder as a zip file; empty where it lies in the asker's results already.

    components: of the worker's fingerprint, where that is another one and nothing was run.
    """

    outcome: Outcome
    files: bytes = b""
    components: dict[str, object] | None = None
    worker: str = ""


@contextmanager
def token() -> Iterator[str]:
    """The name of a file in `results/runs/.staging/` that nobody else has, as long as it is needed."""
    name = f"here-{uuid.uuid4().hex}"
    path = runs_root() / ".staging" / name
    write_text(path, name)
    try:
        yield name
    finally:
        path.unlink(missing_ok=True)


def errand(task: Task, name: str) -> Errand:
    """The task with the digest of its fingerprint, and the `token` of this name."""
    if not task.digest:
        experiment = load(task.experiment)
        task = replace(task, digest=compute(experiment, experiment_parameters(experiment, task.parameters)).digest)
    return Errand(task, name)


def carry_out(wanted: Errand, stopped: Callable[[], bool] = lambda: False, worker: str = "") -> Parcel:
    """On the worker: do the errand in a process of its own, which ends with this one. stopped: asked now and then.

    Raises `RunError` when that process dies, or is stopped.
    """
    with tempfile.TemporaryDirectory(prefix=own_prefix(), ignore_cleanup_errors=True) as name:
        folder = Path(name)
        (folder / "errand").write_bytes(pickle.dumps(wanted))
        with (folder / "log").open("wb") as log:
            command = [sys.executable, "-c", "from stylerepro.runs import remote; remote.main()", str(folder)]
            # Nothing is ever sent on its standard input: that it closes, as it does when this process dies, is the
            # message. Not multiprocessing, which Dask's workers may not use.
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT)
            while process.poll() is None and not stopped():
                time.sleep(_POLL)
            assert process.stdin is not None
            process.stdin.close()
            status = process.wait()
        if not (folder / "parcel").is_file():
            said = (folder / "log").read_text(encoding="utf-8", errors="replace").strip().splitlines()
            raise RunError(f"its process on {worker or 'the worker'} ended with status {status}: {' '.join(said[-1:])}")
        return replace(pickle.loads((folder / "parcel").read_bytes()), worker=worker)


def main() -> None:
    """The process of one errand: reads it from the folder that its argument names, writes the parcel there."""
    signal.signal(signal.SIGINT, lambda *_: None)
    threading.Thread(target=_watch, daemon=True).start()
    folder = Path(sys.argv[1])
    parcel = _parcel(pickle.loads((folder / "errand").read_bytes()))
    (folder / "unfinished").write_bytes(pickle.dumps(parcel))
    (folder / "unfinished").rename(folder / "parcel")


def _watch() -> None:
    os.read(0, 1)
    end()


def _parcel(wanted: Errand) -> Parcel:
    task, where = wanted.task, Path(wanted.task.root)
    if "STYLEREPRO_ROOT" not in os.environ:
        os.environ["STYLEREPRO_ROOT"] = str(where if _sees(where, wanted.token) else project_root())
    try:
        experiment = load(task.experiment)
        print_ = compute(experiment, experiment_parameters(experiment, task.parameters))
        if print_.digest != task.digest:
            return Parcel(_failed(task, "its code differs"), components=dict(print_.components))
        threads = os.environ.get("OMP_NUM_THREADS", "")
        outcome = _patiently(replace(task, threads=task.threads or (int(threads) if threads.isdigit() else None)))
    except StyleReproError as error:
        return Parcel(_failed(task, str(error)))
    if _sees(project_root(), wanted.token) or outcome.status == BUSY:
        return Parcel(outcome)
    kept = runs_root() / task.experiment / task.name
    return Parcel(outcome, pack(records.failed_folder(task.experiment, task.name) if outcome.log else kept))


def _sees(root: Path, name: str) -> bool:
    return (root / "results" / "runs" / ".staging" / name).is_file()


def _failed(task: Task, message: str) -> Outcome:
    return Outcome(task.experiment, task.label, FAILED, error=message)


def _patiently(task: Task) -> Outcome:
    limit = time.monotonic() + _PATIENCE
    while (outcome := perform(task)).status == BUSY and time.monotonic() < limit:
        time.sleep(_POLL)
    return outcome


def pack(folder: Path) -> bytes:
    """A folder as the bytes of a zip file."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(folder))
    return stream.getvalue()


def receive(parcel: Parcel, task: Task) -> Outcome:
    """On the asker's machine: put what came back in its place; how the run ended.

    Raises `RunError` for a worker with other code, `ResultsError` for a folder that is not the whole run.
    """
    at = f"the worker {parcel.worker}".strip()
    if parcel.components is not None:
        experiment = load(task.experiment)
        here = compute(experiment, experiment_parameters(experiment, task.parameters)).components
        why = "; ".join(explain(parcel.components, here)) or "this project changed since it was planned"
        raise RunError(f"{at} has other code or files and was not used: {why}. Bring both to the same state.")
    outcome = parcel.outcome
    if outcome.status not in (COMPLETED, FRESH) and not parcel.files:
        return replace(outcome, error=f"{outcome.error} (on {at})") if outcome.error and not outcome.log else outcome
    target = runs_root() / task.experiment / task.name
    if not parcel.files:
        _wait_for(target, task.digest, at)
        return outcome
    folder = make_folder(runs_root() / ".staging" / f"arrived-{uuid.uuid4().hex}")
    try:
        with zipfile.ZipFile(io.BytesIO(parcel.files)) as archive:
            archive.extractall(folder)
        if outcome.status not in (COMPLETED, FRESH):
            records.install(folder, records.failed_folder(task.experiment, task.name))
            return outcome
        if done_record(folder, task.digest) is None:
            raise ResultsError(f"what came back from {at} is not the whole run; run it again.")
        with lock(lock_path(task.experiment, task.name)) as mine:
            if not mine:
                return replace(outcome, status=BUSY, error="another process is running it here")
            records.install(folder, target)
            shutil.rmtree(records.failed_folder(task.experiment, task.name), ignore_errors=True)
            records.tidy_staging(task.experiment, task.name)
        return replace(outcome, status=COMPLETED)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for(target: Path, digest: str, at: str) -> None:
    limit = time.monotonic() + _PATIENCE
    while done_record(target, digest) is None:
        if time.monotonic() > limit:
            raise ResultsError(f"{at} finished it in the shared folder, but {target.name} does not appear here.")
        time.sleep(_POLL)
