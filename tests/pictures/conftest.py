"""Where the tests of pictures and assets work: far from this machine's mirror and cache."""

import numpy as np
import pytest


@pytest.fixture(autouse=True)
def nowhere(tmp_path, monkeypatch):
    """An empty folder, an empty cache, no mirror, and no way round the local server."""
    monkeypatch.setenv("STYLEREPRO_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("STYLEREPRO_MIRROR", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


@pytest.fixture(scope="session")
def colours():
    """A smooth uint8 picture (24, 32, 3) without symmetry, kind to JPEG."""
    y, x = np.mgrid[0:24, 0:32] / 32
    return (255 * np.stack([x, y, 0.5 * x + 0.3], axis=-1)).astype(np.uint8)
