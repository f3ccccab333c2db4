"""Results at equal style loss: what an optimisation looked like when it first reached given levels."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from torch import Tensor

from stylerepro.history import Progress


@dataclass(frozen=True)
class _Crossing:
    """The evaluations just before and just after a level was reached; images (1, 3, H, W)."""

    step: int
    before: tuple[float, Tensor]
    after: tuple[float, Tensor]


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
        self._last: dict[int, tuple[float, Tensor]] = {}
        self._found: dict[tuple[int, float], _Crossing] = {}

    def __call__(self, progress: Progress) -> None:
        style = progress.losses["style"].tolist()
        if progress.step == 0 and progress.settings.start <= self.reference < progress.settings.stop:
            self.start = style[self.reference - progress.settings.start]
        for index, loss in enumerate(style):
            setting = progress.settings.start + index
            now = (loss, progress.image[index : index + 1].cpu().clone())
            for level in self.levels:
                if (setting, level) not in self._found and loss <= level * self.start and progress.step > 0:
                    self._found[setting, level] = _Crossing(progress.step, self._last[setting], now)
            self._last[setting] = now

    def table(self, measures: Mapping[str, Callable[[Tensor], float]]) -> pd.DataFrame:
        """One row a setting and level reached: setting, level, style_loss, iterations, and each measure there.

        Measures are taken before and after the crossing, images clamped to [0, 1], and interpolated in the logarithm
        of the style loss; so are the iterations. A level that a setting never reached has no row.
        """
        rows = []
        for (setting, level), crossing in sorted(self._found.items()):
            (high, before), (low, after) = crossing.before, crossing.after
            target = level * self.start
            share = 1.0 if low >= high else (math.log(high) - math.log(target)) / (math.log(high) - math.log(low))
            row = {"setting": setting, "level": level, "style_loss": target, "iterations": crossing.step - 1 + share}
            for name, measure in measures.items():
                first, second = (measure(picture.clamp(0, 1)) for picture in (before, after))
                row[name] = first + share * (second - first)
            rows.append(row)
        return pd.DataFrame(rows, columns=["setting", "level", "style_loss", "iterations", *measures])

    def images(self, level: float) -> dict[int, Tensor]:
        """Setting → image (1, 3, H, W) in [0, 1] at the first evaluation at or below `level`."""
        return {s: found.after[1].clamp(0, 1) for (s, one), found in sorted(self._found.items()) if one == level}
