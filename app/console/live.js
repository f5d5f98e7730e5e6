// GET /live by fetch, which can send a key where EventSource cannot; connected anew after growing pauses.

import { failureOf, headers } from "./api.js";

const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 30_000;
const SILENCE_MS = 10_000;

// Each event's data in `answer`, parsed; throws if nothing comes for too long.
async function* events(answer, controller) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const timer = setTimeout(() => controller.abort(), SILENCE_MS);
    const { value, done } = await reader.read().finally(() => clearTimeout(timer));
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const data = block.split("\n").filter((line) => line.startsWith("data: "));
      if (data.length) yield JSON.parse(data.map((line) => line.slice(6)).join("\n"));
    }
  }
}

export class Watch {
  #show;
  #say;
  #controller = null;
  #pauseMs = FIRST_PAUSE_MS;
  #timer = 0;

  // `show` is given each event; `say` a state (live, waiting, locked, paused) and words for it.
  constructor(show, say) {
    this.#show = show;
    this.#say = say;
    document.addEventListener("visibilitychange", () => this.restart());
  }

  // Connect now, whatever was: at the start, with a new key, when the page is looked at again.
  restart() {
    clearTimeout(this.#timer);
    this.#controller?.abort();
    this.#controller = null;
    this.#pauseMs = FIRST_PAUSE_MS;
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
    try {
      const answer = await fetch("/live", { headers: headers(), signal: controller.signal, cache: "no-store" });
      if (!answer.ok) {
        const failure = await failureOf(answer);
        if (this.#controller !== controller) return;
        if (failure.status === 401 || failure.status === 403) {
          this.#say("locked", "Live numbers want a key");
          return;
        }
        retryS = Number(failure.retryAfter) || 0;
        throw failure;
      }
      for await (const stats of events(answer, controller)) {
        if (this.#controller !== controller) return;
        this.#pauseMs = FIRST_PAUSE_MS;
        this.#say("live", `Live · worker ${stats.worker} · v${stats.version}`);
        this.#show(stats);
      }
    } catch {
      // The same as an end: what to do about either is to come again.
    }
    if (this.#controller !== controller) return;
    const pauseMs = Math.max(retryS * 1000, this.#pauseMs * (0.5 + Math.random() / 2));
    this.#pauseMs = Math.min(LONGEST_PAUSE_MS, this.#pauseMs * 2);
    this.#say("waiting", "Reconnecting");
    this.#timer = setTimeout(() => this.#run(), pauseMs);
  }
}
