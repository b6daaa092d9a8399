// The requests to the server.

export class Refused extends Error {
  constructor(status, body) {
    super(typeof body.detail === "string" ? body.detail : `the server answered ${status}`);
    this.status = status;
    this.faces = body.faces ?? {};
  }
}

async function request(url, options) {
  let reply;
  try {
    reply = await fetch(url, options);
  } catch {
    throw new Refused(0, { detail: "the server does not answer; is `make review` still running?" });
  }
  const body = await reply.json().catch(() => ({}));
  if (!reply.ok) throw new Refused(reply.status, body);
  return body;
}

export const allFaces = () => request("api/faces");
export const oneFace = (id) => request(`api/faces/${id}`);
export const changes = (since) => request(`api/changes?since=${since}`);

export function decide(reviewer, decisions) {
  const body = JSON.stringify({ reviewer, decisions });
  return request("api/decisions", { method: "POST", headers: { "Content-Type": "application/json" }, body });
}

export const faceUrl = (face) => `faces/${face.id}/${face.pixels}`;
export const photoUrl = (face) => `photos/${face.id}`;
