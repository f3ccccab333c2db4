from collections import Counter
from itertools import product

import numpy as np
import pandas as pd
import pytest
import toy
import yaml

from stylerepro.errors import ClaimError
from stylerepro.ledger import claims, summary
from stylerepro.ledger.claims import Tolerance
from stylerepro.ledger.rules import NOT_REPRODUCED, NOT_TESTED, REPRODUCED, TREND_ONLY, VERDICTS
from stylerepro.runs import results

COUNTS = {"000": 7, "001": 8, "002": 4, "003": 8, "004": 5}
COLUMNS = ["picture", "size", "method", "n", "sigma_share", "sigma2_share", "mse"]
PLAIN = {
    "document": {"id": "000", "title": "T", "authors": [], "institution": None, "year": None, "link": None},
    "claims": [
        {
            "id": "000.1",
            "quote": "keeps 50% of the variance",
            "place": "p. 1",
            "number": 50,
            "unit": "%",
            "statement": "150 singular values keep half of the variance.",
            "experiment": "compression",
            "tolerance": {"absolute": 0.1},
            "rule": {
                "kind": "number",
                "name": "share",
                "where": {"method": "hosvd", "n": 150},
                "column": "sigma2_share",
                "scale": 100,
                "statistic": "closest",
                "within": [49, 51],
                "loosely": [45, 55],
                "otherwise": [{"reading": "of values", "column": "sigma_share"}],
            },
            "why": "planted",
        }
    ],
}


@pytest.fixture(scope="module")
def ledger():
    return claims.load_ledger()


@pytest.fixture(scope="module")
def hosvd():
    """What HOSVD with n = 150 keeps of a real portrait, scikit-image's astronaut, at two sizes."""
    rows = [(400, 0.928, 0.9995, 1.6e-4), (512, 0.895, 0.9991, 2.65e-4)]
    table = pd.DataFrame(rows, columns=["size", "sigma_share", "sigma2_share", "mse"])
    return table.assign(picture="astronaut", method="hosvd", n=150)


def write(folder, content=PLAIN, name="000.yaml"):
    (folder / name).write_text(content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False))
    return folder


def load(folder, declared=None):
    return claims.load_ledger(folder, {"compression": COLUMNS} if declared is None else declared)


def changed(**claim):
    return {**PLAIN, "claims": [{**PLAIN["claims"][0], **claim}]}


FINDING = {
    "claim": "000.1",
    "written_for": NOT_REPRODUCED,
    "text": "It keeps {value} % [{low}, {high}], not {number} %.",
}


def with_finding(**finding):
    return {**PLAIN, "finding": {**FINDING, **finding}}


def test_the_ledger_holds_every_claim_of_every_document(ledger):
    assert COUNTS.items() <= Counter(claim.document for claim in ledger).items(), "more documents are welcome"
    for claim in ledger:
        assert 5 < len(claim.quote) < 250, "short, in the document's words"
        assert "\n" not in claim.quote
        assert claim.why
    assert ledger.claim("000.1").number == 91.91
    assert ledger.claim("004.3").number == (26.1, 39.1, 57.1)
    assert ledger.documents.keys() >= ledger.findings.keys() >= COUNTS.keys()
    with pytest.raises(ClaimError, match=r"no claim '003.9'. Did you mean '003"):
        ledger.claim("003.9")


def test_before_any_run_nothing_is_tested(ledger):
    table = summary.evaluate(ledger, {})
    assert set(table["verdict"]) == {NOT_TESTED}
    assert table["reason"].str.contains("has not been run").all()


def test_a_planted_false_claim_is_not_reproduced(tmp_path, hosvd):
    row = summary.evaluate(load(write(tmp_path)), {"compression": hosvd}).iloc[0]
    assert row["verdict"] == NOT_REPRODUCED
    assert row["value"] == pytest.approx(89.5, abs=10.5)
    assert row["unit"] == "%"


def test_a_row_says_what_its_value_is_and_on_what_runs_it_rests(ledger):
    """Readings that were tried count too; what was run but not looked at, or with the network of tests, does not."""
    shown = {"experiment": "tv_sweep", "profile": "reference"}
    runs = [sweep(0.1).assign(run="first"), sweep(-0.1, "means").assign(run="other")]
    aside = [sweep(0.1, network="tiny").assign(run="tiny"), sweep(0.1).assign(run="empty", total_variation=np.nan)[:0]]
    table = pd.concat([*runs, *aside]).assign(**shown)
    row = summary.evaluate(ledger, {"tv_sweep": table}, resamples=100).set_index("id").loc["003.1"]
    assert (row["measure"], row["kind"]) == ("total variation of the result against γ", "trend")
    assert row["n"] == 9
    assert row["effect"] < -1, "the change from γ = 0 to γ = 100 over its standard deviation"
    assert row["runs"] == [{**shown, "run": "first"}, {**shown, "run": "other"}]
    assert [(part["name"], part["kind"]) for part in row["parts"]][1] == (
        "total variation at γ = 10 over that at γ = 0", "threshold",
    )  # fmt: skip
    assert row["parts"][0]["value"] == row["value"]
    assert row["tolerance"].startswith("±")
    assert row["why"] == ledger.claim("003.1").why
    untested = summary.evaluate(ledger, {}).set_index("id").loc["003.1"]
    assert untested["runs"] == []
    assert untested["n"] is pd.NA


def test_a_network_that_the_rule_names_is_shown_with_the_verdict(ledger):
    assert summary.evaluate(ledger, {}).set_index("id").loc["002.3", "networks"] == {"vgg19": NOT_TESTED}


@pytest.mark.parametrize(
    ("tolerance", "reference", "near", "far"),
    [
        (Tolerance(absolute=0.1), 1.0, [0.9, 1.1], [0.89, 1.11, -1.0]),
        (Tolerance(relative=0.1), -2.0, [-1.8, -2.2], [-1.79, -2.21, 2.0]),
        (Tolerance(relative=0.1), 0.0, [0.0], [1e-9]),
    ],
)
def test_tolerance(tolerance, reference, near, far):
    assert all(tolerance.agree(reference, number) for number in near)
    assert not any(tolerance.agree(reference, number) for number in far)
    assert str(Tolerance(relative=0.33)) == "±33 %"
    assert str(Tolerance(absolute=0.01)) == "±0.01"


def test_a_finding_takes_its_numbers_from_the_row(tmp_path, hosvd):
    ledger = load(
        write(tmp_path, with_finding(text="{value} % [{low}, {high}], {parts[0][value]:.1f}, not {number}; {n} rows."))
    )
    row = summary.evaluate(ledger, {"compression": hosvd}).iloc[0].to_dict()
    finding = ledger.findings["000"]
    assert finding.filled(row) == "99.9 % [99.9, 100], 99.9, not 50; 2 rows."
    assert finding.filled(row | {"value": -0.5}).startswith("−0.5 %")
    assert finding.filled(row | {"number": (1.5, 2.0, 3.0)}).endswith("not 1.5, 2 and 3; 2 rows.")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"verdict": TREND_ONLY, "reason": "r"},
            "Claim 000.1: .* written for 'not reproduced', but the verdict is 'trend",
        ),
        ({"low": None}, "Claim 000.1: its finding asks for what is not there: one of its placeholders has no value"),
        ({"value": float("nan")}, "has no value"),
    ],
)
def test_a_finding_does_not_outlive_its_verdict_or_its_numbers(tmp_path, hosvd, change, message):
    ledger = load(write(tmp_path, with_finding()))
    row = summary.evaluate(ledger, {"compression": hosvd}).iloc[0].to_dict()
    with pytest.raises(ClaimError, match=message):
        ledger.findings["000"].filled(row | change)


def test_the_share_of_document_000_fits_singular_values_and_not_variance(ledger, hosvd):
    table = summary.evaluate(ledger, {"compression": with_columns(ledger, hosvd)}).set_index("id")
    first = table.loc["000.1"]
    assert first["verdict"] == TREND_ONLY
    assert "share of Σσ (singular values and not their squares)" in first["reason"]
    assert first["value"] == pytest.approx(99.91)
    assert table.loc["000.2", "verdict"] == TREND_ONLY, "1.6e-4 where the share fits does not round to 1e-4"
    assert table.loc["000.3", "verdict"] == NOT_TESTED, "no row of HONMF+SVD in this table"


def with_columns(ledger, table):
    """The table with all columns that the ledger's rules on compression ask for."""
    wanted = [column for claim in ledger for column in _columns(claim) if claim.experiment == "compression"]
    return table.reindex(columns=list(dict.fromkeys([*table.columns, *wanted])))


def _columns(claim):
    from stylerepro.ledger.rules import columns
    from stylerepro.ledger.verdicts import leaves, readings

    for leaf in leaves(claim.rule):
        for reading in [leaf, *(reading for _, reading in readings(leaf))]:
            if reading["experiment"] == claim.experiment:
                yield from columns(reading)


def sweep(power=1.0, convention="gatys", network="vgg19-16x"):
    """A table as of the TV sweep: total variation falls as (1 + γ) to the minus `power`."""
    generator = np.random.default_rng(0)
    rows = []
    for content, style, gamma in product(
        ["astronaut", "coffee", "china"], ["swirls", "woodcut", "cubist"], [0, 1, 10, 100]
    ):
        ratio = float((1 + gamma) ** -power * (1 if gamma == 0 else 1 + 0.1 * power * generator.uniform(-1, 1)))
        settings = {"network": network, "convention": convention, "content": content, "style": style, "size": 256}
        result = dict.fromkeys(["tv_ratio", "ssim_gamma0", "high_frequency_ratio"], ratio)
        beside = {"ssim_content": 0.5, "style_ratio": 1.0, "tv_share_end": 0.3}
        spectrum = {"total_variation": 0.1 * ratio, "high_frequency_share": 0.2 * ratio}
        rows.append({**settings, "gamma": float(gamma), **result, **spectrum, **beside})
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (sweep(0.1), REPRODUCED),
        (sweep(0.001), TREND_ONLY),
        (sweep(-0.1), NOT_REPRODUCED),
        (pd.concat([sweep(0.1), sweep(-0.1, network="compact")]), TREND_ONLY),
        (pd.concat([sweep(-0.1), sweep(0.1, "means")]), TREND_ONLY),
        (sweep(0.1, network="tiny"), NOT_TESTED),
    ],
)
def test_smoothness_against_gamma(ledger, table, expected):
    judged = summary.evaluate(ledger, {"tv_sweep": table}, resamples=100).set_index("id").loc[["003.1", "003.2"]]
    assert set(judged["verdict"]) == {expected}
    if expected == REPRODUCED:
        assert judged.loc["003.1", "networks"] == {"vgg19-16x": REPRODUCED}
        assert judged.loc["003.1", "high"] < 0
        assert "style loss at γ = 10 over that at γ = 0: 1" in judged.loc["003.1", "beside"]


def transfers(gain, control_gain, start=0.5):
    """A table as of the compressed transfer: what each input gains in every measure of contours."""
    generator = np.random.default_rng(0)
    gains = {
        "raw": 0.0, "hosvd": gain, "honmf_svd": 2 * gain, "blur_hosvd": control_gain, "jpeg_hosvd": control_gain,
        "blur_honmf_svd": control_gain, "jpeg_honmf_svd": control_gain,
    }  # fmt: skip
    keys = product(["astronaut", "grace_hopper"], ["swirls", "woodcut", "cubist"], [0.5, 0.1], gains)
    rows = []
    for content, style, level, source in keys:
        measured = {
            name: start + gains[source] + 0.002 * generator.normal()
            for name in ("edge_ssim", "gradient_correlation", "pratt_fom")
        }
        n = None if source == "raw" else 150
        settings = {"network": "vgg19-16x", "content": content, "style": style, "size": 400, "n": n, "level": level}
        rows.append({**settings, "input": source, "iterations": 100, **measured})
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("gain", "control_gain", "expected"),
    [
        (0.05, 0.0, REPRODUCED),
        (0.05, 0.1, TREND_ONLY),
        (0.01, 0.0, TREND_ONLY),
        (0.0, 0.0, NOT_REPRODUCED),
        (-0.05, -0.1, NOT_REPRODUCED),
    ],
)
def test_clearer_contours_must_beat_blur_and_jpeg(ledger, gain, control_gain, expected):
    judged = summary.evaluate(ledger, {"compressed_transfer": transfers(gain, control_gain)}, resamples=100).set_index(
        "id"
    )
    assert judged.loc["000.5", "verdict"] == expected
    assert set(judged["verdict"]) <= set(VERDICTS)
    assert judged.loc["000.7", "verdict"] == NOT_TESTED, "its storage part has not been run"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (changed(id="000.2"), "'000.2' stands where '000.1' should"),
        ({**PLAIN, "claims": PLAIN["claims"] * 2}, "'000.1' stands where '000.2' should"),
        (changed(experiment="compresion"), "no experiment 'compresion'. Did you mean 'compression'"),
        (changed(rule={**PLAIN["claims"][0]["rule"], "column": "variance"}), "no column 'variance'"),
        (changed(number=None), "needs a number"),
        (changed(unit=None), "has a number but no unit"),
        (changed(verdict="reproduced"), "never typed"),
        (
            changed(rule={**PLAIN["claims"][0]["rule"], "within": [-1e6, 1e6], "loosely": [-1e7, 1e7]}),
            "no value could fail",
        ),
        (changed(qoute="x"), "no key 'qoute'. Did you mean 'quote'"),
        (changed(why=" "), "why is ' '; it should have at least 1 character"),
        (changed(tolerance=None), "Claim 000.1, tolerance must have names and values, not None"),
        (changed(tolerance={"absolute": 1, "relative": 1}), "one of the two"),
        (changed(tolerance={"absolut": 1}), "tolerance has no key 'absolut'. Did you mean 'absolute'"),
        (changed(tolerance={"relative": -0.1}), "tolerance.relative is -0.1; it should be greater than 0"),
        (with_finding(claim="000.2"), "no claim '000.2'. Did you mean '000.1'"),
        (with_finding(written_for="holds"), "written for 'holds', which is none of reproduced, trend only"),
        (with_finding(text="Of {value} and {vaule}."), "placeholders in its text, of value, .*: it has"),
        (with_finding(text="No number."), "needs placeholders"),
        (with_finding(text="Of {value and."), "000.yaml, finding expected '}'"),
        (with_finding(text="Of {value} % instead of 91."), "types 91: a number comes from the tables"),
        ({**PLAIN, "remarks": 1}, "000.yaml has no key 'remarks'"),
        ({**PLAIN, "document": {"id": "000"}}, "document lacks title, authors, institution, year, link"),
        ({**PLAIN, "document": {**PLAIN["document"], "id": "001"}}, "must be the file's name"),
        (
            {**PLAIN, "document": {**PLAIN["document"], "year": "2018"}},
            "year is '2018'; it should be a valid integer",
        ),
        ("claims: [", "is not the YAML it should be"),
        ("- 1", "must have names and values"),
        ("document: {id: '000'}\ndocument: {id: '001'}", "the key 'document' is there twice"),
    ],
)
def test_a_ledger_that_is_not_one_is_refused(tmp_path, content, message):
    with pytest.raises(ClaimError, match=message):
        load(write(tmp_path, content))


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(ClaimError, match="nothing is no ledger"):
        load(tmp_path / "nothing")


def test_tables_come_from_the_results_of_one_profile(tmp_path, monkeypatch):
    asked = []
    assert summary.tables_from_results(root=tmp_path) == {}

    def read(root, profile):
        asked.append((root, profile))
        return {"compression": pd.DataFrame({"n": [1]})}

    monkeypatch.setattr(results, "tables_of", read)
    assert list(summary.tables_from_results("paper", tmp_path)) == ["compression"]
    assert asked == [(tmp_path, "paper")]


def test_a_verdict_on_reference_runs_rests_on_both_networks(monkeypatch):
    tables = {
        "reference": {"tv_sweep": pd.DataFrame({"network": ["compact"]}), "compression": pd.DataFrame({"n": [1]})},
        "crosscheck": dict.fromkeys(["tv_sweep", "charbonnier"], pd.DataFrame({"network": ["vgg19-16x"]})),
        "laptop": {"tv_sweep": pd.DataFrame({"network": ["compact"]})},
    }  # fmt: skip
    monkeypatch.setattr(results, "tables_of", lambda root, profile: tables[profile])
    both = summary.tables_from_results("reference")
    assert both["tv_sweep"]["network"].tolist() == ["compact", "vgg19-16x"]
    assert both["charbonnier"]["network"].tolist() == ["vgg19-16x"]
    assert len(both["compression"]) == 1
    alone = summary.tables_from_results("laptop")
    assert alone["tv_sweep"]["network"].tolist() == ["compact"]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with a sixth document: its file in the ledger, a notebook, its sidecar."""
    monkeypatch.setenv("STYLEREPRO_ROOT", str(tmp_path))
    sidecar = toy.SIDECAR.replace('"003"', '"005"').replace('"003.1"', '"005.1"')
    toy.add(tmp_path, "toy", sidecar=sidecar)
    (tmp_path / "stylerepro/ledger").mkdir(parents=True)
    rule = {"kind": "threshold", "name": "it", "column": "value", "at_most": 1, "units": ["gamma"]}
    claim = {**PLAIN["claims"][0], "id": "005.1", "experiment": "toy", "rule": rule}
    told = {"about": "Slides.", "slips": ["It says so twice."], "citation": {"type": "slides"}}
    document = {**PLAIN["document"], "id": "005", **told}
    write(tmp_path / "stylerepro/ledger", {"document": document, "claims": [claim]}, "005.yaml")
    return tmp_path


def test_a_projects_own_ledger_may_have_a_document_more(project):
    ledger = claims.load_ledger()
    assert [claim.id for claim in ledger] == ["005.1"]
    assert ledger.documents["005"].slips == ["It says so twice."]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('document: "005"', 'document: "006"', "toy.yaml: the ledger has no document '006'. Did you mean '005'"),
        ('["005.1"]', '["005.2"]', "toy.yaml: document 005 has no claim '005.2'. Did you mean '005.1'"),
    ],
)
def test_a_sidecar_names_a_document_and_claims_that_the_ledger_has(project, old, new, message):
    sidecar = project / "notebooks/toy.yaml"
    sidecar.write_text(sidecar.read_text().replace(old, new))
    with pytest.raises(ClaimError, match=message):
        claims.load_ledger()
