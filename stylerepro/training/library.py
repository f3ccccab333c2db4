"""Library of trained networks: committed ones, this machine's own, or trained now; and pictures through them.

A network is known by everything that decides its weights: recipe, style picture, photographs, and the code that
trains. Two notebooks that want the same one train it once; one that was interrupted goes on from its checkpoint.
"""

import ast
import functools
import re
import time
import unicodedata
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import psutil  # type: ignore[import-untyped,unused-ignore]
import torch
from torch import Tensor

from stylerepro.errors import ImageError, NetworkError, ResultsWarning, StyleReproError, unknown
from stylerepro.files import atomic_path, expanded, hash_of, keep, lock, make_folder, results_root, runs_root
from stylerepro.measures import image_metrics
from stylerepro.networks import checkpoints, naming
from stylerepro.networks.inference import fast, has_winograd
from stylerepro.pictures import assets, images
from stylerepro.pictures.paintings import PAINTINGS
from stylerepro.training.recipe import Criterion, Recipe
from stylerepro.training.train import COLUMNS, Progress, Trained, picture_digest, train
from stylerepro.transfer.objective import TERMS

LIMIT = 12_000_000  # bytes, for all committed networks together
SIZE = 1024  # pixels of the short side of a restyled picture; a camera's 24 million pixels would take 10 GB
_SUFFIX = ".safetensors"
_EVERY = 10  # steps between two that a committed network's curve tells


@dataclass(frozen=True)
class Kept:
    """A trained network on disk. name: to be asked for; committed: comes with the repository, in float16."""

    name: str
    path: Path
    committed: bool
    description: checkpoints.Description

    def is_of(self, settings: Mapping[str, Any], style: str, style_size: int) -> bool:
        """Tell whether the network was trained by these settings, on this style picture.

        A painting of this project goes by its name: computed on another machine, its last bits may differ.
        """
        about = self.description.trained
        own = dict(about.get("settings") or {})
        if style in PAINTINGS and (about.get("style"), about.get("style_size")) == (style, style_size):
            own["style picture"] = settings["style picture"]
        return own == settings


def committed_folder() -> Path:
    """Return the folder of networks that come with the repository, `results/networks/`."""
    return results_root() / "networks"


def own_folder() -> Path:
    """Return the folder of networks that were trained here, `results/runs/networks/`."""
    return runs_root() / "networks"


def kept() -> list[Kept]:
    """List all trained networks that are at hand, committed ones first, then by name."""
    return [*_in(committed_folder(), True), *_in(own_folder(), False)]


def find(name: str) -> Kept:
    """Find the network called `name`; an unknown name is a `NetworkError` that shows the nearest."""
    networks = kept()
    for network in networks:
        if network.name == name:
            return network
    raise NetworkError(unknown(name, [network.name for network in networks], "trained network", "This project"))


def obtain(
    style: str,
    recipe: Recipe,
    style_size: int,
    *,
    committed: bool = True,
    callback: Callable[[Progress], None] | None = None,
    progress: bool = False,
    save_every: int = 100,
) -> Trained:
    """Obtain the network of `recipe` for the style picture `style` (a name or path), its short side `style_size` px.

    With `committed` taken from those that come with the repository, if they have it (whatever code trained them; of
    their history every tenth step is there); else from this machine's own, if it was trained here with this code; else
    trained now, and kept. A committed one needs no photographs.
    callback, progress, save_every: of a training that takes place. Raises what `images.read` and `train` raise.
    """
    picture = images.read(style, style_size)
    settings = recipe.described() | {"style picture": picture_digest(picture)}
    del settings["accumulation"]  # how a batch is divided is no part of what a network is
    for network in _in(committed_folder(), True) if committed else ():
        if network.is_of(settings, style, style_size):
            curve = pd.DataFrame(network.description.trained.get("curve") or {}, columns=COLUMNS, dtype=float)
            return Trained(checkpoints.load(network.path), recipe, curve.astype({"step": int}), {}, True)
    key = hash_of([settings, recipe.pictures().identity, _code()])
    path = own_folder() / f"{label(style, recipe)}-{key[:8]}{_SUFFIX}"
    make_folder(path.parent)
    with lock(path.with_suffix(".lock"), wait=float("inf")):  # until no other process trains this network
        if path.is_file():
            return Trained(checkpoints.load(path), recipe, _history(path), {}, True)
        checkpoint = path.with_suffix(".checkpoint")
        trained = train(
            picture, recipe, checkpoint=checkpoint, save_every=save_every, callback=callback, progress=progress
        )
        with atomic_path(path.with_suffix(".csv")) as temporary:
            trained.history.to_csv(temporary, index=False)
        trained.save(path, Path(style).name, settings=settings, style_size=style_size)
        checkpoint.unlink(missing_ok=True)
    return trained


@torch.no_grad()
def judge(
    network: Callable[[Tensor], Tensor], style: Tensor, recipe: Recipe, photographs: Mapping[str, Tensor]
) -> tuple[pd.DataFrame, dict[str, Tensor]]:
    """Judge what a network makes of photographs (1, 3, H, W), by name: a table, and the pictures by name.

    style: the picture that it learned from. One row a photograph. Columns: content (its name), content_loss,
    style_loss, tv_loss (as in training, unweighted), total (weighted), perceptual_loss (content and style, weighted),
    ssim_content, and sliced_wasserstein, the distance to the style, which nothing is trained for.
    """
    made = {name: network(picture).clamp(0, 1) for name, picture in photographs.items()}
    criterion, rows = Criterion(style, recipe), []
    for name, picture in made.items():
        terms = {term: float(value) for term, value in criterion(picture, photographs[name]).items()}
        rows.append({
            "content": name,
            **{f"{term}_loss": terms[term] for term in TERMS},
            "total": terms["total"],
            "perceptual_loss": recipe.content_weight * terms["content"] + recipe.style_weight * terms["style"],
            "ssim_content": image_metrics.ssim(picture, photographs[name]),
            "sliced_wasserstein": image_metrics.sliced_wasserstein(picture, style),
        })  # fmt: skip
    return pd.DataFrame(rows), made


def label(style: str, recipe: Recipe) -> str:
    """Name a network in short: style, architecture, λ_c, λ_s, seed: "swirls-johnson-c2-s40-0"."""
    architecture = naming.label(recipe.architecture).replace("=", "")  # type: ignore[arg-type]
    architecture = re.sub(r"[^\w.]+", "-", architecture).strip("-")
    return f"{Path(style).stem}-{architecture}-c{recipe.content_weight:g}-s{recipe.style_weight:g}-{recipe.seed}"


def commit(name: str) -> Path:
    """Copy an own network to the committed ones, in float16, with its curve; returns its file.

    Raises `NetworkError`, with nothing changed, for an unknown name and where they would pass `LIMIT` together.
    """
    own = find(name)
    target = committed_folder() / f"{name.rpartition('-')[0]}{_SUFFIX}"
    network, about = checkpoints.load(own.path), dict(own.description.trained)
    history = _history(own.path)
    told = history[(history["step"] % _EVERY == 0) | (history["step"] == 1)]
    about["curve"] = {column: [float(f"{value:.4g}") for value in told[column]] for column in told}
    if target.is_file() and checkpoints.describe(target).trained.get("settings") != about.get("settings"):
        raise NetworkError(f"{target.name} is there already, trained by other settings. Remove it first.")
    others = sum(path.stat().st_size for path in committed_folder().glob(f"*{_SUFFIX}") if path != target)
    total = others + checkpoints.file_size(network, about, half=True)
    if total > LIMIT:
        raise NetworkError(
            f"With {name} the committed networks would take {total / 1e6:.1f} MB, more than {LIMIT / 1e6:.0f} MB. "
            f"Remove one from {committed_folder().name}/ first."
        )
    return checkpoints.save(network, target, about, half=True)


@dataclass(frozen=True)
class Restyled:
    """One input and its picture. path: of the new picture, None where it failed; error: why; seconds: of the pass."""

    source: str
    path: Path | None
    seconds: float = 0.0
    size: tuple[int, int] = (0, 0)
    error: str = ""


def load(network: str) -> Callable[[Tensor], Tensor]:
    """Load a network by its name (`stylerepro networks` lists them) or file (.safetensors, .onnx), ready to be fast.

    On a GPU where there is one. Raises `NetworkError` for an unknown name and for a file that is no such network.
    """
    path = expanded(network)
    if path.suffix == ".onnx":
        return checkpoints.OnnxNetwork(path)
    if not path.is_file():
        if path.suffix or path.parent != Path():
            raise NetworkError(f"There is no file {network}. Give a network's name (stylerepro networks) or its file.")
        path = find(network).path
    trained = checkpoints.load(path)
    if not torch.cuda.is_available():
        # NNPACK's own threads and OpenMP's, which wait in a busy loop, take the cores from each other.
        return fast(trained, winograd=has_winograd() and torch.get_num_threads() == 1)
    ready = fast(trained.cuda())
    return lambda picture: ready(picture.cuda()).cpu()


def restyle(
    network: Callable[[Tensor], Tensor],
    inputs: Sequence[str],
    folder: str | Path,
    size: int | None = SIZE,
    *,
    force: bool = False,
) -> Iterator[Restyled]:
    """Put each input through `network` and write it to `folder` under its own name; one answer each, as it is done.

    inputs: names, paths or addresses of pictures, and folders, whose pictures at any depth are taken. size: pixels of
    the short side, None keeps a picture's own; enlarging ends where the long side has four times as many. Two inputs of
    one name, or of names that some disks take for one, become NAME and NAME-2. Whatever is wrong with an input
    (unreadable, too small, too large for the memory, or its new name is taken by a file that only `force` writes over)
    is answered as its error, and the others go on. What lies in `folder` is not taken for an input where `folder` lies
    in one. Raises `ImageError`, before anything is read, when there is no input at all, and for `folder` among the
    inputs without `force`.
    """
    pairs = list(_targets(_flat(inputs, expanded(folder).resolve(), force), Path(folder)))
    if not pairs:
        raise ImageError(f"There is no picture in {', '.join(inputs) or 'nothing'}. Name pictures, or folders of them.")
    make_folder(folder)
    return (_restyled(network, source, target, size, force) for source, target in pairs)


def _restyled(
    network: Callable[[Tensor], Tensor], source: str, target: Path, size: int | None, force: bool
) -> Restyled:
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
        reason = str(error) if isinstance(error, StyleReproError) else _in_words(error)
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


def _in_words(error: Exception) -> str:
    said = (str(error).strip() or type(error).__name__).splitlines()[0]
    if isinstance(error, MemoryError) or re.search(r"(?i)memory|alloc", said):
        return "it does not fit into memory. Give a smaller --size."
    return f"the network failed on it ({said})."


def _flat(inputs: Iterable[str], out: Path, force: bool) -> Iterator[str]:
    for name in inputs:
        path = expanded(name)
        if not path.is_dir():
            yield name
        elif path.resolve() == out and not force:
            raise ImageError(f"{name} holds the pictures: give another folder, or --force to write over them.")
        else:
            made = [out] if out != path.resolve() else []
            yield from (str(file) for file in assets.photo_files(path) if not {*made} & {*file.resolve().parents})


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


def _in(folder: Path, committed: bool) -> Iterator[Kept]:
    for path in sorted(folder.glob(f"*{_SUFFIX}")):
        try:
            yield Kept(path.stem, path, committed, checkpoints.describe(path))
        except NetworkError as error:
            warnings.warn(f"{error} It was passed over.", ResultsWarning, stacklevel=2)


@functools.cache
def _code() -> list[str]:
    """Return what decides a training in the package: the code of networks/, transfer/ and training/, no comments."""
    package = Path(__file__).parents[1]
    paths = [path for room in ("networks", "transfer", "training") for path in (package / room).rglob("*.py")]
    return sorted(ast.unparse(ast.parse(path.read_text(encoding="utf-8"))) for path in paths)


def _history(path: Path) -> pd.DataFrame:
    file = path.with_suffix(".csv")
    return pd.read_csv(file) if file.is_file() else pd.DataFrame(columns=COLUMNS, dtype=float)
