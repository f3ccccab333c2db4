"""A run's folder: whole or not at all, exact, resumable, without a trace of the machine."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
import toy
from PIL import Image

from stylerepro.errors import NetworkError, ParameterError, ResultsError, RunError
from stylerepro.runs import record, results, tables
from stylerepro.runs.declarations import Column
from stylerepro.runs.record import read_progress

SIDECAR = toy.SIDECAR.replace(
    "  name: {type: str}\n",
    "  name: {type: str}\n  r: {type: int, nullable: true}\n  good: {type: bool}\nhistory:\n  step: {type: int}\n",
)
METRICS = pd.DataFrame(
    {"name": ["-", "NA"], "gamma": [0, 10], "value": [0.1 + 0.2, np.inf], "r": [None, 300], "good": [True, False]}
)
HISTORY = pd.DataFrame({"step": [1, 2]})


@pytest.fixture(autouse=True)
def project(project):
    toy.add(project, "toy", sidecar=SIDECAR)
    return project


def save(metrics=METRICS, figures=None, **changes):
    run = results.begin("toy", toy.namespace(**changes))
    run.save(metrics=metrics, history=HISTORY, figures=figures)
    return run


def finished(project):
    return [path.parent for path in project.glob("results/runs/toy/*/run.json")]


def recorded(project):
    (folder,) = finished(project)
    return json.loads((folder / "run.json").read_text())


def test_a_device_that_this_machine_lacks_ends_a_run_before_it_begins(project):
    toy.add(project, "toy", parameters='device: str = "auto"\n' + toy.PARAMETERS)
    with pytest.raises(NetworkError, match=r"It has: .*cpu"):
        results.begin("toy", toy.namespace(device="cuda:99"))
    assert not finished(project)


def test_a_run_is_kept_with_all_that_it_depends_on(project, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = save(seed=7)
    (folder,) = finished(project)
    kept = json.loads((folder / "run.json").read_text())
    assert folder.name.startswith("manual-")
    assert (kept["experiment"], kept["document"], kept["profile"]) == ("toy", "003", "custom")
    assert (kept["status"], kept["error"], kept["seeds"]) == ("completed", None, {"seed": 7})
    assert kept["parameters"] == run.parameters
    assert kept["seconds"] >= 0
    assert {"start", "versions", "commit", "hardware", "device", "networks", "assets"} <= kept.keys()
    assert kept["fingerprint"]["components"]["parameters"]["seed"] == 7
    assert not [text for text in (str(tmp_path), "/root", "/home") if text in (folder / "run.json").read_text()]


def test_the_profile_is_found_by_its_parameters(project):
    assert save(gammas=[0.0], size=4).profile == "smoke"
    run = save()
    assert (run.profile, repr(run)) == ("laptop", "<run of toy, profile laptop>")


def test_tables_come_back_exactly(project):
    save()
    (folder,) = finished(project)
    assert (folder / "metrics.csv").read_text().splitlines() == [
        "gamma,value,name,r,good",
        "0.0,0.30000000000000004,-,,True",
        "10.0,inf,NA,300,False",
    ]
    collected = results.collect()
    assert list(collected.columns) == ["experiment", "profile", "run", "gamma", "value", "name", "r", "good"]
    assert collected.value.tolist() == METRICS.value.tolist()
    assert collected.name.tolist() == ["-", "NA"]
    assert [str(collected[name].dtype) for name in ("gamma", "r", "good")] == ["float64", "Int64", "bool"]
    assert results.tables_of(table="history")["toy"].step.tolist() == [1, 2]


def test_whole_numbers_that_a_join_with_an_empty_table_made_floats_are_integers():
    columns = {"size": Column(type="int")}
    checked = tables.check(pd.DataFrame({"size": [8.0, 9.0]}), columns, "metrics")
    assert checked["size"].dtype == "int64"
    assert checked["size"].tolist() == [8, 9]
    for value, words in ((8.5, "'size' must be int"), (None, r"has a gap|must be int")):
        with pytest.raises(ResultsError, match=words):
            tables.check(pd.DataFrame({"size": [8.0, value]}), columns, "metrics")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.assign(extra=1), "column 'extra' is not declared"),
        (lambda t: t.drop(columns="value"), "column 'value' is missing"),
        (lambda t: t.assign(value=["1", "2"]), "column 'value' must be float"),
        (lambda t: t.assign(value=[1.0, None]), "column 'value' has a gap"),
        (lambda t: t.assign(r=[1.5, None]), "column 'r' must be int"),
        (lambda t: t.assign(good=[1, 0]), "column 'good' must be bool"),
        (lambda t: t.assign(name=[1, 2]), "column 'name' must be str"),
        (lambda t: t.iloc[:0], "has no rows"),
        (lambda t: t.to_dict(), "must be a pandas DataFrame"),
    ],
)
def test_tables_that_are_not_as_declared_leave_nothing(project, change, words):
    with pytest.raises(ResultsError, match=words):
        save(change(METRICS))
    assert finished(project) == []


def test_history_has_to_be_there_exactly_if_declared(project):
    run = results.begin("toy", toy.namespace())
    with pytest.raises(ResultsError, match="history is missing"):
        run.save(metrics=METRICS)
    toy.add(project, "toy")
    run = results.begin("toy", toy.namespace())
    with pytest.raises(ResultsError, match="declares no columns for a history"):
        run.save(metrics=METRICS[["gamma", "value", "name"]], history=HISTORY)


def test_figures_are_small_pictures_called_as_a_file_can_be(project, tmp_path):
    (tmp_path / "own.png").write_bytes(b"1")
    figure, axes = plt.subplots()
    axes.plot([1, 2])
    noise = torch.rand(1, 3, 500, 500, generator=torch.Generator().manual_seed(0))
    named = dict.fromkeys(["../x", str(tmp_path / "own.png"), "swirls:3"], torch.zeros(1, 3, 8, 8))
    run = save(figures={"plot": figure, "noise": noise, **named})
    plt.close(figure)
    (folder,) = finished(project)
    kept = ["-x.webp", "noise.webp", "own-6b86b273-png.webp", "plot.webp", "swirls-3.webp"]
    assert sorted(path.name for path in (folder / "figures").iterdir()) == kept
    assert len(list(folder.rglob("*.webp"))) == len(kept)
    with Image.open(folder / "figures" / "noise.webp") as picture:
        assert (picture.format, picture.size) == ("WEBP", (500, 500))
    assert (folder / "figures" / "noise.webp").stat().st_size < 300_000
    with pytest.raises(ResultsError, match="Figure"):
        run.save(metrics=METRICS, history=HISTORY, figures={"x": "text"})
    with pytest.raises(ResultsError, match="would have one name: a:1, a-1"):
        save(figures=dict.fromkeys(["a:1", "a-1"], torch.zeros(1, 3, 8, 8)))


@pytest.mark.parametrize(
    ("changes", "words"), [({"size": "big"}, "takes int"), ({"gammas": 3.0}, "takes list"), ({"out": 3}, "'out'")]
)
def test_ill_typed_parameters_are_refused_at_the_beginning(project, changes, words):
    with pytest.raises(ParameterError, match=words):
        results.begin("toy", toy.namespace(**changes))
    with pytest.raises(ParameterError, match="no value for gammas"):
        results.begin("toy", {})
    assert not (project / "results").exists()


def test_a_notebook_computes_with_what_its_record_says(project):
    """As papermill hands them over: `-p strict false -p gammas '[0,10]' -y 'rate: 1e-2'`."""
    cell = toy.namespace(strict="false", gammas="[0,1e2]", rate="1e-2", size="4", reading="none")
    run = results.begin("toy", cell)
    converted = {"strict": False, "gammas": [0.0, 100.0], "rate": 0.01, "size": 4, "reading": "none"}
    assert {name: cell[name] for name in converted} == converted
    assert {name: cell[name] for name in run.parameters} == run.parameters
    cell["gammas"].append(3.0)
    assert run.parameters["gammas"] == [0.0, 100.0]


@pytest.mark.parametrize("place", ["results", "results/runs", "results/runs/toy"])
def test_a_file_where_a_folder_should_be_is_named_and_kept(project, place):
    (project / place).parent.mkdir(parents=True, exist_ok=True)
    (project / place).write_text("mine")
    with pytest.raises(ResultsError, match=f"{place} is a file"):
        save()
    assert (project / place).read_text() == "mine"


def test_out_names_another_folder_of_which_only_an_earlier_run_is_written_over(project, tmp_path):
    for _ in range(2):
        save(out=str(tmp_path / "elsewhere"))
    assert json.loads((tmp_path / "elsewhere" / "run.json").read_text())["status"] == "completed"
    assert finished(project) == []
    mine = tmp_path / "mine" / "figures" / "drawn.png"
    mine.parent.mkdir(parents=True)
    mine.write_text("precious")
    with pytest.raises(ResultsError, match=r"mine/figures is there already"):
        save(out=str(tmp_path / "mine"))
    assert mine.read_text() == "precious"


def test_pictures_given_by_path_are_known_by_name(project):
    run = save(METRICS.assign(name=["/data/holiday/me.jpg", "swirls:3"]), reading="/data/holiday/me.jpg")
    (folder,) = finished(project)
    assert run.parameters["reading"] == "/data/holiday/me.jpg"
    assert recorded(project)["parameters"]["reading"] == "me.jpg"
    assert results.collect().name.tolist() == ["me.jpg", "swirls:3"]
    assert not [path for path in folder.iterdir() if "holiday" in path.read_text()]


def part_value():
    return {
        "table": pd.DataFrame({"x": [0.1, np.nan], "n": ["a", None], "i": [1, 2]}, index=[3, 5]),
        "image": torch.rand(1, 3, 2, 2).requires_grad_(),
        "array": np.arange(3, dtype=np.float32),
        "deep": {"number": np.float64(1 / 3), "list": [1, "two", None, (True,)]},
    }


def test_a_part_is_computed_once_and_comes_back_the_same(project):
    calls = []

    def compute():
        calls.append(1)
        return part_value()

    first = results.begin("toy", toy.namespace()).part("a pair × b/c", compute)
    second = results.begin("toy", toy.namespace()).part("a pair × b/c", compute)
    assert len(calls) == 1
    pd.testing.assert_frame_equal(first["table"], part_value()["table"])
    pd.testing.assert_frame_equal(first["table"], second["table"])
    assert torch.equal(first["image"], second["image"])
    assert not second["image"].requires_grad
    assert second["array"].dtype == np.float32
    assert second["deep"] == {"number": 1 / 3, "list": [1, "two", None, (True,)]}
    results.begin("toy", toy.namespace(seed=1)).part("a pair × b/c", compute)
    assert len(calls) == 2  # other parameters, another part
    toy.add(project, "toy", sidecar=SIDECAR, body="print('new')")
    other = results.begin("toy", toy.namespace()).part("a pair × b/c", lambda: {"x": 2})
    assert other == {"x": 2}, "of other code none is taken"


SIBLING = """
import sys, toy, pandas as pd
from stylerepro.runs import results
run = results.begin("toy", toy.namespace())
run.part("slow", lambda: {"x": 1})
print("begun", flush=True)
sys.stdin.readline()
assert run.part("slow", dict) == {"x": 1}
table = {"name": ["a", "b"], "gamma": [0, 10], "value": [1.0, 2.0], "r": [1, 2], "good": [True, True]}
run.save(metrics=pd.DataFrame(table), history=pd.DataFrame({"step": [1, 2]}))
"""


def test_two_runs_by_hand_of_equal_values_share_no_folder(project):
    """One begins under other code, as an edit between the two makes it, and must not clear away the other's parts."""
    command = [sys.executable, "-c", SIBLING]
    environment = os.environ | {"PYTHONPATH": str(Path(toy.__file__).parent)}
    with subprocess.Popen(command, stdin=PIPE, stdout=PIPE, stderr=PIPE, text=True, env=environment) as sibling:
        assert sibling.stdout.readline() == "begun\n", sibling.stderr.read()
        mine = results.begin("toy", toy.namespace())
        assert mine.part("slow", lambda: {"x": 2}) == {"x": 2}
        toy.add(project, "toy", sidecar=SIDECAR, body="print('edited')")
        results.begin("toy", toy.namespace())
        mine.save(metrics=METRICS, history=HISTORY)
        _, said = sibling.communicate("\n")
    assert sibling.returncode == 0, said
    (folder,) = finished(project)
    assert results.collect().value.tolist() == [1.0, 2.0], "the one that saved last"
    del mine
    assert sorted(path.name for path in folder.parent.iterdir()) == [folder.name]
    assert results.begin("toy", toy.namespace()).part("slow", lambda: {"x": 3}) == {"x": 3}
    assert not list(project.glob("results/runs/.staging/*-2"))


class Runs:
    def __reduce__(self):
        return print, ("code was run",)


def test_damaged_and_dangerous_parts_are_made_anew(project, capsys):
    run = results.begin("toy", toy.namespace())
    run.part("p", lambda: {"x": 1})
    (kept,) = project.glob("results/runs/.staging/*/parts/*/*.pt")
    for damage in (lambda: kept.write_bytes(b"half"), lambda: torch.save({"value": Runs(), "seconds": 1.0}, kept)):
        damage()
        with pytest.warns(UserWarning, match="part 'p' of this run was damaged"):
            assert run.part("p", lambda: {"x": 2}) == {"x": 2}
    assert capsys.readouterr().out == ""


def test_a_part_holds_only_what_can_be_kept(project):
    run = results.begin("toy", toy.namespace())
    with pytest.raises(ResultsError, match="holds a function"):
        run.part("p", lambda: {"x": part_value})
    with pytest.raises(ResultsError, match="a dict of named tables"):
        run.part("q", lambda: 3)  # type: ignore[arg-type,return-value]
    assert list(project.glob("results/runs/.staging/*/parts/*/*.pt")) == []


def test_parts_of_a_loop_are_kept_by_job_and_a_second_run_takes_them(project):
    calls = []

    def compute(first, second=0):
        calls.append((first, second))
        return {"sum": first + second}

    run = results.begin("toy", toy.namespace())
    sums = run.parts([(1, 2), (3, 4), (1, 2)], compute, "pairs")
    assert sums == {(1, 2): {"sum": 3}, (3, 4): {"sum": 7}}
    assert run.parts([5], compute, "numbers") == {5: {"sum": 5}}
    assert run.parts([(1, 2)], compute, "other pairs") == {(1, 2): {"sum": 3}}
    again = results.begin("toy", toy.namespace())
    assert again.parts([(3, 4)], compute, "pairs") == {(3, 4): {"sum": 7}}
    assert calls == [(1, 2), (3, 4), (5, 0), (1, 2)]


def test_a_run_that_goes_on_began_with_the_first_part_that_is_kept_and_counts_its_seconds(project, monkeypatch):
    results.begin("toy", toy.namespace()).part("p", lambda: {"x": 1})
    (part,) = project.glob("results/runs/.staging/*/parts/*/*.pt")
    os.utime(part, (1e9, 1e9))
    monkeypatch.setattr(results, "compute_once", lambda *_: ({"x": 1}, 1000.0))
    run = results.begin("toy", toy.namespace())
    run.part("p", dict)
    run.save(metrics=METRICS, history=HISTORY)
    kept = recorded(project)
    assert (kept["start"], kept["seconds_reused"]) == ("2001-09-09T01:46:40+00:00", 1000)
    assert kept["seconds"] >= 1000


def test_a_run_by_the_command_says_how_far_it_has_come(project):
    staging = project / "results" / "runs" / ".staging" / "toy-smoke-01234567-abcdef"
    run = results.begin("toy", toy.namespace(out=str(staging / "result")))
    seen = []

    def look(number):
        seen.append(read_progress("toy", "smoke-01234567"))
        return {"number": number}

    assert read_progress("toy", "smoke-01234567") is None
    run.parts([7, 8], look, "numbers")
    assert seen == [(0, 2, "numbers"), (1, 2, "numbers")]
    (staging / "progress.json").write_text("{")
    assert read_progress("toy", "smoke-01234567") is None


def test_collect_takes_the_newest_run_of_a_profile_and_every_custom_one(project):
    save(METRICS.assign(value=[1.0, 1.0]))
    save(METRICS.assign(value=[2.0, 2.0]), seed=1)
    save(METRICS.assign(value=[3.0, 3.0]), seed=2)
    runs = project / "results" / "runs" / "toy"
    (by_hand,) = (path for path in runs.iterdir() if '"laptop"' in (path / "run.json").read_text())
    command = runs / "laptop-12345678"
    shutil.copytree(by_hand, command)
    kept = json.loads((command / "run.json").read_text()) | {"manual": False, "start": "2000-01-01T00:00:00+00:00"}
    (command / "run.json").write_text(json.dumps(kept))
    collected = results.collect()
    assert collected[collected.profile == "laptop"].run.unique().tolist() == ["laptop-12345678"]
    assert sorted(collected[collected.profile == "custom"].value.unique()) == [2.0, 3.0]
    assert set(results.collect(profile="laptop").profile) == {"laptop"}


def test_collect_takes_one_experiment_with_its_parameters_or_its_curves(project, capsys):
    toy.add(project, "other", sidecar=SIDECAR)
    save(seed=1, rate=None)
    save(seed=2, rate=0.5, reading="fine")
    results.begin("other", toy.namespace()).save(metrics=METRICS, history=HISTORY)
    table = results.collect(experiment="toy", parameters=True)
    front = ["experiment", "profile", "run", "gammas", "size", "reading", "rate", "strict", "seed"]
    assert list(table.columns) == [*front, "gamma", "value", "name", "r", "good"]
    assert set(table.experiment) == {"toy"}
    assert table.groupby("seed").reading.first().to_dict() == {1: "raw", 2: "fine"}
    assert table.gammas.unique().tolist() == ["[0.0, 10.0]"]
    assert table[table.seed == 2].rate.tolist() == [0.5, 0.5]
    assert results.collect(table="history", experiment="toy", parameters=True).step.tolist() == [1, 2, 1, 2]
    with pytest.raises(RunError, match="Did you mean 'toy'"):
        results.collect(experiment="toi")
    places = [str(path.parent) for path in project.glob("results/runs/*/*/run.json")]
    assert sorted(capsys.readouterr().out.split("results in ")[1:]) == sorted(f"{place}\n" for place in places)


def test_committed_runs_count_where_there_is_no_own_one(project):
    save(METRICS.assign(value=[1.0, 1.0]))
    shutil.copytree(finished(project)[0], project / "results" / "reference" / "toy")
    assert results.collect().run.str.startswith("manual-").all()
    shutil.rmtree(project / "results" / "runs")
    assert set(results.collect().run) == {"toy"}
    assert results.collect(root=project / "results" / "runs").empty


def test_install_recovers_from_a_swap_that_was_killed(tmp_path, monkeypatch):
    monkeypatch.setattr(record, "damage", lambda folder: None)
    for name in (".old-run-1", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    record.install(tmp_path / "new", tmp_path / "run")
    assert (tmp_path / "run" / "file").read_text() == "new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["project", "run"]


def test_a_run_keeps_to_the_number_format_that_it_began_in(project, monkeypatch):
    """What is faster may differ where it goes on; its parts must not."""
    from stylerepro.networks import precision

    toy.add(project, "toy", sidecar=SIDECAR, parameters='dtype: str = "auto"\n' + toy.PARAMETERS)
    for gain in (3.0, 1.0):
        monkeypatch.setattr(precision, "gain", lambda device, gain=gain: gain)
        namespace = toy.namespace(dtype="auto")
        run = results.begin("toy", namespace)
        assert run.dtype == namespace["dtype"] == "bfloat16"
        assert run.parameters["dtype"] == "auto"
        del run  # as if killed: its lock is given up, its parts wait
    save(dtype="float64")
    assert recorded(project)["dtype"] == {"asked": "float64", "used": "float64"}
    with pytest.raises(NetworkError, match="Unknown dtype"):
        results.begin("toy", toy.namespace(dtype="half"))
