"""The number format: measured on this machine, kept, and never taken on trust."""

import json

import pytest
import torch

from stylerepro.errors import NetworkError
from stylerepro.networks import precision


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("STYLEREPRO_CACHE", str(tmp_path))
    precision._gain.cache_clear()
    yield tmp_path
    precision._gain.cache_clear()


@pytest.mark.parametrize(("gain", "taken"), [(3.0, torch.bfloat16), (1.3, torch.bfloat16), (1.2, torch.float32)])
def test_auto_takes_bfloat16_where_it_pays(gain, taken, monkeypatch):
    monkeypatch.setattr(precision, "_measure", lambda device: gain)
    assert precision.pick_dtype("auto") == taken


def test_a_format_that_is_named_is_not_measured(monkeypatch):
    monkeypatch.setattr(precision, "_measure", lambda device: pytest.fail("measured"))
    assert precision.pick_dtype("float64") == torch.float64
    with pytest.raises(NetworkError, match=r"float16.*bfloat16, or auto"):
        precision.pick_dtype("float16")


def test_a_machine_is_measured_once(folder, monkeypatch):
    asked = []
    monkeypatch.setattr(precision, "_measure", lambda device: asked.append(device) or 1.5)
    assert precision.gain() == precision.gain() == 1.5
    precision._gain.cache_clear()  # as another process would begin
    assert precision.gain() == 1.5
    assert asked == ["cpu"]
    (file,) = folder.glob("precision-*.json")
    assert json.loads(file.read_text())["threads"] == torch.get_num_threads()
    file.write_text("{")
    precision._gain.cache_clear()
    assert precision.gain() == 1.5
    assert asked == ["cpu", "cpu"], "a damaged note is measured anew"


def test_the_measurement_times_both_formats_in_turn(monkeypatch):
    seconds = {torch.float32: 3.0, torch.bfloat16: 2.0}
    calls = []
    monkeypatch.setattr(precision, "_call", lambda device, dtype: lambda: calls.append(dtype) or seconds[dtype])
    assert precision._measure("cpu") == 1.5
    assert calls == [torch.float32, torch.bfloat16] * 6
    calls.clear()
    seconds[torch.bfloat16] = 60.0  # emulated: the rest of the rounds would take minutes
    assert precision._measure("cpu") == 0.05
    assert len(calls) == 4


def test_a_real_convolution_is_timed():
    assert precision._call("cpu", torch.float32)() > 0
