"""Pieces of MyST that several generated pages are made of."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from stylerepro.runs.experiments import OWN


def badge(verdict: str) -> str:
    """The verdict as a coloured label."""
    return f'<span class="verdict verdict-{verdict.replace(" ", "-")}">{verdict}</span>'


def anchor(claim: str) -> str:
    """The claim's address on its document's page."""
    return f"claim-{re.sub(r'[._]', '-', claim)}"


def claim_link(claim: str, up: str = "") -> str:
    """A link to the claim's card. up: from the page to the book's root ("" or "../")."""
    document = claim.split(".")[0]
    return f"[{claim}]({up}documents/{document if document.isdecimal() else OWN}.md#{anchor(claim)})"


def small(text: str) -> str:
    """Text in small print."""
    return f'<span class="small">{one_line(text)}</span>'


def one_line(text: str) -> str:
    """Text without its line breaks, which could end a cell."""
    return " ".join(str(text).split())


def list_table(classes: str, widths: Sequence[int] | None, rows: Sequence[Sequence[str]]) -> str:
    """A table whose cells may hold paragraphs; the first row is its head."""
    lines = [":::{list-table}", f":class: {classes}", ":header-rows: 1"]
    lines += [f":widths: {' '.join(map(str, widths))}"] if widths else []
    lines.append("")
    for row in rows:
        for position, cell in enumerate(row):
            first, *others = cell.split("\n")
            lines.append(f"{'* - ' if position == 0 else '  - '}{first}".rstrip())
            lines += [f"    {line}" if line else "" for line in others]
    return "\n".join([*lines, ":::"])


def pipe_table(rows: Sequence[Sequence[str]]) -> str:
    """A table of one-line cells; the first row is its head."""
    lines = ["| " + " | ".join(one_line(cell).replace("|", r"\|") for cell in row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def figures(number: Any, digits: int = 3) -> str:
    """A measured number as a text or a table shows it: rounded to some digits, a real minus sign; "" for none."""
    if number is None or number is pd.NA or not math.isfinite(number):
        return ""
    size = abs(float(number))
    if size >= 10 ** (digits - 1):
        return f"{float(f'{number:.{digits}g}'):.0f}".replace("-", "−")
    return f"{number:.{digits}g}".replace("-", "−")


def fold(summary: str, inside: str) -> str:
    """HTML that is folded away behind a click; `inside` is HTML too."""
    return f'<details class="small"><summary>{summary}</summary>{inside}</details>'


def definition(pairs: Mapping[str, str]) -> str:
    """Names and values as an HTML table of two columns; both are HTML."""
    rows = "".join(f"<tr><th>{name}</th><td>{value}</td></tr>" for name, value in pairs.items())
    return f'<table class="values">{rows}</table>'
