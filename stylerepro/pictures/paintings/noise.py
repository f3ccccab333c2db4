"""Smooth random fields as functions of place, the flow along their contours, and line integral convolution."""

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike
from scipy import ndimage

from stylerepro.pictures.paintings.easel import Array


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
        """A sum of `count` octaves, each twice as fine and `gain` times as strong; about [-1, 1]."""
        x, y = np.asarray(x, np.float32), np.asarray(y, np.float32)
        total: Array = np.zeros(np.broadcast(x, y).shape, dtype=np.float32)
        for octave in range(count):
            # The shift keeps the lattices of the octaves from lying on top of each other.
            shift = np.float32(17.3 * octave)
            total += np.float32(gain**octave) * self(
                x * np.float32(2**octave) + shift, y * np.float32(2**octave) - shift
            )
        return total / np.float32(sum(gain**octave for octave in range(count)))


def curl(stream: Array) -> tuple[Array, Array]:
    """Unit flow (u along x, v along y) along the contours of a stream function: divergence-free up to the length."""
    down, right = np.gradient(stream)
    u, v = down, -right
    length = np.hypot(u, v) + 1e-9
    return (u / length).astype(np.float32), (v / length).astype(np.float32)


def convolve_lines(texture: Array, u: Array, v: Array, steps: int) -> Array:
    """Line integral convolution: `texture` averaged along the flow, `steps` pixels up- and downstream.

    Cabral and Leedom, "Imaging vector fields using line integral convolution", 1993; box kernel, Euler steps
    of one pixel.
    """
    rows, columns = texture.shape
    total = texture.astype(np.float32).copy()
    for sign in (1.0, -1.0):
        y, x = np.mgrid[:rows, :columns].astype(np.float32)
        for _ in range(steps):
            i = np.clip(np.rint(y), 0, rows - 1).astype(np.intp)
            j = np.clip(np.rint(x), 0, columns - 1).astype(np.intp)
            x += np.float32(sign) * u[i, j]
            y += np.float32(sign) * v[i, j]
            total += ndimage.map_coordinates(texture, [y, x], order=1, mode="reflect")
    return total / (2 * steps + 1)


def streamlines(starts: Array, u: Array, v: Array, lengths: Array, points: int) -> Array:
    """Paths through the flow, centred on `starts` (N, 2) as (x, y) in pixels of the flow's grid: (N, points, 2).

    `lengths` (N,) are the paths' full lengths in the same pixels.
    """
    rows, columns = u.shape
    step = (lengths / (points - 1)).astype(np.float32)[:, None]
    half = points // 2
    path = np.empty((len(starts), points, 2), dtype=np.float32)
    path[:, half] = starts
    for sign, order in ((1, range(half + 1, points)), (-1, range(half - 1, -1, -1))):
        here = starts.astype(np.float32).copy()
        for k in order:
            i = np.clip(np.rint(here[:, 1]), 0, rows - 1).astype(np.intp)
            j = np.clip(np.rint(here[:, 0]), 0, columns - 1).astype(np.intp)
            here = here + np.float32(sign) * step * np.stack([u[i, j], v[i, j]], axis=1)
            path[:, k] = here
    return path
