// The page's own code, one module in several files. What is shown is a function of `state`, and `state` is what the address
// holds after its "#". Everything from the data reaches the page as text (textContent), never as markup.

const byId = (id) => document.getElementById(id);
const data = JSON.parse(byId("data").textContent);
const languages = JSON.parse(byId("languages").textContent);
const LONGEST = 120; // characters of a name in the table; the whole one is in its detail
const PAGE = 50; // rows of the table at once

const all = [...data.headline, ...data.main, ...data.tasks, ...data.published];
const tables = new Map(all.map((table) => [table.id, table]));
const isPublished = new Set(data.published.map((table) => table.id));
const isHeadline = new Set(data.headline.map((table) => table.id));
const isMain = new Set(data.main.map((table) => table.id));
const judges = [...new Set([...data.main, ...data.tasks].map((table) => table.judge).filter(Boolean))];
const codes = [...new Set(all.flatMap((table) => table.columns.map((column) => column.language).filter(Boolean)))].sort();
const empty = { table: all[0]?.id ?? "", judge: "", base: "", method: "", q: "", lang: null, sort: null, pair: "", models: null, whiskers: false, run: "", measure: "", of: "" };

let state = read();
let drawn = 0; // number of the last drawing; an older one that ends later is thrown away

// ---- the address

function read() {
  const given = new URLSearchParams(location.hash.slice(1));
  const found = { ...empty };
  for (const key of ["judge", "base", "method", "q", "run", "measure", "of"]) found[key] = given.get(key) ?? "";
  if (!judges.includes(found.judge)) found.judge = "";
  if (tables.has(given.get("table"))) found.table = given.get("table");
  if (given.has("lang")) found.lang = given.get("lang").split(",").filter((code) => codes.includes(code));
  if (isHeadline.has(given.get("pair"))) found.pair = given.get("pair");
  if (given.has("models")) found.models = given.get("models").split(",");
  found.whiskers = given.has("whiskers");
  const [column, direction] = (given.get("sort") ?? "").split(":");
  if (column) found.sort = [column, direction === "desc" ? "desc" : "asc"];
  return found;
}

function write() {
  const given = new URLSearchParams();
  for (const key of ["table", "judge", "base", "method", "q", "pair", "run", "measure", "of"]) if (state[key] && state[key] !== empty[key]) given.set(key, state[key]);
  if (state.lang) given.set("lang", state.lang.join(","));
  if (state.models) given.set("models", state.models.join(","));
  if (state.whiskers) given.set("whiskers", "");
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
const isOneLanguage = (column) => column.id.startsWith("language.");
const isWorst = (column) => column.id === "worst" || column.id.endsWith(".worst");
const cut = (text) => (text.length > LONGEST ? `${text.slice(0, LONGEST - 1)}…` : text);

function languageName(code) {
  const known = languages[code];
  return known ? `${known.name} (${code})` : code;
}

// One line on a number, for hovering and for focus; the dialog has the rest.
function detail({ table, row, column, cell }) {
  const model = data.models[row.model];
  const what = isOneLanguage(column) ? `${languageName(column.language)}, ${table.title}` : `${column.heading}, ${table.title}`;
  if (cell.blank !== undefined) return `${model.label}: ${what}: no number, ${cell.blank || "no reason given"}.`;
  const parts = [`${model.label}: ${what}: ${shown(cell.value, column)}${unit(column)}`];
  if (cell.low !== undefined) parts.push(`95 % interval ${interval(cell, column)}`);
  if (cell.n) parts.push(`n ${cell.n}`);
  if (cell.unscored) parts.push(`${cell.unscored} unscored`);
  if (cell.rank) parts.push(`rank ${rank(cell)}`);
  if (cell.p !== undefined) parts.push(`p ${cell.p} after Holm's correction`);
  if (cell.languages?.length) parts.push(`languages ${cell.languages.join(" ")}`);
  parts.push(table.judge ? `judge ${[table.judge, settingOf({ table, column })?.judge_version].filter(Boolean).join(" ")}` : "no judge");
  if (cell.runs?.length) parts.push(`run ${cell.runs.join(" ")}`);
  if (column.note) parts.push(column.note);
  return `${parts.join("; ")}. Click or Enter: what it is made of.`;
}
