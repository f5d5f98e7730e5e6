// Candles on a canvas, by TradingView's Lightweight Charts.

import { decimalsOf, isOfDays, overlaysOf, toldPlace } from "./bars.js";

const HATCH_PX = 7;
const MARKS = { buy: ["belowBar", "arrowUp"], sell: ["aboveBar", "arrowDown"], hold: ["aboveBar", "square"] };
const ZOOM = 1.5;
const AHEAD_BARS = 4;
const BAR_PX = 6;

let loading = null;

// The library. Nothing is fetched of it before it is wanted.
export function library() {
  loading ??= import("./lightweight-charts.standalone.production.mjs").catch((error) => {
    loading = null;
    throw error;
  });
  return loading;
}

function inks() {
  const style = getComputedStyle(document.documentElement);
  return (name, opacity = "") => style.getPropertyValue(`--${name}`).trim() + opacity;
}

// What stands behind bars of which something is lacking (hatched), and behind those outside of the session (a tint).
class Grounds {
  #chart;
  bars = [];
  ink = inks();

  constructor(chart) {
    this.#chart = chart;
  }

  paneViews() {
    return [{ zOrder: () => "bottom", renderer: () => this }];
  }

  draw(target) {
    target.useBitmapCoordinateSpace(({ context, bitmapSize, horizontalPixelRatio: ratio }) => {
      const scale = this.#chart.timeScale();
      const range = scale.getVisibleLogicalRange();
      if (range === null) return;
      const width = scale.options().barSpacing * ratio;
      for (let place = Math.max(0, Math.floor(range.from)); place <= Math.min(this.bars.length - 1, Math.ceil(range.to)); place += 1) {
        const left = scale.logicalToCoordinate(place) * ratio - width / 2;
        const { coverage, session } = this.bars[place];
        if (session === "pre" || session === "post") {
          context.fillStyle = this.ink("area");
          context.fillRect(left, 0, width, bitmapSize.height);
        }
        if (coverage === "gap" || coverage === "partial") this.#hatch(context, left, width, bitmapSize.height, ratio, coverage === "gap");
      }
    });
  }

  #hatch(context, left, width, height, ratio, isDown) {
    context.save();
    context.beginPath();
    context.rect(left, 0, width, height);
    context.clip();
    context.beginPath();
    // Lines are where they would be over the whole pane, so that bars beside each other have one hatching.
    const step = HATCH_PX * ratio;
    for (let x = Math.floor((left - height) / step) * step; x < left + width + height; x += step) {
      context.moveTo(x, isDown ? 0 : height);
      context.lineTo(x + height, isDown ? height : 0);
    }
    context.strokeStyle = this.ink("warn", "88");
    context.lineWidth = ratio;
    context.stroke();
    context.restore();
  }
}

export class Drawing {
  #lwc;
  #place;
  #chart;
  #candles;
  #volume;
  #lines;
  #grounds;
  #marks;
  #live = null;
  #shown = { bars: [], interval: "1d", withOverlays: false, mark: null, livePrice: null };
  #at = -1;
  #isByKeys = false;
  #tell;
  // The range that was asked for since the last frame: the chart takes it over, and tells it, with the next one.
  #asked = null;

  // Drawn in `place`. `tell` is given the bar under the pointer or the keys, null if there is none; `reach` the number of bars
  // that are left before the first one is in sight.
  constructor(lwc, place, tell, reach) {
    this.#lwc = lwc;
    this.#place = place;
    this.#tell = tell;
    this.#chart = lwc.createChart(place.firstElementChild, {
      autoSize: true,
      layout: { attributionLogo: false, fontFamily: getComputedStyle(document.body).fontFamily },
      localization: { locale: "en-GB", timeFormatter: (at) => toldPlace(at, this.#shown.interval) },
      timeScale: { rightOffset: AHEAD_BARS, minBarSpacing: 1 },
      rightPriceScale: { scaleMargins: { top: 0.1, bottom: 0.25 } },
      // The wheel scrolls the page, not the time.
      handleScale: { mouseWheel: false },
      handleScroll: { vertTouchDrag: false },
      kineticScroll: { touch: false },
      crosshair: { mode: lwc.CrosshairMode.Magnet },
    });
    const line = { lastValueVisible: false, priceLineVisible: false, crosshairMarkerVisible: false, lineWidth: 1 };
    this.#volume = this.#chart.addSeries(lwc.HistogramSeries, { priceScaleId: "", priceFormat: { type: "volume" }, lastValueVisible: false, priceLineVisible: false });
    this.#volume.priceScale().applyOptions({ scaleMargins: { top: 0.82, bottom: 0 } });
    this.#lines = Object.fromEntries(["upper", "lower", "sma20", "sma50"].map((name) => [name, this.#chart.addSeries(lwc.LineSeries, line)]));
    this.#candles = this.#chart.addSeries(lwc.CandlestickSeries, {});
    this.#grounds = new Grounds(this.#chart);
    this.#candles.attachPrimitive(this.#grounds);
    this.#marks = lwc.createSeriesMarkers(this.#candles, []);
    this.#chart.subscribeCrosshairMove(({ logical }) => this.#hear(logical));
    this.#chart.timeScale().subscribeVisibleLogicalRangeChange((range) => range !== null && reach(range.from));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#paint());
    place.addEventListener("keydown", (event) => this.#press(event));
    place.addEventListener("pointermove", () => {
      this.#isByKeys = false;
    });
  }

  // `mark` is the decision's action and its bar, `livePrice` what it was asked with; both may be null.
  show(shown) {
    const isOther = shown.interval !== this.#shown.interval || !this.#shown.bars.length;
    const read = this.#shown.bars[this.#at]?.at;
    this.#isByKeys &&= !isOther;
    this.#shown = shown;
    // Older bars may have come before it.
    this.#at = isOther || read === undefined ? -1 : shown.bars.findIndex(({ at }) => at === read);
    if (isOther) this.#chart.clearCrosshairPosition();
    this.#paint();
    if (isOther && shown.bars.length) this.#begin();
    else if (this.#isByKeys && this.#at >= 0) this.#point();
  }

  // The newest bars, as wide as they are on a screen.
  #begin() {
    const last = this.#shown.bars.length - 1;
    const most = Math.floor(this.#place.clientWidth / BAR_PX);
    this.#look({ from: last - Math.min(most, Math.max(30, last + 1)), to: last + AHEAD_BARS });
    this.#candles.priceScale().applyOptions({ autoScale: true });
  }

  newest() {
    this.#asked = null;
    this.#chart.timeScale().scrollToRealTime();
  }

  zoom(isIn) {
    const { from, to } = this.#range();
    const wide = isIn ? (to - from) / ZOOM : (to - from) * ZOOM;
    this.#look({ from: to - Math.max(5, wide), to });
  }

  #range() {
    return this.#asked ?? this.#chart.timeScale().getVisibleLogicalRange() ?? { from: 0, to: 1 };
  }

  // A second key before the next frame goes on from the range of the first. The chart's own frame was asked for before this one.
  #look(range) {
    this.#asked = range;
    this.#chart.timeScale().setVisibleLogicalRange(range);
    requestAnimationFrame(() => {
      this.#asked = null;
    });
  }

  #paint() {
    const { bars, interval, withOverlays, mark, livePrice } = this.#shown;
    const ink = inks();
    const line = { color: ink("edge"), labelBackgroundColor: ink("hold") };
    this.#chart.applyOptions({
      layout: { background: { color: ink("panel") }, textColor: ink("quiet") },
      grid: { vertLines: { color: ink("line") }, horzLines: { color: ink("line") } },
      crosshair: { vertLine: line, horzLine: line },
      timeScale: { borderColor: ink("line"), timeVisible: !isOfDays(interval), secondsVisible: interval === "1s" },
      rightPriceScale: { borderColor: ink("line") },
    });
    this.#format(bars);
    this.#grounds.bars = bars;
    this.#grounds.ink = ink;
    this.#candles.setData(bars.map((bar) => candleOf(bar, ink)));
    this.#volume.setData(bars.filter(({ volume }) => volume !== null).map((bar) => volumeOf(bar, ink)));
    const styles = { sma20: ["sma-20", 0, 2], sma50: ["sma-50", 0, 2], upper: ["edge", 2, 1], lower: ["edge", 2, 1] };
    const overlays = withOverlays ? overlaysOf(bars) : {};
    for (const [name, [colour, lineStyle, lineWidth]] of Object.entries(styles)) {
      this.#lines[name].applyOptions({ color: ink(colour), lineStyle, lineWidth });
      this.#lines[name].setData(overlays[name] ?? []);
    }
    const [position, shape] = MARKS[mark?.action] ?? [];
    this.#marks.setMarkers(mark === null ? [] : [{ time: mark.bar.at, position, shape, color: ink(mark.action), text: mark.action }]);
    if (this.#live !== null) this.#candles.removePriceLine(this.#live);
    this.#live = livePrice === null ? null : this.#candles.createPriceLine({ price: livePrice, color: ink("accent"), lineWidth: 1, lineStyle: 2, title: "live" });
  }

  // The last of `bars` has grown.
  grow(bars) {
    const [bar, ink] = [bars.at(-1), inks()];
    this.#shown = { ...this.#shown, bars };
    this.#grounds.bars = bars;
    this.#candles.update(candleOf(bar, ink));
    if (bar.volume !== null) this.#volume.update(volumeOf(bar, ink));
    if (this.#isByKeys && this.#at === bars.length - 1) this.#point();
  }

  #format(bars) {
    const decimals = decimalsOf(bars);
    const told = new Intl.NumberFormat("en-GB", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
    const priceFormat = { type: "custom", formatter: (price) => told.format(price), base: 10 ** decimals };
    for (const series of [this.#candles, ...Object.values(this.#lines)]) series.applyOptions({ priceFormat });
  }

  #hear(logical) {
    if (this.#isByKeys) return;
    this.#at = logical in this.#shown.bars ? logical : -1;
    this.#tell(this.#shown.bars[this.#at] ?? null);
  }

  #press(event) {
    const moves = { ArrowLeft: -1, ArrowRight: 1, ArrowDown: -1, ArrowUp: 1, PageDown: -10, PageUp: 10, Home: -1e9, End: 1e9 };
    const { bars } = this.#shown;
    if (event.ctrlKey || event.metaKey || event.altKey || !bars.length) return;
    if (event.key in moves) this.#go(Math.max(0, Math.min(bars.length - 1, (this.#at < 0 ? bars.length - 1 : this.#at) + moves[event.key])));
    else if (event.key === "+" || event.key === "-") this.zoom(event.key === "+");
    else return;
    event.preventDefault();
  }

  #go(place) {
    const { from, to } = this.#range();
    const shift = Math.min(0, place - 2 - from) + Math.max(0, place + 2 - to);
    if (shift !== 0) this.#look({ from: from + shift, to: to + shift });
    this.#at = place;
    this.#isByKeys = true;
    this.#point();
    this.#tell(this.#shown.bars[place]);
  }

  #point() {
    const bar = this.#shown.bars[this.#at];
    this.#chart.setCrosshairPosition(bar.close, bar.at, this.#candles);
  }
}

function volumeOf(bar, ink) {
  return { time: bar.at, value: bar.volume, color: ink(bar.close < bar.open ? "down" : "up", "66") };
}

// Up is hollow and down is filled, so that it is not told by colour alone; what is not complete is dimmed.
function candleOf(bar, ink) {
  const isDown = bar.close < bar.open;
  const edge = ink(isDown ? "down" : "up", bar.coverage === "complete" ? "" : "99");
  return { time: bar.at, open: bar.open, high: bar.high, low: bar.low, close: bar.close, color: isDown ? edge : ink("panel"), borderColor: edge, wickColor: edge };
}
