"""Pieces that generated pages are made of, intervals drawn among them, and what texts ask for by name."""

import html
import math
import re
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import pandas as pd

from stylerepro.errors import RunError, unknown
from stylerepro.ledger.claims import Ledger
from stylerepro.ledger.rules import matches
from stylerepro.runs.experiments import OWN

_STATISTICS = ("median", "mean", "min", "max", "range", "count")
_OPTIONS = ("stat", "as", "digits", "over", "to", "by", "scale", "across", "share", "sort")
_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_WIDTH, _HEIGHT, _EDGE = 220, 18, 6  # px of an interval that is drawn
_TAGS = {"E": "equivalent", "U": "unsure", "N": "another experiment, which counts for nothing"}
Numbers = Mapping[str, Any]  # with value, low, high, kind and verdict
Bounds = Sequence[float | None]
Columns = Sequence[tuple[str, str, Mapping[str, str]]]


def badge(verdict: str) -> str:
    """Return the verdict as a coloured label."""
    return f'<span class="verdict verdict-{verdict.replace(" ", "-")}">{verdict}</span>'


def anchor(claim: str) -> str:
    """Return the claim's address on its document's page."""
    return f"claim-{re.sub(r'[._]', '-', claim)}"


def claim_link(claim: str, up: str = "") -> str:
    """Return a link to the claim's card. up: from the page to the book's root ("" or "../")."""
    document = claim.split(".")[0]
    return f"[{claim}]({up}documents/{document if document.isdecimal() else OWN}.md#{anchor(claim)})"


def small(text: str) -> str:
    """Return text in small print."""
    return f'<span class="small">{one_line(text)}</span>'


def one_line(text: str) -> str:
    """Return text without its line breaks, which could end a cell."""
    return " ".join(str(text).split())


def subscripts(text: str) -> str:
    """Return text with what stands below a Greek letter (λ_c) set as it is printed."""
    return re.sub(r"([α-ωΑ-Ω])_([A-Za-z]{1,2})\b", r"\1<sub>\2</sub>", text)


def pipe_table(rows: Sequence[Sequence[str]]) -> str:
    """Return a table of one-line cells; the first row is its head."""
    lines = ["| " + " | ".join(one_line(cell).replace("|", r"\|") for cell in row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def fold(summary: str, inside: str) -> str:
    """Return HTML that is folded away behind a click; `inside` is HTML too."""
    return f'<details class="small"><summary>{summary}</summary>{inside}</details>'


def figures(number: Any, digits: int = 3) -> str:
    """Return a measured number as texts and tables show it: so many digits, a real minus sign; "" for none."""
    if pd.isna(number):
        return ""
    short = f"{float(number):.{digits}g}"
    whole = f"{float(short):.0f}" if abs(float(number)) >= 10 ** (digits - 1) else short
    return whole.replace("-", "−").replace("inf", "∞")


def count(ledger: Ledger, what: str) -> str:
    """Return how many documents or claims there are, up to twelve in words; with a capital where `what` has one."""
    number = len(ledger.documents) if what.lower() == "documents" else sum(one.document != OWN for one in ledger)
    word = _WORDS[number] if number < len(_WORDS) else str(number)
    return word.capitalize() if what[0].isupper() else word


def evidence(row: Mapping[str, Any]) -> str:
    """Return the parts and readings of a claim as HTML in one line, folded away; "" where nothing was measured.

    row: of `summary.rows`. Parts have a scale each; readings are those of the first part, on one scale.
    """
    parts = [_line(html.escape(part["name"]), part, part["bounds"], [part]) for part in row["parts"]]
    if not any(_known(part) for part in row["parts"]):
        return ""
    literal = {**row, "reading": row["setting"], "tag": ""}
    readings = [{**each, "kind": row["kind"]} for each in (literal, *row["readings"])] if row["readings"] else []
    asked = row["parts"][0]["bounds"]
    named = (f"{html.escape(each['reading'])} <i>{_TAGS.get(each['tag'], 'as it counts')}</i>" for each in readings)
    others = [_line(name, each, asked, readings) for name, each in zip(named, readings, strict=True)]
    body = _table("part", parts) + (_table("reading", others) if others else "")
    told = f"{len(parts)} part{'s' * (len(parts) != 1)}" + f" and {len(readings)} readings" * bool(readings)
    return f'<details class="evidence"><summary>What it rests on, drawn: {told}</summary>{body}</details>'


def _table(what: str, lines: Sequence[str]) -> str:
    return f"<table><thead><tr><th>{what}</th><th>measured</th><th>verdict</th></tr></thead>{''.join(lines)}</table>"


def _line(name: str, numbers: Numbers, bounds: Bounds, group: Sequence[Numbers]) -> str:
    seen = _mark(numbers, bounds, group) if _known(numbers) else "not measured"
    return f"<tr><td>{name}</td><td>{seen}</td><td>{badge(numbers['verdict'])}</td></tr>"


def _known(numbers: Numbers) -> bool:
    return all(numbers[name] is not None and math.isfinite(numbers[name]) for name in ("value", "low", "high"))


def _mark(numbers: Numbers, bounds: Bounds, group: Sequence[Numbers]) -> str:
    """Return the interval as a line with a dot, in front of the range that is asked for, with both in words."""
    ends = [each[name] for each in group if _known(each) for name in ("low", "high")]
    edges = [bound for bound in bounds if bound is not None]
    start, stop = min([*ends, *edges]), max([*ends, *edges])

    def place(number: float) -> float:
        share = (number - start) / (stop - start) if stop > start else 0.5
        return round(_EDGE + share * (_WIDTH - 2 * _EDGE), 1)

    low, high, value = (place(numbers[name]) for name in ("low", "high", "value"))
    left, right = (end if bound is None else place(bound) for bound, end in zip(bounds, (0.0, _WIDTH), strict=True))
    named = zip(("at least", "at most"), bounds, strict=True)
    asked = " and ".join(f"{words} {figures(bound)}" for words, bound in named if bound is not None)
    said = "ρ " * (numbers["kind"] == "trend") + figures(numbers["value"])
    if numbers["low"] != numbers["high"]:
        said += f" [{figures(numbers['low'])}, {figures(numbers['high'])}]"
    middle = _HEIGHT / 2
    return (
        f'<svg class="drawn verdict-{numbers["verdict"].replace(" ", "-")}" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'width="{_WIDTH}" height="{_HEIGHT}" aria-hidden="true">'
        f'<rect x="{left}" width="{max(right - left, 1)}" height="{_HEIGHT}"/>'
        f'<line x1="{low}" x2="{high}" y1="{middle}" y2="{middle}"/><circle cx="{value}" cy="{middle}" r="4"/></svg>'
        f"<br>{html.escape(said)}" + f"; asked: {asked}" * bool(asked)
    )


def value(tables: Mapping[str, pd.DataFrame], words: str) -> str:
    """Return a number of a table, in words: `EXPERIMENT.COLUMN`, conditions `column=value`, options.

    A condition keeps the rows of a value, of one of several (`a|b`) or of none (`column=`); words with spaces stand in
    quotes. Options: stat=median (the default), mean, min, max, range (lowest to highest) or count; as=percent, change
    (in per cent, signed); digits=3; scale=1e6, by which it is divided; over=COLUMN, divided by it row by row;
    to='column=value …' by=COLUMN, divided by the number in the rows of these conditions that has the same value in that
    column. "(not measured)" where no row is left. Raises `RunError` for words that are none of these and for a column
    that the table does not have.
    """
    target, conditions, options = parsed(words)
    experiment, _, column = target.partition(".")
    if experiment not in tables:
        return "(not run)"
    where = f"The book's value {words!r}: {experiment}"
    needed = [column, *(options[name] for name in ("over", "by") if name in options)]
    table = kept(tables[experiment], conditions, where, needed)
    numbers = _numbers(table, column, options)
    if "to" in options:
        by, other = options["by"], kept(tables[experiment], parsed(f"- {options['to']}")[1], where)
        numbers = numbers.set_axis(table[by]) / _numbers(other, column, options).set_axis(other[by])
    return _told(numbers, options, "(not measured)")


def table_lines(table: pd.DataFrame, columns: Columns) -> list[tuple[str, ...]]:
    """Return the lines of a table that a text asks for, its head first. columns: heading, column, options; see `value`.

    Columns without stat, across or share are keys: there is a line for each combination of their values, in the order
    in which these appear. The others have a statistic of the line's rows: with across=COLUMN once for each value of
    that column, which stands for * in the heading; with share=KEY:VALUE as a share of the line where that key has that
    value. Lines without any number are left out. as=code sets a key as code.
    """
    keys = [column for _, column, options in columns if not {"stat", "across", "share"} & options.keys()]
    groups = dict(list(table.groupby(keys, sort=False, dropna=False)))
    wide: list[tuple[str, str, Mapping[str, str], Any]] = []
    for heading, column, options in columns:
        across = options.get("across")
        values = table.dropna(subset=[column, across])[across].unique() if across else [None]
        wide += [(heading.replace("*", str(value)), column, options, value) for value in values]
    lines = [tuple(heading for heading, *_ in wide)]
    for key, group in groups.items():
        cells = []
        for _, column, options, across in wide:
            if column in keys:
                name: Any = key[keys.index(column)]
                name = "" if pd.isna(name) else figures(name) if isinstance(name, float) else str(name)
                cells.append(f"`{name}`" if options.get("as") == "code" and name else name)
                continue
            rows = group if across is None else group[group[options["across"]] == across]
            numbers = _numbers(rows, column, options)
            if "share" in options:
                name, _, whole = options["share"].partition(":")
                place = keys.index(name)
                base = groups.get((*key[:place], whole, *key[place + 1 :]))
                numbers = numbers / (float("nan") if base is None else _numbers(base, column, options).median())
            cells.append(_told(numbers, options, ""))
        if any(cell for cell, (_, column, *_) in zip(cells, wide, strict=True) if column not in keys):
            lines.append(tuple(cells))
    return lines


def parsed(words: str) -> tuple[str, dict[str, str], dict[str, str]]:
    """Return the first word of a placeholder, its conditions and its options. Raises `RunError` for a statistic."""
    target, *given = shlex.split(words)
    conditions = dict(condition.partition("=")[::2] for condition in given)
    options = {name: conditions.pop(name) for name in _OPTIONS if name in conditions}
    if (statistic := options.get("stat", "median")) not in _STATISTICS:
        raise RunError(unknown(statistic, list(_STATISTICS), "statistic", f"The book's value {words!r}"))
    return target, conditions, options


def kept(table: pd.DataFrame, conditions: Mapping[str, str], where: str, needed: Sequence[str] = ()) -> pd.DataFrame:
    """Return the rows that meet the conditions. needed: other columns. Raises `RunError` where one is not there."""
    for name in [*conditions, *needed]:
        if name not in table:
            raise RunError(unknown(name, list(table.columns), "column", where))
    for name, wanted in conditions.items():
        table = table[matches(table[name], [_typed(text) for text in wanted.split("|")])]
    return table


def _numbers(table: pd.DataFrame, column: str, options: Mapping[str, str]) -> "pd.Series[float]":
    numbers = pd.to_numeric(table[column]).astype(float)
    if "over" in options:
        numbers = numbers / pd.to_numeric(table[options["over"]]).astype(float)
    return numbers / float(options.get("scale", 1))


def _told(numbers: "pd.Series[float]", options: Mapping[str, str], nothing: str) -> str:
    """Return the statistic that the options ask for, in words; `nothing` where there is no number."""
    numbers, statistic = numbers.dropna(), options.get("stat", "median")
    if statistic == "count":
        return str(len(numbers))
    if numbers.empty:
        return nothing
    ends = [numbers.min(), numbers.max()] if statistic == "range" else [getattr(numbers, statistic)()]
    return " to ".join(dict.fromkeys(_written(float(end), options) for end in ends))


def _written(number: float, options: Mapping[str, str]) -> str:
    if not math.isfinite(number):
        return "not finite"
    if (how := options.get("as")) not in ("percent", "change"):
        return figures(number, int(options.get("digits", 3)))
    return f"{'+' * (how == 'change' and number > 0)}{figures(100 * number, int(options.get('digits', 3)))} %"


def _typed(text: str) -> Any:
    with suppress(ValueError):
        return float(text)
    return {"": None, "true": True, "false": False}.get(text, text)
