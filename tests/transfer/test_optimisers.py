"""Step sizes: the one that lowers the loss most, and none that diverges or raises it."""

import math

import pandas as pd
import pytest

from stylerepro.errors import TransferError
from stylerepro.transfer.optimisers import best_rate, try_rates


def histories(ends):
    """A descend() whose total loss goes from 10 to the end given for each step size, in two settings."""

    def descend(rate):
        if ends[rate] is None:
            raise TransferError("diverged")
        return pd.DataFrame({"setting": [0, 0, 1, 1], "total": [10.0, ends[rate], 10.0, 10.0]})

    return descend


def test_the_steepest_fall_is_chosen_and_divergence_never_is():
    table = try_rates([0.1, 0.2, 0.4, 0.8], histories({0.1: 5.0, 0.2: 1.0, 0.4: 20.0, 0.8: None}))
    assert table["fall"].tolist() == pytest.approx([math.log(0.5) / 2, math.log(0.1) / 2, math.log(2) / 2, math.inf])
    assert best_rate(table) == 0.2
    with pytest.raises(TransferError, match=r"step sizes 0.4, 0.8 lowered"):
        best_rate(table[table["fall"] > 0])
    assert try_rates([0.1], histories({0.1: -3.0}))["fall"].tolist() == [math.inf], "it has no logarithm"
