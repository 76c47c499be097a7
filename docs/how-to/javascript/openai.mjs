import OpenAI from "openai";

const client = new OpenAI({
  baseURL: "http://127.0.0.1:8000/v1",
  apiKey: process.env.ORCHESTRATOR_CLIENT_KEY ?? "unused",
  maxRetries: 0, // the gateway tries again itself
});

const { data: answer, response } = await client.chat.completions
  .create({
    model: "anthropic/claude-sonnet-5-5", // provider/model
    messages: [{ role: "user", content: "Hello!" }],
  })
  .withResponse();
console.log(response.headers.get("x-orchestrator-provider"), answer.choices[0].message.content);

const stream = await client.chat.completions.create({
  model: "openai/gpt-6-luna",
  messages: [{ role: "user", content: "Hello!" }],
  stream: true,
});
let text = "";
for await (const chunk of stream) {
  text += chunk.choices[0]?.delta?.content ?? "";
}
console.log(text);

const vectors = await client.embeddings.create({
  model: "mistral/mistral-embed",
  input: ["Hello!", "Goodbye!"],
});
console.log(vectors.data.length, "vectors");

try {
  await client.chat.completions.create({ model: "nobody/nothing", messages: [{ role: "user", content: "Hello!" }] });
} catch (error) {
  if (!(error instanceof OpenAI.NotFoundError)) throw error;
  console.log(error.status, error.code);
}
