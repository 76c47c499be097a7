"""One conversation that another provider continues at every turn: what was told to one is asked of the next.

    python multi_provider_conversation.py --url http://127.0.0.1:8000 --providers openai,anthropic/claude-sonnet-5-5

Without `--providers` it takes every provider that the gateway shows as usable. It needs `pip install httpx`.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from typing import Any

import httpx

FACTS = {
    "Ada": "My name is Ada. Please answer in one short sentence from now on.",
    "Kestrel": "I build a rocket that is called Kestrel.",
    "Kiruna": "It will start in Kiruna, in the north of Sweden.",
}
"""What is told in the beginning, each with the word that shows later that it was remembered."""

SMALL_TALK = (
    "Which planet would you send it to?",
    "What should I check on the evening before the start?",
    "Who was the first human in space?",
    "What do you pack for a day in the snow?",
    "How far away is the Moon?",
)
RECALL = (
    "What is my name?",
    "And what is my rocket called?",
    "Put it together: who starts which rocket, and where?",
)
SETTINGS = {"temperature": 0.2, "seed": 7}
"""Some providers have no seed, and some models no temperature: the answer reports what was left out."""


def main() -> None:
    """Hold the conversation, and say what it took."""
    arguments = parse()
    headers = {"authorization": f"Bearer {arguments.key}"} if arguments.key else {}
    with httpx.Client(base_url=arguments.url, headers=headers, timeout=600) as gateway:
        providers = arguments.providers.split(",") if arguments.providers else usable(gateway)
        print(f"Providers: {', '.join(providers)}")
        session = call(gateway, "POST", "/api/sessions", {"metadata": {"scenario": "multi-provider"}})["session_id"]
        print(f"Session:   {session}")
        said = ""
        for number, (message, provider) in enumerate(conversation(providers), 1):
            answer = take_turn(gateway, session, message, provider)
            show(number, message, answer)
            said = answer["response"]
        remembered = [word for word in FACTS if word in said]
        print(f"\nIn the last answer: {len(remembered)} of {len(FACTS)} facts ({', '.join(remembered) or 'none'})")
        sum_up(gateway, session)


def conversation(providers: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield each message with who is to answer it: everybody has a turn, and every fact is asked of somebody else."""
    talk = max(2, len(providers) - len(FACTS) - len(RECALL))
    if len(providers) > 1 and (len(FACTS) + talk) % len(providers) == 0:
        talk += 1  # or else everybody would be asked for what they were told themselves
    messages = (*FACTS.values(), *islice(cycle(SMALL_TALK), talk), *RECALL)
    yield from zip(messages, cycle(providers), strict=False)


def take_turn(gateway: httpx.Client, session: str, message: str, provider: str) -> dict[str, Any]:
    """Send a message to a provider, given as `provider` or `provider/model`."""
    name, _, model = provider.partition("/")
    config = {"provider": name, **({"model": model} if model else {}), **SETTINGS}
    body = {"message": message, "session_id": session, "agent_config": config}
    return call(gateway, "POST", "/api/orchestrate", body)


def show(number: int, message: str, answer: dict[str, Any]) -> None:
    """Print a turn: what was said, who answered, what it cost, and what could not be taken over."""
    metadata = answer["metadata"]
    print(f"\n{number:2} you: {message}")
    print(f"   {answer['agent_used']}: {shorten(answer['response'])}")
    print(
        f"      [{answer['model_used']}, {metadata['tokens_used']} tokens, {dollars(metadata['cost_estimate'])}, "
        f"{answer['execution_time']:.2f} s{', with a new summary' if metadata['was_summarized'] else ''}]"
    )
    for note in metadata["portability"]:
        print(f"      [{note['subject']} was {note['action']}: {note['reason']}]")
    for attempt in metadata["attempts"]:
        if attempt["error"]:
            print(f"      [{attempt['provider']} failed before: {attempt['error']}]")


def sum_up(gateway: httpx.Client, session: str) -> None:
    """Print the totals that the gateway kept."""
    totals = call(gateway, "GET", f"/api/sessions/{session}/metrics")
    print(
        f"In all: {totals['message_count']} messages, answers of {', '.join(totals['providers_used'])}, "
        f"{totals['total_tokens']} tokens, {dollars(totals['total_cost'])}, "
        f"{totals['average_response_time']:.2f} s an answer"
    )


def usable(gateway: httpx.Client) -> list[str]:
    """Return the providers that can be asked; the offline echo only where there is no other."""
    rows = call(gateway, "GET", "/api/providers")["providers"]
    names = [row["name"] for row in rows if row["is_healthy"] and "chat" in row["capabilities"]]
    return [name for name in names if name != "echo"] or names or sys.exit("No provider is usable.")


def call(gateway: httpx.Client, method: str, path: str, body: Any = None) -> dict[str, Any]:
    """Send a request and return the JSON of its answer; an error of the gateway ends the program with its words."""
    response = gateway.request(method, path, json=body)
    answer: dict[str, Any] = response.json()
    if response.is_error:
        sys.exit(f"{path} answered {response.status_code}: {answer['detail']}")
    return answer


def dollars(cost: float | None) -> str:
    """Write an amount, which is null where no price is known."""
    return "no price known" if cost is None else f"{cost:.6f} USD"


def shorten(text: str, width: int = 100) -> str:
    """Cut a text to one line."""
    line = " ".join(text.split())
    return line if len(line) <= width else f"{line[: width - 3]}..."


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="One conversation, another provider at every turn.")
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="where the gateway listens")
    parser.add_argument("--key", default=os.environ.get("ORCHESTRATOR_CLIENT_KEY"), help="the gateway's client key")
    parser.add_argument("--providers", help="who takes part, as provider or provider/model, with commas between")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        main()
    except httpx.HTTPError as error:
        sys.exit(f"The gateway cannot be asked: {error}")
