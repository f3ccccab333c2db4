"""Learning a narrow network from a wide one, a convolution at a time, each through a linear head.

A convolution followed by a ReLU is, at every position, one small network with a hidden layer: 3×3 patches of the
features below in, the teacher's features out. So each is learned on patches drawn from many pictures, whitened first
(without that, gradient descent spends its time on brightness), from random weights, with those below it held still.
"""

import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from math import cos, pi
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional
from tqdm.auto import tqdm

from stylerepro.networks.loss_network import IMAGENET_MEAN, IMAGENET_STD, LossNetwork
from stylerepro.networks.specs import NETWORKS, NetworkSpec
from stylerepro.pictures import assets
from stylerepro.studies.distillation.pictures import Crops, Photographs

_KERNEL_PATCHES = 256  # of a batch, about, whose inner products are compared


@dataclass(frozen=True)
class Recipe:
    """How long and on what each convolution learns.

    rounds: each draws `crops` new pictures and takes `steps` steps of Adam, on batches of `batch` patches out of the
    last `memory` ones. positions: patches taken from one crop, at most. learning_rate: falls to zero as a cosine.
    convolution_weight: of the error before the ReLU, beside that behind it. kernel_weight: of the error in the inner
    products between patches' features. ridge: added to the patches' variances before whitening, as a share of their
    mean. seed: of weights, crops and batches.
    """

    rounds: int
    steps: int
    batch: int
    memory: int
    crops: int
    positions: int
    learning_rate: float
    convolution_weight: float
    kernel_weight: float
    ridge: float
    seed: int


def fit_layer(
    layer: str,
    spec: NetworkSpec,
    below: Mapping[str, Tensor],
    teacher: str | LossNetwork,
    crops: Crops,
    recipe: Recipe,
    progress: bool = False,
) -> dict[str, Any]:
    """Learn convolution `layer` (such as conv3_2) of `spec` from `teacher`, the convolutions below it held still.

    below: the weights so far, `conv1_1.weight` (out, in, 3, 3) and `conv1_1.bias` (out,) …. teacher: a network of the
    same topology, by name or with `layer` among its layers.

    Gives weight and bias of the convolution; head (teacher's channels, out) and head_bias, which map its rectified
    features to the teacher's rectified ones; and history: round, step, learning_rate, explained (share of the
    teacher's variance, on the patches of the next round, before they are learned from), explained_conv, kernel_error.

    Gram matrices and content losses see features through their inner products alone: ‖G − A‖² is a sum of squared
    inner products of positions. A head would hide it if those differed from the teacher's, so they have a term of
    their own, the squared distance of the patches' kernel matrices relative to the teacher's.
    """
    master = teacher if isinstance(teacher, LossNetwork) else LossNetwork(teacher, [layer])
    rounds = _ahead(lambda number: _patches(layer, spec, below, master, crops, recipe, number), recipe.rounds + 1)
    patches, wanted = next(rounds)
    frame = _Frame.of(patches, wanted, recipe.ridge)
    model = _Model(patches.shape[1], spec.widths[int(layer[4]) - 1], wanted.shape[1], recipe.seed)
    optimiser = torch.optim.Adam(model.parameters(), recipe.learning_rate, betas=(0.9, 0.99))
    memory: deque[tuple[Tensor, Tensor]] = deque([(frame.whiten(patches), frame.standardise(wanted))])
    generator = torch.Generator().manual_seed(recipe.seed)
    rows = []
    for number in tqdm(range(recipe.rounds), disable=not progress, desc=layer, leave=False):
        inputs, targets = (torch.cat(parts) for parts in zip(*memory, strict=True))
        for step in range(recipe.steps):
            rate = recipe.learning_rate * 0.5 * (1 + cos(pi * (number + step / recipe.steps) / recipe.rounds))
            optimiser.param_groups[0]["lr"] = rate
            chosen = torch.randint(len(inputs), (min(recipe.batch, len(inputs)),), generator=generator)
            before, behind, kernel = model.errors(inputs[chosen], targets[chosen], frame)
            optimiser.zero_grad()
            (behind + recipe.convolution_weight * before + recipe.kernel_weight * kernel).backward()
            optimiser.step()
        memory.append(tuple(f(x) for f, x in zip((frame.whiten, frame.standardise), next(rounds), strict=True)))  # type: ignore[arg-type]
        with torch.no_grad():
            before, behind, kernel = model.errors(*memory[-1], frame)
        rows.append({"round": number + 1, "step": (number + 1) * recipe.steps, "learning_rate": rate,
                     "explained": 1 - float(behind), "explained_conv": 1 - float(before),
                     "kernel_error": float(kernel)})  # fmt: skip
        while len(memory) > 1 and sum(len(one) for one, _ in memory) - len(memory[0][0]) >= recipe.memory:
            memory.popleft()
    return {**model.folded(frame, int(patches.shape[1] // 9)), "history": pd.DataFrame(rows)}


def unit_scale(spec: NetworkSpec, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same network with unit mean square of every rectified layer over the embedded photographs.

    These are the photographs of `LossNetwork`'s scale "unit", which then changes nothing. A ReLU passes a positive
    factor on, so a layer is divided by its root mean square and the next one takes it back.
    """
    layers = [layer for layer in spec.layers if layer.startswith("relu")]
    scaled, last = {}, 1.0
    for layer, own in LossNetwork(spec, layers, state=weights).root_mean_squares().items():
        convolution = layer.replace("relu", "conv")
        scaled[f"{convolution}.weight"] = weights[f"{convolution}.weight"] * (last / own)
        scaled[f"{convolution}.bias"] = weights[f"{convolution}.bias"] / own
        last = own
    return scaled


def metadata(spec: NetworkSpec, teacher: str, pictures: Photographs, recipe: Recipe) -> dict[str, str]:
    """What a file of learned weights says of itself, as safetensors keeps it: text by name."""
    asset = assets.REGISTRY.get(NETWORKS[teacher].asset or "")
    return {
        "network": spec.name,
        "widths": " ".join(map(str, spec.widths)),
        "scale": spec.scale,
        "teacher": f"{teacher}: {NETWORKS[teacher].source}",
        "teacher_licence": asset.licence if asset else "as the teacher's",
        "photographs": f"{len(pictures.training)} of {pictures.source}, {len(pictures.held_out)} more held out",
        "recipe": json.dumps(asdict(recipe)),
        "licence": "MIT, as the project; see compact.md for the teacher's attribution",
    }


def _ahead(make: Callable[[int], Any], number: int) -> Iterator[Any]:
    """make(0), make(1), …, each made in a thread while the one before it is in use."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(make, 0)
        for place in range(number):
            ready = coming.result()
            if place + 1 < number:
                coming = pool.submit(make, place + 1)
            yield ready


@torch.no_grad()
def _patches(
    layer: str, spec: NetworkSpec, below: Mapping[str, Tensor], teacher: LossNetwork, crops: Crops, recipe: Recipe,
    number: int,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Patches (n, 9·in) of what goes into `layer`, and the teacher's features there (n, channels), before the ReLU."""
    rng = np.random.default_rng([recipe.seed, spec.layers.index(layer), number])
    place = spec.layers.index(layer)
    network = LossNetwork(spec, [spec.layers[place - 1]], state=below) if place else None
    patches, wanted = [], []
    for pictures in crops.draw(recipe.crops, rng).split(8):
        features = next(iter(network(pictures).values())) if network else normalised(pictures)
        mode = "reflect" if spec.padding == "reflect" else "constant"
        padded = functional.pad(features, (1, 1, 1, 1), mode)
        for one, target in zip(padded.split(1), teacher(pictures)[layer].flatten(2), strict=True):
            positions = target.shape[1]
            chosen = torch.from_numpy(rng.choice(positions, min(positions, recipe.positions), replace=False))
            patches.append(functional.unfold(one, 3)[0][:, chosen].T)
            wanted.append(target[:, chosen].T)
    return torch.cat(patches), torch.cat(wanted)


def normalised(pictures: Tensor) -> Tensor:
    """Pictures (N, 3, H, W) in [0, 1] as the first convolution sees them: ImageNet's mean and standard deviation."""
    mean, deviation = (torch.tensor(values).reshape(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    return (pictures - mean) / deviation


@dataclass(frozen=True)
class _Frame:
    """Where inputs are whitened and targets standardised: the model sees both at unit scale."""

    mean: Tensor
    whitening: Tensor  # (inputs, inputs)
    before_mean: Tensor
    before_scale: Tensor
    behind_mean: Tensor
    behind_scale: Tensor
    length: Tensor  # root mean square length of the rectified features

    @classmethod
    def of(cls, patches: Tensor, wanted: Tensor, ridge: float) -> "_Frame":
        mean = patches.mean(0)
        covariance = (patches - mean).T @ (patches - mean) / len(patches)
        values, vectors = torch.linalg.eigh(covariance)
        whitening = vectors / (values.clamp_min(0) + ridge * values.mean()).sqrt()
        rectified = wanted.clamp_min(0)
        scales = [(one - one.mean(0)).square().mean().sqrt().clamp_min(1e-12) for one in (wanted, rectified)]
        length = rectified.square().sum(1).mean().sqrt().clamp_min(1e-12)
        return cls(mean, whitening, wanted.mean(0), scales[0], rectified.mean(0), scales[1], length)

    def whiten(self, patches: Tensor) -> Tensor:
        return (patches - self.mean) @ self.whitening

    def standardise(self, wanted: Tensor) -> Tensor:
        return (wanted - self.before_mean) / self.before_scale

    def rectified(self, standardised: Tensor) -> Tensor:
        """The rectified target that belongs to a standardised unrectified one, in the teacher's own units."""
        return (standardised * self.before_scale + self.before_mean).clamp_min(0)


class _Model(nn.Module):
    """One convolution in whitened coordinates, with a linear head before its ReLU and one behind it."""

    def __init__(self, inputs: int, width: int, channels: int, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)

        def random(rows: int, columns: int, gain: float) -> nn.Parameter:
            return nn.Parameter(torch.randn(rows, columns, generator=generator) * (gain / rows) ** 0.5)

        self.weight, self.bias = random(inputs, width, 2.0), nn.Parameter(torch.zeros(width))  # He et al. 2015
        self.head, self.head_bias = random(width, channels, 1.0), nn.Parameter(torch.zeros(channels))
        self.before, self.before_bias = random(width, channels, 1.0), nn.Parameter(torch.zeros(channels))

    def errors(self, inputs: Tensor, targets: Tensor, frame: _Frame) -> tuple[Tensor, Tensor, Tensor]:
        """Unexplained share of the teacher's variance before the ReLU, and behind it; the kernel's relative error."""
        hidden, rectified = inputs @ self.weight + self.bias, frame.rectified(targets)
        features = hidden.relu()
        before = hidden @ self.before + self.before_bias - targets
        behind = features @ self.head + self.head_bias - (rectified - frame.behind_mean) / frame.behind_scale
        some = slice(None, None, max(len(features) // _KERNEL_PATCHES, 1))
        own, its = features[some], rectified[some] / frame.length
        wanted = its @ its.T
        kernel = (own @ own.T / own.shape[1] - wanted).square().sum() / wanted.square().sum()
        return before.square().mean(), behind.square().mean(), kernel

    @torch.no_grad()
    def folded(self, frame: _Frame, channels: int) -> dict[str, Tensor]:
        """Back from whitened patches to a convolution, and from standardised targets to the teacher's units."""
        weight = frame.whitening @ self.weight
        bias = self.bias - frame.mean @ weight
        weight = weight.T.reshape(-1, channels, 3, 3)
        head_bias = self.head_bias * frame.behind_scale + frame.behind_mean
        return {"weight": weight, "bias": bias, "head": self.head.T * frame.behind_scale, "head_bias": head_bias}
