// Answers about the faces of a camera, smoothed over time as `monday-fer predict --smooth` does: an exponential mean of
// the log probabilities of each face, which is followed from frame to frame by how much its boxes overlap.

const LIFE = 1; // s that a face may be away before it is taken for another one
const OVERLAP = 0.3; // the least intersection over union of a face's boxes in two frames
const LEAST = 1e-6; // a probability of 0 would hold for ever

export class Smoother {
  #tracks = []; // {box, time, means: label -> mean log probability}

  // The faces of a frame with smoothed probabilities. `time`: s; `seconds`: what lies so far back weighs 1/e; 0: none.
  update(faces, labels, time, seconds) {
    const known = this.#tracks.filter((track) => time - track.time <= LIFE);
    const pairs = faces.flatMap((face) => known.map((track) => ({ face, track, share: overlap(face, track.box) })));
    pairs.sort((a, b) => b.share - a.share);
    const of = new Map(), taken = new Set();
    for (const { face, track, share } of pairs) {
      if (share < OVERLAP || of.has(face) || taken.has(track)) continue;
      of.set(face, track);
      taken.add(track);
    }
    const seen = faces.map((face) => smoothed(face, of.get(face), labels, time, seconds));
    this.#tracks = [...known.filter((track) => !taken.has(track)), ...seen.map(({ track }) => track)];
    return seen.map(({ face }) => face);
  }
}

function smoothed(face, track, labels, time, seconds) {
  const kept = track && seconds ? Math.exp((track.time - time) / seconds) : 0;
  const means = {};
  for (const label of labels) {
    const log = Math.log(Math.max(face[label], LEAST));
    means[label] = kept ? kept * track.means[label] + (1 - kept) * log : log;
  }
  const next = { box: face, time, means };
  if (!seconds) return { face, track: next };
  const powers = labels.map((label) => Math.exp(means[label]));
  const sum = powers.reduce((a, b) => a + b);
  const shares = Object.fromEntries(labels.map((label, k) => [label, powers[k] / sum]));
  const expression = labels.reduce((best, label) => (shares[label] > shares[best] ? label : best));
  return { face: { ...face, ...shares, expression, confidence: shares[expression] }, track: next };
}

function overlap(a, b) {
  const width = Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x);
  const height = Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y);
  const common = Math.max(width, 0) * Math.max(height, 0);
  return common / (a.width * a.height + b.width * b.height - common);
}
