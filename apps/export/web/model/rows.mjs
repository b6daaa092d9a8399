// What is said of faces: the names and digits of `monday-fer predict`.

const DIGITS = 10_000; // of probabilities: four

// What the page asks of a model at its start.
export const about = ({model, labels, coverage, doubt}) => ({model, labels, coverage, doubt: doubt.threshold});

// The row of a face. `scale`: what one px of the picture is in the photo that was looked at.
export function faceRow({box, score, probabilities}, face, {labels, doubt, quantile}, scale) {
  const [y, x, height, width] = box.map((px) => Math.round(10 * px / scale) / 10);
  const order = labels.map((_, i) => i).sort((i, j) => probabilities[j] - probabilities[i]);
  const [best] = order, shares = roundedShares(probabilities);
  const set = order.filter((i) => i === best || probabilities[i] > 0 && 1 - probabilities[i] <= quantile);
  return {
    face,
    status: probabilities[best] >= doubt.threshold ? "ok" : "uncertain",
    x, y, width, height,
    face_score: Math.round(DIGITS * score) / DIGITS,
    expression: labels[best],
    confidence: shares[best],
    ...Object.fromEntries(labels.map((label, i) => [label, shares[i]])),
    set: set.map((i) => labels[i]).join("|"),
  };
}

// Shares that sum to 1, rounded so that they still do: the largest remainders are rounded up, of equal ones the first.
function roundedShares(shares) {
  const units = shares.map((share) => share * DIGITS), whole = units.map(Math.floor);
  const missing = DIGITS - whole.reduce((sum, unit) => sum + unit, 0);
  const order = units.map((_, i) => i).sort((i, j) => (units[j] - whole[j]) - (units[i] - whole[i]));
  for (const i of order.slice(0, missing)) whole[i]++;
  return whole.map((unit) => unit / DIGITS);
}
