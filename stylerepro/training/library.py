"""Trained networks by what they were trained on: committed ones, this machine's own, or trained now.

A network is known by everything that decides its weights: recipe, style picture, photographs, and the code that
trains. Two notebooks that want the same one train it once; one that was interrupted goes on from its checkpoint.
"""

import ast
import json
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from stylerepro.errors import NetworkError, ResultsWarning, unknown
from stylerepro.files import atomic_path, hash_of, lock, make_folder, results_root, runs_root
from stylerepro.measures import image_metrics
from stylerepro.networks import checkpoints
from stylerepro.networks.feed_forward import Architecture
from stylerepro.networks.specs import resolve
from stylerepro.pictures import images
from stylerepro.pictures.paintings import PAINTINGS
from stylerepro.training.photographs import Photographs
from stylerepro.training.recipe import Recipe, evaluate
from stylerepro.training.train import Progress, Trained, picture_digest, train
from stylerepro.transfer.objective import STYLE_LAYERS, TERMS, conventions

LIMIT = 12_000_000  # bytes, for all committed networks together
_SUFFIX = ".safetensors"
_EVERY = 10  # steps between two that a committed network's curve tells
_COLUMNS = (*TERMS, "total", "learning_rate", "seconds")


@dataclass(frozen=True)
class Kept:
    """A trained network on disk. name: to be asked for; committed: comes with the repository, in float16."""

    name: str
    path: Path
    committed: bool
    description: checkpoints.Description

    @property
    def recipe(self) -> dict[str, Any]:
        """The recipe's settings in plain values."""
        return dict(self.description.trained["recipe"])


def committed_folder() -> Path:
    """Networks that come with the repository: `results/networks/`."""
    return results_root() / "networks"


def own_folder() -> Path:
    """Networks that were trained here: `results/runs/networks/`."""
    return runs_root() / "networks"


def kept() -> list[Kept]:
    """All trained networks that are at hand, committed ones first, then by name."""
    return [*_in(committed_folder(), True), *_in(own_folder(), False)]


def find(name: str) -> Kept:
    """The network called `name`; an unknown name is a `NetworkError` that shows the nearest."""
    every = kept()
    for one in every:
        if one.name == name:
            return one
    raise NetworkError(unknown(name, [one.name for one in every], "trained network", "This project"))


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
    """The network of `recipe` for the style picture `style` (a name or path), its short side `style_size` px.

    With `committed` taken from those that come with the repository, if they have it (whatever code trained them; of
    their history every tenth step is there); else from this machine's own, if it was trained here with this code; else
    trained now, and kept. A committed one needs no photographs.
    callback, progress, save_every: of a training that takes place. Raises what `images.read` and `train` raise.
    """
    picture = images.read(style, style_size)
    what = _settings(recipe, picture_digest(picture))
    for one in _in(committed_folder(), True) if committed else ():
        if _is_of(one, what, style, style_size):
            return Trained(checkpoints.load(one.path), recipe, _curve_of(one), {}, True)
    path = own_folder() / f"{label(style, recipe)}-{_key(what, recipe)[:8]}{_SUFFIX}"
    make_folder(path.parent)
    with lock(path.with_suffix(".lock"), wait=True):  # until no other process trains this network
        if path.is_file():
            return _read(path, recipe)
        checkpoint = path.with_suffix(".checkpoint")
        trained = train(
            picture, recipe, checkpoint=checkpoint, save_every=save_every, callback=callback, progress=progress
        )
        with atomic_path(path.with_suffix(".csv")) as temporary:
            trained.history.to_csv(temporary, index=False)
        trained.save(path, Path(style).name, settings=what, style_size=style_size)
        checkpoint.unlink(missing_ok=True)
    return trained


def judge(
    network: Callable[[Tensor], Tensor], style: Tensor, recipe: Recipe, photographs: Mapping[str, Tensor]
) -> tuple[pd.DataFrame, dict[str, Tensor]]:
    """What a network makes of photographs (1, 3, H, W) that it never saw: a table, and the pictures by name.

    style: the picture that it learned from. One row a photograph. Columns: content (its name), content_loss,
    style_loss, tv_loss (as in training, unweighted), perceptual_loss (content and style, weighted), ssim_content, and
    sliced_wasserstein, the distance to the style, which nothing is trained for.
    """
    with torch.no_grad():
        made = {name: network(picture).clamp(0, 1) for name, picture in photographs.items()}
    rows = evaluate(made, style, recipe, photographs)
    rows["perceptual_loss"] = recipe.content_weight * rows["content_loss"] + recipe.style_weight * rows["style_loss"]
    rows["ssim_content"] = [image_metrics.ssim(made[name], photographs[name]) for name in rows["content"]]
    rows["sliced_wasserstein"] = [image_metrics.sliced_wasserstein(made[name], style) for name in rows["content"]]
    return rows, made


def chapter_recipe(
    architecture: str | Architecture,
    network: str,
    *,
    held_out: Sequence[str],
    photographs: str,
    style_layer_weight: float,
    tv_norm: str = "squared",
    **settings: Any,
) -> Recipe:
    """A recipe as the chapters on feed-forward networks share it: document 003's losses on features of unit scale.

    network: the loss network. held_out: names of photographs that judge, and are not learned from where `photographs`
    has them. style_layer_weight: of each style layer. tv_norm: of the total variation, a mean over pixels. settings:
    further ones of `Recipe`.
    """
    settings = {"leave_out": tuple(held_out) if photographs == "embedded" else ()} | settings
    how = conventions("johnson/unit", tv_reduction="mean", tv_norm=tv_norm)
    layers = dict.fromkeys(STYLE_LAYERS, style_layer_weight)
    return Recipe(
        architecture, resolve(network), style_layers=layers, convention=how, photographs=photographs, **settings
    )


def label(style: str, recipe: Recipe) -> str:
    """A short name: style, architecture, λ_c, λ_s, seed: "swirls-johnson-c2-s40-0"."""
    architecture = recipe.architecture.label.replace("=", "")  # type: ignore[union-attr]
    architecture = re.sub(r"[^\w.]+", "-", architecture).strip("-")
    return f"{Path(style).stem}-{architecture}-c{recipe.content_weight:g}-s{recipe.style_weight:g}-{recipe.seed}"


def commit(name: str) -> Path:
    """Copy an own network to the committed ones, in float16, with its curve; returns its file.

    Raises `NetworkError`, with nothing changed, for an unknown name and where they would pass `LIMIT` together.
    """
    one = find(name)
    target = committed_folder() / f"{name.rpartition('-')[0]}{_SUFFIX}"
    network, about = checkpoints.load(one.path), dict(one.description.trained)
    history = _history(one.path)
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


def _is_of(one: Kept, what: Mapping[str, Any], style: str, style_size: int) -> bool:
    """Whether a network was trained by these settings, on this style picture.

    A painting of this project goes by its name: computed on another machine, its last bits may differ.
    """
    about = one.description.trained
    theirs = dict(about.get("settings") or {})
    if style in PAINTINGS and (about.get("style"), about.get("style_size")) == (style, style_size):
        theirs["style picture"] = what["style picture"]
    return theirs == what


def _settings(recipe: Recipe, style: str) -> dict[str, Any]:
    """What decides the weights but for code and photographs' names, in plain values."""
    plain = {name: value for name, value in recipe.described().items() if name != "accumulation"}
    settings: dict[str, Any] = json.loads(json.dumps(plain | {"style picture": style}))
    return settings


def _key(settings: dict[str, Any], recipe: Recipe) -> str:
    pictures = Photographs(
        recipe.photographs, size=recipe.size, crop=recipe.crop, seed=recipe.seed, leave_out=recipe.leave_out
    )
    return hash_of([settings, pictures.identity, _code()])


def _code() -> list[str]:
    """Return what decides a training in the package: the code of networks/, transfer/ and training/, no comments."""
    package = Path(__file__).parents[1]
    paths = [path for room in ("networks", "transfer", "training") for path in (package / room).glob("*.py")]
    return sorted(ast.unparse(ast.parse(path.read_text(encoding="utf-8"))) for path in paths)


def _read(path: Path, recipe: Recipe) -> Trained:
    return Trained(checkpoints.load(path), recipe, _history(path), {}, True)


def _history(path: Path) -> pd.DataFrame:
    file = path.with_suffix(".csv")
    return pd.read_csv(file) if file.is_file() else pd.DataFrame(columns=["step", *_COLUMNS], dtype=float)


def _curve_of(one: Kept) -> pd.DataFrame:
    curve = one.description.trained.get("curve") or {}
    return pd.DataFrame(curve, columns=["step", *_COLUMNS], dtype=float).astype({"step": int})
