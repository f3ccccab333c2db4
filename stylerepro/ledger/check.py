"""Rules as written in the ledger: completed here, or refused where their keys are not those of a rule.

A model of each kind says which keys a leaf has. That a rule can hold and fail is for `make test` to say, which tries
each on tables made up to satisfy it and to fail it: with every run it would take a second.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from stylerepro.errors import ClaimError, unknown
from stylerepro.ledger.rules import DESIGN, UNITS, Rule, columns
from stylerepro.ledger.verdicts import COMBINATIONS, TAGS, leaves, readings
from stylerepro.runs.declarations import Declaration, validated

# Experiment to the columns of its table.
Declared = Mapping[str, Collection[str]]


def _in_order(ends: list[Any]) -> list[Any]:
    stated = [end for end in ends if end is not None]
    if sorted(stated) != stated:
        raise ValueError(f"is {ends}, which is not [low, high]")
    return ends


_Finite = Annotated[float, Field(allow_inf_nan=False)]
_Size = Annotated[_Finite, Field(ge=0)]
_Range = Annotated[list[_Finite], Field(min_length=2, max_length=2), AfterValidator(_in_order)]
_OpenRange = Annotated[list[_Finite | None], Field(min_length=2, max_length=2), AfterValidator(_in_order)]
_Units = Annotated[list[str], Field(min_length=1, max_length=2)]
_Direction = Literal["up", "down"]


class Beside(Declaration):
    """A number that is shown beside a claim's and not judged."""

    name: str
    experiment: str
    column: str
    where: dict[str, Any] = Field(default_factory=dict)
    over: str | None = None
    scale: _Finite = 1.0


class _Leaf(Beside):
    """Keys of every kind of leaf; see `rules` for the meaning of each key."""

    given: dict[str, _Range] = Field(default_factory=dict)
    restricted: bool = False
    otherwise: list[Any] = Field(default_factory=list)
    beside: list[Any] = Field(default_factory=list)


class _Number(_Leaf):
    kind: Literal["number"]
    number: _Finite
    statistic: Literal["closest", "mean", "median", "min", "max"]
    within: _Range
    loosely: _Range | None = None
    tell: list[str] = Field(default_factory=list)

    @model_validator(mode="after")
    def _lies_within(self) -> "_Number":
        (low, high), (lowest, highest) = self.within, self.loosely or self.within
        if not lowest <= low <= self.number <= high <= highest:
            raise ValueError("needs a number that lies within its bounds, and these inside the loose ones")
        return self


class _Threshold(_Leaf):
    kind: Literal["threshold"]
    at_most: _Finite | None = None
    at_least: _Finite | None = None
    loosely: _Finite | None = None
    units: Annotated[list[str], Field(max_length=2)] = Field(default_factory=lambda: list(UNITS))
    statistic: Literal["mean", "median", "min", "max"] | None = None

    @model_validator(mode="after")
    def _has_one_bound(self) -> "_Threshold":
        if (self.at_most is None) == (self.at_least is None):
            raise ValueError("needs either at_most or at_least")
        if self.units and self.statistic:
            raise ValueError("has a statistic, which is for units: []; over units it is the mean")
        return self


class _Trend(_Leaf):
    kind: Literal["trend"]
    x: str
    direction: _Direction
    share: Annotated[float, Field(gt=0.5, le=1)] = 0.8
    minimum: _Size = 0.0
    units: _Units = Field(default_factory=lambda: list(UNITS))


class _Paired(_Leaf):
    between: str
    a: Any
    b: Any
    match: list[str] = Field(default_factory=list)
    relative: bool = False
    units: _Units = Field(default_factory=lambda: list(UNITS))


class _Difference(_Paired):
    kind: Literal["difference"]
    direction: _Direction
    minimum: _Size = 0.0
    floor: str | None = None
    controls: list[Any] = Field(default_factory=list)


class _Equivalence(_Paired):
    kind: Literal["equivalence"]
    within: _OpenRange


class _Wins(_Paired):
    kind: Literal["wins"]
    direction: _Direction
    at_least: Annotated[float, Field(ge=0.5, le=1)] = 0.5


class _Order(_Leaf):
    kind: Literal["order"]
    between: str
    order: list[Any]
    direction: _Direction
    gap: _Size = 0.0
    units: _Units = Field(default_factory=lambda: list(UNITS))


_Kinds = _Number | _Threshold | _Trend | _Difference | _Equivalence | _Wins | _Order
_ANY = Annotated[_Kinds, Field(discriminator="kind")]


def checked(rule: Rule, where: str, experiment: str, number: Any, declared: Declared) -> Rule:
    """Return `rule` complete, with `experiment` and `number` where a leaf names none of its own.

    where: the claim, for messages. Raises `ClaimError` for an unknown kind, key, statistic, experiment or column, for
    what is missing or contradicts itself.
    """
    rule = _completed(rule, where, experiment, number)
    for leaf in leaves(rule):
        for reading in [leaf, *(other for *_, other in readings(leaf))]:
            validated(_ANY, reading, f"{where}, {reading.get('name', 'a leaf')!r}", ClaimError)
            _check_columns(reading["experiment"], columns(reading), where, declared)
        each = [entry["each"] for entry in leaf.get("otherwise", ()) if "each" in entry]
        _check_columns(leaf["experiment"], each, where, declared)
    for shown in rule.get("beside", ()):
        validated(Beside, shown, f"{where}, beside", ClaimError)
        _check_columns(shown["experiment"], columns({"kind": "beside", **shown}), where, declared)
    return rule


def check_name(name: Any, known: Collection[str], what: str, where: str) -> None:
    """Raise `ClaimError` for a name that is not among the known ones."""
    if name not in list(known):
        raise ClaimError(unknown(str(name), list(known), what, where))


class _Setting(Declaration):
    """A way to read the document that the gates may choose."""

    setting: str
    where: dict[str, Any] = Field(default_factory=dict)
    tag: Literal["E", "U", "N"] = "U"


class _Gates(Declaration):
    """What the pictures of the base setting must show; exempt: why style or content is not asked."""

    ask: list[Literal["style", "content", "settled"]]
    base: dict[str, Any] = Field(default_factory=dict)
    units: _Units = Field(default_factory=lambda: list(UNITS))
    exempt: str = ""

    @model_validator(mode="after")
    def _asks(self) -> "_Gates":
        if not {"style", "content"} <= set(self.ask) and not self.exempt:
            raise ValueError("must ask for style and content, or say in exempt why not")
        return self


def check_design(claim: Any, where: str, declared: Declared) -> None:
    """Raise `ClaimError` where a claim's least design, gates or settings are not what they should be."""
    gates = validated(_Gates, claim.gates, f"{where}, gates", ClaimError) if claim.gates else None
    listed = [validated(_Setting, written, f"{where}, settings", ClaimError) for written in claim.settings]
    if listed and not gates:
        raise ClaimError(f"{where}: settings are chosen by gates, and it has none.")
    for name in claim.least:
        check_name(name, (*DESIGN, "rows"), "unit", f"{where}, least: a design")
    if named := [*(gates.base if gates else ()), *(column for one in listed for column in one.where)]:
        _check_columns(claim.experiment, named, where, declared)


def _completed(rule: Any, where: str, experiment: str, number: Any) -> dict[str, Any]:
    if not isinstance(rule, Mapping):
        raise ClaimError(f"{where}: a rule has a kind or one of {', '.join(COMBINATIONS)}; {rule!r} has neither.")
    if "verdict" in rule:
        raise ClaimError(f"{where}: a verdict is computed from tables and never typed; take it out of the rule.")
    rule = {key: value for key, value in rule.items() if value is not None}
    if "beside" in rule:
        rule["beside"] = [{"experiment": experiment, **shown} for shown in rule["beside"]]
    if "kind" in rule:
        own = {"number": number} if rule["kind"] == "number" else {}
        if not isinstance((own | rule).get("number", 0), int | float):
            raise ClaimError(f"{where}: a rule of kind number needs a number, its own or the claim's.")
        for entry in rule.get("otherwise", ()):
            if not isinstance(entry, Mapping) or not {"reading", "each"} & set(entry):
                raise ClaimError(f"{where}: another reading needs a name (reading: …) or each: column, not {entry!r}.")
            if entry.get("tag", "U") not in TAGS:
                known = "E (equivalent by an invariance), U (unsure) or N (another experiment)"
                raise ClaimError(f"{where}: a reading's tag is {known}, not {entry['tag']!r}.")
        return {"experiment": experiment, **own, **rule}
    names = [name for name in COMBINATIONS if name in rule]
    allowed = {*names, "beside", *(["also"] if names == ["main"] else [])}
    if len(names) != 1 or not allowed >= set(rule) or ("main" in rule) != ("also" in rule):
        needed = f"a kind or exactly one of {', '.join(COMBINATIONS)} (main together with also)"
        raise ClaimError(f"{where}: a rule needs {needed}; it has {', '.join(map(str, rule)) or 'nothing'}.")
    for name in (*names, "also"):
        if name in rule:
            listed = [rule[name]] if name == "main" else rule[name]
            if not isinstance(listed, list) or not listed:
                raise ClaimError(f"{where}: {name} needs a list of rules, not {rule[name]!r}.")
            rule[name] = [_completed(part, where, experiment, number) for part in listed]
    return rule


def _check_columns(experiment: str, named: Sequence[str], where: str, declared: Declared) -> None:
    """Raise `ClaimError` for an experiment that there is not, and for a column that its table does not have."""
    check_name(experiment, declared, "experiment", f"{where}: the project")
    for column in named:
        check_name(column, declared[experiment], "column", f"{where}: experiment {experiment}")
