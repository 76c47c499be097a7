const url = "http://127.0.0.1:8000";

async function* events(response) {
  const text = response.body.pipeThrough(new TextDecoderStream());
  let waiting = "";
  for await (const piece of text) {
    waiting += piece;
    const found = waiting.split("\n\n");
    waiting = found.pop();
    for (const event of found) {
      const data = event.split("\n").filter((line) => line.startsWith("data: ")).map((line) => line.slice(6));
      if (data.length) yield JSON.parse(data.join("\n"));
    }
  }
}

async function say(message, session) {
  const response = await fetch(`${url}/api/orchestrate`, {
    method: "POST",
    headers: { "content-type": "application/json", accept: "text/event-stream" },
    body: JSON.stringify({ message, session_id: session, agent_config: { provider: "echo" } }),
  });
  if (!response.ok) throw new Error((await response.json()).detail);
  for await (const event of events(response)) {
    if (event.type === "text") process.stdout.write(event.text);
    if (event.code) throw new Error(`${event.code}: ${event.detail}`); // the stream broke off
    if (event.type === "done") {
      console.log(` [${event.agent_used}, ${event.metadata.tokens_used} tokens]`);
      return event.session_id;
    }
  }
  throw new Error("The stream was cut off.");
}

const session = await say("My name is Ada.");
await say("What was my name?", session);
