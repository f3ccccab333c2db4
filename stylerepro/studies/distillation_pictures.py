"""Pictures that a loss network is learned on: photographs, paintings, noise, odd colours, twins with a little noise."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from stylerepro.errors import AssetError, ImageError
from stylerepro.pictures import images
from stylerepro.pictures.paintings import PAINTINGS
from stylerepro.training.photographs import as_bytes, files_of

HELD_OUT_EVERY = 10
"""Every tenth photograph, by name, is never learned from."""

FIRST_SEED = 1000
"""Of the paintings that are learned from; the suite's own pictures are painted from seeds below it."""

SIDE = 256
"""Pixels of the squares that the pictures are kept as."""

_LUMINANCE = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Split:
    """Photographs as bytes (1, 3, H, W): training, held_out; source: where from; skipped: files not readable."""

    training: list[Tensor]
    held_out: list[Tensor]
    source: str
    skipped: list[str]


def photographs(source: str = "photos", most: int | None = None) -> Split:
    """Read photographs of a source of `photographs.files_of`; every tenth by name is held out.

    most: take only so many, spread evenly over the names. An unreadable file is left out and named. Raises `AssetError`
    for a source that is missing, or has not two readable pictures.
    """
    source, files = files_of(source)
    names = list(files.values())
    # Split before anything is left out, so that a picture held out once is held out of every selection.
    every = min(HELD_OUT_EVERY, max(len(names) // 2, 1))
    held_out, training = names[::every], [name for place, name in enumerate(names) if place % every]
    if most is not None:
        held_out, training = _spread(held_out, -(-most // every)), _spread(training, most - -(-most // every))
    skipped: list[str] = []
    size = 288 if source == "embedded" else None
    split = Split(_read(training, size, skipped), _read(held_out, size, skipped), source, skipped)
    if not split.training or not split.held_out:
        readable = len(split.training) + len(split.held_out)
        raise AssetError(f"{source!r} gives {readable} readable pictures; at least 2 are needed, one of them held out.")
    return split


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
    """Paint `each` pictures by every painter, bytes (1, 3, size, size), from seeds that nothing else uses."""
    painters = [(painter, FIRST_SEED + number) for painter in PAINTINGS for number in range(each)]
    return [as_bytes(images.read(f"{painter}:{seed}", size)) for painter, seed in painters]


def squares(pictures: Sequence[Tensor], size: int) -> Tensor:
    """Cut the middles of pictures of bytes as float squares (N, 3, size, size), shorter side brought to `size`."""
    floats = [images.resize(picture.float() / 255, size) for picture in pictures]
    return torch.cat([images.centre_crop(picture, size, size) for picture in floats])


@dataclass(frozen=True)
class Pictures:
    """What is learned from: crops of photographs and paintings, some with their colours bent, some plain noise.

    photographs, paintings: bytes (N, 3, SIDE, SIDE), on the device that learns. size: px, of the crops.
    painted, noisy: shares of paintings and of coloured noise. disturbed: share whose colours are mixed, scaled and
    moved, half of these with white noise on them, so that the network is right about odd palettes too.
    """

    photographs: Tensor
    paintings: Tensor
    size: int
    painted: float = 0.18
    noisy: float = 0.07
    disturbed: float = 0.3

    def draw(self, number: int) -> Tensor:
        """Draw crops (number, 3, size, size), float32, by PyTorch's own random numbers."""
        kinds = torch.rand(number)
        noisy = int((kinds < self.noisy).sum())
        painted = int((kinds > 1 - self.painted).sum()) if len(self.paintings) else 0
        parts = [disturb(crops(self.photographs, number - noisy - painted, self.size), self.disturbed)]
        parts += [disturb(crops(self.paintings, painted, self.size), self.disturbed)] if painted else []
        parts += [_coloured_noise(noisy, self.size, self.photographs.device)] if noisy else []
        return torch.cat(parts)


def crops(pictures: Tensor, number: int, size: int) -> Tensor:
    """Cut squares (number, 3, size, size) at random places of random pictures (N, 3, H, W), half of them mirrored."""
    height, width = pictures.shape[-2:]
    which = torch.randint(len(pictures), (number,)).tolist()
    tops = torch.randint(height - size + 1, (number,)).tolist()
    lefts = torch.randint(width - size + 1, (number,)).tolist()
    cut = [pictures[i, :, y : y + size, x : x + size] for i, y, x in zip(which, tops, lefts, strict=True)]
    chosen = torch.stack(cut) if cut else pictures.new_empty(0, 3, size, size)
    floats = chosen.float() / 255 if chosen.dtype == torch.uint8 else chosen.float()
    return torch.where(random_each(floats) < 0.5, floats.flip(3), floats)


def as_squares(pictures: Sequence[Tensor]) -> Tensor:
    """Bring pictures of bytes (1, 3, H, W) to one tensor of bytes (N, 3, SIDE, SIDE), their middles."""
    if not pictures:
        return torch.empty(0, 3, SIDE, SIDE, dtype=torch.uint8)
    return as_bytes(squares(pictures, SIDE))


def disturb(pictures: Tensor, share: float) -> Tensor:
    """Bend the colours of a share of `pictures` (N, 3, H, W), and put white noise on half of these."""
    n, device = len(pictures), pictures.device
    mix = torch.eye(3, device=device) + 0.5 * torch.randn(n, 3, 3, device=device)
    gain = 0.4 + 1.2 * torch.rand(n, 3, 1, 1, device=device)
    offset = 0.5 + 0.6 * (torch.rand(n, 3, 1, 1, device=device) - 0.5)
    noise = torch.randn_like(pictures) * (0.2 * random_each(pictures) * (random_each(pictures) < 0.5))
    bent = torch.einsum("nij,njhw->nihw", mix, pictures - 0.5) * gain + offset + noise
    return torch.where(random_each(pictures) < share, bent, pictures).clamp(-0.05, 1.05)


def _coloured_noise(number: int, size: int, device: torch.device) -> Tensor:
    """Noise whose amplitudes fall with a random power of the frequency, in random colours."""
    rows, columns = torch.fft.fftfreq(size, device=device)[:, None], torch.fft.rfftfreq(size, device=device)[None]
    frequency = (rows.square() + columns.square()).sqrt().clamp_min(1 / size)
    white = torch.fft.rfft2(torch.randn(number, 3, size, size, device=device))
    noise = torch.fft.irfft2(white / frequency ** (2 * random_each(white)), s=(size, size))
    noise = noise / noise.std((2, 3), keepdim=True)
    mix = 0.6 * torch.randn(number, 3, 3, device=device)
    middle = 0.5 + 0.4 * (torch.rand(number, 3, 1, 1, device=device) - 0.5)
    return (middle + 0.2 * random_each(noise) * torch.einsum("nij,njhw->nihw", mix, noise)).clamp(0, 1)


def twins(pictures: Tensor) -> Tensor:
    """Put a little noise on pictures (N, 3, H, W): white or of colour alone, fine or coarser, of 0.01 to 0.1."""
    noise = torch.randn_like(pictures)
    grey = (noise * noise.new_tensor(_LUMINANCE).reshape(1, 3, 1, 1)).sum(1, keepdim=True)
    noise = torch.where(random_each(noise) < 0.5, noise - grey, noise)
    coarse = 2.5 * functional.avg_pool2d(functional.pad(noise, (1, 1, 1, 1), "reflect"), 3, 1)
    noise = torch.where(random_each(noise) < 0.4, coarse, noise)
    return pictures + noise * (0.01 + 0.09 * random_each(noise).square())


def random_each(like: Tensor) -> Tensor:
    """One number from 0 to 1 a picture, (N, 1, 1, 1)."""
    return torch.rand(len(like), 1, 1, 1, device=like.device)
