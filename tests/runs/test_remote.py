"""A run for another machine, without any scheduler: its own folder there, the same code, what comes back."""

import dataclasses

import pytest
import toy

from stylerepro.errors import ResultsError, RunError
from stylerepro.files import lock
from stylerepro.runs import engines, execution, record, runner


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
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        path.name: path.read_bytes() for path in other.iterdir()
    }
    assert folder.stat().st_mode & 0o777 == other.stat().st_mode & 0o777
    # Where it was done before it is not done again, but sent.
    assert there(ends)[1].outcome.status == "fresh"
    assert engines.receive(there(ends)[1], task).status == "completed"
    assert not list(mine.glob("results/runs/.staging/arrived-*"))


def test_a_worker_that_sees_the_folder_writes_into_it(ends):
    mine, theirs = ends
    with engines._token() as token:
        task, parcel = there(ends, root="", token=token)
        assert (parcel.outcome.status, parcel.files) == ("completed", b"")
        assert engines.receive(parcel, task).status == "completed"
    assert not (theirs / "results").exists()
    assert list(mine.glob("results/runs/.staging/here-*")) == []


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
    experiment, parameters = runner.load("toy"), dict(job.task.parameters)
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
