"""How long runs take together, and what is left of them: reckoned, with a clock that the test turns."""

import io
import json
import re

import pytest
import toy
from rich.console import Console

from stylerepro.cli import display
from stylerepro.files import project_root
from stylerepro.runs import estimate, execution, experiments, runner
from stylerepro.runs.estimate import Countdown


@pytest.mark.parametrize(
    ("words", "seconds"),
    [
        ("100 s", 100),
        ("3 min", 180),
        ("1.5 h", 5400),
        ("2 h 10 min", 7800),
        ("22 min on one core", 1320),
        ("6 min, and 75 min on one core to train", 4860),
        ("6 min with the networks of fast_transfer", 360),
        ("5 h; minutes on a GPU", 18000),
        ("2 h; 10 min on a GPU", 7200),
        ("14 h, under an hour on a GPU (both estimated)", 50400),
        ("14 h, 1 h on a GPU", 50400),
        ("35 min on one core (estimated; 2 h elsewhere)", 2100),
        ("5 days (estimated); hours on a GPU", 432000),
        ("10–15 min", 900),
        ("minutes on a GPU", None),
        ("a while", None),
        ("3 sweeps", None),
        ("", None),
    ],
)
def test_words_become_seconds(words, seconds):
    assert estimate.seconds_in(words) == seconds


def test_every_sidecar_s_words_hold_a_number():
    for one in experiments.discover():
        for profile in one.profiles.values():
            assert estimate.seconds_in(profile.expected or "") is not None, f"{one.name}, {profile.name}"


def test_make_says_the_sidecars_time_beforehand():
    """Before there is an environment nothing can reckon, so the figure is written down, to five minutes."""
    said = re.search(r"all of laptop: about (\d+) minutes on two cores", (project_root() / "Makefile").read_text())
    seconds = [estimate.seconds_in(one.profiles["laptop"].expected) for one in experiments.discover()]
    assert int(said[1]) == 5 * round(estimate.together(seconds, 2) / 300)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "less than a minute"),
        (29, "less than a minute"),
        (40, "about 1 min"),
        (700, "about 12 min"),
        (3580, "about 1 h"),
        (3600, "about 1 h"),
        (7900, "about 2 h 10 min"),
        (40 * 3600 + 1900, "about 41 h"),
    ],
)
def test_time_left_is_said_roughly(seconds, words):
    assert estimate.roughly(seconds) == words


@pytest.mark.parametrize(
    ("waiting", "workers", "running", "seconds"),
    [
        ([], 2, [], 0),
        ([60, 60, 60], 1, [], 180),
        ([60, 60, 60], 2, [], 120),
        ([10, 10, 20, 40], 2, [], 40),  # in the order as given it would be 50
        ([30], 2, [100, 20], 100),
        ([30], 2, [100, 90], 120),
        ([30], 1, [5], 35),
        ([], 1, [5, 70], 70),
    ],
)
def test_several_at_once_take_what_the_last_one_takes(waiting, workers, running, seconds):
    assert estimate.together(waiting, workers, running) == seconds


def test_pace_is_time_taken_over_time_expected():
    assert estimate.pace([]) == 1
    assert estimate.pace([(100, 150), (300, 650)]) == 2


def test_what_has_ended_tells_how_slow_the_machine_is():
    plan = Countdown({"a": 100.0, "b": 100.0, "c": 200.0}, workers=1)
    assert plan.left(0) == (400, 0)
    plan.started("a", 0)
    assert plan.left(30) == (370, 0)
    plan.ended("a", 150)
    assert (plan.done, plan.left(150)) == (1, (450, 0))
    plan.started("b", 150)
    assert plan.left(200) == (400, 0)
    plan.ended("b", None)  # it failed, which says nothing
    assert (plan.done, plan.left(200)) == (2, (300, 0))


def test_runs_side_by_side_end_with_the_last():
    plan = Countdown({"a": 100.0, "b": 100.0, "c": 60.0}, workers=2)
    assert plan.left(0) == (160, 0)
    plan.started("a", 0)
    plan.started("b", 20)
    assert plan.left(20) == (140, 0)


def test_a_loop_says_when_more_is_left_than_was_expected():
    plan = Countdown({"a": 100.0})
    plan.started("a", 0)
    plan.moved("a", 0, 96, "settings", 10)
    plan.moved("a", 0, 96, "settings", 20)
    assert plan.left(20) == (80, 0)
    plan.moved("a", 12, 96, "settings", 70)  # 5 seconds each, 84 to do
    assert plan.left(70) == (420, 0)
    assert plan.left(80) == (410, 0)
    plan.moved("a", 0, 30, "timings", 490)  # another loop, of which nothing is known yet
    assert plan.left(500) == (50, 0)
    plan.moved("a", 1, 30, "timings", 500)
    assert plan.left(500) == (290, 0)


def test_a_run_past_its_time_is_not_called_over():
    plan = Countdown({"a": 100.0})
    plan.started("a", 0)
    assert plan.left(200) == (20, 0)


def test_what_is_unknown_is_counted_apart_until_its_loop_tells():
    plan = Countdown({"a": None, "b": 60.0, "c": None}, workers=1)
    assert plan.left(0) == (60, 2)
    plan.started("a", 0)
    plan.moved("a", 0, 10, "settings", 0)
    plan.moved("a", 1, 10, "settings", 5)
    assert plan.left(5) == (45 + 60, 1)


def test_a_resumed_run_is_reckoned_by_its_loop_and_says_nothing_about_the_pace():
    plan = Countdown({"a": 1000.0, "b": 100.0}, resumed=frozenset({"a"}))
    plan.started("a", 0)
    plan.moved("a", 90, 100, "settings", 1)
    assert plan.left(1) == (pytest.approx(200), 0)
    plan.moved("a", 91, 100, "settings", 11)
    assert plan.left(11) == (90 + 100, 0)
    plan.ended("a", 101)
    assert plan.left(101) == (100, 0)


@pytest.fixture
def jobs(tmp_path, monkeypatch):
    """A plan of three runs, of which two say how long they take."""
    monkeypatch.setenv("STYLEREPRO_ROOT", str(tmp_path))
    for name, said in (("brief", "2 min"), ("long", "10 min, and 5 min to train"), ("vague", "a while")):
        toy.add(tmp_path, name, sidecar=toy.SIDECAR.replace("laptop: 2 min", f'laptop: "{said}"'))
    return runner.plan()


def test_a_plan_says_how_many_runs_and_how_long(jobs):
    assert [job.seconds for job in jobs] == [120, 900, None]
    assert display.plan_lines(jobs)[-1] == "3 runs to do: about 17 min in all without 1 run of unknown length"
    assert display.plan_lines(jobs[:2], 2)[-1] == "2 runs to do, 2 at a time: about 15 min in all"
    assert display.plan_lines(jobs[2:], 2)[-1] == "1 run to do: no estimate yet"


def test_several_at_once_begin_with_the_longest_and_one_keeps_the_order(jobs, monkeypatch):
    taken = []

    class Inline(runner.Executor):
        def submit(self, fn, task):
            taken.append(task.experiment)
            future = runner.Future()
            future.set_result(execution.Outcome(task.experiment, task.label, execution.COMPLETED))
            return future

    outcomes = runner._execute(jobs, Inline(), 2, None, None, None)
    assert taken == ["vague", "long", "brief"]
    assert [one.experiment for one in outcomes] == ["brief", "long", "vague"]
    taken.clear()
    runner._execute(jobs, Inline(), 1, None, None, None)
    assert taken == ["brief", "long", "vague"]


def test_the_kept_parts_of_a_run_are_seen_when_it_is_planned(jobs):
    assert not any(job.resumed for job in jobs)
    (staging(jobs[0]) / "parts").mkdir(parents=True)
    assert [job.resumed for job in runner.plan()] == [True, False, False]
    assert not runner.plan(["brief"], force=True)[0].resumed


def staging(job):
    experiment = experiments.load(job.task.experiment)
    digest = runner.compute(experiment, job.task.parameters).digest
    return runner.records.staging_folder(job.task.experiment, job.task.name, digest)


@pytest.fixture
def clock(monkeypatch):
    """The time that the report sees; add to its first item."""
    now = [0.0]
    monkeypatch.setattr(display.time, "monotonic", lambda: now[0])
    return now


def outcome(job, status=execution.COMPLETED, seconds=0.0):
    return execution.Outcome(job.task.experiment, job.task.label, status, seconds)


def test_in_a_log_every_end_says_what_is_left(jobs, clock):
    stream = io.StringIO()
    with display.RunReport(Console(file=stream, width=200), jobs[:2], 1) as report:
        report.started(jobs[0])
        clock[0] = 240
        report.tick()
        report.ended(jobs[0], outcome(jobs[0], seconds=240))
        report.started(jobs[1])
        report.ended(jobs[1], outcome(jobs[1], execution.FAILED))
    assert stream.getvalue().splitlines() == [
        "brief (laptop): running, expected 2 min on two cores",
        "brief (laptop): done in 4 min 0 s",
        "1 of 2 done, about 30 min left",
        "long (laptop): running, expected 10 min, and 5 min to train on two cores",
        "long (laptop): FAILED in 0.0 s",
        "2 of 2 done, 1 of them failed",
    ]


def test_a_run_that_failed_says_nothing_about_the_pace(jobs, clock):
    stream = io.StringIO()
    with display.RunReport(Console(file=stream, width=200), jobs[:2]) as report:
        report.started(jobs[0])
        report.ended(jobs[0], outcome(jobs[0], execution.FAILED, seconds=12))
    assert stream.getvalue().splitlines()[-1] == "1 of 2 done, 1 of them failed, about 15 min left"


def test_on_a_terminal_the_first_line_counts_down(jobs, clock):
    """The notebook's own count, of a loop that goes slower than the sidecar says, moves the time left."""
    console = Console(file=io.StringIO(), force_terminal=True, width=200)
    with display.RunReport(console, jobs[1:2], 1) as report:
        whole = lambda: [task.description for task in report._live.tasks]  # noqa: E731
        assert whole() == ["0 of 1 done, about 15 min left"]
        report.started(jobs[1])
        folder = staging(jobs[1])
        folder.mkdir(parents=True)
        for clock[0], done in ((0, 0), (300, 2)):
            (folder / "progress.json").write_text(json.dumps({"done": done, "wanted": 20, "name": "sweeps"}))
            report.tick()
        first, second = whole()
        assert first == "0 of 1 done, about 45 min left"
        assert second.startswith("long (laptop): running 5 min 0 s, 2 of 20 sweeps, expected 10 min")
        report.ended(jobs[1], outcome(jobs[1], seconds=400))
        report.tick()
        assert whole() == ["1 of 1 done"]
