// Scores by training step: a chart of one run with intervals, and a table of the same numbers.

const curves = (data.curves ?? []).map((one) => ({ ...one, id: [one.run, one.judge, one.judge_version].join(" ") }));
curves.sort((a, b) => b.steps.length - a.steps.length); // a run with checkpoints before one of which only the result is there
const KINDS = [ // what is drawn together
  { id: "refusal", name: "Refusal, over-refusal and selectivity", measures: ["refusal", "over_refusal", "selectivity"] },
  { id: "fidelity", name: "In the prompt's language", measures: ["fidelity"] },
  { id: "pag", name: "PAG", measures: ["pag"] },
  { id: "utility", name: "Utility", measures: ["utility"] },
];
const LOOKS = { // colour is not the only cue
  refusal: { name: "harmful refused", dash: [1, 0], shape: "circle" },
  over_refusal: { name: "harmless refused", dash: [7, 4], shape: "square" },
  selectivity: { name: "selectivity", dash: [2, 3], shape: "triangle-up" },
  fidelity: { name: "in the prompt's language", dash: [1, 0], shape: "circle" },
  pag: { name: "PAG", dash: [1, 0], shape: "circle" },
  utility: { name: "utility", dash: [1, 0], shape: "circle" },
};
const MEAN = "mean"; // in place of a language, in the address
const MOST_NAMED = 6; // steps in a sentence
const NARROW = 480; // pixels; below it the legend has a line for each entry

const kindOf = (line) => KINDS.find((kind) => kind.measures.includes(line.measure));
const measureOf = (line) => `${kindOf(line).id}:${line.task}`;
const languageOf = (line) => line.language ?? MEAN;
const lineTitle = (line) => LOOKS[line.measure].name + ({ percent: ", %", points: ", points" }[line.unit] ?? "");
const pointText = (point, line) => (point.value === undefined ? "–" : shown(point.value, line) + (point.unanswered ? " !" : ""));

// What is chosen, and what there is to choose from.
function training() {
  const one = curves.find(({ id }) => id === state.run) ?? curves[0];
  const order = (line) => KINDS.indexOf(kindOf(line));
  const measures = [...new Set([...one.lines].sort((a, b) => order(a) - order(b)).map(measureOf))];
  const measure = measures.includes(state.measure) ? state.measure : measures[0];
  const mine = one.lines.filter((line) => measureOf(line) === measure);
  const languages = [...new Set(mine.map(languageOf))].sort((a, b) => (b === MEAN) - (a === MEAN));
  const language = languages.includes(state.of) ? state.of : languages[0];
  return { one, measures, measure, languages, language, lines: mine.filter((line) => languageOf(line) === language) };
}

function measureName(measure) {
  const [kind, task] = measure.split(":");
  return `${KINDS.find(({ id }) => id === kind).name}: ${task}`;
}

const runName = ({ run, method, base_name, judge, judge_version, steps }) =>
  cut(`${method}${base_name && ` from ${base_name}`}`) + `, run ${run}, judge ${judge} ${judge_version}, ${steps.length} steps`;

const meanName = (measure) => (measure.startsWith("pag:") ? "all languages" : "mean over languages");
const inLanguage = (language, measure) => (language === MEAN ? meanName(measure) : languageName(language));

function peakText(lines) {
  const line = lines.find(({ peak }) => peak);
  if (!line) return "";
  const { step, reached_by } = line.peak;
  const point = line.points.find((one) => one.step === step);
  const [one, many] = [reached_by.length === 1, reached_by.length > MOST_NAMED];
  const others = !reached_by.length ? "The interval of no other step reaches it."
    : many ? `The intervals of ${reached_by.length} other steps reach it too.`
    : `The interval${one ? "" : "s"} of step${one ? "" : "s"} ${reached_by.join(", ")} reach${one ? "es" : ""} it too.`;
  return `Selectivity is highest at step ${step}: ${shown(point.value, line)} points ${interval(point, line)}. ${others}`;
}

function trainingChart(lines) {
  const scale = lines[0].unit === "number" ? 1 : 100;
  const values = lines.flatMap((line) => line.points.filter((point) => point.value !== undefined).map((point) => ({
    step: point.step, line: LOOKS[line.measure].name, value: scale * point.value, low: scale * (point.low ?? point.value), high: scale * (point.high ?? point.value),
    said: `${LOOKS[line.measure].name}, step ${point.step}: ${shown(point.value, line)}${unit(line)} ${interval(point, line)}${point.n ? `, n ${point.n}` : ""}${point.unanswered ? "; over a tenth of the answers are invalid" : ""}`,
  })));
  if (!values.length) return null;
  const steps = values.map(({ step }) => step);
  const range = Math.max(...steps) - Math.min(...steps);
  const margin = range ? Math.max(0.5, 0.02 * range) : 1;
  const lowest = Math.floor(Math.min(0, ...values.map(({ low }) => low)) / 10) * 10;
  const isRate = scale === 100 || lines[0].measure === "pag";
  const x = { field: "step", type: "quantitative", title: "training step", axis: { values: [...new Set(steps)], format: "d", labelOverlap: "greedy", grid: false },
    scale: { domain: [Math.min(...steps) - margin, Math.max(...steps) + margin], nice: false } };
  const title = lines.length > 1 ? "refused (%); selectivity (points)" : lineTitle(lines[0]);
  const y = { field: "value", type: "quantitative", title, scale: isRate ? { domain: [lowest, scale], nice: false } : { zero: false } };
  const looks = lines.map((line) => LOOKS[line.measure]);
  const by = (range) => ({ field: "line", type: "nominal", sort: null, title: null, scale: { domain: looks.map(({ name }) => name), ...(range && { range }) },
    legend: lines.length > 1 ? { orient: "bottom", columns: byId("training-section").clientWidth < NARROW ? 1 : lines.length, labelFontSize: 12, symbolSize: 90, symbolOpacity: 1 } : null });
  const colour = by();
  return {
    data: { values }, width: "container", height: 320, autosize: { type: "fit", contains: "padding" },
    layer: [
      { mark: { type: "area", opacity: 0.18 }, encoding: { x, y: { ...y, field: "low" }, y2: { field: "high" }, color: colour } },
      ...looks.map(({ name, dash }) => ({ // a layer each: by an encoding the legend's shapes would be dashed, too
        transform: [{ filter: { field: "line", equal: name } }], mark: { type: "line", strokeWidth: 2, strokeDash: dash }, encoding: { x, y, color: colour } })),
      { mark: { type: "rule", opacity: 0.5 }, encoding: { x, y: { ...y, field: "low" }, y2: { field: "high" }, color: colour } },
      { mark: { type: "point", filled: true, size: 70, opacity: 1 }, encoding: { x, y, color: colour, shape: by(looks.map(({ shape }) => shape)), description: { field: "said" },
        tooltip: { field: "said", type: "nominal", title: "number" } } },
    ],
  };
}

function trainingTable(caption, lines) {
  const steps = [...new Set(lines.flatMap((line) => line.points.map(({ step }) => step)))].sort((a, b) => a - b);
  const ofMean = lines[0].language === null;
  const head = ["step", ...lines.map(lineTitle), ...(ofMean ? ["languages"] : [])];
  const rows = steps.map((step) => {
    const points = lines.map((line) => line.points.find((point) => point.step === step) ?? {});
    const cells = points.map((point, index) => {
      const more = point.value === undefined ? [] : [interval(point, lines[index]), point.n ? `n ${point.n}` : ""].filter(Boolean);
      return element("td", {}, pointText(point, lines[index]), ...more.map((text) => element("small", {}, text)));
    });
    const languages = ofMean ? [element("td", { className: "words" }, (points.find((point) => point.languages) ?? {}).languages?.join(" ") ?? "–")] : [];
    return element("tr", {}, element("th", { scope: "row" }, `${step}`), ...cells, ...languages);
  });
  return element("table", {}, element("caption", { className: "hint" }, caption),
    element("thead", {}, element("tr", {}, ...head.map((text) => element("th", { scope: "col" }, text)))), element("tbody", {}, ...rows));
}

async function drawTraining() {
  byId("training-section").hidden = !curves.length;
  if (!curves.length) return;
  const { one, measures, measure, languages, language, lines } = training();
  options(byId("t-run"), curves.map((other) => [other.id, runName(other)]), one.id);
  byId("t-runs").hidden = curves.length === 1;
  options(byId("t-measure"), measures.map((other) => [other, measureName(other)]), measure);
  options(byId("t-language"), languages.map((code) => [code, inLanguage(code, measure)]), language);
  const caption = `${measureName(measure)}, ${inLanguage(language, measure)}; ${runName(one)}`;
  const differ = new Set(lines.flatMap((line) => line.points.map((point) => (point.languages ?? []).join(" ")))).size > 1;
  byId("training-peak").textContent = peakText(lines);
  byId("training-table").replaceChildren(trainingTable(`${measureName(measure)}, ${inLanguage(language, measure)}`, lines));
  byId("training-notes").hidden = !differ;
  byId("training-left").hidden = !one.left_out.length;
  byId("training-left-out").replaceChildren(...one.left_out.map((reason) => element("li", {}, reason)));
  await embed("training", caption, "The table below it has every number.", trainingChart(lines));
}
