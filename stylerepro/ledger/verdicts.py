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
_RANKS = (NOT_REPRODUCED, TREND_ONLY, REPRODUCED)

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
    """Return the verdict that a claim's rule gives. tables: experiment to its table; a missing one has not run.

    Where the tables tell loss networks apart, the rule is judged on each; those of `DECIDING` count, or, where the
    tables have none of them, all that are there. Networks that disagree make `trend only` at best.
    """
    outcomes = {name: judge(rule, partial(_table, tables, name), resamples) for name in _networks(rule, tables)}
    beside = "; ".join(filter(None, (_shown(number, tables) for number in rule.get("beside", ()))))
    runs = tuple(sorted(set(_runs(rule, tables))))
    if not outcomes:
        return Verdict(judge(rule, partial(_table, tables, None), resamples), {}, beside, runs)
    counted = {name: outcome for name, outcome in outcomes.items() if name in DECIDING} or outcomes
    return Verdict(_together(counted), outcomes, beside, runs)


def judge(rule: Rule, tables: Tables, resamples: int = 2000) -> Outcome:
    """Return the outcome of a rule on the tables that `tables` gives for each of its leaves (None: not run yet)."""
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
    failing = [words for words, outcome in zip(why, outcomes, strict=True) if outcome.verdict != REPRODUCED]
    reason = "; ".join(failing) or "every part holds"
    measured, every = "; ".join(filter(None, seen)), tuple(part for outcome in outcomes for part in outcome.parts)
    return replace(outcomes[0], verdict=decided, measured=measured, reason=reason, parts=every)


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


def readings(rule: Rule, table: pd.DataFrame | None = None) -> Iterator[tuple[str, Rule]]:
    """Yield the other readings of a leaf, by name; those of `each` need the table whose values they go through."""
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
    outcome = _read(rule, tables, resamples)
    told = {name: getattr(outcome, name) for name in ("verdict", "value", "low", "high", "effect", "n")}
    return replace(outcome, parts=({"name": rule["name"], "kind": rule["kind"], **told},))


def _read(rule: Rule, tables: Tables, resamples: int) -> Outcome:
    """Return the outcome of a leaf as written and, where it does not hold, of its other readings."""
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
    rank = max(ranks) if "any" in rule else min(ranks)
    return _RANKS[rank]


def _together(outcomes: Mapping[str, Outcome]) -> Outcome:
    """Return one outcome of several networks: their common verdict, or `trend only` at best; none untested counts."""
    outcomes = {name: outcome for name, outcome in outcomes.items() if outcome.verdict != NOT_TESTED} or outcomes
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
    seen = " | ".join(f"{name}: {outcome.measured}" for name, outcome in outcomes.items() if outcome.measured)
    why = " | ".join(f"{name}: {outcome.verdict}, {outcome.reason}" for name, outcome in outcomes.items())
    return replace(first, verdict=decided, measured=seen, reason=why)


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
        looked += [leaf, *(reading for _, reading in readings(leaf, _table(tables, None, leaf)))]
    for leaf in looked:
        # A condition on what was measured is met or not by looking.
        asked = {key: value for key, value in leaf.items() if key != "given"}
        try:
            rows = select(asked, _table(tables, None, leaf))
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
