"""Twenty-five quick questions in one session: when it is summarised, what the summary says, and what is remembered.

    python twenty_five_questions.py --url http://127.0.0.1:8000 --provider mistral

Without `--provider` the gateway chooses where only one is usable; else the first of them is asked. It needs
`pip install httpx`.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

import httpx

FACTS = {
    "Ada": "My name is Ada. Please answer in a few words.",
    "Linus": "My cat is called Linus.",
    "17:40": "My train leaves at 17:40.",
}
"""What is told in the beginning, each with the word that shows later that it was remembered."""

QUICK = (
    "Why is the sky blue?",
    "What is the capital of Peru?",
    "How many legs has a spider?",
    "Who painted the Mona Lisa?",
    "What is 17 times 6?",
    "Which metal is liquid at room temperature?",
    "What does HTTP stand for?",
    "How long is a marathon?",
    "Which planet has the most moons?",
    "What is the plural of ox?",
    "When did the Titanic sink?",
    "What is the boiling point of water in Fahrenheit?",
    "Who wrote Faust?",
    "Which is the largest ocean?",
    "How many strings has a violin?",
    "What is the opposite of entropy?",
    "Which bird cannot fly and lives in Antarctica?",
    "What is the square root of 144?",
    "Who was the first programmer?",
    "Which language is spoken in Brazil?",
    "What is a leap second?",
)
RECALL = "What is my name, what is my cat called, and when does my train leave?"
QUESTIONS = (*FACTS.values(), *QUICK, RECALL)


def main() -> None:
    """Ask, and show what the gateway made of the conversation."""
    arguments = parse()
    headers = {"authorization": f"Bearer {arguments.key}"} if arguments.key else {}
    with httpx.Client(base_url=arguments.url, headers=headers, timeout=600) as gateway:
        config = agent_config(gateway, arguments.provider)
        session: str | None = None
        said = ""
        for number, question in enumerate(QUESTIONS, 1):
            body = {"message": question, "session_id": session, "agent_config": config}
            answer = call(gateway, "POST", "/api/orchestrate", body)
            if session is None:
                session = answer["session_id"]
                print(f"Session {session}, answered by {answer['agent_used']}/{answer['model_used']}\n")
            said = answer["response"]
            print(f"{number:2} {question}\n     {shorten(said)}")
            if answer["metadata"]["was_summarized"]:
                print("     [was_summarized: from here on a summary stands for what was said first]")
        remembered = [word for word in FACTS if word in said]
        print(f"\nIn the last answer: {len(remembered)} of {len(FACTS)} facts ({', '.join(remembered) or 'none'})")
        show_ledger(call(gateway, "GET", f"/api/sessions/{session}/summaries")["summaries"])
        totals = call(gateway, "GET", f"/api/sessions/{session}/metrics")
        print(
            f"In all: {totals['message_count']} questions, {totals['total_tokens']} tokens, "
            f"{dollars(totals['total_cost'])}, {totals['average_response_time']:.2f} s an answer"
        )


def show_ledger(summaries: list[dict[str, Any]]) -> None:
    """Print what each summary stands for, who wrote it and what it took; the newest one is what providers see."""
    print(f"\nThe ledger has {len(summaries)} summaries:")
    for entry in summaries:
        print(
            f"  messages {entry['from_sequence']} to {entry['upto_sequence']}, "
            f"by {entry['provider']}/{entry['model']}: "
            f"about {entry['tokens_before']} tokens became {entry['tokens_after']}, {dollars(entry['cost'])}"
        )
    if summaries:
        print(f"The newest one:\n  {summaries[-1]['text']}\n")


def agent_config(gateway: httpx.Client, provider: str | None) -> dict[str, Any] | None:
    """Return who is to be asked; None leaves it to the gateway, which knows where only one is usable."""
    if provider is not None:
        name, _, model = provider.partition("/")
        return {"provider": name, "model": model} if model else {"provider": name}
    rows = call(gateway, "GET", "/api/providers")["providers"]
    names = [row["name"] for row in rows if row["is_healthy"] and "chat" in row["capabilities"]]
    if not names:
        sys.exit("No provider is usable.")
    others = [name for name in names if name != "echo"]  # offline: it answers where there is no other
    return {"provider": others[0]} if len(others) > 1 else None


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
    parser = argparse.ArgumentParser(description="Twenty-five questions in one session, with its summaries.")
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="where the gateway listens")
    parser.add_argument("--key", default=os.environ.get("ORCHESTRATOR_CLIENT_KEY"), help="the gateway's client key")
    parser.add_argument("--provider", help="who is asked, as provider or provider/model")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        main()
    except httpx.HTTPError as error:
        sys.exit(f"The gateway cannot be asked: {error}")
