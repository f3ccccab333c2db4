"""The loss terms of the documents, as pure functions.

Images and features are (N, C, H, W). Every loss returns one value an image, shape (N,), so that a batch of settings
stays a batch of independent problems: summing the values gives each image the gradient it would have had alone.

Words: F are the features of the image being made, P those of the content image, G and A the Gram matrices of the
image being made and of the style image, N the channels and M = H·W the positions of a layer.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, linalg


def charbonnier(difference: Tensor, epsilon: float = 1e-3) -> Tensor:
    """Return √(d² + ε²), element by element: |d| with a rounded tip of width ε.

    Source: document 004, which names the loss and not its formula; this is the one of Charbonnier et al. 1994.
    ε has the unit of d. A negative or zero ε is a `ValueError`: at zero the gradient is not defined.
    """
    if not epsilon > 0:
        raise ValueError(f"epsilon must be above 0, got {epsilon}.")
    return (difference.square() + epsilon**2).sqrt()


KINDS: Mapping[str, Callable[[Tensor, float], Tensor]] = MappingProxyType(
    {
        # ½ Σ d². Content in documents 002 and 003 (section 2); Gatys et al. 2016, eq. 1.
        "half_sum": lambda difference, epsilon: difference.square().sum(1) / 2,
        # Σ d², the squared Frobenius norm. Style in document 003, section 3.3; with `positions`, Gatys' E_l.
        "squared": lambda difference, epsilon: difference.square().sum(1),
        # Σ d² divided by how many there are. Content in document 003, section 3.3; Johnson et al. 2016, eq. 2.
        "mean": lambda difference, epsilon: difference.square().mean(1),
        # ‖d‖_F. Document 004, eq. 3 and 5. vector_norm's gradient at zero is zero; that of sum().sqrt() would be NaN
        # at the very first step of a transfer that starts from its target.
        "norm": lambda difference, epsilon: linalg.vector_norm(difference, dim=1),
        # Mean of √(d² + ε²). Document 004.
        "charbonnier": lambda difference, epsilon: charbonnier(difference, epsilon).mean(1),
        # Mean of d² + ε², the squared Charbonnier errors. Our reading of what document 004 names and does not define;
        # the gradient is that of `mean`.
        "msce": lambda difference, epsilon: charbonnier(difference, epsilon).square().mean(1),
        # Σ |d|. The nearest loss to document 001's that depends on its target.
        "absolute": lambda difference, epsilon: difference.abs().sum(1),
        # Σ d, as document 001 writes it. The gradient does not depend on the target.
        "signed_sum": lambda difference, epsilon: difference.sum(1),
    }
)
"""Kinds of content and style loss: from differences (N, K) and ε to one value an image. A new loss is an entry here."""

GRAM_NORMALISATIONS: Mapping[str, Callable[[Tensor, int, int], Tensor]] = MappingProxyType(
    {
        # The plain sum. Documents 000 to 004; Gatys et al. 2016, eq. 3.
        "none": lambda product, channels, positions: product,
        # Divided by M, so that pictures of different sizes can be compared.
        "positions": lambda product, channels, positions: product / positions,
        # Divided by NM. Document 003, section 3.3; Johnson et al. 2016, eq. 3.
        "all": lambda product, channels, positions: product / (channels * positions),
    }
)
"""Divisors of a Gram matrix, by name."""

# Document 003, section 4, and document 002.
TV_NORMS: Mapping[str, Callable[[Tensor], Tensor]] = MappingProxyType({"l1": Tensor.abs, "squared": Tensor.square})
TV_REDUCTIONS: Mapping[str, Callable[[Tensor], Tensor]] = MappingProxyType(
    {
        "sum": lambda differences: differences.sum(1),
        "mean": lambda differences: differences.mean(1),
    }
)


def content_loss(features: Tensor, target: Tensor, kind: str = "half_sum", epsilon: float = 1e-3) -> Tensor:
    """Return the distance of features from their target, one value an image, (N,).

    features, target: (N, C, H, W) or broadcastable in N. kind: of `KINDS`; another is a `ValueError`.
    """
    return _reduced((features - target).flatten(1), kind, epsilon)


def gram(features: Tensor, normalisation: str = "none") -> Tensor:
    """Return the Gram matrix of every image's features: G_ij = Σ_k F_ik F_jk over positions k.

    features: (N, C, H, W). Returns (N, C, C). normalisation: of `GRAM_NORMALISATIONS`; another is a `ValueError`.
    """
    if normalisation not in GRAM_NORMALISATIONS:
        raise _unknown("Gram normalisation", normalisation, GRAM_NORMALISATIONS)
    n, channels, height, width = features.shape
    # Positions first: that is how channels-last features lie in memory, so neither they nor their gradient are copied.
    rows = features.permute(0, 2, 3, 1).reshape(n, height * width, channels)
    product: Tensor = _Products.apply(rows)
    return GRAM_NORMALISATIONS[normalisation](product, channels, height * width)


class _Products(torch.autograd.Function):
    """Fᵀ F, (N, M, C) → (N, C, C), with its gradient F (D + Dᵀ) as one product instead of two and their sum."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        ctx.save_for_backward(rows)
        return rows.transpose(1, 2) @ rows

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (rows,) = ctx.saved_tensors
        return rows @ (gradient + gradient.transpose(1, 2))


def style_loss(
    gram_matrix: Tensor,
    target: Tensor,
    kind: str = "squared",
    positions: int | None = None,
    epsilon: float = 1e-3,
) -> Tensor:
    """Return the distance of Gram matrices from their target, one value an image, (N,).

    gram_matrix, target: (N, C, C) or broadcastable in N. kind: of `KINDS`; another is a `ValueError`.
    positions: M of the layer; where given, the loss is divided by 4N²M² (documents 002 and 003, section 2;
    Gatys et al. 2016, eq. 4). None leaves the factor out (documents 000, 001, 003 section 3.3, 004).
    """
    loss = _reduced((gram_matrix - target).flatten(1), kind, epsilon)
    if positions is None:
        return loss
    return loss / (4 * gram_matrix.shape[-1] ** 2 * positions**2)


def total_variation(image: Tensor, norm: str = "l1", reduction: str = "sum") -> Tensor:
    """Return the total variation of pictures (N, C, H, W), one value an image, (N,).

    norm: "l1", Σ |x[i+1,j] − x[i,j]| + |x[i,j+1] − x[i,j]| (document 003, section 4), or "squared", the same with
    squares (document 002).
    reduction: "sum" as both documents write it, or "mean": the vertical and the horizontal means, added.
    """
    if norm not in TV_NORMS:
        raise _unknown("norm of the total variation", norm, TV_NORMS)
    if reduction not in TV_REDUCTIONS:
        raise _unknown("reduction of the total variation", reduction, TV_REDUCTIONS)
    vertical = (image[..., 1:, :] - image[..., :-1, :]).flatten(1)
    horizontal = (image[..., :, 1:] - image[..., :, :-1]).flatten(1)
    size, reduced = TV_NORMS[norm], TV_REDUCTIONS[reduction]
    return reduced(size(vertical)) + reduced(size(horizontal))


def _reduced(difference: Tensor, kind: str, epsilon: float) -> Tensor:
    if kind not in KINDS:
        raise _unknown("kind of loss", kind, KINDS)
    return KINDS[kind](difference, epsilon)


def _unknown(what: str, name: str, known: Mapping[str, object]) -> ValueError:
    return ValueError(f"Unknown {what} {name!r}; expected one of {', '.join(known)}.")
