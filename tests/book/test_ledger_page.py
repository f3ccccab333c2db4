"""The documents' chapters and the claims in the book, and what README and CITATION.cff take from the ledger."""

import json
import re
from pathlib import Path

from small_book import DOCUMENT

from stylerepro.book import ledger_page, text
from stylerepro.ledger import claims
from stylerepro.runs.experiments import PROFILES, discover

ROOT = Path(__file__).resolve().parents[2]


def row(**changes):
    plain = {
        "id": "003.1", "document": "003", "quote": "Control the smoothness", "place": "slide 4",
        "statement": "More weight, less variation.", "number": None, "unit": None, "measured": "", "value": None,
        "low": None, "high": None, "verdict": "not tested", "reason": "tv_sweep has not been run yet", "beside": "",
        "networks": {}, "experiment": "tv_sweep", "effect": None, "n": None, "runs": [], "why": "A trend is enough.",
        "design": "", "covers": True, "settings": [], "readings": [], "parts": [], "robust": "untested",
        "fragile": False, "sort": "picture",
    }  # fmt: skip
    return plain | changes


RUN = {"experiment": "tv_sweep", "profile": "reference", "run": "tv_sweep", "commit": "0123456789abcdef"}


def test_summary_counts_each_verdict_and_leaves_out_those_without_a_claim():
    rows = [row(verdict="reproduced"), row(verdict="reproduced"), row(verdict="not tested")]
    told = ledger_page.standing(rows, "laptop")
    assert told.startswith(f"2 {text.badge('reproduced')}")
    assert f"1 {text.badge('not tested')}" in told
    assert "trend" not in told
    assert "profile `laptop`" in told
    assert "mean nothing" in ledger_page.standing(rows, "smoke")
    with_own = ledger_page.standing([*rows, row(id="mine.1", document="own", verdict="trend only")], "laptop")
    first, each, own = with_own.splitlines()[:5:2]
    assert first == told.splitlines()[0], "an own ablation's claim does not count among the documents'"
    assert each == f"- picture (3): {first}"
    assert own == f"Beside them, of the suite's own ablations: 1 {text.badge('trend only')}"
    assert all(f"`{profile}`" in ledger_page.standing(rows, profile) for profile in PROFILES)


def test_how_far_to_trust_says_why_claims_wait_on_what_networks_and_which_rules_are_younger():
    gate, none = "no style transfer to judge (as written: style taken up", "unknown, no value)"
    rows = [
        row(verdict="reproduced", networks={"vgg16-caffe": "reproduced"}, certificate={"hours": 5.0}),
        row(id="003.2", verdict="not reproduced", certificate={"hours": -7.0}),
        row(reason=f"{gate} in 15 of 15, content kept in 5 of 15, two thirds are asked)"),
        *(row(reason=f"{gate}: {none}") for _ in range(2)),
        row(reason="the table of x has no column 'y': run it again"),
        row(reason="too few: x rests on 1 of 3 contents"),
        row(reason="no rows of x with device cuda"),
        row(document="own", verdict="reproduced"),
    ]
    trusted, networks, first = ledger_page.trust(rows).splitlines()
    assert "**2 of 8 claims are judged.**" in trusted
    assert "3 wait for a run that asks the judges of style; 1 rest on pictures that lack style or content; " in trusted
    assert trusted.endswith("1 rest on too few pictures or networks; 1 lack the run that decides.")
    assert networks.endswith("vgg16-caffe (1), no loss network (1).")
    assert "[003.2](documents/003.md#claim-003-2)" in first
    assert "003.1" not in first
    assert "003.1" in ledger_page.trust([rows[0] | {"rule_changed": "rule changed since this run"}]).splitlines()[2]
    assert ledger_page.trust([row()]).splitlines()[1].endswith("these: none.")


def test_the_overview_shows_each_claim_in_the_colour_of_its_verdict_and_says_it():
    rows = [row(verdict="trend only", statement='More "weight"')]
    told = ledger_page.overview(claims.load_ledger().documents, rows, {"003": ("a.webp", "A b")})
    chip = """[003.1](documents/003.md#claim-003-1 "trend only: More 'weight'"){.verdict .verdict-trend-only}"""
    assert sum(chip in line for line in told.splitlines()) == 1
    tile = next(tile for tile in told.split('<div class="tile">') if "documents/003.md)" in tile)
    assert tile.strip().startswith("[![A b](a.webp)](documents/003.md)")
    assert chip in tile


def test_a_card_gives_quote_place_number_measure_reason_networks_runs_and_rule():
    judged = row(
        number=91.91, unit="%", measured="99.9 % [99.8, 99.95]", verdict="trend only", reason="outside the bounds",
        networks={"compact": "reproduced", "vgg16-caffe": "trend only"}, beside="PSNR 35 dB", why="a < b decides",
        runs=[RUN], rule_changed="rule changed since this run: tv_sweep (reference)", design="2 contents × 5 styles",
        n=10, covers=False, low=1.0, high=2.0, setting="as printed", settings=[{}, {}], robust="3 of 4", fragile=True,
        certificate={"hours": -3.2},
    )  # fmt: skip
    told = ledger_page.cards([judged], ["tv_sweep"])
    for part in (
        "“Control the smoothness”", "slide 4", "Stated: 91.91 %", "**99.9 % [99.8, 99.95]**", "PSNR 35 dB",
        "outside the bounds", "compact: reproduced; vgg16-caffe: trend only", "a &lt; b decides",
        "On 2 contents × 5 styles; the ends are a range; read as as printed; robust: 3 of 4 readings; fragile: an",
        "the rule is 3 hours younger than its first run", "The rule changed since this run: tv_sweep (reference).",
        "[tv_sweep](../notebooks/tv_sweep.ipynb)", f"[003.1]{{#{text.anchor('003.1')}}}",
        "[reference](../runs/tv_sweep-reference/run.json), commit 0123456789.",
    ):  # fmt: skip
        assert part in told
    review = json.loads(re.search(r"ld\+json\">(.*?)</script>", told)[1])
    assert [one["claimReviewed"] for one in review] == [judged["quote"]]


def test_several_measures_stand_apart_as_a_list():
    judged = row(measured="one: 0.5 [0.4, 0.6]; other: 0.7", reason="a (b; c) | vgg16: no; 3 is what this design x")
    told = [line.strip() for line in ledger_page.cards([judged], []).splitlines()]
    for item in ("- one: 0.5 [0.4, 0.6]", "- other: 0.7", "- a (b; c)", "- vgg16: no; 3 is what this design x"):
        assert any(line.endswith(item) for line in told), item
    assert not any("**" in line for line in told if line.startswith("- "))


def test_the_ledgers_table_has_a_line_a_claim_and_links_only_to_pages_that_exist():
    rows = [
        row(id="000.1", document="000", number=(1.33, 0.97), unit="s", experiment="other"),
        row(value=0.5, low=0.25, high=0.75, effect=-1.5, n=8, runs=[RUN, RUN], networks={"compact": "reproduced"}),
    ]
    told = ledger_page.table(rows, {"tv_sweep": "Total variation"})
    assert ":class: ledger ledger-table" in told
    assert "documents/003.md#claim-003-1" in told
    assert "[Total variation](notebooks/tv_sweep.ipynb)" in told
    assert "other.ipynb" not in told
    lines = [line.strip(" *-") for line in told.splitlines()]
    for cell in ("1.33 and 0.97 s", "0.5", "0.25 to 0.75", "−1.5", "8 / 2", "compact"):
        assert cell in lines
    assert {len(re.findall("(?m)^  -", line)) for line in told.split("* - ")[1:]} == {8}, "nine cells a line"
    assert "Reference" not in told


def test_the_ledgers_table_puts_the_reference_beside_own_values_and_marks_what_differs():
    rows = [row(value=0.5, reference=0.4, agrees=False), row(value=0.4, reference=0.4, agrees=True)]
    told = ledger_page.table(rows, {})
    assert "Reference" in told
    assert told.count("0.4 (differs)") == 1
    assert {len(re.findall("(?m)^  -", line)) for line in told.split("* - ")[1:]} == {9}


def test_an_answer_has_a_line_for_each_verdict_that_there_is():
    rows = [row(verdict="reproduced"), row(id="003.2", verdict="not reproduced"), row(id="003.3", verdict="reproduced")]
    told = ledger_page.answer(rows).split("\n\n")
    assert [line.split(":")[0] for line in told] == ["**Holds** (2 of 3)", "**Does not hold** (1 of 3)"]
    assert "[003.3](../documents/003.md#claim-003-3) More weight" in told[0]
    assert "no claim" in ledger_page.answer([])
    assert "no notebook" in ledger_page.notebooks([])
    assert ledger_page.cards([], []) == ledger_page.answer([]), "a table without lines is an error to Sphinx"


def test_verdicts_link_to_their_cards_and_a_line_break_in_a_quote_cannot_break_their_table():
    told = ledger_page.verdicts([row(quote="one\n\n- two\n# three", reason="a\nb", runs=[RUN])])
    assert "[003.1](../documents/003.md#claim-003-1)" in told
    assert "The rule" not in told
    assert "“one - two # three”" in told
    assert "\n# three" not in told


def test_every_document_has_a_chapter_with_its_answer_claims_and_notebooks():
    for document in claims.load_ledger().documents:
        told = (ROOT / f"book/documents/{document}.md").read_text(encoding="utf-8")
        pieces = [f"{{{{ {name} {document} }}}}" for name in ("citation", "answer", "finding", "claims", "notebooks")]
        places = [told.index(piece) for piece in pieces]
        assert places == sorted(places), f"{document}: the answer comes first, its evidence after it"
        for heading in ("## The method", "## What it leaves open", "## Slips"):
            assert heading in told


def test_parameters_that_chapters_name_exist():
    known = {name for one in discover() for name in (*one.parameters, *one.columns)}
    for path in (ROOT / "book/documents").glob("*.md"):
        for line in path.read_text(encoding="utf-8").splitlines():
            cells = line.split(" | ")
            if line.startswith("| ") and len(cells) == 3 and not line.startswith("| silence"):
                assert set(re.findall(r"`([a-z]\w*)`", cells[1])) <= known, f"{path.name}: {cells[1]}"


def test_a_document_is_cited_as_it_prints_itself():
    told = {"id": "001", "title": "Other", "authors": ["A. B.", "C. D."], "institution": "Somewhere", "year": 2018}
    documents = {"000": claims.Document(**DOCUMENT | {"authors": []}), "001": claims.Document(**DOCUMENT | told)}
    assert ledger_page.citation(documents, "000") == "*A title*. No authors given. No date given. {cite:p}`doc000`"
    assert ledger_page.citation(documents, "001") == "*Other*. A. B., C. D.. Somewhere. 2018. {cite:p}`doc001`"
    assert ledger_page.citation(documents, "004") == ""


def test_a_finding_written_for_another_verdict_is_left_out():
    ledger = claims.load_ledger()
    finding = next(iter(ledger.findings.values()))[0]
    other = next(one for one in claims.load_ledger() if one.id == finding.claim)
    row = {"id": other.id, "verdict": "not tested", "document": other.document}
    assert ledger_page.findings(ledger, [row], "") == ""
