// Charts in SVG, drawn by hand: bars that stand on each other, and lines. Each has its figures as a table too.

import { h, put, svg } from "./dom.js";
import { t } from "./i18n.js";

const HEIGHT = 190;
const EDGE = { top: 10, right: 6, bottom: 24 };
const LETTER = 6.7;
const LABEL = 80;

/** Return the marks of an axis: a few round numbers from nothing to what holds the most. */
function marks(most) {
  if (!(most > 0)) return [0, 1];
  const rough = most / 3;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].find((factor) => factor * power >= rough) * power;
  return Array.from({ length: Math.ceil(most / step - 1e-9) + 1 }, (_, index) => index * step);
}

/** Return the tallest that is drawn. */
function most({ labels, kind }, shown) {
  const together =
    kind === "bars" ? (values) => values.reduce((sum, value) => sum + value, 0) : (values) => Math.max(...values);
  return Math.max(...labels.map((_, index) => together(shown.map(({ values }) => values[index] ?? 0))));
}

/**
 * Make a chart.
 *
 * @param {object} about
 * @param {string} about.title What it shows.
 * @param {string[]} about.labels What each place on the axis is called.
 * @param {{name: string, style: string, values: (number|null)[]}[]} about.series Its figures.
 * @param {"bars"|"lines"} about.kind How they are drawn.
 * @param {(value: number) => string} about.format Writes a figure.
 * @param {string} about.empty What is said where there are no figures.
 * @param {number} about.every Every how many places the axis has a label.
 */
export function chart(about) {
  const { title, labels, series, format } = about;
  const shown = series.filter(({ values }) => values.some((value) => value));
  if (!shown.length) return h("p.empty", {}, about.empty);
  const tip = h("div.tip", { hidden: true });
  const drawing = svg("svg", { role: "img", tabindex: 0, "aria-label": `${title}. ${t("chart.keys")}` });
  const place = h("div.chart", {}, drawing, tip);
  const left = 14 + LETTER * Math.max(...marks(most(about, shown)).map((mark) => format(mark).length));
  let width = 0;
  let chosen = -1;

  function draw() {
    drawing.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    put(drawing, ...paint(about, shown, width, left));
    drawing.append(svg("rect.cursor", { y: EDGE.top, height: HEIGHT - EDGE.top - EDGE.bottom, width: 0 }));
    choose(chosen);
  }

  function choose(index) {
    chosen = index;
    const cursor = drawing.querySelector(".cursor");
    tip.hidden = index < 0;
    cursor.setAttribute("width", 0);
    if (index < 0) return;
    const step = (width - left - EDGE.right) / labels.length;
    cursor.setAttribute("x", left + step * index);
    cursor.setAttribute("width", step);
    const rows = shown
      .filter(({ values }) => values[index])
      .map(({ name, style, values }) =>
        h("li", {}, h(`i.dot.${style}`), h("span", {}, name), h("b", {}, format(values[index]))),
      );
    put(tip, h("strong", {}, labels[index]), rows.length ? h("ul", {}, rows) : h("p", {}, t("chart.nothing")));
    const middle = left + step * (index + 0.5);
    tip.style.left = `${Math.min(Math.max(middle, 84), width - 84)}px`;
  }

  drawing.addEventListener("pointermove", (event) => {
    const x = event.clientX - drawing.getBoundingClientRect().left - left;
    const index = Math.floor((x / (width - left - EDGE.right)) * labels.length);
    choose(index >= 0 && index < labels.length ? index : -1);
  });
  for (const name of ["pointerleave", "blur"]) drawing.addEventListener(name, () => choose(-1));
  drawing.addEventListener("keydown", (event) => {
    const last = labels.length - 1;
    const next = {
      ArrowLeft: chosen < 0 ? last : Math.max(0, chosen - 1),
      ArrowRight: Math.min(last, chosen + 1),
      Home: 0,
      End: last,
      Escape: -1,
    }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    choose(next);
  });
  new ResizeObserver(([{ contentRect }]) => {
    if (contentRect.width === width || !contentRect.width) return;
    width = contentRect.width;
    draw();
  }).observe(place);
  return h(
    "div",
    {},
    place,
    h(
      "ul.legend",
      {},
      shown.map(({ name, style }) => h("li", {}, h(`i.dot.${style}`), name)),
    ),
    table(about, shown),
  );
}

function paint(about, shown, width, left) {
  const { labels, kind, format, every } = about;
  const inner = width - left - EDGE.right;
  const tall = HEIGHT - EDGE.top - EDGE.bottom;
  const axis = marks(most(about, shown));
  const x = (index) => left + (inner / labels.length) * index;
  const y = (value) => EDGE.top + tall * (1 - value / axis.at(-1));
  const found = axis.map((mark) => [
    svg("line.grid", { x1: left, x2: width - EDGE.right, y1: y(mark), y2: y(mark) }),
    svg("text.mark", { x: left - 8, y: y(mark) + 4, "text-anchor": "end" }, format(mark)),
  ]);
  const room = Math.ceil((labels.length * LABEL) / inner);
  const apart = Math.ceil(room / every) * every;
  for (let index = labels.length - 1; index >= 0; index -= apart) {
    const end = index === labels.length - 1;
    const middle = x(index) + inner / labels.length / 2;
    found.push(
      svg(
        "text.mark",
        { x: end ? width - EDGE.right : middle, y: HEIGHT - 6, "text-anchor": end ? "end" : "middle" },
        labels[index],
      ),
    );
  }
  const gap = Math.min(3, (inner / labels.length) * 0.25);
  if (kind === "bars") {
    labels.forEach((_, index) => {
      let below = 0;
      for (const { style, values } of shown) {
        const value = values[index] ?? 0;
        if (!value) continue;
        const top = y(below + value);
        found.push(
          svg(`rect.bar.${style}`, {
            x: x(index) + gap / 2,
            y: top,
            width: Math.max(1, inner / labels.length - gap),
            height: Math.max(1, y(below) - top),
            rx: 1.5,
          }),
        );
        below += value;
      }
    });
  } else {
    for (const { style, values } of shown) {
      const points = values.map((value, index) => (value ? [x(index + 0.5), y(value)] : null));
      const path = points
        .map((point, index) =>
          point ? `${points[index - 1] ? "L" : "M"}${point[0].toFixed(1)} ${point[1].toFixed(1)}` : "",
        )
        .join("");
      found.push(svg(`path.line.${style}`, { d: path }));
      found.push(points.filter(Boolean).map(([cx, cy]) => svg(`circle.point.${style}`, { cx, cy, r: 2.2 })));
    }
  }
  return found.flat(3);
}

function table({ title, labels, format }, shown) {
  const rows = labels.flatMap((label, index) =>
    shown.some(({ values }) => values[index])
      ? [
          h(
            "tr",
            {},
            h("th", { scope: "row" }, label),
            shown.map(({ values }) => h("td.number", {}, values[index] ? format(values[index]) : "")),
          ),
        ]
      : [],
  );
  return h(
    "details.figures",
    {},
    h("summary", {}, t("chart.table")),
    h(
      "div.scroll",
      { tabindex: 0 },
      h(
        "table",
        {},
        h("caption.offscreen", {}, title),
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            h("td"),
            shown.map(({ name }) => h("th.number", { scope: "col" }, name)),
          ),
        ),
        h("tbody", {}, rows),
      ),
    ),
  );
}

/** Make a small line without axes, for a row of a table. */
export function spark(values, style, label) {
  const most = Math.max(...values, 1);
  const points = values.map(
    (value, index) => `${((index / (values.length - 1)) * 90).toFixed(1)},${(21 - (value / most) * 18).toFixed(1)}`,
  );
  return svg(
    "svg.spark",
    { viewBox: "0 0 90 24", role: "img", "aria-label": label },
    svg(`polyline.line.${style}`, { points: points.join(" ") }),
  );
}
