"""Each loss against a slow float64 NumPy version written from the documents' formulas, and its gradient."""

import math
from functools import partial

import numpy as np
import pytest
import torch

from stylerepro.transfer import losses

N, C, H, W = 2, 3, 4, 5


@pytest.fixture
def features():
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(N, C, H, W, generator=generator, dtype=torch.float64) for _ in range(2)]


def slow_gram(f):
    """G_ij = Σ_k F_ik F_jk, one product at a time."""
    positions = [(y, x) for y in range(H) for x in range(W)]
    return np.array([[sum(f[i, y, x] * f[j, y, x] for y, x in positions) for j in range(C)] for i in range(C)])


TARGET = torch.randn(N, C, H, W, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def of_grams(features, kind):
    return losses.style_loss(losses.gram(features, "all"), losses.gram(TARGET, "all"), kind, H * W, epsilon=0.1)


SLOW = {
    "half_sum": lambda d: 0.5 * sum(v * v for v in d),
    "squared": lambda d: sum(v * v for v in d),
    "mean": lambda d: sum(v * v for v in d) / len(d),
    "norm": lambda d: math.sqrt(sum(v * v for v in d)),
    "charbonnier": lambda d: sum(math.sqrt(v * v + 0.1**2) for v in d) / len(d),
    "msce": lambda d: sum(v * v + 0.1**2 for v in d) / len(d),
    "absolute": lambda d: sum(abs(v) for v in d),
    "signed_sum": lambda d: sum(d),
}


@pytest.mark.parametrize("kind", losses.KINDS)
def test_content_loss_is_the_documents_formula(features, kind):
    f, p = features
    loss = losses.content_loss(f, p, kind, epsilon=0.1)
    expected = [SLOW[kind]((f[n] - p[n]).numpy().ravel().tolist()) for n in range(N)]
    assert loss.shape == (N,)
    np.testing.assert_allclose(loss.numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize(("normalisation", "divisor"), [("none", 1), ("positions", H * W), ("all", C * H * W)])
def test_gram_is_the_documents_formula(features, normalisation, divisor):
    gram = losses.gram(features[0], normalisation)
    for n in range(N):
        np.testing.assert_allclose(gram[n].numpy(), slow_gram(features[0][n].numpy()) / divisor, rtol=1e-12)


@pytest.mark.parametrize("positions", [None, H * W])
@pytest.mark.parametrize("kind", losses.KINDS)
def test_style_loss_is_the_documents_formula(features, kind, positions):
    grams = [losses.gram(f) for f in features]
    loss = losses.style_loss(*grams, kind, positions, epsilon=0.1)
    for n in range(N):
        difference = slow_gram(features[0][n].numpy()) - slow_gram(features[1][n].numpy())
        expected = SLOW[kind](difference.ravel().tolist())
        if positions:
            expected /= 4 * C**2 * (H * W) ** 2
        assert float(loss[n]) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("norm", ["l1", "squared"])
def test_total_variation_is_the_documents_formula(features, norm, reduction):
    loss = losses.total_variation(features[0], norm, reduction)
    power = {"l1": abs, "squared": lambda v: v * v}[norm]
    for n in range(N):
        y = features[0][n].numpy()
        down = [power(y[c, i + 1, j] - y[c, i, j]) for c in range(C) for i in range(H - 1) for j in range(W)]
        right = [power(y[c, i, j + 1] - y[c, i, j]) for c in range(C) for i in range(H) for j in range(W - 1)]
        expected = sum(down) + sum(right) if reduction == "sum" else np.mean(down) + np.mean(right)
        assert float(loss[n]) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    "loss",
    [partial(losses.total_variation, norm=norm) for norm in losses.TV_NORMS]
    + [partial(losses.content_loss, target=TARGET, kind=kind, epsilon=0.1) for kind in losses.KINDS]
    + [partial(of_grams, kind=kind) for kind in losses.KINDS],
    ids=lambda loss: " ".join([loss.func.__name__, *(v for v in loss.keywords.values() if isinstance(v, str))]),
)
def test_gradients(features, loss):
    assert torch.autograd.gradcheck(loss, features[0].requires_grad_())


def test_charbonnier_is_epsilon_at_nothing_and_the_distance_far_away():
    assert float(losses.charbonnier(torch.tensor(0.0), 0.25)) == pytest.approx(0.25)
    assert float(losses.charbonnier(torch.tensor(100.0), 0.25)) == pytest.approx(100.0, rel=1e-5)
    for epsilon in (0.0, -1.0, math.nan):  # there is no gradient
        with pytest.raises(ValueError, match="above 0"):
            losses.charbonnier(torch.zeros(1), epsilon)


def test_norm_has_a_zero_gradient_where_features_are_on_target(features):
    f = features[0].requires_grad_()
    losses.content_loss(f, f.detach(), "norm").sum().backward()
    assert torch.equal(f.grad, torch.zeros_like(f))


def test_grams_gradient_is_that_of_two_products_and_has_a_derivative_itself():
    features = torch.randn(2, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(losses.gram, features)
    assert torch.autograd.gradgradcheck(losses.gram, features)


def test_gram_per_position_does_not_depend_on_the_size_of_a_texture():
    texture = torch.rand(1, C, H, W, dtype=torch.float64)
    wide = texture.repeat(1, 1, 1, 2)
    torch.testing.assert_close(losses.gram(wide, "positions"), losses.gram(texture, "positions"))
    assert not torch.allclose(losses.gram(wide), losses.gram(texture))


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda f: losses.content_loss(f, f, "mse"), "half_sum"),
        (lambda f: losses.gram(f, "chw"), "positions"),
        (lambda f: losses.style_loss(losses.gram(f), losses.gram(f), "mse"), "squared"),
        (lambda f: losses.total_variation(f, "l2"), "squared"),
        (lambda f: losses.total_variation(f, "l1", "max"), "mean"),
    ],
)
def test_unknown_kinds_name_the_known_ones(features, call, named):
    with pytest.raises(ValueError, match=named):
        call(features[0])
