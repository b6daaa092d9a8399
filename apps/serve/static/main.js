// The page: a picture that is dropped, pasted or chosen, or the camera; and what its faces show.
import { ask, start } from "./ask.js";
import { Camera } from "./camera.js";
import { drawBoxes, showCards, summary } from "./faces.js";
import { Smoother } from "./smoothing.js";

const AGAIN_MS = 1000; // until the camera's next picture is asked about after one that failed
const byId = (id) => document.getElementById(id);
const INVITATION = byId("invitation").textContent;
const camera = new Camera(byId("video"));

let about = null; // the model
let shown = 0; // counts what was shown: an answer about an earlier picture comes too late

begin();

async function begin() {
  controls();
  try {
    about = await start(say);
  } catch (error) {
    return say(error.message, true);
  }
  byId("model").textContent = `model ${about.model}`;
  say("Choose a picture, drop or paste one, or use the camera.");
}

async function look(blob, more = "") {
  stopCamera();
  const mine = ++shown;
  showPicture(blob);
  clear();
  if (about?.max_bytes && blob.size > about.max_bytes) {
    return say(`The picture has more than ${about.max_bytes / 1e6} MB: choose a smaller one.`, true);
  }
  say("Looking …");
  try {
    about ??= await start(say);
    const answer = await ask(blob, { crops: true });
    if (mine !== shown) return;
    drawBoxes(answer.faces, answer, false);
    showCards(answer.faces, about);
    say(summary(answer.faces) + more);
  } catch (error) {
    if (mine === shown) say(error.message, true);
  }
}

function showPicture(blob) {
  const picture = byId("picture");
  URL.revokeObjectURL(picture.src);
  picture.src = URL.createObjectURL(blob);
  picture.hidden = byId("figure").hidden = false;
  byId("invitation").hidden = true;
  byId("invitation").textContent = INVITATION;
}

function clear() {
  drawBoxes([], {}, false);
  byId("faces").replaceChildren();
}

// ── The camera ─────────────────────────────────────────────────────────────────────────────────────────────

async function useCamera() {
  const mine = ++shown;
  clear();
  say("Waiting for the camera …");
  try {
    await camera.start();
    if (mine !== shown) return;
    showCamera(true);
    say("The camera is on.");
    await follow(mine);
  } catch (error) {
    if (mine !== shown) return;
    stopCamera();
    clear();
    say(error.message, true);
  }
}

async function follow(mine) {
  const smoother = new Smoother(), times = [];
  while (true) {
    const picture = await camera.next();
    if (!picture || mine !== shown) return;
    const began = performance.now();
    try {
      about ??= await start();
      const answer = await ask(picture.blob, { crops: true });
      if (mine !== shown) return;
      times.push(performance.now());
      showLive(answer, smoother, began, times);
    } catch (error) {
      if (mine !== shown) return;
      say(error.message, true);
      await new Promise((done) => setTimeout(done, AGAIN_MS));
    }
  }
}

function showLive(answer, smoother, began, times) {
  const faces = smoother.update(answer.faces, about.labels, began / 1000, Number(byId("smoothing").value));
  if (about.doubt) faces.forEach((face) => (face.status = face.confidence < about.doubt ? "uncertain" : "ok"));
  drawBoxes(faces, answer, true);
  showCards(faces, about);
  say(faces.length ? "The camera is on." : "The camera is on: no face is found.");
  const now = times.at(-1);
  while (now - times[0] > 2000) times.shift();
  const rate = times.length > 1 ? (1000 * (times.length - 1)) / (now - times[0]) : 0;
  byId("rate").textContent = `${rate.toFixed(0)} pictures a second, each answered after ${(now - began).toFixed(0)} ms`;
}

function showCamera(on) {
  byId("camera").setAttribute("aria-pressed", on);
  byId("camera").textContent = on ? "Stop the camera" : "Camera";
  byId("live").hidden = byId("video").hidden = !on;
  if (on) byId("picture").hidden = true;
  if (on) byId("invitation").textContent = INVITATION;
  byId("figure").hidden = !on && byId("picture").hidden;
  byId("invitation").hidden = !byId("figure").hidden;
}

function stopCamera() {
  camera.stop();
  showCamera(false);
}

// ── What a person does ─────────────────────────────────────────────────────────────────────────────────────

function controls() {
  byId("choose").onclick = () => byId("file").click();
  byId("file").onchange = () => {
    take(byId("file").files);
    byId("file").value = "";
  };
  byId("camera").onclick = () => {
    if (!camera.on) return useCamera();
    shown++;
    stopCamera();
    clear();
    say("The camera is off.");
  };
  byId("smoothing").oninput = smoothing;
  smoothing();
  byId("picture").onerror = () => {
    if (camera.on) return;
    byId("figure").hidden = true;
    byId("invitation").hidden = false;
    byId("invitation").textContent = "This browser cannot show this kind of file.";
  };
  document.addEventListener("paste", (event) => take(event.clipboardData.files, "The clipboard has no picture."));
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.add("over");
  });
  document.addEventListener("dragleave", (event) => event.relatedTarget || document.body.classList.remove("over"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("over");
    take(event.dataTransfer.files, "That was no file: save the picture, then drop its file.");
  });
}

function take(files, otherwise = "") {
  if (files.length) look(files[0], files.length > 1 ? ` Of ${files.length} files this is the first.` : "");
  else if (otherwise) say(otherwise, true);
}

function smoothing() {
  const seconds = Number(byId("smoothing").value);
  byId("seconds").textContent = seconds ? `${seconds.toFixed(1)} s` : "none";
}

function say(text, wrong = false) {
  const message = byId("message");
  if (message.textContent !== text) message.textContent = text;
  message.classList.toggle("wrong", wrong);
}
