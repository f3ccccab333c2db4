"""Photographs to train on: samples by seed and number, every picture once a round, and reading ahead."""

import pytest
import torch

from stylerepro.errors import AssetError
from stylerepro.pictures import assets, images
from stylerepro.training import photographs
from stylerepro.training.photographs import Photographs, ahead


def test_samples_are_functions_of_seed_and_number(folder):
    first, again = (Photographs(folder, size=12, seed=3) for _ in range(2))
    samples = first.draw(range(14))
    assert torch.equal(samples, torch.cat([again.draw([number]) for number in range(13, -1, -1)]).flip(0))
    assert not torch.equal(samples[:1], Photographs(folder, size=12, seed=4).draw([0]))
    assert samples.shape == (14, 3, 12, 12)
    assert 0 <= samples.min() <= samples.max() <= 1


def test_each_picture_comes_once_a_round(folder):
    photographs = Photographs(folder, size=8)
    rounds = [[photographs.name(5 * turn + place) for place in range(5)] for turn in range(3)]
    assert all(len(set(names)) == 5 for names in rounds)
    assert len({tuple(names) for names in rounds}) > 1
    assert rounds[0][0].startswith("train2014/COCO_train2014_0000")
    without = Photographs(folder, size=8, leave_out=[f"COCO_train2014_{2:012d}"])
    assert len(without) == 4
    assert without.identity != photographs.identity


def test_what_is_kept_decoded_is_bounded_in_bytes_and_changes_no_sample(folder, monkeypatch):
    numbers = range(3 * len(Photographs(folder, size=16)))
    kept = Photographs(folder, size=16)
    whole = kept.draw(numbers)
    assert len(kept._decoded) == len(kept), "each file is decoded once"
    monkeypatch.setattr(photographs, "_KEPT", 1)
    small = Photographs(folder, size=16)
    assert torch.equal(small.draw(numbers), whole)
    assert not small._decoded


def test_folders_of_the_same_names_are_two_sets_of_photographs(folder, tmp_path):
    for path in assets.photo_files(folder):
        (tmp_path / path.parent.name).mkdir(exist_ok=True)
        (tmp_path / path.parent.name / path.name).write_bytes(path.read_bytes() + b"0")
    assert Photographs(tmp_path).identity != Photographs(folder).identity == Photographs(str(folder)).identity


def test_stretching_takes_the_whole_picture(folder):
    photographs = Photographs(folder, size=10, crop="stretch")
    whole = images.read(folder / photographs.name(0))
    expected = torch.nn.functional.interpolate(whole, (10, 10), mode="bilinear", antialias=True)
    torch.testing.assert_close(photographs.draw([0]), expected, rtol=0, atol=1e-3)


def test_unreadable_files_are_skipped_counted_and_named(folder, tmp_path):
    for place, path in enumerate(assets.photo_files(folder)):
        target = tmp_path / "mixed" / f"deep{place}" / path.name
        target.parent.mkdir(parents=True)
        target.write_bytes(path.read_bytes() if place % 2 else b"spoilt")
    mixed = Photographs(tmp_path / "mixed", size=16)
    mixed.draw(range(10))
    assert sorted(mixed.skipped) == [f"deep{place}/COCO_train2014_{place:012d}.jpg" for place in (0, 2, 4)]
    assert "not a JPEG" in next(iter(mixed.skipped.values()))
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.jpg").write_bytes(b"spoilt")
    with pytest.raises(AssetError, match="None of the 1 pictures"):
        Photographs(tmp_path / "bad").draw([0])
    with pytest.raises(AssetError, match="no folder of photographs"):
        Photographs(tmp_path / "missing")


def test_embedded_pictures_need_no_download(monkeypatch, tmp_path):
    monkeypatch.delenv(assets.MIRROR_VARIABLE, raising=False)
    monkeypatch.setenv("STYLEREPRO_CACHE", str(tmp_path))
    photographs = Photographs("auto", size=32, leave_out=["coffee"])
    assert (photographs.source, len(photographs)) == ("embedded", 7)
    assert photographs.draw([0]).shape == (1, 3, 32, 32)


def test_the_thread_ahead_keeps_the_order_and_hands_errors_on():
    for many in (5, 1, 0):
        assert list(ahead(lambda number: number**2, range(many))) == [number**2 for number in range(many)]
    series = ahead(lambda number: 1 // (2 - number), range(5))
    assert [next(series), next(series)] == [0, 1]
    with pytest.raises(ZeroDivisionError):
        next(series)


def test_what_is_read_ahead_takes_one_thread_and_leaves_the_others_alone():
    """A second team of threads would take the cores from the step that computes."""
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert list(ahead(lambda number: torch.get_num_threads(), range(3))) == [1, 1, 1]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
