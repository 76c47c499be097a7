"""A first conversation with a real gateway, offline: run it with `nox -s demo`, or read it from the top.

It starts `orchestrator serve` in a new directory, talks to it over HTTP with nothing but the standard library,
starts it again to show that the conversation is still there, streams an answer, and stops it.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

QUESTIONS = (
    "Hello! My name is Ada.",
    "What does a gateway for language models do?",
    "And what was my name again?",
)
READY_WITHIN = 30.0


def main() -> None:
    """Tell the story from the first request to the last."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory(prefix="orchestrator-demo-") as folder:
        step("Start the gateway: orchestrator serve, with the offline provider `echo`")
        with gateway(Path(folder), port):
            say(f"It listens on {url}; nothing leaves this machine.")
            health = call(f"{url}/api/health")
            say(f"GET /api/health: {health['status']}, version {health['version']}")

            step("Make a session, and say something")
            session = call(f"{url}/api/sessions", {"user_id": "ada", "metadata": {"topic": "first steps"}})
            session_id = session["session_id"]
            say(f"POST /api/sessions: {session_id}")
            for question in QUESTIONS[:2]:
                ask(url, session_id, question)

        step("Stop the gateway, and start it again: the conversation is still there")
        with gateway(Path(folder), port):
            ask(url, session_id, QUESTIONS[2])
            history = call(f"{url}/api/sessions/{session_id}/history?limit=100")
            say("GET /api/sessions/{id}/history:")
            for message in history["messages"]:
                speaker = message.get("provider", "you") if message["role"] == "assistant" else "you"
                say(f"  {speaker:>5}: {shorten(message['content'])}")

            step("Stream an answer, through the endpoint that OpenAI's SDK uses")
            stream(url, "Count to five, please.")

            step("What it cost")
            metrics = call(f"{url}/api/sessions/{session_id}/metrics")
            cost = "no price known" if metrics["total_cost"] is None else f"{metrics['total_cost']} USD"
            say(
                f"GET /api/sessions/{{id}}/metrics: {metrics['message_count']} messages of yours, "
                f"{metrics['total_tokens']} tokens, {cost}, "
                f"{metrics['average_response_time']:.3f} s an answer, by {', '.join(metrics['providers_used'])}"
            )

    step("Done. What to try next")
    say("pip install ./orchestrator-core ./plugins/openai && export OPENAI_API_KEY=... && orchestrator serve")
    say("Then open http://127.0.0.1:8000, or point any OpenAI SDK at http://127.0.0.1:8000/v1.")
    say("Read on in docs/tutorial/first-conversation.md.")


@contextmanager
def gateway(folder: Path, port: int) -> Iterator[None]:
    """Run the gateway in a directory of its own, until the block ends."""
    command = Path(sys.executable).with_name("orchestrator")
    if not command.exists():
        sys.exit("Install the gateway first: pip install ./orchestrator-core ./plugins/echo")
    log = folder / "gateway.log"
    # A small environment of its own: the demo must not use the keys or the settings of whoever runs it.
    environment = {"PATH": os.environ.get("PATH", ""), "ENVIRONMENT": "development", "ECHO_DELAY": "0.05"}
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603 - our own command, no shell
            [str(command), "serve", "--port", str(port), "--providers", "echo"],
            cwd=folder,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_until_ready(process, port, log)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Wait for `/health/ready`; show the log and leave where the gateway does not come up."""
    deadline = time.monotonic() + READY_WITHIN
    while time.monotonic() < deadline and process.poll() is None:
        try:
            call(f"http://127.0.0.1:{port}/health/ready")
        except OSError:
            time.sleep(0.05)
        else:
            return
    sys.exit(f"The gateway did not come up:\n{log.read_text(errors='replace')}")


def ask(url: str, session_id: str, question: str) -> None:
    """Send one turn of the conversation, and print both sides."""
    say(f"POST /api/orchestrate: {question}")
    answer = call(
        f"{url}/api/orchestrate",
        {"message": question, "session_id": session_id, "agent_config": {"provider": "echo"}},
    )
    say(f"  {answer['agent_used']}/{answer['model_used']}: {shorten(answer['response'])}")


def stream(url: str, question: str) -> None:
    """Print an answer piece by piece, as its server-sent events arrive."""
    body = {"model": "echo/echo-1", "messages": [{"role": "user", "content": question}], "stream": True}
    print("    ", end="")
    with send(f"{url}/v1/chat/completions", body) as response:
        for line in response:
            data = line.decode().strip().removeprefix("data:").strip()
            if not data.startswith("{"):
                continue
            for choice in json.loads(data).get("choices", ()):
                print(choice["delta"].get("content") or "", end="", flush=True)
    print()


def call(url: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """Send a request, a POST where there is a body, and read its JSON answer."""
    with send(url, body) as response:
        answer: dict[str, Any] = json.load(response)
    return answer


def send(url: str, body: dict[str, Any] | None) -> Any:
    """Open the answer to a request; an error of the gateway ends the demo with what it said."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json"} if data else {})  # noqa: S310 - our own http URL
    try:
        return urllib.request.urlopen(request, timeout=30)  # noqa: S310 - our own http URL
    except urllib.error.HTTPError as error:
        if body is None:
            raise
        sys.exit(f"{url} answered {error.code}: {error.read().decode(errors='replace')}")


def free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def shorten(text: str, width: int = 90) -> str:
    """Cut a text to one line."""
    line = " ".join(text.split())
    return line if len(line) <= width else f"{line[: width - 3]}..."


def step(title: str) -> None:
    """Begin a chapter."""
    print(f"\n== {title}", flush=True)


def say(text: str) -> None:
    """Print a line of a chapter."""
    print(f"    {text}", flush=True)


if __name__ == "__main__":
    main()
