"""Feed-forward networks that restyle a picture in one pass: Johnson's and document 004's three efficient ones.

    network = StyleNetwork(architecture("depsep-nn", multiplier=1), seed=0)
    stylised = network(images.read("coffee", 512))

The ways to be fast stand in `inference.py`; files of trained networks, and ONNX, in `checkpoints.py`.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from stylerepro.errors import NetworkError, unknown

_CHOICES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "norm": ("batch", "instance"),
        "convolution": ("full", "separable"),
        "upsampling": ("transposed", "nearest", "nearest-bilinear"),
        "transposed": ("separable", "full"),
        "multiplier_at": ("all", "inner"),
        "order": ("norm-activation", "activation-norm"),
    }
)
# A file's description is not trusted to ask for any number of layers.
_LIMITS: Mapping[str, int] = MappingProxyType({"residual_blocks": 100, "multiplier": 64, "widths": 4096})


@dataclass(frozen=True)
class Architecture:
    """A network of document 003, section 3.2: two convolutions down, residual blocks, two up, 9×9 at both ends.

    Every field that a document leaves open says so.

    norm: "batch" (document 003) or "instance" (document 004, after Ulyanov et al. 2016).
    convolution: "full", or "separable": depthwise, then pointwise (document 004).
    upsampling: of the two layers with stride ½. "transposed": transposed convolutions (document 003; DepSep);
    "nearest": nearest-neighbour up-sampling, then a convolution of the network's kind (DepSep-NN; the convolution is
    our reading, since the channels become fewer); "nearest-bilinear": before it, nearest and bilinear up-sampling
    concatenated, twice the channels (DepSep-NN-Bil).
    multiplier: channels that a depthwise convolution makes of each channel (document 004: 4).
    multiplier_at: open. "all" separable layers, as document 004's caption reads; "inner": not in the 9×9 ends, where
    four times the channels cost most. separable_ends: open. True, as the caption reads.
    transposed: open. "separable", a depthwise transposed convolution and a pointwise one (the caption replaces "the
    convolutional layers"), or "full".
    norm_between: open. A norm also between depthwise and pointwise; false, since the document has it "after every
    depthwise separable convolutional layer". norm_last: open. A norm also behind the last convolution, document 004's
    "every" word for word; false, as in Johnson et al. 2016, section 3.1.
    order: open. "norm-activation", as document 003 names batch norm and ReLU, or "activation-norm". A residual block's
    second convolution has no ReLU, and none follows the sum (Johnson et al. 2016, supplement).
    widths: channels behind the first three convolutions, Johnson's (2016, supplement, table 1); document 003 gives
    none. residual_blocks: five, document 003.

    Raises `NetworkError` for a value that a field does not have.
    """

    norm: str = "batch"
    convolution: str = "full"
    upsampling: str = "transposed"
    multiplier: int = 4
    multiplier_at: str = "all"
    separable_ends: bool = True
    transposed: str = "separable"
    norm_between: bool = False
    norm_last: bool = False
    order: str = "norm-activation"
    widths: tuple[int, int, int] = (32, 64, 128)
    residual_blocks: int = 5

    def __post_init__(self) -> None:
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise NetworkError(
                    f"An architecture has no {name} {getattr(self, name)!r}; expected one of {', '.join(allowed)}."
                )
        for name in ("separable_ends", "norm_between", "norm_last"):
            if not isinstance(getattr(self, name), bool):
                raise NetworkError(f"An architecture's {name} is true or false, got {getattr(self, name)!r}.")
        if not isinstance(self.widths, tuple | list) or len(self.widths) != 3:
            raise NetworkError(f"An architecture's widths are three numbers of channels, got {self.widths!r}.")
        object.__setattr__(self, "widths", tuple(self.widths))
        numbers = [("widths", width, 1) for width in self.widths]
        numbers += [("multiplier", self.multiplier, 1), ("residual_blocks", self.residual_blocks, 0)]
        for name, number, least in numbers:
            if isinstance(number, bool) or not isinstance(number, int) or not least <= number <= _LIMITS[name]:
                raise NetworkError(
                    f"An architecture's {name} must be whole and from {least} to {_LIMITS[name]}, got {number!r}."
                )


ARCHITECTURES: Mapping[str, Architecture] = MappingProxyType(
    {
        # Document 003, section 3.2; Johnson et al. 2016.
        "johnson": Architecture(),
        # Document 004's baseline: the same with the norm that all of its networks have.
        "johnson-in": Architecture(norm="instance"),
        # Document 004, figures "DepSep", "DepSep-NN" and "DepSep-NN-Bil".
        "depsep": Architecture(norm="instance", convolution="separable"),
        "depsep-nn": Architecture(norm="instance", convolution="separable", upsampling="nearest"),
        "depsep-nn-bil": Architecture(norm="instance", convolution="separable", upsampling="nearest-bilinear"),
    }
)


def architecture(name: str | Architecture, **changes: Any) -> Architecture:
    """Return a named architecture, with `changes` of its fields; an unknown name or field is a `NetworkError`.

    `architecture("depsep", multiplier=1)` is DepSep with plain depthwise convolutions.
    """
    if isinstance(name, str):
        if name not in ARCHITECTURES:
            raise NetworkError(unknown(name, ARCHITECTURES, "architecture", "The project"))
        name = ARCHITECTURES[name]
    odd = sorted(set(changes) - set(asdict(name)))
    if odd:
        raise NetworkError(f"An architecture has no {', '.join(odd)}; it has {', '.join(asdict(name))}.")
    return replace(name, **changes)


LEAST_SIZE = 5
"""Pixels of the least height and width: the 9×9 ends reflect four pixels, which takes five to reflect in."""

_STRIDE = 4  # two convolutions of stride 2


class StyleNetwork(nn.Module):
    """A network built from an `Architecture`, or from the name of one.

    Called with pictures (N, 3, H, W), sRGB in [0, 1], of any size from `LEAST_SIZE` up, it gives pictures of the same
    shape in [0, 1]: the output layer is (tanh + 1) / 2, document 003's "scaled tanh". A size that two convolutions of
    stride 2 would not give back is reflected up to a multiple of 4 at the bottom and the right, and cut afterwards.
    Convolutions reflect at the border too; transposed ones cannot, and see zeros there. A convolution has a bias only
    where no norm stands directly behind it and would take the bias out again.

    seed: of the initial weights, PyTorch's usual ones (He et al. 2015, uniform, gain 1/√3), the global random state
    left as it is. Document 003 gives no initialisation.
    Raises `NetworkError` for pictures of another shape or too small.
    """

    def __init__(self, what: str | Architecture, seed: int = 0) -> None:
        super().__init__()
        self.architecture = architecture(what)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.body = _body(self.architecture)

    def forward(self, pictures: Tensor) -> Tensor:
        """Stylise pictures (N, 3, H, W) in [0, 1] to pictures of the same shape in [0, 1]."""
        if pictures.ndim != 4 or pictures.shape[1] != 3:
            raise NetworkError(f"Pictures must be (N, 3, H, W), got shape {tuple(pictures.shape)}.")
        height, width = pictures.shape[-2:]
        if height < LEAST_SIZE or width < LEAST_SIZE:
            raise NetworkError(
                f"A picture of {width}×{height} px is too small for this network: the least size is "
                f"{LEAST_SIZE}×{LEAST_SIZE} px. Use a larger picture."
            )
        padded = functional.pad(pictures, (0, _missing(width), 0, _missing(height)), "reflect")
        return (torch.tanh(self.body(padded))[..., :height, :width] + 1) / 2


def _missing(size: int) -> int:
    """Pixels up to the next multiple of the stride."""
    # With a negative modulus instead, the export to ONNX takes half as long again to reason about sizes.
    return (size + _STRIDE - 1) // _STRIDE * _STRIDE - size


class InstanceNorm(nn.GroupNorm):
    """Instance norm with a learned scale and shift, as a group norm of one channel a group.

    The same arithmetic; but PyTorch's own instance norm copies channels-last pictures to and fro.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        last = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
        if not (self.training and last and x.device.type == "cpu"):
            return super().forward(x)
        # Here the group norm's way back takes twice as long as the batch norm's, which for one picture is the same.
        each = [
            functional.batch_norm(picture, None, None, self.weight, self.bias, training=True, eps=self.eps)
            for picture in x.split(1)
        ]
        return torch.cat(each)


class Upsample(nn.Module):
    """Twice the height and width: (N, C, H, W) to (N, C, 2H, 2W), or 2C channels with `bilinear` behind nearest."""

    def __init__(self, bilinear: bool) -> None:
        super().__init__()
        self.bilinear = bilinear

    def forward(self, x: Tensor) -> Tensor:
        nearest = functional.interpolate(x, scale_factor=2, mode="nearest")
        if not self.bilinear:
            return nearest
        return torch.cat([nearest, functional.interpolate(x, scale_factor=2, mode="bilinear")], dim=1)


class Residual(nn.Module):
    """x + body(x)."""

    def __init__(self, *body: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(*body)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def _body(spec: Architecture) -> nn.Sequential:
    """Return everything but the padding, the cut and the tanh."""
    first, second, third = spec.widths
    layers: list[nn.Module] = [
        _layer(spec, 3, first, kernel=9, end=True),
        _layer(spec, first, second, stride=2),
        _layer(spec, second, third, stride=2),
    ]
    for _ in range(spec.residual_blocks):
        layers.append(Residual(_layer(spec, third, third), _layer(spec, third, third, activation=False)))
    layers += [_up(spec, third, second), _up(spec, second, first)]
    layers.append(_layer(spec, first, 3, kernel=9, end=True, norm=spec.norm_last, activation=False))
    return nn.Sequential(*layers)


def _layer(
    spec: Architecture,
    before: int,
    after: int,
    *,
    kernel: int = 3,
    stride: int = 1,
    end: bool = False,
    transposed: bool = False,
    norm: bool = True,
    activation: bool = True,
) -> nn.Sequential:
    """Return a convolution, full or separable, with its norm and its ReLU, in the order that `spec` says."""

    def convolution(before: int, after: int, bias: bool, groups: int = 1, kernel: int = kernel) -> nn.Module:
        if transposed and kernel > 1:
            return nn.ConvTranspose2d(
                before, after, kernel, stride, kernel // 2, output_padding=stride - 1, groups=groups, bias=bias
            )
        mode = "reflect" if kernel > 1 else "zeros"
        step = stride if kernel > 1 else 1
        return nn.Conv2d(before, after, kernel, step, kernel // 2, groups=groups, bias=bias, padding_mode=mode)  # type: ignore[arg-type]

    bias = not norm or (activation and spec.order == "activation-norm")
    full = (end and not spec.separable_ends) or (transposed and spec.transposed == "full")
    if spec.convolution == "separable" and not full:
        middle = before * (1 if end and spec.multiplier_at == "inner" else spec.multiplier)
        # What a pointwise convolution makes of a depthwise one's bias, its own bias makes as well.
        steps = [convolution(before, middle, bias=False, groups=before)]
        steps += [_norm(spec, middle)] if spec.norm_between else []
        steps.append(convolution(middle, after, bias, kernel=1))
    else:
        steps = [convolution(before, after, bias)]
    behind = [_norm(spec, after)] if norm else []
    if activation:
        behind.insert(1 if spec.order == "norm-activation" else 0, nn.ReLU(inplace=True))
    return nn.Sequential(*steps, *behind)


def _up(spec: Architecture, before: int, after: int) -> nn.Sequential:
    if spec.upsampling == "transposed":
        return _layer(spec, before, after, stride=2, transposed=True)
    both = spec.upsampling == "nearest-bilinear"
    return nn.Sequential(Upsample(both), *_layer(spec, before * (2 if both else 1), after))


def _norm(spec: Architecture, channels: int) -> nn.Module:
    return nn.BatchNorm2d(channels) if spec.norm == "batch" else InstanceNorm(channels)


@dataclass(frozen=True)
class Counts:
    """Sizes of a network, for tables. parameters: learned numbers; multiply_adds: of its convolutions, one pass."""

    parameters: int
    multiply_adds: int


def count(what: str | Architecture, height: int = 256, width: int = 256) -> Counts:
    """Count parameters, and the multiply-adds of one picture of `height` × `width` px; nothing is computed for it."""
    with torch.device("meta"):
        network, picture = StyleNetwork(what).eval(), torch.empty(1, 3, height, width)
    with torch.no_grad():
        operations = multiply_adds(lambda: network(picture))
    return Counts(sum(weights.numel() for weights in network.parameters()), operations)


def multiply_adds(function: Callable[[], object]) -> int:
    """Count the multiply-adds of a call: those of its convolutions and matrix products, forwards and backwards."""
    with FlopCounterMode(display=False) as counter:
        function()
    # The counter gives operations, of which a multiply-add is two.
    return int(counter.get_total_flops()) // 2


def one_pass(what: str | Architecture, height: int, width: int) -> Callable[[], Tensor]:
    """Return a call of a freshly made network on a `height` × `width` picture, to be timed and weighed."""
    network = StyleNetwork(what).eval()
    picture = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0))
    return torch.no_grad()(lambda: network(picture))
