"""A Dask scheduler and its workers, each a process of its own, to be killed at will."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil


def wait_until(condition, limit=240.0):
    end = time.monotonic() + limit
    while not (value := condition()):
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)
    return value


def ran(root: Path) -> list[str]:
    """What the notebooks of a project have noted in its `ran.txt`."""
    return (root / "ran.txt").read_text().split() if (root / "ran.txt").exists() else []


class Cluster:
    """A scheduler and workers, each a process of its own; a worker runs in the folder `NAME` with its own project."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.processes = folder, {}
        self.file = folder / "scheduler.json"
        hidden = {"STYLEREPRO_ROOT", "OMP_NUM_THREADS"}
        self.environment = {name: value for name, value in os.environ.items() if name not in hidden}
        self.environment |= {"GO": str(folder / "go"), "DASK_DISTRIBUTED__SCHEDULER__WORKER_SATURATION": "1.0"}
        self.start("scheduler", "dask", "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard",
                   "--scheduler-file", str(self.file))  # fmt: skip
        wait_until(lambda: self.file.exists() and self.file.read_text().strip().endswith("}"))
        self.address = json.loads(self.file.read_text())["address"]

    def start(self, name, *words, **more):
        (self.folder / name).mkdir(exist_ok=True)
        with (self.folder / f"{name}.log").open("wb") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", *words], cwd=self.folder / name, env=self.environment | more,
                stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    def worker(self, name, *words, **more):
        local = str(self.folder / f"{name}-files")
        self.start(name, "dask", "worker", self.address, "--nthreads", "1", "--no-dashboard", "--name", name,
                   "--local-directory", local, *words, **more)  # fmt: skip

    def wait_for(self, *names):
        from distributed import Client

        with Client(self.address, set_as_default=False) as client:
            wait_until(lambda: set(names) <= {worker["name"] for worker in client.scheduler_info()["workers"].values()})

    def kill(self, name):
        """Nanny, worker and run at once, as when a machine loses its power."""
        family = [psutil.Process(self.processes[name].pid)]
        family += family[0].children(recursive=True)
        for process in family:
            process.kill()
        return family

    def stop(self):
        for name, process in self.processes.items():
            if process.poll() is None:
                self.kill(name)
            process.wait()
