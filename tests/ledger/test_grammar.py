import pytest

from stylerepro.errors import ClaimError
from stylerepro.ledger.grammar import checked

DECLARED = {
    "tv_sweep": ["network", "content", "style", "gamma", "total_variation", "tv_ratio"],
    "compression": ["picture", "n", "mse"],
}
THRESHOLD = {"kind": "threshold", "name": "it", "column": "tv_ratio", "at_most": 0.95}
NUMBER = {"kind": "number", "name": "it", "column": "tv_ratio", "statistic": "mean", "within": [1, 3]}


def check(rule, number=2.0):
    return checked(rule, "Claim 003.1", "tv_sweep", number, DECLARED)


def test_a_leaf_takes_the_claims_experiment_and_number():
    rule = check({**NUMBER, "at_most": None, "beside": [{"name": "n", "column": "gamma"}]})
    assert (rule["experiment"], rule["number"], rule["beside"][0]["experiment"]) == ("tv_sweep", 2.0, "tv_sweep")
    assert "at_most" not in rule, "null takes a key back, so that shared text can be changed"
    assert check({**NUMBER, "number": 1.5})["number"] == 1.5
    nested = check({"main": THRESHOLD, "also": [{**NUMBER, "experiment": "compression", "column": "mse"}]})
    assert [part["experiment"] for part in (nested["main"][0], nested["also"][0])] == ["tv_sweep", "compression"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "treshold"}, r"no kind of rule 'treshold'. Did you mean 'threshold'"),
        ({"column": "tv_ration"}, r"experiment tv_sweep has no column 'tv_ration'. Did you mean 'tv_ratio'"),
        ({"where": {"gama": 10}}, r"no column 'gama'. Did you mean 'gamma'"),
        ({"units": ["picture"]}, r"no column 'picture'"),
        ({"experiment": "tv_swep"}, r"no experiment 'tv_swep'. Did you mean 'tv_sweep'"),
        ({"at_mots": 1}, r"no key \(of a rule of kind threshold\) 'at_mots'. Did you mean 'at_most'"),
        ({"verdict": "reproduced"}, r"computed from tables and never typed"),
        ({"name": None}, r"needs name"),
        ({"at_most": None}, r"either at_most or at_least"),
        ({"at_least": 0.5}, r"either at_most or at_least"),
        ({"at_most": float("inf")}, r"at_most must be a finite number"),
        ({"at_most": "0.95"}, r"at_most must be a finite number"),
        ({"at_most": True}, r"at_most must be a finite number"),
        ({"statistic": "max"}, r"a statistic is for units: \[\]"),
        ({"units": [], "statistic": "mode"}, r"the statistic is one of mean, median, min, max, not 'mode'"),
        ({"units": ["network", "content", "style"]}, r"units are one or two columns"),
        ({"otherwise": [{"column": "gamma"}]}, r"another reading needs its name"),
        ({"otherwise": [{"reading": "other", "column": "gama"}]}, r"no column 'gama'"),
        ({"otherwise": [{"each": "convention"}]}, r"no column 'convention'"),
        ({"beside": [{"name": "n", "column": "gama"}]}, r"no column 'gama'"),
        ({"beside": [{"column": "gamma"}]}, r"needs name"),
        (
            {"beside": [{"name": "n", "column": "gamma", "at_most": 1}]},
            r"no key \(of a number shown beside\) 'at_most'",
        ),
    ],
)
def test_a_leaf_that_is_not_one_is_refused(change, message):
    with pytest.raises(ClaimError, match=message) as error:
        check({**THRESHOLD, **change})
    assert "Claim 003.1" in str(error.value)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (None, "has neither"),
        ({}, "exactly one of all, any, agree, main"),
        ({"all": [THRESHOLD], "any": [THRESHOLD]}, "exactly one of"),
        ({"main": THRESHOLD}, "main together with also"),
        ({"all": [THRESHOLD], "also": [THRESHOLD]}, "exactly one of"),
        ({"all": []}, "needs a list of rules"),
        ({"all": THRESHOLD}, "needs a list of rules"),
        ({"kind": "trend", "name": "it", "column": "tv_ratio", "x": "gamma"}, "needs direction"),
        ({"kind": "trend", "name": "it", "column": "tv_ratio", "x": "gamma", "direction": "left"}, "up or down"),
        (
            {"kind": "trend", "name": "it", "column": "tv_ratio", "x": "gamma", "direction": "up", "share": 0.1},
            "share lies above a half",
        ),
        (
            {"kind": "trend", "name": "it", "column": "tv_ratio", "x": "gamma", "direction": "up", "minimum": -1},
            "not below 0",
        ),
        ({**NUMBER, "within": [3, 1]}, r"within must be \[low, high\]"),
        ({**NUMBER, "within": [1, None]}, r"within must be \[low, high\]"),
        ({**NUMBER, "number": 4}, "must lie within its bounds"),
        ({**NUMBER, "loosely": [1.5, 2.5]}, "must lie within its bounds"),
        ({**NUMBER, "within": [-1e9, 1e9]}, "no value could fail"),
        ({"any": [THRESHOLD, {**THRESHOLD, "at_most": None, "at_least": 0.9}]}, "no value could fail"),
        ({"all": [THRESHOLD, {**THRESHOLD, "at_most": None, "at_least": 0.99}]}, "could satisfy"),
    ],
)
def test_a_rule_that_is_not_one_is_refused(rule, message):
    with pytest.raises(ClaimError, match=message):
        check(rule)


@pytest.mark.parametrize("number", [None, [1.0, 2.0], "many"])
def test_a_number_is_missing(number):
    with pytest.raises(ClaimError, match="needs a number"):
        check(NUMBER, number)
