"""Photographs to train on: which picture, which part of it, mirrored or not, all from a seed and a number.

Sample `number` is the same whoever asks for it and whenever: resuming needs the step alone, and the batch of a step
does not depend on how many processes share it.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from stylerepro.errors import AssetError, ImageError
from stylerepro.pictures import assets, images
from stylerepro.pictures.samples import CONTENTS

CROPS = ("random", "stretch")
_KEPT = 64  # a set of so many pictures or fewer stays decoded in memory


class Photographs:
    """An endless, numbered series of square pictures.

    source: "embedded" (those that come inside the project's packages; no download), "photos" of the mirror, "coco"
    (train2014, in its real layout), "auto" ("photos" where the mirror has them, else "embedded"), or any folder, its
    pictures at any depth.
    size: px, of the squares. crop: "random", a square of the picture's own scale, or coarser down to a half, half of
    them mirrored; or "stretch", the whole picture brought to the square, as document 003 reads word for word.
    seed: of order, crops and mirroring. leave_out: names (without suffix) that are never learned from.

    Every picture comes once before any comes again. A file that cannot be read is replaced by the next one of that
    round, and its name and the reason go into `skipped`.
    Raises `AssetError` for a folder that is missing or has no picture, and when no file in it can be read.
    """

    def __init__(
        self,
        source: str | Path = "embedded",
        *,
        size: int = 256,
        crop: str = "random",
        seed: int = 0,
        leave_out: Sequence[str] = (),
    ) -> None:
        if crop not in CROPS:
            raise AssetError(f"Unknown crop {crop!r}; expected one of {', '.join(CROPS)}.")
        if size < 1:
            raise AssetError(f"The size of training pictures must be at least 1 px, got {size}.")
        self.size, self.crop, self.seed = size, crop, seed
        self.source, self._names, self._shown = _find(source, frozenset(leave_out))
        self.skipped: dict[str, str] = {}
        self._decoded: dict[int, Tensor] = {}
        self._round: tuple[int, np.ndarray] = (-1, np.empty(0, dtype=np.int64))

    def __len__(self) -> int:
        """How many pictures there are, unreadable ones counted in."""
        return len(self._names)

    @property
    def identity(self) -> str:
        """Which pictures these are, by name: a run can go on only with the same ones. 16 hex digits."""
        text = "\0".join([self.crop, str(self.size), str(self.seed), *self._shown])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def draw(self, numbers: Sequence[int]) -> Tensor:
        """Samples by their numbers, counted from the start of training: (len(numbers), 3, size, size) in [0, 1]."""
        return torch.cat([self._sample(number) for number in numbers])

    def name(self, number: int) -> str:
        """Which picture sample `number` is of, unless that one turns out to be unreadable."""
        return self._shown[self._place(number)]

    def _place(self, number: int) -> int:
        round_, within = divmod(number, len(self))
        if self._round[0] != round_:
            order = np.random.default_rng([self.seed, round_]).permutation(len(self))
            self._round = (round_, order)
        return int(self._round[1][within])

    def _sample(self, number: int) -> Tensor:
        first = number - number % len(self)
        for further in range(len(self)):
            place = self._place(first + (number - first + further) % len(self))
            if self._shown[place] in self.skipped:
                continue
            try:
                picture = self._picture(place)
            except ImageError as error:
                self.skipped[self._shown[place]] = str(error)
                continue
            # A stream of its own for each sample; the third number keeps it apart from the order's.
            return self._cut(picture, np.random.default_rng([self.seed, number, 1]))
        raise AssetError(
            f"None of the {len(self)} pictures of {self.source!r} can be read. The first: "
            f"{next(iter(self.skipped.values()))}"
        )

    def _picture(self, place: int) -> Tensor:
        """(1, 3, H, W) as uint8 where it is kept, so that a kept and a fresh picture are the same."""
        if place in self._decoded:
            return self._decoded[place]
        picture = (images.read(self._names[place]) * 255).round().to(torch.uint8)
        if len(self) <= _KEPT:
            self._decoded[place] = picture
        return picture

    def _cut(self, picture: Tensor, rng: np.random.Generator) -> Tensor:
        height, width = picture.shape[-2:]
        if self.crop == "random":
            most = min(height, width)
            side = int(rng.integers(min(self.size, most), min(most, 2 * self.size) + 1))
            y, x = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
            picture = picture[..., y : y + side, x : x + side]
            picture = picture.flip(3) if rng.random() < 0.5 else picture
        square = picture.float() / 255
        if square.shape[-2:] == (self.size, self.size):
            return square
        return functional.interpolate(square, (self.size, self.size), mode="bilinear", antialias=True)


def _find(source: str | Path, leave_out: frozenset[str]) -> tuple[str, list[Any], list[str]]:
    """What the source is called, what `images.read` takes for each of its pictures, and how each is shown."""
    if source == "auto":
        try:
            assets.photo_folder("photos")
            source = "photos"
        except AssetError:
            source = "embedded"
    if source == "embedded":
        names = [name for name in CONTENTS if name not in leave_out]
        files: list[Any] = list(names)
    else:
        folder = assets.photo_folder(source)
        files = [path for path in assets.photo_files(folder) if path.stem not in leave_out]
        names = [path.relative_to(folder).as_posix() for path in files]
    if not files:
        raise AssetError(f"Nothing is left of {str(source)!r} to train on. Leave out fewer pictures.")
    return str(source), files, names


def ahead(make: Callable[[int], Any], numbers: Sequence[int], depth: int = 2) -> Iterator[Any]:
    """make(number) for each of `numbers`, in order, made by a thread up to `depth` ahead of who takes them."""
    # A second team of threads would wait in a busy loop and take the cores from the one that computes.
    with ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        waiting = [pool.submit(make, number) for number in numbers[:depth]]
        try:
            for number in [*numbers[depth:], *[None] * min(depth, len(numbers))]:
                made = waiting.pop(0).result()
                if number is not None:
                    waiting.append(pool.submit(make, number))
                yield made
        finally:
            for one in waiting:
                one.cancel()
