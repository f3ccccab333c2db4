"""A network of one's own by one command: settings as text, each with the default that stands in `Recipe`."""

import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from stylerepro.errors import NetworkError, ParameterError, unknown
from stylerepro.pictures import images
from stylerepro.runs.experiments import SCALARS, Parameter, convert
from stylerepro.training.recipe import Recipe
from stylerepro.training.train import train

STYLE_SIZE = 256  # pixels of the style picture's short side
_LISTS = {"content_layers": "list[str]", "style_layers": "list[str]", "leave_out": "list[str]", "betas": "list[float]"}


def settings() -> dict[str, Parameter]:
    """The fields of `Recipe` that can be typed: numbers, words and lists of them."""
    hints, found = typing.get_type_hints(Recipe), {}
    for field in fields(Recipe):
        kinds = [
            one.__name__ for one in (hints[field.name], *typing.get_args(hints[field.name])) if hasattr(one, "__name__")
        ]
        kind = _LISTS.get(field.name) or next((one for one in kinds if one in SCALARS), "")
        default = field.default if field.default is not MISSING else getattr(Recipe(), field.name)
        if kind:
            found[field.name] = Parameter(field.name, kind, default)
    return found


def learn(
    style: str,
    out: Path,
    *,
    style_size: int = STYLE_SIZE,
    given: Mapping[str, str] | None = None,
    progress: bool = False,
) -> str:
    """Train a network on `style` and write it to `out` (.safetensors); returns in one line what was done.

    Interrupted and called again, it goes on from the checkpoint beside `out`, which is removed in the end. style_size:
    pixels of the style picture's short side. given: settings of `Recipe` as text. Under `accelerate launch` the
    processes share each batch, and one writes. Raises, before anything is computed, `ParameterError` for a setting that
    does not exist or has the wrong type and `NetworkError` for another suffix; then what `images.read` and `train`
    raise.
    """
    known = settings()
    for name in given or {}:
        if name not in known:
            raise ParameterError(unknown(name, list(known), "setting", "train"))
    values: dict[str, Any] = {name: convert(known[name], text, "train") for name, text in (given or {}).items()}
    if out.suffix != ".safetensors":
        raise NetworkError(f"{out}: give a name that ends in .safetensors.")
    recipe, checkpoint = Recipe(**values), out.with_suffix(".checkpoint")
    trained = train(images.read(style, style_size), recipe, checkpoint=checkpoint, progress=progress)
    if _is_first():
        trained.save(out, Path(style).name, style_size=style_size)
        checkpoint.unlink(missing_ok=True)
    skipped = (
        f"; {len(trained.skipped)} files could not be read: {', '.join(trained.skipped)}" if trained.skipped else ""
    )
    last = trained.history["total"].tail(10).mean()
    return f"{out}: {recipe.architecture.label}, {len(trained.history)} steps, loss {last:.4g}{skipped}"  # type: ignore[union-attr]


def _is_first() -> bool:
    from accelerate.state import PartialState

    return bool(PartialState().is_main_process)
