"""Library of trained networks: committed ones, this machine's own, or trained now.

A network is known by everything that decides its weights: recipe, style picture, photographs, and the code that
trains. Two notebooks that want the same one train it once; one that was interrupted goes on from its checkpoint.
"""

import ast
import functools
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from stylerepro.errors import NetworkError, ResultsWarning, unknown
from stylerepro.files import atomic_path, hash_of, lock, make_folder, results_root, runs_root
from stylerepro.measures import image_metrics
from stylerepro.networks import checkpoints, naming
from stylerepro.networks.specs import resolve
from stylerepro.pictures import images
from stylerepro.pictures.paintings import PAINTINGS
from stylerepro.training.recipe import Criterion, Recipe
from stylerepro.training.train import COLUMNS, Progress, Trained, picture_digest, train
from stylerepro.transfer.objective import TERMS

LIMIT = 25_000_000  # bytes, for all committed networks together
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
        """Tell whether these settings and this style trained it; a painting goes by its name, not its last bits."""
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

    With `committed` taken from those that come with the repository, if they have it, whatever code trained them (then
    the history has every tenth step); else from this machine's own, of this code; else trained now, and kept.
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
    network: Callable[[Tensor], Tensor],
    style: Tensor,
    recipe: Recipe,
    photographs: Mapping[str, Tensor],
    judged_with: str | None = None,
) -> tuple[pd.DataFrame, dict[str, Tensor]]:
    """Judge what a network makes of photographs (1, 3, H, W), by name: a table, a row each, and the pictures by name.

    style: what it learned from. judged_with: the loss network, None for that of the training; always in float32.
    Columns: content (name), content_loss, style_loss, tv_loss (unweighted), total (weighted), perceptual_loss (content
    and style, weighted), ssim_content, and sliced_wasserstein, the distance to the style, which nothing is trained for.
    """
    made = {name: network(picture).clamp(0, 1) for name, picture in photographs.items()}
    exact = replace(recipe, loss_network=resolve(judged_with or recipe.loss_network), precision="no")
    criterion, rows = Criterion(style, exact), []
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
