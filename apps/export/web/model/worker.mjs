// A worker that has the model, and answers one question after the other.

import * as ort from "../onnxruntime-web/ort.wasm.min.mjs";
import {opened, dataUrl} from "./picture.mjs";
import {load, predict} from "./predictor.mjs";
import {about, faceRow} from "./rows.mjs";

ort.env.wasm.numThreads = 1;
ort.env.wasm.wasmPaths = new URL("../onnxruntime-web/", import.meta.url).href;

let model = null, last = Promise.resolve();

const ANSWERS = {
  async start() {
    model ??= load(ort, read);
    model.catch(() => (model = null));
    return about((await model).info);
  },
  async ask(blob, crops) {
    const {info, networks} = await model, photo = await opened(blob);
    const faces = await predict({info, networks}, photo);
    const rows = faces.map((face, i) => faceRow(face, i, info, photo.scale));
    if (crops) for (const [i, row] of rows.entries()) row.crop = await dataUrl(faces[i].crop);
    return {model: info.model, width: photo.full.width, height: photo.full.height, faces: rows};
  },
};

async function read(name) {
  const reply = await fetch(new URL(name, import.meta.url)).catch(() => null);
  if (!reply?.ok) throw new Error(`The page is incomplete: ${name} is missing. Copy the whole exported folder.`);
  return reply.arrayBuffer();
}

onmessage = ({data: [id, question, ...given]}) => {
  last = last.then(async () => {
    try {
      postMessage({id, result: await ANSWERS[question](...given)});
    } catch (error) {
      postMessage({id, error: error.message});
    }
  });
};
