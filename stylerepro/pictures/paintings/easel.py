"""The plane that a painter works on: size-free coordinates, a fine grid, and the way back to the asked size.

Every painter composes in *picture units*: the shorter side of the picture is 1, x runs to the right, y down.
Places, stroke widths and lengths are drawn in these units, so the same seed gives the same picture at every
size; only what would fall below about two pixels is widened (`Easel.at_least`).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class Easel:
    """A picture of `height` × `width` pixels, painted `over` times finer in each direction."""

    height: int
    width: int
    over: int

    @property
    def short(self) -> int:
        """Shorter side in pixels of the finished picture."""
        return min(self.height, self.width)

    @property
    def unit(self) -> float:
        """Fine pixels in one picture unit."""
        return float(self.over * self.short)

    @property
    def tall(self) -> float:
        """Height in picture units (1 for a landscape format)."""
        return self.height / self.short

    @property
    def wide(self) -> float:
        """Width in picture units (1 for a portrait format)."""
        return self.width / self.short

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the fine grid."""
        return self.height * self.over, self.width * self.over

    def grid(self) -> tuple[Array, Array]:
        """Coordinates (x, y) of the fine pixels' centres, each (rows, columns), in picture units."""
        rows, columns = self.shape
        y, x = np.mgrid[:rows, :columns].astype(np.float32)
        return (x + 0.5) / np.float32(self.unit), (y + 0.5) / np.float32(self.unit)

    def at_least(self, length: float, pixels: float = 2.0) -> float:
        """`length` in picture units, widened to `pixels` of the finished picture where it would be finer."""
        return max(length, pixels / self.short)

    def finish(self, fine: Array) -> Array:
        """The fine picture (rows, columns, 3) averaged down to (height, width, 3)."""
        if self.over == 1:
            return fine
        blocks = fine.reshape(self.height, self.over, self.width, self.over, 3)
        return blocks.mean(axis=(1, 3), dtype=np.float32)


def easel(height: int, width: int, over: int = 2) -> Easel:
    """An easel that paints small pictures finer (at least 2 × 128 rows) and very large ones no finer than asked."""
    short = min(height, width)
    if short < 128:
        over = min(8, max(over, -(-256 // short)))
    elif short > 1024:
        over = 1
    return Easel(height, width, over)


def smoothstep(low: ArrayLike, high: ArrayLike, value: ArrayLike) -> Array:
    """0 below `low`, 1 above `high`, a smooth ramp between; `low` > `high` gives the falling ramp."""
    t = np.clip(np.subtract(value, low) / np.subtract(high, low), 0, 1).astype(np.float32)
    ramp: Array = t * t * (3 - 2 * t)
    return ramp


def lerp(a: ArrayLike, b: ArrayLike, t: ArrayLike) -> Array:
    """`a` where t is 0, `b` where t is 1; a (rows, columns) `t` also mixes (rows, columns, 3) colours."""
    start, end, share = (np.asarray(value, dtype=np.float32) for value in (a, b, t))
    coloured = start.shape[-1:] == (3,) or end.shape[-1:] == (3,)
    if coloured and share.ndim and share.shape[-1] != 1:
        share = share[..., None]
    mixed: Array = start + (end - start) * share
    return mixed


def fill(shape: tuple[int, int], corners: Array) -> Array:
    """Mask (rows, columns) of a polygon with corners (N, 2) as (row, column) in pixels; even-odd rule.

    Toggles every row where an edge crosses it and runs the parity along the row: linear in the corners, for
    outlines of thousands of them.
    """
    rows, columns = shape
    start, end = corners, np.roll(corners, -1, axis=0)
    upper = np.where((start[:, 0] <= end[:, 0])[:, None], start, end)
    lower = np.where((start[:, 0] <= end[:, 0])[:, None], end, start)
    first = np.clip(np.ceil(upper[:, 0]), 0, rows).astype(np.intp)
    count = np.clip(np.ceil(lower[:, 0]), 0, rows).astype(np.intp) - first
    edge = np.repeat(np.arange(len(corners)), count)
    row = np.repeat(first - np.concatenate([[0], np.cumsum(count)[:-1]]), count) + np.arange(len(edge))
    share = (row - upper[edge, 0]) / (lower[edge, 0] - upper[edge, 0])
    column = np.ceil(upper[edge, 1] + share * (lower[edge, 1] - upper[edge, 1]))
    toggles = np.zeros((rows, columns + 1), dtype=np.int32)
    np.add.at(toggles, (row, np.clip(column, 0, columns).astype(np.intp)), 1)
    inside: Array = np.cumsum(toggles, axis=1)[:, :columns] % 2 == 1
    return inside
