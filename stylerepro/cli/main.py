"""The command `stylerepro`: a thin layer. Heavy modules are imported by the commands that need them."""

import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from stylerepro.cli.own_pictures import COMMANDS
from stylerepro.cli.shared import Address, Engine, Gpus, Sbatch, Values, complain
from stylerepro.errors import StyleReproError
from stylerepro.files import runs_root
from stylerepro.runs.experiments import DEFAULT_PROFILE, PROFILES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Executor

    from stylerepro.runs.execution import Outcome
    from stylerepro.runs.runner import Job

app = typer.Typer(
    help="Five documents on image style transfer, every claim put to the test.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Names = Annotated[list[str] | None, typer.Argument(help="Experiments; all of them if none is named.")]
Profile = Annotated[str, typer.Option(help=f"One of {', '.join(PROFILES)}.")]
AnyProfile = Annotated[str | None, typer.Option(help=f"Only this one of {', '.join(PROFILES)}.")]


def main() -> None:
    """Entry point: an error that a user can mend is a line or two, not a traceback."""
    warnings.showwarning = _show_warning
    try:
        app()
    except StyleReproError as error:
        complain(f"error: {error}")
        sys.exit(2)


def _show_warning(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
    complain(
        f"warning: {message}" if category.__module__.startswith("stylerepro") else f"{category.__name__}: {message}"
    )


@app.command("list")
def list_() -> None:
    """List the experiments: documents, claims, profiles and how long they take."""
    from stylerepro.cli import display
    from stylerepro.runs.experiments import discover

    Console().print(display.experiments_table(discover()))


@app.command()
def run(
    names: Names = None,
    profile: Profile = DEFAULT_PROFILE,
    parameters: Values = None,
    jobs: Annotated[int, typer.Option(help="Notebooks at once, or jobs of Slurm; here they share the cores.")] = 1,
    force: Annotated[bool, typer.Option("--force", help="Run fresh ones too, from the start.")] = False,
    timeout: Annotated[int | None, typer.Option(help="Seconds that one cell may take.", min=1)] = None,
    engine: Engine = "local",
    address: Address = "",
    gpus: Gpus = 0,
    sbatch: Sbatch = "",
) -> None:
    """Run what is stale. What is finished stays; an interrupted run goes on where it stopped."""
    from stylerepro.cli import display
    from stylerepro.runs import engines, runner

    console = Console()
    overrides = runner.parse_overrides(parameters or [])
    planned = runner.plan(names or [], profile, overrides, force=force)
    runs = sum(job.stale for job in planned)
    opened = engines.opened(engine, runs, jobs=jobs, address=address, gpus=gpus, sbatch=sbatch)
    with opened as (executor, at_once):
        for line in display.plan_lines(planned, at_once):
            console.print(Text(line), soft_wrap=True)
        outcomes = _execute(console, planned, executor, at_once, timeout)
    if not runner.succeeded(outcomes):
        raise typer.Exit(1)


def _execute(
    console: Console, planned: "Sequence[Job]", executor: "Executor | None", at_once: int, timeout: int | None
) -> "list[Outcome]":
    from stylerepro.cli import display
    from stylerepro.runs import runner

    try:
        with display.RunReport(console, planned) as report:
            workers = 1 if executor else at_once
            return runner.execute(planned, executor=executor, workers=workers, timeout=timeout, report=report)
    except KeyboardInterrupt:
        complain("interrupted; what is finished is kept, and the same command goes on from there")
        raise typer.Exit(130) from None


@app.command()
def sweep(
    name: Annotated[str, typer.Argument(help="An experiment.")],
    parameters: Annotated[
        list[str] | None, typer.Option("-p", metavar="NAME=A,B,C", help="Values to try; lists as [0,1],[0,10].")
    ] = None,
    seeds: Annotated[int | None, typer.Option(help="So many values of the parameter seed.", min=1)] = None,
    profile: Profile = DEFAULT_PROFILE,
    jobs: Annotated[int, typer.Option(help="Points at once, or jobs of Slurm; here they share the cores.")] = 1,
    retry: Annotated[bool, typer.Option("--retry", help="Run points again that failed last time.")] = False,
    timeout: Annotated[int | None, typer.Option(help="Seconds that one cell may take.", min=1)] = None,
    only_plan: Annotated[bool, typer.Option("--plan", help="Show the grid, its size and time, and end.")] = False,
    out: Annotated[Path | None, typer.Option("-o", help="CSV file for the table over all points.")] = None,
    engine: Engine = "local",
    address: Address = "",
    gpus: Gpus = 0,
    sbatch: Sbatch = "",
) -> None:
    """Run an experiment at every point of a grid; what is finished is never run again. Gives one table."""
    from stylerepro.cli import display
    from stylerepro.runs import engines, runner, sweeps, tables

    console = Console()
    given = runner.parse_overrides(parameters or [])
    planned = sweeps.plan(name, profile, given, seeds=seeds, retry=retry)
    runs = 0 if only_plan else len(planned.waiting)
    opened = engines.opened(engine, runs, jobs=jobs, address=address, gpus=gpus, sbatch=sbatch)
    with opened as (executor, at_once):
        for line in display.sweep_lines(planned, at_once):
            console.print(Text(line), soft_wrap=True)
        if only_plan:
            return
        outcomes = _execute(console, planned.waiting, executor, at_once, timeout)
    table = sweeps.collect(planned)
    if len(table):
        target = out or sweeps.table_path(planned)
        tables.write(table, target)
        console.print(Text(f"{len(table)} rows of {table['run'].nunique()} points in {target}"), soft_wrap=True)
    if planned.failed or not runner.succeeded(outcomes):
        raise typer.Exit(1)


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="What the new experiment is called: small letters, digits, _.")],
    source: Annotated[str, typer.Option("--from", help="The experiment to begin with.")],
    title: Annotated[str, typer.Option(help="Its title; one is made of the other's where none is given.")] = "",
) -> None:
    """Begin an ablation of your own: a notebook and its sidecar, as a copy that runs and has a claim of its own."""
    from stylerepro.cli import new

    made = new.begin(name, source, title)
    print(f"notebooks/{name}.ipynb and notebooks/{name}.yaml are there: {made.title}, claim {made.claims[0]}.")
    print(f"Change them, try them with: stylerepro run {name} --profile smoke && stylerepro book --profile smoke")


@app.command()
def status(profile: AnyProfile = None) -> None:
    """Say which runs are fresh, which are stale, and why."""
    from stylerepro.cli import display
    from stylerepro.runs import runner

    Console().print(display.status_table(runner.status(profile)))


@app.command()
def claims(
    profile: Profile = "reference",
    long: Annotated[bool, typer.Option("--long", help="Show what was measured and why each verdict.")] = False,
    out: Annotated[Path | None, typer.Option("-o", help="CSV file for the whole ledger.")] = None,
    readme: Annotated[bool, typer.Option("--readme", help="Bring the README's summary up to date, and end.")] = False,
) -> None:
    """Give each claim its verdict, with own values beside the reference's; exit status 1 where one is not tested."""
    from stylerepro.cli import display
    from stylerepro.ledger import summary
    from stylerepro.ledger.claims import load_ledger
    from stylerepro.runs import tables

    ledger, console = load_ledger(), Console()
    if readme:
        print(summary.write_readme(ledger))
        return
    found = summary.compare(ledger, profile)
    console.print(display.verdicts_table(summary.rows(found), long))
    for line in summary.disagreements(found):
        console.print(Text(f"≠ {line}"), soft_wrap=True)
    if out:
        tables.write(summary.plain(found), out)
    if lacking := summary.missing(found):
        complain("\n".join(f"not tested in profile {profile}: {line}" for line in lacking))
        raise typer.Exit(1)


@app.command()
def collect(
    profile: AnyProfile = None,
    out: Annotated[Path | None, typer.Option("-o", help="CSV file; results/runs/collected.csv by default.")] = None,
) -> None:
    """Put the tables of all runs into one CSV file."""
    from stylerepro.cli import display
    from stylerepro.runs import results, tables

    collected = results.collect(profile=profile)
    target = out or runs_root() / "collected.csv"
    tables.write(collected, target)
    Console().print(display.counts_table(collected))
    Console().print(Text(f"{len(collected)} rows in {target}"), soft_wrap=True)


@app.command()
def publish(names: Names = None, profile: Profile = "reference") -> None:
    """Copy finished reference runs to results/reference/, to be committed (of `crosscheck` and `paper`, the tables)."""
    from stylerepro.runs import publish as publishing

    done = publishing.publish(names or [], profile)
    for name, size in done.sizes.items():
        print(f"{name}: {size / 1e6:.2f} MB")
    print(f"all committed results: {done.total / 1e6:.2f} of {publishing.LIMIT / 1e6:.0f} MB")
    for warning in done.warnings:
        complain(f"warning: {warning}")


@app.command()
def book(
    out: Annotated[Path | None, typer.Option("-o", help="Folder for the HTML; book/_build/html by default.")] = None,
    profile: AnyProfile = None,
) -> None:
    """Build the book: from the committed reference runs, or from own runs of a profile."""
    from stylerepro import book as books

    print(f"the book is at {books.build(out, profile)}")


@app.command()
def doctor() -> None:
    """Look at what this machine has and lacks, and say what to do; exit status 1 where something is wrong."""
    from stylerepro.cli import display
    from stylerepro.cli import doctor as doctors

    found = doctors.examine()
    Console().print(display.findings_table(found))
    if any(one.state == doctors.WRONG for one in found):
        raise typer.Exit(1)


for _command in COMMANDS:
    app.command()(_command)


if __name__ == "__main__":
    main()
