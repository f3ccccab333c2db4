"""`stylerepro run` killed with `kill -9`, whole process group, again and again; each time `run` must end well.

    python tests/kill_runs.py --kills 30 --seed 0 --experiments tv_sweep initialisation

In a project of its own, far from this one's results. Before each kill some experiments are there finished, others are
not; every third run is forced, so that it replaces what is there. Two of three kills come at any moment of a run, the
third while files are being written. `test_faults.py` has a short form of it.
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import nbformat
import psutil

from stylerepro.runs import record, results, runner

PROFILE = "smoke"
LIMIT = 1800.0  # seconds; for what must come, not a measure of speed
READERS = (["status", "--profile", PROFILE], ["list"], ["collect", "--profile", PROFILE])


class Violation(Exception):
    """Something that must hold after a kill, and does not."""


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


def finish(root, *words):
    """Run the command to its end; gives its output. A `Violation` where it ends badly."""
    process = command(root, *words)
    try:
        said, _ = process.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise Violation(f"`{' '.join(words)}` did not end within {LIMIT:.0f} s") from None
    if process.returncode or "Traceback" in said:
        raise Violation(f"`{' '.join(words)}` ended with {process.returncode}:\n{said}")
    return said


def runs(root):
    """Experiment to the folder of its run, of those that are in place."""
    return {path.parent.name: path for path in root.glob(f"results/runs/*/{PROFILE}-*") if path.is_dir()}


def content(folder):
    """Every file of a folder with its hash."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def check_whole(folder, files):
    """A run's folder holds a whole run with the files that an undisturbed one has. A `Violation` if not."""
    if (present := set(content(folder))) != files:
        raise Violation(f"{folder} has other files than an undisturbed run: {sorted(present ^ files)}")
    made = record.read_record(folder)
    if made["status"] != record.COMPLETED or made["profile"] != PROFILE or not made["seconds"]:
        raise Violation(f"{folder} has a record that was not completed: {made['status']}, {made['seconds']} s")
    notebook = nbformat.read(folder / "notebook.ipynb", as_version=4)
    nbformat.validate(notebook)
    if any(cell.cell_type == "code" and cell.execution_count is None for cell in notebook.cells if cell.source):
        raise Violation(f"{folder}/notebook.ipynb has cells that were not executed")


def check_tables(root, names):
    """Every run that is in place can be collected, without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for table in ("metrics", "history"):
            collected = set(results.tables_of(root / "results" / "runs", PROFILE, table))
            if table == "metrics" and collected != set(names):
                raise Violation(f"collected are {sorted(collected)}, in place {sorted(names)}")


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


def wait_for(condition, what):
    """Wait until something holds; a `Violation` after a time in which it must."""
    end = time.monotonic() + LIMIT
    while not condition():
        if time.monotonic() > end:
            raise Violation(f"waited in vain: {what}")
        time.sleep(0.02)


def writing(root, mark):
    """Whether a run is at its end: its first table, its finished notebook, or the folder put in place is there."""
    places = {
        "tables": "results/runs/.staging/*/result/*.csv",
        "record": "results/runs/.staging/*/result/notebook.ipynb",
        "install": f"results/runs/*/.[og]*-{PROFILE}-*",  # .old-*, .gone-*
        "parts": "results/runs/.staging/*/parts/*/*",
    }
    return any(True for _ in root.glob(places[mark]))


def strike(root, words, moment):
    """Start a run and kill it, with all of its group: after some seconds, or when `writing`. False if it was faster."""
    process = command(root, "run", *words)
    try:
        if isinstance(moment, str):
            while process.poll() is None and not writing(root, moment):
                time.sleep(0.001)
        else:
            end = time.monotonic() + moment
            while process.poll() is None and time.monotonic() < end:
                time.sleep(0.005)
        return process.poll() is None
    finally:
        if process.poll() is None:  # where it was faster, its number is no longer its own
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=LIMIT)


class Series:
    """Kills in the project at `root`, whose notebooks are there and have not run."""

    def __init__(self, root, seed, words=(), readers=READERS):
        self.root, self.chance, self.words = root, random.Random(seed), ["--profile", PROFILE, *words]
        self.readers = readers
        self.rows = []
        begun = time.monotonic()
        finish(root, "run", *self.words)
        self.duration = time.monotonic() - begun
        self.kept = root.parent / f"{root.name}-finished"
        shutil.copytree(root / "results", self.kept)
        self.names = sorted(runs(root))
        self.files = {name: set(content(folder)) for name, folder in runs(root).items()}

    def prepare(self, finished):
        """Bring the results to where only `finished` have run."""
        shutil.rmtree(self.root / "results")
        shutil.copytree(self.kept, self.root / "results")
        for name, folder in runs(self.root).items():
            if name not in finished:
                shutil.rmtree(folder.parent)

    def kill(self, moment, forced):
        """One kill, all that must hold after it, and the run that ends well. A `Violation` where something does not."""
        finished = set(self.names if moment == "install" else self.chance.sample(self.names, len(self.names) - 1))
        self.prepare(finished)
        before = {name: content(folder) for name, folder in runs(self.root).items()}
        hit = strike(self.root, [*self.words, *(["--force"] if forced else [])], moment)
        orphans = len(left(self.root))
        wait_for(lambda: not left(self.root), "kernels outlive the command that started them")

        after = runs(self.root)
        for name, folder in after.items():
            check_whole(folder, self.files[name])
        check_tables(self.root, after)
        for name in finished - set(after):
            # Killed between the two renames: the old one waits beside its place, the new one is whole.
            old = [content(path) for path in self.root.glob(f"results/runs/{name}/.old-*")]
            if not forced or before[name] not in old:
                raise Violation(f"the finished run of {name} is gone")
        if not forced and any(content(after[name]) != before[name] for name in finished):
            raise Violation("a finished run has changed, though nothing was to be done")
        for words in self.readers:
            finish(self.root, *words)

        whole = {name: (content(folder), folder.stat().st_ino) for name, folder in after.items()}
        said = finish(self.root, "run", *self.words)
        again = runs(self.root)
        for name, folder in again.items():
            check_whole(folder, self.files[name])
        check_tables(self.root, self.names)
        if any((content(again[name]), again[name].stat().st_ino) != kept for name, kept in whole.items()):
            raise Violation("a run that was in place after the kill was made again")
        if any(job.stale for job in runner.plan((), PROFILE)):
            raise Violation("a run is stale after all have run")
        if damaged := list(self.root.glob("results/runs/*/.damaged-*")):
            raise Violation(f"a kill left a damaged run: {damaged}")
        shown = moment if isinstance(moment, str) else f"{moment:.2f} s"
        resumed = said.count("goes on from the parts")
        row = {"moment": shown, "forced": forced, "hit": hit, "finished": len(finished), "whole": len(after),
               "orphans": orphans, "resumed": resumed}  # fmt: skip
        self.rows.append(row)
        return row

    def run(self, kills):
        """So many kills that met a run, with a line for each; one that came too late is made up for by another."""
        marks, number = ("tables", "record", "install", "parts"), 0
        while (hits := sum(row["hit"] for row in self.rows)) < kills:
            if number == 3 * kills:
                raise Violation(f"only {hits} of {number} kills met a run")
            # What is not finished takes a part of the whole, or all of it where the run is forced.
            aimed, forced = number % 3 == 2, number % 3 == 1
            moment = marks[number // 3 % len(marks)] if aimed else self.chance.uniform(0, self.duration)
            if not aimed and not forced:
                moment /= len(self.names)
            number += 1
            row = self.kill(moment, forced or moment == "install")
            print(f"kill {number}: {json.dumps(row)}", flush=True)


def main():
    """Do what the arguments ask; exit status 1 with the first thing that did not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", default="1")
    parser.add_argument("--experiments", nargs="+", default=["tv_sweep", "initialisation"])
    given = parser.parse_args()
    source = Path(__file__).resolve().parents[1]
    # The command's processes take the package from here, wherever they are started.
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(source), os.environ.get("PYTHONPATH"))))
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve() / "project"
        (root / "notebooks").mkdir(parents=True)
        for name in given.experiments:
            for suffix in ("ipynb", "yaml"):
                shutil.copy(source / "notebooks" / f"{name}.{suffix}", root / "notebooks")
        os.environ["STYLEREPRO_ROOT"] = str(root)
        try:
            series = Series(root, given.seed, ["--jobs", given.jobs])
            print(f"undisturbed: {series.duration:.1f} s for {', '.join(series.names)}", flush=True)
            series.run(given.kills)
        except Violation as error:
            print(f"VIOLATED: {error}")
            sys.exit(1)
    hits = [row for row in series.rows if row["hit"]]
    print(
        f"{len(series.rows)} kills, {len(hits)} of them before the run's end, {sum(row['forced'] for row in hits)} "
        f"forced; all ended well, nothing finished was lost"
    )


if __name__ == "__main__":
    main()
