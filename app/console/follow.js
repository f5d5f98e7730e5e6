// What is shown, held against GET /stream: whatever changes there is asked for anew, with the live price and the reasons.

import { Watch } from "./live.js";

// Signs of life come every 15 s, unless the server is set otherwise.
const SILENCE_MS = 75_000;
const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 5000;
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
    else if (this.#told !== null) this.#settle(this.#isOfTheSameRun());
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
    this.#settle(isFirst && name === "decision" && this.#isOfTheSameRun() && this.#isOfTheSameLevel());
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

  // Ask until the answer rests on what was told: another worker may learn of a change a moment later.
  async #renew() {
    if (this.#told === null) return;
    this.#say("waiting", "Updating");
    if (this.#renewing) return;
    this.#renewing = true;
    for (let pauseMs = FIRST_PAUSE_MS; this.#told !== null && this.#question !== null; pauseMs *= 2) {
      const [question, told] = [this.#question, this.#told];
      const decision = await this.#ask(question);
      if (decision !== undefined && question === this.#question) {
        this.#shown = decision;
        if (told === this.#told && (decision === null || this.#isOfTheSameRun())) {
          this.#say("live", "");
          break;
        }
      }
      await new Promise((resolve) => setTimeout(resolve, Math.min(LONGEST_PAUSE_MS, pauseMs)));
    }
    this.#renewing = false;
  }
}
