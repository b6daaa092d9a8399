// All that asks the model: here in this browser, in a worker, so that the page stays quick. The page that `monday-fer serve`
// shows has another module of this name, which asks the server.

// A module with one instruction of SIMD, which onnxruntime-web's needs.
const SIMD = [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11];
const TOO_OLD = "This browser cannot run the model: it has no WebAssembly with SIMD. Use a newer browser.";
const NO_FILE = "The page is incomplete: a file of the exported folder is missing. Copy the whole folder.";

let worker = null, asked = 0;
const waiting = new Map(); // id -> {resolve, reject}

// What the model is: {model, labels, coverage, doubt}. `progress` is called with a sentence while that takes time.
export async function start(progress = () => {}) {
  if (!globalThis.WebAssembly?.validate(new Uint8Array(SIMD))) throw new Error(TOO_OLD);
  progress("Loading the model …");
  if (!worker) {
    worker = new Worker(new URL("model/worker.mjs", import.meta.url), {type: "module"});
    worker.onmessage = ({data: {id, result, error}}) => {
      const {resolve, reject} = waiting.get(id);
      waiting.delete(id);
      if (error) reject(new Error(error));
      else resolve(result);
    };
    worker.onerror = () => {
      for (const {reject} of waiting.values()) reject(new Error(NO_FILE));
      waiting.clear();
      worker = null;
    };
  }
  return send("start");
}

// What the faces of a picture, a Blob, show: {model, width, height, faces}. With `crops` each face has `crop`, what the
// model saw of it, as a data URL. Throws an Error whose message is one sentence.
export function ask(blob, {crops = false} = {}) {
  return send("ask", blob, crops);
}

function send(...message) {
  if (!worker) return Promise.reject(new Error(NO_FILE));
  return new Promise((resolve, reject) => {
    waiting.set(++asked, {resolve, reject});
    worker.postMessage([asked, ...message]);
  });
}
