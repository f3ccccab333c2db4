"""The command: what it prints, how it ends, how little it loads."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import toy

HEAVY = ("torch", "pandas", "papermill", "matplotlib", "skimage", "sklearn")


@pytest.fixture
def unrun(tmp_path, monkeypatch):
    """The project's own notebooks, none of which has run."""
    monkeypatch.setenv("STYLEREPRO_ROOT", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "120")
    (tmp_path / "notebooks").symlink_to(Path(__file__).resolve().parents[2] / "notebooks")
    return tmp_path


def test_list_shows_every_experiment_and_status_what_never_ran(project, call):
    code, out, _ = call("list")
    assert code == 0
    for word in ("toy", "A toy", "003.1", "laptop 2 min", "reference ?"):
        assert word in out
    code, out, _ = call("status")
    assert code == 0
    assert "never run" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "tooy"], "Did you mean 'toy'"),
        (["run", "-p", "gama=3"], "Did you mean 'gammas'"),
        (["run", "-p", "size=big"], "takes int, not 'big'"),
        (["run", "--profile", "labtop"], "Did you mean 'laptop'"),
        (["run", "--profile", "paper"], "has no profile 'paper'"),
        (["run", "toy", "--profile", "paper"], "has no profile 'paper'"),
        (["run", "--jobs", "4096"], "--jobs 4096 does not fit this machine"),
        (["run", "--processes", "4096"], "--jobs 1 --processes 4096 does not fit this machine"),
        (["publish"], "no finished run of profile reference"),
        (["fetch", "stary_night"], "Did you mean 'starry_night'"),
        (["transfer", "coffee", "swirls", "-o", "x.gif"], "give a name that ends in"),
        (["transfer", "coffee", "swirls", "-o", "x.png", "-p", "iteration=3"], "Did you mean 'iterations'"),
        (["transfer", "coffee", "swirls", "-o", "x.png", "-p", "iterations=many"], "takes int"),
    ],
)
def test_errors_are_a_line_not_a_traceback(project, call, words, message):
    code, _, err = call(*words)
    assert code == 2
    assert err.startswith("error: ")
    assert message in err
    assert not (project / "results" / "runs" / "toy").exists()


def test_a_file_where_the_results_should_be_is_an_error_that_keeps_it(project, call):
    (project / "results").write_text("mine")
    for words in (["run"], ["status"], ["collect"]):
        code, _, err = call(*words)
        assert code == 2
        assert "results is a file, but" in err
    assert (project / "results").read_text() == "mine"


@pytest.mark.filterwarnings("default")
def test_collect_writes_one_table_and_names_damaged_runs(project, call):
    toy.save()
    broken = project / "results" / "runs" / "toy" / "laptop-12345678"
    broken.mkdir()
    (broken / "run.json").write_text("{")
    code, out, err = call("collect", "-o", str(project / "all.csv"))
    assert code == 0
    assert "2 rows in" in out
    assert (project / "all.csv").read_text().splitlines()[0] == "experiment,profile,run,gamma,value,name"
    assert "laptop-12345678/run.json is not a run's record" in err
    assert call("collect", "toy", "--with-parameters")[0] == 0
    one = (project / "results" / "runs" / "collected-toy.csv").read_text().splitlines()
    assert one[0] == "experiment,profile,run,gammas,size,reading,rate,strict,seed,gamma,value,name"
    assert "0 rows in" in call("collect", "toy", "--history")[1]


def test_claims_are_judged_and_those_not_tested_named_with_the_exit_status(unrun, call):
    code, out, err = call("claims", "--profile", "laptop", "-o", str(unrun / "ledger.csv"))
    assert code == 1
    assert "003.1" in out
    assert err.startswith("not tested in profile laptop: ")
    assert "003.1, 003.2, 003.9: tv_sweep has not been run" in err
    lines = (unrun / "ledger.csv").read_text().splitlines()
    assert len(lines) >= 33
    assert {"reference", "yours", "effect", "runs", "profile", "tolerance"} <= set(lines[0].split(","))
    code, out, _ = call("claims", "--long")
    assert code == 1
    assert "003.1  not tested\n" in out


def test_claims_that_are_all_tested_end_well_and_name_what_disagrees(unrun, call, monkeypatch):
    import pandas as pd

    from stylerepro.ledger import claims, summary

    def compare(ledger, profile):
        table = summary.evaluate(ledger, {}).assign(verdict="reproduced", profile=profile, reference=1.0, yours=3.0)
        table["lacking"] = ""
        table["rule_changed"] = ["rule changed since this run: compression (laptop)", *[""] * (len(table) - 1)]
        return table.assign(agrees=pd.Series([True] * (len(table) - 1) + [False], dtype=object))

    monkeypatch.setattr(summary, "compare", compare)
    code, out, err = call("claims", "--profile", "laptop")
    assert (code, err) == (0, "")
    last = claims.load_ledger().claims[-1]
    disagrees = f"≠ {last.id}: 3 is not within {last.tolerance} of 1"
    assert out.splitlines()[-2:] == [disagrees, "000.1: rule changed since this run: compression (laptop)"]
    assert out.count("≠ 3") == 1


def test_claims_bring_the_readme_up_to_date_or_say_why_not(unrun, call):
    code, _, err = call("claims", "--readme")
    assert code == 2
    assert "There is no README.md" in err
    (unrun / "README.md").write_text("<!-- standing: x -->\n<!-- /standing -->\n")
    (unrun / "CITATION.cff").write_text("references:\n")
    assert call("claims", "--readme")[0] == 0
    told = (unrun / "README.md").read_text()
    assert "| 0 | 0 | 0 | 38 |" in told
    assert "- **" not in told, "nothing has been run here, so no finding holds"
    assert len(json.loads((unrun / "results/ledger.json").read_text())["claims"]) >= 34
    assert call("claims", "--profile", "labtop")[2].startswith("error: The ledger has no profile 'labtop'")


def test_transfer_takes_its_defaults_from_the_function(call):
    from inspect import signature

    from stylerepro.transfer.transfer import transfer

    code, out, _ = call("transfer", "--settings")
    assert code == 0
    shown = {line.split()[0]: line.split()[-1] for line in out.splitlines() if line.strip()}
    for name in ("iterations", "style_weight", "optimiser"):
        assert shown[name] == str(signature(transfer).parameters[name].default)


def test_help_and_a_plan_load_nothing_heavy(project):
    code = (
        "import json, sys\n"
        "from stylerepro.cli import main\n"
        "from stylerepro.runs import runner\n"
        "runner.plan()\n"
        "runner.status()\n"
        "main.app(['--help'], standalone_mode=False)\n"
        f"print(json.dumps([name for name in {HEAVY} if name in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == []


def test_a_terminal_without_the_signs_and_a_user_without_a_home_end_no_command(project, call, monkeypatch):
    command = [sys.executable, "-m", "stylerepro.cli.main", "run", "tōy", "--profile", "smoke"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, capture_output=True, check=False, env=environment)
    assert (done.returncode, b"t\\u014dy" in done.stderr) == (2, True)
    code = "from stylerepro.cli import main; main.app = lambda: print('ρ ≥ 1, \\udce9.jpg'); main.main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env=environment)
    assert done.stdout.split() == [b"\\u03c1", b"\\u2265", b"1,", b"\\udce9.jpg"]

    def nowhere():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setenv("HOME", "unknown")
    monkeypatch.setattr(Path, "home", nowhere)
    assert call("list")[0] == 0
    assert Path(os.environ["HOME"]).is_dir()
