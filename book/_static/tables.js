// Every table can be sorted by its headers and taken along as CSV; the ledger's can be searched and filtered, too.
// DataTables does the sorting. A table that it could not read is left as it is, with its CSV link.

(function () {
  "use strict";

  const FILTERS = /^(document|verdict|network|profile)/i;
  const CLAIM = /^(?:(\d{3})|[a-z]\w*)\.\d+/; // its document is in its number; an own ablation's begins with its name
  const UNITS = { ms: 0.001, s: 1, min: 60, h: 3600 };
  const collator = new Intl.Collator("en", { numeric: true });

  const plain = text => text.replace(/\u2212/g, "-").replace(/[\u00a0\u2009\u202f]/g, " ").replace(/\s+/g, " ").trim();
  const textOf = cell => plain(cell.dataset.value ?? cell.textContent);

  // "1.5e-3", "57 %" and "3 min" are numbers, and so is "0.8 [0.7, 0.9]" by its first; "000.1" is a name.
  function key(text) {
    const found = /^[+-]?(\d[\d,]*\.?\d*|\.\d+)(e[+-]?\d+)?(?![\w.])\s*([a-zA-Z]+\b)?/i.exec(text);
    if (/^(|nan|none|null|n\/a|-|–|—)$/i.test(text)) return null;
    if (!found || /^0\d/.test(text)) return text;
    return parseFloat(found[0].replace(/,/g, "")) * (UNITS[found[3]] ?? 1);
  }

  // What is missing comes last, whichever way round.
  const order = sign => (a, b) => {
    const [x, y] = [a, b].map(cell => key(plain(String(cell).replace(/<[^>]*>/g, "")))); // a cell comes with its marks
    if (x === null || y === null) return (x === null) - (y === null);
    if (typeof x === "number" && typeof y === "number") return sign * (x - y);
    return sign * (typeof x === typeof y ? collator.compare(x, y) : typeof x === "number" ? -1 : 1);
  };

  // Cells by row and column, for headers whose labels span several columns.
  function grid(rows) {
    const lines = rows.map(() => []);
    rows.forEach((row, y) => {
      let x = 0;
      for (const cell of row.cells) {
        while (lines[y][x]) x += 1;
        for (let down = 0; down < cell.rowSpan && y + down < rows.length; down += 1)
          for (let across = 0; across < cell.colSpan; across += 1) lines[y + down][x + across] = cell;
        x += cell.colSpan;
      }
    });
    return lines;
  }

  function labels(table) {
    const lines = table.tHead ? grid([...table.tHead.rows]) : [];
    return (lines[0] ?? []).map((_, x) => [...new Set(lines.map(line => line[x]))].map(textOf).filter(Boolean).join(" "));
  }

  function csv(table, header, rows) {
    const quoted = text => (/[",\n]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text);
    const lines = grid(rows).map(line => line.map(textOf));
    return [...(header.length ? [header] : []), ...lines].map(line => line.map(quoted).join(",")).join("\n") + "\n";
  }

  function link(table, number, header, rows) {
    const page = location.pathname.split("/").pop().replace(/\.html$/, "");
    const heading = table.closest("section")?.querySelector("h1, h2, h3, h4");
    const title = plain((table.caption ?? heading)?.textContent ?? "").replace(/#$/, "");
    const slug = title.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-").slice(0, 48).replace(/^-+|-+$/g, "");
    const anchor = document.createElement("a");
    anchor.textContent = "CSV";
    anchor.download = `${[page, number, slug].filter(Boolean).join("-")}.csv`;
    anchor.href = `data:text/csv;charset=utf-8,${encodeURIComponent(csv(table, header, rows))}`;
    anchor.setAttribute("aria-label", `This table as CSV: ${title || page}`);
    const place = document.createElement("div");
    place.className = "table-csv";
    place.append(anchor);
    (table.closest(".dt-container") ?? table).after(place);
  }

  function labelled(text, control) {
    const label = document.createElement("label");
    label.append(text, " ", control);
    return label;
  }

  // Values of a cell: what it says it is filtered by, or its text; several stand behind one another with a comma or dot.
  const values = cell => plain(cell.dataset.filter ?? cell.textContent).split(/\s*[,·;]\s*/).filter(Boolean);

  function tools(table, sorted, header, rows) {
    const bar = document.createElement("div");
    bar.className = "table-tools";
    bar.setAttribute("role", "search");
    const search = Object.assign(document.createElement("input"), { type: "search", placeholder: "any word" });
    bar.append(labelled("Search", search));
    const chosen = new Map();
    const columns = header.map((name, x) => [name, row => values(row.cells[x])]).filter(([name]) => FILTERS.test(name));
    if (rows.every(row => CLAIM.test(textOf(row.cells[0]))) && !columns.some(([name]) => /^document/i.test(name)))
      columns.unshift(["Document", row => [CLAIM.exec(textOf(row.cells[0]))[1] ?? "own"]]);
    for (const [name, of] of columns) {
      const found = new Map(rows.map(row => [row, of(row)]));
      const kinds = [...new Set([...found.values()].flat())].sort(collator.compare);
      if (kinds.length < 2) continue;
      const select = document.createElement("select");
      select.append(new Option("all", ""), ...kinds.map(kind => new Option(kind, kind)));
      select.addEventListener("change", () => {
        chosen.set(name, row => select.value === "" || found.get(row).includes(select.value));
        sorted.draw();
      });
      bar.append(labelled(name, select));
    }
    const count = document.createElement("output");
    bar.append(count);
    search.addEventListener("input", () => sorted.search(search.value).draw());
    DataTable.ext.search.push((settings, text, number) => settings.nTable !== table
      || [...chosen.values()].every(holds => holds(sorted.row(number).node())));
    const tell = () => {
      const shown = sorted.rows({ search: "applied" }).count();
      count.textContent = `${shown} of ${rows.length} shown`;
    };
    sorted.on("draw", tell);
    tell();
    (table.closest(".pst-scrollable-table-container") ?? table.closest(".dt-container")).before(bar);
  }

  function sortable(table, header, rows) {
    const even = rows.length > 0 && rows.every(row => row.cells.length === header.length
      && [...row.cells].every(cell => cell.colSpan === 1 && cell.rowSpan === 1));
    if (header.length === 0 || !even || table.tBodies.length !== 1) return null;
    const widths = [...table.querySelectorAll("col")].map(col => col.getAttribute("style"));
    const sorted = new DataTable(table, {
      paging: false, info: false, autoWidth: false, order: [], orderClasses: false,
      searching: table.classList.contains("ledger-table"),
      layout: { topStart: null, topEnd: null, bottomStart: null, bottomEnd: null },
      columnDefs: [{ targets: "_all", type: "cells" }],
    });
    table.querySelectorAll("col").forEach((col, x) => widths[x] && col.setAttribute("style", widths[x]));
    if (table.classList.contains("ledger-table"))
      rows.forEach(row => [...row.cells].forEach((cell, x) => { cell.dataset.label = header[x]; }));
    // DataTables knows the enter key; a button answers to the space bar, too.
    table.tHead.addEventListener("keydown", event => {
      if (event.key !== " " || event.target.getAttribute("role") !== "button") return;
      event.preventDefault();
      event.target.click();
    });
    sorted.on("order", () => table.classList.toggle("sorted", sorted.order().some(([, way]) => way)));
    return sorted;
  }

  function start() {
    DataTable.ext.errMode = "throw";
    DataTable.ext.type.order["cells-asc"] = order(1);
    DataTable.ext.type.order["cells-desc"] = order(-1);
    [...document.querySelectorAll("article table")].forEach((table, place) => {
      const header = labels(table);
      const rows = [...table.rows].filter(row => row.parentElement !== table.tHead);
      let sorted = null;
      try {
        sorted = sortable(table, header, rows);
      } catch (error) {
        console.warn(`this table cannot be sorted: ${error.message}`, table);
      }
      link(table, place + 1, header, rows);
      if (sorted && table.classList.contains("ledger-table")) tools(table, sorted, header, rows);
    });
    document.documentElement.dataset.tables = "ready";
  }

  start();
})();
