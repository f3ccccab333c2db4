"""Declarations: YAML files read into pydantic models, and a slip in one told in a sentence that says what to do.

Columns of tables among them, as sidecars declare them, and those that every experiment with gates has.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, model_validator

from stylerepro.errors import ParameterError, StyleReproError, unknown

_adapter = lru_cache(TypeAdapter)
Values = Mapping[str, Any]  # of parameters, by their names


class Declaration(BaseModel):
    """A mapping of names and values in a YAML file; a name that nobody reads is refused, with the nearest that is.

    Validators of its subclasses raise `ValueError` with the end of a sentence that begins with the place: "has no …".
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    @model_validator(mode="before")
    @classmethod
    def _known(cls, content: Any) -> Any:
        if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
            raise ValueError(f"must have names and values, not {content!r}")
        for key in content:
            if key not in cls.model_fields:
                raise ValueError(unknown(key, list(cls.model_fields), "key", "").strip())
        return content


class Column(Declaration):
    """A declared column of a table; unit "1" for a pure number."""

    type: Literal["int", "float", "bool", "str"]
    unit: str = ""
    doc: str = ""
    nullable: bool = False

    @property
    def text(self) -> str:
        """The type in short, as run.json keeps it: "float", or "float?" where the column may have gaps."""
        return self.type + "?" * self.nullable

    @classmethod
    def parse(cls, text: str) -> "Column":
        """Return the column whose `text` this is."""
        return cls.model_validate({"type": text.rstrip("?"), "nullable": text.endswith("?")})


def _gap(doc: str) -> Column:
    return Column(type="float", unit="1", doc=doc, nullable=True)


# What the ledger's gates read of a base setting, by gate; `measures.judges` measures it. Gaps are rows not looked at.
GATE_COLUMNS: Mapping[str, Mapping[str, Column]] = {
    "style": {
        f"{what}_{judge}": _gap(doc.format(judge))
        for judge in ("predictor", "imagenet")
        for what, doc in {
            "gate": "score of the {} judge for the own style, less what 95 of 100 photographs stay below",
            "untouched": "the same of the content picture itself, by the {} judge",
            "attributed": "whether the {} judge finds no style of its gallery nearer, 1 or 0",
        }.items()
    },
    "content": {
        "gate_content": _gap("one less the content loss over that of flat grey"),
        "gate_structure": _gap("SSIM with the content picture, less what 95 of 100 unrelated pairs stay below"),
    },
    "settled": {"gate_settled": _gap("share of the loss's fall that fell in the last fifth of the evaluations")},
}


def validated(model: Any, content: Any, where: str, error: type[StyleReproError]) -> Any:
    """Return `content` as a `model`, a declaration or a union of some that a key tells apart.

    Raises `error` with the first of the slips in a sentence: where it is, what stands there, what should.
    """
    try:
        return _adapter(model).validate_python(content)
    except ValidationError as slips:
        first, *others = slips.errors(include_url=False)
    path, key = ".".join(map(str, first["loc"])), first["loc"][-1] if first["loc"] else ""
    if first["type"] == "missing":
        also = [str(slip["loc"][-1]) for slip in others if slip["type"] == "missing"]
        parent = path.removesuffix(str(key)).rstrip(".")
        raise error(f"{where}{parent and f', {parent}'} lacks {', '.join([str(key), *also])}.")
    if first["type"] == "value_error":
        raise error(f"{where}{path and f', {path}'} {str(first['ctx']['error']).rstrip('.')}.")
    if first["type"] == "union_tag_invalid":
        known = re.findall(r"'([^']+)'", first["ctx"]["expected_tags"])
        raise error(unknown(first["ctx"]["tag"], known, first["ctx"]["discriminator"].strip("'"), where))
    needed = re.sub(r"^[A-Z]\w+ should ", "it should ", first["msg"])
    if first["type"] == "string_type":
        needed = 'text is needed, in quotes where it looks like a number, as in "003"'
    raise error(f"{where}: {path} is {first['input']!r}; {needed}.")


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML's own loader lets a key that is there twice take its last value; a declaration must not."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        twice = next((key for key in keys if keys.count(key) > 1), None)
        if twice is not None:
            raise yaml.constructor.ConstructorError(None, None, f"the key {twice!r} is there twice", node.start_mark)
        return dict(super().construct_mapping(node, deep))

    def construct_decimal(self, node: yaml.ScalarNode) -> int:
        return int(node.value) if node.value.isdecimal() else self.construct_yaml_int(node)


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_decimal)  # to YAML 1.1 a seed 010 is an eight


def read_yaml(path: Path, where: str, error: type[StyleReproError]) -> Any:
    """Return the content of a YAML file; raise `error`, with `where` for the file, for one that is not YAML."""
    try:
        return yaml.load(path.read_text(encoding="utf-8"), _Loader)  # a SafeLoader
    except (yaml.YAMLError, UnicodeDecodeError) as slip:
        raise error(f"{where} is not the YAML it should be: {slip}") from slip


def sufficient(needs: Mapping[str, str], values: dict[str, Any], where: str) -> dict[str, Any]:
    """Return a run's parameters, which must meet the sidecar's needs: condition, in Python, to what to do otherwise.

    Without them it would fail, or compare with nothing, after hours. Raises `ParameterError`, beginning with `where`.
    """
    for condition, advice in needs.items():
        try:
            met = eval(condition, {"__builtins__": {"len": len, "max": max, "min": min, "set": set}, **values})
        except Exception as error:  # of any kind: it is Python
            raise ParameterError(f"{where}: the need {condition!r} cannot be judged: {error}.") from None
        if not met:
            stated = [f"{name} is {value!r}" for name, value in values.items() if re.search(rf"\b{name}\b", condition)]
            raise ParameterError(f"{where}: {advice} ({', '.join(stated)}).")
    return values
