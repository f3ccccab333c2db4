"""Pages of experiments: which run the book shows of each, its record, its notebook, its tables."""

import html
import json
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from stylerepro.book.text import fold, kept, parsed, pipe_table, table_lines
from stylerepro.files import project_root, reference_root, results_root
from stylerepro.ledger import summary
from stylerepro.networks.specs import NetworkSpec
from stylerepro.runs.experiments import CROSSCHECK, CUSTOM, DEFAULT_PROFILE, REFERENCE, Experiment, identifying, load
from stylerepro.runs.record import RECORD, current_runs
from stylerepro.runs.runner import duration
from stylerepro.runs.tables import read

TABLES = ("metrics.csv", "history.csv")
THUMBNAILS = "_static/thumbnails/"
_BESIDE = (CROSSCHECK, "paper")
Record = Mapping[str, Any]


@dataclass(frozen=True)
class Shown:
    """The runs behind one page. `folder`, `record`: the run whose notebook stands there.

    wanted: the profile that the book was asked for; the run is of another one where there was none. others: folder and
    record of the committed runs beside a reference run, of which there are tables alone: `crosscheck` and `paper`.
    """

    folder: Path
    record: Record
    wanted: str
    others: tuple[tuple[Path, Record], ...] = ()

    @property
    def all(self) -> list[tuple[Path, Record]]:
        """Return folder and record of every run behind the page."""
        return [(self.folder, self.record), *self.others]


def shown(profile: str) -> dict[str, Shown]:
    """Return experiment to the run that the book shows: of this profile where there is one, else of the reference.

    A run without its notebook (of `crosscheck`, or `paper` as it is committed) has nothing to show.
    """
    beside = [run for other in _BESIDE for run in current_runs(reference_root(), other)]
    runs = {}
    for chosen in dict.fromkeys((REFERENCE, profile)):
        found = current_runs(reference_root() if chosen == REFERENCE else None, chosen)
        for folder, record in sorted(found, key=lambda run: str(run[1]["start"])):  # of several own ones the newest
            others = [run for run in beside if run[1]["experiment"] == record["experiment"] and chosen == REFERENCE]
            if (folder / "notebook.ipynb").is_file():
                runs[record["experiment"]] = Shown(folder, record, profile, tuple(others))
    return runs


def tables(profile: str) -> dict[str, pd.DataFrame]:
    """Return the tables that numbers in texts come from: an experiment's by its name, those of a file of
    `results/performance/` by the file's name and the list's (`engines_scaling`).

    An experiment's table is that on which verdicts rest: of this profile's runs, else of the committed reference.
    """
    found = summary.tables_from_results(REFERENCE, reference_root())
    if profile not in (REFERENCE, CUSTOM):
        found |= summary.tables_from_results(profile, None)
    for path in sorted((results_root() / "performance").glob("*.json")):
        for name, rows in json.loads(path.read_text(encoding="utf-8")).items():
            if isinstance(rows, list):
                found[f"{path.stem}_{name}"] = pd.DataFrame(rows)
    return found


def run_table(runs: Mapping[str, Shown], words: str) -> str:
    """Return a table that a text asks for, once for each run that has its numbers, with the run's machine and files.

    words: on the first line EXPERIMENT or EXPERIMENT.history, conditions, sort=COLUMN,…; on each other line a column as
    "heading | COLUMN options" (see `text.value` and `text.table_lines`). Raises `RunError` for an experiment or a
    column that there is not.
    """
    first, *others = [line.strip() for line in words.strip().splitlines()]
    target, conditions, options = parsed(first)
    experiment, _, file = target.partition(".")
    columns = [(heading.strip(), *parsed(rest)[::2]) for heading, _, rest in (line.partition("|") for line in others)]
    if experiment not in runs:
        return f"*There is no run of `{experiment}` yet.*"
    blocks = []
    for folder, record in runs[experiment].all:
        types = record["columns"].get(file or "metrics")
        path = folder / f"{file or 'metrics'}.csv"
        if not types or not path.is_file():
            continue
        where = f"The book's table of {experiment}: {path.name} of {folder.name}"
        sort = [name for name in options.get("sort", "").split(",") if name]
        table = kept(read(path, types), conditions, where, [*sort, *(column for _, column, _ in columns)])
        lines = table_lines(table.sort_values(sort) if sort else table, columns)
        if len(lines) > 1:
            blocks.append(f"{pipe_table(lines)}\n\n{_made(folder, record, path.name)}")
    return "\n\n".join(blocks) or f"*The run of `{experiment}` has no such numbers.*"


def machine(runs: Mapping[str, Shown], name: str) -> str:
    """Return the machine of an experiment's run, with its date and files, or of a file in `results/performance/`."""
    if name in runs:
        return _made(runs[name].folder, runs[name].record, "metrics.csv")
    path = results_root() / "performance" / f"{name}.json"
    if not path.is_file():
        return "*Not measured here.*"
    measured = json.loads(path.read_text(encoding="utf-8"))
    return f"{hardware(measured)} · {measured['date']}"


def figure(runs: Mapping[str, Shown], words: str, copies: dict[str, Path]) -> str:
    """Return a figure of a run for a text, and note its file in `copies`; "" where no such run has it.

    words: EXPERIMENT.NAME of the figure, then its caption, which is its alternative text too.
    """
    name, _, caption = words.partition(" ")
    experiment, _, shown_as = name.partition(".")
    path = runs[experiment].folder / "figures" / f"{shown_as}.webp" if experiment in runs else None
    if path is None or not path.is_file():
        return ""
    copies[place := f"_static/figures/{experiment}-{shown_as}.webp"] = path
    plainly = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", caption)
    return f"```{{figure}} /{place}\n:alt: {plainly}\n:width: 100%\n\n{caption}\n```"


def files(runs: Mapping[str, Shown], rows: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return records and tables of the shown runs and of those behind the claims' `rows`, by path in the book."""
    folders = {place(run): project_root() / run["folder"] for row in rows for run in row["runs"]}
    for run in runs.values():
        folders |= {place(record): folder for folder, record in run.all}
    return {
        f"{where}/{name}": (folder / name).read_text(encoding="utf-8")
        for where, folder in folders.items()
        for name in (RECORD, *TABLES)
        if (folder / name).is_file()
    }


def place(record: Record) -> str:
    """Return the folder in the book where the files of a run lie."""
    return f"runs/{record['experiment']}-{record['profile']}"


def links(folder: Path, record: Record, up: str, names: Sequence[str] = (RECORD, *TABLES)) -> str:
    """Return links to the files of a run, from a page that is below the book's root by `up` ("../" or "")."""
    there = [name for name in names if (folder / name).is_file()]
    return " · ".join(f"[{name}]({up}{place(record)}/{name})" for name in there)


def hardware(record: Record) -> str:
    """Return the machine of a run in words: the GPU where one was used, else threads and processor."""
    about, used = record.get("hardware") or {}, (record.get("device") or {}).get("used", "cpu")
    if used != "cpu":
        named = re.search(r"\((.+)\)", used)
        return str(about.get("gpu") or (named and named[1]) or used)
    cpu, cores, threads = about.get("cpu", "an unnamed processor"), about.get("cores", "unknown"), about.get("threads")
    return f"{cores} cores of {cpu}" + (f", {threads} {'thread' if threads == 1 else 'threads'}" if threads else "")


def in_order(entries: Iterable[Experiment]) -> list[Experiment]:
    """Return experiments by document, then by first claim; those without a claim come last in their document."""

    def key(entry: Experiment) -> tuple[str, int, str]:
        numbers = [int(claim.split(".")[1]) for claim in entry.claims]
        return entry.document, min(numbers, default=1000), entry.name

    return sorted(entries, key=key)


def thumbnail(entry: Experiment, runs: Mapping[str, Shown], copies: dict[str, Path]) -> tuple[str, str]:
    """Return path and caption of the figure that an experiment's page opens with; `copies` notes it, to be small."""
    name, _, caption = entry.lead.partition(" ")
    path = runs[entry.name].folder / "figures" / f"{name}.webp" if entry.name in runs else None
    if path is None or not path.is_file():
        return "", ""
    copies[place := f"{THUMBNAILS}{entry.name}.webp"] = path
    return place, caption


def experiments(entries: Sequence[Experiment], runs: Mapping[str, Shown], copies: dict[str, Path]) -> str:
    """Return the experiments as pictures that lead to their pages, each with its claims. runs: of `shown`."""
    tiles = []
    for entry in entries:
        run = f"run of `{runs[entry.name].record['profile']}`" if entry.name in runs else "not run yet"
        told = " · ".join(filter(None, [", ".join(entry.claims), run]))
        tiles.append((f"notebooks/{entry.name}.ipynb", entry.title, *thumbnail(entry, runs, copies), told))
    return wall(tiles)


def wall(tiles: Iterable[tuple[str, ...]]) -> str:
    """Return tiles side by side: link, title, path of a picture ("" for none), its alternative text, texts below."""
    parts = ['<div class="wall">']
    for link, title, picture, caption, *told in tiles:
        plainly = re.sub(r"\[([^]]*)\]\([^)]*\)|[\[\]]", r"\1", caption)
        shown = [f"[![{plainly}]({picture})]({link})"] * bool(picture)
        parts += ['<div class="tile">', *shown, f"**[{title}]({link})**", *told, "</div>"]
    return "\n\n".join([*parts, "</div>"])


def networks_table(specs: Iterable[NetworkSpec]) -> str:
    """Return the loss networks as a table: where each ends, how wide it is, how large its features are, whose it is."""
    lines = [("network", "ends at", "channels of its blocks", "features", "from")]
    for spec in specs:
        deepest = next(layer for layer in reversed(spec.layers) if layer.startswith("conv"))
        widths = ", ".join(map(str, spec.widths))
        if spec.trunk:
            widths += f", by heads on {', '.join(map(str, spec.trunk))}"
        lines.append((f"`{spec.name}`", deepest, widths, spec.scale, spec.source))
    return pipe_table(lines)


def model_card(spec: NetworkSpec) -> str:
    """Return the model card of a packaged network as a section of a page: its headings one level lower."""
    assert spec.file is not None, f"{spec.name} does not come with the package"
    return re.sub(r"(?m)^#", "##", spec.file.with_suffix(".md").read_text(encoding="utf-8")).strip()


def readme_table(entries: Sequence[Experiment]) -> str:
    """Return the experiments as the README lists them."""
    lines = [("notebook", "document", "claims", "`laptop` takes")]
    for entry in entries:
        profile = entry.profiles.get("laptop")
        link = f"[{entry.name}](notebooks/{entry.name}.ipynb): {entry.title}"
        takes = (profile and profile.expected) or "not measured"
        lines.append((link, entry.document, ", ".join(entry.claims) or "none", takes))
    return pipe_table(lines)


def record(run: Shown) -> str:
    """Return the top of an experiment's page: how the run was made, how to make it again, and the files behind it."""
    made, lines = run.record, []
    if made["profile"] != run.wanted:
        own, how = f"of profile `{run.wanted}`", f"stylerepro run {made['experiment']} --profile {run.wanted}"
        if run.wanted == CUSTOM:
            own, how = "with own values", f"stylerepro run {made['experiment']} -p NAME=VALUE"
        lines.append(f"**No own run {own} yet**: this is the committed one of `{made['profile']}`. To make it: `{how}`")
    networks, dtype = ", ".join(made.get("networks") or {}) or "none", (made.get("dtype") or {}).get("used")
    lines += [
        f"Profile **{made['profile']}** · loss network **{networks}**{f' in {dtype}' * bool(dtype)} · {hardware(made)}",
        f"{made['start'][:10]} · {_took(made)} · {_commit(made)} · fingerprint `{made['fingerprint']['digest'][:12]}`",
        f"Every table and figure below comes from `{command(made)}`: {links(run.folder, made, '../')}",
    ]
    for folder, other in run.others:
        counted = "; it confirms or contradicts" if other["profile"] == CROSSCHECK else ""
        lines.append(
            f"Profile **{other['profile']}** too, on **{', '.join(other.get('networks') or {}) or 'no network'}**, "
            f"{hardware(other)} ({other['start'][:10]}, {_took(other)}, {_commit(other)})"
            f"{counted}: {links(folder, other, '../')}"
        )
    lines.append(_details(made))
    return ":::{admonition} How this page was made\n:class: note run-record\n" + "\n\n".join(lines) + "\n:::"


def caption(run: Shown) -> str:
    """Return what stands below every figure: the command that makes it, and the record of the run behind it."""
    link = f"[record of the run](../{place(run.record)}/{RECORD})"
    return f'<span class="small figure-source">Made by `{command(run.record)}` · {link}</span>'


def command(run: Record) -> str:
    """Return the command that makes a run, as it is typed; of a picture given by its path, with its name alone."""
    made = f"stylerepro run {run['experiment']}"
    if run["profile"] != CUSTOM:
        return f"{made} --profile {run['profile']}"
    usual = identifying(load(run["experiment"]).profiles[DEFAULT_PROFILE].parameters)
    changed = {name: value for name, value in run["parameters"].items() if value != usual.get(name, value)}
    texts = {name: text if isinstance(text, str) else json.dumps(text) for name, text in changed.items()}
    return " ".join([made, *(f"-p {name}={shlex.quote(text)}" for name, text in texts.items())])


def not_run(experiment: Experiment, profile: str) -> str:
    """Return the top of the page of an experiment without a run: how to make one, and how long it takes."""
    expected = experiment.profiles[profile].expected if profile in experiment.profiles else None
    takes = f", about {expected} on {experiment.hardware or 'the machine it was measured on'}" if expected else ""
    return (
        ":::{admonition} Not run yet\n:class: warning run-record\n"
        f"There is no run of profile **{profile}**; the notebook stands below without output. To make one{takes}:\n\n"
        f"`stylerepro run {experiment.name} --profile {profile}`\n:::"
    )


def _details(run: Record) -> str:
    """Return parameters, seeds and versions, folded away."""
    told = {"parameters": "parameters", "seeds": "seeds", "assets": "files, by SHA-256", "versions": "versions"}
    lines = ""
    for name, title in told.items():
        values = (run.get(name) or {}).items()
        text = "; ".join(f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in values)
        lines += f"<tr><th>{title}</th><td>{html.escape(text)}</td></tr>" if text else ""
    return fold("Parameters, seeds, versions", f'<table class="values">{lines}</table>') if lines else ""


def _made(folder: Path, record: Record, table: str) -> str:
    made = f"{hardware(record)} · `{record['profile']}` · {record['start'][:10]}"
    return f"{made} · {links(folder, record, '', (RECORD, table))}"


def _took(run: Record) -> str:
    return duration(run["seconds"]) if run["seconds"] else "time not kept"


def _commit(run: Record) -> str:
    made = run.get("commit")
    changed = " with changes not committed" if made and made["dirty"] else ""
    return f"commit `{made['sha'][:10]}`{changed}" if made else "outside version control"
