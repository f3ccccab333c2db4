"""What the book's generated pages say."""

import json

import pytest

from stylerepro.book import pages
from stylerepro.errors import ResultsError
from stylerepro.experiments import PROFILES, Experiment, Profile


def row(**changes):
    plain = {
        "id": "003.1", "document": "003", "quote": "Control the smoothness", "place": "slide 4",
        "statement": "More weight, less variation.", "number": None, "unit": None, "measured": "", "value": None,
        "low": None, "high": None, "verdict": "not tested", "reason": "tv_sweep has not been run yet", "beside": "",
        "networks": {}, "experiment": "tv_sweep",
    }  # fmt: skip
    return plain | changes


def experiment(tmp_path, **changes):
    plain = {
        "name": "tv_sweep", "title": "Total variation", "document": "003", "claims": ("003.1",),
        "notebook": tmp_path / "tv_sweep.ipynb", "columns": {}, "history_columns": {},
        "profiles": {"laptop": Profile("laptop", {}, "2 min")}, "parameters": {}, "hardware": "two cores",
    }  # fmt: skip
    return Experiment(**(plain | changes))


def record(**changes):
    plain = {
        "experiment": "tv_sweep", "profile": "laptop", "start": "2026-11-21T09:10:11+00:00", "seconds": 90.4,
        "networks": {"vgg19-16x": "ab"}, "device": {"asked": "cpu", "used": "cpu"},
        "hardware": {"cpu": "EPYC", "cores": 2},
        "commit": {"sha": "0123456789abcdef", "dirty": False}, "fingerprint": {"digest": "f" * 64},
    }  # fmt: skip
    return plain | changes


def test_summary_counts_each_verdict_and_leaves_out_those_without_a_claim():
    rows = [row(verdict="reproduced"), row(verdict="reproduced"), row(verdict="not tested")]
    shown = pages.summary(rows, "laptop")
    assert shown.startswith(f"2 {pages.badge('reproduced')}")
    assert f"1 {pages.badge('not tested')}" in shown
    assert "trend" not in shown
    assert "profile `laptop`" in shown
    assert "mean nothing" in pages.summary(rows, "smoke")
    assert all(profile in pages.summary(rows, profile) for profile in PROFILES)


def test_ledger_gives_quote_place_number_measure_interval_reason_and_networks():
    judged = row(
        number=91.91, unit="%", measured="99.9 % [99.8, 99.95]", verdict="trend only", reason="outside the bounds",
        networks={"compact": "reproduced", "vgg19-16x": "trend only"}, beside="PSNR 35 dB",
    )  # fmt: skip
    shown = pages.ledger([judged], {"003": "Slides"}, {"003.1": "a < b decides"}, ["tv_sweep"])
    assert shown.startswith("## 003: Slides\n")
    for text in ("“Control the smoothness”", "slide 4", "Stated: 91.91 %", "**99.9 % [99.8, 99.95]**", "PSNR 35 dB"):
        assert text in shown
    assert "outside the bounds" in shown
    assert "compact: reproduced; vgg19-16x: trend only" in shown
    assert "a &lt; b decides" in shown
    assert "[tv_sweep](experiments/tv_sweep.ipynb)" in shown
    assert f"[003.1]{{#{pages.anchor('003.1')}}}" in shown


def test_ledger_links_only_to_pages_that_exist_and_sorts_claims_to_their_documents():
    rows = [row(), row(id="000.1", document="000", quote="first", number=(1.33, 0.97), unit="s")]
    shown = pages.ledger(rows, {"000": "Poster", "003": "Slides"}, {}, [])
    assert "ipynb" not in shown
    assert shown.index("Poster") < shown.index("first") < shown.index("Slides") < shown.index("smoothness")
    assert "Stated: 1.33 / 0.97 s" in shown


def test_verdicts_of_one_experiment_link_to_the_ledger():
    assert f"[003.1](../ledger.md#{pages.anchor('003.1')})" in pages.verdicts([row()])


def test_a_line_break_in_a_quote_cannot_break_the_table():
    shown = pages.verdicts([row(quote="one\n\n- two\n# three", reason="a\nb")])
    assert "“one - two # three”" in shown
    assert "\n# three" not in shown


def test_record_says_profile_network_hardware_date_commit_fingerprint_and_command():
    shown = pages.record(record())
    for text in (
        "**laptop**",
        "**vgg19-16x**",
        "2 cores of EPYC",
        "2026-11-21",
        "90 s",
        "`0123456789`",
        "`ffffffffffff`",
    ):
        assert text in shown
    assert "`stylerepro run tv_sweep --profile laptop`" in shown


def test_record_names_the_other_network_that_the_verdicts_rest_on():
    shown = pages.record(record(), record(profile="crosscheck", networks={"vgg16": None}, seconds=600))
    assert "**vgg16** too (2026-11-21, 10 min" in shown
    assert "too" not in pages.record(record())


def test_record_owns_up_to_changes_that_were_not_committed_and_names_the_gpu():
    changed = {"sha": "0123456789abcdef", "dirty": True}
    shown = pages.record(
        record(commit=changed, device={"asked": "cuda", "used": "cuda"}, hardware={"gpu": "H200"}, seconds=600)
    )
    assert "changes not committed" in shown
    assert "H200" in shown
    assert "10 min" in shown
    assert "outside version control" in pages.record(record(commit=None))
    assert "**none**" in pages.record(record(networks={}))


def test_an_experiment_that_has_not_run_says_how_to_run_it_and_how_long_it_takes(tmp_path):
    shown = pages.not_run(experiment(tmp_path), "laptop")
    assert "Not run yet" in shown
    assert "`stylerepro run tv_sweep --profile laptop`" in shown
    assert "2 min on two cores" in shown
    assert "about" not in pages.not_run(experiment(tmp_path), "reference")


def test_tables_of_experiments(tmp_path):
    one, two = experiment(tmp_path), experiment(tmp_path, name="other", title="Other", claims=(), profiles={})
    listed = pages.experiments([one, two], {"tv_sweep"})
    assert "[Total variation](experiments/tv_sweep.ipynb) | 003 | 003.1 | as it ran |" in listed
    assert "| not run yet |" in listed
    readme = pages.readme_table([one, two])
    assert "| [tv_sweep](notebooks/tv_sweep.ipynb): Total variation | 003 | 003.1 | 2 min |" in readme
    assert "| 003 | none | not measured |" in readme


def test_experiments_stand_in_the_order_of_documents_and_claims(tmp_path):
    listed = [("b", "003", ("003.10",)), ("a", "003", ("003.9",)), ("c", "000", ("000.5", "000.2")), ("d", "000", ())]
    entries = [experiment(tmp_path, name=name, document=doc, claims=ids) for name, doc, ids in listed]
    assert [one.name for one in pages.in_order(entries)] == ["c", "d", "a", "b"]


def notebook(tmp_path, *cells):
    path = tmp_path / "notebook.ipynb"
    path.write_text(json.dumps({"cells": list(cells), "metadata": {"widgets": {}}, "nbformat": 4, "nbformat_minor": 5}))
    return path


def code(*outputs):
    return {"cell_type": "code", "source": "1", "metadata": {}, "outputs": list(outputs), "execution_count": 1}


TITLE = {"cell_type": "markdown", "source": ["# Title\n", "\n", "The question."], "metadata": {}}


def test_a_page_has_its_record_below_the_title_and_its_verdicts_at_the_end(tmp_path):
    page = json.loads(pages.notebook_page(notebook(tmp_path, TITLE, code()), "RECORD", "VERDICTS"))
    assert page["cells"][0]["source"] == "# Title\n\nRECORD\n\nThe question.\n"
    assert page["cells"][-1]["source"] == "VERDICTS\n"
    assert "widgets" not in page["metadata"]


def test_a_page_leaves_out_widgets_and_on_demand_all_outputs(tmp_path):
    text = {"output_type": "display_data", "metadata": {}, "data": {"text/plain": "7"}}
    widget = {"output_type": "display_data", "metadata": {}, "data": {"application/vnd.jupyter.widget-view+json": {}}}
    path = notebook(tmp_path, TITLE, code(widget, text))
    assert json.loads(pages.notebook_page(path, "", ""))["cells"][1]["outputs"] == [text]
    assert json.loads(pages.notebook_page(path, "", "", keep_outputs=False))["cells"][1]["outputs"] == []


def test_long_code_is_folded_but_neither_parameters_nor_what_its_author_wants_seen(tmp_path):
    long, short = code() | {"source": ["x = 1\n"] * 7 + ["x"]}, code()
    told = [long | {"metadata": {"tags": [tag]}} for tag in ("parameters", "injected-parameters", "show-input")]
    page = json.loads(pages.notebook_page(notebook(tmp_path, TITLE, long, short, *told), "", ""))
    folded = ["hide-input" in cell["metadata"]["tags"] for cell in page["cells"][1:]]
    assert folded == [True, False, False, False, False]


def test_parameters_put_in_by_the_run_say_so(tmp_path):
    injected = code() | {"source": ["# Parameters\n", "size = 4"], "metadata": {"tags": ["injected-parameters"]}}
    page = json.loads(pages.notebook_page(notebook(tmp_path, TITLE, injected), "", ""))
    assert page["cells"][1]["source"] == "# what this run put in their place\nsize = 4"


@pytest.mark.parametrize("content", ["", "not json", "[]", '{"cells": []}', '{"cells": [{"cell_type": "code"}]}'])
def test_a_file_that_is_no_notebook_is_refused_by_name(tmp_path, content):
    path = tmp_path / "broken.ipynb"
    path.write_text(content)
    with pytest.raises(ResultsError, match=r"broken\.ipynb"):
        pages.notebook_page(path, "", "")


def test_a_notebook_without_a_title_is_refused(tmp_path):
    with pytest.raises(ResultsError, match="title"):
        pages.notebook_page(notebook(tmp_path, code()), "", "")
