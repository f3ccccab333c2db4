"""The command `stylerepro`: a thin layer. Heavy modules are imported by the commands that need them."""

import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from stylerepro.cli import display
from stylerepro.cli.own_pictures import COMMANDS, Force, Values, complain
from stylerepro.errors import RunError, StyleReproError
from stylerepro.files import keep, project_root, runs_root
from stylerepro.runs import runner
from stylerepro.runs.execution import Outcome
from stylerepro.runs.experiments import DEFAULT_PROFILE, OWN, PROFILES, discover

OK, NOTE, WRONG = "ok", "note", "wrong"  # with a note, everything that is on by default works

app = typer.Typer(
    help="Documents on image style transfer, every claim put to the test.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Names = Annotated[list[str] | None, typer.Argument(help="Experiments; all of them if none is named.")]
Profile = Annotated[str, typer.Option(help=f"One of {', '.join(PROFILES)}.")]
Jobs = Annotated[int, typer.Option(help="Runs at once, or jobs of Slurm; here they share the cores.")]
Processes = Annotated[int, typer.Option(help="Processes that share the work of each run.", min=1)]
Timeout = Annotated[int | None, typer.Option(help="Seconds that one cell may take.", min=1)]
FailFast = Annotated[bool, typer.Option("--fail-fast", help="Begin no other run once one has failed.")]
Engine = Annotated[str, typer.Option(help="Where runs are done: local, dask or slurm.")]
Address = Annotated[str, typer.Option(metavar="tcp://HOST:PORT", help="Of Dask's scheduler.")]
Gpus = Annotated[int, typer.Option("--gpus-per-run", help="GPUs that a run takes from its worker's.", min=0)]
Sbatch = Annotated[str, typer.Option(metavar="OPTIONS", help="What Slurm's sbatch is to be told, as one text.")]
AnyProfile = Annotated[str | None, typer.Option(help=f"Only this one of {', '.join(PROFILES)}.")]


def main() -> None:
    """Entry point: an error that a user can mend is a line or two, not a traceback."""
    warnings.showwarning = _show_warning
    for stream in (sys.stdout, sys.stderr):
        # A terminal that lacks a sign, or a name that no encoding has, ends no command.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        Path.home()
    except RuntimeError:  # a user without a name, as in a container; caches and Jupyter ask for a home
        os.environ["HOME"] = tempfile.gettempdir()
    try:
        app()
    except StyleReproError as error:
        complain(f"error: {error}")
        sys.exit(2)


def _show_warning(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
    own = category.__module__.startswith("stylerepro")
    complain(f"{'warning' if own else category.__name__}: {message}")


@app.command("list")
def list_() -> None:
    """List the experiments: documents, claims, profiles and how long they take."""
    display.show_experiments(Console(), discover())


@app.command()
def run(
    names: Names = None,
    profile: Profile = DEFAULT_PROFILE,
    parameters: Values = None,
    jobs: Jobs = 1,
    processes: Processes = 1,
    force: Annotated[bool, typer.Option("--force", help="Run fresh ones too, from the start.")] = False,
    timeout: Timeout = None,
    fail_fast: FailFast = False,
    engine: Engine = "local",
    address: Address = "",
    gpus: Gpus = 0,
    sbatch: Sbatch = "",
) -> None:
    """Run what is stale. What is finished stays; an interrupted run goes on where it stopped."""
    planned = runner.plan(names or [], profile, runner.parse_overrides(parameters or []), force=force)
    lines, where = partial(display.plan_lines, planned), {"address": address, "gpus": gpus, "sbatch": sbatch}
    how = {"timeout": timeout, "fail_fast": fail_fast, "processes": processes}
    if not runner.succeeded(_execute(planned, lines, how, engine, jobs=jobs, **where)):
        raise typer.Exit(1)


def _execute(
    planned: Sequence[runner.Job], lines: Callable[[int], list[str]], how: Mapping[str, Any], engine: str, **where: Any
) -> list[Outcome]:
    """Say what is planned, in `lines` for so many at once, and do it. how, where: of `execute` and of `opened`."""
    from stylerepro.runs import engines

    console = Console()
    with engines.opened(engine, sum(job.stale for job in planned), **where) as (executor, at_once):
        display.say(console, *lines(at_once))
        try:
            with display.RunReport(console, planned) as report:
                outcomes = runner.execute(planned, executor=executor, workers=at_once, report=report, **how)
        except KeyboardInterrupt:
            complain("interrupted; what is finished is kept, and the same command goes on from there")
            raise typer.Exit(130) from None
    if left := sum(job.stale for job in planned) - len(outcomes):
        complain(f"{left} not begun or ended, since one failed; the same command goes on once that is mended")
    return outcomes


@app.command()
def sweep(
    name: Annotated[str, typer.Argument(help="An experiment.")],
    parameters: Annotated[
        list[str] | None, typer.Option("-p", metavar="NAME=A,B,C", help="Values to try; lists as [0,1],[0,10].")
    ] = None,
    seeds: Annotated[int | None, typer.Option(help="So many values of the parameter seed.", min=1)] = None,
    profile: Profile = DEFAULT_PROFILE,
    jobs: Jobs = 1,
    retry: Annotated[bool, typer.Option("--retry", help="Run points again that failed last time.")] = False,
    timeout: Timeout = None,
    only_plan: Annotated[bool, typer.Option("--plan", help="Show the grid, its size and time, and end.")] = False,
    out: Annotated[Path | None, typer.Option("-o", help="CSV file for the table over all points.")] = None,
    force: Force = False,
    fail_fast: FailFast = False,
    engine: Engine = "local",
    address: Address = "",
    gpus: Gpus = 0,
    sbatch: Sbatch = "",
) -> None:
    """Run an experiment at every point of a grid; what is finished is never run again. Gives one table."""
    from stylerepro.runs import sweeps, tables

    console = Console()
    keep(out, force)
    planned = sweeps.plan(name, profile, runner.parse_overrides(parameters or []), seeds=seeds, retry=retry)
    lines, where = partial(display.sweep_lines, planned), {"address": address, "gpus": gpus, "sbatch": sbatch}
    if only_plan:
        display.say(console, *lines(jobs))
        return
    how = {"timeout": timeout, "fail_fast": fail_fast}
    outcomes = _execute(planned.waiting, lines, how, engine, jobs=jobs, **where)
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
    source: Annotated[str | None, typer.Option("--from", help="The experiment to begin with.")] = None,
    minimal: Annotated[bool, typer.Option("--minimal", help="Begin with the least: one table, one figure.")] = False,
    title: Annotated[str, typer.Option(help="Its title; one is made of the other's where none is given.")] = "",
    document: Annotated[str, typer.Option(help="Its document, three digits; a new one is begun too.")] = OWN,
) -> None:
    """Begin an experiment, as a copy or a minimal one that runs, with a claim of its own or of a new document."""
    from stylerepro.cli import new

    if minimal == bool(source):
        raise RunError("Say what to begin with: --from EXPERIMENT for a copy of it, or --minimal; one of the two.")
    made = new.begin(name, source, title, document)
    ledger = f"stylerepro/ledger/{document}.yaml"
    told = f"claim {', '.join(made.claims)}" if made.claims else f"whose claims go into {ledger}"
    print(f"notebooks/{name}.ipynb and notebooks/{name}.yaml are there: {made.title}, {told}.")
    if document != OWN and made.claims:
        print(f"So is {ledger}, with that claim: rewrite both.")
    print(f"Change them, try them with: stylerepro run {name} --profile smoke && stylerepro book --profile smoke")


@app.command()
def status(profile: AnyProfile = None) -> None:
    """Say which runs are fresh, which are stale, and why."""
    display.show_states(Console(), runner.status(profile))


@app.command()
def claims(
    profile: Profile = "reference",
    long: Annotated[bool, typer.Option("--long", help="Show what was measured and why each verdict.")] = False,
    wide: Annotated[bool, typer.Option("--wide", help="Show a table, however narrow the terminal.")] = False,
    out: Annotated[Path | None, typer.Option("-o", help="CSV file for the whole ledger.")] = None,
    force: Force = False,
    readme: Annotated[bool, typer.Option("--readme", help="Bring the README's summary up to date, and end.")] = False,
) -> None:
    """Give each claim its verdict, with own values beside the reference's; exit status 1 where one is not tested."""
    from stylerepro.ledger import summary
    from stylerepro.ledger.claims import load_ledger
    from stylerepro.runs import tables

    keep(out, force)
    ledger, console = load_ledger(), Console()
    if readme:
        from stylerepro.book import ledger_page

        ledger_page.write_readme(ledger)
        return
    judged = summary.compare(ledger, profile)
    display.show_verdicts(console, summary.rows(judged), long=long, wide=wide)
    for line in (*(f"≠ {line}" for line in summary.disagreements(judged)), *summary.rules_changed(judged)):
        console.print(Text(line), soft_wrap=True)
    if out:
        tables.write(summary.plain(judged), out)
    if lacking := summary.missing(judged):
        complain("\n".join(f"not tested in profile {profile}: {line}" for line in lacking))
        raise typer.Exit(1)


@app.command()
def collect(
    name: Annotated[str | None, typer.Argument(metavar="EXPERIMENT", help="The only one; all where none.")] = None,
    profile: AnyProfile = None,
    parameters: Annotated[bool, typer.Option("--with-parameters", help="Each run's parameters as columns.")] = False,
    history: Annotated[bool, typer.Option("--history", help="The curves instead of the metrics.")] = False,
    out: Annotated[Path | None, typer.Option("-o", help="CSV file; results/runs/collected.csv by default.")] = None,
    force: Force = False,
) -> None:
    """Put the tables of all runs, or of one experiment's, into one CSV file."""
    from stylerepro.runs import results, tables

    keep(out, force)
    table = "history" if history else "metrics"
    collected = results.collect(None, profile, table, experiment=name, parameters=parameters)
    target = out or runs_root() / f"{'-'.join(['collected', *filter(None, [name]), *['history'] * history])}.csv"
    tables.write(collected, target)
    Console().print(Text(f"{len(collected)} rows in {target}"), soft_wrap=True)


@app.command()
def sheet(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of runs, such as a sweep's points.")],
    out: Annotated[Path, typer.Option("-o", help="Picture to write: .png, .jpg or .webp.")],
    force: Force = False,
) -> None:
    """Put the pictures of runs on one sheet: a row a run, a column a setting, nothing cropped."""
    from stylerepro.pictures import images
    from stylerepro.runs import gallery

    keep(out, force)
    images.write(gallery.sheet(runs), out)
    print(f"{out}: the pictures of {len(runs)} {'run' if len(runs) == 1 else 'runs'}")


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
    profile: Annotated[str | None, typer.Option(help=f"{', '.join(PROFILES)}; custom: own values (-p).")] = None,
    pdf: Annotated[Path | None, typer.Option(help="Print it to this file, too; needs Chromium.")] = None,
    force: Force = False,
) -> None:
    """Build the book: from the committed reference runs, or from own runs of a profile."""
    from stylerepro.book import building

    # Sphinx leaves `.buildinfo`: a folder with that is a book made before, which is made again in its place.
    if out and out.is_dir() and any(out.iterdir()) and not (out / ".buildinfo").exists():
        keep(out, force)
    keep(pdf, force)
    print(f"the book is at {building.build(out, profile)}")
    if pdf:
        building.print_pdf(pdf)
        print(f"and printed in {pdf}")


@app.command()
def doctor() -> None:
    """Look at what this machine has and lacks, and say what to do; exit status 1 where something is wrong."""
    findings = []
    for name, check in {"packages": _packages, "devices": _devices}.items():
        try:
            findings.append((name, *check()))
        except Exception as error:  # a broken installation fails in ways of its own, which hide nothing else
            findings.append((name, WRONG, f"{type(error).__name__}: {error}"))
    display.show(Console(), ("what", "state", "found"), findings, head=2)
    if WRONG in (state for _, state, _ in findings):
        raise typer.Exit(1)


def _packages() -> tuple[str, str]:
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    lines = (project_root() / "requirements.txt").read_text(encoding="utf-8").splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    # "+cpu" is a build of the same version.
    here = {canonicalize_name(package.name): package.version.partition("+")[0] for package in metadata.distributions()}
    wanted = {canonicalize_name(pin.name): pin.specifier for pin in pins if pin.marker is None or pin.marker.evaluate()}
    missing: list[str] = [name for name in wanted if name not in here]
    other = [f"{name} {here[name]} ({pin})" for name, pin in wanted.items() if name in here and here[name] not in pin]
    told = {"missing": missing, "not as pinned": other}
    words = "; ".join(f"{what}: {', '.join(names)}" for what, names in told.items() if names)
    advice = "make environment, or: pip install -r requirements.txt"
    return WRONG if missing else NOTE if other else OK, f"{words}. {advice}" if words else "all as pinned"


def _devices() -> tuple[str, str]:
    import torch
    import torchvision

    torchvision.ops.nms(torch.zeros(1, 4), torch.zeros(1), 0.5)  # breaks where it was built for another torch
    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    names += ["Apple GPU (mps)"] * torch.backends.mps.is_available()
    return (OK, ", ".join(names)) if names else (NOTE, "no GPU; the profile paper takes hours to days without one")


for _name, _command in COMMANDS.items():
    app.command(_name)(_command)


if __name__ == "__main__":
    main()
