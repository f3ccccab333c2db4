"""Runs by the command: planned, executed, failed, killed, resumed."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import kill_runs
import pandas as pd
import psutil
import pytest
import toy
from cluster import wait_until

from stylerepro.errors import ParameterError, RunError
from stylerepro.files import lock, project_root
from stylerepro.runs import execution, experiments, record, runner

THREADS = """\
table = pd.DataFrame({"gamma": [1.0], "value": [float(os.environ["OMP_NUM_THREADS"])]})
table["name"] = os.environ["STYLEREPRO_THREADS"]
run.save(metrics=table)
print("kept in", os.path.abspath(run.parameters["reading"]))"""
# Two short parts, and three long ones, of which the second waits until another process is at the third.
SHARED = """\
calls = os.path.join(os.environ["STYLEREPRO_ROOT"], "calls.txt")
results._LONG = 0.3
def note(call):
    with open(calls, "a") as stream:
        stream.write(f"{call},{os.getpid()}\\n")
def short(i):
    note(f"short {i}")
    return {"value": float(i)}
def long(i):
    note(f"long {i}")
    time.sleep(0.5)
    limit = time.monotonic() + 60
    while i and len({line.split(",")[1] for line in open(calls) if "long" in line}) < 2 and time.monotonic() < limit:
        time.sleep(0.1)
    return {"value": float(i)}
run.parts([0, 1], short, "short ones")
table = pd.DataFrame(run.parts([0, 1, 2], long, "long ones").values())
run.save(metrics=table.assign(gamma=1.0, name="-"))"""
BROKEN = "before = 1\nraise ValueError('broken on purpose')"


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A project whose two notebooks were run at once, one of them failing; the executor's own outcomes; the events."""
    root = tmp_path_factory.mktemp("ran")
    toy.add(root, "broken", BROKEN)
    toy.add(root, "threads", THREADS)
    events = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STYLEREPRO_ROOT", str(root))
        patch.setattr(runner, "cores", lambda: 2)
        planned = runner.plan()
        outcomes = runner.execute(planned, workers=2, report=lambda job, outcome: events.append((job, outcome)))
        yield root, {outcome.experiment: outcome for outcome in outcomes}, events


def test_a_failing_notebook_stops_no_other_and_says_where_it_failed(ran):
    root, outcomes, events = ran
    assert outcomes["threads"].status == "completed"
    broken = outcomes["broken"]
    assert (broken.status, broken.error) == ("failed", "ValueError: broken on purpose")
    assert broken.cell == {"number": 4, "first_line": "before = 1"}
    assert "broken on purpose" in (root / broken.log).read_text()
    failed = json.loads((root / broken.log).with_name("run.json").read_text())
    assert (failed["status"], failed["error"]["type"]) == ("failed", "ValueError")
    assert failed["fingerprint"]["digest"]
    assert not list(root.glob("results/runs/broken/*"))
    assert not runner.succeeded(list(outcomes.values()))
    for name, outcome in outcomes.items():
        told = [event for job, event in events if job.task.experiment == name]
        assert told[0] is None, "of each it is told while it runs"
        assert told[-1] == outcome
        assert told.count(outcome) == 1


def test_two_runs_at_once_share_the_cores_and_what_is_kept_holds_no_path_of_this_machine(ran):
    root, _, _ = ran
    (folder,) = root.glob("results/runs/threads/*")
    assert (folder / "metrics.csv").read_text().splitlines()[1] == "1.0,1.0,1"
    assert {path.name for path in folder.iterdir()} == {"metrics.csv", "notebook.ipynb", "run.json"}
    for path in folder.iterdir():
        text = path.read_text()
        assert str(root) not in text
        assert str(record.project_root()) not in text
        assert not [line for line in text.splitlines() if "out = " in line]
    assert "kept in <" in (folder / "notebook.ipynb").read_text()


def test_status_and_plan_know_what_is_done_and_what_failed(ran):
    states = {state.experiment: state.reasons for state in runner.status("laptop")}
    assert states == {"threads": (), "broken": ("it failed last time: ValueError: broken on purpose",)}
    jobs = {job.task.experiment: job for job in runner.plan()}
    assert not jobs["threads"].stale
    assert jobs["threads"].expected.endswith("s last time")
    assert jobs["broken"].expected == "2 min on two cores"
    assert runner.plan(["threads"], force=True)[0].reasons == ("forced",)
    assert runner.plan(["threads"], "smoke")[0].reasons == ("never run",)


def test_the_command_and_plain_papermill_give_the_same_table(project, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    plain = [sys.executable, "-m", "papermill", f"{project}/notebooks/toy.ipynb", "out.ipynb", "-p", "size", "5"]
    process = subprocess.Popen(plain, cwd=tmp_path / "elsewhere", stderr=subprocess.DEVNULL)
    # On an executor that a caller brings.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
        jobs = runner.plan(["toy"], overrides={"size": "5", "gammas": "0,10"})
        assert [outcome.status for outcome in runner.execute(jobs, executor=executor)] == ["completed"]
    assert process.wait(120) == 0
    kept = project.glob("results/runs/toy/*/metrics.csv")
    tables = {path.parent.name.split("-")[0]: path.read_bytes() for path in kept}
    assert tables.keys() == {"custom", "manual"}
    assert tables["custom"] == tables["manual"]
    assert runner.execute(jobs := runner.plan(["toy"], overrides={"size": "5"})) == []
    assert not jobs[0].stale


def test_a_killed_run_leaves_no_process_and_goes_on_where_it_was(project):
    calls, processes = {}, {}
    for name in ("killed", "stopped"):
        toy.add(project, name, toy.PARTS.replace("calls.txt", f"{name}.txt"))
        calls[name] = project / f"{name}.txt"
        processes[name] = kill_runs.command(project, "run", name)
    wait_until(lambda: all(path.exists() and path.read_text().split() == ["0", "1", "2"] for path in calls.values()))
    children = [child for each in processes.values() for child in psutil.Process(each.pid).children(recursive=True)]
    assert len(children) >= 4  # a worker and a kernel each
    processes["killed"].kill()
    os.killpg(processes["stopped"].pid, signal.SIGINT)  # as Ctrl-C does
    said = {name: process.communicate(timeout=60)[0] for name, process in processes.items()}
    psutil.wait_procs(children, timeout=30)
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
    assert processes["stopped"].returncode == 130
    assert "interrupted" in said["stopped"]
    assert "Traceback" not in said["stopped"]
    assert not list(project.glob("results/runs/*/*/run.json"))
    (project / "go").touch()
    jobs = runner.plan(["killed", "stopped"])
    assert all(job.resumed and "goes on from the parts that are kept" in job.reasons for job in jobs)
    assert not runner.plan(["killed"], force=True)[0].resumed
    assert runner.succeeded(runner.execute(jobs[:1]))
    assert calls["killed"].read_text().split() == ["0", "1", "2", "2", "3"]
    (table,) = project.glob("results/runs/killed/laptop-*/metrics.csv")
    assert [float(line.split(",")[1]) for line in table.read_text().splitlines()[1:]] == [0, 1 / 3, 2 / 3, 1.0]
    assert not [path for path in project.glob("results/runs/.staging/killed-*") if path.suffix != ".lock"]


def test_a_run_that_another_process_does_is_left_to_it(project):
    (job,) = runner.plan(["toy"])
    with lock(job.task.lock_path) as mine:
        assert mine
        assert execution.perform(job.task).status == "busy"
    toy.finish(job.task)
    assert execution.perform(job.task).status == "fresh"


def test_a_killed_process_holds_no_lock_and_one_that_waits_gets_it(tmp_path):
    path, code = tmp_path / "a.lock", "from stylerepro.files import lock\nwith lock(Path(sys.argv[1])):"
    code = f"import sys, time\nfrom pathlib import Path\n{code}\n    print(1, flush=True)\n    time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline()
        with lock(path) as mine:
            assert not mine
        threading.Timer(0.5, holder.kill).start()
        with lock(path, wait=60) as mine:
            assert mine
            assert holder.wait(10)


def test_a_run_killed_before_its_last_move_is_only_moved(project):
    (job,) = runner.plan(["toy"])
    folder = toy.finish(job.task)
    digest = json.loads((folder / "run.json").read_text())["fingerprint"]["digest"]
    staging = record.staging_folder("toy", job.task.name, digest)
    staging.mkdir(parents=True)
    folder.rename(staging / "result")
    assert runner.plan(["toy"])[0].stale
    assert execution.perform(job.task).status == "completed"
    assert not runner.plan(["toy"])[0].stale


def test_a_run_does_not_pay_for_a_grammar_that_no_notebook_needs():
    """jsonschema's, of URIs: a second of each run. Whoever wants it afterwards can have it."""
    code = (
        "import importlib.util, sys\nfrom stylerepro.runs import execution\nexecution.papermill_module()\n"
        "assert 'jsonschema' in sys.modules and 'lark' not in sys.modules\n"
        "assert 'rfc3987_syntax' not in sys.modules and importlib.util.find_spec('rfc3987_syntax')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_overrides_need_a_name_and_a_value_and_a_plan_an_experiment(tmp_path, monkeypatch):
    assert runner.parse_overrides(["a=1=2", "b="]) == {"a": "1=2", "b": ""}
    with pytest.raises(ParameterError, match="name=value"):
        runner.parse_overrides(["a"])
    monkeypatch.setenv("STYLEREPRO_ROOT", str(tmp_path))
    with pytest.raises(RunError, match="no experiments here"):
        runner.plan()


def test_jobs_times_threads_never_exceed_the_machine(monkeypatch):
    monkeypatch.setattr(runner, "cores", lambda: 7)
    assert runner.threads_each(1) is None
    for jobs in range(2, 8):
        assert jobs * (runner.threads_each(jobs) or 99) <= 7
    for jobs in (0, 8):
        with pytest.raises(RunError, match="has 7 cores"):
            runner.threads_each(jobs)


SECONDS = {
    "100 s": 100, "1.5 h": 5400, "2 h 10 min": 7800, "10–15 min": 900, "14 h, 1 h on a GPU": 50400,
    "6 min, and 75 min on one core to train": 4860, "2 h; 10 min on a GPU": 7200,
    "35 min on one core (estimated; 2 h elsewhere)": 2100, "5 days (estimated); hours on a GPU": 432000,
    "minutes on a GPU": None, "3 sweeps": None, "": None,
}  # fmt: skip


def test_durations_become_words_and_words_seconds():
    words = [runner.duration(seconds) for seconds in (4.24, 59.7, 185, 7825)]
    assert words == ["4.2 s", "1 min", "3 min 5 s", "2 h 10 min"]
    assert {words: runner.seconds_in(words) for words in SECONDS} == SECONDS


def test_every_sidecar_s_words_hold_a_number_and_make_says_their_sum(monkeypatch):
    """Before there is an environment nothing can reckon, so make's figure is written down, to five minutes."""
    monkeypatch.delenv("STYLEREPRO_ROOT", raising=False)
    profiles = [profile for experiment in experiments.discover() for profile in experiment.profiles.values()]
    assert [profile.name for profile in profiles if runner.seconds_in(profile.expected or "") is None] == []
    laptop = [runner.seconds_in(profile.expected) for profile in profiles if profile.name == "laptop"]
    said = re.search(r"all of laptop: about (\d+) minutes on two cores", (project_root() / "Makefile").read_text())
    assert int(said[1]) == 5 * round(sum(laptop) / 2 / 300)


def test_the_time_of_own_values_is_judged_by_the_work_that_they_ask_for(project):
    (job,) = runner.plan(["toy"], overrides={"size": "16", "gammas": "1", "seed": "9", "strict": "true"})
    assert (job.seconds, job.expected) == (240, "about 4 min, judged by laptop")
    assert runner.times_the_work({"iterations": 100, "of": []}, {"iterations": 30, "of": ["a"], "new": 2}) == 0.3
    (job,) = runner.plan(["toy"], "smoke", {"size": "8"})
    assert job.seconds == 4, "four times the pixels of the second that smoke takes"


def test_several_at_once_begin_with_the_longest_and_one_keeps_the_order(project, monkeypatch):
    for name, said in (("brief", "2 min"), ("long", "1 h"), ("vague", "a while")):
        toy.add(project, name, sidecar=toy.SIDECAR.replace("laptop: 2 min", f'laptop: "{said}"'))
    jobs, taken = runner.plan(["brief", "long", "vague"]), []

    class Inline(runner.Executor):
        def __init__(self, jobs):
            pass

        def submit(self, fn, task):
            taken.append(task.experiment)
            future = runner.Future()
            future.set_result(execution.Outcome(task.experiment, task.label, execution.COMPLETED))
            return future

    monkeypatch.setattr(runner, "cores", lambda: 2)
    monkeypatch.setattr(runner, "LocalExecutor", Inline)
    outcomes = runner.execute(jobs, workers=2)
    assert taken == ["vague", "long", "brief"]
    assert [outcome.experiment for outcome in outcomes] == ["brief", "long", "vague"]
    taken.clear()
    runner.execute(jobs)
    assert taken == ["brief", "long", "vague"]


def test_processes_share_the_long_parts_of_a_run_and_leave_the_short_ones_to_one(project, monkeypatch):
    monkeypatch.setattr(runner, "cores", lambda: 2)
    toy.add(project, "shared", SHARED)
    jobs = runner.plan(["shared"])
    with pytest.raises(RunError, match="--jobs 2 --processes 2 does not fit this machine; it has 2 cores"):
        runner.execute(jobs, workers=2, processes=2)
    assert runner.succeeded(runner.execute(jobs, processes=2))
    done = [line.split(",") for line in (project / "calls.txt").read_text().splitlines()]
    assert sorted(call for call, _ in done) == ["long 0", "long 1", "long 2", "short 0", "short 1"]
    assert len({process for call, process in done if call.startswith("long")}) == 2
    assert len({process for call, process in done if call.startswith("short")}) == 1
    (folder,) = project.glob("results/runs/shared/laptop-*")
    assert json.loads((folder / "run.json").read_text())["processes"] == 2
    assert pd.read_csv(folder / "metrics.csv")["value"].tolist() == [0, 1, 2]
    assert not [path for path in project.glob("results/runs/.staging/shared-*") if path.suffix != ".lock"]


def test_with_fail_fast_no_other_run_begins_once_one_has_failed(project, call):
    toy.add(project, "a_broken", BROKEN)
    code, out, err = call("run", "--fail-fast")
    assert (code, "a_broken (laptop): FAILED" in out, "toy (laptop): running" in out) == (1, True, False)
    assert err == "1 not begun or ended, since one failed; the same command goes on once that is mended\n"
    assert not (project / "results/runs/toy").exists()
    code, out, err = call("run")
    assert (code, "toy (laptop): done" in out, err) == (1, True, "")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such sockets")
def test_a_kernel_is_reached_where_temporary_folders_have_longer_names_than_sockets_may(tmp_path):
    for folder, transport in ((Path("/tmp/short"), "ipc"), (tmp_path / ("é" * 60), "tcp")):
        assert execution._kernel_class(folder, tmp_path, None, sys.stderr)().transport == transport
