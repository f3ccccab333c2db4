"""What this machine has and lacks for the project's work: each thing with its state and what to do about it.

It repairs nothing; to see whether results can be kept it writes an empty file and removes it. A check that breaks is
itself a finding, so that one broken library hides nothing else.
"""

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from stylerepro.files import project_root

# In order of weight. A note is worth knowing, but everything that is on by default works.
OK, NOTE, WRONG = "ok", "note", "wrong"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
COMPILERS = ("c++", "g++", "clang++")
_LEAST_PYTHON = (3, 11)
_RUN_BYTES = 1_000_000_000  # a `make run` with its book writes a few hundred megabytes
_ROOMY_BYTES = 6_000_000_000  # a new environment
_ROOMY_MEMORY = 4.0  # GiB; the largest laptop run keeps below two
_NAMED = 4  # packages or assets named in a line; the others are counted
_INSTALL = "make environment, or: pip install -r requirements.txt"


# What a check tells of each thing: state, what was found, advice where there is one.
_Told = Iterator[tuple[str, ...]]


@dataclass(frozen=True)
class Finding:
    """One thing looked at. state: "ok", "note" or "wrong"; found: what there is; advice: what to do, "" for nothing."""

    name: str
    state: str
    found: str
    advice: str = ""


def examine() -> list[Finding]:
    """All findings, in the order in which a new user meets the things."""
    found = []
    for name, check in CHECKS.items():
        try:
            found += [Finding(name, *one) for one in check()]
        except Exception as error:
            # A broken installation fails in ways of its own; which is what a doctor is asked for.
            found.append(
                Finding(name, WRONG, f"{type(error).__name__}: {error}", f"mend it, then look again: {_INSTALL}")
            )
    return found


def _python() -> _Told:
    version, least = platform.python_version(), ".".join(map(str, _LEAST_PYTHON))
    if sys.version_info < _LEAST_PYTHON:
        yield WRONG, version, f"install Python {least} or newer, then: make environment PYTHON=/path/to/it"
    elif sys.prefix == sys.base_prefix and "CONDA_PREFIX" not in os.environ:
        yield NOTE, f"{version}, in no environment of its own", "make environment makes one in .venv"
    else:
        yield OK, version


def _packages() -> _Told:
    path = project_root() / "requirements.txt"
    if not path.is_file():
        yield NOTE, "no requirements.txt in the project's folder, nothing to compare with", "clone the whole project"
        return
    lines = [line.split("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines()]
    requirements = [Requirement(line) for line in lines if "==" in line]
    # Some are for one version of Python alone.
    here = [one for one in requirements if one.marker is None or one.marker.evaluate()]
    pinned = {one.name: next(iter(one.specifier)).version for one in here}
    missing, other = [], []
    for name, wanted in pinned.items():
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            missing.append(name)
            continue
        # "2.15.0+cpu" is the same code as 2.15.0, built for this machine.
        if version.split("+")[0] != wanted:
            other.append(f"{name} {version} (pinned: {wanted})")
    if missing:
        yield WRONG, f"{len(missing)} of {len(pinned)} are missing: {_some(missing)}", _INSTALL
    if other:
        yield NOTE, f"{len(other)} differ from the pinned set: {_some(other)}", f"for the same numbers: {_INSTALL}"
    if not missing and not other:
        yield OK, f"all {len(pinned)} as pinned"


def _torch() -> _Told:
    import torch
    import torchvision

    # A torchvision of another build imports and breaks at its first compiled operator.
    torchvision.ops.nms(torch.zeros(1, 4), torch.zeros(1), 0.5)
    build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPU"
    yield OK, f"torch {torch.__version__} ({build} build), torchvision {torchvision.__version__}"


def _devices() -> _Told:
    import torch

    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
        yield OK, f"{len(names)} GPU: {_some(names)}; notebooks with a parameter device take one"
    elif torch.backends.mps.is_available():
        yield OK, "Apple GPU (mps); notebooks with a parameter device take it"
    else:
        advice = "nothing for smoke, laptop and reference; the profile paper takes hours to days without one"
        yield NOTE, "no GPU that this torch can use", advice


def _threads() -> _Told:
    import torch

    from stylerepro.runs.runner import cores

    here, asked = cores(), torch.get_num_threads()
    told = f"{asked} threads of torch on {here} {'core' if here == 1 else 'cores'}"
    if asked > here:
        yield NOTE, told, f"threads that wait for each other: set OMP_NUM_THREADS={here}, or unset it"
    elif asked < here:
        yield NOTE, told, f"stylerepro run --jobs {here // asked} uses the others"
    else:
        yield OK, told


def _memory() -> _Told:
    import psutil  # type: ignore[import-untyped,unused-ignore]

    free = psutil.virtual_memory().available / 2**30
    if free < _ROOMY_MEMORY:
        yield NOTE, f"{free:.1f} GiB free", "close something, and run one notebook at a time (--jobs 1)"
    else:
        yield OK, f"{free:.1f} GiB free"


def _disk() -> _Told:
    from stylerepro.pictures.assets import CACHE_VARIABLE, cache_root

    places = {
        "the project": (project_root(), "free some space there"),
        "the cache": (cache_root(), f"set {CACHE_VARIABLE} to another folder"),
        "temporary files": (Path(tempfile.gettempdir()), "set TMPDIR to another folder"),
    }
    for what, (place, advice) in places.items():
        free = shutil.disk_usage(_existing(place)).free
        told = f"{free / 1e9:.1f} GB free for {what}"
        if free < _RUN_BYTES:
            yield WRONG, told, advice
        elif free < _ROOMY_BYTES:
            yield NOTE, told, f"enough for runs, not for a new environment; {advice}"
        else:
            yield OK, told


def _results() -> _Told:
    from stylerepro.files import runs_root, write_text

    probe = runs_root() / ".doctor"
    try:
        write_text(probe, "")
        probe.unlink()
    except OSError as error:
        yield (
            WRONG,
            f"{probe.parent} cannot be written ({error.strerror or error})",
            "change its owner or its permissions",
        )
        return
    failed = sorted(path.name for path in (runs_root() / ".failed").glob("*/"))
    if failed:
        advice = "their log.txt and notebook lie in results/runs/.failed; stylerepro run tries again"
        yield NOTE, f"runs that failed last time: {_some(failed)}", advice
    else:
        yield OK, "can be written, and no run has failed"


def _assets() -> _Told:
    from stylerepro.pictures.assets import CACHE_VARIABLE, MIRROR_VARIABLE, cache_root, mirror

    named = mirror()
    if named is None:
        yield OK, f"no mirror ({MIRROR_VARIABLE}), none is needed; cache: {CACHE_VARIABLE}={cache_root()}"
    elif "://" in named:
        yield OK, f"the mirror is an address, {named}; whether it answers shows at the first fetch"
    elif any((base / Path(named).expanduser()).is_dir() for base in (Path.cwd(), project_root())):
        yield OK, f"mirror: {named}; cache: {cache_root()}"
    else:
        yield WRONG, f"{MIRROR_VARIABLE}={named} is no folder that exists", "correct it or unset it"


def _networks() -> _Told:
    from stylerepro.networks.specs import NETWORKS
    from stylerepro.pictures.assets import available

    lost = [spec.name for spec in NETWORKS.values() if spec.file and not spec.file.is_file()]
    away = [spec.name for spec in NETWORKS.values() if spec.asset and not available(spec.asset)]
    here = [name for name in NETWORKS if name not in lost + away]
    if lost:
        yield WRONG, f"weights that belong to the package are missing: {_some(lost)}", "install the package again"
    if away:
        asked = " ".join(str(NETWORKS[name].asset) for name in away)
        yield (
            NOTE,
            f"at hand: {_some(here)}; not here: {_some(away)}",
            f"only other profiles use them: stylerepro fetch {asked}",
        )
    else:
        yield OK, f"all at hand: {', '.join(here)}"


def _pictures() -> _Told:
    from stylerepro.pictures.assets import available
    from stylerepro.pictures.registry import REGISTRY

    wanted = [asset.name for asset in REGISTRY.values() if asset.kind in ("content", "style")]
    away = [name for name in wanted if not available(name)]
    if away:
        advice = f"only the profile paper uses them: stylerepro fetch {' '.join(away)}"
        yield (
            NOTE,
            f"{len(wanted) - len(away)} of {len(wanted)} to be fetched are here; samples come with packages",
            advice,
        )
    else:
        yield OK, f"all {len(wanted)}; samples come with packages"


def _browser() -> _Told:
    yield _program(BROWSERS, "only the tests of the book use one; on Debian: apt-get install chromium")


def _compiler() -> _Told:
    yield _program(COMPILERS, "only torch.compile asks for one, which nothing here does by default")


def _git() -> _Told:
    yield _program(("git",), "records of runs then say no commit, and publish cannot tell whether files are committed")


def _program(names: Sequence[str], advice: str) -> tuple[str, ...]:
    found = next((name for name in names if shutil.which(name)), None)
    return (OK, found) if found else (NOTE, f"none of {', '.join(names)}" if names[1:] else "none", advice)


def _existing(path: Path) -> Path:
    """The nearest folder at or above `path` that exists: the cache may not yet."""
    return next(one for one in (path, *path.parents) if one.exists())


def _some(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


# Name to check, in the order in which a new user meets the things.
CHECKS: dict[str, Callable[[], _Told]] = {
    "Python": _python, "packages": _packages, "torch": _torch, "devices": _devices, "threads": _threads,
    "memory": _memory, "disk": _disk, "results": _results, "cache and mirror": _assets, "loss networks": _networks,
    "pictures": _pictures, "browser": _browser, "C++ compiler": _compiler, "git": _git,
}  # fmt: skip
