// The grid of faces: only rows in view are in the page, however long the list is.
import { badge, describe, pair, verdict, words } from "./faces.js";
import { faceUrl } from "./server.js";

const GAP = 8, CAPTION = 44, SPARE = 2; // px; px; rows beyond the view
const SMALLEST = { narrow: 100, wide: 132 }; // px of a face

export class Grid {
  list = [];
  cursor = 0;
  anchor = 0;
  #rows = new Map();
  #columns = 1;
  #side = 0;
  #frame = 0;

  constructor(scroller, grid, { open, moved }) {
    Object.assign(this, { scroller, grid, open, moved });
    scroller.addEventListener("scroll", () => this.#later(), { passive: true });
    new ResizeObserver(() => this.#measure()).observe(scroller);
    grid.addEventListener("click", (event) => this.#clicked(event));
    grid.addEventListener("dblclick", () => this.open());
  }

  show(list, cursor = 0) {
    this.list = list;
    this.cursor = this.anchor = Math.max(0, Math.min(cursor, list.length - 1));
    this.#measure(true);
    this.#reveal();
  }

  // The selected faces, from the anchor to the cursor: decisions apply to these.
  selection() {
    const [from, to] = this.#range();
    return this.list.slice(from, to + 1);
  }

  // The faces whose picture is loaded and whose middle is in view: what the reviewer has seen.
  page() {
    const view = this.scroller.getBoundingClientRect();
    return [...this.grid.querySelectorAll(".cell")].filter((cell) => {
      const image = cell.querySelector("img").getBoundingClientRect();
      const middle = (image.top + image.bottom) / 2;
      return cell.querySelector("img").naturalWidth && middle > view.top && middle < view.bottom;
    }).map((cell) => Number(cell.dataset.index)).sort((a, b) => a - b).map((index) => this.list[index]);
  }

  move(step, extend = false) {
    this.select(this.cursor + step, extend);
  }

  select(index, extend = false) {
    if (!this.list.length) return;
    this.cursor = Math.max(0, Math.min(index, this.list.length - 1));
    if (!extend) this.anchor = this.cursor;
    this.#reveal();
    this.moved();
  }

  // Select a face and scroll its row to the top.
  toTop(index) {
    this.select(index);
    this.scroller.scrollTop = Math.floor(this.cursor / this.#columns) * this.#height;
  }

  // The step of a key, in faces.
  step(key) {
    const page = this.#columns * Math.max(1, Math.floor(this.scroller.clientHeight / this.#height));
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -this.#columns, ArrowDown: this.#columns };
    return { ...steps, PageUp: -page, PageDown: page, Home: -this.list.length, End: this.list.length }[key];
  }

  refresh(face) {
    const cell = this.grid.querySelector(`[data-id="${face.id}"]`);
    if (cell) this.#fill(cell, face);
  }

  focus() {
    this.grid.querySelector('[tabindex="0"]')?.focus({ preventScroll: true });
  }

  get #height() {
    return this.#side + CAPTION + GAP;
  }

  #range() {
    return [Math.min(this.anchor, this.cursor), Math.max(this.anchor, this.cursor)];
  }

  #measure(always = false) {
    const width = this.grid.clientWidth;
    const smallest = width < 560 ? SMALLEST.narrow : SMALLEST.wide;
    const columns = Math.max(2, Math.floor((width + GAP) / (smallest + GAP)));
    const side = (width - GAP * (columns - 1)) / columns;
    if (!always && columns === this.#columns && side === this.#side) return this.#later();
    const moved = columns !== this.#columns;
    Object.assign(this.grid.style, { height: `${Math.ceil(this.list.length / columns) * (side + CAPTION + GAP)}px` });
    this.#columns = columns;
    this.#side = side;
    this.grid.style.setProperty("--side", `${side}px`);
    this.grid.style.setProperty("--columns", columns);
    this.grid.setAttribute("aria-rowcount", Math.ceil(this.list.length / columns));
    this.grid.setAttribute("aria-colcount", columns);
    this.#rows.forEach((row) => row.remove());
    this.#rows.clear();
    this.#draw();
    if (moved) this.#reveal();
  }

  #later() {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.#draw();
    });
  }

  #draw() {
    const first = Math.floor(this.scroller.scrollTop / this.#height) - SPARE;
    const last = Math.ceil((this.scroller.scrollTop + this.scroller.clientHeight) / this.#height) + SPARE;
    const rows = Math.ceil(this.list.length / this.#columns);
    const visible = new Set(rows ? [Math.floor(this.cursor / this.#columns)] : []); // it has the focus
    for (let row = Math.max(0, first); row < Math.min(rows, last); row++) visible.add(row);
    for (const [row, element] of this.#rows) {
      if (!visible.has(row)) {
        element.remove();
        this.#rows.delete(row);
      }
    }
    for (const row of [...visible].sort((a, b) => a - b)) if (!this.#rows.has(row)) this.#add(row);
  }

  #add(row) {
    const element = document.createElement("div");
    element.className = "row";
    element.setAttribute("role", "row");
    element.setAttribute("aria-rowindex", row + 1);
    element.style.transform = `translateY(${row * this.#height}px)`;
    const from = row * this.#columns;
    this.list.slice(from, from + this.#columns).forEach((face, k) => {
      const cell = document.createElement("div");
      cell.innerHTML =
        '<img alt="" draggable="false" decoding="async"><span class="badge"></span>' +
        '<span class="label"></span><span class="why"></span>';
      cell.setAttribute("role", "gridcell");
      cell.setAttribute("aria-colindex", k + 1);
      cell.dataset.id = face.id;
      cell.dataset.index = from + k;
      cell.querySelector("img").src = faceUrl(face);
      this.#fill(cell, face);
      element.append(cell);
    });
    const after = [...this.#rows.keys()].filter((other) => other > row).sort((a, b) => a - b)[0];
    this.grid.insertBefore(element, this.#rows.get(after) ?? null);
    this.#rows.set(row, element);
  }

  #fill(cell, face) {
    const [label, why] = [cell.querySelector(".label"), cell.querySelector(".why")];
    cell.className = `cell ${face.waits ? "waits" : face.state} ${verdict(face)}`;
    cell.querySelector(".badge").textContent = badge(face);
    label.textContent = pair(face) ? `${face.label} → ${face.suggestion}?` : face.label;
    why.textContent = (face.ruled && "✕ ") + face.doubts.map((doubt) => words(doubt.rule)).join(", ");
    why.classList.toggle("ruled", Boolean(face.ruled));
    cell.setAttribute("aria-label", describe(face));
    this.#mark(cell);
  }

  #mark(cell) {
    const [from, to] = this.#range();
    const index = Number(cell.dataset.index);
    cell.tabIndex = index === this.cursor ? 0 : -1;
    cell.setAttribute("aria-selected", index >= from && index <= to);
  }

  // Scroll the cursor into view, and focus it if the grid has the focus.
  #reveal() {
    const top = Math.floor(this.cursor / this.#columns) * this.#height;
    const { scrollTop, clientHeight } = this.scroller;
    if (top < scrollTop) this.scroller.scrollTop = top;
    if (top + this.#height > scrollTop + clientHeight) this.scroller.scrollTop = top + this.#height - clientHeight;
    this.#draw();
    this.grid.querySelectorAll(".cell").forEach((cell) => this.#mark(cell));
    const focused = document.activeElement;
    if (focused === document.body || this.scroller.contains(focused)) this.focus();
  }

  #clicked(event) {
    const cell = event.target.closest(".cell");
    if (cell) this.select(Number(cell.dataset.index), event.shiftKey || this.ranging);
  }
}
