"""How far two loss networks agree: in distances of Gram matrices, and in what one tells of the other.

Pictures are (N, 3, H, W) tensors, sRGB in [0, 1]. Gram matrices are those of `losses.gram`, divided by the positions.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import combinations

import numpy as np
import pandas as pd
import torch
from scipy.stats import spearmanr
from torch import Tensor

from stylerepro.networks.loss_network import LossNetwork
from stylerepro.transfer import losses


def gram_distances(network: LossNetwork, pictures: Sequence[Tensor]) -> np.ndarray:
    """Return the distance of every two pictures' Gram matrices, (pairs,), in the order of `itertools.combinations`.

    Root of the mean over the network's layers of ‖A − B‖² over the layer's mean ‖A‖²: no layer outweighs another.
    """
    return _squared_distances(network, pictures).mean(0).sqrt().numpy()


def gram_correlation(student: LossNetwork, teacher: LossNetwork, pictures: Sequence[Tensor]) -> pd.DataFrame:
    """Correlate the two networks' Gram distances over all pairs of `pictures` by Spearman's rho: each layer, and all.

    One row a layer and one "all", which is that of `gram_distances`: layer, pairs, spearman.
    """
    by_network = [_squared_distances(network, pictures) for network in (student, teacher)]
    own, its = (torch.cat([distances, distances.mean(0, keepdim=True)]).numpy() for distances in by_network)
    return pd.DataFrame(
        {"layer": layer, "pairs": len(mine), "spearman": float(spearmanr(mine, theirs).statistic)}
        for layer, mine, theirs in zip([*student.layers, "all"], own, its, strict=True)
    )


def _squared_distances(network: LossNetwork, pictures: Sequence[Tensor]) -> Tensor:
    """(layers, pairs): ‖A − B‖² over the layer's mean ‖A‖²."""
    with torch.no_grad():
        described = [network(picture) for picture in pictures]
    distances = []
    for layer in network.layers:
        grams = torch.cat([losses.gram(features[layer], "positions") for features in described]).flatten(1).double()
        pairs = torch.stack([(a - b).square().sum() for a, b in combinations(grams, 2)])
        distances.append(pairs / grams.square().sum(1).mean())
    return torch.stack(distances)


def explained_variance(
    student: LossNetwork, teacher: LossNetwork, fitted_on: Tensor, judged_on: Tensor, ridge: float = 1e-6
) -> pd.DataFrame:
    """Return the share of the variance of the teacher's features that a linear map of the student's explains, by layer.

    The map (a 1×1 convolution with bias) is the least-squares one over `fitted_on`; the share is that over
    `judged_on`, which it has not seen. The networks must hand out the same layers.
    ridge: added to the variances of the student's features, as a share of their mean.

    One row a layer: layer, channels_student, channels_teacher, explained_fit, explained.
    """
    rows = []
    seen, held_out = (_moments(student, teacher, pictures) for pictures in (fitted_on, judged_on))
    for layer in student.layers:
        head = seen[layer].least_squares(ridge)
        rows.append({
            "layer": layer, "channels_student": len(head) - 1, "channels_teacher": head.shape[1],
            "explained_fit": seen[layer].explained(head), "explained": held_out[layer].explained(head),
        })  # fmt: skip
    return pd.DataFrame(rows)


@dataclass
class _Moments:
    """Sums over positions, in float64, of student features x, extended by a 1, and teacher features y."""

    xx: Tensor
    xy: Tensor
    yy: Tensor
    y: Tensor
    count: int

    def __add__(self, other: "_Moments") -> "_Moments":
        return _Moments(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))

    def least_squares(self, ridge: float) -> Tensor:
        """The map from x to y, (channels of x and the bias, channels of y)."""
        damping = torch.eye(len(self.xx), dtype=torch.float64) * ridge * self.xx.diagonal()[:-1].mean()
        damping[-1, -1] = 0  # the bias is not a feature
        return torch.linalg.solve(self.xx + damping, self.xy)

    def explained(self, head: Tensor) -> float:
        """Share of the variance of y that `head` explains."""
        residual = self.yy.sum() - 2 * (head * self.xy).sum() + (head * (self.xx @ head)).sum()
        variance = (self.yy - self.y.square() / self.count).sum()
        return float(1 - residual / variance)


@torch.no_grad()
def _moments(student: LossNetwork, teacher: LossNetwork, pictures: Tensor) -> dict[str, _Moments]:
    """Of each layer, in one pass over the pictures."""
    totals: dict[str, _Moments] = {}
    for batch in pictures.split(2):
        own, its = student(batch), teacher(batch)
        for layer in student.layers:
            x, y = (features[layer].double().transpose(0, 1).flatten(1).T for features in (own, its))
            x = torch.cat([x, torch.ones(len(x), 1, dtype=x.dtype)], 1)
            here = _Moments(x.T @ x, x.T @ y, y.square().sum(0), y.sum(0), len(x))
            totals[layer] = totals[layer] + here if layer in totals else here
    return totals
