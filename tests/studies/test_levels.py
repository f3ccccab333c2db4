"""Equal style loss: the first crossing, the right images, the interpolation in between."""

import math

import pytest
import torch

from stylerepro.studies.convergence import Crossings
from stylerepro.transfer.history import Progress
from stylerepro.transfer.transfer import transfer


def feed(crossings, step, losses, levels_of_grey, first=0):
    image = torch.stack([torch.full((3, 4, 4), grey) for grey in levels_of_grey])
    settings = slice(first, first + len(losses))
    crossings(Progress(step, step + 1, 10, settings, {"style": torch.tensor(losses)}, image))


def mean(image):
    return float(image.mean())


def test_first_crossing_interpolated_in_the_logarithm():
    crossings = Crossings([0.5, 0.1])
    feed(crossings, 0, [100.0, 120.0], [0.0, 0.0])
    feed(crossings, 1, [80.0, 90.0], [0.2, 0.3])
    feed(crossings, 2, [40.0, 45.0], [0.4, 0.5])
    feed(crossings, 3, [60.0, 20.0], [0.9, 0.9])  # a rise afterwards does not count
    table = crossings.table({"grey": mean})
    assert table[["setting", "level"]].values.tolist() == [[0, 0.5], [1, 0.5]]
    # Both are measured at the loss of 50: half of what setting 0 began with.
    assert table["style_loss"].tolist() == [50.0, 50.0]
    share = math.log(80 / 50) / math.log(80 / 40)
    assert table["iterations"][0] == pytest.approx(1 + share)
    assert table["grey"][0] == pytest.approx(0.2 + share * 0.2)
    assert {s: round(mean(i), 3) for s, i in crossings.images(0.5).items()} == {0: 0.4, 1: 0.5}
    assert crossings.images(0.1) == {}


def test_settings_in_turn_as_lbfgs_takes_them():
    crossings = Crossings([0.5])
    feed(crossings, 0, [10.0], [0.0])
    feed(crossings, 1, [4.0], [0.1])
    feed(crossings, 0, [12.0], [0.0], first=1)
    feed(crossings, 1, [5.0], [0.2], first=1)
    assert crossings.table({})["setting"].tolist() == [0, 1]
    assert crossings.table({})["style_loss"].tolist() == [5.0, 5.0]


@pytest.mark.parametrize("levels", [[], [1.0], [0.0, 0.5], [2.0]])
def test_levels_are_shares(levels):
    with pytest.raises(ValueError, match="between 0 and 1"):
        Crossings(levels)


@pytest.mark.parametrize("optimiser", ["adam", "lbfgs"])
def test_on_a_real_transfer(optimiser):
    content, style = torch.rand(2, 3, 24, 24, generator=torch.Generator().manual_seed(3)).split(1)
    crossings = Crossings([0.6])
    result = transfer(
        torch.cat([content, content * 0.9]),
        style,
        network="tiny",
        style_layers=["conv1_1", "conv2_1"],
        content_layers=["conv2_2"],
        optimiser=optimiser,
        iterations=40,
        callback=crossings,
    )
    table = crossings.table({"grey": mean})
    assert table["setting"].tolist() == [0, 1]
    first = result.history.query("setting == 0").set_index("step")["style"]
    step = first[first <= 0.6 * first[0]].index[0]
    assert step - 1 <= table["iterations"][0] <= step
