// The page: what is asked, what is shown of the answer, and the keys.

import { call, Failure, useKey } from "./api.js";
import { Candles } from "./candles.js";
import { Chart } from "./chart.js";
import { Follow } from "./follow.js";
import { showIndicators } from "./indicators.js";
import { Watch } from "./live.js";
import { Quote } from "./quote.js";
import { actionOf, inWords, showDecision } from "./result.js";
import { byId, count, draw, foreign, make, milliseconds, percent, signed } from "./text.js";

const RECENT_MAX = 8;
const TRACE_MAX = 60;
// Numbers come every second.
const SILENCE_MS = 4000;
// So long what a decision rests on beside the last trade is not asked for again.
const BASIS_MS = 5000;
const chart = new Chart(byId("chart"), byId("reading"));
const candles = new Candles(keepAddress);
const quote = new Quote((latest, isNews) => candles.trade(latest, isNews));
const watch = new Watch(SILENCE_MS, showLive, sayNumbers);
const follow = new Follow((question) => answer(question, false), sayFollowed);
const trace = [];
const connection = { numbers: ["waiting", "Connecting"], decision: ["live", ""] };
let asking = null;
let answered = null;
let isInterrupted = false;
let basis = null;
let remembered = null;

// ---- asking

// The live price that is typed; null if none is, NaN if it is none.
function livePrice() {
  const typed = byId("price").value.trim();
  if (typed === "") return null;
  return /^\d*\.?\d+(e[+-]?\d+)?$/i.test(typed) ? Number(typed) : NaN;
}

async function ask() {
  const symbol = byId("symbol").value.trim();
  const price = livePrice();
  if (symbol === "") return fail(new Failure(0, "Which symbol?", "type one, as AAPL or BTC/USDT", "symbol"));
  if (Number.isNaN(price)) return fail(new Failure(0, "That is no price", "a number like 431.50, or nothing", "price"));
  return answer({ symbol, price }, true);
}

// The decision on a question, shown; null if there is none, undefined if the user has asked something else. What is asked anew
// because of a change takes neither the turn nor the focus from the user.
async function answer(question, isUsers) {
  if (!isUsers && asking?.isUsers) return undefined;
  asking?.controller.abort();
  const mine = { controller: new AbortController(), isUsers };
  asking = mine;
  const { symbol, price } = question;
  const { signal } = mine.controller;
  if (isUsers) byId("result").setAttribute("aria-busy", "true");
  try {
    const body = { symbol, explain: true, ...(price === null ? {} : { price }) };
    const { value: decision, tookMs } = await call("/decide", { body, signal });
    clearFailure();
    byId("empty").hidden = true;
    byId("result").hidden = false;
    showDecision(decision, tookMs, price);
    if (remember(decision, price, tookMs, isUsers)) byId("spoken").textContent = inWords(decision);
    quote.show(decision.symbol);
    if (isUsers) {
      answered = { symbol: decision.symbol, ...(price === null ? {} : { price }) };
      keepAddress();
      follow.show(question, decision);
    }
    await showPrices(decision, price, signal, isUsers);
    return decision;
  } catch (error) {
    if (signal.aborted) return undefined;
    // What was decided before is no answer to this question.
    byId("result").hidden = true;
    candles.hide();
    quote.show(null);
    if (isUsers) follow.show(null, null);
    fail(error, isUsers);
    return null;
  } finally {
    if (asking === mine) {
      asking = null;
      byId("result").removeAttribute("aria-busy");
    }
  }
}

// What is shown can be found again by it.
function keepAddress() {
  if (answered === null) return;
  const more = candles.chosen === null ? {} : { interval: candles.chosen };
  history.replaceState(null, "", `?${new URLSearchParams({ ...answered, ...more })}`);
}

// The prices behind it: closes, indicators and, where the server has them, candles. The decision stands without them.
async function showPrices(decision, price, signal, isUsers) {
  const { symbol, cache } = decision;
  const isKnown = basis?.symbol === symbol && basis.run === cache.run && performance.now() - basis.at < BASIS_MS;
  if (isUsers || !isKnown) {
    const asked = ["history", "features"].map((what) => call(`/${what}/${encodeURIComponent(symbol)}`, { signal }));
    const found = await Promise.allSettled(asked);
    signal.throwIfAborted();
    basis = { symbol, run: cache.run, at: performance.now(), found };
  }
  const [closes, features] = basis.found;
  const valueOf = ({ value }) => value?.value ?? null;
  const whyNot = ({ reason }) => (reason instanceof Failure ? reason.title.toLowerCase() : reason && "it could not be read");
  showIndicators(valueOf(features), whyNot(features), price);
  candles.show({ decision, livePrice: price, features: valueOf(features), intervalS: valueOf(closes)?.interval_s ?? null });
  if (closes.status === "fulfilled") chart.show(valueOf(closes), decision, price);
  else chart.clear(`No chart: ${whyNot(closes)}.`);
}

// ---- what went wrong

function fail(error, takesFocus = true) {
  const told = error instanceof Failure ? error : new Failure(0, "This page failed", error.message);
  if (told.status === 401) askForKey(takesFocus);
  for (const id of ["symbol", "price"]) {
    if (told.field === id) {
      byId(id).setAttribute("aria-invalid", "true");
      if (takesFocus) byId(id).focus();
    } else {
      byId(id).removeAttribute("aria-invalid");
    }
  }
  const facts = [
    told.status ? `status ${told.status}` : null,
    told.field ? `field ${told.field}` : null,
    told.retryAfter ? `try again in ${told.retryAfter} s` : null,
    told.requestId ? `request ${told.requestId}` : null,
  ].filter(Boolean);
  const parts = [make("strong", {}, foreign(told.title))];
  if (told.detail) parts.push(make("span", {}, ": ", foreign(told.detail)));
  if (facts.length) parts.push(make("small", {}, foreign(facts.join(" · "))));
  byId("failure").replaceChildren(...parts);
  byId("failure").hidden = false;
  if (!(error instanceof Failure)) throw error;
}

function clearFailure() {
  byId("failure").hidden = true;
  byId("failure").replaceChildren();
  for (const id of ["symbol", "price"]) byId(id).removeAttribute("aria-invalid");
}

function askForKey(takesFocus) {
  byId("key-form").hidden = false;
  if (takesFocus) byId("key").focus();
}

// ---- the last decisions

// Whether it is another than the last one. What a trade alone has moved takes that one's place.
function remember(decision, price, tookMs, isUsers) {
  byId("recent-empty").hidden = true;
  const again = make("button", { type: "button", class: "again" }, foreign(decision.symbol));
  again.addEventListener("click", () => {
    byId("symbol").value = decision.symbol;
    byId("price").value = price ?? "";
    ask();
  });
  const facts = `${signed(decision.score, 2)} · ${percent(decision.confidence)} · ${decision.cache.tier} · ${milliseconds(tookMs)}`;
  const line = make("li", {}, again, actionOf(decision.action), make("span", { class: "quiet" }, facts));
  const what = JSON.stringify([decision.symbol, decision.action, decision.fallback.level, decision.cache.run, price]);
  const isOther = isUsers || remembered?.what !== what;
  if (isOther) byId("recent").prepend(line);
  else remembered.line.replaceWith(line);
  remembered = { what, line };
  while (byId("recent").childElementCount > RECENT_MAX) byId("recent").lastElementChild.remove();
  return isOther;
}

// ---- live numbers

function sayConnection() {
  const [state, words] = connection.numbers[0] === "live" && connection.decision[0] !== "live" ? connection.decision : connection.numbers;
  byId("connection").dataset.state = state;
  if (byId("connection-text").textContent !== words) byId("connection-text").textContent = words;
}

function sayNumbers(state, words) {
  // What broke one connection may have left the other hanging.
  if (state === "live" && isInterrupted) [follow, quote].forEach((each) => each.restart());
  isInterrupted = state === "waiting";
  connection.numbers = [state, words];
  byId("live").classList.toggle("old", state !== "live");
  sayConnection();
}

function sayFollowed(state, words) {
  connection.decision = [state, words];
  sayConnection();
}

function number(value, words) {
  return value === null ? "–" : words(value);
}

function spark(values) {
  const top = Math.max(1e-9, ...values);
  // The newest is always at the right.
  const x = (at) => (((TRACE_MAX - values.length + at) / (TRACE_MAX - 1)) * 100).toFixed(1);
  const points = values.map((value, at) => `${x(at)},${(26 - (24 * value) / top).toFixed(1)}`);
  return draw(
    "svg",
    { class: "spark", viewBox: "0 0 100 28", preserveAspectRatio: "none", width: "100%", height: 28, "aria-hidden": "true" },
    draw("line", { x1: 0, x2: 100, y1: 27, y2: 27 }),
    draw("polyline", { points: points.join(" ") }),
  );
}

function showLive(_, stats) {
  if (stats.feed_connected) sayNumbers("live", `Live · worker ${stats.worker} · v${stats.version}`);
  else sayNumbers("waiting", "No word from the store");
  trace.push(stats);
  if (trace.length > TRACE_MAX) trace.shift();
  const share = (value) => percent(value, 1);
  const rows = [
    ["half", "hit-rate", "Hit rate", number(stats.hit_rate, share)],
    ["half", "hit-rate-since-start", "Hit rate since start", number(stats.hit_rate_since_start, share)],
    ["half", "requests", "Requests / s", count(stats.requests_per_s)],
    ["half", "decisions", "Decisions / s", count(stats.decisions_per_s)],
    ["whole", "rates", "", spark(trace.map((each) => each.requests_per_s))],
    ["third", "p50", "p50", number(stats.p50_ms, milliseconds)],
    ["third", "p95", "p95", number(stats.p95_ms, milliseconds)],
    ["third", "p99", "p99", number(stats.p99_ms, milliseconds)],
    ["whole", "tails", "", spark(trace.map((each) => each.p95_ms ?? 0))],
    ["third", "entries", "In L1", count(stats.l1_entries)],
    ["third", "in-flight", "In flight", count(stats.in_flight)],
    ["third", "feed", "Feed lag", stats.feed_connected ? milliseconds(stats.feed_lag_s * 1000) : "down"],
  ];
  byId("live-window").textContent = stats.window_s ? `last ${Math.round(stats.window_s)} s` : "";
  byId("live").replaceChildren(
    ...rows.map(([width, name, title, value]) => {
      if (title === "") return make("div", { class: width, "aria-hidden": "true" }, value);
      return make("div", { class: width, "data-name": name }, make("dt", {}, title), make("dd", {}, value));
    }),
  );
}

// ---- wiring

async function listSymbols() {
  try {
    const { value } = await call("/symbols?limit=1000");
    byId("symbols").replaceChildren(...value.symbols.map((symbol) => make("option", { value: symbol })));
    const first = value.symbols[0];
    if (first) byId("symbol").placeholder = first;
  } catch (error) {
    // Without a list one types; only a key that is wanted is worth a word now.
    if (error.status === 401) fail(error);
  }
}

byId("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  ask();
});

byId("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  useKey(byId("key").value.trim());
  clearFailure();
  listSymbols();
  for (const each of [watch, follow, quote]) each.restart();
  if (byId("symbol").value.trim()) ask();
  else byId("symbol").focus();
});

document.addEventListener("keydown", (event) => {
  const field = event.target;
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || field === byId("key")) return;
  // A symbol may have one, as BTC/USDT, and none begins with it.
  if (field === byId("symbol") && field.selectionStart > 0) return;
  event.preventDefault();
  byId("symbol").focus();
  byId("symbol").select();
});

const address = new URLSearchParams(location.search);
byId("symbol").value = address.get("symbol") ?? "";
byId("price").value = address.get("price") ?? "";
candles.choose(address.get("interval"));
listSymbols();
watch.open("/live");
byId("symbol").focus();
if (byId("symbol").value) ask();
