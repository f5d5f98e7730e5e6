// The latest price of what is asked, as GET /stream tells it.

import { grouped, withDigits } from "./bars.js";
import { Watch } from "./live.js";
import { byId, foreign, fullMoment, make } from "./text.js";

const SILENCE_MS = 75_000;
const LACKING = { gap: "trades are missing", partial: "not all trades are known" };
const [SAME, UP, DOWN] = [null, ["up", "▲"], ["down", "▼"]];

function whenceOf({ source }) {
  if (source === "simulated") return make("strong", { class: "warn" }, source);
  return source === "close" ? "last close" : make("span", {}, "from", " ", foreign(source));
}

export class Quote {
  #symbol = null;
  #latest = null;
  #way = SAME;
  #isLive = true;
  #watch;
  #hear;

  // `hear` is given the price of each last trade as it comes, and whether that trade was made since the one before.
  constructor(hear) {
    this.#hear = hear;
    this.#watch = new Watch(
      SILENCE_MS,
      (name, data) => this.#take(name, data),
      (state) => this.#lose(state),
      withDigits,
    );
  }

  // Of this symbol, or of none if it is null.
  show(symbol) {
    if (symbol === this.#symbol) return;
    this.#symbol = symbol;
    this.#forget();
    this.#watch.open(symbol === null ? null : `/stream?prices=${encodeURIComponent(symbol)}`);
  }

  restart() {
    this.#watch.restart();
  }

  #forget() {
    this.#latest = null;
    this.#way = SAME;
    this.#draw();
  }

  #take(name, data) {
    if (name === "gone") this.#forget();
    if (name !== "price") return;
    // What comes first on a connection says how it is; everything after that is news.
    const isNews = this.#latest !== null && this.#isLive && data.timestamp !== this.#latest.timestamp;
    const [before, now] = [this.#latest?.price.value ?? data.price.value, data.price.value];
    if (now !== before) this.#way = now > before ? UP : DOWN;
    this.#latest = data;
    this.#isLive = true;
    this.#draw();
    if (data.venue !== null) this.#hear(data, isNews);
  }

  // Where prices may not be read, there is none to show.
  #lose(state) {
    this.#isLive = false;
    if (state === "locked") this.#latest = null;
    this.#draw();
  }

  #draw() {
    const [latest, way] = [this.#latest, this.#way];
    byId("quote").hidden = latest === null;
    if (latest === null) return;
    const { price, currency, timestamp, coverage, stale, reason } = latest;
    const warnings = [
      LACKING[coverage],
      stale ? `not of now: ${reason.replaceAll("_", " ")}` : null,
      this.#isLive ? null : "not live",
    ].filter(Boolean);
    byId("quote").replaceChildren(
      make("strong", { id: "quote-price" }, grouped(price.digits, 0)),
      ...(currency === null ? [] : [" ", foreign(currency)]),
      ...(way === SAME ? [] : [" ", make("span", { class: way[0], role: "img", "aria-label": way[0] }, way[1])]),
      " ",
      make("span", { class: "quiet" }, whenceOf(latest), `, ${fullMoment(timestamp)}`),
      ...warnings.map((words) => make("span", { class: "warn" }, `, ${words}`)),
    );
  }
}
