"""What can be fetched, from where, under which licence, and how one knows that it arrived whole.

`fetch` looks in the mirror (`STYLEREPRO_MIRROR`: a folder, or an http(s) or file address), then in the cache
(`STYLEREPRO_CACHE`), then at the public address. Files keep their relative path in all three.
"""

import difflib
import functools
import os
import shutil
import tempfile
import zipfile
import zlib
from hashlib import sha256 as sha256_of
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit
from urllib.request import url2pathname

from stylerepro.errors import AssetError, ResultsError
from stylerepro.files import atomic_path, make_folder, project_root, sha256
from stylerepro.pictures.registry import REGISTRY, Asset

__all__ = [
    "REGISTRY",
    "Asset",
    "available",
    "cache_root",
    "download",
    "fetch",
    "known",
    "mirror",
    "photo_files",
    "photo_folder",
]

MIRROR_VARIABLE = "STYLEREPRO_MIRROR"
CACHE_VARIABLE = "STYLEREPRO_CACHE"
PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
_TIMEOUT = 30  # seconds without an answer before an address counts as unreachable


def known(name: str) -> bool:
    """Whether `name` is in the registry."""
    return name in REGISTRY


def mirror() -> str | None:
    """What `STYLEREPRO_MIRROR` says, or None."""
    return os.environ.get(MIRROR_VARIABLE) or None


def cache_root() -> Path:
    """Where downloads are kept: `STYLEREPRO_CACHE`, else the platform's cache folder. It may not exist yet."""
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        return Path(named).expanduser().resolve()
    import pooch

    return Path(pooch.os_cache("stylerepro"))


def available(name: str) -> bool:
    """Whether `fetch(name)` finds the asset on this machine's discs. No network is asked and no hash computed."""
    asset = _lookup(name)
    return bool(_local_places(asset))


def fetch(name: str, *, progress: bool = True) -> Path:
    """The path of an asset on this machine, downloaded if need be; its bytes are checked every time.

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
    target = cache_root() / asset.path
    _download_asset(asset, target, progress=progress)
    return _unpack(asset, target, progress=progress) if asset.kind == "archive" else target


def download(address: str, *, progress: bool = True) -> Path:
    """A copy of any http(s) address in the cache, downloaded once; `AssetError` when it cannot be had."""
    parts = urlsplit(address)
    name = Path(unquote(parts.path)).name or "index"
    # The digest keeps apart two addresses that end alike.
    target = cache_root() / "addresses" / f"{sha256_of(address.encode()).hexdigest()[:16]}-{name[-80:]}"
    if target.is_file():
        return target
    try:
        _download(address, target, progress=progress)
    except _Unreachable as error:
        raise AssetError(
            f"{address} could not be had: {error}. Check the address and the connection, or download it by other means "
            "and give its path."
        ) from error
    return target


def photo_folder(name_or_path: str | os.PathLike[str]) -> Path:
    """A folder of photographs: "photos" of the mirror, "coco" (train2014, downloaded), or any folder of pictures.

    Raises `AssetError` when there is no such folder, or no picture anywhere in it.
    """
    text = os.fspath(name_or_path)
    if text in ("coco", "coco_train2014"):
        return fetch("coco_train2014")
    base = _mirror_folder()
    in_mirror = text == "photos" and base is not None and (base / text).is_dir()
    folder = base / text if base and in_mirror else Path(text).expanduser()
    advice = (
        f'Give a folder of pictures, "coco" (13 GB to download), or "photos" with {MIRROR_VARIABLE} naming a folder '
        "that holds one of that name."
    )
    if not folder.is_dir():
        raise AssetError(f"There is no folder of photographs {text!r}. {advice}")
    if not photo_files(folder, limit=1):
        raise AssetError(f"{folder} holds no picture ({', '.join(PICTURE_SUFFIXES)}). {advice}")
    return folder


def photo_files(folder: Path, limit: int | None = None) -> list[Path]:
    """The pictures in `folder` and below it, by suffix, hidden files left out: sorted, or any `limit` of them."""
    found = (
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in PICTURE_SUFFIXES and not path.name.startswith(".") and path.is_file()
    )
    if limit is None:
        return sorted(found)
    return [path for path, _ in zip(found, range(limit), strict=False)]


def _lookup(name: str) -> Asset:
    if name not in REGISTRY:
        near = difflib.get_close_matches(name, REGISTRY, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"Known are {', '.join(REGISTRY)}."
        raise AssetError(f"No asset is called {name!r}. {hint}")
    return REGISTRY[name]


def _mirror_folder() -> Path | None:
    """The mirror, if it is a folder that exists. A relative one is meant from here or from the project's root."""
    named = mirror()
    if not named or urlsplit(named).scheme in ("http", "https"):
        return None
    if urlsplit(named).scheme == "file":
        named = url2pathname(urlsplit(named).path)
    path = Path(named).expanduser()
    # A notebook runs in its own folder, where a mirror given relative to the project's root would be missed.
    return next((base.resolve() for base in (path, project_root() / path) if base.is_dir()), None)


def _local_places(asset: Asset) -> list[Path]:
    """Where the asset lies on disc, mirror first; of an archive, its unpacked folder before the archive itself."""
    found = []
    for base in (_mirror_folder(), cache_root()):
        if base and asset.kind == "archive" and (base / asset.path).with_suffix("").is_dir():
            found.append((base / asset.path).with_suffix(""))
        if base and (base / asset.path).is_file():
            found.append(base / asset.path)
    return found


def _mismatch(asset: Asset, path: Path) -> str | None:
    """What is wrong with the bytes at `path`, or None. Where no hash is stated, the size must do."""
    status = path.stat()
    if asset.sha256 or asset.sha256_prefix:
        try:
            found = _digest(path, status.st_size, status.st_mtime_ns)
        except OSError as error:
            return f"it cannot be read ({error.strerror})"
        wanted = asset.sha256 or asset.sha256_prefix or ""
        if found.startswith(wanted):
            return None
        return f"its SHA-256 is {found}, expected {'' if asset.sha256 else 'to begin with '}{wanted}"
    if asset.bytes is not None and status.st_size != asset.bytes:
        return f"it has {status.st_size:,} bytes, expected {asset.bytes:,}"
    return None


@functools.lru_cache(maxsize=64)
def _digest(path: Path, size: int, modified: int) -> str:
    """SHA-256, computed again only when the file's size or time has changed: VGG weights take seconds."""
    return sha256(path)


class _Unreachable(Exception):
    """An address that gave no whole file, and why."""


# requests says these in a paragraph of class names and addresses.
_REASONS = {
    "ChunkedEncodingError": "the connection broke off",
    "ConnectionError": "no connection",
    "ConnectTimeout": "no answer",
    "ReadTimeout": "no answer",
}


def _download(address: str, target: Path, *, progress: bool, asset: Asset | None = None) -> None:
    """Download to a temporary name beside `target`; rename it once it is whole and has the asset's hash."""
    import pooch
    import requests
    from tqdm.auto import tqdm

    # pooch sets the real total, but takes a bar without one for no bar.
    bar = tqdm(desc=target.name, total=1, unit="B", unit_scale=True, leave=False, disable=not progress)
    get = pooch.HTTPDownloader(progressbar=bar, chunk_size=1 << 16, timeout=_TIMEOUT)
    try:
        with atomic_path(target) as temporary:
            get(address, str(temporary), None)
            wrong = _mismatch(asset, temporary) if asset else None
            if asset and wrong:
                raise AssetError(
                    f"What {address} gave is not the file that {asset.name!r} should be: {wrong}. Nothing was kept. "
                    f"Try again; if it stays so, put the right file into a folder as {asset.path} and set "
                    f"{MIRROR_VARIABLE} to that folder."
                )
    except requests.HTTPError as error:
        status = error.response.status_code if error.response is not None else "an error"
        raise _Unreachable(f"the server answered {status}") from error
    except requests.RequestException as error:
        raise _Unreachable(_REASONS.get(type(error).__name__, type(error).__name__)) from error
    except (OSError, ResultsError) as error:
        raise AssetError(
            f"{target} cannot be written ({error}). Free some space, or set {CACHE_VARIABLE} to another folder."
        ) from error
    finally:
        bar.close()


def _download_asset(asset: Asset, target: Path, *, progress: bool) -> None:
    """From the mirror if that is an address, else or failing that from the public address."""
    named = mirror()
    addresses = [asset.url]
    if named and urlsplit(named).scheme in ("http", "https"):
        addresses.insert(0, f"{named.rstrip('/')}/{quote(asset.path)}")
    failures = []
    for address in addresses:
        try:
            return _download(address, target, progress=progress, asset=asset)
        except _Unreachable as error:
            failures.append(f"{address}: {error}")
    if named and len(addresses) == 1:
        where = "has no such file" if _mirror_folder() else "is no folder that exists"
        failures.insert(0, f"{MIRROR_VARIABLE}={named} {where}")
    raise AssetError(
        f"{Path(asset.path).name} ({asset.name!r}) could not be had. {'; '.join(failures)}. Connect to the network, or "
        f"put the file into a folder as {asset.path} and set {MIRROR_VARIABLE} to that folder."
    )


def _unpack(asset: Asset, archive: Path, *, progress: bool) -> Path:
    """Unpack into the cache, whole or not at all; an archive that was downloaded is removed then, to save its space.

    The archive holds one folder named like itself, as train2014.zip holds train2014/.
    """
    from tqdm.auto import tqdm

    target = (cache_root() / asset.path).with_suffix("")
    temporary: Path | None = None
    try:
        make_folder(target.parent)
        temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        with zipfile.ZipFile(archive) as opened:
            for member in tqdm(opened.infolist(), desc=f"unpacking {archive.name}", disable=not progress, leave=False):
                opened.extract(member, temporary)
        if not (temporary / target.name).is_dir():
            raise AssetError(f"{archive} holds no folder {target.name}/. Remove it and fetch {asset.name!r} again.")
        if not target.is_dir():  # another process may have been quicker
            (temporary / target.name).replace(target)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise AssetError(f"{archive} is damaged ({error}). Remove it and fetch {asset.name!r} again.") from error
    except (OSError, ResultsError) as error:
        raise AssetError(
            f"{archive} cannot be unpacked into {target} ({error}). Free some space, or set "
            f"{CACHE_VARIABLE} to another folder."
        ) from error
    finally:
        if temporary:
            shutil.rmtree(temporary, ignore_errors=True)
    if cache_root() in archive.parents:
        archive.unlink(missing_ok=True)
    return target
