// The page: keys, buttons and what they do.
import { Clock } from "./clock.js";
import { badge, describe, isDecided, reason, replaceAll, select, unpack, update, words } from "./faces.js";
import { Filters } from "./filters.js";
import { Grid } from "./grid.js";
import { Judge } from "./judge.js";
import { PhotoView } from "./photo.js";
import { allFaces, changes } from "./server.js";

const POLL_MS = 2000, REVIEWER = "monday-fer-reviewer";
const byId = (id) => document.getElementById(id);
const count = (number) => number.toLocaleString("en");
const faces = (number) => (number === 1 ? "1 face" : `${count(number)} faces`);

let all, grid, judge, photo, filters;
let scope = []; // the faces that pass the other filters, in any state: progress is counted over these
let cursor = "", recounting = 0;
const clock = new Clock();

start().catch((error) => alarm(error.message));

async function start() {
  all = unpack(await allFaces());
  grid = new Grid(byId("scroller"), byId("grid"), { open: openPhoto, moved });
  filters = new Filters(all, () => {
    list();
    grid.focus(); // so that the next key acts on the faces
  });
  photo = new PhotoView(all, (step) => grid.move(step));
  judge = new Judge(all, { reviewer, changed: redraw, recorded, refused });
  buttons();
  document.addEventListener("keydown", pressed);
  addEventListener("beforeunload", (event) => all.faces.some((face) => face.waits) && event.preventDefault());
  await poll();
  list();
  if (matchMedia("(pointer: coarse)").matches) announce("Tap a face, then choose what it shows.");
  askName(false);
}

function reviewer() {
  return localStorage.getItem(REVIEWER) || all.reviewer;
}

// List the faces that pass the filters. Decided faces stay until the next listing, so that nothing jumps.
function list(cursor = 0) {
  const shown = select(all.faces, filters.value);
  scope = select(all.faces, filters.value, ["state"]);
  byId("empty").hidden = shown.length > 0;
  byId("scroller").scrollTop = 0;
  grid.show(shown, cursor);
  filters.fill();
  progress();
}

function progress() {
  const decided = scope.filter(isDecided).length;
  Object.assign(byId("progress"), { max: Math.max(scope.length, 1), value: decided });
  byId("counts").textContent =
    `${count(decided)} of ${count(scope.length)} in this filter decided, ${count(all.faces.filter(isDecided).length)} of ${count(all.faces.length)} in all`;
  byId("time").textContent = clock.summary(scope.length - decided);
  byId("reviewer").textContent = reviewer() || "your name?";
  clearTimeout(recounting);
  recounting = setTimeout(() => document.activeElement?.tagName === "SELECT" || filters.fill(), 400);
}

function redraw(changed) {
  changed.forEach((face) => grid.refresh(face));
  photo.refresh(changed);
  progress();
}

// Fetch the decisions of others, every two seconds.
async function poll() {
  try {
    const news = await changes(cursor);
    const changed = news.all ? replaceAll(all, news.faces) : update(all, news.faces);
    cursor = news.cursor;
    if (changed.length) redraw(changed);
    showOthers(news, changed);
    if (byId("notice").dataset.of === "poll") calm();
    if (news.made !== all.made) alarm("Cleaning has run again: reload the page to see its doubts.", "made");
  } catch (error) {
    alarm(error.message, "poll");
  }
  setTimeout(poll, POLL_MS);
}

function showOthers(news, changed) {
  const others = news.all ? [] : changed.filter((face) => face.stands.length && face.stands.at(-1).reviewer !== reviewer());
  if (others.length) announce(`${others.at(-1).stands.at(-1).reviewer} has decided ${faces(others.length)}`);
  const disputed = all.faces.filter((face) => face.state === "disputed").length;
  const { stale, unknown } = news.not_applied;
  const chips = [
    [disputed, "disputed", "Reviewers disagree: one more decision settles each", () => filters.set({ state: "disputed", rule: "" })],
    [stale, "stale", "Decisions on pixels that have changed since: not applied", () => filters.set({ state: "stale", rule: "" })],
    [unknown, "unknown", "Decisions on unknown faces: not applied", null],
  ];
  byId("attention").replaceChildren(...chips.filter(([number]) => number).map(([number, name, title, show]) => {
    const chip = Object.assign(document.createElement(show ? "button" : "span"), { title, type: "button" });
    chip.className = "chip";
    chip.textContent = `${count(number)} ${name}`;
    chip.onclick = show;
    return chip;
  }));
}

function recorded(changed, what) {
  const withdrawn = what === "withdrawn";
  if (!withdrawn) clock.tick(changed.length);
  else if (grid.list.includes(changed[0])) grid.select(grid.list.indexOf(changed[0]));
  const one = `${changed[0].label} face: ${badge({ ...changed[0], waits: 0 }) || "undecided"}`;
  announce(`${withdrawn ? "Withdrawn. " : ""}${changed.length === 1 ? one : `${faces(changed.length)}: ${what}`}`);
  if (byId("notice").dataset.of === "refused") calm();
}

function refused(changed, error) {
  if (error.status === 409) {
    const index = grid.list.indexOf(changed[0]);
    if (index >= 0) grid.select(index);
    const states = changed.slice(0, 3).map((face) => describe(face)).join("; ");
    return alarm(`Not recorded: somebody else decided first. ${states}. Decide again if you disagree.`, "refused");
  }
  alarm(error.status === undefined ? `Nothing to undo: ${error.message}.` : `NOT recorded: ${error.message}`, "refused");
}

function announce(text) {
  byId("message").textContent = text;
}

function alarm(text, of = "") {
  byId("notice").hidden = false;
  byId("notice").dataset.of = of;
  byId("notice").firstElementChild.textContent = text;
}

function calm() {
  byId("notice").hidden = true;
  byId("notice").dataset.of = "";
}

// ── What a person does ─────────────────────────────────────────────────────────────────────────────────────

const actions = {
  keep: () => decide(() => ({ verdict: "keep", label: "", note: "" }), "kept"),
  reject: () => decide((face) => ({ verdict: "reject", label: "", note: reason(face, filters.value.rule) }), "rejected"),
  undo: () => judge.undo(grid.selection()),
  photo: () => (photo.isOpen ? photo.close() : openPhoto()),
  page: keepPage,
  range: () => toggleRange(!grid.ranging),
};

function name(expression) {
  decide((face) => face.label === expression
    ? { verdict: "keep", label: "", note: "" }
    : { verdict: "relabel", label: expression, note: "" }, `named ${expression}`);
}

function decide(how, what) {
  if (askName(true) || !grid.list.length) return;
  const selected = grid.selection();
  judge.decide(selected, how, what);
  toggleRange(false);
  grid.select(Math.max(grid.cursor, grid.anchor) + 1);
}

// Keep the undecided faces in view, then show the next ones.
function keepPage() {
  if (photo.isOpen || askName(true)) return;
  const page = grid.page();
  const open = page.filter((face) => face.state === "undecided" && !face.waits);
  if (!page.length) return;
  const next = grid.list.indexOf(page.at(-1)) + 1;
  judge.decide(open, () => ({ verdict: "keep", label: "", note: "" }), "kept");
  if (!open.length) announce("No undecided face is in view.");
  grid.toTop(next);
}

function openPhoto() {
  const face = grid.list[grid.cursor];
  if (face) photo.show(face).catch((error) => alarm(error.message));
}

function moved() {
  if (photo.isOpen) openPhoto();
}

function toggleRange(on) {
  grid.ranging = on;
  document.querySelector('[data-do="range"]').setAttribute("aria-pressed", on);
}

const KEYS = { k: "keep", Enter: "keep", x: "reject", u: "undo", " ": "photo", c: "page" };

function pressed(event) {
  const at = event.target;
  if (event.ctrlKey || event.altKey || event.metaKey || at.closest("input, select, #name, #help")) return;
  const onButton = at.closest("button, a, summary");
  if (onButton && ["Enter", " "].includes(event.key)) return;
  const step = grid.step(event.key);
  const expression = all.expressions[Number(event.key) - 1];
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (step) grid.move(step, event.shiftKey);
  else if (expression && !event.repeat) name(expression);
  else if (KEYS[key] && !event.repeat) actions[KEYS[key]]();
  else if (event.key === "?") byId("help").showModal();
  else if (event.key === "Escape" && !photo.isOpen) grid.select(grid.cursor);
  else return;
  event.preventDefault();
}

function buttons() {
  byId("expressions").replaceChildren(...all.expressions.map((expression, k) => {
    const button = document.createElement("button");
    button.append(Object.assign(document.createElement("kbd"), { textContent: k + 1 }), expression);
    button.onclick = () => name(expression);
    return button;
  }));
  byId("help-expressions").textContent = all.expressions.join(", ");
  document.querySelectorAll("[data-do]").forEach((button) => (button.onclick = actions[button.dataset.do]));
  document.querySelectorAll("[data-close]").forEach((button) => (button.onclick = () => button.closest("dialog").close()));
  byId("help-button").onclick = () => byId("help").showModal();
  byId("reviewer").onclick = () => askName(false, true);
  byId("notice").lastElementChild.onclick = calm;
  const wide = matchMedia("(min-width: 701px)");
  wide.onchange = () => (byId("filters").open = wide.matches);
  wide.onchange();
  document.querySelectorAll("dialog").forEach((dialog) => dialog.addEventListener("close", () => grid.focus()));
  byId("name").querySelector("form").addEventListener("submit", () => {
    localStorage.setItem(REVIEWER, byId("name-input").value.trim());
    progress();
  });
}

// Ask for the name if it is unknown (or `anyway`); returns whether a decision must wait for it.
function askName(deciding, anyway = false) {
  if (reviewer() && !anyway) return false;
  byId("name-input").value = reviewer();
  byId("name").showModal();
  if (deciding) announce("Enter your name first.");
  return true;
}
