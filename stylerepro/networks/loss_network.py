"""Loss networks: from pictures to features by the documents' layer names."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from stylerepro.errors import NetworkError, unknown
from stylerepro.networks import weights
from stylerepro.networks.specs import NETWORKS, NetworkSpec, resolve
from stylerepro.pictures import images, samples

POOLINGS = ("max", "average")
SCALES = ("native", "deviations", "unit")
DEVIATION = 58.0
"""Of the pixels of photographs, on 0 … 255: what the scale "deviations" divides by, for all three channels alike."""


class LossNetwork(nn.Module):
    """A frozen VGG-shaped network that is cut off behind the deepest layer asked for.

    name: one of `NETWORKS`, "default", or a `NetworkSpec` of your own.
    layers: names such as `conv4_2` (the convolution, before its ReLU), `relu4_2` (after it) or `pool4`.
    pooling: "max", or "average" as Gatys et al. 2016 recommend.
    scale: "native", the features as the network gives them; "deviations", as they are with the input in standard
    deviations of pixels: those of a network that takes 0 … 255 divided by 58 (a ReLU passes a positive factor on),
    those of torchvision's own trainings as they are; or "unit", every layer divided by its root mean square over the
    embedded photographs at 256 px, which makes weights comparable across layers and networks.
    dtype: of weights and arithmetic. With bfloat16 the features are handed out as float32.
    state: the weights, by the names that the spec's `keys` describe; None reads them from where the spec says.

    Called with pictures (N, 3, H, W), sRGB in [0, 1], it gives a dict from layer name to features (N, C, h, w), in the
    order asked for. The network's own normalisation happens inside.

    Raises `NetworkError` for an unknown name or layer, for a picture too small, and for weights that cannot be had or
    lack a tensor or its shape.
    Document 003 and Gatys et al. 2016 take the rectified features, `relu4_2`, where they write conv4_2.
    """

    def __init__(
        self,
        name: str | NetworkSpec,
        layers: Sequence[str],
        *,
        pooling: str = "max",
        scale: str = "native",
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
        state: Mapping[str, Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.spec = NETWORKS[resolve(name)] if isinstance(name, str) else name
        self.name, self.layers = self.spec.name, tuple(layers)
        self.pooling, self.scale, self.dtype = pooling, scale, dtype
        for what, choice, allowed in (("pooling", pooling, POOLINGS), ("scale", scale, SCALES)):
            if choice not in allowed:
                raise NetworkError(f"Unknown {what} {choice!r}; expected one of {', '.join(allowed)}.")
        if not layers:
            raise NetworkError("LossNetwork needs at least one layer, for example layers=['relu4_2'].")
        for layer in layers:
            if layer not in self.spec.layers:
                raise NetworkError(unknown(layer, list(self.spec.layers), "layer", self.spec.name))
        deepest = max(map(self.spec.layers.index, layers))
        if self.spec.trunk and self.spec.layers[deepest].startswith("conv"):
            deepest += 1  # a head reads the rectified features
        self._steps = self.spec.layers[: deepest + 1]
        own, state = state, weights.load(self.spec) if state is None else state
        convolutions = [step for step in self._steps if step.startswith("conv")]
        self.convolutions = nn.ModuleDict({step: _convolution(state, step, self.spec) for step in convolutions})
        self.heads = nn.ModuleDict()
        if self.spec.trunk:
            heads = dict.fromkeys(_head(step, self.spec.depths) for step in self._steps if step in self.layers)
            self.heads.update({head: _convolution(state, head, self.spec) for head in heads})
        matrix, offset = _normalisation(self.spec, state)
        self.register_buffer("matrix", matrix, persistent=False)
        self.register_buffer("offset", offset, persistent=False)
        # Channels last makes these convolutions up to twice as fast on a CPU, with the same arithmetic.
        self.to(device=device, dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if dtype == torch.bfloat16:
            # Eight bits of mantissa would round Caffe's 0 … 255 to whole numbers: normalise in float32.
            self.matrix, self.offset = self.matrix.float(), self.offset.float()
        self.requires_grad_(False).eval()
        self._divisors: Mapping[str, float] = MappingProxyType({})
        if scale == "unit":
            known = own is None and _root_mean_squares(self.spec, self.layers, pooling, str(device), dtype)
            self._divisors = MappingProxyType(known or self.root_mean_squares())
        elif scale == "deviations" and max(self.spec.deviation) == 1:
            self._divisors = MappingProxyType(dict.fromkeys(self.layers, DEVIATION))

    matrix: Tensor
    offset: Tensor

    @property
    def least_size(self) -> int:
        """Smallest height and width, in pixels, that still reach the deepest layer asked for."""
        pools = sum(step.startswith("pool") for step in self._steps)
        # A reflecting convolution needs two pixels to reflect in.
        return 2**pools * (2 if self.spec.padding == "reflect" else 1)

    def forward(self, pictures: Tensor) -> dict[str, Tensor]:
        """Return features of `pictures` (N, 3, H, W) in [0, 1], by layer name."""
        if pictures.ndim != 4 or pictures.shape[1] != 3:
            raise NetworkError(f"Pictures must be (N, 3, H, W), got shape {tuple(pictures.shape)}.")
        if min(pictures.shape[-2:]) < self.least_size:
            raise NetworkError(
                f"A picture of {pictures.shape[-1]}×{pictures.shape[-2]} px is too small for {self._steps[-1]} of "
                f"{self.name}: the least size is {self.least_size}×{self.least_size} px. "
                "Use a larger picture or a shallower layer."
            )
        x = pictures.to(self.matrix.dtype, memory_format=torch.channels_last)
        x = functional.conv2d(x, self.matrix, self.offset).to(self.dtype)
        features = self._by_heads(x) if self.spec.trunk else self._by_convolutions(x)
        return {layer: self._hand_out(layer, features[layer]) for layer in self.layers}

    def _by_convolutions(self, x: Tensor) -> dict[str, Tensor]:
        features: dict[str, Tensor] = {}
        handed_out = True  # the pictures are the caller's
        for step in self._steps:
            # In place only where nobody was handed the convolution: its features would become rectified ones.
            x = self._take(step, x, inplace=not handed_out)
            handed_out = step in self.layers
            if handed_out:
                features[step] = x
        return features

    def _by_heads(self, picture: Tensor) -> dict[str, Tensor]:
        features: dict[str, Tensor] = {}
        x = shown = picture
        for step in self._steps:
            x = self._take(step, x, inplace=True)
            head = _head(step, self.spec.depths)
            if step.startswith("relu") and head in self.heads:
                shown = convolve(self.heads[head], picture if head == "head1_1" else x)  # type: ignore[arg-type]
                convolution = step.replace("relu", "conv")
                features[convolution] = shown
                if step in self.layers or f"pool{step[4]}" in self.layers:
                    shown = features[step] = functional.relu(shown, inplace=convolution not in self.layers)
            elif step.startswith("pool") and step in self.layers:
                features[step] = self._take(step, shown, inplace=False)
        return features

    def _take(self, step: str, x: Tensor, inplace: bool) -> Tensor:
        if step.startswith("conv"):
            return convolve(self.convolutions[step], x)  # type: ignore[arg-type]
        if step.startswith("relu"):
            return functional.relu(x, inplace=inplace)
        return functional.max_pool2d(x, 2) if self.pooling == "max" else functional.avg_pool2d(x, 2)

    def _hand_out(self, layer: str, features: Tensor) -> Tensor:
        if self.dtype == torch.bfloat16:
            features = features.float()
        divisor = self._divisors.get(layer)
        return features if divisor is None else features / divisor

    @torch.no_grad()
    def root_mean_squares(self, size: int = 256) -> dict[str, float]:
        """Return the root mean square of each layer over the embedded photographs, shorter side `size` px."""
        device = self.matrix.device
        squares = dict.fromkeys(self.layers, 0.0)
        for name in samples.CONTENTS:
            for layer, features in self(images.read(name, size=max(size, self.least_size)).to(device)).items():
                squares[layer] += float(features.square().mean()) / len(samples.CONTENTS)
        return {layer: square**0.5 for layer, square in squares.items()}


@lru_cache(maxsize=64)
def _root_mean_squares(
    spec: NetworkSpec, layers: tuple[str, ...], pooling: str, device: str, dtype: torch.dtype
) -> dict[str, float]:
    """The unit scale of a network with its own weights: eight passes, which no second transfer makes again."""
    return LossNetwork(spec, layers, pooling=pooling, device=device, dtype=dtype).root_mean_squares()


def layer_names(layers: Sequence[str], rectified: bool) -> list[str]:
    """Read the documents' `conv4_2` as `relu4_2` where `rectified`, as document 003's derivative shows."""
    return [name.replace("conv", "relu") if rectified else name for name in layers]


def _present(device: str) -> torch.device:
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # no such kind, none of that number, a PyTorch without it
        gpus = ["cuda", *map("cuda:{}".format, range(torch.cuda.device_count()))] if torch.cuda.is_available() else []
        here = ", ".join([*gpus, *["mps"] * torch.backends.mps.is_available(), "cpu"])
        raise NetworkError(f"This machine has no device {device!r}. It has: {here}; auto takes the first.") from error
    return torch.device(device)


def pick_device(device: str = "auto") -> torch.device:
    """Return the device of that name; "auto" takes CUDA, then Apple's MPS, then the CPU.

    Raises `NetworkError`, with the names of those that there are, for one that this machine lacks.
    """
    if device != "auto":
        return _present(device)
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def _head(step: str, depths: Sequence[int]) -> str:
    """The head that gives the features of a step; a pooling's are those of the last convolution before it."""
    return f"head{step[4:]}_{depths[int(step[4]) - 1]}" if step.startswith("pool") else f"head{step[4:]}"


def _convolution(state: Mapping[str, Tensor], layer: str, spec: NetworkSpec) -> nn.Conv2d:
    """A convolution of the network, or the head behind it: `head4_2`."""
    convs = [name for name in spec.layers if name.startswith("conv")]
    position, block = convs.index(layer.replace("head", "conv")), int(layer[4]) - 1
    inner = spec.trunk or spec.widths
    before = 3 if position == 0 else inner[int(convs[position - 1][4]) - 1]
    kernel, behind = 3, inner[block]
    if layer.startswith("head"):
        kernel, before, behind = (3, 3, spec.widths[0]) if position == 0 else (1, inner[block], spec.widths[block])
    mode: Literal["reflect", "zeros"] = "reflect" if spec.padding == "reflect" else "zeros"
    convolution = nn.Conv2d(before, behind, kernel, padding=kernel // 2, padding_mode=mode)
    if spec.keys == "random":
        generator = torch.Generator().manual_seed(position)
        deviation = (2 / (kernel**2 * before)) ** 0.5  # He et al. 2015: keeps the features' scale through ReLUs
        weight = torch.randn(convolution.weight.shape, generator=generator) * deviation
        bias = torch.randn(convolution.bias.shape, generator=generator) * 0.1  # type: ignore[union-attr]
    else:
        # torchvision numbers the members of one nn.Sequential: each convolution, ReLU and pooling counts.
        numbered = f"features.{spec.layers.index(layer)}" if spec.keys == "torchvision" else ""
        key = {"torchvision": numbered, "distilled": layer.replace("_", ""), "layers": layer}[spec.keys]
        weight, bias = _tensor(state, f"{key}.weight", spec), _tensor(state, f"{key}.bias", spec)
    given, wanted = (weight.shape, bias.shape), (convolution.weight.shape, convolution.bias.shape)  # type: ignore[union-attr]
    if given != wanted:
        shapes = [" and ".join(str(tuple(shape)) for shape in both) for both in (given, wanted)]
        raise NetworkError(f"The weights of {spec.name} at {layer} are {shapes[0]}; expected {shapes[1]}.")
    convolution.load_state_dict({"weight": weight, "bias": bias})
    return convolution


def _tensor(state: Mapping[str, Tensor], name: str, spec: NetworkSpec) -> Tensor:
    for stored in (name, weights.PARALLEL + name):
        if stored in state:
            return state[stored]
    raise NetworkError(
        f"The weights of {spec.name} have no tensor {name!r}; there are {', '.join(list(state)[:6]) or 'none'} …. "
        f"Give weights with the names that keys={spec.keys!r} stands for, or another spec."
    )


def _normalisation(spec: NetworkSpec, state: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Return the network's normalisation of RGB in [0, 1] as a 1×1 convolution: (3, 3, 1, 1) and (3,)."""
    if spec.keys == "distilled":
        return _tensor(state, "conv0.weight", spec), _tensor(state, "conv0.bias", spec)
    mean, deviation = torch.tensor(spec.mean), torch.tensor(spec.deviation)
    return torch.diag(255 / deviation).reshape(3, 3, 1, 1), -mean / deviation


def convolve(convolution: nn.Conv2d, x: Tensor) -> Tensor:
    """Return `convolution(x)`, with less memory where its weights are frozen.

    The gradient with respect to the input needs the weights and not the input, yet `torch.conv2d` keeps both; with
    reflection padding the input is a padded copy that nothing else needs. Only first derivatives exist. Weights that
    ask for a gradient go through the convolution's own path.
    """
    if convolution.weight.requires_grad:
        return convolution(x)
    padding = convolution.padding[0]
    if convolution.padding_mode == "reflect":
        x, padding = functional.pad(x, (int(padding),) * 4, "reflect"), 0
    return _Frozen.apply(x, convolution.weight, convolution.bias, padding)


class _Frozen(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, padding: int) -> Tensor:
        ctx.save_for_backward(weight)
        ctx.shape, ctx.padding = x.shape, padding
        return functional.conv2d(x, weight, bias, padding=padding)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        (weight,) = ctx.saved_tensors
        # The derivative asks the input for its shape alone.
        shape = gradient.new_empty(1).expand(ctx.shape)
        of_input, _, _ = torch.ops.aten.convolution_backward(
            gradient, shape, weight, None, (1, 1), (ctx.padding,) * 2, (1, 1), False, (0, 0), 1, (True, False, False)
        )
        return of_input, None, None, None
