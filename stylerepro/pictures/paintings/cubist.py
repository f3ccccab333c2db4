"""`cubist`: a still life seen from many sides at once, in tilted planes."""

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike
from scipy import ndimage

from stylerepro.pictures.paintings.brush import Brush, Canvas, Sketch, follow, lay, scatter
from stylerepro.pictures.paintings.easel import Array, Easel, easel, lerp, smoothstep
from stylerepro.pictures.paintings.noise import Noise
from stylerepro.pictures.paintings.palette import colours, ramp, vary
from stylerepro.pictures.paintings.surface import relief, weave

PLANES = colours("e9dcc0", "d3b98a", "b98a50", "8a5d38", "54402f", "6d8794", "38566f", "8fa18a", "cfc8b4")
ACCENTS = colours("b5462f", "2f5a4b", "d9a13b", "2b4a75")
INK = colours("1c1713")[0]
PITCH = 360


def _facets(x: Array, y: Array, wide: float, tall: float, rng: Generator) -> tuple[Array, Array, Array]:
    """Splits the plane by lines and arcs, finer in the middle: facet numbers, edge distance, a ramp across each.

    Each split is a signed distance; a facet's edge distance is the least of those it was cut by.
    """
    label = np.zeros(x.shape, dtype=np.intp)
    edge = np.full(x.shape, 9.0, dtype=np.float32)
    shade = np.zeros(x.shape, dtype=np.float32)
    leaning = rng.choice(np.deg2rad([-62, -28, 8, 35, 66, 90]), 4, replace=False)
    queue, count = [(np.ones(x.shape, dtype=bool), 0)], 1
    while queue:
        inside, level = queue.pop(0)
        area = inside.mean() * wide * tall
        if area < 1e-4:
            continue
        cx, cy = x[inside].mean(), y[inside].mean()
        centrality = np.exp(-(((cx - wide / 2) / (0.42 * wide)) ** 2) - ((cy - tall / 2) / (0.42 * tall)) ** 2)
        aim = 0.075 - 0.066 * centrality
        angle = rng.choice(leaning) + rng.normal(0, 0.16)
        nx, ny = np.cos(angle), np.sin(angle)
        offset, arc, bow = rng.normal(0, 0.16), rng.random() < 0.22, rng.uniform(0.25, 0.5)
        side, slant = rng.choice([-1.0, 1.0]), rng.uniform(0.5, 1.0)
        if area < aim * rng.uniform(0.75, 1.6) or level > 9:
            label[inside] = count
            along = (x[inside] - cx) * nx + (y[inside] - cy) * ny
            shade[inside] = slant * side * along / (np.abs(along).max() + 1e-6)
            count += 1
            continue
        reach = np.sqrt(area)
        if arc:
            mx, my = cx + nx * (bow + offset * reach), cy + ny * (bow + offset * reach)
            signed = np.hypot(x - mx, y - my) - bow
        else:
            signed = (x - cx) * nx + (y - cy) * ny - offset * reach
        edge = np.where(inside, np.minimum(edge, np.abs(signed)), edge)
        queue += [(inside & (signed > 0), level + 1), (inside & (signed <= 0), level + 1)]
    return label, edge, shade


def _still_life(x: Array, y: Array) -> tuple[Array, Array]:
    """Bottle, guitar, glass, fruit and newspaper on a table, in a unit square: object numbers and tones in [0, 1]."""
    what = np.zeros(x.shape, dtype=np.intp)
    tone = 0.35 + 0.3 * y

    def put(mask: Array, number: int, value: ArrayLike) -> None:
        what[mask] = number
        tone[mask] = np.broadcast_to(value, x.shape)[mask]

    put(y > 0.72 - 0.08 * np.sin(3 * x), 1, 0.3 + 0.5 * (np.sin(60 * (y + 0.02 * np.sin(9 * x))) > 0.2))
    u, v = (x - 0.16) * 0.95 + (y - 0.78) * 0.3, (y - 0.78) * 0.95 - (x - 0.16) * 0.3
    put(
        (np.abs(u) < 0.15) & (np.abs(v) < 0.1),
        2,
        0.85 - 0.55 * ((np.sin(150 * v) > 0.1) & (np.abs(np.sin(11 * u)) > 0.15)),
    )
    s, t = (x - 0.56) * 0.8 + (y - 0.55) * 0.6, (y - 0.55) * 0.8 - (x - 0.56) * 0.6
    body = (np.hypot(s / 0.19, (t - 0.17) / 0.17) < 1) | (np.hypot(s / 0.145, (t + 0.05) / 0.13) < 1)
    put(body, 3, 0.45 + 1.4 * s)
    put(body & (np.hypot(s, t - 0.05) < 0.055), 4, 0.05)
    put((np.abs(s) < 0.03) & (t < 0.03) & (t > -0.52), 5, 0.25 + 0.35 * (np.sin(90 * t) > 0.75))
    put((np.abs(s) < 0.055) & (t < -0.44) & (t > -0.55), 6, 0.3)
    put((np.abs(np.abs(s) - 0.012) < 0.003) & (t < 0.2) & (t > -0.5), 7, 0.95)
    neck = np.where(y < 0.33, 0.032, np.minimum(0.032 + 0.9 * (y - 0.33), 0.082))
    put((np.abs(x - 0.27) < neck) & (y > 0.17) & (y < 0.74), 8, 0.5 + 5.0 * (x - 0.27))
    put((np.abs(x - 0.27) < 0.07) & (y > 0.5) & (y < 0.62), 9, 0.9 - 0.5 * (np.abs(np.sin(110 * y)) < 0.3))
    put((np.abs(x - 0.82) < 0.035 + 0.1 * np.abs(y - 0.72)) & (y > 0.5) & (y < 0.82), 10, 0.65 + 2.0 * (x - 0.82))
    for k, (fx, fy, r) in enumerate(((0.66, 0.84, 0.062), (0.76, 0.88, 0.055), (0.42, 0.86, 0.05))):
        put(np.hypot(x - fx, y - fy) < r, 11 + k, 0.7 - 4 * (x - fx) - 3 * (y - fy))
    return what, np.clip(tone, 0, 1).astype(np.float32)


def _sketch(plane: Easel, rng: Generator) -> tuple[Sketch, Array]:
    """The whole composition on a fixed grid, and the darkness of its contours."""
    columns, rows = (max(2, round(side * PITCH)) for side in (plane.wide, plane.tall))
    y, x = (np.mgrid[:rows, :columns].astype(np.float32) + 0.5) / np.float32(PITCH)
    label, edge, shade = _facets(x, y, plane.wide, plane.tall, rng)
    n = int(label.max()) + 1
    # Every facet looks at the still life from its own place: turned, moved and scaled a little.
    turn, zoom = rng.normal(0, 0.22, n)[label], rng.uniform(0.85, 1.2, n)[label]
    move_x, move_y = rng.normal(0, 0.05, n)[label], rng.normal(0, 0.05, n)[label]
    px, py = x / plane.wide - 0.5, y / plane.tall - 0.5
    sx = zoom * (px * np.cos(turn) - py * np.sin(turn)) + 0.5 + move_x
    sy = zoom * (px * np.sin(turn) + py * np.cos(turn)) + 0.5 + move_y
    what, tone = _still_life(sx.astype(np.float32), sy.astype(np.float32))

    wall = PLANES[rng.permutation(len(PLANES))[np.arange(n) % len(PLANES)]][label]
    bright = np.isin(label, np.flatnonzero(rng.random(n) < 0.16))
    wall = np.where(bright[..., None], ACCENTS[rng.integers(0, len(ACCENTS), n)][label], wall)
    ground = lerp(wall, ramp(PLANES[:5], 0.2 + 0.6 * shade), 0.45)
    local = np.stack([*PLANES[[8, 2, 0, 2, 4, 3, 4, 0, 6, 0, 5]], ACCENTS[0], ACCENTS[2], ACCENTS[1]])[what]
    colour = np.where((what > 0)[..., None], lerp(local * (0.45 + 0.95 * tone)[..., None], wall, 0.18), ground)
    colour = colour * (1 + 0.42 * shade[..., None])
    # A dark side along one of the edges of each facet sets the planes apart in depth.
    fall = smoothstep(0.05, 0.0, edge) * (shade < 0)
    colour = np.clip(colour * (1 - 0.4 * fall[..., None]), 0, 1)

    outline = np.zeros(x.shape, dtype=bool)
    outline[:, 1:] |= (what[:, 1:] != what[:, :-1]) & (label[:, 1:] == label[:, :-1])
    outline[1:] |= (what[1:] != what[:-1]) & (label[1:] == label[:-1])
    noise = Noise(rng)
    press = 0.6 + 0.6 * noise(x * 4, y * 4)
    near = ndimage.distance_transform_edt(~outline).astype(np.float32) / PITCH
    dark = np.maximum(
        smoothstep(0.0065, 0.0030, edge / press.clip(0.35)), 0.9 * smoothstep(0.006, 0.0025, near / press.clip(0.4))
    )
    angle = rng.uniform(0, np.pi, n)[label] + 0.15 * noise(x * 6, y * 6)
    flow = np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)
    return Sketch(colour.astype(np.float32), *flow, PITCH), dark


def cubist(height: int, width: int, rng: Generator) -> Array:
    """Bottle, guitar, glass, fruit and newspaper broken into shaded planes with dark contours, in earths and greys.

    Facets are finest in the middle (about 10 % of the shorter side across). Each is filled with short
    parallel touches, 1.4 % wide and never under 2 pixels; contours are up to 1 % wide, on a canvas whose
    weave shows.
    """
    plane = easel(height, width)
    sketch, dark = _sketch(plane, rng)
    rows, columns = plane.shape
    at = np.mgrid[:rows, :columns].astype(np.float32)
    at = (at + 0.5) / np.float32(plane.unit) * PITCH - 0.5
    under = np.stack(
        [ndimage.map_coordinates(sketch.colour[..., c], at, order=1, mode="nearest") for c in range(3)], axis=-1
    )
    canvas = Canvas.primed(plane, under)
    breadth = plane.at_least(0.014, 2.0)
    for cover, stretch in ((1.6, 2.6), (0.8, 2.0)):
        places = scatter(plane, rng, breadth * np.sqrt(stretch / cover))
        paths, colour = follow(plane, sketch, places, breadth * stretch * rng.uniform(0.6, 1.1, len(places)), points=3)
        widths = breadth * plane.unit * rng.uniform(0.6, 1.1, len(places))
        lay(canvas, paths, widths, vary(colour, rng, 0.035, 0.018), rng, Brush(bristle=0.06, body=0.25, dry=0.4))
    painted = lerp(canvas.colour, under, 0.5)
    contour = ndimage.map_coordinates(dark, at, order=1, mode="nearest")
    painted = lerp(painted, INK, 0.92 * contour)
    threads = weave(plane, rng)
    thickness = canvas.thickness * (1 - contour) + 0.35 * threads
    return plane.finish(relief(painted * (1 + 0.03 * threads[..., None]), thickness, 0.55, 0.05))
