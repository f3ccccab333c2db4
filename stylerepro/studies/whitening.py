"""Learning in white coordinates, one layer alone or all at once: without them, brightness takes most of the steps."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from stylerepro.networks.loss_network import LossNetwork
from stylerepro.studies.distillation_pictures import Pictures, twins


@dataclass(frozen=True)
class Recipe:
    """Settings by which a network learns.

    Layer by layer: layer_steps of Adam on layer_batch of layer_patches patches, from layer_pictures crops; layer_rate.
    Together: `rounds` of `steps` steps on `batch` crops and, of a quarter of them, twins with a little noise; rate, a
    step's size relative to the weights'. From the second round on, half are on-policy pictures, half of these of the
    round before: `trajectories` pictures are optimised for trajectory_steps steps, and kept four times on the way.
    Both rates fall to zero as cosines.
    Of the errors, that behind the ReLU counts 1: convolution_weight for that before it, kernel_weight (layer by layer)
    for that of inner products of patches, gram_weight for Gram matrices, difference_weight for the difference between
    twins. other_weight: of layers that no document names; the others count 1. others: how many of them a step looks at.
    ridge: added to variances before whitening, as a share of their mean. seed: of everything that is drawn.
    """

    layer_pictures: int
    layer_patches: int
    layer_steps: int
    layer_batch: int
    layer_rate: float
    rounds: int
    steps: int
    batch: int
    rate: float
    trajectories: int
    trajectory_steps: int
    convolution_weight: float
    kernel_weight: float
    gram_weight: float
    difference_weight: float
    other_weight: float
    others: int
    ridge: float
    seed: int


def _inputs(network: LossNetwork, pictures: Tensor) -> Iterator[tuple[str, Tensor]]:
    """Yield for each convolution and each head of a network its name and what goes into it."""
    x = picture = functional.conv2d(pictures, network.matrix, network.offset)
    for step in network.spec.layers:
        if step.startswith("conv"):
            yield step, x
            x = network.convolutions[step](x).relu()
            yield step.replace("conv", "head"), picture if step == "conv1_1" else x
        elif step.startswith("pool"):
            x = functional.max_pool2d(x, 2)


def _patches(x: Tensor, places: Tensor, kernel: int) -> Tensor:
    """Rows (n, C·kernel²) of x (N, C, H, W) around flat places (n,), in the order of a convolution's weight."""
    height, width, edge = *x.shape[-2:], kernel // 2
    padded = functional.pad(x, (edge,) * 4)
    number, row, column = places // (height * width), places % (height * width) // width, places % width
    near = [padded[number, :, row + down, column + right] for down in range(kernel) for right in range(kernel)]
    return torch.stack(near, 2).flatten(1)


@dataclass(frozen=True)
class Frame:
    """Coordinates in which a layer's inputs x are white: whitening @ (x − mean); colouring undoes the product."""

    mean: Tensor
    whitening: Tensor
    colouring: Tensor

    @classmethod
    def of(cls, rows: Tensor, ridge: float) -> "Frame":
        rows = rows.double()
        mean = rows.mean(0)
        covariance = (rows - mean).T @ (rows - mean) / len(rows)
        covariance.diagonal().add_(ridge * covariance.diagonal().mean().clamp_min(1e-12))
        # Cholesky: any square root serves, and eigenvectors of 1,800 × 1,800 take thirty times as long.
        colouring = torch.linalg.cholesky(covariance)
        whitening = torch.linalg.solve_triangular(colouring, torch.eye(len(mean)).to(colouring), upper=False)
        return cls(mean.float(), whitening.float(), colouring.float())


def fit_layer(layer: str, student: LossNetwork, teacher: LossNetwork, pictures: Pictures, recipe: Recipe) -> None:
    """Learn one convolution and its head on whitened patches, the layers below held still.

    Gram matrices and content losses see features through their inner products alone, so these have a term of their own.
    """
    inputs, wanted = [], []
    batches = max(recipe.layer_pictures // recipe.batch, 1)
    with torch.no_grad():
        for _ in range(batches):
            shown = pictures.draw(recipe.batch - recipe.batch // 4)
            shown = torch.cat([shown, twins(shown[: recipe.batch // 4])])
            x = next(x for name, x in _inputs(student, shown) if name == layer)
            positions = len(x) * x.shape[-2] * x.shape[-1]
            places = torch.randint(positions, (min(recipe.layer_patches // batches + 1, positions),), device=x.device)
            inputs.append(_patches(x, places, 3))
            wanted.append(_patches(teacher(shown)[layer], places, 1))
    rows, targets = torch.cat(inputs), torch.cat(wanted)
    frame, size, variance = Frame.of(rows, recipe.ridge), targets.std(), targets.relu().var(0).mean()
    rows = (rows - frame.mean) @ frame.whitening.T
    convolution: Any = student.convolutions[layer]
    head: Any = student.heads[layer.replace("conv", "head")]
    channels, width = rows.shape[1], convolution.out_channels
    made = [
        torch.randn(channels, width, device=rows.device) * (2 / channels) ** 0.5,  # He et al. 2015
        torch.zeros(width, device=rows.device),
        torch.randn(width, targets.shape[1], device=rows.device) / width**0.5,
        targets.mean(0) / size,
    ]
    weight, bias, mix, offset = [tensor.requires_grad_(True) for tensor in made]
    optimiser = torch.optim.Adam([weight, bias, mix, offset], recipe.layer_rate, betas=(0.9, 0.99), fused=True)
    for step in range(recipe.layer_steps):
        optimiser.param_groups[0]["lr"] = recipe.layer_rate * (1 + math.cos(math.pi * step / recipe.layer_steps)) / 2
        chosen = torch.randint(len(rows), (recipe.layer_batch,), device=rows.device)
        given = ((rows[chosen] @ weight + bias).relu() @ mix + offset) * size
        own, its = given.relu(), targets[chosen].relu()
        kernel, wished = (some[:256] @ some[:256].T for some in (own, its))
        error = (own - its).square().mean() / variance
        error = error + recipe.convolution_weight * (given - targets[chosen]).square().mean() / size**2
        error = error + recipe.kernel_weight * (kernel - wished).square().sum() / wished.square().sum()
        optimiser.zero_grad()
        error.backward()
        optimiser.step()
    with torch.no_grad():
        _set(convolution, weight.T @ frame.whitening, bias, frame.mean)
        if layer == "conv1_1":  # linear in the picture, so its head is exact
            extended = torch.cat([rows, torch.ones_like(rows[:, :1])], 1).double()
            exact = torch.linalg.lstsq(extended.cpu(), targets.double().cpu()).solution.to(rows)
            _set(head, exact[:-1].T @ frame.whitening, exact[-1], frame.mean)
        else:
            _set(head, mix.T * size, offset * size)


@torch.no_grad()
def _set(convolution: Any, rows: Tensor, bias: Tensor, mean: Tensor | None = None) -> None:
    """Give a convolution weights (out, in·k²) and the bias that they have on inputs from which `mean` is taken."""
    convolution.weight.copy_(rows.reshape(convolution.weight.shape))
    convolution.bias.copy_(bias if mean is None else bias - rows @ mean)


class Whitened:
    """Adam on all layers at once, each in coordinates in which its inputs are white and its outputs of unit size."""

    def __init__(self, network: LossNetwork, pictures: Tensor, recipe: Recipe) -> None:
        by_name: dict[str, Any] = {**network.convolutions, **network.heads}
        found: list[tuple[Any, ...]] = []
        with torch.no_grad():
            for name, x in _inputs(network, pictures):
                layer, positions = by_name[name], len(x) * x.shape[-2] * x.shape[-1]
                places = torch.randint(positions, (recipe.layer_patches // 4,), device=x.device)
                frame = Frame.of(_patches(x, places, layer.kernel_size[0]), recipe.ridge)
                size, rows = float(layer(x).std()), layer.weight.flatten(1)
                white, offset = rows @ frame.colouring / size, (layer.bias + rows @ frame.mean) / size
                found.append((layer, frame.mean, size, size * frame.whitening, white, offset))
        self._layers, self._means, self._sizes, self._scaled, within, offsets = zip(*found, strict=True)
        self._values = [*within, *offsets]
        self._scales = 2 * [float(values.square().mean().sqrt()) for values in within]
        self._first, self._second = ([torch.zeros_like(value) for value in self._values] for _ in range(2))
        self._steps = 0

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Take a step of `rate` times each layer's root mean square weight; the first fifty are shorter."""
        self._steps += 1
        rate = rate * min(1, self._steps / 50)
        gradients, offsets = [], []
        for layer, mean, size, scaled in zip(self._layers, self._means, self._sizes, self._scaled, strict=True):
            if layer.weight.grad is None:  # a step looks at some of the heads alone
                layer.weight.grad, layer.bias.grad = torch.zeros_like(layer.weight), torch.zeros_like(layer.bias)
            gradients.append(torch.addr(layer.weight.grad.flatten(1), layer.bias.grad, mean, alpha=-1) @ scaled.T)
            offsets.append(size * layer.bias.grad)
        gradients += offsets
        torch._foreach_lerp_(self._first, gradients, 0.1)
        torch._foreach_lerp_(self._second, torch._foreach_mul(gradients, gradients), 0.01)
        divisors = torch._foreach_sqrt(self._second)
        torch._foreach_add_(divisors, 1e-12)
        moves = torch._foreach_div(self._first, divisors)
        whole = -rate * (1 - 0.99**self._steps) ** 0.5 / (1 - 0.9**self._steps)
        torch._foreach_mul_(moves, [whole * scale for scale in self._scales])
        torch._foreach_add_(self._values, moves)
        half = len(self._layers)
        for place, (layer, mean) in enumerate(zip(self._layers, self._means, strict=True)):
            rows = self._values[place] @ self._scaled[place]
            _set(layer, rows, self._sizes[place] * self._values[half + place], mean)
