// The charts of averages and of one task, by Vega-Lite. Colours: Okabe and Ito's, made dark or light enough for the paper.

const MOST_MODELS = 40; // rows of the heat map and points of a scatter that can still be told apart
const MOST_BARS = 6; // models side by side
const LIGHT_COLOURS = ["#0067a5", "#c04a00", "#00785a", "#97397a", "#7a5c00", "#4b4bc3", "#5b5b5b", "#8a2b2b"];
const DARK_COLOURS = ["#6cbcf0", "#f0a24a", "#45cba2", "#ec9fcd", "#e2d14e", "#a9a9ff", "#c4c4c4", "#ff9a9a"];

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
    range: { category: dark.matches ? DARK_COLOURS : LIGHT_COLOURS },
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
  if (!spec) return null;
  return window.vegaEmbed(byId(id), { $schema: "https://vega.github.io/schema/vega-lite/v6.json", description: `${caption}. ${note}`, config: theme(), ...spec },
    { actions: false, renderer: "svg" });
}

const holds = (main, task) => main.columns.some((column) => column.id.startsWith(`${task.id}.`));

function taskOfCharts(table) {
  if (isHeadline.has(table.id)) return tables.get(table.columns[0].source);
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
