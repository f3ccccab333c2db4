"""The ledger in the book: one table over all claims, its CSV, and a card for each claim with everything about it."""

import html
import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from stylerepro.book.runs import place
from stylerepro.book.text import anchor, badge, claim_link, fold, list_table, one_line, small
from stylerepro.ledger.rules import NOT_REPRODUCED, NOT_TESTED, REPRODUCED, TREND_ONLY, VERDICTS, short_text
from stylerepro.runs.experiments import OWN
from stylerepro.runs.record import RECORD

# One claim as `summary.rows` gives it: a row by column name.
Row = Mapping[str, Any]
CSV = "ledger.csv"
_HEAD = ("Claim", "Verdict", "Stated", "Measured", "Interval", "Effect", "n / runs", "Networks", "Notebook")
_WIDTHS = (19, 14, 9, 11, 10, 9, 8, 11, 11)
_NONE = "The ledger has no claim for this page."
_ANSWERS = {REPRODUCED: "Holds", TREND_ONLY: "Holds in part", NOT_REPRODUCED: "Does not hold", NOT_TESTED: "Not tested"}
_GROUND = {
    "smoke": "From runs of profile `smoke`, which only show that everything works: these verdicts mean nothing.",
    "laptop": "From own runs of profile `laptop`, on a fixed subset of the pictures, and where there is none from the "
    "committed runs of `reference`.",
    "reference": "From the committed runs of profile `reference`, on all pictures, and their `crosscheck`.",
    "crosscheck": "From runs of profile `crosscheck`: the reference's, repeated on the second loss network alone.",
    "paper": "From runs of profile `paper`, on the documents' own pictures and networks, where there are any.",
}


def summary(rows: Sequence[Row], profile: str) -> str:
    """How many claims of the documents have which verdict, and of the suite's own ablations, and from what runs."""
    own = [row for row in rows if row["document"] == OWN]
    told = [counts([row for row in rows if row["document"] != OWN])]
    told += [f"Beside them, of the suite's own ablations: {counts(own)}"] if own else []
    return "\n\n".join([*told, _GROUND[profile]])


def counts(rows: Sequence[Row]) -> str:
    """How many claims have which verdict, as badges in one line."""
    found = Counter(row["verdict"] for row in rows)
    return " · ".join(f"{found[verdict]} {badge(verdict)}" for verdict in VERDICTS if found[verdict])


def answer(rows: Sequence[Row]) -> str:
    """What became of a document's claims, a line for each verdict that there is."""
    lines = []
    for verdict in VERDICTS:
        mine = [row for row in rows if row["verdict"] == verdict]
        told = " ".join(f"{_link(row)} {one_line(row['statement'])}" for row in mine)
        lines += [f"**{_ANSWERS[verdict]}** ({len(mine)} of {len(rows)}): {told}"] if mine else []
    return "\n\n".join(lines) or _NONE


def table(rows: Sequence[Row], titles: Mapping[str, str]) -> str:
    """The ledger's one table. titles: of the experiments that have a page, to which their claims link.

    With a reference beside own values a column more says what it is, and marks where they disagree.
    """
    own = any("reference" in row for row in rows)
    head = [*_HEAD[:4], "Reference", *_HEAD[4:]] if own else _HEAD
    widths = (*_WIDTHS[:4], 11, *_WIDTHS[4:]) if own else _WIDTHS
    lines: list[Sequence[str]] = [head]
    for row in rows:
        name, id = row["experiment"], row["id"]
        cells = [
            f'<span id="{anchor(id)}"></span>{claim_link(id)}\n\n{one_line(row["statement"])}',
            badge(row["verdict"]),
            stated(row),
            number(row["value"]),
            interval(row),
            number(row["effect"]),
            f"{number(row['n'])} / {len(row['runs'])}" if row["runs"] else "",
            ", ".join(row["networks"]),
            f"[{titles[name]}](notebooks/{name}.ipynb)" if name in titles else name,
        ]
        if own:
            mark = " (differs)" if row.get("agrees") is False else ""
            cells.insert(4, f"{number(row['reference'])}{mark}")
        lines.append(cells)
    return list_table("ledger ledger-table", widths, lines)


def cards(rows: Sequence[Row], pages: Collection[str]) -> str:
    """Everything about each claim of a document, with its anchor. pages: experiments that have a page."""
    if not rows:
        return _NONE

    def name(row: Row) -> str:
        title = f"[{row['id']}]{{#{anchor(row['id'])}}}\n\n{badge(row['verdict'])}"
        experiment = row["experiment"]
        return f"{title}\n\n[{experiment}](../notebooks/{experiment}.ipynb)" if experiment in pages else title

    return _cards(rows, name, True)


def verdicts(rows: Sequence[Row]) -> str:
    """The claims of one experiment, for the end of its page; they link to their cards."""
    return _cards(rows, lambda row: f"{claim_link(row['id'], '../')}\n\n{badge(row['verdict'])}", False)


def told(rows: Sequence[Row]) -> str:
    """The claims with their verdicts in a line of text, for a page at the book's root."""
    return ", ".join(f"{claim_link(row['id'])} *{row['verdict']}*" for row in rows) or _NONE


def stated(row: Row) -> str:
    """The number that the document states, with its unit; "" where it states none."""
    if row["number"] is None:
        return ""
    numbers = row["number"] if isinstance(row["number"], tuple | list) else (row["number"],)
    return " / ".join(f"{one:g}" for one in numbers) + f" {row['unit']}"


def number(value: Any) -> str:
    """A number of the ledger in a few digits; "" for none."""
    return "" if value is None or value != value else short_text(float(value))


def interval(row: Row) -> str:
    """The interval of a claim's first measure; "" where it has none or it is a point."""
    low, high = row["low"], row["high"]
    return "" if low is None or high is None or low == high else f"{number(low)} to {number(high)}"


def _cards(rows: Sequence[Row], name: Callable[[Row], str], whole: bool) -> str:
    lines: list[Sequence[str]] = [("Claim", "As it is claimed", "Measured", "Why this verdict")]
    for row in rows:
        says = [f'<span class="quote">“{one_line(row["quote"])}”</span>', small(row["place"])]
        if row["number"] is not None:
            says.append(small(f"Stated: {stated(row)}"))
        measured = [one_line(row["statement"]), *_apart(row["measured"], "**")]
        if row["beside"]:
            measured.append(small(f"Beside it: {row['beside']}"))
        why = _apart(row["reason"])
        if len(row["networks"]) > 1:
            why.append(small("; ".join(f"{network}: {one}" for network, one in row["networks"].items())))
        if whole:
            measured += [small(f"From {_runs(row)}.")] * bool(row["runs"])
            why.append(fold("The rule", html.escape(one_line(row["why"]))))
        lines.append((name(row), *("\n\n".join(cell) for cell in (says, measured, why))))
    return list_table("ledger", (19, 28, 26, 27), lines)


def _apart(text: str, mark: str = "") -> list[str]:
    """What several measures or networks came to, as a list; a single one as a paragraph in `mark`; none as nothing."""
    found = [one for one in re.split(r"; | \| ", one_line(text)) if one]
    return ["\n".join(f"- {one}" for one in found)] if found[1:] else [f"{mark}{one}{mark}" for one in found]


def _runs(row: Row) -> str:
    """The runs behind a verdict, each with a link to its record."""
    told = []
    for run in row["runs"]:
        commit = f", commit {run['commit'][:10]}" if run.get("commit") else ""
        told.append(f"{run['experiment']} [{run['profile']}](../{place(run)}/{RECORD}){commit}")
    return "; ".join(told)


def _link(row: Row) -> str:
    return f"[{row['id']}](#{anchor(row['id'])})"
