// Server-sent events by fetch, which can send a key where EventSource cannot; connected anew after growing pauses.

import { failureOf, headers } from "./api.js";

const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 30_000;

// Each event in `answer`, its data parsed; throws if nothing comes for too long.
async function* events(answer, controller, silenceMs, revive) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const timer = setTimeout(() => controller.abort(), silenceMs);
    const { value, done } = await reader.read().finally(() => clearTimeout(timer));
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const fields = (name) => block.split("\n").filter((line) => line.startsWith(name)).map((line) => line.slice(name.length));
      const data = fields("data: ");
      if (data.length) yield { name: fields("event: ")[0] ?? "message", data: JSON.parse(data.join("\n"), revive) };
    }
  }
}

export class Watch {
  #show;
  #say;
  #silenceMs;
  #revive;
  #path = null;
  #controller = null;
  #pauseMs = FIRST_PAUSE_MS;
  #timer = 0;

  // `show` is given the name and data of each event; `say` a state (live, waiting, locked, paused) and words for it. Where
  // nothing comes for `silenceMs`, not even a sign of life, the connection is given up for another. Data is read with `revive`, as
  // JSON.parse does.
  constructor(silenceMs, show, say, revive) {
    this.#revive = revive;
    this.#silenceMs = silenceMs;
    this.#show = show;
    this.#say = say;
    document.addEventListener("visibilitychange", () => this.restart());
  }

  get path() {
    return this.#path;
  }

  // Watch this, or nothing if it is null.
  open(path) {
    this.#path = path;
    this.restart();
  }

  // Connect now, whatever was: at the start, with a new key, when the page is looked at again.
  restart() {
    clearTimeout(this.#timer);
    this.#controller?.abort();
    this.#controller = null;
    this.#pauseMs = FIRST_PAUSE_MS;
    if (this.#path === null) return;
    if (document.hidden) {
      // Places are few, and nobody looks.
      this.#say("paused", "Paused");
    } else {
      this.#run();
    }
  }

  async #run() {
    const controller = new AbortController();
    this.#controller = controller;
    let retryS = 0;
    let words = "Reconnecting";
    try {
      const answer = await fetch(this.#path, { headers: headers(), signal: controller.signal, cache: "no-store" });
      if (!answer.ok) {
        const failure = await failureOf(answer);
        if (this.#controller !== controller) return;
        if (failure.status === 401 || failure.status === 403) {
          this.#say("locked", "Live numbers want a key");
          return;
        }
        retryS = Number(failure.retryAfter) || 0;
        words = `Not live: ${failure.title.toLowerCase()}`;
        throw failure;
      }
      for await (const { name, data } of events(answer, controller, this.#silenceMs, this.#revive)) {
        if (this.#controller !== controller) return;
        this.#pauseMs = FIRST_PAUSE_MS;
        this.#show(name, data);
      }
    } catch {
      // The same as an end: what to do about either is to come again.
    }
    if (this.#controller !== controller) return;
    const pauseMs = Math.max(retryS * 1000, this.#pauseMs * (0.5 + Math.random() / 2));
    this.#pauseMs = Math.min(LONGEST_PAUSE_MS, this.#pauseMs * 2);
    this.#say("waiting", words);
    this.#timer = setTimeout(() => this.#run(), pauseMs);
  }
}
