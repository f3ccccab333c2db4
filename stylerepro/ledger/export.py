"""The ledger as files that other programs read: JSON, CSV, and schema.org's ClaimReview."""

import json
from collections.abc import Mapping
from typing import Any

import pandas as pd

from stylerepro.files import project_root, write_text
from stylerepro.ledger.claims import LEDGER, Document, Ledger
from stylerepro.ledger.rules import NOT_REPRODUCED, NOT_TESTED, REPRODUCED, TREND_ONLY
from stylerepro.ledger.summary import finite, plain, rows, with_floats

SCHEMA = "ledger.schema.json"  # beside it, kept by hand; a test holds the two together
_RATING = {NOT_REPRODUCED: 1, TREND_ONLY: 2, REPRODUCED: 3}


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
    }


def write(ledger: Ledger, table: pd.DataFrame) -> None:
    """Write the files of the ledger into the project."""
    for path, text in files(ledger, table).items():
        write_text(project_root() / path, text)


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
