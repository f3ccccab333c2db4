"""`stained_glass`: a rose of light over a glass landscape, in lead."""

import numpy as np
from numpy.random import Generator
from scipy.spatial import cKDTree

from stylerepro.pictures.paintings.easel import Array, easel, lerp, smoothstep
from stylerepro.pictures.paintings.noise import Noise
from stylerepro.pictures.paintings.palette import colours, ramp, vary
from stylerepro.pictures.paintings.surface import bloom

ROSE = colours("fff3b0", "ffc928", "ff8a1e", "e5352b", "b3123f", "6a1a8a")
SKY = colours("3a2a9c", "1d3fbf", "1479d1", "17a5c9", "6fd3c8")
LAND = colours("d8c22e", "5fa832", "12803f", "0c5a5e", "123a6e")
BORDER = colours("b3123f", "1d3fbf", "e0a51c", "0f7a4a")


def _panes(wide: float, tall: float, rng: Generator) -> tuple[Array, Array]:
    """Centres (N, 2) of the pieces of glass and their colours (N, 3)."""
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
    """A sun-like rose of glass in a Voronoi sky over hills, with a border, rounded lead and light that spills over it.

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
