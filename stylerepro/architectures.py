"""What each feed-forward network is, without building it: Johnson's and document 004's three efficient ones.

Kept free of torch, so that planning a run or printing help costs nothing.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any

from stylerepro.errors import NetworkError

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
# Fields without effect on full convolutions.
_OF_SEPARABLE = ("multiplier", "multiplier_at", "separable_ends", "transposed", "norm_between")
# A file's description is not trusted to ask for any number of layers.
_LIMITS: Mapping[str, int] = MappingProxyType({"residual_blocks": 100, "multiplier": 64, "widths": 4096})


@dataclass(frozen=True)
class Architecture:
    """A network of document 003, section 3.2: two convolutions down, residual blocks, two up, 9×9 at both ends.

    Every field that a document leaves open says so.

    norm: "batch" (document 003) or "instance" (document 004, after Ulyanov et al. 2016).
    convolution: "full", or "separable": depthwise, then pointwise (document 004).
    upsampling: of the two layers with stride ½. "transposed": transposed convolutions (document 003; DepSep);
    "nearest": nearest-neighbour up-sampling, then a convolution of the network's kind (DepSep-NN);
    "nearest-bilinear": the nearest and the bilinear up-sampling concatenated, so that the convolution behind them sees
    twice the channels (DepSep-NN-Bil). That a convolution follows is our reading: without one, the channels could not
    become fewer.
    multiplier: channels that a depthwise convolution makes of each channel (document 004: 4). Without effect where
    `convolution` is "full".
    multiplier_at: open in document 004, whose figures alone show it. "all": in every separable layer, as its caption
    reads; "inner": not in the 9×9 ends, where four times the channels at the picture's own size cost most.
    separable_ends: open too. Whether the 9×9 ends are separable; true, as the caption reads.
    transposed: open too. DepSep's transposed convolution: "separable", a depthwise transposed one, then a pointwise
    one (the caption replaces "the convolutional layers"), or "full".
    norm_between: open too. A norm (no activation) also between depthwise and pointwise. False: the document has it
    "after every depthwise separable convolutional layer", read as once behind the pair.
    norm_last: open. A norm also behind the last convolution, which document 004's "every" would mean word for word.
    False, as in Johnson et al. 2016, section 3.1: the output layer has the scaled tanh instead.
    order: open. "norm-activation" (batch norm and ReLU, in the order in which document 003 names them) or
    "activation-norm". Either way a residual block's second convolution has no ReLU, and none follows the sum
    (Johnson et al. 2016, supplement).
    widths: channels behind the first, second and third convolution. Document 003 gives none: these are Johnson's
    (Johnson et al. 2016, supplement, table 1). residual_blocks: five, document 003.

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

    @property
    def label(self) -> str:
        """The nearest name of `ARCHITECTURES`, with what differs from it: "depsep, multiplier=1"."""
        mine = asdict(self)
        idle = _OF_SEPARABLE if self.convolution == "full" else ()
        differences = {
            name: [f"{key}={mine[key]}" for key, value in asdict(one).items() if mine[key] != value and key not in idle]
            for name, one in ARCHITECTURES.items()
        }
        nearest = min(differences, key=lambda name: len(differences[name]))
        return ", ".join([nearest, *differences[nearest]])


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
    """A named architecture, with `changes` of its fields; an unknown name or field is a `NetworkError`.

    `architecture("depsep", multiplier=1)` is DepSep with plain depthwise convolutions.
    """
    if isinstance(name, str):
        if name not in ARCHITECTURES:
            near = get_close_matches(name, ARCHITECTURES, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise NetworkError(f"There is no architecture {name!r}.{hint} Known: {', '.join(ARCHITECTURES)}.")
        name = ARCHITECTURES[name]
    known = [one.name for one in fields(Architecture)]
    unknown = sorted(set(changes) - set(known))
    if unknown:
        raise NetworkError(f"An architecture has no {', '.join(unknown)}; it has {', '.join(known)}.")
    return replace(name, **changes)
