"""How long providers take: the same short question, several times, streamed, through one gateway.

    python latency_of_every_provider.py --url http://127.0.0.1:8000 --times 5 --providers openai,mistral

Without `--providers` it measures every provider that the gateway shows as usable. It needs `pip install httpx`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import httpx

QUESTION = "Name three colours of the rainbow, and nothing else."


@dataclass
class Answered:
    """One answer.

    Attributes:
        model: Who gave it.
        first: Seconds to its first text.
        total: Seconds to its end.
        tokens: Tokens of question and answer.
        cost: USD; None where no price is known.
    """

    model: str
    first: float
    total: float
    tokens: int
    cost: float | None


class FailedError(Exception):
    """A provider gave no whole answer; the message says why."""


def main() -> None:
    """Measure, and print a table; the exit status is 1 where nobody answered."""
    arguments = parse()
    headers = {"authorization": f"Bearer {arguments.key}"} if arguments.key else {}
    with httpx.Client(base_url=arguments.url, headers=headers, timeout=arguments.timeout + 5) as gateway:
        providers = arguments.providers.split(",") if arguments.providers else usable(gateway)
        answers: dict[str, list[Answered]] = {provider: [] for provider in providers}
        failures: dict[str, list[str]] = {provider: [] for provider in providers}
        for number in range(1, arguments.times + 1):
            print(f"Round {number} of {arguments.times}:", end="", flush=True)
            for provider in providers:  # one question to each in turn: a slow minute of the network is everybody's
                try:
                    answers[provider].append(ask(gateway, provider, arguments.question, arguments.timeout))
                    outcome = f"{answers[provider][-1].total:.2f} s"
                except FailedError as error:
                    failures[provider].append(str(error))
                    outcome = "failed"
                print(f" {provider} {outcome};", end="", flush=True)
            print()
    print_table(answers)
    for provider, reasons in failures.items():
        for reason in dict.fromkeys(reasons):
            print(f"{provider} failed {reasons.count(reason)} of {arguments.times} times: {reason}")
    if not any(answers.values()):
        sys.exit(1)


def ask(gateway: httpx.Client, provider: str, question: str, timeout: float) -> Answered:
    """Ask a provider, given as `provider` or `provider/model`, in a session of its own, which is deleted again.

    Raises:
        FailedError: There was no whole answer.
    """
    name, _, model = provider.partition("/")
    config = {"provider": name, "timeout": timeout, **({"model": model} if model else {})}
    body = {"message": question, "agent_config": config, "stream": True}
    first: float | None = None
    begun = time.perf_counter()
    try:
        with gateway.stream("POST", "/api/orchestrate", json=body) as response:
            for kind, data in events(response):
                now = time.perf_counter() - begun
                if kind == "text" and first is None:
                    first = now
                elif kind == "done":
                    gateway.delete(f"/api/sessions/{data['session_id']}")
                    metadata = data["metadata"]
                    tokens, cost = metadata["tokens_used"] or 0, metadata["cost_estimate"]
                    return Answered(data["model_used"], now if first is None else first, now, tokens, cost)
    except httpx.HTTPError as error:
        raise FailedError(f"{type(error).__name__} {error}") from error
    raise FailedError("the stream ended without an answer")


def events(response: httpx.Response) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the server-sent events of an answer: the name of each, and its data.

    Raises:
        FailedError: The gateway answered with an error, at once or in the end.
    """
    if response.is_error:
        response.read()
        raise FailedError(response.json()["detail"])
    kind = ""
    for line in response.iter_lines():
        name, _, value = line.partition(": ")
        if name == "event":
            kind = value
        elif name == "data":
            data = json.loads(value)
            if kind == "error":
                raise FailedError(data["detail"])
            yield kind, data


def print_table(answers: dict[str, list[Answered]]) -> None:
    """Print a row for each provider that answered: medians, with the fastest and the slowest of its answers."""
    print(f"\n{'provider':<24}{'model':<26}{'first text, s':>22}{'whole answer, s':>22}{'tokens':>8}{'USD':>12}")
    ranked = sorted(
        ((provider, found) for provider, found in answers.items() if found),
        key=lambda row: median(answer.total for answer in row[1]),
    )
    for provider, found in ranked:
        costs = [answer.cost for answer in found if answer.cost is not None]
        print(
            f"{provider:<24}{found[0].model:<26}"
            f"{spread([answer.first for answer in found]):>22}{spread([answer.total for answer in found]):>22}"
            f"{sum(answer.tokens for answer in found):>8}{f'{sum(costs):.6f}' if costs else 'unknown':>12}"
        )


def spread(seconds: Sequence[float]) -> str:
    """Write the median, with the least and the most."""
    return f"{median(seconds):.3f} ({min(seconds):.3f}-{max(seconds):.3f})"


def usable(gateway: httpx.Client) -> list[str]:
    """Return the providers that can be asked; the offline echo only where there is no other."""
    response = gateway.get("/api/providers")
    if response.is_error:
        sys.exit(f"/api/providers answered {response.status_code}: {response.json()['detail']}")
    rows = response.json()["providers"]
    names = [row["name"] for row in rows if row["is_healthy"] and "chat" in row["capabilities"]]
    return [name for name in names if name != "echo"] or names or sys.exit("No provider is usable.")


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="The latency of every provider, streamed.")
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="where the gateway listens")
    parser.add_argument("--key", default=os.environ.get("ORCHESTRATOR_CLIENT_KEY"), help="the gateway's client key")
    parser.add_argument("--providers", help="who is asked, as provider or provider/model, with commas between")
    parser.add_argument("--times", type=int, default=5, help="how often each is asked (5)")
    parser.add_argument("--timeout", type=float, default=60, help="seconds that an answer may take (60)")
    parser.add_argument("--question", default=QUESTION, help="what is asked")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        main()
    except httpx.HTTPError as error:
        sys.exit(f"The gateway cannot be asked: {error}")
