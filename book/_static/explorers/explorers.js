/* <book-explorer kind="…" name="…">: a part of a page to play with.

   Its first child is a script of JSON, cut from a result by papers/explorers.py; no number is
   computed here. The rest of its content is what readers without scripts see. Each kind has a file
   of its own here, which adds itself with explorers.add(kind, build). build(page, data) makes
   controls and drawings once and returns a function that shows the chosen state. */

"use strict";

const explorers = (() => {
  const kinds = {};
  let count = 0;

  /* Make an element: make("p", {class: "note"}, "text", child). Handlers are functions: onclick. */
  function make(tag, attributes = {}, ...children) {
    const svg = /^(svg|g|path|line|circle|rect|text|title|polyline)$/.test(tag);
    const one = svg
      ? document.createElementNS("http://www.w3.org/2000/svg", tag)
      : document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) {
      if (typeof value === "function") one.addEventListener(key.slice(2), value);
      else if (value === true) one.setAttribute(key, "");
      else if (value !== false && value != null) one.setAttribute(key, value);
    }
    one.append(...children.flat().filter((child) => child != null));
    return one;
  }

  /* Unpack what papers.explorers.packed wrote. array.at({dim: label, …}) is a number. */
  function unpack({ dims, type, factor, data }) {
    const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
    const view = new DataView(bytes.buffer);
    const wide = type === "Float32" ? 4 : 2;
    const names = Object.keys(dims);
    const places = names.map((name) => new Map(dims[name].map((label, i) => [label, i])));
    function at(labels) {
      let index = 0;
      names.forEach((name, i) => {
        const place = places[i].get(labels[name]);
        if (place === undefined) throw new Error(`${name} has no ${labels[name]}`);
        index = index * dims[name].length + place;
      });
      if (wide === 4) return view.getFloat32(4 * index, true);
      const value = view.getInt16(2 * index, true);
      return value === -32768 ? NaN : value * factor;
    }
    const along = (dim, labels) => dims[dim].map((label) => at({ ...labels, [dim]: label }));
    return { dims, at, along };
  }

  const number = (value, digits = 2) =>
    Number.isNaN(value) ? "–" : value.toFixed(digits).replace("-", "−").replace(/^−(0\.?0*)$/, "$1");

  function small(value) { // a p-value
    if (Number.isNaN(value)) return "–";
    if (value >= 0.001) return value.toPrecision(2);
    const [digits, power] = value.toExponential(1).split("e");
    return `${digits} · 10^${power.replace("-", "−")}`;
  }

  /* Draw lines in a panel. `lines` are {points: [[x, y], …], look: 0…6, faint, dots}; `marks` are
     labels at which a vertical line stands; `pick(x)` is called where a pointer goes. */
  function chart({ title, x, y, lines, xlabel, mark, log = false, pick, dashed, ticks, named = short }) {
    const wide = 320, high = 220, left = 44, right = 308, top = 26, bottom = 182;
    const scale = log ? Math.log10 : (v) => v;
    const across = (v) => left + (right - left) * (v - x[0]) / (x[1] - x[0] || 1);
    const up = (v) => bottom - (bottom - top) * (scale(v) - scale(y[0])) / (scale(y[1]) - scale(y[0]) || 1);
    const svg = make("svg", { viewBox: `0 0 ${wide} ${high}`, class: "explorer-chart", "aria-hidden": "true" },
      make("text", { x: left, y: 14, class: "title" }, title),
      make("text", { x: (left + right) / 2, y: high - 4, "text-anchor": "middle" }, xlabel));
    const levels = log ? decades(y) : steps(y, 5), places = ticks ?? steps(x, 7);
    for (const v of levels) svg.append(
      make("line", { x1: left, x2: right, y1: up(v), y2: up(v), class: "grid" }),
      make("text", { x: left - 5, y: up(v) + 4, "text-anchor": "end" }, short(v)));
    for (const v of places) svg.append(make("text", { x: across(v), y: bottom + 16, "text-anchor": "middle" }, named(v)));
    if (dashed !== undefined) svg.append(make("line", { x1: left, x2: right, y1: up(dashed), y2: up(dashed), class: "dashed" }));
    if (mark !== undefined) svg.append(make("line", { x1: across(mark), x2: across(mark), y1: top, y2: bottom, class: "mark" }));
    for (const { points, look, faint, dots, line = true } of lines) {
      const drawn = points.filter(([, v]) => Number.isFinite(v) && (!log || v > 0));
      const style = `look-${look}${faint ? " faint" : ""}`;
      if (line) svg.append(make("polyline", { points: drawn.map(([h, v]) => `${across(h)},${up(v)}`).join(" "), class: style }));
      if (dots) for (const [h, v] of drawn) svg.append(make("circle", { cx: across(h), cy: up(v), r: dots === true ? 2.6 : dots, class: style }));
    }
    if (pick) {
      const at = (event) => {
        const box = svg.getBoundingClientRect();
        const h = (event.clientX - box.left) / box.width * wide;
        pick(x[0] + (h - left) / (right - left) * (x[1] - x[0]));
      };
      svg.addEventListener("pointermove", (event) => event.pointerType === "mouse" && at(event));
      svg.addEventListener("click", at);
    }
    return svg;
  }

  function steps([low, high], count) {
    const rough = (high - low) / count, power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough);
    const found = [];
    for (let i = Math.ceil(low / step - 1e-9); i <= high / step + 1e-9; i++) found.push(Number((i * step).toPrecision(6)));
    return found;
  }

  function decades([low, high]) {
    const found = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++)
      for (const n of [1, 2, 5]) if (n * 10 ** power >= low && n * 10 ** power <= high) found.push(n * 10 ** power);
    return found;
  }

  const short = (v) => String(Number(v.toPrecision(3))).replace("-", "−");

  /* The names of lines in their colours. */
  const legend = (names) => make("p", { class: "explorer-legend" },
    names.map((name, i) => make("span", { class: `look-${i % 7}` }, name)));

  /* One of several pictures that stand side by side in a file. */
  const picture = (file, place, count, name) => make("div", {
    class: "explorer-picture", role: "img", "aria-label": name,
    style: `background-image: url("${file}"); background-size: ${100 * count}% 100%; background-position: ${count > 1 ? 100 * place / (count - 1) : 0}% 0`,
  });

  class Page {
    constructor(host) {
      this.host = host;
      this.id = `explorer-${++count}`;
      this.state = {};
      this.controls = make("div", { class: "explorer-controls" });
      this.body = make("div", { class: "explorer-body" });
      this.said = make("p", { class: "explorer-state", "aria-live": "polite" });
      this.tables = make("details", { class: "explorer-table" }, make("summary", {}, "The same as a table"));
      this.tables.addEventListener("toggle", () => this.tables.open && this.show());
    }

    show() { this.redraw?.(this.state); }

    set(changes) {
      Object.assign(this.state, changes);
      this.show();
    }

    /* A choice of one: buttons if there are few, else a list. Of a single option: nothing. */
    choice(key, label, options, { words = {}, value = options[0] } = {}) {
      this.state[key] = value;
      if (options.length < 2) return;
      const said = (option) => words[option] ?? String(option);
      const long = options.map(said).join("").length > 60 || options.length > 5;
      if (long) {
        const list = make("select", { "aria-label": label, onchange: () => this.set({ [key]: options[list.selectedIndex] }) },
          options.map((option) => make("option", { selected: option === value }, said(option))));
        this.controls.append(make("label", { class: "explorer-list" }, make("span", {}, label), list));
        return;
      }
      const buttons = options.map((option, i) => make("label", {},
        make("input", {
          type: "radio", name: `${this.id}-${key}`, value: i, checked: option === value,
          onchange: () => this.set({ [key]: option }),
        }), make("span", {}, said(option))));
      this.controls.append(make("fieldset", {}, make("legend", {}, label), make("div", {}, buttons)));
    }

    /* A slider over the labels in `options`; returns its input, so that drawings can move it. */
    slider(key, label, options, { words = String, value = options[0] } = {}) {
      this.state[key] = value;
      const shown = make("b", {}, words(value));
      const input = make("input", {
        type: "range", "aria-label": label.replace(/:$/, ""), min: 0, max: options.length - 1, step: 1, value: options.indexOf(value),
        oninput: () => {
          const option = options[input.valueAsNumber];
          shown.textContent = words(option);
          input.setAttribute("aria-valuetext", words(option));
          this.set({ [key]: option });
        },
        "aria-valuetext": words(value),
      });
      this.controls.append(make("label", { class: "explorer-slider" }, make("span", {}, label, " ", shown), input));
      return (option) => {
        input.value = options.indexOf(option);
        input.dispatchEvent(new Event("input"));
      };
    }

    check(key, label, value = false) {
      this.state[key] = value;
      const box = make("input", { type: "checkbox", checked: value, onchange: () => this.set({ [key]: box.checked }) });
      this.controls.append(make("label", { class: "explorer-check" }, box, make("span", {}, label)));
    }

    say(...text) { this.said.replaceChildren(...text); }

    /* The numbers as a table; made only while it is open. */
    table(head, rows) {
      if (!this.tables.open) return;
      this.tables.querySelector("div")?.remove();
      const line = (cells) => make("tr", {}, cells.map((cell, i) => i ? make("td", {}, cell) : make("th", { scope: "row" }, cell)));
      this.tables.append(make("div", { class: "explorer-scroll", tabindex: 0, role: "group", "aria-label": "Table of numbers" },
        make("table", { class: "table" },
          make("thead", {}, make("tr", {}, head.map((cell) => make("th", { scope: "col" }, cell)))),
          make("tbody", {}, rows.map(line)))));
    }
  }

  class BookExplorer extends HTMLElement {
    connectedCallback() {
      if (this.done) return;
      this.done = true;
      const name = this.getAttribute("name");
      const data = JSON.parse(this.querySelector("script")?.textContent ?? "{}");
      const page = new Page(this);
      const build = kinds[this.getAttribute("kind")];
      page.redraw = build(page, data, this);
      page.show();
      this.setAttribute("role", "group");
      this.setAttribute("aria-label", name);
      const from = data.title ? make("span", { class: "explorer-from" }, data.title) : null;
      const parts = [make("p", { class: "explorer-name" }, name, " ", from), page.controls, page.body, page.said];
      if (!page.plain) parts.push(page.tables);
      if (page.keep) this.prepend(...parts);
      else {
        const still = [...this.children].filter((child) => child.localName !== "script");
        this.replaceChildren(...parts, make("div", { class: "explorer-print" }, ...still)); // for paper
      }
      this.classList.add("explorer");
    }
  }

  /* All kinds are known when the page has been read: scripts are deferred. */
  document.addEventListener("DOMContentLoaded", () => customElements.define("book-explorer", BookExplorer));

  return { add: (kind, build) => { kinds[kind] = build; }, chart, legend, make, number, picture, small, unpack };
})();
