"""Pictures of single settings: each belongs to one row of a table, and comes back as it was."""

import numpy as np
import pandas as pd
import pytest
import torch
import toy
from PIL import Image

from stylerepro.errors import ResultsError
from stylerepro.measures import image_metrics
from stylerepro.runs import gallery, results, tables
from stylerepro.runs.declarations import Column
from stylerepro.runs.gallery import Gallery, Shown

TABLE = pd.DataFrame({"gamma": [0.0, 10.0, 10.0], "name": ["a", "a", "b"], "value": [1.0, 2.0, 3.0], "r": [None, 2, 3]})
EXPLORED = toy.SIDECAR + "explore: {sliders: [gamma], shown: [value]}\n"


def picture(seed, size=24):
    return torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(seed))


def test_a_picture_belongs_to_the_row_with_its_values_and_a_gap_is_found_by_none(tmp_path):
    photograph = picture(9, 40)
    shown = [
        Shown({"gamma": 10, "name": "b"}, picture(1), photograph),
        Shown({"gamma": 0.0}, picture(2), photograph),
        Shown({"r": 2}, picture(3)),
    ]
    Gallery(shown).write(tmp_path, TABLE)
    read = gallery.read(tmp_path)
    assert read["row"].tolist() == [0, 1, 2]
    assert read["before"].tolist() == [read["before"][2], "", read["before"][2]]
    with Image.open(tmp_path / "gallery" / read["picture"][2]) as file:
        apart = np.abs(np.asarray(file) / 255 - picture(1)[0].permute(1, 2, 0).numpy()).mean()
    assert apart < 0.25
    assert len(list((tmp_path / "gallery").glob("before-*"))) == 1
    with Image.open(tmp_path / "gallery" / read["before"][0]) as file:
        assert file.size == (40, 40)
    Gallery([Shown({"r": None}, picture(1))]).write(tmp_path, TABLE)
    assert gallery.read(tmp_path)["row"].tolist() == [0]


def test_a_picture_by_its_path_is_found_where_the_table_has_its_name(tmp_path):
    path = tmp_path / "own.png"
    path.write_bytes(b"1")
    table = tables.check(TABLE.assign(name=["a", str(path), "b"])[["name"]], {"name": Column(type="str")}, "metrics")
    assert table["name"].tolist() == ["a", "own-6b86b273.png", "b"]
    Gallery([Shown({"name": str(path)}, picture(1))]).write(tmp_path, table)
    assert gallery.read(tmp_path)["row"].tolist() == [1]


def test_the_profile_is_the_spectrums_at_the_same_frequencies_for_every_size(tmp_path):
    Gallery([Shown({"gamma": 0.0}, picture(1, 64)), Shown({"r": 2}, picture(1, 200))]).write(tmp_path, TABLE)
    profiles = [list(map(float, text.split())) for text in gallery.read(tmp_path)["profile"]]
    assert [len(profile) for profile in profiles] == [len(gallery.FREQUENCIES)] * 2
    rings = image_metrics.radial_profile(picture(1, 64))
    wanted = np.log10(np.interp(0.3, rings["frequency"], rings["amplitude"]))
    assert profiles[0][gallery.FREQUENCIES.index(0.3)] == pytest.approx(wanted, abs=0.1)
    with Image.open(tmp_path / "gallery" / gallery.read(tmp_path)["spectrum"][1]) as file:
        assert file.size == (160, 160)


@pytest.mark.parametrize(
    ("places", "words"),
    [
        ([{"gamma": 10.0}], "belongs to 2 rows"), ([{"gamma": 5.0}], "belongs to 0 rows"),
        ([{"gama": 1.0}], "no such column"), ([], "without pictures"),
    ],
)  # fmt: skip
def test_a_picture_that_belongs_to_no_row_or_to_several_and_none_at_all_are_refused(tmp_path, places, words):
    with pytest.raises(ResultsError, match=words):
        Gallery([Shown(where, picture(1)) for where in places]).write(tmp_path, TABLE)
    assert not (tmp_path / "gallery.csv").exists()


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "gallery" / "0000.webp").unlink(),
        lambda folder: (folder / "gallery.csv").write_text("row,picture\n0,0000.webp\n"),
        lambda folder: (folder / "gallery.csv").write_text("row,picture,spectrum,before,profile\nx,a,b,,1\n"),
        lambda folder: (folder / "gallery.csv").write_text("row,picture,spectrum,before,profile\n0,../../x,b,,1\n"),
    ],
)
def test_a_damaged_gallery_is_named(tmp_path, damage):
    assert gallery.read(tmp_path) is None
    Gallery([Shown({"gamma": 0.0}, picture(1))]).write(tmp_path, TABLE)
    damage(tmp_path)
    with pytest.raises(ResultsError, match=r"gallery\.csv"):
        gallery.read(tmp_path)


def test_a_run_keeps_its_gallery_beside_its_tables(project):
    table = pd.DataFrame({"gamma": [0.0, 10.0], "value": [1.0, 2.0], "name": ["a", "b"]})
    with pytest.raises(ResultsError, match="needs `explore`"):
        results.begin("toy", toy.namespace()).save(table, gallery=Gallery([Shown({"gamma": 0.0}, picture(1))]))
    toy.add(project, "toy", sidecar=EXPLORED)
    results.begin("toy", toy.namespace()).save(table, gallery=Gallery([Shown({"gamma": 10.0}, picture(1))]))
    (folder,) = (path.parent for path in project.glob("results/runs/toy/*/gallery.csv"))
    assert gallery.read(folder)["row"].tolist() == [1]


def test_a_sheet_shows_every_picture_of_runs_and_says_in_what_they_differ(project, tmp_path, monkeypatch, call):
    toy.add(project, "toy", sidecar=EXPLORED)
    table = pd.DataFrame({"gamma": [0.0, 10.0], "value": [1.0, 2.0], "name": ["a", "a"]})
    for size, colour in ((4, [1.0, 0, 0]), (6, [0, 0, 1.0])):
        filled = torch.tensor(colour).view(1, 3, 1, 1).expand(1, 3, 32, 48)
        shown = [Shown({"gamma": 0.0}, filled), Shown({"gamma": 10.0}, 1 - filled)]
        results.begin("toy", toy.namespace(size=size)).save(table, gallery=Gallery(shown))
    runs = sorted(path.parent for path in project.glob("results/runs/toy/*/gallery.csv"))
    titled = []
    drawn = gallery.plots.sheet
    monkeypatch.setattr(gallery.plots, "sheet", lambda *words: titled.append(words[1:]) or drawn(*words))
    code, out, _ = call("sheet", *map(str, runs), "-o", "sheet.png")
    assert (code, out) == (0, "sheet.png: the pictures of 2 runs\n")
    ((columns, rows),) = titled
    assert (columns, sorted(rows)) == (["gamma 0.0", "gamma 10.0"], ["size 4", "size 6"])
    with Image.open(tmp_path / "sheet.png") as file:
        pixels = np.asarray(file.convert("RGB")).reshape(-1, 3).astype(int)
    for wanted in ([255, 0, 0], [0, 255, 255], [0, 0, 255], [255, 255, 0]):
        assert (np.abs(pixels - wanted).max(1) < 40).sum() > 1000, "whole, at its own size or larger"
    assert call("sheet", str(runs[0]), "-o", "sheet.png")[0] == 2
    (runs[1] / "gallery.csv").unlink()
    assert "has no pictures of its settings" in call("sheet", *map(str, runs), "-o", "other.png")[2]
