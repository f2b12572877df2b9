"use strict";
// Tables that sort by their headings and are filtered by words. Without this script they are read as they stand.
(() => {
  const MISSING = new Set(["", "n/a", "–", "-", "nan"]);
  const COLLATOR = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
  const NUMBER = /^[<>≤≥±~\s]*([-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?|[-+]?∞)/i;
  // A filter above a handful of rows would only be in the way.
  const FILTERED_FROM = 8;

  function numberOf(text) {
    const found = NUMBER.exec(text.replaceAll("−", "-"));
    if (!found) return NaN;
    return found[1].includes("∞") ? (found[1].startsWith("-") ? -Infinity : Infinity) : Number(found[1]);
  }

  function keyOf(row, column, numeric) {
    const cell = row.cells[column];
    const text = cell ? cell.textContent.trim() : "";
    if (MISSING.has(text.toLowerCase())) return null;
    if (!numeric) return text;
    const value = numberOf(text);
    return Number.isNaN(value) ? null : value;
  }

  function compare(a, b, numeric) {
    if (numeric) return a < b ? -1 : a > b ? 1 : 0;
    return COLLATOR.compare(a, b);
  }

  // What is missing stays last in both directions; rows that are equal keep the order of the page.
  function ordered(rows, column, numeric, direction) {
    const keyed = rows.map((row) => ({ row, key: keyOf(row, column, numeric) }));
    keyed.sort((a, b) => {
      if (a.key === null || b.key === null) return (a.key === null) - (b.key === null);
      return direction * compare(a.key, b.key, numeric);
    });
    return keyed.map((one) => one.row);
  }

  const NEXT = { none: "ascending", ascending: "descending", descending: "none" };

  function makeSortable(table, rows) {
    const body = table.tBodies[0];
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      // Pictures have no order.
      if (rows.some((row) => row.cells[column]?.querySelector("img"))) return;
      const numeric = head.classList.contains("number");
      const button = document.createElement("button");
      button.type = "button";
      button.className = "sort";
      button.append(...head.childNodes);
      head.append(button);
      head.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => {
        const state = NEXT[head.getAttribute("aria-sort")];
        for (const other of heads) if (other.ariaSort) other.setAttribute("aria-sort", "none");
        head.setAttribute("aria-sort", state);
        const direction = state === "descending" ? -1 : 1;
        body.append(...(state === "none" ? rows : ordered(rows, column, numeric, direction)));
      });
    });
  }

  function makeFilter(box, rows, title) {
    const line = document.createElement("div");
    line.className = "filter";
    const input = document.createElement("input");
    input.type = "search";
    input.placeholder = "Filter rows";
    input.autocomplete = "off";
    input.setAttribute("aria-label", `Filter rows: ${title}`);
    const count = document.createElement("output");
    line.append(input, count);
    box.before(line);
    const texts = rows.map((row) => [...row.cells].map((cell) => cell.textContent).join(" ").toLowerCase());
    input.addEventListener("input", () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      rows.forEach((row, at) => {
        row.hidden = !words.every((word) => texts[at].includes(word));
        shown += row.hidden ? 0 : 1;
      });
      count.textContent = words.length ? `${shown} of ${rows.length} rows` : "";
    });
  }

  // A table that is wider than the page says so, and the keyboard reaches its other end.
  function watchWidth(box, title) {
    const hint = document.createElement("p");
    hint.className = "more";
    hint.textContent = "More columns: scroll sideways →";
    hint.hidden = true;
    box.before(hint);
    const look = () => {
      const wide = box.scrollWidth > box.clientWidth + 1;
      hint.hidden = !wide || box.scrollLeft + box.clientWidth >= box.scrollWidth - 1;
      box.classList.toggle("wide", wide);
      for (const [name, value] of [["tabindex", "0"], ["role", "region"], ["aria-label", title]]) {
        if (wide) box.setAttribute(name, value);
        else box.removeAttribute(name);
      }
    };
    box.addEventListener("scroll", look, { passive: true });
    new ResizeObserver(look).observe(box);
  }

  for (const box of document.querySelectorAll(".scroll")) {
    const table = box.querySelector("table");
    const folded = box.closest("details");
    const caption = table.caption || (folded && folded.querySelector("summary"));
    const title = caption ? caption.textContent.trim() : "table";
    if (box.hasAttribute("data-sort")) {
      const rows = [...table.tBodies[0].rows];
      makeSortable(table, rows);
      if (rows.length >= FILTERED_FROM) makeFilter(box, rows, title);
    }
    watchWidth(box, title);
  }
})();
