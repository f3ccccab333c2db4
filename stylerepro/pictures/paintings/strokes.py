"""Brush strokes with body: each over the ones before, with bristles, dry tails and a thickness to be lit.

They run along a flow: the contours of a stream function, or the directions of a sketch.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from scipy import ndimage

from stylerepro.pictures.paintings.drawing import Array, Easel

BRISTLES = 9  # furrows across a stroke; a number of the stroke, not of pixels, so that strokes scale


@dataclass
class Canvas:
    """Paint on its way: colour (rows, columns, 3) in [0, 1] and thickness (rows, columns) in fine pixels."""

    colour: Array
    thickness: Array

    @classmethod
    def primed(cls, easel: Easel, colour: Array) -> "Canvas":
        """Return a flat ground of one colour (3,), or an underpainting (rows, columns, 3)."""
        ground = np.broadcast_to(colour, (*easel.shape, 3)).astype(np.float32).copy()
        return cls(ground, np.zeros(easel.shape, dtype=np.float32))


@dataclass(frozen=True)
class Brush:
    """The look of strokes: `bristle` and `body` are strengths, `dry` the share of the tail that breaks up.

    `taper` is the power of the outline: small for blunt strokes, 0.5 for round dabs, 1 and more for pointed ones.
    """

    bristle: float = 0.07
    body: float = 0.35
    dry: float = 0.25
    taper: float = 0.25


def _resample(paths: Array, count: int) -> tuple[Array, Array]:
    """Sample paths (N, K, 2) at `count` even parameters, with unit normals, both (N, count, 2)."""
    at = np.linspace(0, paths.shape[1] - 1, count)
    low = np.minimum(at.astype(np.intp), paths.shape[1] - 2)
    t = (at - low)[None, :, None].astype(np.float32)
    points = paths[:, low] * (1 - t) + paths[:, low + 1] * t
    along = np.gradient(points, axis=1)
    along /= np.linalg.norm(along, axis=2, keepdims=True) + 1e-6
    return points, np.stack([-along[..., 1], along[..., 0]], axis=2)


def lay(
    canvas: Canvas,
    paths: Array,
    widths: Array,
    colours: Array,
    rng: Generator,
    brush: Brush = Brush(),
    batch: int = 192,
) -> None:
    """Lay strokes on the canvas in their order.

    Args:
        canvas: changed in place.
        paths: (N, K, 2), K >= 2 points (x, y) in fine pixels.
        widths: (N,) in fine pixels.
        colours: (N, 3) in [0, 1].
        rng: draws the bristles, always the same number for a stroke.
        brush: the look.
        batch: strokes rendered at once; bounds the memory, changes nothing else.
    """
    rows, columns = canvas.thickness.shape
    n = len(paths)
    bristles = rng.normal(0, 1, (n, BRISTLES)).astype(np.float32)
    flat_colour, flat_thickness = canvas.colour.reshape(-1, 3), canvas.thickness.reshape(-1)
    steps = np.linalg.norm(np.diff(paths, axis=1), axis=2).sum(axis=1)
    for first in range(0, n, batch):
        part = slice(first, first + batch)
        # Samples closer than 0.7 pixel leave no holes, also on the outside of a bend.
        along = max(4, int(np.ceil(steps[part].max() / 0.6)))
        across = max(4, int(np.ceil(widths[part].max() / 0.65)))
        points, normals = _resample(paths[part], along)
        s = np.linspace(0, 1, along, dtype=np.float32)
        t = np.linspace(-1, 1, across, dtype=np.float32)
        outline = (4 * s * (1 - s)).clip(1e-4) ** np.float32(brush.taper)
        at = (t + 1) / 2 * (BRISTLES - 1)
        low = np.minimum(at.astype(np.intp), BRISTLES - 2)
        f = (at - low).astype(np.float32)
        furrow = bristles[part][:, low] * (1 - f) + bristles[part][:, low + 1] * f  # (n, across)
        reach = widths[part].astype(np.float32)[:, None, None] / 2 * outline[None, :, None] * t
        x = np.rint(points[..., 0:1] + normals[..., 0:1] * reach).astype(np.int32)
        y = np.rint(points[..., 1:2] + normals[..., 1:2] * reach).astype(np.int32)
        keep = (x >= 0) & (x < columns) & (y >= 0) & (y < rows)
        if brush.dry > 0:
            wet = (1 - s) / brush.dry  # below 1 only in the tail
            keep &= furrow[:, None, :] < (-1.2 + 4.0 * np.minimum(wet, 1) + 10 * (wet >= 1))[None, :, None]
        place = (y.astype(np.int64) * columns + x)[keep]
        paint = colours[part][:, None, :] * (1 + brush.bristle * furrow[..., None])
        paint = np.broadcast_to(paint[:, None], (*x.shape, 3))[keep]
        bulge = np.sqrt(np.clip(1 - 0.85 * t**2, 0, 1)) + 0.25 * furrow
        load = (0.75 + 0.25 * s)[None, :, None] * bulge[:, None, :] * widths[part][:, None, None] * brush.body
        flat_colour[place] = np.clip(paint, 0, 1)
        flat_thickness[place] = load[keep].astype(np.float32)


@dataclass(frozen=True)
class Sketch:
    """A sketch for strokes to follow: colour (r, c, 3) and flow (r, c) on a grid of `pitch` points per picture unit."""

    colour: Array
    u: Array
    v: Array
    pitch: float


def magnified(picture: Array, easel: Easel, pitch: float) -> Array:
    """Return a sketch of `pitch` points per picture unit, (r, c) or (r, c, 3), on the easel's fine grid (bilinear)."""
    if picture.ndim == 3:
        return np.stack([magnified(picture[..., channel], easel, pitch) for channel in range(3)], axis=-1)
    at = np.mgrid[: easel.shape[0], : easel.shape[1]].astype(np.float32)
    at = (at + 0.5) / np.float32(easel.unit) * pitch - 0.5
    enlarged: Array = ndimage.map_coordinates(picture, at, order=1, mode="nearest")
    return enlarged


def scatter(easel: Easel, rng: Generator, spacing: float) -> Array:
    """Return places (N, 2) as (x, y) in picture units, one in each cell of a jittered grid, in random order."""
    columns, rows = (int(np.ceil(side / spacing)) + 1 for side in (easel.wide, easel.tall))
    cells = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1).reshape(-1, 2)
    places = (cells + rng.uniform(-0.5, 0.5, cells.shape)) * spacing
    return rng.permutation(places).astype(np.float32)


def follow(easel: Easel, sketch: Sketch, places: Array, length: Array | float, points: int = 13) -> tuple[Array, Array]:
    """Return strokes along the sketch's flow: paths (N, points, 2) in fine pixels, and the colour at `places`."""
    starts = places * sketch.pitch - 0.5
    lengths = np.broadcast_to(np.asarray(length, dtype=np.float32) * sketch.pitch, len(places))
    paths = streamlines(starts, sketch.u, sketch.v, lengths, points)
    i = np.clip(np.rint(starts[:, 1]), 0, sketch.u.shape[0] - 1).astype(np.intp)
    j = np.clip(np.rint(starts[:, 0]), 0, sketch.u.shape[1] - 1).astype(np.intp)
    return (paths + 0.5) / np.float32(sketch.pitch) * np.float32(easel.unit), sketch.colour[i, j]


def curl(stream: Array) -> tuple[Array, Array]:
    """Return the unit flow (u along x, v along y) along the contours of a stream function, free of divergence."""
    down, right = np.gradient(stream)
    u, v = down, -right
    length = np.hypot(u, v) + 1e-9
    return (u / length).astype(np.float32), (v / length).astype(np.float32)


def convolve_lines(texture: Array, u: Array, v: Array, steps: int) -> Array:
    """Average `texture` along the flow (line integral convolution), `steps` pixels up- and downstream.

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
    """Return paths through the flow, centred on `starts` (N, 2) as (x, y) in its pixels: (N, points, 2).

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
