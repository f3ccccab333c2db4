"""What a network asks of a machine, operations and bytes, against what the machine can give of each.

A network whose bytes take longer than its operations is bound by memory: fewer multiplications do not make it faster
(Williams, Waterman and Patterson 2009, "Roofline").
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor, nn

from stylerepro.measures import timing
from stylerepro.networks.feed_forward import Architecture, Transformer, count

_SIDE = 1024  # of the matrices whose product is timed
_BYTES = 256 * 2**20  # copied; beyond any cache
_FLOAT = 4  # bytes


@dataclass(frozen=True)
class Ceilings:
    """What this machine reaches. multiply_adds: a second, of a product of float32 matrices; bytes: a second, read and
    written, of a copy. threads: that it was measured with.
    """

    multiply_adds: float
    bytes: float
    threads: int

    def seconds(self, what: "Demand") -> tuple[float, float]:
        """The least time that the operations alone and the bytes alone would take."""
        return what.multiply_adds / self.multiply_adds, what.bytes / self.bytes


@dataclass(frozen=True)
class Demand:
    """What one pass of a network asks for. multiply_adds: of its convolutions. bytes: that its layers read and write,
    one after another: inputs, outputs and weights of each, in float32, with nothing left in a cache.
    """

    multiply_adds: int
    bytes: int


def measure(device: str | torch.device = "cpu", repeats: int = 7) -> Ceilings:
    """Time a matrix product and a copy by the project's protocol, and take the fastest quarter of the calls."""
    one, other = torch.rand(2, _SIDE, _SIDE, device=device).unbind()
    source = torch.rand(_BYTES // _FLOAT, device=device)
    target = torch.empty_like(source)

    def best(function: Callable[[], object]) -> float:
        return timing.measure(function, repeats=repeats, device=device).lower

    return Ceilings(_SIDE**3 / best(lambda: one @ other), 2 * _BYTES / best(lambda: target.copy_(source)),
                    torch.get_num_threads())  # fmt: skip


def floors(ceiling: Ceilings, networks: Mapping[str, str | Architecture], side: int) -> pd.DataFrame:
    """What each network asks for a picture of `side` px, a row each.

    Columns: network (its name), multiply_adds, bytes, by_operations and by_bytes (the least seconds by either alone).
    """
    rows = []
    for name, what in networks.items():
        wanted = demand(what, side, side)
        rows.append([name, wanted.multiply_adds, wanted.bytes, *ceiling.seconds(wanted)])
    return pd.DataFrame(rows, columns=["network", "multiply_adds", "bytes", "by_operations", "by_bytes"])


def demand(what: str | Architecture, height: int, width: int) -> Demand:
    """Operations and bytes of one picture of `height` × `width` px; nothing is computed for it.

    Layers count as they stand: norm, ReLU and up-sampling each read and write their pictures, as they do in eager
    PyTorch. ReLUs in place, too.
    """
    with torch.device("meta"):
        network, picture = Transformer(what).eval(), torch.empty(1, 3, height, width)
    moved = 0

    def add(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal moved
        tensors = [*inputs, output, *module.parameters(recurse=False)]
        moved += sum(one.numel() for one in tensors) * _FLOAT

    leaves = [one for one in network.modules() if not list(one.children())]
    handles = [one.register_forward_hook(add) for one in leaves]
    with torch.no_grad():
        network(picture)
    for handle in handles:
        handle.remove()
    return Demand(count(what, height, width).multiply_adds, moved)
