"""What the book's generated pages say, as MyST Markdown: records of runs, notebooks, lists of experiments."""

import html
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from stylerepro.book import runs
from stylerepro.book.text import definition, fold
from stylerepro.errors import ResultsError
from stylerepro.networks.specs import NetworkSpec
from stylerepro.runs.experiments import CROSSCHECK, OWN, Experiment
from stylerepro.runs.record import RECORD

# Longer code is folded away behind a click, so that a page reads as a chapter; parameters are always shown.
_SHOWN_LINES = 6
_SHOWN = {"parameters", "injected-parameters", "show-input"}
_INJECTED = "# what this run put in their place"


def in_order(entries: Iterable[Experiment]) -> list[Experiment]:
    """By document, then by first claim; experiments without a claim come last in their document."""

    def key(entry: Experiment) -> tuple[str, int, str]:
        numbers = [int(claim.split(".")[1]) for claim in entry.claims]
        return entry.document, min(numbers, default=1000), entry.name

    return sorted(entries, key=key)


def experiments(entries: Sequence[Experiment], run: Mapping[str, runs.Shown]) -> str:
    """The experiments as a table that links to their pages. run: experiment to the run that the book shows of it."""
    lines = ["| experiment | document | claims | shown here |", "|---|---|---|---|"]
    for one in entries:
        shown = f"run of `{run[one.name].record['profile']}`" if one.name in run else "not run yet"
        lines.append(
            f"| [{one.title}](notebooks/{one.name}.ipynb) | {one.document} | {', '.join(one.claims)} | {shown} |"
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
    """The experiments as the README lists them: own ablations, which come and go, stand in the book alone."""
    lines = ["| notebook | document | claims | `laptop` takes |", "|---|---|---|---|"]
    for one in (entry for entry in entries if entry.document != OWN):
        profile = one.profiles.get("laptop")
        takes = (profile and profile.expected) or "not measured"
        claims = ", ".join(one.claims) or "none"
        lines.append(f"| [{one.name}](notebooks/{one.name}.ipynb): {one.title} | {one.document} | {claims} | {takes} |")
    return "\n".join(lines)


def record(one: runs.Shown) -> str:
    """On top of an experiment's page: how the run was made, how to make it again, and the files behind it."""
    run = one.record
    networks = ", ".join(run.get("networks") or {}) or "none"
    lines = []
    if one.stands_in:
        lines.append(
            f"**No own run of profile `{one.wanted}` yet**: this is the committed one of `{run['profile']}`. "
            f"To make it: `stylerepro run {run['experiment']} --profile {one.wanted}`"
        )
    lines += [
        f"Profile **{run['profile']}** · loss network **{networks}** · {runs.hardware(run)}",
        f"{run['start'][:10]} · {runs.duration(run['seconds'])} · {runs.commit(run)} · "
        f"fingerprint `{run['fingerprint']['digest'][:12]}`",
        f"Every table and figure below comes from `{command(run)}`: {runs.links(one.folder, run, '../')}",
    ]
    for folder, other in one.others:
        counted = "; the verdicts rest on both" if other["profile"] == CROSSCHECK else ""
        lines.append(
            f"Profile **{other['profile']}** too, on **{', '.join(other.get('networks') or {}) or 'no network'}**, "
            f"{runs.hardware(other)} ({other['start'][:10]}, {runs.duration(other['seconds'])}, {runs.commit(other)})"
            f"{counted}: {runs.links(folder, other, '../')}"
        )
    lines.append(_details(run))
    return ":::{admonition} How this page was made\n:class: note run-record\n" + "\n\n".join(lines) + "\n:::"


def caption(one: runs.Shown) -> str:
    """Below every figure: the command that makes it, and the record of the run behind it."""
    link = f"[record of the run](../{runs.place(one.record)}/{RECORD})"
    return f'<span class="small figure-source">Made by `{command(one.record)}` · {link}</span>'


def command(run: runs.Record) -> str:
    """The command that makes a run, as it is typed."""
    return f"stylerepro run {run['experiment']} --profile {run['profile']}"


def _details(run: runs.Record) -> str:
    """Parameters, seeds and versions, folded away."""
    told = {
        "parameters": run.get("parameters"), "seeds": run.get("seeds"), "files, by SHA-256": run.get("assets"),
        "versions": run.get("versions"),
    }  # fmt: skip
    found = {
        html.escape(name): html.escape(
            "; ".join(f"{key} = {json.dumps(one, ensure_ascii=False)}" for key, one in value.items())
        )
        for name, value in told.items()
        if value
    }
    return fold("Parameters, seeds, versions", definition(found)) if found else ""


def not_run(experiment: Experiment, profile: str) -> str:
    """The same place on the page of an experiment without a run."""
    expected = experiment.profiles[profile].expected if profile in experiment.profiles else None
    takes = f", about {expected} on {experiment.hardware or 'the machine it was measured on'}" if expected else ""
    return (
        ":::{admonition} Not run yet\n:class: warning run-record\n"
        f"There is no run of profile **{profile}**; the notebook stands below without output. To make one{takes}:\n\n"
        f"`stylerepro run {experiment.name} --profile {profile}`\n:::"
    )


def notebook_page(
    notebook: Path, top: str, end: str, keep_outputs: bool = True, caption: str = "", texts: Path | None = None
) -> str:
    """A notebook as a page of the book, in JSON: `top` below its title, `end` behind its last cell.

    Interactive widgets are left out, since a printed page has no kernel; without `keep_outputs` all outputs are. Long
    code is folded, unless its cell is tagged `show-input`. caption: stands below every cell that drew a figure.
    texts: the notebook as it stands now, from which its pictures have their alternative texts, so that a run need not
    be made anew for them.
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
    if texts is not None:
        _describe(cells, texts)
    heading, _, rest = title.partition("\n")
    cells[0]["source"] = f"{heading}\n\n{top}\n\n{rest.strip()}\n"
    told = []
    for cell in cells:
        told.append(cell)
        if cell["cell_type"] == "code":
            tags = cell.setdefault("metadata", {}).setdefault("tags", [])
            if "".join(cell["source"]).count("\n") >= _SHOWN_LINES and not _SHOWN.intersection(tags):
                tags.append("hide-input")
            if "injected-parameters" in tags:
                cell["source"] = "".join(cell["source"]).replace("# Parameters\n", f"{_INJECTED}\n", 1)
            cell["outputs"] = [_static(output) for output in cell["outputs"]] if keep_outputs else []
            cell["outputs"] = [output for output in cell["outputs"] if output.get("data") != {}]
            if caption and any(kind.startswith("image/") for one in cell["outputs"] for kind in one.get("data", {})):
                told.append({"cell_type": "markdown", "metadata": {}, "source": f"{caption}\n"})
    if end:
        told.append({"cell_type": "markdown", "metadata": {}, "source": f"{end}\n"})
    content["cells"] = told
    if content.get("nbformat_minor", 0) > 4:
        for place, cell in enumerate(told):
            cell.setdefault("id", f"page-{place}")
    content["metadata"].pop("widgets", None)
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"


def _describe(cells: Sequence[dict[str, Any]], notebook: Path) -> None:
    """Give cells the alternative texts (`mystnb.image.alt`) of the notebook's cells with the same ids.

    Where the notebook has got a cell since, its text is added to that of the cell before it, of which it was a part.
    """
    ran = {cell.get("id"): cell for cell in cells}
    texts: dict[str, str] = {}
    id = ""
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        id = cell["id"] if cell["id"] in ran else id
        text = cell["metadata"].get("mystnb", {}).get("image", {}).get("alt")
        if id and text:
            texts[id] = f"{texts[id]} {text}" if id in texts else text
    for id, text in texts.items():
        ran[id]["metadata"]["mystnb"] = {"image": {"alt": text}}


def _static(output: dict[str, Any]) -> dict[str, Any]:
    if "data" in output:
        output["data"] = {kind: data for kind, data in output["data"].items() if "widget" not in kind}
    return output
