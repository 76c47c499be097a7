"""What importing costs: heavy modules stay out of the start-up and of `--help`."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {"alembic", "genai_prices", "httpx", "httpx2", "openai", "redis", "sqlalchemy"}
PLUGIN_PREFIXES = ("orchestrator_echo", "orchestrator_openai")


def modules_after(statement: str) -> set[str]:
    """Return the modules that a statement loads, without those of every start: coverage brings some."""
    show = "print('\\n'.join({*sys.modules} - before), file=sys.stderr)"
    code = f"import sys\nbefore = {{*sys.modules}}\n{statement}\n{show}"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return set(done.stderr.split())


@pytest.mark.parametrize(
    "module",
    ["orchestrator_core.server.app", "orchestrator_core.server.run", "orchestrator_core.sessions.databases.sqlite"],
)
def test_the_server_starts_without_what_it_may_never_need(module: str) -> None:
    loaded = modules_after(f"import {module}")
    assert module in loaded
    assert loaded & HEAVY == set()
    assert not [name for name in loaded if name.startswith(PLUGIN_PREFIXES)]


SELDOM = {
    f"orchestrator_core.server.{name}"
    for name in (
        "error_schema",
        "openapi",
        "routes.connectors_schema",
        "routes.messages_schema",
        "routes.openai_schema",
        "routes.orchestrate_answer",
        "transfer.lines",
        "transfer.reading",
    )
}


def test_the_server_starts_without_what_few_requests_need() -> None:
    loaded = modules_after("import orchestrator_core.server.run")
    assert "orchestrator_core.server.routes.session_transfer" in loaded
    assert loaded & SELDOM == set()
    assert loaded & {"dotenv", "tomllib"} == set()


BUILT = """
import sys
from pydantic import BaseModel
import orchestrator_core.server.run

def families(kind):
    yield kind
    for child in kind.__subclasses__():
        yield from families(child)

for model in families(BaseModel):
    ours = model.__module__.startswith(("orchestrator_core.server", "orchestrator_core.config"))
    if ours and model.__pydantic_complete__ and not model.__pydantic_generic_metadata__["parameters"]:
        print(model.__name__)
"""


def test_the_server_builds_no_model_that_only_documents_or_belongs_to_another() -> None:
    done = subprocess.run([sys.executable, "-c", BUILT], check=True, capture_output=True, text=True, timeout=30)
    # They check what an operator writes within a setting.
    assert set(done.stdout.split()) == {"AliasEntry", "PriceEntry", "ServerEntry"}


def test_the_server_starts_without_what_only_a_terminal_needs() -> None:
    refused = "cli(['serve', '--providers', 'nobody'])"
    loaded = modules_after(
        f"from orchestrator_core.cli.group import cli\ntry:\n    {refused}\nexcept SystemExit:\n    pass"
    )
    assert {"structlog", "orchestrator_core.server.run"} <= loaded
    assert loaded & {*HEAVY, "frozenlist._frozenlist", "greenlet", "pygments", "rich"} == set()


def test_the_command_shows_its_help_without_the_gateway() -> None:
    loaded = modules_after("from orchestrator_core.cli.group import cli\ncli(['--help'], standalone_mode=False)")
    assert loaded & {*HEAVY, "aiohttp", "pydantic", "rich", "structlog", "orchestrator_core.server"} == set()


def test_every_command_shows_its_help_without_the_gateway() -> None:
    shown = "for name in COMMANDS:\n    cli([name, '--help'], standalone_mode=False)"
    loaded = modules_after(f"from orchestrator_core.cli.group import COMMANDS, cli\n{shown}")
    assert "orchestrator_core.cli.status" in loaded
    assert loaded & {*HEAVY, "aiohttp", "prometheus_client", "pydantic", "readline", "rich", "structlog"} == set()


@pytest.mark.parametrize("module", ["openai_compatible", "provider_api"])
def test_a_plugin_author_pays_for_the_contract_alone(module: str) -> None:
    loaded = modules_after(f"import orchestrator_core.{module}")
    own = {name.split(".")[1] for name in loaded if name.startswith("orchestrator_core.")}
    assert own <= {"openai_compatible", "provider_api"}
    assert loaded & {*HEAVY, "aiohttp", "rich"} == set()
