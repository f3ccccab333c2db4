"""The explorer: its data are those of the tables; in a browser a slider shows picture and numbers of one row."""

import csv
import json
import shutil
import subprocess
import sys

import looks
import pandas as pd
import pytest
import small_book
import torch
import yaml

from stylerepro.book import building, explorer
from stylerepro.book.text import figures
from stylerepro.errors import ResultsError
from stylerepro.runs import experiments
from stylerepro.runs.declarations import Column
from stylerepro.runs.gallery import FREQUENCIES, Gallery, Shown

FLOAT = {"type": "float", "unit": "1", "doc": "a number that was measured"}
COLUMNS = {
    "network": {"type": "str", "doc": "loss network"},
    "content": {"type": "str", "doc": "content picture"},
    "gamma": {"type": "float", "unit": "1", "doc": "weight of the total variation"},
    "rank": {"type": "int", "unit": "1", "doc": "values kept", "nullable": True},
    "error": {**FLOAT, "doc": "error | of the result"},
    "bytes_of_all_that_is_stored": {"type": "int", "unit": "B", "doc": "bytes of the result"},
}
HISTORY = {name: COLUMNS[name] for name in ("network", "content", "gamma", "rank")}
HISTORY |= {"part": {"type": "str"}, "step": {"type": "int"}, "style_loss": FLOAT, "total_loss": FLOAT}
EXPLORE = {"sliders": ["gamma", "rank"], "choices": ["content"], "shown": ["error", "bytes_of_all_that_is_stored"]}
# A cross and no grid: other ranks than 3 were tried for gamma 10 alone.
SETTINGS = [(content, gamma, 3) for content in ("rocket", "coffee") for gamma in (100.0, 0.0, 10.0)]
SETTINGS += [("rocket", 10.0, rank) for rank in (12, None)]
SETTINGS += [("rocket", 1 / 3, 3)]


def picture(number):
    return torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(number))


def write_experiment(root, name, **changes):
    """A notebook and its sidecar, and a reference run with a gallery of all settings; the run's folder."""
    small_book.write_notebook(root / f"notebooks/{name}.ipynb", f"The {name}")
    sidecar = {"title": f"The {name}", "document": "000", "claims": [], "columns": COLUMNS, "history": HISTORY}
    sidecar |= {"explore": EXPLORE, "profiles": {"reference": {}}} | changes
    (root / f"notebooks/{name}.yaml").write_text(yaml.safe_dump(sidecar))
    folder = root / "results/reference" / name
    columns = {
        table: {column: one["type"] + "?" * one.get("nullable", False) for column, one in declared.items()}
        for table, declared in (("metrics", COLUMNS), ("history", HISTORY))
    }
    small_book.write_run(folder, {}, experiment=name, columns=columns, networks={"compact": None})
    small_book.write_notebook(folder / "notebook.ipynb", f"The {name}", outputs=True)
    rows = [
        ("compact", content, gamma, rank, 1 / (place + 3), 1000 + place)
        for place, (content, gamma, rank) in enumerate(SETTINGS)
    ]
    metrics = pd.DataFrame(rows, columns=list(COLUMNS)).astype({"rank": "Int64"})
    metrics.to_csv(folder / "metrics.csv", index=False)
    shown = [
        Shown({"content": content, "gamma": gamma, "rank": rank}, picture(place), picture(-1) if place else None)
        for place, (content, gamma, rank) in enumerate(SETTINGS)
    ]
    Gallery(shown).write(folder, metrics)
    curves = [
        ("compact", content, gamma, 3, part, step, gamma + 1 / (step + 1), 2 * gamma + 1 / (step + 1))
        for content, gamma in (("rocket", 0.0), ("rocket", 10.0), ("rocket", 1 / 3))
        for part, steps in (("whole", 200), ("short", 5))
        for step in range(steps)
    ]
    history = pd.DataFrame(curves, columns=list(HISTORY))
    history.to_csv(folder / "history.csv", index=False, float_format="%.6g")  # as a published run has it
    return folder


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project of two experiments with a gallery, and one whose run has none."""
    root = tmp_path_factory.mktemp("explored")
    (root / "stylerepro/ledger").mkdir(parents=True)
    ledger = {"document": small_book.DOCUMENT, "claims": [small_book.CLAIM | {"experiment": "sweep"}]}
    (root / "stylerepro/ledger/000.yaml").write_text(yaml.safe_dump(ledger))
    (root / "notebooks").mkdir()
    write_experiment(root, "sweep")
    write_experiment(root, "other", explore={**EXPLORE, "sliders": ["rank"], "choices": ["content", "gamma"]})
    bare = write_experiment(root, "bare")
    (bare / "gallery.csv").unlink()
    small_book.copy_book(root)
    return root


@pytest.fixture
def sweep(project, tmp_path, monkeypatch):
    """A copy of the first experiment to spoil: a function that gives its panel as it then is."""
    shutil.copytree(project, tmp_path / "project", ignore=shutil.ignore_patterns("book"))
    monkeypatch.setenv("STYLEREPRO_ROOT", str(tmp_path / "project"))
    folder = tmp_path / "project/results/reference/sweep"

    def give():
        return explorer.panel(experiments.load("sweep"), folder, json.loads((folder / "run.json").read_text()))

    give.folder = folder
    give.sidecar = tmp_path / "project/notebooks/sweep.yaml"
    return give


def table(folder):
    with (folder / "metrics.csv").open() as stream:
        return list(csv.DictReader(stream))


def test_a_slider_has_its_numbers_in_order_a_choice_its_words_and_what_all_settings_share_is_said_once(sweep):
    gamma, rank, content = sweep().data["axes"]
    assert gamma["values"] == ["0", "0.3333333333333333", "10", "100"]
    assert rank["values"] == ["", "3", "12"]
    assert content["values"] == ["rocket", "coffee"]
    assert [gamma["slider"], rank["slider"], content["slider"]] == [True, True, False]
    assert [(one["name"], one["text"]) for one in sweep().data["fixed"]] == [("network", "compact")], "and no result"


def test_the_numbers_are_those_of_the_table_letter_by_letter(sweep):
    rows = table(sweep.folder)
    for setting in sweep().data["settings"]:
        row = rows[setting["row"]]
        assert setting["values"] == [row["error"], row["bytes_of_all_that_is_stored"]]
        places = dict(zip(("gamma", "rank", "content"), setting["at"], strict=True))
        axes = {axis["name"]: axis for axis in sweep().data["axes"]}
        assert axes["content"]["values"][places["content"]] == row["content"]
        assert float(axes["gamma"]["values"][places["gamma"]]) == float(row["gamma"])
        assert len(setting["profile"]) == len(FREQUENCIES)
    assert sweep().data["settings"][0]["texts"] == ["0.3333", "1000"]


@pytest.mark.parametrize(
    ("text", "kind", "shown"),
    [
        ("0.98765432", "float", "0.9877"), ("1.0", "float", "1"), ("0.0", "float", "0"),
        ("1234.56", "float", "1235"), ("123456.7", "float", "123500"), ("-1.2344e-07", "float", "−1.234e−07"),
        ("1234567", "int", "1234567"), ("", "float", "–"), ("True", "bool", "True"),
    ],
)  # fmt: skip
def test_a_number_is_shown_to_four_digits(text, kind, shown):
    assert explorer.rounded(text, Column(type=kind)) == shown


def test_a_setting_has_its_curve_thinned_out_to_both_ends_and_the_longest_of_several(sweep):
    data = sweep().data
    assert [one["name"] for one in data["curves"]["columns"]] == ["style_loss", "total_loss"]
    for setting, (content, gamma, rank) in zip(data["settings"], SETTINGS, strict=True):
        if content != "rocket" or gamma == 100 or rank != 3:
            assert setting["curve"] is None
            continue
        line = data["curves"]["lines"][setting["curve"]]
        assert [line["steps"][0], line["steps"][-1], len(line["steps"])] == [0, 199, explorer.POINTS]
        assert line["values"][1][0] == pytest.approx(2 * gamma + 1, rel=1e-3)


def test_a_history_that_does_not_know_a_slider_gives_no_curves(sweep):
    content = yaml.safe_load(sweep.sidecar.read_text())
    content["explore"]["sliders"] = ["gamma", "rank", "bytes_of_all_that_is_stored"]
    content["explore"]["shown"] = ["error"]
    sweep.sidecar.write_text(yaml.safe_dump(content))
    assert sweep().data["curves"] is None
    assert all(one["curve"] is None for one in sweep().data["settings"])


def changed(name, change):
    """Damage: a table of the run as `change` leaves it."""

    def spoil(folder):
        change(pd.read_csv(folder / name)).to_csv(folder / name, index=False)

    return spoil


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda folder: (folder / "gallery/0001.webp").unlink(), r"0001\.webp"),
        (changed("metrics.csv", lambda table: table[:3]), "has 3 rows, fewer than its gallery"),
        (changed("gallery.csv", lambda table: table.assign(profile="1 2 3")), "spectrum that is damaged"),
        (changed("metrics.csv", lambda table: table.drop(columns="error")), "has no column error"),
        (changed("history.csv", lambda table: table.drop(columns="total_loss")), "has no column total_loss"),
        (changed("metrics.csv", lambda table: table.assign(gamma=1.0)), "do not tell its pictures apart"),
        (lambda folder: (folder / "metrics.csv").unlink(), "cannot be read"),
    ],
)
def test_a_damaged_run_is_refused_and_named(sweep, spoil, words):
    assert sweep() is not None
    spoil(sweep.folder)
    with pytest.raises(ResultsError, match=words) as raised:
        sweep()
    assert "sweep" in str(raised.value)


def test_without_a_gallery_there_is_no_panel_and_the_page_says_how_to_make_one(sweep):
    (sweep.folder / "gallery.csv").unlink()
    assert sweep() is None
    entry = experiments.load("sweep")
    assert explorer.panels([entry], {}) == ([], [entry])
    assert "`stylerepro run sweep --profile laptop`" in explorer.page([], [entry], "laptop")


def test_the_files_beside_the_page_are_there_and_the_script_is_one_plain_object(sweep):
    panel = sweep()
    files = explorer.files([panel])
    assert len(files) == 2 * len(SETTINGS) + 3  # pictures and spectra, one picture before, the table, the record
    assert all(path.is_file() for path in files.values())
    name, _, text = explorer.script([panel]).partition(" = ")
    assert name == "window.stylereproExplorer"
    content = json.loads(text.rstrip().rstrip(";"))
    for setting in content["panels"][0]["settings"]:
        assert {content["panels"][0]["pictures"] + name for name in setting["files"] if name} <= set(files)


# ---- in a browser ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def built(project, tmp_path_factory):
    """The explorer's page: of the sources of the whole book, Sphinx gets what belongs to it."""
    source, out = tmp_path_factory.mktemp("sources"), tmp_path_factory.mktemp("html")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STYLEREPRO_ROOT", str(project))
        written = building.write_sources(project / "book/_generated", "reference")
    for name in ("conf.py", "references.bib", "documents.bib", "explorer.md"):
        shutil.copyfile(written / name, source / name)
    for name in ("_ext", "_static"):
        shutil.copytree(written / name, source / name)
    experiment = "notebooks/other"  # whose page the first setting links to
    (source / "notebooks").mkdir()
    small_book.write_notebook(source / f"{experiment}.ipynb", "The other")
    (source / "_toc.yml").write_text(f"root: explorer\nentries:\n- file: {experiment}\n")
    command = [sys.executable, "-m", "sphinx", "-b", "html", "-q", "-W", str(source), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return out / "explorer.html"


SHOWN = """() => ({
  row: Number(document.querySelector('.explorer').dataset.row),
  table: Number(document.querySelector('.explorer footer a').dataset.row),
  picture: document.querySelector('.explorer .stage img').getAttribute('src'),
  size: document.querySelector('.explorer .stage img').naturalWidth,
  spectrum: document.querySelector('.explorer .spectrum img').getAttribute('src'),
  numbers: Object.fromEntries([...document.querySelectorAll('.explorer [data-value]')]
    .map(cell => [cell.dataset.name, [cell.dataset.value, cell.textContent]])),
  note: document.querySelector('.explorer [role=status]').textContent,
})"""


def seen(visit):
    """What the page shows, once its pictures are there."""
    visit.page.wait_for_function("[...document.querySelectorAll('.explorer img')].every(one => one.naturalWidth > 0)")
    return visit.page.evaluate(SHOWN)


def slider(visit, name):
    return visit.page.get_by_role("slider", name=name)


def check(state, project, experiment="sweep", **setting):
    """What is seen is the row of the table with these values: picture, spectrum, numbers."""
    row = table(project / "results/reference" / experiment)[state["row"]]
    for name, value in setting.items():
        assert (float(row[name]) if isinstance(value, int | float) else row[name]) == value
    assert state["picture"].endswith(f"explorer/{experiment}/{state['row']:04d}.webp")
    assert state["spectrum"].endswith(f"explorer/{experiment}/{state['row']:04d}-spectrum.webp")
    assert state["size"] == 32
    assert state["table"] == state["row"]
    assert {name: value for name, (value, _) in state["numbers"].items()} == {one: row[one] for one in EXPLORE["shown"]}
    assert state["numbers"]["error"][1] == figures(float(row["error"]), 4)


def test_a_slider_changes_picture_and_numbers_to_those_of_its_row_and_the_keyboard_moves_it(open_page, built, project):
    visit = open_page(built, fragment="#sweep&gamma=0&rank=3&content=rocket")
    check(seen(visit), project, gamma=0, content="rocket")
    gamma = slider(visit, "gamma")
    for key, value in (("ArrowRight", 1 / 3), ("End", 100), ("ArrowLeft", 10), ("Home", 0)):
        gamma.press(key)
        check(seen(visit), project, gamma=value, content="rocket")
        assert key != "End" or gamma.get_attribute("aria-valuetext") == "100"
    visit.page.get_by_label("content", exact=True).select_option("coffee")
    check(seen(visit), project, gamma=0, content="coffee")
    assert visit.complaints == []


def test_tab_leads_from_one_control_to_the_next(open_page, built):
    visit = open_page(built, fragment="#sweep")
    visit.page.locator(".explorer nav a").first.focus()
    script = "(e => e.ariaLabel ?? e.labels?.[0]?.textContent ?? e.textContent)(document.activeElement)"
    told = ""
    for _ in range(9):
        visit.page.keyboard.press("Tab")
        told += f" / {visit.page.evaluate(script)}"
    for wanted in ("Keep this as A", "gamma", "rank", "content"):
        assert wanted in told


def test_a_combination_that_was_not_run_leads_to_the_nearest_and_says_so(open_page, built, project):
    visit = open_page(built, fragment="#sweep&gamma=100&rank=3&content=rocket")
    slider(visit, "rank").press("End")
    state = seen(visit)
    check(state, project, rank=12, gamma=10, content="rocket")
    assert state["note"] == "rank 12 was not run with gamma 100: this is gamma 10."
    slider(visit, "gamma").press("Home")
    state = seen(visit)
    check(state, project, rank=3, gamma=0, content="rocket")
    slider(visit, "gamma").press("ArrowRight")
    assert seen(visit)["note"] == ""


def test_from_every_setting_every_move_shows_a_picture_with_the_value_that_was_asked_for(open_page, built, project):
    visit = open_page(built)
    found = visit.page.evaluate(
        """async () => {
          const wrong = [], visited = new Set();
          for (const panel of window.stylereproExplorer.panels) {
            for (const start of panel.settings) {
              for (const [index, axis] of panel.axes.entries()) {
                for (const [position, value] of axis.values.entries()) {
                  const words = panel.axes.map((one, place) => `${one.name}=${one.values[start.at[place]]}`);
                  location.hash = `#${[panel.name, ...words].join('&')}`;
                  dispatchEvent(new Event('hashchange'));
                  const root = document.querySelector('.explorer');
                  if (Number(root.dataset.row) !== start.row) wrong.push(`${location.hash} shows ${root.dataset.row}`);
                  const input = document.getElementById(`explorer-${panel.name}-${axis.name}`);
                  input.value = position;
                  input.dispatchEvent(new Event(axis.slider ? 'input' : 'change'));
                  const now = panel.settings.find(one => one.row === Number(root.dataset.row));
                  if (now.at[index] !== position || +input.value !== position) wrong.push(`${axis.name} ${value}`);
                  const image = root.querySelector('.stage img');
                  await image.decode().catch(() => wrong.push(`no picture: ${image.src}`));
                  visited.add(panel.name + now.row);
                }
              }
            }
          }
          return [wrong, visited.size];
        }"""
    )
    assert found == [[], 2 * len(SETTINGS)]
    assert visit.complaints == []


def test_an_address_opens_its_setting_and_follows_what_is_shown(open_page, built, project):
    visit = open_page(built, fragment="#sweep&gamma=10.0&rank=12")
    check(seen(visit), project, gamma=10, rank=12, content="rocket")
    slider(visit, "rank").press("ArrowLeft")
    visit.page.get_by_role("button", name="Keep this as A").click()
    slider(visit, "gamma").press("Home")
    fragment = visit.page.evaluate("location.hash")
    again = open_page(built, fragment=fragment)
    check(seen(again) | {"numbers": here(again)}, project, gamma=0, rank=3)
    assert "A: gamma 10, rank 3" in again.page.locator(".stage .tag.start").first.inner_text()
    again.page.locator(".explorer nav").get_by_role("link", name="The other").click()
    check(seen(again), project, "other")
    again.page.go_back()
    again.page.wait_for_function("document.querySelector('.explorer').dataset.row === '1'")
    assert open_page(built, fragment="#nothing&gamma=%E0").complaints == []


READ = "[role=table] *, code, label, legend, output, figcaption, footer p, nav a"


def here(visit):
    """The numbers of the setting that is shown, where those of A stand beside them."""
    script = "cell => [cell.dataset.name, [cell.dataset.value, cell.textContent]]"
    cells = visit.page.locator(".explorer .spark + div")
    return dict(cells.nth(place).evaluate(script) for place in range(cells.count()))


def test_a_setting_is_held_against_the_picture_before_or_against_a(open_page, built, project):
    visit = open_page(built, fragment="#sweep&gamma=0&rank=3")
    cover = visit.page.locator(".stage .cover")
    divider = slider(visit, "Line between")
    assert "before-" in cover.get_attribute("src")
    clipped = "getComputedStyle(document.querySelector('.cover')).clipPath"
    divider.press("Home")
    assert visit.page.evaluate(clipped) == "inset(0px 100% 0px 0px)"
    divider.press("End")
    assert visit.page.evaluate(clipped) in ("inset(0px)", "inset(0px 0% 0px 0px)")
    visit.page.get_by_role("button", name="Keep this as A").click()
    slider(visit, "gamma").press("End")
    assert cover.first.get_attribute("src").endswith("/0001.webp")
    columns = visit.page.locator(".explorer .numbers [data-name=error]")
    rows = table(project / "results/reference/sweep")
    assert [columns.nth(place).get_attribute("data-value") for place in (0, 1)] == [rows[0]["error"], rows[1]["error"]]
    assert visit.page.locator(".explorer svg .line.pinned").count() == 2  # the spectrum, the loss
    assert looks.pictures(visit.page) + looks.too_wide(visit.page, 1280) + looks.too_wide(visit.page) == []
    for theme in ("light", "dark"):
        visit.page.emulate_media(color_scheme=theme)
        visit.page.wait_for_selector(f"html[data-theme={theme}]")
        assert looks.faint(visit.page, f".explorer :is({READ})") == []
    visit.page.get_by_role("button", name="Forget A").click()
    assert visit.page.locator(".explorer svg .line.pinned").count() == 0
    visit.page.get_by_label("nothing").check()
    assert cover.count() == 0
    assert visit.complaints == []


def test_the_curves_are_drawn_and_the_present_one_stands_out(open_page, built):
    visit = open_page(built, fragment="#sweep&gamma=10&rank=3&content=rocket")
    losses = visit.page.locator(".explorer .figures figure").nth(2)
    assert [losses.locator(f".line.{kind}").count() for kind in ("current", "faint")] == [1, 2]
    path = losses.locator("path.current").get_attribute("d")
    losses.get_by_label("Which loss").select_option("style_loss")
    assert losses.locator("path.current").get_attribute("d") != path
    visit.page.get_by_label("content", exact=True).select_option("coffee")
    assert losses.locator("path.current").count() == 0
    assert "no curve of this setting" in losses.inner_text()
    radial = visit.page.locator(".explorer .figures figure").nth(1)
    assert [radial.locator(f".line.{kind}").count() for kind in ("current", "reference")] == [1, 1]


def test_the_pictures_of_other_settings_are_not_all_loaded_at_once(open_page, built):
    requested = []
    visit = open_page(built.parent / "search.html")
    visit.page.on("request", lambda request: requested.append(request.url))
    visit.page.goto(f"{built.as_uri()}#sweep&gamma=0&rank=3&content=coffee")
    visit.settle()
    pictures = {url for url in requested if "/_static/explorer/" in url and url.endswith(".webp")}
    assert pictures
    assert len(pictures) < 2 * len(SETTINGS)  # a picture and a spectrum each
    assert not any("/other/" in url for url in pictures)


def test_without_a_script_the_page_shows_a_setting(chromium, built):
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(built.as_uri())
    text = page.locator("article").inner_text()
    assert "Without JavaScript" in text
    assert "0.3333" in text
    assert "stylerepro run bare --profile reference" in text
    assert page.locator("#settings img").count() == 2
    context.close()
