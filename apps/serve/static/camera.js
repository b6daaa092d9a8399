// The camera: pictures of what it sees, not mirrored, until it is stopped, refused, gone or dark.

const SIDE = 640; // px of the longer side of the pictures that are asked about
const PATIENCE_MS = 4000; // without a picture
const REFUSED = {
  NotAllowedError: "The camera was refused: allow it in the browser's address bar, then press Camera once more.",
  NotFoundError: "There is no camera: connect one, or choose a picture.",
  NotReadableError: "The camera cannot be used: another program may have it; close that, then press Camera once more.",
};
const INSECURE = "Browsers give the camera only to pages of this machine or over https: open this page as http://127.0.0.1.";
const STOPPED = "The camera has stopped: connect it again, then press Camera.";
const DARK = "The camera sends no pictures: look whether it is covered or switched off, then press Camera once more.";

export class Camera {
  #video;
  #stream = null;
  #turn = 0; // counts starts and stops
  #canvas = document.createElement("canvas");

  constructor(video) {
    this.#video = video;
  }

  get on() {
    return this.#stream !== null;
  }

  // Throws an Error whose message is one sentence. Whoever stops the camera before it is there, stops it.
  async start() {
    this.stop();
    const mine = this.#turn;
    if (!navigator.mediaDevices) throw new Error(INSECURE);
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "user", width: { ideal: SIDE } } });
    } catch (error) {
      throw new Error(REFUSED[error.name] ?? `The camera cannot be used: ${error.message}.`);
    }
    if (mine !== this.#turn) return end(stream);
    this.#stream = this.#video.srcObject = stream;
    await this.#video.play().catch(() => {}); // which fails where the camera was stopped meanwhile
  }

  stop() {
    this.#turn++;
    if (this.#stream) end(this.#stream);
    this.#stream = this.#video.srcObject = null;
  }

  // The next picture: {blob, width, height}, or null if the camera was stopped here. Throws as `start`.
  async next() {
    const stream = this.#stream;
    while (document.hidden) await new Promise((done) => document.addEventListener("visibilitychange", done, { once: true }));
    const came = stream && (await frame(this.#video, stream.getVideoTracks()[0]));
    if (!stream || stream !== this.#stream) return null;
    if (!came) throw new Error(stream.getVideoTracks()[0].readyState === "ended" ? STOPPED : DARK);
    const { videoWidth, videoHeight } = this.#video;
    const scale = Math.min(1, SIDE / Math.max(videoWidth, videoHeight));
    Object.assign(this.#canvas, { width: Math.round(scale * videoWidth), height: Math.round(scale * videoHeight) });
    this.#canvas.getContext("2d").drawImage(this.#video, 0, 0, this.#canvas.width, this.#canvas.height);
    const blob = await new Promise((done) => this.#canvas.toBlob(done, "image/jpeg", 0.92));
    return { blob, width: this.#canvas.width, height: this.#canvas.height };
  }
}

function end(stream) {
  stream.getTracks().forEach((track) => track.stop());
}

// Whether another frame came before the camera ended and within PATIENCE_MS, in which the page can be seen.
function frame(video, track) {
  if (track.readyState === "ended") return false;
  return new Promise((done) => {
    const settle = (came) => {
      clearTimeout(timer);
      track.removeEventListener("ended", ended);
      done(came);
    };
    const ended = () => settle(false);
    const late = () => (document.hidden ? (timer = setTimeout(late, PATIENCE_MS)) : settle(false));
    let timer = setTimeout(late, PATIENCE_MS);
    track.addEventListener("ended", ended);
    if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(() => settle(true));
    else requestAnimationFrame(() => settle(true));
  });
}
