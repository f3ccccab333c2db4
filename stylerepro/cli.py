"""The command `stylerepro`: a thin layer. Heavy modules are imported by the commands that need them."""

import sys
import warnings
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from stylerepro.errors import StyleReproError
from stylerepro.experiments import DEFAULT_PROFILE, PROFILES

app = typer.Typer(
    help="Five documents on image style transfer, every claim put to the test.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Names = Annotated[list[str] | None, typer.Argument(help="Experiments; all of them if none is named.")]
Profile = Annotated[str, typer.Option(help=f"One of {', '.join(PROFILES)}.")]
AnyProfile = Annotated[str | None, typer.Option(help=f"Only this one of {', '.join(PROFILES)}.")]
Values = Annotated[
    list[str] | None, typer.Option("-p", metavar="NAME=VALUE", help="A value; lists as 0,10,100. May be repeated.")
]


def main() -> None:
    """Entry point: an error that a user can mend is a line or two, not a traceback."""
    warnings.showwarning = _show_warning
    try:
        app()
    except StyleReproError as error:
        _complain(f"error: {error}")
        sys.exit(2)


def _complain(message: str) -> None:
    Console(stderr=True).print(Text(message), soft_wrap=True)


def _show_warning(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
    _complain(
        f"warning: {message}" if category.__module__.startswith("stylerepro") else f"{category.__name__}: {message}"
    )


@app.command("list")
def list_() -> None:
    """List the experiments: documents, claims, profiles and how long they take."""
    from stylerepro import display
    from stylerepro.experiments import discover

    Console().print(display.experiments_table(discover()))


@app.command()
def run(
    names: Names = None,
    profile: Profile = DEFAULT_PROFILE,
    parameters: Values = None,
    jobs: Annotated[int, typer.Option(help="Notebooks at once; they share the cores.")] = 1,
    force: Annotated[bool, typer.Option("--force", help="Run fresh ones too, from the start.")] = False,
    timeout: Annotated[int | None, typer.Option(help="Seconds that one cell may take.", min=1)] = None,
) -> None:
    """Run what is stale. What is finished stays; an interrupted run goes on where it stopped."""
    from stylerepro import display, runner

    console = Console()
    planned = runner.plan(names or [], profile, runner.parse_overrides(parameters or []), force=force)
    runner.threads_each(jobs)
    for line in display.plan_lines(planned, jobs):
        console.print(Text(line), soft_wrap=True)
    try:
        with display.RunReport(console, planned, jobs) as report:
            outcomes = runner.execute(planned, workers=jobs, timeout=timeout, report=report)
    except KeyboardInterrupt:
        _complain("interrupted; what is finished is kept, and the same command goes on from there")
        raise typer.Exit(130) from None
    if not runner.succeeded(outcomes):
        raise typer.Exit(1)


@app.command()
def status(profile: AnyProfile = None) -> None:
    """Say which runs are fresh, which are stale, and why."""
    from stylerepro import display, runner

    Console().print(display.status_table(runner.status(profile)))


@app.command()
def claims(
    profile: Profile = "reference",
    long: Annotated[bool, typer.Option("--long", help="Show what was measured and why each verdict.")] = False,
    out: Annotated[Path | None, typer.Option("-o", help="CSV file for the whole ledger.")] = None,
    readme: Annotated[bool, typer.Option("--readme", help="Bring the README's summary up to date, and end.")] = False,
) -> None:
    """Give each claim its verdict, with own values beside the reference's; exit status 1 where one is not tested."""
    from stylerepro import display, standing, tables
    from stylerepro.claims import load_ledger

    ledger, console = load_ledger(), Console()
    if readme:
        print(standing.write_readme(ledger))
        return
    found = standing.compare(ledger, profile)
    console.print(display.verdicts_table(standing.rows(found), long))
    for line in standing.disagreements(found):
        console.print(Text(f"≠ {line}"), soft_wrap=True)
    if out:
        tables.write(standing.plain(found), out)
    if lacking := standing.missing(found):
        _complain("\n".join(f"not tested in profile {profile}: {line}" for line in lacking))
        raise typer.Exit(1)


@app.command()
def collect(
    profile: AnyProfile = None,
    out: Annotated[Path | None, typer.Option("-o", help="CSV file; results/runs/collected.csv by default.")] = None,
) -> None:
    """Put the tables of all runs into one CSV file."""
    from stylerepro import display, record, results, tables

    collected = results.collect(profile=profile)
    target = out or record.runs_root() / "collected.csv"
    tables.write(collected, target)
    Console().print(display.counts_table(collected))
    Console().print(Text(f"{len(collected)} rows in {target}"), soft_wrap=True)


@app.command()
def fetch(names: Annotated[list[str] | None, typer.Argument(help="Assets; none lists them.")] = None) -> None:
    """Fetch assets into the cache, or list what can be fetched."""
    from stylerepro import assets, display

    if not names:
        available = {name: assets.available(name) for name in assets.REGISTRY}
        Console().print(display.assets_table(assets.REGISTRY.values(), available))
    for name in names or []:
        Console().print(Text(f"{name}: {assets.fetch(name)}"), soft_wrap=True)


@app.command()
def publish(names: Names = None, profile: Profile = "reference") -> None:
    """Copy finished reference runs to results/reference/, to be committed (of `crosscheck` and `paper`, the tables)."""
    from stylerepro import publish as publishing

    done = publishing.publish(names or [], profile)
    for name, size in done.sizes.items():
        print(f"{name}: {size / 1e6:.2f} MB")
    print(f"all committed results: {done.total / 1e6:.2f} of {publishing.LIMIT / 1e6:.0f} MB")
    for warning in done.warnings:
        _complain(f"warning: {warning}")


@app.command()
def book(
    out: Annotated[Path | None, typer.Option("-o", help="Folder for the HTML; book/_build/html by default.")] = None,
    profile: AnyProfile = None,
) -> None:
    """Build the book: from the committed reference runs, or from own runs of a profile."""
    from stylerepro import book as books

    print(f"the book is at {books.build(out, profile)}")


def _list_settings(wanted: bool) -> None:
    if wanted:
        from stylerepro import display, single

        rows = [(one.name, one.type, str(one.default)) for one in single.settings().values()]
        Console().print(display.table(("setting", "type", "default"), rows))
        raise typer.Exit


@app.command()
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
    from stylerepro import runner, single

    chosen = {} if size is None else {"size": size or None}
    given = runner.parse_overrides(parameters or [])
    print(single.stylise(content, style, out, given=given, progress=sys.stderr.isatty(), **chosen))


def _list_recipe(wanted: bool) -> None:
    if wanted:
        from stylerepro import display, learning

        rows = [(one.name, one.type, str(one.default)) for one in learning.settings().values()]
        Console().print(display.table(("setting", "type", "default"), rows))
        raise typer.Exit


@app.command()
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
    from stylerepro import learning, runner

    chosen = {} if style_size is None else {"style_size": style_size}
    given = runner.parse_overrides(parameters or [])
    print(learning.learn(style, out, given=given, progress=sys.stderr.isatty(), **chosen))


@app.command()
def stylise(
    network: Annotated[str, typer.Argument(help="A trained network's name (see `networks`) or file.")],
    inputs: Annotated[list[str], typer.Argument(metavar="INPUT...", help="Pictures, or folders of them.")],
    out: Annotated[Path, typer.Option("-o", help="Folder for the new pictures.")],
    size: Annotated[
        int | None, typer.Option(help="Pixels of the short side; 0 keeps the pictures' own.", min=0)
    ] = None,
) -> None:
    """Put pictures through a trained network."""
    from stylerepro import restyle

    chosen = {} if size is None else {"size": size or None}
    failed = 0
    for one in restyle.restyle(restyle.load(network), inputs, out, **chosen):
        if one.path is None:
            failed += 1
            _complain(f"error: {one.error}")
        else:
            print(f"{one.path}: {one.size[0]}×{one.size[1]} pixels in {one.seconds:.2f} s")
    if failed:
        _complain(f"{failed} of the inputs could not be restyled; the others are in {out}")
        raise typer.Exit(1)


@app.command()
def networks(
    commit: Annotated[
        list[str] | None, typer.Option(help="An own network to add to the committed ones. May be repeated.")
    ] = None,
) -> None:
    """List the trained networks that are at hand: committed ones, and those of this machine."""
    from stylerepro import display, trained

    for name in commit or []:
        print(trained.commit(name))
    Console().print(display.networks_table(trained.kept()))


@app.command()
def doctor() -> None:
    """Look at what this machine has and lacks, and say what to do; exit status 1 where something is wrong."""
    from stylerepro import display
    from stylerepro import doctor as doctors

    found = doctors.examine()
    Console().print(display.findings_table(found))
    if any(one.state == doctors.WRONG for one in found):
        raise typer.Exit(1)


if __name__ == "__main__":
    main()
