// What one number is made of: a dialog with its counts, interval, parts, judge, settings and run, all of it as text.

const SEES = { refusal: "refusal", harm: "harm" };
const SETTINGS = { max_gen_toks: "max tokens", num_fewshot: "examples in the prompt", repeats: "answers a prompt", until: "stop strings", do_sample: "sampling" };
const rowsById = new WeakMap(); // table -> model id -> row

function find(tableId, columnId, model) {
  const table = tables.get(tableId);
  if (!table) return null;
  if (!rowsById.has(table)) rowsById.set(table, new Map(table.rows.map((row) => [row.model, row])));
  const row = rowsById.get(table).get(model);
  const place = table.columns.findIndex((column) => column.id === columnId);
  return row && place >= 0 ? { table, row, column: table.columns[place], cell: row.cells[place] } : null;
}

const partsOf = ({ column, row }) => (column.parts ?? []).map(([table, id]) => find(table, id, row.model)).filter(Boolean);
const settingOf = ({ table, column }) => (column.source ? tables.get(column.source)?.setting : null) ?? table.setting;
const isPaper = ({ table }) => isPublished.has(table.id);

// The numbers in single languages that a mean or a worst is over.
function languagesOf(one) {
  const { table, column, row, cell } = one;
  if (column.language || !cell.languages?.length) return [];
  const task = column.source || table.id;
  const host = column.parts ? tables.get(`selectivity-${task}`) ?? table : tables.get(task) ?? table;
  const found = cell.languages.map((code) => {
    const own = host.columns.find((other) => other.language === code && (other.parts || !column.parts));
    return own && find(host.id, own.id, row.model);
  });
  return found.filter(Boolean);
}

// Of what is over languages, how many judged answers each has: `40`, or `35–40`.
function spread(one) {
  const counts = languagesOf(one).map(({ cell }) => cell.n).filter(Boolean);
  const [least, most] = [Math.min(...counts), Math.max(...counts)];
  return counts.length ? (least === most ? `${least}` : `${least}–${most}`) : `${one.cell.n ?? ""}`;
}

function wilson(hits, n) {
  const z = 1.959964;
  const centre = (hits + (z * z) / 2) / (n + z * z);
  const half = (z / (n + z * z)) * Math.sqrt((hits * (n - hits)) / n + (z * z) / 4);
  return `${rounded(100 * hits / n, 0)} % [${rounded(100 * Math.max(0, centre - half), 0)}, ${rounded(100 * Math.min(1, centre + half), 0)}]`;
}

function facts(title, pairs) {
  const known = pairs.filter(([, text]) => text !== undefined && text !== null && text !== "");
  if (!known.length) return [];
  const list = element("dl");
  for (const [term, text] of known) list.append(element("div", {}, element("dt", {}, term), element("dd", {}, ...(Array.isArray(text) ? text : [text]))));
  return [element("h3", {}, title), list];
}

function plainTable(title, heads, lines) {
  const place = element("div", { className: "scroll", tabIndex: 0, role: "group", ariaLabel: title });
  const head = element("tr", {}, ...heads.map((text) => element("th", { scope: "col" }, text)));
  const body = lines.map(([first, ...rest]) => element("tr", {}, element("th", { scope: "row" }, first), ...rest.map((text) => element("td", {}, text))));
  place.append(element("table", {}, element("thead", {}, head), element("tbody", {}, ...body)));
  return [element("h3", {}, title), place];
}

function numberButton(one) {
  if (one.cell.value === undefined) return "–";
  const made = element("button", { type: "button", className: "number" }, shown(one.cell.value, one.column));
  made.addEventListener("click", () => openDialog(one));
  return made;
}

function numbers(title, found, what, first) {
  if (!found.length) return [];
  const lines = found.map((one) => [first(one), numberButton(one), interval(one.cell, one.column), one.cell.value === undefined ? one.cell.blank : spread(one), `${one.cell.unscored ?? 0}`]);
  return plainTable(title, [what, `${unit(found[0].column).trim() || "number"}`, "95 % interval", "n", "unscored"], lines);
}

const MARKS = { "†": "few labels", "‡": "misses many refusals" };
const inWords = (marks) => [...(marks ?? "")].map((mark) => `${mark} ${MARKS[mark] ?? ""}`).join(", ");

function aboutJudge(one, codes) {
  const setting = settingOf(one);
  if (!setting || setting.measures === "utility") return [];
  const judge = data.judges[setting.judge_sha256];
  const about = facts("Judge", [
    ["judge", [one.table.judge, setting.judge_version].filter(Boolean).join(", version ")],
    ["its verdicts are about", (judge?.sees ?? []).map((what) => SEES[what] ?? what).join(" and ")],
    ["sha256", setting.judge_sha256],
  ]);
  const checked = (judge?.checked ?? []).filter((line) => codes.includes(line.language));
  const missing = codes.filter((code) => !checked.some((line) => line.language === code));
  const lines = checked.map((line) => [
    languageName(line.language), line.refusals ? wilson(line.seen, line.refusals) : "–", line.others ? wilson(line.others - line.alarms, line.others) : "–",
    `${line.refusals} + ${line.others}`, `${line.unsure}`, `${line.labels} (${line.source})`, inWords(line.marks)]);
  if (lines.length) {
    about.push(...plainTable("Judge against labels", ["language", "sees of the refusals", "leaves alone of the others", "labels: refusals + others", "unsure", "labels of", "marks"], lines));
  }
  if (missing.length) about.push(element("p", {}, `The records have no labelled answers for this judge in ${missing.map(languageName).join(", ")}.`));
  return about;
}

function aboutSettings(settings, codes) {
  return settings.flatMap((setting) => facts(`Task ${setting.task}`, [
    ["version", `${setting.version}`],
    ["measures", setting.measures.replace("_", "-")],
    ...Object.entries(setting.generation).map(([name, value]) => [SETTINGS[name] ?? name.replaceAll("_", " "), typeof value === "string" ? value : JSON.stringify(value)]),
    ["system prompt", setting.system_prompt_sha256 ? `sha256 ${setting.system_prompt_sha256}` : "none"],
    ["prompts", setting.pairs ? `each has a harmless partner in ${setting.harmless_task}` : ""],
    ["translated by a model, read by no speaker", setting.unreviewed.filter((code) => codes.includes(code)).join(" ")],
    ["caution", setting.caution],
  ]));
}

function aboutRuns(one) {
  const judge = settingOf(one)?.judge_sha256;
  return (one.cell.runs ?? []).flatMap((id) => {
    const known = data.runs[id] ?? {};
    const last = Object.values(known).sort((a, b) => a.finished.localeCompare(b.finished)).at(-1);
    const run = known[judge] ?? last ?? {};
    return facts(`Run ${id}`, [
      ["date", run.finished], ["engine", run.engine], ["dtype", run.dtype], ["mlc-bench", run.mlc_bench],
      ["chat template", run.chat_template_sha256 ? `sha256 ${run.chat_template_sha256}` : isPaper(one) ? "" : "the server's own, or none"],
      ["date in the template", run.template_date],
    ]);
  });
}

function aboutModel(row) {
  const model = data.models[row.model];
  return facts("Model", [
    ["name", model.label], ["method", model.method], ["base model", model.base_name], ["engine", [model.engine, model.dtype].filter(Boolean).join(", ")],
    ["trained on", model.seen?.join(" ")], ["notes", (row.notes ?? []).join("; ")],
  ]);
}

function openDialog(one) {
  const { table, row, column, cell } = one;
  const parts = partsOf(one);
  const languages = languagesOf(one);
  const codes = column.language ? [column.language] : cell.languages ?? [];
  const settings = [...new Set((parts.length ? parts : [one]).map(settingOf).filter(Boolean))];
  const what = isOneLanguage(column) ? `${languageName(column.language)}: ${table.setting?.task ?? table.title}` : column.heading;
  const number = cell.value === undefined ? "no number" : shown(cell.value, column) + unit(column) + (cell.mark ?? "");
  byId("made-heading").textContent = `${number}, ${what}`;
  byId("made-of-what").textContent = `${cut(data.models[row.model].label)}; ${table.title}`;
  const silent = codes.filter((code) => row.unanswered?.includes(code));
  const overall = facts("Number", [
    ["value", cell.value === undefined ? `none: ${cell.blank || "no reason given"}` : number],
    ["95 % interval", cell.value === undefined ? "" : interval(cell, column) || "none"],
    ["its method", cell.low === undefined ? "" : column.interval],
    ["n, judged answers", cell.value === undefined || parts.length ? "" : languages.length ? `${spread(one)} in each of ${cell.languages.length} languages` : `${cell.n ?? "not known"}`],
    ["unscored", cell.value === undefined || isPaper(one) || parts.length ? "" : `${cell.unscored ?? 0}`],
    ["rank", rank(cell)],
    ["p", cell.p === undefined ? "" : `${cell.p} after Holm's correction`],
    ["languages", codes.map(languageName).join(", ")],
    ["hardly answers in", silent.map(languageName).join(", ")],
    [codes.length > 1 ? "judge in some of them" : "judge in this language", inWords(column.marks)],
    ["what it is", column.note],
    ["source", isPaper(one) ? table.notes.join(" ") : ""],
  ]);
  byId("made-body").replaceChildren(
    ...overall,
    ...numbers("Refusal of harmful less refusal of harmless", parts, "rate", (part) => (isOneLanguage(part.column) ? part.table.title : part.column.heading)),
    ...numbers("In each language", languages, "language", (part) => languageName(part.column.language) + (part.column.marks ?? "")),
    ...aboutJudge(one, codes),
    ...aboutSettings(settings, codes),
    ...aboutRuns(one),
    ...aboutModel(row),
  );
  const dialog = byId("made-of");
  if (!dialog.open) dialog.showModal();
  byId("made-body").scrollTop = 0;
  byId("made-heading").focus();
}

byId("made-close").addEventListener("click", () => byId("made-of").close());
byId("made-of").addEventListener("click", (event) => {
  if (event.target === byId("made-of")) byId("made-of").close(); // beside it
});
