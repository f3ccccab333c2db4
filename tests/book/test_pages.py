"""Pages of experiments: which run is shown, its record, its notebook, and tables that texts ask for."""

import json
from pathlib import Path

import pytest
import small_book

from stylerepro.book import cells, pages, text
from stylerepro.errors import ResultsError, RunError
from stylerepro.files import reference_root
from stylerepro.runs.experiments import Experiment, Profile, discover


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
        "networks": {"vgg16-caffe": "ab"}, "device": {"asked": "cpu", "used": "cpu"},
        "hardware": {"cpu": "EPYC", "cores": 2},
        "commit": {"sha": "0123456789abcdef", "dirty": False}, "fingerprint": {"digest": "f" * 64},
    }  # fmt: skip
    return plain | changes


def shown(folder, wanted="laptop", others=(), **changes):
    return pages.Shown(folder, record(**changes), wanted, tuple(others))


def test_record_says_profile_network_hardware_date_commit_fingerprint_and_command(tmp_path):
    told = pages.record(shown(tmp_path))
    for part in (
        "**laptop**", "**vgg16-caffe**", "2 cores of EPYC", "2026-11-21", "1 min 30 s", "`0123456789`",
        "`ffffffffffff`",
    ):  # fmt: skip
        assert part in told
    assert "`stylerepro run tv_sweep --profile laptop`" in told
    assert not [words for words in ("No own run", "<details", "bfloat16") if words in told]
    half = pages.record(shown(tmp_path, dtype={"asked": "auto", "used": "bfloat16"}))
    assert "loss network **vgg16-caffe** in bfloat16 · " in half


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


def test_record_names_the_runs_beside_it_and_which_of_them_the_verdicts_rest_on(tmp_path):
    other = record(profile="crosscheck", networks={"vgg16": None}, seconds=600)
    paper = record(profile="paper", device={"used": "cuda"}, hardware={"gpu": "H200"})
    told = pages.record(shown(tmp_path, others=[(tmp_path, other), (tmp_path, paper)]))
    assert "Profile **crosscheck** too, on **vgg16**" in told
    assert told.count("; it confirms or contradicts") == 1
    assert "H200" in told
    assert "too" not in pages.record(shown(tmp_path))


def test_record_owns_up_to_changes_that_were_not_committed_and_names_the_gpu(tmp_path):
    changed = {"sha": "0123456789abcdef", "dirty": True}
    used = {"device": {"asked": "cuda", "used": "cuda"}, "hardware": {"gpu": "H200"}}
    told = pages.record(shown(tmp_path, commit=changed, seconds=600, **used))
    for words in ("changes not committed", "H200", "10 min"):
        assert words in told
    assert "outside version control" in pages.record(shown(tmp_path, commit=None))
    assert "**none**" in pages.record(shown(tmp_path, networks={}))
    assert pages.hardware({"device": {"used": "cuda (H100)"}, "hardware": {}}) == "H100"
    assert pages.hardware({"hardware": {"cores": 2, "cpu": "EPYC", "threads": 1}}) == "2 cores of EPYC, 1 thread"


def test_an_experiment_that_has_not_run_says_how_to_run_it_and_how_long_it_takes(tmp_path):
    shown = pages.not_run(experiment(tmp_path), "laptop")
    assert "Not run yet" in shown
    assert "`stylerepro run tv_sweep --profile laptop`" in shown
    assert "2 min on two cores" in shown
    assert "about" not in pages.not_run(experiment(tmp_path), "reference")


def test_tables_of_experiments(tmp_path):
    one, two = experiment(tmp_path), experiment(tmp_path, name="other", title="Other", claims=(), profiles={})
    figure, copies = tmp_path / "figures" / "cats.webp", {}
    figure.parent.mkdir()
    figure.touch()
    led = experiment(tmp_path, lead="cats A [cat](x.md).")
    listed = pages.experiments([led, two], {"tv_sweep": shown(tmp_path)}, copies).split("\n\n")
    small, page = "_static/thumbnails/tv_sweep.webp", "(notebooks/tv_sweep.ipynb)"
    assert listed[2:5] == [f"[![A cat.]({small})]{page}", f"**[Total variation]{page}**", "003.1 · run of `laptop`"]
    assert listed[-3] == "not run yet"
    assert copies == {small: figure}
    readme = pages.readme_table([one, two])
    assert "| [tv_sweep](notebooks/tv_sweep.ipynb): Total variation | 003 | 003.1 | 2 min |" in readme
    assert "| 003 | none | not measured |" in readme


def test_every_chapter_leads_with_a_figure_that_its_run_has_and_says_what_it_shows():
    for entry in discover():
        name, _, caption = entry.lead.partition(" ")
        assert caption.endswith("."), entry.name
        assert (reference_root() / entry.name / "figures" / f"{name}.webp").is_file(), entry.name


def test_a_text_takes_a_figure_of_a_run_where_there_is_one(tmp_path):
    (folder := tmp_path / "figures").mkdir()
    (folder / "pictures.webp").write_bytes(b"RIFF")
    run, copies = pages.Shown(tmp_path, {}, "laptop"), {}
    told = pages.figure({"tv_sweep": run}, "tv_sweep.pictures Smooth, see [there](notebooks/tv_sweep.ipynb).", copies)
    assert copies == {"_static/figures/tv_sweep-pictures.webp": folder / "pictures.webp"}
    assert "```{figure} /_static/figures/tv_sweep-pictures.webp\n:alt: Smooth, see there.\n" in told
    assert "Smooth, see [there](notebooks/tv_sweep.ipynb)." in told
    assert pages.figure({"tv_sweep": run}, "tv_sweep.other It.", copies) == pages.figure({}, "x.y It.", copies) == ""
    assert len(copies) == 1


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
    page = json.loads(cells.notebook_page(notebook(tmp_path, TITLE, code()), "RECORD", "VERDICTS"))
    assert page["cells"][0]["source"] == "# Title\n\nRECORD\n\nThe question.\n"
    assert page["cells"][-1]["source"] == "VERDICTS\n"
    assert "widgets" not in page["metadata"]


def test_a_page_leaves_out_widgets_first_rows_of_tables_and_on_demand_all_outputs(tmp_path):
    text = {"output_type": "display_data", "metadata": {}, "data": {"text/plain": "7"}}
    widget = {"output_type": "display_data", "metadata": {}, "data": {"application/vnd.jupyter.widget-view+json": {}}}
    path = notebook(tmp_path, TITLE, code(widget, text))
    assert json.loads(cells.notebook_page(path, "", ""))["cells"][1]["outputs"] == [text]
    assert json.loads(cells.notebook_page(path, "", "", keep_outputs=False))["cells"][1]["outputs"] == []
    rows = text | {"output_type": "execute_result"}
    for source, kept in (("run.save(table)\ntable.head()", [text]), ("table.head().T", [text, rows])):
        path = notebook(tmp_path, TITLE, code(text, rows) | {"source": source.splitlines(keepends=True)})
        assert json.loads(cells.notebook_page(path, "", ""))["cells"][1]["outputs"] == kept


def test_long_code_is_folded_but_neither_what_a_run_set_nor_what_its_author_wants_seen(tmp_path):
    long, short = code() | {"source": ["x = 1\n"] * 7 + ["x"]}, code()
    told = [long | {"metadata": {"tags": [tag]}} for tag in ("parameters", "injected-parameters", "show-input")]
    page = json.loads(cells.notebook_page(notebook(tmp_path, TITLE, long, short, *told), "", ""))
    folded = ["hide-input" in cell["metadata"]["tags"] for cell in page["cells"][1:]]
    assert folded == [True, False, True, False, False]
    assert page["cells"][3]["metadata"]["mystnb"]["code_prompt_show"] == "All parameters"


def test_of_parameters_put_in_by_the_run_those_that_it_set_are_shown(tmp_path):
    usual = code() | {"source": ["n: int = 3  # of them\n", "size: int = 2"], "metadata": {"tags": ["parameters"]}}
    injected = code() | {"source": ["# Parameters\n", "n = 3\nsize = 4"], "metadata": {"tags": ["injected-parameters"]}}
    page = json.loads(cells.notebook_page(notebook(tmp_path, TITLE, usual, injected), "", ""))
    assert page["cells"][2]["source"] == "# what this run set; the other parameters are as above\nsize = 4"


@pytest.mark.parametrize("content", ["", "not json", "[]", '{"cells": []}', '{"cells": [{"cell_type": "code"}]}'])
def test_a_file_that_is_no_notebook_is_refused_by_name_and_a_notebook_without_a_title_too(tmp_path, content):
    path = tmp_path / "broken.ipynb"
    path.write_text(content)
    for wrong, words in ((path, r"broken\.ipynb"), (notebook(tmp_path, code()), "title")):
        with pytest.raises(ResultsError, match=words):
            cells.notebook_page(wrong, "", "")


def test_a_caption_stands_below_every_figure_and_below_nothing_else(tmp_path):
    drawn = {"output_type": "display_data", "metadata": {}, "data": {"image/jpeg": "AA==", "text/plain": "figure"}}
    printed = {"output_type": "display_data", "metadata": {}, "data": {"text/plain": "7"}}
    path = notebook(tmp_path, TITLE, code(drawn), code(printed))
    caption = pages.caption(shown(tmp_path))
    page = json.loads(cells.notebook_page(path, "", "", caption=caption))
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
    listed = [TITLE | {"id": "title"}, described("a", "A."), described("new", "New."), described("b", "B.")]
    now.write_text(json.dumps({"cells": listed}))
    page = json.loads(cells.notebook_page(old, "", "", texts=now))
    told = [cell["metadata"]["mystnb"]["image"]["alt"] for cell in page["cells"] if cell["cell_type"] == "code"]
    assert told == ["A. New.", "B."]


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "notebooks").mkdir()
    monkeypatch.setenv("STYLEREPRO_ROOT", str(tmp_path))
    return tmp_path


def write_run(root, name, profile, notebook=True, error=0.5):
    folder = root / name
    small_book.write_run(folder, {1: error}, profile=profile)
    if notebook:
        (folder / "notebook.ipynb").write_text("{}")
    return folder


def test_own_runs_are_shown_where_there_are_any_and_else_the_reference(project):
    reference = write_run(project / "results/reference", "ran", "reference")
    check = write_run(project / "results/reference", "ran-crosscheck", "crosscheck", notebook=False)
    found = pages.shown("laptop")["ran"]
    assert (found.folder, found.record["profile"]) == (reference, "reference")
    assert [folder for folder, _ in found.others] == [check]
    assert pages.shown("reference")["ran"].record["profile"] == "reference"
    own = write_run(project / "results/runs/ran", "laptop-1", "laptop", error=0.7)
    found = pages.shown("laptop")["ran"]
    assert (found.folder, found.record["profile"], found.others) == (own, "laptop", ())
    assert pages.shown("reference")["ran"].folder == reference
    assert pages.tables("laptop")["ran"]["error"].tolist() == [0.7]
    assert pages.tables("reference")["ran"]["error"].tolist() == [0.5, 0.5]


def test_runs_with_own_values_have_pages_that_say_how_they_were_made(project):
    reference = write_run(project / "results/reference", "ran", "reference")
    assert pages.shown("custom")["ran"].folder == reference
    said = pages.record(pages.shown("custom")["ran"])
    assert "**No own run with own values yet**" in said
    assert "`stylerepro run ran -p NAME=VALUE`" in said
    folders = [write_run(project / "results/runs/ran", f"custom-{day}", "custom", error=day) for day in (1, 2)]
    for folder, day in zip(folders, (22, 21), strict=True):
        kept = json.loads((folder / "run.json").read_text())
        kept |= {"start": f"2026-11-{day}T09:10:11+00:00", "parameters": {"n": day, "words": ["a b"]}}
        (folder / "run.json").write_text(json.dumps(kept))
    found = pages.shown("custom")["ran"]
    assert found.folder == folders[0], "the newest"
    assert pages.shown("reference")["ran"].folder == reference
    assert pages.tables("custom")["ran"]["error"].tolist() == [0.5], "texts quote the reference"


def test_a_run_with_own_values_is_made_by_the_values_that_differ(monkeypatch):
    usual = {"gammas": [0.0, 10.0], "size": 64, "network": "compact"}
    monkeypatch.setattr(pages, "load", lambda _: experiment(Path(), profiles={"laptop": Profile("laptop", usual)}))
    own = record(profile="custom", parameters=usual | {"gammas": [0.0], "network": "it's"})
    assert pages.command(own) == "stylerepro run tv_sweep -p gammas='[0.0]' -p network='it'\"'\"'s'"


def test_the_files_of_shown_runs_and_of_those_behind_a_verdict_come_along(project):
    write_run(project / "results/reference", "ran", "reference")
    behind = {"experiment": "ran", "profile": "paper", "folder": "results/reference/ran-paper"}
    write_run(project / "results/reference", "ran-paper", "paper", notebook=False, error=0.9)
    found = pages.files(pages.shown("reference"), [{"runs": [behind]}])
    names = ("run.json", "metrics.csv")
    assert set(found) == {f"runs/ran-{one}/{name}" for one in ("reference", "paper") for name in names}
    assert "0.9" in found["runs/ran-paper/metrics.csv"]


def test_a_table_that_a_text_asks_for_names_the_machine_and_the_files_of_each_run_that_has_numbers(project):
    write_run(project / "results/reference", "ran", "reference")
    write_run(project / "results/reference", "ran-crosscheck", "crosscheck", notebook=False, error=0.7)
    shown = pages.shown("reference")
    first, machine, second, _ = pages.run_table(shown, "ran n=1\nn | n\nerror, px | error stat=median\n").split("\n\n")
    assert first == "| n | error, px |\n|---|---|\n| 1 | 0.5 |"
    unknown = "unknown cores of an unnamed processor · `reference`"
    assert machine.startswith(f"{unknown} · 2026-11-21 · [run.json](runs/ran-reference/run.json)")
    assert second.endswith("| 1 | 0.7 |")
    assert "no such numbers" in pages.run_table(shown, "ran n=2\nn | n\nerror | error stat=median")
    assert "no run of `other`" in pages.run_table(shown, "other\nn | n")
    assert pages.machine(shown, "ran").startswith(unknown)
    with pytest.raises(RunError, match=r"metrics\.csv of ran.*Did you mean 'error'"):
        pages.run_table(shown, "ran\nn | n\nerror | eror stat=median")


def test_a_measurement_beside_the_runs_is_a_table_too(project):
    assert "Not measured" in pages.machine({}, "engines")
    measured = {"hardware": {"cores": 2, "cpu": "a processor"}, "date": "2026-01-02", "points": 12}
    rows = [{"round": turn, "workers": many, "seconds": 60.0 * turn / many} for turn in (1, 2) for many in (1, 2)]
    (project / "results/performance").mkdir(parents=True)
    (project / "results/performance/engines.json").write_text(json.dumps(measured | {"scaling": rows}))
    assert pages.machine({}, "engines") == "2 cores of a processor · 2026-01-02"
    words = "engines_scaling.seconds workers=1 to='workers=2' by=round stat=range"
    assert text.value(pages.tables("reference"), words) == "2"
