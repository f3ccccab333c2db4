"""The ledger's own claims on made-up tables, and what is refused of a ledger that is not one."""

from collections import Counter
from itertools import product

import numpy as np
import pandas as pd
import pytest
import small_book
import yaml

from stylerepro.errors import ClaimError
from stylerepro.ledger import claims, summary
from stylerepro.ledger.claims import Tolerance
from stylerepro.ledger.rules import NOT_REPRODUCED, NOT_TESTED, REPRODUCED, TREND_ONLY
from stylerepro.runs import experiments

COUNTS = {"000": 8, "001": 11, "002": 4, "003": 10, "004": 5}
RULE = {"kind": "number", "name": "share", "where": {"method": "hosvd", "n": 150}, "column": "sigma2_share"}
RULE |= {"scale": 100, "statistic": "closest", "within": [49, 51], "loosely": [45, 55]}
RULE |= {"otherwise": [{"reading": "of values", "column": "sigma_share"}]}
CLAIM = small_book.CLAIM | {"number": 50, "unit": "%", "experiment": "compression", "rule": RULE}
FINDING = {"claim": "000.1", "written_for": NOT_REPRODUCED, "text": "{value} % [{low}, {high}], not {number} %."}


def content(document=(), finding=None, **claim):
    """A ledger's file of one claim, with these changes."""
    told = {} if finding is None else {"findings": [FINDING | finding]}
    return {"document": small_book.DOCUMENT | dict(document), "claims": [CLAIM | claim]} | told


def load(folder, content):
    """The ledger of one file with this content."""
    text = content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False)
    (folder / "000.yaml").write_text(text)
    return claims.load_ledger(folder, {"compression": list(experiments.load("compression").columns)})


def judge(ledger, **tables):
    return summary.evaluate(ledger, tables).set_index("id")


@pytest.fixture(scope="module")
def ledger():
    return claims.load_ledger()


@pytest.fixture(scope="module")
def hosvd():
    """What HOSVD with n = 150 keeps of a real portrait, the astronaut, at three sizes, and of one just like it."""
    rows = [(400, 0.928, 0.9995, 1.6e-4), (448, 0.912, 0.9993, 2.1e-4), (512, 0.895, 0.9991, 2.65e-4)]
    table = pd.DataFrame(rows, columns=["size", "sigma_share", "sigma2_share", "mse"])
    table = pd.concat([table.assign(picture=name) for name in ("astronaut", "grace_hopper")], ignore_index=True)
    table = table.assign(method="hosvd", n=150)
    return table.reindex(columns=list(experiments.load("compression").columns))


def test_the_ledger_holds_every_claim_of_every_document(ledger):
    assert COUNTS.items() <= Counter(claim.document for claim in ledger).items(), "more documents are welcome"
    for claim in ledger:
        assert 5 < len(claim.quote) < 250, "short, in the document's words"
        assert "\n" not in claim.quote
    numbers = {claim.id: claim.number for claim in ledger}
    assert (numbers["000.1"], numbers["004.3"]) == (91.91, (26.1, 39.1, 57.1))
    assert ledger.documents.keys() >= ledger.findings.keys() >= COUNTS.keys()


def test_before_any_run_nothing_is_tested(ledger):
    table = judge(ledger)
    assert set(table["verdict"]) == {NOT_TESTED}
    assert table["reason"].str.contains("has not been run").all()
    assert not any(table["runs"])
    assert table["n"].isna().all()
    assert table.loc["002.3", "networks"] == {"vgg19": NOT_TESTED}, "a network that the rule names is shown"


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
    assert (str(Tolerance(relative=0.33)), str(Tolerance(absolute=0.01))) == ("±33 %", "±0.01")


def test_a_finding_takes_its_numbers_from_the_row_and_does_not_outlive_them(tmp_path, hosvd):
    def fill(text, **change):
        """Fill a finding's text from the row of a claim that is false, with some of its cells changed."""
        planted = load(tmp_path, content(finding={"text": text}))
        row = judge(planted, compression=hosvd).reset_index().iloc[0].to_dict()
        assert (row["verdict"], row["unit"]) == (NOT_REPRODUCED, "%")
        return planted.findings["000"][0].filled(row | change)

    assert fill("{value} % [{low}, {high}], {parts[0][value]:.1f}; {n} rows") == "99.9 % [99.9, 100], 99.9; 6 rows"
    assert fill("{value}, not {number}", value=-0.5, number=(1.5, 2.0, 3.0)) == "−0.5, not 1.5, 2 and 3"
    for change in ({"low": None}, {"value": float("nan")}):
        with pytest.raises(ClaimError, match=r"Claim 000\.1: .* what is not there: one .* has no value"):
            fill("{value} % [{low}, {high}]", **change)


def test_the_share_of_document_000_fits_singular_values_and_not_variance(ledger, hosvd):
    table = judge(ledger, compression=hosvd)
    first = table.loc["000.1"]
    assert first["verdict"] == TREND_ONLY
    assert "share of Σσ (singular values and not their squares)" in first["reason"]
    assert first["value"] == pytest.approx(99.91)
    assert table.loc["000.2", "verdict"] == TREND_ONLY, "1.6e-4 where the share fits does not round to 1e-4"
    assert table.loc["000.3", "verdict"] == NOT_TESTED, "no row of HONMF+SVD in this table"


# What the judges say of a picture that is a style transfer.
PASSED = dict.fromkeys(("gate_predictor", "gate_imagenet", "gate_content", "gate_structure"), 0.1)


def sweep(power=1.0, convention="gatys", network="vgg16-caffe"):
    """A table as of the TV sweep: total variation falls as (1 + γ) to the minus `power`."""
    generator = np.random.default_rng(0)
    contents, styles = ["astronaut", "coffee", "china"], ["swirls", "woodcut", "cubist", "sumi", "pointillism"]
    rows = []
    for content, style, gamma in product(contents, styles, [0, 1, 10, 100]):
        ratio = float((1 + gamma) ** -power * (1 if gamma == 0 else 1 + 0.1 * power * generator.uniform(-1, 1)))
        result = dict.fromkeys(["tv_ratio", "ssim_gamma0", "high_frequency_ratio"], ratio)
        spectrum = {"total_variation": 0.1 * ratio, "high_frequency_share": 0.2 * ratio}
        rows.append({"content": content, "style": style, "gamma": float(gamma), **result, **spectrum})
    beside = {"size": 256, "ssim_content": 0.5, "style_ratio": 1.0, "tv_share_end": 0.3} | PASSED
    return pd.DataFrame(rows).assign(network=network, convention=convention, **beside)


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (sweep(0.1), REPRODUCED), (sweep(0.001), TREND_ONLY), (sweep(-0.1), NOT_REPRODUCED),
        (pd.concat([sweep(0.1), sweep(-0.1, network="compact")]), TREND_ONLY),
        (pd.concat([sweep(-0.1), sweep(0.1, "johnson")]), TREND_ONLY), (sweep(0.1, network="tiny"), NOT_TESTED),
    ],
)  # fmt: skip
def test_smoothness_against_gamma(ledger, table, expected):
    judged = judge(ledger, tv_sweep=table).loc[["003.1", "003.2"]]
    assert set(judged["verdict"]) == {expected}
    if expected == REPRODUCED:
        assert judged.loc["003.1", "networks"] == {"vgg16-caffe": REPRODUCED}
        assert judged.loc["003.1", "high"] < 0
        assert "style loss at γ = 10 over that at γ = 0: 1" in judged.loc["003.1", "beside"]


def test_a_row_says_what_its_value_is_and_on_what_runs_it_rests(ledger):
    """Readings that were tried count too; what was run but not looked at, or with the network of tests, does not."""
    shown = {"experiment": "tv_sweep", "profile": "reference"}
    runs = [sweep(0.1).assign(run="first"), sweep(-0.1, "johnson").assign(run="other")]
    aside = [sweep(0.1, network="tiny").assign(run="tiny"), sweep(0.1).assign(run="empty", total_variation=np.nan)[:0]]
    row = judge(ledger, tv_sweep=pd.concat([*runs, *aside]).assign(**shown)).loc["003.1"]
    assert (row["measure"], row["kind"]) == ("total variation of the result against γ", "trend")
    assert (row["n"], row["design"]) == (15, "3 contents × 5 styles")
    assert row["effect"] < -1, "the change from γ = 0 to γ = 100 over its standard deviation"
    assert row["runs"] == [{**shown, "run": "first"}, {**shown, "run": "other"}]
    part = row["parts"][1]
    assert (part["name"], part["kind"]) == ("total variation at γ = 10 over that at γ = 0", "threshold")
    assert row["parts"][0]["value"] == row["value"]
    assert row["tolerance"].startswith("±")
    assert row["why"] == next(claim.why for claim in ledger if claim.id == "003.1")


def transfers(gain, control_gain, start=0.5):
    """A table as of the compressed transfer: what each input gains in every measure of contours."""
    generator = np.random.default_rng(0)
    controls = dict.fromkeys(["blur_hosvd", "jpeg_hosvd", "blur_honmf_svd", "jpeg_honmf_svd"], control_gain)
    gains = {"raw": 0.0, "hosvd": gain, "honmf_svd": 2 * gain} | controls
    styles = ["swirls", "woodcut", "cubist", "sumi", "pointillism"]
    keys = product(["astronaut", "grace_hopper"], styles, [0.2, 0.1], gains)
    table = pd.DataFrame(keys, columns=["content", "style", "level", "input"])
    for name in ("contour_contrast", "edge_ssim", "gradient_correlation", "pratt_fom"):
        table[name] = start + table["input"].map(gains) + 0.002 * generator.normal(size=len(table))
    table["n"] = [None if source == "raw" else 150 for source in table["input"]]
    return table.assign(network="vgg16-caffe", size=400, iterations=100, optimiser="gradient_descent", **PASSED)


@pytest.mark.parametrize(
    ("gain", "control_gain", "expected"),
    [
        (0.05, 0.0, REPRODUCED), (0.05, 0.1, TREND_ONLY), (0.01, 0.0, TREND_ONLY), (0.0, 0.0, NOT_REPRODUCED),
        (-0.05, -0.1, NOT_REPRODUCED),
    ],
)  # fmt: skip
def test_clearer_contours_must_beat_blur_and_jpeg(ledger, gain, control_gain, expected):
    judged = judge(ledger, compressed_transfer=transfers(gain, control_gain))
    assert judged.loc["000.5", "verdict"] == expected
    assert judged.loc["000.7", "verdict"] == NOT_TESTED, "its storage part has not been run"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (content(id="000.2"), "'000.2' stands where '000.1' should"),
        (content() | {"claims": [CLAIM] * 2}, "'000.1' stands where '000.2' should"),
        (content(experiment="compresion"), "no experiment 'compresion'. Did you mean 'compression'"),
        (content(rule=RULE | {"column": "variance"}), "no column 'variance'"),
        (content(number=None), "needs a number"),
        (content(unit=None), "has a number but no unit"),
        (content(sort="pictures"), "sort is 'pictures'; it should be 'arithmetic', 'cost' or 'picture'"),
        (content(sort="picture"), "is about pictures and has no gates"),
        (content(sort="picture", gates={"ask": ["style"]}), "must ask for style and content, or say in exempt"),
        (content(gates={"ask": ["stile", "content"], "exempt": "so"}), "it should be 'style', 'content' or 'settled'"),
        (content(gates={"ask": [], "exempt": "so", "base": {"gama": 0}}), "no column 'gama'"),
        (content(settings=[{"setting": "other", "where": {"n": 1}}]), "settings are chosen by gates, and it has none"),
        (content(least={"contents": 3}), "a design has no unit 'contents'. Did you mean 'content'"),
        (content(least=None), "least"),
        (content(verdict="reproduced"), "never typed"),
        (content(qoute="x"), "no key 'qoute'. Did you mean 'quote'"),
        (content(why=" "), "why is ' '; it should have at least 1 character"),
        (content(tolerance=None), "Claim 000.1, tolerance must have names and values, not None"),
        (content(tolerance={"absolute": 1, "relative": 1}), "one of the two"),
        (content(tolerance={"absolut": 1}), "tolerance has no key 'absolut'. Did you mean 'absolute'"),
        (content(tolerance={"relative": -0.1}), "tolerance.relative is -0.1; it should be greater than 0"),
        (content(finding={"claim": "000.2"}), "no claim '000.2'. Did you mean '000.1'"),
        (content(finding={"written_for": "holds"}), "written for 'holds', which is none of reproduced, trend only"),
        (content(finding={"text": "Of {value} and {vaule}."}), "placeholders in its text, of value, .*: it has"),
        (content(finding={"text": "No number."}), "needs placeholders"),
        (content(finding={"text": "Of {value and."}), "000.yaml, findings.0 expected '}'"),
        (content(finding={"text": "Of {value} % instead of 91."}), "types 91: a number comes from the tables"),
        (content() | {"remarks": 1}, "000.yaml has no key 'remarks'"),
        (content() | {"document": {"id": "000"}}, "document lacks title, authors, institution, year, link"),
        (content(document={"id": "001"}), "must be the file's name"),
        (content(document={"year": "2018"}), "year is '2018'; it should be a valid integer"),
        ("claims: [", "is not the YAML it should be"),
        ("- 1", "must have names and values"),
        ("document: {id: '000'}\ndocument: {id: '001'}", "the key 'document' is there twice"),
    ],
)
def test_a_ledger_that_is_not_one_is_refused_and_so_is_a_missing_folder(tmp_path, content, message):
    with pytest.raises(ClaimError, match=message):
        load(tmp_path, content)
    with pytest.raises(ClaimError, match="nothing is no ledger"):
        claims.load_ledger(tmp_path / "nothing", {})
