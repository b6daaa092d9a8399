// Candidate boxes between MTCNN's networks: [left, top, right, bottom] in px. See fer_tasks/faces/boxes.py.

const CELL = 12, STRIDE = 2; // px: P-Net's receptive field, and between neighbouring ones

export const logit = (probability) => Math.log(probability / (1 - probability));
export const probability = (logit) => Math.fround(1 / (1 + Math.exp(-logit)));
export const scaled = (value) => (value - 127.5) / 128; // of a pixel: what the networks take, -1..1
export const area = ([left, top, right, bottom]) => (right - left) * (bottom - top);

// P-Net's output for a level, (5, rows, columns): the cells whose score is above a threshold, as {box, score}.
export function proposals(output, rows, columns, scale, threshold) {
  const cells = rows * columns, least = logit(threshold), found = [];
  for (let i = 0; i < cells; i++) {
    if (!(output[4 * cells + i] > least)) continue;
    // The package's cells begin at 1 and are 11 px wide.
    const left = STRIDE * (i % columns) + 1, top = STRIDE * Math.floor(i / columns) + 1;
    const sides = [left, top, left + CELL - 1, top + CELL - 1];
    const box = sides.map((side, k) => (side + output[k * cells + i] * (CELL - 1)) / scale);
    found.push({box, score: probability(output[4 * cells + i])});
  }
  return found;
}

export const ofUnion = (common, one, other) => common / (one + other - common);
export const ofSmaller = (common, one, other) => common / Math.min(one, other);

function common(one, other) {
  const wide = Math.min(one[2], other[2]) - Math.max(one[0], other[0]);
  const high = Math.min(one[3], other[3]) - Math.max(one[1], other[1]);
  return Math.max(wide, 0) * Math.max(high, 0);
}

// Non-maximum suppression of [{box, score, …}]: those to keep, by falling score. As in the package it is not greedy: a
// dropped one still suppresses others.
export function suppress(found, threshold, overlap) {
  const ordered = [...found].sort((one, other) => one.score - other.score).reverse();
  const boxes = ordered.map(({box}) => box.map(Math.fround)), areas = boxes.map(area);
  return ordered.filter((_, i) => {
    for (let j = 0; j < i; j++) {
      if (overlap(common(boxes[j], boxes[i]), areas[j], areas[i]) > threshold) return false;
    }
    return true;
  });
}

// A square around the middle of a box, with the box's longer side.
export function square([left, top, right, bottom]) {
  const longest = Math.max(right - left, bottom - top);
  const x = left + (right - left) / 2 - longest / 2, y = top + (bottom - top) / 2 - longest / 2;
  return [x, y, x + longest, y + longest];
}

// A box with its sides moved by `offsets`, shares of its sides.
export function refined(box, offsets) {
  const sides = [box[2] - box[0] + 1, box[3] - box[1] + 1];
  return box.map((side, i) => side + offsets[i] * sides[i % 2]);
}

// Five columns, then five rows, as shares of a box's sides: [[row, column], …] in px.
export function placed(box, points) {
  const wide = box[2] - box[0] + 1, high = box[3] - box[1] + 1;
  return [0, 1, 2, 3, 4].map((i) => [points[i + 5] * high + box[1] - 1, points[i] * wide + box[0] - 1]);
}

// Where the n pixels of a crop lie along a side of `length` px.
function places(from, to, n, length) {
  return Array.from({length: n}, (_, i) => (from + (to - from) * i / (n - 1)) * ((length - 1) / length));
}

// Cut a box out of a picture of 3 channels into `result` from `to` on: size * size * 3 values in -1..1, 0 outside of
// the picture.
// Sampled as TensorFlow's `crop_and_resize` does: the corners of the crop are those of the box.
export function cut({width, height, pixels}, [left, top, right, bottom], size, result, to) {
  const columns = places(left, right, size, width), rows = places(top, bottom, size, height);
  for (const y of rows) {
    const upper = Math.floor(y), lower = Math.min(upper + 1, height - 1), down = y - upper;
    for (const x of columns) {
      if (y < 0 || y > height - 1 || x < 0 || x > width - 1) {
        to += 3;
        continue;
      }
      const first = Math.floor(x), second = Math.min(first + 1, width - 1), across = x - first;
      for (let c = 0; c < 3; c++, to++) {
        const at = (row, column) => pixels[(row * width + column) * 3 + c];
        const above = at(upper, first) * (1 - across) + at(upper, second) * across;
        const below = at(lower, first) * (1 - across) + at(lower, second) * across;
        result[to] = scaled(above * (1 - down) + below * down);
      }
    }
  }
}
