// The steps from a face's crop to what the network sees: fer_tasks/recipes.py.

import {enlarged, mapped, rounded, shrunk} from "./resample.mjs";

const STEPS = {
  gray(picture) {
    if (picture.channels === 1) return picture;
    const {pixels} = picture, grey = new Uint8ClampedArray(pixels.length / 3);
    for (let i = 0, at = 0; i < grey.length; i++, at += 3) {
      grey[i] = (9798 * pixels[at] + 19235 * pixels[at + 1] + 3735 * pixels[at + 2] + 16384) >> 15;
    }
    return {...picture, channels: 1, pixels: grey};
  },
  resize(picture, {size}) {
    const shrinks = size < Math.min(picture.width, picture.height);
    return (shrinks ? shrunk : enlarged)(picture, size, size);
  },
  centre(picture, {share}) {
    const {width, height, channels, pixels} = picture;
    const [rows, columns] = [height, width].map((side) => Math.max(1, rounded(share * side)));
    const top = Math.floor((height - rows) / 2), left = Math.floor((width - columns) / 2);
    const middle = new pixels.constructor(rows * columns * channels);
    for (let row = 0; row < rows; row++) {
      const from = ((top + row) * width + left) * channels;
      middle.set(pixels.subarray(from, from + columns * channels), row * columns * channels);
    }
    return {width: columns, height: rows, channels, pixels: middle};
  },
  rescale(picture) {
    return {...picture, pixels: mapped(Float32Array, picture.pixels, (value) => value / 255)};
  },
};

// The network's input, a Float32Array, of a crop (bytes, 3 channels).
export function prepared(crop, recipe) {
  const {pixels} = recipe.reduce((picture, step) => STEPS[step.op](picture, step), crop);
  return pixels instanceof Float32Array ? pixels : Float32Array.from(pixels);
}
