"""The objective of a transfer: conventions made explicit, targets computed once, terms of one value an image."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from types import MappingProxyType

import torch
from torch import Tensor
from torch.nn import functional

from stylerepro.errors import TransferError
from stylerepro.networks.loss_network import POOLINGS, SCALES, LossNetwork, layer_names
from stylerepro.transfer import losses

CONTENT_LAYERS = ("conv4_2",)
STYLE_LAYERS = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")
TERMS = ("content", "style", "tv")
"""Terms that every objective has; a `Term` of one's own comes after them."""


@dataclass(frozen=True)
class Conventions:
    """The ways in which the loss terms are written. A weight means nothing without them, so every table shows them.

    content, style: of `losses.KINDS`; gram: of `losses.GRAM_NORMALISATIONS`. style_factor: divide the style loss by
    4N²M². tv_norm, tv_reduction: of the total variation. epsilon: Charbonnier's ε.
    rectified: read `conv4_2` as `relu4_2`. pooling, scale: of the loss network.
    """

    content: str = "half_sum"
    style: str = "squared"
    gram: str = "none"
    style_factor: bool = True
    tv_norm: str = "l1"
    tv_reduction: str = "sum"
    epsilon: float = 1e-3
    rectified: bool = True
    pooling: str = "max"
    scale: str = "native"

    def __post_init__(self) -> None:
        known = {
            "content": self.content in losses.KINDS,
            "style": self.style in losses.KINDS,
            "gram": self.gram in losses.GRAM_NORMALISATIONS,
            "tv_norm": self.tv_norm in losses.TV_NORMS,
            "tv_reduction": self.tv_reduction in losses.TV_REDUCTIONS,
            "pooling": self.pooling in POOLINGS,
            "scale": self.scale in SCALES,
        }
        for name, value in asdict(self).items():
            if not known.get(name, True):
                raise TransferError(
                    f"Unknown {name} {value!r} among the conventions; expected one of {', '.join(_CHOICES[name])}."
                )


# For messages. Whether a name is known is asked of each mapping by key, so that a run depends on the entry it names.
_CHOICES: Mapping[str, Collection[str]] = MappingProxyType(
    {
        "content": losses.KINDS,
        "style": losses.KINDS,
        "gram": losses.GRAM_NORMALISATIONS,
        "tv_norm": losses.TV_NORMS,
        "tv_reduction": losses.TV_REDUCTIONS,
        "pooling": POOLINGS,
        "scale": SCALES,
    }
)

CONVENTIONS: Mapping[str, Conventions] = MappingProxyType(
    {
        # Documents 002 and 003 (section 2); Gatys et al. 2016: ½Σ for content, Σ/(4N²M²) for style.
        "gatys": Conventions(),
        # Document 003, section 3.3; Johnson et al. 2016: everything divided by CHW.
        "johnson": Conventions(content="mean", gram="all", style_factor=False),
        # All terms as means: what most PyTorch implementations do with `mse_loss`.
        "means": Conventions(content="mean", style="mean", gram="all", style_factor=False, tv_reduction="mean"),
        # Document 004, equations 3 and 5: norms, not squares.
        "norms": Conventions(content="norm", style="norm", style_factor=False),
        # Document 001, as written: sums of differences without a square.
        "signed": Conventions(content="signed_sum", style="signed_sum", style_factor=False),
    }
)

_SHORT: Mapping[str, Mapping[str, str | bool]] = MappingProxyType(
    {
        "unit": {"scale": "unit"},
        "deviations": {"scale": "deviations"},
        "conv": {"rectified": False},
        "average": {"pooling": "average"},
    }
)


def conventions(name: str | Conventions, **changes: str | float | bool) -> Conventions:
    """Return a named set of conventions, with `changes`; an unknown name or field is a `TransferError`.

    Short forms, for notebook parameters: `gatys/unit` is `conventions("gatys", scale="unit")`, `gatys/deviations`
    likewise, `gatys/conv` reads the features before the ReLU, `gatys/average` pools by averages; they can be joined:
    `gatys/unit/conv`.
    """
    if isinstance(name, str):
        name, *short = name.split("/")
        for change in short:
            if change not in _SHORT:
                raise TransferError(
                    f"Unknown convention {change!r} behind {name!r}; expected one of {', '.join(_SHORT)}."
                )
            changes = {**_SHORT[change], **changes}
        if name not in CONVENTIONS:
            raise TransferError(f"Unknown conventions {name!r}; expected one of {', '.join(CONVENTIONS)}.")
        name = CONVENTIONS[name]
    unknown = set(changes) - set(asdict(name))
    if unknown:
        raise TransferError(f"Conventions have no {', '.join(sorted(unknown))}; they have {', '.join(asdict(name))}.")
    return replace(name, **changes)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Term:
    """A loss term of one's own, handed to `transfer(..., terms=[...])` and recorded like the three that stand here.

    name: of its column in the history. weight: of its values; a number, or one a setting.
    loss: takes images (N, 3, H, W) in [0, 1] and gives one value an image, (N,), the same for every setting; with
    `layers` it takes a dict from these names to features (N, C, h, w) as well.
    layers: of the loss network, read as rectified where the convention says so.
    """

    name: str
    weight: float | Sequence[float]
    loss: Callable[..., Tensor]
    layers: Sequence[str] = ()

    def __post_init__(self) -> None:
        if not self.name.isidentifier() or self.name in (*TERMS, "total", "setting", "step", "evaluations", "seconds"):
            raise TransferError(
                f"A loss term cannot be called {self.name!r}: its name is a column of the history, a word in letters, "
                "digits and underscores that no other column has."
            )

    def features(self, rectified: bool) -> dict[str, str]:
        """Return for each of `layers` the name of the features that are read."""
        return dict(zip(self.layers, layer_names(list(self.layers), rectified), strict=True))


@dataclass
class Objective:
    """The sum α·content + β·style + γ·TV over a batch of B settings, and whatever terms are added to it.

    content_targets: layer → features (B or 1, C, h, w). style_targets: layer → Gram (B or 1, C, C).
    weights: term → (B,). layer_weights: content or style → layer → number. added: terms of one's own. used: term → (B,)
    booleans on the CPU, true where its weight is above zero.
    """

    network: LossNetwork
    conventions: Conventions
    content_targets: dict[str, Tensor]
    style_targets: dict[str, Tensor]
    weights: dict[str, Tensor]
    layer_weights: dict[str, dict[str, float]]
    added: Sequence[Term] = ()
    used: dict[str, Tensor] = field(init=False)

    def __post_init__(self) -> None:
        # Kept on the CPU: asking a GPU whether a weight is zero would wait for it at every evaluation.
        self.used = {name: (weight > 0).cpu() for name, weight in self.weights.items()}

    @property
    def names(self) -> tuple[str, ...]:
        """The terms in the order in which they are added up and recorded."""
        return (*TERMS, *(term.name for term in self.added))

    def terms(self, image: Tensor, settings: slice = slice(None)) -> dict[str, Tensor]:
        """Return each term, unweighted, of the images of `settings`, each of shape (images,)."""
        how = self.conventions
        features = self.network(image) if self.network.layers else {}
        zero = image.new_zeros(len(image))
        content = zero
        for layer, weight in self.layer_weights["content"].items():
            target = _rows(self.content_targets[layer], settings)
            content = content + weight * losses.content_loss(features[layer], target, how.content, how.epsilon)
        style = zero
        for layer, weight in self.layer_weights["style"].items():
            positions = features[layer].shape[-2] * features[layer].shape[-1] if how.style_factor else None
            target = _rows(self.style_targets[layer], settings)
            gram = losses.gram(features[layer], how.gram)
            style = style + weight * losses.style_loss(gram, target, how.style, positions, how.epsilon)
        # Where nothing asks for a term it is still recorded, but costs no gradient.
        shown = image if self._asked("tv", settings) else image.detach()
        tv = losses.total_variation(shown, how.tv_norm, how.tv_reduction)
        terms = {"content": content, "style": style, "tv": tv.to(content.dtype)}
        for term in self.added:
            value = self._value(term, image, features, self._asked(term.name, settings))
            terms[term.name] = value.to(content.dtype)
        return terms

    def total(self, terms: Mapping[str, Tensor], settings: slice = slice(None)) -> Tensor:
        """Return the weighted sum of the terms, shape (images,)."""
        # A weight of zero times a term that overflowed would be NaN: such a term is left out instead.
        total = torch.zeros_like(terms["content"])
        for name in self.names:
            if self._asked(name, settings):
                total = total + self.weights[name][settings] * terms[name]
        return total

    def _asked(self, name: str, settings: slice) -> bool:
        return bool(self.used[name][settings].any())

    def _value(self, term: Term, image: Tensor, features: Mapping[str, Tensor], asked: bool) -> Tensor:
        read = {layer: features[name] for layer, name in term.features(self.conventions.rectified).items()}
        if not asked:
            image, read = image.detach(), {layer: values.detach() for layer, values in read.items()}
        value = term.loss(image, read) if term.layers else term.loss(image)
        if not isinstance(value, Tensor) or value.shape != (len(image),):
            shown = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
            raise TransferError(
                f"The loss term {term.name!r} gave {shown} for {len(image)} images. It must give one value an image, "
                f"a tensor of shape ({len(image)},)."
            )
        return value


def build_objective(
    network: LossNetwork,
    how: Conventions,
    content: Tensor,
    styles: Sequence[Tensor],
    weights: dict[str, Tensor],
    content_layers: Mapping[str, float],
    style_layers: Mapping[str, float],
    content_target: str = "content",
    added: Sequence[Term] = (),
) -> Objective:
    """Return the objective with its targets, which are computed once, here.

    content: (B or 1, 3, H, W); styles: one or B tensors (1, 3, h, w), of any size.
    content_target: "content", or "style" for the slip of documents 000 and 001, whose content loss compares with the
    *style* image (brought to the content's size, since features are compared position by position).
    """
    if content_target not in ("content", "style"):
        raise TransferError(f"Unknown content_target {content_target!r}; expected 'content' or 'style'.")
    if how.gram == "none" and any(style.shape[-2:] != content.shape[-2:] for style in styles):
        raise TransferError(
            f"With gram='none' the Gram matrices of a style of {_sizes(styles)} px and of a content of "
            f"{_sizes([content])} px cannot be compared, since each sums over its own positions. "
            "Give both the same size, or use gram='positions' or 'all'."
        )
    read = [name for term in added for name in term.features(how.rectified).values()]
    missing = [layer for layer in (*content_layers, *style_layers, *read) if layer not in network.layers]
    if missing:
        raise TransferError(
            f"The loss network was made with layers {', '.join(network.layers)}, but the losses need "
            f"{', '.join(missing)} too. Make it with all of them, or pass its name instead."
        )
    with torch.no_grad():
        target_image = content if content_target == "content" else stretched(styles, content)
        seen = [network(picture[None]) for picture in target_image if content_layers]
        content_targets = {layer: torch.cat([features[layer] for features in seen]) for layer in content_layers}
        seen = [network(style) for style in styles if style_layers]
        style_targets = {
            layer: torch.cat([losses.gram(features[layer], how.gram) for features in seen]) for layer in style_layers
        }
    layer_weights = {"content": dict(content_layers), "style": dict(style_layers)}
    return Objective(network, how, content_targets, style_targets, weights, layer_weights, added)


def weights_of_layers(
    content: Sequence[str] | Mapping[str, float], style: Sequence[str] | Mapping[str, float], rectified: bool
) -> dict[str, dict[str, float]]:
    """Return weights by layer for "content" and "style", the layers read as rectified ones where asked.

    A mapping states the weights; a sequence weighs content layers 1 each, style layers so that they add up to 1.
    """
    weights = {}
    for term, layers, each in (("content", content, 1.0), ("style", style, 1.0 / max(len(style), 1))):
        given = layers if isinstance(layers, Mapping) else dict.fromkeys(layers, each)
        weights[term] = dict(zip(layer_names(list(given), rectified), given.values(), strict=True))
    return weights


def stretched(styles: Sequence[Tensor], content: Tensor) -> Tensor:
    """Return the style images (1, 3, h, w) at the content's height and width, as one batch in [0, 1]."""
    size = content.shape[-2:]
    return torch.cat([functional.interpolate(s, size, mode="bicubic", antialias=True).clamp(0, 1) for s in styles])


def _rows(targets: Tensor, settings: slice) -> Tensor:
    return targets if len(targets) == 1 else targets[settings]


def _sizes(pictures: Sequence[Tensor]) -> str:
    return ", ".join(f"{p.shape[-1]}×{p.shape[-2]}" for p in pictures)
