"""Rules as written in the ledger: completed here, or refused where they have unknown keys or cannot fail.

A model of each kind says which keys a leaf has. Then every leaf is tried on tables made up to satisfy it and to fail
it, before any measured table exists: a rule that no value could fail says nothing, and one that no value could satisfy
is a typing error.
"""

import json
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from itertools import product
from typing import Annotated, Any, Literal

import pandas as pd
from pydantic import AfterValidator, Field, model_validator

from stylerepro.errors import ClaimError, unknown
from stylerepro.ledger.rules import DESIGN, NOT_REPRODUCED, REPRODUCED, UNITS, Rule, columns, decide
from stylerepro.ledger.verdicts import COMBINATIONS, TAGS, judge, leaves, readings
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


_ANY = Annotated[
    _Number | _Threshold | _Trend | _Difference | _Equivalence | _Wins | _Order, Field(discriminator="kind")
]


def checked(rule: Rule, where: str, experiment: str, number: Any, declared: Declared) -> Rule:
    """Return `rule` complete, with `experiment` and `number` where a leaf names none of its own.

    where: the claim, for messages. Raises `ClaimError` for an unknown kind, key, statistic, experiment or column, for
    what is missing or contradicts itself, and for a rule that no value could fail or none could satisfy.
    """
    rule = _completed(rule, where, experiment, number)
    for leaf in leaves(rule):
        for reading in _all_readings(leaf):
            validated(_ANY, reading, f"{where}, {reading.get('name', 'a leaf')!r}", ClaimError)
            _check_names(reading["experiment"], columns(reading), where, declared)
        each = [entry["each"] for entry in leaf.get("otherwise", ()) if "each" in entry]
        _check_names(leaf["experiment"], each, where, declared)
    for shown in rule.get("beside", ()):
        validated(Beside, shown, f"{where}, beside", ClaimError)
        _check_names(shown["experiment"], columns({"kind": "beside", **shown}), where, declared)
    if reason := refusal(rule):
        raise ClaimError(f"{where}: {reason}. A rule must be able to hold and to fail.")
    return rule


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
        if name not in (*DESIGN, "rows"):
            raise ClaimError(unknown(name, [*DESIGN, "rows"], "unit", f"{where}, least: a design"))
    if named := [*(gates.base if gates else ()), *(column for one in listed for column in one.where)]:
        _check_names(claim.experiment, named, where, declared)


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
                raise ClaimError(
                    f"{where}: a reading's tag is E (equivalent by an invariance), U (unsure) or N (another "
                    f"experiment), not {entry['tag']!r}."
                )
        return {"experiment": experiment, **own, **rule}
    names = [name for name in COMBINATIONS if name in rule]
    allowed = {*names, "beside", *(["also"] if names == ["main"] else [])}
    if len(names) != 1 or not allowed >= set(rule) or ("main" in rule) != ("also" in rule):
        raise ClaimError(
            f"{where}: a rule needs a kind or exactly one of {', '.join(COMBINATIONS)} (main together with also); "
            f"it has {', '.join(map(str, rule)) or 'nothing'}."
        )
    for name in (*names, "also"):
        if name in rule:
            listed = [rule[name]] if name == "main" else rule[name]
            if not isinstance(listed, list) or not listed:
                raise ClaimError(f"{where}: {name} needs a list of rules, not {rule[name]!r}.")
            rule[name] = [_completed(part, where, experiment, number) for part in listed]
    return rule


def _all_readings(leaf: Rule) -> list[Rule]:
    """Return a leaf as written and its other readings."""
    return [leaf, *(reading for *_, reading in readings(leaf))]


def _check_names(experiment: str, named: Sequence[str], where: str, declared: Declared) -> None:
    """Raise `ClaimError` for an experiment that there is not, and for a column that its table does not have."""
    if experiment not in declared:
        raise ClaimError(unknown(str(experiment), list(declared), "experiment", f"{where}: the project"))
    known = list(declared[experiment])
    for column in named:
        if column not in known:
            raise ClaimError(unknown(str(column), known, "column", f"{where}: experiment {experiment}"))


def refusal(rule: Rule) -> str | None:
    """Return why `rule` cannot be a rule: no table could fail it, or none could satisfy it; None where it can."""
    for leaf in leaves(rule):
        for reading in _all_readings(leaf):
            if reason := _leaf_refusal(_shape(reading)):
                return f"{reading['name']}: {reason}"
    # Parts that look at different numbers hold and fail on their own; the others could get in each other's way.
    seen = [_looks_at(leaf) for leaf in leaves(rule)]
    if len(set(seen)) < len(seen):
        if not _reachable(rule, REPRODUCED, good=True):
            return "its parts contradict each other: no table could satisfy them together"
        if not _reachable(rule, NOT_REPRODUCED, good=False):
            return "its parts leave no way out: no value could fail them together"
    return None


def made_up(leaf: Rule, good: bool) -> list[pd.DataFrame]:
    """Return tables that should satisfy a leaf, just so and by far, or fail it: no effect, the reverse, far off."""
    return [_table(leaf, rows) for rows in _rows(leaf, good)]


def _shape(leaf: Rule) -> str:
    """Return what decides whether a leaf can hold and fail, as JSON, without names that many leaves differ in alone."""
    aside = ("name", "experiment", "over", "floor", "match", "tell", "where", "given", "otherwise", "beside")
    kept = {key: value for key, value in leaf.items() if key not in aside}
    moving = [leaf["column"], leaf.get("x"), leaf.get("between"), *leaf.get("units", UNITS)]
    for key in ("where", "given"):
        kept[key] = {column: wanted for column, wanted in leaf.get(key, {}).items() if column in moving}
    if kept["where"] or kept["given"] or len(set(moving) - {None}) < len([name for name in moving if name]):
        return json.dumps(kept)
    kept["column"], kept["units"] = "measured", ["first", "second"][: len(leaf.get("units", UNITS))]
    kept |= {key: "level" for key in ("x", "between") if key in leaf}
    conditions = [leaf.get("a"), leaf.get("b"), *leaf.get("controls", ())]
    names = [conditions.index(condition) for condition in conditions]
    kept |= {key: name for key, name in zip(("a", "b"), names, strict=False) if key in leaf}
    return json.dumps(kept | ({"controls": names[2:]} if "controls" in leaf else {}), sort_keys=True)


@lru_cache(maxsize=1000)
def _leaf_refusal(shape: str) -> str | None:
    leaf = json.loads(shape)
    if REPRODUCED not in [decide(leaf, table).verdict for table in made_up(leaf, good=True)]:
        return "no value could satisfy this rule"
    failed = [decide(leaf, table).verdict for table in made_up(leaf, good=False)]
    if REPRODUCED in failed or NOT_REPRODUCED not in failed:
        return "no value could fail this rule, or not even one far from the claim"
    return None


def _reachable(rule: Rule, verdict: str, good: bool) -> bool:
    """Return whether some made-up tables give `verdict`, the same table for leaves that look at the same numbers."""

    def lookup(leaf: Rule, table: pd.DataFrame, other: Rule) -> pd.DataFrame:
        return table if _looks_at(other) == _looks_at(leaf) else made_up(other, good)[0]

    lookups = (partial(lookup, leaf, table) for leaf in leaves(rule) for table in made_up(leaf, good))
    return any(judge(rule, tables).verdict == verdict for tables in lookups)


def _looks_at(leaf: Rule) -> str:
    keys = ("kind", "experiment", "column", "over", "scale", "where", "given", "x", "between", "units")
    conditions = sorted(map(repr, [leaf.get("a"), leaf.get("b"), *leaf.get("controls", ()), *leaf.get("order", ())]))
    return repr([leaf.get(key) for key in keys] + conditions)


def _table(leaf: Rule, rows: Sequence[tuple[Any, float]]) -> pd.DataFrame:
    """Return a table of the rows (level of x or condition, value) in each of three times three units."""
    where = {
        column: next((value for value in wanted if value is not None), None) if isinstance(wanted, list) else wanted
        for column, wanted in leaf.get("where", {}).items()
    }
    given = {column: (low + high) / 2 for column, (low, high) in leaf.get("given", {}).items()}
    fixed = {**dict.fromkeys((*leaf.get("match", ()), *leaf.get("tell", ())), 1), **where, **given}
    fixed |= {leaf[key]: value for key, value in (("over", 1.0), ("floor", 0.0)) if key in leaf}
    units = list(leaf.get("units", UNITS))
    level = leaf.get("x", leaf.get("between"))
    table = [
        {**fixed, **dict(zip(units, unit, strict=True)), level: step, leaf["column"]: value / leaf.get("scale", 1)}
        for unit in product("abc", repeat=len(units))
        for step, value in rows
    ]
    return pd.DataFrame(table)


def _rows(leaf: Rule, good: bool) -> Iterator[list[tuple[Any, float]]]:
    kind, sign = leaf["kind"], -1 if leaf.get("direction") == "down" else 1
    directions = [sign] if good else [-sign, 0]
    if kind == "number":
        number = leaf["number"]
        for value in [number] if good else [10 * number or 1.0, -number or -1.0, 0.0 if number else 10.0]:
            yield [(None, value)]
    elif kind == "threshold":
        sign = -1 if "at_most" in leaf else 1
        bound = leaf["at_most"] if sign < 0 else leaf["at_least"]
        bound = bound if good else min(sign * bound, sign * leaf.get("loosely", bound)) * sign
        bound = bound if math.isfinite(bound) else 0.0
        for distance in (1e-6, 10.0):
            yield [(None, bound + (sign if good else -sign) * distance * (1 + abs(bound)))]
    elif kind == "trend":
        levels = leaf.get("where", {}).get(leaf["x"])
        steps = levels if isinstance(levels, list) else [1, 2, 3, 4]
        slope = 1 + 10 * abs(leaf.get("minimum", 0.0))
        for direction in directions:
            yield [(step, 1 + direction * slope * place) for place, step in enumerate(steps)]
    elif kind in ("difference", "wins"):
        others = [leaf["b"], *leaf.get("controls", ())]
        far = 1e6 if leaf.get("relative") else 1 + 10 * abs(leaf.get("minimum", 0.0))
        for direction in directions:
            value = far**direction if leaf.get("relative") else 1 + direction * far
            yield [(leaf["a"], value), *((other, 1.0) for other in others)]
    elif kind == "equivalence":
        low, high = leaf["within"]
        ends = [low if low is not None else (high or 0.0) - 0.5, high if high is not None else (low or 0.0) + 0.5]
        outside = [end + step for end, step in ((low, -1.0), (high, 1.0)) if end is not None]
        # A ratio cannot fall below nothing.
        least = -1 + 1e-9 if leaf.get("relative") else -math.inf
        for change in [sum(ends) / 2] if good else [max(change, least) for change in outside]:
            yield [(leaf["a"], 1.0 + change), (leaf["b"], 1.0)]
    elif kind == "order":
        for direction in directions:
            yield [(condition, 10.0 ** (direction * place)) for place, condition in enumerate(leaf["order"])]
