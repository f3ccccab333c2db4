"""Runs on other machines: Dask's workers anywhere, or the jobs of a Slurm cluster, as one executor.

A worker's own `STYLEREPRO_ROOT` is the project there. Where it is not set, that is the folder of the one who asks, if
the worker sees that very folder, else what `files.project_root` finds. A worker that sees the asker's results writes
into them; any other sends the run's folder back whole.
"""

import io
import logging
import os
import pickle
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stylerepro.errors import ResultsError, RunError, StyleReproError, unknown
from stylerepro.files import lock, make_folder, project_root, runs_root
from stylerepro.runs import execution
from stylerepro.runs import record as records
from stylerepro.runs.execution import BUSY, COMPLETED, FAILED, FRESH, Outcome, Task, done_record, perform
from stylerepro.runs.fingerprint import explain
from stylerepro.runs.processes import call_apart, own_prefix
from stylerepro.runs.runner import threads_each

if TYPE_CHECKING:
    from distributed import Client
    from distributed import Future as Distant

LOCAL, DASK, SLURM = ENGINES = ("local", "dask", "slurm")
_TOPIC = "stylerepro-started"
_INSTALL = "pip install -e '.[cluster]' in the project's folder."
# Dask's workers have one thread for each library, unless this says otherwise before they are started.
_THREADS = "DASK_DISTRIBUTED__NANNY__PRE_SPAWN_ENVIRON__OMP_NUM_THREADS"
_LOOK = 5.0  # seconds
_POLL = 0.5  # seconds
_CONNECT = "15s"
# A lost worker's lock may outlive it on a network's file system; a shared folder shows what is new after a while.
_PATIENCE = 120.0  # seconds


class EngineWarning(UserWarning):
    """Runs that wait for something that may never come."""


@dataclass(frozen=True)
class Parcel:
    """The answer of a worker.

    files: the run's folder as a zip file; empty where it lies in the asker's results already.
    components: of the worker's fingerprint, where that is another one and nothing was run.
    """

    outcome: Outcome
    files: bytes = b""
    components: dict[str, object] | None = None
    worker: str = ""


@contextmanager
def opened(
    engine: str, runs: int, *, jobs: int = 1, address: str = "", gpus: int = 0, sbatch: str = ""
) -> Iterator[tuple[Executor | None, int]]:
    """Yield the executor to hand to `runner.execute`, None for this machine, and how many runs go on at once.

    runs: that are to be done; for none no other machine is asked. jobs: runs at once, on this machine or as jobs of
    Slurm. address: of Dask's scheduler, `tcp://HOST:PORT`. gpus: for each run. sbatch: options of Slurm's sbatch, as
    one writes them behind it. What has not ended by the end of the block is given up. Raises `RunError` for what does
    not go together, a scheduler that does not answer, workers none of which has the GPUs, and jobs that Slurm refuses.
    """
    if engine not in ENGINES:
        raise RunError(unknown(engine, list(ENGINES), "engine", "The command"))
    if engine != DASK and address:
        raise RunError(f"--address is that of Dask's scheduler; --engine {engine} has none.")
    if engine != SLURM and sbatch:
        raise RunError(f"--sbatch is for --engine slurm; --engine {engine} has no use for it.")
    if engine == LOCAL:
        threads_each(jobs)
        if gpus:
            raise RunError("--gpus-per-run is for other engines; on this machine a notebook takes a GPU by itself.")
    if engine == DASK and not address:
        raise RunError("--engine dask needs --address tcp://HOST:PORT, which `dask scheduler` prints at its start.")
    if engine == LOCAL or not runs:
        yield None, jobs
        return
    at_once = max(1, min(jobs, runs))
    connected = _connected(address) if engine == DASK else _on_slurm(at_once, gpus, sbatch)
    with (
        connected as client,
        # A file whose name nobody else has: a worker that sees it sees the asker's folder of results.
        tempfile.NamedTemporaryFile(prefix="here-", dir=make_folder(runs_root() / ".staging")) as token,
    ):
        # A lost scheduler is told as the end of its runs, not by tracebacks of Dask's logs as well.
        logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
        if engine == DASK:
            at_once = _at_once(client, gpus)
        executor, over = DaskExecutor(client, Path(token.name).name, gpus), threading.Event()
        if engine == SLURM:
            threading.Thread(target=_watch, args=(client, executor, over), daemon=True).start()
        try:
            yield executor, at_once
        finally:
            over.set()
            executor.stop()


def _connected(address: str) -> "Client":
    try:
        from distributed import Client
    except ImportError:
        raise RunError(f"--engine dask needs the package distributed: {_INSTALL}") from None
    try:
        return Client(address, timeout=_CONNECT, set_as_default=False)
    except (OSError, ValueError) as error:
        cure = "Start one with `dask scheduler`, or correct --address."
        raise RunError(f"no Dask scheduler answers at {address} ({error}). {cure}") from None


@contextmanager
def _on_slurm(jobs: int, gpus: int, sbatch: str) -> "Iterator[Client]":
    """Start a scheduler in this process, and so many jobs of Slurm that are its workers; replace lost ones."""
    heeded = signal.getsignal(signal.SIGINT)
    try:
        import dask
        from dask_jobqueue import SLURMCluster
        from distributed import Client
    except ImportError:
        raise RunError(f"--engine slurm needs the package dask-jobqueue: {_INSTALL}") from None
    signal.signal(signal.SIGINT, heeded)  # that import made Ctrl-C end the command without a word, as if all were done
    if shutil.which("sbatch") is None:
        raise RunError("--engine slurm needs Slurm's command sbatch, which this machine lacks: log in to the cluster.")
    said = make_folder(runs_root() / ".slurm") / "stylerepro-%J"
    options = [f"--output={said}.out", f"--error={said}.err", *([f"--gres=gpu:{gpus}"] if gpus else [])]
    cluster = SLURMCluster(
        # As a shell takes it, for a folder with a space in its name; whoever sets another has quoted it.
        python=dask.config.get("jobqueue.slurm.python", None) or shlex.quote(sys.executable),
        cores=1,
        processes=1,
        # What Slurm grants is asked for by --sbatch alone, and watched over by Slurm alone.
        memory="1GB",
        job_directives_skip=["--mem=", " -t "],
        worker_extra_args=["--memory-limit", "0", *(["--resources", f"GPU={gpus}"] if gpus else [])],
        job_extra_directives=[shlex.quote(option) for option in (*options, *shlex.split(sbatch))],
        job_script_prologue=[f"export {_THREADS}=${{SLURM_CPUS_PER_TASK:-1}}"],
        job_name="stylerepro",
        scheduler_options={"dashboard_address": ":0"},
    )
    with cluster:
        # Slurm's own refusal; else nobody would be told that there are no workers.
        script = cluster.job_script()
        done = subprocess.run(["sbatch", "--test-only"], input=script, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RunError(f"Slurm refuses such a job: {done.stderr.strip()}; correct --sbatch.")
        cluster.adapt(minimum_jobs=jobs, maximum_jobs=jobs)
        with Client(cluster, set_as_default=False) as client:
            yield client


def _watch(client: "Client", executor: "DaskExecutor", over: threading.Event) -> None:
    """Give all up where Slurm's jobs end before they work (no Python there, …): they would be awaited for ever."""
    worked: set[str] = set()
    before: set[str] = set()
    while not over.wait(_LOOK):
        done = subprocess.run(["squeue", "-h", "-o", "%i"], capture_output=True, text=True, check=False)
        working = {str(worker["name"]) for worker in client.scheduler_info(n_workers=-1)["workers"].values()}
        worked |= working
        jobs = {str(name): str(getattr(job, "job_id", "")) for name, job in tuple(client.cluster.workers.items())}  # type: ignore[union-attr]
        ended = {name for name, job in jobs.items() if job and job not in done.stdout.split()} - worked
        if done.returncode == 0 and not working and ended & before:
            executor.stop("Slurm's jobs end before they work; what they said lies in results/runs/.slurm/")
        before = ended


def _at_once(client: "Client", gpus: int) -> int:
    """Return how many runs the workers take together."""
    address = client.scheduler.address  # type: ignore[union-attr]
    how = f"dask worker {address} --nthreads 1" + (f" --resources GPU={gpus}" if gpus else "")
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    if not workers:
        warnings.warn(f"the scheduler has no worker; runs wait until there is one: {how}", EngineWarning, stacklevel=2)
        return 1
    if not gpus:
        return sum(worker["nthreads"] for worker in workers)
    free = [int(worker["resources"].get("GPU", 0) // gpus) for worker in workers]
    if not any(free):
        raise RunError(f"none of the {len(free)} workers has {gpus} GPU for a run: {how}")
    return sum(min(worker["nthreads"], room) for worker, room in zip(workers, free, strict=True))


class DaskExecutor(Executor):
    """The workers of a Dask scheduler as an executor; what they send back is put in its place here.

    gpus: so many of the resource `GPU` for each run; a worker says with `--resources GPU=1` that it has one. A run
    whose worker dies is taken up by another; after three more deaths it fails.
    """

    def __init__(self, client: "Client", token: str, gpus: int = 0) -> None:
        self._client, self._token = client, token
        self._why = "Dask's scheduler was lost, or gave the run up; run the same command again"
        self._resources = {"GPU": gpus} if gpus else None
        self._open: dict[str, tuple[Distant, Future[Any]]] = {}
        client.subscribe_topic(_TOPIC, self._started)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Submit as the runner does it: `submit(execution.perform, task)`. The worker performs it where it has to."""
        (task,) = args
        outer: Future[Any] = Future()
        key = f"stylerepro-{task.experiment}-{task.name}-{time.time_ns()}"
        errand = pickle.dumps((task, self._token))

        def messenger(told: bytes) -> Any:
            # A function of its own, which needs none of this package before it is called: a worker cannot take apart
            # what it lacks the modules for; it would end, and the run would wait for ever.
            return import_module("stylerepro.runs.engines").on_worker(told)

        inner = self._client.submit(messenger, errand, key=key, pure=False, resources=self._resources)
        self._open[key] = inner, outer
        inner.add_done_callback(lambda done: self._arrived(key, task))
        return outer

    def _started(self, event: tuple[float, str]) -> None:
        # Dask hands on what any of its clients' workers say, and a run that is taken up again starts twice.
        _, outer = self._open.get(event[1], (None, None))
        if outer is not None and not outer.running() and not outer.done():
            outer.set_running_or_notify_cancel()

    def _arrived(self, key: str, task: Task) -> None:
        from distributed import KilledWorker

        inner, outer = self._open[key]
        try:
            outcome = receive(pickle.loads(inner.result()), task)
            del self._open[key]
            outer.set_result(outcome)
        except KilledWorker as error:
            last = getattr(error.last_worker, "address", "")
            why = f"its workers died one after another, the last of them {last}; the usual cause is too little memory"
            outer.set_exception(RunError(why))
        except (AttributeError, ImportError) as error:
            why = f"a worker has other code than this machine ({error}). Bring both to the same state."
            outer.set_exception(RunError(why))
        except CancelledError:
            outer.set_exception(RunError(self._why))
        except Exception as error:
            # Whatever it was, it must not leave the command waiting for ever.
            outer.set_exception(error)
        finally:
            self._open.pop(key, None)
            inner.release()

    def stop(self, why: str = "") -> None:
        """Give up all that has not ended, on the workers too. why: what is then said of each run."""
        self._why = why or self._why
        self._client.cancel([inner for inner, _ in tuple(self._open.values())], force=True)


def on_worker(errand: bytes) -> bytes:
    """Do a pickled pair of `Task` and token on a Dask worker, and return the `Parcel`, pickled too."""
    from distributed import get_worker

    worker = get_worker()
    key = worker.get_current_task()
    worker.log_event(_TOPIC, key)

    def given_up() -> bool:
        """Return True if it was interrupted, or the scheduler is gone: a closing worker waits for what it runs."""
        task = worker.state.tasks.get(key)
        return task is None or task.state == "cancelled" or worker.status.name in ("closing", "closed", "failed")

    task, token = pickle.loads(errand)
    return pickle.dumps(carry_out(task, token, given_up, worker.address))


def carry_out(task: Task, token: str, stopped: Callable[[], bool] = lambda: False, worker: str = "") -> Parcel:
    """Do a task on the worker, in a process of its own. stopped: asked now and then.

    token: a file in the asker's folder of results, to know it by. Raises `RunError` if that process dies or is stopped.
    """
    where = f" on {worker or 'the worker'}"
    return replace(call_apart(partial(_parcel, task, token), stopped, where), worker=worker)


def _parcel(task: Task, token: str) -> Parcel:
    asker = Path(task.root)
    if "STYLEREPRO_ROOT" not in os.environ:
        os.environ["STYLEREPRO_ROOT"] = str(asker if _sees(asker, token) else project_root())
    try:
        _, _, print_ = execution.resolved(task)
        if print_.digest != task.digest:
            return Parcel(task.ended(FAILED, error="its code differs"), components=dict(print_.components))
        threads = os.environ.get("OMP_NUM_THREADS", "")
        task = replace(task, threads=task.threads or (int(threads) if threads.isdigit() else None))
        outcome = perform(task, patience=_PATIENCE)
    except StyleReproError as error:
        return Parcel(task.ended(FAILED, error=str(error)))
    if _sees(project_root(), token) or outcome.status == BUSY:
        return Parcel(outcome)
    return Parcel(outcome, pack(task.failed_folder if outcome.log else task.folder))


def _sees(root: Path, name: str) -> bool:
    return (root / "results" / "runs" / ".staging" / name).is_file()


def pack(folder: Path) -> bytes:
    """Return a folder as the bytes of a zip file."""
    with tempfile.TemporaryDirectory(prefix=own_prefix()) as room:
        return Path(shutil.make_archive(f"{room}/packed", "zip", folder)).read_bytes()


def receive(parcel: Parcel, task: Task) -> Outcome:
    """Put what came back in its place, on the asker's machine, and return how the run ended.

    Raises `RunError` for a worker with other code, `ResultsError` for a folder that is not the whole run.
    """
    at = f"the worker {parcel.worker}".strip()
    if parcel.components is not None:
        why = "; ".join(explain(parcel.components, execution.resolved(task)[2].components))
        why = why or "this project changed since it was planned"
        raise RunError(f"{at} has other code or files and was not used: {why}. Bring both to the same state.")
    outcome, done = parcel.outcome, parcel.outcome.status in (COMPLETED, FRESH)
    if not parcel.files:
        limit = time.monotonic() + _PATIENCE
        while done and done_record(task.folder, task.digest) is None:
            if time.monotonic() > limit:
                raise ResultsError(f"{at} finished it in the shared folder, but {task.name} does not appear here.")
            time.sleep(_POLL)
        if not done and outcome.error and not outcome.log:
            return replace(outcome, error=f"{outcome.error} (on {at})")
        return outcome
    staging = make_folder(runs_root() / ".staging")
    with tempfile.TemporaryDirectory(prefix="arrived-", dir=staging, ignore_cleanup_errors=True) as room:
        folder = make_folder(Path(room) / "run")
        with zipfile.ZipFile(io.BytesIO(parcel.files)) as archive:
            archive.extractall(folder)
        if not done:
            records.install(folder, task.failed_folder)
            return outcome
        if done_record(folder, task.digest) is None:
            raise ResultsError(f"what came back from {at} is not the whole run; run it again.")
        with lock(task.lock_path) as mine:
            if not mine:
                return replace(outcome, status=BUSY, error="another process is running it here")
            execution.put_in_place(task, folder)
        return replace(outcome, status=COMPLETED)
