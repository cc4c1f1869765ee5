// The labelling page. The server knows everything; this shows it, and moves on once an answer is on the disk.
"use strict";

const KEYS = "1234567890abcdefghijklmnopqrstuvwxyz";
const at = (id) => document.getElementById(id);
const SKIP = -1;

let classes = [];
let state = null; // what the server said last
let view = "one";
let shown = null; // the picture in view: {row, file, label?, says?, predicted?}
let steps = 0; // how many answers back
let list = []; // what there is to review
let place = 0; // in it
let grid = { label: null, rows: [] };
let sending = false;
let estimated = ""; // the round that the estimate in view is of

// ---- the server

async function ask(path) {
  const answer = await fetch(path, { cache: "no-store" });
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
}

async function tell(path, what) {
  const answer = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(what),
  });
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
}

// Keys pressed while an answer is on its way are not taken: they would be for a picture that nobody has seen yet.
async function act(work) {
  if (sending) return;
  sending = true;
  document.body.setAttribute("aria-busy", "true");
  try {
    await work();
  } catch (error) {
    const gone = error instanceof TypeError;
    say(gone ? "The server does not answer. What is not saved is still shown: start `fewlabels label` again." : error.message);
  } finally {
    sending = false;
    document.body.removeAttribute("aria-busy");
  }
}

function say(text) {
  at("message").textContent = text;
}

// ---- showing

function keyOf(label) {
  return classes.length <= KEYS.length ? KEYS[label] : "";
}

function makeClasses() {
  at("search").hidden = classes.length <= KEYS.length;
  at("classes").replaceChildren(
    ...classes.map((name, label) => {
      const item = document.createElement("li");
      const button = document.createElement("button");
      button.type = "button";
      button.dataset.label = label;
      if (keyOf(label)) {
        const key = document.createElement("kbd");
        key.textContent = keyOf(label);
        button.append(key);
        button.setAttribute("aria-keyshortcuts", keyOf(label));
      }
      button.append(name);
      const note = document.createElement("span");
      note.className = "note";
      button.append(note);
      button.addEventListener("click", () => choose(label));
      item.append(button);
      return item;
    }),
  );
}

function mark() {
  const likely = at("hint").checked || view === "review" ? shown && shown.predicted : null;
  for (const button of at("classes").querySelectorAll("button")) {
    const label = Number(button.dataset.label);
    const given = shown !== null && shown.label === label;
    button.classList.toggle("given", given);
    button.classList.toggle("likely", likely === label);
    button.querySelector(".note").textContent = (given ? " (given)" : "") + (likely === label ? " (likeliest)" : "");
  }
}

const WHY = {
  audit: "drawn at random, to judge the models",
  round: "chosen because its label teaches most",
  tie: "two labels have as many votes: please decide",
  suspect: "the models contradict this label",
  disputed: "people disagree",
  skipped: "skipped before",
};

function describe(item) {
  const said = (item.says || []).map((one) => `${one.who}: ${one.label === SKIP ? "cannot tell" : classes[one.label]}`);
  const why = WHY[item.kind || item.why];
  return [item.file, why, ...said].filter(Boolean).join(" · ");
}

async function show(item) {
  shown = item;
  const picture = at("picture");
  at("one").dataset.row = item ? item.row : "";
  for (const id of ["picture", "classes", "search", "skip"]) at(id).toggleAttribute("inert", !item);
  picture.hidden = !item;
  at("caption").textContent = item ? describe(item) : "";
  mark();
  if (!item) return;
  picture.alt = `Picture ${item.file}`;
  picture.classList.add("loading");
  picture.src = `picture/${item.row}`;
  try {
    await picture.decode();
    const small = picture.naturalWidth < picture.clientWidth && picture.naturalHeight < picture.clientHeight;
    picture.classList.toggle("small", small && Math.max(picture.naturalWidth, picture.naturalHeight) <= 256);
    picture.classList.remove("loading");
  } catch {
    if (shown === item) say(`${item.file} cannot be shown: it is gone, or has changed. Skip it.`);
  }
  if (at("hint").checked && item.predicted === undefined && item.why !== "audit") {
    item.predicted = (await ask(`likely/${item.row}`)).label;
    if (shown === item) mark();
  }
}

function bar(id, done, size, text) {
  at(id).max = size || 1;
  at(id).value = done;
  at(`${id}-text`).textContent = text;
}

function progress() {
  const { round, budget, audit, pace, minutes } = state;
  const count = (number) => number.toLocaleString("en");
  bar("round", round.done, round.size, `${round.number}: ${count(round.done)} of ${count(round.size)}`);
  bar("budget", budget.done, budget.size, `${count(budget.done)} of ${count(budget.size)} labels` + (budget.free ? `, ${count(budget.free)} from before` : ""));
  at("audit-line").hidden = !audit.size;
  bar("audit", audit.done, audit.size, `${count(audit.done)} of ${count(audit.size)}`);
  const left = Math.max(1, Math.round(minutes));
  at("pace").textContent = pace ? `${Math.round(pace)} a minute, ${left} minute${left === 1 ? "" : "s"} left` : "";
  at("undo").disabled = at("undo-grid").disabled = !state.undo;
  at("problems").replaceChildren(
    ...state.problems.map((text) => Object.assign(document.createElement("li"), { textContent: text })),
  );
}

async function estimate() {
  const round = `${state.round.number} ${state.audit.done >= state.audit.size}`;
  if (round === estimated) return;
  estimated = round;
  const { points, gain, more, judged } = await ask("estimate");
  const last = points[points.length - 1];
  const percent = (share) => (100 * share).toFixed(1);
  at("estimate").textContent = last
    ? `With ${last.labels.toLocaleString("en")} labels ${percent(last.accuracy)} % of the ${judged} audited pictures are right ` +
      `(95 % interval ${percent(last.low)} to ${percent(last.high)}). ` +
      (gain === null ? "" : `The next ${more} labels may bring ${percent(gain)} points.`)
    : "";
}

async function take(next) {
  state = next;
  progress();
  if (state.busy) say(`Choosing the next pictures, for round ${state.round.number} …`);
  else say(state.message);
  if (view === "one") {
    const history = state.history;
    steps = Math.min(steps, history.length);
    const undone = state.undone == null ? null : state.questions.find((one) => one.row === state.undone);
    await show(steps ? history[history.length - steps] : undone || state.questions[0] || null);
    at("back").disabled = steps >= history.length;
    at("forward").disabled = steps === 0;
    for (const one of state.questions.slice(1)) new Image().src = `picture/${one.row}`;
  }
  await estimate();
}

async function refresh() {
  await take(await ask("state"));
  if (view === "grid") await showGrid();
  if (view === "review") await showReview();
}

// Somebody else, or another tab, may have answered. Keys are taken meanwhile: mostly nothing has changed.
async function look() {
  const next = await ask("state").catch(() => null);
  if (!sending && JSON.stringify(next) !== JSON.stringify(state)) act(refresh);
}

// ---- one by one

function choose(label) {
  if (!shown) return;
  const review = view === "review";
  act(async () => {
    const next = await tell("answer", { row: shown.row, label: label === SKIP ? null : label, review });
    at("typed").value = "";
    filter();
    steps = 0;
    await take(next);
    if (review) {
      place += 1;
      await reviewed();
    }
  });
}

function undo() {
  act(async () => {
    steps = 0;
    const next = await tell("undo", {});
    await take(next);
    if (next.file) say(`Taken back: ${next.file}`);
    if (view === "grid") await showGrid();
    if (view === "review") await showReview();
  });
}

function step(by) {
  if (view === "review") {
    act(async () => {
      place = Math.max(0, Math.min(list.length - 1, place - by));
      await reviewed();
    });
    return;
  }
  act(async () => {
    steps = Math.max(0, steps + by);
    await take(state);
  });
}

function filter() {
  const wanted = at("typed").value.trim().toLowerCase();
  for (const item of at("classes").children) {
    const name = classes[Number(item.firstChild.dataset.label)].toLowerCase();
    item.hidden = !name.includes(wanted);
  }
}

function first() {
  const left = [...at("classes").children].filter((item) => !item.hidden).map((item) => Number(item.firstChild.dataset.label));
  const wanted = at("typed").value.trim().toLowerCase();
  if (!wanted) return undefined;
  return left.find((label) => classes[label].toLowerCase() === wanted) ?? left.find((label) => classes[label].toLowerCase().startsWith(wanted)) ?? left[0];
}

// ---- the grid

async function showGrid() {
  grid = await ask("grid");
  const none = grid.label === null;
  const cells = [...at("cells").querySelectorAll("button")].map((cell) => Number(cell.dataset.row));
  at("confirm").disabled = none;
  if (!none && String(cells) === String(grid.rows)) return; // what is marked stays marked
  at("grid-title").textContent = none ? "No group" : `Taken for ${classes[grid.label]}: which are wrong?`;
  if (!none && !grid.saves) say("The model is unsure of these: one by one takes fewer keys.");
  if (none && !state.message && !state.busy) {
    say("There is no group now: the audit and the first round are asked one by one, and so is what was marked as wrong.");
  }
  at("cells").replaceChildren(
    ...grid.rows.map((row, number) => {
      const item = document.createElement("li");
      const button = document.createElement("button");
      button.type = "button";
      button.dataset.row = row;
      button.tabIndex = number ? -1 : 0;
      button.setAttribute("aria-pressed", "false");
      button.setAttribute("aria-label", `Picture ${number + 1} is wrong`);
      const picture = document.createElement("img");
      picture.alt = "";
      picture.src = `picture/${row}`;
      picture.addEventListener("load", () => picture.classList.toggle("small", picture.naturalWidth < 100));
      button.append(picture);
      button.addEventListener("click", () => toggle(button));
      item.append(button);
      return item;
    }),
  );
  if (grid.rows.length) at("cells").querySelector("button").focus();
  const shown = [...at("cells").querySelectorAll("img")].map((picture) => picture.decode().catch(() => {}));
  at("confirm").disabled = true; // nobody confirms what is not in view yet
  await Promise.all(shown);
  at("confirm").disabled = none;
}

function toggle(button) {
  button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
}

function move(key) {
  const cells = [...at("cells").querySelectorAll("button")];
  const now = Math.max(0, cells.indexOf(document.activeElement));
  const width = cells.filter((cell) => cell.offsetTop === cells[0].offsetTop).length;
  const next = now + { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -width, ArrowDown: width }[key];
  if (!cells[next]) return;
  cells[now].tabIndex = -1;
  cells[next].tabIndex = 0;
  cells[next].focus();
}

function confirm() {
  if (grid.label === null || at("confirm").disabled) return;
  act(async () => {
    const wrong = [...at("cells").querySelectorAll('[aria-pressed="true"]')].map((cell) => Number(cell.dataset.row));
    const rows = grid.rows.filter((row) => !wrong.includes(row));
    await take(await tell("answer", { rows, label: grid.label, wrong }));
    await showGrid();
  });
}

// ---- the review

async function showReview() {
  const found = await ask("review");
  const now = list[place] && found.findIndex((one) => one.row === list[place].row);
  list = found;
  place = now > 0 ? now : 0;
  await reviewed();
}

async function reviewed() {
  const item = list[place] || null;
  at("one-title").textContent = item ? `Is this right? ${place + 1} of ${list.length}` : "Review";
  at("keep").disabled = !item || item.label === null;
  if (!item) say(list.length ? "That was all there is to review." : "There is nothing to review.");
  await show(item);
  at("back").disabled = place === 0;
  at("forward").disabled = place >= list.length;
}

// ---- keys and buttons

async function change(to) {
  view = to;
  steps = 0;
  for (const button of document.querySelectorAll("nav button")) {
    button.setAttribute("aria-pressed", String(button.dataset.view === to));
  }
  at("one").hidden = to === "grid";
  at("grid").hidden = to !== "grid";
  at("keep").hidden = to !== "review";
  for (const only of [at("undo"), at("skip"), at("hint").parentElement]) only.hidden = to === "review";
  at("one-title").textContent = "Which class is this?";
  await refresh();
}

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.repeat && !event.key.startsWith("Arrow") && event.target !== at("typed")) return event.preventDefault(); // one key, one answer
  const typing = event.target === at("typed") && at("typed").value !== "";
  const onButton = event.target instanceof HTMLButtonElement || event.target === at("hint");
  const used = () => event.preventDefault();
  if (view === "grid") {
    if (event.key === "Enter" && (!onButton || event.target.closest("#cells"))) used(), confirm();
    else if (event.key.startsWith("Arrow") && grid.rows.length) used(), move(event.key);
    else if (event.key === "Backspace") used(), undo();
    return;
  }
  if (event.key === "Escape") return at("typed").value = "", filter();
  if (event.key === "Enter" && event.target === at("typed") && first() !== undefined) return used(), choose(first());
  if (typing) return;
  if (event.key === " " && !onButton) return used(), view === "review" ? step(-1) : choose(SKIP);
  if (event.key === "Backspace" && view === "one") return used(), undo();
  if (event.key === "ArrowLeft") return used(), step(1);
  if (event.key === "ArrowRight") return used(), step(-1);
  if (event.key === "Enter" && !onButton && view === "review" && shown && shown.label !== null) return used(), choose(shown.label);
  const label = event.target === at("typed") || classes.length > KEYS.length ? -1 : KEYS.indexOf(event.key.toLowerCase());
  if (event.key.length === 1 && label >= 0 && label < classes.length) used(), choose(label);
}

async function begin() {
  ({ classes } = await ask("setting"));
  makeClasses();
  await refresh();
  if (classes.length > KEYS.length) at("typed").focus();
}

document.addEventListener("keydown", pressed);
at("skip").addEventListener("click", () => choose(SKIP));
at("undo").addEventListener("click", undo);
at("undo-grid").addEventListener("click", undo);
at("back").addEventListener("click", () => step(1));
at("forward").addEventListener("click", () => step(-1));
at("keep").addEventListener("click", () => choose(shown.label));
at("confirm").addEventListener("click", confirm);
at("typed").addEventListener("input", filter);
at("hint").addEventListener("change", () => act(() => show(shown)));
for (const button of document.querySelectorAll("nav button")) {
  button.addEventListener("click", () => act(() => change(button.dataset.view)));
}
window.addEventListener("focus", look);
setInterval(() => state && state.busy && act(refresh), 300);
act(begin);
