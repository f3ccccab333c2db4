"""What one step of a style transfer costs: its evaluation, ready to be timed or weighed, and its multiply-adds."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from statistics import median

import torch
from torch.utils.flop_counter import FlopCounterMode

from stylerepro.errors import ParameterError
from stylerepro.measures import timing
from stylerepro.measures.timing import peak_memory
from stylerepro.networks.loss_network import LossNetwork, layer_names
from stylerepro.networks.specs import resolve
from stylerepro.studies.distillation.fidelity import with_any_weights
from stylerepro.transfer.objective import build_objective, conventions

_WARM = 32  # pixels of the picture of a call that only warms up


def evaluation(network: str, size: int, layers: Sequence[str]) -> Callable[[], object]:
    """Content and style loss of a `size`² picture, both at `layers`, with their gradient: what one step evaluates.

    The network is cut off behind the deepest layer. Weights that are not on this machine are replaced by random ones:
    the arithmetic, and so its cost, is the same.
    """
    ready, names = _network(network, tuple(layers)), layer_names(list(layers), rectified=True)
    content, style = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0)).split(1)
    weights = {"content": torch.ones(1), "style": torch.ones(1), "tv": torch.zeros(1)}
    each = dict.fromkeys(names, 1.0)
    objective = build_objective(ready, conventions("johnson"), content, [style], weights, each, each, "style")

    def evaluate() -> object:
        image = content.clone().requires_grad_()
        objective.total(objective.terms(image)).sum().backward()
        return image.grad

    return evaluate


def peak(network: str, size: int, layers: Sequence[str]) -> int:
    """Bytes that `evaluation` needs at its peak: the network's weights, the targets, and one call."""
    # The warming call builds the network, which takes more for a moment than the evaluation of a small picture; it is
    # kept for the call that counts, and its weights are added.
    beyond = peak_memory(evaluation, network, size, tuple(layers), warm=(network, _WARM, tuple(layers)))
    weights = _network(network, tuple(layers)).parameters()
    return beyond + sum(one.numel() * one.element_size() for one in weights)


def multiply_adds(function: Callable[[], object]) -> int:
    """Multiply-adds of a call: those of its convolutions and matrix products, forwards and backwards."""
    with FlopCounterMode(display=False) as counter:
        function()
    # The counter gives operations, of which a multiply-add is two.
    return int(counter.get_total_flops()) // 2


def in_turn(functions: Mapping[str, Callable[[], object]], repeats: int = 3) -> dict[str, float]:
    """Median seconds of each function, called in turn, the order swapped from round to round; one round is warm-up.

    What `timing.compare` does for two. Raises `ParameterError` for no repeats.
    """
    if repeats < 1:
        raise ParameterError(f"Timing needs at least 1 repeat, got {repeats}.")
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for turn in range(repeats + 1):
        for name in list(functions)[:: 1 if turn % 2 == 0 else -1]:
            seconds[name].append(timing.measure(functions[name], warmup=0, repeats=1).median)
    return {name: median(taken[1:]) for name, taken in seconds.items()}


@lru_cache(maxsize=1)
def _network(network: str, layers: tuple[str, ...]) -> LossNetwork:
    return LossNetwork(with_any_weights(resolve(network)), layer_names(layers, rectified=True))
