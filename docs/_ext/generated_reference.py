"""Directives that write reference pages from the code, so that a page cannot say anything else."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import click
from api_reference import endpoint_lines, schema_lines
from docutils import nodes
from docutils.statemachine import StringList
from provider_comparison import capability_lines, context_lines, cost_lines
from provider_table import call_lines, card_lines, model_lines, provider_lines
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from orchestrator_core.cli.group import cli
from orchestrator_core.provider_api import GatewayError
from orchestrator_core.security.events import MEANINGS
from orchestrator_core.security.startup.checks import CHECKS
from orchestrator_core.server.openapi import document
from orchestrator_core.telemetry.instruments import COUNTERS, GAUGES, HISTOGRAMS
from orchestrator_core.telemetry.process_figures import READ
from orchestrator_core.testing.conformance import ProviderConformance


class Generated(SphinxDirective, ABC):
    """A directive whose content is Markdown that `lines` makes."""

    def run(self) -> list[nodes.Node]:
        """Parse the generated lines where the directive stands."""
        content = StringList(list(self.lines()), source=type(self).__name__)
        return self.parse_text_to_nodes("\n".join(content), allow_section_headings=True)

    @abstractmethod
    def lines(self) -> Iterator[str]:
        """Make the lines."""


class Endpoints(Generated):
    """Every endpoint of the OpenAPI document."""

    def lines(self) -> Iterator[str]:
        """Make the lines, see `api_reference`."""
        return endpoint_lines(document())


class Schemas(Generated):
    """Every schema of the OpenAPI document."""

    def lines(self) -> Iterator[str]:
        """Make the lines, see `api_reference`."""
        return schema_lines(document())


class StreamEvents(Generated):
    """Every event of a stream of `/api/orchestrate`."""

    def lines(self) -> Iterator[str]:
        """Make one table, from the schemas of the OpenAPI document."""
        schemas = document()["components"]["schemas"]
        kinds = schemas["OrchestrateEvent"]["anyOf"][0]["discriminator"]["mapping"]
        yield from ("| Event | Fields | Meaning |", "|---|---|---|")
        for name, reference in kinds.items():
            schema = schemas[reference.rpartition("/")[2]]
            fields = ", ".join(f"`{field}`" for field in schema["properties"] if field != "type")
            yield f"| `{name}` | {fields} | {schema['description']} |"


class ErrorTree(Generated):
    """Every error, with its code and status."""

    def lines(self) -> Iterator[str]:
        """Make one table, from the classes themselves."""
        yield from ("| Code | Status | Retried | Falls back | Meaning |", "|---|---|---|---|---|")
        for kind in _tree(GatewayError):
            meaning = (kind.__doc__ or "").strip().splitlines()[0]
            retried, fallback = ("yes" if flag else "no" for flag in (kind.retryable, kind.fallback))
            yield f"| `{kind.code}` | {kind.status} | {retried} | {fallback} | {meaning} |"


class StartChecks(Generated):
    """Every check of the start, in its order."""

    def lines(self) -> Iterator[str]:
        """Make one table, from what the checks say of themselves."""
        yield from ("| What is found | Production | Staging | Development |", "|---|---|---|---|")
        shown = {
            "refuse": "**refused**",
            "wait": "**refused** until the database is back",
            "warn": "warning",
            "pass": "",
        }
        for check in CHECKS:
            meaning = (
                (check.find.__doc__ or "").splitlines()[0].removeprefix("Yield ").removeprefix("that ").rstrip(".")
            )
            outcomes = (shown[outcome] for outcome in (check.production, check.staging, check.development))
            yield f"| {meaning[0].upper()}{meaning[1:]} | {' | '.join(outcomes)} |"


class MetricsTable(Generated):
    """Every metric of the gateway."""

    def lines(self) -> Iterator[str]:
        """Make a table of each kind, from the list that the metrics are made of."""
        kinds = (
            ("Counters", "`{}_total`", COUNTERS),
            ("Gauges", "`{}`", GAUGES),
            ("Histograms", "`{}`", HISTOGRAMS),
        )
        for title, name, specs in kinds:
            yield from (f"## {title}", "", "| Metric | Labels | Meaning |", "|---|---|---|")
            for spec in specs:
                labels = ", ".join(f"`{label}`" for label in spec.labels)
                yield f"| {name.format(spec.name)} | {labels} | {spec.meaning} |"
            yield ""
        yield from ("## Read when they are asked for", "", "| Metric | Meaning |", "|---|---|")
        yield from (f"| `{name}` | {meaning} |" for name, meaning in READ.items())


class SecurityEventTable(Generated):
    """Every security event, with its meaning."""

    def lines(self) -> Iterator[str]:
        """Make one table, from the names themselves."""
        yield from ("| Event | Meaning |", "|---|---|")
        yield from (f"| `{name}` | {meaning} |" for name, meaning in MEANINGS.items())


class Providers(Generated):
    """Every provider whose plugin is installed, from its card."""

    def lines(self) -> Iterator[str]:
        """Make one table."""
        return provider_lines()


class AboutProvider(Generated):
    """A part of the page about the provider that is named: its `card`, its `models` or first `calls`."""

    required_arguments = 2

    def lines(self) -> Iterator[str]:
        """Make the part."""
        name, part = self.arguments
        return {"card": card_lines, "models": model_lines, "calls": call_lines}[part](name)


class ProviderComparison(Generated):
    """A table that compares all providers: by `capabilities`, `cost` or `context`."""

    required_arguments = 1

    def lines(self) -> Iterator[str]:
        """Make the table."""
        return {"capabilities": capability_lines, "cost": cost_lines, "context": context_lines}[self.arguments[0]]()


class ConformanceChecks(Generated):
    """Every check of the kit."""

    def lines(self) -> Iterator[str]:
        """Make a section for each class of checks, from what they say of themselves."""
        for kind in ProviderConformance.__bases__:
            checks = [check for name, check in vars(kind).items() if name.startswith("test_")]
            yield from (f"### {(kind.__doc__ or '').splitlines()[0].rstrip('.')}", "")
            yield from ("| Check | What it asks for | Capabilities |", "|---|---|---|")
            for check in checks:
                capabilities = ", ".join(name for name in getattr(check, "proves", ()) if name != "chat") or "-"
                yield f"| `{check.__name__.removeprefix('test_')}` | {(check.__doc__ or '').strip()} | {capabilities} |"
            yield ""


class CommandHelp(Generated):
    """What `--help` says, for the command and all of its own commands."""

    def lines(self) -> Iterator[str]:
        """Make a section for each command."""
        yield from _command(cli, click.Context(cli, info_name="orchestrator"))


def _command(command: click.Command, context: click.Context) -> Iterator[str]:
    yield from (f"## {context.command_path}", "", "```text", *command.get_help(context).splitlines(), "```", "")
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            if child is not None:
                yield from _command(child, click.Context(child, info_name=name, parent=context))


def _tree(kind: type[Any]) -> Iterator[type[Any]]:
    for child in kind.__subclasses__():
        if child.__module__ == "orchestrator_core.provider_api.errors":
            yield child
            yield from _tree(child)


def _write_document(app: Sphinx, error: Exception | None) -> None:
    if error is None:
        target = app.outdir / "openapi.json"
        target.write_text(json.dumps(document(), indent=2, ensure_ascii=False), encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directives, and the OpenAPI document beside the pages."""
    app.add_directive("endpoints", Endpoints)
    app.add_directive("schemas", Schemas)
    app.add_directive("error-tree", ErrorTree)
    app.add_directive("command-help", CommandHelp)
    app.add_directive("conformance-checks", ConformanceChecks)
    app.add_directive("metrics", MetricsTable)
    app.add_directive("providers", Providers)
    app.add_directive("about-provider", AboutProvider)
    app.add_directive("provider-comparison", ProviderComparison)
    app.add_directive("start-checks", StartChecks)
    app.add_directive("stream-events", StreamEvents)
    app.add_directive("security-events", SecurityEventTable)
    app.connect("build-finished", _write_document)
    return {"parallel_read_safe": True}
