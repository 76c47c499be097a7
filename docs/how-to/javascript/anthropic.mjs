import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic({
  baseURL: "http://127.0.0.1:8000", // without /v1
  apiKey: process.env.ORCHESTRATOR_CLIENT_KEY ?? "unused",
  maxRetries: 0,
});

const message = await client.messages.create({
  model: "mistral/mistral-small-latest",
  max_tokens: 1024,
  messages: [{ role: "user", content: "Hello!" }],
});
console.log(message.content.find((block) => block.type === "text").text);

const stream = client.messages.stream({
  model: "anthropic/claude-sonnet-5-5",
  max_tokens: 1024,
  messages: [{ role: "user", content: "Hello!" }],
});
console.log(await stream.finalText());
