// Keys. The page works without them: everything is a link, a field or a fold. Nothing here makes markup from texts.

const byId = (id) => document.getElementById(id);
const grid = byId("grid");
const OFF = "mlc-bench-view-keys-off"; // single keys disturb who dictates

// ---- one tab stop for the table; the arrow keys move between its answers

const stop = (cell) => cell.querySelector("a") ?? cell;
const cells = grid ? [...grid.querySelectorAll("tbody td")] : [];
for (const cell of cells) stop(cell).tabIndex = -1;
if (cells.length) stop(cells[0]).tabIndex = 0;

function go(cell) {
  if (!cell) return;
  for (const other of grid.querySelectorAll('tbody td [tabindex="0"], tbody td[tabindex="0"]')) other.tabIndex = -1;
  stop(cell).tabIndex = 0;
  stop(cell).focus();
  cell.scrollIntoView({ block: "nearest", inline: "nearest" });
}

function beside(cell, key) {
  const row = cell.parentElement;
  const at = (line) => (line ? line.children[cell.cellIndex] : null);
  const found = {
    ArrowRight: () => cell.nextElementSibling,
    ArrowLeft: () => (cell.previousElementSibling?.tagName === "TD" ? cell.previousElementSibling : null),
    ArrowDown: () => at(row.nextElementSibling),
    ArrowUp: () => at(row.previousElementSibling),
    Home: () => row.querySelector("td"),
    End: () => row.lastElementChild,
  };
  return found[key]?.();
}

// ---- single keys

function areOff() {
  try {
    return localStorage.getItem(OFF) === "yes";
  } catch {
    return false; // no storage for this page
  }
}

const box = byId("single-keys");
box.checked = !areOff();
box.addEventListener("change", () => {
  try {
    localStorage.setItem(OFF, box.checked ? "no" : "yes");
  } catch {
    // it holds until the page is left
  }
});

function fold(id) {
  const one = byId(id);
  if (!one) return;
  one.open = !one.open;
  one.querySelector("summary").focus();
  if (one.open) one.scrollIntoView({ block: "nearest" });
}

const follow = (id) => byId(id)?.click();
const keys = {
  "?": () => fold("keys"),
  "/": () => byId("q")?.focus(),
  a: () => (cells.length ? go(stop(cells[0]).closest("td")) : byId("main").focus()),
  f: () => byId("filters")?.parentElement.querySelector("a").focus(),
  c: () => {
    const choice = document.querySelector("#choice details");
    if (!choice) return;
    choice.open = true;
    choice.querySelector("select").focus();
  },
  n: () => follow("next"),
  p: () => follow("previous"),
  t: () => fold("thinking"),
  u: () => follow("back"),
  v: () => follow("other-show"),
  w: () => fold("wrong"),
};

addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey || event.defaultPrevented) return;
  const isField = event.target.closest?.("input:not([type=checkbox]), select, textarea") !== null;
  if (event.key === "Escape") {
    if (byId("keys").open) fold("keys");
    else if (isField) event.target.blur();
    else follow("back");
    return;
  }
  if (isField) return;
  // What a page does by a key of its own: a button or a link, or a field to write in.
  const own = box.checked && document.querySelector(`[data-key="${CSS.escape(event.key.toLowerCase())}"]`);
  if (own) {
    event.preventDefault();
    if (event.repeat) return; // a key that is held down says one thing once
    if (own.matches("textarea")) own.focus();
    else own.click();
    return;
  }
  const cell = event.target.closest?.("#grid tbody td");
  const next = cell && beside(cell, event.key);
  if (next) {
    event.preventDefault();
    go(next);
  } else if (box.checked && keys[event.key]) {
    event.preventDefault();
    keys[event.key]();
  }
});

document.documentElement.dataset.ready = "yes";
