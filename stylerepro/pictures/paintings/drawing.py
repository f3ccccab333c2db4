"""Drawing: size-free coordinates on a fine grid, colours, noise, and what light does to paint, glass and paper.

Every painter composes in *picture units*: the shorter side of the picture is 1, x runs to the right, y down.
Places, stroke widths and lengths are drawn in these units, so the same seed gives the same picture at every
size; only what would fall below about two pixels is widened (`Easel.at_least`).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

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
        """Return coordinates (x, y) of the fine pixels' centres, each (rows, columns), in picture units."""
        rows, columns = self.shape
        y, x = np.mgrid[:rows, :columns].astype(np.float32)
        return (x + 0.5) / np.float32(self.unit), (y + 0.5) / np.float32(self.unit)

    def at_least(self, length: float, pixels: float = 2.0) -> float:
        """Return `length` in picture units, widened to `pixels` of the finished picture where it would be finer."""
        return max(length, pixels / self.short)

    def finish(self, fine: Array) -> Array:
        """Average the fine picture (rows, columns, 3) down to (height, width, 3)."""
        if self.over == 1:
            return fine
        blocks = fine.reshape(self.height, self.over, self.width, self.over, 3)
        return blocks.mean(axis=(1, 3), dtype=np.float32)


def easel(height: int, width: int, over: int = 2) -> Easel:
    """Return an easel that paints small pictures finer (2 × 128 rows or more) and very large ones as asked."""
    short = min(height, width)
    if short < 128:
        over = min(8, max(over, -(-256 // short)))
    elif short > 1024:
        over = 1
    return Easel(height, width, over)


def smoothstep(low: ArrayLike, high: ArrayLike, value: ArrayLike) -> Array:
    """Ramp smoothly from 0 below `low` to 1 above `high`; `low` > `high` gives the falling ramp."""
    t = np.clip(np.subtract(value, low) / np.subtract(high, low), 0, 1).astype(np.float32)
    ramp: Array = t * t * (3 - 2 * t)
    return ramp


def lerp(a: ArrayLike, b: ArrayLike, t: ArrayLike) -> Array:
    """Mix `a` (t is 0) and `b` (t is 1); a (rows, columns) `t` also mixes (rows, columns, 3) colours."""
    start, end, share = (np.asarray(value, dtype=np.float32) for value in (a, b, t))
    coloured = start.shape[-1:] == (3,) or end.shape[-1:] == (3,)
    if coloured and share.ndim and share.shape[-1] != 1:
        share = share[..., None]
    mixed: Array = start + (end - start) * share
    return mixed


def fill(shape: tuple[int, int], corners: Array) -> Array:
    """Return mask (rows, columns) of a polygon with corners (N, 2) as (row, column) in pixels; even-odd rule.

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


def colours(codes: str) -> Array:
    """Return sRGB colours (N, 3) in [0, 1] from codes such as "1b2a6b d2452d"."""
    return np.array([[int(code[i : i + 2], 16) / 255 for i in (0, 2, 4)] for code in codes.split()], dtype=np.float32)


def ramp(stops: Array, position: ArrayLike) -> Array:
    """Return colours along evenly spaced `stops` (N, 3) at `position` in [0, 1] (any shape): shape + (3,)."""
    scaled = np.clip(position, 0, 1) * (len(stops) - 1)
    low = np.minimum(scaled.astype(np.intp), len(stops) - 2)
    t = (scaled - low)[..., None].astype(np.float32)
    mixed: Array = stops[low] * (1 - t) + stops[low + 1] * t
    return mixed


def vary(colour: Array, rng: Generator, light: float, hue: float) -> Array:
    """Make colours (N, 3) lighter or darker by about `light` each, and shift them in hue by about `hue`."""
    n = len(colour)
    shift = rng.normal(0, hue, (n, 3))
    shift -= shift.mean(axis=1, keepdims=True)
    return np.clip(colour + shift + rng.normal(0, light, (n, 1)), 0, 1).astype(np.float32)


def luminance(colour: Array) -> Array:
    """Weigh sRGB values (..., 3) by Rec. 709, to (...)."""
    weighed: Array = colour @ np.array([0.2126, 0.7152, 0.0722], dtype=np.float32)
    return weighed


class Noise:
    """Gradient noise over the plane (Perlin, "Improving noise", 2002): a function of place, so free of any pixel size.

    Calling it with coordinates of equal shape gives values of about [-1, 1], with one bump per unit length.
    """

    def __init__(self, rng: Generator) -> None:
        table = rng.permutation(256)
        angles = rng.uniform(0, 2 * np.pi, 256)
        # The gradient at lattice point (row, column), worked out once: the hash is a look-up of a look-up.
        hashed = table[(table[None, :] + np.arange(256)[:, None]) & 255]
        self.right = np.cos(angles).astype(np.float32)[hashed].ravel()
        self.down = np.sin(angles).astype(np.float32)[hashed].ravel()

    def __call__(self, x: ArrayLike, y: ArrayLike) -> Array:
        x, y = np.broadcast_arrays(np.asarray(x, np.float32), np.asarray(y, np.float32))
        west, north = np.floor(x), np.floor(y)
        fx, fy = x - west, y - north
        columns = west.astype(np.int32) & 255, (west.astype(np.int32) + 1) & 255
        rows = (north.astype(np.int32) & 255) << 8, ((north.astype(np.int32) + 1) & 255) << 8

        def corner(i: int, j: int) -> Array:
            index = rows[j] + columns[i]
            dot: Array = self.right[index] * (fx - np.float32(i)) + self.down[index] * (fy - np.float32(j))
            return dot

        u, v = (f * f * f * (f * (f * 6 - 15) + 10) for f in (fx, fy))
        top, bottom = corner(0, 0), corner(0, 1)
        top = top + (corner(1, 0) - top) * u
        bottom = bottom + (corner(1, 1) - bottom) * u
        value: Array = np.float32(1.5) * (top + (bottom - top) * v)
        return value

    def octaves(self, x: ArrayLike, y: ArrayLike, count: int, gain: float = 0.5) -> Array:
        """Return a sum of `count` octaves, each twice as fine and `gain` times as strong; about [-1, 1]."""
        x, y = np.asarray(x, np.float32), np.asarray(y, np.float32)
        total: Array = np.zeros(np.broadcast(x, y).shape, dtype=np.float32)
        for octave in range(count):
            # The shift keeps the lattices of the octaves from lying on top of each other.
            shift = np.float32(17.3 * octave)
            total += np.float32(gain**octave) * self(
                x * np.float32(2**octave) + shift, y * np.float32(2**octave) - shift
            )
        return total / np.float32(sum(gain**octave for octave in range(count)))


def relief(picture: Array, height: Array, strength: float = 1.0, gloss: float = 0.15) -> Array:
    """Light the picture (rows, columns, 3) from the upper left, `height` (rows, columns) in fine pixels.

    Slopes towards the light brighten, slopes away darken; `gloss` adds the wet shine on edges that face the
    light.
    """
    down, right = np.gradient(height)
    facing = np.tanh(strength * -(down + right) / np.sqrt(2)).astype(np.float32)
    shade = 1 + 0.28 * facing[..., None]
    shine = gloss * np.clip(-facing - 0.35, 0, None)[..., None] ** 2
    return np.clip(picture * (2 - shade) + shine, 0, 1).astype(np.float32)


def weave(easel: Easel, rng: Generator, thread: float = 0.006) -> Array:
    """Return canvas threads, (rows, columns), about [-1, 1]; a thread is never finer than 1.5 pixels."""
    x, y = easel.grid()
    pitch = easel.at_least(thread, 1.5)
    wobble = Noise(rng)
    across = np.sin(np.pi * (x / pitch + 0.35 * wobble(x * 9, y * 30)))
    along = np.sin(np.pi * (y / pitch + 0.35 * wobble(x * 30 + 40, y * 9)))
    return (np.abs(across) - np.abs(along)).astype(np.float32)


def paper(easel: Easel, rng: Generator, fibres: float = 1.0) -> Array:
    """Return paper: cloudy tone and fine fibres, (rows, columns), about [-1, 1]."""
    x, y = easel.grid()
    noise = Noise(rng)
    cloud = noise.octaves(x * 3, y * 3, 3)
    fibre = noise.octaves(x * 40, y * 160, 2) + noise.octaves(x * 160 + 9, y * 40, 2)
    return (0.5 * cloud + 0.35 * fibres * fibre).astype(np.float32)


def bloom(picture: Array, easel: Easel, radius: float, amount: float) -> Array:
    """Let light spill over: add `amount` of the picture's blurred brightness (radius in picture units)."""
    sigma = max(radius * easel.unit, 0.5)
    spill = ndimage.gaussian_filter(picture.astype(np.float32) ** 2, (sigma, sigma, 0), truncate=2.5)
    return 1 - (1 - np.clip(picture, 0, 1)) * (1 - amount * np.clip(spill, 0, 1))
