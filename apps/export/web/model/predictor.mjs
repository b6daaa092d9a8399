// The model and MTCNN's networks in onnxruntime-web: a photo in, its faces out.

import {detect} from "./detect.mjs";
import {choose, cutFace} from "./face.mjs";
import {prepared} from "./recipe.mjs";

const NETWORKS = {propose: "pnet.onnx", refine: "rnet.onnx", output: "onet.onnx", answer: "model.onnx"};

// `ort`: the module onnxruntime-web. `read(name)`: a promise of the bytes of a file beside this one.
export async function load(ort, read) {
  const info = JSON.parse(new TextDecoder().decode(await read("model.json"))), networks = {};
  for (const [name, file] of Object.entries(NETWORKS)) {
    const session = await ort.InferenceSession.create(new Uint8Array(await read(file)), {executionProviders: ["wasm"]});
    const [input] = session.inputNames, [result] = session.outputNames;
    networks[name] = async (values, shape) => (await session.run({[input]: new ort.Tensor("float32", values, shape)}))[result];
  }
  return {info, networks};
}

// The faces of a photo, the largest first, as `detect` gives them, each with its `crop` and `probabilities`.
export async function predict({info, networks}, photo) {
  const {crop} = info, mode = crop.mode === "whole" ? "fast" : crop.mode;
  const faces = choose(await detect(photo, crop.max_side, mode, networks), crop);
  for (const face of faces) {
    face.crop = cutFace(photo, face, crop);
    face.probabilities = await answer({info, networks}, face.crop);
  }
  return faces;
}

// The probabilities of a crop, in the order of `info.labels`.
export async function answer({info, networks}, crop) {
  const {data} = await networks.answer(prepared(crop, info.recipe), [1, ...info.input.shape]);
  return Array.from(data);
}
