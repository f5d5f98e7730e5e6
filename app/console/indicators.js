// The decision's indicators, as of its last complete bar.

import { byId, foreign, fullMoment, make, percent, price, signed } from "./text.js";

const share = (value) => signed(value * 100, 1) + " %";
const plain = (value) => value.toFixed(2);
// In the price's digits, however small the amount is.
const amount = (value, close) => (close < 1 ? price(value) : signed(value, 2).replace("+", ""));
const ROWS = [
  ["Close", ["close"], amount],
  ["RSI 14", ["rsi_14"], (value) => value.toFixed(1)],
  ["MACD, signal, histogram", ["macd", "macd_signal", "macd_histogram"], amount],
  ["SMA 20 / SMA 50", ["sma_ratio_20_50"], (value) => value.toFixed(4)],
  ["Place in Bollinger band", ["bollinger_position_20"], plain],
  ["Place in 20-bar range", ["range_position_20"], plain],
  ["ATR 14", ["atr_14"], amount],
  ["Volatility 20, EWMA", ["realised_volatility_20", "ewma_volatility_33"], (value) => percent(value, 1)],
  ["Return 1, 5, 20", ["return_1", "return_5", "return_20"], share],
  ["Volume, in deviations", ["volume_z_20"], (value) => signed(value, 1)],
  ["Drawdown 60", ["drawdown_60"], share],
];

// `features` is the answer to GET /features, null without one, `why` in a few words; `livePrice` what was asked with, or null.
export function showIndicators(features, why, livePrice) {
  const values = new Map(features?.names.map((name, place) => [name, features.values[place]]));
  const rows = ROWS.map(([title, names, told]) => {
    const texts = names.map((name) => values.get(name) ?? null).map((value) => (value === null ? "–" : told(value, values.get("close"))));
    return make("tr", { "data-name": names[0] }, make("th", { scope: "row" }, title), make("td", { class: "number" }, ...texts.map((text) => make("span", {}, text))));
  });
  const asOf = features?.price_as_of ?? null;
  byId("indicators").replaceChildren(...(asOf === null ? [] : rows));
  const words = asOf === null ? `No indicators: ${why ?? "there is no price record"}.` : `After the bar that ended ${fullMoment(asOf)}.`;
  const live = asOf === null || livePrice === null ? "" : " The decision itself went one step further, to the live price.";
  byId("indicators-note").replaceChildren(foreign(words + live));
}
