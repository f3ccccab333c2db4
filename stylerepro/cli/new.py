"""Begin an experiment from one that there is: notebook and sidecar under another name, and a new document's claims."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
import yaml

from stylerepro.errors import ClaimError, RunError
from stylerepro.files import project_root, write_text
from stylerepro.ledger.claims import ledger_folder, load_ledger
from stylerepro.ledger.rules import UNITS
from stylerepro.runs.declarations import read_yaml
from stylerepro.runs.experiments import OWN, Experiment, load, names

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_DOCUMENT = re.compile(r"\d{3}")
_RENEWED = ("title", "document", "claims")
_MINIMAL = "_minimal"  # the notebook and sidecar beside this file; no experiment can have this name
_TITLE_CELL = """\
# {title}

{origin}Say here what you vary and what you expect, and put the same into the
claim of `{claim}`, with the rule that judges it, before the first run that is to count.
"""
_ADVICE = "# Write down what you expect, and commit it before the run that tests it.\n"
_LEDGER = """\
# The claims of a document, in its own words. Commit each rule before the first run that tests it.
document:
  id: "{id}"
  title: {title}
  authors: []
  institution: null
  year: null
  link: null

{claims}"""


def begin(name: str, source: str | None, title: str = "", document: str = OWN) -> Experiment:
    """Write `notebooks/NAME.ipynb` and `notebooks/NAME.yaml` from those of an experiment; return the new one.

    The copy has no outputs, one claim to begin with, and everything else as `source` has it; None is the least there
    can be: parameters, one table, one figure. title: "" makes one of the source's, or of the name. document: three
    digits; where the ledger has none of that number, its file is begun too, with the claim in it. With "own" the
    sidecar declares the claim itself. Raises `RunError` for a name that is taken or none, for an unknown source, for
    another document, and for a notebook that does not begin its run by its own name. Nothing unfinished is left.
    """
    if not _NAME.fullmatch(name):
        raise RunError(f"{name!r} cannot name an experiment: take small letters, digits and _, a letter first.")
    if document != OWN and not _DOCUMENT.fullmatch(document):
        raise RunError(f"{document!r} cannot name a document: take three digits, as in --document 005.")
    folder = project_root() / "notebooks"
    notebook, sidecar = folder / f"{name}.ipynb", folder / f"{name}.yaml"
    ledger = ledger_folder() / f"{document}.yaml"
    if name in names() or notebook.exists():
        raise RunError(f"There is an experiment {name} already, in notebooks/. Take another name.")
    original = load(source) if source else load(_MINIMAL, Path(__file__).parent)
    title = title or (f"{original.title}, varied" if source else name.replace("_", " ").capitalize())
    own, begun = document == OWN, document != OWN and not ledger.exists()
    claim = {"id": f"{name if own else document}.1", **_claim(original)}
    declared = [claim] if own else [claim["id"]] if begun else []
    written = {
        notebook: _notebook(original, name, title, sidecar if own else ledger),
        sidecar: _sidecar(original, title, document, declared),
    }
    if begun:
        claims = _laid_out({"claims": [{**claim, "experiment": name}]})
        written[ledger] = _LEDGER.format(id=document, title=json.dumps(title, ensure_ascii=False), claims=claims)
    try:
        for path, text in written.items():
            write_text(path, text)
        made = load(name)
        load_ledger()
    except BaseException:
        for path in written:
            path.unlink(missing_ok=True)
        raise
    return made


def _notebook(original: Experiment, name: str, title: str, claim: Path) -> str:
    content = nbformat.read(original.notebook, as_version=4)
    opening = re.compile(rf"(results\.begin\(\s*)([\"']){original.name}\2")
    begins = 0
    for cell in content.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
            cell.source, times = opening.subn(rf"\1\2{name}\2", cell.source)
            begins += times
    if begins != 1:
        needed = f'one cell with results.begin("{original.name}", globals())'
        raise RunError(f"notebooks/{original.name}.ipynb needs {needed} to be copied from; it has {begins}.")
    copied = f"This began as a copy of [{original.title}]({original.name}.ipynb). "
    origin = copied if original.name != _MINIMAL else ""
    content.cells[0].source = _TITLE_CELL.format(title=title, origin=origin, claim=claim.name).strip()
    return f"{nbformat.writes(content).rstrip()}\n"


def _sidecar(original: Experiment, title: str, document: str, claims: list[Any]) -> str:
    """Return the original's text, comments and all, but for its title, document and claims."""
    text = original.notebook.with_suffix(".yaml").read_text(encoding="utf-8")
    blocks = re.split(r"(?m)^(?=[a-z_]+:)", text)
    # A comment at the end of a block belongs to the one behind it, which may be one that goes.
    kept = [block.strip("\n") + "\n" for block in blocks[1:] if block.partition(":")[0] not in _RENEWED]
    advice = _ADVICE if document == OWN else ""
    head = f"{_laid_out({'title': title, 'document': document})}{advice}{_laid_out({'claims': claims})}"
    return "\n".join([head, *kept])


def _laid_out(content: Mapping[str, object]) -> str:
    """Return content as a person would lay it out in YAML: keys in their order, no aliases."""
    apart = json.loads(json.dumps(content))  # what is the same object twice would become an alias
    return str(yaml.safe_dump(apart, sort_keys=False, allow_unicode=True, width=110))


def _claim(original: Experiment) -> dict[str, Any]:
    """Return a claim to begin with: the rule of the original's first one, or a bound on one of its columns."""
    first = next((claim for claim in load_ledger() if claim.experiment == original.name), None)
    if first:
        path = ledger_folder() / f"{first.document}.yaml"
        declared = original.own_claims or read_yaml(path, path.name, ClaimError)["claims"]
        content = next(content for content in declared if content["id"] == first.id)
        judged = {key: content[key] for key in ("number", "unit", "rule") if content.get(key) is not None}
        design = {key: content[key] for key in ("sort", "least", "gates", "settings") if key in content}
        statement, origin = first.statement, f"The rule of {first.id}"
    else:
        numbers = [name for name, column in original.columns.items() if column.type == "float"]
        column = (numbers or list(original.columns))[0]
        units = [unit for unit in UNITS if unit in original.columns]
        judged = {"rule": {"kind": "threshold", "name": column, "column": column, "at_least": 0.5, "units": units}}
        statement, origin = f"{column} is one half at least.", "A bound"
        design = {"sort": "arithmetic", "least": {}}
    return {
        "quote": "what you expect, in a sentence",
        "place": "who says so and where, or that it is a guess of your own",
        "statement": statement,
        **judged,
        "why": f"{origin}, to begin with. Say here why yours is the right one.",
        "tolerance": {"relative": 0.5},
        **design,
    }
