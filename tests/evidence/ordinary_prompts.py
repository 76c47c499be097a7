"""10,000 ordinary prompts, full of what is an attack elsewhere, through every surface: none may be blocked.

    python tests/evidence/ordinary_prompts.py --prompts 10000 --seed 1

It ends with 1 where one was, or where a security event was reported.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import aiohttp

from ordinary_words import prompts
from processes import running_gateways

ENVIRON = {"LOG_LEVEL": "WARNING", "MONITORING_ENABLED": "false", "ORCHESTRATOR_PROVIDERS": "echo"}
AT_ONCE = 16


def requests(prompt: str, number: int) -> tuple[str, dict[str, Any]]:
    """Return where a prompt is said, and how."""
    said = [{"role": "user", "content": prompt}]
    return (
        ("/api/orchestrate", {"message": prompt, "agent_config": {"provider": "echo", "system_prompt": prompt}}),
        ("/v1/chat/completions", {"model": "echo/echo", "messages": said, "user": prompt[:60]}),
        ("/v1/messages", {"model": "echo/echo", "messages": said, "max_tokens": 99, "system": prompt}),
        ("/api/v1/echo/chat", {"messages": said}),
    )[number % 4]


async def run(options: argparse.Namespace) -> int:
    seen = Counter[tuple[str, int]]()
    with tempfile.TemporaryDirectory() as folder, running_gateways(Path(folder), ENVIRON) as (gateway,):
        every = enumerate(prompts(Random(options.seed), options.prompts))

        async def say(http: aiohttp.ClientSession) -> None:
            for number, prompt in every:
                path, body = requests(prompt, number)
                async with http.post(gateway.url + path, json=body) as response:
                    seen[path, response.status] += 1
                    if response.status != 200:
                        print(f"{path}: {response.status} {(await response.text())[:200]}: {prompt[:200]!r}")

        async with aiohttp.ClientSession() as http:
            await asyncio.gather(*(say(http) for _ in range(AT_ONCE)))
        events = gateway.output().count("Security event")
    blocked = sum(count for (_, status), count in seen.items() if status != 200)
    for (path, status), count in sorted(seen.items()):
        print(f"{path}: {count} answered with {status}")
    print(f"{options.prompts} prompts, {blocked} blocked, {events} security events")
    return 1 if blocked or events or seen.total() != options.prompts else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    return asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
