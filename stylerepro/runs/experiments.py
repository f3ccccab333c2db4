"""Experiments: what a notebook and its sidecar file declare, checked when they are loaded.

An experiment is `notebooks/NAME.ipynb` with `notebooks/NAME.yaml`, and nothing else: the sidecar names the document and
its claims (document `own`: it declares its own), the columns of the tables, the profiles and the time to expect.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stylerepro.errors import ParameterError, RunError, unknown
from stylerepro.files import project_root
from stylerepro.runs.parameters import RESERVED, SCALARS, Parameter, convert, read_parameters

PROFILES = ("smoke", "laptop", "reference", "crosscheck", "paper")
# The reference run again on the second of the two loss networks that decide; its rows stand beside the reference's.
REFERENCE, CROSSCHECK = "reference", "crosscheck"
DEFAULT_PROFILE = "laptop"
CUSTOM = "custom"
OWN = "own"  # stands for a document where an ablation tests what none of them claims

_KEYS = ("title", "document", "claims", "expected", "columns", "history", "explore", "profiles")
_REQUIRED = ("title", "document", "claims", "columns", "profiles")
_COLUMN_KEYS = ("type", "unit", "doc", "nullable")
_EXPLORE_KEYS = ("table", "sliders", "choices", "shown")
# What `results.collect` puts in front of every table.
RUN_COLUMNS = ("experiment", "profile", "run")


@dataclass(frozen=True)
class Column:
    """A declared column of a table. type: str, int, float or bool; unit "1" for a pure number."""

    type: str
    unit: str = ""
    doc: str = ""
    nullable: bool = False

    @property
    def text(self) -> str:
        """The type in short, as run.json keeps it: "float", or "float?" where the column may have gaps."""
        return self.type + "?" * self.nullable

    @classmethod
    def parse(cls, text: str) -> "Column":
        """The inverse of `text`."""
        return cls(text.rstrip("?"), nullable=text.endswith("?"))


@dataclass(frozen=True)
class Profile:
    """A set of parameters, and the time to expect on the sidecar's hardware in words ("2 min"), where it is stated."""

    name: str
    parameters: Mapping[str, Any]
    expected: str | None = None


@dataclass(frozen=True)
class Explore:
    """How a reader looks through the run's gallery: by columns of `table`, "metrics" or "history".

    sliders: each with its values in order; choices: each a list to choose from; shown: the numbers beside the picture.
    """

    sliders: tuple[str, ...]
    shown: tuple[str, ...]
    choices: tuple[str, ...] = ()
    table: str = "metrics"


@dataclass(frozen=True)
class Experiment:
    """One notebook with what its sidecar declares.

    columns, history_columns: of metrics.csv and history.csv; no history columns, no history.
    explore: how the book shows its gallery; None for an experiment without one.
    own_claims: as they are declared, for the ledger to check; their ids stand in `claims`.
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


def names() -> list[str]:
    """The names of all experiments of the project, sorted."""
    return sorted(path.stem for path in (project_root() / "notebooks").glob("*.yaml"))


def discover() -> list[Experiment]:
    """All experiments of the project, by name. Raises as `load` does."""
    return [load(name) for name in names()]


def load(name: str) -> Experiment:
    """The experiment called `name`.

    Raises `RunError` for an unknown name and for a sidecar that is not as it should be, `ParameterError` for a
    notebook whose parameters cell is not.
    """
    sidecar = project_root() / "notebooks" / f"{name}.yaml"
    if not sidecar.is_file():
        raise RunError(unknown(name, names(), "experiment", "This project"))
    return _Sidecar(sidecar, read_parameters(sidecar.with_suffix(".ipynb"))).experiment()


def resolve_parameters(
    experiment: Experiment, profile: str, overrides: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """All parameters of a run but `out`: the cell's defaults, the profile's values, then `overrides`.

    Overrides may be text as typed on the command line. Raises `ParameterError` for an unknown profile or parameter,
    with the nearest name that exists, and for a value of the wrong type.
    """
    if profile not in experiment.profiles:
        raise ParameterError(unknown(profile, list(experiment.profiles), "profile", f"Experiment {experiment.name}"))
    values = {name: parameter.default for name, parameter in experiment.parameters.items()}
    return values | dict(experiment.profiles[profile].parameters) | _checked(experiment, overrides or {})


def check_parameters(experiment: Experiment, values: Mapping[str, Any]) -> dict[str, Any]:
    """`values` of exactly the declared parameters, each checked against its type; see `resolve_parameters`."""
    missing = [name for name in experiment.parameters if name not in values]
    if missing:
        raise ParameterError(
            f"Experiment {experiment.name}: no value for {', '.join(missing)}. Run the parameters cell first."
        )
    return _checked(experiment, {name: values[name] for name in experiment.parameters})


def _checked(experiment: Experiment, values: Mapping[str, Any]) -> dict[str, Any]:
    where, known = f"Experiment {experiment.name}", experiment.parameters
    for name in values:
        if name == "out":
            raise ParameterError(f"{where}: parameter 'out' is set by the command, which keeps runs in results/runs/.")
        if name not in known:
            raise ParameterError(unknown(name, list(known), "parameter", where))
    return {name: convert(known[name], value, where) for name, value in values.items()}


def profile_of(experiment: Experiment, parameters: Mapping[str, Any]) -> str:
    """The profile that has exactly these parameters (but the reserved ones), else "custom"."""
    wanted = identifying(parameters)
    same = (name for name in experiment.profiles if identifying(resolve_parameters(experiment, name)) == wanted)
    return next(same, CUSTOM)


def identifying(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that a run is identified by, in a portable form: an absolute path counts by its file name."""
    return {name: portable(value) for name, value in sorted(parameters.items()) if name not in RESERVED}


def portable(value: Any) -> Any:
    """`value` without the folders of this machine: absolute paths, in text or in lists, become file names."""
    if isinstance(value, Mapping):
        return {key: portable(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [portable(one) for one in value]
    if isinstance(value, str) and (Path(value).is_absolute() or value.startswith("~")):
        return Path(value).name
    return value


def texts(value: Any) -> Iterator[str]:
    """All text in a value, in lists and mappings too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (Mapping, list, tuple)):
        for one in value.values() if isinstance(value, Mapping) else value:
            yield from texts(one)


class _Sidecar:
    """One sidecar file on its way to an `Experiment`; every refusal names the file and the key."""

    def __init__(self, path: Path, parameters: Mapping[str, Parameter]) -> None:
        import yaml

        self.path, self.parameters = path, parameters
        try:
            self.content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise RunError(f"notebooks/{path.name} is not YAML: {error}") from error
        self.mapping(self.content, "its content", _KEYS)
        missing = [key for key in _REQUIRED if key not in self.content]
        if missing:
            raise self.refusal(f"lacks {', '.join(missing)}")

    def refusal(self, message: str) -> RunError:
        return RunError(f"notebooks/{self.path.name} {message}.")

    def mapping(self, content: Any, what: str, keys: tuple[str, ...] | None = None) -> dict[str, Any]:
        if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
            raise self.refusal(f"must have names and values as {what}, not {content!r}")
        for key in content:
            if keys is not None and key not in keys:
                raise RunError(unknown(key, list(keys), f"key (in {what})", f"notebooks/{self.path.name}"))
        return content

    def text(self, content: Any, what: str, pattern: str = r"(?s).+") -> str:
        if isinstance(content, str) and re.fullmatch(pattern, content):
            return content
        raise self.refusal(f'has {what} {content!r}; text is needed, ids in quotes as in "003" and "003.1"')

    def experiment(self) -> Experiment:
        expected = self.mapping(self.content.get("expected", {}), "expected", ("hardware", *PROFILES))
        document = self.text(self.content["document"], "the document", rf"\d{{3}}|methods|{OWN}")
        claims, own = self.claims(self.content["claims"], document)
        profiles = self.mapping(self.content["profiles"], "profiles", PROFILES)
        columns = self.columns(self.content["columns"], "columns")
        history = self.columns(self.content.get("history") or {}, "history")
        return Experiment(
            name=self.path.stem,
            title=self.text(self.content["title"], "the title"),
            document=document,
            claims=claims,
            own_claims=own,
            notebook=self.path.with_suffix(".ipynb"),
            columns=columns,
            history_columns=history,
            profiles={
                name: Profile(name, self.profile(name, values), expected.get(name) and str(expected[name]))
                for name, values in profiles.items()
            },
            parameters=self.parameters,
            hardware=str(expected.get("hardware", "")),
            explore=self.explore(self.content["explore"], columns, history) if "explore" in self.content else None,
        )

    def claims(self, content: Any, document: str) -> tuple[tuple[str, ...], tuple[Mapping[str, Any], ...]]:
        if not isinstance(content, list):
            raise self.refusal(f"must have a list as claims, not {content!r}")
        if document != OWN:
            return tuple(self.text(claim, "the claim", r"\d{3}\.\d+") for claim in content), ()
        own = tuple(self.mapping(claim, "a claim of its own") for claim in content)
        return tuple(f"{self.path.stem}.{place + 1}" for place in range(len(own))), own

    def explore(self, content: Any, *tables: Mapping[str, Column]) -> Explore:
        given = dict(self.mapping(content, "explore", _EXPLORE_KEYS))
        table = given.pop("table", "metrics")
        if table not in ("metrics", "history"):
            raise self.refusal(f"has {table!r} as explore.table; write metrics or history")
        columns = list(tables[table == "history"])
        for key, names in given.items():
            if not isinstance(names, list) or not names:
                raise self.refusal(f"must have a list of columns as explore.{key}, not {names!r}")
            for name in names:
                if name not in columns:
                    raise RunError(unknown(str(name), columns, f"column (in explore.{key})", self.path.name))
        if {"sliders", "shown"} - set(given):
            raise self.refusal("must name columns as explore.sliders and as explore.shown")
        return Explore(table=table, **{key: tuple(names) for key, names in given.items()})

    def columns(self, content: Any, what: str) -> dict[str, Column]:
        found = {}
        for name, given in self.mapping(content, what).items():
            spec = self.mapping(given, f"{what}.{name}", _COLUMN_KEYS)
            if name in RUN_COLUMNS:
                raise self.refusal(f"declares a column {name!r}; {', '.join(RUN_COLUMNS)} are added when collecting")
            if spec.get("type") not in SCALARS:
                raise self.refusal(
                    f"gives column {name!r} of {what} the type {spec.get('type')!r}; it must be one of "
                    f"{', '.join(SCALARS)}"
                )
            if not isinstance(spec.get("nullable", False), bool):
                raise self.refusal(f"gives column {name!r} nullable {spec['nullable']!r}; write true or false")
            unit, doc = str(spec.get("unit", "")), str(spec.get("doc", ""))
            found[name] = Column(spec["type"], unit, doc, spec.get("nullable", False))
        return found

    def profile(self, profile: str, content: Any) -> dict[str, Any]:
        values = self.mapping({} if content is None else content, f"profiles.{profile}")
        where = f"notebooks/{self.path.name}, profile {profile}"
        for name in values:
            if name in RESERVED:
                raise self.refusal(f"sets {name!r} in profile {profile}; it belongs to no profile")
            if name not in self.parameters:
                raise ParameterError(unknown(name, list(self.parameters), "parameter", where))
        return {name: convert(self.parameters[name], value, where) for name, value in values.items()}
