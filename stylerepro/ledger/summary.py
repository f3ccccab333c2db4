"""The standing of the claims: judged from the runs there are, own values beside the reference's, summed up in words.

`judged` is what the ledger's page and the README rest on; `compare` is what the command shows.
"""

import json
import math
import re
import textwrap
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from stylerepro.errors import ClaimError
from stylerepro.files import project_root, reference_root, runs_root
from stylerepro.ledger.check import check_name
from stylerepro.ledger.claims import Claim, Finding, Ledger, certificate, certificates, has_history, late
from stylerepro.ledger.rules import NOT_TESTED, REPRODUCED, TREND_ONLY, VERDICTS, short_text
from stylerepro.ledger.verdicts import leaves, verdict
from stylerepro.runs.experiments import CROSSCHECK, OWN, PROFILES, REFERENCE, RUN_COLUMNS
from stylerepro.runs.fingerprint import rule_hash
from stylerepro.runs.record import current_runs, finished_runs

# Where a reference run could not test a claim (a time on a GPU), a run on the documents' own pictures may.
FALLBACK = "paper"
SORTS_IN_WORDS = {"arithmetic": "counts and calculations", "cost": "times and memory", "picture": "pictures"}
_REASON = 120  # characters; the whole reason is in the table
_OPENING, _CLOSING = "<!-- standing: ", "<!-- /standing -->"


def evaluate(ledger: Ledger, tables: Mapping[str, pd.DataFrame], profile: str = "") -> pd.DataFrame:
    """Return a table with a row for each claim. tables: experiment to the tidy table of its runs, all of a profile.

    measured: in words and units. value, low, high: of the claim's first measure, with its interval, or the range seen
    for a number. measure, kind: that measure's name and kind of rule. effect, n: see `ledger.rules.Outcome`.
    networks: loss network to its own verdict. beside: numbers that do not count for the verdict. runs: experiment,
    profile and folder's name of each run behind it, a dict each. parts: what each part of the rule came to on the
    first network that counts, a dict each. design: over how much the first ranges, in words. settings, readings: with
    what the gates said, and with what each comes to, a dict each. robust: how many readings of E and U come to the same
    as the rule as written, of how many; fragile: whether one of E does not.
    """
    absent = _absent({leaf["experiment"] for claim in ledger for leaf in leaves(claim.rule)} - set(tables), profile)
    return pd.DataFrame([_row(claim, tables, absent) for claim in ledger]).astype({"n": "Int64"})


def tables_from_results(profile: str = REFERENCE, root: Path | None = None) -> dict[str, pd.DataFrame]:
    """Return experiment to its table over a profile's runs; those of `reference` have the crosscheck's beside them."""
    from stylerepro.runs.results import tables_of

    tables = dict(tables_of(root, profile))
    if profile == REFERENCE:
        for experiment, table in tables_of(root, CROSSCHECK).items():
            tables[experiment] = pd.concat([tables.get(experiment), table], ignore_index=True)
    return tables


def judged(
    ledger: Ledger, profile: str = REFERENCE, root: Path | None = None, from_history: bool = False
) -> pd.DataFrame:
    """Return `evaluate` on the runs of a profile, with the column `profile` and the whole record behind each run.

    root: the folder of the runs; None: the committed ones. Under `reference`, what its runs and those of `crosscheck`
    leave untested is judged on runs of `paper`, where there are any. runs: a dict each, with experiment, profile, run
    (its folder's name), folder (from the project's root), networks, commit (None outside git), dirty, start, seconds.
    rule_changed: those of them, in words, that were begun when the claim's rule was another one, or none; "" for none.
    certificate: of committed runs, see `claims`; where the rule is the younger, `trend only` is the best verdict.
    from_history: make certificates anew, whatever is written, where there is a history.
    Raises `ClaimError` for an unknown profile.
    """
    check_name(profile, PROFILES, "profile", "The ledger")
    root = reference_root() if root is None else root
    table = evaluate(ledger, tables_from_results(profile, root), profile).assign(profile=profile)
    if profile == REFERENCE and (tables := tables_from_results(FALLBACK, root)):
        other = evaluate(ledger, tables).assign(profile=FALLBACK)
        table = _replaced(table, other, _untested(table) & ~_untested(other))
    records = _records((profile, CROSSCHECK, FALLBACK) if profile == REFERENCE else (profile,), root)
    rules = {key: record.pop("rules") for key, record in records.items()}
    known = {} if from_history and has_history() else certificates()
    judged_rows = table.to_dict("records")
    for claim, row in zip(ledger, judged_rows, strict=True):
        row["runs"] = [records[tuple(run.values())] for run in row["runs"]]
        row["rule_changed"] = _changed(claim, row["runs"], rules)
        row["certificate"], after_the_fact = None, row["rule_changed"]
        if root == reference_root():
            row["certificate"] = certificate(claim, row["runs"], known)
            after_the_fact = late(row["certificate"])
        if after_the_fact and row["verdict"] == REPRODUCED:
            row |= {"verdict": TREND_ONLY, "reason": f"{after_the_fact}; else {REPRODUCED}, {row['reason']}"}
    return pd.DataFrame(judged_rows).astype({"n": "Int64"})


def compare(ledger: Ledger, profile: str = REFERENCE) -> pd.DataFrame:
    """The ledger as the command and the book show it: `judged`, with five columns more.

    reference: the value of the committed reference runs. yours: that of own runs of `profile`. A row is that of own
    runs where these test the claim, else that of committed runs of the profile, else that of the committed reference
    runs. agrees: whether yours lies within the claim's tolerance of reference; None where either is missing. lacking:
    why no run of the profile tests the claim; "" where one does. reference_verdict.
    """
    reference = judged(ledger)
    own = judged(ledger, profile, runs_root())
    committed = reference if profile == REFERENCE else judged(ledger, profile)
    # Where neither tests a claim, committed runs give the better reason, if there are any of the profile.
    shown = _replaced(own, committed, _untested(own) & bool(committed["runs"].map(bool).any()))
    lacking = shown["reason"].where(_untested(shown), "")
    # What own runs could not test, for want of pictures or of style, says more of them than that others are lacking.
    shown = _replaced(shown, reference, _untested(shown) & (~_untested(reference) | ~shown["runs"].map(bool)))
    yours = own["value"].astype(float)
    agrees = [
        None if math.isnan(here) or math.isnan(there) else claim.tolerance.agree(there, here)
        for claim, here, there in zip(ledger, yours, reference["value"].astype(float), strict=True)
    ]
    beside = {"reference": reference["value"], "yours": yours, "agrees": pd.Series(agrees, dtype=object)}
    return shown.assign(**beside, lacking=lacking, reference_verdict=reference["verdict"])


def rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the table's rows, a dict each; what a claim does not have is None."""
    return [
        {str(name): None if cell is pd.NA or cell != cell else cell for name, cell in row.items()}
        for row in table.astype(object).to_dict("records")
    ]


def plain(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table for a CSV file: what is a list or a dict, as JSON."""
    return table.map(
        lambda cell: json.dumps(finite(cell), ensure_ascii=False) if isinstance(cell, list | tuple | Mapping) else cell
    )


def missing(table: pd.DataFrame) -> list[str]:
    """Return for each reason why the profile tests no claim the claims and the reason, cut short where it is long."""
    groups = table[table["lacking"] != ""].groupby("lacking", sort=False)["id"]
    return [f"{', '.join(ids)}: {textwrap.shorten(str(why), _REASON, placeholder=' …')}" for why, ids in groups]


def disagreements(table: pd.DataFrame) -> list[str]:
    """Return both numbers and the tolerance of each claim of which yours and reference lie further apart than it."""
    return [
        f"{row['id']}: {short_text(row['yours'])} is not within {row['tolerance']} of {short_text(row['reference'])}"
        for row in rows(table)
        if row["agrees"] is False
    ]


def rules_changed(table: pd.DataFrame) -> list[str]:
    """Return each claim whose rule is not the one that there was when the runs behind its verdict were begun."""
    return [f"{row['id']}: {row['rule_changed']}" for row in rows(table) if row["rule_changed"]]


def summary(ledger: Ledger, table: pd.DataFrame) -> str:
    """Return verdicts counted by document and sort, and a finding of each document, as Markdown. table: of `judged`."""
    by_id = {row["id"]: row for row in rows(table)}
    told = (
        f"- **{finding.claim}**, *{finding.written_for}*: {finding.filled(by_id[finding.claim])}"
        for finding in findings(ledger, by_id.values())
    )
    return "\n".join([counts(ledger, table), "", *told])


def findings(ledger: Ledger, judged_rows: Iterable[Mapping[str, Any]]) -> list[Finding]:
    """Return a finding of each document: of those whose claim has the verdict that they were written for, the surest.

    That is the one that most other readings come to as well, and of equals the one that least depends on pictures. A
    document without such a finding has none.
    """
    by_id = {row["id"]: row for row in judged_rows}

    def sure(finding: Finding) -> tuple[float, int]:
        same, _, others = by_id[finding.claim]["robust"].partition(" of ")
        return (int(same) / int(others) if others else 0.0), -list(SORTS_IN_WORDS).index(by_id[finding.claim]["sort"])

    true = [
        [one for one in written if one.claim in by_id and by_id[one.claim]["verdict"] == one.written_for]
        for written in ledger.findings.values()
    ]
    return [max(of_document, key=sure) for of_document in true if of_document]


def counts(ledger: Ledger, table: pd.DataFrame) -> str:
    """Return how many claims of each document and sort, own ablations aside, have which verdict, as a table."""

    def row(name: str, claims: pd.DataFrame) -> str:
        return f"| {' | '.join([name, *(str(int((claims['verdict'] == verdict).sum())) for verdict in VERDICTS)])} |"

    lines = [row(f"{id}: {one.title}", table[table["document"] == id]) for id, one in ledger.documents.items()]
    theirs = table[table["document"] != OWN]
    lines.append(row("**all**", theirs))
    lines += [row(f"of them {words}", theirs[theirs["sort"] == sort]) for sort, words in SORTS_IN_WORDS.items()]
    return "\n".join([f"| document | {' | '.join(VERDICTS)} |", "|---|" + "---|" * len(VERDICTS), *lines])


def readme(ledger: Ledger, text: str, table: pd.DataFrame) -> str:
    """Return `text`, the README's, with its block on how the claims stand. table: of `judged`, on the committed runs.

    Raises `ClaimError` where the text has no place for it.
    """
    block = re.compile(f"({_OPENING}[^>]*-->\n).*?({_CLOSING})", re.DOTALL)
    if len(block.findall(text)) != 1:
        raise ClaimError(f"README.md needs one place for the summary, between {_OPENING}… --> and {_CLOSING}.")
    return block.sub(lambda place: f"{place[1]}{summary(ledger, table)}\n{place[2]}", text)


def _absent(experiments: set[str], profile: str) -> dict[str, str]:
    """Return experiments that have no run of the profile to what is to be said of it: other profiles may have one."""
    runs = [record for _, record in finished_runs(runs_root())] if experiments else []
    said = {}
    for name in experiments:
        others = sorted({record["profile"] for record in runs if record["experiment"] == name} - {profile})
        said[name] = f"{name} has not been run" + (f" in profile {profile}" if profile else "")
        said[name] += f", but in {', '.join(others)}" if others else ""
    return said


def _row(claim: Claim, tables: Mapping[str, pd.DataFrame], absent: Mapping[str, str]) -> dict[str, Any]:
    judgement = verdict(claim, tables)
    outcome, judged_by = judgement.outcome, list(leaves(claim.rule))
    missing = {leaf["experiment"] for leaf in judged_by} - set(tables)
    # A network that the rule itself names has no verdict apart from the claim's.
    named = {leaf["where"]["network"]: outcome.verdict for leaf in judged_by if "network" in leaf.get("where", {})}
    if outcome.verdict == NOT_TESTED and missing:
        outcome = replace(outcome, reason="; ".join(absent[experiment] for experiment in sorted(missing)))
    stated = ("id", "document", "quote", "place", "statement", "number", "unit")
    return {
        **{name: getattr(claim, name) for name in stated},
        **{name: getattr(outcome, name) for name in ("measured", "value", "low", "high", "verdict", "reason")},
        "beside": judgement.beside,
        "networks": {network: apart.verdict for network, apart in judgement.networks.items()} or named,
        "experiment": claim.experiment,
        "measure": judged_by[0]["name"],
        "kind": judged_by[0]["kind"],
        "effect": outcome.effect,
        "n": outcome.n,
        "design": design_text(outcome.design),
        "covers": outcome.covers,
        "detectable": outcome.detectable,
        "sort": claim.sort,
        "setting": judgement.setting,
        "settings": [
            {"setting": one.name, "tag": one.tag, "passed": one.passed, "gates": one.said} for one in judgement.settings
        ],
        "readings": [
            {"reading": one.name, "tag": one.tag, "verdict": one.outcome.verdict, "measured": one.outcome.measured}
            | {name: getattr(one.outcome, name) for name in ("value", "low", "high", "n")}
            for one in judgement.readings
        ],
        "robust": f"{judgement.same} of {judgement.others}" if judgement.others > 1 else "untested",
        "fragile": judgement.fragile,
        "runs": [dict(zip(RUN_COLUMNS, run, strict=True)) for run in judgement.runs],
        "parts": list(outcome.parts),
        "tolerance": str(claim.tolerance),
        "why": claim.why,
    }


def design_text(design: Mapping[str, int]) -> str:
    """Return over how much a finding ranges, in words: 3 contents × 5 styles; of one without units, its rows."""
    units = {name: count for name, count in design.items() if name in ("content", "style") or count > 1}
    units = {name: count for name, count in units.items() if name != "rows"} or {"rows": design.get("rows", 0)}
    return " × ".join(
        f"{count} {name.replace('_', ' ').rstrip('s')}{'s' * (count != 1)}" for name, count in units.items()
    )


def _replaced(table: pd.DataFrame, other: pd.DataFrame, where: "pd.Series[bool]") -> pd.DataFrame:
    """Return the rows of `table`, but where `where` says so those of `other`."""
    choices = zip(table.to_dict("records"), other.to_dict("records"), where, strict=True)
    taken = [second if replace else first for first, second, replace in choices]
    return pd.DataFrame(taken, columns=table.columns).astype({"n": "Int64"})


def _untested(table: pd.DataFrame) -> "pd.Series[bool]":
    return table["verdict"] == NOT_TESTED


def _records(profiles: Iterable[str], root: Path) -> dict[tuple[str, ...], dict[str, Any]]:
    """Return what is behind each run of the profiles, by experiment, profile and folder's name."""
    behind: dict[tuple[str, ...], dict[str, Any]] = {}
    for folder, record in (run for profile in profiles for run in current_runs(root, profile)):
        key = (record["experiment"], record["profile"], folder.name)
        commit = record.get("commit") or {}
        inside = folder.is_relative_to(project_root())
        behind[key] = {
            **dict(zip(("experiment", "profile", "run"), key, strict=True)),
            "folder": (folder.relative_to(project_root()) if inside else Path(folder.name)).as_posix(),
            "networks": list(record.get("networks") or {}),
            "commit": commit.get("sha"),
            "dirty": commit.get("dirty"),
            "start": record["start"],
            "seconds": record["seconds"],
            "rules": record.get("rules"),
        }
    return behind


def _changed(claim: Claim, runs: Iterable[Mapping[str, Any]], rules: Mapping[tuple[str, ...], Any]) -> str:
    """Return which of the runs another rule stood beside, in words; one of before rules were noted says nothing."""
    own = rule_hash(claim.decisive(), claim.experiment, claim.number)
    noted = {f"{run['experiment']} ({run['profile']})": rules[tuple(run[key] for key in RUN_COLUMNS)] for run in runs}
    others = [name for name, then in noted.items() if then is not None and then.get(claim.id) != own]
    return f"rule changed since this run: {', '.join(others)}" if others else ""


def finite(cell: Any) -> Any:
    """Return a cell as JSON can hold it: numbers that are none, or without end, become text."""
    return with_floats(cell, lambda number: number if math.isfinite(number) else str(number))


def with_floats(cell: Any, change: Callable[[float], Any]) -> Any:
    """Return a cell with each float in it changed; a tuple becomes a list."""
    if isinstance(cell, Mapping):
        return {key: with_floats(value, change) for key, value in cell.items()}
    if isinstance(cell, list | tuple):
        return [with_floats(value, change) for value in cell]
    return change(cell) if isinstance(cell, float) else cell
