"""An optimisation followed on its way: how soon its loss is flat, and its picture when it first reached given levels.

The *best so far* is what counts: a line search tries pictures that are worse than the one it set out from, and a step
that is too long may raise the loss.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from stylerepro.errors import TransferError
from stylerepro.transfer import optimisers
from stylerepro.transfer.history import Progress, gradient_shares
from stylerepro.transfer.objective import TERMS, Objective
from stylerepro.transfer.transfer import transfer

_Evaluation = tuple[float, Tensor]  # style loss, and the image (1, 3, H, W) that has it


class Crossings:
    """A callback for `transfer` that keeps each setting's images where its style loss first reaches each level.

    levels: shares of the style loss that setting `reference` starts with, each below 1. They are absolute losses, the
    same for every setting, so that settings are compared at equal style.
    """

    def __init__(self, levels: Sequence[float], reference: int = 0) -> None:
        if not levels or not all(0 < level < 1 for level in levels):
            raise ValueError(f"levels are shares of the first style loss, each between 0 and 1; got {list(levels)}.")
        self.levels = tuple(sorted(levels, reverse=True))
        self.reference = reference
        self.start = math.nan
        self._last: dict[int, _Evaluation] = {}
        # Setting and level → the step of the crossing, and the evaluations just before and just after it.
        self._crossings: dict[tuple[int, float], tuple[int, _Evaluation, _Evaluation]] = {}

    def __call__(self, progress: Progress) -> None:
        style = progress.losses["style"].tolist()
        if progress.step == 0 and progress.settings.start <= self.reference < progress.settings.stop:
            self.start = style[self.reference - progress.settings.start]
        for index, loss in enumerate(style):
            setting = progress.settings.start + index
            now = (loss, progress.image[index : index + 1].cpu().clone())
            for level in self.levels:
                if (setting, level) not in self._crossings and loss <= level * self.start and progress.step > 0:
                    self._crossings[setting, level] = progress.step, self._last[setting], now
            self._last[setting] = now

    def table(self, measures: Mapping[str, Callable[[Tensor], float]]) -> pd.DataFrame:
        """Tabulate one row a setting and level reached: setting, level, style_loss, iterations, and each measure there.

        Measures are taken before and after the crossing, images clamped to [0, 1], and interpolated in the logarithm
        of the style loss; so are the iterations. A level that a setting never reached has no row.
        """
        rows = []
        for (setting, level), (step, (high, before), (low, after)) in sorted(self._crossings.items()):
            target = level * self.start
            share = 1.0 if low >= high else (math.log(high) - math.log(target)) / (math.log(high) - math.log(low))
            row = {"setting": setting, "level": level, "style_loss": target, "iterations": step - 1 + share}
            for name, measure in measures.items():
                first, second = (measure(picture.clamp(0, 1)) for picture in (before, after))
                row[name] = first + share * (second - first)
            rows.append(row)
        return pd.DataFrame(rows, columns=["setting", "level", "style_loss", "iterations", *measures])

    def images(self, level: float) -> dict[int, Tensor]:
        """Return setting → image (1, 3, H, W) in [0, 1] at the first evaluation at or below `level`."""
        return {
            setting: image.clamp(0, 1)
            for (setting, crossed), (_, _, (_, image)) in sorted(self._crossings.items())
            if crossed == level
        }


def follow(content: Tensor, style: Tensor, marks: Sequence[int], **settings: Any) -> dict[str, Any]:
    """Run one `transfer` with these `settings`, and look at it after each of `marks` evaluations.

    images: (marks, 3, H, W), the best picture so far at each mark, brought to [0, 1]. history: as `transfer` gives it,
    without its closing row, which is no evaluation, with `best` (the lowest total loss so far) and `elapsed` (seconds
    since the start). shares: of the gradient at the first, middle and last image, as `gradient_shares` names them;
    empty where the optimisation diverged. One that ends early, because nothing moves any more or because it diverged,
    keeps its best picture for the marks that it did not reach. One setting only: a batch is a `TransferError`.
    """
    kept: dict[int, Tensor] = {}
    best, lowest = content, float("inf")

    def look(progress: Progress) -> None:
        nonlocal best, lowest
        if progress.settings != slice(0, 1):
            raise TransferError("Only one setting can be followed at a time.")
        total = float(progress.losses["total"][0])
        if total < lowest:
            best, lowest = progress.image.detach().cpu().clone(), total
        if progress.evaluations in marks:
            kept[progress.evaluations] = best

    try:
        history = transfer(content, style, callback=look, **settings).history
        shares = gradient_shares(history, TERMS).iloc[0].to_dict()
    except TransferError as error:
        if error.history is None or len(error.history) < 2:
            raise
        history, shares = error.history, {}
    # The last row is the closing look or, of a run that diverged, the loss that left the finite numbers.
    pictures = torch.cat([kept.get(mark, best) for mark in marks]).clamp(0, 1)
    return {"images": pictures, "history": with_best(history.iloc[:-1]), "shares": shares}


def with_best(history: pd.DataFrame) -> pd.DataFrame:
    """Return `history` with the columns best, the lowest total loss so far, and elapsed, seconds since the start."""
    return history.assign(best=history["total"].cummin(), elapsed=history["seconds"].cumsum())


def evaluations_until(history: pd.DataFrame, tolerance: float, at: int) -> int:
    """Count evaluations until the best loss so far is within `tolerance` (0.01: 1 %) of its value after `at` of them.

    history: as `follow` gives it. Of an optimisation that ended earlier the last value counts.
    """
    best = history.loc[history["evaluations"] <= at, "best"].to_numpy()
    return int(np.argmax(best <= (1 + tolerance) * best[-1])) + 1


def best_at(history: pd.DataFrame, seconds: float) -> float:
    """Return the best loss so far after `seconds`; NaN where the optimisation had ended by then."""
    spent = history["elapsed"].to_numpy()
    if seconds > spent[-1]:
        return float("nan")
    done = int(np.searchsorted(spent, seconds, side="right"))
    return float(history["best"].iloc[max(done - 1, 0)])


def balanced_weight(objective: Objective, image: Tensor, term: str, share: float) -> float:
    """Find the weight that gives `term` this share of the gradient's norm at `image` (1, 3, H, W), others as they are.

    objective: with any positive weight on `term`. Raises `TransferError` where one side has no gradient there.
    """
    shares = dict(zip(TERMS, optimisers.gradient_shares(objective, image, slice(0, 1))[:, 0].tolist(), strict=True))
    own = shares.pop(term)
    rest = sum(shares.values())
    if not (own > 0 and rest > 0 and 0 < share < 1):
        raise TransferError(
            f"No weight gives {term} the share {share:g} of the gradient: it has {own:.3g} there, the rest {rest:.3g}."
        )
    return float(objective.weights[term][0]) * share / (1 - share) * rest / own
