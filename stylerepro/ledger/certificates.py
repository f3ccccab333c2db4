"""Birth certificates: when what decides a claim took its present form, and when the first run that tests it began.

Both come from git, and are written into `results/ledger.json` when results are published; a clone without its history
shows what is written there. A rule that is younger than its first run was made with the result in sight, and gives
*trend only* at best.
"""

import json
import subprocess
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import yaml

from stylerepro.files import project_root
from stylerepro.ledger.claims import Claim
from stylerepro.runs.experiments import OWN
from stylerepro.runs.fingerprint import rule_hash
from stylerepro.runs.record import RECORD

LEDGER = "results/ledger.json"

# rule: the hash of what decides. commit, time: where and when it took that form; None while it is not committed.
# start: of the first run of the points that are behind the verdict. hours: from the one to the other.
Certificate = Mapping[str, Any]


def written() -> dict[str, Certificate]:
    """Return the certificates of the committed ledger by claim; none where there is no such file."""
    path = project_root() / LEDGER
    rows = json.loads(path.read_text(encoding="utf-8"))["claims"] if path.is_file() else []
    return {row["id"]: row["certificate"] for row in rows if row.get("certificate")}


def remembered() -> bool:
    """Return whether the project's history is at hand."""
    return bool(_git("rev-parse", "--git-dir"))


def certificate(
    claim: Claim, runs: Iterable[Mapping[str, Any]], known: Mapping[str, Certificate]
) -> Certificate | None:
    """Return the certificate of a claim whose verdict rests on these runs: the known one where it fits, else git's.

    None without runs, and outside git.
    """
    points = {run["folder"]: run["start"] for run in runs}
    rule = rule_hash(claim.decisive(), claim.experiment, claim.number)
    stated = known.get(claim.id)
    if stated and stated["rule"] == rule and stated["points"] == points:
        return stated
    if not points or not remembered():
        return None
    commit, time = _rule_born(claim, rule)
    start = min((_first_start(folder, start) for folder, start in points.items()), key=_moment)
    hours = None if time is None else round((_moment(start) - _moment(time)).total_seconds() / 3600, 1)
    return {"rule": rule, "points": points, "commit": commit, "time": time, "start": start, "hours": hours}


def late(stated: Certificate | None) -> str:
    """Return in words by how much a rule is younger than its run; "" for one that is older, or without certificate."""
    if stated is None or (stated["hours"] is not None and stated["hours"] >= 0):
        return ""
    if stated["hours"] is None:
        return "after the fact: the rule as it stands is not committed, and its run is there"
    return f"after the fact: the rule took its present form {-stated['hours']:.0f} hours after its first run began"


def _rule_born(claim: Claim, rule: str) -> tuple[str | None, str | None]:
    """Return the commit, and its time, since which the claim's file has held what decides as it is now."""
    own = claim.document == OWN
    path = f"notebooks/{claim.experiment}.yaml" if own else f"stylerepro/ledger/{claim.document}.yaml"
    born: tuple[str | None, str | None] = (None, None)
    for line in _git("log", "--follow", "--name-only", "--format=%x00%H %cI", "--", path).split("\0")[1:]:
        head, *names = line.split()[0:2], *line.split()[2:]
        if _rule_in(f"{head[0]}:{names[0] if names else path}", claim) != rule:
            break
        born = (head[0], head[1])
    return born


def _rule_in(place: str, claim: Claim) -> str:
    """Return the hash of what decides the claim in a file of the history; "" where it is not there."""
    try:
        content = yaml.load(_git("show", place), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        (found,) = [one for one in content["claims"] if isinstance(one, dict) and one["id"] == claim.id]
        decisive = {key: found[key] for key in Claim.DECISIVE if found.get(key)}
        return rule_hash(decisive, found.get("experiment", claim.experiment), found.get("number"))
    except (yaml.YAMLError, LookupError, TypeError, ValueError, AttributeError):
        return ""


def _first_start(folder: str, start: str) -> str:
    """Return when the first run in a folder of committed results began that had the present one's parameters."""
    path = f"{folder}/{RECORD}"
    file = project_root() / path
    parameters = json.loads(file.read_text(encoding="utf-8"))["parameters"] if file.is_file() else None
    starts = [start]
    for commit in _git("log", "--format=%H", "--", path).split():
        try:
            record = json.loads(_git("show", f"{commit}:{path}"))
            starts += [record["start"]] if record["parameters"] == parameters else []
        except (ValueError, LookupError, TypeError):
            continue  # deleted there, or of a form that says less
    return min(starts, key=_moment)


def _moment(time: str) -> datetime:
    moment = datetime.fromisoformat(time)
    return moment if moment.tzinfo else moment.astimezone()


def _git(*words: str) -> str:
    """Return what git says of the project; "" where it says nothing, or is not there."""
    command = ["git", "-C", str(project_root()), *words]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, encoding="utf-8").stdout
    except (OSError, subprocess.CalledProcessError, UnicodeDecodeError):
        return ""
