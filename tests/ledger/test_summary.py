"""How the claims stand: own runs beside the committed ones, what is missing, the summary and the README's block."""

import io
import json
import shutil

import pandas as pd
import pytest
import small_book
import yaml
from rich.console import Console

from stylerepro.cli import display
from stylerepro.errors import ClaimError
from stylerepro.ledger import claims, summary
from stylerepro.ledger.rules import NOT_REPRODUCED, NOT_TESTED, REPRODUCED, TREND_ONLY
from stylerepro.runs import results
from stylerepro.runs.fingerprint import rule_hash, rule_hashes

RULE = small_book.RULE | {"where": {"n": 1}, "loosely": [0.2, 0.8]}
LEDGER = {
    "document": small_book.DOCUMENT,
    "findings": [{"claim": "000.1", "written_for": REPRODUCED, "text": "Stated: {number}; measured: {value}."}],
    "claims": [
        {**small_book.CLAIM, "rule": RULE},
        {**small_book.CLAIM, "id": "000.2", "rule": {**RULE, "where": {"n": 2}}},
        {**small_book.CLAIM, "id": "000.3", "rule": {**RULE, "where": {"n": 3}}, "tolerance": {"relative": 0.5}},
    ],
}


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setenv("STYLEREPRO_ROOT", str(tmp_path))
    keep(tmp_path / "results/reference/ran", "reference", {1: 0.5, 2: 0.9})
    return tmp_path


@pytest.fixture
def ledger(project):
    (project / "ledger").mkdir()
    (project / "ledger/000.yaml").write_text(yaml.safe_dump(LEDGER, sort_keys=False))
    return claims.load_ledger(project / "ledger", {"ran": ["n", "error"]})


def keep(folder, profile, errors, start="2026-11-21T10:00:00+00:00"):
    """A run's folder with a table of n and error."""
    commit = {"sha": "0123456789", "dirty": True}
    own = {"parameters": {"profile": profile}, "networks": {"compact": "ab"}, "commit": commit}
    small_book.write_run(folder, errors, profile=profile, start=start, **own)


def column(table, name):
    return [row[name] for row in summary.rows(table)]


def test_committed_runs_are_judged_with_the_record_behind_each(ledger):
    table = summary.judged(ledger)
    assert list(table.columns)[-3:] == ["profile", "rule_changed", "certificate"]
    assert column(table, "verdict") == [REPRODUCED, NOT_REPRODUCED, NOT_TESTED]
    behind = {"experiment": "ran", "profile": "reference", "run": "ran", "folder": "results/reference/ran"}
    behind |= {"networks": ["compact"], "commit": "0123456789", "dirty": True, "seconds": 12.0}
    assert column(table, "runs")[0] == [behind | {"start": "2026-11-21T10:00:00+00:00"}]
    assert column(table, "runs")[2] == []
    assert column(table, "n") == [1, 1, None]
    assert column(table, "value") == [0.5, 0.9, None]
    with pytest.raises(ClaimError, match="Did you mean 'laptop'"):
        summary.judged(ledger, "labtop")


def hashes(ledger):
    return {claim.id: rule_hash(claim.decisive(), claim.experiment) for claim in ledger}


@pytest.mark.parametrize(
    ("change", "noticed"),
    [
        ({"rule": {**RULE, "within": [0.4, 0.5]}}, True), ({"rule": {**RULE, "where": {"n": 2}}}, True),
        ({"rule": {**RULE, "otherwise": [{"reading": "another", "where": {"n": 3}}]}}, True), ({"number": 0.45}, True),
        ({"rule": {**RULE, "name": "in other words"}, "why": "Better said.", "statement": "A half, it is."}, False),
    ],
)  # fmt: skip
def test_a_rule_that_was_edited_after_its_result_is_named(ledger, project, change, noticed):
    record = project / "results/reference/ran/run.json"
    assert summary.rules_changed(summary.judged(ledger)) == [], "a run of before rules were noted"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"rules": hashes(ledger)}))
    assert summary.rules_changed(summary.judged(ledger)) == []
    edited = {**LEDGER, "claims": [{**LEDGER["claims"][0], **change}, *LEDGER["claims"][1:]]}
    (project / "ledger/000.yaml").write_text(yaml.safe_dump(edited, sort_keys=False))
    table = summary.judged(claims.load_ledger(project / "ledger", {"ran": ["n", "error"]}))
    said = ["000.1: rule changed since this run: ran (reference)"]
    assert summary.rules_changed(table) == (said if noticed else [])


def test_a_run_notes_the_rules_that_look_at_its_table_as_the_ledger_completes_them():
    ledger = claims.load_ledger()
    for experiment in ("layer_subsets", "vanilla_vs_fast", "pooling"):
        noted = rule_hashes(experiment)
        assert noted.keys() >= {claim.id for claim in ledger if claim.experiment == experiment}
        assert noted == {id: one for id, one in hashes(ledger).items() if id in noted}


def test_what_reference_runs_leave_untested_is_judged_on_runs_of_paper(ledger, project):
    keep(project / "results/reference/ran-paper", "paper", {1: 9.0, 3: 0.5})
    table = summary.judged(ledger)
    assert column(table, "verdict") == [REPRODUCED, NOT_REPRODUCED, REPRODUCED]
    assert column(table, "profile") == ["reference", "reference", "paper"]
    assert column(table, "runs")[2][0]["run"] == "ran-paper"
    assert column(summary.judged(ledger, "laptop"), "verdict") == [NOT_TESTED] * 3


def test_yours_stands_beside_the_reference_and_is_marked_beyond_the_tolerance(ledger, project):
    keep(project / "results/runs/ran/laptop-1", "laptop", {1: 0.45, 2: 0.75, 3: 0.5})
    table = summary.compare(ledger, "laptop")
    assert column(table, "reference") == [0.5, 0.9, None]
    assert column(table, "yours") == [0.45, 0.75, 0.5]
    assert column(table, "agrees") == [True, False, None], "nothing to compare the third with"
    assert column(table, "verdict") == [REPRODUCED, TREND_ONLY, REPRODUCED]
    assert column(table, "reference_verdict") == [REPRODUCED, NOT_REPRODUCED, NOT_TESTED]
    assert [run["folder"] for runs in column(table, "runs") for run in runs] == ["results/runs/ran/laptop-1"] * 3
    assert summary.disagreements(table) == ["000.2: 0.75 is not within ±0.1 of 0.9"]
    assert summary.missing(table) == []


def test_without_own_runs_the_committed_ones_stand_and_yours_is_empty(ledger):
    table = summary.compare(ledger)
    assert column(table, "yours") == column(table, "agrees") == [None, None, None]
    assert column(table, "verdict") == [REPRODUCED, NOT_REPRODUCED, NOT_TESTED]
    assert summary.missing(table) == ["000.3: no rows of ran with n 3"]
    laptop = summary.compare(ledger, "laptop")
    assert column(laptop, "reference") == [0.5, 0.9, None]
    assert summary.missing(laptop) == ["000.1, 000.2, 000.3: ran has not been run in profile laptop"]
    assert column(laptop, "verdict") == [REPRODUCED, NOT_REPRODUCED, NOT_TESTED]
    assert column(laptop, "profile") == ["reference"] * 3
    assert column(laptop, "agrees") == [None, None, None]
    console = Console(file=io.StringIO(), width=80)
    display.show_verdicts(console, summary.rows(laptop))
    told = console.file.getvalue()
    assert "000.1  reproduced (committed): reference 0.5, the document says 0.5 px" in told
    assert "000.3  not tested" in told


def test_a_run_of_another_profile_is_no_run_that_has_not_been(ledger, project):
    keep(project / "results/runs/ran/laptop-1", "laptop", {1: 0.45})
    shutil.rmtree(project / "results/reference")
    (said,) = summary.missing(summary.compare(ledger))
    assert said == "000.1, 000.2, 000.3: ran has not been run in profile reference, but in laptop"


@pytest.mark.parametrize(
    ("errors", "profile", "agrees", "verdict"),
    [([0.7], "reference", False, TREND_ONLY), ([0.45, 0.55], "laptop", True, REPRODUCED)],
)
def test_the_newest_own_run_that_tests_a_claim_decides(ledger, project, errors, profile, agrees, verdict):
    for day, error in enumerate(errors, 22):
        keep(project / f"results/runs/ran/{profile}-{day}", profile, {1: error}, f"2026-11-{day}T10:00:00+00:00")
    table = summary.compare(ledger, profile)
    assert column(table, "value") == [errors[-1], 0.9, None]
    assert column(table, "agrees") == [agrees, None, None]
    assert column(table, "verdict") == [verdict, NOT_REPRODUCED, NOT_TESTED]


def test_a_verdict_on_reference_runs_rests_on_both_networks(monkeypatch):
    compact, other = (pd.DataFrame({"network": [name]}) for name in ("compact", "vgg16-caffe"))
    tables = {"reference": {"tv_sweep": compact, "compression": compact}, "laptop": {"tv_sweep": compact}}
    tables["crosscheck"] = {"tv_sweep": other, "charbonnier": other}
    monkeypatch.setattr(results, "tables_of", lambda root, profile: tables[profile])
    both = summary.tables_from_results("reference")
    networks = {"tv_sweep": ["compact", "vgg16-caffe"], "compression": ["compact"], "charbonnier": ["vgg16-caffe"]}
    assert {name: table["network"].tolist() for name, table in both.items()} == networks
    assert summary.tables_from_results("laptop")["tv_sweep"]["network"].tolist() == ["compact"]


def test_each_number_of_a_claim_has_its_cell_and_a_disagreement_its_mark(ledger, project):
    keep(project / "results/runs/ran/laptop-1", "laptop", {1: 0.45, 2: 0.75})
    first, second, _ = summary.rows(summary.compare(ledger, "laptop"))
    pairs = {"kind": "difference", "low": -0.0224, "high": 1234.5, "effect": float("-inf"), "n": 8}
    pairs |= {"number": (1.5, 2.0)}
    row = first | pairs | {"networks": {"compact": REPRODUCED, "vgg16": NOT_TESTED, "vgg16-caffe": TREND_ONLY}}
    console = Console(width=160, record=True, file=io.StringIO())
    display.show_verdicts(console, [row, first | {"low": 0.25, "high": 0.75}, second], wide=True)
    text = " ".join(console.export_text().split())
    for shown in (
        "1.5 and 2 px", "[−0.0224,", " 1234]", "−∞", " 8 compact", "vgg16-caffe", "0.25 … 0.75", "0.9 ≠ 0.75",
    ):  # fmt: skip
        assert shown in text
    assert "vgg16" not in text.replace("vgg16-caffe", ""), "it did not test the claim"


def test_the_csv_holds_everything_and_nested_cells_are_json(ledger):
    table = summary.plain(summary.compare(ledger))
    assert json.loads(table.loc[0, "runs"])[0]["folder"] == "results/reference/ran"
    assert json.loads(table.loc[0, "parts"])[0]["name"] == "error"
    endless = summary.plain(pd.DataFrame({"parts": [[{"effect": float("-inf"), "n": 3}]]})).loc[0, "parts"]
    assert json.loads(endless, parse_constant=pytest.fail) == [{"effect": "-inf", "n": 3}]


def test_the_summary_counts_and_tells_what_surprises(ledger):
    text = summary.summary(ledger, summary.judged(ledger))
    assert text.splitlines() == [
        "| document | reproduced | trend only | not reproduced | not tested |",
        "|---|---|---|---|---|",
        "| 000: A title | 1 | 0 | 1 | 1 |",
        "| **all** | 1 | 0 | 1 | 1 |",
        "| of them counts and calculations | 1 | 0 | 1 | 1 |",
        "| of them times and memory | 0 | 0 | 0 | 0 |",
        "| of them pictures | 0 | 0 | 0 | 0 |",
        "",
        "- **000.1**, *reproduced*: Stated: 0.5; measured: 0.5.",
    ]


def test_of_a_documents_findings_the_surest_of_those_that_are_still_true_is_told(ledger):
    row = {"verdict": REPRODUCED, "robust": "untested", "sort": "picture"}
    rows = {"000.1": row, "000.2": row | {"robust": "3 of 4"}, "000.3": row | {"sort": "cost"}}
    findings = [claims.Finding(claim=id, written_for=REPRODUCED, text="{value}") for id in rows]
    of_two = claims.Ledger(ledger.documents, ledger.claims, {"000": findings, "001": []})

    def best(**changed):
        judged = [{"id": id} | row | changed.get(f"c{id[-1]}", {}) for id, row in rows.items()]
        return [finding.claim for finding in summary.findings(of_two, judged)]

    assert best() == ["000.2"], "what most readings come to"
    assert best(c2={"verdict": TREND_ONLY}) == ["000.3"], "of equals the one that rests least on pictures"
    assert best(**{f"c{number}": {"verdict": NOT_TESTED} for number in "123"}) == []


def test_the_readme_is_brought_up_to_date_between_its_two_comments_or_refused_where_there_is_no_one_place(ledger):
    table, text = summary.judged(ledger), "# T\n\n<!-- standing: how -->\nold\n<!-- /standing -->\n\nMore \\1.\n"
    made = summary.readme(ledger, text, table)
    assert made == text.replace("old", summary.summary(ledger, table))
    assert summary.readme(ledger, made, table) == made, "twice is as once"
    for text in ("# T\n", "<!-- standing: a -->\n<!-- /standing -->\n" * 2):
        with pytest.raises(ClaimError, match=r"README\.md"):
            summary.readme(ledger, text, table)
