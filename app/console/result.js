// A decision, taken apart for people.

import { age, byId, draw, foreign, fullMoment, make, milliseconds, percent, price, signed, weight } from "./text.js";

const SHAPES = { buy: "▲", sell: "▼", hold: "■" };
const NAMES = { agents: "Agents", trend: "Trend", momentum: "Momentum", macd: "MACD", rsi: "RSI", range_position: "Range position" };
const TIERS = { l1: "memory (L1)", l2: "store (L2)", none: "no tier" };
const LEVELS = {
  stale: "An input is stale.",
  price_only: "Decided on prices alone.",
  agents_only: "Decided on agents' views alone.",
  neutral: "Nothing to decide on: neutral.",
};
const LACKING = { gap: ", trades are missing", partial: ", not all trades are known" };
const LEAST_SCALE = 0.25;

// The action as a shape and a word, so that it is not told by its colour alone.
export function actionOf(action) {
  const shape = make("span", { "aria-hidden": "true" }, SHAPES[action]);
  return make("span", { class: `action ${action}` }, shape, ` ${action}`);
}

function chip(name, value, state = "") {
  return make("li", { class: `chip ${state}` }, make("span", { class: "quiet" }, name), " ", value);
}

function inputChip(name, input, more = "") {
  return chip(name, `${input.status}${aged(input)}${more}`, input.status === "present" ? "" : "warn");
}

function aged(input) {
  return input.age_s === null ? "" : `, ${age(input.age_s)} old`;
}

// Beside a live price the bars' age is told apart from it: that of the price is not known.
function priceChips(input, livePrice) {
  if (livePrice === null) return [inputChip("Price", input)];
  if (input.live_price_ignored) return [chip("Live price", `${price(livePrice)}, ignored`, "warn"), inputChip("Price", input)];
  const bars = input.status === "present" ? chip("Bars", `${age(input.age_s)} old`) : inputChip("Bars", input);
  return [chip("Live price", price(livePrice)), bars];
}

// The last trade, which stands in for a live price.
function tickChips(tick) {
  if (tick === undefined) return [];
  const name = tick.unused ? "Last trade, not used" : "Last trade";
  const why = tick.unused ? `: ${tick.unused.replaceAll("_", " ")}` : "";
  const said = tick.price === null ? tick.status : `${price(tick.price)}${aged(tick)}, from ${tick.source}`;
  return [chip(name, foreign(`${said}${why}${LACKING[tick.coverage] ?? ""}`), tick.status === "present" ? "" : "warn")];
}

// A signed bar about a middle line; `scale` is what fills half of it.
function bar(value, scale) {
  const half = Math.min(50, (Math.abs(value) / scale) * 50);
  const side = value < 0 ? "down" : "up";
  return draw(
    "svg",
    { class: "bar", width: "100%", height: 14, "aria-hidden": "true" },
    draw("rect", { class: side, x: `${value < 0 ? 50 - half : 50}%`, y: 2, width: `${half}%`, height: 10, rx: 2 }),
    draw("line", { class: "zero", x1: "50%", x2: "50%", y1: 0, y2: 14 }),
  );
}

function showContributions(decision) {
  const contributions = Object.entries(decision.contributions ?? {});
  const scale = Math.max(LEAST_SCALE, ...contributions.map(([, value]) => Math.abs(value)));
  byId("contributions").replaceChildren(
    ...contributions.map(([name, value]) =>
      make(
        "tr",
        { "data-name": name, "data-value": value },
        make("th", { scope: "row" }, NAMES[name] ?? foreign(name)),
        make("td", { class: "wide" }, bar(value, scale)),
        make("td", { class: "number" }, signed(value)),
      ),
    ),
  );
  const sum = contributions.reduce((total, [, value]) => total + value, 0);
  byId("contributions-note").textContent = `Sum ${signed(sum)}; score = tanh(sum) = ${signed(decision.score)}.`;
}

function word(view) {
  if (view.status === "view") return make("span", { class: "view" }, make("span", {}, signed(view.view, 2)), bar(view.view, 1));
  if (view.status === "summary") return make("span", { class: "quiet" }, `${signed(view.view, 2)}, a summary`);
  return make("span", { class: view.status === "failed" ? "warn" : "quiet" }, view.status);
}

function excerpt(view) {
  const text = view.reasoning ?? view.reason;
  return text === null ? make("span", { class: "quiet" }, "–") : foreign(text);
}

// A view's age by the server's clock, which may be another than ours: the newest view is as old as the input.
function agesOf(decision) {
  const newest = Math.max(...decision.views.map((view) => Date.parse(view.as_of)));
  const newestAge = decision.inputs.agents.age_s ?? 0;
  return (view) => age(newestAge + (newest - Date.parse(view.as_of)) / 1000);
}

function showViews(decision) {
  const views = decision.views ?? [];
  if (!views.length) {
    byId("views").replaceChildren(make("p", { class: "quiet" }, `No agent has said anything (${decision.inputs.agents.status}).`));
    return;
  }
  const ageOf = agesOf(decision);
  const cell = (label, ...content) => make("td", { "data-label": label }, make("div", {}, ...content));
  const rows = views.map((view) =>
    make(
      "tr",
      { "data-status": view.status },
      make("th", { scope: "row" }, foreign(view.agent)),
      cell("View", word(view)),
      cell("Confidence", view.confidence === null ? "–" : percent(view.confidence)),
      cell("Age", ageOf(view)),
      cell("Model", view.model === null ? "–" : foreign(view.model)),
      cell("Reasoning", excerpt(view)),
    ),
  );
  const heads = ["Agent", "View", "Confidence", "Age", "Model", "Reasoning"].map((name) => make("th", { scope: "col" }, name));
  const table = make("table", { class: "views" }, make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...rows));
  byId("views").replaceChildren(table);
}

function showDetails(decision) {
  const facts = [
    ["As of", decision.as_of && fullMoment(decision.as_of)],
    ["Good until", decision.expires_at && fullMoment(decision.expires_at)],
    ["Policy", `${decision.model.name} ${decision.model.version}`],
    ["Schema", decision.model.schema],
    ["Run", decision.cache.run],
    ["Decision", decision.id],
  ];
  const pairs = facts.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, foreign(value ?? "–"))));
  byId("details").replaceChildren(...pairs);
}

function showInputs(decision, livePrice) {
  const { agents } = decision.inputs;
  const { tier, hit, age_ms: ageMs } = decision.cache;
  const votes = agents.status === "missing" ? "" : `: ${agents.used} used, ${agents.abstained} abstained, ${agents.failed} failed`;
  byId("inputs").replaceChildren(
    chip("Served from", `${TIERS[tier]}, read ${age(ageMs / 1000)} ago`, hit || tier === "l2" ? "" : "warn"),
    ...priceChips(decision.inputs.price, livePrice),
    ...tickChips(decision.inputs.tick),
    inputChip("Agents", agents, votes),
  );
}

// `tookMs` is the round trip as this page measured it, `livePrice` what was asked with, or null.
export function showDecision(decision, tookMs, livePrice) {
  byId("of").replaceChildren(foreign(decision.symbol));
  byId("action").replaceWith(make("span", { id: "action" }, actionOf(decision.action)));
  byId("confidence").replaceChildren(percent(decision.confidence), shareBar(decision.confidence));
  byId("score").replaceChildren(signed(decision.score), bar(decision.score, 1));
  byId("target-weight").replaceChildren(weight(decision.target_weight), bar(decision.target_weight, 1));
  const around = make("span", { class: "quiet small" }, `${milliseconds(tookMs)} round trip`);
  byId("latency").replaceChildren(milliseconds(decision.latency_ms), around);
  const { used, level, reason } = decision.fallback;
  byId("fallback").hidden = !used;
  byId("fallback").replaceChildren(
    make("strong", {}, `Fallback: ${level.replace("_", " ")}. `),
    LEVELS[level] ?? "",
    " ",
    ...(reason === null ? [] : ["Reason: ", make("code", {}, foreign(reason))]),
  );
  showInputs(decision, livePrice);
  showContributions(decision);
  showViews(decision);
  showDetails(decision);
}

// A share from the left on.
function shareBar(share) {
  return draw(
    "svg",
    { class: "bar", width: "100%", height: 14, "aria-hidden": "true" },
    draw("rect", { class: "track", x: 0, y: 4, width: "100%", height: 6, rx: 3 }),
    draw("rect", { class: "share", x: 0, y: 4, width: `${share * 100}%`, height: 6, rx: 3 }),
  );
}

export function inWords(decision) {
  const fallback = decision.fallback.used ? `, fallback ${decision.fallback.level.replace("_", " ")}` : "";
  return `${decision.symbol}: ${decision.action}, confidence ${percent(decision.confidence)}, score ${signed(decision.score)}${fallback}.`;
}
