"""Generated pieces of the documents' chapters: who wrote a document, what became of its claims, its notebooks."""

from collections import Counter
from collections.abc import Mapping, Sequence

from stylerepro.book.ledger_page import Row
from stylerepro.book.text import claim_link, pipe_table
from stylerepro.ledger.claims import Document, Ledger
from stylerepro.ledger.rules import VERDICTS
from stylerepro.runs.experiments import Experiment


def overview(documents: Mapping[str, Document], rows: Sequence[Row]) -> str:
    """The documents as a table: a link to each chapter, and how many of its claims have which verdict."""
    lines = [["document", *VERDICTS]]
    for id, one in documents.items():
        found = Counter(row["verdict"] for row in rows if row["document"] == id)
        lines.append([f"[{id}: {one.title}](documents/{id}.md)", *(str(found[verdict]) for verdict in VERDICTS)])
    return pipe_table(lines)


def findings(ledger: Ledger, rows: Sequence[Row], up: str) -> str:
    """What surprises most in each document that `rows` has claims of, as a list; up: from the page to the book's root.

    A finding whose claim has another verdict here than the one that it was written for is left out.
    """
    by_id = {row["id"]: row for row in rows}
    lines = []
    for one in ledger.findings.values():
        if one.claim in by_id and by_id[one.claim]["verdict"] == one.written_for:
            lines.append(f"- {claim_link(one.claim, up)} *{one.written_for}*: {one.filled(by_id[one.claim])}")
    return "\n".join(lines)


def citation(documents: Mapping[str, Document], id: str) -> str:
    """Title, authors, place and year as the document prints them; "" for a document that the ledger does not have."""
    if id not in documents:
        return ""
    one = documents[id]
    authors = ", ".join(one.authors) or "No authors given"
    told = [f"*{one.title}*", authors, one.institution or "", str(one.year) if one.year else "No date given"]
    return ". ".join(part for part in told if part) + "."


def notebooks(entries: Sequence[Experiment]) -> str:
    """The experiments of a document, each with its claims, as links to their pages."""
    lines = []
    for one in entries:
        claims = f": {', '.join(one.claims)}" if one.claims else ""
        lines.append(f"- [{one.title}](../notebooks/{one.name}.ipynb){claims}")
    return "\n".join(lines) or "There is no notebook for this document yet."


def interface(groups: Sequence[tuple[str, str, tuple[str, ...]]]) -> str:
    """The pages of the API as a list of links."""
    return "\n".join(
        f"- [{title}](api/{name}.md): {', '.join(f'`{one}`' for one in modules)}" for name, title, modules in groups
    )
