"""OpenAI's SDK in a conversation that the gateway keeps: only what is new is sent, to one provider after the other.

    python session_with_openai_sdk.py --models openai/gpt-6-luna,mistral/mistral-small-latest

It needs `pip install openai httpx`.
"""

from __future__ import annotations

import argparse
import os
from itertools import cycle

import httpx
from openai import OpenAI

MESSAGES = (
    "My name is Ada, and my rocket is called Kestrel.",
    "Which planet would you send it to?",
    "What is my name, and what is my rocket called?",
)


def main() -> None:
    """Make a session, and talk in it."""
    parser = argparse.ArgumentParser(description="OpenAI's SDK in a session of the gateway.")
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="where the gateway listens")
    parser.add_argument("--models", default="echo/echo-1", help="who answers, with commas between")
    arguments = parser.parse_args()
    key = os.environ.get("ORCHESTRATOR_CLIENT_KEY", "unused")

    made = httpx.post(f"{arguments.url}/api/sessions", json={}, headers={"authorization": f"Bearer {key}"})
    session = made.raise_for_status().json()["session_id"]
    client = OpenAI(base_url=f"{arguments.url}/v1", api_key=key, default_headers={"X-Session-Id": session})
    for message, model in zip(MESSAGES, cycle(arguments.models.split(",")), strict=False):
        answer = client.chat.completions.create(model=model, messages=[{"role": "user", "content": message}])
        print(f"you: {message}\n{answer.model}: {answer.choices[0].message.content}")


if __name__ == "__main__":
    main()
