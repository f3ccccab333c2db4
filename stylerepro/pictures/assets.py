"""Assets: pictures, weights and photographs that are fetched, never committed; from where, and under which licence.

`fetch` looks in the mirror (`STYLEREPRO_MIRROR`: a folder, or an http(s) or file address), then in the cache
(`STYLEREPRO_CACHE`), then at the public address. Files keep their relative path in all three.
"""

import os
import tempfile
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256 as sha256_of
from pathlib import Path
from types import MappingProxyType
from typing import Literal
from urllib.parse import quote, unquote, urlsplit
from urllib.request import url2pathname

import yaml

from stylerepro.errors import AssetError, ResultsError, unknown
from stylerepro.files import expanded, make_folder, project_root, sha256

MIRROR_VARIABLE = "STYLEREPRO_MIRROR"
CACHE_VARIABLE = "STYLEREPRO_CACHE"
PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
# Of pictures that cannot be read: who reads a folder tries them all the same, and so names them.
_OTHERS = (
    ".avif", ".bmp", ".cr2", ".dng", ".gif", ".heic", ".heif", ".jfif", ".jp2", ".jpe", ".jxl", ".nef", ".ppm", ".psd",
    ".svg", ".tga", ".tif", ".tiff",
)  # fmt: skip
_TIMEOUT = 30  # seconds without an answer before an address counts as unreachable


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


_FILE = Path(__file__).with_name("assets.yaml")
REGISTRY: Mapping[str, Asset] = MappingProxyType(
    {name: Asset(name, **stated) for name, stated in yaml.safe_load(_FILE.read_text(encoding="utf-8")).items()}
)
"""Every asset by its name, as `assets.yaml` states it."""


def mirror() -> str | None:
    """Return the value of `STYLEREPRO_MIRROR`, or None."""
    return os.environ.get(MIRROR_VARIABLE) or None


def cache_root() -> Path:
    """Return the folder of downloads: `STYLEREPRO_CACHE`, else the platform's cache. It may not exist yet."""
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        return expanded(named).resolve()
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
    named = mirror()
    if named and urlsplit(named).scheme in ("http", "https"):
        addresses.insert(0, f"{named.rstrip('/')}/{quote(asset.path)}")
    elif named:
        where = "has no such file" if _mirror_folder() else "is no folder that exists"
        failures.append(f"{MIRROR_VARIABLE}={named} {where}")
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
    folder = base / text if text == "photos" and base and (base / text).is_dir() else expanded(text)
    advice = (
        f'Give a folder of pictures, "coco" (13 GB to download), or "photos" with {MIRROR_VARIABLE} naming a folder '
        "that holds one of that name."
    )
    if not folder.is_dir():
        raise AssetError(f"There is no folder of photographs {text!r}. {advice}")
    if not photo_files(folder):
        raise AssetError(f"{folder} holds no picture ({', '.join(PICTURE_SUFFIXES)}). {advice}")
    return folder


def photo_files(folder: Path) -> list[Path]:
    """Return the pictures in `folder` and below it, by suffix, hidden files left out, sorted.

    Of formats that cannot be read, too: the content decides, and a picture that is passed over has to be named.
    """
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in (*PICTURE_SUFFIXES, *_OTHERS) and not path.name.startswith(".") and path.is_file()
    )


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
    path = expanded(named)
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
            digest = sha256(path)
        except OSError as error:
            return f"it cannot be read ({error.strerror})"
        if digest.startswith(asset.sha256):
            return None
        return f"its SHA-256 is {digest}, expected {'' if len(asset.sha256) == 64 else 'to begin with '}{asset.sha256}"
    if asset.bytes is not None and status.st_size != asset.bytes:
        return f"it has {status.st_size:,} bytes, expected {asset.bytes:,}"
    return None


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
