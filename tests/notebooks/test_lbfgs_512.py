"""L-BFGS at 512 px: what must hold of the smoke table whatever the picture."""

import numpy as np
import pytest

from stylerepro.ledger.rules import matches


def test_every_reading_optimiser_and_checkpoint_has_its_row(table, given):
    rows = table[table["measured"] == "quality"]
    marks = [*given["checkpoints"], given["judged"], given["long_run"]]
    own = rows[(rows["optimiser"] == "lbfgs") & (rows["tv"] == "without")]
    for formulas in given["formulas"]:
        assert own.loc[own["formulas"] == formulas, "evaluations"].tolist() == marks
    smoothed = rows[rows["tv"] == "with"]
    assert set(smoothed["formulas"]) == {"document", "notebook"}
    assert smoothed.groupby("formulas")["evaluations"].apply(list).tolist() == [marks[:-1]] * 2
    for optimiser in given["others"]:
        assert rows.loc[rows["optimiser"] == optimiser, "evaluations"].tolist() == marks[:-1]
    measures = ["content_over_unrelated", "edges_over_unrelated", "style_over_content", "wasserstein_over_content",
                "total_variation", "high_frequency_share", "content_edge_density", "content_entropy"]  # fmt: skip
    assert np.isfinite(rows[measures].to_numpy(float)).all()


def test_convergence_is_counted_on_the_long_run_alone(table, given):
    long_run = given["long_run"]
    counted = table["evaluations_1pct"].notna()
    whole = (table["evaluations_made"] == long_run) & (table["optimiser"] == "lbfgs")
    assert (counted == whole.fillna(False)).all()
    assert "document" in set(table.loc[counted, "formulas"])
    few, many = (table.loc[counted, f"evaluations_{percent}pct"].astype(int) for percent in (5, 1))
    assert (few >= 1).all()
    assert (few <= many).all()
    assert (many <= long_run).all()


def test_losses_fall_and_the_best_so_far_never_rises(table, curves):
    history, rows = curves["lbfgs_512"], table[table["measured"] == "quality"].sort_values("evaluations")
    for _, run in rows.groupby(["optimiser", "formulas", "tv"]):
        assert (np.diff(run["loss_left"]) <= 0).all()
        assert run["loss_left"].iloc[-1] < 1
        assert run["style_over_content"].iloc[-1] < 1
    for _, run in history.groupby(["optimiser", "formulas", "tv", "dtype"]):
        run = run.sort_values("evaluations")
        assert (run["best_loss"] <= run["total_loss"]).all()
        assert (np.diff(run["best_loss"]) <= 0).all()
        assert (np.diff(run["elapsed_seconds"]) > 0).all()


def test_one_picture_has_one_first_loss_whatever_the_optimiser(curves, given):
    history = curves["lbfgs_512"]
    first = history[(history["evaluations"] == 1) & (history["formulas"] == "document") & (history["tv"] == "without")]
    first = first[first["dtype"] == "float32"]["total_loss"]
    assert len(first) == 1 + len(given["others"])
    assert np.ptp(first) <= 1e-5 * first.max()


def test_the_total_variation_term_has_its_share_and_smooths(table, given):
    rows = table[(table["measured"] == "quality") & (table["evaluations"] == given["judged"])]
    rows = rows[rows["optimiser"] == "lbfgs"]
    for formulas in ("document", "notebook"):
        both = rows[rows["formulas"] == formulas].set_index("tv")
        assert both.loc["with", "tv_share_start"] == pytest.approx(given["tv_share"], rel=1e-3)
        assert both.loc["without", "gamma"] == 0
        assert both.loc["with", "total_variation"] <= 1.001 * both.loc["without", "total_variation"]


def test_costs_are_there_for_vgg19_and_the_compact_network(table, given):
    rows = table[table["measured"] == "cost"]
    whole = rows[matches(rows["size"], given["cost_size"]) & (rows["dtype"] == "float32") & (rows["device"] == "cpu")]
    for network in ("vgg19", *given["cost_networks"]):
        costs = whole[whole["network"] == network].set_index("optimiser")
        assert sorted(costs.index) == ["adam", "lbfgs"]
        assert (costs["seconds_300"] >= 300 * costs["seconds_evaluation"]).all()
        assert (costs["seconds_1000"] > costs["seconds_300"]).all()
    assert set(whole.loc[whole["network"] == "vgg19", "times_as_fast"]) == {1.0}
    half = rows[rows["dtype"] == "bfloat16"]
    assert set(half["network"]) == {"vgg19"}
    assert (half["times_as_fast"] > 0).all()


def test_bfloat16_is_judged_in_float32_and_never_among_the_pictures_that_rules_judge(table, given):
    rows = table[table["measured"] == "precision"]
    assert len(rows) == given["low_precision_pairs"]
    assert (rows["loss_over_float32"] - 1).abs().max() < 0.05
    judged = table["content_over_unrelated"].notna()
    assert set(table.loc[judged, "dtype"]) == {"float32"}
    assert rows["evaluations_1pct"].isna().all()
