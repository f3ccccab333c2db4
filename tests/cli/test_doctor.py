"""The doctor: what is wrong is found and named with what to do, and what is right is not complained about."""

import shutil
import sys
import types
from collections import namedtuple

import pytest

from stylerepro.cli import doctor
from stylerepro.networks.specs import NETWORKS
from stylerepro.pictures import assets

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project of its own, with one pinned package that is there; its cache does not exist yet."""
    monkeypatch.setenv("STYLEREPRO_ROOT", str(tmp_path))
    monkeypatch.setenv("STYLEREPRO_CACHE", str(tmp_path / "not" / "yet"))
    monkeypatch.delenv("STYLEREPRO_MIRROR", raising=False)
    (tmp_path / "requirements.txt").write_text(f"# pinned\ntyper=={doctor.metadata.version('typer')}\n")
    return tmp_path


def examined(name):
    found = [one for one in doctor.examine() if one.name == name]
    assert found
    return found


def test_a_machine_as_it_should_be_has_nothing_wrong(project, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, 10**12))
    found = doctor.examine()
    assert {one.name for one in found} == set(doctor.CHECKS)
    assert [one for one in found if one.state == doctor.WRONG] == []
    assert all(one.advice for one in found if one.state != doctor.OK), "what is not well needs advice"
    assert not list(project.rglob(".doctor*")), "its probe stays behind"


def test_packages_are_compared_with_the_pinned_set(project):
    other_python = 'never-here==1.0; python_version == "2.7"'
    (project / "requirements.txt").write_text(f"typer==0.0.1\nno-such-package==1.0  # a comment\n{other_python}\n")
    missing, other = examined("packages")
    assert (missing.state, other.state) == (doctor.WRONG, doctor.NOTE)
    assert "1 of 2 are missing: no-such-package" in missing.found
    assert "pip install -r requirements.txt" in missing.advice
    assert "(pinned: 0.0.1)" in other.found


def test_a_local_build_of_the_pinned_version_is_no_difference(project, monkeypatch):
    (project / "requirements.txt").write_text("torch==9.9.9\n")
    monkeypatch.setattr(doctor.metadata, "version", lambda _: "9.9.9+cpu")
    assert [one.state for one in examined("packages")] == [doctor.OK]


def test_many_packages_are_counted_not_listed(project):
    (project / "requirements.txt").write_text("".join(f"no-such-{number}==1\n" for number in range(9)))
    (found,) = examined("packages")
    assert "and 5 more" in found.found


@pytest.mark.parametrize(("free", "state"), [(5 * 10**8, "wrong"), (2 * 10**9, "note"), (10**11, "ok")])
def test_little_disk_is_told_with_the_place(project, monkeypatch, free, state):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, free))
    found = examined("disk")
    assert [one.state for one in found] == [state] * 3
    assert any("cache" in one.found for one in found)
    assert state == "ok" or any("STYLEREPRO_CACHE" in one.advice for one in found)


def test_results_that_cannot_be_written_are_wrong(project):
    (project / "results").write_text("a file in the way")
    (found,) = examined("results")
    assert found.state == doctor.WRONG
    assert "is a file" in found.found


def test_a_full_disk_is_told_by_its_own_words(project, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("stylerepro.files.write_text", full)
    (found,) = examined("results")
    assert found.state == doctor.WRONG
    assert "No space left on device" in found.found


def test_runs_that_failed_are_named(project):
    (project / "results" / "runs" / ".failed" / "tv_sweep-smoke-12345678").mkdir(parents=True)
    (found,) = examined("results")
    assert found.state == doctor.NOTE
    assert "tv_sweep-smoke-12345678" in found.found


def test_a_mirror_that_is_not_there_is_wrong(project, monkeypatch):
    monkeypatch.setenv("STYLEREPRO_MIRROR", str(project / "nowhere"))
    (found,) = examined("cache and mirror")
    assert found.state == doctor.WRONG
    assert "unset" in found.advice


@pytest.mark.parametrize("place", ["here", "https://example.org/assets"])
def test_a_mirror_that_may_serve_is_named(project, monkeypatch, place):
    (project / "here").mkdir()
    monkeypatch.setenv("STYLEREPRO_MIRROR", place)
    (found,) = examined("cache and mirror")
    assert found.state == doctor.OK
    assert place in found.found


def test_networks_that_are_not_here_come_with_the_command_that_fetches_them(project):
    (found,) = examined("loss networks")
    away = [spec.asset for spec in NETWORKS.values() if spec.asset]
    assert found.state == doctor.NOTE
    assert "at hand: compact, tiny" in found.found
    assert found.advice.endswith(f"stylerepro fetch {' '.join(away)}")
    assert all(assets.known(name) for name in away)


def test_programs_that_are_not_there_are_notes(project, monkeypatch):
    monkeypatch.setenv("PATH", str(project))
    for name in ("browser", "C++ compiler", "git"):
        (found,) = examined(name)
        assert found.state == doctor.NOTE
        assert found.advice


def test_more_threads_than_cores_is_a_note(project, monkeypatch):
    monkeypatch.setattr("stylerepro.runs.runner.cores", lambda: 2)
    monkeypatch.setattr("torch.get_num_threads", lambda: 64)
    (found,) = examined("threads")
    assert found.state == doctor.NOTE
    assert "OMP_NUM_THREADS=2" in found.advice


def test_a_broken_library_is_a_finding_and_hides_no_other(project, monkeypatch):
    """A torchvision of another build imports, and breaks at its first operator."""
    broken = types.ModuleType("torchvision")
    broken.__version__ = "0.1"
    monkeypatch.setitem(sys.modules, "torchvision", broken)
    found = {one.name: one for one in doctor.examine()}
    assert found["torch"].state == doctor.WRONG
    assert "AttributeError" in found["torch"].found
    assert set(found) == set(doctor.CHECKS)


@pytest.mark.parametrize(("spoil", "code"), [(False, 0), (True, 1)])
def test_the_command_shows_all_and_ends_with_1_where_something_is_wrong(project, monkeypatch, call, spoil, code):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, 10 if spoil else 10**12))
    monkeypatch.setenv("COLUMNS", "250")
    ended, out, _ = call("doctor")
    assert ended == code
    for name in doctor.CHECKS:
        assert name in out
    assert ("free some space there" in out) == spoil
