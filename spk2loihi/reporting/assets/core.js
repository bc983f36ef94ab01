"use strict";
// The report's numbers, and small things every plot uses. Texts are set as text, never as markup.
const { report, components: COMPONENT_NAMES } = JSON.parse(document.getElementById("energy-json").textContent);
const NAMESPACE = document.querySelector("svg").namespaceURI;

const pointer = (...path) =>
  path.map((key) => "/" + String(key).replaceAll("~", "~0").replaceAll("/", "~1")).join("");

function at(...path) {
  return path.reduce((node, key) => node[key], report);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "style") for (const [property, text] of Object.entries(value)) node.style.setProperty(property, text);
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children);
  return node;
}
const el = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
const svg = (tag, attributes = {}, ...children) =>
  fill(document.createElementNS(NAMESPACE, tag), attributes, children);

// --- numbers as people read them: the same rules as spk2loihi/formatting.py

const PREFIXES = { "-5": "f", "-4": "p", "-3": "n", "-2": "µ", "-1": "m", 0: "", 1: "k", 2: "M", 3: "G", 4: "T", 5: "P" };
/** Three significant digits; an exact half goes to the even digit, as in Python (`toPrecision` rounds it up). */
function rounded(value) {
  const [digits, power] = value.toExponential(60).split("e");
  const evenHalf = /^-?\d\.\d[02468]50*$/.test(digits);
  return evenHalf ? Number(`${digits.slice(0, digits.indexOf(".") + 3)}e${power}`) : Number(value.toPrecision(3));
}
const exponent = (value) => Number(rounded(value).toExponential().split("e")[1]);

function significant(value) {
  if (value === 0) return "0";
  if (Math.abs(value) < 1e-4) return value.toExponential(2).replace(/e([+-])(\d)$/, "e$10$2");
  const digits = Math.max(0, 2 - exponent(value));
  return rounded(value).toLocaleString("en-GB", {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
}
function prefixed(value) {
  if (value === 0) return [0, ""];
  const group = Math.min(Math.max(Math.floor(exponent(value) / 3), -5), 5);
  return [rounded(value) / 1000 ** group, PREFIXES[group]];
}
function energy(nanojoules) {
  const [value, prefix] = prefixed(nanojoules * 1e-9);
  return `${significant(value)} ${prefix}J`;
}
function duration(seconds) {
  const [value, prefix] = prefixed(seconds);
  return `${significant(value)} ${prefix}s`;
}
function count(value) {
  if (Math.abs(value) < 10000) return Number.isInteger(value) ? value.toLocaleString("en-GB") : significant(value);
  const [scaled, prefix] = prefixed(value);
  return `${significant(scaled)} ${prefix}`.trim();
}
const FORMS = { energy, duration, count, significant };

/** A value of the report as an element that says where in energy.json it stands. */
const number = (path, form) => {
  const value = at(...path);
  if (value === null) return el("span", {}, "–");
  return el("data", { value: JSON.stringify(value), "data-pointer": pointer(...path), "data-form": form }, FORMS[form](value));
};

// --- tip, live region, and redrawing when the width changes

const tip = document.getElementById("tip");
const live = document.getElementById("live");

function showTip(x, y, title, rows = []) {
  tip.replaceChildren(el("b", {}, title), ...rows.map(([name, value]) => el("div", {}, el("span", {}, name), el("span", {}, value))));
  tip.hidden = false;
  const { width, height } = tip.getBoundingClientRect();
  const left = x + 16 + width > innerWidth ? x - width - 12 : x + 16;
  tip.style.left = `${Math.max(6, Math.min(left, innerWidth - width - 6))}px`;
  tip.style.top = `${Math.max(6, Math.min(y + 14, innerHeight - height - 6))}px`;
}
const hideTip = () => { tip.hidden = true; };
addEventListener("scroll", hideTip, { passive: true });
addEventListener("keydown", (event) => { if (event.key === "Escape") hideTip(); });

function say(title, rows = []) {
  live.textContent = [title, ...rows.map(([name, value]) => `${name}: ${value}`)].join("; ");
}

/** Draw now, and again whenever the width changes. */
function onWidth(node, draw) {
  let width = 0;
  new ResizeObserver(() => {
    if (node.clientWidth !== width) {
      width = node.clientWidth;
      draw();
    }
  }).observe(node);
}

const chosen = (name) => document.querySelector(`input[name="${name}"]:checked`).value;
const onChange = (name, draw) =>
  document.querySelectorAll(`input[name="${name}"]`).forEach((input) => input.addEventListener("change", draw));

document.getElementById("download").addEventListener("click", () => {
  const link = el("a", {
    href: URL.createObjectURL(new Blob([JSON.stringify(report, null, 2) + "\n"], { type: "application/json" })),
    download: "energy.json",
  });
  link.click();
  URL.revokeObjectURL(link.href);
});
