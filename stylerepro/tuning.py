"""Step sizes chosen before the table: the one, of a few, that lowers the loss most on pictures that no table shows."""

import math
from collections.abc import Callable, Sequence

import pandas as pd

from stylerepro.errors import TransferError


def falls(rates: Sequence[float], descend: Callable[[float], pd.DataFrame]) -> pd.DataFrame:
    """How far the total loss falls with each step size: columns rate and fall.

    descend: takes a step size, gives the `history` of a transfer with it. fall: ln(last ÷ first total loss), mean over
    the settings of that transfer; infinite where the transfer diverged, or a loss that is not positive has no
    logarithm.
    """
    rows = []
    for rate in rates:
        try:
            totals = descend(rate).groupby("setting")["total"].agg(["first", "last"])
            usable = bool((totals > 0).to_numpy().all())
            fall = float((totals["last"] / totals["first"]).map(math.log).mean()) if usable else math.inf
        except TransferError:
            fall = math.inf
        rows.append({"rate": rate, "fall": fall})
    return pd.DataFrame(rows)


def steepest(table: pd.DataFrame) -> float:
    """The step size of `falls` with the lowest fall. Raises `TransferError` where none lowered the loss."""
    best = table.sort_values("fall").iloc[0]
    if not best["fall"] < 0:
        raise TransferError(
            f"None of the step sizes {', '.join(f'{rate:g}' for rate in table['rate'])} lowered the loss. "
            "Try smaller ones."
        )
    return float(best["rate"])
