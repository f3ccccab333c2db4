"""What can be wrong with a page that is open in a browser: each check gives a list of faults, empty if all is well."""

from typing import Any

LEAST_CONTRAST = 4.5  # the ratio that the accessibility guidelines (WCAG 2, level AA) ask of ordinary text
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

# Text against what lies behind it: backgrounds of all ancestors, blended by their opacity; any colour space, as drawn.
_CONTRAST = """([selector, least]) => {
  const context = Object.assign(document.createElement('canvas'), {width: 1, height: 1})
    .getContext('2d', {willReadFrequently: true});
  const known = new Map();
  const rgba = colour => {
    if (!known.has(colour)) {
      context.clearRect(0, 0, 1, 1);
      context.fillStyle = colour;
      context.fillRect(0, 0, 1, 1);
      const [r, g, b, a] = context.getImageData(0, 0, 1, 1).data;
      known.set(colour, [r, g, b, a / 255]);
    }
    return known.get(colour);
  };
  const over = ([r, g, b, a], below) => [r, g, b].map((level, i) => a * level + (1 - a) * below[i]);
  const linear = level => (level /= 255) <= 0.04045 ? level / 12.92 : ((level + 0.055) / 1.055) ** 2.4;
  const luminance = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const grounds = new Map();
  const ground = element => {
    if (!element) return [255, 255, 255];
    if (!grounds.has(element)) {
      const style = getComputedStyle(element), inset = /^(.*\\)) 0px 0px 0px 9999px inset$/.exec(style.boxShadow);
      let colour = over(rgba(style.backgroundColor), ground(element.parentElement));
      if (inset) colour = over(rgba(inset[1]), colour);
      grounds.set(element, colour);
    }
    return grounds.get(element);
  };
  const opacity = element => element ? getComputedStyle(element).opacity * opacity(element.parentElement) : 1;
  const faults = new Map();
  for (const element of document.querySelectorAll(selector)) {
    const text = [...element.childNodes].filter(node => node.nodeType === 3).map(node => node.data).join('').trim();
    if (!text || !element.checkVisibility({opacityProperty: true, visibilityProperty: true})) continue;
    const behind = ground(element), [r, g, b, a] = rgba(getComputedStyle(element).color);
    const [light, dark] = [over([r, g, b, a * opacity(element)], behind), behind].map(luminance).sort((x, y) => y - x);
    const ratio = (light + 0.05) / (dark + 0.05);
    const what = `${element.tagName} .${element.className}: ${ratio.toFixed(2)}`;
    if (ratio < least && !faults.has(what)) faults.set(what, text.slice(0, 40));
  }
  return [...faults].map(([what, text]) => `${what} "${text}"`);
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


def faint(page: Any, selector: str, least: float = LEAST_CONTRAST) -> list[str]:
    """Elements with text of their own among those selected whose contrast is below `least`; folded parts are opened."""
    page.evaluate("document.querySelectorAll('details').forEach(part => { part.open = true; })")
    # A colour on its way from one theme to the other is neither's.
    page.evaluate("document.getAnimations().forEach(play => play.effect.getTiming().iterations < 9 && play.finish())")
    return page.evaluate(_CONTRAST, [selector, least])


def tables(page: Any) -> list[str]:
    """Tables without a CSV link, and tables with a header that do not sort. Leaves them sorted."""
    return page.evaluate(_TABLES)
