"""The definitions of the package that a notebook's code can reach, found by reading it; nothing is imported.

A definition is a function, a class or a constant at the top level of a module, known by its name and its code without
comments, docstrings and annotations: in another place or another file it stays the same. An error that is raised is
not followed, since it is no result. All else counts on the safe side: a module that is handed on as a value counts
whole, and so does a mapping that is read otherwise than by key.
"""

import ast
import functools
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stylerepro.files import hash_of

PACKAGE = "stylerepro"
# What these hold keeps what was computed, checks it and finds it again, all of it exactly: that is the charter of
# runs/; the others write files, say what is wrong and name networks for people. A change there moves no number, so
# neither they count nor what only they reach.
BOOKKEEPING = ("runs", "errors", "files", "networks.naming")
_WORD = re.compile(r"[\w-]+")
_SENTENCE = re.compile(r"[.,:;] ")
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_DEFINING = (*_FUNCTIONS, ast.ClassDef, ast.Assign, ast.Import, ast.ImportFrom)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)

Chain = tuple[str, ...]  # a dotted name; behind "" an absolute one: a module, then what is asked of it


@dataclass
class Code:
    """Statements or an expression that count; `inside` is the package that relative imports start from."""

    nodes: Sequence[ast.AST]
    inside: str = ""

    @functools.cached_property
    def text(self) -> str:
        return "\n".join(map(ast.unparse, self.nodes))

    @functools.cached_property
    def words(self) -> frozenset[str]:
        """All words of the text, names and parts of strings alike, but for those of sentences: no key is one."""
        found = set()
        for node in (node for statement in self.nodes for node in ast.walk(statement)):
            for _, value in ast.iter_fields(node):
                for text in value if isinstance(value, list) else [value]:
                    if isinstance(text, str) and not _SENTENCE.search(text):
                        found.update(_WORD.findall(text))
        return frozenset(found)

    @functools.cached_property
    def uses(self) -> set[tuple[Chain, bool]]:
        """The dotted names that are read and not bound here, each with whether it is read by key alone."""
        reader = _Reader(self.inside)
        reader.read_scope({}, self.nodes)
        return reader.uses


@dataclass
class Module:
    """The top level of a module.

    definitions: name to code, of an entry "KINDS[first]". entries: a mapping's name to key to the entry's name.
    imports: name to what it stands for; what they name is run with the module. effects: what defines nothing.
    """

    definitions: dict[str, Code] = field(default_factory=dict)
    entries: dict[str, dict[str, str]] = field(default_factory=dict)
    imports: dict[str, Chain] = field(default_factory=dict)
    effects: Code | None = None


def of_notebook(cells: Sequence[ast.Module]) -> Module:
    """Return the code cells of a notebook as one module, all of whose code counts."""
    cells = [_stripped(cell) for cell in cells]
    return Module(imports={name: chain for name, chain in _bound(cells, "") if chain}, effects=Code(cells))


@functools.lru_cache(maxsize=512)
def _read(path: Path, inside: str, size: int, modified: int) -> Module:
    """Return a module of the package; it is read again only when its size or time has changed."""
    module, effects = Module(), []
    defined: dict[str, list[ast.stmt]] = defaultdict(list)
    for statement in _stripped(ast.parse(path.read_text(encoding="utf-8"))).body:
        bound = dict(_bound([statement], inside))
        for name, chain in bound.items():
            if chain:
                module.imports[name] = chain
            else:
                defined[name].append(statement)
        if not bound or not isinstance(statement, _DEFINING):
            effects.append(statement)
    for name, statements in defined.items():
        entries = _entries(statements[0]) if name.isupper() and len(statements) == 1 else {}
        if isinstance(entries, str) and entries in module.entries:
            module.entries[name] = module.entries[entries]
        elif isinstance(entries, dict) and entries:
            module.entries[name] = {key: f"{name}[{key}]" for key in entries}
            module.definitions |= {f"{name}[{key}]": Code([node], inside) for key, node in entries.items()}
        else:
            module.definitions[name] = Code(statements, inside)
    module.effects = Code(effects, inside) if effects else None
    return module


def _entries(statement: ast.stmt) -> dict[str, ast.expr] | str:
    """Return the entries of a mapping with constant keys, or of a tuple of things whose first argument is their name.

    The tuple's name where the mapping is made of it: `NETWORKS = {spec.name: spec for spec in SPECS}`. Else nothing.
    """
    value = getattr(statement, "value", None)
    while isinstance(value, ast.Call) and len(value.args) == 1 and not value.keywords:
        value = value.args[0]
    pairs: list[tuple[ast.expr | None, ast.expr]] = []
    match value:
        case ast.DictComp(generators=[ast.comprehension(iter=ast.Name(id=name))]):
            return name
        case ast.Dict():
            pairs = list(zip(value.keys, value.values, strict=True))
        case ast.Tuple() | ast.List():
            pairs = [(next(iter(getattr(part, "args", [])), None), part) for part in value.elts]
    named = {key.value: part for key, part in pairs if isinstance(key, ast.Constant) and isinstance(key.value, str)}
    return named if len(named) == len(pairs) else {}


def _stripped(node: Any) -> Any:
    """Remove what decides nothing, in place: docstrings, imports for types alone, annotations, the version number.

    A class's fields keep their annotations, which dataclasses and models live by.
    """
    if isinstance(node, _FUNCTIONS):
        node.returns = None
        for argument in ast.walk(node.args):
            if isinstance(argument, ast.arg):
                argument.annotation = None
    for name, block in ast.iter_fields(node):
        if name in ("body", "orelse", "finalbody", "handlers", "cases") and isinstance(block, list):
            kept = [part if isinstance(node, ast.ClassDef) else _bare(part) for part in block if not _is_idle(part)]
            setattr(node, name, [_stripped(part) for part in kept])
    return node


def _is_idle(statement: ast.AST) -> bool:
    match statement:
        case ast.Expr(value=ast.Constant(value=str())) | ast.Assign(targets=[ast.Name(id="__version__" | "__all__")]):
            return True
        case ast.If(test=ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING")):
            return True
    return False


def _bare(statement: ast.AST) -> ast.AST:
    if not isinstance(statement, ast.AnnAssign):
        return statement
    return ast.Assign([statement.target], statement.value, lineno=0) if statement.value else ast.Pass()


def _imported(node: ast.Import | ast.ImportFrom, inside: str) -> Iterator[tuple[str, Chain]]:
    """Yield each name that an import binds and what it stands for; `import a.b` has "a.b" beside the "a" it binds."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield alias.asname or alias.name, ("", alias.name)
            if not alias.asname and "." in alias.name:
                yield alias.name.partition(".")[0], ("", alias.name.partition(".")[0])
    else:
        start = inside.split(".")[: len(inside.split(".")) - node.level + 1] if node.level else []
        base = ".".join(filter(None, [*start, node.module]))
        yield from ((alias.asname or alias.name, ("", base, alias.name)) for alias in node.names)


def _bound(nodes: Iterable[ast.AST], inside: str) -> Iterator[tuple[str, Chain | None]]:
    """Yield the names that code binds in its own scope, with what an import binds them to."""
    for node in nodes:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from _imported(node, inside)
        elif isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
            yield node.name, None
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            yield node.id, None
        elif not isinstance(node, (*_COMPREHENSIONS, ast.Lambda)):
            yield from _bound(ast.iter_child_nodes(node), inside)


class _Reader(ast.NodeVisitor):
    """A reader of the names that code does not bind itself."""

    def __init__(self, inside: str) -> None:
        self.inside = inside
        self.uses: set[tuple[Chain, bool]] = set()
        self.scopes: list[dict[str, Chain | None]] = []

    def read(self, node: ast.AST, keyed: bool = False) -> None:
        """Note the dotted name that an expression begins with, and read what else there is in it."""
        asked: list[str] = []
        while isinstance(node, ast.Attribute):
            asked.insert(0, node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            self.visit(node)
            return
        scope = next((scope for scope in reversed(self.scopes) if node.id in scope), {node.id: (node.id,)})
        if (chain := scope[node.id]) and (asked or not isinstance(node.ctx, ast.Store)):
            by_get = asked[-1:] == ["get"]
            self.uses.add(((*chain, *(asked[:-1] if by_get else asked)), keyed or by_get))

    def visit(self, node: ast.AST) -> None:
        match node:
            case ast.Raise():
                pass
            case ast.Name() | ast.Attribute():
                self.read(node)
            case ast.Constant(value=str() as text) if text.startswith(f"{PACKAGE}."):
                self.uses.add((("", text), False))  # what import_module is given
            case ast.Subscript():
                self.read(node.value, keyed=not isinstance(node.slice, (ast.JoinedStr, ast.BinOp)))
                self.visit(node.slice)
            case ast.Compare(ops=[ast.In() | ast.NotIn()], comparators=[mapping]):
                self.visit(node.left)
                self.read(mapping, keyed=True)
            case ast.Import() | ast.ImportFrom():
                self.uses.update((("", ".".join(chain[1:]), "*"), False) for _, chain in _imported(node, self.inside))
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
                outside = [*getattr(node, "decorator_list", []), *node.args.defaults, *node.args.kw_defaults]
                for part in filter(None, outside):
                    self.visit(part)
                body = node.body if isinstance(node.body, list) else [node.body]
                arguments = [(part.arg, None) for part in ast.iter_child_nodes(node.args) if isinstance(part, ast.arg)]
                shared = {name for part in body if isinstance(part, ast.Global) for name in part.names}
                bound = [(name, chain) for name, chain in _bound(body, self.inside) if name not in shared]
                self.read_scope(dict([*arguments, *bound]), body)
            case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                targets = [part.target for part in node.generators]
                self.read_scope(dict(_bound(targets, self.inside)), ast.iter_child_nodes(node))
            case _:
                self.generic_visit(node)

    def read_scope(self, bound: dict[str, Chain | None], parts: Iterable[ast.AST]) -> None:
        self.scopes.append(bound)
        for part in parts:
            self.visit(part)
        self.scopes.pop()


def definitions(notebook: Module, package: Path, texts: Iterable[str]) -> dict[str, str]:
    """Return name to digest of each definition below the folder `package` that a notebook reaches.

    texts: those among the run's parameters. Of a mapping that is read by key, the entries count whose key stands in
    them, in the notebook, or in code that is reached; all, where that names none. Digests of one name stand together.
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
        self.words = set(_WORD.findall("\n".join(texts)))
        self.keyed: list[tuple[str, dict[str, str]]] = []
        self.todo: list[tuple[str, Code]] = []
        self.seen: set[object] = set()

    def finish(self) -> dict[str, set[str]]:
        while self.todo:
            while self.todo:
                module, code = self.todo.pop()
                for chain, keyed in code.uses:
                    self.resolve(module, chain, keyed)
            for module, entries in self.keyed:
                named = [label for key, label in entries.items() if self.words.issuperset(_WORD.findall(key))]
                self.count(module, named)
            for module, entries in () if self.todo else self.keyed:
                if self.counted.keys().isdisjoint(entries.values()):
                    self.count(module, entries.values())  # none is named, so any may be the one
        return self.counted

    def count(self, module: str, labels: Iterable[str]) -> None:
        for label in labels:
            if (label, module) not in self.seen:
                self.seen.add((label, module))
                self.follow(module, self.modules[module].definitions[label], label)

    def follow(self, module: str, code: Code, label: str = "") -> None:
        if label:
            self.counted[label].add(hash_of(code.text)[:16])
        self.words |= code.words
        self.todo.append((module, code))

    def run(self, name: str, module: Module) -> None:
        """Take up a module that is imported, or the notebook: what its top level does, and what that imports."""
        self.modules[name] = module
        if module.effects:
            self.follow(name, module.effects, name and f"{name} (top level)")
        for chain in module.imports.values():
            self.enter(".".join(chain[1:]))

    def enter(self, name: str) -> None:
        """Run the modules at and above the dotted `name` that are the package's and not run yet."""
        parts, kept = name.split("."), tuple(f"{PACKAGE}.{room}." for room in BOOKKEEPING)
        for each in (".".join(parts[:end]) for end in range(1, len(parts) + 1)):
            if each in self.files and each not in self.modules and not f"{each}.".startswith(kept):
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
                self.ask(rest[0], rest[1:], keyed)
        elif root in module.entries and keyed and not rest:
            self.keyed.append((name, module.entries[root]))
        elif root in module.entries:
            self.count(name, module.entries[root].values())
        elif root in module.definitions:
            self.count(name, [root])
        elif root in module.imports:
            self.resolve(name, (*module.imports[root], *rest), keyed)

    def ask(self, name: str, rest: Chain, keyed: bool) -> None:
        """Count what is asked of the module `name`: all of it, where that cannot be told."""
        module, asked = self.modules[name], rest[0] if rest else ""
        if asked in module.definitions or asked in module.entries or asked in module.imports:
            self.resolve(name, rest, keyed)
        elif f"{name}.{asked}" in self.files:
            self.resolve(name, ("", f"{name}.{asked}", *rest[1:]), keyed)
        elif asked != "*" and not asked.startswith("__"):
            self.count(name, module.definitions)
