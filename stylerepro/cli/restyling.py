"""Pictures through a trained network: each to a file of its own, what is wrong with one said, the others done."""

import re
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped,unused-ignore]
import torch
from torch import Tensor

from stylerepro.errors import ImageError, NetworkError, StyleReproError
from stylerepro.files import expanded, keep, make_folder
from stylerepro.networks import checkpoints
from stylerepro.networks.inference import fast, has_winograd
from stylerepro.pictures import assets, images
from stylerepro.training import library

Network = Callable[[Tensor], Tensor]
SIZE = 1024  # pixels of the short side of a restyled picture; a camera's 24 million pixels would take 10 GB


@dataclass(frozen=True)
class Restyled:
    """One input and its picture. path: of the new picture, None where it failed; error: why; seconds: of the pass."""

    source: str
    path: Path | None
    seconds: float = 0.0
    size: tuple[int, int] = (0, 0)
    error: str = ""


def load(network: str) -> Network:
    """Load a network by its name (`stylerepro networks` lists them) or file (.safetensors, .onnx), ready to be fast.

    On a GPU where there is one. Raises `NetworkError` for an unknown name and for a file that is no such network.
    """
    path = expanded(network)
    if path.suffix == ".onnx":
        return checkpoints.OnnxNetwork(path)
    if not path.is_file():
        if path.suffix or path.parent != Path():
            raise NetworkError(f"There is no file {network}. Give a network's name (stylerepro networks) or its file.")
        path = library.find(network).path
    trained = checkpoints.load(path)
    if not torch.cuda.is_available():
        # NNPACK's own threads and OpenMP's, which wait in a busy loop, take the cores from each other.
        return fast(trained, winograd=has_winograd() and torch.get_num_threads() == 1)
    ready = fast(trained.cuda())
    return lambda picture: ready(picture.cuda()).cpu()


def restyle(
    network: Network, inputs: Sequence[str], folder: str | Path, size: int | None = SIZE, *, force: bool = False
) -> Iterator[Restyled]:
    """Put each input through `network` and write it to `folder` under its own name; one answer each, as it is done.

    inputs: names, paths or addresses of pictures, and folders, whose pictures at any depth are taken. size: pixels of
    the short side, None keeps a picture's own; enlarging ends where the long side has four times as many. Two inputs of
    one name, or of names that some disks take for one, become NAME and NAME-2. Whatever is wrong with an input
    (unreadable, too small, too large for the memory, or its new name is taken by a file that only `force` writes over)
    is answered as its error, and the others go on. What lies in a `folder` within an input is none itself. Raises
    `ImageError`, before anything is read, when there is no input, and for `folder` among the inputs without `force`.
    """
    pairs = list(_targets(_flat(inputs, expanded(folder).resolve(), force), Path(folder)))
    if not pairs:
        raise ImageError(f"There is no picture in {', '.join(inputs) or 'nothing'}. Name pictures, or folders of them.")
    make_folder(folder)
    return (_restyled(network, source, target, size, force) for source, target in pairs)


def _restyled(network: Network, source: str, target: Path, size: int | None, force: bool) -> Restyled:
    try:
        keep(target, force)
        with _within_memory():
            picture = images.read(source, size, longest=size and 4 * size)
            start = time.perf_counter()
            made = network(picture)
            seconds = time.perf_counter() - start
            images.write(made.clamp(0, 1), target)
    # An allocator and each runtime have errors of their own, and the next picture is likely a smaller one.
    except Exception as error:
        reason = str(error)
        if not isinstance(error, StyleReproError):
            said = (reason.strip() or type(error).__name__).splitlines()[0]
            large = isinstance(error, MemoryError) or re.search(r"(?i)memory|alloc", said)
            failed = f"the network failed on it ({said})."
            reason = "it does not fit into memory. Give a smaller --size." if large else failed
        return Restyled(source, None, error=reason if source in reason else f"{source}: {reason}")
    return Restyled(source, target, seconds, (made.shape[-1], made.shape[-2]))


@contextmanager
def _within_memory() -> Iterator[None]:
    """Let an allocation beyond the free memory fail within; else Linux grants it, and ends the process later."""
    if not hasattr(psutil, "RLIMIT_DATA") or torch.cuda.is_available():  # CUDA sets aside more than it ever takes
        yield
        return
    process, free = psutil.Process(), psutil.virtual_memory().available
    with suppress(OSError, ValueError):  # "max", or no such group
        most, now = ((Path("/sys/fs/cgroup") / name).read_text() for name in ("memory.max", "memory.current"))
        free = min(free, int(most) - int(now))
    before = process.rlimit(psutil.RLIMIT_DATA)
    asked = process.memory_info().data + max(free, 0)
    limits = [limit for limit in (asked, *before) if limit != psutil.RLIM_INFINITY]
    process.rlimit(psutil.RLIMIT_DATA, (min(limits), before[1]))
    try:
        yield
    finally:
        process.rlimit(psutil.RLIMIT_DATA, before)


def _flat(inputs: Iterable[str], out: Path, force: bool) -> Iterator[str]:
    for name in inputs:
        path = expanded(name)
        if not path.is_dir():
            yield name
        elif path.resolve() == out and not force:
            raise ImageError(f"{name} holds the pictures: give another folder, or --force to write over them.")
        else:
            taken = path.resolve() == out
            yield from (str(file) for file in assets.photo_files(path) if taken or out not in file.resolve().parents)


def _targets(sources: Iterable[str], folder: Path) -> Iterator[tuple[str, Path]]:
    """Each source with a name in `folder` that no other has; a suffix that cannot be written becomes .png."""
    used: set[str] = set()
    for source in sources:
        name = Path(source.replace(":", "-") if not Path(source).suffix else source)
        suffix = name.suffix.lower() if name.suffix.lower() in images.SUFFIXES else ".png"
        number, stem = 1, name.stem or "picture"
        # Some disks know no difference of case, or between "é" and "e" with an accent.
        while (key := unicodedata.normalize("NFC", f"{stem}{suffix}").casefold()) in used:
            number += 1
            stem = f"{name.stem}-{number}"
        used.add(key)
        yield source, folder / f"{stem}{suffix}"
