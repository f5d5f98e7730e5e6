// The market's candles of what was asked: loaded by pages, kept up while one looks.

import { call, Failure } from "./api.js";
import { barOf, begunAfter, grown, INTERVALS, intervalOf, isOfDays, lengthOf, renewed, withDigits } from "./bars.js";
import { Drawing, library } from "./drawing.js";
import { tellBar, tellBars, tellNothing, tellTable } from "./reading.js";
import { byId, foreign, make } from "./text.js";

const PAGE_BARS = 300;
const OLDER_BARS = 500;
const REFRESH_BARS = 100;
const BARS_MAX = 6000;
const EDGE_BARS = 40;
const [SHORTEST_PAUSE_MS, LONGEST_PAUSE_MS, LONGEST_WAIT_MS] = [5000, 60_000, 300_000];
const DAY_MS = 86_400_000;

// Whether the server may answer another time: it is away, or has too much to do.
function mayPass({ status }) {
  return status === 0 || status === 429 || status >= 500;
}

export class Candles {
  #whenChosen;
  #asked = null;
  #chosen = null;
  #bars = [];
  #gaps = [];
  #gapsOmitted = 0;
  #older = null;
  #isLoadingOlder = false;
  #isRefreshing = false;
  #controller = new AbortController();
  #timer = 0;
  #failures = 0;
  #drawing = null;
  #read = null;
  #traded = null;

  // `whenChosen` is called when the user chooses another interval.
  constructor(whenChosen) {
    this.#whenChosen = whenChosen;
    byId("interval").replaceChildren(...INTERVALS.map((interval) => make("option", { value: interval }, interval)));
    byId("interval").value = "1d";
    byId("interval").addEventListener("change", () => this.choose(byId("interval").value));
    byId("extended").addEventListener("change", () => this.#begin());
    byId("zoom-in").addEventListener("click", () => this.#drawing.zoom(true));
    byId("zoom-out").addEventListener("click", () => this.#drawing.zoom(false));
    byId("newest").addEventListener("click", () => this.#drawing.newest());
    byId("candle-table").addEventListener("toggle", () => this.#tabulate());
    document.addEventListener("visibilitychange", () => this.#look());
  }

  // The interval that the user chose, null if none was chosen.
  get chosen() {
    return this.#chosen;
  }

  choose(interval) {
    if (!INTERVALS.includes(interval)) return;
    this.#chosen = interval;
    byId("interval").value = interval;
    this.#whenChosen();
    this.#begin();
  }

  // `asked` has the decision, the live price or null, the decision's `features` and the `intervalS` of its bars, or null where
  // these are not known.
  show(asked) {
    const [before, now] = [this.#asked?.decision, asked.decision];
    const isOther = now.symbol !== before?.symbol || !this.#bars.length;
    this.#asked = asked;
    if (this.#chosen === null) byId("interval").value = intervalOf(asked.intervalS) ?? "1d";
    if (isOther) {
      this.#begin();
    } else {
      this.#draw();
      // What came with newer bars is looked for at once; a trade has its own way here.
      const isTraded = now.inputs.tick !== undefined && !now.inputs.tick.unused;
      if (now.cache.run !== before.cache.run || (!isTraded && now.as_of !== before.as_of)) this.#refresh();
    }
  }

  // The last trade of a symbol, as a `price` of GET /stream: the last bar grows with it, or another begins. Unless it `isNews`, the
  // volume of the bar has it already.
  trade(latest, isNews) {
    this.#traded = latest;
    const before = this.#bars.length;
    if (!this.#grow(isNews)) return;
    if (this.#bars.length > before) {
      this.#draw();
      // Of the one that is over the server knows all.
      this.#refresh();
    } else {
      this.#drawing.grow(this.#bars);
      this.#tell(this.#bars.find(({ at }) => at === this.#read) ?? null);
      this.#tabulate();
    }
  }

  // Nothing is asked any more.
  hide() {
    this.#asked = null;
    this.#stop();
  }

  // ---- loading

  get #interval() {
    return byId("interval").value;
  }

  // So many are loaded that no older ones are.
  get #isFull() {
    return this.#bars.length >= BARS_MAX;
  }

  #stop() {
    clearTimeout(this.#timer);
    this.#controller.abort();
    this.#controller = new AbortController();
    this.#isLoadingOlder = false;
    this.#isRefreshing = false;
  }

  async #page(more) {
    const [interval, { signal }] = [this.#interval, this.#controller];
    const query = { symbol: this.#asked.decision.symbol, interval, order: "desc", ...more };
    if (byId("extended").checked && !isOfDays(interval)) query.extended = "true";
    const { value } = await call(`/candles?${new URLSearchParams(query)}`, { signal, revive: withDigits });
    signal.throwIfAborted();
    const bars = value.data.map((sent) => barOf(sent, interval)).reverse();
    return { bars, gaps: value.gaps, omitted: value.gaps_omitted ?? 0, older: value.pagination.next_cursor };
  }

  async #begin() {
    this.#stop();
    if (this.#asked === null) return;
    const { signal } = this.#controller;
    this.#take([], [], null);
    this.#gapsOmitted = 0;
    this.#read = null;
    this.#drawing?.show(this.#picture());
    tellNothing();
    byId("prices").setAttribute("aria-busy", "true");
    try {
      const page = await this.#page({ limit: PAGE_BARS });
      if (!page.bars.length) throw new Failure(404, "No bars", "");
      const lwc = await library();
      signal.throwIfAborted();
      this.#take(page.bars, page.gaps, page.older);
      this.#gapsOmitted = page.omitted;
      this.#appear(true);
      this.#drawing ??= new Drawing(lwc, byId("candle-chart"), (bar) => this.#tell(bar), (from) => from < EDGE_BARS && this.#loadOlder());
      this.#settle();
    } catch (error) {
      if (!signal.aborted) this.#fail(error);
    } finally {
      if (!signal.aborted) byId("prices").removeAttribute("aria-busy");
    }
  }

  // The newest bars anew: those that are there may have changed, or gone.
  async #refresh() {
    if (this.#isRefreshing) return;
    this.#isRefreshing = true;
    clearTimeout(this.#timer);
    const { signal } = this.#controller;
    try {
      const page = await this.#page({ limit: REFRESH_BARS });
      const bars = page.bars.length ? renewed(this.#bars, page.bars) : null;
      // All have gone, or more have come than were asked for.
      if (bars === null) return this.#begin();
      const from = Date.parse(page.bars[0].start_time);
      bars.push(...begunAfter(this.#bars, page.bars));
      this.#take(bars, [...this.#gaps.filter((gap) => Date.parse(gap.end_time) <= from), ...page.gaps], this.#older);
      this.#settle();
    } catch (error) {
      if (!signal.aborted) this.#fail(error);
    } finally {
      if (!signal.aborted) this.#isRefreshing = false;
    }
  }

  async #loadOlder() {
    if (this.#older === null || this.#isLoadingOlder || this.#isFull || this.#asked === null) return;
    this.#isLoadingOlder = true;
    const { signal } = this.#controller;
    try {
      const page = await this.#page({ limit: OLDER_BARS, cursor: this.#older });
      const bars = [...page.bars.filter(({ at }) => at < this.#bars[0].at), ...this.#bars];
      this.#take(bars, [...page.gaps, ...this.#gaps], page.older);
      this.#gapsOmitted += page.omitted;
      this.#draw();
    } catch (error) {
      if (signal.aborted) return;
      // A cursor that is refused stays refused.
      if (!(error instanceof Failure) || !mayPass(error)) this.#older = null;
      this.#note("Older bars could not be loaded: ", foreign(error.title ?? error.message), ".");
    } finally {
      if (!signal.aborted) this.#isLoadingOlder = false;
    }
  }

  #take(bars, gaps, older) {
    this.#bars = bars;
    this.#gaps = [...new Map(gaps.map((gap) => [`${gap.venue} ${gap.start_time}`, gap])).values()];
    this.#older = older;
  }

  // Whether the last trade makes other bars of what is loaded.
  #grow(isNews) {
    if (this.#drawing === null || !this.#bars.length || this.#traded?.symbol !== this.#asked?.decision.symbol) return false;
    const bars = grown(this.#bars, this.#traded, this.#interval, isNews);
    if (bars !== null) this.#bars = bars;
    return bars !== null;
  }

  // ---- looking again

  #settle() {
    this.#failures = 0;
    this.#grow(false);
    this.#note();
    this.#draw();
    this.#wait(0);
  }

  // Often enough for bars of this length, and more seldom where the server fails.
  #wait(retryAfterS) {
    clearTimeout(this.#timer);
    const often = Math.max(SHORTEST_PAUSE_MS, Math.min(LONGEST_PAUSE_MS, (lengthOf(this.#interval) * 1000) / 12));
    const pauseMs = Math.min(LONGEST_WAIT_MS, often * 2 ** this.#failures);
    this.#timer = setTimeout(() => this.#look(), Math.max(retryAfterS * 1000, pauseMs));
  }

  // Nobody is asked while nobody looks; what is not there, or may not be read, is not asked for again by itself.
  #look() {
    clearTimeout(this.#timer);
    if (document.hidden || this.#asked === null) return;
    if (this.#bars.length) this.#refresh();
    else if (this.#failures) this.#begin();
  }

  #fail(error) {
    const told = error instanceof Failure ? error : new Failure(-1, "it could not be drawn", error.message);
    const again = mayPass(told) ? " This page asks again by itself." : "";
    const old = this.#bars.length && again ? " What is shown may be old." : "";
    if (!old) this.#take([], [], null);
    this.#appear(Boolean(old));
    if (told.status === 404) {
      const load = [make("code", {}, "decide warm --bars"), " or, from trades, ", make("code", {}, "decide market load FILE")];
      this.#note(`No ${this.#interval} candles of `, foreign(this.#asked.decision.symbol), " here. Load some with ", ...load, ".");
    } else if (told.status === 403) {
      this.#note("No candles: this key may not read market data; it lacks the scope ", make("code", {}, "market:read"), ".");
    } else {
      const words = told.status === 503 ? "the market store is away" : told.title;
      this.#note(old ? "No newer candles: " : "No candles: ", foreign(words), told.detail ? ", " : "", foreign(told.detail), `.${old}${again}`);
    }
    if (again) {
      this.#failures += 1;
      this.#wait(Number(told.retryAfter) || 0);
    }
    if (!(error instanceof Failure)) throw error;
  }

  // ---- showing

  #appear(isThere) {
    byId("candles").hidden = !isThere;
    for (const id of ["chart", "reading"]) byId(id).hidden = isThere;
  }

  #note(...words) {
    byId("candle-note").hidden = !words.length;
    byId("candle-note").replaceChildren(...words);
  }

  // The newest bar that the decision could know, unless it is of another time.
  #known() {
    const asOf = Date.parse(this.#asked.decision.as_of);
    const bar = this.#bars.findLast(({ end_time: end }) => Date.parse(end) <= asOf);
    const isNear = bar !== undefined && asOf - Date.parse(bar.end_time) <= Math.max(4 * DAY_MS, 2000 * lengthOf(this.#interval));
    return isNear ? bar : null;
  }

  #picture() {
    const { decision, livePrice, intervalS } = this.#asked;
    const bar = this.#known();
    const withOverlays = intervalS !== null && intervalS === lengthOf(this.#interval);
    const mark = bar === null ? null : { action: decision.action, bar };
    return { bars: this.#bars, interval: this.#interval, withOverlays, mark, livePrice };
  }

  #draw() {
    const picture = this.#picture();
    this.#drawing.show(picture);
    const isSimulated = this.#traded?.source === "simulated" || this.#bars.some(({ sources }) => sources.includes("simulated"));
    tellBars({ ...picture, isSimulated, gaps: this.#gaps, gapsOmitted: this.#gapsOmitted, isAll: this.#older === null, isFull: this.#isFull, asked: this.#asked });
    byId("extended-field").hidden = isOfDays(this.#interval) || this.#bars.every(({ session }) => session === null);
    this.#tell(this.#bars.find(({ at }) => at === this.#read) ?? null);
    this.#tabulate();
  }

  #tell(bar) {
    this.#read = bar?.at ?? null;
    if (this.#bars.length) tellBar(bar ?? this.#bars.at(-1), this.#bars, this.#interval);
  }

  #tabulate() {
    if (byId("candle-table").open) tellTable(this.#bars, this.#interval);
  }
}
