"""Columns of tables as sidecars declare them, and those that every experiment with gates has."""

from collections.abc import Mapping
from typing import Literal

from stylerepro.runs.declarations import Declaration


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
