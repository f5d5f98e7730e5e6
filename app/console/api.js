// Calls of the server's own API, and what went wrong with them in words.

const PATIENCE_MS = 15_000;

// Memory alone, not sessionStorage: that outlives a reload and a restored tab, and any script of this origin could read it.
let key = "";

export function useKey(text) {
  key = text;
}

export function headers(more = {}) {
  return key ? { ...more, "X-API-Key": key } : more;
}

export class Failure extends Error {
  constructor(status, title, detail, field = null, requestId = null, retryAfter = null) {
    super(title);
    Object.assign(this, { status, title, detail, field, requestId, retryAfter });
  }
}

function text(value) {
  return typeof value === "string" ? value : null;
}

// The failure that an answer tells of: problem+json where it is that, its status otherwise.
export async function failureOf(answer) {
  const retryAfter = answer.headers.get("Retry-After");
  let body = null;
  if ((answer.headers.get("Content-Type") ?? "").startsWith("application/problem+json")) {
    body = await answer.json().catch(() => null);
  }
  const title = text(body?.title) ?? `The server answered ${answer.status}`;
  return new Failure(answer.status, title, text(body?.detail) ?? "", text(body?.field), text(body?.request_id), retryAfter);
}

// The answer's JSON, read with `revive` as JSON.parse does, and the milliseconds that it took to come.
export async function call(path, { body, signal, revive } = {}) {
  const limits = [AbortSignal.timeout(PATIENCE_MS), ...(signal ? [signal] : [])];
  const request = { headers: headers(), signal: AbortSignal.any(limits), cache: "no-store", credentials: "same-origin" };
  if (body !== undefined) {
    Object.assign(request, { method: "POST", headers: headers({ "Content-Type": "application/json" }), body: JSON.stringify(body) });
  }
  const started = performance.now();
  try {
    const answer = await fetch(path, request);
    if (!answer.ok) throw await failureOf(answer);
    const value = revive ? JSON.parse(await answer.text(), revive) : await answer.json();
    return { value, tookMs: performance.now() - started };
  } catch (error) {
    if (error instanceof Failure || signal?.aborted) throw error;
    if (error.name === "TimeoutError") throw new Failure(0, "No answer", `none came within ${PATIENCE_MS / 1000} s`);
    throw new Failure(0, "The server cannot be reached", "is it running, and the network up?");
  }
}
