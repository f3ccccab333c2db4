"""Gates: whether the pictures that a claim rests on are style transfers at all, judged before any swept column is.

A claim about pictures names its *base setting* (γ = 0, the document's own weights) and what its rows there must show,
in at least two thirds of the pairs:

style: both judges, which nothing optimises, place the picture beyond untouched photographs (`measures.judges`).
content: its content loss is below that of flat grey, its SSIM above that of unrelated pictures.
settled: less than a hundredth of the loss's fall so far fell in the last fifth of the evaluations.

`settings` lists how the document may be read, literal first; the first whose gates pass is the one that is judged. A
gate without its columns or values is unknown, which is no pass.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from stylerepro.ledger.rules import DIVERGED, ENDED, UNITS, matches, words
from stylerepro.runs.declarations import GATE_COLUMNS

# What must hold in a row: the columns of a gate, which must hold together.
GATES = {gate: [name for name in columns if name.startswith("gate_")] for gate, columns in GATE_COLUMNS.items()}
LEAST_SHARE = 2 / 3  # of the pairs
PLATEAU = 0.01  # of the fall so far, in the last fifth
LITERAL = "as written"
_SAID = {"style": "style taken up", "content": "content kept", "settled": "settled"}


@dataclass(frozen=True)
class Setting:
    """A way to read the document, with what its gates said. passed: whether all did; of none asked, they do.

    open: how many of them let it through, which tells the nearest where none passed all. empty: it has not been run.
    """

    name: str
    where: Mapping[str, Any]
    tag: str
    passed: bool
    said: str
    open: int = 0
    empty: bool = False


def settings(
    written: Sequence[Mapping[str, Any]], asked: Mapping[str, Any], table: pd.DataFrame | None
) -> list[Setting]:
    """Return the settings in their order with what their gates say of a table; one that is literal where none is named.

    written: a setting, where and tag each. asked: the claim's `gates`: ask, base and units; empty for none.
    """
    listed = []
    for entry in written or [{"setting": LITERAL}]:
        where, rows = entry.get("where", {}), table
        base = {**asked.get("base", {}), **where}
        for column, wanted in base.items():
            if rows is not None and column in rows:
                rows = rows[matches(rows[column], wanted)]
        gates = [_gate(gate, rows, base, asked.get("units", UNITS)) for gate in asked.get("ask", ())]
        let, said = [passed for passed, _ in gates], ", ".join(said for _, said in gates)
        empty = rows is None or rows.empty
        listed.append(Setting(entry["setting"], where, entry.get("tag", "U"), all(let), said, sum(let), empty))
    return listed


def _gate(gate: str, table: pd.DataFrame | None, base: Mapping[str, Any], units: Sequence[str]) -> tuple[bool, str]:
    """Return whether a gate is passed, which an unknown one is not, and what it says in words."""
    said = _SAID[gate]
    if table is None or table.empty:
        at = ", ".join(f"{column} {words(wanted)}" for column, wanted in base.items())
        return False, f"{said}: unknown, no rows{f' with {at}' if at else ''}"
    if lacking := [column for column in (*GATES[gate], *units) if column not in table or table[column].isna().all()]:
        why = "no judge was asked, or none installed" if gate == "style" else "the run did not measure it"
        return False, f"{said}: unknown, no value of {', '.join(lacking)} ({why})"
    values = table[GATES[gate]].astype(float)
    passing = (values < PLATEAU if gate == "settled" else values > 0).all(axis=1)
    known = values.notna().all(axis=1)  # a row that has no picture says nothing of its pair
    if ENDED in table:
        passing &= table[ENDED] != DIVERGED
        known |= table[ENDED] == DIVERGED
    pairs = passing.astype(float).where(known).groupby([table[column] for column in units]).mean() > 0.5
    passed, told = bool(pairs.mean() >= LEAST_SHARE - 1e-12), f"{said} in {int(pairs.sum())} of {len(pairs)}"
    return passed, told if passed else f"{told}, two thirds are asked"
