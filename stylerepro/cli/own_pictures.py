"""The commands on pictures and trained networks; `stylerepro.cli.main` puts them beside those on experiments.

What `-p NAME=VALUE` takes is read from the signature of the function behind the command, defaults and all.
"""

import inspect
import sys
import time
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from stylerepro.cli import display
from stylerepro.errors import ImageError, NetworkError, ParameterError, TransferError
from stylerepro.files import expanded, keep
from stylerepro.pictures import assets
from stylerepro.runs.experiments import SCALARS, Parameter, checked
from stylerepro.runs.runner import duration, parse_overrides

if TYPE_CHECKING:
    from torch import Tensor

    from stylerepro.training.train import Progress

PICTURE_SIZE = 512  # pixels of the short side; a photograph as it comes from a camera would take an hour on a CPU
STYLE_SIZE = 256  # pixels of the style picture's short side, in training
_STAMP = 64  # pixels on which the settings of a sheet are tried first; every network takes them
_ENDED = "L-BFGS ended there by itself, finding no way further down"

Values = Annotated[
    list[str] | None, typer.Option("-p", metavar="NAME=VALUE", help="A value; lists as 0,10,100. May be repeated.")
]
Force = Annotated[bool, typer.Option("--force", help="Write over what -o names, if that is there.")]
Pixels = Annotated[
    int | None,
    typer.Option(help="Pixels of the short side (long strips are not enlarged so far); 0 keeps the own.", min=0),
]


def complain(message: str) -> None:
    """Say what is wrong, on the stream for errors."""
    Console(stderr=True).print(Text(message), soft_wrap=True)


def settings(function: Callable[..., Any]) -> dict[str, Parameter]:
    """Return the arguments with defaults, of a function or a dataclass, that can be typed on a command line.

    These are numbers, words, switches, and lists of numbers or words; what says how the work is shown is left out.
    """
    hints, typable = typing.get_type_hints(function), {}
    for name, argument in inspect.signature(function).parameters.items():
        kind, default = _typed(hints[name]), argument.default
        if not kind or default is argument.empty or name == "progress":
            continue
        if isinstance(function, type) and not hasattr(function, name):  # made anew for each instance
            default = getattr(function(), name)
        typable[name] = Parameter(name, kind, list(default) if isinstance(default, tuple) else default)
    return typable


def _typed(hint: Any) -> str:
    """Return the type as `experiments.convert` reads it, or "" for what cannot be typed on a command line."""
    choices = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    nullable = " | None" if type(None) in choices else ""
    for choice in choices:
        listed = typing.get_origin(choice) in (Sequence, tuple)
        name = getattr(next(iter(typing.get_args(choice)), None) if listed else choice, "__name__", "")
        if name in SCALARS:
            return f"list[{name}]{nullable}" if listed else f"{name}{nullable}"
    return ""


def given(command: str, texts: Sequence[str]) -> dict[str, Any]:
    """Return what `-p NAME=VALUE` says for the function behind `command`, as values of the right types.

    Raises `ParameterError` for a setting that does not exist, with the nearest that does, or has the wrong type.
    """
    return checked(parse_overrides(texts), settings(_behind(command)), command, what="setting")


def several(command: str, texts: Sequence[str]) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """Return what `given` does of settings with one value, and the values of those that take one and got more.

    Raises `ParameterError` as `given` does, and where more than two have several: a sheet has rows and columns.
    """
    known, swept, single = settings(_behind(command)), {}, []
    for text in texts:
        name, _, values = text.partition("=")
        scalar = name in known and known[name].type.removesuffix(" | None") in ("int", "float", "str")
        if scalar and len(parts := [part.strip() for part in values.strip(" []").split(",")]) > 1:
            swept[name] = [given(command, [f"{name}={part}"])[name] for part in parts]
        else:
            single.append(text)
    if len(swept) > 2:
        raise ParameterError(
            f"{command}: {', '.join(swept)} have several values each; a sheet shows two such settings."
        )
    return given(command, single), swept


def _behind(command: str | None) -> Callable[..., Any]:
    if command == "train":
        from stylerepro.training.recipe import Recipe

        return Recipe
    from stylerepro.transfer.transfer import transfer

    return transfer


def _list_settings(context: typer.Context, wanted: bool) -> None:
    if wanted:
        rows = [(name, known.type, str(known.default)) for name, known in settings(_behind(context.info_name)).items()]
        display.show(Console(), ("setting", "type", "default"), rows, head=2)
        raise typer.Exit


Listed = Annotated[
    bool, typer.Option("--settings", help="List what -p takes, and end.", callback=_list_settings, is_eager=True)
]


def fetch(names: Annotated[list[str] | None, typer.Argument(help="Assets; none lists them.")] = None) -> None:
    """Fetch assets into the cache, or list what can be fetched."""
    if not names:
        available = {name: assets.available(name) for name in assets.REGISTRY}
        display.show_assets(Console(), assets.REGISTRY.values(), available)
    for name in names or []:
        Console().print(Text(f"{name}: {assets.fetch(name)}"), soft_wrap=True)


def transfer_(
    content: Annotated[str, typer.Argument(help="A name, path or address of a picture.")],
    style: Annotated[str, typer.Argument(help="The same.")],
    out: Annotated[Path, typer.Option("-o", help="Picture to write: .png, .jpg or .webp.")],
    size: Pixels = PICTURE_SIZE,
    parameters: Values = None,
    strength: Annotated[float, typer.Option(help="How much of the result; the rest is the content.", min=0, max=1)] = 1,
    keep_colours: Annotated[
        bool, typer.Option("--keep-colours", help="Keep the content's colours; take light and dark alone.")
    ] = False,
    force: Force = False,
    settings: Listed = False,
) -> None:
    """Give one picture the style of another; several values of one or two settings make a sheet of the results."""
    from stylerepro.pictures import images

    for name in (content, style):
        images.check(name)
    from stylerepro.transfer.transfer import transfer

    values, swept = several("transfer", parameters or [])
    if out.suffix.lower() not in images.SUFFIXES:
        raise ImageError(f"{out}: give a name that ends in {', '.join(images.SUFFIXES)}.")
    keep(out, force)
    pictures = [images.read(name, size or None, longest=4 * size if size else None) for name in (content, style)]
    combinations = [values | dict(zip(swept, each, strict=True)) for each in product(*swept.values())]
    if swept:  # the last is refused before the first is computed
        stamps = [images.resize(picture, _STAMP) for picture in pictures]
        for combination in combinations:
            try:
                transfer(*stamps, **combination | {"iterations": min(combination.get("iterations", 1), 1)})
            except TransferError as error:
                if error.history is None:  # no loss that left the numbers: that depends on the pictures
                    raise
    made: list[Tensor | None] = []
    for combination in combinations:
        named = ", ".join(f"{name} = {_shown(combination[name])}" for name in swept)
        try:
            result = transfer(*pictures, progress=sys.stderr.isatty(), **combination)
        except TransferError as error:
            if len(combinations) == 1:
                raise
            complain(f"error: {named}: {error}")
            made.append(None)
            continue
        image = images.with_colours_of(result.image, pictures[0]) if keep_colours else result.image
        made.append(mixed := (1 - strength) * pictures[0] + strength * image)
        if swept and "converged" in result.stopped:
            complain(f"{named}: {_ENDED}")
    if swept:
        from stylerepro.pictures import plots

        failed = made.count(None)
        if failed == len(made):
            raise TransferError(f"{out} was not written: none of the {failed} transfers came to an end.")
        labels = [[f"{name} = {_shown(value)}" for value in listed] for name, listed in swept.items()]
        down, across = labels if len(labels) > 1 else ([""], labels[0])
        lines = [made[start : start + len(across)] for start in range(0, len(made), len(across))]
        images.write(plots.sheet([[*pictures, *line] for line in lines], ["content", "style", *across], down), out)
        print(f"{out}: {len(made) - failed} results, {', '.join(swept)} varied")
        if failed:
            raise typer.Exit(1)
        return
    images.write(mixed, out)
    height, width = mixed.shape[-2:]
    told = f"{out}: {width}×{height} pixels, {result.evaluations} evaluations in {result.seconds:.1f} s"
    print(told + f"; {_ENDED}" * ("converged" in result.stopped))


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def train_(
    style: Annotated[str, typer.Argument(help="A name, path or address of a picture.")],
    out: Annotated[Path, typer.Option("-o", help="File for the network: .safetensors.")],
    style_size: Annotated[int, typer.Option(help="Pixels of the style picture's short side.", min=1)] = STYLE_SIZE,
    save_every: Annotated[int, typer.Option(help="Steps from one checkpoint to the next.", min=1)] = 100,
    onnx: Annotated[bool, typer.Option("--onnx", help="Write the network as an ONNX file too, beside OUT.")] = False,
    parameters: Values = None,
    force: Force = False,
    settings: Listed = False,
) -> None:
    """Train a feed-forward network on a style; interrupted, the same command goes on.

    Until it is done, a checkpoint lies beside OUT. Under `accelerate launch` the processes share each batch.
    """
    from stylerepro.pictures import images

    images.check(style)
    from accelerate.state import PartialState

    from stylerepro.networks import checkpoints, naming
    from stylerepro.training.recipe import Recipe
    from stylerepro.training.train import picture_digest, train

    recipe = Recipe(**given("train", parameters or []))
    if out.suffix != ".safetensors":
        raise NetworkError(f"{out}: give a name that ends in .safetensors.")
    graph = out.with_suffix(".onnx") if onnx else None
    checkpoint, picture = out.with_suffix(".checkpoint"), images.read(style, style_size, longest=4 * style_size)
    label = naming.label(recipe.architecture)  # type: ignore[arg-type]
    about = recipe.described() | {"style picture": picture_digest(picture)}
    with suppress(NetworkError):  # what is no network is another's file
        if out.is_file() and not force and checkpoints.describe(out).trained.get("settings") == about:
            print(f"{out} is there already: {label}, {recipe.steps} steps; --force trains it anew")
            if graph and graph.exists():
                print(f"{graph} is there already")
            elif graph:
                print(f"{checkpoints.export_onnx(checkpoints.load(out), graph)}: the same, as an ONNX graph")
            return
    keep(out, force)
    keep(graph, force)
    shown: dict[str, Any] = {"progress": True} if sys.stderr.isatty() else {"callback": _logged()}
    try:
        trained = train(picture, recipe, checkpoint=checkpoint, save_every=save_every, **shown)
    except KeyboardInterrupt as interrupt:
        if PartialState().is_main_process:
            said = str(interrupt) or "interrupted; what was learned since the last checkpoint is lost"
            complain(f"{said}; the same command goes on from there")
        raise typer.Exit(130) from None
    last = trained.history["total"].tail(10).mean()
    if trained.blew_up:
        checkpoint.unlink(missing_ok=True)
        raise TransferError(
            f"{out} was not written: the training blew up, from a loss of {trained.history['total'][0]:.4g} to "
            f"{last:.4g}. The learning rate {recipe.learning_rate:g} is likely too large; lower it, or a weight."
        )
    if PartialState().is_main_process:
        trained.save(out, Path(style).name, style_size=style_size, settings=about)
        checkpoint.unlink(missing_ok=True)
        if graph:
            checkpoints.export_onnx(trained.network, graph)
    print(f"{out}: {label}, {len(trained.history)} steps, loss {last:.4g}")
    if trained.skipped:
        complain(f"{len(trained.skipped)} files could not be read: {', '.join(trained.skipped)}")


def _logged() -> "Callable[[Progress], None]":
    """Return a callback that says on standard error how a training goes on: at its first step, then once a minute."""
    first, said = (0, 0.0), float("-inf")

    def log(progress: "Progress") -> None:
        nonlocal first, said
        now = time.monotonic()
        if now < said + 60:
            return
        line, (step, begun) = f"step {progress.step} of {progress.steps}: loss {progress.losses['total']:.4g}", first
        if step:
            left = (now - begun) / (progress.step - step) * (progress.steps - progress.step)
            line += f", about {duration(left)} left"
        else:
            first = progress.step, now
        said = now
        complain(line)

    return log


def stylise(
    network: Annotated[str, typer.Argument(help="A trained network's name (see `networks`) or file.")],
    inputs: Annotated[list[str], typer.Argument(metavar="INPUT...", help="Pictures, or folders of them.")],
    out: Annotated[Path, typer.Option("-o", help="Folder for the new pictures.")],
    size: Pixels = None,
    force: Force = False,
) -> None:
    """Put pictures through a trained network."""
    from stylerepro.pictures import images

    good: list[str] = []
    for name in inputs:
        try:
            if not expanded(name).is_dir():
                images.check(name)
            good.append(name)
        except ImageError as error:
            complain(f"error: {error}")
    if not good:
        raise typer.Exit(1)
    from stylerepro.cli import restyling

    chosen: dict[str, Any] = {} if size is None else {"size": size or None}
    failed = len(inputs) - len(good)
    for restyled in restyling.restyle(restyling.load(network), good, out, force=force, **chosen):
        if restyled.path is None:
            failed += 1
            complain(f"error: {restyled.error}")
        else:
            width, height = restyled.size
            print(f"{restyled.path}: {width}×{height} pixels in {restyled.seconds:.2f} s")
    if failed:
        complain(f"{failed} of the inputs could not be restyled; the others are in {out}")
        raise typer.Exit(1)


def networks(
    commit: Annotated[
        list[str] | None, typer.Option(help="An own network to add to the committed ones. May be repeated.")
    ] = None,
) -> None:
    """List the trained networks that are at hand: committed ones, and those of this machine."""
    from stylerepro.training import library

    for name in commit or []:
        print(library.commit(name))
    display.show_networks(Console(), library.kept())


COMMANDS: Mapping[str, Callable[..., None]] = {
    "fetch": fetch, "transfer": transfer_, "train": train_, "stylise": stylise, "networks": networks,
}  # fmt: skip
