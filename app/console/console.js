// The page: what is asked, what is shown of the answer, and the keys.

import { call, Failure, useKey } from "./api.js";
import { Chart } from "./chart.js";
import { Watch } from "./live.js";
import { actionOf, inWords, showDecision } from "./result.js";
import { byId, count, draw, foreign, make, milliseconds, percent, signed } from "./text.js";

const RECENT_MAX = 8;
const TRACE_MAX = 60;
const chart = new Chart(byId("chart"), byId("reading"));
const watch = new Watch(showLive, sayConnection);
const trace = [];
let asking = null;

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
  asking?.abort();
  const controller = new AbortController();
  asking = controller;
  byId("result").setAttribute("aria-busy", "true");
  try {
    const body = { symbol, explain: true, ...(price === null ? {} : { price }) };
    const { value: decision, tookMs } = await call("/decide", { body, signal: controller.signal });
    clearFailure();
    byId("empty").hidden = true;
    byId("result").hidden = false;
    showDecision(decision, tookMs);
    byId("spoken").textContent = inWords(decision);
    remember(decision, price, tookMs);
    await showHistory(decision, price, controller.signal);
  } catch (error) {
    if (controller.signal.aborted) return undefined;
    // What was decided before is no answer to this question.
    byId("result").hidden = true;
    fail(error);
  } finally {
    if (asking === controller) byId("result").removeAttribute("aria-busy");
  }
  return undefined;
}

async function showHistory(decision, price, signal) {
  try {
    const { value: history } = await call(`/history/${encodeURIComponent(decision.symbol)}`, { signal });
    chart.show(history, decision, price);
  } catch (error) {
    if (signal.aborted) throw error;
    // The decision stands without it.
    chart.clear(error instanceof Failure ? `No chart: ${error.title.toLowerCase()}.` : "No chart: it could not be drawn.");
    if (!(error instanceof Failure)) throw error;
  }
}

// ---- what went wrong

function fail(error) {
  const told = error instanceof Failure ? error : new Failure(0, "This page failed", error.message);
  if (told.status === 401) askForKey();
  for (const id of ["symbol", "price"]) {
    if (told.field === id) {
      byId(id).setAttribute("aria-invalid", "true");
      byId(id).focus();
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

function askForKey() {
  byId("key-form").hidden = false;
  byId("key").focus();
}

// ---- the last decisions

function remember(decision, price, tookMs) {
  byId("recent-empty").hidden = true;
  const again = make("button", { type: "button", class: "again" }, foreign(decision.symbol));
  again.addEventListener("click", () => {
    byId("symbol").value = decision.symbol;
    byId("price").value = price ?? "";
    ask();
  });
  const facts = `${signed(decision.score, 2)} · ${percent(decision.confidence)} · ${decision.cache.tier} · ${milliseconds(tookMs)}`;
  byId("recent").prepend(make("li", {}, again, actionOf(decision.action), make("span", { class: "quiet" }, facts)));
  while (byId("recent").childElementCount > RECENT_MAX) byId("recent").lastElementChild.remove();
}

// ---- live numbers

function sayConnection(state, words) {
  byId("connection").dataset.state = state;
  if (byId("connection-text").textContent !== words) byId("connection-text").textContent = words;
  byId("live").classList.toggle("old", state !== "live");
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

function showLive(stats) {
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
  watch.restart();
  if (byId("symbol").value.trim()) ask();
  else byId("symbol").focus();
});

document.addEventListener("keydown", (event) => {
  const typing = event.target instanceof HTMLInputElement;
  if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  byId("symbol").focus();
  byId("symbol").select();
});

listSymbols();
watch.restart();
byId("symbol").focus();
