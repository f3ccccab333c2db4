"""Figures say what they were given: the right picture in the right place, under the right title."""

import matplotlib as mpl
import pandas as pd
import pytest
import torch

mpl.use("agg")

import matplotlib.pyplot as plt

from stylerepro.pictures import plots
from stylerepro.pictures.samples import Box


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def grey(level):
    return torch.full((1, 3, 8, 10), level)


def test_pictures_stand_where_they_were_put_and_short_rows_leave_gaps():
    pictures = [[grey(0.1), grey(0.2)], [None, grey(0.4)], [grey(0.3)]]
    figure = plots.picture_grid(pictures, columns=["a", "b"], rows=["first", "second", "third"])
    shown = [[float(i.get_array().mean()) for i in axis.get_images()] for axis in figure.axes]
    assert [[round(v, 3) for v in values] for values in shown] == [[0.1], [0.2], [], [0.4], [0.3], []]
    assert [axis.get_title() for axis in figure.axes] == ["a", "b", "", "", "", ""]
    assert [axis.get_ylabel() for axis in figure.axes] == ["first", "", "second", "", "third", ""]


def test_enlarge_cuts_out_the_box():
    picture = torch.zeros(1, 3, 20, 20)
    picture[..., 5:10, 2:12] = 1.0
    cut = plots.enlarge(picture, Box(2, 5, 12, 10), 40)
    assert cut.shape == (1, 3, 20, 40)
    assert float(cut.min()) == 1.0


def test_median_stands_on_the_units():
    table = pd.DataFrame({"x": [0, 1] * 3, "y": [0, 1, 0, 2, 0, 9], "pair": ["a", "a", "b", "b", "c", "c"]})
    axis = plots.lines_with_range(table, "x", "y", ["pair"], plt.figure().gca(), label="median")
    drawn = {line.get_label(): line.get_ydata().tolist() for line in axis.get_lines()}
    assert drawn["median"] == [0, 2]
    assert len(axis.get_lines()) == 4
