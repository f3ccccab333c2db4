"""Style transfer by optimising the image itself: gradient descent, Adam, L-BFGS; one setting or a batch of settings.

    from stylerepro.transfer import transfer
    result = transfer(images.read("astronaut", 256), images.read("swirls", 256), iterations=200)
    images.write(result.image, "out.png")

The algorithm reads from top to bottom in `transfer`; `optimisers.py` holds the three ways of taking a step. Several
scales follow the schedule of K. Crowson's style-transfer-pytorch: large structures are settled where they are a few
pixels wide, and Adam keeps its moments, enlarged, so that it does not begin anew at each scale.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional

from stylerepro.errors import TransferError
from stylerepro.networks.loss_network import LossNetwork, pick_device
from stylerepro.networks.precision import pick_dtype
from stylerepro.pictures import images
from stylerepro.transfer.history import Progress, Result
from stylerepro.transfer.objective import (
    CONTENT_LAYERS,
    STYLE_LAYERS,
    TERMS,
    Conventions,
    Term,
    build_objective,
    conventions,
    stretched,
    weights_of_layers,
)
from stylerepro.transfer.optimisers import LEARNING_RATES, Descent, minimise

Moments = tuple[Tensor, int]  # Adam's first and second, (2, B, 3, H, W), and its steps


def transfer(
    content: Tensor,
    style: Tensor | Sequence[Tensor],
    *,
    network: str | LossNetwork = "default",
    content_weight: float | Sequence[float] = 1.0,
    style_weight: float | Sequence[float] = 30.0,
    tv_weight: float | Sequence[float] = 0.0,
    terms: Sequence[Term] = (),
    content_layers: Sequence[str] | Mapping[str, float] = CONTENT_LAYERS,
    style_layers: Sequence[str] | Mapping[str, float] = STYLE_LAYERS,
    convention: str | Conventions = "johnson/unit",
    content_target: str = "content",
    start: str | Tensor = "content",
    optimiser: str = "adam",
    learning_rate: float | None = None,
    iterations: int | Sequence[int] = 300,
    scales: Sequence[int] = (),
    clamp: str = "end",
    seed: int = 0,
    device: str = "auto",
    dtype: str = "float32",
    chunk: int | None = None,
    callback: Callable[[Progress], None] | None = None,
    progress: bool = False,
) -> Result:
    """Give `content` the style of `style` (Gatys et al. 2016; documents 000 to 004).

    content: (B or 1, 3, H, W), sRGB in [0, 1]. style: the same, or a list of (1, 3, h, w) of any sizes.
    Pictures and weights with B entries make a *batch of settings*: B independent problems solved as one, with the
    results that separate runs give. Everything of length 1 is shared.

    content_weight, style_weight, tv_weight: α, β, γ, on the terms as `convention` writes them.
    terms: losses of one's own beside these three, each a `Term` with its name, weight and function.
    content_layers, style_layers: names as in the documents (`conv4_2`), read as rectified features where the
    convention says so; a mapping gives each layer its weight. A sequence weighs layers equally: content layers 1 each,
    style layers so that they add up to 1 (document 003: 0.2 each of five).
    convention: a name of `stylerepro.transfer.objective.CONVENTIONS`, alone or with the features' scale (`gatys/unit`),
    or a `Conventions`. The default weighs terms alike on every network. Where `network` is a ready
    `LossNetwork`, its own pooling and scale hold.
    content_target: "content", or "style" (the slip of documents 000 and 001).
    start: "content", "style", "noise" (uniform in [0, 1], from `seed`) or images (B or 1, 3, H, W).
    optimiser: "gradient_descent", "adam" or "lbfgs"; learning_rate: None takes `LEARNING_RATES`, which has none for
    gradient descent, whose step scales with the loss. L-BFGS takes the settings of a batch in turn, each with its own
    history and line search.
    iterations: steps for gradient descent and Adam, evaluations of the loss for L-BFGS; at each scale, or one a scale.
    scales: shorter sides in px, increasing, up to the content's: the transfer is made at each from the one before, with
    the style shrunk by the same factor and Adam's moments carried on; the image has the size of the last one. None: at
    the pictures' own size.
    clamp: to [0, 1], "never", each "step" (for L-BFGS each evaluation, which bends the line that its search goes along:
    it may stall, and `stopped` then says "converged") or at the "end".
    device: "auto", "cpu", "cuda", "mps"; dtype: "float32", "float64", "bfloat16" for the network alone,
    or "auto": the last where this machine is measured to gain by it (`networks.precision`), else the first. A ready
    `LossNetwork` keeps its own.
    chunk: settings evaluated at once, to fit memory or cache; None chooses. It does not change the result.
    callback: called with a `Progress` after every evaluation; progress: show a bar.

    Raises `TransferError` for settings that do not fit together, and when a loss leaves the finite numbers: the error
    says at which step and with which losses, and carries the last good `image` and the `history` so far.
    """
    how = conventions(convention)
    place = pick_device(device)
    number = pick_dtype(dtype, place)
    work = torch.float32 if number == torch.bfloat16 else number
    styles = [picture[None] for picture in style] if isinstance(style, Tensor) else list(style)
    content, styles = content.to(place, work), [picture.to(place, work) for picture in styles]
    given = dict(zip(TERMS, (content_weight, style_weight, tv_weight), strict=True))
    given |= {term.name: term.weight for term in terms}
    if len(given) < len(TERMS) + len(terms):
        raise TransferError(f"Loss terms need names of their own, got {', '.join(term.name for term in terms)}.")
    settings = _count_settings(content, styles, start, given)
    weights = {name: _weights(name, weight, settings, content) for name, weight in given.items()}

    layers = weights_of_layers(content_layers, style_layers, how.rectified)
    if isinstance(network, str):
        read = [name for term in terms for name in term.features(how.rectified).values()]
        asked = list(dict.fromkeys([*layers["content"], *layers["style"], *read]))
        network = LossNetwork(network, asked, pooling=how.pooling, scale=how.scale, device=place, dtype=number)
    rate = LEARNING_RATES.get(optimiser, math.nan) if learning_rate is None else learning_rate

    def descend(
        content: Tensor, styles: Sequence[Tensor], image: Tensor, iterations: int, moments: Moments | None = None
    ) -> Result:
        objective = build_objective(
            network, how, content, styles, weights, layers["content"], layers["style"], content_target, terms
        )
        descent = Descent(optimiser, rate, iterations, clamp, chunk)
        return minimise(objective, image, descent, callback, progress, moments)

    if not scales and isinstance(iterations, int):
        return descend(content, styles, _starting_image(start, content, styles, settings, seed), iterations)
    plan = check_scales(scales, iterations, min(content.shape[-2:]))
    # What has a name is made at the first scale: noise of the full size, shrunk, would be a plain grey.
    first = content if isinstance(start, Tensor) else images.resize(content, scales[0])
    return coarse_to_fine(plan, content, styles, _starting_image(start, first, styles, settings, seed), descend)


def _count_settings(
    content: Tensor, styles: Sequence[Tensor], start: str | Tensor, weights: Mapping[str, float | Sequence[float]]
) -> int:
    """Return B, the number of settings: every length is 1 or B."""
    lengths = {
        "content": len(content),
        "style": len(styles),
        "start": len(start) if isinstance(start, Tensor) else 1,
        **{f"{name}_weight": len(w) if isinstance(w, Sequence) else 1 for name, w in weights.items()},
    }
    for name, picture in [("content", content), *(("style", picture) for picture in styles)]:
        if picture.ndim != 4 or picture.shape[1] != 3:
            raise TransferError(f"{name} must be (N, 3, H, W) in [0, 1], got shape {tuple(picture.shape)}.")
    settings = max(lengths.values())
    odd = {name: length for name, length in lengths.items() if length not in (1, settings)}
    if odd or 0 in lengths.values():
        raise TransferError(
            f"A batch of settings needs lengths of 1 or {settings}; got "
            f"{', '.join(f'{name}: {length}' for name, length in lengths.items())}."
        )
    return settings


def _weights(name: str, given: float | Sequence[float], settings: int, like: Tensor) -> Tensor:
    weights = torch.as_tensor(given, device=like.device, dtype=like.dtype).reshape(-1).expand(settings)
    if not bool(torch.isfinite(weights).all()) or bool((weights < 0).any()):
        raise TransferError(f"{name}_weight must be finite and not negative, got {given}.")
    return weights


def _starting_image(start: str | Tensor, content: Tensor, styles: Sequence[Tensor], settings: int, seed: int) -> Tensor:
    if isinstance(start, Tensor):
        image = start.to(content)
    elif start == "content":
        image = content
    elif start == "style":
        image = stretched(styles, content)
    elif start == "noise":
        # Drawn on the CPU in float32, so that a seed means the same image on every device and dtype.
        shape = (1, *content.shape[1:])
        image = torch.rand(shape, generator=torch.Generator().manual_seed(seed)).to(content)
    else:
        raise TransferError(f"Unknown start {start!r}; expected 'content', 'style', 'noise' or an image tensor.")
    if image.shape[1:] != content.shape[1:]:
        raise TransferError(
            f"The starting image is {tuple(image.shape)}, the content {tuple(content.shape)}: they need the same "
            "channels, height and width."
        )
    return image.expand(settings, *content.shape[1:]).clone(memory_format=torch.contiguous_format)


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
