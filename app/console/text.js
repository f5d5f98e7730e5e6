// Text and numbers for people. Everything that comes from elsewhere goes through `foreign`.

// Controls, formats (bidi overrides, zero width, tags), lone surrogates, private use, line and paragraph separators.
// What is printable by its category and seen by nobody: fillers, joiners, selectors, and the blank of Braille.
const ODD = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800]/u;
// More marks than these on one letter would be painted over its neighbours.
const TOWER = /(\p{M}{3})\p{M}+/gu;
const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) element.setAttribute(name, String(value));
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

export function make(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

export function draw(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

export function byId(id) {
  return document.getElementById(id);
}

// Text of foreign make as an element of its own: isolated from the direction of what stands around it, every character that
// would not be seen, or would change how others are seen, shown as its code point.
export function foreign(text) {
  const element = make("bdi", { class: "foreign" });
  let plain = "";
  const flush = () => {
    if (plain) element.append(plain);
    plain = "";
  };
  for (const character of String(text).replace(/\r\n|[\t\n\r]/g, " ").replace(TOWER, "$1")) {
    if (ODD.test(character)) {
      flush();
      const code = character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
      element.append(make("span", { class: "odd" }, `U+${code}`));
    } else {
      plain += character;
      // Names are long words: better broken here than anywhere.
      if (character === "_" || character === "/") {
        flush();
        element.append(make("wbr"));
      }
    }
  }
  flush();
  return element;
}

export function signed(value, digits = 3) {
  const text = Math.abs(value).toFixed(digits);
  if (Number(text) === 0) return text;
  return (value < 0 ? "−" : "+") + text;
}

export function percent(share, digits = 0) {
  return `${(share * 100).toFixed(digits)} %`;
}

export function weight(share) {
  const text = signed(share * 100, 1);
  return `${text} %`;
}

export function count(value) {
  return value.toLocaleString("en-GB", { maximumFractionDigits: value < 100 ? 1 : 0 });
}

export function milliseconds(value) {
  if (value < 10) return `${value.toFixed(value < 1 ? 3 : 2)} ms`;
  return value < 10_000 ? `${value.toFixed(0)} ms` : `${(value / 1000).toFixed(1)} s`;
}

export function age(seconds) {
  const steps = [
    [120, 1, "s"],
    [7200, 60, "min"],
    [172_800, 3600, "h"],
    [Infinity, 86_400, "days"],
  ];
  const [, unit, name] = steps.find(([limit]) => seconds < limit);
  const value = seconds / unit;
  return `${value < 10 && value !== 0 ? value.toFixed(1) : value.toFixed(0)} ${name}`;
}

export function price(value) {
  // A coin may cost a millionth of a cent.
  const isSmall = value !== 0 && Math.abs(value) < 1;
  const digits = isSmall
    ? { minimumSignificantDigits: 2, maximumSignificantDigits: 5 }
    : { minimumFractionDigits: 2, maximumFractionDigits: 2 };
  return value.toLocaleString("en-GB", digits).replace("-", "−");
}

const DAY = { day: "numeric", month: "short", timeZone: "UTC" };
const MINUTE = { hour: "2-digit", minute: "2-digit", timeZone: "UTC" };

// A moment as short as its bars let it be: with the year if it is asked for, with the time of day within a day.
export function moment(iso, intervalS, withYear) {
  const day = new Date(iso).toLocaleDateString("en-GB", withYear ? { ...DAY, year: "numeric" } : DAY);
  return intervalS < 86_400 ? `${day} ${new Date(iso).toLocaleTimeString("en-GB", MINUTE)}` : day;
}

// The same in a sentence, where there is room for the year and for whose clock it is.
export function toldMoment(iso, intervalS) {
  return moment(iso, intervalS, true) + (intervalS < 86_400 ? " UTC" : "");
}

export function fullMoment(iso) {
  return `${iso.slice(0, 10)} ${iso.slice(11, 19)} UTC`;
}
