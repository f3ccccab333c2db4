"""Recipes: the document's loss and defaults, and settings that do not fit."""

import pytest
import torch

from stylerepro.errors import NetworkError, TransferError
from stylerepro.networks.loss_network import LossNetwork
from stylerepro.training.recipe import Criterion, Recipe
from stylerepro.transfer import losses
from stylerepro.transfer.objective import conventions

GENERATOR = torch.Generator().manual_seed(8)
STYLE = torch.rand(1, 3, 20, 24, generator=GENERATOR)


def test_the_loss_is_the_documents(recipe):
    """λ_c·‖φ(ŷ) − φ(y)‖²/(CHW) + λ_s·Σ_j ‖G_j(ŷ) − G_j(y_s)‖²_F/2 + λ_TV·TV, written out with Gram/(CHW)."""
    how = recipe(content_weight=2.0, style_weight=40.0, tv_weight=200.0, convention="johnson")
    made, photographs = torch.rand(2, 2, 3, 16, 20, generator=GENERATOR)
    terms = Criterion(STYLE, how)(made, photographs)
    network = LossNetwork("tiny", ["relu2_2", "relu1_1", "relu2_1"])
    ours, theirs, wanted = network(made), network(photographs), network(STYLE)

    def gram(features):
        flat = features.flatten(2)
        return flat @ flat.mT / flat[0].numel()

    content = (ours["relu2_2"] - theirs["relu2_2"]).square().flatten(1).mean(1)
    style = sum((gram(ours[name]) - gram(wanted[name])).square().sum((1, 2)) / 2 for name in ("relu1_1", "relu2_1"))
    tv = losses.total_variation(made)
    for name, expected in (("content", content), ("style", style), ("tv", tv)):
        torch.testing.assert_close(terms[name], expected, rtol=1e-5, atol=1e-8)
    torch.testing.assert_close(terms["total"], 2 * content + 40 * style + 200 * tv, rtol=1e-5, atol=0)


def test_a_term_alone_needs_no_layers_of_the_others(recipe):
    only = recipe(content_layers=[], content_weight=0.0)
    made, photographs = torch.rand(2, 1, 3, 16, 16)
    terms = Criterion(STYLE, only)(made, photographs)
    assert float(terms["content"]) == 0 < float(terms["style"])


def test_the_defaults_are_the_documents():
    recipe = Recipe()
    assert (recipe.content_weight, recipe.style_weight, recipe.tv_weight) == (2, 40, 200)
    assert (recipe.size, recipe.batch, recipe.learning_rate, recipe.optimiser) == (256, 8, 1e-3, "adam")
    assert recipe.steps == -(-2 * 82_783 // 8)
    assert recipe.layer_weights["content"] == {"relu4_2": 1.0}
    assert set(recipe.layer_weights["style"].values()) == {0.2}
    how = conventions(recipe.convention)
    assert (how.content, how.style, how.gram, how.style_factor) == ("mean", "squared", "all", False)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"optimiser": "lbfgs"}, "adam, sgd"), ({"rate": "step"}, "cosine"), ({"precision": "fp16"}, "bf16"),
        ({"crop": "centre"}, "stretch"), ({"steps": 0}, "steps must be at least 1"), ({"tv_weight": -1.0}, "tv_weight"),
        ({"learning_rate": float("nan")}, "above 0"), ({"betas": (0.9, 1.0)}, "betas"),
        ({"convention": "jonson"}, "johnson"), ({"architecture": "jonson"}, "Did you mean 'johnson'"),
    ],
)  # fmt: skip
def test_settings_that_do_not_fit_are_named(settings, named):
    with pytest.raises((TransferError, NetworkError), match=named):
        Recipe(**settings)
