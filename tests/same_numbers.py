"""Whether two versions of the code give the same numbers: compares the tables of own runs of two projects; no test.

    STYLEREPRO_ROOT=BEFORE stylerepro run --profile smoke      # in a clone of each version, on one machine, alike
    STYLEREPRO_ROOT=AFTER stylerepro run --profile smoke
    python tests/same_numbers.py BEFORE AFTER

What is measured by the clock differs from run to run, and is named: a reader judges whether it is only that.
"""

import argparse
import sys
from pathlib import Path

import pandas as pd

TABLES = ("metrics.csv", "history.csv")


def differing(before: Path, after: Path) -> dict[str, list[str]]:
    """Table to the columns that are not equal, character by character; or ["missing"], ["columns"], ["rows"]."""
    found: dict[str, list[str]] = {}
    folders = sorted(path.parent for path in (before / "results" / "runs").glob("*/*/run.json"))
    if not folders:
        sys.exit(f"There are no runs in {before}/results/runs.")
    for folder in folders:
        for name in TABLES:
            place = (folder / name).relative_to(before)
            if not (before / place).is_file():
                continue
            if not (after / place).is_file():
                found[str(place)] = ["missing"]
                continue
            was, now = (pd.read_csv(root / place, dtype=str, keep_default_na=False) for root in (before, after))
            if list(was) != list(now) or len(was) != len(now):
                found[str(place)] = ["columns" if list(was) != list(now) else "rows"]
            else:
                found[str(place)] = [column for column in was if not was[column].equals(now[column])]
    return found


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("before", type=Path)
    options.add_argument("after", type=Path)
    given = options.parse_args()
    found = differing(given.before, given.after)
    for place, columns in found.items():
        print(f"{place}: {', '.join(columns) or 'the same'}")
    print(f"{sum(not columns for columns in found.values())} of {len(found)} tables are the same in every character")


if __name__ == "__main__":
    main()
