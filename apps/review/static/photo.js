// The whole photo of a face: its box and landmarks, its data and its decisions.
import { badge, pair, words } from "./faces.js";
import { faceUrl, oneFace, photoUrl } from "./server.js";

const SVG = "http://www.w3.org/2000/svg";
const LANDMARKS = ["left eye", "right eye", "nose", "left of the mouth", "right of the mouth"];
const byId = (id) => document.getElementById(id);

export class PhotoView {
  #dialog = byId("photo");
  #face = null;

  constructor(all, step) {
    this.all = all;
    this.#dialog.addEventListener("close", () => document.body.append(byId("bar")));
    this.#dialog.querySelectorAll("[data-step]").forEach((button) =>
      button.addEventListener("click", () => step(Number(button.dataset.step))));
  }

  get isOpen() {
    return this.#dialog.open;
  }

  async show(face) {
    this.#face = face;
    this.#summarise(face);
    if (!this.isOpen) this.#open();
    const details = await oneFace(face.id);
    if (this.#face === face) this.#fill(face, details);
  }

  // Show a new state of the face.
  refresh(faces) {
    if (this.isOpen && faces.includes(this.#face)) this.show(this.#face);
  }

  close() {
    this.#dialog.close();
  }

  // The bar of buttons and messages moves into the dialog: nothing outside a modal dialog can be used or heard.
  #open() {
    this.#dialog.append(byId("bar"));
    this.#dialog.showModal();
    this.#dialog.focus();
  }

  #summarise(face) {
    byId("photo-title").textContent = pair(face) ? `${face.label}, or ${face.suggestion}?` : face.label;
    byId("photo-state").textContent = `${badge(face) || "undecided"} · ${face.split} · ${byRules(face)}`;
  }

  #fill(face, details) {
    this.#draw(face, details);
    this.#pair(face, details);
    rows("photo-doubts", details.doubts.map((doubt) => [words(doubt.rule), doubt.detail, `${Math.round(100 * doubt.score)} %`]));
    rows("photo-measures", Object.entries(details.measures).map(([name, value]) => [words(name), short(value)]));
    rows("photo-decisions", details.decisions.map((row) =>
      [row.reviewer, `${row.verdict} ${row.label}`, row.note, row.time.slice(0, 16).replace("T", " ")]));
    byId("photo-source").textContent = `${details.source} · ${face.id}`;
  }

  #draw(face, { box: [row, column, height, width], landmarks, size }) {
    const canvas = byId("canvas");
    const unit = Math.max(...size) / 250; // strokes look the same on small and large photos
    canvas.setAttribute("viewBox", `0 0 ${size[1]} ${size[0]}`);
    canvas.replaceChildren(
      shape("image", { href: photoUrl(face), width: size[1], height: size[0], preserveAspectRatio: "none" }),
      shape("rect", { class: "box under", x: column, y: row, width, height, "stroke-width": 2 * unit }),
      shape("rect", { class: "box", x: column, y: row, width, height, "stroke-width": unit }),
      ...landmarks.map(([y, x], k) =>
        shape("circle", { cx: x, cy: y, r: 1.6 * unit, "stroke-width": 0.5 * unit }, LANDMARKS[k])),
    );
  }

  // The face, and beside it the faces that it is a copy of.
  #pair(face, { doubts }) {
    const others = [...new Set(doubts.map((doubt) => doubt.other))].flatMap((id) => this.all.byId.get(id) ?? []);
    byId("photo-pair").replaceChildren(...[face, ...others].map((one) => {
      const figure = document.createElement("figure");
      const image = Object.assign(new Image(), { src: faceUrl(one), alt: `face ${one.id}` });
      const caption = document.createElement("figcaption");
      caption.textContent = one === face ? "this face" : `near-copy: ${one.label}, ${one.split}`;
      figure.append(image, caption);
      return figure;
    }));
  }
}

function byRules({ ruled }) {
  if (!ruled) return "kept unless a person rejects it";
  if (ruled === "leak") return "a leak: rejected whatever people decide";
  return `rejected by ${words(ruled)} unless a person keeps it`;
}

function shape(name, attributes, title = "") {
  const element = document.createElementNS(SVG, name);
  Object.entries(attributes).forEach(([key, value]) => element.setAttribute(key, value));
  if (title) element.append(Object.assign(document.createElementNS(SVG, "title"), { textContent: title }));
  return element;
}

function rows(id, table) {
  byId(id).hidden = !table.length;
  byId(id).tBodies[0].replaceChildren(...table.map((cells) => {
    const row = document.createElement("tr");
    cells.forEach((text, k) => {
      const cell = document.createElement(k ? "td" : "th");
      if (!k) cell.scope = "row";
      cell.textContent = text;
      row.append(cell);
    });
    return row;
  }));
}

function short(number) {
  return Number(number.toPrecision(4)).toLocaleString("en");
}
