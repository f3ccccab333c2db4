"""Sweeps: the grid as typed, points that are runs of their own and never done twice, one table at the end."""

import json
import re
import shutil

import pandas as pd
import pytest
import toy

from stylerepro.errors import ParameterError, ResultsWarning, RunError
from stylerepro.files import runs_root
from stylerepro.runs import fingerprint, record, runner, sweeps
from stylerepro.runs.experiments import load
from stylerepro.runs.fingerprint import notebook_code

PARAMETERS = "some: list[float] | None = None  # what may be left out\n" + toy.PARAMETERS
FAILING = 'assert run.parameters["size"] != 6 or os.path.exists(os.environ["MENDED"]), "six"\n' + toy.BODY


@pytest.fixture
def project(project, monkeypatch):
    monkeypatch.setenv("MENDED", str(project / "mended"))
    toy.add(project, "toy", FAILING, parameters=PARAMETERS)
    return project


@pytest.mark.parametrize(
    ("texts", "seeds", "wanted"),
    [
        ({"size": "4, 8,4"}, None, {"size": [4, 8]}),
        ({"gammas": "0,10"}, None, {"gammas": [[0.0], [10.0]]}),
        ({"gammas": "[0,1],[0,10]"}, None, {"gammas": [[0.0, 1.0], [0.0, 10.0]]}),
        ({"gammas": "[007],[010,1e2]", "seed": "007,010"}, None, {"gammas": [[7.0], [10.0, 100.0]], "seed": [7, 10]}),
        ({"rate": "none,0.5", "strict": "true"}, None, {"rate": [None, 0.5], "strict": [True]}),
        ({"size": "4"}, 3, {"size": [4], "seed": [0, 1, 2]}),
        ({"some": "none,0.5"}, None, {"some": [None, [0.5]]}),
    ],
)
def test_the_grid_is_read_as_typed(project, texts, seeds, wanted):
    assert sweeps.grid(load("toy"), texts, seeds) == wanted


@pytest.mark.parametrize(
    ("texts", "seeds", "message"),
    [
        ({"gama": "1"}, None, "Did you mean 'gammas'"),
        ({"size": "4,big"}, None, "takes int, not 'big'"),
        ({"size": " , "}, None, "at least one value"),
        ({"gammas": "[0,1"}, None, "not as YAML wants"),
        ({"seed": "1"}, 2, "either -p seed"),
        ({}, None, "needs parameters to vary"),
        ({"out": "a"}, None, "no parameter 'out'"),
    ],
)
def test_a_grid_that_cannot_be_is_refused_before_anything_runs(project, texts, seeds, message):
    with pytest.raises(ParameterError, match=message):
        sweeps.grid(load("toy"), texts, seeds)


def test_seeds_need_a_parameter_that_takes_them_and_a_profile_has_to_exist(project):
    toy.add(project, "plain", parameters=toy.PARAMETERS.replace("seed: int = 0", "sed: int = 0"))
    with pytest.raises(ParameterError, match="no parameter 'seed'"):
        sweeps.grid(load("plain"), {}, 3)
    with pytest.raises(RunError, match="Did you mean 'smoke'"):
        sweeps.plan("toy", "smok", {"size": "4"})


def test_a_point_that_is_a_profiles_run_is_that_run(project):
    same, other = sweeps.plan("toy", "smoke", {"size": "4,5"}).jobs
    assert same.task.name == runner.plan(["toy"], "smoke")[0].task.name
    assert other.task.label == "custom"
    assert other.point == "size=5"


def test_pictures_of_one_name_in_two_folders_are_two_points(project):
    for name, content in (("A", "one"), ("B", "other"), ("C", "one")):
        (project / name).mkdir()
        (project / name / "1.png").write_text(content)
    planned = sweeps.plan("toy", "smoke", {"reading": ",".join(f"{project / name}/1.png" for name in "ABC")})
    assert len({job.task.name for job in planned.jobs}) == len(planned.jobs) == 2, "the third is the first"
    assert all(re.fullmatch(r"reading=1-\w{8}\.png", job.point) for job in planned.jobs)


def test_ten_thousand_points_have_places_of_their_own_and_the_notebook_is_not_read_for_each(project, monkeypatch):
    reads = []
    monkeypatch.setattr(fingerprint, "notebook_code", lambda path: reads.append(path) or notebook_code(path))
    numbers = ",".join(map(str, range(10, 110)))
    planned = sweeps.plan("toy", "smoke", {"size": numbers, "seed": numbers})
    assert len({job.task.name for job in planned.jobs}) == len(planned.jobs) == 10_000
    assert len({job.point for job in planned.jobs}) == 10_000
    assert len(reads) <= 2, "once for the points, once for the profile's own run"


def test_a_sweep_from_end_to_end(project, call):
    """A failed point stops no other, finished ones are kept, --retry takes up the failed, the table has them all."""
    words = ["sweep", "toy", "-p", "size=5,6", "-p", "gammas=0,10", "--profile", "smoke"]
    code, out, _ = call(*words, "--plan")
    assert code == 0
    assert "2 × 2 = 4 points, 0 of them finished" in out
    assert "4 to do" in out
    assert not runs_root().exists(), "a plan runs nothing"

    code, out, _ = call(*words)
    assert code == 1
    assert "toy (size=6, gammas=0.0): FAILED" in out
    assert "2 rows of 2 points in" in out
    finished = {path: path.stat().st_mtime_ns for path in runs_root().glob("toy/custom-*/run.json")}
    assert len(finished) == 2

    code, out, _ = call(*words)
    assert code == 1
    assert "4 points, 2 of them finished" in out
    assert "2 failed last time and are left alone; --retry" in out
    assert "running" not in out

    (project / "mended").touch()
    kept = project / "table.csv"
    code, out, _ = call(*words, "--retry", "-o", str(kept))
    assert code == 0
    assert {path: path.stat().st_mtime_ns for path in finished} == finished, "a finished point was run again"
    table = pd.read_csv(kept)
    assert list(table) == ["run", "size", "gammas", "gamma", "value", "name"]
    assert table[["size", "gammas"]].to_numpy().tolist() == [[5, 0.0], [5, 10.0], [6, 0.0], [6, 10.0]]
    assert table["value"].tolist() == pytest.approx([5, 5 + 10 / 3, 6, 6 + 10 / 3])
    assert table["run"].nunique() == 4
    seconds = [json.loads(path.read_text())["seconds"] for path in finished]
    assert sweeps.plan("toy", "smoke", {"size": "5,7", "gammas": "0,10"}).jobs[-1].seconds == pytest.approx(
        sum(seconds) / 2 * (7 / 5) ** 2
    ), "what finished points took for their pixels is the best guess"

    planned = sweeps.plan("toy", "smoke", {"size": "5,6", "gammas": "0,10"})
    toy.add(project, "toy", FAILING.replace("/ 3", "/ 4"), parameters=PARAMETERS)
    stale = sweeps.plan("toy", "smoke", {"size": "5,6", "gammas": "0,10"})
    assert len(planned.finished) == 4
    assert planned.waiting == []
    assert len(stale.waiting) == 4
    assert sweeps.collect(stale).empty, "what older code gave is in the table"
    toy.add(project, "toy", FAILING, parameters=PARAMETERS)
    (runs_root() / "toy" / table["run"][0] / "metrics.csv").unlink()
    planned = sweeps.plan("toy", "smoke", {"size": "5,6", "gammas": "0,10"})
    with pytest.warns(ResultsWarning, match=r"size=5, gammas=0\.0: "):
        rest = sweeps.collect(planned)
    assert rest["run"].tolist() == table["run"].tolist()[1:]


def test_runs_are_found_without_looking_into_them(tmp_path):
    """Thousands of runs stay fast to list: neither hidden folders nor figures inside a run are walked."""
    run = tmp_path / "toy" / "custom-1"
    for folder in (run, run / "figures", tmp_path / ".staging" / "toy", tmp_path / "flat"):
        folder.mkdir(parents=True)
        content = {"status": "completed"} | dict.fromkeys(("experiment", "profile", "start"), "x")
        content |= {"seconds": 1, "columns": {}, "fingerprint": {}}
        (folder / record.RECORD).write_text(json.dumps(content))
    assert [folder for folder, _ in record.finished_runs(tmp_path)] == [tmp_path / "flat", run]
    shutil.rmtree(tmp_path / "flat")
    assert [folder for folder, _ in record.finished_runs(tmp_path)] == [run]
