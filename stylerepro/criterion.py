"""What a feed-forward network is trained to lower, and judged by on photographs it never saw."""

from collections.abc import Mapping, Sequence

import pandas as pd
import torch
from torch import Tensor

from stylerepro.objective import TERMS, build_objective, conventions
from stylerepro.perceptual import LossNetwork
from stylerepro.recipe import Recipe


class Criterion:
    """The three terms of document 003, section 3.3, against one style and whatever photographs come.

    style: (1, 3, h, w), of any size; its Gram matrices are computed once, here.
    The loss network is cut off behind the deepest layer that is needed, and earlier still for the photographs, whose
    features need no style layer and no gradient.
    """

    def __init__(self, style: Tensor, recipe: Recipe, device: str | torch.device = "cpu") -> None:
        how, layers = conventions(recipe.convention), recipe.layer_weights
        dtype = torch.bfloat16 if recipe.precision == "bf16" else torch.float32

        def network(names: Sequence[str]) -> LossNetwork:
            return LossNetwork(
                recipe.loss_network, names, pooling=how.pooling, scale=how.scale, device=device, dtype=dtype
            )

        wanted = [name for term in ("content", "style") for name in layers[term]]
        whole = network(list(dict.fromkeys(wanted)))
        self._of_photographs = network(list(layers["content"])) if layers["content"] else None
        weights = {
            name: torch.tensor([getattr(recipe, f"{name}_weight")], dtype=torch.float32, device=device)
            for name in TERMS
        }
        style = style.to(device)
        self._objective = build_objective(whole, how, style, [style], weights, {}, layers["style"])
        self._objective.layer_weights["content"] = layers["content"]

    def __call__(self, made: Tensor, photographs: Tensor) -> dict[str, Tensor]:
        """content, style, tv (unweighted) and total (weighted) of the pictures `made` from `photographs`, each (N,)."""
        if self._of_photographs is not None:
            with torch.no_grad():
                self._objective.content_targets = self._of_photographs(photographs)
        terms = self._objective.terms(made)
        return terms | {"total": self._objective.total(terms)}


@torch.no_grad()
def evaluate(
    made: Mapping[str, Tensor], style: Tensor, recipe: Recipe, photographs: Mapping[str, Tensor]
) -> pd.DataFrame:
    """The loss of the pictures `made` from `photographs` (1, 3, H, W), by name; they may differ in size.

    One row a picture. Columns: content (the name), content_loss, style_loss, tv_loss (unweighted), total (weighted).
    """
    criterion, rows = Criterion(style, recipe), []
    for name, picture in made.items():
        terms = {term: float(value) for term, value in criterion(picture, photographs[name]).items()}
        losses = {f"{term}_loss": terms[term] for term in TERMS}
        rows.append({"content": name, **losses, "total": terms["total"]})
    return pd.DataFrame(rows)
