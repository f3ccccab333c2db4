// The first page's comparison: a photograph and what a style made of it, with a line between that can be moved. The
// pictures are the explorer's; without a script the page shows its figure alone.

(function () {
  "use strict";

  const place = document.querySelector(".compare");
  const panel = window.stylereproExplorer?.panels.find(one => one.name === place?.dataset.panel);
  if (!panel) return;

  const [name, value] = place.dataset.fixed.split("=");
  const chosen = { [name]: value };
  const axisOf = of => panel.axes.findIndex(axis => axis.name === of);
  const fits = setting => Object.entries(chosen).every(([of, wanted]) => panel.axes[axisOf(of)].values[setting.at[axisOf(of)]] === wanted);

  function made(tag, attributes, ...inside) {
    const element = document.createElement(tag);
    for (const [key, text] of Object.entries(attributes)) element.setAttribute(key, text);
    element.append(...inside);
    return element;
  }

  const [after, before] = ["after", "before"].map(kind => made("img", { class: kind, width: 256, height: 256 }));
  const line = made("input", { type: "range", min: 0, max: 100, value: 50, "aria-label": "Line between the photograph and the result" });
  const stage = made("div", { class: "stage" }, after, before, line);
  const caption = made("p", { "aria-live": "polite" });
  line.addEventListener("input", () => stage.style.setProperty("--cut", `${line.value}%`));

  function choices(of, legend) {
    const axis = panel.axes[axisOf(of)];
    chosen[of] = axis.values[0];
    const buttons = axis.values.map(text => made("button", { type: "button", "data-value": text }, text.replaceAll("_", " ")));
    for (const button of buttons) button.addEventListener("click", () => { chosen[of] = button.dataset.value; show(); });
    return [made("div", { role: "group", "aria-label": legend }, made("span", {}, legend), ...buttons), of, buttons];
  }

  const groups = [choices("style", "Style"), choices("content", "Photograph")];

  function show() {
    const setting = panel.settings.find(fits);
    const words = groups.map(([, of]) => `${of}=${encodeURIComponent(chosen[of])}`);
    for (const [, of, buttons] of groups)
      for (const button of buttons) button.setAttribute("aria-pressed", button.dataset.value === chosen[of]);
    after.src = panel.pictures + setting.files[0];
    before.src = panel.pictures + setting.files[2];
    const plain = text => text.replaceAll("_", " ");
    after.alt = `${plain(chosen.content)} in the style of ${plain(chosen.style)}`;
    before.alt = `the photograph ${plain(chosen.content)}`;
    caption.replaceChildren("Left of the line the photograph, right of it the result. ",
      made("a", { href: `explorer.html#${[panel.name, `${name}=${value}`, ...words].join("&")}` }, "Its numbers, in the explorer"), ".");
  }

  show();
  place.replaceChildren(stage, made("div", { class: "choices" }, ...groups.map(([group]) => group), caption));
})();
