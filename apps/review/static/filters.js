// The filters' menus, with how many faces each choice would show; kept in the page's address.
import { ANY, FILTERS, NONE, STATES, tally, words } from "./faces.js";

const START = { state: "undecided", rule: ANY, label: "", pair: "", split: "" };
const EVERY = { state: "any state", rule: "doubted or not", label: "all", pair: "all", split: "all" };
const byId = (id) => document.getElementById(id);

export class Filters {
  value = { ...START, ...Object.fromEntries(new URLSearchParams(location.hash.slice(1))) };

  constructor(all, changed) {
    this.all = all;
    this.choices = {
      state: Object.entries(STATES).map(([value, [name]]) => [value, name]),
      rule: [[ANY, "any doubt"], ...all.rules.map((rule) => [rule, words(rule)]), [NONE, "no doubt"]],
      label: all.expressions.map((name) => [name, name]),
      split: all.splits.map((name) => [name, name]),
    };
    for (const name of FILTERS) byId(name).addEventListener("change", () => this.set({ [name]: byId(name).value }));
    this.changed = changed;
  }

  set(some) {
    Object.assign(this.value, some);
    history.replaceState(null, "", `#${new URLSearchParams(this.value)}`);
    this.changed();
  }

  // Fill the menus. Choices that would show nothing are left out, except states, which change.
  fill() {
    const tallies = tally(this.all.faces, this.value);
    for (const name of FILTERS) {
      const counts = tallies[name];
      const choices = this.choices[name] ?? [...counts.keys()].filter(Boolean)
        .sort((a, b) => counts.get(b) - counts.get(a)).map((value) => [value, value]);
      const chosen = this.value[name];
      byId(name).replaceChildren(...[["", EVERY[name]], ...choices]
        .filter(([value]) => counts.get(value) || value === "" || name === "state" || value === chosen)
        .map(([value, text]) => new Option(`${text} · ${(counts.get(value) ?? 0).toLocaleString("en")}`, value, false, value === chosen)));
    }
  }
}
