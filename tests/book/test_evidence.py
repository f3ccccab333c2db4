"""Parts and readings of a claim, drawn: where the dot, the line and what is asked stand."""

import re

import pytest

from stylerepro.book.text import evidence
from stylerepro.ledger import rules


def part(value, low, high, bounds, verdict="reproduced", kind="threshold"):
    measured = {"value": value, "low": low, "high": high}
    return measured | {"name": "a & b", "kind": kind, "bounds": bounds, "verdict": verdict}


def row(*parts, readings=()):
    first = parts[0] | {"id": "003.1", "setting": "as written", "parts": parts, "readings": readings}
    return {name: value for name, value in first.items() if name not in ("name", "bounds")}


def drawn(text):
    """Of each drawing the ends of the range that is asked for, of the line, and the dot; in pixels of 220."""
    marks = []
    for svg in re.findall("<svg.*?</svg>", text):
        left, wide, low, high, dot = (
            float(re.search(rf' {name}="([\d.]+)"', svg[svg.index(tag) :])[1])
            for tag, name in (("<rect", "x"), ("<rect", "width"), ("<line", "x1"), ("<line", "x2"), ("<circle", "cx"))
        )
        marks.append(((left, left + wide), (low, high), dot))
    return marks


def test_a_part_stands_beside_what_is_asked_of_it():
    text = evidence(row(part(0.5, 0.0, 1.0, (0.25, None)), part(2, 2, 2, (None, 1.0), "not reproduced")))
    assert drawn(text) == [((58.0, 220.0), (6.0, 214.0), 110.0), ((0.0, 6.0), (214.0, 214.0), 214.0)]
    for told in ("0.5 [0, 1]; asked: at least 0.25", "<br>2; asked: at most 1", "a &amp; b", "drawn: 2 parts<"):
        assert told in text
    assert "reading" not in text
    assert "\n" not in text, "a line break would end the HTML"


def test_readings_share_a_scale_and_those_without_a_number_are_named():
    others = [
        {"reading": "other", "tag": "E", "value": 3.0, "low": 2.0, "high": 4.0, "verdict": "trend only"},
        {"reading": "no run", "tag": "N", "value": None, "low": None, "high": None, "verdict": "not tested"},
    ]
    text = evidence(row(part(1.0, 0.0, 2.0, (None, None), kind="trend"), readings=others))
    assert drawn(text)[1:] == [((0.0, 220.0), (6.0, 110.0), 58.0), ((0.0, 220.0), (110.0, 214.0), 162.0)]
    for told in ("1 part and 3 readings", "as written <i>as it counts</i>", "other <i>equivalent</i>"):
        assert told in text
    assert "no run <i>another experiment, which counts for nothing</i></td><td>not measured</td>" in text
    assert text.count("<br>ρ ") == 3


def test_nothing_measured_is_nothing_drawn():
    assert evidence(row(part(None, None, None, (0.0, None), "not tested"))) == ""


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"kind": "number", "within": [1, 2]}, (1, 2)), ({"kind": "equivalence", "within": [None, 0.1]}, (None, 0.1)),
        ({"kind": "threshold", "at_most": 3}, (None, 3)), ({"kind": "threshold", "at_least": 3}, (3, None)),
        ({"kind": "trend", "direction": "down", "minimum": 0.1}, (None, 0.0)),
        ({"kind": "difference", "direction": "down", "minimum": 0.1}, (None, -0.1)),
        ({"kind": "difference", "direction": "up"}, (0.0, None)), ({"kind": "wins", "at_least": 0.8}, (0.8, None)),
        ({"kind": "wins"}, (0.5, None)), ({"kind": "order"}, (1.0, None)),
    ],
)  # fmt: skip
def test_what_a_rule_asks_of_its_value(rule, expected):
    assert rules.bounds(rule) == expected
