// Find faces with MTCNN, as fer_tasks/faces/detector.py does. `networks`: {propose, refine, output}, functions from a
// Float32Array and its shape to a promise of {data, dims}.

import {cut, logit, ofSmaller, ofUnion, placed, probability, proposals, refined, scaled, square, suppress} from "./boxes.mjs";
import {mapped, pyramid, rounded, shrunk} from "./resample.mjs";

const PROPOSE = 0.6, REFINE = 0.7, OUTPUT = 0.8; // the package's thresholds for scores
const SAME_LEVEL = 0.5, SAME_PHOTO = 0.7; // and for overlaps
const CELL = 12, STEP = 0.709, SMALLEST = 20; // of the pyramid
const LEAST = {exact: [20, 0], fast: [40, 0.16]}; // the smallest face: px, and share of the photo's shorter side
const BATCH = 64; // crops at a time; bounds the memory

// The faces of a photo (bytes, 3 channels), best first: {box: [row, column, height, width], landmarks: [[row, column] of left
// eye, right eye, nose, mouth left, mouth right], score}, in px of the photo. `maxSide` (px) and `mode` as in params.yaml.
export async function detect(photo, maxSide, mode, networks) {
  const shrink = Math.min(1, maxSide / Math.max(photo.width, photo.height));
  const sides = [photo.width, photo.height].map((side) => Math.max(1, rounded(side * shrink)));
  const picture = shrink < 1 ? shrunk(photo, ...sides) : photo;
  const boxes = await refine(picture, await propose(picture, mode, networks.propose), networks.refine);
  const faces = await output(picture, boxes, networks.output);
  return faces.map((face) => inPhoto(face, picture, shrink));
}

function scales(side, smallest) {
  const levels = rounded(-Math.log(side / CELL) / Math.log(STEP) - 1);
  const all = Array.from({length: Math.max(levels, 0)}, (_, i) => CELL / SMALLEST * STEP ** i);
  return all.filter((scale) => scale <= CELL / Math.max(smallest, SMALLEST));
}

async function propose(picture, mode, network) {
  const side = Math.min(picture.width, picture.height), [px, share] = LEAST[mode], found = [];
  const levels = scales(side, Math.max(px, share * side));
  const sizes = levels.map((scale) => [Math.trunc(picture.width * scale), Math.trunc(picture.height * scale)]);
  for (const [i, level] of pyramid(picture, sizes).entries()) {
    const {data, dims} = await network(mapped(Float32Array, level.pixels, scaled), [1, level.height, level.width, 3]);
    found.push(...suppress(proposals(data, dims[2], dims[3], levels[i], PROPOSE), SAME_LEVEL, ofUnion));
  }
  return suppress(found, SAME_PHOTO, ofUnion).map(({box}) => square(box));
}

async function refine(picture, boxes, network) {
  const outputs = await onCrops(picture, boxes, 24, network);
  const good = boxes.map((box, i) => ({box: refined(box, outputs[i]), score: outputs[i][4]}));
  const kept = suppress(good.filter(({score}) => score > logit(REFINE)), SAME_PHOTO, ofUnion);
  return kept.map(({box}) => square(box));
}

async function output(picture, boxes, network) {
  const outputs = await onCrops(picture, boxes, 48, network);
  const found = boxes.map((box, i) => {
    const of = outputs[i];
    return {box: refined(box, of), landmarks: placed(box, of.subarray(4)), score: of[14]};
  });
  return suppress(found.filter(({score}) => score > logit(OUTPUT)), SAME_PHOTO, ofSmaller);
}

// A network's output for each box's crop.
async function onCrops(picture, boxes, size, network) {
  const outputs = [];
  for (let at = 0; at < boxes.length; at += BATCH) {
    const some = boxes.slice(at, at + BATCH), crops = new Float32Array(some.length * size * size * 3);
    some.forEach((box, i) => cut(picture, box, size, crops, i * size * size * 3));
    const {data, dims} = await network(crops, [some.length, size, size, 3]);
    some.forEach((_, i) => outputs.push(data.subarray(i * dims[1], (i + 1) * dims[1])));
  }
  return outputs;
}

function inPhoto({box, landmarks, score}, picture, shrink) {
  const most = [picture.width - 1, picture.height - 1];
  const [left, top, right, bottom] = box.map((side, i) => Math.min(Math.max(side, 0), most[i % 2]));
  return {
    box: [top, left, bottom - top, right - left].map((px) => px / shrink),
    landmarks: landmarks.map((point) => point.map((px) => px / shrink)),
    score: probability(score),
  };
}
