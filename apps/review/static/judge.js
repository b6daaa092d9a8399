// From what a person says to what is recorded: one request after the other, and nothing is said before it is.
import { learn, verdict } from "./faces.js";
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

  // say: face -> {verdict, label, note}
  decide(faces, say, what) {
    const meant = faces.map((face) => [face, say(face)]).filter(([face, said]) => !this.#stands(face, said));
    if (!meant.length) return;
    for (let k = 0; k < meant.length; k += MOST) {
      this.#enqueue(meant.slice(k, k + MOST), what, (decided) => this.#done.push(decided));
    }
  }

  // Take back the last group; where there is none, one's word about `faces`.
  undo(faces) {
    this.#queue = this.#queue.then(() => {
      const group = this.#done.at(-1) ?? faces.filter((face) => this.#mine(face));
      if (!group.length) return this.#ui.refused([], new Error("you have said nothing of this face"));
      const say = group.map((face) => [face, { verdict: "withdraw", label: "", note: "" }]);
      return this.#send(say, "taken back", () => this.#done.pop());
    });
  }

  #enqueue(meant, what, then) {
    this.#wait(meant, 1);
    this.#queue = this.#queue.then(() => this.#send(meant, what, then)).finally(() => this.#wait(meant, -1));
  }

  #wait(meant, by) {
    const faces = meant.map(([face]) => face);
    faces.forEach((face) => (face.waits += by));
    this.#ui.changed(faces);
  }

  async #send(meant, what, then) {
    const faces = meant.map(([face]) => face);
    const decisions = meant.map(([face, said]) => ({ image_id: face.id, pixels: face.pixels, seen: face.seen, ...said }));
    try {
      const said = await decide(this.#ui.reviewer(), decisions);
      learn(this.#all, said.faces);
      then(faces);
      this.#ui.recorded(faces, what);
    } catch (error) {
      this.#ui.refused(learn(this.#all, error.faces ?? {}), error);
    }
    this.#ui.changed(faces);
  }

  #mine(face) {
    return face.stands.some((row) => row.reviewer === this.#ui.reviewer());
  }

  // Has this person said just that already, and is it what counts?
  #stands(face, said) {
    return !face.waits && this.#mine(face) && verdict(face) === said.verdict && face.stands.at(-1).label === said.label;
  }
}
