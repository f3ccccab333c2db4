"""What several test files share: the whole suite in profile `smoke`, run once on a machine without a network.

The browser and the books that it opens come from `browser.py` and `small_book.py`, which say how to use them.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from browser import chromium, open_page
from sharing import Sharing, note
from small_book import real_book, small_book, small_project

from stylerepro.files import project_root

__all__ = ["chromium", "open_page", "real_book", "small_book", "small_project"]

if "PYTEST_XDIST_WORKER" in os.environ:
    # Before anything imports PyTorch: processes side by side must not each take every core.
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_configure(config):
    """`pytest -n 2 --dist loadfile`: side by side, but what tests share is made once."""
    if config.getoption("dist", "no") == "loadfile":
        config.pluginmanager.register(Sharing())


def pytest_collection_modifyitems(config, items):
    """Note for the process that hands out the tests which of them share what."""
    if "groups" in getattr(config, "workerinput", {}):
        note(items, Path(config.workerinput["groups"]))


@pytest.fixture
def call(monkeypatch, capsys):
    """Call the command in this process; gives exit status, output, errors."""
    from stylerepro.cli import main

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["stylerepro", *words])
        monkeypatch.setattr(main.warnings, "showwarning", main.warnings.showwarning)
        capsys.readouterr()  # what was printed before, such as where a run's results are
        with pytest.raises(SystemExit) as ended:
            main.main()
        captured = capsys.readouterr()
        return ended.value.code or 0, captured.out, captured.err

    return run


@pytest.fixture
def project(tmp_path, monkeypatch):
    """The root of a project of one experiment, `toy`; the test works beside it, and its lines are wide."""
    import toy

    root = tmp_path / "project"
    monkeypatch.setenv("STYLEREPRO_ROOT", str(root))
    monkeypatch.setenv("COLUMNS", "250")
    monkeypatch.chdir(tmp_path)
    toy.add(root, "toy")
    return root


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
    if "PYTEST_XDIST_WORKER" in os.environ:  # a second process that makes this would take as long again
        (tmp_path_factory.getbasetemp().parent / "offline").touch(exist_ok=False)
    (root / "site").mkdir()
    (root / "site" / "sitecustomize.py").write_text(BLOCK)
    (root / "notebooks").symlink_to(project_root() / "notebooks")
    hidden = ("STYLEREPRO_MIRROR", "TORCH_HOME", "XDG_CACHE_HOME")
    kept = {name: value for name, value in os.environ.items() if name not in hidden}
    places = {"STYLEREPRO_ROOT": root, "STYLEREPRO_CACHE": root / "cache", "TORCH_HOME": root / "torch",
              "PYTHONPATH": root / "site", "TRIED": root / "tried"}  # fmt: skip
    main = "from stylerepro.cli.main import main; main()"
    command = [sys.executable, "-c", main, "run", "--profile", "smoke", "--jobs", "2"]
    environment = kept | {name: str(path) for name, path in places.items()}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=600)
    tried = (root / "tried").read_text().split() if (root / "tried").is_file() else []
    return root, done, set(tried)


@pytest.fixture(scope="session")
def tables(offline):
    """Experiment to the metrics of its smoke run."""
    from stylerepro.runs import results

    return results.tables_of(offline[0] / "results" / "runs", "smoke")


@pytest.fixture(scope="session")
def curves(offline):
    """Experiment to the history of its smoke run."""
    from stylerepro.runs import results

    return results.tables_of(offline[0] / "results" / "runs", "smoke", "history")
