"""Distillation: the compact loss network is learned from a larger teacher, one convolution after the other.

A convolution followed by a ReLU is, at every position, one small network with a hidden layer: 3×3 patches of the
features below in, the teacher's features out. So each is learned on patches drawn from many pictures, whitened first
(without that, gradient descent spends its time on brightness), from random weights, with those below it held still.
First the pictures that are learned from, then the learning, then the judging.
"""

import json
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import cos, pi
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional
from tqdm.auto import tqdm

from stylerepro.errors import AssetError, ImageError
from stylerepro.measures.features import relative_style_loss
from stylerepro.networks.loss_network import IMAGENET_MEAN, IMAGENET_STD, LossNetwork
from stylerepro.networks.specs import NETWORKS, NetworkSpec
from stylerepro.networks.weights import with_any_weights
from stylerepro.pictures import assets, images
from stylerepro.pictures.paintings import PAINTINGS
from stylerepro.training.photographs import ahead, as_bytes, files_of, random_part, to_square
from stylerepro.transfer import losses
from stylerepro.transfer.transfer import transfer

HELD_OUT_EVERY = 10
"""Every so-manieth photograph, by name, is never learned from."""

FIRST_SEED = 1000
"""Of the paintings that are learned from; the suite's own pictures are painted from seeds below it."""

_KERNEL_PATCHES = 256  # of a batch, about, whose inner products are compared


@dataclass(frozen=True)
class Split:
    """Photographs as bytes (1, 3, H, W): training, held_out; source: where from; skipped: files not readable."""

    training: list[Tensor]
    held_out: list[Tensor]
    source: str
    skipped: list[str]


def photographs(source: str = "photos", most: int | None = None) -> Split:
    """Read photographs of a source of `photographs.files_of`; every tenth by name is held out.

    most: take only so many, spread evenly over the names. An unreadable file is left out and named. Raises `AssetError`
    for a source that is missing, or has not two readable pictures.
    """
    source, files = files_of(source)
    names = list(files.values())
    # Split before anything is left out, so that a picture held out once is held out of every selection.
    every = min(HELD_OUT_EVERY, max(len(names) // 2, 1))
    held_out, training = names[::every], [name for place, name in enumerate(names) if place % every]
    if most is not None:
        held_out, training = _spread(held_out, -(-most // every)), _spread(training, most - -(-most // every))
    skipped: list[str] = []
    size = 288 if source == "embedded" else None
    split = Split(_read(training, size, skipped), _read(held_out, size, skipped), source, skipped)
    if not split.training or not split.held_out:
        readable = len(split.training) + len(split.held_out)
        raise AssetError(f"{source!r} gives {readable} readable pictures; at least 2 are needed, one of them held out.")
    return split


def _spread(names: Sequence[str | Path], most: int) -> list[str | Path]:
    """At most so many of the names, evenly spread."""
    if len(names) <= most:
        return list(names)
    return [names[int(place)] for place in np.linspace(0, len(names) - 1, most)]


def _read(names: Sequence[str | Path], size: int | None, skipped: list[str]) -> list[Tensor]:
    pictures = []
    for name in names:
        try:
            pictures.append(as_bytes(images.read(name, size)))
        except ImageError:
            skipped.append(Path(name).name)
    return pictures


def paintings(each: int, size: int = 288) -> list[Tensor]:
    """Paint `each` pictures by every painter, bytes (1, 3, size, size), from seeds that nothing else uses."""
    painters = [(painter, FIRST_SEED + number) for painter in PAINTINGS for number in range(each)]
    return [as_bytes(images.read(f"{painter}:{seed}", size)) for painter, seed in painters]


def squares(pictures: Sequence[Tensor], size: int) -> Tensor:
    """Cut the middles of pictures of bytes as float squares (N, 3, size, size), shorter side brought to `size`."""
    floats = [images.resize(picture.float() / 255, size) for picture in pictures]
    return torch.cat([images.centre_crop(picture, size, size) for picture in floats])


@dataclass(frozen=True)
class Crops:
    """Random crops: of photographs, a share of them of paintings, a share disturbed.

    size: px, of the crops. Each is cut at a random scale between the picture's own and half of it, half of them
    mirrored. painted: share from `paintings`. disturbed: share with its colours bent and noise added, so that the
    network is right also about pictures as they look on the way from noise, or from an odd palette.
    """

    photographs: Sequence[Tensor]
    paintings: Sequence[Tensor]
    size: int = 128
    painted: float = 0.2
    disturbed: float = 0.25

    def draw(self, number: int, rng: np.random.Generator) -> Tensor:
        """Draw `number` crops (number, 3, size, size), float32 in [0, 1]."""
        return torch.cat([self._crop(rng) for _ in range(number)])

    def _crop(self, rng: np.random.Generator) -> Tensor:
        source = self.paintings if len(self.paintings) and rng.random() < self.painted else self.photographs
        crop = to_square(random_part(source[int(rng.integers(len(source)))], self.size, rng), self.size)
        if rng.random() < 0.5:
            crop = crop.flip(3)
        return _disturb(crop, rng) if rng.random() < self.disturbed else crop


def _disturb(crop: Tensor, rng: np.random.Generator) -> Tensor:
    gain = torch.from_numpy(rng.uniform(0.5, 1.5, (1, 3, 1, 1)).astype(np.float32))
    offset = torch.from_numpy(rng.uniform(-0.25, 0.25, (1, 3, 1, 1)).astype(np.float32))
    noise = torch.from_numpy(rng.standard_normal(crop.shape, dtype=np.float32)) * float(rng.uniform(0, 0.2))
    return (crop * gain + offset + noise)[:, torch.from_numpy(rng.permutation(3))].clamp(0, 1)


@dataclass(frozen=True)
class Recipe:
    """Settings by which each convolution learns.

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
    rounds = ahead(
        lambda number: _patches(layer, spec, below, master, crops, recipe, number),
        range(recipe.rounds + 1), depth=1, threads=None,
    )  # fmt: skip
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
        while len(memory) > 1 and sum(len(inputs) for inputs, _ in memory) - len(memory[0][0]) >= recipe.memory:
            memory.popleft()
    return {**model.folded(frame, int(patches.shape[1] // 9)), "history": pd.DataFrame(rows)}


def unit_scale(spec: NetworkSpec, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rescale a network to unit mean square of every rectified layer over the embedded photographs.

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


def metadata(spec: NetworkSpec, teacher: str, pictures: Split, recipe: Recipe) -> dict[str, str]:
    """Describe learned weights for their file, as safetensors keeps it: text by name."""
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
        for picture, target in zip(padded.split(1), teacher(pictures)[layer].flatten(2), strict=True):
            positions = target.shape[1]
            chosen = torch.from_numpy(rng.choice(positions, min(positions, recipe.positions), replace=False))
            patches.append(functional.unfold(picture, 3)[0][:, chosen].T)
            wanted.append(target[:, chosen].T)
    return torch.cat(patches), torch.cat(wanted)


def normalised(pictures: Tensor) -> Tensor:
    """Normalise pictures (N, 3, H, W) in [0, 1] by ImageNet's mean and deviation, as the network does."""
    mean, deviation = (torch.tensor(values).reshape(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    return (pictures - mean) / deviation


@dataclass(frozen=True)
class _Frame:
    """A change of scale that whitens inputs and standardises targets: the model sees both at unit scale."""

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
        scales = [(x - x.mean(0)).square().mean().sqrt().clamp_min(1e-12) for x in (wanted, rectified)]
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


def style_removed(
    student: str | LossNetwork, teacher: str | LossNetwork, judge: LossNetwork, content: Tensor, style: Tensor,
    **settings: Any,
) -> dict[str, Any]:  # fmt: skip
    """Make one picture with each network, by the same `settings` of `transfer`, and let the judge compare them.

    Gives the judge's relative style loss of the content image and of both results; removed, what the student's run
    takes off the content image's as a share of what the teacher's run takes off; and both `Result`s.
    """
    own = transfer(content, style, network=student, **settings)
    reference = transfer(content, style, network=teacher, **settings)
    before, by_student, by_teacher = (
        relative_style_loss(judge, image, style) for image in (content, own.image, reference.image)
    )
    return {
        "style_content": before, "style_student": by_student, "style_teacher": by_teacher,
        "removed": (before - by_student) / (before - by_teacher), "student": own, "teacher": reference,
    }  # fmt: skip


def loss_evaluation(network: str, size: int, layers: Sequence[str]) -> Callable[[], object]:
    """Prepare one style loss of a `size`² picture with its gradient, to be timed: the argument for `timing.compare`.

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
