// The page's own code: what is shown is a function of `state`, and `state` is what the address holds after its "#".
// Everything from the data reaches the page as text (textContent), never as markup.

const byId = (id) => document.getElementById(id);
const data = JSON.parse(byId("data").textContent);
const languages = JSON.parse(byId("languages").textContent);
const MOST_MODELS = 40; // rows of the heat map and points of a scatter that can still be told apart
const MOST_BARS = 6; // models side by side
const LONGEST = 120; // characters of a name in the table; the whole one is in its detail
const PAGE = 50; // rows of the table at once

const blob = URL.createObjectURL(new Blob([byId("datatables").textContent], { type: "text/javascript" }));
const { default: DataTable } = await import(blob);
URL.revokeObjectURL(blob);

const all = [...data.main, ...data.tasks, ...data.published];
const tables = new Map(all.map((table) => [table.id, table]));
const isPublished = new Set(data.published.map((table) => table.id));
const isMain = new Set(data.main.map((table) => table.id));
const judges = [...new Set([...data.main, ...data.tasks].map((table) => table.judge).filter(Boolean))];
const codes = [...new Set(all.flatMap((table) => table.columns.map((column) => column.language).filter(Boolean)))].sort();
const empty = { table: all[0]?.id ?? "", judge: "", base: "", method: "", q: "", lang: null, sort: null };

let state = read();
let grid = null; // the DataTable
let drawn = 0; // number of the last drawing; an older one that ends later is thrown away

// ---- the address

function read() {
  const given = new URLSearchParams(location.hash.slice(1));
  const found = { ...empty };
  for (const key of ["judge", "base", "method", "q"]) found[key] = given.get(key) ?? "";
  if (!judges.includes(found.judge)) found.judge = "";
  if (tables.has(given.get("table"))) found.table = given.get("table");
  if (given.has("lang")) found.lang = given.get("lang").split(",").filter((code) => codes.includes(code));
  const [column, direction] = (given.get("sort") ?? "").split(":");
  if (column) found.sort = [column, direction === "desc" ? "desc" : "asc"];
  return found;
}

function write() {
  const given = new URLSearchParams();
  for (const key of ["table", "judge", "base", "method", "q"]) if (state[key] && state[key] !== empty[key]) given.set(key, state[key]);
  if (state.lang) given.set("lang", state.lang.join(","));
  if (state.sort) given.set("sort", state.sort.join(":"));
  history.replaceState(null, "", `#${given}`);
}

// ---- numbers

function rounded(value, digits) {
  const scale = 10 ** digits; // halves away from zero, as in the other formats; what differs past the ninth digit is noise
  const text = (Math.round((Math.abs(value) + 1e-9) * scale) / scale).toFixed(digits);
  return value < 0 && Number(text) !== 0 ? `-${text}` : text;
}

function shown(value, column) {
  if (column.unit === "number") return rounded(value, column.digits);
  const text = rounded(100 * value, column.digits);
  return column.unit === "points" && Number(text) > 0 ? `+${text}` : text;
}

const interval = (cell, column) => (cell.low === undefined ? "" : `[${shown(cell.low, column)}, ${shown(cell.high, column)}]`);
const rank = (cell) => (cell.rank ? (cell.rank[0] === cell.rank[1] ? `${cell.rank[0]}` : `${cell.rank[0]}–${cell.rank[1]}`) : "");
const unit = (column) => ({ percent: " %", points: " points", number: "" })[column.unit];
const isWorst = (column) => column.id === "worst" || column.id.endsWith(".worst");
const cut = (text) => (text.length > LONGEST ? `${text.slice(0, LONGEST - 1)}…` : text);

function languageName(code) {
  const known = languages[code];
  return known ? `${known.name} (${code})` : code;
}

function detail(row, column, cell, table) {
  const model = data.models[row.model];
  const what = column.language ? `${languageName(column.language)}, ${table.title}` : `${column.heading}, ${table.title}`;
  if (cell.blank !== undefined) return `${model.label}: ${what}: no number, ${cell.blank || "no reason given"}.`;
  const parts = [`${model.label}: ${what}: ${shown(cell.value, column)}${unit(column)}`];
  if (cell.low !== undefined) parts.push(`95 % interval ${interval(cell, column)}`);
  if (cell.n) parts.push(`n ${cell.n}`);
  if (cell.unscored) parts.push(`${cell.unscored} unscored`);
  if (cell.rank) parts.push(`rank ${rank(cell)}`);
  if (cell.p !== undefined) parts.push(`p ${cell.p} after Holm's correction`);
  if (cell.languages?.length) parts.push(`languages ${cell.languages.join(" ")}`);
  parts.push(table.judge ? `judge ${[table.judge, table.setting?.judge_version].filter(Boolean).join(" ")}` : "no judge");
  if (cell.runs?.length) parts.push(`run ${cell.runs.join(" ")}`);
  if (column.note) parts.push(column.note);
  return `${parts.join("; ")}.`;
}

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

function heading(column) {
  const arrow = { true: " ↑", false: " ↓" }[column.higher_is_better] ?? "";
  const known = languages[column.language];
  if (!known) return [column.heading + unit(column) + arrow];
  const native = element("bdi", { lang: column.language, dir: known.dir }, known.native);
  return [element("span", {}, known.name), element("br"), native, element("br"), `${column.heading}${arrow}`];
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
  const words = [
    { title: "model", className: "model", id: "model", text: (row) => data.models[row.model].label },
    { title: "method", className: "words", id: "method", text: (row) => data.models[row.model].method },
    { title: "base model", className: "words", id: "base", text: (row) => data.models[row.model].base_name ?? "" },
  ];
  const ids = [...words.map((word) => word.id), ...columns.map((column) => column.id)];
  const definitions = [
    ...words.map((word) => ({
      data: word.text,
      className: word.className,
      type: "string",
      render: (value, type) => (type === "display" ? "" : value), // the text is put in below, as text
      createdCell: (td, value, row) => prepare(td, cut(value), `${word.title}: ${value}${engine(row)}`),
    })),
    ...columns.map((column, index) => ({
      data: (row) => row.cells[place[index]].value ?? null,
      type: "number-or-nothing",
      // most of a rate comes first where more is better
      orderSequence: column.higher_is_better === false ? ["asc", "desc"] : ["desc", "asc"],
      render: (value, type) => (type === "display" ? "" : value),
      createdCell: (td, value, row) => fill(td, row, column, row.cells[place[index]], table),
    })),
  ];
  if (grid) grid.destroy();
  const made = element("table", { className: "display" });
  made.append(element("caption", { className: "hint" }, `${table.title}. ${state.lang ? "Some languages are hidden." : ""}`));
  const head = element("tr");
  for (const word of words) head.append(element("th", { scope: "col" }, word.title));
  for (const column of columns) head.append(element("th", { scope: "col" }, ...heading(column)));
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
  grid.on("draw.dt", oneTabStop);
  oneTabStop();
}

function engine(row) {
  const model = data.models[row.model];
  return `; ${[model.engine, model.dtype].filter(Boolean).join(", ")}${model.seen ? `; trained on ${model.seen.join(" ")}` : ""}.`;
}

function prepare(td, text, said) {
  td.append(text);
  td.tabIndex = -1;
  td.dataset.detail = said;
}

function fill(td, row, column, cell, table) {
  prepare(td, cell.blank === undefined ? shown(cell.value, column) + (cell.mark ?? "") : "–", detail(row, column, cell, table));
  if (cell.blank !== undefined) return;
  if (cell.best) td.classList.add("best");
  const more = [isWorst(column) ? (cell.languages ?? []).join(" ") : "", interval(cell, column), cell.rank ? `rank ${rank(cell)}` : ""];
  for (const text of more.filter(Boolean)) td.append(element("small", {}, text));
}

// One tab stop for all numbers; the arrow keys move between them.
function oneTabStop() {
  byId("table-place").querySelector("tbody td[data-detail]")?.setAttribute("tabindex", "0");
}

function say(event) {
  const cell = event.target.closest?.("td[data-detail]");
  if (cell) byId("detail").textContent = cell.dataset.detail;
}

function move(event) {
  const cell = event.target.closest?.("td[data-detail]");
  if (!cell || event.altKey || event.ctrlKey || event.metaKey) return;
  const line = cell.parentElement;
  const next = {
    ArrowRight: () => cell.nextElementSibling,
    ArrowLeft: () => cell.previousElementSibling,
    ArrowDown: () => line.nextElementSibling?.children[cell.cellIndex],
    ArrowUp: () => line.previousElementSibling?.children[cell.cellIndex],
    Home: () => line.firstElementChild,
    End: () => line.lastElementChild,
  }[event.key]?.();
  if (!next) return;
  event.preventDefault();
  cell.tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
  next.scrollIntoView({ block: "nearest", inline: "nearest" });
}

// ---- the charts

function theme() {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const text = { labelColor: colour("--ink"), titleColor: colour("--ink") };
  return {
    background: colour("--paper"),
    view: { stroke: colour("--line") },
    axis: { ...text, gridColor: colour("--line"), domainColor: colour("--soft"), tickColor: colour("--soft"), labelLimit: 160 },
    legend: { ...text, labelLimit: 160 },
    text: { color: colour("--ink") },
    rule: { color: colour("--ink") },
    range: { category: { scheme: "tableau10" } },
  };
}

const percent = (cell) => ({
  value: 100 * cell.value, low: 100 * (cell.low ?? cell.value), high: 100 * (cell.high ?? cell.value), n: cell.n ?? 0,
  run: (cell.runs ?? []).join(" "), ci: cell.low === undefined ? "none" : `${rounded(100 * cell.low, 1)} to ${rounded(100 * cell.high, 1)}`,
  rate: rounded(100 * cell.value, 1),
});

function names(rows) {
  // two rows with one label are told apart by their engine
  const labels = rows.map((row) => data.models[row.model].label);
  return rows.map((row, index) => {
    const { label, engine, method } = data.models[row.model];
    const same = labels.filter((other) => other === label).length > 1;
    return cut(same ? `${label} (${method}, ${engine})` : label).slice(0, 60);
  });
}

const tip = (fields) => [...fields.map(([field, title]) => ({ field, title, type: "nominal" })), { field: "judge", title: "judge" }];

async function embed(id, caption, note, spec) {
  byId(`${id}-caption`).textContent = spec ? caption : "";
  byId(id).parentElement.hidden = !spec;
  if (!spec) return;
  await window.vegaEmbed(byId(id), { $schema: "https://vega.github.io/schema/vega-lite/v6.json", description: `${caption}. ${note}`, config: theme(), ...spec },
    { actions: false, renderer: "svg" });
}

const holds = (main, task) => main.columns.some((column) => column.id.startsWith(`${task.id}.`));

function taskOfCharts(table) {
  if (!isMain.has(table.id)) return table.columns.some((column) => column.language) ? table : null;
  const safety = data.tasks.filter((task) => task.judge === table.judge && task.setting?.measures === "safety");
  return safety.find((task) => holds(table, task)) ?? safety[0] ?? data.tasks[0] ?? null;
}

function cells(table, rows) {
  const labels = names(rows);
  const judge = [table.judge, table.setting?.judge_version].filter(Boolean).join(" ") || "none";
  return rows.flatMap((row, index) =>
    table.columns.flatMap((column, place) => {
      const cell = row.cells[place];
      if (!column.language || column.unit !== "percent" || !columnsOf(table).includes(column) || cell.value === undefined) return [];
      return [{ model: labels[index], code: column.heading, language: languageName(column.language), judge, ...percent(cell) }];
    }));
}

const cellTip = tip([["model", "model"], ["language", "language"], ["rate", "rate (%)"], ["ci", "95 % interval"], ["n", "n"], ["run", "run"]]);

function heat(table) {
  const rows = rowsOf(table).slice(0, MOST_MODELS);
  const values = cells(table, rows);
  if (!values.length) return null;
  const good = table.columns.find((column) => column.language).higher_is_better !== false;
  const x = { field: "code", type: "nominal", sort: null, title: null, axis: { labelAngle: 0, orient: "top" } };
  const y = { field: "model", type: "nominal", sort: null, title: null };
  const dark = good ? "datum.value < 55" : "datum.value > 45";
  return {
    data: { values }, width: { step: 34 }, height: { step: 24 }, encoding: { x, y, tooltip: cellTip },
    layer: [
      { mark: { type: "rect" }, encoding: { color: { field: "value", type: "quantitative", scale: { scheme: "viridis", domain: [0, 100], reverse: !good }, title: "%" } } },
      { mark: { type: "text", fontSize: 10 }, encoding: { text: { field: "value", type: "quantitative", format: ".0f" }, color: { condition: { test: dark, value: "white" }, value: "black" } } },
    ],
  };
}

function bars(table) {
  const rows = rowsOf(table).slice(0, MOST_BARS);
  const values = cells(table, rows);
  if (!values.length) return null;
  const x = { field: "code", type: "nominal", sort: null, title: null, axis: { labelAngle: 0 } };
  const xOffset = { field: "model", sort: null };
  const scale = { domain: [0, 100] };
  return {
    data: { values }, height: 220, width: { step: Math.max(8, 34 / rows.length) },
    encoding: { x, xOffset, tooltip: cellTip },
    layer: [
      { mark: "bar", encoding: { y: { field: "value", type: "quantitative", scale, title: "%" }, color: { field: "model", sort: null, title: null, legend: { orient: "bottom", columns: 2 } } } },
      { mark: { type: "rule" }, encoding: { y: { field: "low", type: "quantitative", scale, title: "%" }, y2: { field: "high" } } },
    ],
  };
}

function scatter(main, safety, other) {
  if (!main || safety < 0 || other < 0) return null;
  const rows = rowsOf(main).filter((row) => row.cells[safety].value !== undefined && row.cells[other].value !== undefined).slice(0, MOST_MODELS);
  if (!rows.length) return null;
  const labels = names(rows);
  const values = rows.map((row, index) => {
    const [y, x] = [percent(row.cells[safety]), percent(row.cells[other])];
    return { model: labels[index], method: data.models[row.model].method, judge: main.judge || "none", run: y.run, n: `${y.n}, ${x.n}`,
      x: x.value, xlow: x.low, xhigh: x.high, y: y.value, ylow: y.low, yhigh: y.high,
      safe: `${y.rate} [${y.ci}]`, against: `${x.rate} [${x.ci}]` };
  });
  const [down, across] = [main.columns[safety], main.columns[other]];
  const axis = (field, column, reverse) => ({ field, type: "quantitative", scale: { domain: [0, 100], reverse }, title: `${column.heading} %` });
  const reverse = across.higher_is_better === false; // the good corner is the upper right one in every scatter
  const [x, y] = [axis("x", across, reverse), axis("y", down, false)];
  const tooltip = tip([["model", "model"], ["method", "method"], ["safe", down.heading], ["against", across.heading], ["n", "n"], ["run", "run"]]);
  const encoding = { tooltip };
  const colour = { field: "method", title: "method" };
  return {
    data: { values }, width: "container", height: 280, autosize: { type: "fit", contains: "padding" }, encoding,
    layer: [
      { mark: { type: "rule", opacity: 0.5 }, encoding: { x: { ...x, field: "xlow" }, x2: { field: "xhigh" }, y } },
      { mark: { type: "rule", opacity: 0.5 }, encoding: { x, y: { ...y, field: "ylow" }, y2: { field: "yhigh" } } },
      { mark: { type: "point", filled: true, size: 70 }, encoding: { x, y, color: colour, shape: colour } },
    ],
  };
}

async function drawCharts() {
  const mine = ++drawn;
  const table = taskOfCharts(current());
  const mains = data.main.filter((one) => one.judge === (current().judge || state.judge || judges[0] || ""));
  const main = mains.find((one) => table && holds(one, table)) ?? mains[0] ?? data.main[0]; // of one version of the judge
  const find = (suffix, task) => main?.columns.findIndex((column) => (task ? column.id === `${task}.${suffix}` : column.id.endsWith(`.${suffix}`))) ?? -1;
  const safe = isPublished.has(current().id) ? -1
    : table?.setting?.measures === "safety" && find("average", table.id) >= 0 ? find("average", table.id)
    : main?.columns.findIndex((column) => column.heading.endsWith(" safe")) ?? -1;
  const task = safe < 0 ? "" : main.columns[safe].id.replace(/\.average$/, "");
  const refusal = safe < 0 ? -1 : find("over_refusal", task);
  const utility = safe < 0 ? -1 : main.columns.findIndex((column) => column.id.endsWith(".average") && column.heading.endsWith(" accuracy"));
  const shownRows = table ? rowsOf(table).length : 0;
  byId("charts-note").textContent = shownRows > MOST_MODELS
    ? `The charts show the first ${MOST_MODELS} of ${shownRows} models, the bars the first ${MOST_BARS}; narrow the filters to see others.`
    : shownRows > MOST_BARS ? `The bars show the first ${MOST_BARS} of ${shownRows} models.` : "";
  const note = "The table above has every number.";
  const wanted = [
    ["heat", `Models and languages: ${table?.title ?? ""}`, table && heat(table)],
    ["refusal", "Safety against over-refusal, averages; upper right is better", scatter(main, safe, refusal)],
    ["utility", "Safety against utility, averages; upper right is better", scatter(main, safe, utility)],
    ["bars", `Languages: ${table?.title ?? ""}`, table && bars(table)],
  ];
  for (const [id, caption, spec] of wanted) {
    if (mine !== drawn) return;
    await embed(id, caption, note, spec);
  }
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
  options(byId("c-table"), mine.map((table) => [table.id, isPublished.has(table.id) ? `Reported, not run here: ${table.title}` : table.title]), state.table);
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
  byId("table-notes").replaceChildren(...table.notes.map((note) => element("p", {}, note)));
  byId("detail").textContent = "Hover or focus a number to see its interval, n, judge and run.";
  drawTable(table);
  drawCharts();
  write();
}

function change(part, controls = true) {
  state = { ...state, ...part };
  if (state.judge && !isPublished.has(state.table) && ![state.judge, ""].includes(current().judge)) {
    const { setting } = current(); // the same task under the other judge, else that judge's main table
    const same = data.tasks.find((table) => table.judge === state.judge && table.setting?.task === setting?.task);
    state.table = (same ?? data.main.find((table) => table.judge === state.judge) ?? all[0]).id;
    controls = true;
  }
  draw(controls);
}

byId("c-table").addEventListener("change", (event) => change({ table: event.target.value, sort: null }));
byId("c-judge").addEventListener("change", (event) => change({ judge: event.target.value }));
byId("c-base").addEventListener("change", (event) => change({ base: event.target.value }, false));
byId("c-method").addEventListener("change", (event) => change({ method: event.target.value }, false));
byId("c-search").addEventListener("input", (event) => change({ q: event.target.value }, false));
byId("c-language-list").addEventListener("change", () => {
  const chosen = [...byId("c-language-list").querySelectorAll("input:checked")].map((box) => box.value);
  change({ lang: chosen.length === codes.length ? null : chosen }, false);
});
byId("controls").addEventListener("submit", (event) => event.preventDefault());
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
for (const event of ["focusin", "mouseover"]) byId("table-place").addEventListener(event, say);
byId("table-place").addEventListener("keydown", move);
const dark = matchMedia("(prefers-color-scheme: dark)");
const darken = () => document.documentElement.classList.toggle("dark", dark.matches); // what DataTables' style looks at
darken();
dark.addEventListener("change", () => {
  darken();
  if (current()) drawCharts();
});

byId("left-section").hidden = !data.left_out.length;
byId("left-out").replaceChildren(...data.left_out.map((one) => element("li", {}, `${one.source}: ${one.reason}`)));
draw();
document.documentElement.dataset.ready = "yes";
