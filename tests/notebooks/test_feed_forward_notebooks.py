"""Chapters on feed-forward networks: what must hold of their smoke tables, and of the networks that are committed."""

import numpy as np
import pytest
import torch

from stylerepro.ledger.rules import matches
from stylerepro.measures import image_metrics
from stylerepro.networks import checkpoints
from stylerepro.networks.feed_forward import architecture, count
from stylerepro.pictures import images
from stylerepro.training import library
from stylerepro.training.recipe import chapter_recipe

CHAPTERS = ("fast_transfer", "vanilla_vs_fast", "efficient_networks")


# ---- the tables


@pytest.mark.parametrize("name", ["fast_transfer", "efficient_networks"])
def test_the_weighted_losses_add_up(name, tables, chosen):
    rows, given = tables[name], chosen(name)
    rows = rows[rows["measured"] == "quality"]
    assert len(rows)
    weighted = given["lambda_c"] * rows["content_loss"] + given["lambda_s"] * rows["style_loss"]
    np.testing.assert_allclose(rows["perceptual_loss"], weighted, rtol=1e-5)
    np.testing.assert_allclose(rows["total"], weighted + given["lambda_tv"] * rows["tv_loss"], rtol=1e-5)
    assert (rows["sliced_wasserstein"] > 0).all()
    assert rows["ssim_content"].between(-1, 1).all()


def test_every_photograph_is_judged_and_every_style_is_timed(tables, curves, chosen):
    table, given = tables["fast_transfer"], chosen("fast_transfer")
    # What claim 003.8 selects.
    centre = table[matches(table["lambda_c"], 2) & matches(table["lambda_s"], 40)]
    quality, cost = (centre[centre["measured"] == kind] for kind in ("quality", "cost"))
    assert sorted(quality["content"]) == sorted(given["contents"])
    assert tables["resolutions"]["same_size"].all(), "odd sizes, too"
    assert set(quality["nearest_is_own"]) <= {0.0, 1.0}
    assert list(cost["style"]) == given["styles"]
    assert (cost["seconds_picture"] > 0).all()
    assert (cost["size"] == given["timed_size"]).all()
    assert quality.filter(like="_seeds").isna().all(axis=None), "one seed says nothing of chance"
    assert set(curves["fast_transfer"]["training"]) == {"short", "whole"}


def test_costs_are_counted_and_stand_against_johnsons(tables, chosen):
    table, given = tables["efficient_networks"], chosen("efficient_networks")
    # What claims 004.2 to 004.4 select.
    rows = table[(table["measured"] == "cost") & (table["path"] == "eager") & (table["dtype"] == "float32")]
    johnson = rows[matches(rows["architecture"], "johnson") & matches(rows["multiplier"], None)].iloc[0]
    side = given["memory_size"]
    for name in given["architectures"]:
        (row,) = rows[matches(rows["architecture"], name) & matches(rows["multiplier"], 4)].itertuples()
        counted, baseline = count(architecture(name), side, side), count("johnson-in", side, side)
        assert (row.parameters, row.multiply_adds) == (counted.parameters, counted.multiply_adds)
        assert row.parameters_over_johnson == pytest.approx(counted.parameters / baseline.parameters)
        assert row.multiply_adds_over_johnson == pytest.approx(counted.multiply_adds / baseline.multiply_adds)
        assert row.time_decrease == pytest.approx(1 - row.seconds / johnson.seconds)
        assert row.lower <= row.seconds <= row.upper
    assert (johnson.time_decrease, johnson.parameters_over_johnson) == (0, 1)
    assert (table["path"] == "eager, again").sum() == len(given["sizes"])


def test_faster_ways_give_the_eager_picture(tables):
    ways = tables["efficient_networks"].dropna(subset="relative_error")
    assert {"eager, trained", "channels-last"} <= set(ways["path"])
    assert (ways["relative_error"] < 1e-2).all()
    assert ways.loc[ways["path"] == "eager, trained", "relative_error"].max() == 0
    first = ways[(ways["architecture"] == "johnson") & (ways["path"] == "eager, trained")]["seconds"].iloc[0]
    np.testing.assert_allclose(ways["times_as_fast"], first / ways["seconds"].astype(float))


def test_the_fair_comparison_stops_where_the_loss_is_reached(tables, curves, chosen):
    table, history = tables["vanilla_vs_fast"], curves["vanilla_vs_fast"]
    cost, fair = (table[table["measured"] == kind] for kind in ("cost", "quality"))
    np.testing.assert_allclose(cost["ratio"], cost["vanilla_seconds"] / cost["fast_seconds"])
    assert list(cost["size"]) == chosen("vanilla_vs_fast")["timed_sizes"]
    for row in fair.itertuples():
        line = history[(history["content"] == row.content) & (history["style"] == row.style)].sort_values("step")
        assert row.start_loss == pytest.approx(line["total_loss"].iloc[0])
        below = line[line["total_loss"] <= row.fast_loss]
        assert row.comparable == (row.fast_loss < row.start_loss)
        assert row.reached == (row.comparable and len(below) > 0)
        if not row.comparable:
            assert np.isnan(row.fair_ratio), "a picture that is worse than the photograph has no ratio, not one of 0"
        if row.reached:
            assert row.iterations == below["step"].iloc[0]
            spent = line["seconds"].iloc[1 : int(row.iterations) + 1].sum()
            assert row.fair_ratio == pytest.approx(spent / row.fast_seconds, abs=1e-6)


# ---- the committed networks


def recipe(given, asked):
    shared = {"content_weight": "lambda_c", "style_weight": "lambda_s", "tv_weight": "lambda_tv", "size": "crop"}
    same = ("photographs", "style_layer_weight", "batch", "steps", "learning_rate", "convention", "precision")
    settings = {name: given[shared.get(name, name)] for name in (*shared, *same)}
    loss_network = given.get("trained_with", given["network"])
    return chapter_recipe(asked, loss_network, held_out=given["contents"], **settings)


@pytest.mark.parametrize("name", [*CHAPTERS, "resolutions"])
def test_the_default_profile_trains_none_of_its_networks(name, monkeypatch, chosen):
    """The committed networks are those that the chapters' own parameters ask for."""
    words = "this network is not committed, or the chapter asks for another one"
    monkeypatch.setattr(library, "train", lambda *_, **__: pytest.fail(words))
    monkeypatch.delenv("STYLEREPRO_MIRROR", raising=False)
    given = chosen(name, "laptop")
    networks = [given["architecture"]] if "architecture" in given else ["johnson-in", *given["architectures"]]
    for style in [*given["styles"], *given.get("more_styles", [])]:
        for asked in networks:
            trained = library.obtain(style, recipe(given, asked), given["style_size"])
            assert trained.network.architecture == architecture(asked)
            assert trained.history["total"].iloc[-1] < 0.7 * trained.history["total"].iloc[0]


COMMITTED = [network for network in library.kept() if network.committed]


@pytest.mark.parametrize("kept", COMMITTED, ids=lambda kept: kept.name)
def test_a_committed_network_stylises_a_photograph_that_it_never_saw(kept):
    assert "chelsea" not in kept.description.trained["recipe"]["photographs"]
    photograph, style = images.read("chelsea", 128), images.read(kept.description.trained["style"], 160)
    with torch.no_grad():
        made = checkpoints.load(kept.path)(photograph)
    assert made.shape == photograph.shape
    far, before = (image_metrics.sliced_wasserstein(picture, style) for picture in (made, photograph))
    assert far < 0.8 * before
    # And it is still a picture of that photograph, nearer to it than to another.
    other = images.resize(images.read("coffee"), photograph.shape[-2:])
    assert image_metrics.gradient_correlation(made, photograph) > image_metrics.gradient_correlation(made, other)
