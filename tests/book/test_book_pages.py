"""What the book's generated pages say: records of runs, notebooks, and the ledger."""

import json
import re

import pytest

from stylerepro.book import ledger_page, pages, runs, text
from stylerepro.errors import ResultsError
from stylerepro.runs.experiments import PROFILES, Experiment, Profile


def row(**changes):
    plain = {
        "id": "003.1", "document": "003", "quote": "Control the smoothness", "place": "slide 4",
        "statement": "More weight, less variation.", "number": None, "unit": None, "measured": "", "value": None,
        "low": None, "high": None, "verdict": "not tested", "reason": "tv_sweep has not been run yet", "beside": "",
        "networks": {}, "experiment": "tv_sweep", "effect": None, "n": None, "runs": [], "why": "A trend is enough.",
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


def shown(folder, wanted="laptop", others=(), **changes):
    return runs.Shown(folder, record(**changes), wanted, tuple(others))


RUN = {"experiment": "tv_sweep", "profile": "reference", "run": "tv_sweep", "commit": "0123456789abcdef"}


def test_summary_counts_each_verdict_and_leaves_out_those_without_a_claim():
    rows = [row(verdict="reproduced"), row(verdict="reproduced"), row(verdict="not tested")]
    told = ledger_page.summary(rows, "laptop")
    assert told.startswith(f"2 {text.badge('reproduced')}")
    assert f"1 {text.badge('not tested')}" in told
    assert "trend" not in told
    assert "profile `laptop`" in told
    assert "mean nothing" in ledger_page.summary(rows, "smoke")
    with_own = ledger_page.summary([*rows, row(id="mine.1", document="own", verdict="trend only")], "laptop")
    first, own = with_own.splitlines()[0], with_own.splitlines()[2]
    assert first == told.splitlines()[0], "an own ablation's claim does not count among the documents'"
    assert own == f"Beside them, of the suite's own ablations: 1 {text.badge('trend only')}"
    assert all(f"`{profile}`" in ledger_page.summary(rows, profile) for profile in PROFILES)


def test_a_card_gives_quote_place_number_measure_reason_networks_runs_and_rule():
    judged = row(
        number=91.91, unit="%", measured="99.9 % [99.8, 99.95]", verdict="trend only", reason="outside the bounds",
        networks={"compact": "reproduced", "vgg19-16x": "trend only"}, beside="PSNR 35 dB", why="a < b decides",
        runs=[RUN],
    )  # fmt: skip
    told = ledger_page.cards([judged], ["tv_sweep"])
    for part in ("“Control the smoothness”", "slide 4", "Stated: 91.91 %", "**99.9 % [99.8, 99.95]**", "PSNR 35 dB"):
        assert part in told
    assert "outside the bounds" in told
    assert "compact: reproduced; vgg19-16x: trend only" in told
    assert "a &lt; b decides" in told
    assert "[tv_sweep](../notebooks/tv_sweep.ipynb)" in told
    assert "[reference](../runs/tv_sweep-reference/run.json), commit 0123456789." in told
    assert f"[003.1]{{#{text.anchor('003.1')}}}" in told


def test_several_measures_stand_apart_as_a_list():
    judged = row(measured="one: 0.5 [0.4, 0.6]; other: 0.7", reason="compact: reproduced, x | vgg16: trend only, y")
    told = [line.strip() for line in ledger_page.cards([judged], []).splitlines()]
    for item in ("- one: 0.5 [0.4, 0.6]", "- other: 0.7", "- vgg16: trend only, y"):
        assert any(line.endswith(item) for line in told), item
    assert "**" not in "".join(told)


def test_the_ledgers_table_has_a_line_a_claim_and_links_only_to_pages_that_exist():
    rows = [
        row(id="000.1", document="000", number=(1.33, 0.97), unit="s", experiment="other"),
        row(value=0.5, low=0.25, high=0.75, effect=-1.5, n=8, runs=[RUN, RUN], networks={"compact": "reproduced"}),
    ]
    told = ledger_page.table(rows, {"tv_sweep": "Total variation"})
    assert ":class: ledger ledger-table" in told
    assert "documents/003.md#claim-003-1" in told
    assert "[Total variation](notebooks/tv_sweep.ipynb)" in told
    assert "other.ipynb" not in told
    lines = [line.strip(" *-") for line in told.splitlines()]
    for cell in ("1.33 / 0.97 s", "0.5", "0.25 to 0.75", "−1.5", "8 / 2", "compact"):
        assert cell in lines
    assert {len(re.findall("(?m)^  -", line)) for line in told.split("* - ")[1:]} == {8}, "nine cells a line"
    assert "Reference" not in told


def test_the_ledgers_table_puts_the_reference_beside_own_values_and_marks_what_differs():
    rows = [row(value=0.5, reference=0.4, agrees=False), row(value=0.4, reference=0.4, agrees=True)]
    told = ledger_page.table(rows, {})
    assert "Reference" in told
    assert told.count("0.4 (differs)") == 1
    assert {len(re.findall("(?m)^  -", line)) for line in told.split("* - ")[1:]} == {9}


@pytest.mark.parametrize(
    ("low", "high", "told"),
    [(None, None, ""), (1.0, 1.0, ""), (-1.0, 2.5, "−1 to 2.5"), (1e-5, 1e-4, "1e−05 to 0.0001")],
)
def test_an_interval_is_shown_where_there_is_one(low, high, told):
    assert ledger_page.interval(row(low=low, high=high)) == told


def test_an_answer_has_a_line_for_each_verdict_that_there_is():
    rows = [row(verdict="reproduced"), row(id="003.2", verdict="not reproduced"), row(id="003.3", verdict="reproduced")]
    told = ledger_page.answer(rows).split("\n\n")
    assert [line.split(":")[0] for line in told] == ["**Holds** (2 of 3)", "**Does not hold** (1 of 3)"]
    assert "[003.3](#claim-003-3) More weight" in told[0]
    assert "no claim" in ledger_page.answer([])
    assert ledger_page.cards([], []) == ledger_page.answer([]), "a table without lines is an error to Sphinx"


def test_verdicts_of_one_experiment_link_to_their_cards():
    told = ledger_page.verdicts([row(runs=[RUN])])
    assert "[003.1](../documents/003.md#claim-003-1)" in told
    assert "The rule" not in told


def test_a_line_break_in_a_quote_cannot_break_the_table():
    told = ledger_page.verdicts([row(quote="one\n\n- two\n# three", reason="a\nb")])
    assert "“one - two # three”" in told
    assert "\n# three" not in told


def test_record_says_profile_network_hardware_date_commit_fingerprint_and_command(tmp_path):
    told = pages.record(shown(tmp_path))
    for part in (
        "**laptop**",
        "**vgg19-16x**",
        "2 cores of EPYC",
        "2026-11-21",
        "90 s",
        "`0123456789`",
        "`ffffffffffff`",
    ):
        assert part in told
    assert "`stylerepro run tv_sweep --profile laptop`" in told
    assert "No own run" not in told
    assert "<details" not in told


def test_record_links_to_the_files_there_are_and_folds_away_what_is_long(tmp_path):
    for name in ("run.json", "metrics.csv"):
        (tmp_path / name).write_text("")
    told = pages.record(shown(tmp_path, parameters={"styles": ["a<b"], "n": 3}, seeds={"seed": 0}))
    assert "[run.json](../runs/tv_sweep-laptop/run.json) · [metrics.csv](../runs/tv_sweep-laptop/metrics.csv)" in told
    assert "history.csv" not in told
    folded = told[told.index("<details") :]
    for part in ("styles = [&quot;a&lt;b&quot;]", "n = 3", "seed = 0"):
        assert part in folded
    assert "\n" not in folded[: folded.index("</details>")], "a blank line would end the HTML"


def test_record_owns_up_to_standing_in_for_a_run_that_is_not_there(tmp_path):
    told = pages.record(shown(tmp_path, wanted="laptop", profile="reference"))
    assert "No own run of profile `laptop` yet" in told
    assert "`stylerepro run tv_sweep --profile laptop`" in told


def test_record_names_the_runs_beside_it_and_which_of_them_the_verdicts_rest_on(tmp_path):
    other = record(profile="crosscheck", networks={"vgg16": None}, seconds=600)
    paper = record(profile="paper", device={"used": "cuda"}, hardware={"gpu": "H200"})
    told = pages.record(shown(tmp_path, others=[(tmp_path, other), (tmp_path, paper)]))
    assert "Profile **crosscheck** too, on **vgg16**" in told
    assert told.count("the verdicts rest on both") == 1
    assert "H200" in told
    assert "too" not in pages.record(shown(tmp_path))


def test_record_owns_up_to_changes_that_were_not_committed_and_names_the_gpu(tmp_path):
    changed = {"sha": "0123456789abcdef", "dirty": True}
    told = pages.record(
        shown(tmp_path, commit=changed, device={"asked": "cuda", "used": "cuda"}, hardware={"gpu": "H200"}, seconds=600)
    )
    assert "changes not committed" in told
    assert "H200" in told
    assert "10 min" in told
    assert "outside version control" in pages.record(shown(tmp_path, commit=None))
    assert "**none**" in pages.record(shown(tmp_path, networks={}))


def test_a_gpu_is_named_by_what_was_used_where_the_hardware_does_not_say():
    assert runs.hardware({"device": {"used": "cuda (H100)"}, "hardware": {}}) == "H100"
    assert runs.hardware({"hardware": {"cores": 2, "cpu": "EPYC", "threads": 1}}) == "2 cores of EPYC, 1 thread"


def test_an_experiment_that_has_not_run_says_how_to_run_it_and_how_long_it_takes(tmp_path):
    shown = pages.not_run(experiment(tmp_path), "laptop")
    assert "Not run yet" in shown
    assert "`stylerepro run tv_sweep --profile laptop`" in shown
    assert "2 min on two cores" in shown
    assert "about" not in pages.not_run(experiment(tmp_path), "reference")


def test_tables_of_experiments(tmp_path):
    one, two = experiment(tmp_path), experiment(tmp_path, name="other", title="Other", claims=(), profiles={})
    listed = pages.experiments([one, two], {"tv_sweep": shown(tmp_path)})
    assert "[Total variation](notebooks/tv_sweep.ipynb) | 003 | 003.1 | run of `laptop` |" in listed
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


def test_a_caption_stands_below_every_figure_and_below_nothing_else(tmp_path):
    drawn = {"output_type": "display_data", "metadata": {}, "data": {"image/jpeg": "AA==", "text/plain": "figure"}}
    printed = {"output_type": "display_data", "metadata": {}, "data": {"text/plain": "7"}}
    path = notebook(tmp_path, TITLE, code(drawn), code(printed))
    caption = pages.caption(shown(tmp_path))
    page = json.loads(pages.notebook_page(path, "", "", caption=caption))
    assert [cell["cell_type"] for cell in page["cells"]] == ["markdown", "code", "markdown", "code"]
    assert page["cells"][2]["source"] == f"{caption}\n"
    assert "`stylerepro run tv_sweep --profile laptop`" in caption
    assert "(../runs/tv_sweep-laptop/run.json)" in caption
    assert all("id" in cell for cell in page["cells"])


def test_alternative_texts_come_from_the_notebook_as_it_stands_and_a_new_cell_s_with_the_one_before(tmp_path):
    def described(id, text):
        return code() | {"id": id, "metadata": {"mystnb": {"image": {"alt": text}}}}

    old = notebook(tmp_path, TITLE, described("a", "Old."), code() | {"id": "b"})
    now = tmp_path / "now.ipynb"
    cells = [TITLE | {"id": "title"}, described("a", "A."), described("new", "New."), described("b", "B.")]
    now.write_text(json.dumps({"cells": cells}))
    page = json.loads(pages.notebook_page(old, "", "", texts=now))
    told = [cell["metadata"]["mystnb"]["image"]["alt"] for cell in page["cells"] if cell["cell_type"] == "code"]
    assert told == ["A. New.", "B."]
