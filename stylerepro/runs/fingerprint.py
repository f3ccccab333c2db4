"""Hashes of what a run's result depends on: when one of them changes, the run is stale, and it can be said why.

The notebook's code, its parameters, the modules of this package that it imports (directly or through others), its
assets, its declared columns, and the versions that matter. Comments, docstrings, markdown and outputs do not count:
code is compared as `ast.unparse` writes it. Nothing is imported to find out.
"""

import ast
import functools
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from stylerepro.errors import ResultsError, StyleReproError
from stylerepro.files import hash_of, project_root, sha256
from stylerepro.runs.declarations import Values, read_yaml
from stylerepro.runs.experiments import Experiment, code_cells, discover, identifying, is_parameter
from stylerepro.runs.reach import Module, definitions, of_notebook
from stylerepro.runs.scrub import digest_of, local_path, portable, texts

# Distributions whose numbers can move a result; patch releases are taken not to.
DISTRIBUTIONS = ("torch", "torchvision", "numpy", "scipy", "scikit-image", "scikit-learn", "pandas")
# Of a rule: what it is called, and what is shown and not judged.
_PROSE = ("name", "reading", "setting", "tell", "beside")
# Of a part of a fingerprint: what one of its entries is called, and what is said of one whose value is another.
_CHANGES = {
    "parameters": ("parameter ", ": {} → {}"),
    "versions": ("", " {} → {}"),
    "assets": ("asset ", " changed"),
    "definitions": ("definition ", " changed"),
}


@dataclass(frozen=True)
class Fingerprint:
    """components: notebook, parameters, definitions, assets, columns, versions; digest: SHA-256 of them, in hex."""

    components: Mapping[str, Any]

    @property
    def digest(self) -> str:
        return hash_of(self.components)


def compute(experiment: Experiment, parameters: Values, package: Path | None = None) -> Fingerprint:
    """Return the fingerprint of one run. `package`: the folder of the package, by default the installed one's.

    Raises `ParameterError` when the notebook cannot be read.
    """
    return compute_each(experiment, [parameters], package)[0]


def compute_each(experiment: Experiment, points: Sequence[Values], package: Path | None = None) -> list[Fingerprint]:
    """Return the fingerprints of many runs of one experiment, whose notebook and definitions are read once."""
    lines, module = notebook_code(experiment.notebook)
    shared = {
        "notebook": hash_of([*lines, module.effects.text if module.effects else ""]),
        "columns": {
            name: {column: spec.text for column, spec in columns.items()}
            for name, columns in (("metrics", experiment.columns), ("history", experiment.history_columns))
        },
        # Python and the distributions that matter, each as major.minor.
        "versions": {"python": f"{sys.version_info.major}.{sys.version_info.minor}"}
        | {name: ".".join(version_of(name).split("+")[0].split(".")[:2]) for name in DISTRIBUTIONS},
    }

    @functools.cache
    def reached(named: frozenset[str]) -> dict[str, str]:
        return definitions(module, package or Path(__file__).parents[1], named)

    prints = []
    for parameters in points:
        named = _named_networks(identifying(parameters))
        own = {"parameters": named, "assets": asset_hashes(parameters), "definitions": reached(frozenset(texts(named)))}
        prints.append(Fingerprint(shared | own))
    return prints


def explain(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return why a run with the components `old` is stale, in plain words; an empty list if it is not."""
    if "definitions" not in old:
        return ["made by an earlier version of this package, which counted whole modules"]
    reasons = ["the notebook's code changed"] if old.get("notebook") != new.get("notebook") else []
    for part, (what, change) in _CHANGES.items():
        before, after = old.get(part) or {}, new.get(part) or {}
        for name in sorted({*before, *after}):
            if (name in before) != (name in after):
                reasons.append(f"{what}{name} is {'no longer used' if name in before else 'new'}")
            elif before[name] != after[name]:
                reasons.append(f"{what}{name}{change.format(before[name], after[name])}")
    if old.get("columns") != new.get("columns"):
        reasons.append("the declared columns changed")
    return reasons


def notebook_code(notebook: Path) -> tuple[list[str], Module]:
    """Return the code of a notebook as it counts: lines that are no Python, and the rest as a module.

    Of the parameters cell only what is no parameter counts.
    """
    lines, cells = [], []
    for source, tags in code_cells(notebook):
        # Lines for IPython are no Python; they count as they stand.
        magics = [line for line in source.splitlines() if line.lstrip().startswith(("%", "!"))]
        lines += magics
        try:
            tree = ast.parse("\n".join(line for line in source.splitlines() if line not in magics))
        except SyntaxError:
            lines.append(source)
            continue
        if "parameters" in tags:
            tree.body = [statement for statement in tree.body if not is_parameter(statement)]
        cells.append(tree)
    return lines, of_notebook(cells)


def is_network(parameter: str) -> bool:
    """Say whether a parameter of this name holds loss networks: network, networks, style_network, …"""
    return parameter.removesuffix("s").split("_")[-1] == "network"


def _named_networks(parameters: Values) -> dict[str, Any]:
    """Return the parameters with "default" networks by their own name, so that another default makes a run stale."""
    from stylerepro.networks.specs import DEFAULT_NETWORK

    def named(value: Any) -> Any:
        if isinstance(value, list):
            return [named(part) for part in value]
        return DEFAULT_NETWORK if value == "default" else value

    return {name: named(value) if is_network(name) else value for name, value in parameters.items()}


def network_names(parameters: Values) -> list[str]:
    """Return the loss networks that the parameters name, resolved, in order. Unknown ones are a `NetworkError`."""
    from stylerepro.networks.specs import resolve

    named = [text for name, value in parameters.items() if is_network(name) for text in texts(value)]
    return list(dict.fromkeys(resolve(text) for text in named if text))


def asset_hashes(parameters: Values) -> dict[str, str]:
    """Return name to SHA-256 of what the parameters name: weights, assets, files, folders (by their listing)."""
    from stylerepro.networks.specs import NETWORKS

    specs = [NETWORKS[name] for name in network_names(parameters)]
    names = [spec.asset for spec in specs if spec.asset]
    names += [text for name, value in parameters.items() if not is_network(name) for text in texts(value)]
    hashes = {spec.packaged: sha256(spec.file) for spec in specs if spec.packaged and spec.file}
    hashes |= {portable(name): digest for name in dict.fromkeys(names) if (digest := _hash_asset(name))}
    return dict(sorted(hashes.items()))


def _hash_asset(name: str) -> str | None:
    from stylerepro.pictures import assets

    if asset := assets.REGISTRY.get(name):
        if asset.sha256 or asset.kind in ("archive", "photos"):
            return asset.sha256 or f"{asset.bytes} bytes"
        return sha256(assets.fetch(name, progress=False)) if assets.available(name) else "not on this machine"
    path = local_path(name)
    return digest_of(path) if path else None


@functools.cache
def version_of(distribution: str) -> str:
    """Return the installed version of a distribution, or "absent"; looked up once, since it takes milliseconds."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "absent"


def rule_hash(claim: Mapping[str, Any], experiment: str, number: Any = None) -> str:
    """Return the SHA-256 of what decides a claim: measure, filter, direction, threshold, readings with tags, gates.

    Prose is left out, and the least design, which can but take a verdict away. claim: its `rule` and, where it has
    them, `gates` and `settings`. experiment, number: those of the claim, for leaves that name none of their own; a rule
    that the ledger has completed has the same hash as the one written.
    """
    return hash_of(_decisive(claim, experiment, number))


def rule_hashes(experiment: str) -> dict[str, str]:
    """Return claim to `rule_hash`, for each claim of the project whose rule looks at this experiment's table.

    From the files as they are: the ledger, which checks them, takes seconds. What cannot be read is left to it.
    """
    try:
        paths = sorted((project_root() / "stylerepro" / "ledger").glob("[0-9]*.yaml"))
        claims = [claim for path in paths for claim in read_yaml(path, path.name, ResultsError)["claims"]]
        claims += [{"experiment": each.name, **claim} for each in discover() for claim in each.own_claims]
        decisive = {claim["id"]: _decisive(claim, claim["experiment"], claim.get("number")) for claim in claims}
    except (StyleReproError, LookupError, TypeError, AttributeError):
        return {}
    looks = f'"experiment": {json.dumps(experiment)}'
    return {id: hash_of(rule) for id, rule in decisive.items() if looks in json.dumps(rule)}


def _decisive(claim: Mapping[str, Any], experiment: str, number: Any) -> Any:
    rule = _decisive_rule(claim["rule"], experiment, number)
    beside = {key: claim[key] for key in ("gates", "settings") if claim.get(key)}
    if not beside:
        return rule
    if gates := beside.get("gates"):
        beside["gates"] = {key: value for key, value in gates.items() if key != "exempt"}
    return {"rule": rule} | beside | {"settings": [_untold(one) for one in beside.get("settings", ())]}


def _decisive_rule(rule: Any, experiment: str, number: Any) -> Any:
    if isinstance(rule, list):
        return [_decisive_rule(part, experiment, number) for part in rule]
    kept = {key: value for key, value in rule.items() if key not in _PROSE and value is not None}
    if "kind" not in kept:
        parts = {key: part if isinstance(part, list) else [part] for key, part in kept.items()}
        return {key: _decisive_rule(part, experiment, number) for key, part in parts.items()}
    own = {"experiment": experiment} | ({"number": number} if kept["kind"] == "number" else {}) | kept
    return own | {"otherwise": [_untold(reading) for reading in own.get("otherwise", ())]}


def _untold(reading: Mapping[str, Any]) -> dict[str, Any]:
    """Return a reading or setting without what it is called, and without the tag that it has if none is written."""
    return {key: value for key, value in reading.items() if key not in _PROSE and (key, value) != ("tag", "U")}
