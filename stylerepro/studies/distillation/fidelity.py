"""How well one loss network stands for another: features, Gram distances, the pictures made with it, and its cost."""

import dataclasses
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.stats import spearmanr
from torch import Tensor

from stylerepro.networks.loss_network import LossNetwork, layer_names
from stylerepro.networks.specs import NETWORKS, NetworkSpec
from stylerepro.networks.weights import network_at_hand
from stylerepro.transfer import losses
from stylerepro.transfer.objective import STYLE_LAYERS
from stylerepro.transfer.transfer import Result, transfer

RECTIFIED_STYLE_LAYERS = tuple(layer_names(STYLE_LAYERS, rectified=True))


def explained_variance(
    student: LossNetwork, teacher: LossNetwork, fitted_on: Tensor, judged_on: Tensor, ridge: float = 1e-6
) -> pd.DataFrame:
    """Share of the variance of the teacher's features that a linear map of the student's explains, layer by layer.

    The map (a 1×1 convolution with bias) is the least-squares one over `fitted_on`; the share is that over
    `judged_on`, which it has not seen. Both (N, 3, H, W) in [0, 1]; the networks must hand out the same layers.
    ridge: added to the variances of the student's features, as a share of their mean.

    One row a layer: layer, channels_student, channels_teacher, explained_fit, explained.
    """
    rows = []
    seen, held_out = (_moments(student, teacher, pictures) for pictures in (fitted_on, judged_on))
    for layer in student.layers:
        head = _least_squares(seen[layer], ridge)
        rows.append({
            "layer": layer, "channels_student": len(head) - 1, "channels_teacher": head.shape[1],
            "explained_fit": _explained(seen[layer], head), "explained": _explained(held_out[layer], head),
        })  # fmt: skip
    return pd.DataFrame(rows)


def gram_distances(network: LossNetwork, pictures: Sequence[Tensor]) -> np.ndarray:
    """Distance of every two pictures' Gram matrices, (pairs,), in the order of `itertools.combinations`.

    Root of the mean over the network's layers of ‖A − B‖² over the layer's mean ‖A‖²: no layer outweighs another.
    """
    return _squared_distances(network, pictures).mean(0).sqrt().numpy()


def gram_correlation(student: LossNetwork, teacher: LossNetwork, pictures: Sequence[Tensor]) -> pd.DataFrame:
    """Spearman's correlation of the two networks' Gram distances over all pairs of `pictures`: each layer, and all.

    One row a layer and one "all", which is that of `gram_distances`: layer, pairs, spearman.
    """
    one, other = (_squared_distances(network, pictures) for network in (student, teacher))
    rows = {**dict(zip(student.layers, zip(one, other, strict=True), strict=True)), "all": (one.mean(0), other.mean(0))}
    return pd.DataFrame(
        {"layer": layer, "pairs": len(own), "spearman": float(spearmanr(own.numpy(), its.numpy()).statistic)}
        for layer, (own, its) in rows.items()
    )


def _squared_distances(network: LossNetwork, pictures: Sequence[Tensor]) -> Tensor:
    """(layers, pairs): ‖A − B‖² over the layer's mean ‖A‖²."""
    with torch.no_grad():
        described = [network(picture) for picture in pictures]
    found = []
    for layer in network.layers:
        grams = torch.cat([losses.gram(features[layer], "positions") for features in described]).flatten(1).double()
        pairs = torch.stack([(one - other).square().sum() for one, other in combinations(grams, 2)])
        found.append(pairs / grams.square().sum(1).mean())
    return torch.stack(found)


def relative_style_loss(judge: LossNetwork, image: Tensor, style: Tensor) -> float:
    """Mean over the judge's layers of ‖G − A‖² / ‖A‖²: how far `image` is from the Gram matrices of `style`."""
    with torch.no_grad():
        found, wanted = judge(image), judge(style)
    grams = [(losses.gram(found[one], "positions"), losses.gram(wanted[one], "positions")) for one in judge.layers]
    return float(np.mean([float((g - a).square().sum() / a.square().sum()) for g, a in grams]))


def style_removed(
    student: str | LossNetwork, teacher: str | LossNetwork, judge: LossNetwork, content: Tensor, style: Tensor,
    **settings: Any,
) -> dict[str, Any]:  # fmt: skip
    """Make one picture with each network, by the same `settings` of `transfer`, and let the judge compare them.

    Gives the judge's relative style loss of the content image and of both results; removed, what the student's run
    takes off the content image's as a share of what the teacher's run takes off; and both `Result`s.
    """
    own: Result = transfer(content, style, network=student, **settings)
    reference: Result = transfer(content, style, network=teacher, **settings)
    before, by_student, by_teacher = (
        relative_style_loss(judge, image, style) for image in (content, own.image, reference.image)
    )
    return {
        "style_content": before, "style_student": by_student, "style_teacher": by_teacher,
        "removed": (before - by_student) / (before - by_teacher), "student": own, "teacher": reference,
    }  # fmt: skip


def loss_evaluation(network: str, size: int, layers: Sequence[str] = RECTIFIED_STYLE_LAYERS) -> Callable[[], object]:
    """One style loss of a `size`² picture with its gradient, ready to be timed: the argument for `timing.compare`.

    Weights that are not on this machine are replaced by random ones: the arithmetic, and so its cost, is the same.
    """
    ready = LossNetwork(with_any_weights(network), list(layers))
    picture = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0))

    def evaluate() -> object:
        image = picture.clone().requires_grad_()
        grams = [losses.gram(features, "all") for features in ready(image).values()]
        torch.stack([gram.square().sum() for gram in grams]).sum().backward()
        return image.grad

    return evaluate


def with_any_weights(network: str) -> NetworkSpec:
    """The network as it is, or with seeded random weights where its own would have to be downloaded."""
    spec = NETWORKS[network]
    return spec if network_at_hand(network) else dataclasses.replace(spec, asset=None, keys="random")


@dataclasses.dataclass
class _Moments:
    """Sums over positions, in float64: of 1-extended student features x and teacher features y."""

    xx: Tensor
    xy: Tensor
    yy: Tensor
    y: Tensor
    count: int

    def __add__(self, other: "_Moments") -> "_Moments":
        sums = (getattr(self, field.name) + getattr(other, field.name) for field in dataclasses.fields(self))
        return _Moments(*sums)


@torch.no_grad()
def _moments(student: LossNetwork, teacher: LossNetwork, pictures: Tensor) -> dict[str, _Moments]:
    """Of each layer, in one pass over the pictures."""
    totals: dict[str, _Moments] = {}
    for batch in pictures.split(2):
        own, wanted = student(batch), teacher(batch)
        for layer in student.layers:
            x, y = (features[layer].double().transpose(0, 1).flatten(1).T for features in (own, wanted))
            x = torch.cat([x, torch.ones(len(x), 1, dtype=x.dtype)], 1)
            here = _Moments(x.T @ x, x.T @ y, y.square().sum(0), y.sum(0), len(x))
            totals[layer] = totals[layer] + here if layer in totals else here
    return totals


def _least_squares(moments: _Moments, ridge: float) -> Tensor:
    size = len(moments.xx)
    damping = torch.eye(size, dtype=torch.float64) * ridge * moments.xx.diagonal()[:-1].mean()
    damping[-1, -1] = 0  # the bias is not a feature
    return torch.linalg.solve(moments.xx + damping, moments.xy)


def _explained(moments: _Moments, head: Tensor) -> float:
    residual = moments.yy.sum() - 2 * (head * moments.xy).sum() + (head * (moments.xx @ head)).sum()
    variance = (moments.yy - moments.y.square() / moments.count).sum()
    return float(1 - residual / variance)
