// Resample pictures as OpenCV does. A picture is {width, height, channels, pixels}: rows of pixels of 1 or 3 values, in a
// Uint8ClampedArray (0..255) or a Float32Array.

// Halves go to the even neighbour, as in OpenCV and Python.
export function rounded(value) {
  const below = Math.floor(value), rest = value - below;
  return rest > 0.5 || (rest === 0.5 && below % 2 !== 0) ? below + 1 : below;
}

// The values of a typed array, each changed, in an array of `Kind`. (Its own `from` takes ten times as long.)
export function mapped(Kind, values, change) {
  const result = new Kind(values.length);
  for (let i = 0; i < values.length; i++) result[i] = change(values[i]);
  return result;
}

export function bytes(picture) {
  return {...picture, pixels: new Uint8ClampedArray(picture.pixels)}; // which rounds as `rounded`
}

// Of each of `to` cells along a side of `from` px: where it begins, and how much of each px lies in it.
function cells(from, to) {
  const step = from / to, result = [];
  for (let i = 0; i < to; i++) {
    const begin = i * step, end = Math.min(begin + step, from), size = end - begin;
    const first = Math.floor(begin + 1e-3), last = Math.min(Math.ceil(end - 1e-3), from), shares = [];
    for (let px = first; px < last; px++) shares.push((Math.min(end, px + 1) - Math.max(begin, px)) / size);
    result.push({first, shares});
  }
  return result;
}

// The cells of a row of pixels, whose values may be sums: their means, into `result` from `to` on.
function across(row, columns, channels, result, to) {
  for (const {first, shares} of columns) {
    for (let c = 0; c < channels; c++, to++) {
      let sum = 0;
      for (let i = 0, from = first * channels + c; i < shares.length; i++, from += channels) sum += shares[i] * row[from];
      result[to] = sum;
    }
  }
}

// The means of areas (INTER_AREA), not rounded; a picture only becomes smaller. `part`: {left, top, right, bottom}, which
// part of the result is computed; {...picture, left, top} says where it lies.
export function byAreas({width, height, channels, pixels}, toWidth, toHeight, part) {
  const {left, top, right, bottom} = part ?? {left: 0, top: 0, right: toWidth, bottom: toHeight};
  const columns = cells(width, toWidth).slice(left, right), rows = cells(height, toHeight).slice(top, bottom);
  const begin = columns[0].first * channels, end = (columns.at(-1).first + columns.at(-1).shares.length) * channels;
  const sums = new Float64Array(end), size = columns.length * channels, result = new Float32Array(rows.length * size);
  rows.forEach(({first, shares}, row) => {
    sums.fill(0);
    for (let i = 0; i < shares.length; i++) {
      const from = (first + i) * width * channels, share = shares[i];
      for (let x = begin; x < end; x++) sums[x] += share * pixels[from + x];
    }
    across(sums, columns, channels, result, row * size);
  });
  return {width: columns.length, height: rows.length, channels, pixels: result, left, top};
}

let running = new Int32Array(0); // kept: new memory for every frame would take longer than to fill it

// `byAreas` for many sizes, [[width, height], …], in little more time than for one: by running sums of the rows.
export function pyramid({width, height, channels, pixels}, sizes) {
  const length = width * channels, row = new Float64Array(length);
  if (running.length < (height + 1) * length) running = new Int32Array((height + 1) * length);
  running.fill(0, 0, length);
  for (let x = 0; x < height * length; x++) running[x + length] = running[x] + pixels[x];
  return sizes.map(([toWidth, toHeight]) => {
    const columns = cells(width, toWidth), result = new Float32Array(toWidth * toHeight * channels), step = height / toHeight;
    for (let i = 0; i < toHeight; i++) {
      const first = Math.floor(i * step), over = i * step - first;
      const last = Math.min(Math.floor((i + 1) * step), height - 1), under = (i + 1) * step - last;
      for (let x = 0, from = first * length, to = last * length; x < length; x++, from++, to++) {
        row[x] = (running[to] + under * pixels[to] - running[from] - over * pixels[from]) / step;
      }
      across(row, columns, channels, result, i * toWidth * channels);
    }
    return {width: toWidth, height: toHeight, channels, pixels: result};
  });
}

// `byAreas` in bytes. Of squares of 2 x 2 px OpenCV rounds halves up.
export function shrunk(picture, toWidth, toHeight, part) {
  if (toWidth === picture.width && toHeight === picture.height) return picture;
  const means = byAreas(picture, toWidth, toHeight, part);
  if (picture.width !== 2 * toWidth || picture.height !== 2 * toHeight) return bytes(means);
  return {...means, pixels: mapped(Uint8ClampedArray, means.pixels, (value) => Math.floor(value + 0.5))};
}

// Linear between the middles of pixels (INTER_LINEAR), in bytes: what enlarges.
export function enlarged(picture, toWidth, toHeight) {
  const {width, height, channels, pixels} = picture;
  if (toWidth === width && toHeight === height) return picture;
  const along = (to, from) => Array.from({length: to}, (_, i) => {
    const at = Math.min(Math.max((i + 0.5) * from / to - 0.5, 0), from - 1), first = Math.floor(at);
    return [first, Math.min(first + 1, from - 1), at - first];
  });
  const columns = along(toWidth, width), result = new Float32Array(toWidth * toHeight * channels);
  let to = 0;
  for (const [top, bottom, down] of along(toHeight, height)) {
    for (const [left, right, across] of columns) {
      for (let c = 0; c < channels; c++, to++) {
        const at = (row, column) => pixels[(row * width + column) * channels + c];
        const upper = at(top, left) * (1 - across) + at(top, right) * across;
        const lower = at(bottom, left) * (1 - across) + at(bottom, right) * across;
        result[to] = upper * (1 - down) + lower * down;
      }
    }
  }
  return bytes({width: toWidth, height: toHeight, channels, pixels: result});
}

// Beyond its border a side is mirrored, its first pixel twice (BORDER_REFLECT).
function mirrored(index, length) {
  const place = ((index % (2 * length)) + 2 * length) % (2 * length);
  return place < length ? place : 2 * length - 1 - place;
}

// Where a point of the square lies in the picture. `map`: two rows [a, b, c] from a picture to a square.
function inverse([[a, b, c], [d, e, f]]) {
  const area = a * e - b * d;
  return (row, column) => [(a * (row - f) - d * (column - c)) / area, (e * (column - c) - b * (row - f)) / area];
}

// What a square of `size` px shows of a picture by `map`, in bytes. `picture` may be a part, at `left` and `top`, of one of
// `full`'s width and height.
function warped({width, channels, pixels, left = 0, top = 0}, full, map, size) {
  const point = inverse(map), result = new Float32Array(size * size * channels);
  const place = (row, column) => (mirrored(row, full.height) - top) * width + mirrored(column, full.width) - left;
  for (let row = 0, to = 0; row < size; row++) {
    for (let column = 0; column < size; column++) {
      const [y, x] = point(row, column), i = Math.floor(y), j = Math.floor(x), down = y - i, right = x - j;
      const corners = [place(i, j), place(i, j + 1), place(i + 1, j), place(i + 1, j + 1)];
      const [one, two, three, four] = corners.map((at) => at * channels);
      for (let k = 0; k < channels; k++, to++) {
        const upper = pixels[one + k] + (pixels[two + k] - pixels[one + k]) * right;
        const lower = pixels[three + k] + (pixels[four + k] - pixels[three + k]) * right;
        result[to] = upper + (lower - upper) * down;
      }
    }
  }
  return bytes({width: size, height: size, channels, pixels: result});
}

// `warped`; a picture that is shown smaller is shrunk by areas first, but only where the square lies.
export function cutOut(picture, map, size) {
  const scale = Math.hypot(map[0][0], map[1][0]);
  const [width, height] = [picture.width, picture.height].map((side) => Math.max(1, rounded(side * scale)));
  if (scale >= 1 || (width === picture.width && height === picture.height)) return warped(picture, picture, map, size);
  const x = picture.width / width, y = picture.height / height;
  const scaled = map.map(([a, b, c]) => [a * x, b * y, c]);
  return warped(shrunk(picture, width, height, shownPart(scaled, width, height, size)), {width, height}, scaled, size);
}

// What of a picture of this size a square of `size` px may show: {left, top, right, bottom}. What it shows beyond the border
// is mirrored, and so lies nearer to it than the square's middle: unless the picture is so small that it is mirrored twice.
function shownPart(map, width, height, size) {
  if (size > 2 * Math.min(width, height)) return undefined;
  const point = inverse(map), corners = [point(0, 0), point(0, size), point(size, 0), point(size, size)];
  const [[top, bottom], [left, right]] = [height, width].map((most, axis) => {
    const at = corners.map((corner) => corner[axis]);
    return [Math.min(...at) - 2, Math.max(...at) + 2].map((side) => Math.min(Math.max(Math.round(side), 0), most));
  });
  return {left, top, right, bottom};
}
