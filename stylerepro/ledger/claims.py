"""The ledger: what each document claims, the rule for each verdict, and what surprises most.

`stylerepro/ledger/NNN.yaml` holds one document each: where it comes from, and its claims with their rules, written down
before the first run that tests them (`rules` and `verdicts` in this folder say what a rule may be). There is no field
for a verdict. What no document claims stands in its experiment's sidecar, in the same form, as a claim of document
`own`.

Birth certificates say when what decides a claim took its present form, and when the first run that tests it began. Both
come from git, and are written into `results/ledger.json` when results are published; a clone without its history shows
what is written there. A rule that is younger than its first run was made with the result in sight, and gives *trend
only* at best.
"""

import json
import math
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from string import Formatter
from typing import Annotated, Any, ClassVar, Literal

import yaml
from pydantic import Field, StringConstraints, model_validator

from stylerepro.errors import ClaimError
from stylerepro.files import project_root
from stylerepro.ledger.check import Declared, check_design, check_name, checked
from stylerepro.ledger.rules import VERDICTS, Rule, short_text, stated_text
from stylerepro.runs.declarations import Declaration, read_yaml, validated
from stylerepro.runs.experiments import METHODS, OWN, discover
from stylerepro.runs.fingerprint import rule_hash
from stylerepro.runs.record import RECORD

# What the words of a finding may take from their claim's row.
FIELDS = ("value", "low", "high", "effect", "n", "number", "measured", "parts")

LEDGER = "results/ledger.json"

# rule: the hash of what decides. commit, time: where and when it took that form; None while it is not committed.
# start: of the first run of the points that are behind the verdict. hours: from the one to the other.
Certificate = Mapping[str, Any]

_Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
_Size = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_Numbers = Annotated[tuple[int | float, ...], Field(strict=False)]


class Silence(Declaration):
    """A thing that a document leaves open: the parameter or column that stands for it, and what each reading gave."""

    silence: _Text
    parameter: _Text
    readings: _Text


class Document(Declaration):
    """One of the documents under test; None where it does not print who, when or where.

    about: what kind of document it is and what it proposes, in a sentence or two. question: the one that its claims
    answer. method: its formulas, in MyST. slips: where it contradicts itself. citation: its entry among the references
    of CITATION.cff, in the words of that format, without the title and without its number in the notes.
    """

    id: str
    title: str
    authors: list[str]
    institution: str | None
    year: int | None
    link: str | None
    about: str = ""
    question: str = ""
    method: str = ""
    silences: list[Silence] = Field(default_factory=list)
    slips: list[str] = Field(default_factory=list)
    citation: dict[str, Any] = Field(default_factory=dict)


class Tolerance(Declaration):
    """The distance at which a number still agrees with the reference's: by `absolute`, in the units of the claim's
    value, or by `relative`, as a share of the reference's value."""

    absolute: _Size | None = None
    relative: _Size | None = None

    @model_validator(mode="after")
    def _is_one(self) -> "Tolerance":
        if (self.absolute is None) == (self.relative is None):
            raise ValueError("must be {absolute: number} or {relative: number}, one of the two")
        return self

    def agree(self, reference: float, other: float) -> bool:
        """Return whether `other` lies within the tolerance around `reference`; its edge counts."""
        room = abs(reference) * self.relative if self.relative else self.absolute or 0.0
        return math.isclose(reference, other, rel_tol=1e-12) or abs(other - reference) <= room * (1 + 1e-12)

    def __str__(self) -> str:
        return f"±{short_text(100 * self.relative)} %" if self.relative else f"±{short_text(self.absolute or 0.0)}"


class Claim(Declaration):
    """A claim in its document's words, with the rule for its verdict.

    number: what the document says, where it says a number, in `unit`; several for a table's column.
    statement: what is measured, in plain words. why: why this rule. notes: readings and pitfalls.
    tolerance: how far a measured value may lie from the reference's and still agree with it.
    sort: arithmetic (a count or a calculation), cost (time, memory), or picture. least: how many of each of
    `rules.DESIGN` (or rows) a verdict rests on at least. gates, settings: see `gates`; a claim about pictures has
    gates, and says in `exempt` why one of style and content is not asked.
    """

    id: str
    document: str
    quote: _Text
    place: _Text
    statement: _Text
    experiment: _Text
    rule: Rule
    why: _Text
    tolerance: Tolerance
    sort: Literal["arithmetic", "cost", "picture"]
    least: dict[str, Annotated[int, Field(ge=1)]]
    gates: dict[str, Any] = Field(default_factory=dict)
    settings: tuple[dict[str, Any], ...] = Field(default=(), strict=False)
    number: int | float | _Numbers | None = None
    unit: str | None = None
    notes: str = ""

    DECISIVE: ClassVar = ("rule", "gates", "settings")

    def decisive(self) -> dict[str, Any]:
        """Return what decides the claim, as `rule_hash` takes it."""
        return {name: getattr(self, name) for name in self.DECISIVE}

    @model_validator(mode="after")
    def _has_a_unit(self) -> "Claim":
        if self.number is not None and not self.unit:
            raise ValueError("has a number but no unit")
        if self.sort == "picture" and not self.gates:
            raise ValueError("is about pictures and has no gates")
        return self


class Finding(Declaration):
    """Words about one claim of a document, true as long as its verdict is the one that they were written for.

    Numbers come from the claim's row, as `summary.evaluate` gives it, by placeholders: one of `FIELDS`, such as {value}
    or {value:.0%}, and {parts[1][value]} of the second measure of the rule.
    """

    claim: _Text
    written_for: _Text
    text: _Text

    @model_validator(mode="after")
    def _rests_on_tables(self) -> "Finding":
        if self.written_for not in VERDICTS:
            raise ValueError(f"is written for {self.written_for!r}, which is none of {', '.join(VERDICTS)}")
        pieces = list(Formatter().parse(self.text))
        names = {re.split(r"[.\[]", name)[0] for _, name, _, _ in pieces if name is not None}
        if not names or not names <= set(FIELDS):
            raise ValueError(f"needs placeholders in its text, of {', '.join(FIELDS)}: it has {sorted(names)}")
        if typed := re.search(r"\d+", " ".join(words for words, *_ in pieces)):
            raise ValueError(f"types {typed[0]}: a number comes from the tables, by a placeholder")
        return self

    def filled(self, row: Mapping[str, Any]) -> str:
        """Return the text with the numbers of the claim's row; raise `ClaimError` where it has no such number."""
        try:
            text = _Words().format(self.text, **{name: row.get(name) for name in FIELDS})
        except (LookupError, ValueError, TypeError, AttributeError) as error:
            raise ClaimError(f"Claim {self.claim}: its finding asks for what is not there: {error}.") from error
        return " ".join(text.split())


@dataclass(frozen=True)
class Ledger:
    """All documents by id, all claims in order, and findings by document.

    Claims of the suite's own ablations come last; their document, `own`, is none of `documents`.
    """

    documents: Mapping[str, Document]
    claims: tuple[Claim, ...]
    findings: Mapping[str, Sequence[Finding]] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Claim]:
        return iter(self.claims)


class _File(Declaration):
    """A document's file, as it is written."""

    document: Document
    claims: list[Any] = Field(min_length=1)
    findings: list[Finding] = Field(default_factory=list)


def ledger_folder() -> Path:
    """Return the folder of the documents' files: the project's, else the installed package's."""
    folder = project_root() / "stylerepro" / "ledger"
    return folder if folder.is_dir() else Path(__file__).parent


def load_ledger(folder: Path | None = None, declared: Declared | None = None) -> Ledger:
    """Return the ledger of `folder` (None: the project's own), checked from end to end.

    declared: experiment to the columns of its table; None takes the notebooks' sidecars, with the claims of their own.
    Raises `ClaimError` for anything that is not as it should be, a rule that could not fail among it.
    """
    folder = folder or ledger_folder()
    if not folder.is_dir():
        raise ClaimError(f"{folder.name} is no ledger: a folder with a file NNN.yaml for each document is needed.")
    experiments = discover() if declared is None else []
    declared = declared or {experiment.name: experiment.columns for experiment in experiments}
    documents, findings, claims = {}, {}, []
    for path in sorted(folder.glob("[0-9]*.yaml")):
        written = validated(_File, read_yaml(path, path.name, ClaimError), path.name, ClaimError)
        id = written.document.id
        if id != path.stem:
            raise ClaimError(f"{path.name}: the document's id must be the file's name, not {id!r}.")
        documents[id] = written.document
        own = [_claim(content, f"{id}.{place}", id, declared) for place, content in enumerate(written.claims, start=1)]
        claims += own
        findings[id] = written.findings
        for finding in written.findings:
            check_name(finding.claim, [claim.id for claim in own], "claim", path.name)
    for experiment in experiments:
        for place, content in enumerate(experiment.own_claims, start=1):
            content = {"experiment": experiment.name, **content}
            claims.append(_claim(content, f"{experiment.name}.{place}", OWN, declared))
    for experiment in experiments:
        where = f"notebooks/{experiment.name}.yaml"
        check_name(experiment.document, [*documents, OWN, METHODS], "document", f"{where}: the ledger")
        theirs = [claim.id for claim in claims if claim.document == experiment.document]
        for id in experiment.claims:
            check_name(id, theirs, "claim", f"{where}: document {experiment.document}")
    return Ledger(documents, tuple(claims), findings)


def _claim(content: Any, id: str, document: str, declared: Declared) -> Claim:
    given = content.get("id") if isinstance(content, dict) else content
    if given != id:
        raise ClaimError(f"Claim {given!r} stands where {id!r} should: ids are unique, in order.")
    where = f"Claim {id}"
    if "verdict" in content:
        raise ClaimError(f"{where}: a verdict is computed from tables and never typed; take it out.")
    claim = validated(Claim, {**content, "document": document}, where, ClaimError)
    rule = checked(claim.rule, where, claim.experiment, claim.number, declared)
    check_design(claim, where, declared)
    return claim.model_copy(update={"rule": rule})


class _Words(Formatter):
    """Print numbers as people read them, unless a placeholder says how; what a claim does not have is an error."""

    def format_field(self, value: Any, spec: str) -> str:
        if value is None or value != value:
            raise ValueError("one of its placeholders has no value")
        if isinstance(value, float):
            return format(value, spec).replace("-", "−") if spec else short_text(value)
        return stated_text(value) if isinstance(value, tuple) else format(value, spec)


def certificates() -> dict[str, Certificate]:
    """Return the certificates of the committed ledger by claim; none where there is no such file."""
    path = project_root() / LEDGER
    rows = json.loads(path.read_text(encoding="utf-8"))["claims"] if path.is_file() else []
    return {row["id"]: row["certificate"] for row in rows if row.get("certificate")}


def has_history() -> bool:
    """Return whether the project's history is at hand."""
    return bool(_git("rev-parse", "--git-dir"))


def certificate(
    claim: Claim, runs: Iterable[Mapping[str, Any]], known: Mapping[str, Certificate]
) -> Certificate | None:
    """Return a claim's certificate on these runs: the known one where it fits, else git's; None without runs or git."""
    points = {run["folder"]: run["start"] for run in runs}
    rule = rule_hash(claim.decisive(), claim.experiment, claim.number)
    stated = known.get(claim.id)
    if stated and stated["rule"] == rule and stated["points"] == points:
        return stated
    if not points or not has_history():
        return None
    commit, time = _rule_born(claim, rule)
    start = min((_first_start(folder, start) for folder, start in points.items()), key=_moment)
    hours = None if time is None else round((_moment(start) - _moment(time)).total_seconds() / 3600, 1)
    return {"rule": rule, "points": points, "commit": commit, "time": time, "start": start, "hours": hours}


def late(stated: Certificate | None) -> str:
    """Return in words by how much a rule is younger than its run; "" for one that is older, or without certificate."""
    hours = 0 if stated is None else stated["hours"]
    if hours is None:
        return "after the fact: the rule as it stands is not committed, and its run is there"
    return f"after the fact: the rule took its present form {span(hours)} after its first run began" * (hours < 0)


def span(hours: float) -> str:
    """Return a number of hours, of either sign, in words."""
    number, unit = (abs(hours), "hour") if abs(hours) >= 1 else (60 * abs(hours), "minute")
    return f"{number:.0f} {unit}{'s' * (f'{number:.0f}' != '1')}"


def _rule_born(claim: Claim, rule: str) -> tuple[str | None, str | None]:
    """Return the commit, and its time, since which the claim's file has held what decides as it is now."""
    path = f"notebooks/{claim.experiment}.yaml" if claim.document == OWN else f"stylerepro/ledger/{claim.document}.yaml"
    born: tuple[str | None, str | None] = (None, None)
    for line in _git("log", "--follow", "--name-only", "--format=%x00%H %cI", "--", path).split("\0")[1:]:
        commit, time, *names = line.split()
        if _rule_in(f"{commit}:{names[0] if names else path}", claim) != rule:
            break
        born = commit, time
    return born


def _rule_in(place: str, claim: Claim) -> str:
    """Return the hash of what decides the claim in a file of the history; "" where it is not there."""
    try:
        content = yaml.load(_git("show", place), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        (found,) = [one for one in content["claims"] if isinstance(one, dict) and one["id"] == claim.id]
        decisive = {key: found[key] for key in Claim.DECISIVE if found.get(key)}
        return rule_hash(decisive, found.get("experiment", claim.experiment), found.get("number"))
    except (yaml.YAMLError, LookupError, TypeError, ValueError, AttributeError):
        return ""


def _first_start(folder: str, start: str) -> str:
    """Return when the first run in a folder of committed results began that had the present one's parameters."""
    path = f"{folder}/{RECORD}"
    file = project_root() / path
    parameters = json.loads(file.read_text(encoding="utf-8"))["parameters"] if file.is_file() else None
    starts = [start]
    for commit in _git("log", "--format=%H", "--", path).split():
        with suppress(ValueError, LookupError, TypeError):  # deleted there, or of a form that says less
            record = json.loads(_git("show", f"{commit}:{path}"))
            starts += [record["start"]] if record["parameters"] == parameters else []
    return min(starts, key=_moment)


def _moment(time: str) -> datetime:
    return datetime.fromisoformat(time).astimezone()  # one without a zone is in this machine's


def _git(*words: str) -> str:
    """Return what git says of the project; "" where it says nothing, or is not there."""
    command = ["git", "-C", str(project_root()), *words]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, encoding="utf-8").stdout
    except (OSError, subprocess.CalledProcessError, UnicodeDecodeError):
        return ""
