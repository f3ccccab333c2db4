"""Networks trained side by side are those that `train` makes, and the library finds them."""

import runpy

import numpy as np
import pytest

from stylerepro.errors import TransferError
from stylerepro.files import project_root
from stylerepro.networks.feed_forward import architecture
from stylerepro.pictures import images
from stylerepro.training import library
from stylerepro.training.recipe import Recipe
from stylerepro.training.train import train

TINY = {
    "loss_network": "tiny",
    "size": 32,
    "batch": 2,
    "steps": 3,
    "content_layers": ["conv2_1"],
    "style_layers": ["conv1_1"],
}
SCRIPT = runpy.run_path(str(project_root() / "results" / "networks" / "side_by_side.py"))
KINDS = ["johnson", "johnson-in", architecture("depsep", multiplier=2), architecture("depsep-nn-bil", multiplier=1)]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.setattr(library, "runs_root", lambda: tmp_path)


def test_networks_side_by_side_are_those_of_one_training_each(monkeypatch):
    jobs = [("swirls", Recipe(kind, **TINY)) for kind in KINDS]
    jobs += [("cubist", Recipe("johnson", style_weight=4.0, **TINY)), ("cubist", Recipe("johnson", seed=1, **TINY))]
    jobs += [("swirls", Recipe("johnson", optimiser="sgd", **TINY))]
    alone = [train(images.read(style, 48), recipe, device="cpu") for style, recipe in jobs]
    assert len(set(SCRIPT["train_all"](jobs, 48, device="cpu", most=3, log=False))) == len(jobs)
    monkeypatch.setattr(library, "train", lambda *_, **__: pytest.fail("the library does not find it"))
    for (style, recipe), one in zip(jobs, alone, strict=True):
        found = library.obtain(style, recipe, 48, committed=False)
        # A composed convolution rounds otherwise, and Adam's first steps go by a gradient's sign.
        rtol = 1e-5 if recipe.architecture.convolution == "full" else 0.05
        terms = ["content", "style", "tv", "total"]
        np.testing.assert_allclose(found.history[terms], one.history[terms], rtol=rtol)
        np.testing.assert_allclose(found.history["total"].iloc[0], one.history["total"].iloc[0], rtol=1e-5)


def test_a_loss_that_is_lost_costs_no_other_network():
    good, bad = Recipe("johnson", **TINY), Recipe("johnson", style_weight=3e38, **TINY)
    with pytest.raises(TransferError, match="left the finite numbers for swirls-johnson-c2-s3e"):
        SCRIPT["train_all"]([("swirls", good), ("swirls", bad)], 48, device="cpu", log=False)
    assert [
        network.description.trained["recipe"]["style_weight"] for network in library.kept() if not network.committed
    ] == [40]


def test_the_script_trains_what_the_chapters_ask_for():
    jobs = SCRIPT["reference"]()
    assert len({library.label(style, recipe) for style, recipe in jobs}) == len(jobs) - 1, "one is as printed"
    centre = {style for style, recipe in jobs if recipe.architecture.norm == "batch" and recipe.style_weight == 40}
    assert centre == {"swirls", "cubist", "stained_glass", "woodcut", "pointillism", "sumi"}
    assert sum(recipe.architecture.convolution == "separable" for _, recipe in jobs) == 9
