"""Sidecars and parameters: read as declared, refused with the nearest name."""

import papermill
import pytest
import toy

from stylerepro.errors import ParameterError, RunError, StyleReproError
from stylerepro.runs import sweeps
from stylerepro.runs.declarations import Column
from stylerepro.runs.experiments import Explore, check_parameters, discover, load, resolve_parameters

pytestmark = pytest.mark.usefixtures("project")


def test_load_reads_the_sidecar_and_the_parameters_cell_and_how_a_gallery_is_looked_through(project):
    experiment = load("toy")
    assert (experiment.title, experiment.document, experiment.claims) == ("A toy", "003", ("003.1",))
    assert experiment.columns["gamma"] == Column(type="float", unit="1", doc="weight")
    assert experiment.profiles["smoke"].expected == "1 s"
    assert experiment.hardware == "two cores"
    assert list(experiment.parameters) == ["gammas", "size", "reading", "rate", "strict", "seed"]
    assert [experiment.name for experiment in discover()] == ["toy"]
    assert experiment.explore is None
    toy.add(project, "toy", sidecar=toy.SIDECAR + "explore: {sliders: [gamma], choices: [name], shown: [value]}\n")
    assert load("toy").explore == Explore(sliders=["gamma"], choices=["name"], shown=["value"])


NEEDS = 'needs:\n  0.0 in gammas: "put 0 among gammas: all else is relative to it"\n'


def test_values_without_what_the_sidecar_needs_are_refused_before_anything_runs(project):
    toy.add(project, "toy", sidecar=toy.SIDECAR + NEEDS)
    assert resolve_parameters(load("toy"), "laptop", {"gammas": "10,0"})["gammas"] == [10.0, 0.0]
    words = r"Experiment toy: put 0 among gammas: .* \(gammas is \[10.0\]\)"
    for refused in (
        lambda: resolve_parameters(load("toy"), "laptop", {"gammas": "10"}),
        lambda: check_parameters(load("toy"), toy.namespace(gammas=[10.0])),
        lambda: sweeps.plan("toy", "smoke", {"gammas": "0,10"}),
    ):
        with pytest.raises(ParameterError, match=words):
            refused()
    toy.add(project, "toy", sidecar=toy.SIDECAR.replace("gammas: [0]", "gammas: [1]") + NEEDS)
    with pytest.raises(ParameterError, match=r"toy.yaml, profile smoke: put 0 among gammas"):
        load("toy")
    toy.add(project, "toy", sidecar=toy.SIDECAR + NEEDS.replace("in gammas", "in gamas"))
    with pytest.raises(ParameterError, match=r"the need '0.0 in gamas' cannot be judged: name 'gamas' is not defined"):
        load("toy")


def test_parameters_agree_with_papermill_where_it_can_read_them(project, monkeypatch):
    simple = toy.PARAMETERS.replace("total = content", "total: content")
    toy.add(project, "toy", parameters=simple)
    theirs = papermill.inspect_notebook(project / "notebooks" / "toy.ipynb")
    ours = load("toy").parameters
    assert {**theirs, "rate": None}.keys() - {"out"} == ours.keys()
    for name in ("gammas", "size", "strict"):
        assert ours[name].type == theirs[name]["inferred_type_name"]


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("gammas", "0,10,1e2", [0.0, 10.0, 100.0]), ("gammas", "[0, 10]", [0.0, 10.0]), ("gammas", "5", [5.0]),
        ("gammas", "[010, 1e1]", [10.0, 10.0]), ("size", "64", 64), ("size", "010", 10), ("size", "1e3", 1000),
        ("size", 2.0, 2), ("rate", "1e-3", 0.001), ("rate", "none", None), ("strict", "true", True),
        ("reading", "no", "no"),
    ],
)  # fmt: skip
def test_overrides_are_read_as_typed(name, text, value):
    resolved = resolve_parameters(load("toy"), "laptop", {name: text})[name]
    assert resolved == value
    assert type(resolved) is type(value)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("gamas", "1", "Did you mean 'gammas'"), ("size", "big", "takes int, not 'big'"),
        ("size", 2.5, "takes int, not 2.5 .it must be a whole number"), ("size", "1e999", "whole number"),
        ("size", True, "takes int"), ("gammas", "[0, [1]", "as YAML wants"),
        ("gammas", "0,ten", r"takes list\[float\]"), ("gammas", [True], r"takes list\[float\]"),
        ("rate", "inf", "finite"), ("strict", "maybe", "true or false"), ("reading", 3, "quotes"),
        ("out", "there", "set by the command"),
    ],
)  # fmt: skip
def test_overrides_that_do_not_fit_are_refused(name, value, words):
    with pytest.raises(ParameterError, match=words):
        resolve_parameters(load("toy"), "laptop", {name: value})


def test_a_sidecars_whole_numbers_are_decimal(project):
    toy.add(project, "toy", sidecar=toy.SIDECAR.replace("size: 4}", "size: 010, seed: 1_0}"))
    chosen = load("toy").profiles["smoke"].parameters
    assert (chosen["size"], chosen["seed"]) == (10, 10)


def test_profiles_and_experiments_have_to_exist():
    with pytest.raises(ParameterError, match="Did you mean 'laptop'"):
        resolve_parameters(load("toy"), "labtop")
    with pytest.raises(RunError, match="Did you mean 'toy'"):
        load("toys")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("title: A toy", "titel: A toy", "Did you mean 'title'"),
        ("title: A toy\n", "", "lacks title"),
        ('"003"\n', "003\n", 'document is 3; text is needed, in quotes .* as in "003"'),
        ('["003.1"]', "[003.1]", 'ids in quotes are needed, as in "003.1"'),
        ('["003.1"]', '"003.1"', r"claims is '003.1'; it should be a valid list"),
        ("{type: str}", "{type: text}", "columns.name.type is 'text'; it should be 'int', 'float', 'bool' or 'str'"),
        ("{type: str}", "{typ: str}", "Did you mean 'type'"),
        ("{type: str}", "{type: str, nullable: 3}", "columns.name.nullable is 3; it should be a valid boolean"),
        ("  name: {", "  profile: {", "added when collecting"),
        ("smoke: {gammas: [0], size: 4}", "smoke: {gama: [0]}", "Did you mean 'gammas'"),
        ("smoke: {gammas: [0], size: 4}", "smoke: {size: large}", "takes int"),
        ("smoke: {gammas: [0], size: 4}", "smoke: {out: here}", "set by the command alone"),
        ("  smoke: {g", "  tiny: {g", "'tiny'"),
        ("title: A toy", "title: [", "is not the YAML it should be"),
        ("title: A toy", "- title", "YAML|names and values"),
        ("", "explore: {sliders: [gamm], shown: [value]}\n", "Did you mean 'gamma'"),
        ("", "explore: {sliders: gamma, shown: [value]}\n", "explore.sliders is 'gamma'; it should be a valid list"),
        ("", "explore: {sliders: [gamma]}\n", "toy.yaml, explore lacks shown"),
        ("", "explore: {slider: [gamma]}\n", "Did you mean 'sliders'"),
        ("", "explore: {table: curves, sliders: [gamma], shown: [value]}\n", "it should be 'metrics' or 'history'"),
        ("", "explore: {table: history, sliders: [gamma], shown: [value]}\n", "no column"),
    ],
)
def test_sidecars_with_a_slip_are_refused(project, old, new, words):
    assert old in toy.SIDECAR
    toy.add(project, "toy", sidecar=toy.SIDECAR.replace(old, new, 1))
    with pytest.raises(StyleReproError, match=words):
        load("toy")


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("size = 3", "has no type"), ("size: int = 'big'", "takes int"), ("size: int = 2 ** 3", "plain value"),
        ("size: set[int] = [3]", "not one of int"), ("size: int = = 3", "not Python"),
    ],
)  # fmt: skip
def test_parameter_cells_with_a_slip_and_a_missing_or_damaged_notebook_are_refused(project, cell, words):
    notebook = toy.add(project, "toy", parameters=cell, sidecar=toy.SIDECAR.replace("{gammas: [0], size: 4}", "{}"))
    with pytest.raises(ParameterError, match=words):
        load("toy")
    notebook.write_text("no notebook", encoding="utf-8")
    with pytest.raises(ParameterError, match=r"toy\.ipynb is not a readable notebook"):
        load("toy")
    notebook.unlink()
    with pytest.raises(ParameterError, match=r"no notebook toy\.ipynb"):
        load("toy")
