"""What a rule may look like: rules as written in the ledger, checked and completed; anything else is a `ClaimError`."""

import math
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from stylerepro.errors import ClaimError, unknown
from stylerepro.ledger.probes import refusal
from stylerepro.ledger.rules import ALWAYS, KINDS, MAYBE, STATISTICS, UNITS, Rule, columns
from stylerepro.ledger.verdicts import COMBINATIONS, leaves, readings

_BESIDE = ("name", "experiment", "where", "column", "over", "scale")

# Experiment to the columns of its table.
Declared = Mapping[str, Collection[str]]


def checked(rule: Any, where: str, experiment: str, number: Any, declared: Declared) -> Rule:
    """`rule` complete, with `experiment` and `number` where a leaf names none of its own.

    where: the claim, for messages. Raises `ClaimError` for an unknown kind, key, statistic, experiment or column, for
    what is missing or contradicts itself, and for a rule that no value could fail or none could satisfy.
    """
    rule = _completed(rule, where, experiment, number)
    for leaf in leaves(rule):
        for one in [leaf, *(reading for _, reading in readings(leaf))]:
            _check_leaf(one, where, declared)
        for entry in leaf.get("otherwise", ()):
            if "each" in entry and entry["each"] not in declared[leaf["experiment"]]:
                raise ClaimError(unknown(str(entry["each"]), list(declared[leaf["experiment"]]), "column", where))
    for shown in rule.get("beside", ()):
        _check_names(shown, {"kind": "beside", **shown}, where, declared)
    if reason := refusal(rule):
        raise ClaimError(f"{where}: {reason}. A rule must be able to hold and to fail.")
    return rule


def _completed(rule: Any, where: str, experiment: str, number: Any) -> dict[str, Any]:
    if not isinstance(rule, Mapping):
        raise ClaimError(f"{where}: a rule has a kind or one of {', '.join(COMBINATIONS)}; {rule!r} has neither.")
    if "verdict" in rule:
        raise ClaimError(f"{where}: a verdict is computed from tables and never typed; take it out of the rule.")
    rule = {key: value for key, value in rule.items() if value is not None}
    if "beside" in rule:
        rule["beside"] = [{"experiment": experiment, **shown} for shown in rule["beside"]]
    if "kind" in rule:
        return _completed_leaf(rule, where, experiment, number)
    found = [name for name in COMBINATIONS if name in rule]
    allowed = {*found, "beside", *(["also"] if found == ["main"] else [])}
    if len(found) != 1 or not allowed >= set(rule) or ("main" in rule) != ("also" in rule):
        raise ClaimError(
            f"{where}: a rule needs a kind or exactly one of {', '.join(COMBINATIONS)} (main together with also); "
            f"it has {', '.join(map(str, rule)) or 'nothing'}."
        )
    for name in (*found, "also"):
        if name in rule:
            listed = [rule[name]] if name == "main" else rule[name]
            if not isinstance(listed, list) or not listed:
                raise ClaimError(f"{where}: {name} needs a list of rules, not {rule[name]!r}.")
            rule[name] = [_completed(part, where, experiment, number) for part in listed]
    return rule


def _completed_leaf(rule: dict[str, Any], where: str, experiment: str, number: Any) -> dict[str, Any]:
    leaf = {"experiment": experiment, **rule}
    if leaf["kind"] == "number" and "number" not in leaf:
        if not isinstance(number, int | float):
            raise ClaimError(f"{where}: a rule of kind number needs a number, its own or the claim's.")
        leaf["number"] = number
    for entry in leaf.get("otherwise", ()):
        if not isinstance(entry, Mapping) or not {"reading", "each"} & set(entry):
            raise ClaimError(f"{where}: another reading needs its name (reading: …) or each: column, not {entry!r}.")
    return leaf


def _check_leaf(leaf: Rule, where: str, declared: Declared) -> None:
    kind = leaf["kind"]
    if kind not in KINDS:
        raise ClaimError(unknown(str(kind), list(KINDS), "kind of rule", where))
    known = (*ALWAYS, *MAYBE, *KINDS[kind].required, *KINDS[kind].optional)
    for key in leaf:
        if key not in known:
            raise ClaimError(unknown(str(key), list(known), f"key (of a rule of kind {kind})", where))
    for key in (*ALWAYS, *KINDS[kind].required):
        if key not in leaf:
            raise ClaimError(f"{where}: a rule of kind {kind} needs {key}.")
    _check_names(leaf, leaf, where, declared)
    if problem := next(_problems(leaf), None):
        raise ClaimError(f"{where}, {leaf['name']}: {problem}.")


def _check_names(shown: Rule, leaf: Rule, where: str, declared: Declared) -> None:
    for key in () if shown is leaf else shown:
        if key not in _BESIDE:
            raise ClaimError(unknown(str(key), list(_BESIDE), "key (of a number shown beside)", where))
    for key in ("name", "experiment", "column"):
        if key not in leaf:
            raise ClaimError(f"{where}: {leaf.get('name', 'a number shown beside')} needs {key}.")
    if leaf["experiment"] not in declared:
        raise ClaimError(unknown(str(leaf["experiment"]), list(declared), "experiment", f"{where}: the project"))
    for column in columns(leaf):
        if column not in declared[leaf["experiment"]]:
            known = list(declared[leaf["experiment"]])
            raise ClaimError(unknown(str(column), known, "column", f"{where}: experiment {leaf['experiment']}"))


def _problems(leaf: Rule) -> Iterator[str]:
    """What is wrong with the values of a leaf's keys, in words."""
    kind, units = leaf["kind"], leaf.get("units", list(UNITS))
    statistic = leaf.get("statistic", "mean")
    if "statistic" in leaf and statistic not in STATISTICS.get(kind, ()):
        yield f"the statistic is one of {', '.join(STATISTICS.get(kind, ()))}, not {statistic!r}"
    if "direction" in leaf and leaf["direction"] not in ("up", "down"):
        yield f"the direction is up or down, not {leaf['direction']!r}"
    if not isinstance(units, list) or len(units) > 2 or (not units and kind != "threshold"):
        yield f"units are one or two columns, or for a threshold none, not {units!r}"
    if kind == "threshold" and units and "statistic" in leaf:
        yield "a statistic is for units: []; over units it is the mean"
    numbers = ["at_most", "at_least", "minimum", "gap", "share", "number", "scale"]
    for key in [*numbers, "loosely"] if kind == "threshold" else numbers:
        if key in leaf and not _finite(leaf[key]):
            yield f"{key} must be a finite number, not {leaf[key]!r}"
    if min(leaf.get("minimum", 0), leaf.get("gap", 0)) < 0:
        yield "minimum and gap are sizes, so not below 0"
    if not 0.5 < leaf.get("share", 1) <= 1:
        yield "share lies above a half and not above 1"
    if kind == "threshold" and len({"at_most", "at_least"} & set(leaf)) != 1:
        yield "it needs either at_most or at_least"
    for key in ("within", "loosely") if kind in ("number", "equivalence") else ():
        if key in leaf and not _is_range(leaf[key], open_ends=kind == "equivalence"):
            yield f"{key} must be [low, high], not {leaf[key]!r}"
    if kind == "number":
        (low, high), (lowest, highest) = leaf["within"], leaf.get("loosely", leaf["within"])
        if not lowest <= low <= leaf["number"] <= high <= highest:
            yield "the number must lie within its bounds, and these inside the loose ones"


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_range(value: Any, open_ends: bool) -> bool:
    if not isinstance(value, list) or len(value) != 2:
        return False
    ends = [end for end in value if not (end is None and open_ends)]
    return all(map(_finite, ends)) and sorted(ends) == ends
