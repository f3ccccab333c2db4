"""Experiments: what a notebook and its sidecar file declare, read and checked in one pass.

An experiment is `notebooks/NAME.ipynb` with `notebooks/NAME.yaml`, and nothing else: the sidecar names the document and
its claims (document `own`: it declares its own), the columns of the tables, the profiles and the time to expect. The
cell tagged `parameters` is read with `ast` rather than `papermill.inspect_notebook`: importing papermill takes seconds,
which every `stylerepro run` with nothing to do would pay, and its reader drops a parameter whose comment holds "=".
"""

import ast
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, model_validator

from stylerepro.errors import ParameterError, RunError, unknown
from stylerepro.files import project_root
from stylerepro.runs.declarations import GATE_COLUMNS, Column, Declaration, Values, read_yaml, sufficient, validated
from stylerepro.runs.scrub import portable

PROFILES = ("smoke", "laptop", "reference", "crosscheck", "paper")
# The reference run again on the second of the two loss networks that decide; its rows stand beside the reference's.
REFERENCE, CROSSCHECK = "reference", "crosscheck"
DEFAULT_PROFILE = "laptop"
CUSTOM = "custom"
OWN = "own"  # stands for a document where an ablation tests what none of them claims
METHODS = "methods"  # stands for a document where a notebook tests the suite's own means and judges no claim
# What `results.collect` puts in front of every table.
RUN_COLUMNS = ("experiment", "profile", "run")
SCALARS = ("int", "float", "bool", "str")
# Where a run writes and whether it shows a bar change no number: they are no part of what a run is identified by.
RESERVED = ("out", "progress")

_WORDS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


class Explore(Declaration):
    """A reader's way through the run's gallery: by columns of `table`, "metrics" or "history".

    sliders: each with its values in order; choices: each a list to choose from; shown: the numbers beside the picture.
    """

    sliders: list[str] = Field(min_length=1)
    shown: list[str] = Field(min_length=1)
    choices: list[str] = Field(default_factory=list)
    table: Literal["metrics", "history"] = "metrics"


class _Sidecar(Declaration):
    """A sidecar file, as it is written."""

    title: str = Field(min_length=1)
    document: str
    claims: list[Any]
    columns: dict[str, Column]
    profiles: dict[str, dict[str, Any] | None]
    expected: dict[str, str] = Field(default_factory=dict)
    history: dict[str, Column] = Field(default_factory=dict)
    explore: Explore | None = None
    needs: dict[str, str] = Field(default_factory=dict)
    gates: list[Literal["style", "content", "settled"]] = Field(default_factory=list)
    lead: str = Field(default="", pattern=r"^(\w+ \S.*)?$")

    @model_validator(mode="after")
    def _agrees(self) -> "_Sidecar":
        wanted = dict if self.document == OWN else str
        if slips := [claim for claim in self.claims if not isinstance(claim, wanted)]:
            needed = "names and values are needed" if wanted is dict else 'ids in quotes are needed, as in "003.1"'
            raise ValueError(f"has {slips[0]!r} among its claims, where {needed}")
        for profile in self.profiles.keys() | self.expected.keys() - {"hardware"}:
            if profile not in PROFILES:
                raise ValueError(unknown(profile, list(PROFILES), "profile", "").strip())
        if taken := [name for name in RUN_COLUMNS if name in self.columns or name in self.history]:
            raise ValueError(f"declares a column {taken[0]!r}; {', '.join(RUN_COLUMNS)} are added when collecting")
        if self.explore:
            known = list(self.history if self.explore.table == "history" else self.columns)
            for name in (*self.explore.sliders, *self.explore.choices, *self.explore.shown):
                if name not in known:
                    raise ValueError(unknown(name, known, "column (for explore)", "").strip())
        return self


@dataclass(frozen=True)
class Parameter:
    """A parameter of a notebook; `type` as annotated: int, float, bool, str, list[T], dict[str, T], or one `| None`."""

    name: str
    type: str
    default: Any


@dataclass(frozen=True)
class Profile:
    """All parameters of a run but `out`; the time to expect on the sidecar's hardware in words, where it is stated."""

    name: str
    parameters: Values
    expected: str | None = None


@dataclass(frozen=True)
class Experiment:
    """A notebook with what its sidecar declares.

    columns, history_columns: of metrics.csv and history.csv; no history columns, no history.
    explore: how the book shows its gallery; None for an experiment without one.
    own_claims: as they are declared, for the ledger to check; their ids stand in `claims`.
    needs: conditions on the parameters, each with what to do where it does not hold.
    lead: the figure that a page opens with, by name, and its caption.
    parameters: those of the notebook's tagged cell, without `out`.
    """

    name: str
    title: str
    document: str
    claims: tuple[str, ...]
    notebook: Path
    columns: Mapping[str, Column]
    history_columns: Mapping[str, Column]
    profiles: Mapping[str, Profile]
    parameters: Mapping[str, Parameter]
    hardware: str = ""
    explore: Explore | None = None
    own_claims: tuple[Mapping[str, Any], ...] = ()
    needs: Mapping[str, str] = field(default_factory=dict)
    lead: str = ""


def names() -> list[str]:
    """Return the names of all experiments of the project, sorted."""
    return sorted(path.stem for path in (project_root() / "notebooks").glob("*.yaml"))


def discover(named: Sequence[str] = ()) -> list[Experiment]:
    """Return the named experiments, each once, or all of the project, by name. Raises as `load` does."""
    return [load(name) for name in dict.fromkeys(named) or names()]


def load(name: str, folder: Path | None = None) -> Experiment:
    """Return the experiment called `name`, with all parameters of each profile. folder: None is notebooks/.

    Raises `RunError` for an unknown name and for a sidecar that is not as it should be, `ParameterError` for a
    notebook whose parameters cell is not, and for a profile that sets what the cell does not have.
    """
    path = (folder or project_root() / "notebooks") / f"{name}.yaml"
    if not path.is_file():
        raise RunError(unknown(name, names(), "experiment", "This project"))
    where = f"notebooks/{path.name}"
    sidecar = validated(_Sidecar, read_yaml(path, where, RunError), where, RunError)
    parameters = read_parameters(path.with_suffix(".ipynb"))
    defaults = {parameter.name: parameter.default for parameter in parameters.values()}
    profiles = {}
    for profile, values in sidecar.profiles.items():
        own = checked(values or {}, parameters, f"{where}, profile {profile}", RESERVED)
        chosen = sufficient(sidecar.needs, defaults | own, f"{where}, profile {profile}")
        profiles[profile] = Profile(profile, chosen, sidecar.expected.get(profile))
    own_claims = tuple(sidecar.claims) if sidecar.document == OWN else ()
    return Experiment(
        name=name,
        **sidecar.model_dump(include={"title", "document", "needs", "lead"}),
        claims=tuple(f"{name}.{place + 1}" for place in range(len(own_claims))) or tuple(sidecar.claims),
        notebook=path.with_suffix(".ipynb"),
        columns=sidecar.columns | {name: one for gate in sidecar.gates for name, one in GATE_COLUMNS[gate].items()},
        history_columns=sidecar.history,
        profiles=profiles,
        parameters=parameters,
        hardware=sidecar.expected.get("hardware", ""),
        explore=sidecar.explore,
        own_claims=own_claims,
    )


def resolve_parameters(experiment: Experiment, profile: str, overrides: Values | None = None) -> dict[str, Any]:
    """Return all parameters of a run but `out`: the cell's defaults, the profile's values, then `overrides`.

    Overrides may be text as typed on the command line. Raises `ParameterError` for an unknown profile or parameter,
    with the nearest name that exists, for a value of the wrong type, and for values that the sidecar's `needs` exclude.
    """
    where = f"Experiment {experiment.name}"
    if profile not in experiment.profiles:
        raise ParameterError(unknown(profile, list(experiment.profiles), "profile", where))
    own = checked(overrides or {}, experiment.parameters, where, ("out",))
    return sufficient(experiment.needs, {**experiment.profiles[profile].parameters, **own}, where)


def check_parameters(experiment: Experiment, values: Values) -> dict[str, Any]:
    """Return the declared parameters out of `values`, each checked against its type; see `resolve_parameters`."""
    where = f"Experiment {experiment.name}"
    if missing := [name for name in experiment.parameters if name not in values]:
        raise ParameterError(f"{where}: no value for {', '.join(missing)}. Run the parameters cell first.")
    own = checked({name: values[name] for name in experiment.parameters}, experiment.parameters, where)
    return sufficient(experiment.needs, own, where)


def checked(
    values: Values, known: Mapping[str, Parameter], where: str, reserved: tuple[str, ...] = (), what: str = "parameter"
) -> dict[str, Any]:
    """Return values in the types of the known parameters. what: these are called. Raises as `resolve_parameters`."""
    for name in values:
        if name in reserved:
            raise ParameterError(f"{where}: {name!r} is set by the command alone, which keeps runs in results/runs/.")
        if name not in known:
            raise ParameterError(unknown(name, list(known), what, where))
    return {name: convert(known[name], value, where) for name, value in values.items()}


def profile_of(experiment: Experiment, parameters: Values) -> str:
    """Return the profile that has exactly these parameters (but the reserved ones), else "custom"."""
    wanted = identifying(parameters)
    same = (name for name, profile in experiment.profiles.items() if identifying(profile.parameters) == wanted)
    return next(same, CUSTOM)


def identifying(parameters: Values) -> dict[str, Any]:
    """Return the parameters that identify a run, in a portable form: a file counts by its name and its bytes."""
    return {name: portable(value) for name, value in sorted(parameters.items()) if name not in RESERVED}


def code_cells(notebook: Path) -> list[tuple[str, list[str]]]:
    """Return source and tags of each code cell of a notebook, in order; `ParameterError` for a file that is none."""
    try:
        content = json.loads(notebook.read_text(encoding="utf-8"))
        cells = [cell for cell in content["cells"] if cell["cell_type"] == "code"]
        return [("".join(cell["source"]), list(cell.get("metadata", {}).get("tags", []))) for cell in cells]
    except FileNotFoundError:
        raise ParameterError(f"There is no notebook {notebook.name} beside its sidecar file.") from None
    except (ValueError, KeyError, TypeError) as error:
        cure = "Open it in JupyterLab and save it again."
        raise ParameterError(f"{notebook.name} is not a readable notebook ({error}). {cure}") from error


def read_parameters(notebook: Path) -> dict[str, Parameter]:
    """Return the parameters of a notebook's cell tagged `parameters`, without `out`.

    Raises `ParameterError` for a missing or second tagged cell, a parameter without type or with one that is not
    understood, and a default that is not a plain value of that type.
    """
    tagged = [source for source, tags in code_cells(notebook) if "parameters" in tags]
    if len(tagged) != 1:
        needed = "exactly one is needed, with typed parameters such as `size: int = 256  # pixels`"
        raise ParameterError(f"{notebook.name} has {len(tagged)} cells tagged 'parameters'; {needed}.")
    try:
        tree = ast.parse(tagged[0])
    except SyntaxError as error:
        raise ParameterError(f"{notebook.name}: the parameters cell is not Python ({error}).") from error
    parameters = [_parameter(statement, notebook.name) for statement in tree.body if is_parameter(statement)]
    return {parameter.name: parameter for parameter in parameters if parameter.name != "out"}


def is_parameter(statement: ast.stmt) -> bool:
    """Return whether a statement of the parameters cell gives a parameter its default."""
    if isinstance(statement, ast.AnnAssign):
        return isinstance(statement.target, ast.Name) and statement.value is not None
    return isinstance(statement, ast.Assign) and all(isinstance(target, ast.Name) for target in statement.targets)


def _parameter(statement: ast.stmt, where: str) -> Parameter:
    match statement:
        case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation, value=ast.expr() as value):
            kind = ast.unparse(annotation).strip("'\"")
        case _:
            written = ast.unparse(statement)
            raise ParameterError(f"{where}: parameter `{written}` has no type; write `name: int = 3`, for example.")
    try:
        default = ast.literal_eval(value)
    except ValueError:
        wrong = f"the default of {name!r} is `{ast.unparse(value)}`"
        raise ParameterError(f"{where}: {wrong}; it must be a plain value, such as 1000 or [0.0, 10.0].") from None
    return Parameter(name, kind, convert(Parameter(name, kind, default), default, f"{where}, default"))


def convert(parameter: Parameter, value: Any, where: str) -> Any:
    """Return `value` as the parameter's type; text is read as a person types it (`0,10,100`, `true`, `[a, b]`).

    An int is taken for a float, and a whole float, 1e3, for an int; no more. `ParameterError` begins with `where`.
    """
    try:
        return _typed(ast.parse(parameter.type, mode="eval").body, value)
    except NotImplementedError as error:
        known = f"{', '.join(SCALARS)}, list[...], dict[str, ...] or ... | None"
        raise ParameterError(f"{where}: {parameter.name!r} has type {error}, which is not one of {known}.") from None
    except (ValueError, TypeError, SyntaxError) as error:
        reason = f" ({error})" if isinstance(error, _ReasonError) else ""
        raise ParameterError(f"{where}: {parameter.name!r} takes {parameter.type}, not {value!r}{reason}.") from None


class _ReasonError(ValueError):
    pass


def _typed(annotation: ast.expr, value: Any) -> Any:
    match annotation:
        case ast.BinOp(left=inner, op=ast.BitOr(), right=ast.Constant(value=None)):
            empty = value is None or (isinstance(value, str) and value.lower() in ("none", "null"))
            return None if empty else _typed(inner, value)
        case ast.Subscript(value=ast.Name(id="list"), slice=inner):
            if isinstance(value, str):
                in_brackets = value.strip().startswith("[")
                value = flow(value) if in_brackets else [item.strip() for item in value.split(",") if item]
            if not isinstance(value, (list, tuple)):
                raise TypeError
            return [_typed(inner, item) for item in value]
        case ast.Subscript(value=ast.Name(id="dict"), slice=ast.Tuple(elts=[ast.Name(id="str"), inner])):
            value = flow(value) if isinstance(value, str) else value
            if not isinstance(value, Mapping):
                raise TypeError
            return {str(key): _typed(inner, item) for key, item in value.items()}
        case ast.Name(id=kind) if kind in SCALARS:
            return _scalar(kind, value)
    raise NotImplementedError(ast.unparse(annotation))


def flow(text: str) -> Any:
    """Return lists and mappings written in brackets, their ends as text: to YAML itself 010 is an eight.

    Raises `ValueError` for what is not YAML.
    """
    try:
        return yaml.load(text, yaml.BaseLoader)  # which makes text alone
    except yaml.YAMLError:
        raise _ReasonError("brackets or commas are not as YAML wants them") from None


def _scalar(kind: str, value: Any) -> Any:
    if kind == "str":
        if not isinstance(value, str):
            raise _ReasonError("put it in quotes")
        return value
    if kind == "bool":
        value = _WORDS.get(value.lower()) if isinstance(value, str) else value
        if not isinstance(value, bool):
            raise _ReasonError("write true or false")
        return value
    if isinstance(value, bool):
        raise TypeError
    if kind == "int" and isinstance(value, (int, str)) and re.fullmatch(r"\s*[-+]?[\d_]+\s*", str(value)):
        return int(value)
    number = float(value)
    if kind == "float" and not math.isfinite(number):
        raise _ReasonError("it must be a finite number")
    if kind == "int" and not number.is_integer():
        raise _ReasonError("it must be a whole number")
    return int(number) if kind == "int" else number
