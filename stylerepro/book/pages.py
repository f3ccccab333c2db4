"""What the book's generated pages say, as MyST Markdown: records of runs, the ledger's table, the experiments' list."""

import html
import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from stylerepro.errors import ResultsError
from stylerepro.experiments import Experiment
from stylerepro.ledger.selection import VERDICTS
from stylerepro.networks import NetworkSpec

# Longer code is folded away behind a click, so that a page reads as a chapter; parameters are always shown.
_SHOWN_LINES = 6
_SHOWN = {"parameters", "injected-parameters", "show-input"}
_INJECTED = "# what this run put in their place"

# One claim as `claims.evaluate` gives it: a row by column name.
Row = Mapping[str, Any]


def badge(verdict: str) -> str:
    """The verdict as a coloured label."""
    return f'<span class="verdict verdict-{verdict.replace(" ", "-")}">{verdict}</span>'


_GROUND = {
    "smoke": "From runs of profile `smoke`, which only show that everything works: these verdicts mean nothing.",
    "laptop": "From runs of profile `laptop`, on a fixed subset of the pictures.",
    "reference": "From the committed runs of profile `reference`, on all pictures, and their `crosscheck`.",
    "crosscheck": "From runs of profile `crosscheck`: the reference's, repeated on the second loss network alone.",
    "paper": "From runs of profile `paper`, on the documents' own pictures and networks.",
}


def summary(rows: Sequence[Row], profile: str) -> str:
    """How many claims have which verdict, and from what runs."""
    counts = Counter(row["verdict"] for row in rows)
    line = " · ".join(f"{counts[verdict]} {badge(verdict)}" for verdict in VERDICTS if counts[verdict])
    return f"{line}\n\n{_GROUND[profile]}"


def anchor(claim: str) -> str:
    """The claim's address on the ledger's page."""
    return f"claim-{claim.replace('.', '-')}"


def ledger(rows: Sequence[Row], titles: Mapping[str, str], whys: Mapping[str, str], pages: Collection[str]) -> str:
    """The ledger's tables, one a document. titles: of the documents; whys: why each claim has the rule it has.

    A claim whose experiment is among `pages` links to its page.
    """
    blocks = []
    for document, title in titles.items():
        mine = [row for row in rows if row["document"] == document]
        blocks.append(f"## {document}: {title}\n\n{_claims(mine, partial(_ledger_name, pages), whys)}")
    return "\n\n".join(blocks)


def verdicts(rows: Sequence[Row]) -> str:
    """The claims of one experiment, for the end of its page; they link to the ledger."""
    return _claims(rows, lambda row: f"[{row['id']}](../ledger.md#{anchor(row['id'])})\n\n{badge(row['verdict'])}", {})


def _ledger_name(pages: Collection[str], row: Row) -> str:
    name = f"[{row['id']}]{{#{anchor(row['id'])}}}\n\n{badge(row['verdict'])}"
    experiment = row["experiment"]
    return f"{name}\n\n[{experiment}](experiments/{experiment}.ipynb)" if experiment in pages else name


def _claims(rows: Sequence[Row], name: Callable[[Row], str], whys: Mapping[str, str]) -> str:
    lines = [":::{list-table}", ":class: ledger", ":header-rows: 1", ":widths: 19 28 26 27", ""]
    lines += _table_row("Claim", "The document says", "Measured", "Why this verdict")
    for row in rows:
        says = [f'<span class="quote">“{_one_line(row["quote"])}”</span>', _small(row["place"])]
        if row["number"] is not None:
            says.append(_small(f"Stated: {_number(row['number'])} {row['unit']}"))
        measured = [_one_line(row["statement"])] + [f"**{_one_line(row['measured'])}**"] * bool(row["measured"])
        if row["beside"]:
            measured.append(_small(f"Beside it: {row['beside']}"))
        why = [_one_line(row["reason"])] if row["reason"] else []
        if len(row["networks"]) > 1:
            why.append(_small("; ".join(f"{network}: {one}" for network, one in row["networks"].items())))
        if row["id"] in whys:
            text = html.escape(_one_line(whys[row["id"]]))
            why.append(f'<details class="small"><summary>The rule</summary>{text}</details>')
        lines += _table_row(name(row), *("\n\n".join(cell) for cell in (says, measured, why)))
    return "\n".join([*lines, ":::"])


def _number(number: Any) -> str:
    return " / ".join(f"{one:g}" for one in (number if isinstance(number, tuple) else (number,)))


def _table_row(*cells: str) -> list[str]:
    lines = []
    for position, cell in enumerate(cells):
        first, *others = cell.split("\n")
        lines.append(f"{'* - ' if position == 0 else '  - '}{first}")
        lines += [f"    {line}" if line else "" for line in others]
    return lines


def _small(text: str) -> str:
    return f'<span class="small">{_one_line(text)}</span>'


def _one_line(text: str) -> str:
    return " ".join(str(text).split())


def in_order(entries: Iterable[Experiment]) -> list[Experiment]:
    """By document, then by first claim; experiments without a claim come last in their document."""

    def key(entry: Experiment) -> tuple[str, int, str]:
        numbers = [int(claim.split(".")[1]) for claim in entry.claims]
        return entry.document, min(numbers, default=1000), entry.name

    return sorted(entries, key=key)


def experiments(entries: Sequence[Experiment], run: Collection[str]) -> str:
    """The experiments as a table that links to their pages; `run`: names of those that the book has a run of."""
    lines = ["| experiment | document | claims | shown here |", "|---|---|---|---|"]
    for one in entries:
        shown = "as it ran" if one.name in run else "not run yet"
        lines.append(
            f"| [{one.title}](experiments/{one.name}.ipynb) | {one.document} | {', '.join(one.claims)} | {shown} |"
        )
    return "\n".join(lines)


def networks_table(specs: Iterable[NetworkSpec]) -> str:
    """The loss networks as a table: where each ends, how wide it is, how large its features are, whose it is."""
    lines = ["| network | ends at | channels of its blocks | features | from |", "|---|---|---|---|---|"]
    for one in specs:
        deepest = next(layer for layer in reversed(one.layers) if layer.startswith("conv"))
        widths = ", ".join(map(str, one.widths))
        lines.append(f"| `{one.name}` | {deepest} | {widths} | {one.scale} | {one.source} |")
    return "\n".join(lines)


def model_card(path: Path) -> str:
    """A model card as a section of a page: its headings one level lower."""
    return re.sub(r"(?m)^#", "##", path.read_text(encoding="utf-8")).strip()


def readme_table(entries: Sequence[Experiment]) -> str:
    """The experiments as the README lists them."""
    lines = ["| notebook | document | claims | `laptop` takes |", "|---|---|---|---|"]
    for one in entries:
        profile = one.profiles.get("laptop")
        takes = (profile and profile.expected) or "not measured"
        claims = ", ".join(one.claims) or "none"
        lines.append(f"| [{one.name}](notebooks/{one.name}.ipynb): {one.title} | {one.document} | {claims} | {takes} |")
    return "\n".join(lines)


def record(run: Mapping[str, Any], crosscheck: Mapping[str, Any] | None = None) -> str:
    """On top of an experiment's page: how the run was made, from its record, and how to make it again.

    crosscheck: the record of the same on the second loss network, which is not shown but counts for the verdicts.
    """
    networks = ", ".join(run.get("networks") or {}) or "none"
    lines = [
        f"Profile **{run['profile']}** · loss network **{networks}** · {_hardware(run)}",
        f"{run['start'][:10]} · {_duration(run['seconds'])} · {_commit(run.get('commit'))} · "
        f"fingerprint `{run['fingerprint']['digest'][:12]}`",
        f"To run it again: `stylerepro run {run['experiment']} --profile {run['profile']}`",
    ]
    if crosscheck is not None:
        lines.append(
            f"Made on **{', '.join(crosscheck['networks'])}** too ({crosscheck['start'][:10]}, "
            f"{_duration(crosscheck['seconds'])}, {_commit(crosscheck.get('commit'))}); the verdicts rest on both."
        )
    return ":::{admonition} How this page was made\n:class: note run-record\n" + "\n\n".join(lines) + "\n:::"


def not_run(experiment: Experiment, profile: str) -> str:
    """The same place on the page of an experiment without a run."""
    expected = experiment.profiles[profile].expected if profile in experiment.profiles else None
    takes = f", about {expected} on {experiment.hardware or 'the machine it was measured on'}" if expected else ""
    return (
        ":::{admonition} Not run yet\n:class: warning run-record\n"
        f"There is no run of profile **{profile}**; the notebook stands below without output. To make one{takes}:\n\n"
        f"`stylerepro run {experiment.name} --profile {profile}`\n:::"
    )


def _hardware(run: Mapping[str, Any]) -> str:
    hardware, used = run.get("hardware") or {}, (run.get("device") or {}).get("used", "cpu")
    if used != "cpu":
        return str(hardware.get("gpu") or used)
    return f"{hardware.get('cores', 'unknown')} cores of {hardware.get('cpu', 'an unnamed processor')}"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "time not kept"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _commit(commit: Mapping[str, Any] | None) -> str:
    if not commit:
        return "outside version control"
    return f"commit `{commit['sha'][:10]}`{' with changes not committed' if commit['dirty'] else ''}"


def notebook_page(notebook: Path, top: str, end: str, keep_outputs: bool = True) -> str:
    """A notebook as a page of the book, in JSON: `top` below its title, `end` behind its last cell.

    Interactive widgets are left out, since a printed page has no kernel; without `keep_outputs` all outputs are. Long
    code is folded, unless its cell is tagged `show-input`.
    Raises `ResultsError` for a file that is no notebook with a title.
    """
    try:
        content = json.loads(notebook.read_text(encoding="utf-8"))
        cells = content["cells"]
        title = "".join(cells[0]["source"])
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ResultsError(f"{notebook} is not a notebook that the book can show: {error!r}. Run it again.") from error
    if cells[0]["cell_type"] != "markdown" or not re.match(r"# \S", title):
        raise ResultsError(f"{notebook} must begin with a text cell whose first line is a title ('# ...').")
    heading, _, rest = title.partition("\n")
    cells[0]["source"] = f"{heading}\n\n{top}\n\n{rest.strip()}\n"
    for cell in cells:
        if cell["cell_type"] == "code":
            tags = cell.setdefault("metadata", {}).setdefault("tags", [])
            if "".join(cell["source"]).count("\n") >= _SHOWN_LINES and not _SHOWN.intersection(tags):
                tags.append("hide-input")
            if "injected-parameters" in tags:
                cell["source"] = "".join(cell["source"]).replace("# Parameters\n", f"{_INJECTED}\n", 1)
            cell["outputs"] = [_static(output) for output in cell["outputs"]] if keep_outputs else []
            cell["outputs"] = [output for output in cell["outputs"] if output.get("data") != {}]
    if end:
        cells.append({"cell_type": "markdown", "metadata": {}, "source": f"{end}\n"})
    content["cells"] = cells
    content["metadata"].pop("widgets", None)
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"


def _static(output: dict[str, Any]) -> dict[str, Any]:
    if "data" in output:
        output["data"] = {kind: data for kind, data in output["data"].items() if "widget" not in kind}
    return output
