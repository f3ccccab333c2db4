"""Makes the project's packages available in Google Colab: a cell at the head of each notebook runs this file there.

It stands alone, since the package cannot be imported before it has run. What Colab has already stays as it is.
"""

import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterable
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

# Of these Colab's own kernel is made: it goes on with the versions that it has.
OF_THE_KERNEL = frozenset({"ipykernel", "ipython", "jupyter", "matplotlib-inline"})


def lacking(
    requirements: Iterable[str], version: Callable[[str], str] = metadata.version
) -> tuple[list[str], list[str]]:
    """Of the requirements those that are not installed, and those that are, but in an older version."""
    absent, older = [], []
    for line in requirements:
        wanted = Requirement(line)
        if wanted.name in OF_THE_KERNEL:
            continue
        try:
            if not wanted.specifier.contains(version(wanted.name), prereleases=True):
                older.append(line)
        except metadata.PackageNotFoundError:
            absent.append(line)
    return absent, older


def main() -> None:
    """Install what is lacking and the project itself, for this kernel too."""
    root = Path(__file__).resolve().parents[2]
    absent, older = lacking(
        tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    )
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    if absent or older:
        subprocess.run([*pip, *absent, *older], check=True)
    subprocess.run([*pip, "--no-deps", "--editable", str(root)], check=True)
    # A kernel that runs already does not see what has just been installed beside it.
    sys.path.insert(0, str(root))
    if older:
        print(f"Newer versions are there of {', '.join(older)}: restart the session, then run all cells.")


if __name__ == "__main__":
    main()
