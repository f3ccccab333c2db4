"""Samples are where their packages put them, need no network, and their faces are where the boxes say."""

import socket

import numpy as np
import pytest
from skimage.data import lbp_frontal_face_cascade_filename
from skimage.feature import Cascade

from stylerepro.errors import ImageError
from stylerepro.pictures import images, samples
from stylerepro.pictures.samples import Box

SHAPES = {
    "astronaut": (512, 512, 3), "grace_hopper": (600, 512, 3), "coffee": (400, 600, 3), "chelsea": (300, 451, 3),
    "rocket": (427, 640, 3), "motorcycle": (500, 741, 3), "china": (427, 640, 3), "flower": (427, 640, 3),
}  # fmt: skip


def test_samples_load_without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("a sample asked the network"))
    assert list(samples.CONTENTS) == list(SHAPES)
    for name, load in samples.CONTENTS.items():
        picture = load()
        assert picture.dtype == np.uint8
        assert picture.shape == SHAPES[name]
        assert picture.std() > 20


@pytest.mark.parametrize("name", ["astronaut", "grace_hopper"])
def test_face_box_is_where_a_detector_sees_the_face(name: str) -> None:
    box = images.face_box(name)
    assert box == samples.FACES[name]
    faces = Cascade(lbp_frontal_face_cascade_filename()).detect_multi_scale(
        img=samples.CONTENTS[name](), scale_factor=1.2, step_ratio=1, min_size=(60, 60), max_size=(300, 300)
    )
    assert len(faces) == 1
    seen = Box(faces[0]["c"], faces[0]["r"], faces[0]["c"] + faces[0]["width"], faces[0]["r"] + faces[0]["height"])
    shared = (min(box.x1, seen.x1) - max(box.x0, seen.x0)) * (min(box.y1, seen.y1) - max(box.y0, seen.y0))
    areas = [(b.x1 - b.x0) * (b.y1 - b.y0) for b in (box, seen)]
    assert shared / (sum(areas) - shared) > 0.65  # intersection over union


def test_face_box_follows_resize_and_crop() -> None:
    x0, y0, x1, y1 = images.face_box("grace_hopper")  # of 512 × 600
    assert images.face_box("grace_hopper", 256) == Box(x0 // 2, y0 // 2, x1 // 2, y1 // 2)
    assert images.face_box("grace_hopper", 512, crop=(512, 512)) == Box(x0, y0 - 44, x1, y1 - 44)
    stretched = images.face_box("grace_hopper", (512, 512))
    assert (stretched.x0, stretched.x1) == (x0, x1)
    assert (stretched.y0, stretched.y1) == (round(y0 * 512 / 600), round(y1 * 512 / 600))
    # A crop cuts the box at its border.
    assert images.face_box("astronaut", crop=(300, 200)).y0 == 0


def test_face_box_of_what_has_none() -> None:
    with pytest.raises(ImageError, match="astronaut and grace_hopper"):
        images.face_box("coffee")
    with pytest.raises(ImageError, match="Did you mean 'grace_hopper'"):
        images.face_box("grace_hoper")
    with pytest.raises(ImageError, match="Nothing is left"):
        images.face_box("astronaut", crop=(20, 20))
    with pytest.raises(ImageError, match="does not fit"):
        images.face_box("astronaut", 64, crop=(100, 100))
