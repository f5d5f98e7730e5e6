// What is shown, held against GET /stream: whatever changes there is asked for anew, with the live price and the reasons.

import { Watch } from "./live.js";

// Signs of life come every 15 s, unless the server is set otherwise.
const SILENCE_MS = 75_000;
const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 5000;
// Trades come more often than anybody reads.
const EVERY_MS = 250;
const LONGEST_TIMER_MS = 2 ** 31 - 1;

// Milliseconds until the first input turns stale by the server's clock, which may be another than ours; null if none will.
function untilStale(decision) {
  const { price, agents, tick } = decision.inputs;
  const used = tick === undefined || tick.unused ? [price, agents] : [price, agents, tick];
  const ages = used.map((each) => each.age_s).filter((each) => each !== null);
  if (decision.expires_at === null || decision.as_of === null || !ages.length) return null;
  const left = Date.parse(decision.expires_at) - Date.parse(decision.as_of) - Math.min(...ages) * 1000;
  return left > 0 ? Math.min(LONGEST_TIMER_MS, left + 1000) : null;
}

export class Follow {
  #ask;
  #say;
  #watch;
  #question = null;
  #shown = null;
  #told = null;
  #renewing = false;
  #renewedAt = -Infinity;
  #timer = 0;

  // `ask` is given a question and resolves to the decision that is shown then, to null if none is, to undefined if the user asks
  // something else; `say` is given a state, as that of a `Watch`, and words.
  constructor(ask, say) {
    this.#ask = ask;
    this.#say = say;
    this.#watch = new Watch(
      SILENCE_MS,
      (name, data) => this.#hear(name, data),
      (state, words) => {
        this.#told = null;
        say(state, words);
      },
    );
  }

  // This decision on this question is shown; or nothing, if they are null.
  show(question, decision) {
    clearTimeout(this.#timer);
    this.#question = question;
    this.#shown = decision;
    const path = decision === null ? null : `/stream?symbols=${encodeURIComponent(decision.symbol)}`;
    if (path !== this.#watch.path) this.#begin(path);
    else if (this.#told !== null) this.#settle(this.#restsOn(decision, this.#told));
    const left = decision === null ? null : untilStale(decision);
    if (left !== null) this.#timer = setTimeout(() => this.#settle(false), left);
  }

  restart() {
    this.#begin(this.#watch.path);
  }

  #begin(path) {
    this.#told = null;
    this.#say(path === null ? "live" : "waiting", "Connecting");
    this.#watch.open(path);
  }

  #hear(name, data) {
    if (name !== "decision" && name !== "gone") return;
    const isFirst = this.#told === null;
    this.#told = data;
    // What comes first on a connection says how it is; everything after that is a change.
    this.#settle(isFirst && name === "decision" && this.#shown !== null && this.#restsOn(this.#shown, data) && this.#isOfTheSameLevel());
  }

  #isOfTheSameRun() {
    return this.#told.cache?.run === this.#shown?.cache.run;
  }

  #isOfTheSameLevel() {
    return this.#question.price !== null || this.#told.fallback.level === this.#shown?.fallback.level;
  }

  #settle(isUpToDate) {
    if (isUpToDate) this.#say("live", "");
    else this.#renew();
  }

  // Whether `decision` rests on what `told` does. A trade that came since is told of, too.
  #restsOn(decision, told) {
    const [mine, other] = [decision, told].map((each) => each.inputs?.tick?.price);
    return told.cache?.run === decision.cache.run && mine === other;
  }

  // Ask until the answer rests on what was told: another worker may learn of a change a moment later. Trades may come faster than
  // one can ask: then each answer rests on one of them, and that is live.
  async #renew() {
    if (this.#told === null) return;
    if (!this.#isOfTheSameRun()) this.#say("waiting", "Updating");
    if (this.#renewing) return;
    this.#renewing = true;
    let pauseMs = Math.max(0, this.#renewedAt + EVERY_MS - performance.now());
    for (let failures = 0; this.#told !== null && this.#question !== null; failures += 1) {
      if (pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, pauseMs));
      const [question, told] = [this.#question, this.#told];
      if (question === null || told === null) break;
      const decision = await this.#ask(question);
      this.#renewedAt = performance.now();
      pauseMs = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** failures);
      if (decision === undefined || question !== this.#question) continue;
      this.#shown = decision;
      if (decision === null || this.#restsOn(decision, told)) {
        if (told === this.#told) {
          this.#say("live", "");
          break;
        }
        if (this.#told !== null && this.#isOfTheSameRun()) this.#say("live", "");
        [failures, pauseMs] = [0, EVERY_MS];
      } else {
        this.#say("waiting", "Updating");
      }
    }
    this.#renewing = false;
  }
}
