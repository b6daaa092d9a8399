// All that asks the model: here by requests to the server that this page came from. Another build of the page has
// another module of this name, which exports the same two functions.

const GONE = "The server does not answer; is `monday-fer serve` still running?";

// What the model is: {model, labels, coverage, doubt, max_bytes}. `progress` is called with a sentence while that
// takes time.
export async function start(progress = () => {}) {
  progress("Asking the server which model it has …");
  return request("health");
}

// What the faces of a picture, a Blob, show: {model, width, height, faces}. With `crops` each face has `crop`, what
// the model saw of it, as a data URL. Throws an Error whose message is one sentence.
export function ask(blob, { crops = false } = {}) {
  const headers = { "Content-Type": blob.type.startsWith("image/") ? blob.type : "application/octet-stream" };
  return request(crops ? "predict?crops=true" : "predict", { method: "POST", headers, body: blob });
}

async function request(url, options) {
  let reply;
  try {
    reply = await fetch(url, options);
  } catch {
    throw new Error(GONE);
  }
  const body = await reply.json().catch(() => ({}));
  if (!reply.ok) throw new Error(typeof body.detail === "string" ? sentence(body.detail) : `The server answered ${reply.status}.`);
  return body;
}

function sentence(text) {
  return text[0].toUpperCase() + text.slice(1) + (text.endsWith(".") ? "" : ".");
}
