"""Paintings in pieces: `stained_glass`, a rose of light in lead, and `cubist`, a still life in tilted planes."""

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike
from scipy import ndimage
from scipy.spatial import cKDTree

from stylerepro.pictures.paintings.drawing import (
    Array,
    Easel,
    Noise,
    bloom,
    colours,
    easel,
    lerp,
    ramp,
    relief,
    smoothstep,
    vary,
    weave,
)
from stylerepro.pictures.paintings.strokes import Brush, Canvas, Sketch, follow, lay, magnified, scatter

ROSE = colours("fff3b0 ffc928 ff8a1e e5352b b3123f 6a1a8a")
SKY = colours("3a2a9c 1d3fbf 1479d1 17a5c9 6fd3c8")
LAND = colours("d8c22e 5fa832 12803f 0c5a5e 123a6e")
BORDER = colours("b3123f 1d3fbf e0a51c 0f7a4a")


def _panes(wide: float, tall: float, rng: Generator) -> tuple[Array, Array]:
    """Return centres (N, 2) of the pieces of glass and their colours (N, 3)."""
    cx, cy = wide * rng.uniform(0.4, 0.6), tall * rng.uniform(0.36, 0.44)
    noise = Noise(rng)
    places, tints = [], []
    rim = 0.27 * min(1.0, (wide + tall) / 2)
    turn = rng.uniform(0, 1)
    petals = int(rng.integers(7, 11))
    for ring, radius in enumerate((0.0, 0.2, 0.42, 0.68, 0.94)):
        count = 1 if ring == 0 else petals * (1 if ring < 3 else 2)
        for k in range(count):
            angle = 2 * np.pi * (k + turn + 0.5 * (ring % 2)) / count
            places.append((cx + rim * radius * np.cos(angle), cy + rim * radius * np.sin(angle)))
            tints.append(ramp(ROSE, np.float32(radius * 0.95 + 0.12 * (k % 2))))
    # Outside the rose, rays of pieces that grow outwards; below the horizon they become land.
    spacing = 0.085
    for row in range(int(tall / spacing) + 3):
        for column in range(int(wide / spacing) + 3):
            px = (column - 0.75 + 0.5 * (row % 2) + rng.uniform(-0.3, 0.3)) * spacing
            py = (row - 0.75 + rng.uniform(-0.3, 0.3)) * spacing
            r = np.hypot(px - cx, py - cy)
            if r < rim * 1.13:
                continue
            at = np.float32(px), np.float32(py)
            hill = tall * (0.70 + 0.16 * float(noise(at[0] * 1.7, 0.5)))
            if py > hill:
                tints.append(ramp(LAND, np.float32((py - hill) / (0.34 * tall) + rng.uniform(-0.12, 0.12))))
            else:
                ray = 0.5 + 0.5 * np.cos(petals * np.arctan2(py - cy, px - cx) + 2 * np.pi * turn)
                tints.append(
                    ramp(SKY, np.float32(0.62 - 1.15 * (r - rim) + 0.4 * (ray - 0.4) + rng.uniform(-0.12, 0.12)))
                )
            places.append((px, py))
    return np.array(places), vary(np.array(tints, dtype=np.float32), rng, 0.03, 0.035)


def stained_glass(height: int, width: int, rng: Generator) -> Array:
    """Paint a rose of glass in a Voronoi sky over hills, with a border, rounded lead and light that spills over it.

    Pieces are about 8.5 % of the shorter side across; leads 1.1 % wide, never under 1.1 pixels.
    """
    plane = easel(height, width, over=1)
    x, y = plane.grid()
    noise = Noise(rng)
    places, tints = _panes(plane.wide, plane.tall, rng)
    lead = plane.at_least(0.011, 1.1)
    # Bent glass cutters' lines: the plane is warped a little before the nearest centre is asked for.
    bend_x, bend_y = 0.012 * noise(x * 7, y * 7), 0.012 * noise(x * 7 + 31, y * 7)
    tree = cKDTree(places)
    distance, pane = tree.query(np.stack([x + bend_x, y + bend_y], axis=-1), k=3)
    gaps = np.linalg.norm(places[pane[..., :1]] - places[pane[..., 1:]], axis=-1)
    edges = (distance[..., 1:] ** 2 - distance[..., :1] ** 2) / (2 * gaps)
    edge = edges.min(axis=-1).astype(np.float32)
    owner = pane[..., 0]
    colour = tints[owner]

    frame = np.minimum(np.minimum(x, plane.wide - x), np.minimum(y, plane.tall - y))
    border = 0.05
    side = np.where(np.minimum(x, plane.wide - x) < np.minimum(y, plane.tall - y), y, x)
    piece = np.floor(side / 0.1).astype(np.intp)
    inside_border = frame < border
    cut = np.abs(side - 0.1 * np.rint(side / 0.1))
    edge = np.where(inside_border, np.minimum(cut, np.abs(frame - border)), np.minimum(edge, np.abs(frame - border)))
    edge = np.minimum(edge, frame)
    colour = np.where(inside_border[..., None], BORDER[piece % len(BORDER)], colour)
    owner = np.where(inside_border, len(places) + piece, owner)

    # Hand-blown glass: streaks in a direction of each piece, seeds, and a glow from behind.
    tilt = rng.uniform(0, np.pi, int(owner.max()) + 1)[owner].astype(np.float32)
    across, along = x * np.cos(tilt) + y * np.sin(tilt), y * np.cos(tilt) - x * np.sin(tilt)
    streak = noise.octaves(across * 38 + owner, along * 6, 3)
    seeds = noise(x * 75, y * 75)
    glow = 0.86 + 0.42 * smoothstep(0, 0.05, edge) + 0.26 * streak + 0.10 * noise.octaves(x * 2.5, y * 2.5, 2)
    glass = colour * glow[..., None] + 0.12 * np.clip(streak, 0, 1)[..., None]
    glass = glass + 0.16 * smoothstep(0.62, 0.85, seeds)[..., None]
    # Painted on: a thin line along the rim of each piece and hatching in its shade, as in grisaille.
    wire = smoothstep(0.0026, 0.0012, np.abs(edge - 0.0125) + 0.002 * noise(x * 50, y * 50))
    hatch = smoothstep(0.25, 0.6, np.sin(across * 2 * np.pi / plane.at_least(0.0085, 3)) + 0.3 * streak)
    shade = smoothstep(0.0125, 0.0145, edge) * smoothstep(0.036, 0.024, edge) * (np.sin(owner * 12.9) > 0.1)
    glass = glass * (1 - 0.42 * wire - 0.26 * hatch * shade)[..., None]

    # Lead: a rounded bar, lit from above, with solder where three pieces meet.
    half = lead / 2 * (1 + 0.18 * noise(x * 30, y * 30))
    joint = smoothstep(1.8 * lead, 0.9 * lead, np.sort(edges, axis=-1)[..., 1].astype(np.float32))
    half = half * (1 + 0.45 * joint * ~inside_border)
    soft = 0.7 / plane.unit
    bar = smoothstep(half + soft, half - soft, edge)
    down, right = np.gradient(np.sqrt(np.clip(1 - (edge / half) ** 2, 0, 1)) * lead * plane.unit)
    metal = np.clip(0.1 + 0.10 * np.tanh(-(down + right)) + 0.03 * noise(x * 60, y * 60), 0, 1)
    glass = bloom(np.clip(glass, 0, 1), plane, 0.012, 0.25)
    leaded = lerp(glass, metal[..., None] * colours("e6ecff")[0], bar)
    return plane.finish(bloom(np.clip(leaded, 0, 1).astype(np.float32), plane, 0.02, 0.22))


PLANES = colours("e9dcc0 d3b98a b98a50 8a5d38 54402f 6d8794 38566f 8fa18a cfc8b4")
ACCENTS = colours("b5462f 2f5a4b d9a13b 2b4a75")
CONTOUR = colours("1c1713")[0]
PITCH = 360


def _facets(x: Array, y: Array, wide: float, tall: float, rng: Generator) -> tuple[Array, Array, Array]:
    """Split the plane by lines and arcs, finer in the middle: facet numbers, edge distance, a ramp across each.

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
    """Draw a bottle, guitar, glass, fruit and newspaper in a unit square: object numbers and tones in [0, 1]."""
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
    """Return the whole composition on a fixed grid, and the darkness of its contours."""
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
    """Paint bottle, guitar, glass, fruit and newspaper in shaded planes with dark contours, in earths and greys.

    Facets are finest in the middle (about 10 % of the shorter side across). Each is filled with short
    parallel touches, 1.4 % wide and never under 2 pixels; contours are up to 1 % wide, on a canvas whose
    weave shows.
    """
    plane = easel(height, width)
    sketch, dark = _sketch(plane, rng)
    under = magnified(sketch.colour, plane, PITCH)
    canvas = Canvas.primed(plane, under)
    breadth = plane.at_least(0.014, 2.0)
    for cover, stretch in ((1.6, 2.6), (0.8, 2.0)):
        places = scatter(plane, rng, breadth * np.sqrt(stretch / cover))
        paths, colour = follow(plane, sketch, places, breadth * stretch * rng.uniform(0.6, 1.1, len(places)), points=3)
        widths = breadth * plane.unit * rng.uniform(0.6, 1.1, len(places))
        lay(canvas, paths, widths, vary(colour, rng, 0.035, 0.018), rng, Brush(bristle=0.06, body=0.25, dry=0.4))
    painted = lerp(canvas.colour, under, 0.5)
    contour = magnified(dark, plane, PITCH)
    painted = lerp(painted, CONTOUR, 0.92 * contour)
    threads = weave(plane, rng)
    thickness = canvas.thickness * (1 - contour) + 0.35 * threads
    return plane.finish(relief(painted * (1 + 0.03 * threads[..., None]), thickness, 0.55, 0.05))
