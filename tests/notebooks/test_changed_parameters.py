"""Every notebook with other values than its own: it runs, or says before it computes what to do.

What breaks where values change is tables and figures: the loss networks here have four random channels, and no figure
is drawn to disk. `STYLEREPRO_EVERY_PARAMETER=1` changes every parameter by itself besides, which takes half an hour.
"""

import functools
import os
import re
import shutil

import pytest
import torch
from cells import executed

from stylerepro.errors import ImageError, ParameterError, StyleReproError
from stylerepro.files import project_root
from stylerepro.networks.loss_network import LossNetwork
from stylerepro.networks.specs import NETWORKS
from stylerepro.pictures import images
from stylerepro.runs import experiments, gallery, results

# Own pictures by their paths, as content and as style; lists of one entry, in another order, with entries of others.
OWN = {"contents": ["OWN"], "styles": ["FLAT"]}
CHANGED = {
    "charbonnier": OWN | {"forms": ["square"], "levels": [0.01]},
    "compressed_transfer": {"portraits": ["OWN", "coffee"], "styles": ["FLAT"], "reading": "h", "levels": [[0.01]]},
    "compression": {"portraits": ["coffee"], "others": ["OWN"], "factored": ["FLAT"], "sizes": [48], "style": "OWN"},
    "efficient_networks": OWN | {"architectures": ["depsep"], "multipliers": [1, 4], "styles": ["swirls:3"]},
    "fast_transfer": OWN | {"rivals": ["OWN"], "lambda_c_values": [1.0], "seeds": [1]},
    "initialisation": OWN | {"layers": ["conv3_1", "relu1_2"], "levels": [0.9, 0.01], "optimisers": ["adam"]},
    "layer_subsets": OWN
    | {
        "timed_subsets": ["gatys"],
        "iterations": [3, 2],
        "b_values": [],
        "other_styles": ["swirls"],
        "photographs": ["coffee"],
    },
    "lbfgs_512": OWN | {"formulas": ["notebook"], "others": [], "low_precision": 0},
    "pooling": OWN | {"conventions": ["johnson"], "betas": [1.0], "optimisers": ["lbfgs"]},
    "reconstructions": {"contents": ["OWN"], "styles": ["coffee"], "content_layers": ["relu3_1", "conv2_1"]},
    "tv_sweep": OWN | {"gammas": [5.0, 0.0], "others": [], "convention": "johnson"},
    "vanilla_transfer": OWN | {"readings": ["gatys/conv"], "betas": [10.0]},
    "vanilla_vs_fast": OWN | {"timed_sizes": [48, 32], "architecture": "depsep"},
}
# What random networks need: smaller steps.
RANDOM = {"initialisation": {"descent_rates": [1e-7], "adam_rates": [1e-4], "tuning_iterations": 4}}
# Entries and words beside the defaults, for one parameter at a time.
OTHERS = {
    "contents": [["OWN"], ["coffee", "chelsea"], ["chelsea", "chelsea"]], "styles": [["OWN"], ["swirls:3", "woodcut"]],
    "portraits": [["OWN"], ["coffee"]], "formulas": [["notebook"], ["document, from noise"], ["none"]],
    "conventions": [["gatys"], ["none"]], "optimisers": [["lbfgs"], ["none"]],
    "content_layers": [["relu2_1"], ["all"], ["none"]], "layers": [["relu2_1"], ["none"]],
    "architectures": [["johnson"], ["none"]], "levels": [[0.01], [0.99]],
    "convention": ["gatys/conv", "means/conv", "none"], "network": ["vgg16", "none"], "device": ["cpu", "none"],
    "clamp": ["end", "none"], "start": ["noise", "none"], "content_target": ["style", "none"], "reading": ["h", "none"],
}  # fmt: skip


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Run a notebook with own pictures in the place of OWN and of FLAT, which has no edge."""
    (tmp_path / "notebooks").symlink_to(project_root() / "notebooks")
    monkeypatch.setenv("STYLEREPRO_ROOT", str(tmp_path))
    monkeypatch.setenv("STYLEREPRO_CACHE", str(tmp_path))
    monkeypatch.delenv("STYLEREPRO_MIRROR", raising=False)
    small = {"widths": (4,) * 5, "keys": "random"} | dict.fromkeys(["asset", "packaged", "mirrored"]) | {"trunk": ()}
    for spec in NETWORKS.values():
        for field in (vars(spec).keys() & small.keys()) if len(spec.depths) == 5 else ():
            monkeypatch.setitem(vars(spec), field, small[field])
    monkeypatch.setattr(LossNetwork.root_mean_squares, "__defaults__", (32,))
    monkeypatch.setattr(images, "read", functools.cache(images.read))
    monkeypatch.setattr(gallery, "_write_spectrum", lambda *_: None)
    monkeypatch.setattr(results, "write_figure", lambda *_: None)
    places = {"OWN": tmp_path / "own" / "1.png", "FLAT": tmp_path / "flat" / "1.png"}
    images.write(images.read("flower", 90), places["OWN"])
    images.write(torch.full((1, 3, 90, 120), 0.5), places["FLAT"])

    def placed(value):
        if isinstance(value, list):
            return [placed(part) for part in value]
        return str(places[value]) if isinstance(value, str) and value in places else value

    def run(name, changes):
        changes = RANDOM.get(name, {}) | changes
        shutil.rmtree(tmp_path / "results", ignore_errors=True)
        executed(name, **{parameter: placed(value) for parameter, value in changes.items()})
        return results.tables_of(tmp_path / "results" / "runs")[name]

    return run


@pytest.mark.parametrize("name", CHANGED)
def test_a_notebook_runs_with_own_pictures_and_other_values(own, name):
    table = own(name, CHANGED[name])
    names = {text for column in table.filter(["content", "style", "picture"]) for text in table[column].dropna()}
    assert {text for text in names if not re.fullmatch(r"-|1-\w{8}\.png", text)} <= {"coffee", "swirls:3"}


@pytest.mark.parametrize(
    "name", ["charbonnier", "compressed_transfer", "layer_subsets", "lbfgs_512", "reconstructions"]
)
def test_a_picture_without_edges_is_named_before_anything_is_computed(own, name):
    with pytest.raises(ImageError, match=r"flat.1\.png: The reference has no edge.* Take another picture"):
        own(name, {"portraits" if name == "compressed_transfer" else "contents": ["FLAT"]})


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("efficient_networks", {"device": "cuda"}, "take auto, for the times of the CPU"),
        ("lbfgs_512", {"formulas": ["gatys"]}, "of the five that there are"),
        ("pooling", {"conventions": ["gatys"]}, "a β for each of the conventions"),
        ("pooling", {"optimisers": ["gradient_descent"]}, "a step size of its own"),
        ("tv_sweep", {"contents": []}, "a content and a style at least"),
        ("vanilla_transfer", {"timed_repeats": 0}, "give 1 at least of each"),
    ],
)
def test_what_cannot_be_is_refused_by_the_command(name, changes, words):
    with pytest.raises(ParameterError, match=words):
        experiments.resolve_parameters(experiments.load(name), "smoke", changes)


def one_by_one(name):
    """The other truth, twice the number, no entry, one, the other order, and entries beside the defaults."""
    for parameter, value in experiments.load(name).profiles["smoke"].parameters.items():
        if isinstance(value, list):
            others = [value[:1], value[::-1], []]
        else:
            others = [not value] if isinstance(value, bool) else [0, 2 * value + 1] if isinstance(value, int) else []
            others += [2 * value] if isinstance(value, float) else []
        for other in [*others, *OTHERS.get(parameter, [])]:
            if other != value:
                yield {parameter: other}


@pytest.mark.skipif("STYLEREPRO_EVERY_PARAMETER" not in os.environ, reason="takes half an hour")
@pytest.mark.parametrize("name", CHANGED)
def test_every_parameter_by_itself_runs_or_is_refused_before_computing(own, name, tmp_path):
    wrong = {}
    for changes in one_by_one(name):
        try:
            own(name, changes)
        except StyleReproError as error:
            wrong |= {str(changes): error} if any(tmp_path.glob("results/runs/**/*.pt")) else {}
        except Exception as error:
            wrong[str(changes)] = error
    assert wrong == {}
