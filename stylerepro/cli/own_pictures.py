"""The commands on pictures, networks and assets; `stylerepro.cli.main` puts them beside those on experiments."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from stylerepro.cli.shared import Values, complain


def fetch(names: Annotated[list[str] | None, typer.Argument(help="Assets; none lists them.")] = None) -> None:
    """Fetch assets into the cache, or list what can be fetched."""
    from stylerepro.cli import display
    from stylerepro.pictures import assets

    if not names:
        available = {name: assets.available(name) for name in assets.REGISTRY}
        Console().print(display.assets_table(assets.REGISTRY.values(), available))
    for name in names or []:
        Console().print(Text(f"{name}: {assets.fetch(name)}"), soft_wrap=True)


def _list_settings(wanted: bool) -> None:
    if wanted:
        from stylerepro.cli import single

        _show(single.settings())


def transfer(
    content: Annotated[str, typer.Argument(help="A name, path or address of a picture.")],
    style: Annotated[str, typer.Argument(help="The same.")],
    out: Annotated[Path, typer.Option("-o", help="Picture to write: .png, .jpg or .webp.")],
    size: Annotated[
        int | None, typer.Option(help="Pixels of the short side; 0 keeps the pictures' own.", min=0)
    ] = None,
    parameters: Values = None,
    settings: Annotated[
        bool, typer.Option("--settings", help="List what -p takes, and end.", callback=_list_settings, is_eager=True)
    ] = False,
) -> None:
    """Give one picture the style of another."""
    from stylerepro.cli import single
    from stylerepro.runs import runner

    chosen = {} if size is None else {"size": size or None}
    given = runner.parse_overrides(parameters or [])
    print(single.stylise(content, style, out, given=given, progress=sys.stderr.isatty(), **chosen))


def _list_recipe(wanted: bool) -> None:
    if wanted:
        from stylerepro.cli import learning

        _show(learning.settings())


def _show(settings: Mapping[str, Any]) -> None:
    from stylerepro.cli import display

    rows = [(one.name, one.type, str(one.default)) for one in settings.values()]
    Console().print(display.table(("setting", "type", "default"), rows))
    raise typer.Exit


def train(
    style: Annotated[str, typer.Argument(help="A name, path or address of a picture.")],
    out: Annotated[Path, typer.Option("-o", help="File for the network: .safetensors.")],
    style_size: Annotated[int | None, typer.Option(help="Pixels of the style picture's short side.", min=1)] = None,
    parameters: Values = None,
    settings: Annotated[
        bool, typer.Option("--settings", help="List what -p takes, and end.", callback=_list_recipe, is_eager=True)
    ] = False,
) -> None:
    """Train a feed-forward network on a style; interrupted, the same command goes on."""
    from stylerepro.cli import learning
    from stylerepro.runs import runner

    chosen = {} if style_size is None else {"style_size": style_size}
    given = runner.parse_overrides(parameters or [])
    print(learning.learn(style, out, given=given, progress=sys.stderr.isatty(), **chosen))


def stylise(
    network: Annotated[str, typer.Argument(help="A trained network's name (see `networks`) or file.")],
    inputs: Annotated[list[str], typer.Argument(metavar="INPUT...", help="Pictures, or folders of them.")],
    out: Annotated[Path, typer.Option("-o", help="Folder for the new pictures.")],
    size: Annotated[
        int | None, typer.Option(help="Pixels of the short side; 0 keeps the pictures' own.", min=0)
    ] = None,
) -> None:
    """Put pictures through a trained network."""
    from stylerepro.training import library

    chosen = {} if size is None else {"size": size or None}
    failed = 0
    for picture in library.restyle(library.load(network), inputs, out, **chosen):
        if picture.path is None:
            failed += 1
            complain(f"error: {picture.error}")
        else:
            print(f"{picture.path}: {picture.size[0]}×{picture.size[1]} pixels in {picture.seconds:.2f} s")
    if failed:
        complain(f"{failed} of the inputs could not be restyled; the others are in {out}")
        raise typer.Exit(1)


def networks(
    commit: Annotated[
        list[str] | None, typer.Option(help="An own network to add to the committed ones. May be repeated.")
    ] = None,
) -> None:
    """List the trained networks that are at hand: committed ones, and those of this machine."""
    from stylerepro.cli import display
    from stylerepro.training import library

    for name in commit or []:
        print(library.commit(name))
    Console().print(display.networks_table(library.kept()))


COMMANDS = (fetch, transfer, train, stylise, networks)
