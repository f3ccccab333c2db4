"""A run is stale when something it depends on has changed, and only then."""

from pathlib import Path

import nbformat
import pytest
import toy

from stylerepro.runs import fingerprint
from stylerepro.runs.experiments import load, resolve_parameters
from stylerepro.runs.fingerprint import compute, explain

MODULES = {
    "__init__.py": '__version__ = "1"\ndef __getattr__(name):\n    return import_module("stylerepro.lazy").Thing\n',
    "runs/__init__.py": "",
    "runs/results.py": "from stylerepro import files\n",
    "files.py": '"""Files."""\ndef f():\n    """Doc."""\n    from .deep.inner import value\n    return value\n',
    "deep/__init__.py": "from stylerepro.deep import other as o\n",
    "deep/inner.py": "from . import sibling\nvalue = 1\n",
    "deep/other.py": "",
    "deep/sibling.py": "x = 1\n",
    "lazy.py": "Thing = 1\n",
    "unrelated.py": "y = 1\n",
}


@pytest.fixture
def package(tmp_path) -> Path:
    folder = tmp_path / "stylerepro"
    for name, text in MODULES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("STYLEREPRO_ROOT", str(tmp_path))
    monkeypatch.delenv("STYLEREPRO_MIRROR", raising=False)
    monkeypatch.chdir(tmp_path)
    toy.add(tmp_path, "toy")
    return tmp_path


def components(package=None, **overrides):
    experiment = load("toy")
    return compute(experiment, resolve_parameters(experiment, "laptop", overrides), package).components


def change(package, name, old, new):
    path = package / name
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_the_import_closure_follows_every_kind_of_import(project, package):
    assert set(components(package)["modules"]) == {
        "stylerepro",
        "stylerepro.deep",
        "stylerepro.deep.inner",
        "stylerepro.deep.other",
        "stylerepro.deep.sibling",
    }
    toy.add(project, "toy", body="from stylerepro import Thing")
    assert "stylerepro.lazy" in components(package)["modules"]


def test_bookkeeping_is_followed_but_does_not_count(project, package):
    """What keeps results may be mended without hours of runs; a record from when it counted is no staler for that."""
    before = components(package)
    assert not fingerprint.BOOKKEEPING & set(before["modules"])
    change(package, "files.py", "return value", "return value + 0")
    assert explain(before, components(package)) == []
    older = {**before, "modules": {**before["modules"], "stylerepro.files": "another hash"}}
    assert explain(older, components(package)) == []
    assert explain({**older, "modules": {"stylerepro.files": "x"}}, before) != []


def test_what_is_called_bookkeeping_exists_and_computes_nothing():
    """A module that does arithmetic with pictures or features would be one that can move a number."""
    folder = Path(fingerprint.__file__).parents[1]
    for name in fingerprint.BOOKKEEPING - {"stylerepro.runs.gallery", "stylerepro.runs"}:
        text = (folder / f"{name.partition('.')[2].replace('.', '/')}.py").read_text(encoding="utf-8")
        assert "stylerepro.transfer.losses" not in text
        assert "stylerepro.measures.image_metrics" not in text
        assert "backward(" not in text


def test_a_deep_edit_makes_stale_and_says_which_module(project, package):
    before = components(package)
    change(package, "deep/sibling.py", "x = 1", "x = 2")
    assert explain(before, components(package)) == ["module stylerepro.deep.sibling changed"]


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("files.py", '"""Files."""', '"""Other words."""'),
        ("files.py", '    """Doc."""\n', "    # a comment\n"),
        ("deep/sibling.py", "x = 1", "x   =   1  # one"),
        ("__init__.py", '"1"', '"2"'),
        ("unrelated.py", "y = 1", "y = 2"),
    ],
)
def test_comments_docstrings_and_unrelated_modules_do_not_make_stale(project, package, name, old, new):
    before = components(package)
    change(package, name, old, new)
    assert explain(before, components(package)) == []


def edit(project, index, source):
    path = project / "notebooks" / "toy.ipynb"
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[index].source = source
    nbformat.write(notebook, path)


def test_only_the_notebooks_code_counts(project):
    before = components()
    edit(project, 0, "# Another title")
    edit(project, 4, "# said differently\n" + toy.BODY.replace("/ 3", "/   3"))
    edit(project, 2, toy.PARAMETERS.replace("# pixels", "# of the short side"))
    assert explain(before, components()) == []
    edit(project, 4, toy.BODY.replace("/ 3", "/ 4"))
    assert explain(before, components()) == ["the notebook's code changed"]


def test_a_magic_line_counts_and_hides_no_import(project, package):
    before = components(package)
    toy.add(project, "toy", body="%matplotlib inline\nimport stylerepro.unrelated as u")
    after = components(package)
    assert "stylerepro.unrelated" in after["modules"]
    assert "the notebook's code changed" in explain(before, after)


def test_parameters_and_versions_are_told_with_both_values(project, monkeypatch):
    before = components()
    assert explain(before, components(gammas="0,10,100")) == ["parameter gammas: [0.0, 10.0] → [0.0, 10.0, 100.0]"]
    monkeypatch.setattr(fingerprint, "version_of", lambda name: "99.1.2+cpu")
    assert any(reason.startswith("torch ") and reason.endswith("→ 99.1") for reason in explain(before, components()))


def test_declared_columns_count_but_not_their_words(project):
    before = components()
    toy.add(project, "toy", sidecar=toy.SIDECAR.replace("doc: weight", "doc: weight of the term"))
    assert explain(before, components()) == []
    toy.add(project, "toy", sidecar=toy.SIDECAR.replace("name: {type: str}", "name: {type: str, nullable: true}"))
    assert explain(before, components()) == ["the declared columns changed"]


def test_assets_are_networks_weights_known_names_and_files(project):
    cell = 'network: str = "default"\ncontents: list[str] = ["starry_night", "./a.png", "mean"]\nout: str = ""'
    sidecar = toy.SIDECAR.replace("{gammas: [0], size: 4}", "{}").replace("{gammas: [0, 10, 100]}", "{}")
    toy.add(project, "toy", parameters=cell, sidecar=sidecar)
    (project / "a.png").write_bytes(b"1")
    (project / "mean").write_bytes(b"a file that a word happens to name")
    before = components()
    assert set(before["assets"]) == {"compact.safetensors", "starry_night", "./a.png"}
    assert before["parameters"]["network"] == "compact"
    (project / "a.png").write_bytes(b"2")
    assert explain(before, components()) == ["asset ./a.png changed"]


def test_another_default_network_makes_stale(project, monkeypatch):
    toy.add(project, "toy", parameters=toy.PARAMETERS + '\nnetwork: str = "default"')
    before = components()
    monkeypatch.setattr("stylerepro.networks.specs.DEFAULT_NETWORK", "tiny")
    assert explain(before, components()) == [
        "parameter network: compact → tiny",
        "asset compact.safetensors is no longer used",
    ]


def test_an_absolute_path_counts_by_name_and_content(project, tmp_path):
    toy.add(project, "toy")
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.png").write_bytes(b"same")
    one, two = (components(reading=str(tmp_path / folder / "x.png")) for folder in ("one", "two"))
    assert one == two
    assert one["parameters"]["reading"] == "x.png"


def test_the_real_package_is_followed_without_importing_it(project):
    toy.add(project, "toy", body="from stylerepro import LossNetwork")
    modules = components()["modules"]
    assert {"stylerepro.networks.loss_network", "stylerepro.pictures.images", "stylerepro.measures.timing"} <= set(
        modules
    )
    assert "stylerepro.runs.runner" not in modules
