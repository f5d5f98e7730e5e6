// Candles in words: the bar under the pointer, what they all are, and a table of them.

import { decimalsOf, grouped, intervalOf, isOfDays, overlaysOf, toldPlace, toldSpan } from "./bars.js";
import { age, byId, count, draw, foreign, fullMoment, make, price as rounded } from "./text.js";

const TABLE_BARS = 100;
const GAPS_MAX = 50;
const SAME = 1e-6;
const LACKING = {
  gap: "with a gap, trades are lacking (hatched)",
  partial: "heard in part (hatched)",
  open: "open, not over (dimmed)",
  backfilled: "backfilled, a gap was filled (dimmed)",
};
const SESSIONS = { regular: "in the session", pre: "before the session", post: "after the session" };
const LINES = { sma20: ["sma-20", "SMA 20"], sma50: ["sma-50", "SMA 50"], upper: ["bollinger", "Bollinger band (20, 2)"] };

function isSame(one, other) {
  return Math.abs(one - other) <= SAME * Math.abs(other);
}

function factsOf(bar, decimals) {
  const { digits, vwap, trades } = bar;
  const prices = ["open", "high", "low", "close"].map((name) => [name, grouped(digits[name], decimals)]);
  return [
    ...prices,
    ["volume", digits.volume === null ? "–" : grouped(digits.volume, 0)],
    ...(vwap === null ? [] : [["VWAP", vwap.toLocaleString("en-GB", { maximumFractionDigits: decimals + 2 })]]),
    ...(trades === null || trades === undefined ? [] : [["trades", count(trades)]]),
  ];
}

function stateOf(bar) {
  return [bar.coverage, `revision ${bar.revision}`, ...(bar.session ? [SESSIONS[bar.session] ?? bar.session] : [])].join(", ");
}

// One of `bars`, under the pointer or the keys.
export function tellBar(bar, bars, interval) {
  const facts = factsOf(bar, decimalsOf(bars));
  const state = make("span", { class: bar.coverage === "complete" ? "quiet" : "warn" }, stateOf(bar));
  const pairs = facts.map(([name, text]) => make("span", {}, make("span", { class: "quiet" }, `${name} `), text));
  byId("candle-legend").replaceChildren(make("strong", {}, toldSpan(bar, interval)), ...pairs, state);
  const words = facts.map(([name, text]) => `${name} ${text}`).join(", ");
  const chart = byId("candle-chart");
  chart.setAttribute("aria-valuemin", 1);
  chart.setAttribute("aria-valuemax", bars.length);
  chart.setAttribute("aria-valuenow", bars.indexOf(bar) + 1);
  chart.setAttribute("aria-valuetext", `${toldSpan(bar, interval)}: ${words}; ${stateOf(bar)}`);
}

// Whether the candles are what the decision rests on, as far as can be seen.
function basis({ bars, interval, withOverlays, asked: { features, intervalS } }) {
  if (intervalS === null) return "Which bars the decision rests on is not known here, so its averages are not drawn.";
  if (!withOverlays) {
    return `The decision rests on bars of ${intervalOf(intervalS) ?? age(intervalS)}, not of ${interval}: its averages are drawn there.`;
  }
  const last = bars.findIndex(({ end_time: end }) => Date.parse(end) === Date.parse(features?.price_as_of));
  if (last < 0) return "The averages are those of these candles. The decision's last bar is not among them.";
  const value = (name) => features.values[features.names.indexOf(name)] ?? null;
  const [close, ratio] = [value("close"), value("sma_ratio_20_50")];
  if (close !== null && !isSame(bars[last].close, close)) {
    return `The averages are those of these candles. The decision rests on others: its last close is ${rounded(close)}, here it is ${rounded(bars[last].close)}.`;
  }
  const { sma20, sma50 } = overlaysOf(bars.slice(0, last + 1));
  if (ratio !== null && sma50.length && !isSame(sma20.at(-1).value / sma50.at(-1).value, ratio)) {
    return "The averages are those of these candles. The decision has the same last close and others before it, as where splits or dividends are adjusted for.";
  }
  return "The averages are those of these candles, on whose closes the decision rests, too.";
}

function tellKey({ bars, withOverlays, isSimulated }) {
  const lines = withOverlays && bars.length >= 20 ? Object.values(LINES) : [];
  const sample = (name) => draw("svg", { width: 22, height: 10, "aria-hidden": "true" }, draw("line", { class: name, x1: 0, x2: 22, y1: 5, y2: 5 }));
  const counts = Object.entries(LACKING).map(([coverage, words]) => [bars.filter((bar) => bar.coverage === coverage).length, words]);
  byId("candle-key").replaceChildren(
    ...(isSimulated ? [make("li", { class: "warn" }, "simulated")] : []),
    ...lines.map(([name, words]) => make("li", {}, sample(name), ` ${words}`)),
    ...counts.filter(([many]) => many).map(([many, words]) => make("li", { class: "warn" }, `${count(many)} ${words}`)),
    ...(bars.some(({ session }) => session === "pre" || session === "post") ? [make("li", {}, "outside of the session (tinted)")] : []),
  );
}

// `omitted` more are there than the server told of.
function tellGaps(gaps, omitted) {
  const many = gaps.length + omitted;
  byId("candle-gaps").hidden = !many;
  byId("candle-gaps-title").textContent = `${count(many)} ${many === 1 ? "gap" : "gaps"} in this time`;
  const newest = gaps.toSorted((one, other) => Date.parse(other.start_time) - Date.parse(one.start_time)).slice(0, GAPS_MAX);
  const lines = newest.map((gap) => {
    const lacking = gap.missing === null ? "" : `, ${count(gap.missing)} trades`;
    const filled = gap.filled_time === null ? "" : `, filled ${fullMoment(gap.filled_time)}`;
    const span = `${fullMoment(gap.start_time)} to ${fullMoment(gap.end_time)}${lacking}${filled}: `;
    return make("li", {}, span, foreign(gap.venue), ", found by ", foreign(gap.found_by));
  });
  const rest = many - newest.length;
  byId("candle-gaps-list").replaceChildren(...lines, ...(rest ? [make("li", {}, `and ${count(rest)} others`)] : []));
}

// All that are loaded: `isAll` if there are no older ones, `isFull` if no older ones will be.
export function tellBars(shown) {
  const { bars, interval, gaps, gapsOmitted, isAll, isFull, asked } = shown;
  const decimals = decimalsOf(bars);
  const text = (value) => value.toLocaleString("en-GB", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
  const low = Math.min(...bars.map((bar) => bar.low));
  const high = Math.max(...bars.map((bar) => bar.high));
  const span = `${toldPlace(bars[0].at, interval)} to ${toldPlace(bars.at(-1).at, interval)}`;
  const zone = isOfDays(interval) ? "days as their market has them" : "times in UTC";
  const more = isAll ? "" : isFull ? " So many are loaded at most; a longer interval goes back farther." : " Older ones come when you go to the left.";
  const many = `${count(bars.length)} ${bars.length === 1 ? "candle" : "candles"} of ${interval}`;
  byId("candle-summary").textContent = `${many}, ${span}, ${zone}. Low ${text(low)}, high ${text(high)}.${more}`;
  byId("candle-basis").textContent = basis(shown);
  byId("candle-chart").setAttribute("aria-label", `Candles of ${asked.decision.symbol}, ${interval}; arrow keys go from bar to bar, + and - zoom`);
  tellKey(shown);
  tellGaps(gaps, gapsOmitted);
}

// Nothing is known now of what was told.
export function tellNothing() {
  for (const id of ["candle-legend", "candle-key", "candle-summary", "candle-basis", "candle-rows"]) byId(id).replaceChildren();
  byId("candle-gaps").hidden = true;
}

// The newest of them, newest first.
export function tellTable(bars, interval) {
  const decimals = decimalsOf(bars);
  const heads = ["Bar", "Open", "High", "Low", "Close", "Volume", "Coverage", "Revision"];
  const cell = (text) => make("td", { class: "number" }, text);
  const rows = bars.slice(-TABLE_BARS).reverse().map((bar) => {
    const facts = Object.fromEntries(factsOf(bar, decimals));
    const numbers = ["open", "high", "low", "close", "volume"].map((name) => cell(facts[name]));
    return make("tr", {}, make("th", { scope: "row" }, toldSpan(bar, interval)), ...numbers, make("td", {}, bar.coverage), cell(String(bar.revision)));
  });
  const head = make("thead", {}, make("tr", {}, ...heads.map((name) => make("th", { scope: "col" }, name))));
  const words = bars.length > TABLE_BARS ? `The newest ${TABLE_BARS} of ${count(bars.length)}` : "All that are loaded";
  byId("candle-rows").replaceChildren(make("table", {}, make("caption", {}, words), head, make("tbody", {}, ...rows)));
}
