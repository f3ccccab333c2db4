"""Where the tests of pictures and assets work: far from this machine's mirror and cache."""

import pytest


@pytest.fixture(autouse=True)
def nowhere(tmp_path, monkeypatch):
    """An empty folder, an empty cache, no mirror, and no way round the local server."""
    monkeypatch.setenv("STYLEREPRO_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("STYLEREPRO_MIRROR", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
