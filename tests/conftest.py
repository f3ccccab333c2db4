"""What several test files share: the whole suite in profile `smoke`, run once on a machine without a network."""

import os
import subprocess
import sys

import pytest

from stylerepro.files import project_root

if "PYTEST_XDIST_WORKER" in os.environ:
    # Before anything imports PyTorch: processes side by side must not each take every core.
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items):
    """Side by side, the tests of a file share a process, and all that need the smoke runs share one."""
    for item in items:
        group = "offline" if "offline" in item.fixturenames else item.path.stem
        item.add_marker(pytest.mark.xdist_group(group))


BLOCK = '''
"""Every way out of the machine is shut, and each try is written down."""
import os, socket

def refuse(host):
    with open(os.environ["TRIED"], "a") as file:
        file.write(f"{host}\\n")
    raise OSError("the network is blocked")

LOCAL = ("", "localhost", "127.0.0.1", "0.0.0.0", "::1", None)
_connect, _getaddrinfo = socket.socket.connect, socket.getaddrinfo

def connect(self, address):
    if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in LOCAL:
        refuse(address[0])
    return _connect(self, address)

def getaddrinfo(host, *args, **kwargs):
    return _getaddrinfo(host, *args, **kwargs) if host in LOCAL else refuse(host)

socket.socket.connect, socket.getaddrinfo = connect, getaddrinfo
'''


@pytest.fixture(scope="session")
def offline(tmp_path_factory):
    """Root, finished process and the hosts that were asked for, of `stylerepro run --profile smoke`: half a minute.

    No mirror, an empty cache, and a network that refuses: what a newcomer's first command finds.
    """
    root = tmp_path_factory.mktemp("offline")
    (root / "site").mkdir()
    (root / "site" / "sitecustomize.py").write_text(BLOCK)
    (root / "notebooks").symlink_to(project_root() / "notebooks")
    hidden = ("STYLEREPRO_MIRROR", "TORCH_HOME", "XDG_CACHE_HOME")
    kept = {name: value for name, value in os.environ.items() if name not in hidden}
    places = {"STYLEREPRO_ROOT": root, "STYLEREPRO_CACHE": root / "cache", "TORCH_HOME": root / "torch",
              "PYTHONPATH": root / "site", "TRIED": root / "tried"}  # fmt: skip
    main = "from stylerepro.cli import main; main()"
    command = [sys.executable, "-c", main, "run", "--profile", "smoke", "--jobs", "2"]
    environment = kept | {name: str(path) for name, path in places.items()}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=600)
    tried = (root / "tried").read_text().split() if (root / "tried").is_file() else []
    return root, done, set(tried)


@pytest.fixture(scope="session")
def tables(offline):
    """Experiment to the metrics of its smoke run."""
    from stylerepro import results

    return results.tables_of(offline[0] / "results" / "runs", "smoke")


@pytest.fixture(scope="session")
def curves(offline):
    """Experiment to the history of its smoke run."""
    from stylerepro import results

    return results.tables_of(offline[0] / "results" / "runs", "smoke", "history")
