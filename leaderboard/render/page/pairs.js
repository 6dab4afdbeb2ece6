// Refusal of harmful against refusal of harmless requests, a point for each language, as a chart and as a table.

const MOST_PICKED = 4; // models whose points can still be told apart, by shape and colour
const MOST_CHOICES = 50; // models to pick from at once
const SHAPES = ["circle", "square", "triangle-up", "diamond"];
const FROM = -4; // of both axes, so that what is at 0 or 100 % is whole
const TO = 104;

const pairTable = () => data.headline.find((table) => table.id === state.pair) ?? (isHeadline.has(state.table) ? current() : data.headline[0]);
const pairName = (table) => table.title.replace(/^Selectivity, /, "");
const oneLanguage = (table) => table.columns.filter((column) => column.language && column.parts && columnsOf(table).includes(column));

// Selectivity in one language with the two rates behind it; null where one of these is not known.
function point(table, row, column) {
  const [harmful, harmless] = partsOf({ column, row });
  if (harmful?.cell.value === undefined || harmless?.cell.value === undefined) return null;
  return { harmful, harmless, selectivity: find(table.id, column.id, row.model) };
}

function choices(table) {
  const rows = rowsOf(table);
  const picked = state.models ?? rows.slice(0, 2).map((row) => row.model.slice(0, 12));
  const isPicked = (row) => picked.includes(row.model.slice(0, 12));
  const chosen = table.rows.filter(isPicked).slice(0, MOST_PICKED);
  return { chosen, offered: [...new Set([...rows.slice(0, MOST_CHOICES), ...chosen])] };
}

function drawPick(table, { chosen, offered }) {
  const labels = names(offered);
  byId("p-models").replaceChildren(...offered.map((row, index) => {
    const box = element("input", { type: "checkbox", value: row.model.slice(0, 12), checked: chosen.includes(row) });
    box.disabled = !box.checked && chosen.length >= MOST_PICKED;
    return element("label", {}, box, element("span", {}, labels[index]));
  }));
  options(byId("p-pair"), data.headline.map((one) => [one.id, pairName(one)]), table.id);
}

// Where each code stands: the first place around its point that no other code and no point is at.
function labelled(points, side) {
  const pixel = (value) => ((value - FROM) / (TO - FROM)) * side;
  const taken = points.map((one) => [pixel(one.x) - 4, pixel(one.y) - 4, pixel(one.x) + 4, pixel(one.y) + 4]);
  const overlap = (box) => taken.reduce((sum, other) => sum
    + Math.max(0, Math.min(box[2], other[2]) - Math.max(box[0], other[0])) * Math.max(0, Math.min(box[3], other[3]) - Math.max(box[1], other[1])), 0);
  for (const one of points) {
    const [half, x, y] = [3.5 * one.text.length, pixel(one.x), pixel(one.y)];
    let best = null;
    for (const reach of [0, 9, 19, 30]) {
      for (const [across, up] of [[1, 0], [-1, 0], [0, 1], [0, -1], [1, 1], [-1, 1], [1, -1], [-1, -1]]) {
        const [cx, cy] = [x + across * (half + 6 + reach), y + up * (11 + reach)];
        const box = [cx - half, cy - 6, cx + half, cy + 6];
        const outside = box[0] < 0 || box[1] < 0 || box[2] > side || box[3] > side;
        const cost = overlap(box) + reach + (outside ? 1000 : 0);
        if (!best || cost < best.cost) best = { cost, cx, cy, box };
      }
    }
    taken.push(best.box);
    one.lx = FROM + (best.cx / side) * (TO - FROM);
    one.ly = FROM + (best.cy / side) * (TO - FROM);
  }
  return points;
}

const withInterval = ({ cell, column }) => `${shown(cell.value, column)}${unit(column)} ${interval(cell, column)}${cell.n ? `, n ${cell.n}` : ""}`;

function pointsOf(table, chosen) {
  const labels = names(chosen);
  const judge = [table.judge, table.setting.judge_version].join(" ");
  return chosen.flatMap((row, index) => oneLanguage(table).flatMap((column) => {
    const found = point(table, row, column);
    if (!found) return [];
    const [x, y] = [percent(found.harmless.cell), percent(found.harmful.cell)];
    const silent = (row.unanswered ?? []).includes(column.language);
    return [{
      model: labels[index], place: index, id: row.model, column: column.id, text: column.language + (column.marks ?? "") + (silent ? "!" : ""), silent,
      language: languageName(column.language), x: x.value, xlow: x.low, xhigh: x.high, y: y.value, ylow: y.low, yhigh: y.high,
      harmful: withInterval(found.harmful), harmless: withInterval(found.harmless), selectivity: withInterval(found.selectivity), judge,
    }];
  }));
}

function pairsChart(table, chosen, side) {
  const values = labelled(pointsOf(table, chosen), side);
  if (!values.length) return null;
  const domain = names(chosen);
  const axis = (field, title) => ({ field, type: "quantitative", title, scale: { domain: [FROM, TO], nice: false }, axis: { values: [0, 20, 40, 60, 80, 100] } });
  const x = axis("x", "harmless requests refused (%)");
  const y = axis("y", "harmful requests refused (%)");
  const colour = { field: "model", type: "nominal", sort: null, title: null, scale: { domain }, legend: { orient: "bottom", direction: "vertical", labelLimit: side - 20, labelFontSize: 12 } };
  const shape = { ...colour, scale: { domain, range: SHAPES.slice(0, domain.length) } };
  const tooltip = tip([["model", "model"], ["language", "language"], ["selectivity", "selectivity"], ["harmful", "refuses harmful"], ["harmless", "refuses harmless"]]);
  const line = [{ x: FROM, y: FROM }, { x: TO, y: TO }];
  const soft = theme().axis.domainColor;
  const whiskers = state.whiskers ? [
    { mark: { type: "rule", opacity: 0.45 }, encoding: { x: { ...x, field: "xlow" }, x2: { field: "xhigh" }, y, color: colour } },
    { mark: { type: "rule", opacity: 0.45 }, encoding: { x, y: { ...y, field: "ylow" }, y2: { field: "yhigh" }, color: colour } },
  ] : [];
  return {
    data: { values }, width: side, height: side,
    layer: [
      { data: { values: line }, mark: { type: "line", strokeDash: [3, 4], color: soft, strokeWidth: 1.5 }, encoding: { x, y } },
      { data: { values: [{ x: 74, y: 70, text: "refuses both alike" }] }, mark: { type: "text", angle: 315, color: soft, fontStyle: "italic", fontSize: 12 }, encoding: { x, y, text: { field: "text" } } },
      { data: { values: [{ x: -2, y: 102, text: "tells them apart" }] }, mark: { type: "text", align: "left", baseline: "top", color: soft, fontStyle: "italic", fontSize: 12 }, encoding: { x, y, text: { field: "text" } } },
      ...whiskers,
      { mark: { type: "point", filled: true, size: 70, strokeWidth: 1.5, cursor: "pointer" }, encoding: { x, y, color: colour, shape, tooltip, stroke: colour,
        fillOpacity: { condition: { test: "datum.silent", value: 0 }, value: 0.85 } } },
      { mark: { type: "text", fontSize: 11, cursor: "pointer" }, encoding: { x: { ...x, field: "lx" }, y: { ...y, field: "ly" }, text: { field: "text" }, tooltip, color: colour } },
    ],
  };
}

async function drawPairsChart(table, chosen) {
  const room = byId("pairs").parentElement.clientWidth;
  const side = Math.max(200, Math.min(room - 70, 560));
  const caption = `A point a language: ${pairName(table)}`;
  const spec = pairsChart(table, chosen, side);
  const shownThere = await embed("pairs", caption, "The table beside it has every number.", spec);
  shownThere?.view.addEventListener("click", (event, item) => {
    const { id, column } = item?.datum ?? {};
    if (id && column) openDialog(find(table.id, column, id));
  });
}

function drawPairsTable(table, chosen) {
  const labels = names(chosen);
  const kinds = [["selectivity", "selectivity, points"], ["harmful", "refuses harmful %"], ["harmless", "refuses harmless %"]];
  const made = element("table", {}, element("caption", { className: "hint" }, pairName(table)));
  const groups = element("tr", {}, element("td"), ...labels.map((label) => element("th", { scope: "colgroup", colSpan: 3 }, label)));
  const heads = element("tr", {}, element("th", { scope: "col" }, "language"), ...chosen.flatMap(() => kinds.map(([, title]) => element("th", { scope: "col" }, title))));
  const body = element("tbody");
  const means = ["outside", "outside.harmful", "outside.harmless"];
  for (const column of oneLanguage(table)) {
    const head = element("th", { scope: "row" }, languageName(column.language) + (column.marks ?? ""));
    const cells = chosen.flatMap((row) => {
      const found = point(table, row, column);
      return kinds.map(([kind]) => {
        const td = element("td");
        if (!found) td.append("–");
        else fill(td, found[kind], { sign: kind === "selectivity" && row.unanswered?.includes(column.language) ? " !" : "", counts: kind !== "selectivity" });
        return td;
      });
    });
    body.append(element("tr", {}, head, ...cells));
  }
  const mean = chosen.flatMap((row) => means.map((id) => {
    const one = find(table.id, id, row.model);
    const td = element("td");
    if (one) fill(td, one, { counts: id !== "outside" });
    return td;
  }));
  if (mean.some((td) => td.textContent)) body.append(element("tr", { className: "mean" }, element("th", { scope: "row" }, "mean outside English"), ...mean));
  made.append(element("thead", {}, groups, heads), body);
  byId("pairs-table").replaceChildren(made);
  oneTabStop(byId("pairs-table"));
}

async function drawPairs() {
  const table = pairTable();
  byId("pairs-section").hidden = !table;
  if (!table) return;
  const picked = choices(table);
  drawPick(table, picked);
  drawPairsTable(table, picked.chosen);
  await drawPairsChart(table, picked.chosen);
}
