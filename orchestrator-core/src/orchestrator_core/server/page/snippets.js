// The request as a program would send it. The key is a name of the environment, never the key.

const KEY = "ORCHESTRATOR_KEY";

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

export function curl(body, keyed) {
  const lines = [
    `curl -N ${location.origin}/api/orchestrate`,
    `-H 'Content-Type: application/json'`,
    ...(keyed ? [`-H "Authorization: Bearer $${KEY}"`] : []),
    `-d ${quoted(JSON.stringify(body, null, 2))}`,
  ];
  return lines.join(" \\\n  ");
}

function literal(value, indent = "") {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value !== "object") return JSON.stringify(value);
  const inner = `${indent}    `;
  const rows = Object.entries(value).map(
    ([name, item]) => `${inner}${JSON.stringify(name)}: ${literal(item, inner)},\n`,
  );
  return `{\n${rows.join("")}${indent}}`;
}

export function python(body, keyed) {
  return `import json
${keyed ? "import os\n" : ""}import urllib.request

body = ${literal(body)}
request = urllib.request.Request(
    "${location.origin}/api/orchestrate",
    json.dumps(body).encode(),
    {
        "Content-Type": "application/json",${keyed ? `\n        "Authorization": f"Bearer {os.environ['${KEY}']}",` : ""}
    },
)
with urllib.request.urlopen(request) as response:
    for line in response:
        if line.startswith(b"data: "):
            event = json.loads(line[6:])
            print(event.get("text", ""), end="", flush=True)
`;
}
