// Makes elements. Text is only ever text: nothing here takes HTML.

const PROPERTIES = new Set(["value", "checked", "disabled", "hidden", "open", "indeterminate", "selected"]);
const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (PROPERTIES.has(name)) element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...there(children));
  return element;
}

const there = (children) =>
  children.flat(3).filter((child) => child !== null && child !== undefined && child !== false);

/** Put children into an element, in place of those that it has. What is null or false is left out. */
export function put(element, ...children) {
  element.replaceChildren(...there(children));
}

/** Make an HTML element: h("p.muted", {id: "x"}, "text", child). */
export function h(kind, attributes, ...children) {
  const [name, ...classes] = kind.split(".");
  const element = document.createElement(name || "div");
  if (classes.length) element.className = classes.join(" ");
  return fill(element, attributes, children);
}

/** Make an SVG element. */
export function svg(kind, attributes, ...children) {
  const [name, ...classes] = kind.split(".");
  const element = document.createElementNS(SVG, name);
  if (classes.length) element.setAttribute("class", classes.join(" "));
  return fill(element, attributes, children);
}

const ICONS = {
  overview: "M4 13h6V4H4zM14 20h6v-9h-6zM4 20h6v-3H4zM14 7h6V4h-6z",
  playground: "M4 5h16v11H10l-5 4v-4H4zM8 9h8M8 12h5",
  sessions: "M12 4a8 8 0 1 1-7.4 5M4 4v5h5M12 8v4l3 2",
  limits: "M12 3l8 3v6c0 5-4 8-8 9-4-1-8-4-8-9V6zM9 12l2 2 4-4",
  key: "M7.5 11a4.8 4.8 0 1 0 0 9.6 4.8 4.8 0 0 0 0-9.6M11 12.2L20.5 3M15.5 7.8l3 3M18.5 5l2.5 2.5",
  light:
    "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8M12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.4 1.4M17.6 17.6L19 19M5 19l1.4-1.4M17.6 6.4L19 5",
  dark: "M20 14.5A8.5 8.5 0 0 1 9.5 4 8.5 8.5 0 1 0 20 14.5",
  auto: "M12 4a8 8 0 1 0 0 16zM12 4a8 8 0 0 1 0 16",
  send: "M12 20V5M6 11l6-6 6 6",
  stop: "M7 7h10v10H7z",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  plus: "M12 5v14M5 12h14",
  back: "M19 12H5M11 6l-6 6 6 6",
};

/** Draw an icon, which says nothing to a screen reader. */
export function icon(name) {
  return svg(
    "svg.icon",
    { viewBox: "0 0 24 24", "aria-hidden": "true", fill: "none", stroke: "currentColor" },
    svg("path", { d: ICONS[name] }),
  );
}

/** Say something to screen readers, once. */
export function say(text) {
  const place = document.getElementById("say");
  place.textContent = "";
  requestAnimationFrame(() => (place.textContent = text));
}
