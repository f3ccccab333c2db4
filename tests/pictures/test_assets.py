"""Mirror, cache, download: which is asked first, and that nothing broken is ever taken for whole."""

import hashlib
import io
import os
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest
from server import serve

from stylerepro.errors import AssetError
from stylerepro.pictures import assets

CONTENT = b"a painting" * 5000
MIRROR_AT_HAND = os.environ.get("STYLEREPRO_MIRROR", "")


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch) -> Callable[..., assets.Asset]:
    """Put a small asset "night" into the registry; keyword arguments change its fields."""

    def put(**fields: object) -> assets.Asset:
        asset = assets.Asset(
            name="night", kind="style", path="style/night.jpg", licence="CC0", source="test", attribution="nobody",
            url="http://127.0.0.1:9/night.jpg",  # port 9, discard: nothing listens
            sha256=hashlib.sha256(CONTENT).hexdigest(), bytes=len(CONTENT),
        )  # fmt: skip
        asset = replace(asset, **fields)
        monkeypatch.setattr(assets, "REGISTRY", MappingProxyType({"night": asset}))
        return asset

    return put


def lay(folder: Path, path: str, content: bytes) -> Path:
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)
    return target


def left_over(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.rglob("*") if p.is_file())


def zipped(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def test_registry_states_what_a_user_must_know() -> None:
    expected = (
        "chicago hoovertowernight tubingen golden_gate starry_night udnie the_scream wave composition_vii shipwreck "
        "vgg16_caffe vgg16_features vgg16 vgg19 coco_train2014"
    )
    assert list(assets.REGISTRY) == expected.split()
    for name, asset in assets.REGISTRY.items():
        assert asset.name == name
        assert asset.url.startswith("http")
        assert all((asset.bytes, asset.licence, asset.source, asset.attribution)), name
        assert len(asset.sha256 or "") in (0, 8, 64)
        # Whatever is loaded as weights is checked by hash, and an address on GitHub is that of one commit.
        assert asset.sha256 or asset.kind == "archive"
        assert "githubusercontent" not in asset.url or len(asset.url.split("/")[5]) == 40
    for name in ("vgg16", "vgg19"):
        assert assets.REGISTRY[name].path.endswith(f"{name}-{assets.REGISTRY[name].sha256}.pth")


@pytest.mark.skipif(not MIRROR_AT_HAND, reason="needs STYLEREPRO_MIRROR")
def test_mirror_at_hand_holds_what_the_registry_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STYLEREPRO_MIRROR", MIRROR_AT_HAND)
    names = [name for name in assets.REGISTRY if assets.available(name)]
    if not names:
        pytest.skip("the mirror is not a folder here")
    for name in names:
        path = assets.fetch(name)
        assert path.is_dir() or path.stat().st_size == assets.REGISTRY[name].bytes


def test_mirror_folder_is_looked_in_first(tmp_path, register, monkeypatch) -> None:
    asset = register()
    assert "night" in assets.REGISTRY
    assert not assets.available("night")
    lay(assets.cache_root(), asset.path, CONTENT)
    in_mirror = lay(tmp_path / "mirror", asset.path, CONTENT)
    for spelling in (str(tmp_path / "mirror"), (tmp_path / "mirror").as_uri()):
        monkeypatch.setenv("STYLEREPRO_MIRROR", spelling)
        assert assets.fetch("night") == in_mirror
    monkeypatch.delenv("STYLEREPRO_MIRROR")
    assert assets.fetch("night") == assets.cache_root() / asset.path
    assert assets.available("night")


def test_relative_mirror_is_meant_from_the_project_too(tmp_path, register, monkeypatch) -> None:
    asset = register()
    root = tmp_path / "project"
    (root / "notebooks").mkdir(parents=True)
    in_mirror = lay(tmp_path / "mirror", asset.path, CONTENT)
    monkeypatch.setenv("STYLEREPRO_ROOT", str(root))
    monkeypatch.setenv("STYLEREPRO_MIRROR", "../mirror")
    for folder in (root, root / "notebooks"):
        monkeypatch.chdir(folder)
        assert assets.fetch("night") == in_mirror


def test_wrong_hash_in_the_mirror_is_named_and_kept(tmp_path, register, monkeypatch) -> None:
    asset = register()
    spoilt = lay(tmp_path / "mirror", asset.path, b"other bytes")
    monkeypatch.setenv("STYLEREPRO_MIRROR", str(tmp_path / "mirror"))
    with pytest.raises(AssetError) as caught:
        assets.fetch("night")
    message = str(caught.value)
    for part in (str(spoilt), asset.sha256, hashlib.sha256(b"other bytes").hexdigest(), asset.url, "Replace it"):
        assert part in message
    assert spoilt.read_bytes() == b"other bytes"


@pytest.mark.parametrize("digits", [8, 64])
def test_a_changed_file_is_hashed_again(register, digits) -> None:
    asset = register(sha256=hashlib.sha256(CONTENT).hexdigest()[:digits])
    place = lay(assets.cache_root(), asset.path, CONTENT)
    assert assets.fetch("night") == place
    place.write_bytes(CONTENT[:-1] + b"?")
    with pytest.raises(AssetError, match="no connection"):
        assets.fetch("night")


@pytest.mark.parametrize("spoilt", [False, True])
def test_download_is_kept_and_asked_for_once_also_instead_of_a_spoilt_copy(register, spoilt) -> None:
    with serve({"night.jpg": CONTENT}) as (base, asked):
        asset = register(url=f"{base}/night.jpg")
        if spoilt:
            lay(assets.cache_root(), asset.path, CONTENT[:100])
        assert assets.fetch("night", progress=False).read_bytes() == CONTENT
        assert assets.fetch("night") == assets.cache_root() / asset.path
    assert asked == ["/night.jpg"]
    assert left_over(assets.cache_root()) == ["night.jpg"]


@pytest.mark.parametrize(
    ("content", "fields", "reason"),
    [
        (None, {}, "broke off"),
        (None, {"sha256": None, "bytes": None}, "broke off"),
        (b"<html>not here</html>", {}, "its SHA-256 is"),
        (b"<html>not here</html>", {"sha256": "00000000"}, "expected to begin with 00000000"),
        (b"<html>not here</html>", {"sha256": None}, "expected 50,000"),
    ],
)
def test_a_download_that_breaks_off_or_is_another_leaves_nothing(register, content, fields, reason) -> None:
    with serve({"night.jpg": content or CONTENT}, cut=content is None) as (base, _):
        asset = register(url=f"{base}/night.jpg", **fields)
        with pytest.raises(AssetError, match=reason) as caught:
            assets.fetch("night", progress=False)
    assert asset.url in str(caught.value)
    assert "STYLEREPRO_MIRROR" in str(caught.value)
    assert left_over(assets.cache_root()) == []
    assert not assets.available("night")


@pytest.mark.parametrize("mirrored", [True, False])
def test_mirror_address_comes_before_the_public_one(register, monkeypatch, mirrored) -> None:
    files = {"night.jpg": CONTENT} | ({"base/style/night.jpg": CONTENT} if mirrored else {})
    with serve(files) as (base, asked):
        register(url=f"{base}/night.jpg")
        monkeypatch.setenv("STYLEREPRO_MIRROR", f"{base}/base/")
        assert assets.fetch("night", progress=False).read_bytes() == CONTENT
    asks = ["/base/style/night.jpg", "/night.jpg"]
    assert asked == (asks[:1] if mirrored else asks)


@pytest.mark.parametrize("mirror", [None, "no/such/folder"])
def test_unreachable_says_what_to_do(register, monkeypatch, mirror) -> None:
    asset = register()
    if mirror:
        monkeypatch.setenv("STYLEREPRO_MIRROR", mirror)
    with pytest.raises(AssetError) as caught:
        assets.fetch("night", progress=False)
    message = str(caught.value)
    for part in ("night.jpg", asset.url, "STYLEREPRO_MIRROR", asset.path, "no connection"):
        assert part in message
    assert ("is no folder that exists" in message) == bool(mirror)


def test_a_file_where_the_cache_should_be(tmp_path, register, monkeypatch) -> None:
    (tmp_path / "taken").write_text("mine")
    monkeypatch.setenv("STYLEREPRO_CACHE", str(tmp_path / "taken"))
    with serve({"night.jpg": CONTENT}) as (base, _):
        register(url=f"{base}/night.jpg")
        with pytest.raises(AssetError, match="STYLEREPRO_CACHE"):
            assets.fetch("night", progress=False)
    assert (tmp_path / "taken").read_text() == "mine"


def test_unknown_name_suggests_the_nearest() -> None:
    for function in (assets.fetch, assets.available):
        with pytest.raises(AssetError, match="Did you mean 'starry_night'"):
            function("stary_night")


def test_archive_is_unpacked_whole_and_then_removed(tmp_path, register, monkeypatch) -> None:
    archive = zipped({"train/1.jpg": b"1", "train/2.jpg": b"2"})
    with serve({"train.zip": archive}) as (base, asked):
        register(kind="archive", path="coco/train.zip", url=f"{base}/train.zip", sha256=None, bytes=len(archive))
        folder = assets.fetch("night", progress=False)
        assert assets.fetch("night") == folder == assets.cache_root() / "coco/train"
    assert [path.name for path in assets.photo_files(folder)] == left_over(assets.cache_root()) == ["1.jpg", "2.jpg"]
    assert len(asked) == 1

    # From a mirror, packed or unpacked; the mirror's own file stays.
    monkeypatch.setenv("STYLEREPRO_CACHE", str(tmp_path / "second"))
    packed = lay(tmp_path / "mirror", "coco/train.zip", archive)
    monkeypatch.setenv("STYLEREPRO_MIRROR", str(tmp_path / "mirror"))
    assert assets.fetch("night", progress=False) == tmp_path / "second/coco/train"
    assert packed.exists()
    lay(tmp_path / "mirror", "coco/train/1.jpg", b"1")
    assert assets.fetch("night") == tmp_path / "mirror/coco/train"


@pytest.mark.parametrize("damage", ["cut", "flipped", "other folder"])
def test_damaged_archive_leaves_no_folder(register, damage) -> None:
    archive = bytearray(zipped({"elsewhere/1.jpg" if damage == "other folder" else "train/1.jpg": b"1" * 1000}))
    if damage == "cut":
        del archive[-200:]
    if damage == "flipped":
        archive[500] ^= 255
    register(kind="archive", path="coco/train.zip", sha256=None, bytes=len(archive))
    lay(assets.cache_root(), "coco/train.zip", bytes(archive))
    with pytest.raises(AssetError, match=r"damaged|holds no folder"):
        assets.fetch("night", progress=False)
    assert left_over(assets.cache_root()) == ["train.zip"]
    assert not (assets.cache_root() / "coco/train").exists()


def test_photo_set_is_any_folder_of_pictures(tmp_path, monkeypatch) -> None:
    for path in ("some/deep/A.JPG", "some/scan.TIF", "some/notes.txt", "some/.hidden.jpg", "none/readme.txt"):
        lay(tmp_path, path, b"")
    assert assets.photo_folder(tmp_path / "some") == tmp_path / "some"
    assert [p.name for p in assets.photo_files(tmp_path / "some")] == ["A.JPG", "scan.TIF"]
    for missing in (tmp_path / "none", tmp_path / "nowhere", "photos"):
        with pytest.raises(AssetError, match="Give a folder of pictures"):
            assets.photo_folder(missing)
    monkeypatch.setenv("STYLEREPRO_MIRROR", str(tmp_path))
    lay(tmp_path, "photos/a.jpg", b"")
    assert assets.photo_folder("photos") == tmp_path / "photos"
    coco = lay(assets.cache_root(), "coco/train2014/COCO_train2014_000000000009.jpg", b"").parent
    assert assets.photo_folder("coco") == coco
