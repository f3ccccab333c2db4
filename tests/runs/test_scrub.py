"""What is kept of a run names no machine."""

import sys
import tempfile

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from stylerepro.runs import scrub


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    for name in ("project", "home"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("STYLEREPRO_ROOT", str(tmp_path / "project"))
    monkeypatch.setenv("STYLEREPRO_MIRROR", str(tmp_path / "mirror"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(scrub.platform, "node", lambda: "box17")
    return tmp_path


def test_folders_cells_and_paths_among_the_parameters_get_names_wherever_they_stand(places):
    cell = f"{tempfile.gettempdir()}/ipykernel_123/456.py"
    assert scrub.scrub(f"{cell}:1: UserWarning: x") == "<cell>:1: UserWarning: x"
    assert scrub.scrub("read /data/me/a.png", {"content": ["/data/me/a.png", "b"]}) == "read a.png"
    text = f"{places}/project/results/a.csv {places}/mirror/x, {places}/home/y: {sys.prefix}/lib"
    text += f", {tempfile.gettempdir()}/z"
    named = "<project>/results/a.csv <mirror>/x, ~/y: <python>/lib, <temporary>/z"
    assert scrub.scrub({"key": [text]}) == {"key": [named]}


def test_addresses_and_longer_names_are_left_alone(places):
    for text in (f"{places}/projects/a", f"https://example.org{places}/project", "box", "on box170"):
        assert "<project>" not in scrub.scrub(text)
        assert "<host>" not in scrub.scrub(text)
    assert scrub.scrub("on box17.") == "on <host>."


def test_a_portable_value_names_a_file_by_its_bytes_and_no_folder(tmp_path, monkeypatch):
    others = ["swirls", 3, "pictures/gone.png", "~no-such-user/z.png", "a/" + 300 * "b"]
    assert scrub.portable({"a": [str(tmp_path / "x.png"), *others]}) == {"a": ["x.png", *others]}
    places = [tmp_path / name / "cat 1.png" for name in "abc"]
    for place, content in zip(places, (b"1", b"2", b"1"), strict=True):
        place.parent.mkdir()
        place.write_bytes(content)
    one, other, same = (scrub.portable(str(place)) for place in places)
    assert (one, other) == ("cat 1-6b86b273.png", "cat 1-d4735e3a.png")
    assert scrub.portable([one, places[0].as_uri()]) == [one, one] == [same, one]
    monkeypatch.chdir(tmp_path)
    assert scrub.portable(["b/cat 1.png", "./b/cat 1.png", "b"]) == [other, other, "b"]
    folders = [scrub.portable(str(place.parent)) for place in places]
    (tmp_path / "c" / "dog.png").touch()
    assert folders[0].startswith("a-")
    assert folders[2] != scrub.portable(str(tmp_path / "c")), "a folder is what pictures lie in it"


def test_an_executed_notebook_keeps_its_pictures_and_loses_the_machine(places):
    outputs = [
        new_output("stream", name="stderr", text=f"\x1b[31m{places}/project/x.py: warned"),
        new_output("display_data", data={"text/html": f"<i>{places}/project</i>", "image/png": "iVBORw0KGgo="}),
        new_output("error", ename="E", evalue=f"{places}/home", traceback=[f"\x1b[0;31m{places}/home"]),
    ]
    cell = new_code_cell('size = 3\nout = "/gone/y"\nprogress = True', metadata={"tags": ["injected-parameters"]})
    notebook = new_notebook(cells=[cell, new_code_cell("1", outputs=outputs)])
    paths = {"input_path": "/a/in.ipynb", "output_path": "/a/out.ipynb"}
    notebook.metadata["papermill"] = paths | {"parameters": {"out": "/gone"}}
    kept = nbformat.writes(scrub.scrub_notebook(notebook))
    assert str(places) not in kept
    assert "\\u001b" not in kept
    assert "/gone" not in kept
    assert '"in.ipynb"' in kept
    assert notebook.cells[0].source == "size = 3"
    assert notebook.cells[1].outputs[1].data["image/png"] == "iVBORw0KGgo="
