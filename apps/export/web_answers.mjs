// node web_answers.mjs FOLDER CROPS SIDE: run an exported page's model on crops, (n, SIDE, SIDE, 3) bytes, and print
// {answers, ms}: the probabilities of each, and how long each took.

import {readFile} from "node:fs/promises";
import {join, resolve} from "node:path";
import {pathToFileURL} from "node:url";

const [folder, file, side] = process.argv.slice(2);
const url = (name) => pathToFileURL(join(resolve(folder), name)).href;
const ort = await import(url("onnxruntime-web/ort.wasm.min.mjs"));
const {answer, load} = await import(url("model/predictor.mjs"));

ort.env.wasm.numThreads = 1;
ort.env.wasm.wasmPaths = url("onnxruntime-web/");
const model = await load(ort, (name) => readFile(join(folder, "model", name)));
const crops = new Uint8ClampedArray(await readFile(file)), length = side * side * 3, answers = [], ms = [];
for (let at = 0; at < crops.length; at += length) {
  const crop = {width: +side, height: +side, channels: 3, pixels: crops.subarray(at, at + length)};
  const began = performance.now();
  answers.push(await answer(model, crop));
  ms.push(performance.now() - began);
}
console.log(JSON.stringify({answers, ms}));
