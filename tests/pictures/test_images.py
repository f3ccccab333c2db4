"""Pictures in and out: every format and mode, what is written, and bad input."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, JpegImagePlugin
from server import serve
from small import png, saved

from stylerepro.errors import AssetError, ImageError, ResultsError
from stylerepro.pictures import assets, images
from stylerepro.pictures.paintings import PAINTINGS, paint
from stylerepro.pictures.samples import CONTENTS


def read_bytes(content: bytes, name: str = "picture.png", **options: object) -> np.ndarray:
    Path(name).write_bytes(content)
    tensor = images.read(name, **options)
    assert tensor.dtype == torch.float32
    assert tensor.ndim == 4
    assert tensor.shape[:2] == (1, 3)
    assert tensor.is_contiguous()
    assert 0 <= tensor.min() <= tensor.max() <= 1
    return images.to_array(tensor)


# Reading: formats and modes


@pytest.mark.parametrize(
    ("kind", "options", "tolerance"),
    [
        ("PNG", {}, 0), ("WEBP", {"lossless": True}, 0), ("JPEG", {"quality": 100, "subsampling": 0}, 4),
        ("WEBP", {}, 25),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["picture.png", "picture"])
def test_formats_go_by_content_not_suffix(colours, kind, options, tolerance, name) -> None:
    array = read_bytes(saved(Image.fromarray(colours), kind, **options), name)
    assert np.abs(array * 255 - colours).max() <= tolerance + 1e-4


def test_transparency_becomes_white_in_other_formats_and_beside_grey(colours) -> None:
    alpha = np.linspace(0, 255, 24 * 32).astype(np.uint8).reshape(24, 32, 1)
    expected = colours / 255 * (alpha / 255) + 1 - alpha / 255
    for kind, options in (("PNG", {}), ("WEBP", {"lossless": True, "exact": True})):
        content = saved(Image.fromarray(np.concatenate([colours, alpha], axis=2)), kind, **options)
        np.testing.assert_allclose(read_bytes(content), expected, atol=1e-6)
    translucent = read_bytes(png(np.concatenate([colours[..., :1], alpha], axis=2)))
    np.testing.assert_allclose(translucent[..., 2], expected[..., 0], atol=1e-6)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_16_bits_keep_their_precision(channels) -> None:
    array = np.random.default_rng(0).integers(0, 65536, (5, 7, channels)).astype(np.uint16)
    scaled = array / 65535
    if channels in (2, 4):
        scaled = scaled[..., :-1] * scaled[..., -1:] + 1 - scaled[..., -1:]
    np.testing.assert_allclose(read_bytes(png(array)), np.broadcast_to(scaled, (5, 7, 3)), atol=1e-6)


def test_a_profile_or_exif_that_is_none_changes_nothing(colours) -> None:
    for damaged in ({"icc_profile": b"no profile"}, {"exif": b"Exif\0\0II*\0\xff\xff\xff\x7f\x99"}):
        content = saved(Image.fromarray(colours), "PNG", **damaged)
        np.testing.assert_allclose(read_bytes(content), colours / 255, atol=1e-7)


# Reading: names, addresses


def test_names_say_what_read_knows() -> None:
    known = images.names()
    assert known["sample"] == list(CONTENTS)
    assert known["painting"] == list(PAINTINGS)
    assert "starry_night" in known["style"]
    assert "chicago" in known["content"]
    assert not {"vgg16", "coco_train2014"} & {name for group in known.values() for name in group}


def test_samples_and_paintings_by_name_seed_and_size() -> None:
    np.testing.assert_allclose(images.to_array(images.read("coffee")), CONTENTS["coffee"]() / 255, atol=1e-7)
    assert images.read("coffee", 100).shape == (1, 3, 100, 150)
    name = next(iter(PAINTINGS))
    third = images.read(f"{name}:3", 48)
    np.testing.assert_array_equal(images.to_array(third), paint(name, size=(48, 48), seed=3).astype(np.float32))
    assert torch.equal(third, images.read(name, 48, seed=3))
    assert not torch.equal(third, images.read(name, 48))
    assert images.read(name, (32, 48)).shape == (1, 3, 32, 48)
    with pytest.raises(ImageError, match="whole number"):
        images.read(f"{name}:x")


def test_assets_by_name(colours, tmp_path, monkeypatch) -> None:
    path = tmp_path / "mirror" / assets.REGISTRY["wave"].path
    path.parent.mkdir(parents=True)
    path.write_bytes(saved(Image.fromarray(colours), "PNG"))
    monkeypatch.setenv("STYLEREPRO_MIRROR", str(tmp_path / "mirror"))
    with pytest.raises(AssetError, match="SHA-256"):
        images.read("wave")
    monkeypatch.setattr(assets, "fetch", lambda name: path)
    np.testing.assert_allclose(images.to_array(images.read("wave")), colours / 255, atol=1e-7)


def test_a_name_wins_over_a_file_unless_it_is_a_path(colours) -> None:
    Path("coffee").write_bytes(saved(Image.fromarray(colours), "PNG"))
    assert images.read("coffee").shape[-2:] == (400, 600)
    assert images.read("./coffee").shape[-2:] == (24, 32)
    assert images.read(Path("coffee")).shape[-2:] == (24, 32)
    assert images.read(Path("coffee").resolve().as_uri()).shape[-2:] == (24, 32)


def test_a_name_that_begins_with_a_tilde_is_a_file_where_there_is_no_such_user(colours) -> None:
    Path("~no such user.png").write_bytes(saved(Image.fromarray(colours), "PNG"))
    assert images.read("~no such user.png").shape[-2:] == (24, 32)
    images.write(images.read("~no such user.png"), "~another.png")
    assert Path("~another.png").is_file()
    with pytest.raises(ImageError, match="There is no picture"):
        images.read("~nobody/at all.png")


def test_addresses_are_downloaded_once_and_error_pages_forgotten(colours) -> None:
    files = {f"{place}/one.png": saved(Image.fromarray(colours[:place]), "PNG") for place in (8, 16)}
    with serve(files | {"page.png": b"<html>sorry</html>"}) as (base, asked):
        for place in (8, 16, 8, 16):
            assert images.read(f"{base}/{place}/one.png").shape == (1, 3, place, 32)
        for _ in range(2):
            with pytest.raises(ImageError, match=r"page\.png is not a JPEG, PNG or WebP"):
                images.read(f"{base}/page.png")
        with pytest.raises(AssetError, match="answered 404"):
            images.read(f"{base}/none.png")
    assert asked == ["/8/one.png", "/16/one.png", "/page.png", "/page.png", "/none.png"]


# Reading: bad input


def test_truncated_files() -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    for kind in ("JPEG", "PNG", "WEBP"):
        content = saved(noise, kind)
        for share in (0.01, 0.3, 0.9, 0.99):
            with pytest.raises(ImageError, match=r"damaged or cut short|is not a JPEG"):
                read_bytes(content[: int(share * len(content))], f"cut.{kind.lower()}")
    deep = png(np.random.default_rng(0).integers(0, 65536, (64, 64, 3)).astype(np.uint16))
    with pytest.raises(ImageError, match="damaged or cut short"):
        read_bytes(deep[: len(deep) // 2])


def test_what_is_no_picture_is_said(colours, tmp_path) -> None:
    for content in (b"this is text, whatever its name says", saved(Image.fromarray(colours), "TIFF")):
        with pytest.raises(ImageError, match=r"picture\.png is not a JPEG, PNG or WebP picture\. Convert it"):
            read_bytes(content)
    with pytest.raises(ImageError, match=r"empty \(0 bytes\)"):
        read_bytes(b"")
    with pytest.raises(ImageError, match="is a folder"):
        images.read(tmp_path)
    Path("dangling.png").symlink_to("nothing.png")
    with pytest.raises(ImageError, match="cannot be read"):
        images.read("dangling.png")


def test_one_pixel_is_a_picture_but_cannot_be_enlarged() -> None:
    content = png(np.array([[[255, 0, 51]]], dtype=np.uint8))
    np.testing.assert_allclose(read_bytes(content), [[[1, 0, 0.2]]], atol=1e-7)
    assert read_bytes(content, size=1).shape == (1, 1, 3)
    with pytest.raises(ImageError, match="1 × 1 pixels cannot be enlarged to 256 × 256"):
        read_bytes(content, size=256)


def test_a_huge_header_is_refused_before_decoding_and_a_picture_of_the_limit_is_read(colours, monkeypatch) -> None:
    for claimed in ((60_000, 60_000), (11_000, 10_000), (0x7FFFFFFF, 1)):
        content = png(np.zeros((1, 1, 3), dtype=np.uint8), size=claimed)
        with monkeypatch.context() as patch:
            patch.setattr(Image.Image, "load", lambda *_: pytest.fail("decoded all the same"))
            with pytest.raises(ImageError, match="limit is 100,000,000 pixels, and it was not decoded"):
                read_bytes(content)
    content = saved(Image.fromarray(colours), "PNG")
    monkeypatch.setattr("stylerepro.pictures.decoding.MAX_PIXELS", 24 * 32)
    assert read_bytes(content).shape == (24, 32, 3)
    monkeypatch.setattr("stylerepro.pictures.decoding.MAX_PIXELS", 24 * 32 - 1)
    with pytest.raises(ImageError, match=r"32 × 24 pixels.* limit is 767 pixels"):
        read_bytes(content)


@pytest.mark.parametrize(
    ("wrong", "suggestion"),
    [
        ("astronut", "Did you mean 'astronaut'"), ("stary_night", "Did you mean 'starry_night'"),
        ("hollyday.jpg", "Did you mean 'holiday.jpg'"), ("nowhere/at/all.png", "Names are astronaut"),
        ("x" * 5000, "Names are astronaut"), ("", "Names are astronaut"), ("a\0b", "Names are astronaut"),
    ],
    ids=lambda words: words[:20].replace("\0", "0"),
)  # fmt: skip
def test_missing_paths_and_unknown_names(wrong, suggestion) -> None:
    Path("holiday.jpg").touch()
    with pytest.raises(ImageError, match=suggestion):
        images.read(wrong)


# Writing


@pytest.mark.parametrize("name", ["a.png", "a.PNG", "new/folder/a.png"])
def test_write_rounds_and_cuts(name) -> None:
    values = torch.tensor([-0.5, 0.0, 0.4999 / 255, 0.5001 / 255, 127.6 / 255, 254.4 / 255, 254.6 / 255, 1.7])
    image = values.expand(1, 3, 2, 8).clone().requires_grad_()
    assert images.write(image, name) == Path(name)
    np.testing.assert_array_equal(np.asarray(Image.open(name))[0, :, 0], [0, 0, 0, 1, 128, 254, 255, 255])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_eight_bits_survive_a_round_trip(dtype) -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, 2)
    image = images.from_array(levels / 255).to(dtype)
    images.write(image[0], "a.png")
    tolerance = 1 if dtype == torch.bfloat16 else 0  # it has 8 bits of precision in all
    assert np.abs(np.asarray(Image.open("a.png")).astype(int) - levels).max() <= tolerance


@pytest.mark.parametrize(
    ("name", "kind"), [("a.jpg", "JPEG"), ("a.jpeg", "JPEG"), ("a.webp", "WEBP"), ("a.png", "PNG")]
)
def test_write_chooses_the_format_by_the_suffix(colours, name, kind) -> None:
    image = images.from_array(colours / 255)
    images.write(image, name)
    with Image.open(name) as opened:
        assert opened.format == kind
        if kind == "JPEG":
            assert JpegImagePlugin.get_sampling(opened) == 0  # colour at full resolution
    assert (images.read(name) - image).abs().mean() < 0.02
    sizes = [images.write(images.read("chelsea"), name, quality=q).stat().st_size for q in (20, 95)]
    assert (sizes[0] < sizes[1]) == (kind != "PNG")


@pytest.mark.parametrize(
    ("image", "name", "message"),
    [
        (torch.full((1, 3, 4, 4), torch.nan), "a.png", "48 of 48 values are NaN or infinite"),
        (torch.full((1, 3, 4, 4), torch.inf), "a.png", "NaN or infinite"),
        (torch.zeros(4, 4), "a.png", r"shape \(4, 4\)"),
        (torch.zeros(1, 4, 4, 3), "a.png", r"\(N, 3, height, width\) is expected"),
        (torch.zeros(1, 3, 0, 4), "a.png", "no picture"),
        (torch.zeros(2, 3, 4, 4), "a.png", r"holds 2 pictures.*image\[i : i \+ 1\]"),
        (torch.zeros(1, 3, 4, 4, dtype=torch.uint8), "a.png", "torch.uint8 is not in"),
        (torch.zeros(1, 3, 4, 4), "a.tiff", r"unknown suffix '\.tiff'"),
        (torch.zeros(1, 3, 4, 4), "a", "unknown suffix ''"),
        (torch.zeros(1, 3, 4, 4), "folder.png", "is a folder"),
        (torch.zeros(1, 3, 1, 70_000), "a.jpg", "cannot be written"),
        (torch.zeros(1, 3, 4, 4), "a.png/b.png", "is a file, but a folder is needed"),
    ],
)
def test_bad_writes_leave_what_was_there(image, name, message) -> None:
    Path("folder.png").mkdir()
    Path("a.png").write_bytes(b"precious")
    before = sorted(Path().iterdir())
    with pytest.raises((ImageError, ResultsError), match=message):
        images.write(image, name)
    with pytest.raises(ImageError, match="quality=0"):
        images.write(torch.zeros(1, 3, 4, 4), "b.jpg", quality=0)
    assert Path("a.png").read_bytes() == b"precious"
    assert sorted(Path().iterdir()) == before


# Resizing


@pytest.mark.parametrize(
    ("size", "side", "expected"),
    [
        (None, "short", (24, 32)), (12, "short", (12, 16)), (12, "long", (9, 12)), (100, "long", (75, 100)),
        (17, "short", (17, 23)), (1, "long", (1, 1)), ((10, 50), "short", (10, 50)), ([10, 50], "short", (10, 50)),
    ],
)  # fmt: skip
def test_sizes(colours, size, side, expected) -> None:
    image = images.from_array(colours / 255)
    assert images.resize(image, size, side=side).shape == (1, 3, *expected)
    upright = images.resize(image.transpose(-1, -2), size[::-1] if isinstance(size, tuple | list) else size, side=side)
    assert upright.shape == (1, 3, *expected[::-1])


@pytest.mark.parametrize(
    ("size", "longest", "expected"),
    [(50, 200, (17, 200)), (50, 120, (10, 120)), (50, None, (50, 600)), (5, 20, (5, 60)), (16, 200, (16, 192))],
)
def test_a_strip_is_not_enlarged_beyond_the_longest_side_that_is_asked_for(tmp_path, size, longest, expected) -> None:
    images.write(torch.rand(3, 10, 120), tmp_path / "strip.png")
    assert images.read(tmp_path / "strip.png", size, longest=longest).shape[-2:] == expected


FLAT, COUNTED = torch.zeros(1, 3, 24, 32), torch.zeros(1, 3, 4, 4, dtype=torch.int64)
TAKERS = [images.to_array, partial(images.resize, size=8), partial(images.centre_crop, height=1, width=1)]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        *((partial(images.resize, FLAT, size), "size=") for size in (0, -1, 2.5, True, (1, 2, 3))),
        (lambda: images.resize(FLAT, 8, side="width"), "side="),
        (lambda: images.resize(FLAT, 60_000), "over the limit"),
        (lambda: images.read("swirls", 60_000), "over the limit"),
        *((partial(images.centre_crop, FLAT, *size), "does not fit") for size in ((25, 25), (24, 33), (0, 3))),
        *((partial(taker, FLAT[:, :1]), "is no picture") for taker in TAKERS),
        *((partial(taker, COUNTED), "not in") for taker in TAKERS),
        (lambda: images.from_array(np.zeros((4, 5))), r"\(height, width, 3\) is expected"),
        (lambda: images.from_array(np.zeros((4, 5, 3), np.uint8)), "Divide by"),
    ],
)
def test_what_is_no_picture_or_no_size_is_refused_with_the_reason(call, message) -> None:
    with pytest.raises(ImageError, match=message):
        call()


@pytest.mark.parametrize("shape", [(9, 40), (40, 9), (50, 60), (24, 5)])
def test_resize_is_lanczos_without_rounding(shape) -> None:
    # From 0.3 to 0.7, so that ringing stays inside [0, 1] and nothing is cut.
    array = 0.3 + 0.4 * np.random.default_rng(0).random((24, 32, 3))
    channels = [Image.fromarray(array[..., channel].astype(np.float32)) for channel in range(3)]
    expected = np.stack([channel.resize(shape[::-1], Image.Resampling.LANCZOS) for channel in channels], axis=-1)
    resized = images.to_array(images.resize(images.from_array(array), shape))
    np.testing.assert_allclose(resized, expected, atol=1e-5)
    assert np.abs(resized * 255 - np.round(resized * 255)).max() > 0.4


def test_resize_cuts_ringing_and_keeps_type_and_batch() -> None:
    edge = torch.zeros(2, 3, 8, 8, dtype=torch.float64)
    edge[1, :, :, 4:] = 1
    big = images.resize(edge, 32)
    assert big.dtype == torch.float64
    assert big.shape == (2, 3, 32, 32)
    assert (big[0] == 0).all()
    assert big[1].min() == 0
    assert big[1].max() == 1


def test_centre_crop() -> None:
    image = torch.arange(5 * 6.0).reshape(1, 1, 5, 6).expand(1, 3, 5, 6)
    assert images.centre_crop(image, 3, 2)[0, 0].tolist() == [[8, 9], [14, 15], [20, 21]]
    assert images.centre_crop(image, 5, 6).shape == image.shape


def test_arrays_and_tensors() -> None:
    array = np.random.default_rng(0).random((4, 5, 3))
    tensor = images.from_array(array)
    assert tensor.shape == (1, 3, 4, 5)
    assert tensor[0, 2, 1, 3] == np.float32(array[1, 3, 2])
    back = images.to_array(tensor)
    assert back.dtype == np.float64
    np.testing.assert_allclose(back, array, atol=1e-7)
    back[:] = 0
    assert tensor.any()
