// The table and the controls.

const blob = URL.createObjectURL(new Blob([byId("datatables").textContent], { type: "text/javascript" }));
const { default: DataTable } = await import(blob);
URL.revokeObjectURL(blob);

let grid = null; // the DataTable

// ---- what is shown

const current = () => tables.get(state.table);
const columnsOf = (table) => table.columns.filter((column) => !column.language || !state.lang || state.lang.includes(column.language));

function rowsOf(table) {
  const wanted = state.q.trim().toLowerCase();
  return table.rows.filter(({ model }) => {
    const one = data.models[model];
    return (
      (!state.base || one.base_name === state.base || (one.name === state.base && !one.base_name)) &&
      (!state.method || one.method === state.method) &&
      (!wanted || one.label.toLowerCase().includes(wanted))
    );
  });
}

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

function heading(column, table) {
  const arrow = { true: " ↑", false: " ↓" }[column.higher_is_better] ?? "";
  const known = languages[column.language];
  const marks = column.marks ?? "";
  if (known && isOneLanguage(column)) {
    const native = element("bdi", { lang: column.language, dir: known.dir }, known.native);
    return [element("span", {}, known.name), element("br"), native, element("br"), `${column.heading}${marks}${arrow}`];
  }
  const place = table.columns.indexOf(column);
  const over = column.id.startsWith("outside") ? table.rows.map((row) => row.cells[place].languages?.length).find(Boolean) : 0;
  return [`${column.heading}${over ? `, ${over} languages` : ""}${unit(column)}${arrow}${marks && ` ${marks}`}`];
}

// ---- the table

DataTable.type("number-or-nothing", {
  // what has no number comes last, whichever way the column is sorted
  order: {
    asc: (a, b) => (a === null) - (b === null) || a - b,
    desc: (a, b) => (a === null) - (b === null) || b - a,
  },
});

function drawTable(table) {
  const columns = columnsOf(table);
  const place = columns.map((column) => table.columns.indexOf(column));
  const [first, ...others] = [
    { title: "model", className: "model", id: "model", text: (row) => data.models[row.model].label },
    { title: "method", className: "words", id: "method", text: (row) => data.models[row.model].method },
    { title: "base model", className: "words", id: "base", text: (row) => data.models[row.model].base_name ?? "" },
  ];
  const [before, after] = isHeadline.has(table.id) ? [[first], others] : [[first, ...others], []];
  const ids = [...before, ...columns, ...after].map(({ id }) => id);
  const wordy = (word) => ({
    data: word.text,
    className: word.className,
    type: "string",
    render: (value, type) => (type === "display" ? "" : value), // the text is put in below, as text
    createdCell: (td, value, row) => {
      td.append(cut(value));
      if (word === first && row.unanswered) td.append(element("small", {}, `! in ${row.unanswered.join(" ")}`));
      remember(td, td, () => `${word.title}: ${value}${engine(row)}`);
    },
  });
  const definitions = [
    ...before.map(wordy),
    ...columns.map((column, index) => ({
      data: (row) => row.cells[place[index]].value ?? null,
      className: [column.parts ? "difference" : "", isHeadline.has(table.id) && !isOneLanguage(column) ? "lead" : ""].join(" "),
      type: "number-or-nothing",
      // most of a rate comes first where more is better
      orderSequence: column.higher_is_better === false ? ["asc", "desc"] : ["desc", "asc"],
      render: (value, type) => (type === "display" ? "" : value),
      createdCell: (td, value, row) => fill(td, { table, row, column, cell: row.cells[place[index]] }, 
        { sign: (row.unanswered ?? []).includes(column.language) ? "!" : "", counts: /^(outside|english)\./.test(column.id) }),
    })),
    ...after.map(wordy),
  ];
  if (grid) grid.destroy();
  const made = element("table", { className: "display" });
  made.setAttribute("aria-labelledby", "table-heading");
  if (state.lang) made.append(element("caption", { className: "hint" }, "Some languages are hidden."));
  const head = element("tr");
  for (const word of before) head.append(element("th", { scope: "col" }, word.title));
  for (const column of columns) head.append(element("th", { scope: "col" }, ...heading(column, table)));
  for (const word of after) head.append(element("th", { scope: "col" }, word.title));
  made.append(element("thead", {}, head));
  byId("table-place").replaceChildren(made);
  const order = state.sort && ids.includes(state.sort[0]) ? [[ids.indexOf(state.sort[0]), state.sort[1]]] : [];
  grid = new DataTable(made, {
    data: rowsOf(table),
    columns: definitions,
    order,
    deferRender: true,
    autoWidth: false,
    pageLength: PAGE,
    layout: { topStart: null, topEnd: null, bottomStart: "info", bottomEnd: "paging" },
    language: { emptyTable: "No model matches.", info: "_START_ to _END_ of _TOTAL_ models", infoEmpty: "no models" },
  });
  grid.on("order.dt", () => {
    const [first] = grid.order();
    const next = first && first[1] ? [ids[first[0]], first[1]] : null;
    if (JSON.stringify(next) === JSON.stringify(state.sort)) return;
    state.sort = next;
    write();
  });
  grid.on("draw.dt", () => oneTabStop(byId("table-place")));
  oneTabStop(byId("table-place"));
}

function engine(row) {
  const model = data.models[row.model];
  return `; ${[model.engine, model.dtype].filter(Boolean).join(", ")}${model.seen ? `; trained on ${model.seen.join(" ")}` : ""}.`;
}

const behind = new WeakMap(); // what a cell of a table stands for: its focus, a line on it, its dialog

function remember(td, focus, said, open) {
  focus.tabIndex = -1;
  td.classList.add("cell");
  if (open) td.classList.add("opens");
  behind.set(td, { focus, said, open });
}

function fill(td, one, { sign = "", counts = false } = {}) {
  const { column, cell } = one;
  const button = element("button", { type: "button", className: "number" }, cell.blank === undefined ? shown(cell.value, column) + (cell.mark ?? "") + sign : "–");
  button.setAttribute("aria-haspopup", "dialog");
  td.append(button);
  remember(td, button, () => detail(one), () => openDialog(one));
  if (cell.blank !== undefined) return;
  if (cell.best) td.classList.add("best");
  const more = [isWorst(column) ? (cell.languages ?? []).join(" ") : "", interval(cell, column), cell.rank ? `rank ${rank(cell)}` : "", counts ? `n ${spread(one)}` : ""];
  for (const text of more.filter(Boolean)) td.append(element("small", {}, text));
}

// One tab stop for all numbers of a table; the arrow keys move between them.
function oneTabStop(place) {
  const cell = place.querySelector("tbody td.cell");
  if (cell) behind.get(cell).focus.tabIndex = 0;
}

const cellOf = (event) => event.target.closest?.("td.cell");

function say(event) {
  const cell = cellOf(event);
  if (cell) byId("detail").textContent = behind.get(cell).said();
}

function move(event) {
  const cell = cellOf(event);
  if (!cell || event.altKey || event.ctrlKey || event.metaKey) return;
  const line = cell.parentElement;
  const next = {
    ArrowRight: () => cell.nextElementSibling,
    ArrowLeft: () => cell.previousElementSibling,
    ArrowDown: () => line.nextElementSibling?.children[cell.cellIndex],
    ArrowUp: () => line.previousElementSibling?.children[cell.cellIndex],
    Home: () => line.querySelector("td.cell"),
    End: () => line.lastElementChild,
  }[event.key]?.();
  if (!behind.has(next)) return;
  event.preventDefault();
  const { focus } = behind.get(next);
  behind.get(cell).focus.tabIndex = -1;
  focus.tabIndex = 0;
  focus.focus();
  next.scrollIntoView({ block: "nearest", inline: "nearest" });
}

function openCell(event) {
  behind.get(cellOf(event))?.open?.();
}

// ---- the controls

function options(select, choices, value) {
  select.replaceChildren(...choices.map(([name, text]) => element("option", { value: name, selected: name === value }, text)));
}

function choicesOf(key) {
  return [...new Set(Object.values(data.models).map((model) => model[key]).filter(Boolean))].sort().map((one) => [one, cut(one)]);
}

function drawControls() {
  const mine = all.filter((table) => !state.judge || isPublished.has(table.id) || [state.judge, ""].includes(table.judge));
  const kinds = [["Refusal selectivity", isHeadline], ["Safety, over-refusal and utility", isMain], ["Single tasks", null], ["Reported, not run here", isPublished]];
  byId("c-table").replaceChildren(...kinds.map(([label, ids]) => {
    const group = element("optgroup", { label });
    const own = mine.filter((table) => (ids ? ids.has(table.id) : table.setting && !isHeadline.has(table.id)));
    options(group, own.map((table) => [table.id, isPublished.has(table.id) ? `Reported, not run here: ${table.title}` : table.title]), state.table);
    return group;
  }).filter((group) => group.children.length));
  options(byId("c-judge"), [["", "all"], ...judges.map((judge) => [judge, judge])], state.judge);
  options(byId("c-base"), [["", "all"], ...choicesOf("base_name")], state.base);
  options(byId("c-method"), [["", "all"], ...choicesOf("method")], state.method);
  if (byId("c-search").value !== state.q) byId("c-search").value = state.q;
  byId("c-language-list").replaceChildren(...codes.map((code) => {
    const box = element("input", { type: "checkbox", value: code, checked: !state.lang || state.lang.includes(code) });
    const known = languages[code];
    const native = known ? element("bdi", { lang: code, dir: known.dir }, known.native) : "";
    return element("label", {}, box, element("span", {}, `${known ? `${known.name} ` : ""}${code} `, native));
  }));
}

function draw(controls = true) {
  const table = current();
  if (!table) {
    byId("table-heading").textContent = "No records yet";
    return;
  }
  if (controls) drawControls();
  byId("table-heading").textContent = isPublished.has(table.id) ? `Reported, not run here: ${table.title}` : table.title;
  byId("p-whiskers").checked = state.whiskers;
  byId("table-notes").replaceChildren(...table.notes.map((note) => element("p", {}, note)));
  byId("detail").textContent = "Hover or focus a number to see its interval, n, judge and run; a click or Enter shows what it is made of.";
  drawTable(table);
  drawPairs().then(drawTraining).then(drawCharts);
  write();
}

function change(part, controls = true) {
  state = { ...state, ...part };
  if (state.judge && !isPublished.has(state.table) && ![state.judge, ""].includes(current().judge)) {
    const { setting } = current(); // the same task under the other judge, else that judge's main table
    const same = (isHeadline.has(state.table) ? data.headline : data.tasks).find((table) => table.judge === state.judge && table.setting?.task === setting?.task);
    state.table = (same ?? data.main.find((table) => table.judge === state.judge) ?? all[0]).id;
    controls = true;
  }
  draw(controls);
}

function changePairs(part) {
  state = { ...state, ...part };
  drawPairs();
  write();
}

function changeTraining(part) {
  state = { ...state, ...part };
  drawTraining();
  write();
}

byId("c-table").addEventListener("change", (event) => change({ table: event.target.value, sort: null, pair: isHeadline.has(event.target.value) ? "" : state.pair }));
byId("c-judge").addEventListener("change", (event) => change({ judge: event.target.value }));
byId("c-base").addEventListener("change", (event) => change({ base: event.target.value }, false));
byId("c-method").addEventListener("change", (event) => change({ method: event.target.value }, false));
byId("c-search").addEventListener("input", (event) => change({ q: event.target.value }, false));
byId("c-language-list").addEventListener("change", () => {
  const chosen = [...byId("c-language-list").querySelectorAll("input:checked")].map((box) => box.value);
  change({ lang: chosen.length === codes.length ? null : chosen }, false);
});
byId("p-pair").addEventListener("change", (event) => changePairs({ pair: event.target.value }));
byId("p-whiskers").addEventListener("change", (event) => changePairs({ whiskers: event.target.checked }));
byId("p-models").addEventListener("change", (event) => {
  const { value } = event.target;
  changePairs({ models: [...byId("p-models").querySelectorAll("input:checked")].map((box) => box.value) });
  [...byId("p-models").querySelectorAll("input")].find((box) => box.value === value)?.focus(); // it was drawn anew
});
byId("t-run").addEventListener("change", (event) => changeTraining({ run: event.target.value }));
byId("t-measure").addEventListener("change", (event) => changeTraining({ measure: event.target.value }));
byId("t-language").addEventListener("change", (event) => changeTraining({ of: event.target.value }));
byId("c-more").open = Boolean(state.judge || state.base || state.method || state.q || state.lang); // else the table comes first
for (const id of ["controls", "training-controls"]) byId(id).addEventListener("submit", (event) => event.preventDefault());
byId("c-reset").addEventListener("click", () => change({ ...empty, table: state.table }));
byId("c-link").addEventListener("click", async () => {
  write();
  try {
    await navigator.clipboard.writeText(location.href);
    byId("c-said").textContent = "Copied.";
  } catch {
    byId("c-said").textContent = "The address of this page is the link.";
  }
});
addEventListener("hashchange", () => {
  state = read();
  draw();
});
for (const place of [byId("table-place"), byId("pairs-table")]) {
  place.addEventListener("keydown", move);
  place.addEventListener("click", openCell);
}
for (const event of ["focusin", "mouseover"]) byId("table-place").addEventListener(event, say);
const dark = matchMedia("(prefers-color-scheme: dark)");
const darken = () => document.documentElement.classList.toggle("dark", dark.matches); // what DataTables' style looks at
darken();
dark.addEventListener("change", () => {
  darken();
  if (current()) drawPairs().then(drawTraining).then(drawCharts);
});

byId("left-section").hidden = !data.left_out.length;
byId("left-out").replaceChildren(...data.left_out.map((one) => element("li", {}, `${one.source}: ${one.reason}`)));
draw();
document.documentElement.dataset.ready = "yes";
