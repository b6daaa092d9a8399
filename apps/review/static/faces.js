// The faces and their states: which are shown, and in what order. Nothing here touches the page.

export const ANY = "any", NONE = "none";
export const FILTERS = ["state", "rule", "label", "pair", "split"];

export const STATES = {
  undecided: ["undecided", (face) => face.state === "undecided" || face.state === "stale"],
  decided: ["decided", (face) => face.state === "decided"],
  kept: ["kept", (face) => verdict(face) === "keep"],
  relabelled: ["relabelled", (face) => verdict(face) === "relabel"],
  rejected: ["rejected by people", (face) => verdict(face) === "reject"],
  ruled: ["rejected by a rule", (face) => face.ruled],
  disputed: ["disputed", (face) => face.state === "disputed"],
  stale: ["stale", (face) => face.state === "stale"],
};

// The list as the server sends it -> {expressions, rules, faces, byId, made, reviewer}, the worst first.
export function unpack(sent) {
  const name = (names, k) => (k < 0 ? "" : names[k]);
  const faces = sent.faces.map(([id, pixels, label, split, ruled, suggestion, doubts]) => ({
    id, pixels,
    label: sent.expressions[label],
    split: sent.splits[split],
    ruled: name(sent.rules, ruled),
    suggestion: name(sent.expressions, suggestion),
    doubts: pairs(doubts).map(([rule, score]) => ({ rule: sent.rules[rule], score })),
    ...UNDECIDED,
    waits: 0, // number of its requests under way
  }));
  return { ...sent, faces, byId: new Map(faces.map((face) => [face.id, face])) };
}

function pairs(flat) {
  return Array.from({ length: flat.length / 2 }, (_, k) => [flat[2 * k], flat[2 * k + 1]]);
}

const UNDECIDED = { state: "undecided", stands: [], seen: 0 };

// Adopt the server's states of some faces; returns those that changed. A reply that arrives after a later one
// has seen fewer rows and is ignored.
export function update(all, states) {
  return Object.entries(states).flatMap(([id, state]) => {
    const face = all.byId.get(id);
    return face && (state.seen > face.seen || state.state !== face.state && state.seen === face.seen)
      ? [Object.assign(face, state)] : [];
  });
}

// Adopt all states, after the file was rewritten: a face without a state is undecided.
export function replaceAll(all, states) {
  return all.faces.map((face) => Object.assign(face, UNDECIDED, states[face.id]));
}

export function verdict(face) {
  return face.state === "decided" ? face.stands.at(-1).verdict : "";
}

export function pair(face) {
  return face.suggestion && face.suggestion !== face.label ? `${face.label} → ${face.suggestion}` : "";
}

export function scoreOf(face, rule) {
  return face.doubts.find((doubt) => doubt.rule === rule)?.score ?? 0;
}

function tests(filter) {
  const { state, rule, label, pair: chosen, split } = filter;
  const ofRule = { "": () => true, [ANY]: (f) => f.doubts.length, [NONE]: (f) => !f.doubts.length };
  return {
    state: STATES[state]?.[1] ?? (() => true),
    rule: ofRule[rule] ?? ((face) => face.doubts.some((doubt) => doubt.rule === rule)),
    label: (face) => !label || face.label === label,
    pair: (face) => !chosen || pair(face) === chosen,
    split: (face) => !split || face.split === split,
  };
}

// The faces that pass the filters, except the filter `except`, worst first.
export function select(faces, filter, except = []) {
  const active = Object.entries(tests(filter)).filter(([name]) => !except.includes(name));
  const shown = faces.filter((face) => active.every(([, test]) => test(face)));
  return filter.rule && ![ANY, NONE].includes(filter.rule)
    ? shown.sort((a, b) => scoreOf(b, filter.rule) - scoreOf(a, filter.rule))
    : shown;
}

const VALUES = {
  state: (face) => Object.keys(STATES).filter((state) => STATES[state][1](face)),
  rule: (face) => (face.doubts.length ? [ANY, ...face.doubts.map((doubt) => doubt.rule)] : [NONE]),
  label: (face) => [face.label],
  pair: (face) => [pair(face)].filter(Boolean),
  split: (face) => [face.split],
};

// How many faces each choice of each filter would show with the other filters unchanged, in one pass.
export function tally(faces, filter) {
  const counts = Object.fromEntries(FILTERS.map((name) => [name, new Map()]));
  const passes = tests(filter);
  const add = (name, face) => ["", ...VALUES[name](face)].forEach((value) =>
    counts[name].set(value, (counts[name].get(value) ?? 0) + 1));
  for (const face of faces) {
    const failed = FILTERS.filter((name) => !passes[name](face));
    if (failed.length === 0) FILTERS.forEach((name) => add(name, face));
    else if (failed.length === 1) add(failed[0], face);
  }
  return counts;
}

export function isDecided(face) {
  return face.state === "decided";
}

// The reason to reject a face: the rule of the filter if it doubts the face, else the face's first doubt.
export function reason(face, rule) {
  return (face.doubts.find((doubt) => doubt.rule === rule) ?? face.doubts[0])?.rule ?? "";
}

export function words(rule) {
  return rule.replaceAll("_", " ");
}

// A face's state as a sign with a word, so that it does not rely on colour.
export function badge(face) {
  if (face.waits) return "… writing";
  if (face.state === "disputed") return "≠ disputed";
  if (face.state === "stale") return "↻ stale";
  if (face.state !== "decided") return "";
  const last = face.stands.at(-1);
  return { keep: "✓ keep", reject: "✕ reject", relabel: `→ ${last.label}` }[last.verdict];
}

export function describe(face) {
  const doubts = face.doubts.map(({ rule }) => words(rule)).join(", ") || "nothing";
  const suggestion = pair(face) ? `, a model suggests ${face.suggestion}` : "";
  const decisions = face.stands.map((row) => `${row.verdict} ${row.label} by ${row.reviewer}`.replace("  ", " "));
  return `${face.label}, doubted: ${doubts}${suggestion}. ${face.state}${decisions.length ? ": " : ""}${decisions.join(", ")}`;
}
