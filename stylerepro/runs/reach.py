"""The definitions of the package that a notebook's code can reach, found by reading it; nothing is imported.

A definition is a function, a class or a constant at the top level of a module, known by its name and its code without
comments, docstrings and annotations: in another place or another file it stays the same. What is named only where an
error is raised is not followed, since an error is no result. All else counts on the safe side: a module that is handed
on as a value counts whole, and so does a mapping that is read otherwise than by key.
"""

import ast
import functools
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from stylerepro.files import hash_of

PACKAGE = "stylerepro"
# What these hold keeps what was computed, checks it and finds it again, all of it exactly: that is the charter of
# runs/, and the other two write files and say what is wrong. A change there moves no number, so neither they count
# nor what only they reach.
BOOKKEEPING = ("runs", "errors", "files")
_BLOCKS = ("body", "orelse", "finalbody")
_WORD = re.compile(r"[\w-]+")
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_JOINED = (ast.JoinedStr, ast.BinOp)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)

Chain = tuple[str, ...]  # a dotted name; behind "" an absolute one: a module, then what is asked of it


class Code:
    """Statements or an expression, and what they read; `inside` is the package that relative imports start from."""

    def __init__(self, nodes: Sequence[ast.AST], inside: str = "") -> None:
        self.nodes, self.inside = nodes, inside

    @functools.cached_property
    def text(self) -> str:
        """The code as it counts."""
        self.nodes = [_strip(node) for node in self.nodes]
        return "\n".join(map(ast.unparse, self.nodes))

    @functools.cached_property
    def digest(self) -> str:
        return hash_of(self.text)[:16]

    @functools.cached_property
    def reader(self) -> "_Reader":
        """What the stripped code reads; its words are those of the text, names and parts of strings alike."""
        reader = _Reader(self.inside, frozenset(_WORD.findall(self.text)))
        for node in self.nodes:
            reader.visit(node)
        return reader


Entries = dict[str, tuple[str, Code]]  # of a mapping: key to what the entry is called, and its code


@dataclass
class Module:
    """The top level of a module. runs: names in modules that it runs; effects: what defines nothing.

    stars: modules all of whose names it takes, which count whole; lazy: branches of its `__getattr__`.
    """

    definitions: dict[str, Code] = field(default_factory=dict)
    entries: dict[str, Entries] = field(default_factory=dict)
    imports: dict[str, Chain] = field(default_factory=dict)
    stars: list[str] = field(default_factory=list)
    runs: set[str] = field(default_factory=set)
    effects: Code | None = None
    lazy: dict[str, Code] = field(default_factory=dict)

    def read_imports(self, tree: ast.AST, inside: str) -> None:
        """Note the imports that run when the module does: the names that they bind and the modules that they run."""
        if isinstance(tree, (ast.Import, ast.ImportFrom)):
            for name, chain, run in _imported(tree, inside):
                self.stars += [chain[1]] if name == "*" else []
                self.imports[name] = chain
                self.runs.add(run)
        elif not isinstance(tree, (*_FUNCTIONS, ast.ClassDef, ast.expr)) and not _is_idle(tree):
            for child in ast.iter_child_nodes(tree):
                self.read_imports(child, inside)


def of_notebook(cells: Sequence[ast.Module]) -> Module:
    """Return the code cells of a notebook as one module, all of whose code counts."""
    module = Module(effects=Code(cells))
    for cell in cells:
        module.read_imports(cell, "")
    return module


@functools.lru_cache(maxsize=512)
def _read(path: Path, inside: str, size: int, modified: int) -> Module:
    """Return a module of the package; it is read again only when its size or time has changed."""
    module, effects = Module(), []
    bound: dict[str, list[ast.stmt]] = defaultdict(list)
    for statement in ast.parse(path.read_text(encoding="utf-8")).body:
        module.read_imports(statement, inside)
        if _is_idle(statement) or isinstance(statement, (ast.Import, ast.ImportFrom)):
            continue
        names = [name for name, _ in _bound([statement], inside)]
        for name in names:
            bound[name].append(statement)
        if not isinstance(statement, (*_FUNCTIONS, ast.ClassDef, ast.Assign, ast.AnnAssign)) or not names:
            effects.append(statement)
    for name, statements in bound.items():
        entries = _entries(statements[0]) if name.isupper() and len(statements) == 1 else None
        if isinstance(entries, str) and entries in module.entries:
            module.entries[name] = module.entries[entries]
        elif isinstance(entries, dict):
            module.entries[name] = {key: (f"{name}[{key}]", Code([node], inside)) for key, node in entries.items()}
        else:
            module.definitions[name] = Code(statements, inside)
        for decorator in getattr(statements[0], "decorator_list", []):
            root = ast.unparse(decorator).partition("(")[0].partition(".")[0]
            if root in bound or module.imports.get(root, ("", ""))[1].partition(".")[0] == PACKAGE:
                effects.append(statements[0])  # the project's own may put what it decorates somewhere
    module.effects = Code(effects, inside) if effects else None
    for part in (part for statement in bound["__getattr__"] for part in ast.walk(statement)):
        if isinstance(part, ast.If) and isinstance(part.test, ast.Compare):
            asked = part.test.comparators[0]
            module.lazy[str(getattr(asked, "value", ""))] = Code(part.body, inside)
    return module


def _entries(statement: ast.stmt) -> dict[str, ast.AST] | str | None:
    """The entries of a mapping with constant keys, or of a tuple of things whose first argument is their name.

    The tuple's name where the mapping is made of it: `NETWORKS = {spec.name: spec for spec in SPECS}`.
    """
    value = getattr(statement, "value", None)
    while isinstance(value, ast.Call) and len(value.args) == 1 and not value.keywords:
        value = value.args[0]
    if isinstance(value, ast.DictComp) and isinstance(value.generators[0].iter, ast.Name):
        return value.generators[0].iter.id
    pairs: list[tuple[ast.AST | None, ast.expr]] = []
    if isinstance(value, ast.Dict):
        pairs = list(zip(value.keys, value.values, strict=True))
    elif isinstance(value, (ast.Tuple, ast.List)):
        pairs = [(next(iter(getattr(part, "args", [])), None), part) for part in value.elts]
    named = {key.value: part for key, part in pairs if isinstance(key, ast.Constant) and isinstance(key.value, str)}
    return {**named} if named and len(named) == len(pairs) else None


def _is_idle(statement: ast.AST) -> bool:
    """Docstrings, imports for types alone, and the package's own version number decide nothing."""
    if isinstance(statement, ast.Expr):
        return isinstance(getattr(statement.value, "value", None), str)
    if isinstance(statement, ast.If):
        return ast.unparse(statement.test).endswith("TYPE_CHECKING")
    return isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) in ("__version__", "__all__")


def _strip(tree: ast.AST) -> ast.AST:
    """Remove what decides nothing. A class's fields keep their annotations, which dataclasses and models live by."""
    for node in ast.walk(tree):
        if isinstance(node, _FUNCTIONS):
            node.returns = None
        elif isinstance(node, ast.arg):
            node.annotation = None
        for block in _BLOCKS:
            statements = getattr(node, block, None)
            if isinstance(statements, list):
                kept = [statement for statement in statements if not _is_idle(statement)]
                kept = kept if isinstance(node, ast.ClassDef) else [_bare(statement) for statement in kept]
                empty = not kept and block == "body" and not isinstance(node, ast.Module)
                setattr(node, block, [ast.Pass()] if empty else kept)
    return _bare(tree)


def _bare(statement: ast.AST) -> ast.AST:
    if not isinstance(statement, ast.AnnAssign):
        return statement
    return ast.Assign([statement.target], statement.value, lineno=0) if statement.value else ast.Pass()


def _imported(node: ast.Import | ast.ImportFrom, inside: str) -> Iterator[tuple[str, Chain, str]]:
    """Yield each name that an import binds ("*": all of a module), what it stands for, and a name in what is run."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            root = alias.name.partition(".")[0]
            yield alias.asname or root, ("", alias.name if alias.asname else root), alias.name
    else:
        start = inside.split(".")[: len(inside.split(".")) - node.level + 1] if node.level else []
        base = ".".join(filter(None, [*start, node.module]))
        for alias in node.names:
            yield alias.asname or alias.name, ("", base, alias.name), f"{base}.{alias.name}"


def _bound(nodes: Iterable[ast.AST], inside: str) -> Iterator[tuple[str, Chain | None]]:
    """Yield the names that code binds in its own scope, with what an import binds them to."""
    for node in nodes:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from ((name, chain) for name, chain, _ in _imported(node, inside))
        elif isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
            yield node.name, None
        elif isinstance(node, _COMPREHENSIONS):
            yield from ((part.target.id, None) for part in ast.walk(node) if isinstance(part, ast.NamedExpr))
        elif not isinstance(node, ast.Lambda):
            if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
                yield node.id, None
            elif isinstance(node, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)) and node.name:
                yield node.name, None
            yield from _bound(ast.iter_child_nodes(node), inside)


def _without_errors(value: object) -> list[object]:
    """The statements of a block but for an error that ends it and the variables for its message right above."""
    parts = list(value) if isinstance(value, list) else [value]
    if parts and isinstance(parts[-1], ast.Raise):
        parts.pop()
        while parts and isinstance(parts[-1], ast.Assign) and isinstance(parts[-1].targets[0], ast.Name):
            parts.pop()
    return parts


class _Reader(ast.NodeVisitor):
    """A reader of names that code does not bind itself, each with whether it is read by key alone.

    pieces: constant parts of texts that the code puts together, which may become a key.
    """

    def __init__(self, inside: str, words: frozenset[str]) -> None:
        self.inside, self.words = inside, words
        self.uses: set[tuple[Chain, bool]] = set()
        self.pieces: set[str] = set()
        self.scopes: list[dict[str, Chain | None]] = []

    def use(self, node: ast.AST, keyed: bool = False) -> bool:
        """Note the dotted name that an expression is, if it is one; `import_module("a.b").c` is one too."""
        asked: list[str] = []
        while isinstance(node, ast.Attribute):
            asked.insert(0, node.attr)
            node = node.value
        called = getattr(node, "func", node)
        if isinstance(node, ast.Call) and getattr(called, "attr", getattr(called, "id", "")) == "import_module":
            self.uses.add((("", str(getattr(next(iter(node.args), None), "value", "")), *asked), keyed))
        elif isinstance(node, ast.Name):
            scope = next((scope for scope in reversed(self.scopes) if node.id in scope), {node.id: (node.id,)})
            if (chain := scope[node.id]) and not (isinstance(node.ctx, ast.Store) and not asked):
                if asked[-1:] == ["get"]:
                    asked, keyed = asked[:-1], True
                self.uses.add(((*chain, *asked), keyed))
        else:
            return False
        return True

    def visit(self, node: ast.AST) -> None:
        if isinstance(node, (ast.Name, ast.Attribute, ast.Call)) and self.use(node):
            return
        if isinstance(node, ast.Subscript) and self.use(node.value, not isinstance(node.slice, _JOINED)):
            self.visit(node.slice)
        elif isinstance(node, ast.Compare) and isinstance(node.ops[0], (ast.In, ast.NotIn)):
            self.visit(node.left)
            for side in node.comparators:
                if not self.use(side, keyed=side is node.comparators[0]):
                    self.visit(side)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            self.uses.update((("", run, "*"), False) for _, _, run in _imported(node, self.inside))
        elif isinstance(node, (*_FUNCTIONS, ast.Lambda)):
            names = [part.arg for part in ast.iter_child_nodes(node.args) if isinstance(part, ast.arg)]
            body = [node.body] if isinstance(node, ast.Lambda) else node.body
            free = {name for part in body if isinstance(part, ast.Global) for name in part.names}
            for outside in filter(
                None, (*getattr(node, "decorator_list", []), *node.args.defaults, *node.args.kw_defaults)
            ):
                self.visit(outside)
            bound = {name: chain for name, chain in _bound(body, self.inside) if name not in free}
            self.scopes.append(dict.fromkeys(names) | bound)
            for statement in _without_errors(body):
                self.visit(statement)  # type: ignore[arg-type]
            self.scopes.pop()
        elif isinstance(node, _COMPREHENSIONS):
            self.scopes.append(dict(_bound((part.target for part in node.generators), self.inside)))
            self.generic_visit(node)
            self.scopes.pop()
        elif not isinstance(node, ast.Raise):
            if isinstance(node, _JOINED):
                texts = (getattr(part, "value", None) for part in ast.iter_child_nodes(node))
                self.pieces |= {text for text in texts if isinstance(text, str) and re.fullmatch(r"[\w./-]{3,}", text)}
            self.generic_visit(node)

    def generic_visit(self, node: ast.AST) -> None:
        for _, value in ast.iter_fields(node):
            for part in _without_errors(value):
                if isinstance(part, ast.AST):
                    self.visit(part)


def definitions(notebook: Module, package: Path, texts: Iterable[str]) -> dict[str, str]:
    """Return name to digest of each definition below the folder `package` that a notebook reaches.

    texts: those among the run's parameters. Of a mapping that is read by key, the entries count whose key stands in
    them, in the notebook, or in code that is reached. Definitions that share a name have their digests side by side.
    """
    walk = _Walk(package, texts)
    walk.run("", notebook)
    return {name: " ".join(sorted(digests)) for name, digests in sorted(walk.finish().items())}


class _Walk:
    """One way through the package, from a notebook to everything that it reaches."""

    def __init__(self, package: Path, texts: Iterable[str]) -> None:
        names = {path: path.relative_to(package).with_suffix("").parts for path in package.rglob("*.py")}
        self.files = {".".join((PACKAGE, *parts)).removesuffix(".__init__"): path for path, parts in names.items()}
        self.modules: dict[str, Module] = {}
        self.counted: dict[str, set[str]] = defaultdict(set)
        self.words, self.pieces = set(_WORD.findall("\n".join(texts))), set[str]()
        self.keyed: list[tuple[str, Entries]] = []
        self.todo: list[tuple[str, Code]] = []
        self.seen: set[object] = set()

    def finish(self) -> dict[str, set[str]]:
        while self.todo:
            while self.todo:
                module, code = self.todo.pop()
                for chain, keyed in code.reader.uses:
                    self.resolve(module, chain, keyed)
            for module, entries in self.keyed:
                self.count_entries(module, {key: entry for key, entry in entries.items() if self.is_named(key)})
            for module, entries in () if self.todo else self.keyed:
                if not any(label in self.counted for label, _ in entries.values()):
                    self.count_entries(module, entries)  # none is named, so any may be the one
        return self.counted

    def is_named(self, key: str) -> bool:
        return self.words.issuperset(_WORD.findall(key)) or any(piece in key for piece in self.pieces)

    def follow(self, module: str, code: Code) -> None:
        self.words |= code.reader.words
        self.pieces |= code.reader.pieces
        self.todo.append((module, code))

    def count(self, label: str, module: str, code: Code) -> None:
        if (label, module) not in self.seen:
            self.seen.add((label, module))
            self.counted[label].add(code.digest)
            self.follow(module, code)

    def count_entries(self, module: str, entries: Entries) -> None:
        for label, code in entries.values():
            self.count(label, module, code)

    def run(self, name: str, module: Module) -> None:
        """Take up a module that is imported, or the notebook: what its top level does, and what that imports."""
        self.modules[name] = module
        if module.effects and name:
            self.count(f"{name} (top level)", name, module.effects)
        elif module.effects:
            self.follow(name, module.effects)
        for star in module.stars:
            self.resolve(name, ("", star), keyed=False)
        for imported in module.runs:
            self.enter(imported)

    def enter(self, name: str) -> None:
        """Run the modules at and above the dotted `name` that are the package's and not run yet."""
        parts = name.split(".")
        for each in (".".join(parts[:end]) for end in range(1, len(parts) + 1)):
            if each in self.files and each not in self.modules and parts[1:2] not in [[room] for room in BOOKKEEPING]:
                path, status = self.files[each], self.files[each].stat()
                inside = each if path.name == "__init__.py" else each.rpartition(".")[0]
                self.run(each, _read(path, inside, status.st_size, status.st_mtime_ns))

    def resolve(self, name: str, chain: Chain, keyed: bool) -> None:
        """Count what a dotted name in the code of the module `name` stands for."""
        module, root, rest = self.modules[name], chain[0], chain[1:]
        if (name, chain, keyed) in self.seen:
            return
        self.seen.add((name, chain, keyed))
        if root == "":
            self.enter(rest[0])
            if rest[0] in self.modules:
                self.attribute(rest[0], rest[1:], keyed)
        elif root in module.definitions:
            self.count(root, name, module.definitions[root])
        elif root in module.entries and keyed and not rest:
            self.keyed.append((name, module.entries[root]))
        elif root in module.entries:
            self.count_entries(name, module.entries[root])
        elif root in module.imports:
            self.resolve(name, (*module.imports[root], *rest), keyed)

    def attribute(self, name: str, rest: Chain, keyed: bool) -> None:
        """Count what is asked of the module `name`: all of it, where that cannot be told."""
        module, asked = self.modules[name], rest[0] if rest else ""
        if asked in module.definitions or asked in module.entries or asked in module.imports:
            self.resolve(name, rest, keyed)
        elif f"{name}.{asked}" in self.files:
            self.resolve(name, ("", f"{name}.{asked}", *rest[1:]), keyed)
        elif asked in module.lazy:
            self.follow(name, module.lazy[asked])
        elif asked != "*" and not asked.startswith("__"):
            for label in (*module.definitions, *module.entries):
                self.resolve(name, (label,), keyed=False)
