"""From a rule and tables to a verdict: parts put together, gates, readings, the least design, networks compared.

A rule is a leaf (`rules`) or a mapping with one of these, which may be nested:

all: every part must hold; the worst part decides.
any: the best part decides.
agree: measures of the same thing. All must hold for `reproduced`, half of them for `trend only`.
main, also: `also` lists secondary clauses and controls; where one fails, a `main` that holds is `trend only`.

Beside them, `beside` lists numbers that are shown and not judged (name, where, column).

A leaf's `otherwise` lists other readings, each a change to the leaf (with a `kind` of its own: a whole new leaf);
`each: column` tries every value of a column. Leaves that have a reading of the same name change together. A reading has
a tag: E, equivalent by an invariance written down before the run; U, unsure; N, another experiment, which is shown and
counts for nothing. All are judged, whatever the rule as written gave: those of E and U say how *robust* the verdict is,
and one of E that turns it makes it *fragile*. Only the rule as written can give `reproduced`; where a reading of E or U
is what fits, the verdict is `trend only`, and the reason names it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

import pandas as pd

from stylerepro.ledger.gates import Setting, settings
from stylerepro.ledger.rules import (
    NOT_REPRODUCED,
    NOT_TESTED,
    REPRODUCED,
    TREND_ONLY,
    Outcome,
    Rule,
    Settled,
    bounds,
    decide,
    matches,
    number_text,
    select,
)
from stylerepro.runs.experiments import RUN_COLUMNS

# The loss networks that decide: a claim holds where it holds on each of them that is at hand. Of a family one network
# was learned from the other.
FAMILIES = (("vgg16-caffe", "compact-vgg16"), ("compact",))
DECIDING = tuple(name for family in FAMILIES for name in family)
TAGS = ("E", "U", "N")
MECHANICS = ("tiny",)  # random weights, for tests; never the ground of a verdict
COMBINATIONS = ("all", "any", "agree", "main")
_TOLD = ("verdict", "value", "low", "high", "effect", "n", "design", "covers", "detectable")  # of each part
_RANKS = (NOT_REPRODUCED, TREND_ONLY, REPRODUCED)

Tables = Callable[[Rule], pd.DataFrame | None]


class Judged(Protocol):
    """What of a claim decides: its rule, the least design, its gates, and the settings that they choose from."""

    experiment: str
    rule: Rule
    least: dict[str, int]
    gates: dict[str, Any]
    settings: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class Reading:
    """What a claim comes to in another reading, or in another setting that its gates pass."""

    name: str
    tag: str
    outcome: Outcome


@dataclass(frozen=True)
class _Apart:
    """One network's: the outcome that counts, the bare one before the least design, and what led to both.

    settings: how the document may be read, with what the gates said of each; setting: the name of the one judged.
    """

    outcome: Outcome
    bare: str
    setting: str
    settings: tuple[Setting, ...]
    readings: tuple[Reading, ...]


@dataclass(frozen=True)
class Verdict(_Apart):
    """The verdict on a claim, all but the outcome that of the network that decides.

    networks: loss network to its own outcome, where the tables tell them apart. runs: experiment, profile and folder of
    each run whose rows were looked at, other readings and `beside` included. same, others: how many readings of E and U
    come to the same as the rule as written, and how many could be judged. fragile: whether one of E does not.
    """

    networks: Mapping[str, Outcome]
    beside: str
    runs: tuple[tuple[str, ...], ...]
    same: int
    others: int
    fragile: bool


def verdict(claim: Judged, tables: Mapping[str, pd.DataFrame]) -> Verdict:
    """Return the verdict on a claim. tables: experiment to its table; a missing one has not run.

    Where the tables tell loss networks apart, the rule is judged on each. Those that have the claim's least design
    decide; one with fewer pictures confirms or contradicts. Networks that disagree make `trend only` at best, and two
    of which one was learned from the other are one witness.
    """
    names: list[str | None] = [*_networks(claim.rule, tables)] or [None]
    apart = {name or "": _on_network(claim, partial(_table, tables, name)) for name in names}
    decides, outcome = _together(apart)
    first = apart[decides]
    told = [reading for reading in first.readings if reading.tag != "N" and reading.outcome.verdict != NOT_TESTED]
    same = [reading for reading in told if reading.outcome.verdict == first.bare]
    return Verdict(
        **{**vars(first), "outcome": outcome},
        networks={name: one.outcome for name, one in apart.items() if name},
        beside="; ".join(filter(None, (_shown(number, tables) for number in claim.rule.get("beside", ())))),
        runs=tuple(sorted(set(_runs(claim.rule, tables)))),
        same=len(same),
        others=len(told),
        fragile=any(reading.tag == "E" for reading in told if reading not in same),
    )


def _on_network(claim: Judged, tables: Tables) -> _Apart:
    leaf = next(leaves(claim.rule))
    listed = settings(claim.settings, claim.gates, tables({**leaf, "experiment": claim.experiment}))
    # Where none passes nothing is judged, and what is shown is the setting that came nearest, of equals the first.
    setting, *further = [one for one in listed if one.passed] or [max(listed, key=lambda one: one.open)]
    rule = _with(claim.rule, claim.experiment, setting.where)
    literal = judge(rule, tables)
    named = {name: tag for leaf in leaves(claim.rule) for name, tag, _ in readings(leaf, tables(leaf))}
    others = [Reading(name, tag, judge(_read(rule, name, tables), tables)) for name, tag in named.items()]
    others += [
        Reading(one.name, one.tag, judge(_with(claim.rule, claim.experiment, one.where), tables)) for one in further
    ]
    outcome = _rescued(literal, others, claim.least)
    if lacking := _lacking(claim.least, literal):
        bare = f"; there it is: {outcome.verdict}, {outcome.reason}" if outcome.verdict != NOT_TESTED else ""
        outcome = replace(outcome, verdict=NOT_TESTED, reason=f"too few: {lacking}{bare}")
    if not setting.passed:
        told = [other for other in listed if not other.empty] or listed[:1]
        said = "; ".join(f"{other.name}: {other.said}" for other in told)
        said += f"; readings not run: {len(listed) - len(told)}" if told != listed else ""
        outcome = replace(outcome, verdict=NOT_TESTED, reason=f"no style transfer to judge ({said})")
    elif setting is not listed[0]:
        said = f"in the reading {setting.name}, since {listed[0].name}: {listed[0].said}"
        outcome = replace(outcome, reason=f"{outcome.reason} ({said})")
    bare = literal.verdict if setting.passed else NOT_TESTED
    return _Apart(outcome, bare, setting.name, tuple(listed), tuple(others))


def _rescued(literal: Outcome, others: Sequence[Reading], least: Mapping[str, int]) -> Outcome:
    """Return `trend only` where the rule as written does not hold, but another reading of E or U does, on enough."""
    if literal.verdict == REPRODUCED:
        return literal
    fitting = [other for other in others if other.tag != "N" and other.outcome.verdict == REPRODUCED]
    fitting = [other for other in fitting if not _lacking(least, other.outcome)]
    if not fitting:
        # What could not be tested as written stays so, but a reader wants to see what there is.
        tried = [f"{other.name}: {other.outcome.measured}" for other in others if other.outcome.verdict != NOT_TESTED]
        untested = literal.verdict == NOT_TESTED and tried
        return replace(literal, measured="; ".join(tried)) if untested else literal
    named = "; ".join(f"{other.name} ({other.outcome.measured})" for other in fitting)
    reason = f"as written {literal.verdict} ({literal.reason}); what fits is another reading: {named}"
    return replace(literal, verdict=TREND_ONLY, reason=reason)


def _lacking(least: Mapping[str, int], outcome: Outcome) -> str:
    """Return which part of the rule rests on less than the least design, and on what; "" where none does."""
    for part in outcome.parts:
        design = part["design"]
        # A table that does not tell seeds apart has one of them.
        short = {column: count for column, count in least.items() if design.get(column, 1) < count}
        if short and part["verdict"] != NOT_TESTED:
            there = " × ".join(f"{design.get(name, 1)} of {count} {name.rstrip('s')}s" for name, count in short.items())
            return f"{part['name']} rests on {there}"
    return ""


def judge(rule: Rule, tables: Tables) -> Outcome:
    """Return the outcome of a rule on the tables that `tables` gives for each of its leaves (None: not run yet)."""
    if "kind" in rule:
        outcome = decide(rule, tables(rule))
        told = {name: getattr(outcome, name) for name in _TOLD}
        named = {"name": rule["name"], "kind": rule["kind"], "bounds": bounds(rule)}
        return replace(outcome, parts=(named | told,))
    outcomes = [judge(part, tables) for part in parts(rule)]
    decided = _combined(rule, [outcome.verdict for outcome in outcomes])
    seen, failing = [], []
    for part, outcome in zip(parts(rule), outcomes, strict=True):
        # A part with parts of its own has named them already.
        name = f"{part['name']}: " if "kind" in part else ""
        if outcome.measured:
            seen.append(name + outcome.measured)
        if outcome.verdict != REPRODUCED:
            failing.append(f"{name}{outcome.verdict}, {outcome.reason}" if name else outcome.reason)
    reason, every = "; ".join(failing) or "every part holds", [part for one in outcomes for part in one.parts]
    return replace(outcomes[0], verdict=decided, measured="; ".join(seen), reason=reason, parts=tuple(every))


def parts(rule: Rule) -> list[Rule]:
    """Return the parts that a rule puts together, in order; those of `also` last. A leaf has none."""
    listed = [rule.get(name, ()) for name in (*COMBINATIONS, "also")]
    return [part for entry in listed for part in ([entry] if isinstance(entry, Mapping) else entry)]


def leaves(rule: Rule) -> Iterator[Rule]:
    """Yield all leaves of a rule, in order, without their other readings."""
    if "kind" in rule:
        yield rule
    for part in parts(rule):
        yield from leaves(part)


def readings(rule: Rule, table: pd.DataFrame | None = None) -> Iterator[tuple[str, str, Rule]]:
    """Yield name, tag and leaf of a leaf's other readings; `each` needs the table whose values it goes through."""
    plain = {key: value for key, value in rule.items() if key not in ("otherwise", "beside")}
    for entry in rule.get("otherwise", ()):
        change = {key: value for key, value in entry.items() if key not in ("reading", "each", "tag")}
        base = plain if "kind" not in change else {"name": entry["reading"], "experiment": plain["experiment"]}
        where = {**base.get("where", {}), **change.get("where", {})}
        other = {key: value for key, value in {**base, **change, "where": where}.items() if value is not None}
        tag = entry.get("tag", "U")
        if "each" not in entry:
            yield entry["reading"], tag, other
        elif table is not None and (each := entry["each"]) in table:
            own = other["where"].pop(each, None)
            for value in sorted(table.loc[~matches(table[each], own), each].dropna().unique()):
                name = ", ".join(filter(None, (entry.get("reading"), f"{each} {value}")))
                yield name, tag, {**other, "where": {**other["where"], each: value}}


def _with(rule: Rule, experiment: str, where: Mapping[str, Any]) -> Rule:
    """Return a rule whose leaves of this experiment look at the rows of a setting, wherever they look themselves."""

    def moved(leaf: Rule) -> Rule:
        return {**leaf, "where": {**leaf.get("where", {}), **where}} if leaf["experiment"] == experiment else leaf

    return _changed(rule, moved)


def _read(rule: Rule, name: str, tables: Tables) -> Rule:
    """Return the rule in another reading: of each leaf that has it the reading, of the others what is written."""
    return _changed(
        rule, lambda leaf: next((one for given, _, one in readings(leaf, tables(leaf)) if given == name), leaf)
    )


def _changed(rule: Rule, change: Callable[[Rule], Rule]) -> Rule:
    """Return a rule with each of its leaves changed."""
    if "kind" in rule:
        return change(rule)
    combined = [name for name in (*COMBINATIONS, "also") if name in rule]
    return {**rule, **{name: [_changed(part, change) for part in parts({name: rule[name]})] for name in combined}}


def _combined(rule: Rule, verdicts: Sequence[str]) -> str:
    ranks = [_RANKS.index(verdict) for verdict in verdicts if verdict != NOT_TESTED]
    if "main" in rule:
        # What is secondary can only take from a main clause that holds.
        whole = verdicts[0] != REPRODUCED or set(verdicts) == {REPRODUCED}
        return verdicts[0] if whole else TREND_ONLY
    if "any" in rule and REPRODUCED in verdicts:
        return REPRODUCED
    if "all" in rule and NOT_REPRODUCED in verdicts:
        return NOT_REPRODUCED
    if NOT_TESTED in verdicts:
        return NOT_TESTED
    if "agree" in rule and 0 in ranks:
        return TREND_ONLY if 2 * ranks.count(0) <= len(ranks) else NOT_REPRODUCED
    return _RANKS[max(ranks) if "any" in rule else min(ranks)]


def _together(apart: Mapping[str, _Apart]) -> tuple[str, Outcome]:
    """Return which network decides, and one outcome of all: their common verdict, or `trend only` at best."""
    counted = {name: one for name, one in apart.items() if name in DECIDING} or apart
    deciding = {name: one.outcome for name, one in counted.items() if one.outcome.verdict != NOT_TESTED}
    # With fewer pictures than the least design a network decides nothing, but what it shows is not passed over.
    beside = {name: one for name, one in counted.items() if name not in deciding and one.bare != NOT_TESTED}
    if not deciding:
        name = next(iter(beside), next(iter(counted)))
        return name, counted[name].outcome
    (name, first), *others = deciding.items()
    if not others and not beside:
        return name, replace(first, reason=f"{first.reason} (on {name} alone)" if name else first.reason)
    verdicts = {*(outcome.verdict for outcome in deciding.values()), *(one.bare for one in beside.values())}
    decided = first.verdict if len(verdicts) == 1 else TREND_ONLY if REPRODUCED in verdicts else NOT_REPRODUCED
    told = {**deciding, **{other: one.outcome for other, one in beside.items()}}
    measured = " | ".join(f"{other}: {outcome.measured}" for other, outcome in told.items() if outcome.measured)
    why = " | ".join(f"{other}: {outcome.verdict}, {outcome.reason}" for other, outcome in told.items())
    if any(set(told) <= set(family) for family in FAMILIES):
        why += " (one witness: one of these networks was learned from the other)"
    return name, replace(first, verdict=decided, measured=measured, reason=why)


def _networks(rule: Rule, tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """Return the loss networks to judge on, those that decide first; none where no table tells them apart."""
    present: set[str] = set()
    for leaf in leaves(rule):
        table = tables.get(leaf["experiment"])
        if table is not None and "network" in table and "network" not in leaf.get("where", {}):
            present |= set(table["network"].dropna())
    return [name for name in DECIDING if name in present] + sorted(present - {*DECIDING, *MECHANICS})


def _table(tables: Mapping[str, pd.DataFrame], network: str | None, leaf: Rule) -> pd.DataFrame | None:
    table = tables.get(leaf["experiment"])
    if table is None or "network" not in table or "network" in leaf.get("where", {}):
        return table
    if network is None:
        return table[~table["network"].isin(MECHANICS)]
    # Timings and counts that belong to no loss network stand for all of them.
    return table[matches(table["network"], [network, None])]


def _runs(rule: Rule, tables: Mapping[str, pd.DataFrame]) -> Iterator[tuple[str, ...]]:
    looked: list[Rule] = [{"kind": "beside", **shown} for shown in rule.get("beside", ())]
    for leaf in leaves(rule):
        looked += [leaf, *(reading for *_, reading in readings(leaf, _table(tables, None, leaf)))]
    for leaf in looked:
        with suppress(Settled):
            # A condition on what was measured is met or not by looking.
            rows = select({**leaf, "given": {}}, _table(tables, None, leaf))
            if set(RUN_COLUMNS) <= set(rows):
                yield from rows[list(RUN_COLUMNS)].drop_duplicates().itertuples(index=False, name=None)


def _shown(rule: Rule, tables: Mapping[str, pd.DataFrame]) -> str:
    with suppress(Settled):
        values = select({"kind": "beside", **rule}, tables.get(rule["experiment"]))["_value"]
        return f"{rule['name']}: {number_text(float(values.mean()))}"
    return ""
