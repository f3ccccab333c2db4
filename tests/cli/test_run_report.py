"""How a plan goes on, shown live and in a log, with a clock that the test turns."""

import io
import json
from dataclasses import replace

import pytest
import toy
from rich.console import Console

from stylerepro.cli import display
from stylerepro.runs import execution, experiments, record, runner


@pytest.fixture
def jobs(tmp_path, monkeypatch):
    """A plan of three runs, of which two say how long they take."""
    monkeypatch.setenv("STYLEREPRO_ROOT", str(tmp_path))
    for name, said in (("brief", "2 min"), ("long", "10 min, and 5 min to train"), ("vague", "a while")):
        toy.add(tmp_path, name, sidecar=toy.SIDECAR.replace("laptop: 2 min", f'laptop: "{said}"'))
    return runner.plan()


def reporting(jobs, **options):
    """A report, what it writes to, and the time that it sees, as a list of one."""
    console, clock = Console(file=io.StringIO(), width=200, **options), [0.0]
    return display.RunReport(console, jobs, lambda: clock[0]), console.file, clock


def outcome(job, status=execution.COMPLETED, seconds=0.0):
    return execution.Outcome(job.task.experiment, job.task.label, status, seconds)


def test_a_plan_says_how_many_runs_and_how_long(jobs):
    assert [job.seconds for job in jobs] == [120, 900, None]
    assert display.plan_lines(jobs)[-1] == "3 runs to do: about 17 min in all without 1 run of unknown length"
    assert display.plan_lines(jobs[:2], 2)[-1] == "2 runs to do, 2 at a time: about 15 min in all"
    assert display.plan_lines(jobs[2:], 2)[-1] == "1 run to do: no estimate yet"
    fresh = replace(jobs[0], reasons=())
    assert display.plan_lines([fresh]) == [f"brief (laptop): fresh, nothing to do; results in {fresh.task.folder}"]


def test_in_a_log_every_end_says_what_is_left(jobs):
    report, stream, clock = reporting(jobs[:2])
    with report:
        report(jobs[0], None)
        clock[0] = 240
        report(jobs[0], None)
        report(jobs[0], outcome(jobs[0], seconds=240))
        report(jobs[1], None)
        report(jobs[1], outcome(jobs[1], execution.FAILED))
    assert stream.getvalue().splitlines() == [
        "brief (laptop): running, expected 2 min on two cores",
        "brief (laptop): done in 4 min",
        f"    results in {jobs[0].task.folder}",
        "1 of 2 done, about 30 min left",
        "long (laptop): running, expected 10 min, and 5 min to train on two cores",
        "long (laptop): FAILED in 0.0 s",
        "2 of 2 done, 1 of them failed",
    ]


def test_a_run_that_failed_says_nothing_about_the_time_left(jobs):
    report, stream, clock = reporting(jobs)
    with report:
        for job, status, clock[0] in zip(jobs, (execution.FAILED, execution.COMPLETED), (10, 1810), strict=False):
            report(job, None)
            report(job, outcome(job, status))
    said = [line for line in stream.getvalue().splitlines() if " of 3 done" in line]
    assert said == ["1 of 3 done, 1 of them failed", "2 of 3 done, 1 of them failed, about 17 min left"]


def test_on_a_terminal_a_loop_of_the_notebook_is_counted_and_timed(jobs):
    job = jobs[1]
    report, _, clock = reporting([job], force_terminal=True)
    with report:
        report(job, None)
        whole, line = report._progress.tasks
        assert (whole.description, line.total) == ("0 of 1 done", None)
        digest = runner.compute(experiments.load("long"), job.task.parameters).digest
        folder = record.staging_folder("long", job.task.name, digest)
        folder.mkdir(parents=True)
        for clock[0], done, wanted, name in ((0, 1, 20, "sweeps"), (300, 2, 20, "sweeps"), (310, 0, 30, "timings")):
            (folder / "progress.json").write_text(json.dumps({"done": done, "wanted": wanted, "name": name}))
            report(job, None)
            if done == 2:
                assert (line.description, line.time_remaining) == ("long (laptop): 2 of 20 sweeps", 5400)
        assert (line.description, line.time_remaining) == ("long (laptop): 0 of 30 timings", None)
        report(job, outcome(job, seconds=400))
        assert [task.description for task in report._progress.tasks] == ["1 of 1 done"]
