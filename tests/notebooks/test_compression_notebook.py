"""The compression notebook, its cells run in this process with small pictures: table, words and figures."""

import shutil

import matplotlib
import matplotlib.pyplot as plt
import pandas as pd
import pytest

from stylerepro.files import project_root
from stylerepro.runs import experiments
from stylerepro.studies.compression import READINGS

matplotlib.use("agg")


@pytest.fixture(scope="module")
def notebook(tmp_path_factory):
    """The notebook's namespace after a smoke run with the network of random weights."""
    root = tmp_path_factory.mktemp("project")
    shutil.copytree(project_root() / "notebooks", root / "notebooks")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STYLEREPRO_ROOT", str(root))
        patch.setattr(plt, "show", lambda: None)
        experiment = experiments.load("compression")
        small = {"network": "tiny", "content_layers": ["conv3_1"], "style_layers": ["conv1_1"], "init": "random"}
        chosen = experiments.resolve_parameters(experiment, "smoke", small) | {"out": str(root / "out")}
        namespace = {"__name__": "__main__"}
        for source, tags in experiments.code_cells(experiment.notebook):
            exec(source, namespace)
            namespace.update(chosen if "parameters" in tags else {})
        yield namespace | {"folder": root / "out"}
    plt.close("all")


@pytest.fixture
def table(notebook):
    return pd.read_csv(notebook["folder"] / "metrics.csv")


def test_the_run_is_saved_whole(notebook, table):
    assert set(table.method) == {"hosvd", "honmf_svd"}
    assert set(table.reading) == {"-", *READINGS}
    assert {path.stem for path in (notebook["folder"] / "figures").iterdir()} == {
        "shares", "error", "sizes", "readings", "pictures", "storage",
    }  # fmt: skip


def test_every_row_is_one_setting(table):
    assert not table.duplicated(["picture", "size", "method", "reading", "r", "n", "init"]).any()
    assert table[table.method == "hosvd"].r.isna().all()
    whole = table[(table.method == "hosvd") & (table.n == table["size"])]
    assert (whole.mse < 1e-20).all()


def test_time_is_measured_at_the_documents_setting_alone(table):
    timed = table[table.iteration_ratio.notna()]
    assert sorted(timed.reading) == ["-", "qr"]
    assert (timed.n == 15).all()
    assert (timed.iteration_ratio > 0).all()


def test_the_bound_is_computed_from_the_table(notebook):
    assert notebook["against"].ratio.min() >= 1 - 1e-9
    table = notebook["mses"]
    assert (table.drop(columns="HOSVD").ge(table.HOSVD, axis=0)).all(axis=None)


def test_what_meets_the_figures_is_found_and_what_misses_them_is_not(notebook):
    rows = pd.DataFrame(
        {"picture": ["a", "b", "c"], "size": [1, 2, 3], "mse": [1e-4, 9e-4, 1.4e-4], "share": [0.5, 0.92, 0.911]}
    )
    fit = notebook["fit"](rows, "share", 0.9191)
    assert (fit["at"], fit["share met"], fit["share and MSE met"]) == ("b 2 px", True, "c 3 px")
    assert notebook["fit"](rows.iloc[:1], "share", 0.9191)["share and MSE met"] == "nowhere"
