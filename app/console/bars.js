// Bars as GET /candles gives them, and what is computed from them.

const DAY_S = 86_400;
const LENGTHS_S = {
  ...{ "1s": 1, "1m": 60, "3m": 180, "5m": 300, "15m": 900, "30m": 1800, "1h": 3600, "2h": 7200, "4h": 14_400, "6h": 21_600 },
  ...{ "8h": 28_800, "12h": 43_200, "1d": DAY_S, "3d": 3 * DAY_S, "1w": 7 * DAY_S, "1M": 30 * DAY_S },
};
// No exchange opens so late in UTC that its day begins more than this before the date that it has there.
const DATE_AFTER_S = 4 * 3600;
const NUMBERS = ["open", "high", "low", "close", "volume", "vwap"];
const WRITTEN = [...NUMBERS, "price", "size"];
const AXIS_DIGITS = 7;
const NEARLY_ALL = 0.9;

export const INTERVALS = Object.keys(LENGTHS_S);

// Of a month: roughly.
export function lengthOf(interval) {
  return LENGTHS_S[interval];
}

export function intervalOf(seconds) {
  return INTERVALS.find((interval) => LENGTHS_S[interval] === seconds) ?? null;
}

export function isOfDays(interval) {
  return LENGTHS_S[interval] >= DAY_S;
}

// A decimal number without an exponent, digit for digit.
function plain(digits) {
  const [, sign, whole, fraction = "", exponent] = /^(-?)(\d+)(?:\.(\d+))?(?:e([+-]?\d+))?$/i.exec(digits);
  if (exponent === undefined) return digits;
  const point = whole.length + Number(exponent);
  const all = (whole + fraction).padEnd(point, "0").padStart(whole.length + fraction.length + Math.max(0, 1 - point), "0");
  const place = Math.max(1, point);
  return sign + all.slice(0, place) + (all.length > place ? `.${all.slice(place)}` : "");
}

// The digits that were sent, in groups of three, and as many behind the point as the others have.
export function grouped(digits, decimals) {
  const [whole, fraction = ""] = digits.split(".");
  const behind = fraction.padEnd(decimals, "0");
  return whole.replace(/\B(?=(\d{3})+$)/g, ",") + (behind ? `.${behind}` : "");
}

// The sum of two numbers that are not below zero, digit for digit.
function added(one, other) {
  const places = Math.max(...[one, other].map((digits) => (digits.split(".")[1] ?? "").length));
  const [first, second] = [one, other].map((digits) => {
    const [whole, fraction = ""] = digits.split(".");
    return BigInt(whole + fraction.padEnd(places, "0"));
  });
  const sum = String(first + second).padStart(places + 1, "0");
  return places ? `${sum.slice(0, -places)}.${sum.slice(-places)}`.replace(/\.?0+$/, "") : sum;
}

// For JSON.parse: numbers with the digits that were sent, which may be more than a double holds.
export function withDigits(key, value, context) {
  return WRITTEN.includes(key) && typeof value === "number" ? { value, digits: plain(context?.source ?? String(value)) } : value;
}

// One bar of the answer: its numbers as numbers, `digits` as they were sent, `at` its place in seconds. A bar of days stands at
// its date, whenever the exchange opens.
export function barOf(sent, interval) {
  const startS = Date.parse(sent.start_time) / 1000;
  const at = isOfDays(interval) ? Math.floor((startS + DATE_AFTER_S) / DAY_S) * DAY_S : startS;
  const digits = Object.fromEntries(NUMBERS.map((name) => [name, sent[name]?.digits ?? null]));
  const numbers = Object.fromEntries(NUMBERS.map((name) => [name, sent[name]?.value ?? null]));
  return { ...sent, ...numbers, digits, at };
}

// Digits behind the point that prices need on an axis: as many as were sent of nearly all, as long as they can be read there.
export function decimalsOf(bars) {
  const sent = bars.flatMap(({ digits }) => ["open", "high", "low", "close"].map((name) => (digits[name].split(".")[1] ?? "").length));
  const most = sent.sort((one, other) => one - other)[Math.floor((sent.length - 1) * NEARLY_ALL)] ?? 0;
  const highest = Math.max(0, ...bars.map(({ high }) => high));
  const useful = AXIS_DIGITS - 1 - Math.floor(Math.log10(highest || 1));
  return Math.min(most, Math.max(2, useful));
}

// Which of `bars` stand, with `fresh` (both ascending) in the place of all from its first on; null if bars between are unknown.
export function renewed(bars, fresh) {
  const kept = bars.filter(({ at }) => at < fresh[0].at);
  return kept.length === bars.length && bars.length ? null : [...kept, ...fresh];
}

function withPrice(bar, price, which) {
  const taken = Object.fromEntries(which.map((name) => [name, price.value]));
  return { ...bar, ...taken, digits: { ...bar.digits, ...Object.fromEntries(which.map((name) => [name, price.digits])) } };
}

function withSize(bar, size) {
  const digits = added(bar.digits.volume ?? "0", size.digits);
  return { ...bar, volume: Number(digits), trades: (bar.trades ?? 0) + 1, digits: { ...bar.digits, volume: digits } };
}

// What is not known before the server says it, of a bar that has just been traded in.
function unsettled(bar) {
  const coverage = bar.coverage === "gap" || bar.coverage === "partial" ? bar.coverage : "open";
  return { ...bar, vwap: null, digits: { ...bar.digits, vwap: null }, coverage, complete: false };
}

// `bars` with a trade after all that made them: the last one has grown or, if it is over, another has begun, which then `isBegun`.
// Unless it `isNews`, the volume of the last one has it already. Null if it is of none of both, or nobody here knows when its bar begins.
export function grown(bars, { price, size, timestamp }, interval, isNews) {
  const last = bars.at(-1);
  const [atMs, startMs, endMs] = [timestamp, last.start_time, last.end_time].map(Date.parse);
  if (atMs < startMs) return null;
  if (atMs < endMs) {
    const which = ["close", ...(price.value > last.high ? ["high"] : []), ...(price.value < last.low ? ["low"] : [])];
    const bar = unsettled(withPrice(last, price, which));
    return [...bars.slice(0, -1), isNews ? withSize(bar, size) : bar];
  }
  const lengthMs = lengthOf(interval) * 1000;
  // Sessions and months have their calendar.
  if (last.session !== null || interval === "1M" || endMs - startMs !== lengthMs) return null;
  const beginsMs = endMs + Math.floor((atMs - endMs) / lengthMs) * lengthMs;
  const [start, end] = [beginsMs, beginsMs + lengthMs].map((each) => new Date(each).toISOString());
  const begun = { ...last, start_time: start, end_time: end, at: last.at + (beginsMs - startMs) / 1000, trades: 0, revision: 1, isBegun: true };
  const bar = unsettled(withPrice({ ...begun, coverage: "open", digits: { ...last.digits, volume: "0" } }, price, ["open", "high", "low", "close"]));
  return [...bars, withSize(bar, size)];
}

// Of `bars` those that began here and come after all of `fresh`, which the server has.
export function begunAfter(bars, fresh) {
  const endMs = Date.parse(fresh.at(-1).end_time);
  return bars.filter(({ isBegun, start_time: start }) => isBegun && Date.parse(start) >= endMs);
}

// Of closes: at each bar the mean of so many up to it, and `deviations` (of all, not of a sample) above it.
function band(bars, many, deviations) {
  return bars.slice(many - 1).map(({ at }, first) => {
    const closes = bars.slice(first, first + many).map(({ close }) => close);
    const mean = closes.reduce((sum, each) => sum + each, 0) / many;
    const variance = closes.reduce((sum, each) => sum + (each - mean) ** 2, 0) / many;
    return { time: at, value: mean + deviations * Math.sqrt(variance) };
  });
}

// What a decision looks at, of bars that are over.
export function overlaysOf(bars) {
  const over = bars.filter(({ coverage }) => coverage !== "open");
  return { sma20: band(over, 20, 0), sma50: band(over, 50, 0), upper: band(over, 20, 2), lower: band(over, 20, -2) };
}

const DATE = { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" };

function clock(seconds, interval) {
  return new Date(seconds * 1000).toISOString().slice(11, interval === "1s" ? 19 : 16);
}

// A place on the axis in words.
export function toldPlace(at, interval) {
  const date = new Date(at * 1000).toLocaleDateString("en-GB", DATE);
  return isOfDays(interval) ? date : `${date} ${clock(at, interval)}`;
}

// From when to when a bar is. Of a day: its date, and its session if it has one.
export function toldSpan(bar, interval) {
  const [startS, endS] = [Date.parse(bar.start_time) / 1000, Date.parse(bar.end_time) / 1000];
  const hours = `${clock(startS, interval)} – ${clock(endS, interval)} UTC`;
  if (!isOfDays(interval)) return `${toldPlace(bar.at, interval)} – ${clock(endS, interval)} UTC`;
  return startS % DAY_S === 0 && endS % DAY_S === 0 ? toldPlace(bar.at, interval) : `${toldPlace(bar.at, interval)} (${hours})`;
}
