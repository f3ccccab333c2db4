"""The smoke runs' tables: what must hold whatever the picture, the network and the number of steps."""

import ast
from itertools import product

import numpy as np
import pandas as pd
import pytest
from cells import executed

from stylerepro.files import project_root
from stylerepro.ledger.rules import matches
from stylerepro.runs import experiments, record
from stylerepro.studies.compression import READINGS
from stylerepro.transfer.objective import STYLE_LAYERS


def test_numbers_are_finite_where_they_are_not_declared_missing(tables):
    for name, table in tables.items():
        declared = experiments.load(name).columns
        numbers = [name for name, column in declared.items() if column.type in ("int", "float") and not column.nullable]
        assert np.isfinite(table[numbers].to_numpy(float)).all(), name


def test_total_variation_never_grows_with_its_weight(tables):
    for _, sweep in tables["tv_sweep"].groupby(["convention", "content", "style"]):
        values = sweep.sort_values("gamma")["total_variation"].to_numpy()
        assert (np.diff(values) <= 1e-3 * values[0]).all()


def test_shares_of_the_gradient_stand_in_every_optimisation_s_table_and_add_up(tables):
    chapters = {"initialisation", "charbonnier", "vanilla_transfer", "tv_sweep", "compressed_transfer", "layer_subsets",
                "lbfgs_512"}  # fmt: skip
    for name in chapters:
        for place in ("start", "middle", "end"):
            shares = tables[name].filter(regex=f"^(content|style|tv)_share_{place}$").dropna()
            assert not shares.empty, name
            assert (shares >= 0).all(axis=None)
            if "content" in shares.columns[0]:
                np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-6, err_msg=name)
            else:
                assert (shares <= 1).all(axis=None), name


def test_every_start_and_optimiser_has_its_levels_and_the_missing_layer_its_name(tables, curves, chosen):
    table, parameters = tables["initialisation"], chosen("initialisation")
    assert set(table["start"]) == {"content", "style", "noise"}
    assert set(table["optimiser"]) == set(parameters["optimisers"])
    assert set(table["layers"]) == {"conv1_2, conv3_3, conv5_1 for conv5_3"}, "the layer that is missing is named"
    assert len(table) == 3 * 3 * len(parameters["levels"])
    assert table["evaluations"].between(1, parameters["iterations"]).all()
    assert (table.loc[table["reached"] == "no", "evaluations"] == parameters["iterations"]).all()
    history = curves["initialisation"]
    first = history[history["step"] == 0].set_index(["optimiser", "start"])["total_loss"]
    # One picture has one loss, whatever the optimiser makes of it afterwards.
    assert first.groupby("start").agg(np.ptp).max() <= 1e-4 * first.max()
    last = history.groupby(["optimiser", "start"])["total_loss"].min()
    assert (last < first.loc[last.index]).all()


def test_reconstructions_have_a_row_a_layer_and_come_nearer(tables, chosen):
    whole, parameters = tables["reconstructions"], chosen("reconstructions")
    assert set(whole["start"]) == {parameters["start"], *parameters["others"]}
    table = whole[whole["start"] == parameters["start"]]
    content, style = (table[table["target"] == target] for target in ("content", "style"))
    assert list(content["layer"]) == parameters["content_layers"]
    assert list(style["layer"]) == list(STYLE_LAYERS)
    assert style["wasserstein_over_others"].notna().all()
    assert content["wasserstein_over_others"].isna().all()
    assert (table["loss_left"] < 1).all()
    assert (table["layout_correlation_size"] == table["layout_correlation"].abs()).all()
    assert table.loc[table["deepest"], "layer"].tolist() == [parameters["content_layers"][-1], STYLE_LAYERS[-1]]


def test_charbonnier_compares_all_four_combinations_at_the_same_levels(tables, chosen):
    table, parameters = tables["charbonnier"], chosen("charbonnier")
    assert set(table["level"]) <= set(parameters["levels"])
    kinds = ("mse", "charbonnier")
    assert set(zip(table["content_loss"], table["style_loss"], strict=True)) == set(product(kinds, kinds))
    assert table["ssim_content"].between(0, 1).all()


def test_the_layers_contributions_add_up_to_the_style_loss(tables):
    table = tables["vanilla_transfer"]
    for _, layers in table.groupby(["content", "style", "convention", "beta"]):
        assert sorted(layers["layer"]) == sorted(STYLE_LAYERS)
        for column in ("style_contribution", "style_contribution_start"):
            assert layers[column].sum() == pytest.approx(1)


def test_a_network_that_stands_in_for_its_teacher_meets_nothing(tables):
    table = tables["compact_network"].set_index("measured")
    # Deeper layers of so small pictures have fewer positions than channels.
    shallow = table.loc["explained_variance"].set_index("layer").loc["relu1_1":"relu3_1", "value"]
    assert (shallow > 0.999).all()
    assert table.loc["style_removed_median", "value"] == pytest.approx(1)
    fidelity = table[~table.index.str.contains("_as_vgg|_of_vgg")]
    assert fidelity["asked"].isna().all()
    assert fidelity["met"].isna().all()


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    (tmp_path / "notebooks").symlink_to(project_root() / "notebooks")
    monkeypatch.setenv("STYLEREPRO_ROOT", str(tmp_path))


@pytest.mark.parametrize(
    ("name", "changes", "wanted"),
    [
        ("tv_sweep", {"gammas": [100.0, 10.0]}, {"gammas": (0.0, 10.0, 100.0)}),
        ("lbfgs_512", {"formulas": ["notebook"], "low_precision": 3}, {"formulas": ["document", "notebook"]}),
        ("lbfgs_512", {"low_precision": 3}, {"marks": [2, 3, 4, 6]}),
        ("layer_subsets", {"cost_subsets": ["conv1_2"]}, {"cost_subsets": ["conv1_2", "document", "all"]}),
        ("layer_subsets", {"timed_subsets": ["document"]}, {"timed_subsets": ["document", "all"]}),
        ("compression", {"factored": ["coffee"]}, {"factored": ["coffee", "astronaut"]}),
    ],
)
def test_what_others_are_compared_with_is_computed_whatever_is_asked_for(elsewhere, name, changes, wanted):
    space = executed(name, "results.begin(", **changes)
    assert {name: space[name] for name in wanted} == wanted


def test_ratios_are_to_the_result_without_the_term_and_no_finding_speaks_of_what_was_not_tried(elsewhere):
    space = executed("tv_sweep", "finding = ", gammas=[10.0], others=[], size=32, iterations=2)
    table = space["metrics"].set_index("gamma")
    assert list(table.index) == [0, 10]
    assert table.loc[0, "tv_ratio"] == table.loc[0, "ssim_gamma0"] == 1
    assert table.loc[10, "tv_ratio"] == table.loc[10, "total_variation"] / table.loc[0, "total_variation"] < 1
    assert space["both"].empty


def test_what_rules_select_is_in_the_tables(tables):
    """A rule that selects by a value which the notebook never writes would wait forever."""
    table = tables["reconstructions"]
    deepest = matches(table["deepest"], True) & matches(table["target"], "style")
    assert (deepest & (table["start"] == "grey")).sum() == 1


# ---- compression


def test_every_row_of_compression_is_one_setting_and_none_beats_hosvd(tables):
    table = tables["compression"]
    assert set(table.method) == {"hosvd", "honmf_svd"}
    assert set(table.reading) == {"-", *READINGS}
    assert not table.duplicated(["picture", "size", "method", "reading", "r", "n", "init"]).any()
    hosvd = table[table.method == "hosvd"]
    assert hosvd.r.isna().all()
    assert (hosvd.mse[hosvd.n == hosvd["size"]] < 1e-20).all(), "nothing is left out"
    keys = ["picture", "size", "n"]
    others = table[table.method != "hosvd"].join(hosvd.set_index(keys).mse.rename("least"), on=keys)
    others = others[others.least > 1e-12]  # with all singular values only rounding is left
    assert len(others)
    assert (others.mse >= (1 - 1e-9) * others.least).all()


def test_compression_measures_time_at_the_documents_setting_alone_and_saves_its_figures(tables, chosen, offline):
    timed = tables["compression"].dropna(subset="iteration_ratio")
    assert sorted(timed.reading) == ["-", "qr"]
    assert (timed.n == chosen("compression")["n"]).all()
    assert (timed.iteration_ratio > 0).all()
    runs = record.current_runs(offline[0] / "results" / "runs", "smoke")
    (folder,) = [folder for folder, about in runs if about["experiment"] == "compression"]
    figures = {path.stem for path in (folder / "figures").iterdir()}
    assert figures == {"shares", "error", "sizes", "readings", "pictures", "storage"}


def test_what_meets_the_documents_figures_is_found_and_what_misses_them_is_not():
    """The notebook's own function, taken out of its cell."""
    sources = [source for source, _ in experiments.code_cells(experiments.load("compression").notebook)]
    (source,) = [source for source in sources if "def fit(" in source]
    (function,) = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
    names = {"near": 0.01, "rounding": (0.5e-4, 1.5e-4)}
    exec(ast.unparse(function), names)
    rows = [("a", 1, 1e-4, 0.5), ("b", 2, 9e-4, 0.92), ("c", 3, 1.4e-4, 0.911)]
    table = pd.DataFrame(rows, columns=["picture", "size", "mse", "share"])
    fit = names["fit"](table, "share", 0.9191)
    assert (fit["at"], fit["share met"], fit["share and MSE met"]) == ("b 2 px", True, "c 3 px")
    assert names["fit"](table.iloc[:1], "share", 0.9191)["share and MSE met"] == "nowhere"
