"""Costs: what a step of a style transfer takes, and what a network asks of a machine against what the machine can give.

A network whose bytes take longer than its operations is bound by memory: fewer multiplications do not make it faster
(Williams, Waterman and Patterson 2009, "Roofline").
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import pandas as pd
import torch
from torch import Tensor, nn

from stylerepro.measures import timing
from stylerepro.networks.feed_forward import Architecture, StyleNetwork, multiply_adds
from stylerepro.networks.loss_network import LossNetwork, layer_names
from stylerepro.networks.specs import resolve
from stylerepro.networks.weights import with_any_weights
from stylerepro.transfer.objective import build_objective, conventions

_WARM = 32  # pixels of the picture of a call that only warms up
_SIDE = 1024  # of the matrices whose product is timed
_BYTES = 256 * 2**20  # copied; beyond any cache
_FLOAT = 4  # bytes
_WEIGHTS = {"content": 1.0, "style": 1.0, "tv": 0.0}


def evaluation(
    network: str, size: int, layers: Sequence[str], content_layers: Sequence[str] | None = None, device: str = "cpu"
) -> Callable[[], object]:
    """Prepare what one step evaluates: content and style loss of a `size`² picture, and the gradient.

    layers: of the style loss, and of the content loss where `content_layers` names none. A whole transfer, divided by
    its steps, takes longer: it computes targets, shares of the gradient and the loss of the picture cut to [0, 1] too.
    The network is cut off behind the deepest layer. Weights that are not on this machine are replaced by random ones:
    the arithmetic, and so its cost, is the same.
    """
    asked = [layer_names(list(names), rectified=True) for names in (content_layers or layers, layers)]
    ready = _network(network, tuple(dict.fromkeys(name for names in asked for name in names)), device)
    content, style = (
        picture.to(device)
        for picture in torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0)).split(1)
    )
    weights = {name: torch.tensor([value], device=device) for name, value in _WEIGHTS.items()}
    of_content, of_style = (dict.fromkeys(names, 1.0) for names in asked)
    objective = build_objective(ready, conventions("johnson"), content, [style], weights, of_content, of_style, "style")

    def evaluate() -> object:
        image = content.clone().requires_grad_()
        objective.total(objective.terms(image)).sum().backward()
        return image.grad

    return evaluate


def peak(network: str, size: int, layers: Sequence[str]) -> int:
    """Measure the bytes that `evaluation` needs at its peak: the network's weights, the targets, and one call."""
    # The warming call builds the network, which takes more for a moment than the evaluation of a small picture; it is
    # kept for the call that counts, and its weights are added.
    beyond = timing.peak_memory(evaluation, network, size, tuple(layers), warm=(network, _WARM, tuple(layers)))
    parameters = _network(network, tuple(layer_names(list(layers), rectified=True)), "cpu").parameters()
    return beyond + sum(weights.numel() * weights.element_size() for weights in parameters)


@lru_cache(maxsize=1)
def _network(network: str, names: tuple[str, ...], device: str) -> LossNetwork:
    return LossNetwork(with_any_weights(resolve(network)), names, device=device)


@dataclass(frozen=True)
class Ceilings:
    """Rates that this machine reaches.

    multiply_adds: a second, of a product of float32 matrices. bytes: a second, read and written, of a copy.
    """

    multiply_adds: float
    bytes: float


def ceilings(device: str | torch.device = "cpu", repeats: int = 7) -> Ceilings:
    """Time a matrix product and a copy by the project's protocol, and take the fastest quarter of the calls."""
    left, right = torch.rand(2, _SIDE, _SIDE, device=device).unbind()
    source = torch.rand(_BYTES // _FLOAT, device=device)
    target = torch.empty_like(source)

    def best(function: Callable[[], object]) -> float:
        return timing.measure(function, repeats=repeats, device=device).lower

    return Ceilings(_SIDE**3 / best(lambda: left @ right), 2 * _BYTES / best(lambda: target.copy_(source)))


def floors(ceiling: Ceilings, networks: Mapping[str, str | Architecture], side: int) -> pd.DataFrame:
    """Ask each network for its demand at a picture of `side` px, a row each.

    Columns: network (its name), multiply_adds, bytes, by_operations and by_bytes (the least seconds by either alone).
    """
    rows = []
    for name, architecture in networks.items():
        operations, moved = demand(architecture, side, side)
        rows.append([name, operations, moved, operations / ceiling.multiply_adds, moved / ceiling.bytes])
    return pd.DataFrame(rows, columns=["network", "multiply_adds", "bytes", "by_operations", "by_bytes"])


def demand(architecture: str | Architecture, height: int, width: int) -> tuple[int, int]:
    """Count the multiply-adds and bytes of one picture of `height` × `width` px; nothing is computed for it.

    Bytes are those that the layers read and write, one after another: inputs, outputs and weights of each, in float32,
    with nothing left in a cache. Layers count as they stand: norm, ReLU and up-sampling each read and write their
    pictures, as they do in eager PyTorch. ReLUs in place, too.
    """
    with torch.device("meta"):
        network, picture = StyleNetwork(architecture).eval(), torch.empty(1, 3, height, width)
    moved = 0

    def add(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal moved
        tensors = [*inputs, output, *module.parameters(recurse=False)]
        moved += sum(tensor.numel() for tensor in tensors) * _FLOAT

    for module in network.modules():
        if not list(module.children()):
            module.register_forward_hook(add)
    with torch.no_grad():
        operations = multiply_adds(lambda: network(picture))
    return operations, moved
