"""The four places that say what has to be installed agree with each other."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
CONDA_NAMES = {"pytorch": "torch", "playwright-python": "playwright"}


@pytest.fixture(scope="module")
def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def declared(project) -> dict[str, Requirement]:
    lines = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    return {canonicalize_name(Requirement(line).name): Requirement(line) for line in lines}


@pytest.fixture(scope="module")
def pinned() -> dict[str, Requirement]:
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    requirements = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(r.name): r for r in requirements}


def test_conda_and_pip_ask_for_the_same_packages_at_the_same_least_versions(project, declared):
    conda = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    wanted = {name: str(requirement.specifier) for name, requirement in declared.items()}
    # Conda's `=` is no operator of pip's.
    entries = [entry for entry in conda if isinstance(entry, str)]
    entries += [entry for part in conda if isinstance(part, dict) for entry in part["pip"] if not entry.startswith("-")]
    listed = [Requirement(re.sub(r"^python=", "python==", entry)) for entry in entries]
    asked = {CONDA_NAMES.get(canonicalize_name(r.name), canonicalize_name(r.name)): str(r.specifier) for r in listed}
    asked.pop("pip")
    assert asked.pop("python") == project["requires-python"].replace(">=", "=="), "the least version, as for all others"
    assert asked == wanted


def test_every_declared_package_is_pinned_once_at_a_version_that_is_allowed(declared, pinned):
    for name, requirement in declared.items():
        assert name in pinned, f"{name} has no line in requirements.txt"
        (pin,) = pinned[name].specifier
        assert pin.operator == "=="
        assert requirement.specifier.contains(Version(pin.version)), f"{pinned[name]} breaks {requirement}"


def test_every_pin_is_exact_and_what_the_installed_packages_need(declared, pinned):
    """Walks what is installed, so that an indirect package without a pin is found."""
    from importlib.metadata import PackageNotFoundError, requires

    assert all([s.operator for s in r.specifier] == ["=="] and not r.url for r in pinned.values())
    todo, seen, lacking = list(declared), set(), set()
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        try:
            needed = [Requirement(line) for line in requires(name) or []]
        except PackageNotFoundError:
            continue
        if name not in pinned and not re.match("nvidia-|cuda-|triton", name):
            lacking.add(name)
        todo += [canonicalize_name(r.name) for r in needed if r.marker is None or r.marker.evaluate({"extra": ""})]
    assert lacking == set()
    assert {name for name in pinned if re.match("nvidia-|cuda-|triton", name)} == set()


def test_citation_and_package_give_one_version():
    import stylerepro

    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert str(citation["version"]) == stylerepro.__version__
    assert len(citation["references"]) == 5


def test_make_refuses_a_python_that_is_too_old(tmp_path):
    old = tmp_path / "python-old"
    old.write_text('#!/bin/sh\n[ "$1" = "-V" ] && echo "Python 3.8.1" && exit 0\nexit 1\n')
    old.chmod(0o755)
    done = make("environment", f"PYTHON={old}", f"VENV={tmp_path / 'venv'}")
    assert done.returncode != 0
    assert "needs Python 3.11 or newer" in done.stderr
    assert "Python 3.8.1" in done.stderr
    assert not (tmp_path / "venv").exists()


@pytest.mark.parametrize(("cores", "jobs"), [(1, 1), (2, 2), (16, 2)])
def test_make_runs_no_more_notebooks_at_a_time_than_there_are_cores(tmp_path, monkeypatch, cores, jobs):
    """The command refuses more jobs than cores: on a small machine `make run` would do nothing."""
    fake = tmp_path / "nproc"
    fake.write_text(f"#!/bin/sh\necho {cores}\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    done = make("-n", "-o", ".venv/.ready", "run", "VENV=.venv")
    assert f"--jobs {jobs};" in done.stdout, done.stdout + done.stderr


def test_an_environment_that_is_complete_is_left_alone(tmp_path):
    """Both stamps newer than what they are made from: nothing is left to do."""
    for name in ("Makefile", "requirements.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / ".venv").mkdir()
    for stamp in (".requirements", ".ready"):
        (tmp_path / ".venv" / stamp).touch()
    assert make("--question", "environment", folder=tmp_path).returncode == 0
    (tmp_path / ".venv" / ".requirements").unlink()
    assert make("--question", "environment", folder=tmp_path).returncode == 1


def make(*arguments: str, folder: Path = ROOT) -> subprocess.CompletedProcess:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    words = ["make", "--no-print-directory", *arguments]
    if not any(word.startswith("PYTHON=") for word in arguments):
        words.append(f"PYTHON={sys.executable}")
    # The flags and variables of a make that called the tests (`make test VENV=elsewhere`) are not this one's.
    theirs = {"MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES", "VENV", "PYTHON", "PROFILE", "JOBS", "PIP_ARGS", "PYTEST_ARGS"}
    clean = {name: value for name, value in os.environ.items() if name not in theirs}
    return subprocess.run(words, cwd=folder, env=clean, capture_output=True, text=True, check=False)
