"""Pictures to learn from and to judge by: photographs, a share of them held out, and paintings of the project's own."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from stylerepro.errors import AssetError, ImageError
from stylerepro.pictures import assets, images
from stylerepro.pictures.paintings import PAINTINGS
from stylerepro.pictures.samples import CONTENTS

HELD_OUT_EVERY = 10
"""Every so-manieth photograph, by name, is never learned from."""

FIRST_SEED = 1000
"""Of the paintings that are learned from; the suite's own pictures are painted from seeds below it."""


@dataclass(frozen=True)
class Photographs:
    """training, held_out: pictures as uint8 (3, H, W); source: where they are from; skipped: files not readable."""

    training: list[Tensor]
    held_out: list[Tensor]
    source: str
    skipped: list[str]


def photographs(source: str = "photos", most: int | None = None) -> Photographs:
    """Photographs from "photos", "coco", a folder, or "embedded": those that come inside the project's packages.

    "auto" is "photos" where a mirror has them, else "embedded". Every tenth by name is held out. most: take only so
    many, spread evenly over the names. An unreadable file is left out and named; `AssetError` for a missing folder.
    """
    if source == "auto":
        source = "photos" if _there("photos") else "embedded"
    names: Sequence[str | Path] = list(CONTENTS)
    if source != "embedded":
        names = assets.photo_files(assets.photo_folder(source))
    # Split before anything is left out, so that a picture held out once is held out of every selection.
    every = min(HELD_OUT_EVERY, max(len(names) // 2, 1))
    held_out, training = names[::every], [name for place, name in enumerate(names) if place % every]
    if most is not None:
        held_out, training = _spread(held_out, -(-most // every)), _spread(training, most - -(-most // every))
    skipped: list[str] = []
    size = 288 if source == "embedded" else None
    found = Photographs(_read(training, size, skipped), _read(held_out, size, skipped), source, skipped)
    if not found.training or not found.held_out:
        readable = len(found.training) + len(found.held_out)
        raise AssetError(f"{source!r} gives {readable} readable pictures; at least 2 are needed, one of them held out.")
    return found


def _spread(names: Sequence[str | Path], most: int) -> list[str | Path]:
    """At most so many of the names, evenly spread."""
    if len(names) <= most:
        return list(names)
    return [names[int(place)] for place in np.linspace(0, len(names) - 1, most)]


def _read(names: Sequence[str | Path], size: int | None, skipped: list[str]) -> list[Tensor]:
    pictures = []
    for name in names:
        try:
            pictures.append(as_bytes(images.read(name, size)))
        except ImageError:
            skipped.append(Path(name).name)
    return pictures


def paintings(each: int, size: int = 288) -> list[Tensor]:
    """`each` pictures of every painter of the project, uint8 (3, size, size), from seeds that nothing else uses."""
    painters = [(painter, FIRST_SEED + number) for painter in PAINTINGS for number in range(each)]
    return [as_bytes(images.read(f"{painter}:{seed}", size)) for painter, seed in painters]


def squares(pictures: Sequence[Tensor], size: int) -> Tensor:
    """The pictures' middles as float squares (N, 3, size, size) in [0, 1], shorter side brought to `size`."""
    floats = [images.resize(picture[None].float() / 255, size) for picture in pictures]
    return torch.cat([images.centre_crop(picture, size, size) for picture in floats])


def as_bytes(picture: Tensor) -> Tensor:
    """(1, 3, H, W) in [0, 1] as uint8 (3, H, W), a quarter of the memory."""
    return (picture[0] * 255).round().to(torch.uint8)


@dataclass(frozen=True)
class Crops:
    """Random crops: of photographs, a share of them of paintings, a share disturbed.

    size: px, of the crops. Each is cut at a random scale between the picture's own and half of it, half of them
    mirrored. painted: share from `paintings`. disturbed: share with its colours bent and noise added, so that the
    network is right also about pictures as they look on the way from noise, or from an odd palette.
    """

    photographs: Sequence[Tensor]
    paintings: Sequence[Tensor]
    size: int = 128
    painted: float = 0.2
    disturbed: float = 0.25

    def draw(self, number: int, rng: np.random.Generator) -> Tensor:
        """`number` crops (number, 3, size, size), float32 in [0, 1]."""
        return torch.cat([self._one(rng) for _ in range(number)])

    def _one(self, rng: np.random.Generator) -> Tensor:
        source = self.paintings if len(self.paintings) and rng.random() < self.painted else self.photographs
        picture = source[int(rng.integers(len(source)))]
        height, width = picture.shape[1:]
        most = min(height, width)
        side = int(rng.integers(min(self.size, most), min(most, 2 * self.size) + 1))
        y, x = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
        crop = picture[None, :, y : y + side, x : x + side].float() / 255
        if side != self.size:
            crop = functional.interpolate(crop, (self.size, self.size), mode="bilinear", antialias=True)
        if rng.random() < 0.5:
            crop = crop.flip(3)
        return _disturb(crop, rng) if rng.random() < self.disturbed else crop


def _disturb(crop: Tensor, rng: np.random.Generator) -> Tensor:
    gain = torch.from_numpy(rng.uniform(0.5, 1.5, (1, 3, 1, 1)).astype(np.float32))
    offset = torch.from_numpy(rng.uniform(-0.25, 0.25, (1, 3, 1, 1)).astype(np.float32))
    noise = torch.from_numpy(rng.standard_normal(crop.shape, dtype=np.float32)) * float(rng.uniform(0, 0.2))
    return (crop * gain + offset + noise)[:, torch.from_numpy(rng.permutation(3))].clamp(0, 1)


def _there(name: str) -> bool:
    try:
        assets.photo_folder(name)
    except AssetError:
        return False
    return True
