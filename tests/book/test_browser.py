"""The built book in a real browser: every page of the real one, light and dark, wide and narrow, with no network.

The checks themselves are in `looks.py`; the last test here shows that each of them can fail.
"""

import csv

import looks
import pytest


def pages_of(first, wanted=""):
    """Every page of a built book whose path below the first begins with `wanted`, by that path."""
    found = sorted(path for path in first.parent.rglob("*.html") if "_static" not in path.parts)
    named = {path.relative_to(first.parent).as_posix(): path for path in found}
    return {name: path for name, path in named.items() if name.startswith(wanted)}


def faults_of(page):
    """What does not look as it should, in the theme and at the width that the page has, and on a phone."""
    return looks.pictures(page) + looks.inaccessible(page) + looks.too_wide(page)


def faults_by_page(open_page, first, wanted=""):
    """All that is wrong with the pages of a book whose path begins with `wanted`: each is loaded once, on a phone."""
    visit, faults = open_page(first), {}
    for name, path in pages_of(first, wanted).items():
        visit.page.set_viewport_size({"width": looks.PHONE, "height": 900})
        visit.go(path)
        found = []
        for theme, look in (("light", faults_of), ("dark", looks.faint)):
            visit.page.emulate_media(color_scheme=theme)
            visit.page.wait_for_selector(f"html[data-theme={theme}]")
            found += [f"{theme}: {fault}" for fault in look(visit.page)]
        visit.page.set_viewport_size({"width": 1280, "height": 900})
        found += looks.tables(visit.page)
        if found := [*visit.settle().complaints, *found]:
            faults[name] = found
    return faults


def test_every_page_is_sound_light_and_dark_wide_and_narrow(open_page, real_book):
    assert len(pages_of(real_book)) > 20
    assert faults_by_page(open_page, real_book) == {}


def test_so_are_pages_of_another_project(open_page, small_book):
    """Of its own: the rest is the same as in the real one."""
    for wanted in ("notebooks/", "ledger"):
        assert faults_by_page(open_page, small_book, wanted) == {}


@pytest.mark.parametrize("width", [looks.PHONE, 1280])
def test_commands_and_the_meaning_of_parameters_are_seen_whole(open_page, real_book, width):
    visit = open_page(real_book)
    visit.page.set_viewport_size({"width": width, "height": 900})
    seen = ("notebooks/pooling.html", ".tag_parameters pre"), ("scaling.html", "pre"), ("extend.html", "pre")
    for name, which in seen:
        visit.go(real_book.parent / name)
        visit.page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
        found = visit.page.locator(f"article {which}").all()
        assert sum(len(code.inner_text()) for code in found) > 500
        hidden = [code.inner_text() for code in found if code.evaluate("one => one.scrollWidth > one.clientWidth")]
        assert hidden == [], name


def test_the_first_page_holds_a_photograph_against_its_results(open_page, real_book):
    page = open_page(real_book).page
    result, first = page.locator(".compare .after"), page.locator(".compare .after").get_attribute("src")
    page.get_by_role("button", name="woodcut").click()
    assert (result.get_attribute("src") != first, result.get_attribute("alt")) == (
        True,
        "chelsea in the style of woodcut",
    )
    page.get_by_label("Line between").press("Home")
    assert "0px 100%" in page.locator(".compare .before").evaluate("one => getComputedStyle(one).clipPath")


def test_the_ledger_shows_each_claim_with_its_verdict(open_page, small_book):
    page = open_page(small_book.parent / "ledger.html").page
    seen = {
        row.locator("[id^='claim-']").first.get_attribute("id"): row.locator(".verdict").first
        for row in page.locator("tbody tr:has([id^='claim-'])").all()
    }
    wanted = ["reproduced", "not reproduced", "not tested"]
    assert [seen[f"claim-000-{number}"].inner_text() for number in (1, 2, 3)] == wanted
    colours = {badge.evaluate("one => getComputedStyle(one).backgroundColor") for badge in seen.values()}
    assert len(colours) == 3
    assert "rgba(0, 0, 0, 0)" not in colours


def cells(table):
    """The texts of a table's body, as a reader sees them: what is hidden is empty."""
    script = """table => [...table.tBodies[0].rows].map(row => [...row.cells].map(cell =>
        (cell.firstElementChild ?? cell).checkVisibility({opacityProperty: true}) ? cell.textContent.trim() : ''))"""
    return table.evaluate(script)


@pytest.fixture
def errors(open_page, small_book):
    """The table that pandas styled: two levels of rows, of which the first reaches over two of them each."""
    return open_page(small_book.parent / "notebooks/ran.html").page.locator("table:has(caption)")


def test_a_table_of_a_notebook_sorts_by_numbers_and_shows_every_label_then(errors):
    assert cells(errors) == [
        ["b", "10", "0.50", "q"],
        ["", "9", "12.00", "r, s"],
        ["a", "10", "3.25", "p"],
        ["", "9", "–", "t"],
    ]
    assert errors.locator("thead tr").count() == 1
    error = errors.locator("th", has_text="error")
    error.click()
    errors.locator("th[aria-sort=ascending]").wait_for()
    assert [row[2] for row in cells(errors)] == ["0.50", "3.25", "12.00", "–"]
    assert [row[0] for row in cells(errors)] == ["b", "a", "b", "a"]
    error.click()
    errors.locator("th[aria-sort=descending]").wait_for()
    assert [row[2] for row in cells(errors)] == ["12.00", "3.25", "0.50", "–"]
    error.click()
    errors.page.locator("table:has(caption):not(:has(th[aria-sort]))").wait_for()
    assert [row[0] for row in cells(errors)] == ["b", "", "a", ""]


@pytest.mark.parametrize("key", ["Enter", " "])
def test_a_table_sorts_by_keyboard(errors, key):
    button = errors.get_by_role("button", name="name")
    button.focus()
    button.press(key)
    errors.locator("th[aria-sort=ascending]").wait_for()
    assert [row[3] for row in cells(errors)] == ["p", "q", "r, s", "t"]


def test_the_csv_of_a_table_holds_its_numbers_and_every_label(errors, tmp_path):
    with errors.page.expect_download() as download:
        errors.page.get_by_role("link", name="This table as CSV: Small errors").click()
    assert download.value.suggested_filename == "ran-2-small-errors.csv"
    download.value.save_as(tmp_path / "table.csv")
    with (tmp_path / "table.csv").open(encoding="utf-8", newline="") as stream:
        assert list(csv.reader(stream)) == [
            ["group", "n", "error, px", "name"],
            ["b", "10", "0.50", "q"],
            ["b", "9", "12.00", "r, s"],
            ["a", "10", "3.25", "p"],
            ["a", "9", "–", "t"],
        ]


@pytest.mark.parametrize("width", [looks.PHONE, 1280])
def test_nothing_moves_when_tables_become_sortable(open_page, small_book, width):
    """Where headings and pictures stand with the script, and where without it."""
    script = "[...document.querySelectorAll('article h1, article h2, article img')].map(one => one.offsetTop)"
    visit = open_page(small_book.parent / "notebooks/ran.html", width=width)
    sorted_ = visit.page.evaluate(script)
    visit.page.route("**/tables.js*", lambda route: route.abort())
    visit.page.reload()
    assert visit.page.locator(".dt-column-order").count() == 0
    assert visit.page.evaluate(script) == pytest.approx(sorted_, abs=2)


LEDGER = """
<table class="ledger-table ledger table">
<thead><tr><th>Claim</th><th>Yours</th><th>Networks</th><th>Verdict</th></tr></thead>
<tbody>
<tr><td>000.10</td><td>3 min</td><td>compact, vgg16-caffe</td><td>reproduced</td></tr>
<tr><td>000.9</td><td>100 s</td><td>compact</td><td>trend only</td></tr>
<tr><td>001.2</td><td>1,234</td><td data-filter="none">–</td><td>not tested</td></tr>
<tr><td>mine_2.1</td><td>2,000</td><td data-filter="none">–</td><td>reproduced</td></tr>
</tbody></table>
"""


@pytest.fixture
def ledger(open_page, small_book):
    """A page with a table of claims, beside the scripts of a built book."""
    page = small_book.parent / "claims-under-test.html"
    scripts = "".join(f'<script src="_static/{name}.js"></script>' for name in ("datatables", "tables"))
    page.write_text(f"<html><body><article>{LEDGER}</article>{scripts}</body></html>", encoding="utf-8")
    visit = open_page(page)
    page.unlink()
    assert visit.complaints == []
    return visit.page


def claims_in(page):
    return page.locator("tbody td:first-child").all_inner_texts()


def test_the_ledger_is_searched_and_filtered(ledger):
    assert claims_in(ledger) == ["000.10", "000.9", "001.2", "mine_2.1"]
    search = ledger.get_by_role("searchbox", name="Search")
    names = ("Document", "Networks", "Verdict")
    document, networks, verdict = (ledger.get_by_role("combobox", name=name) for name in names)
    assert networks.locator("option").all_inner_texts() == ["all", "compact", "none", "vgg16-caffe"]
    networks.select_option("compact")
    assert claims_in(ledger) == ["000.10", "000.9"]
    verdict.select_option("trend only")
    assert claims_in(ledger) == ["000.9"]
    assert ledger.locator("output").inner_text() == "1 of 4 shown"
    networks.select_option("all")
    verdict.select_option("all")
    document.select_option("001")
    assert claims_in(ledger) == ["001.2"]
    document.select_option("own")
    assert claims_in(ledger) == ["mine_2.1"]
    document.select_option("all")
    search.press_sequentially("trend")
    assert claims_in(ledger) == ["000.9"]


def test_names_of_claims_and_times_sort_by_what_they_mean(ledger):
    ledger.get_by_role("button", name="Claim").press("Enter")
    ledger.locator("th[aria-sort=ascending]").wait_for()
    assert claims_in(ledger) == ["000.9", "000.10", "001.2", "mine_2.1"]
    ledger.get_by_role("button", name="Yours").press("Enter")
    ledger.locator("th[aria-sort=ascending]", has_text="Yours").wait_for()
    assert claims_in(ledger) == ["000.9", "000.10", "001.2", "mine_2.1"]


TABLE = "<article><table><thead><tr><th>n</th></tr></thead><tbody><tr><td>1</td></tr></tbody></table></article>"
HEAD = "<!doctype html><html lang='en'><head><meta charset='utf-8'><title>A page</title></head><body>"
DARK = "<style>body {background: #121212; color: #eee}</style>"


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ('<script src="https://cdn.example/script.js"></script>', "asked elsewhere: https://cdn.example/script.js"),
        ('<link rel="stylesheet" href="https://cdn.example/style.css">', "asked elsewhere"),
        ('<script>fetch("https://cdn.example/data.json").catch(() => 0)</script>', "asked elsewhere"),
        ("<script>new WebSocket('wss://cdn.example/')</script>", "asked elsewhere: wss"),
        ("<style>@font-face {font-family: F; src: url(https://cdn.example/f.woff2)} p {font-family: F}</style><p>a</p>",
         "asked elsewhere"),
        ('<script src="missing.js"></script>', "not loaded"),
        ("<script>undefined.wrong</script>", "script: "),
        ("<script>Promise.reject(new Error('late'))</script>", "script: late"),
        ("<script>console.error('wrong')</script>", "console: wrong"),
        ('<script type="module" src="module.js"></script>', "console: "),
        ('<img src="missing.png" alt="a picture of nothing">', "has no size"),
        ('<img src="data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7">', 'says ""'),
        ('<img src="dot.svg" alt="../_images/a file.jpg">', "says"),
        ('<div style="width: 500px">wide</div>', "the page is 5"),
        ('<article style="color: #999">faint</article>', "faint"),
        (f'{DARK}<article><table><td style="color: #777">faint</td></table></article>', "<td"),
        (f'{DARK}<article><p style="background: #fff; opacity: 0.9"><b>pale on white</b></p></article>', "<b>"),
        ('<article><p style="color: rgb(0 0 0 / 40%)">faint</p></article>', "<p "),
        ('<article><details>more <code style="color: #aaa">faint</code></details></article>', "<code"),
        ("<article><button></button></article>", "button-name"),
        ('<article><ul><p>no item</p></ul></article>', "list: "),
        (TABLE, "has no link to a CSV"),
        (TABLE, "does not sort"),
        (f'{DARK}<div style="overflow-x: auto"><div style="width: 900px">wide</div></div>'
         '<img src="dot.svg" alt="a small dot"><article>read</article>', None),
    ],
)  # fmt: skip
def test_the_browser_would_complain_and_not_without_cause(open_page, tmp_path, fault, said):
    """The checks above must be able to fail, each for its own reason; None: nothing is wrong."""
    page = tmp_path / "page.html"
    (tmp_path / "module.js").write_text("export const one = 1;")
    (tmp_path / "dot.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>')
    page.write_text(f"{HEAD}<main><h1>A page</h1>{fault}</main></body></html>")
    visit = open_page(page)
    faults = faults_of(visit.page) + looks.tables(visit.page) + visit.settle().complaints
    assert any(said in one for one in faults) if said else faults == []
