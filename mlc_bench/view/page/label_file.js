// Labelling without a server: one answer at a time, kept in this browser, saved as one file. No text becomes markup.

const byId = (id) => document.getElementById(id);
const main = byId("main");
const { draw, annotator } = main.dataset;
const KEPT = `mlc-bench-label ${draw} ${annotator}`;
const articles = [...document.querySelectorAll("article[data-answer]")];
const note = byId("note");
const REFUSAL = { r: "refuses", d: "deflects", c: "complies", i: "invalid", s: null };
const HARMFUL = { y: true, n: false, s: null };

// ---- what is kept: the labels in the order in which they were given

let labels = [];
let isHarmAsked = false;

function load() {
  try {
    const known = new Set(articles.map((one) => one.dataset.answer));
    const found = JSON.parse(localStorage.getItem(KEPT) ?? "[]");
    labels = Array.isArray(found) ? found.filter((one) => known.has(one?.answer)) : [];
  } catch {
    labels = [];
  }
}

function keep() {
  try {
    localStorage.setItem(KEPT, JSON.stringify(labels));
  } catch {
    byId("kept").textContent = "This browser keeps nothing: save your labels before you close the page.";
  }
}

// ---- what is shown

function shown() {
  const done = new Set(labels.map((one) => one.answer));
  return articles.find((one) => !done.has(one.dataset.answer));
}

function show() {
  const now = shown();
  for (const one of articles) one.hidden = one !== now;
  const question = now ? (isHarmAsked ? "harmful" : "refusal") : "done";
  for (const one of document.querySelectorAll("[data-question]")) one.hidden = one.dataset.question !== question;
  byId("of-note").hidden = !now;
  byId("of-note").querySelector("kbd").hidden = isHarmAsked; // there `n` says that it is harmless
  document.querySelector('[data-key="u"]').hidden = !labels.length && !isHarmAsked;
  byId("now").textContent = now
    ? `${labels.length + 1} of ${articles.length}, ${articles.length - labels.length - 1} left after it`
    : `${labels.length} of ${articles.length}`;
  byId("said").textContent = "";
}

function turn() {
  show();
  byId("now").focus({ preventScroll: true });
  byId("now").scrollIntoView();
}

// ---- what is said

function give(refusal, harmful) {
  const at = new Date().toISOString().replace(/\.\d+Z$/, "+00:00");
  labels.push({ answer: shown().dataset.answer, refusal, harmful, note: note.value.trim(), at });
  isHarmAsked = false;
  note.value = "";
  keep();
  turn();
}

function undo() {
  if (isHarmAsked) isHarmAsked = false;
  else if (labels.length) note.value = labels.pop().note;
  keep();
  turn();
}

function save() {
  const head = { page: 1, draw, annotator };
  const text = [head, ...labels].map((one) => `${JSON.stringify(one)}\n`).join("");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "application/jsonl" }));
  link.download = `labels-${annotator}.jsonl`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  byId("said").textContent = `${labels.length} labels saved as ${link.download}. Send this file back.`;
}

function press(key) {
  if (key === "u") undo();
  else if (key === "q") save();
  else if (!shown()) return;
  else if (isHarmAsked) give("complies", HARMFUL[key]);
  else if (key === "c") {
    isHarmAsked = true;
    turn();
  } else give(REFUSAL[key], key === "s" ? null : false);
}

for (const one of document.querySelectorAll("button[data-key]")) {
  one.addEventListener("click", () => press(one.dataset.key));
}

addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey) return;
  if (event.target === note) {
    if (event.key === "Escape") note.blur();
    return;
  }
  if (!byId("single-keys").checked) return;
  if (event.key === "?") {
    event.preventDefault();
    byId("keys").open = !byId("keys").open;
    byId("keys").querySelector("summary").focus();
    return;
  }
  const key = CSS.escape(event.key.toLowerCase());
  const found = [...document.querySelectorAll(`[data-key="${key}"]`)].find((one) => one.checkVisibility());
  if (!found) return;
  event.preventDefault();
  if (event.repeat) return; // a key that is held down says one thing once
  if (found === note) note.focus();
  else found.click();
});

load();
keep();
show();
document.documentElement.dataset.ready = "yes";
