"""The ledger: what the five documents claim, the rule for each verdict, and the verdicts computed from tables.

`stylerepro/ledger/NNN.yaml` holds one document each: where it comes from, and its claims with their rules, written down
before the first run that tests them (`rules` and `verdicts` in that folder say what a rule may be). There is no field
for a verdict. `planned.yaml` lists experiments that have no notebook yet, with the columns that rules count on. What no
document claims stands in its experiment's sidecar, in the same form, as a claim of document `own`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from stylerepro.errors import ClaimError, unknown
from stylerepro.ledger.findings import Finding
from stylerepro.ledger.grammar import Declared, checked
from stylerepro.ledger.rules import Rule
from stylerepro.ledger.tolerance import Tolerance
from stylerepro.runs import experiments
from stylerepro.runs.experiments import OWN, Experiment

FOLDER = Path(__file__).parent

_DOCUMENT_KEYS = {"id": str, "title": str, "authors": list, "institution": str, "year": int, "link": str}
_CLAIM_KEYS = ("id", "quote", "place", "statement", "experiment", "rule", "why", "number", "unit", "tolerance", "notes")
_CLAIM_TEXTS = ("quote", "place", "statement", "experiment", "why")


@dataclass(frozen=True)
class Document:
    """One of the documents under test. None where the document does not print it."""

    id: str
    title: str
    authors: tuple[str, ...]
    institution: str | None
    year: int | None
    link: str | None


@dataclass(frozen=True)
class Claim:
    """A claim in its document's words, with the rule for its verdict.

    number: what the document says, where it says a number, in `unit`; several for a table's column.
    statement: what is measured, in plain words. why: why this rule. notes: readings and pitfalls.
    tolerance: how far a measured value may lie from the reference's and still agree with it.
    """

    id: str
    document: str
    quote: str
    place: str
    statement: str
    experiment: str
    rule: Rule
    why: str
    tolerance: Tolerance
    number: float | tuple[float, ...] | None = None
    unit: str | None = None
    notes: str = ""


@dataclass(frozen=True)
class Ledger:
    """All documents by id, all claims in order, the experiments that have no notebook yet, and findings by document.

    Claims of the suite's own ablations come last; their document, `own`, is none of `documents`.
    """

    documents: Mapping[str, Document]
    claims: tuple[Claim, ...]
    planned: frozenset[str] = frozenset()
    findings: Mapping[str, Finding] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Claim]:
        return iter(self.claims)

    def claim(self, id: str) -> Claim:
        """The claim with this id; `ClaimError` names the nearest that exists."""
        found = {claim.id: claim for claim in self.claims}
        if id not in found:
            raise ClaimError(unknown(id, list(found), "claim", "The ledger"))
        return found[id]


def load_ledger(folder: Path | None = None, declared: Declared | None = None) -> Ledger:
    """The ledger of `folder` (None: the project's own), checked from end to end.

    declared: experiment to the columns of its table; None takes the notebooks' sidecars, with the claims of their own,
    and for experiments without a notebook `planned.yaml`. Raises `ClaimError` for anything that is not as it should be,
    a rule that could not fail among it.
    """
    folder = FOLDER if folder is None else Path(folder)
    if not folder.is_dir():
        raise ClaimError(f"{folder.name} is no ledger: a folder with a file NNN.yaml for each document is needed.")
    found = experiments.discover() if declared is None else []
    built = {one.name: list(one.columns) for one in found} if declared is None else dict(declared)
    planned = {name: list(entry["columns"]) for name, entry in _planned(folder / "planned.yaml").items()}
    everything = {**planned, **built}
    documents, findings, claims = {}, {}, []
    for path in sorted(folder.glob("[0-9]*.yaml")):
        content = _read(path)
        document = _document(content.pop("document", None), path)
        documents[document.id] = document
        listed, finding = content.pop("claims", None), content.pop("finding", None)
        if content or not isinstance(listed, list) or not listed:
            raise ClaimError(
                f"{path.name}: a document and a list of its claims are needed, perhaps a finding, and nothing else."
            )
        mine = [_claim(one, place, document.id, everything) for place, one in enumerate(listed, start=1)]
        claims += mine
        if finding is not None:
            findings[document.id] = Finding.parse(finding, document.id, [claim.id for claim in mine])
    claims += [claim for one in found for claim in _own(one, everything)]
    return Ledger(documents, tuple(claims), frozenset(set(planned) - set(built)), findings)


def _document(content: Any, path: Path) -> Document:
    if not isinstance(content, dict) or set(content) != set(_DOCUMENT_KEYS):
        raise ClaimError(f"{path.name}: document needs {', '.join(_DOCUMENT_KEYS)} (null where it prints none).")
    for key, kind in _DOCUMENT_KEYS.items():
        if not (isinstance(content[key], kind) or (content[key] is None and key not in ("id", "title", "authors"))):
            raise ClaimError(f"{path.name}: document.{key} must be {kind.__name__}, not {content[key]!r}.")
    if content["id"] != path.stem:
        raise ClaimError(f"{path.name}: the document's id must be the file's name, not {content['id']!r}.")
    return Document(**{**content, "authors": tuple(content["authors"])})


def _claim(content: Any, place: int, document: str, declared: Declared) -> Claim:
    expected = f"{document}.{place}"
    if not isinstance(content, dict) or content.get("id") != expected:
        found = content.get("id") if isinstance(content, dict) else content
        raise ClaimError(
            f"{document}.yaml: claim {found!r} stands where {expected!r} should: ids are unique, in order."
        )
    if "verdict" in content:
        raise ClaimError(f"Claim {expected}: a verdict is computed from tables and never typed; take it out.")
    for key in content:
        if key not in _CLAIM_KEYS:
            raise ClaimError(unknown(str(key), list(_CLAIM_KEYS), "key", f"Claim {expected}"))
    for key in _CLAIM_TEXTS:
        if not isinstance(content.get(key), str) or not content[key].strip():
            raise ClaimError(f"Claim {expected} needs {key}, in words.")
    number = content.get("number")
    if number is not None and not content.get("unit"):
        raise ClaimError(f"Claim {expected} has a number but no unit.")
    rule = checked(content.get("rule"), f"Claim {expected}", content["experiment"], number, declared)
    texts = {key: content[key].strip() for key in _CLAIM_TEXTS}
    return Claim(
        id=expected,
        document=document,
        rule=rule,
        number=tuple(number) if isinstance(number, list) else number,
        unit=content.get("unit"),
        tolerance=Tolerance.parse(content.get("tolerance"), f"Claim {expected}"),
        notes=(content.get("notes") or "").strip(),
        **texts,
    )


def _own(experiment: Experiment, declared: Declared) -> Iterator[Claim]:
    """The claims that the experiment's sidecar declares."""
    for place, content in enumerate(experiment.own_claims, start=1):
        content = {"experiment": experiment.name, **content}
        yield replace(_claim(content, place, experiment.name, declared), document=OWN)


def _planned(path: Path) -> dict[str, Any]:
    content = _read(path) if path.is_file() else {}
    for name, entry in content.items():
        if not isinstance(entry, dict) or list(entry) != ["columns"] or not isinstance(entry["columns"], dict):
            raise ClaimError(f"{path.name}: {name} needs columns, as in a notebook's sidecar, and nothing else.")
    return content


class _Loader(yaml.SafeLoader):
    """YAML's own loader lets a key that is there twice take its last value; a ledger must not."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        twice = next((key for key in keys if keys.count(key) > 1), None)
        if twice is not None:
            raise yaml.constructor.ConstructorError(None, None, f"the key {twice!r} is there twice", node.start_mark)
        return super().construct_mapping(node, deep)


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # a SafeLoader
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ClaimError(f"{path.name} is not the YAML it should be: {error}") from error
    if not isinstance(content, dict):
        raise ClaimError(f"{path.name} must hold names and values.")
    return content
