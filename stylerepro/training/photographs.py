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

_KEPT = 1_000_000_000  # bytes of decoded pictures that stay in memory; what comes later is decoded anew


def files_of(source: str | Path) -> tuple[str, dict[str, str | Path]]:
    """Name the source that is taken, and list its pictures: how each is shown → what `images.read` takes for it.

    source: "embedded" (those that come inside the project's packages; no download), "photos" of the mirror, "coco"
    (train2014, in its real layout), "auto" ("photos" where the mirror has them, else "embedded"), or any folder, its
    pictures at any depth. Raises `AssetError` for a folder that is missing or has no picture.
    """
    if source == "auto":
        try:
            assets.photo_folder("photos")
            source = "photos"
        except AssetError:
            source = "embedded"
    if source == "embedded":
        return "embedded", {name: name for name in CONTENTS}
    folder = assets.photo_folder(source)
    return str(source), {path.relative_to(folder).as_posix(): path for path in assets.photo_files(folder)}


def as_bytes(picture: Tensor) -> Tensor:
    """Return a picture of values in [0, 1] as uint8, a quarter of the memory."""
    return (picture * 255).round().to(torch.uint8)


def random_part(picture: Tensor, size: int, rng: np.random.Generator) -> Tensor:
    """Cut a random square out of `picture` (1, 3, H, W), at its own scale for `size` px or coarser down to a half."""
    height, width = picture.shape[-2:]
    most = min(height, width)
    side = int(rng.integers(min(size, most), min(most, 2 * size) + 1))
    y, x = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
    return picture[..., y : y + side, x : x + side]


class Photographs:
    """An endless, numbered series of square pictures.

    source: as `files_of` has it. size: px, of the squares. crop: "random", a square of the picture's own scale, or
    coarser down to a half, half of them mirrored; or "stretch", the whole picture brought to the square, as document
    003 reads word for word. seed: of order, crops and mirroring. leave_out: names (without suffix) that are never
    learned from.

    Every picture comes once before any comes again. Decoded ones stay in memory, up to a gigabyte. A file that cannot
    be read is replaced by the next one of that round, and its name and the reason go into `skipped`.
    Raises `AssetError` for a source without pictures, and when no file in it can be read.
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
        self.size, self.crop, self.seed = size, crop, seed
        self.source, files = files_of(source)
        self._files = {name: file for name, file in files.items() if Path(name).stem not in set(leave_out)}
        if not self._files:
            raise AssetError(f"Nothing is left of {self.source!r} to train on. Leave out fewer pictures.")
        self._names = list(self._files)
        self.skipped: dict[str, str] = {}
        self._decoded: dict[str, Tensor] = {}
        self._bytes = 0
        self._round: tuple[int, np.ndarray] = (-1, np.empty(0, dtype=np.int64))

    def __len__(self) -> int:
        """Count the pictures, unreadable ones too."""
        return len(self._names)

    @property
    def identity(self) -> str:
        """Return 16 hex digits of which pictures these are, by name and size: training goes on with the same alone."""
        sizes = [str(file.stat().st_size) if isinstance(file, Path) else "" for file in self._files.values()]
        text = "\0".join([self.crop, str(self.size), str(self.seed), *self._names, *sizes])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def draw(self, numbers: Sequence[int]) -> Tensor:
        """Draw samples by numbers, counted from the start of training: (len(numbers), 3, size, size) in [0, 1]."""
        return torch.cat([self._sample(number) for number in numbers])

    def name(self, number: int) -> str:
        """Name the picture that sample `number` is of, unless that one turns out to be unreadable."""
        round_, within = divmod(number, len(self))
        if self._round[0] != round_:
            self._round = (round_, np.random.default_rng([self.seed, round_]).permutation(len(self)))
        return self._names[int(self._round[1][within])]

    def _sample(self, number: int) -> Tensor:
        first = number - number % len(self)
        for further in range(len(self)):
            name = self.name(first + (number - first + further) % len(self))
            if name in self.skipped:
                continue
            try:
                picture = self._picture(name)
            except ImageError as error:
                self.skipped[name] = str(error)
                continue
            # A stream of its own for each sample; the third number keeps it apart from the order's.
            rng = np.random.default_rng([self.seed, number, 1])
            if self.crop == "random":
                picture = random_part(picture, self.size, rng)
                picture = picture.flip(3) if rng.random() < 0.5 else picture
            square = picture.float() / 255
            if square.shape[-2:] == (self.size, self.size):
                return square
            return functional.interpolate(square, (self.size, self.size), mode="bilinear", antialias=True)
        raise AssetError(
            f"None of the {len(self)} pictures of {self.source!r} can be read. The first: "
            f"{next(iter(self.skipped.values()))}"
        )

    def _picture(self, name: str) -> Tensor:
        """(1, 3, H, W) as bytes where it is kept, so that a kept and a fresh picture are the same."""
        if name in self._decoded:
            return self._decoded[name]
        picture = as_bytes(images.read(self._files[name]))
        if self._bytes + picture.nbytes <= _KEPT:
            self._decoded[name] = picture
            self._bytes += picture.nbytes
        return picture


def ahead(make: Callable[[int], Any], numbers: Sequence[int], depth: int = 2) -> Iterator[Any]:
    """Yield make(number) for each of `numbers`, in order, made by a thread up to `depth` ahead of who takes them.

    PyTorch has one thread for it: a second team of threads would wait in a busy loop and take the cores from the one
    that computes.
    """
    with ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        waiting = [pool.submit(make, number) for number in numbers[:depth]]
        try:
            for number in [*numbers[depth:], *[None] * min(depth, len(numbers))]:
                made = waiting.pop(0).result()
                if number is not None:
                    waiting.append(pool.submit(make, number))
                yield made
        finally:
            pool.shutdown(cancel_futures=True)
