"""The documents and their claims in the book: chapters, the ledger's table, its CSV, and a card for each claim."""

import html
import json
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import pandas as pd
import yaml

from stylerepro.book.pages import in_order, place, readme_table, wall
from stylerepro.book.text import anchor, badge, claim_link, count, evidence, figures, fold, one_line, pipe_table, small
from stylerepro.errors import ClaimError
from stylerepro.files import project_root, write_text
from stylerepro.ledger import export, summary
from stylerepro.ledger.claims import Document, Ledger, late, span
from stylerepro.ledger.rules import NOT_REPRODUCED, NOT_TESTED, REPRODUCED, TREND_ONLY, VERDICTS, stated_text
from stylerepro.runs.experiments import OWN, Experiment, discover
from stylerepro.runs.record import RECORD

Row = Mapping[str, Any]  # one claim as `summary.rows` gives it, by column name
CSV = "ledger.csv"
# Of the ledger's table, heading to width.
_COLUMNS = {
    "Claim": 19, "Verdict": 14, "Stated": 9, "Measured": 11, "Reference": 11, "Interval": 10, "Effect": 9,
    "n / runs": 8, "Networks": 11, "Notebook": 11,
}  # fmt: skip
_NONE = "The ledger has no claim for this page."
_ANSWERS = {REPRODUCED: "Holds", TREND_ONLY: "Holds in part", NOT_REPRODUCED: "Does not hold", NOT_TESTED: "Not tested"}
_ESCAPED = r"\\\1"  # signs that BibTeX reads as markup
# How the reason of an untested claim begins, to what is counted with it; the first that fits.
_UNTESTED = {
    r"^no style transfer to judge .*two thirds are asked": "rest on pictures that lack style or content",
    r"^no style transfer to judge|run it again": "wait for a run that asks the judges of style",
    r"^too few": "rest on too few pictures or networks",
    "": "lack the run that decides",
}
_GROUND = {
    "smoke": "From runs of profile `smoke`, which only show that everything works: these verdicts mean nothing.",
    "laptop": "From own runs of profile `laptop`, on a fixed subset of the pictures, and where there is none from the "
    "committed runs of `reference`.",
    "reference": "From the committed runs of profile `reference`, on all pictures, and their `crosscheck`.",
    "crosscheck": "From runs of profile `crosscheck`: the reference's, at other sizes or on a stand-in network.",
    "paper": "From runs of profile `paper`, on the documents' own pictures and networks, where there are any.",
    "custom": "From the committed runs, as in the book of these: runs with values of one's own decide nothing.",
}


def standing(rows: Sequence[Row], profile: str) -> str:
    """Return how many claims of the documents have which verdict, and of the suite's own ablations, from what runs."""
    own = [row for row in rows if row["document"] == OWN]
    judged = [row for row in rows if row["document"] != OWN]
    sorts = Counter(row["sort"] for row in judged)
    each = [f"- {sort} ({sorts[sort]}): {_counts([row for row in judged if row['sort'] == sort])}" for sort in sorts]
    told = [_counts(judged), "\n".join(each)]
    told += [f"Beside them, of the suite's own ablations: {_counts(own)}"] if own else []
    return "\n\n".join([*told, _GROUND[profile]])


def trust(rows: Sequence[Row]) -> str:
    """Return how far to trust the verdicts: why there are no more, on which networks, and whether rules came first."""
    rows = [row for row in rows if row["document"] != OWN]
    judged = [row for row in rows if row["verdict"] != NOT_TESTED]
    signs = (next(sign for sign in _UNTESTED if re.search(sign, row["reason"])) for row in rows if row not in judged)
    others = "; ".join(f"{number} {_UNTESTED[sign]}" for sign, number in Counter(signs).most_common())
    networks = Counter(network for row in judged for network in row["networks"] or ["no loss network"]).most_common()
    younger = [row["id"] for row in judged if late(row.get("certificate")) or row.get("rule_changed")]
    after = ", ".join(map(claim_link, younger))
    told = [
        f"**{len(judged)} of {len(rows)} claims are judged.**" + f" Of the others, {others}." * bool(others),
        f"**Loss networks** behind these: {', '.join(f'{name} ({number})' for name, number in networks) or 'none'}.",
        "**Rules came first**" + (f", but for {after}: such a claim is *{TREND_ONLY}* at best." if after else "."),
    ]
    return "\n".join(f"- {line}" for line in told)


def overview(documents: Mapping[str, Document], rows: Sequence[Row], pictures: Mapping[str, tuple[str, str]]) -> str:
    """Return the documents side by side: a picture and its words, what each proposes, its claims in their colours."""
    tiles = []
    for id, document in documents.items():
        chips = []
        for row in (row for row in rows if row["document"] == id):
            said = f"{row['verdict']}: {one_line(row['statement'])}".replace('"', "'")  # for who does not see colours
            colour = f"{{.verdict .verdict-{row['verdict'].replace(' ', '-')}}}"
            chips.append(f'{claim_link(row["id"])[:-1]} "{said}"){colour}')
        told = one_line(document.about), " ".join(chips)
        tiles.append((f"documents/{id}.md", f"{id}: {document.title}", *pictures.get(id, ("", "")), *told))
    return wall(tiles)


def findings(ledger: Ledger, rows: Sequence[Row], up: str) -> str:
    """Return what is surest in each document that `rows` has claims of; up: from the page to the book's root."""
    by_id = {row["id"]: row for row in rows}
    return "\n".join(
        f"- {claim_link(finding.claim, up)} *{finding.written_for}*: {finding.filled(by_id[finding.claim])}"
        for finding in summary.findings(ledger, rows)
    )


def citation(documents: Mapping[str, Document], id: str) -> str:
    """Return title, authors, place and year as the document prints them; "" for one that the ledger does not have."""
    if id not in documents:
        return ""
    document = documents[id]
    authors = ", ".join(document.authors) or "No authors given"
    year = str(document.year) if document.year else "No date given"
    told = ". ".join(part for part in (f"*{document.title}*", authors, document.institution, year) if part)
    return f"{told}. {{cite:p}}`doc{id}`"


def notebooks(entries: Sequence[Experiment]) -> str:
    """Return the experiments of a document, each with its claims, as links to their pages."""
    lines = [
        f"- [{entry.title}](../notebooks/{entry.name}.ipynb)" + (f": {', '.join(entry.claims)}" if entry.claims else "")
        for entry in entries
    ]
    return "\n".join(lines) or "There is no notebook for this document yet."


def chapter(document: Document) -> str:
    """Return the chapter of a document that has none written by hand in `book/documents/`, with its placeholders."""
    silences = [(silence.silence, silence.parameter, silence.readings) for silence in document.silences]
    slips = "\n".join(f"{number}. {one_line(slip)}" for number, slip in enumerate(document.slips, start=1))
    parts = {
        "The answer": f"{{{{ answer {document.id} }}}}\n\n{{{{ finding {document.id} }}}}",
        "The method": document.method.strip(),
        "What it leaves open": pipe_table([("silence", "parameter", "readings"), *silences]) if silences else "",
        "Slips": slips,
        "Its claims": f"{{{{ claims {document.id} }}}}",
        "Its notebooks": f"{{{{ notebooks {document.id} }}}}",
    }
    about = [f"# {document.id}: {document.title}", f"{{{{ citation {document.id} }}}}", one_line(document.about)]
    about += [f"**The question.** {one_line(document.question)}"] if document.question else []
    return "\n\n".join([*about, *(f"## {heading}\n\n{text}" for heading, text in parts.items() if text)]) + "\n"


def bibliography(documents: Mapping[str, Document]) -> str:
    """Return the documents as BibTeX, with the keys doc000, doc001, …"""
    entries = []
    for id, document in documents.items():
        authors = document.citation.get("authors") or [{"name": name} for name in document.authors]
        names = (one.get("name") or f"{one['family-names']}}}, {{{one['given-names']}" for one in authors)
        fields = {
            "author": " and ".join(f"{{{name}}}" for name in names),
            "title": f"{{{document.title}}}",
            "howpublished": document.institution,
            "note": str(document.citation.get("notes", "")).rstrip("."),
            "year": document.year,
        }
        lines = [f"  {name} = {{{re.sub('([&%#])', _ESCAPED, str(text))}}}," for name, text in fields.items() if text]
        entries.append("\n".join([f"@misc{{doc{id},", *lines, "}"]))
    return "\n".join(entries) + "\n"


def write_readme(ledger: Ledger) -> None:
    """Bring README.md, CITATION.cff and the ledger's files up to date with ledger, sidecars and committed runs.

    Raises `ClaimError` where one of the first two is not there or has no place for what is generated.
    """
    table = summary.judged(ledger, from_history=True)
    export.write(ledger, table)
    for name in ("README.md", "CITATION.cff"):
        path = project_root() / name
        if not path.is_file():
            raise ClaimError(f"There is no {name} in {project_root()}: call this in the project's folder.")
        text = path.read_text(encoding="utf-8")
        write_text(path, readme(ledger, text, table) if name == "README.md" else citation_file(ledger, text))


def readme(ledger: Ledger, text: str, judged: pd.DataFrame) -> str:
    """Return README.md's text with counts, standing and experiments as they are now. judged: of `summary.judged`."""
    counted = f"{count(ledger, 'Documents')} documents on image style transfer make {count(ledger, 'claims')} claims."
    text = re.sub(r"(?m)^[\w-]+ documents on image style transfer make [\w-]+ claims\.", counted, text)
    # Own ablations, which come and go, stand in the book alone.
    table = readme_table(in_order(entry for entry in discover() if entry.document != OWN))
    block = r"(?s)(<!-- experiments: [^>]*-->\n).*?(\n<!-- /experiments -->)"
    return summary.readme(ledger, re.sub(block, lambda found: f"{found[1]}{table}{found[2]}", text), judged)


def citation_file(ledger: Ledger, text: str) -> str:
    """Return CITATION.cff's text with the documents as its references."""
    references = []
    for id, document in ledger.documents.items():
        authors = [{"name": name} for name in document.authors] or [{"name": "no authors named"}]
        entry = {"type": "unpublished", "title": document.title, "authors": authors} | document.citation
        references.append({**entry, "notes": f"Document {id}. {document.citation.get('notes', '')}".strip()})
    written = yaml.safe_dump({"references": references}, sort_keys=False, allow_unicode=True, width=110)
    return re.sub(r"(?ms)^references:\n.*", lambda _: written, text)


def answer(rows: Sequence[Row]) -> str:
    """Return what became of claims, a line for each verdict that there is, for a page in a folder of the book."""
    lines = []
    for verdict in VERDICTS:
        mine = [row for row in rows if row["verdict"] == verdict]
        told = " ".join(f"{claim_link(row['id'], '../')} {one_line(row['statement'])}" for row in mine)
        lines += [f"**{_ANSWERS[verdict]}** ({len(mine)} of {len(rows)}): {told}"] if mine else []
    return "\n\n".join(lines) or _NONE


def table(rows: Sequence[Row], titles: Mapping[str, str]) -> str:
    """Return the ledger's one table. titles: of the experiments that have a page, to which their claims link.

    With a reference beside own values a column more says what it is, and marks where they disagree.
    """
    own = any("reference" in row for row in rows)
    columns = {heading: width for heading, width in _COLUMNS.items() if own or heading != "Reference"}
    lines: list[Sequence[str]] = [list(columns)]
    for row in rows:
        name, id = row["experiment"], row["id"]
        cells = [
            f'<span id="{anchor(id)}"></span>{claim_link(id)}\n\n{one_line(row["statement"])}',
            badge(row["verdict"]),
            stated(row),
            figures(row["value"]),
            *([f"{figures(row['reference'])}{' (differs)' * (row.get('agrees') is False)}"] if own else []),
            interval(row),
            figures(row["effect"]),
            f"{row['n'] or ''} / {len(row['runs'])}" if row["runs"] else "",
            ", ".join(row["networks"]),
            f"[{titles[name]}](notebooks/{name}.ipynb)" if name in titles else name,
        ]
        lines.append(cells)
    told = [":::{list-table}", ":class: ledger ledger-table", ":header-rows: 1"]
    told += [f":widths: {' '.join(map(str, columns.values()))}", ""]
    for line in lines:
        for position, cell in enumerate(line):  # which may hold paragraphs
            first, *others = cell.split("\n")
            told.append(f"{'  - ' if position else '* - '}{first}".rstrip())
            told += [f"    {other}" if other else "" for other in others]
    return "\n".join([*told, ":::"])


def cards(rows: Sequence[Row], pages: Collection[str], documents: Mapping[str, Document] = MappingProxyType({})) -> str:
    """Return everything about each claim of a document, with its anchor, and its review as machines read it.

    pages: experiments that have a page. documents: those of the ledger.
    """
    if not rows:
        return _NONE
    reviews = [export.claim_review(row, documents.get(row["document"]), f"#{anchor(row['id'])}") for row in rows]
    # The claims as machines read them: schema.org's ClaimReview, which no page shows.
    data = json.dumps(reviews).replace("</", "<\\/")
    script = f'```{{raw}} html\n<script type="application/ld+json">{data}</script>\n```'
    return "\n\n".join([*(_card(row, pages) for row in rows), script])


def verdicts(rows: Sequence[Row]) -> str:
    """Return the claims of one experiment, for the end of its page; they link to their cards."""
    return "\n\n".join(map(_card, rows))


def stated(row: Row) -> str:
    """Return the number that the document states, with its unit; "" where it states none."""
    return "" if row["number"] is None else f"{stated_text(row['number'])} {row['unit']}"


def interval(row: Row) -> str:
    """Return the interval of a claim's first measure; "" where it has none or it is a point."""
    low, high = row["low"], row["high"]
    return "" if low is None or high is None or low == high else f"{figures(low)} to {figures(high)}"


def _card(row: Row, pages: Collection[str] | None = None) -> str:
    """Return one claim from edge to edge of the page: quote and statement, then measures beside their verdict's why.

    pages: as `cards` has them, for the one card that has the claim's anchor and its rule; None for what links to it.
    """
    whole, id, name = pages is not None, anchor(row["id"]), row["experiment"]
    title = f"[{row['id']}]{{#{id}}}" if whole else claim_link(row["id"], "../")
    title += f" {badge(row['verdict'])}" + (f" [{name}](../notebooks/{name}.ipynb)" if name in (pages or ()) else "")
    title += f' [¶](#{id}){{.permalink title="Link to this claim"}}' * whole
    says = [title, one_line(row["statement"]), f'<span class="quote">“{one_line(row["quote"])}”</span>']
    says.append(small(row["place"] + (f". Stated: {stated(row)}" if row["number"] is not None else "")))
    measured = _apart(row["measured"], "**")
    measured += [small(f"Beside it: {row['beside']}")] * bool(row["beside"])
    why = [*_apart(row["reason"]), small(_trust(row))]
    why += [f"The {changed}." for changed in [row.get("rule_changed")] if changed]
    each = "; ".join(f"{network}: {verdict}" for network, verdict in row["networks"].items())
    why += [small(each)] * (len(row["networks"]) > 1)
    if whole:
        measured += [small(f"From {_runs(row)}.")] * bool(row["runs"])
        why.append(fold("The rule", html.escape(one_line(row["why"]))))
    halves = {"Measured": [text for text in measured if text], "Why this verdict": [text for text in why if text]}
    told = ["\n\n".join(["<div>", f"**{title}**", *texts, "</div>"]) for title, texts in halves.items() if texts]
    parts = [*says, '<div class="halves">', *told, "</div>", *filter(None, [evidence(row)] if whole else [])]
    return "\n\n".join([f'<div class="claim verdict-{row["verdict"].replace(" ", "-")}">', *parts, "</div>"])


def _trust(row: Row) -> str:
    """Return what a verdict rests on, in a line: design, reading, robustness, and how old its rule is."""
    hours = (row.get("certificate") or {}).get("hours")
    told = [f"On {row['design']}" if row["runs"] and row["n"] else ""]
    told += ["the ends are a range" if not row["covers"] and row["low"] != row["high"] else ""]
    told += [f"read as {row['setting']}" if len(row["settings"]) > 1 else ""]
    told += [f"robust: {row['robust']} readings" if row["robust"] != "untested" else ""]
    told += ["fragile: an equivalent reading turns it" if row["fragile"] else ""]
    if hours is not None:
        told.append(f"the rule is {span(hours)} {'older' if hours >= 0 else 'younger'} than its first run")
    return "; ".join(filter(None, told))


def _apart(text: str, mark: str = "") -> list[str]:
    """Return what several measures or networks came to, as a list; a single one as a paragraph in `mark`."""
    about = re.fullmatch(r"(no style transfer to judge) \((.*)\)", one_line(text))
    if about:
        return [about[1], *_apart(about[2])]
    parts = [part for part in re.split(r"; (?![^()]*\)|\S+ is what this design)| \| ", one_line(text)) if part]
    return ["\n".join(f"- {part}" for part in parts)] if parts[1:] else [f"{mark}{part}{mark}" for part in parts]


def _runs(row: Row) -> str:
    """Return the runs behind a verdict, each with a link to its record."""
    told = []
    for run in row["runs"]:
        commit = f", commit {run['commit'][:10]}" if run.get("commit") else ""
        told.append(f"{run['experiment']} [{run['profile']}](../{place(run)}/{RECORD}){commit}")
    return "; ".join(told)


def _counts(rows: Sequence[Row]) -> str:
    """Return how many claims have which verdict, as badges in one line."""
    counted = Counter(row["verdict"] for row in rows)
    return " · ".join(f"{counted[verdict]} {badge(verdict)}" for verdict in VERDICTS if counted[verdict])
