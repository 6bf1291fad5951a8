/* The Invariance Flow Matrix: a table of coloured cells; the cell under the pointer, or the one that
   the arrow keys reach, is explained with both of its terms. */

explorers.add("flow", (page, data) => {
  const { make, unpack, number } = explorers;
  const stir = unpack(data.stir), flow = unpack(data.flow), beyond = unpack(data.beyond);
  const { dataset = [], task, recipe = [], estimator, ref_layer: rows, layer: columns } = flow.dims;
  const itself = task[task.length - 1];

  page.plain = true; // the matrix is a table already
  page.choice("dataset", "Data set", dataset);
  page.choice("task", "Fine-tuned for", task, { words: { [itself]: "nothing (itself)" } });
  page.choice("recipe", "Inverted by", recipe);
  page.choice("estimator", "CKA", estimator, { value: estimator[estimator.length - 1] });
  page.check("less", "minus the baseline, pretrained → itself");
  Object.assign(page.state, { row: rows[rows.length - 1], column: columns[Math.floor(columns.length / 2)] });

  const cells = new Map();
  const key = (row, column) => `${row} ${column}`;
  const body = rows.map((row) => make("tr", {},
    make("th", { scope: "row" }, row),
    columns.map((column) => {
      const cell = make("td", { role: "gridcell", tabindex: -1, "data-row": row, "data-column": column });
      cells.set(key(row, column), cell);
      return cell;
    })));
  const grid = make("table", { role: "grid", class: "explorer-matrix", "aria-label": "Flow matrix" },
    make("caption", {}, "Columns: fine-tuned layer j. Rows: pretrained layer i. Below the diagonal red is compression, above it expansion."),
    make("thead", {}, make("tr", {}, make("td", {}, "i \\ j"), columns.map((column) => make("th", { scope: "col" }, column)))),
    make("tbody", {}, body));

  function choose(cell, focus) {
    if (!cell) return;
    const row = Number(cell.dataset.row), column = Number(cell.dataset.column);
    if (row !== page.state.row || column !== page.state.column) page.set({ row, column });
    if (focus) cell.focus();
  }
  const cellOf = (event) => event.target.closest("td[data-row]");
  let last = ""; // a page that scrolls under a mouse at rest chooses nothing
  grid.addEventListener("pointermove", (event) => {
    const place = `${event.clientX} ${event.clientY}`;
    if (event.pointerType === "mouse" && place !== last) choose(cellOf(event));
    last = place;
  });
  grid.addEventListener("click", (event) => choose(cellOf(event), true));
  grid.addEventListener("focusin", (event) => choose(cellOf(event)));
  grid.addEventListener("keydown", (event) => {
    const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1], Home: [0, -99], End: [0, 99] };
    const step = steps[event.key];
    if (!step) return;
    event.preventDefault();
    const moved = (list, value, by) => list[Math.max(0, Math.min(list.length - 1, list.indexOf(value) + by))];
    const { row, column } = page.state;
    choose(cells.get(key(moved(rows, row, step[0]), moved(columns, column, step[1]))), true);
  });
  page.body.append(grid);

  const most = {}; // one colour scale for every choice of data set: the largest flow of any
  for (const name of dataset.length ? dataset : [undefined]) {
    most[name] = 0;
    for (const t of task) for (const r of recipe.length ? recipe : [undefined]) for (const e of estimator)
      for (const i of rows) for (const j of columns) {
        const value = flow.at({ dataset: name, task: t, recipe: r, estimator: e, ref_layer: i, layer: j });
        if (!(Math.abs(value) <= most[name])) most[name] = Math.abs(value);
      }
  }

  return (state) => {
    const shown = state.less ? beyond : flow;
    for (const [place, cell] of cells) {
      const [row, column] = place.split(" ").map(Number);
      const value = shown.at({ ...state, ref_layer: row, layer: column });
      const share = Math.min(1, Math.abs(value) / most[state.dataset]);
      cell.style.setProperty("--share", `${Math.round(100 * share)}%`);
      cell.className = (value < 0 ? "less" : "more") + (share > (value < 0 ? 0.88 : 0.76) ? " strong" : "");
      cell.textContent = number(value);
      const here = row === state.row && column === state.column;
      cell.tabIndex = here ? 0 : -1;
      cell.setAttribute("aria-selected", here);
    }
    const { row: i, column: j } = state;
    const here = { ...state, ref_layer: i, layer: j };
    const value = shown.at(here);
    const first = stir.at(here), second = stir.at({ ...state, ref_layer: j, layer: i });
    const ft = state.task === itself ? "pt" : "ft";
    const terms = `M(${i}, ${j}) = STIR(${ft}[${j}] | pt[${i}]) − STIR(${ft}[${i}] | pt[${j}]) = ` +
      `${number(first)} − ${number(second)} = ${number(flow.at(here))}`;
    const less = state.less
      ? `; minus the baseline ${number(flow.at({ ...here, task: itself }))}: ${number(value)}` : "";
    const kind = i === j ? "a layer with itself, always 0"
      : Math.abs(value) < 0.005 ? "no direction"
      : (value > 0) === (j < i) ? "compressed" : "expanded";
    page.say(`${terms}${less}. Pretrained layer ${i}, fine-tuned layer ${j}: ${kind}.`);
  };
});
