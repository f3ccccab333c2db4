"""What a run costs besides its own work, and what two workers gain, here and through Dask; no test.

    python tests/bench_engines.py --rounds 2        # writes results/performance/engines.json, which the book shows

A sweep of smoke runs of one notebook, by one worker and by two, on this machine and as processes of a Dask cluster on
it, in turn; and the parts of a run that does nothing. Each round is a ratio to itself, since a machine's speed drifts.
`busy`: cores that others used while nothing of this was going on, just before a measurement.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import psutil
from cluster import Cluster

from stylerepro.files import project_root, write_json
from stylerepro.runs import engines, runner

PROJECT = project_root()
NOTEBOOK = "vanilla_transfer"
NOTHING = "run.save(metrics=pd.DataFrame({'gamma': [0.0], 'value': [0.0], 'name': ['-']}))"


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def busy(patience: float = 0.0) -> float:
    """Cores that others use; waits so many seconds for a quiet moment."""
    end = time.monotonic() + patience
    while (used := psutil.cpu_percent(interval=2) / 100 * (os.cpu_count() or 1)) > 0.2 and time.monotonic() < end:
        pass
    return round(used, 2)


def sweep(root: Path, points: int, **options) -> float:
    """Seconds of the whole sweep, from nothing."""
    from stylerepro.runs import sweeps

    shutil.rmtree(root / "results", ignore_errors=True)
    planned = sweeps.plan(NOTEBOOK, "smoke", {"alpha": ",".join(str(number) for number in range(1, points + 1))})
    with engines.opened(runs=points, **options) as (executor, at_once):
        workers = 1 if executor else at_once
        took = seconds(lambda: runner.execute(planned.waiting, executor=executor, workers=workers))
    assert sweeps.collect(planned)["run"].nunique() == points
    return took


def clusters(folder: Path) -> dict[int, Cluster]:
    """Of one worker and of two, which have the project in folders of their own."""
    made = {}
    for count in (1, 2):
        made[count] = Cluster(folder / f"cluster-{count}")
        names = [f"worker-{number}" for number in range(count)]
        for name in names:
            project(folder / f"cluster-{count}" / name)
            made[count].worker(name, STYLEREPRO_ROOT=str(folder / f"cluster-{count}" / name))
        made[count].wait_for(*names)
    return made


def project(root: Path) -> Path:
    import toy

    (root / "stylerepro").mkdir(parents=True)
    (root / "notebooks").mkdir()
    for suffix in (".ipynb", ".yaml"):
        (root / "notebooks" / NOTEBOOK).with_suffix(suffix).symlink_to(PROJECT / "notebooks" / f"{NOTEBOOK}{suffix}")
    toy.add(root, "nothing", NOTHING)
    return root


def overhead(root: Path, folder: Path, address: str) -> dict[str, float]:
    """Seconds: of a run that does nothing, the same through Dask, and its parts each for itself."""
    import nbformat
    import toy

    from stylerepro.runs import execution

    cell = nbformat.v4.new_code_cell("1")
    empty = folder / "empty.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[cell], metadata={"kernelspec": toy.KERNEL}), empty)

    def run(engine: str, **options) -> float:
        for own in (root, *folder.glob("cluster-*/*/")):
            shutil.rmtree(own / "results", ignore_errors=True)
        jobs = runner.plan(["nothing"], "smoke")
        with engines.opened(engine, 1, **options) as (executor, _):
            return seconds(lambda: runner.execute(jobs, executor=executor))

    def python(code: str) -> float:
        return seconds(lambda: subprocess.run([sys.executable, "-c", code], check=True, cwd=folder))

    alone = python("pass")
    return {
        "run": run("local"),
        "dask": run("dask", address=address),
        "notebook": seconds(
            lambda: execution.run_notebook(empty, folder / "out.ipynb", {}, threads=None, timeout=None)
        ),
        "imports": python("import pandas; from stylerepro import results") - alone,
        "papermill": python("from stylerepro.runs import execution; execution.papermill_module()") - alone,
    }


def main() -> None:
    from stylerepro.measures.timing import hardware

    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("rounds", 2), ("points", 12), ("repeats", 3)):
        options.add_argument(f"--{name}", type=int, default=default)
    options.add_argument("--patience", type=float, default=0.0, help="seconds to wait for a quiet machine, each time")
    options.add_argument("--out", type=Path, default=PROJECT / "results" / "performance" / "engines.json")
    given = options.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the clusters end with this process in every case
    with tempfile.TemporaryDirectory(prefix="stylerepro-bench-") as name:
        folder = Path(name)
        for count in (1, 2):
            (folder / f"cluster-{count}").mkdir()
        os.environ["STYLEREPRO_ROOT"] = str(project(folder / "mine"))
        os.environ["PYTHONPATH"] = str(PROJECT)
        made = clusters(folder)
        scaling, parts = [], []
        try:
            for round_ in range(1, given.rounds + 1):
                for _ in range(given.repeats):
                    parts.append({"busy": busy(given.patience)} | overhead(folder / "mine", folder, made[1].address))
                    print(parts[-1], flush=True)
                for workers in (1, 2):
                    for engine in ("local", "dask"):
                        for own in folder.glob("cluster-*/*/"):
                            shutil.rmtree(own / "results", ignore_errors=True)
                        others = busy(given.patience)
                        where = {"address": made[workers].address} if engine == "dask" else {"jobs": workers}
                        took = sweep(folder / "mine", given.points, engine=engine, **where)
                        row = {"round": round_, "engine": engine, "workers": workers, "seconds": round(took, 2)}
                        scaling.append(row | {"busy": others})
                        print(scaling[-1], flush=True)
        finally:
            for cluster in made.values():
                cluster.stop()
    told = {"hardware": hardware(), "date": f"{datetime.now(UTC):%Y-%m-%d}"}
    told |= {"notebook": NOTEBOOK, "points": given.points}
    rounded = [{what: round(value, 3) for what, value in part.items()} for part in parts]
    write_json(given.out, told | {"scaling": scaling, "overhead": rounded})


if __name__ == "__main__":
    main()
