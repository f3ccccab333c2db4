"""What a run's result depends on, as hashes: when one of them changes, the run is stale, and it can be said why.

The notebook's code, its parameters, the modules of this package that it imports (directly or through others), its
assets, its declared columns, and the versions that matter. Comments, docstrings, markdown and outputs do not count:
code is compared as `ast.unparse` writes it. Nothing is imported to find out.
"""

import ast
import functools
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from stylerepro.files import hash_of, sha256
from stylerepro.runs.experiments import Experiment, code_cells, identifying, is_parameter, portable, texts

PACKAGE = "stylerepro"
# Distributions whose numbers can move a result; patch releases are taken not to.
DISTRIBUTIONS = ("torch", "torchvision", "numpy", "scipy", "scikit-image", "scikit-learn", "pandas")
# Modules that keep what was computed, check it and find it again, all of them exactly: a change there moves no number,
# and hours of runs need not be made again for it.
BOOKKEEPING = frozenset(
    f"{PACKAGE}.{name}"
    for name in (
        "errors", "files", "runs", "runs.experiments", "runs.fingerprint", "runs.gallery", "runs.declarations",
        "runs.parts", "runs.record", "runs.results", "runs.scrub", "runs.tables",
    )
)  # fmt: skip


@dataclass(frozen=True)
class Fingerprint:
    """components: notebook, parameters, modules, assets, columns, versions; digest: SHA-256 of them, in hex."""

    components: Mapping[str, Any]

    @property
    def digest(self) -> str:
        return hash_of(self.components)


def compute(experiment: Experiment, parameters: Mapping[str, Any], package: Path | None = None) -> Fingerprint:
    """The fingerprint of one run. `package`: the folder of the package's modules, by default the installed one's.

    Raises `ParameterError` when the notebook cannot be read.
    """
    code, parsed = notebook_code(experiment.notebook)
    return Fingerprint(
        {
            "notebook": hash_of(code),
            "parameters": _named_networks(identifying(parameters)),
            "modules": module_hashes(parsed, package or Path(__file__).parents[1]),
            "assets": asset_hashes(parameters),
            "columns": {
                name: {column: spec.text for column, spec in columns.items()}
                for name, columns in (("metrics", experiment.columns), ("history", experiment.history_columns))
            },
            "versions": versions(),
        }
    )


def compute_each(experiment: Experiment, points: Sequence[Mapping[str, Any]]) -> list[Fingerprint]:
    """`compute` for each of many parameters of one experiment, whose notebook and modules are read once."""
    if not points:
        return []
    shared = compute(experiment, points[0]).components
    return [
        Fingerprint({**shared, "parameters": _named_networks(identifying(one)), "assets": asset_hashes(one)})
        for one in points
    ]


def explain(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Why a run with the components `old` is stale, in plain words; an empty list if it is not."""
    reasons = ["the notebook's code changed"] if old.get("notebook") != new.get("notebook") else []
    for part, what in (("parameters", "parameter"), ("versions", ""), ("assets", "asset"), ("modules", "module")):
        before, after = old.get(part) or {}, new.get(part) or {}
        for name in sorted({*before, *after} - BOOKKEEPING):
            if (name in before) != (name in after):
                reasons.append(f"{what} {name} is {'no longer used' if name in before else 'new'}".strip())
            elif before[name] != after[name]:
                shown = part in ("parameters", "versions")
                colon = ": " if part == "parameters" else " "
                change = f"{colon}{before[name]} → {after[name]}" if shown else " changed"
                reasons.append(f"{what} {name}{change}".strip())
    if old.get("columns") != new.get("columns"):
        reasons.append("the declared columns changed")
    return reasons


def notebook_code(notebook: Path) -> tuple[list[str], list[ast.Module]]:
    """The code cells as they count, and parsed. Of the parameters cell only what is no parameter counts."""
    code, parsed = [], []
    for source, tags in code_cells(notebook):
        # Lines for IPython are no Python; they count as they stand.
        magics = [line for line in source.splitlines() if line.lstrip().startswith(("%", "!"))]
        plain = "\n".join(line for line in source.splitlines() if line not in magics)
        try:
            tree = ast.parse(plain)
        except SyntaxError:
            code.append(source)
            continue
        if "parameters" in tags:
            tree.body = [statement for statement in tree.body if not is_parameter(statement)]
        parsed.append(tree)
        code.append("\n".join([*magics, bare(tree)]))
    return [cell for cell in code if cell], parsed


def bare(tree: ast.Module) -> str:
    """The code without comments, docstrings and the package's own version number."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            kept = [one for one in body if not _is_idle(one)]
            node.body = kept or ([] if isinstance(node, ast.Module) else [ast.Pass()])  # type: ignore[attr-defined]
    return ast.unparse(tree)


def _is_idle(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Constant) and isinstance(statement.value.value, str)
    return isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "__version__"


def module_hashes(roots: Iterable[ast.Module], package: Path) -> dict[str, str]:
    """Name to hash of each module of the package that `roots` import, directly or through others; no `BOOKKEEPING`.

    Imports within functions count as well. Names that the package itself gives out lazily (`import_module("…")` in an
    `__init__`) count where such a name is asked for.
    """
    hashes: dict[str, str] = {}
    waiting = [name for tree in roots for name in _imports(tree, "", package)]
    while waiting:
        name = waiting.pop()
        path = _file(name, package)
        if name in hashes or path is None:
            continue
        status = path.stat()
        hashes[name], imports = _read(name, path, package, status.st_size, status.st_mtime_ns)
        waiting += imports
    return {name: digest for name, digest in sorted(hashes.items()) if name not in BOOKKEEPING}


@functools.lru_cache(maxsize=512)
def _read(name: str, path: Path, package: Path, size: int, modified: int) -> tuple[str, tuple[str, ...]]:
    """A module's hash and imports; read again only when its size or time has changed, since notebooks share modules."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inside = name if path.name == "__init__.py" else name.rpartition(".")[0]
    imports = tuple(_imports(tree, inside, package))
    return hash_of(bare(tree)), imports


def _file(module: str, package: Path) -> Path | None:
    parts = module.split(".")
    if parts[0] != PACKAGE:
        return None
    base = package.joinpath(*parts[1:])
    candidates = [base / "__init__.py"] if len(parts) == 1 else [base / "__init__.py", base.with_suffix(".py")]
    return next((path for path in candidates if path.is_file()), None)


def _imports(tree: ast.AST, inside: str, package: Path) -> Iterator[str]:
    """Modules that a tree imports; `inside` is the package that its relative imports start from."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _parents(alias.name)
                # `import stylerepro` gives every lazy name of it.
                yield from _lazy(alias.name, package)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                start = inside.split(".")[: len(inside.split(".")) - node.level + 1]
                base = ".".join([*start, *([base] if base else [])])
            yield from _parents(base)
            for alias in node.names:
                if _file(f"{base}.{alias.name}", package):
                    yield f"{base}.{alias.name}"
                else:
                    yield from _lazy(base, package)


def _parents(module: str) -> Iterator[str]:
    parts = module.split(".")
    if parts[0] == PACKAGE:
        yield from (".".join(parts[: end + 1]) for end in range(len(parts)))


def _lazy(module: str, package: Path) -> Iterator[str]:
    path = _file(module, package)
    if path is None or path.name != "__init__.py":
        return
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module") and node.args:
            target = node.args[0]
            if isinstance(target, ast.Constant) and isinstance(target.value, str):
                yield target.value


def is_network(parameter: str) -> bool:
    """Whether a parameter of this name holds loss networks: network, networks, style_network, …"""
    return parameter.removesuffix("s").split("_")[-1] == "network"


def _named_networks(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters with "default" networks by their own name, so that another default makes a run stale."""
    from stylerepro.networks.specs import DEFAULT_NETWORK

    def named(value: Any) -> Any:
        if isinstance(value, list):
            return [named(one) for one in value]
        return DEFAULT_NETWORK if value == "default" else value

    return {name: named(value) if is_network(name) else value for name, value in parameters.items()}


def network_names(parameters: Mapping[str, Any]) -> list[str]:
    """The loss networks that the parameters name, resolved, in order. Unknown ones are a `NetworkError`."""
    from stylerepro.networks.specs import resolve

    named = [text for name, value in parameters.items() if is_network(name) for text in texts(value)]
    return list(dict.fromkeys(resolve(text) for text in named if text))


def asset_hashes(parameters: Mapping[str, Any]) -> dict[str, str]:
    """Name to SHA-256 of what the parameters name: weights of networks, assets, files, folders (by their listing)."""
    from stylerepro.networks.specs import NETWORKS

    specs = [NETWORKS[name] for name in network_names(parameters)]
    names = [spec.asset for spec in specs if spec.asset]
    names += [text for name, value in parameters.items() if not is_network(name) for text in texts(value)]
    packaged = [(spec.packaged, spec.file, spec.file.stat()) for spec in specs if spec.packaged and spec.file]
    hashes = {name: _digest(file, status.st_size, status.st_mtime_ns) for name, file, status in packaged}
    for name in dict.fromkeys(names):
        if found := _hash_asset(name):
            # Two files of one name in two folders share an entry, which still changes with either.
            shown = portable(name)
            hashes[shown] = hash_of([hashes[shown], found]) if shown in hashes else found
    return dict(sorted(hashes.items()))


@functools.lru_cache(maxsize=64)
def _digest(path: Path, size: int, modified: int) -> str:
    """SHA-256, computed again only when the file's size or time has changed: a sweep asks ten thousand times."""
    return sha256(path)


def _hash_asset(name: str) -> str | None:
    from stylerepro.pictures import assets

    if assets.known(name):
        asset = assets.REGISTRY[name]
        stated = asset.sha256
        if stated or asset.kind in ("archive", "photos"):
            return stated or f"{asset.bytes} bytes"
        return sha256(assets.fetch(name, progress=False)) if assets.available(name) else "not on this machine"
    path = Path(name).expanduser()
    # A bare word is a choice ("mean"), even if a file of that name happens to lie here.
    if not (path.suffix or path.name != name):
        return None
    if path.is_file():
        return sha256(path)
    return hash_of([[one.name, one.stat().st_size] for one in assets.photo_files(path)]) if path.is_dir() else None


def versions() -> dict[str, str]:
    """Python and the distributions that matter, each as major.minor."""
    found = {"python": f"{sys.version_info.major}.{sys.version_info.minor}"}
    return found | {name: ".".join(version_of(name).split("+")[0].split(".")[:2]) for name in DISTRIBUTIONS}


@functools.cache
def version_of(distribution: str) -> str:
    """The installed version of a distribution, or "absent"; looked up once, since it takes milliseconds each."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "absent"
