"""Recipe of a training of a feed-forward network: every setting, with its default stated once, and the loss."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from stylerepro.errors import TransferError
from stylerepro.networks.feed_forward import Architecture, architecture
from stylerepro.networks.loss_network import LossNetwork
from stylerepro.networks.specs import DEFAULT_NETWORK, resolve
from stylerepro.pictures.samples import CONTENTS
from stylerepro.training.photographs import Photographs
from stylerepro.transfer.objective import (
    CONTENT_LAYERS,
    STYLE_LAYERS,
    TERMS,
    Conventions,
    build_objective,
    conventions,
    weights_of_layers,
)

_CHOICES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "optimiser": ("adam", "sgd"),
        "rate": ("constant", "cosine"),
        "precision": ("no", "bf16"),
        "crop": ("random", "stretch"),
    }
)


@dataclass(frozen=True)
class Recipe:
    """A training, as document 003 (section 4, "Fast Style Transfer") has it where nothing else is said.

    architecture: a name of `feed_forward.ARCHITECTURES`, or an `Architecture`.
    loss_network, content_layers, style_layers: as of `transfer.transfer`; a sequence of style layers shares a weight of
    1 equally (the document: 0.2 each), content layers weigh 1 each.
    content_weight, style_weight, tv_weight: λ_c, λ_s, λ_TV.
    convention: how the terms are written; feature loss, Gram and style loss as in section 3.3. The total variation has
    no formula there, and section 4's sum over all pixels would outweigh the other terms ten thousandfold at λ_TV = 200:
    our reading is a mean, of squared differences as in Johnson et al. 2016. On `scale="unit"` weights mean the same on
    every loss network.
    photographs, leave_out, size, crop: as `photographs.Photographs` has them; the document's crop is "stretch".
    batch: pictures a step over all processes together. accumulation: parts that a process's share of it is computed
    in, to fit memory. steps: updates of the network; two epochs of COCO's 82,783 pictures.
    optimiser: "adam" with `betas`, or "sgd", plain (document 004 names both, and betas of 0.999 and 0.99).
    rate: "constant", or "cosine", which lets the learning rate fall to zero at the last step.
    precision: "no" is float32; "bf16" computes network and loss network in bfloat16 where that is safe.
    seed: of the initial weights and of the order of the pictures.

    Raises `TransferError` or `NetworkError` for a value that a field does not have.
    """

    architecture: str | Architecture = "johnson"
    loss_network: str = DEFAULT_NETWORK
    content_layers: Sequence[str] | Mapping[str, float] = CONTENT_LAYERS
    style_layers: Sequence[str] | Mapping[str, float] = STYLE_LAYERS
    content_weight: float = 2.0
    style_weight: float = 40.0
    tv_weight: float = 200.0
    convention: str | Conventions = field(
        default_factory=lambda: conventions("johnson/unit", tv_norm="squared", tv_reduction="mean")
    )
    photographs: str = "embedded"
    leave_out: Sequence[str] = ()
    size: int = 256
    crop: str = "random"
    batch: int = 8
    accumulation: int = 1
    steps: int = 20_696
    optimiser: str = "adam"
    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    rate: str = "constant"
    precision: str = "no"
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "architecture", architecture(self.architecture))
        object.__setattr__(self, "convention", conventions(self.convention))
        object.__setattr__(self, "betas", tuple(self.betas))
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise TransferError(f"Unknown {name} {getattr(self, name)!r}; expected one of {', '.join(allowed)}.")
        for name in ("size", "batch", "accumulation", "steps"):
            if getattr(self, name) < 1:
                raise TransferError(f"{name} must be at least 1, got {getattr(self, name)}.")
        for name in ("content_weight", "style_weight", "tv_weight"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) >= 0):
                raise TransferError(f"{name} must be finite and not negative, got {getattr(self, name)}.")
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise TransferError(f"learning_rate must be finite and above 0, got {self.learning_rate}.")
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise TransferError(f"betas are two numbers from 0 up to but not 1, got {self.betas}.")

    @property
    def layer_weights(self) -> dict[str, dict[str, float]]:
        """Return weights by layer, for "content" and "style"; the layers rectified where the convention says so."""
        return weights_of_layers(self.content_layers, self.style_layers, conventions(self.convention).rectified)

    def pictures(self) -> Photographs:
        """Find the photographs to train on. Raises what `Photographs` raises."""
        return Photographs(self.photographs, size=self.size, crop=self.crop, seed=self.seed, leave_out=self.leave_out)

    def described(self) -> dict[str, Any]:
        """Describe every setting in plain values, for a file or a table; of a folder of photographs, its name alone."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(replace(self, leave_out=list(self.leave_out)))))
        return plain | {"photographs": Path(self.photographs).name}

    def settings(self) -> dict[str, str]:
        """Return the settings that must be the same for a training to go on from a checkpoint.

        More steps at a constant rate are the same training gone further; how a batch is divided is arithmetic's order.
        """
        free = {"accumulation"} | ({"steps"} if self.rate == "constant" else set())
        return {name: json.dumps(value) for name, value in self.described().items() if name not in free}


def chapter_recipe(
    architecture: str | Architecture,
    network: str,
    *,
    held_out: Sequence[str],
    photographs: str,
    style_layer_weight: float,
    convention: str = "johnson/unit",
    tv_norm: str = "squared",
    **settings: Any,
) -> Recipe:
    """Make a recipe as the chapters on feed-forward networks share it: document 003's losses.

    network: the loss network. held_out: names of photographs that judge, and are not learned from where `photographs`
    has them. style_layer_weight: of each style layer. convention: of the losses, a name that says the feature scale.
    tv_norm: of the total variation, a mean over pixels. settings: further ones of `Recipe`.
    """
    embedded = CONTENTS if photographs == "embedded" else ()
    settings = {"leave_out": tuple(name for name in held_out if name in embedded)} | settings
    how = conventions(convention, tv_reduction="mean", tv_norm=tv_norm)
    layers = dict.fromkeys(STYLE_LAYERS, style_layer_weight)
    return Recipe(
        architecture, resolve(network), style_layers=layers, convention=how, photographs=photographs, **settings
    )


class Criterion:
    """The three terms of document 003, section 3.3, against one style and whatever photographs come.

    style: (1, 3, h, w), of any size; its Gram matrices are computed once, here.
    The loss network is cut off behind the deepest layer that is needed, and earlier still for the photographs, whose
    features need no style layer and no gradient.
    """

    def __init__(self, style: Tensor, recipe: Recipe, device: str | torch.device = "cpu") -> None:
        how, layers = conventions(recipe.convention), recipe.layer_weights
        dtype = torch.bfloat16 if recipe.precision == "bf16" else torch.float32

        network = partial(
            LossNetwork, recipe.loss_network, pooling=how.pooling, scale=how.scale, device=device, dtype=dtype
        )
        whole = network(list(layers["content"] | layers["style"]))
        self._of_photographs = network(list(layers["content"])) if layers["content"] else None
        weights = {name: torch.tensor([getattr(recipe, f"{name}_weight")]).float().to(device) for name in TERMS}
        style = style.to(device)
        self._objective = build_objective(whole, how, style, [style], weights, {}, layers["style"])
        self._objective.layer_weights["content"] = layers["content"]

    def __call__(self, made: Tensor, photographs: Tensor) -> dict[str, Tensor]:
        """Return content, style, tv (unweighted) and total of the pictures `made` from `photographs`, each (N,)."""
        if self._of_photographs is not None:
            with torch.no_grad():
                self._objective.content_targets = self._of_photographs(photographs)
        terms = self._objective.terms(made)
        return terms | {"total": self._objective.total(terms)}
