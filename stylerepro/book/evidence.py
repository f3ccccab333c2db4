"""What a verdict rests on, drawn: each part of the rule and each reading as a dot and a line, beside what is asked."""

import html
import math
from collections.abc import Mapping, Sequence
from typing import Any

from stylerepro.book.text import badge, figures

_WIDTH, _HEIGHT, _EDGE = 220, 18, 6  # px
_TAGS = {"E": "equivalent", "U": "unsure", "N": "another experiment, which counts for nothing"}
Numbers = Mapping[str, Any]  # with value, low, high and verdict
Bounds = Sequence[float | None]


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
    counted = f"{len(parts)} part{'s' * (len(parts) != 1)}" + f", {len(readings)} readings" * bool(readings)
    return (
        f'<details class="evidence"><summary>{row["id"]}: {counted} {badge(row["verdict"])}</summary>{body}</details>'
    )


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
    words = ["at least", "at most"]
    asked = " and ".join(
        f"{word} {figures(bound)}" for word, bound in zip(words, bounds, strict=True) if bound is not None
    )
    said = "ρ " * (numbers["kind"] == "trend") + figures(numbers["value"])
    if numbers["low"] != numbers["high"]:
        said += f" [{figures(numbers['low'])}, {figures(numbers['high'])}]"
    middle = _HEIGHT / 2
    return (
        f'<svg class="mark verdict-{numbers["verdict"].replace(" ", "-")}" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'width="{_WIDTH}" height="{_HEIGHT}" aria-hidden="true">'
        f'<rect x="{left}" width="{max(right - left, 1)}" height="{_HEIGHT}"/>'
        f'<line x1="{low}" x2="{high}" y1="{middle}" y2="{middle}"/><circle cx="{value}" cy="{middle}" r="4"/></svg>'
        f"<br>{html.escape(said)}" + f"; asked: {asked}" * bool(asked)
    )
