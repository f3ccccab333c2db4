"""Pictures through a trained network, by one command: each input read, restyled, written; what fails is named."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from stylerepro.errors import ImageError, NetworkError, StyleReproError
from stylerepro.files import make_folder
from stylerepro.networks import checkpoints
from stylerepro.networks.inference import fast, has_winograd
from stylerepro.pictures import assets, images
from stylerepro.training import library

SIZE = 1024  # pixels of the short side; a camera's 24 million pixels would take 10 GB


@dataclass(frozen=True)
class Restyled:
    """What became of one input. path: of the new picture, None where it failed; error: why; seconds: of the pass."""

    source: str
    path: Path | None
    seconds: float = 0.0
    size: tuple[int, int] = (0, 0)
    error: str = ""


def load(network: str) -> Callable[[Tensor], Tensor]:
    """A network by its name (`stylerepro networks` lists them) or file (.safetensors, .onnx), ready to be fast.

    On a GPU where there is one. Raises `NetworkError` for an unknown name and for a file that is no such network.
    """
    path = Path(network).expanduser()
    if path.suffix == ".onnx":
        return checkpoints.OnnxNetwork(path)
    if not path.is_file():
        if path.suffix or path.parent != Path():
            raise NetworkError(f"There is no file {network}. Give a network's name (stylerepro networks) or its file.")
        path = library.find(network).path
    network_ = checkpoints.load(path)
    if not torch.cuda.is_available():
        # NNPACK's own threads and OpenMP's, which wait in a busy loop, take the cores from each other.
        return fast(network_, winograd=has_winograd() and torch.get_num_threads() == 1)
    ready = fast(network_.cuda())
    return lambda picture: ready(picture.cuda()).cpu()


def restyle(
    network: Callable[[Tensor], Tensor], inputs: Sequence[str], folder: str | Path, size: int | None = SIZE
) -> Iterator[Restyled]:
    """Put each input through `network` and write it to `folder` under its own name; one answer each, as it is done.

    inputs: names, paths or addresses of pictures, and folders, whose pictures at any depth are taken. size: pixels of
    the short side, None keeps a picture's own. A file of the folder that has the name already is replaced; two inputs
    of one name become NAME and NAME-2. An input that cannot be read, or is too small, is answered with its error, and
    the others go on. Raises `ImageError`, before anything is read, when there is no input at all.
    """
    pairs = list(_targets(_flat(inputs), Path(folder)))
    if not pairs:
        raise ImageError(f"There is no picture in {', '.join(inputs) or 'nothing'}. Name pictures, or folders of them.")
    make_folder(folder)
    return (_one(network, source, target, size) for source, target in pairs)


def _one(network: Callable[[Tensor], Tensor], source: str, target: Path, size: int | None) -> Restyled:
    try:
        picture = images.read(source, size)
        start = time.perf_counter()
        made = network(picture)
        seconds = time.perf_counter() - start
        images.write(made.clamp(0, 1), target)
    except StyleReproError as error:
        return Restyled(source, None, error=str(error))
    return Restyled(source, target, seconds, (made.shape[-1], made.shape[-2]))


def _flat(inputs: Iterable[str]) -> Iterator[str]:
    for one in inputs:
        path = Path(one).expanduser()
        if path.is_dir():
            yield from map(str, assets.photo_files(path))
        else:
            yield one


def _targets(sources: Iterable[str], folder: Path) -> Iterator[tuple[str, Path]]:
    """Each source with a name in `folder` that no other has; a suffix that cannot be written becomes .png."""
    used: set[str] = set()
    for source in sources:
        name = Path(source.replace(":", "-") if not Path(source).suffix else source)
        suffix = name.suffix.lower() if name.suffix.lower() in images.SUFFIXES else ".png"
        number, stem = 1, name.stem or "picture"
        while f"{stem}{suffix}" in used:
            number += 1
            stem = f"{name.stem}-{number}"
        used.add(f"{stem}{suffix}")
        yield source, folder / f"{stem}{suffix}"
