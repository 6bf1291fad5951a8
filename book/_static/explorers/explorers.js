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
        const list = make("select", { onchange: () => this.set({ [key]: options[list.selectedIndex] }) },
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
      const shown = make("output", {}, words(value));
      const input = make("input", {
        type: "range", min: 0, max: options.length - 1, step: 1, value: options.indexOf(value),
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
      const data = JSON.parse(this.querySelector("script").textContent);
      const page = new Page(this);
      const build = kinds[this.getAttribute("kind")];
      page.redraw = build(page, data);
      page.show();
      this.setAttribute("role", "group");
      this.setAttribute("aria-label", name);
      const from = data.title ? make("span", { class: "explorer-from" }, data.title) : null;
      const parts = [make("p", { class: "explorer-name" }, name, " ", from), page.controls, page.body, page.said];
      if (!page.plain) parts.push(page.tables);
      this.replaceChildren(...parts);
      this.classList.add("explorer");
    }
  }

  /* All kinds are known when the page has been read: scripts are deferred. */
  document.addEventListener("DOMContentLoaded", () => customElements.define("book-explorer", BookExplorer));

  return { add: (kind, build) => { kinds[kind] = build; }, make, unpack, number, small };
})();
