"""Transfer: a bare loop's arithmetic, batches that are their parts, histories that add up, errors that lose nothing."""

import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from stylerepro.errors import TransferError
from stylerepro.networks.loss_network import LossNetwork
from stylerepro.transfer import losses
from stylerepro.transfer.history import gradient_shares
from stylerepro.transfer.objective import Conventions, Term, conventions
from stylerepro.transfer.transfer import transfer

GENERATOR = torch.Generator().manual_seed(99)
CONTENTS = torch.rand(3, 3, 24, 28, generator=GENERATOR)
STYLES = torch.rand(3, 3, 24, 28, generator=GENERATOR)
RATES = {"gradient_descent": 1e-3, "adam": 0.02, "lbfgs": 1.0}
LAYERS = {"content_layers": ["conv2_2"], "style_layers": ["conv1_1", "conv2_1", "conv3_1"]}
RECTIFIED = ["relu2_2", "relu1_1", "relu2_1", "relu3_1"]
TINY = {"network": "tiny", "device": "cpu", "convention": "johnson", "style_weight": 1e3, **LAYERS}


def run(content=CONTENTS[:1], style=STYLES[:1], **settings):
    return transfer(content, style, **{**TINY, "iterations": 20, **settings})


@pytest.mark.parametrize(("optimiser", "rate"), [("gradient_descent", 0.5), ("adam", 0.02)])
def test_is_the_loop_that_the_documents_describe(optimiser, rate):
    """The same steps, written out with autograd: α·content + β·style + γ·TV, from the content image."""
    settings = {"style_weight": 2.0, "tv_weight": 1e-4, "dtype": "float64", "clamp": "never"}
    result = run(optimiser=optimiser, learning_rate=rate, **settings)
    network = LossNetwork("tiny", RECTIFIED, dtype=torch.float64)
    content, style = CONTENTS[:1].double(), STYLES[:1].double()
    target, described = network(content)["relu2_2"], network(style)
    image = content.clone().requires_grad_()
    method = {"gradient_descent": torch.optim.SGD, "adam": torch.optim.Adam}[optimiser]([image], lr=rate)
    totals = []
    for _ in range(20):
        features = network(image)
        c = (features["relu2_2"] - target).square().mean()
        s = sum(
            (losses.gram(features[name], "all") - losses.gram(described[name], "all")).square().sum() / 3
            for name in ("relu1_1", "relu2_1", "relu3_1")
        )
        total = c + 2.0 * s + 1e-4 * losses.total_variation(image)[0]
        totals.append(total.item())
        method.zero_grad()
        total.backward()
        method.step()
    np.testing.assert_allclose(result.history["total"][:-1], totals, rtol=1e-9)
    torch.testing.assert_close(result.image, image.detach(), rtol=0, atol=1e-9)


@pytest.mark.parametrize("chunk", [None, 1, 2])
@pytest.mark.parametrize("optimiser", ["gradient_descent", "adam", "lbfgs"])
def test_a_batch_of_settings_gives_what_separate_runs_give(optimiser, chunk):
    shared = {"optimiser": optimiser, "dtype": "float64", "learning_rate": RATES[optimiser]}
    weights = {"content_weight": [1.0, 0.5, 2.0], "style_weight": [10.0, 1.0, 0.0], "tv_weight": [0.0, 1e-3, 1e-2]}
    batch = run(CONTENTS, STYLES, chunk=chunk, **shared, **weights)
    for index in range(3):
        setting = {name: values[index] for name, values in weights.items()}
        alone = run(CONTENTS[index : index + 1], STYLES[index : index + 1], **shared, **setting)
        torch.testing.assert_close(batch.image[index : index + 1], alone.image, rtol=0, atol=1e-8)
        rows = batch.history.query("setting == @index").reset_index(drop=True)
        columns = ["content", "style", "tv", "total", "share_content", "share_style", "share_tv"]
        np.testing.assert_allclose(rows[columns], alone.history[columns], rtol=1e-8, atol=1e-12)
        assert batch.stopped[index] == alone.stopped[0]


@pytest.mark.parametrize("optimiser", ["gradient_descent", "adam", "lbfgs"])
def test_lowers_the_loss_and_records_it(optimiser):
    result = run(optimiser=optimiser, iterations=15, learning_rate=RATES[optimiser], style_weight=10.0)
    history = result.history
    assert history["total"].iloc[-1] < history["total"].iloc[0]
    assert list(history["step"]) == list(range(16))
    assert result.evaluations == 15 == history["evaluations"].iloc[-1]
    assert result.stopped == ("iterations",)
    assert result.seconds == pytest.approx(history["seconds"].sum())
    weighted = 1.0 * history["content"] + 10.0 * history["style"]
    np.testing.assert_allclose(history["total"], weighted, rtol=1e-4, atol=1e-12)
    assert 0 <= float(result.image.min()) <= float(result.image.max()) <= 1
    assert result.image.shape == CONTENTS[:1].shape


def test_last_row_describes_the_image_handed_out():
    result = run(iterations=5, learning_rate=0.3)
    again = run(start=result.image, iterations=1, learning_rate=1e-9)
    for column in ("content", "style", "tv"):
        assert result.history[column].iloc[-1] == pytest.approx(again.history[column].iloc[0], rel=1e-5)


def test_gradient_shares_are_norms_of_the_weighted_gradients():
    result = run(tv_weight=0.01, style_weight=5.0, start="noise", dtype="float64", iterations=10)
    shares = result.history[["share_content", "share_style", "share_tv"]]
    assert list(shares.dropna().index) == [0, 5, 10]
    np.testing.assert_allclose(shares.dropna().sum(axis=1), 1.0)
    noise = torch.rand(1, 3, 24, 28, generator=torch.Generator().manual_seed(0)).double().requires_grad_()
    network = LossNetwork("tiny", RECTIFIED, dtype=torch.float64)
    features, style = network(noise), network(STYLES[:1].double())
    grams = [[losses.gram(values[name], "all") for name in RECTIFIED[1:]] for values in (features, style)]
    terms = [
        losses.content_loss(features["relu2_2"], network(CONTENTS[:1].double())["relu2_2"], "mean"),
        5.0 * sum(losses.style_loss(own, wanted) / 3 for own, wanted in zip(*grams, strict=True)),
        0.01 * losses.total_variation(noise),
    ]
    norms = [torch.autograd.grad(t.sum(), noise, retain_graph=True)[0].norm().item() for t in terms]
    np.testing.assert_allclose(shares.iloc[0], np.array(norms) / sum(norms), rtol=1e-8)


def test_shares_of_a_batch_are_a_row_a_setting_for_tables():
    history = run(style_weight=[1.0, 100.0], start="noise", iterations=5).history
    table = gradient_shares(history, ("style", "tv"))
    places = ("start", "middle", "end")
    assert list(table.columns) == [f"{term}_share_{at}" for term in ("style", "tv") for at in places]
    second = history[history["setting"] == 1].set_index("step")["share_style"]
    np.testing.assert_array_equal(table.loc[1, :"style_share_end"], second.loc[[0, 2, 5]])
    assert (table.loc[1, :"style_share_end"] > table.loc[0, :"style_share_end"]).all()


def test_lbfgs_takes_the_same_steps_however_large_the_loss_is():
    """On features in the hundreds losses reach 10¹³, where products of slopes leave float32."""
    content, style = torch.rand(2, 1, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    layers = {"content_layers": ["conv2_1"], "style_layers": ["conv1_1", "conv2_1"], "convention": "gatys"}
    made = []
    for factor in (1.0, 2.0**20, 2.0**40):
        weights = {"content_weight": 0.0, "style_weight": 2.0**40 * factor, "network": "tiny"}
        made.append(transfer(content, style, optimiser="lbfgs", iterations=15, **layers, **weights).image)
    assert torch.equal(made[0], made[1])
    assert torch.equal(made[0], made[2])
    assert (made[0] - content).abs().mean() > 0.01


def test_lbfgs_counts_evaluations_keeps_the_best_image_and_says_when_it_converged():
    result = run(optimiser="lbfgs", iterations=7, clamp="never")
    assert result.evaluations == 7
    totals = result.history["total"]
    assert totals.iloc[-1] <= totals[:-1].min() * (1 + 1e-5)
    easy = run(optimiser="lbfgs", iterations=50, style_weight=0.0)
    assert easy.stopped == ("converged",)
    assert easy.evaluations < 50


def test_starts():
    for start, expected in (("content", CONTENTS[:1]), ("style", STYLES[:1]), (STYLES[1:2], STYLES[1:2])):
        result = run(start=start, iterations=1, learning_rate=1e-12, optimiser="gradient_descent")
        torch.testing.assert_close(result.image, expected, rtol=0, atol=1e-6)
    first, same, other = (run(start="noise", seed=seed, iterations=1).image for seed in (1, 1, 2))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_content_target_style_compares_with_the_style_image():
    right = run(iterations=1, start="style", style_weight=0.0)
    slip = run(iterations=1, start="style", style_weight=0.0, content_target="style")
    assert right.history["content"].iloc[0] > 1e-3
    assert slip.history["content"].iloc[0] == pytest.approx(0, abs=1e-9)


def test_a_style_of_another_size_fits_where_grams_are_normalised():
    small = torch.rand(1, 3, 16, 40)
    assert run(style=[small], iterations=2).image.shape == CONTENTS[:1].shape
    with pytest.raises(TransferError, match="cannot be compared"):
        run(style=[small], convention="gatys")


@pytest.mark.parametrize("clamp", ["never", "step", "end"])
def test_clamping(clamp):
    seen = []
    settings = {"clamp": clamp, "learning_rate": 0.5, "iterations": 4}
    result = run(**settings, callback=lambda progress: seen.append(float(progress.image.abs().max())))
    inside = float(result.image.min()) >= 0 and float(result.image.max()) <= 1
    assert inside == (clamp != "never")
    assert (max(seen[:-1]) <= 1) == (clamp == "step")


def test_rectified_features_and_layer_weights_change_what_is_compared():
    def first(term, **settings):
        return run(iterations=1, start="noise", **settings).history[term].iloc[0]

    assert first("content", convention=conventions("johnson", rectified=False)) != pytest.approx(first("content"))
    single, double = (first("style", style_layers={"conv1_1": weight}) for weight in (1.0, 2.0))
    assert double == pytest.approx(2 * single, rel=1e-6)


def test_callback_sees_every_evaluation():
    seen = []
    run(CONTENTS, iterations=3, callback=seen.append)
    assert [p.step for p in seen] == [0, 1, 2, 3]
    assert seen[-1].image.shape == CONTENTS.shape
    assert set(seen[0].losses) == {"content", "style", "tv", "total"}


@pytest.mark.parametrize("optimiser", ["gradient_descent", "adam"])
def test_overflow_says_where_and_loses_nothing(optimiser):
    with pytest.raises(TransferError, match=r"at step \d+ of 50 .*content.*style.*learning rate") as caught:
        run(optimiser=optimiser, learning_rate=1e30, iterations=50, clamp="never")
    error = caught.value
    assert error.image.isfinite().all()
    assert error.image.shape == CONTENTS[:1].shape
    assert len(error.history) == error.step + 1
    assert np.isfinite(error.history["total"].iloc[[0, -1]]).tolist() == [True, False]
    with pytest.raises(TransferError, match="at step 0"):
        run(CONTENTS[:1] * math.nan)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"optimiser": "rmsprop"}, "gradient_descent"), ({"optimiser": "gradient_descent"}, "needs a learning_rate"),
        ({"clamp": "always"}, "'end'"), ({"iterations": 0}, "at least 1"), ({"chunk": 0}, "at least 1"),
        ({"learning_rate": 0.0}, "above 0"), ({"learning_rate": math.nan}, "finite"),
        ({"style_weight": -1.0}, "not negative"), ({"tv_weight": math.inf}, "finite"),
        ({"style_weight": [1.0, 2.0], "tv_weight": [1.0, 2.0, 3.0]}, "lengths of 1 or 3"),
        ({"start": "black"}, "noise"), ({"start": torch.rand(1, 3, 8, 8)}, "same"),
        ({"content": torch.rand(3, 8, 8)}, r"\(N, 3, H, W\)"), ({"content_target": "both"}, "'style'"),
        ({"convention": "gatis"}, "gatys"), ({"convention": "gatys/huge"}, "unit, deviations, conv"),
        ({"network": LossNetwork("tiny", ["relu1_1"])}, "relu2_2"),
        ({"network": LossNetwork("tiny", RECTIFIED), "terms": [("a", 1.0, torch.mean, ["conv1_2"])]}, "relu1_2 too"),
        ({"terms": [("tv", 1.0, torch.mean)]}, "column of the history"),
        ({"terms": [("my loss", 1.0, torch.mean)]}, "column of the history"),
        ({"terms": [("a", 1.0, torch.mean)] * 2}, "names of their own, got a, a"),
        ({"terms": [("a", -1.0, torch.mean)]}, "a_weight must be finite and not negative"),
        ({"terms": [("a", 1.0, torch.mean)]}, r"'a' gave shape \(\) for 1 images.*shape \(1,\)"),
        ({"terms": [("a", 1.0, lambda pictures: 0.5)]}, "'a' gave float"),
    ],
)  # fmt: skip
def test_settings_and_terms_that_do_not_fit_are_named(settings, named):
    with pytest.raises(TransferError, match=named):
        run(**settings | {"terms": [Term(*given) for given in settings.get("terms", ())]})


def test_conventions_are_read_from_their_words_and_refuse_what_they_do_not_know():
    assert conventions("gatys/unit") == Conventions(scale="unit")
    assert conventions("gatys/conv/average") == Conventions(rectified=False, pooling="average")
    with pytest.raises(TransferError, match="none, positions, all"):
        Conventions(gram="chw")
    with pytest.raises(TransferError, match="tv_norm"):
        conventions("gatys", tv="l1")


# ---- terms of one's own


def histogram_distance(style, bins=8):
    """A loss of one's own, as the book's page on a new experiment shows it: squared distance of soft histograms."""

    def histogram(pictures):
        centres = torch.linspace(0, 1, bins).to(pictures)
        return torch.exp(-((pictures.flatten(2)[..., None] - centres) * bins).square()).mean(2)

    target = histogram(style)
    return lambda pictures: (histogram(pictures) - target.to(pictures)).square().flatten(1).sum(1)


BRIGHT = 0.75 + 0.25 * STYLES[:1]


@pytest.mark.parametrize("optimiser", ["gradient_descent", "adam", "lbfgs"])
def test_a_term_of_ones_own_is_recorded_like_the_others_and_works(optimiser):
    rate = 0.5 if optimiser == "gradient_descent" else RATES[optimiser]
    shared = {"optimiser": optimiser, "learning_rate": rate, "style_weight": 1.0, "iterations": 30}
    loss = histogram_distance(BRIGHT)
    plain = run(**shared)
    result = run(**shared, terms=[Term("histogram", weight=10.0, loss=loss)])
    columns = [*plain.history.columns[:6], "histogram", "total", "seconds"]
    columns += ["share_content", "share_style", "share_tv", "share_histogram"]
    assert list(result.history.columns) == columns
    last = result.history.iloc[-1]
    assert last["histogram"] == pytest.approx(float(loss(result.image)), rel=1e-5)
    assert last["total"] == pytest.approx(last["content"] + last["style"] + 10 * last["histogram"], rel=1e-5)
    shares = result.history.filter(like="share_").dropna()
    assert len(shares) == 3
    assert (shares["share_histogram"] > 0).all()
    np.testing.assert_allclose(shares.sum(axis=1), 1.0)
    assert gradient_shares(result.history, ["histogram"]).loc[0, "histogram_share_start"] > 0
    assert loss(result.image) < 0.9 * loss(plain.image)


@pytest.mark.parametrize("optimiser", ["gradient_descent", "adam", "lbfgs"])
def test_a_term_of_weight_zero_changes_nothing_bit_for_bit(optimiser):
    shared = {"optimiser": optimiser, "learning_rate": RATES[optimiser], "tv_weight": 1e-3}
    terms = [
        Term("histogram", weight=0.0, loss=histogram_distance(BRIGHT)),
        Term("deep", weight=0.0, loss=lambda _, features: features["conv3_2"].flatten(1).mean(1), layers=["conv3_2"]),
    ]
    plain, result = run(**shared), run(**shared, terms=terms)
    assert torch.equal(plain.image, result.image)
    kept = [column for column in plain.history.columns if column != "seconds"]
    pd.testing.assert_frame_equal(plain.history[kept], result.history[kept])
    assert (result.history["share_histogram"].dropna() == 0).all()
    assert result.history["histogram"].nunique() > 1


def test_a_term_takes_features_and_a_weight_a_setting():
    seen = []

    def loss(pictures, features):
        seen.append({name: tuple(values.shape) for name, values in features.items()})
        return features["conv1_2"].flatten(1).square().mean(1)

    term = Term("size", weight=[0.0, 1e3], loss=loss, layers=["conv1_2", "pool1"])
    result = run(terms=[term], iterations=10)
    assert seen[0] == {"conv1_2": (2, 8, 24, 28), "pool1": (2, 8, 12, 14)}
    first, second = result.history.groupby("setting")["size"].last()
    assert second < first
    torch.testing.assert_close(result.image[:1], run(iterations=10).image, rtol=0, atol=1e-4)
    # Rectified features where the convention says so: none is below zero, and their size is that of `relu1_2`.
    rectified = LossNetwork("tiny", ["relu1_2"])(result.image)["relu1_2"].square().flatten(1).mean(1)
    np.testing.assert_allclose([first, second], rectified, rtol=1e-4)


def test_the_book_s_example_blends_two_styles():
    page = (Path(__file__).resolve().parents[2] / "book/extend.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"\*\*Several styles blended\*\*.*?```python\n(.*?)```", page, re.DOTALL)
    shorter = block.replace("style_weight=20.0,", "style_weight=20.0, iterations=2,")
    content, style = torch.rand(2, 1, 3, 40, 48, generator=torch.Generator().manual_seed(1))
    names = {"torch": torch, "content": content, "style": style, "second": style}
    exec(shorter, names)
    history = names["blended"].history
    assert len(history) == 3
    np.testing.assert_allclose(history["second"], history["style"], rtol=1e-5)  # the same style, so half of each
    names |= {"second": style**3}
    exec(shorter, names)
    assert abs(names["blended"].history["second"] / history["second"] - 1).min() > 0.01
