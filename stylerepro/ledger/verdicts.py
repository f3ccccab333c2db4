"""From a rule and tables to a verdict: parts put together, other readings tried, networks compared.

A rule is a leaf (`rules`) or a mapping with one of these, which may be nested:

all: every part must hold; the worst part decides.
any: the best part decides.
agree: measures of the same thing. All must hold for `reproduced`, half of them for `trend only`.
main, also: `also` lists secondary clauses and controls; where one fails, a `main` that holds is `trend only`.

Beside them, `beside` lists numbers that are shown and not judged (name, where, column).

A leaf's `otherwise` lists other readings, each a change to the leaf (with a `kind` of its own: a whole new leaf);
`each: column` tries every value of a column. Only the leaf as written can give `reproduced`; another reading that fits
gives `trend only`, and the reason names it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import pandas as pd

from stylerepro.ledger.rules import (
    NOT_REPRODUCED,
    NOT_TESTED,
    REPRODUCED,
    TREND_ONLY,
    Outcome,
    Part,
    Rule,
    Settled,
    decide,
    matches,
    number_text,
    select,
)
from stylerepro.runs.experiments import RUN_COLUMNS

# The loss networks that decide: a claim holds where it holds on each of them that is at hand.
DECIDING = ("compact", "vgg19-16x")
MECHANICS = ("tiny",)  # random weights, for tests; never the ground of a verdict
COMBINATIONS = ("all", "any", "agree", "main")

Tables = Callable[[Rule], pd.DataFrame | None]


@dataclass(frozen=True)
class Verdict:
    """The verdict on a claim. networks: loss network to its own outcome, where the tables tell them apart.

    runs: experiment, profile and folder of each run whose rows were looked at, other readings and `beside` included.
    """

    outcome: Outcome
    networks: Mapping[str, Outcome]
    beside: str = ""
    runs: tuple[tuple[str, ...], ...] = ()


def verdict(rule: Rule, tables: Mapping[str, pd.DataFrame], resamples: int = 2000) -> Verdict:
    """The verdict that a claim's rule gives. tables: experiment to its table; a missing one has not run.

    Where the tables tell loss networks apart, the rule is judged on each; those of `DECIDING` count, or, where the
    tables have none of them, all that are there. Networks that disagree make `trend only` at best.
    """
    outcomes = {name: judge(rule, partial(_table, tables, name), resamples) for name in _networks(rule, tables)}
    beside = "; ".join(filter(None, (_shown(one, tables) for one in rule.get("beside", ()))))
    runs = tuple(sorted(set(_runs(rule, tables))))
    if not outcomes:
        return Verdict(judge(rule, partial(_table, tables, None), resamples), {}, beside, runs)
    counted = {name: one for name, one in outcomes.items() if name in DECIDING} or outcomes
    return Verdict(_together(counted), outcomes, beside, runs)


def judge(rule: Rule, tables: Tables, resamples: int = 2000) -> Outcome:
    """The outcome of a rule on the tables that `tables` gives for each of its leaves (None: it has not run yet)."""
    if "kind" in rule:
        return _leaf(rule, tables, resamples)
    outcomes = [judge(part, tables, resamples) for part in parts(rule)]
    decided = _combined(rule, [outcome.verdict for outcome in outcomes])
    seen, why = [], []
    for part, outcome in zip(parts(rule), outcomes, strict=True):
        # A part with parts of its own has named them already.
        name = f"{part['name']}: " if "kind" in part else ""
        seen.append(name + outcome.measured if outcome.measured else "")
        why.append(f"{name}{outcome.verdict}, {outcome.reason}" if name else outcome.reason)
    failing = [one for one, outcome in zip(why, outcomes, strict=True) if outcome.verdict != REPRODUCED]
    reason = "; ".join(failing) or "every part holds"
    measured, found = "; ".join(filter(None, seen)), tuple(part for outcome in outcomes for part in outcome.parts)
    return replace(outcomes[0], verdict=decided, measured=measured, reason=reason, parts=found)


def parts(rule: Rule) -> list[Rule]:
    """The parts that a rule puts together, in order; those of `also` last. A leaf has none."""
    found: list[Rule] = []
    for name in (*COMBINATIONS, "also"):
        part = rule.get(name, ())
        found += [part] if isinstance(part, Mapping) else part
    return found


def leaves(rule: Rule) -> Iterator[Rule]:
    """All leaves of a rule, in order, without their other readings."""
    if "kind" in rule:
        yield rule
    for part in parts(rule):
        yield from leaves(part)


def readings(rule: Rule, table: pd.DataFrame | None = None) -> Iterator[tuple[str, Rule]]:
    """The other readings of a leaf, by name; those of `each` need the table whose values they go through."""
    plain = {key: value for key, value in rule.items() if key not in ("otherwise", "beside")}
    for entry in rule.get("otherwise", ()):
        change = {key: value for key, value in entry.items() if key not in ("reading", "each")}
        base = plain if "kind" not in change else {"name": entry["reading"], "experiment": plain["experiment"]}
        where = {**base.get("where", {}), **change.get("where", {})}
        other = {key: value for key, value in {**base, **change, "where": where}.items() if value is not None}
        if "each" not in entry:
            yield entry["reading"], other
        elif table is not None and (each := entry["each"]) in table:
            own = other["where"].pop(each, None)
            for value in sorted(table.loc[~matches(table[each], own), each].dropna().unique()):
                name = ", ".join(filter(None, (entry.get("reading"), f"{each} {value}")))
                yield name, {**other, "where": {**other["where"], each: value}}


def _leaf(rule: Rule, tables: Tables, resamples: int) -> Outcome:
    found = _read(rule, tables, resamples)
    numbers = (found.value, found.low, found.high, found.effect, found.n)
    return replace(found, parts=(Part(rule["name"], rule["kind"], found.verdict, *numbers),))


def _read(rule: Rule, tables: Tables, resamples: int) -> Outcome:
    """A leaf as written and, where it does not hold, its other readings."""
    outcome = decide(rule, tables(rule), resamples)
    if outcome.verdict == REPRODUCED:
        return outcome
    fitting, tried = [], []
    for name, reading in readings(rule, tables(rule)):
        other = decide(reading, tables(reading), resamples)
        if other.verdict == REPRODUCED:
            fitting.append(f"{name} ({other.measured})")
        elif other.verdict != NOT_TESTED:
            tried.append(f"{name}: {other.measured}, {other.reason}")
    if not fitting:
        # What could not be tested as written stays so, but a reader wants to see what there is.
        return replace(outcome, measured="; ".join(tried)) if outcome.verdict == NOT_TESTED and tried else outcome
    reason = f"as written {outcome.verdict} ({outcome.reason}); what fits is another reading: {'; '.join(fitting)}"
    return replace(outcome, verdict=TREND_ONLY, reason=reason)


def _combined(rule: Rule, found: Sequence[str]) -> str:
    ranks = [(NOT_REPRODUCED, TREND_ONLY, REPRODUCED).index(one) for one in found if one != NOT_TESTED]
    if "main" in rule:
        # What is secondary can only take from a main clause that holds.
        whole = found[0] != REPRODUCED or set(found) == {REPRODUCED}
        return found[0] if whole else TREND_ONLY
    if "any" in rule and REPRODUCED in found:
        return REPRODUCED
    if "all" in rule and NOT_REPRODUCED in found:
        return NOT_REPRODUCED
    if NOT_TESTED in found:
        return NOT_TESTED
    if "agree" in rule and 0 in ranks:
        return TREND_ONLY if 2 * ranks.count(0) <= len(ranks) else NOT_REPRODUCED
    rank = max(ranks) if "any" in rule else min(ranks)
    return (NOT_REPRODUCED, TREND_ONLY, REPRODUCED)[rank]


def _together(outcomes: Mapping[str, Outcome]) -> Outcome:
    """One outcome of several networks: their common verdict, or `trend only` at best; untested ones do not count."""
    outcomes = {name: one for name, one in outcomes.items() if one.verdict != NOT_TESTED} or outcomes
    verdicts = {outcome.verdict for outcome in outcomes.values()}
    first, *others = outcomes.values()
    if not others:
        return replace(first, reason=f"{first.reason} (on {next(iter(outcomes))} alone)")
    if len(verdicts) == 1:
        decided = first.verdict
    elif REPRODUCED in verdicts:
        decided = TREND_ONLY
    else:
        decided = NOT_REPRODUCED
    seen = " | ".join(f"{name}: {one.measured}" for name, one in outcomes.items() if one.measured)
    why = " | ".join(f"{name}: {one.verdict}, {one.reason}" for name, one in outcomes.items())
    return replace(first, verdict=decided, measured=seen, reason=why)


def _networks(rule: Rule, tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """The loss networks to judge on, those that decide first; none where no table tells them apart."""
    found: set[str] = set()
    for leaf in leaves(rule):
        table = tables.get(leaf["experiment"])
        if table is not None and "network" in table and "network" not in leaf.get("where", {}):
            found |= set(table["network"].dropna())
    return [one for one in DECIDING if one in found] + sorted(found - {*DECIDING, *MECHANICS})


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
        looked += [leaf, *(reading for _, reading in readings(leaf, _table(tables, None, leaf)))]
    for one in looked:
        # A condition on what was measured is met or not by looking.
        asked = {key: value for key, value in one.items() if key != "given"}
        try:
            rows = select(asked, _table(tables, None, one))
        except Settled:
            continue
        if set(RUN_COLUMNS) <= set(rows):
            yield from rows[list(RUN_COLUMNS)].drop_duplicates().itertuples(index=False, name=None)


def _shown(rule: Rule, tables: Mapping[str, pd.DataFrame]) -> str:
    try:
        values = select({"kind": "beside", **rule}, tables.get(rule["experiment"]))["_value"]
    except Settled:
        return ""
    return f"{rule['name']}: {number_text(float(values.mean()))}"
