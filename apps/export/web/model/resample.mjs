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

// The means of areas (INTER_AREA), not rounded; a picture only becomes smaller.
export function byAreas({width, height, channels, pixels}, toWidth, toHeight) {
  const length = width * channels, sums = new Float64Array(length), columns = cells(width, toWidth);
  const result = new Float32Array(toWidth * toHeight * channels);
  cells(height, toHeight).forEach(({first, shares}, row) => {
    sums.fill(0);
    shares.forEach((share, i) => {
      const from = (first + i) * length;
      for (let x = 0; x < length; x++) sums[x] += share * pixels[from + x];
    });
    for (let column = 0, to = row * toWidth * channels; column < toWidth; column++) {
      const {first: left, shares: across} = columns[column];
      for (let c = 0; c < channels; c++, to++) {
        let sum = 0;
        for (let i = 0, from = left * channels + c; i < across.length; i++, from += channels) sum += across[i] * sums[from];
        result[to] = sum;
      }
    }
  });
  return {width: toWidth, height: toHeight, channels, pixels: result};
}

// `byAreas` in bytes. Of squares of 2 x 2 px OpenCV rounds halves up.
export function shrunk(picture, toWidth, toHeight) {
  if (toWidth === picture.width && toHeight === picture.height) return picture;
  const means = byAreas(picture, toWidth, toHeight);
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

// `map`: two rows [a, b, c] from a picture to a square of `size` px: what of the picture it shows, in bytes.
export function warped({width, height, channels, pixels}, [[a, b, c], [d, e, f]], size) {
  const area = a * e - b * d, result = new Float32Array(size * size * channels);
  for (let row = 0, to = 0; row < size; row++) {
    for (let column = 0; column < size; column++) {
      const x = (e * (column - c) - b * (row - f)) / area, y = (a * (row - f) - d * (column - c)) / area;
      const left = Math.floor(x), top = Math.floor(y), across = x - left, down = y - top;
      const columns = [mirrored(left, width), mirrored(left + 1, width)];
      const rows = [mirrored(top, height) * width, mirrored(top + 1, height) * width];
      for (let k = 0; k < channels; k++, to++) {
        const at = (i, j) => pixels[(rows[i] + columns[j]) * channels + k];
        const upper = at(0, 0) + (at(0, 1) - at(0, 0)) * across, lower = at(1, 0) + (at(1, 1) - at(1, 0)) * across;
        result[to] = upper + (lower - upper) * down;
      }
    }
  }
  return bytes({width: size, height: size, channels, pixels: result});
}
