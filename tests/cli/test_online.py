"""One setting, the project's place on GitHub: links to Binder and Colab, and a cell that makes notebooks run there."""

import json
import os
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import nbformat
import pytest
import toy
import yaml

from stylerepro.book import online, pages
from stylerepro.cli import colab
from stylerepro.errors import RunError
from stylerepro.runs import experiments, fingerprint

ROOT = Path(__file__).resolve().parents[2]
FORK = "https://github.com/somebody/style"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project of the real notebooks and settings, with no place yet."""
    root = tmp_path / "project"
    monkeypatch.setenv("STYLEREPRO_ROOT", str(root))
    shutil.copytree(ROOT / "notebooks", root / "notebooks", ignore=shutil.ignore_patterns(".*"))
    shutil.copy(ROOT / "pyproject.toml", root)
    (root / "stylerepro").symlink_to(ROOT / "stylerepro")
    online.put("")
    return root


def contents(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in [root / "pyproject.toml", *(root / "notebooks").iterdir()]}


def fingerprints() -> dict[str, str]:
    """Of every experiment with its notebook's own values."""
    return {
        one.name: fingerprint.compute(one, {name: each.default for name, each in one.parameters.items()}).digest
        for one in experiments.discover()
    }


@pytest.mark.parametrize(
    ("given", "address", "branch"),
    [
        (FORK, FORK, "main"),
        (f"{FORK}.git", FORK, "main"),
        (f" {FORK}/ ", FORK, "main"),
        ("github.com/somebody/style", FORK, "main"),
        (f"{FORK}/tree/main", FORK, "main"),
        (f"{FORK}/tree/more/layers", f"{FORK}/tree/more/layers", "more/layers"),
    ],
)
def test_an_address_is_taken_as_people_copy_it(given, address, branch):
    place = online.parse(given)
    assert (place.address, place.branch, place.clone) == (address, branch, FORK)
    assert online.parse(place.address) == place


@pytest.mark.parametrize(
    "given", ["", "somebody/style", "https://gitlab.com/a/b", f"{FORK}; rm -rf .", f"{FORK}/blob/main/x", FORK[:-6]]
)
def test_what_is_no_repository_on_github_is_refused(given):
    with pytest.raises(RunError, match="is no repository on GitHub"):
        online.parse(given)


def test_the_links_are_those_that_binder_and_colab_document():
    place = online.parse(f"{FORK}/tree/a/b")
    assert place.binder("tv_sweep") == (
        "https://mybinder.org/v2/gh/somebody/style/a%2Fb?urlpath=lab/tree/notebooks/tv_sweep.ipynb"
    )
    assert place.colab("tv_sweep") == (
        "https://colab.research.google.com/github/somebody/style/blob/a/b/notebooks/tv_sweep.ipynb"
    )


def test_one_setting_reaches_every_notebook_and_goes_without_a_trace(project):
    before = contents(project)
    fresh = fingerprints()
    changed = online.put(FORK)
    assert {path.name for path in changed} == {"pyproject.toml", *(f"{name}.ipynb" for name in experiments.names())}
    assert online.repository() == online.Repository("somebody", "style")
    for name in experiments.names():
        notebook = nbformat.read(project / "notebooks" / f"{name}.ipynb", as_version=4)
        nbformat.validate(notebook)
        assert [cell.source for cell in notebook.cells if "colab" in cell.metadata.get("tags", [])] == [
            notebook.cells[1].source
        ]
        assert f" {FORK}\n" in notebook.cells[1].source
    assert fingerprints() == fresh, "a place makes no run stale"
    for check in (["check"], ["format", "--check"]):
        command = [sys.executable, "-m", "ruff", *check, "--config", str(project / "pyproject.toml")]
        done = subprocess.run([*command, str(project / "notebooks")], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout

    assert online.put(FORK) == []
    online.put(f"{FORK}/tree/other")
    cell = nbformat.read(project / "notebooks/tv_sweep.ipynb", as_version=4).cells[1].source
    assert "--branch other" in cell
    assert (project / "notebooks/tv_sweep.ipynb").read_text(encoding="utf-8").count("google.colab") == 1
    online.put("")
    assert contents(project) == before


def test_other_addresses_in_the_settings_stay(project):
    path = project / "pyproject.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(f'{text}\n[project.urls]\nHomepage = "https://example.org"\n', encoding="utf-8")
    online.put(FORK)
    assert 'Homepage = "https://example.org"' in path.read_text(encoding="utf-8")
    assert online.repository() is not None
    online.put("")
    assert path.read_text(encoding="utf-8") == f'{text}\n[project.urls]\nHomepage = "https://example.org"\n'


def test_nothing_is_written_where_the_settings_cannot_take_it(project):
    path = project / "pyproject.toml"
    path.write_text("[project]\nname = 'x'\n", encoding="utf-8")
    before = contents(project)
    with pytest.raises(RunError, match="by hand"):
        online.put(FORK)
    with pytest.raises(RunError, match="no repository"):
        online.put("elsewhere")
    assert contents(project) == before


def test_nothing_is_written_where_a_notebook_cannot_be_read(project):
    (project / "notebooks/vanilla_vs_fast.ipynb").write_text('{"cells": ', encoding="utf-8")
    before = contents(project)
    with pytest.raises(RunError, match=r"vanilla_vs_fast\.ipynb is not a readable notebook"):
        online.put(FORK)
    assert contents(project) == before


def test_a_broken_setting_is_named(project):
    path = project / "pyproject.toml"
    online.put(FORK)
    path.write_text(path.read_text(encoding="utf-8").replace(FORK, "somewhere"), encoding="utf-8")
    with pytest.raises(RunError, match="'somewhere' is no repository"):
        online.repository()


def test_the_command_sets_shows_and_takes_away(project):
    def command(*words: str) -> subprocess.CompletedProcess:
        words = (sys.executable, "-m", "stylerepro.cli.main", "online", *words)
        return subprocess.run(words, capture_output=True, text=True, check=False)

    def said(*words: str) -> str:
        done = command(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "no place on GitHub yet" in said()
    assert "changed: notebooks/tv_sweep.ipynb" in said(FORK)
    assert online.parse(FORK).colab("pooling") in said()
    both = command(FORK, "--off")
    assert (both.returncode, "an address or --off" in both.stderr) == (2, True)
    assert "no place on GitHub yet" in said("--off")


def test_the_projects_own_notebooks_have_the_cell_that_its_setting_asks_for(monkeypatch):
    """Where this fails, call `stylerepro online` with the project's address again: a notebook is new, or was edited."""
    monkeypatch.setenv("STYLEREPRO_ROOT", str(ROOT))
    place = online.repository()
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        text = path.read_text(encoding="utf-8")
        assert online.with_cell(text, place) == text, path.name


def test_pages_lead_there_and_do_not_show_the_cell(project):
    one = experiments.load("tv_sweep")
    assert "browser" not in pages.not_run(one, "smoke")
    online.put(FORK)
    told = pages.not_run(one, "smoke")
    assert f"[Binder]({online.parse(FORK).binder('tv_sweep')})" in told
    assert f"[Google Colab]({online.parse(FORK).colab('tv_sweep')})" in told
    page = json.loads(pages.notebook_page(one.notebook, told, ""))
    assert not [cell for cell in page["cells"] if "google.colab" in "".join(cell["source"])]


def test_binder_reads_the_version_of_python_that_the_project_asks_for():
    """repo2docker knows `python=3.11`; of a range it knows nothing, and takes a Python of its own, which is too old."""
    listed = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    (found,) = [one for one in listed if isinstance(one, str) and one.startswith("python")]
    assert re.fullmatch(r"python=3\.\d+", found)
    (pip,) = [one["pip"] for one in listed if isinstance(one, dict)]
    assert pip == ["--editable ."], "Binder copies the whole project before it installs what refers to it"


def test_colab_installs_what_is_lacking_and_leaves_its_kernel_alone():
    there = {"numpy": "2.0.2", "pandas": "2.1.0", "ipython": "7.34.0"}

    def version(name: str) -> str:
        if name not in there:
            raise metadata.PackageNotFoundError(name)
        return there[name]

    wanted = ["numpy>=2.0", "pandas>=2.2", "pandera[pandas]>=0.24", "ipython>=8.20", "jupyter>=1.1"]
    assert colab.lacking(wanted, version) == (["pandera[pandas]>=0.24"], ["pandas>=2.2"])


def test_what_colab_keeps_of_its_own_are_requirements_of_the_project():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert [name for name in colab.OF_THE_KERNEL if f'"{name}>=' not in text] == []


def test_a_notebook_opened_alone_in_colab_runs(tmp_path, monkeypatch):
    """Colab's part is played by a module of its name, GitHub's by a repository on this disk, pip's by a list."""
    origin = tmp_path / "github" / "somebody" / "style"
    origin.mkdir(parents=True)
    shutil.copy(ROOT / "pyproject.toml", origin)
    shutil.copytree(ROOT / "stylerepro", origin / "stylerepro", ignore=shutil.ignore_patterns("__pycache__"))
    alone = toy.add(origin, "toy")
    monkeypatch.setenv("STYLEREPRO_ROOT", str(origin))
    online.put("")
    online.put(FORK)
    monkeypatch.delenv("STYLEREPRO_ROOT")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org", "-C", str(origin)]
    subprocess.run([*git, "init", "--quiet", "--initial-branch=main"], check=True)
    subprocess.run([*git, "add", "--all"], check=True)
    subprocess.run([*git, "commit", "--quiet", "--message=all"], check=True)

    content = tmp_path / "content"
    content.mkdir()
    notebook = nbformat.read(alone, as_version=4)
    assert "google.colab" in notebook.cells[1].source
    there = "import sys, types\nsys.modules['google.colab'] = types.ModuleType('google.colab')"
    notebook.cells.insert(0, nbformat.v4.new_code_cell(there))
    nbformat.write(notebook, content / "toy.ipynb")
    fake = tmp_path / "fake" / "pip"
    fake.mkdir(parents=True)
    asked = tmp_path / "asked.txt"
    (fake / "__init__.py").touch()
    (fake / "__main__.py").write_text(f"import sys\nopen({str(asked)!r}, 'a').write(' '.join(sys.argv[1:]) + '\\n')\n")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "PYTHONPATH"))}
    redirected = {
        "PYTHONPATH": str(fake.parent),
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{(tmp_path / 'github').as_uri()}/.insteadOf",
        "GIT_CONFIG_VALUE_0": "https://github.com/",
    }
    done = subprocess.run(
        [sys.executable, "-m", "nbconvert", "--to", "notebook", "--execute", "toy.ipynb", "--output", "done.ipynb"],
        cwd=content, env=clean | redirected, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    clone = content / "style"
    assert asked.read_text().splitlines()[-1].endswith(f"--no-deps --editable {clone}")
    (record,) = (clone / "results" / "runs" / "toy").glob("*/run.json")
    assert json.loads(record.read_text(encoding="utf-8"))["experiment"] == "toy"
