// Record a person's decisions, one request after the other; the page shows a decision only once it is recorded.
import { update, verdict } from "./faces.js";
import { decide } from "./server.js";

const MOST = 500; // decisions in one request

export class Judge {
  #all;
  #ui;
  #queue = Promise.resolve();
  #done = []; // the groups of faces that this person decided since the page was loaded

  // ui: {reviewer(), changed(faces), recorded(faces, what), refused(faces, error)}
  constructor(all, ui) {
    this.#all = all;
    this.#ui = ui;
  }

  // decision: face -> {verdict, label, note}
  decide(faces, decision, what) {
    const decisions = faces.map((face) => [face, decision(face)]).filter(([face, made]) => !this.#stands(face, made));
    if (!decisions.length) return;
    for (let k = 0; k < decisions.length; k += MOST) {
      this.#enqueue(decisions.slice(k, k + MOST), what, (decided) => this.#done.push(decided));
    }
  }

  // Withdraw the last group; if there is none, this person's decisions on `faces`.
  undo(faces) {
    this.#queue = this.#queue.then(() => {
      const group = this.#done.at(-1) ?? faces.filter((face) => this.#mine(face));
      if (!group.length) return this.#ui.refused([], new Error("you have no decision on this face"));
      const withdrawals = group.map((face) => [face, { verdict: "withdraw", label: "", note: "" }]);
      return this.#send(withdrawals, "withdrawn", () => this.#done.pop());
    });
  }

  #enqueue(decisions, what, then) {
    this.#wait(decisions, 1);
    this.#queue = this.#queue.then(() => this.#send(decisions, what, then)).finally(() => this.#wait(decisions, -1));
  }

  #wait(decisions, by) {
    const faces = decisions.map(([face]) => face);
    faces.forEach((face) => (face.waits += by));
    this.#ui.changed(faces);
  }

  async #send(decisions, what, then) {
    const faces = decisions.map(([face]) => face);
    const body = decisions.map(([face, made]) => ({ image_id: face.id, pixels: face.pixels, seen: face.seen, ...made }));
    try {
      const recorded = await decide(this.#ui.reviewer(), body);
      update(this.#all, recorded.faces);
      then(faces);
      this.#ui.recorded(faces, what);
    } catch (error) {
      this.#ui.refused(update(this.#all, error.faces ?? {}), error);
    }
    this.#ui.changed(faces);
  }

  #mine(face) {
    return face.stands.some((row) => row.reviewer === this.#ui.reviewer());
  }

  // Whether this already is the person's decision, and the one in force.
  #stands(face, made) {
    return !face.waits && this.#mine(face) && verdict(face) === made.verdict && face.stands.at(-1).label === made.label;
  }
}
