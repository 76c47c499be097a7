// Server-sent events of a fetch: EventSource can neither post nor send a key.

/** Yield the data of each event as JSON, with its name as `event`. */
export async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let waiting = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const parts = (waiting + value).replace(/\r\n?/g, "\n").split("\n\n");
      waiting = parts.pop();
      for (const part of parts) {
        const found = parse(part);
        if (found) yield found;
      }
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

function parse(text) {
  let event = "message";
  const data = [];
  for (const line of text.split("\n")) {
    const [, name, value] = /^([^:]*):? ?(.*)$/.exec(line);
    if (name === "event") event = value;
    if (name === "data") data.push(value);
  }
  return data.length ? { event, ...JSON.parse(data.join("\n")) } : null;
}
