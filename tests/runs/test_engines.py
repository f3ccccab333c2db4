"""Runs beyond this process: a real Dask scheduler with workers that are killed, have other code, or a GPU."""

import dataclasses
import os
import signal
from concurrent.futures import ThreadPoolExecutor

import kill_runs
import psutil
import pytest
import toy
from cluster import Cluster, ran, wait_until

from stylerepro.errors import ResultsError, RunError
from stylerepro.files import lock
from stylerepro.runs import engines, execution, experiments, record, runner, sweeps

pytest.importorskip("distributed", reason="the package distributed is not installed")

# Each run says where it is; the one of size 6 waits, at the first try for ever.
WAITING = """\
where = os.environ["STYLEREPRO_ROOT"]
with open(os.path.join(where, "ran.txt"), "a") as stream:
    stream.write(f"{run.parameters['size']}\\n")
while run.parameters["size"] == 6 and not os.path.exists(os.environ["GO"]):
    time.sleep(0.1)
""" + toy.BODY.replace('run.parameters["reading"]', 'os.path.basename(where) + " " + os.environ["OMP_NUM_THREADS"]')


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    yield cluster
    cluster.stop()


def with_project(root):
    toy.add(root, "toy", WAITING)
    (root / "stylerepro").mkdir()
    return root


def test_runs_on_three_machines_one_of_which_dies_are_each_there_once(cluster, monkeypatch):
    mine, names = with_project(cluster.folder / "mine"), ["one", "two", "three"]
    roots = [with_project(cluster.folder / name) for name in names]
    for name in names:
        cluster.worker(name, STYLEREPRO_ROOT=str(cluster.folder / name))
    cluster.wait_for(*names)
    monkeypatch.setenv("STYLEREPRO_ROOT", str(mine))
    events = []
    with engines.opened("dask", 6, address=cluster.address) as (executor, at_once), ThreadPoolExecutor(1) as aside:
        planned = sweeps.plan("toy", "smoke", {"size": "4,5,6,7,8,9"})
        going = aside.submit(
            runner.execute, planned.waiting, executor=executor, report=lambda *event: events.append(event)
        )
        (busy,) = wait_until(lambda: [root for root in roots if "6" in ran(root)])
        family = cluster.kill(busy.name)
        (cluster.folder / "go").touch()
        outcomes = going.result(timeout=300)
        table = sweeps.collect(planned)
    assert at_once == 3
    assert [(outcome.status, outcome.error) for outcome in outcomes] == [("completed", "")] * 6
    assert len({job.point for job, outcome in events if outcome is None}) == 6
    psutil.wait_procs(family, timeout=30)
    assert table["run"].is_unique
    assert sorted(table["size"]) == [4, 5, 6, 7, 8, 9]
    assert len(list(mine.glob("results/runs/toy/*/run.json"))) == 6
    assert len(list(mine.glob("results/runs/*/*/notebook.ipynb"))) == 6
    # Nothing ran here, and what was killed ran again elsewhere, on one thread, as Dask has its workers.
    assert ran(mine) == []
    assert sum(ran(root).count("6") for root in roots) == 2
    assert {name.split()[1] for name in table["name"]} == {"1"}
    assert set(table[table["size"] == 6]["name"].str.split().str[0]) < set(names) - {busy.name}
    assert [path for path in mine.glob("results/runs/.staging/*") if path.suffix != ".lock"] == []


def test_in_a_shared_folder_another_worker_goes_on_where_a_dead_one_was(cluster, monkeypatch, call):
    """Only workers with a GPU take a run that wants one; without STYLEREPRO_ROOT they write where the command does."""
    shared, go = cluster.folder / "shared", cluster.folder / "go"
    toy.add(shared, "parts", toy.PARTS)
    go.unlink(missing_ok=True)
    monkeypatch.setenv("STYLEREPRO_ROOT", str(shared))
    cluster.worker("plain")
    cluster.wait_for("plain")
    words = ("run", "parts", "--engine", "dask", "--address", cluster.address, "--gpus-per-run", "1")
    status, _, said = call(*words)
    assert status == 2
    assert "has 1 GPU for a run: dask worker tcp://127.0.0.1:" in said
    cluster.worker("first", "--resources", "GPU=1")
    cluster.worker("second", "--resources", "GPU=1")
    cluster.wait_for("first", "second")
    process = cluster.processes["command"] = kill_runs.command(shared, *words)
    calls = shared / "calls.txt"
    wait_until(lambda: calls.exists() and calls.read_text().split() == ["0", "1", "2"])
    (busy,) = (name for name in ("plain", "first", "second") if works(cluster.processes[name]))
    assert busy != "plain"
    cluster.kill(busy)
    go.touch()
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert "parts (laptop): done in" in said
    assert calls.read_text().split() == ["0", "1", "2", "2", "3"]
    (table,) = shared.glob("results/runs/parts/*/metrics.csv")
    assert len(table.read_text().splitlines()) == 5


def works(process):
    """Whether a worker has a run: its process, and a notebook's below that."""
    names = [" ".join(child.cmdline()) for child in psutil.Process(process.pid).children(recursive=True)]
    return any("ipykernel" in name for name in names)


def test_a_worker_without_this_package_is_named_and_stays(cluster, monkeypatch):
    """It cannot even read what it is sent; the run must not wait for ever."""
    (cluster.folder / "site").mkdir()
    (cluster.folder / "site" / "stylerepro.py").touch()
    toy.add(cluster.folder / "asking", "toy")
    monkeypatch.setenv("STYLEREPRO_ROOT", str(cluster.folder / "asking"))
    cluster.worker("old", "--resources", "GPU=7", PYTHONPATH=str(cluster.folder / "site"))
    cluster.wait_for("old")
    for _ in range(2):
        with engines.opened("dask", 1, address=cluster.address, gpus=7) as (executor, _):
            (outcome,) = runner.execute(runner.plan(["toy"], "smoke"), executor=executor)
        assert outcome.status == "failed"
        assert "a worker has other code than this machine (No module named 'stylerepro.runs'" in outcome.error


@pytest.mark.parametrize("what", ["the command", "the command by kill -9", "the scheduler"])
def test_when_the_command_or_the_scheduler_ends_so_do_the_runs(tmp_path, monkeypatch, what):
    cluster, root = Cluster(tmp_path), with_project(tmp_path / "mine")
    monkeypatch.setenv("STYLEREPRO_ROOT", str(root))
    words = ("run", "toy", "--profile", "smoke", "-p", "size=6", "--engine", "dask", "--address", cluster.address)
    try:
        cluster.worker("one")
        cluster.wait_for("one")
        process = cluster.processes["command"] = kill_runs.command(root, *words)
        wait_until(lambda: ran(root))
        worker = psutil.Process(cluster.processes["one"].pid)
        kernels = [child for child in worker.children(recursive=True) if "ipykernel" in " ".join(child.cmdline())]
        assert len(kernels) == 1
        if what == "the scheduler":
            cluster.kill("scheduler")
        else:
            os.killpg(process.pid, signal.SIGKILL if "kill" in what else signal.SIGINT)
        said, _ = process.communicate(timeout=60)
        assert psutil.wait_procs(kernels, timeout=60)[1] == []
        assert "Traceback" not in said
        if what == "the command":
            assert (process.returncode, "interrupted; what is finished is kept" in said) == (130, True), said
        elif what == "the scheduler":
            assert (process.returncode, "Dask's scheduler was lost" in said) == (1, True), said
        assert not list(root.glob("results/runs/toy/*"))
        if "kill" in what:
            (tmp_path / "go").touch()
            process = cluster.processes["again"] = kill_runs.command(root, *words)
            said, _ = process.communicate(timeout=120)
            assert process.returncode == 0, said
            assert len(list(root.glob("results/runs/toy/*/run.json"))) == 1
    finally:
        cluster.stop()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--engine", "dusk"], "Did you mean 'dask'"),
        (["--engine", "dask"], "needs --address tcp://HOST:PORT"),
        (["--engine", "dask", "--address", "tcp://127.0.0.1:1"], "no Dask scheduler answers at tcp://127.0.0.1:1"),
        (["--address", "tcp://127.0.0.1:1"], "--engine local has none"),
        (["--engine", "slurm", "--address", "tcp://127.0.0.1:1"], "--engine slurm has none"),
        (["--gpus-per-run", "1"], "a notebook takes a GPU by itself"),
        (["--sbatch", "--time=1:00"], "--sbatch is for --engine slurm"),
        (["--engine", "slurm"], "log in to the cluster"),
    ],
)
def test_what_does_not_go_together_is_refused_before_anything_runs(tmp_path, monkeypatch, call, words, message):
    toy.add(tmp_path, "toy")
    monkeypatch.setenv("STYLEREPRO_ROOT", str(tmp_path))
    monkeypatch.setattr(engines, "_CONNECT", "1s")
    if words == ["--engine", "slurm"]:
        monkeypatch.setattr(engines.shutil, "which", lambda name: None)
    for first in (["run", "toy"], ["sweep", "toy", "-p", "size=4"]):
        status, _, said = call(*first, *words)
        assert status == 2
        assert message in said
    assert not list(tmp_path.glob("results/runs/toy"))


@pytest.fixture
def ends(tmp_path, monkeypatch):
    """The folder of who asks, and that of the worker."""
    for name in ("mine", "theirs"):
        toy.add(tmp_path / name, "toy")
        toy.add(tmp_path / name, "broken", "print(1)\nraise ValueError('broken on purpose')")
        (tmp_path / name / "stylerepro").mkdir()
    monkeypatch.setenv("STYLEREPRO_ROOT", str(tmp_path / "mine"))
    return tmp_path / "mine", tmp_path / "theirs"


def there(ends, name="toy", root="theirs", token="none"):
    """The task, and what a worker with this STYLEREPRO_ROOT gives for it."""
    (job,) = runner.plan([name], "smoke")
    with pytest.MonkeyPatch.context() as patch:
        if root:
            patch.setenv("STYLEREPRO_ROOT", str(ends[0].parent / root))
        else:
            patch.delenv("STYLEREPRO_ROOT")
            patch.chdir(ends[1])
        return job.task, engines.carry_out(job.task, token, worker="tcp://there:1")


def test_a_run_comes_back_whole_and_takes_its_place(ends):
    """From a worker that sees no folder of the asker's: it uses the project in which it stands."""
    mine, _ = ends
    task, parcel = there(ends, root="")
    assert not list(mine.glob("results/runs/*/*"))
    assert engines.receive(parcel, task).status == "completed"
    assert not runner.plan(["toy"], "smoke")[0].stale
    (folder,), (other,) = (root.glob("results/runs/toy/smoke-*") for root in ends)
    assert kill_runs.content(folder) == kill_runs.content(other)
    assert folder.stat().st_mode & 0o777 == other.stat().st_mode & 0o777
    # Where it was done before it is not done again, but sent.
    assert there(ends)[1].outcome.status == "fresh"
    assert engines.receive(there(ends)[1], task).status == "completed"
    assert not list(mine.glob("results/runs/.staging/arrived-*"))


def test_a_failed_run_comes_back_with_its_log(ends):
    task, parcel = there(ends, "broken")
    outcome = engines.receive(parcel, task)
    assert (outcome.status, outcome.error) == ("failed", "ValueError: broken on purpose")
    assert "broken on purpose" in (ends[0] / outcome.log).read_text()
    assert runner.plan(["broken"], "smoke")[0].reasons == ("it failed last time: ValueError: broken on purpose",)


def test_a_worker_with_other_code_is_refused_by_name_and_runs_nothing(ends):
    toy.add(ends[1], "toy", toy.BODY + "\nprint(1)")
    task, parcel = there(ends)
    with pytest.raises(RunError, match=r"tcp://there:1 has other code .*the notebook's code changed"):
        engines.receive(parcel, task)
    toy.add(ends[1], "toy", sidecar=toy.SIDECAR.replace("value: {type: float}", "value: {type: float, nullable: true}"))
    with pytest.raises(RunError, match="the declared columns changed"):
        engines.receive(there(ends)[1], task)
    (ends[1] / "notebooks" / "toy.yaml").unlink()
    task, parcel = there(ends)
    outcome = engines.receive(parcel, task)
    assert outcome.status == "failed"
    assert "has no experiment 'toy'" in outcome.error
    assert "tcp://there:1" in outcome.error
    assert not [path for root in ends for path in root.glob("results/runs/*/*")]


def parcel_of(folder):
    return engines.Parcel(execution.Outcome("toy", "smoke", "completed"), engines.pack(folder))


def test_what_comes_back_is_taken_only_whole_and_under_the_lock(ends, tmp_path):
    (job,) = runner.plan(["toy"], "smoke")
    experiment, parameters = experiments.load("toy"), dict(job.task.parameters)
    made = record.new_record(experiment, parameters, "smoke", runner.compute(experiment, parameters), manual=False)
    sent = tmp_path / "sent"
    record.write_record(sent, made | {"status": "completed", "seconds": 1.0})
    with pytest.raises(ResultsError, match="not the whole run"):
        engines.receive(parcel_of(sent), job.task)
    (sent / "notebook.ipynb").write_text("{}")
    with pytest.raises(ResultsError, match="not the whole run"):
        engines.receive(parcel_of(sent), job.task)
    (sent / "metrics.csv").write_text("gamma,value,name\n")
    with pytest.raises(ResultsError, match="not the whole run"):
        engines.receive(parcel_of(sent), dataclasses.replace(job.task, digest="other"))
    with lock(job.task.lock_path):
        assert engines.receive(parcel_of(sent), job.task).status == "busy"
    assert not list(ends[0].glob("results/runs/toy/*"))
    assert engines.receive(parcel_of(sent), job.task).status == "completed"
    assert not runner.plan(["toy"], "smoke")[0].stale


def test_a_process_that_dies_or_is_stopped_is_an_error(ends):
    (job,) = runner.plan(["toy"], "smoke")
    with pytest.raises(RunError, match=r"on tcp://there:1 ended with status 1"):
        engines.carry_out(job.task, "none", stopped=lambda: True, worker="tcp://there:1")
    with pytest.raises(TypeError, match="NoneType"):
        engines.carry_out(dataclasses.replace(job.task, root=None), "none")
