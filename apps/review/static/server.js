// What is asked of the server.

export class Refused extends Error {
  constructor(status, said) {
    super(typeof said.detail === "string" ? said.detail : `the server answered ${status}`);
    this.status = status;
    this.faces = said.faces ?? {};
  }
}

async function ask(url, options) {
  let reply;
  try {
    reply = await fetch(url, options);
  } catch {
    throw new Refused(0, { detail: "the server does not answer; is `make review` still running?" });
  }
  const said = await reply.json().catch(() => ({}));
  if (!reply.ok) throw new Refused(reply.status, said);
  return said;
}

export const allFaces = () => ask("api/faces");
export const oneFace = (id) => ask(`api/faces/${id}`);
export const changes = (since) => ask(`api/changes?since=${since}`);

export function decide(reviewer, decisions) {
  const body = JSON.stringify({ reviewer, decisions });
  return ask("api/decisions", { method: "POST", headers: { "Content-Type": "application/json" }, body });
}

export const faceUrl = (face) => `faces/${face.id}/${face.pixels}`;
export const photoUrl = (face) => `photos/${face.id}`;
