"""What can be wrong with a page that is open in a browser: each check gives a list of faults, empty if all is well."""

from pathlib import Path
from typing import Any

import axe_playwright_python

PHONE = 390

# A picture has been drawn, and its alternative text says what it shows: words, not a file's name.
_PICTURES = """async () => {
  const faults = [];
  for (const image of document.images) {
    image.loading = 'eager';
    await image.decode().catch(() => 0);
    const name = image.src.slice(0, 80), text = image.alt.trim();
    if (!image.naturalWidth || !image.naturalHeight) faults.push(`${name} has no size`);
    if (text.split(/\\s+/).length < 3 || /\\.(jpe?g|png|svg|webp)$/.test(text)) faults.push(`${name} says "${text}"`);
  }
  return faults;
}"""

# The page itself must not scroll sideways; named is what reaches out of it and lies in no frame that scrolls.
_WIDE = """() => {
  const root = document.scrollingElement, faults = [];
  if (root.scrollWidth <= innerWidth) return faults;
  const framed = element => {
    for (let up = element.parentElement; up && up !== root && up !== document.body; up = up.parentElement)
      if (getComputedStyle(up).overflowX !== 'visible') return true;
    return false;
  };
  for (const element of document.body.querySelectorAll('*')) {
    const box = element.getBoundingClientRect();
    if (box.right > innerWidth + 1 && box.width && !framed(element))
      faults.push(`${element.tagName} .${element.className} reaches ${Math.round(box.right)} px`);
  }
  return [`the page is ${root.scrollWidth} px wide on a screen of ${innerWidth}`, ...faults.slice(-5)];
}"""

# What axe-core holds against a page, or only what some of its rules do.
_AXE = """async ([selector, rules]) => {
  const how = {resultTypes: ['violations'], preload: false}; // a page from disk may not load its styles anew
  const only = rules.length ? {runOnly: rules} : {};
  const {violations} = await axe.run(selector ? {include: selector} : document, {...only, ...how});
  return violations.flatMap(({id, nodes}) => nodes.slice(0, 3).map(node => `${id}: ${node.html.slice(0, 120)}`));
}"""

# Every table can be taken along, and one with a header sorts by its last label when that is activated. The explorer's
# `numbers` are none of these: they follow its sliders, beside a link to the table that they are a row of.
_TABLES = """async () => {
  const faults = [], activated = [];
  [...document.querySelectorAll('article table:not(.numbers)')].forEach((table, place) => {
    const name = `table ${place + 1} (${(table.caption ?? table).textContent.trim().slice(0, 30)})`;
    const link = (table.closest('.dt-container') ?? table).nextElementSibling?.querySelector('a[download$=".csv"]');
    if (!link?.href.startsWith('data:text/csv')) faults.push(`${name} has no link to a CSV`);
    const button = [...(table.tHead?.querySelectorAll('[role="button"]') ?? [])].pop();
    if (button) button.click();
    if (table.tHead) activated.push([name, table, parseInt(button?.closest('th').dataset.dtColumn)]);
  });
  for (let wait = 0; wait < 100 && activated.some(([, table]) => !table.querySelector('th[aria-sort]')); wait += 1)
    await new Promise(done => setTimeout(done, 20));
  for (const [name, table, column] of activated) {
    const seen = [...table.tBodies[0].rows].map(row => row.cells[column]?.textContent.trim());
    const numbers = seen.every(cell => cell && isFinite(cell) && !/^0\\d/.test(cell));
    if (!table.querySelector('th[aria-sort="ascending"]')) faults.push(`${name} does not sort`);
    else if (numbers && seen.some((cell, i) => +cell < +seen[i - 1]))
      faults.push(`${name} is not in order: ${seen.slice(0, 5)}`);
  }
  return faults;
}"""


def pictures(page: Any) -> list[str]:
    """Pictures without a natural size, or without words for who does not see them."""
    return page.evaluate(_PICTURES)


def too_wide(page: Any, width: int = PHONE) -> list[str]:
    """What makes the page scroll sideways on a screen of that width."""
    size = page.viewport_size
    page.set_viewport_size(size | {"width": width})
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    faults = page.evaluate(_WIDE)
    page.set_viewport_size(size)
    return faults


def inaccessible(page: Any, selector: str = "", *rules: str) -> list[str]:
    """What axe-core finds in the page or what is selected, folded parts opened: by all of its rules, or these."""
    page.evaluate("document.querySelectorAll('details').forEach(part => { part.open = true; })")
    # A colour on its way from one theme to the other is neither's.
    page.evaluate("document.getAnimations().forEach(play => play.effect.getTiming().iterations < 9 && play.finish())")
    if not page.evaluate("'axe' in window"):
        page.evaluate((Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8"))
    return page.evaluate(_AXE, [selector, rules])


def faint(page: Any, selector: str = "") -> list[str]:
    """Elements whose text is too faint for the accessibility guidelines (WCAG 2, level AA)."""
    return inaccessible(page, selector, "color-contrast")


def tables(page: Any) -> list[str]:
    """Tables without a CSV link, and tables with a header that do not sort. Leaves them sorted."""
    return page.evaluate(_TABLES)
