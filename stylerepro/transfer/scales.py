"""Several scales: a transfer from coarse to fine, each scale from the picture of the one before.

Source: the schedule of K. Crowson's style-transfer-pytorch. Large structures are settled where they are a few pixels
wide, and Adam keeps its moments, enlarged, so that it does not begin anew at each scale.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise

import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional

from stylerepro.errors import TransferError
from stylerepro.pictures import images
from stylerepro.transfer.history import Result

Moments = tuple[Tensor, int]


def check_scales(scales: Sequence[int], iterations: int | Sequence[int], side: int) -> list[tuple[int, int]]:
    """Return scale and iterations of each, in order; a number of iterations is that of every scale.

    scales: pixels of the shorter side. side: the content's. Raises `TransferError` where the scales do not increase,
    one is above `side`, or there is not one number of iterations for each.
    """
    if not scales:
        raise TransferError("Several numbers of iterations are those of several scales: give as many scales.")
    listed = ", ".join(map(str, scales))
    if any(after <= before for before, after in pairwise(scales)) or min(scales) < 1:
        raise TransferError(f"Scales go from coarse to fine, each larger than the one before; got {listed}.")
    if scales[-1] > side:
        raise TransferError(
            f"The scale {scales[-1]} is above the picture's size: its shorter side has {side} px. "
            "Give scales up to that, or a larger picture."
        )
    each = [iterations] * len(scales) if isinstance(iterations, int) else list(iterations)
    if len(each) != len(scales):
        raise TransferError(f"{len(scales)} scales ({listed}) need as many iterations, or one number; got {len(each)}.")
    return list(zip(scales, each, strict=True))


def coarse_to_fine(
    plan: Sequence[tuple[int, int]],
    content: Tensor,
    styles: Sequence[Tensor],
    image: Tensor,
    descend: Callable[[Tensor, Sequence[Tensor], Tensor, int, Moments | None], Result],
) -> Result:
    """Return the transfer at the last scale of `plan`, with one history of all scales.

    image: (B, 3, H, W) at the content's size, shrunk for the first scale. Styles are resized by the content's factor.
    descend: content, styles, image, iterations and moments of one scale to its `Result`. A `TransferError` that carries
    a history carries that of the scales before too.
    """
    done: list[Result] = []
    tables: list[pd.DataFrame] = []
    moments: Moments | None = None
    side = min(content.shape[-2:])
    for scale, iterations in plan:
        small = images.resize(content, scale)
        # Of the sides' own lengths, rounded: a style is never enlarged, which would show it blurred structures.
        fitted = [images.resize(style, max(1, round(min(style.shape[-2:]) * scale / side))) for style in styles]
        image = _at(image, small.shape[-2:])
        if moments is not None:
            moments = _enlarged(moments, small.shape[-2:])
        try:
            made = descend(small, fitted, image, iterations, moments)
        except TransferError as error:
            if error.history is not None:
                error.history = _joined([*tables, error.history.assign(scale=scale)], done)
            raise
        tables.append(made.history.assign(scale=scale))
        done.append(made)
        image, moments = made.image.to(content), made.moments
    evaluations, seconds = sum(each.evaluations for each in done), sum(each.seconds for each in done)
    return replace(done[-1], history=_joined(tables, done), evaluations=evaluations, seconds=seconds)


def _at(image: Tensor, shape: Sequence[int]) -> Tensor:
    if tuple(image.shape[-2:]) == tuple(shape):
        return image
    # Not cut to [0, 1], which the picture of an unclamped optimisation may leave.
    return functional.interpolate(image, tuple(shape), mode="bicubic", antialias=True).contiguous()


def _enlarged(moments: Moments, shape: Sequence[int]) -> Moments:
    (first, second), steps = moments
    # Linear for the squares: a cubic one overshoots below zero.
    means = functional.interpolate(first, tuple(shape), mode="bicubic", antialias=True)
    squares = functional.interpolate(second, tuple(shape), mode="bilinear", antialias=True)
    return torch.stack([means, squares.clamp_min(0)]), steps


def _joined(tables: Sequence[pd.DataFrame], done: Sequence[Result]) -> pd.DataFrame:
    steps = evaluations = 0
    joined = []
    for number, table in enumerate(tables):
        joined.append(table.assign(step=table["step"] + steps, evaluations=table["evaluations"] + evaluations))
        if number < len(done):
            steps, evaluations = steps + int(table["step"].max()), evaluations + done[number].evaluations
    return pd.concat(joined, ignore_index=True).sort_values(["setting", "scale", "step"], ignore_index=True)
