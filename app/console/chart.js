// The price history as a line, with the decision on it. Drawn in SVG, in the size that there is.

import { draw, moment, price, toldMoment } from "./text.js";

const HEIGHT = 220;
const ROOM = { top: 30, right: 12, bottom: 24, left: 8 };
const MARKS = { buy: "M0,-7 L7,6 L-7,6 Z", sell: "M0,7 L7,-6 L-7,-6 Z", hold: "M-6,-6 H6 V6 H-6 Z" };

// Three to five round numbers between two.
function ticks(low, high) {
  const step = 10 ** Math.floor(Math.log10((high - low) / 3));
  const wide = [1, 2, 2.5, 5, 10].map((factor) => factor * step).find((each) => (high - low) / each <= 5);
  const found = [];
  for (let number = Math.ceil(low / wide); number * wide <= high; number += 1) found.push(number * wide);
  return found;
}

// Where the decision stands: on a live price after the last bar, else on the newest bar that it could know.
function markOf(history, decision, livePrice) {
  const last = history.closes.length - 1;
  if (livePrice !== null) return { at: last + 1, value: livePrice };
  const asOf = Date.parse(decision.as_of ?? history.as_of);
  let at = last;
  while (at > 0 && Date.parse(history.times[at]) > asOf) at -= 1;
  return { at, value: history.closes[at] };
}

// Puts a text that begins at its place to the left as far as it must to be seen, in fewer words if there is no room for all.
function fit(text, width) {
  if (text.getComputedTextLength() > width) text.textContent = text.dataset.short;
  const most = width - text.getComputedTextLength();
  text.setAttribute("x", Math.max(0, Math.min(most, Number(text.getAttribute("x")))));
}

export class Chart {
  #place;
  #reading;
  #shown = null;
  #at = 0;

  // `place` is drawn in; `reading` is an element that tells the bar under the pointer.
  constructor(place, reading) {
    this.#place = place;
    this.#reading = reading;
    new ResizeObserver(() => this.#draw()).observe(place);
  }

  show(history, decision, livePrice) {
    this.#shown = { history, decision, livePrice, mark: markOf(history, decision, livePrice) };
    this.#at = history.closes.length - 1;
    this.#draw();
    const { closes, times, interval_s: intervalS } = history;
    const from = toldMoment(times[0], intervalS);
    const many = `${closes.length} ${closes.length === 1 ? "close" : "closes"}`;
    this.#reading.textContent = `${many} from ${from}, low ${price(Math.min(...closes))}, high ${price(Math.max(...closes))}.`;
  }

  clear(words) {
    this.#shown = null;
    this.#place.replaceChildren();
    this.#reading.textContent = words;
  }

  #scales() {
    const { history, mark } = this.#shown;
    const width = Math.max(200, this.#place.clientWidth);
    const values = [...history.closes, mark.value];
    let [low, high] = [Math.min(...values), Math.max(...values)];
    const air = (high - low) * 0.06 || Math.abs(high) * 0.01 || 1;
    [low, high] = [low - air, high + air];
    const labels = ticks(low, high);
    const gutter = 10 + 7 * Math.max(...labels.map((each) => price(each).length));
    const right = width - ROOM.right - gutter;
    const steps = Math.max(1, history.closes.length - 1, mark.at);
    const x = (at) => ROOM.left + ((right - ROOM.left) * at) / steps;
    const y = (value) => ROOM.top + (HEIGHT - ROOM.top - ROOM.bottom) * (1 - (value - low) / (high - low));
    return { width, right, labels, x, y };
  }

  #draw() {
    if (this.#shown === null || this.#place.clientWidth === 0) return;
    const focused = this.#place.contains(document.activeElement);
    const { history } = this.#shown;
    const { width, right, labels, x, y } = this.#scales();
    const svg = draw("svg", {
      width,
      height: HEIGHT,
      viewBox: `0 0 ${width} ${HEIGHT}`,
      tabindex: 0,
      role: "slider",
      "aria-label": `Closing prices of ${history.symbol}; arrow keys go from bar to bar`,
      "aria-valuemin": 1,
      "aria-valuemax": history.closes.length,
    });
    for (const value of labels) {
      svg.append(draw("line", { class: "grid", x1: ROOM.left, x2: right, y1: y(value), y2: y(value) }));
      svg.append(draw("text", { class: "axis", x: right + 8, y: y(value) + 4 }, price(value)));
    }
    this.#drawTimes(svg, x, right);
    const points = history.closes.map((close, at) => `${x(at).toFixed(1)},${y(close).toFixed(1)}`);
    const floor = HEIGHT - ROOM.bottom;
    // What is below zero hangs from it.
    const zero = y(0);
    const ground = Math.max(ROOM.top, Math.min(floor, zero));
    svg.append(draw("path", { class: "area", d: `M${x(0)},${ground} L${points.join(" L")} L${x(points.length - 1)},${ground} Z` }));
    if (zero === ground) svg.append(draw("line", { class: "zero", x1: ROOM.left, x2: right, y1: zero, y2: zero }));
    svg.append(draw("polyline", { class: "closes", points: points.join(" ") }));
    this.#drawMark(svg, x, y);
    const cursor = draw("g", { class: "cursor" }, draw("line", { y1: ROOM.top, y2: floor }), draw("circle", { r: 3.5 }));
    svg.append(cursor);
    this.#listen(svg, cursor, x, y);
    this.#place.replaceChildren(svg);
    fit(svg.querySelector(".mark-text"), width);
    if (focused) svg.focus();
  }

  #drawTimes(svg, x, right) {
    const { times, interval_s: intervalS } = this.#shown.history;
    const room = Math.max(2, Math.min(5, Math.floor((right - ROOM.left) / 130)));
    const places = [...new Set(Array.from({ length: room }, (_, number) => Math.round(((times.length - 1) * number) / (room - 1))))];
    places.forEach((at, number) => {
      const anchor = number === 0 ? "start" : number === places.length - 1 ? "end" : "middle";
      const year = number === 0 || times[at].slice(0, 4) !== times[places[number - 1]].slice(0, 4);
      svg.append(draw("text", { class: "axis", x: x(at), y: HEIGHT - 6, "text-anchor": anchor }, moment(times[at], intervalS, year)));
    });
  }

  #drawMark(svg, x, y) {
    const { history, decision, livePrice, mark } = this.#shown;
    const [left, top] = [x(mark.at), y(mark.value)];
    const last = history.closes.length - 1;
    if (livePrice !== null) {
      const [x1, y1] = [x(last), y(history.closes[last])];
      svg.append(draw("line", { class: "ahead", x1, y1, x2: left, y2: top }));
    }
    svg.append(draw("line", { class: "moment", x1: left, x2: left, y1: 20, y2: HEIGHT - ROOM.bottom }));
    const shape = draw("path", { class: `mark ${decision.action}`, d: MARKS[decision.action], transform: `translate(${left} ${top})` });
    const where = livePrice === null ? `as of ${moment(history.times[mark.at], history.interval_s, true)}` : "live";
    const words = `${decision.action} ${where} at ${price(mark.value)}`;
    shape.append(draw("title", {}, words));
    svg.append(shape);
    const moved = draw("text", { class: `mark-text ${decision.action}`, x: left, y: 14 }, words);
    moved.dataset.short = `${decision.action} at ${price(mark.value)}`;
    svg.append(moved);
  }

  #listen(svg, cursor, x, y) {
    const { closes, times, interval_s: intervalS } = this.#shown.history;
    const tell = (at) => {
      this.#at = Math.max(0, Math.min(closes.length - 1, at));
      const words = `${toldMoment(times[this.#at], intervalS)}: ${price(closes[this.#at])}`;
      cursor.setAttribute("transform", `translate(${x(this.#at)} 0)`);
      cursor.lastChild.setAttribute("cy", y(closes[this.#at]));
      svg.setAttribute("aria-valuenow", this.#at + 1);
      svg.setAttribute("aria-valuetext", words);
      return words;
    };
    const read = (at) => {
      this.#reading.textContent = tell(at);
    };
    tell(this.#at);
    svg.addEventListener("pointermove", (event) => {
      const step = x(1) - x(0);
      read(Math.round((event.clientX - svg.getBoundingClientRect().left - ROOM.left) / step));
    });
    svg.addEventListener("keydown", (event) => {
      const moves = { ArrowLeft: -1, ArrowRight: 1, ArrowDown: -1, ArrowUp: 1, PageDown: -10, PageUp: 10, Home: -1e9, End: 1e9 };
      if (!(event.key in moves)) return;
      event.preventDefault();
      read(this.#at + moves[event.key]);
    });
  }
}
