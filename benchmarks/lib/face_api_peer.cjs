// Ask face-api.js what faces show: node face_api_peer.cjs FOLDER SIDE FILE, where FOLDER has node_modules and FILE holds
// faces as raw RGB of SIDE x SIDE px. Prints JSON: for each face the probabilities by expression.

const fs = require('fs');
const path = require('path');

const [folder, side, file] = process.argv.slice(2);
const load = require('module').createRequire(path.resolve(folder, 'package.json'));
const modules = path.resolve(folder, 'node_modules');
const OURS = { fearful: 'fear', disgusted: 'disgust', surprised: 'surprise' };

async function main() {
  const tf = load('@tensorflow/tfjs');
  load('@tensorflow/tfjs-backend-wasm').setWasmPaths(`${modules}/@tensorflow/tfjs-backend-wasm/dist/`);
  const faceapi = load('@vladmandic/face-api/dist/face-api.node-wasm.js');
  await tf.setBackend('wasm');
  await tf.ready();
  await faceapi.nets.faceExpressionNet.loadFromDisk(`${modules}/@vladmandic/face-api/model`);
  const faces = fs.readFileSync(file);
  const size = side * side * 3;
  const answers = [];
  for (let start = 0; start < faces.length; start += size) {
    const face = tf.tensor3d(faces.subarray(start, start + size), [+side, +side, 3], 'int32');
    const answer = await faceapi.nets.faceExpressionNet.predictExpressions(face);
    answers.push(Object.fromEntries(Object.entries(answer).map(([name, share]) => [OURS[name] ?? name, share])));
    face.dispose();
  }
  process.stdout.write(`${JSON.stringify(answers)}\n`);
}

main();
