"""The book's page on several workers: every option that it names exists, its tables come from what was measured."""

import json
import re
from pathlib import Path

import pytest
import typer

from stylerepro.book import scaling
from stylerepro.cli import main
from stylerepro.errors import RunError

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "book" / "scaling.md").read_text(encoding="utf-8")


def test_every_command_on_the_page_is_one_with_options_that_exist():
    group = typer.main.get_command(main.app)
    lines = re.findall(r"^(?:accelerate .*-m stylerepro\.cli|stylerepro) (.*)$", PAGE.replace("\\\n", ""), re.MULTILINE)
    assert len(lines) >= 8
    for line in lines:
        name, *words = re.sub(r'"[^"]*"', "TEXT", line).split()
        options = {option for parameter in group.commands[name].params for option in parameter.opts}
        assert {word for word in words if word.startswith("-")} <= options, line


def test_the_tables_are_ratios_within_a_round(tmp_path, monkeypatch):
    monkeypatch.setenv("STYLEREPRO_ROOT", str(tmp_path))
    assert "Not measured here" in scaling.scaling("sweep")
    rows = [("local", 1, 100.0), ("local", 2, 50.0), ("dask", 2, 40.0)]
    measured = {
        "hardware": {"cores": 2, "cpu": "a processor"},
        "date": "2026-01-02",
        "points": 12,
        "scaling": [
            {"round": round_, "engine": engine, "workers": workers, "seconds": seconds * round_, "busy": 0.1 * round_}
            for round_ in (1, 2)
            for engine, workers, seconds in rows
        ],
        "overhead": [{"run": 4.0, "notebook": 1.0, "imports": 2.0, "papermill": 0.4, "dask": 5.0}],
    }
    (tmp_path / "results" / "performance").mkdir(parents=True)
    (tmp_path / "results" / "performance" / "engines.json").write_text(json.dumps(measured))
    told = scaling.scaling("sweep")
    assert "| how | 12 runs, s |" in told
    assert "| `--jobs 2` | 75 | 2 | 0.1 to 0.2 |" in told
    assert "| `--engine dask`, workers: 2 | 60 | 2.5 |" in told
    assert told.endswith("2 cores of a processor · 2026-01-02")
    assert re.search(r"sends the folder back \| 5 \| 1.2", scaling.scaling("overhead"))
    with pytest.raises(RunError, match="Did you mean 'sweep'"):
        scaling.scaling("swep")


def test_the_page_shows_both_tables():
    assert set(re.findall(r"\{\{ scaling (\w+) \}\}", PAGE)) == set(scaling.TABLES)
