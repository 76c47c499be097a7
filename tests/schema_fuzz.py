"""Asks two gateways whatever their own description allows, and what it does not: `python tests/schema_fuzz.py`.

schemathesis makes the requests and judges the answers. One gateway is as a developer starts it, one is in production
with a client key. `echo` answers well, and so does an upstream of `openai` unless a model asks it to misbehave.

Two of its checks are left out: a valid request may rightly be refused, for an unknown session or model, and who may see
what of whom takes two identities (tests/core/server/test_who_comes_in.py). `--examples` and `--seconds` bound each run;
the seed is fixed. It ends with 1 where an operation fails.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

sys.path.insert(0, str(Path(__file__).parent))

from fake_upstreams.misbehaving import MisbehavingUpstream
from processes import GatewayProcess, running_gateways
from start_configurations import CLIENT_KEY, MINIMUM

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "missing_required_header",
    "unsupported_method",
    "allow_header_conformance",
    "use_after_free",
    "ensure_resource_availability",
)
SEED = 20260101
UNLIMITED = "1000000"
KINDS: Mapping[str, Mapping[str, str]] = {
    "development": {"OPENAI_API_KEY": MINIMUM["OPENAI_API_KEY"]},
    "production": {
        **MINIMUM,
        # Its limits would answer most of what one address asks in a hurry.
        "ORCHESTRATOR_MAX_REQUESTS_PER_MINUTE": UNLIMITED,
        "ORCHESTRATOR_RATE_LIMIT_PER_SESSION": UNLIMITED,
        "ORCHESTRATOR_MAX_FAILED_AUTHENTICATIONS": UNLIMITED,
    },
}
"""The settings of the gateways."""


def command(gateway: GatewayProcess, key: str | None, reports: Path, options: argparse.Namespace) -> Sequence[str]:
    """Return the command line of schemathesis."""
    checks = [*CHECKS, "ignored_auth"] if key else CHECKS
    return (
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{gateway.url}/openapi.json", "--url", gateway.url),
        *(("--header", f"Authorization: Bearer {key}") if key else ()),
        *("--checks", ",".join(checks), "--phases", "examples,coverage,fuzzing,stateful", "--mode", "all"),
        *("--max-examples", str(options.examples), "--seed", str(SEED), "--generation-database", "none"),
        *("--workers", "1", "--request-timeout", "10", "--max-redirects", "0", "--suppress-health-check", "all"),
        *("--continue-on-failure", "--warnings", "off", "--no-color"),
        *("--report", "junit", "--report-dir", str(reports)),
    )


def fuzz(gateway: GatewayProcess, key: str | None, options: argparse.Namespace) -> Sequence[str]:
    """Fuzz one gateway; return what failed."""
    with tempfile.TemporaryDirectory() as folder:
        asked = command(gateway, key, Path(folder), options)
        try:
            done = subprocess.run(
                asked, cwd=folder, timeout=options.seconds, capture_output=True, text=True, check=False
            )
        except subprocess.TimeoutExpired:
            return [f"schemathesis was not done within {options.seconds} s"]
        failed = [*failures(Path(folder))] if done.returncode in (0, 1) else ["schemathesis itself failed"]
        if failed:
            print(done.stdout, done.stderr)
    if "ERROR" in gateway.output():
        failed.append(f"errors in the log: {gateway.output()[-2000:]}")
    return failed


def failures(reports: Path) -> Sequence[str]:
    """Return the operations that failed, by the report."""
    (report,) = reports.glob("*.xml")
    cases = [*ElementTree.parse(report).iter("testcase")]  # noqa: S314 - schemathesis wrote it a moment ago
    print(f"{len(cases)} operations")
    if not cases:
        return ["no operation was tested"]
    return [
        str(case.get("name")) for case in cases if case.find("failure") is not None or case.find("error") is not None
    ]


async def run(options: argparse.Namespace) -> int:
    failed = []
    async with MisbehavingUpstream(slow=0.1) as upstream:
        for kind in options.kinds:
            environ = {
                **KINDS[kind],
                "OPENAI_BASE_URL": f"{upstream.url}/v1",
                "ORCHESTRATOR_PROVIDERS": "openai,echo",  # others would be asked over the network
                "ORCHESTRATOR_TOTAL_TIMEOUT": "5",
                "LOG_LEVEL": "ERROR",
            }
            with tempfile.TemporaryDirectory() as folder:
                running = running_gateways(Path(folder), environ)
                (gateway,) = await asyncio.to_thread(running.__enter__)
                try:
                    began = time.monotonic()
                    key = CLIENT_KEY if kind == "production" else None
                    found = await asyncio.to_thread(fuzz, gateway, key, options)
                    print(f"{kind}: {len(found)} failed, {time.monotonic() - began:.0f} s", flush=True)
                    failed += [f"{kind}: {each}" for each in found]
                finally:
                    await asyncio.to_thread(running.__exit__, None, None, None)
    for each in failed:
        print(each)
    return 1 if failed else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=40, help="examples an operation")
    parser.add_argument("--seconds", type=int, default=600, help="for each gateway")
    parser.add_argument("--kinds", nargs="*", choices=KINDS, default=[*KINDS])
    return asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
