"""Faults from outside: kills, a full disk, a notebook's process that dies or hangs, damaged records, two at once."""

import errno
import json
import os
import shutil
import subprocess
import tempfile
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import kill_runs
import nbformat
import numpy as np
import pytest
import toy

from stylerepro.errors import DiskFullError, ResultsError, ResultsWarning
from stylerepro.files import atomic_path, full_disk_named
from stylerepro.runs import execution, record, results, runner

NOTED = """\
with open(os.path.join(os.environ["STYLEREPRO_ROOT"], "calls.txt"), "a") as stream:
    stream.write(run.experiment.name + "\\n")
"""
# Leaves not a byte, until there is a file `go`.
FILLING = """\
root = os.environ["STYLEREPRO_ROOT"]
if not os.path.exists(os.path.join(root, "go")):
    with open(os.path.join(root, "results", "filler"), "wb", buffering=0) as stream:
        try:
            while stream.write(bytes(4096)):
                pass
        except OSError:
            pass
run.part("numbers", lambda: {"table": pd.DataFrame({"x": range(1000)})})
"""


def first_cell(path, code):
    """Put a cell in front of a notebook: it comes before anything slow."""
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(code))
    nbformat.write(notebook, path)


def test_killed_runs_end_well_with_the_next_and_lose_nothing(project):
    """The short form of kill_runs.py: at any moment, while the tables are written, and just before the last move."""
    toy.add(project, "toy", "run.part('one', lambda: {'x': 1})\n" + toy.BODY)
    series = kill_runs.Series(project, seed=0, readers=())
    assert series.names == ["toy"]
    series.kill(series.chance.uniform(0, series.duration), forced=True)
    assert series.kill("tables", forced=True)["hit"]
    series.kill("record", forced=False)


def test_two_commands_over_one_folder_do_each_run_once(project):
    for name in ("toy", "other"):
        toy.add(project, name, NOTED + toy.BODY)
    both = [kill_runs.command(project, "run", "--profile", "smoke") for _ in range(2)]
    said = [process.communicate(timeout=300)[0] for process in both]
    assert sorted((project / "calls.txt").read_text().split()) == ["other", "toy"]
    assert len(list(project.glob("results/runs/*/smoke-*/run.json"))) == 2
    for process, text in zip(both, said, strict=True):
        # One that left a run to the other says so, and does not claim that all is there.
        assert process.returncode == ("another process is running it" in text)
        assert "Traceback" not in text
    assert not any(job.stale for job in runner.plan((), "smoke"))


def limited(task):
    """`perform` with the limit for the notebook that hangs alone: how slow the others are does not matter."""
    return execution.perform(task if task.experiment == "hangs" else replace(task, timeout=None))


def test_a_notebook_that_dies_and_one_that_hangs_stop_no_other(project, monkeypatch):
    first_cell(toy.add(project, "dies"), "import os\nos.kill(os.getpid(), 9)")
    # Not even an interrupt helps.
    hanging = "import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\ntime.sleep(3600)"
    first_cell(toy.add(project, "hangs"), hanging)
    monkeypatch.setattr(runner, "perform", limited)
    monkeypatch.setattr(runner, "cores", lambda: 2)
    done = runner.execute(runner.plan((), "smoke"), workers=2, timeout=3)
    outcomes = {outcome.experiment: outcome for outcome in done}
    assert {name for name, outcome in outcomes.items() if outcome.status == "failed"} == {"dies", "hangs"}
    assert outcomes["toy"].status == "completed"
    assert "process died" in outcomes["dies"].error
    assert "longer than the limit of 3 s" in outcomes["hangs"].error
    assert outcomes["hangs"].cell == {"number": 1, "first_line": "import signal, time"}
    for name in ("dies", "hangs"):
        kept = json.loads((project / outcomes[name].log).with_name("run.json").read_text())
        assert kept["error"]["message"] == outcomes[name].error
    assert not [process for process in kill_runs.left(project) if "ipykernel_launcher" in process.cmdline()]


@pytest.fixture
def small_disk(project):
    """The project's results on a disk of 2 MB; gives its folder."""
    folder = project / "results"
    folder.mkdir()
    if not shutil.which("mount") or not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", folder], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no small disk can be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_fails_a_run_that_goes_well_once_there_is_space(project, small_disk):
    toy.add(project, "fills", FILLING + toy.BODY)
    finished = toy.save()
    before = kill_runs.content(finished)
    (outcome,) = runner.execute(runner.plan(["fills"]))
    assert outcome.status == "failed"
    assert "The disk is full: " in outcome.error
    assert shutil.disk_usage(small_disk).free < 65536
    assert not list(small_disk.glob("runs/fills/*"))
    assert kill_runs.content(finished) == before
    (small_disk / "filler").unlink()
    (project / "go").touch()
    (outcome,) = runner.execute(runner.plan(["fills"]))
    assert outcome.status == "completed"
    assert set(results.collect().experiment) == {"toy", "fills"}


def full(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def full_in_other_words():
    """As torch says it."""
    try:
        full()
    finally:
        raise RuntimeError("unexpected pos")


def write(path, then):
    with atomic_path(path) as temporary:
        temporary.write_text("half")
        then()


def test_a_full_disk_is_named_and_leaves_what_was_there(tmp_path, monkeypatch):
    target = tmp_path / "table.csv"
    target.write_text("before")
    with pytest.raises(DiskFullError, match=r"The disk is full: .*table\.csv was not written\. Free some space"):
        write(target, full)
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]
    with pytest.raises(ResultsError, match="The disk is full"):
        write(target, full_in_other_words)
    with pytest.raises(ZeroDivisionError):
        write(target, lambda: 1 / 0)
    monkeypatch.setattr(tempfile, "mkstemp", full)
    with pytest.raises(DiskFullError):
        write(target, bool)
    assert target.read_text() == "before"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no file that is always full")
def test_a_part_for_which_there_is_no_room_says_so(tmp_path, monkeypatch):
    @contextmanager
    def to_full(path):
        with full_disk_named(path):
            yield Path("/dev/full")

    monkeypatch.setattr(results, "atomic_path", to_full)
    with pytest.raises(DiskFullError, match="The disk is full"):
        results.compute_once(tmp_path / "p.pt", "p", lambda: {"x": np.zeros(100_000)})


def test_why_a_run_failed_is_said_where_not_even_its_log_can_be_kept(project, monkeypatch):
    def execute(*_, **__):
        monkeypatch.setattr(tempfile, "mkstemp", full)
        raise ValueError("broken on purpose")

    monkeypatch.setattr(execution, "run_notebook", execute)
    (job,) = runner.plan(["toy"])
    outcome = execution.perform(job.task)
    assert outcome.status == "failed"
    assert outcome.error.startswith("ValueError: broken on purpose (and its log could not be kept: The disk is full")
    assert outcome.log == ""


def test_a_disk_without_room_for_a_runs_folder_fails_the_run_in_words(project, monkeypatch):
    jobs = runner.plan(["toy"])
    monkeypatch.setattr(Path, "mkdir", full)
    with ThreadPoolExecutor(1) as executor:
        (outcome,) = runner.execute(jobs, executor=executor)
    assert outcome.status == "failed"
    assert outcome.error.startswith("The disk is full: ")


def change(**changes):
    """Damage: the record with other entries; None takes one out."""

    def damage(folder):
        kept = json.loads((folder / "run.json").read_text()) | changes
        (folder / "run.json").write_text(json.dumps({key: value for key, value in kept.items() if value is not None}))

    return damage


def cut(name, length):
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:length])


def a_folder(path):
    (path / "run.json").unlink()
    (path / "run.json").mkdir()


DAMAGES = {
    "cut short": cut("run.json", 300),
    "empty": cut("run.json", 0),
    "binary": lambda folder: (folder / "run.json").write_bytes(bytes(range(256))),
    "too deep": lambda folder: (folder / "run.json").write_text("[" * 100_000),
    "a list": lambda folder: (folder / "run.json").write_text("[1, 2]"),
    "a folder": a_folder,
    "gone": lambda folder: (folder / "run.json").unlink(),
    "no fingerprint": change(fingerprint=None),
    "custom without parameters": change(profile="custom", parameters=None),
    "fingerprint": change(fingerprint="abc"),
    "components": change(fingerprint={"digest": "x", "components": {"definitions": [1]}}),
    "columns": change(columns={"metrics": ["gamma"]}),
    "types of columns": change(columns={"metrics": {"gamma": 3}}),
    "start": change(start=3),
    "seconds": change(seconds="long"),
    "parameters": change(parameters=[1]),
    "no table": lambda folder: (folder / "metrics.csv").unlink(),
    "a number cut short": cut("metrics.csv", -5),
    "an empty table": cut("metrics.csv", 0),
    "a table of other columns": lambda folder: (folder / "metrics.csv").write_text("gamma\n1\n"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_run_is_passed_over_and_kept_when_another_takes_its_place(project, call, damage):
    whole, broken, new = toy.save(), toy.save(gammas=[0.0], size=4), toy.save(seed=1)
    new.rename(project / "new")
    DAMAGES[damage](broken)
    before = kill_runs.content(broken)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        assert results.collect().run.unique().tolist() == [whole.name]
    named = [str(warning.message) for warning in said if warning.category is ResultsWarning]
    assert len(named) == (damage != "gone"), "a folder without a record is no run"
    assert all(broken.name in line for line in named)
    for words in (["status", "--profile", "smoke"], ["list"], ["sweep", "toy", "-p", "size=4", "--plan"]):
        assert call(*words)[0] == 0
    with pytest.warns(ResultsWarning, match=f"toy/{broken.name} is damaged: .* It is kept as .damaged-{broken.name}-"):
        record.install(project / "new", broken)
    (kept,) = broken.parent.glob(".damaged-*")
    assert kill_runs.content(kept) == before
    assert set(results.collect().run) == {whole.name, broken.name}


def test_a_damaged_run_is_stale_and_its_plan_says_why(project):
    folder = toy.save()
    folder.rename(folder := folder.with_name(runner.plan(["toy"])[0].task.name))
    cut("metrics.csv", -5)(folder)
    (job,) = runner.plan(["toy"])
    assert job.reasons == ("its folder is damaged: metrics.csv of run " + folder.name + " ends in the middle of a row",)


def test_a_replaced_run_that_is_half_removed_is_never_put_back(project, monkeypatch):
    """Killed while it was removed; then the new one is set aside, and what replaces that is killed half-way, too."""
    first, second = toy.save(), toy.save(seed=1)
    third = shutil.copytree(second, second.with_name("third"))

    def killed(folder, **_):
        (folder / "metrics.csv").unlink(missing_ok=True)
        raise KeyboardInterrupt

    rename, renamed = Path.rename, []

    def killed_between(path, target):
        if renamed:
            raise KeyboardInterrupt
        renamed.append(rename(path, target))

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            record.install(second, first)
    assert record.read_record(first)["seeds"] == {"seed": 1}
    shutil.rmtree(first)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", killed_between)
        with suppress(KeyboardInterrupt):
            record.install(third, first)
    assert renamed
    assert not first.exists() or record.damage(first) is None


def test_a_run_counts_as_done_only_with_its_final_record(project, monkeypatch):
    """A kill between the notebook and the record that the command completes must not leave the kernel's record."""
    (job,) = runner.plan(["toy"], "smoke")

    def execute(notebook, output, parameters, **_):
        toy.save(**parameters)
        nbformat.write(nbformat.v4.new_notebook(), output)

    def killed(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(execution, "run_notebook", execute)
    monkeypatch.setattr(record, "write_record", killed)
    with pytest.raises(KeyboardInterrupt):
        execution.perform(job.task)
    assert not list(project.glob("results/runs/.staging/*/result/notebook.ipynb"))
