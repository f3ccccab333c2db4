"""Finished runs copied to the committed results: whole, fresh, small enough, and no pictures of others."""

import base64
import io

import nbformat
import pytest
import toy
from PIL import Image

from stylerepro.errors import ResultsError, RunError
from stylerepro.runs import publish, runner


def test_publish_copies_fresh_reference_runs_whole(project):
    (job,) = runner.plan(["toy"], "reference")
    folder = toy.finish(job.task, commit={"sha": "1", "dirty": True})
    (folder / "history.csv").write_text("name,step,loss\na,1,1234.5678912\nb,,\n")
    (folder / "gallery").mkdir()
    (folder / "gallery" / "0000.webp").write_bytes(b"a picture")
    (folder / "gallery.csv").write_text("row\n0\n")
    done = publish.publish()
    target = project / "results" / "reference" / "toy"
    whole = {"run.json", "metrics.csv", "history.csv", "notebook.ipynb", "figures", "gallery", "gallery.csv"}
    assert {path.name for path in target.iterdir()} == whole
    assert (target / "history.csv").read_text() == "name,step,loss\na,1,1234.57\nb,,\n"
    assert done.total == publish.size(target)
    assert "toy: made from files that were not committed" in done.warnings[0]
    assert [state.where for state in runner.status("reference")] == ["own", "committed"]


@pytest.mark.parametrize("profile", ["paper", "crosscheck"])
def test_publish_keeps_only_tables_of_what_is_not_shown(project, profile):
    toy.add(project, "toy", sidecar=toy.SIDECAR + f"  {profile}: {{size: 16}}\n")
    (job,) = runner.plan(["toy"], profile)
    toy.finish(job.task)
    publish.publish(["toy"], profile)
    target = project / "results" / "reference" / f"toy-{profile}"
    assert {path.name for path in target.iterdir()} == {"run.json", "metrics.csv"}


def test_a_large_notebook_is_published_with_coarser_pictures(tmp_path, monkeypatch):
    """The numbers and the pictures' sizes stay; nothing happens to a notebook that is small enough."""
    stream = io.BytesIO()
    Image.effect_noise((300, 200), 60).convert("RGB").save(stream, "JPEG", quality=90)
    picture = base64.b64encode(stream.getvalue()).decode()
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1")])
    notebook.cells[0].outputs = [
        nbformat.v4.new_output("display_data", {"image/jpeg": picture}),
        nbformat.v4.new_output("display_data", {"text/html": "<td>0.125</td>"}),
    ]
    path = tmp_path / "notebook.ipynb"
    nbformat.write(notebook, path)
    before, size = path.read_text(), path.stat().st_size
    publish._lighten(path)
    assert path.read_text() == before
    monkeypatch.setattr(publish, "NOTEBOOK_LIMIT", size - 1)
    publish._lighten(path)
    assert path.stat().st_size < 0.8 * size
    notebook = nbformat.read(path, 4)
    nbformat.validate(notebook)
    first, second = (output["data"] for output in notebook.cells[0].outputs)
    assert Image.open(io.BytesIO(base64.b64decode(first["image/jpeg"]))).size == (300, 200)
    assert second == {"text/html": "<td>0.125</td>"}


def test_publish_refuses_what_should_not_be_committed(project, monkeypatch):
    with pytest.raises(RunError, match="profile to publish 'laptop'"):
        publish.publish(["toy"], "laptop")
    with pytest.raises(ResultsError, match="no finished run"):
        publish.publish(["toy"])
    with pytest.raises(ResultsError, match="no finished run of profile reference"):
        publish.publish()
    (job,) = runner.plan(["toy"], "reference")
    toy.finish(job.task)
    monkeypatch.setattr(publish, "LIMIT", 10)
    with pytest.raises(ResultsError, match=r"more than 0 MB; nothing was changed"):
        publish.publish()
    toy.add(project, "toy", toy.BODY + "\nprint(1)")
    with pytest.raises(ResultsError, match="is stale: the notebook's code changed"):
        publish.publish()
    assert list((project / "results" / "reference").iterdir()) == []
