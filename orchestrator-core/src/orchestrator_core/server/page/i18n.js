// The words and the numbers of the page, in English and in French.

export const LANGUAGES = ["en", "fr"];

export const language = () => document.documentElement.lang;

let words = {};

/** Load the words of the language; `t` has none before. */
export async function load() {
  ({ default: words } = await import(`./${language()}.js`));
}

/** Return a text by its name, with `{names}` filled in. */
export function t(name, values = {}) {
  const text = words[name] ?? name;
  return text.replace(/\{(\w+)\}/g, (_, key) => values[key] ?? "");
}

/** Whether there is such a text. */
export const knows = (name) => name in words;

/** Return the text for one thing, or for several. */
export const count = (name, number) => t(number === 1 ? `${name}.one` : `${name}.other`, { n: num(number) });

const NOTHING = "–";
const made = new Map();
function format(options) {
  const name = language() + JSON.stringify(options);
  if (!made.has(name)) made.set(name, new Intl.NumberFormat(language(), options));
  return made.get(name);
}

export const num = (value, digits = 0) =>
  value === null || value === undefined ? NOTHING : format({ maximumFractionDigits: digits }).format(value);
export const short = (value) =>
  value < 10000 ? num(value) : format({ notation: "compact", maximumFractionDigits: 1 }).format(value);
export const share = (value) =>
  value === null
    ? NOTHING
    : format({ style: "percent", maximumFractionDigits: value && value < 0.1 ? 1 : 0 }).format(value);

/** US dollars: two digits that matter, so that a small answer does not cost nothing. */
export function money(value) {
  if (value === null || value === undefined) return NOTHING;
  const small = value !== 0 && Math.abs(value) < 1;
  const digits = small ? { minimumSignificantDigits: 2, maximumSignificantDigits: 2 } : {};
  return format({ style: "currency", currency: "USD", currencyDisplay: "narrowSymbol", ...digits }).format(value);
}

export function seconds(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return NOTHING;
  if (value < 0.9995) return `${num(value * 1000, value < 0.01 ? 1 : 0)}\u00a0ms`;
  return `${num(value, value < 10 ? 2 : 0)}\u00a0s`;
}

export const clock = (date) => new Intl.DateTimeFormat(language(), { hour: "numeric", minute: "2-digit" }).format(date);
export const day = (date) =>
  new Intl.DateTimeFormat(language(), { day: "numeric", month: "short", timeZone: "UTC" }).format(date);
export const when = (text) =>
  text
    ? new Intl.DateTimeFormat(language(), { dateStyle: "medium", timeStyle: "short" }).format(new Date(text))
    : NOTHING;

const UNITS = [
  ["day", 86400],
  ["hour", 3600],
  ["minute", 60],
  ["second", 1],
];
/** Return how long ago something was. */
export function ago(text) {
  if (!text) return NOTHING;
  const passed = Math.max(0, (Date.now() - new Date(text)) / 1000);
  const [unit, length] = UNITS.find(([, size]) => passed >= size) ?? UNITS.at(-1);
  return new Intl.RelativeTimeFormat(language(), { numeric: "auto", style: "short" }).format(
    -Math.floor(passed / length),
    unit,
  );
}

/** Put the words of the language into what stands in the page already. */
export function translate(root = document) {
  for (const element of root.querySelectorAll("[data-t]")) element.textContent = t(element.dataset.t);
  for (const element of root.querySelectorAll("[data-t-label]"))
    element.setAttribute("aria-label", t(element.dataset.tLabel));
}
