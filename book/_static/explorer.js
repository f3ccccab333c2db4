// The explorer: the settings of an experiment, by sliders. Its data come with the page, in the script explorer/data.js.

(function () {
  "use strict";

  const { panels, frequencies } = window.stylereproExplorer ?? {};
  const { chart, sparkline } = window.stylereproCharts ?? {};
  const place = document.getElementById("settings");
  if (!panels || !chart || !place) return;

  const CHART = 230; // px, the height of a chart
  const LEAST = 1e-6; // of the largest loss: less is not drawn, or a loss that starts at nought would flatten the rest
  const SHORT = 6; // letters of a unit that can stand behind a number

  // ---- which setting ------------------------------------------------------------------------------------------------

  const free = panel => panel.axes.map((_, axis) => axis).filter(axis => panel.axes[axis].values.length > 1);
  const sliders = panel => free(panel).filter(axis => panel.axes[axis].slider);
  const valueOf = (axis, position) => axis.values[position] || "none";
  const unitOf = column => (column.unit && column.unit.length <= SHORT ? ` ${column.unit}` : "");
  const wordsOf = column => [column.doc, column.unit.length > SHORT ? column.unit : ""].filter(Boolean).join("; ");

  // Above nought where `a` comes after `b`, by the first of their values that differ.
  const order = (a, b) => a.map((one, rank) => one - b[rank]).find(Boolean) ?? 0;

  // The nearest setting that exists. A sweep is often a cross and no grid: what is wished on the axes of `firm` goes
  // before the rest; then few axes differ; then they differ by few steps; then the table's order decides.
  function nearest(panel, wished, firm) {
    let best = 0, least = null;
    panel.settings.forEach((setting, number) => {
      const apart = setting.at.map((position, axis) => Math.abs(position - wished[axis]));
      const against = apart.filter((steps, axis) => steps && firm.includes(axis)).length;
      const score = [against, apart.filter(Boolean).length, apart.reduce((sum, steps) => sum + steps, 0)];
      if (least === null || order(score, least) < 0) [best, least] = [number, score];
    });
    return best;
  }

  const describe = (panel, setting, axes = free(panel)) =>
    axes.map(axis => `${panel.axes[axis].name} ${valueOf(panel.axes[axis], setting.at[axis])}`).join(", ");

  // What a setting is held against in the curves: every slider at its first step, with the same choices.
  function reference(panel, setting) {
    const wished = setting.at.map((position, axis) => (panel.axes[axis].slider ? 0 : position));
    return nearest(panel, wished, free(panel).filter(axis => !panel.axes[axis].slider));
  }

  // The settings that differ from this one on the given axes alone, in the order of these axes.
  function along(panel, setting, axes) {
    const places = one => axes.map(axis => one.at[axis]);
    return panel.settings
      .filter(one => one.at.every((position, axis) => axes.includes(axis) || position === setting.at[axis]))
      .sort((a, b) => order(places(a), places(b)));
  }

  // ---- the state, and the address that names it ---------------------------------------------------------------------

  const fresh = panel => ({
    panel, number: 0, pinned: null, against: "before", cut: 50, moved: sliders(panel)[0] ?? null,
    loss: Math.max(0, (panel.curves?.columns ?? []).findIndex(column => column.name.startsWith("total"))),
  });
  const states = new Map(panels.map(panel => [panel.name, fresh(panel)]));

  function address(state) {
    const { panel, number, pinned } = state;
    const parts = free(panel).map(index => {
      const axis = panel.axes[index];
      return `${encodeURIComponent(axis.name)}=${encodeURIComponent(axis.values[panel.settings[number].at[index]])}`;
    });
    if (pinned !== null) parts.push(`A=${panel.settings[pinned].row}`);
    return `#${[panel.name, ...parts].join("&")}`;
  }

  function decoded(text) {
    try {
      return decodeURIComponent(text);
    } catch {
      return text;
    }
  }

  // The state that an address asks for; what it does not say stays. Null where it names no experiment.
  function asked(hash) {
    const [name, ...parts] = hash.slice(1).split("&");
    const state = states.get(decoded(name));
    if (!state) return null;
    const { panel } = state;
    const given = new Map(parts.map(part => part.split("=").map(decoded)));
    const wished = [...panel.settings[state.number].at], firm = [];
    panel.axes.forEach((axis, index) => {
      const text = given.get(axis.name);
      const same = value => value === text || (axis.number && value && text && Number(value) === Number(text));
      const position = text === undefined ? -1 : axis.values.findIndex(same);
      if (position < 0) return;
      wished[index] = position;
      firm.push(index);
    });
    state.number = nearest(panel, wished, firm);
    const pinned = panel.settings.findIndex(setting => String(setting.row) === given.get("A"));
    if (pinned >= 0) Object.assign(state, { pinned, against: "A" });
    return state;
  }

  // ---- what is on the page ------------------------------------------------------------------------------------------

  function make(tag, attributes, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes ?? {})) {
      if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
      else if (value !== false && value !== null) made.setAttribute(name, value === true ? "" : value);
    }
    made.append(...children.flat().filter(child => child !== null));
    return made;
  }

  const picture = (panel, name, alt) => make("img", { src: panel.pictures + name, alt, draggable: "false" });
  const breakable = name => name.split("_").flatMap((part, place) => (place ? ["_", make("wbr"), part] : [part]));
  const caption = (...words) => make("figcaption", {}, ...words);
  const swatch = (kind, words) => make("span", { class: `swatch ${kind}` }, words);

  // The part left of the line: what it is called, its picture, and its spectrum where there is one.
  function left(state) {
    const { panel, number, pinned, against } = state;
    const setting = panel.settings[number];
    if (against === "A" && pinned !== null) {
      const [file, spectrum] = panel.settings[pinned].files, told = describe(panel, panel.settings[pinned]);
      return { kind: "A", tag: `A: ${told}`, file, spectrum, alt: `${panel.title}, A: ${told}` };
    }
    if (against === "none" || !setting.files[2]) return { kind: "none" };
    return { kind: "before", tag: "before", file: setting.files[2], alt: "The picture that it was made from" };
  }

  function stage(state, beside) {
    const { panel, number } = state, setting = panel.settings[number];
    const told = describe(panel, setting) || panel.title;
    const parts = [picture(panel, setting.files[0], `${panel.title}: ${told}`)];
    if (beside.kind !== "none") {
      const cover = picture(panel, beside.file, beside.alt);
      cover.className = "cover";
      const slide = event => cut(state, Number(event.target.value));
      parts.push(cover, make("span", { class: "tag start" }, beside.tag));
      const range = { type: "range", min: 0, max: 100, value: state.cut, "aria-label": "Line between the pictures" };
      parts.push(make("input", { ...range, class: "cut", oninput: slide }), make("span", { class: "rule" }));
    }
    parts.push(make("span", { class: "tag end" }, describe(panel, setting, sliders(panel)) || "after"));
    return parts;
  }

  function cut(state, percent) {
    state.cut = percent;
    view.root.style.setProperty("--cut", `${percent}%`);
    view.stage.querySelector(".cut")?.setAttribute("aria-valuetext", `${percent} % of the left picture`);
  }

  function spectra(state, beside) {
    const { panel, number } = state, setting = panel.settings[number];
    const told = describe(panel, setting) || panel.title;
    const parts = [picture(panel, setting.files[1], `Amplitude spectrum of ${told}`)];
    if (beside.spectrum) {
      const cover = picture(panel, beside.spectrum, `Amplitude spectrum of ${beside.alt}`);
      cover.className = "cover";
      parts.push(cover, make("span", { class: "rule" }));
    }
    return make("div", { class: "stage spectrum" }, parts);
  }

  function control(state, index) {
    const { panel } = state, axis = panel.axes[index], id = `explorer-${panel.name}-${axis.name}`;
    const name = make("code", {}, axis.name), words = make("span", { class: "words" }, wordsOf(axis));
    if (!axis.slider) {
      const options = axis.values.map((_, position) => make("option", { value: position }, valueOf(axis, position)));
      const select = make("select", { id, onchange: event => move(state, index, Number(event.target.value)) }, options);
      const label = make("label", { for: id }, name);
      return { node: make("div", { class: "control" }, label, select, words), input: select };
    }
    const value = make("output", { for: id });
    const ticks = make("span", { class: "ticks", "aria-hidden": "true" }, axis.values.map(() => make("i")));
    const range = { type: "range", id, min: 0, max: axis.values.length - 1, step: 1 };
    const input = make("input", { ...range, oninput: event => move(state, index, Number(event.target.value)) });
    const head = make("div", { class: "head" }, make("label", { for: id }, name, " ", words), value);
    return { node: make("div", { class: "control" }, head, input, ticks), input, value, ticks };
  }

  function setControl(state, index, { input, value, ticks }) {
    const { panel, number } = state, axis = panel.axes[index], { at } = panel.settings[number];
    input.value = at[index];
    if (!axis.slider) return;
    const text = valueOf(axis, at[index]) + unitOf(axis);
    value.textContent = text;
    input.setAttribute("aria-valuetext", text);
    const there = new Set(along(panel, panel.settings[number], [index]).map(setting => setting.at[index]));
    [...ticks.children].forEach((tick, position) => (tick.className = there.has(position) ? "there" : ""));
  }

  // The slider that the numbers are drawn along, and its settings: the one moved last, or where it has no others, the
  // one that has most.
  function longest({ panel, number, moved }) {
    const rows = sliders(panel).map(axis => [axis, along(panel, panel.settings[number], [axis])]);
    const score = ([axis, row]) => (axis === moved && row.length > 1 ? Infinity : row.length);
    return rows.sort((a, b) => score(b) - score(a))[0] ?? [null, [panel.settings[number]]];
  }

  function numbers(state) {
    const { panel, number, pinned } = state, setting = panel.settings[number];
    const [axis, row] = longest(state);
    const head = ["number", row.length > 1 ? `along ${panel.axes[axis].name}` : "", "here"];
    if (pinned !== null) head.push("A");
    const lines = panel.numbers.map((column, place) => {
      const values = row.map(one => (one.values[place] === "" ? null : Number(one.values[place])));
      const drawn = row.length > 1 && values.every(value => value === null || Number.isFinite(value));
      const cell = one => {
        const exact = { "data-name": column.name, "data-value": one.values[place] };
        return make("div", { role: "cell", ...exact }, one.texts[place] + unitOf(column));
      };
      const words = make("span", { class: "words" }, wordsOf(column));
      const name = make("div", { role: "rowheader" }, make("code", {}, breakable(column.name)), words);
      const spark = make("div", { role: "cell", class: "spark" }, drawn ? sparkline(values, row.indexOf(setting)) : "");
      const beside = pinned === null ? null : cell(panel.settings[pinned]);
      return make("div", { role: "row" }, name, spark, cell(setting), beside);
    });
    const titles = head.map(word => make("div", { role: "columnheader" }, word));
    return [make("div", { role: "row" }, titles), ...lines];
  }

  function radial(state, width) {
    const { panel, number, pinned } = state, setting = panel.settings[number];
    const other = pinned ?? reference(panel, setting), kind = pinned === null ? "reference" : "pinned";
    const lines = other === number ? [] : [{ xs: frequencies, ys: panel.settings[other].profile, kind }];
    const x = { label: "frequency, cycles per pixel", values: [0, frequencies.at(-1)] };
    // Room for every setting, so that curves can be compared from one to the next.
    const y = { label: "log₁₀ of the amplitude", values: panel.settings.flatMap(one => one.profile) };
    lines.push({ xs: frequencies, ys: setting.profile, kind: "current" });
    const told = describe(panel, panel.settings[other], pinned === null ? sliders(panel) : free(panel));
    const legend = other === number ? [] : [" ", swatch(kind, pinned === null ? told : `A: ${told}`)];
    const label = `Amplitude over frequency of ${describe(panel, setting) || panel.title}`;
    return [
      chart({ width, height: CHART, label, lines, x, y }),
      caption("Mean over all directions: ", swatch("current", "this setting"), legend),
    ];
  }

  function losses(state, width) {
    const { panel, number, pinned, loss } = state, setting = panel.settings[number], { columns, lines } = panel.curves;
    const group = along(panel, setting, sliders(panel));
    const curves = new Map(group.filter(one => one.curve !== null).map(one => [one.curve, "faint"]));
    if (pinned !== null && panel.settings[pinned].curve !== null) curves.set(panel.settings[pinned].curve, "pinned");
    if (setting.curve !== null) curves.set(setting.curve, "current");
    const rank = { faint: 0, pinned: 1, current: 2 };
    const drawn = [...curves].sort((a, b) => rank[a[1]] - rank[b[1]]);
    const largest = Math.max(...drawn.flatMap(([curve]) => lines[curve].values[loss]));
    const height = value => (value !== null && value > largest * LEAST ? Math.log10(value) : null);
    const shown = drawn.map(([curve, kind]) => {
      const { steps, values } = lines[curve];
      return { xs: steps, ys: values[loss].map(height), kind };
    });
    const values = shown.flatMap(line => line.ys).filter(value => value !== null);
    const words = setting.curve === null ? "no curve of this setting" : swatch("current", "this setting");
    const notes = [
      ...(pinned === null ? [] : [" ", swatch("pinned", "A")]),
      ...(shown.length > 1 ? [" ", swatch("faint", "the others")] : []),
    ];
    const drawing = values.length === 0 ? make("p", {}, "Nothing to draw.") : chart({
      width, height: CHART, lines: shown, label: `${columns[loss].name} over the steps, on a logarithmic scale`,
      x: { label: "step", values: shown.flatMap(line => line.xs) }, y: { label: columns[loss].name, values, log: true },
    });
    view.losses.drawing.replaceChildren(drawing);
    view.losses.legend.replaceChildren(words, ...notes);
  }

  function source(state) {
    const { panel, number } = state, { row } = panel.settings[number];
    const fixed = panel.fixed.filter(column => !free(panel).some(axis => panel.axes[axis].name === column.name));
    const held = fixed.map(column => `${column.name} ${column.text}${unitOf(column)}`).join(" · ");
    const link = { href: panel.pictures + panel.table, "data-row": row };
    const table = make("a", link, `line ${row + 2} of ${panel.table}`);
    const chapter = make("a", { href: panel.chapter }, panel.title);
    const record = make("a", { href: `${panel.pictures}run.json` }, "record");
    return [
      held ? make("p", {}, `The same for all: ${held}.`) : null,
      make(
        "p", {}, "These numbers: ", table, ". The chapter: ", chapter, `. The run: ${panel.record}, `, record,
        ". To make it again: ", make("code", {}, panel.command),
      ),
    ];
  }

  // ---- moving about -------------------------------------------------------------------------------------------------

  const view = {
    root: make("div", { class: "explorer" }), nav: make("nav", { "aria-label": "Experiments" }), panel: null,
  };

  function curveFigure(state) {
    const { columns } = state.panel.curves;
    const option = (column, place) => make("option", { value: place, selected: place === state.loss }, column.name);
    const options = columns.map(option);
    const pick = event => act(state, { loss: Number(event.target.value) });
    const select = make("select", { "aria-label": "Which loss", onchange: pick }, options);
    const [drawing, legend] = [make("div"), make("span")];
    const below = caption(columns.length > 1 ? [select, " "] : [], legend);
    return { drawing, legend, figure: make("figure", {}, drawing, below) };
  }

  function compare(state) {
    const names = { before: "the picture before", A: "A", none: "nothing" };
    const radios = Object.entries(names).map(([kind, words]) => {
      const onchange = () => act(state, { against: kind });
      const given = { type: "radio", name: "explorer-left", value: kind, onchange };
      return make("label", {}, make("input", given), " ", words);
    });
    const keep = () => act(state, { pinned: state.number, against: "A" });
    const forget = () => {
      act(state, { pinned: null, against: "before" });
      view.keep.focus();
    };
    view.keep = make("button", { type: "button", onclick: keep }, "Keep this as A");
    view.forget = make("button", { type: "button", onclick: forget }, "Forget A");
    view.compared = radios;
    const legend = make("legend", {}, "Left of the line");
    return make("fieldset", { class: "compare" }, legend, radios, view.keep, view.forget);
  }

  function build(state) {
    const { panel } = state;
    const controls = new Map(free(panel).map(axis => [axis, control(state, axis)]));
    Object.assign(view, {
      panel, controls, stage: make("div", { class: "stage" }), note: make("p", { class: "note", role: "status" }),
      numbers: make("div", { class: "numbers", role: "table", "aria-label": "Numbers" }), source: make("footer", {}),
      spectrum: make("figure"), radial: make("figure"), losses: panel.curves ? curveFigure(state) : null,
    });
    const look = make("div", { class: "look" }, view.stage, compare(state));
    const handles = make("div", { class: "controls" }, [...controls.values()].map(one => one.node));
    const side = make("div", { class: "side" }, handles, view.note, view.numbers);
    const figures = make("div", { class: "figures" }, view.spectrum, view.radial, view.losses && view.losses.figure);
    const top = make("div", { class: "top" }, look, side);
    view.root.replaceChildren(view.nav, make("section", { "aria-label": panel.title }, top, figures, view.source));
  }

  function tabs(state) {
    if (!view.nav.childElementCount) view.nav.append(...panels.map(panel => make("a", {}, panel.title)));
    panels.forEach((panel, place) => {
      const link = view.nav.children[place];
      link.href = address(states.get(panel.name));
      link.toggleAttribute("aria-current", panel === state.panel);
    });
  }

  function show(state, note = "") {
    const { panel, number, pinned } = state, setting = panel.settings[number];
    if (view.panel !== panel) build(state);
    view.controls.forEach((parts, axis) => setControl(state, axis, parts));
    const beside = left(state);
    const parts = stage(state, beside);
    // A divider that has the keyboard's focus stays: only what it lies over is exchanged.
    const old = view.stage.dataset.kind === beside.kind ? [...view.stage.children] : null;
    if (old) parts.forEach((part, index) => refresh(old[index], part));
    else view.stage.replaceChildren(...parts);
    view.stage.dataset.kind = beside.kind;
    view.compared.forEach(label => {
      const [input] = label.children;
      input.checked = input.value === beside.kind;
      label.hidden = (input.value === "A" && pinned === null) || (input.value === "before" && !setting.files[2]);
    });
    view.forget.hidden = pinned === null;
    view.note.textContent = note;
    view.numbers.replaceChildren(...numbers(state));
    const below = caption("Amplitude spectrum, low frequencies in the middle, the same colours for all");
    view.spectrum.replaceChildren(spectra(state, beside), below);
    view.source.replaceChildren(...source(state).filter(Boolean));
    cut(state, state.cut);
    charts(state);
    tabs(state);
    view.state = state;
    view.root.dataset.row = setting.row;
    ahead(state);
  }

  function refresh(node, wished) {
    if (node.tagName === "IMG") Object.assign(node, { src: wished.getAttribute("src"), alt: wished.alt });
    else if (node.tagName === "SPAN") node.textContent = wished.textContent;
  }

  function charts(state) {
    const width = figure => Math.max(240, Math.floor(figure.getBoundingClientRect().width) || 300);
    view.radial.replaceChildren(...radial(state, width(view.radial)));
    if (view.losses) losses(state, width(view.losses.figure));
  }

  function move(state, axis, position) {
    const { panel, number } = state, before = panel.settings[number];
    const wished = before.at.map((old, index) => (index === axis ? position : old));
    state.number = nearest(panel, wished, [axis]);
    if (panel.axes[axis].slider) state.moved = axis;
    const after = panel.settings[state.number];
    const others = free(panel).filter(index => index !== axis && after.at[index] !== before.at[index]);
    const [old, now] = [before, after].map(setting => describe(panel, setting, others));
    act(state, {}, others.length ? `${describe(panel, after, [axis])} was not run with ${old}: this is ${now}.` : "");
  }

  // What a reader does: it shows, and stands in the address.
  function act(state, changes, note = "") {
    show(Object.assign(state, changes), note);
    history.replaceState(null, "", address(state));
  }

  // The pictures one step away are fetched while nothing else happens, so that a step shows at once.
  const kept = new Map();
  const idle = window.requestIdleCallback ?? (task => setTimeout(task, 100));

  function ahead({ panel, number }) {
    idle(() => {
      for (const axis of free(panel)) {
        for (const step of [-1, 1]) {
          const wished = panel.settings[number].at.map((old, index) => (index === axis ? old + step : old));
          if (wished[axis] < 0 || wished[axis] >= panel.axes[axis].values.length) continue;
          for (const name of panel.settings[nearest(panel, wished, [axis])].files.filter(Boolean)) {
            const url = panel.pictures + name;
            if (!kept.has(url)) kept.set(url, Object.assign(new Image(), { src: url }));
          }
        }
      }
    });
  }

  const start = () => show(asked(location.hash) ?? view.state ?? states.get(panels[0].name));
  place.replaceChildren(view.root);
  addEventListener("hashchange", start);
  start();
  new ResizeObserver(() => charts(view.state)).observe(view.nav);
})();
