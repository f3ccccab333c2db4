"""`pointillism`: an afternoon by a lake, in dots of divided colour."""

import numpy as np
from numpy.random import Generator

from stylerepro.pictures.paintings.brush import Brush, Canvas, Sketch, follow, lay, scatter
from stylerepro.pictures.paintings.easel import Array, easel, lerp, smoothstep
from stylerepro.pictures.paintings.noise import Noise
from stylerepro.pictures.paintings.palette import colours, luminance, ramp, vary
from stylerepro.pictures.paintings.surface import relief

SKY = colours("8fb8dc", "bcd3e0", "f3e3c0", "fbd08e", "f7ac73")
WATER = colours("f2c48a", "b9cdd2", "6fa6c6", "3f78ad", "1f3f7d")
PIGMENTS = colours(
    "14163f",
    "0f3a33",
    "fff3c4",
    "ffd84a",
    "ff9f2e",
    "ef5b2b",
    "c9324a",
    "8a3b8f",
    "4b3f9e",
    "2456a8",
    "2f8fc9",
    "39a99a",
    "3f8f3c",
    "a3c13a",
    "f4a7a0",
    "b7c9f0",
)
PITCH = 240


def _tree(scene: Array, x: Array, y: Array, place: tuple[float, float, float], noise: Noise) -> Array:
    """A tree (foot x, foot y, height) with lit and shaded foliage and its shadow on the grass."""
    cx, foot, size = place
    shadow = smoothstep(1.0, 0.5, np.hypot((x - cx - 0.35 * size) / (0.75 * size), (y - foot) / (0.09 * size)))
    scene = lerp(scene, colours("1c2a5e")[0], 0.8 * shadow)
    trunk = np.abs(x - cx - 0.03 * size * np.sin(8 * (y - foot) / size)) < 0.035 * size * (
        1 + 0.6 * (y > foot - 0.06 * size)
    )
    trunk &= (y < foot) & (y > foot - 0.6 * size)
    scene = np.where(trunk[..., None], colours("261a3c")[0], scene)
    dx, dy = (x - cx) / size, (y - foot + 0.68 * size) / size
    lumps = 0.3 * noise.octaves(x / size * 4 + cx * 31, y / size * 4, 3)
    inside = np.hypot(dx / 0.46, dy / 0.36) + lumps < 1
    lit = 0.5 - 0.75 * dx - 0.95 * dy + 0.85 * noise.octaves(x / size * 6, y / size * 6 + cx * 17, 2)
    leaves = ramp(colours("10123a", "17334f", "2f7d45", "8fb83a", "f6da58"), lit)
    return np.where(inside[..., None], leaves, scene)


def _scene(wide: float, tall: float, rng: Generator) -> Array:
    """The landscape under the dots, (rows, columns, 3)."""
    columns, rows = (max(2, round(side * PITCH)) for side in (wide, tall))
    y, x = np.mgrid[:rows, :columns].astype(np.float32) / np.float32(PITCH)
    noise = Noise(rng)
    horizon = tall * rng.uniform(0.4, 0.46)
    sun = (wide * rng.uniform(0.5, 0.78), horizon - rng.uniform(0.12, 0.2) * tall)
    cloud = noise.octaves(x * 2.2, y * 6, 3)
    scene = ramp(SKY, y / horizon + 0.15 * cloud)
    scene = lerp(scene, colours("fdeedd")[0], 0.8 * smoothstep(0.1, 0.45, cloud))
    r = np.hypot(x - sun[0], y - sun[1])
    scene = lerp(scene, colours("ffe27a")[0], 0.9 * np.exp(-((r / 0.2) ** 2)))
    scene = np.where((r < 0.05)[..., None], colours("fffbe0")[0], scene)
    for k, code in enumerate(("a9a3cf", "7c83bd", "4f7f8f")):
        ridge = horizon - tall * (0.085 - 0.028 * k) * (1 + 0.9 * noise.octaves(x * (2 + k) + 11 * k, 0 * x + 3 * k, 3))
        scene = np.where(
            ((y > ridge) & (y < horizon))[..., None], colours(code)[0] + 0.08 * noise(x * 14, y * 14)[..., None], scene
        )
    deep = np.clip((y - horizon) / (tall - horizon), 0, 1)
    ripple = noise(x * 6, y * 60 / (1 + 3 * deep))
    water = ramp(WATER, 0.12 + 1.0 * deep + 0.2 * ripple)
    glitter = np.exp(-(((x - sun[0]) / (0.03 + 0.12 * deep)) ** 2)) * smoothstep(-0.1, 0.35, ripple)
    scene = np.where((y >= horizon)[..., None], lerp(water, colours("fff0b0")[0], 0.95 * glitter), scene)
    for _ in range(2 + int(wide)):
        cx, foot, size = (
            wide * rng.uniform(0.36, 0.85),
            horizon + tall * rng.uniform(0.04, 0.16),
            rng.uniform(0.09, 0.17),
        )
        sail = (y < foot) & (y > foot - size) & (x > cx - 0.1 * size) & (x - cx < 0.55 * (y - foot + size))
        hull = (np.abs(x - cx - 0.15 * size) < 0.5 * size - (y - foot)) & (y >= foot) & (y < foot + 0.14 * size)
        mirror = (
            (y > foot + 0.14 * size) & (y < foot + size) & (np.abs(x - cx - 0.15 * size) < 0.25 * size * (1 + ripple))
        )
        scene = np.where(mirror[..., None], lerp(scene, colours("fff4e0")[0], 0.6), scene)
        scene = np.where(sail[..., None], colours("fff6ea")[0], scene)
        scene = np.where(hull[..., None], colours("8a2430")[0], scene)
    bank = tall * (0.76 + 0.1 * (x / wide - 0.35) + 0.03 * noise.octaves(x * 3, 0 * x + 7, 2))
    grass = ramp(
        colours("2f6a4f", "5f9a3c", "b4c945", "f0de6d"), 0.55 + 0.5 * noise.octaves(x * 5, y * 14, 3) - 0.5 * (y - bank)
    )
    scene = np.where((y > bank)[..., None], grass, scene)
    flowers = noise(x * 40, y * 40) > 0.62
    scene = np.where(
        (flowers & (y > bank + 0.03))[..., None],
        ramp(colours("f25c54", "ffd3da", "ffffff"), 0.5 + noise(x * 7, y * 7)),
        scene,
    )
    for place in ((0.15, 0.87, 0.70), (0.92, 0.93, 0.40), (0.62, 0.83, 0.2)):
        at = (wide * (place[0] + rng.uniform(-0.05, 0.05)), tall * place[1], tall * place[2] * rng.uniform(0.9, 1.1))
        scene = _tree(scene, x, y, at, noise)
    if rng.random() < 0.5:
        scene = scene[:, ::-1]
    return np.clip(scene, 0, 1).astype(np.float32)


def _divide(colour: Array, rng: Generator, purity: float) -> Array:
    """Each colour (N, 3) moved by `purity` towards a pure pigment, drawn the likelier the closer it is.

    Shadows lean to the cold pigments and lights to the warm ones, so that a patch still mixes to its own
    colour in the eye.
    """
    distance = ((colour[:, None, :] - PIGMENTS[None]) ** 2).sum(axis=2)
    warmth = (PIGMENTS[:, 0] - PIGMENTS[:, 2])[None]
    pull = 0.05 * warmth * (luminance(colour) - 0.5)[:, None] * 2
    keys = -(distance - pull) / 0.09 + rng.gumbel(0, 1, distance.shape)
    return colour + np.float32(purity) * (PIGMENTS[np.argmax(keys, axis=1)] - colour)


def pointillism(height: int, width: int, rng: Generator) -> Array:
    """A lake in late light with sails, hills and trees, in three coats of dots.

    Dots are 2.8 %, 2.0 % and 1.5 % of the shorter side across, never under 3, 2.5 and 2 pixels; the finer the
    coat, the purer its colours.
    """
    plane = easel(height, width)
    scene = _scene(plane.wide, plane.tall, rng)
    angle = 0.6 * Noise(rng)(*(np.mgrid[: scene.shape[1], : scene.shape[0]].transpose(0, 2, 1) / np.float32(PITCH) * 2))
    sketch = Sketch(scene, np.cos(angle), np.sin(angle), PITCH)
    canvas = Canvas.primed(plane, colours("ead9b8")[0])
    for share, pixels, cover, purity in ((0.028, 3.0, 2.4, 0.25), (0.020, 2.5, 1.6, 0.5), (0.0145, 2.0, 0.8, 0.7)):
        across = plane.at_least(share, pixels)
        places = scatter(plane, rng, across / np.sqrt(cover))
        paths, colour = follow(plane, sketch, places, across * rng.uniform(0.9, 1.35, len(places)), points=3)
        colour = vary(_divide(colour, rng, purity), rng, 0.025, 0.02)
        widths = across * plane.unit * rng.uniform(0.75, 1.1, len(places))
        lay(canvas, paths, widths, colour, rng, Brush(bristle=0.025, body=0.22, dry=0, taper=0.5), batch=1024)
    return plane.finish(relief(canvas.colour, canvas.thickness, 0.5, 0.05))
