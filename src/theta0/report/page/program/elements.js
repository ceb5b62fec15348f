// Elements and words.

const SVG = "http://www.w3.org/2000/svg";
const $ = (selector) => document.querySelector(selector);

/** An element with attributes, listeners (on…) and children; a text is a text, never markup. */
function build(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name.startsWith("--")) node.style.setProperty(name, value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}
const h = (tag, attributes = {}, ...children) => build(document.createElement(tag), attributes, children);
const s = (tag, attributes = {}, ...children) =>
  build(document.createElementNS(SVG, tag), attributes, children);

const finite = (value) => typeof value === "number" && Number.isFinite(value);
/** A line does not end between a number and what it belongs to. */
const tight = (text) => text.replace(/(?<=\d) (?=%)|(?<=\bn) (?==)|(?<=\bn =) |(?<=\[\S+,) /g, "\u00a0");
const fixed = (value, digits) => (finite(value) ? value.toFixed(digits).replace("-", "−") : "–");
const count = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;

/** Four significant digits. */
function short(value) {
  if (!finite(value)) return "–";
  const rounded = Number(value.toPrecision(4));
  const size = Math.abs(rounded);
  const text = size && (size < 1e-4 || size >= 1e7) ? rounded.toExponential() : String(rounded);
  return text.replace(/^-/, "−").replace("e+", "e");
}

const percent = (column) => (page.percent.has(column) ? 100 : 1);
const title = (column) => (page.percent.has(column) ? `${column} (%)` : column);

/** A value as it is shown: accuracies in percent, as many decimals as its column has. */
function told(column, value) {
  if (value === null || value === "") return "–";
  if (typeof value !== "number") return value;
  const { digits } = page.columns.get(column);
  return digits === null ? short(value) : fixed(value * percent(column), digits);
}

/** Decimals for a column that was measured; null where numbers are whole, or were chosen. */
function decimals(name, values, data) {
  if (data.percent.includes(name)) return 2;
  const known = values.filter((value) => value).map(Math.abs).sort((a, b) => a - b);
  if (data.settings.includes(name) || known.every(Number.isInteger)) return null;
  const size = Math.floor(Math.log10(known[Math.floor(known.length / 2)]));
  return Math.min(8, Math.max(0, 3 - size));
}

/** `adam + he (optimizer.lr=0.1)`. */
function nameOf(run, axes) {
  const first = axes.filter((axis) => axis === "optimizer" || axis === "init");
  const others = axes.filter((axis) => !first.includes(axis)).map((axis) => `${axis}=${of(axis, run)}`);
  const words = first.map((axis) => of(axis, run)).join(" + ");
  if (!others.length) return words;
  return words ? `${words} (${others.join(", ")})` : others.join(", ");
}
