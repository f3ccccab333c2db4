"""Assets: pictures, weights and photographs that are fetched, never committed; from where, and under which licence.

`fetch` looks in the mirror (`STYLEREPRO_MIRROR`: a folder, or an http(s) or file address), then in the cache
(`STYLEREPRO_CACHE`), then at the public address. Files keep their relative path in all three.
"""

import functools
import os
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256 as sha256_of
from pathlib import Path
from types import MappingProxyType
from typing import Literal
from urllib.parse import quote, unquote, urlsplit
from urllib.request import url2pathname

from stylerepro.errors import AssetError, ResultsError, unknown
from stylerepro.files import make_folder, project_root, sha256

MIRROR_VARIABLE = "STYLEREPRO_MIRROR"
CACHE_VARIABLE = "STYLEREPRO_CACHE"
PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
_TIMEOUT = 30  # seconds without an answer before an address counts as unreachable

_FAST = "https://raw.githubusercontent.com/jcjohnson/fast-neural-style/813c83441953ead2adb3f65f4cc2d5599d735fa7/"
_NEURAL = "https://raw.githubusercontent.com/jcjohnson/neural-style/07c4b8299f8fbdafec0c514fc820ff1d7ff62e46/"
_DISTILLED = (
    "https://raw.githubusercontent.com/MingSun-Tse/Collaborative-Distillation/"
    "4a269dc90020721ef9b279b2926c62f5bcd6d209/trained_models/wct_se_16x_new/20191109-211322_E20.pth"
)
_AUTHORS = "the repository's authors'; research use"


@dataclass(frozen=True)
class Asset:
    """A file that is fetched, never committed.

    name: that `fetch` and `images.read` know it by. kind: an "archive" is unpacked, and `fetch` gives the folder.
    path: where it lies in a mirror and in the cache, relative. url: its public address. sha256: of the file, in hex, or
    its first digits where only these are stated (torchvision puts them into the file's name), or None. bytes: the
    file's size. licence: under which its owner gives it. source: where it was published. attribution: whom to name.
    """

    name: str
    kind: Literal["content", "style", "weights", "archive"]
    path: str
    url: str
    sha256: str | None
    bytes: int | None
    licence: str
    source: str
    attribution: str


_ASSETS = (
    Asset(
        "chicago", "content", "content/chicago.jpg", _FAST + "images/content/chicago.jpg",
        "a1e8bf5a5ffec464ee1bb4c1dd6662e5b83a905a64ae10755e5801c3343cebe9", 219_977, _AUTHORS,
        "jcjohnson/fast-neural-style", "Justin Johnson; the content image of document 004",
    ),
    Asset(
        "hoovertowernight", "content", "content/hoovertowernight.jpg", _FAST + "images/content/hoovertowernight.jpg",
        "8852910ed1594af535c3dee012b020b9ee4045798645885d20a9445d12e98093", 216_598, _AUTHORS,
        "jcjohnson/fast-neural-style", "Justin Johnson",
    ),
    Asset(
        "tubingen", "content", "content/tubingen.jpg", _NEURAL + "examples/inputs/tubingen.jpg",
        "e67d1869f01fd805385c681a80d9ebcf0f70ea4a5fe6127f0606bb1c7f4bf506", 406_531, "CC BY 3.0",
        "jcjohnson/neural-style", "Andreas Praefcke; the content image of Gatys et al. 2016",
    ),
    Asset(
        "golden_gate", "content", "content/golden_gate.jpg", _NEURAL + "examples/inputs/golden_gate.jpg",
        "f8476ac216e0d409af2e52bf82ad2cdc3433e23d7895e6f9b2048fc014ed57ba", 102_100, _AUTHORS,
        "jcjohnson/neural-style", "Justin Johnson",
    ),
    Asset(
        "starry_night", "style", "style/starry_night.jpg", _FAST + "images/styles/starry_night.jpg",
        "0592ab0f7b51b3ce72608a95e53880bd93971e5b48f93a0ce8dfd3cbccf3d098", 315_236, "public domain",
        "jcjohnson/fast-neural-style", "Vincent van Gogh, The Starry Night, 1889",
    ),
    Asset(
        "udnie", "style", "style/udnie.jpg", _FAST + "images/styles/udnie.jpg",
        "c3d3d4b9e325b485820d1a91df3bad591c2bab86919412e9f1b424e862cf204a", 465_199, "public domain",
        "jcjohnson/fast-neural-style", "Francis Picabia, Udnie (Young American Girl, The Dance), 1913",
    ),
    Asset(
        "the_scream", "style", "style/the_scream.jpg", _FAST + "images/styles/the_scream.jpg",
        "f3075cddeb974a9ee1d6418f7f33fd05185a7ac7dcb4288bd2805d499a9dcaee", 216_723, "public domain",
        "jcjohnson/fast-neural-style", "Edvard Munch, The Scream, 1893",
    ),
    Asset(
        "wave", "style", "style/wave.jpg", _FAST + "images/styles/wave.jpg",
        "14bcf58a39b7095168f27756d76d0c615bb8954acc5eae9e62c66a9684c2ee2b", 148_634, "public domain",
        "jcjohnson/fast-neural-style", "Hokusai, The Great Wave off Kanagawa, about 1831",
    ),
    Asset(
        "composition_vii", "style", "style/composition_vii.jpg", _FAST + "images/styles/composition_vii.jpg",
        "8f992ed4aecd6dd56972d7bc8166761de7c94e670ee6effa8fd05f3daeb33409", 202_426, "public domain",
        "jcjohnson/fast-neural-style", "Wassily Kandinsky, Composition VII, 1913",
    ),
    Asset(
        "shipwreck", "style", "style/shipwreck.jpg", _NEURAL + "examples/inputs/shipwreck.jpg",
        "4f7cf34e3cd4a5daaf3f421f059ca9a01aaa2a3afd7243d6670c9c8bc001a213", 144_730, "public domain",
        "jcjohnson/neural-style", "J. M. W. Turner, The Shipwreck of the Minotaur, about 1810",
    ),
    Asset(
        "vgg19_16x", "weights", "weights/vgg19_16x_conv5_1.pth", _DISTILLED,
        "9417c34d0d8d621bc6af78be745f1b8d30f5f210efa01e50655c60eb3770816b", 3_862_288, "MIT",
        "MingSun-Tse/Collaborative-Distillation",
        "Wang et al., Collaborative Distillation, CVPR 2020, arXiv:2003.08436",
    ),
    Asset(
        "vgg16", "weights", "weights/vgg16-397923af.pth", "https://download.pytorch.org/models/vgg16-397923af.pth",
        "397923af", 553_433_881, "BSD-3-Clause (torchvision); trained on ImageNet, whose terms are for research",
        "torchvision, VGG16_Weights.IMAGENET1K_V1",
        "Simonyan and Zisserman, arXiv:1409.1556; trained by the torchvision authors",
    ),
    Asset(
        "vgg19", "weights", "weights/vgg19-dcbb9e9d.pth", "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth",
        "dcbb9e9d", 574_673_361, "BSD-3-Clause (torchvision); trained on ImageNet, whose terms are for research",
        "torchvision, VGG19_Weights.IMAGENET1K_V1",
        "Simonyan and Zisserman, arXiv:1409.1556; trained by the torchvision authors",
    ),
    Asset(
        "coco_train2014", "archive", "coco/train2014.zip", "http://images.cocodataset.org/zips/train2014.zip",
        None, 13_510_573_713, "annotations CC BY 4.0; pictures under the Flickr terms of their owners",
        "COCO consortium, https://cocodataset.org", "Lin et al., Microsoft COCO, ECCV 2014, arXiv:1405.0312",
    ),
)  # fmt: skip

REGISTRY: Mapping[str, Asset] = MappingProxyType({asset.name: asset for asset in _ASSETS})
"""Every asset by its name."""


def known(name: str) -> bool:
    """Return true for a name of the registry."""
    return name in REGISTRY


def mirror() -> str | None:
    """Return the value of `STYLEREPRO_MIRROR`, or None."""
    return os.environ.get(MIRROR_VARIABLE) or None


def cache_root() -> Path:
    """Return the folder of downloads: `STYLEREPRO_CACHE`, else the platform's cache. It may not exist yet."""
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        return Path(named).expanduser().resolve()
    import pooch

    return Path(pooch.os_cache("stylerepro"))


def available(name: str) -> bool:
    """Return true where `fetch(name)` finds the asset on this machine's discs; no hash is computed for it."""
    return bool(_local_places(_lookup(name)))


def fetch(name: str, *, progress: bool = True) -> Path:
    """Return the path of an asset on this machine, downloaded if need be; its bytes are checked every time.

    For an archive it is the unpacked folder. A download appears in the cache whole or not at all, and a spoilt copy
    in the cache is downloaded anew; a spoilt copy in the mirror is the user's own, and an error.

    Raises `AssetError` for an unknown name, a hash that is not the stated one, and an asset that cannot be had.
    """
    asset = _lookup(name)
    for place in _local_places(asset):
        if place.is_dir():
            return place
        wrong = _mismatch(asset, place)
        if not wrong:
            return _unpack(asset, place, progress=progress) if asset.kind == "archive" else place
        if cache_root() not in place.parents:
            raise AssetError(
                f"{place} is not the file that {name!r} should be: {wrong}. Replace it by the one from "
                f"{asset.url}, or unset {MIRROR_VARIABLE} to download it."
            )
        place.unlink(missing_ok=True)
    addresses, failures = [asset.url], []
    if urlsplit(mirror() or "").scheme in ("http", "https"):
        addresses.insert(0, f"{(mirror() or '').rstrip('/')}/{quote(asset.path)}")
    elif mirror():
        where = "has no such file" if _mirror_folder() else "is no folder that exists"
        failures.append(f"{MIRROR_VARIABLE}={mirror()} {where}")
    for address in addresses:
        try:
            path = _download(address, asset.path, progress, asset)
            break
        except AssetError as error:
            failures.append(f"{address}: {error}")
    else:
        raise AssetError(
            f"{Path(asset.path).name} ({name!r}) could not be had. {'; '.join(failures)}. Connect to the network, or "
            f"put the file into a folder as {asset.path} and set {MIRROR_VARIABLE} to that folder."
        )
    return _unpack(asset, path, progress=progress) if asset.kind == "archive" else path


def download(address: str, *, progress: bool = True) -> Path:
    """Return a copy of any http(s) address in the cache, downloaded once; `AssetError` when it cannot be had."""
    name = Path(unquote(urlsplit(address).path)).name or "index"
    # The digest keeps apart two addresses that end alike.
    path = f"addresses/{sha256_of(address.encode()).hexdigest()[:16]}-{name[-80:]}"
    try:
        return _download(address, path, progress)
    except AssetError as error:
        raise AssetError(
            f"{address} could not be had: {error}. Check the address and the connection, or download it by other means "
            "and give its path."
        ) from error


def photo_folder(name_or_path: str | os.PathLike[str]) -> Path:
    """Return a folder of photographs: "photos" of the mirror, "coco" (downloaded), or any folder of pictures.

    Raises `AssetError` when there is no such folder, or no picture anywhere in it.
    """
    text = os.fspath(name_or_path)
    if text in ("coco", "coco_train2014"):
        return fetch("coco_train2014")
    base = _mirror_folder()
    folder = base / text if text == "photos" and base and (base / text).is_dir() else Path(text).expanduser()
    advice = (
        f'Give a folder of pictures, "coco" (13 GB to download), or "photos" with {MIRROR_VARIABLE} naming a folder '
        "that holds one of that name."
    )
    if not folder.is_dir():
        raise AssetError(f"There is no folder of photographs {text!r}. {advice}")
    if next(_photos(folder), None) is None:
        raise AssetError(f"{folder} holds no picture ({', '.join(PICTURE_SUFFIXES)}). {advice}")
    return folder


def photo_files(folder: Path) -> list[Path]:
    """Return the pictures in `folder` and below it, by suffix, hidden files left out, sorted."""
    return sorted(_photos(folder))


def _photos(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.suffix.lower() in PICTURE_SUFFIXES and not path.name.startswith(".") and path.is_file():
            yield path


def _lookup(name: str) -> Asset:
    if name not in REGISTRY:
        raise AssetError(unknown(name, REGISTRY, "asset", "The registry"))
    return REGISTRY[name]


def _mirror_folder() -> Path | None:
    """Return the mirror, if it is a folder that exists; a relative one is meant from here or the project's root."""
    named = mirror()
    if not named or urlsplit(named).scheme in ("http", "https"):
        return None
    if urlsplit(named).scheme == "file":
        named = url2pathname(urlsplit(named).path)
    path = Path(named).expanduser()
    # A notebook runs in its own folder, where a mirror given relative to the project's root would be missed.
    return next((base.resolve() for base in (path, project_root() / path) if base.is_dir()), None)


def _local_places(asset: Asset) -> list[Path]:
    """Return where the asset lies on disc, mirror first; of an archive, its unpacked folder before the file itself."""
    places = []
    for path in (base / asset.path for base in (_mirror_folder(), cache_root()) if base):
        if asset.kind == "archive" and path.with_suffix("").is_dir():
            places.append(path.with_suffix(""))
        if path.is_file():
            places.append(path)
    return places


def _mismatch(asset: Asset, path: Path) -> str | None:
    """Return what is wrong with the bytes at `path`, or None. Where no hash is stated, the size must do."""
    status = path.stat()
    if asset.sha256:
        try:
            digest = _digest(path, status.st_size, status.st_mtime_ns)
        except OSError as error:
            return f"it cannot be read ({error.strerror})"
        if digest.startswith(asset.sha256):
            return None
        return f"its SHA-256 is {digest}, expected {'' if len(asset.sha256) == 64 else 'to begin with '}{asset.sha256}"
    if asset.bytes is not None and status.st_size != asset.bytes:
        return f"it has {status.st_size:,} bytes, expected {asset.bytes:,}"
    return None


@functools.lru_cache(maxsize=64)
def _digest(path: Path, size: int, modified: int) -> str:
    """Return SHA-256, computed anew only when the file's size or time has changed: VGG weights take seconds."""
    return sha256(path)


# requests says these in a paragraph of class names and addresses.
_REASONS = {
    "ChunkedEncodingError": "the connection broke off",
    "ConnectionError": "no connection",
    "ConnectTimeout": "no answer",
    "ReadTimeout": "no answer",
}


def _download(address: str, path: str, progress: bool, asset: Asset | None = None) -> Path:
    """Return the file at `path` of the cache, downloaded unless it is there: whole, and what the asset should be."""
    import pooch
    import requests
    from tqdm.auto import tqdm

    pooch.get_logger().setLevel("WARNING")  # it names folders of this machine, which notebooks would keep
    # pooch sets the real total, but takes a bar without one for no bar.
    bar = tqdm(desc=Path(path).name, total=1, unit="B", unit_scale=True, leave=False, disable=not progress)

    def get(url: str, temporary: str, _: object) -> None:
        pooch.HTTPDownloader(progressbar=bar, chunk_size=1 << 16, timeout=_TIMEOUT)(url, temporary, None)
        Path(temporary).chmod(0o644)  # pooch's temporary files are private
        wrong = _mismatch(asset, Path(temporary)) if asset else None
        if asset and wrong:
            raise AssetError(f"what it gave is not the file that {asset.name!r} should be: {wrong}; it was not kept")

    try:
        files = pooch.create(path=cache_root(), base_url="", registry={path: None}, urls={path: address})
        return Path(files.fetch(path, downloader=get))
    except requests.RequestException as error:
        answered = f"the server answered {error.response.status_code}" if error.response is not None else None
        raise AssetError(answered or _REASONS.get(type(error).__name__, type(error).__name__)) from error
    except OSError as error:
        raise AssetError(
            f"{cache_root() / path} cannot be written ({error}): free some space, or set {CACHE_VARIABLE} elsewhere"
        ) from error
    finally:
        bar.close()


def _unpack(asset: Asset, archive: Path, *, progress: bool) -> Path:
    """Unpack into the cache, whole or not at all; an archive that was downloaded is removed then, to save its space.

    The archive holds one folder named like itself, as train2014.zip holds train2014/.
    """
    from tqdm.auto import tqdm

    target = (cache_root() / asset.path).with_suffix("")
    try:
        make_folder(target.parent)
        with (
            tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as temporary,
            zipfile.ZipFile(archive) as opened,
        ):
            for member in tqdm(opened.infolist(), desc=f"unpacking {archive.name}", disable=not progress, leave=False):
                opened.extract(member, temporary)
            unpacked = Path(temporary) / target.name
            if not unpacked.is_dir():
                raise AssetError(f"{archive} holds no folder {target.name}/. Remove it and fetch {asset.name!r} again.")
            if not target.is_dir():  # another process may have been quicker
                unpacked.replace(target)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise AssetError(f"{archive} is damaged ({error}). Remove it and fetch {asset.name!r} again.") from error
    except (OSError, ResultsError) as error:
        raise AssetError(
            f"{archive} cannot be unpacked into {target} ({error}). Free some space, or set "
            f"{CACHE_VARIABLE} to another folder."
        ) from error
    if cache_root() in archive.parents:
        archive.unlink(missing_ok=True)
    return target
