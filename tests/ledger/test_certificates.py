"""Birth certificates from git, what becomes of a rule that is younger than its run, and the ledger's files."""

import json
import os
import subprocess

import jsonschema
import pytest
import small_book
import yaml
from small_book import CLAIM, DOCUMENT, RULE

from stylerepro.ledger import claims, export, summary
from stylerepro.ledger.rules import REPRODUCED, TREND_ONLY


@pytest.fixture
def project(tmp_path, monkeypatch):
    """An empty project under git, `commit(hour)` of it, `rule(...)` and `run(hour, ...)`, which write files."""
    monkeypatch.setenv("STYLEREPRO_ROOT", str(tmp_path))
    for folder in ("stylerepro/ledger", "notebooks"):
        (tmp_path / folder).mkdir(parents=True)
    subprocess.run(["git", "init", "-q", tmp_path], check=True)

    def commit(hour):
        time = f"2026-11-20T{hour:02}:00:00+00:00"
        own = {"GIT_AUTHOR_DATE": time, "GIT_COMMITTER_DATE": time, "GIT_CONFIG_GLOBAL": os.devnull}
        git = ["git", "-C", tmp_path, "-c", "user.name=n", "-c", "user.email=e"]
        for words in (["add", "-A"], ["commit", "-q", "-m", "m"]):
            subprocess.run([*git, *words], check=True, env=os.environ | own)

    def rule(**changed):
        content = {"document": DOCUMENT, "claims": [CLAIM | changed]}
        (tmp_path / "stylerepro/ledger/000.yaml").write_text(yaml.safe_dump(content))

    def run(hour, **parameters):
        start = f"2026-11-20T{hour:02}:30:00+00:00"
        small_book.write_run(tmp_path / "results/reference/ran", {1: 0.5}, start=start, parameters=parameters)

    commit.rule, commit.run = rule, run
    return commit


def judged():
    ledger = claims.load_ledger(declared={"ran": ["error"]})
    return ledger, summary.judged(ledger)


def first():
    return summary.rows(judged()[1])[0]


def test_a_rule_committed_before_the_first_run_counts_and_one_edited_after_it_does_not(project):
    project.rule()
    project(1)
    project.run(3)
    project(4)
    row = first()
    assert (row["verdict"], row["certificate"]["hours"]) == (REPRODUCED, 2.5)
    project.rule(why="Better said.", statement="It is a half.", least={"rows": 1})
    project(5)
    assert first()["certificate"]["hours"] == 2.5, "prose does not decide, and a least design can only take away"
    project.rule(rule=RULE | {"within": [0.4, 0.55]})
    assert "not committed" in first()["reason"]
    project(6)
    row = first()
    assert (row["verdict"], row["certificate"]["hours"]) == (TREND_ONLY, -2.5)
    assert row["reason"].startswith("after the fact: the rule took its present form 2 hours after its first run began")


def test_it_is_the_first_run_of_a_point_that_counts_and_other_parameters_are_another_point(project):
    project.rule()
    project.run(0, size=64)
    project(1)
    project.run(2, size=64)
    project(3)
    assert first()["verdict"] == TREND_ONLY, "the same point had been run before there was a rule"
    project.run(4, size=128)
    project(5)
    assert (first()["verdict"], first()["certificate"]["hours"]) == (REPRODUCED, 3.5)


def test_without_a_history_what_is_written_is_shown_as_long_as_rule_and_runs_are_the_same(project, tmp_path):
    project.rule()
    project.run(0)
    project(1)
    export.write(*judged())
    (tmp_path / ".git").rename(tmp_path / "elsewhere")
    assert first()["certificate"]["hours"] == -0.5
    assert first()["verdict"] == TREND_ONLY
    project.run(5)
    assert first()["certificate"] is None, "nothing is known of this run"


def test_the_files_of_the_ledger_hold_everything_and_fit_their_schema(project, tmp_path):
    project.rule(rule=RULE | {"otherwise": [{"reading": "twice", "scale": 2.0}]})
    project(1)
    project.run(3)
    project(4)
    export.write(*judged())
    content = json.loads((tmp_path / claims.LEDGER).read_text(), parse_constant=pytest.fail)
    schema = json.loads((small_book.ROOT / "results" / content["$schema"]).read_text())
    jsonschema.validate(content, schema)
    (claim,) = content["claims"]
    assert claim.keys() == schema["properties"]["claims"]["items"]["properties"].keys(), "what is new is described"
    assert claim["readings"][0]["reading"] == "twice"
    assert (claim["rule"]["within"], claim["certificate"]["hours"]) == ([0.4, 0.6], 2.5)
    assert (tmp_path / "results/ledger.csv").read_text().startswith("id,document,quote")
    del claim["certificate"]
    with pytest.raises(jsonschema.ValidationError, match="certificate"):
        jsonschema.validate(content, schema)


def test_a_claim_review_names_claim_and_document_and_rates_what_was_tested(project):
    project.rule()
    project(1)
    project.run(3)
    ledger, table = judged()
    row = summary.rows(table)[0]
    review = export.claim_review(row, ledger.documents["000"], "documents/000.html#claim-000-1")
    assert (review["@type"], review["claimReviewed"]) == ("ClaimReview", CLAIM["quote"])
    assert review["itemReviewed"]["appearance"]["author"][0]["name"] == "A. Body"
    assert (review["reviewRating"]["ratingValue"], review["reviewRating"]["alternateName"]) == (3, REPRODUCED)
    assert "reviewRating" not in export.claim_review(row | {"verdict": "not tested"}, None, "")
