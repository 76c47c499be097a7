// What models write, as elements. What is not understood stays as it was written; nothing of it can become HTML.

import { h } from "./dom.js";

const INLINE =
  /(`+)([^`](?:.*?[^`])?)\1(?!`)|\*\*(?=\S)(.+?\S|\S)\*\*|(?<![\w*])[*_](?=\S)([^*_]*[^\s*_])[*_](?![\w*])|\[([^\]]+)\]\((https?:\/\/[^\s)]+)\)/g;

function inline(text) {
  const parts = [];
  let end = 0;
  for (const match of text.matchAll(INLINE)) {
    parts.push(text.slice(end, match.index));
    const [whole, , code, strong, emphasis, label, address] = match;
    if (code !== undefined) parts.push(h("code", {}, code));
    else if (strong !== undefined) parts.push(h("strong", {}, inline(strong)));
    else if (emphasis !== undefined) parts.push(h("em", {}, emphasis));
    else parts.push(h("a", { href: address, rel: "noopener noreferrer nofollow", target: "_blank" }, label));
    end = match.index + whole.length;
  }
  parts.push(text.slice(end));
  return parts;
}

const lines = (text) => text.split("\n").flatMap((line, index) => (index ? [h("br"), ...inline(line)] : inline(line)));
const row = (line) =>
  line
    .trim()
    .replace(/^\||\|$/g, "")
    .split("|")
    .map((cell) => cell.trim());

const BLOCKS = [
  [/^```([^\n]*)\n([\s\S]*?)(?:\n```[^\n]*(?:\n|$)|$)/, ([, , code]) => h("pre", { tabindex: 0 }, h("code", {}, code))],
  [/^(#{1,6}) +(.+?)(?: +#+)?(?:\n|$)/, ([, marks, text]) => h(`h${Math.min(6, marks.length + 2)}`, {}, inline(text))],
  [/^(?:-{3,}|\*{3,}|_{3,})[ \t]*(?:\n|$)/, () => h("hr")],
  [/^(?:> ?.*(?:\n|$))+/, ([text]) => quote(text)],
  [/^(?:[-*+] .*(?:\n|$)(?: {2,}.*(?:\n|$))*)+/, ([text]) => h("ul", {}, items(text, /^[-*+] /m))],
  [
    /^(?:\d{1,9}[.)] .*(?:\n|$)(?: {2,}.*(?:\n|$))*)+/,
    ([text]) => h("ol", { start: parseInt(text, 10) }, items(text, /^\d{1,9}[.)] /m)),
  ],
  [/^\|?.+\|.+\n\|?[ :|-]*-[ :|-]*\n(?:.*\|.*(?:\n|$))*/, table],
];

const DEEPEST = 10;
let depth = 0;

/** A quote of a quote of a quote: the deepest are left as they were written, since each takes a part of the stack. */
function quote(text) {
  if (depth >= DEEPEST) return h("p", {}, lines(text.trimEnd()));
  depth += 1;
  try {
    return h("blockquote", {}, blocks(text.replace(/^> ?/gm, "")));
  } finally {
    depth -= 1;
  }
}

function items(text, mark) {
  return text
    .split(mark)
    .slice(1)
    .map((item) => h("li", {}, lines(item.trimEnd().replace(/^ {2,}/gm, ""))));
}

function table([text]) {
  const [head, , ...body] = text.trimEnd().split("\n").map(row);
  const cells = (kind, found) =>
    h(
      "tr",
      {},
      found.map((cell) => h(kind, {}, inline(cell))),
    );
  return h(
    "div.scroll",
    { tabindex: 0 },
    h(
      "table",
      {},
      h("thead", {}, cells("th", head)),
      h(
        "tbody",
        {},
        body.map((found) => cells("td", found)),
      ),
    ),
  );
}

function blocks(text) {
  const found = [];
  let rest = text.replace(/\r\n?/g, "\n");
  while ((rest = rest.replace(/^\s*\n/, ""))) {
    let match = null;
    const block = BLOCKS.find(([pattern]) => (match = pattern.exec(rest)));
    if (block) {
      found.push(block[1](match));
      rest = rest.slice(match[0].length);
      continue;
    }
    // A paragraph ends at an empty line, and where another block begins.
    const [paragraph] = /^.+(?:\n(?!\s*\n|```|#{1,6} |> |[-*+] |\d{1,9}[.)] ).+)*/.exec(rest) ?? [rest];
    found.push(h("p", {}, lines(paragraph)));
    rest = rest.slice(paragraph.length);
  }
  return found;
}

/** Return what a text in Markdown looks like. */
export const markdown = (text) => h("div.prose", {}, blocks(text));
