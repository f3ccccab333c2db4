// Small line charts for the explorer, as SVG in the colours of the theme; explorer.css says which line looks how.

(function () {
  "use strict";

  const NAMES = "http://www.w3.org/2000/svg";
  const SUPERSCRIPT = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };
  const MARGIN = { top: 10, right: 18, bottom: 38, left: 50 };

  function node(tag, attributes, ...children) {
    const made = document.createElementNS(NAMES, tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  }

  // Round numbers between two ends, about as many as asked for.
  function rounds(low, high, count) {
    const rough = (high - low || 1) / count;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = power * [1, 2, 5, 10].find(times => times * power >= rough * 0.999);
    const found = [];
    for (let times = Math.ceil(low / step - 1e-9); times * step <= high + step * 1e-9; times += 1) found.push(times * step);
    return found;
  }

  const plain = value => String(Number(value.toPrecision(6)));

  function power(exponent) {
    if (Math.abs(exponent) <= 2) return plain(10 ** exponent);
    return `10${[...String(exponent)].map(sign => SUPERSCRIPT[sign]).join("")}`;
  }

  // Ticks of a logarithmic axis, whose ends are exponents: whole powers, or round numbers where there are too few.
  function powers(low, high) {
    const whole = [];
    for (let exponent = Math.ceil(low - 1e-9); exponent <= high + 1e-9; exponent += 1) whole.push(exponent);
    if (whole.length >= 2) {
      const every = Math.ceil(whole.length / 5);
      return whole.filter((_, place) => place % every === 0).map(one => [one, power(one)]);
    }
    return rounds(10 ** low, 10 ** high, 3).filter(one => one > 0).map(one => [Math.log10(one), plain(one)]);
  }

  function extent(values) {
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const room = (high - low) * 0.04 || Math.abs(high) * 0.05 || 1;
    return [low - room, high + room];
  }

  // A chart. lines: {xs, ys, kind}, drawn in that order, with null for a gap; x and y: {label, values, log}, where
  // `values` are what the axis has room for. All values of a logarithmic axis are exponents of ten.
  function chart({ width, height, label, lines, x, y }) {
    const right = width - MARGIN.right, bottom = height - MARGIN.bottom;
    const [left, top] = [MARGIN.left, MARGIN.top];
    const xs = [Math.min(...x.values), Math.max(...x.values)], ys = extent(y.values);
    const across = value => left + ((value - xs[0]) / (xs[1] - xs[0] || 1)) * (right - left);
    const up = value => bottom - ((value - ys[0]) / (ys[1] - ys[0])) * (bottom - top);
    const image = node("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": label });
    for (const [value, text] of y.log ? powers(...ys) : rounds(...ys, 5).map(one => [one, plain(one)])) {
      const at = up(value);
      image.append(node("line", { x1: left, x2: right, y1: at, y2: at, class: "grid" }));
      image.append(node("text", { x: left - 6, y: at + 4, "text-anchor": "end" }, text));
    }
    for (const value of rounds(...xs, Math.max(2, Math.floor(width / 80)))) {
      image.append(node("line", { x1: across(value), x2: across(value), y1: bottom, y2: bottom + 4, class: "tick" }));
      image.append(node("text", { x: across(value), y: bottom + 17, "text-anchor": "middle" }, plain(value)));
    }
    image.append(node("line", { x1: left, x2: right, y1: bottom, y2: bottom, class: "tick" }));
    image.append(node("text", { x: (left + right) / 2, y: height - 4, "text-anchor": "middle" }, x.label));
    const middle = (top + bottom) / 2;
    const turned = { x: 12, y: middle, "text-anchor": "middle", transform: `rotate(-90 12 ${middle})` };
    image.append(node("text", turned, y.label));
    for (const line of lines) {
      let path = "", pen = "M";
      line.xs.forEach((value, place) => {
        const other = line.ys[place];
        if (other === null) pen = "M";
        else [path, pen] = [`${path}${pen}${across(value).toFixed(1)} ${up(other).toFixed(1)}`, "L"];
      });
      if (path) image.append(node("path", { d: path, class: `line ${line.kind}` }));
    }
    return image;
  }

  // The values of one number along a slider, with a dot at the present one.
  function sparkline(values, present) {
    const [width, height, room] = [76, 22, 4];
    const known = values.filter(value => value !== null);
    const [low, high] = [Math.min(...known), Math.max(...known)];
    const across = place => room + (place / Math.max(1, values.length - 1)) * (width - 2 * room);
    const up = value => (high > low ? height - room - ((value - low) / (high - low)) * (height - 2 * room) : height / 2);
    const image = node("svg", { viewBox: `0 0 ${width} ${height}`, width, height, "aria-hidden": "true" });
    const points = values.map((value, place) => (value === null ? null : [across(place), up(value)]));
    const path = points.filter(Boolean).map(([h, v]) => `${h.toFixed(1)},${v.toFixed(1)}`).join(" ");
    image.append(node("polyline", { points: path, class: "line faint" }));
    points.forEach((point, place) => {
      if (!point) return;
      const [r, kind] = place === present ? [3.5, "now"] : [1.5, ""];
      image.append(node("circle", { cx: point[0].toFixed(1), cy: point[1].toFixed(1), r, class: kind }));
    });
    return image;
  }

  window.stylereproCharts = { chart, sparkline };
})();
