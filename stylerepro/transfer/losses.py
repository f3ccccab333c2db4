"""The loss terms of the five documents, as pure functions.

Images and features are (N, C, H, W). Every loss returns one value an image, shape (N,), so that a batch of settings
stays a batch of independent problems: summing the values gives each image the gradient it would have had alone.

Words: F are the features of the image being made, P those of the content image, G and A the Gram matrices of the
image being made and of the style image, N the channels and M = H·W the positions of a layer.
"""

from torch import Tensor, linalg

CONTENT_KINDS = ("half_sum", "mean", "norm", "charbonnier", "msce", "absolute", "signed_sum")
STYLE_KINDS = ("squared", "mean", "norm", "charbonnier", "msce", "absolute", "signed_sum")
GRAM_NORMALISATIONS = ("none", "positions", "all")


def charbonnier(difference: Tensor, epsilon: float = 1e-3) -> Tensor:
    """√(d² + ε²), element by element: |d| with a rounded tip of width ε.

    Source: document 004, which names the loss and not its formula; this is the one of Charbonnier et al. 1994.
    ε has the unit of d. A negative or zero ε is a `ValueError`: at zero the gradient is not defined.
    """
    if not epsilon > 0:
        raise ValueError(f"epsilon must be above 0, got {epsilon}.")
    return (difference.square() + epsilon**2).sqrt()


def content_loss(features: Tensor, target: Tensor, kind: str = "half_sum", epsilon: float = 1e-3) -> Tensor:
    """Distance of features from their target, one value an image.

    features, target: (N, C, H, W) or broadcastable in N. Returns (N,).

    kind:
    - half_sum: ½ Σ (F − P)². Documents 002 and 003 (section 2); Gatys et al. 2016, eq. 1.
    - mean: Σ (F − P)² / (CHW). Document 003, section 3.3; Johnson et al. 2016, eq. 2.
    - norm: ‖F − P‖_F. Document 004, eq. 5. Its gradient at F = P is taken as zero.
    - charbonnier: mean of √((F − P)² + ε²). Document 004.
    - msce: mean of the squared Charbonnier errors, (F − P)² + ε². Our reading of what document 004 names and does
      not define; its gradient is that of `mean`.
    - absolute: Σ |F − P|. The nearest loss to document 001's that depends on its target.
    - signed_sum: Σ (F − P), as document 001 writes it. Its gradient does not depend on P.
    """
    difference = (features - target).flatten(1)
    if kind == "half_sum":
        return difference.square().sum(1) / 2
    return _reduce(difference, kind, epsilon)


def gram(features: Tensor, normalisation: str = "none") -> Tensor:
    """Gram matrix of every image's features: G_ij = Σ_k F_ik F_jk over positions k.

    features: (N, C, H, W). Returns (N, C, C).

    normalisation:
    - none: the plain sum. Documents 000–004; Gatys et al. 2016, eq. 3.
    - positions: divided by M = H·W, so that pictures of different sizes can be compared.
    - all: divided by C·H·W. Document 003, section 3.3; Johnson et al. 2016, eq. 3.
    """
    n, channels, height, width = features.shape
    # Positions first: that is how channels-last features lie in memory, so neither they nor their gradient are copied.
    rows = features.permute(0, 2, 3, 1).reshape(n, height * width, channels)
    product = rows.transpose(1, 2) @ rows
    if normalisation == "none":
        return product
    if normalisation == "positions":
        return product / (height * width)
    if normalisation == "all":
        return product / (channels * height * width)
    raise ValueError(f"Unknown Gram normalisation {normalisation!r}; expected one of {', '.join(GRAM_NORMALISATIONS)}.")


def style_loss(
    gram_matrix: Tensor,
    target: Tensor,
    kind: str = "squared",
    positions: int | None = None,
    epsilon: float = 1e-3,
) -> Tensor:
    """Distance of Gram matrices from their target, one value an image.

    gram_matrix, target: (N, C, C) or broadcastable in N. Returns (N,).
    positions: M of the layer; where given, the loss is divided by 4N²M² (documents 002 and 003, section 2;
    Gatys et al. 2016, eq. 4). None leaves the factor out (documents 000, 001, 003 section 3.3, 004).

    kind:
    - squared: Σ (G − A)², the squared Frobenius norm. Document 003, section 3.3; with `positions`, Gatys' E_l.
    - mean: Σ (G − A)² / C².
    - norm: ‖G − A‖_F. Document 004, eq. 3.
    - charbonnier: mean of √((G − A)² + ε²). Document 004.
    - msce: mean of (G − A)² + ε², see `content_loss`.
    - absolute: Σ |G − A|.
    - signed_sum: Σ (G − A), as document 001 writes it.
    """
    loss = _reduce((gram_matrix - target).flatten(1), kind, epsilon)
    if positions is None:
        return loss
    return loss / (4 * gram_matrix.shape[-1] ** 2 * positions**2)


def total_variation(image: Tensor, norm: str = "l1", reduction: str = "sum") -> Tensor:
    """Total variation of pictures, one value an image.

    image: (N, C, H, W). Returns (N,).
    norm: "l1", Σ |x[i+1,j] − x[i,j]| + |x[i,j+1] − x[i,j]| (document 003, section 4), or "squared", the same with
    squares (document 002).
    reduction: "sum" as both documents write it, or "mean": the vertical and the horizontal means, added.
    """
    vertical = (image[..., 1:, :] - image[..., :-1, :]).flatten(1)
    horizontal = (image[..., :, 1:] - image[..., :, :-1]).flatten(1)
    if norm == "l1":
        vertical, horizontal = vertical.abs(), horizontal.abs()
    elif norm == "squared":
        vertical, horizontal = vertical.square(), horizontal.square()
    else:
        raise ValueError(f"Unknown norm {norm!r} of the total variation; expected 'l1' or 'squared'.")
    if reduction == "sum":
        return vertical.sum(1) + horizontal.sum(1)
    if reduction == "mean":
        return vertical.mean(1) + horizontal.mean(1)
    raise ValueError(f"Unknown reduction {reduction!r} of the total variation; expected 'sum' or 'mean'.")


def _reduce(difference: Tensor, kind: str, epsilon: float) -> Tensor:
    if kind == "squared":
        return difference.square().sum(1)
    if kind == "mean":
        return difference.square().mean(1)
    if kind == "norm":
        # vector_norm's gradient at zero is zero; that of sum().sqrt() would be NaN at the very first step
        # of a transfer that starts from its target.
        return linalg.vector_norm(difference, dim=1)
    if kind == "charbonnier":
        return charbonnier(difference, epsilon).mean(1)
    if kind == "msce":
        return charbonnier(difference, epsilon).square().mean(1)
    if kind == "absolute":
        return difference.abs().sum(1)
    if kind == "signed_sum":
        return difference.sum(1)
    known = ", ".join(dict.fromkeys(CONTENT_KINDS + STYLE_KINDS))
    raise ValueError(f"Unknown kind of loss {kind!r}; expected one of {known}.")
