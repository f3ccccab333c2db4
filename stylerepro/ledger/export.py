"""The ledger as files that other programs read: JSON with its schema, CSV, and schema.org's ClaimReview."""

import json
from collections.abc import Mapping
from typing import Any

import pandas as pd

from stylerepro.files import project_root, write_text
from stylerepro.ledger.claims import LEDGER, Document, Ledger
from stylerepro.ledger.rules import NOT_REPRODUCED, NOT_TESTED, REPRODUCED, TREND_ONLY, VERDICTS
from stylerepro.ledger.summary import finite, plain, rows, with_floats

SCHEMA = "ledger.schema.json"
_RATING = {NOT_REPRODUCED: 1, TREND_ONLY: 2, REPRODUCED: 3}
_LISTS = ("settings", "readings", "parts", "runs")
_TEXTS = (
    *("id", "document", "quote", "place", "statement", "measured", "reason", "beside", "experiment", "measure", "kind"),
    *("design", "setting", "robust", "tolerance", "why", "notes", "rule_changed", "profile"),
)
_NUMBERS = ("value", "low", "high", "effect", "detectable")


def files(ledger: Ledger, table: pd.DataFrame) -> dict[str, str]:
    """Return the files of the ledger by path in the project. table: of `summary.judged`."""
    folder = LEDGER.rpartition("/")[0]
    claims = []
    for claim, row in zip(ledger, rows(table), strict=True):
        decides = {"rule": claim.rule, "least": claim.least, "gates": claim.gates, "read_as": list(claim.settings)}
        claims.append({**row, "notes": claim.notes, **decides})
    listed = [one.model_dump(include={"id", "title", "authors", "year", "link"}) for one in ledger.documents.values()]
    content = _rounded(finite({"$schema": SCHEMA, "documents": listed, "claims": claims}))
    return {
        LEDGER: json.dumps(content, indent=1, ensure_ascii=False) + "\n",
        f"{folder}/ledger.csv": plain(table.map(_rounded)).to_csv(index=False, lineterminator="\n"),
        f"{folder}/{SCHEMA}": json.dumps(schema(), indent=1) + "\n",
    }


def write(ledger: Ledger, table: pd.DataFrame) -> None:
    """Write the files of the ledger into the project."""
    for path, text in files(ledger, table).items():
        write_text(project_root() / path, text)


def schema() -> dict[str, Any]:
    """Return the JSON Schema of the ledger's JSON file."""
    number, text = {"type": ["number", "string", "null"]}, {"type": "string"}
    certificate = {
        "type": ["object", "null"],
        "required": ["rule", "points", "commit", "time", "start", "hours"],
        "properties": {"rule": text, "points": {"type": "object"}, "hours": {"type": ["number", "null"]}},
    }
    claim = {
        **dict.fromkeys(_TEXTS, text),
        **dict.fromkeys(_NUMBERS, number),
        **{name: {"type": "array", "items": {"type": "object"}} for name in (*_LISTS, "read_as")},
        **{name: {"type": "object"} for name in ("networks", "rule", "least", "gates")},
        "number": {"type": ["number", "array", "null"]},
        "unit": {"type": ["string", "null"]},
        "n": {"type": ["integer", "null"]},
        "verdict": {"enum": list(VERDICTS)},
        "sort": {"enum": ["arithmetic", "cost", "picture"]},
        **{name: {"type": "boolean"} for name in ("fragile", "covers")},
        "certificate": certificate,
    }
    document = {"id": text, "title": text, "authors": {"type": "array", "items": text}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Claims of five documents on image style transfer, with their verdicts",
        "type": "object",
        "required": ["documents", "claims"],
        "properties": {
            "documents": {"type": "array", "items": _object(document)},
            "claims": {"type": "array", "items": _object(claim)},
        },
    }


def claim_review(row: Mapping[str, Any], document: Document | None, address: str) -> dict[str, Any]:
    """Return a claim's verdict as schema.org's ClaimReview (JSON-LD). address: of the claim's place in the book.

    A claim that is not tested has no rating.
    """
    appearance: dict[str, Any] = {"@type": "CreativeWork"}
    if document is not None:
        appearance |= {"name": document.title, "author": [{"@type": "Person", "name": who} for who in document.authors]}
        appearance |= {"url": document.link} if document.link else {}
    review: dict[str, Any] = {
        "@context": "https://schema.org",
        "@type": "ClaimReview",
        "url": address,
        "claimReviewed": " ".join(str(row["quote"]).split()),
        "itemReviewed": {"@type": "Claim", "appearance": appearance},
        "author": {"@type": "Organization", "name": "stylerepro"},
        "reviewBody": f"{row['verdict']}: {row['reason']}",
    }
    if row["verdict"] != NOT_TESTED:
        rating = {"@type": "Rating", "ratingValue": _RATING[row["verdict"]], "worstRating": 1, "bestRating": 3}
        review["reviewRating"] = rating | {"alternateName": row["verdict"]}
    return review


def _rounded(cell: Any) -> Any:
    """Return a cell with numbers of six digits: the last ones of a float go by the processor."""
    return with_floats(cell, lambda number: float(f"{number:.6g}"))


def _object(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": sorted(properties), "properties": properties}
