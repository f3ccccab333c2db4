"""`stylerepro run` killed with `kill -9`, whole process group, at any moment; each time `run` must end well.

Before a kill nothing has run, or all has, and a forced run is on its way to replace it.
"""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
import warnings

import nbformat
import psutil
from cluster import wait_until

from stylerepro.runs import record, results, runner

PROFILE = "smoke"
LIMIT = 1800.0  # seconds; for what must come, not a measure of speed


def command(root, *words):
    """Start the command for the project at `root`, in a session and process group of its own.

    It heeds Ctrl-C as in a terminal, also where these tests run in the background of a shell, which has it ignored.
    """
    code = "from stylerepro.cli.main import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", code, *words],
        env=os.environ | {"STYLEREPRO_ROOT": str(root)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip


def finish(root):
    """Run all to the end, which must be a good one."""
    process = command(root, "run", "--profile", PROFILE)
    try:
        said, _ = process.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    assert process.returncode == 0, said
    assert "Traceback" not in said, said


def runs(root):
    """Experiment to the folder of its run, of those that are in place."""
    return {path.parent.name: path for path in root.glob(f"results/runs/*/{PROFILE}-*") if path.is_dir()}


def content(folder):
    """Every file of a folder with its hash."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def check_whole(folder, files):
    """A run's folder holds a whole run with the files that an undisturbed one has."""
    assert set(content(folder)) == files, folder
    made = record.read_record(folder)
    assert (made["status"], made["profile"]) == (record.COMPLETED, PROFILE)
    assert made["seconds"]
    notebook = nbformat.read(folder / "notebook.ipynb", as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source]
    assert all(cell.execution_count is not None for cell in code), f"{folder} has cells that were not executed"


def check_tables(root, names):
    """Every run that is in place can be collected, without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert set(results.tables_of(root / "results" / "runs", PROFILE)) == set(names)
        results.tables_of(root / "results" / "runs", PROFILE, "history")


def left(root):
    """Processes that work for the project at `root`."""
    processes = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("STYLEREPRO_ROOT") == str(root) and process.status() != psutil.STATUS_ZOMBIE:
                processes.append(process)
        except psutil.Error:
            continue
    return processes


# When a run is at its end: its first table, or its finished notebook, is there.
WRITING = {"tables": "results/runs/.staging/*/result/*.csv", "record": "results/runs/.staging/*/result/notebook.ipynb"}


def strike(root, words, moment):
    """Start a run and kill it, with all of its group: after some seconds, or at its end. False if it was faster."""
    process = command(root, "run", "--profile", PROFILE, *words)
    end = time.monotonic() + (LIMIT if moment in WRITING else moment)
    try:
        while process.poll() is None and time.monotonic() < end:
            if moment in WRITING and any(True for _ in root.glob(WRITING[moment])):
                break
            time.sleep(0.001)
        return process.poll() is None
    finally:
        if process.poll() is None:  # where it was faster, its number is no longer its own
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=LIMIT)


class Series:
    """Kills in the project at `root`, whose notebooks are there and have not run."""

    def __init__(self, root):
        self.root = root
        begun = time.monotonic()
        finish(root)
        self.duration = time.monotonic() - begun
        self.kept = root.parent / f"{root.name}-finished"
        shutil.copytree(root / "results", self.kept)
        self.names = sorted(runs(root))
        self.files = {name: set(content(folder)) for name, folder in runs(root).items()}

    def kill(self, moment, forced):
        """One kill, all that must hold after it, and the run that ends well; whether the kill met a run."""
        shutil.rmtree(self.root / "results")
        if forced:
            shutil.copytree(self.kept, self.root / "results")
        before = {name: content(folder) for name, folder in runs(self.root).items()}
        hit = strike(self.root, ["--force"] if forced else [], moment)
        wait_until(lambda: not left(self.root), LIMIT)  # no kernel outlives the command that started it

        after = runs(self.root)
        for name, folder in after.items():
            check_whole(folder, self.files[name])
        check_tables(self.root, after)
        for name in set(before) - set(after):
            # Killed between the two renames: the old one waits beside its place, the new one is whole.
            assert before[name] in [content(path) for path in self.root.glob(f"results/runs/{name}/.old-*")]

        whole = {name: (content(folder), folder.stat().st_ino) for name, folder in after.items()}
        finish(self.root)
        again = runs(self.root)
        for name, folder in again.items():
            check_whole(folder, self.files[name])
        check_tables(self.root, self.names)
        kept = {name: (content(again[name]), again[name].stat().st_ino) for name in whole}
        assert kept == whole, "a run that was in place after the kill was made again"
        assert not any(job.stale for job in runner.plan((), PROFILE))
        assert not list(self.root.glob("results/runs/*/.damaged-*"))
        return hit
