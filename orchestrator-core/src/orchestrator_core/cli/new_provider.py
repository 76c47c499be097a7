"""`orchestrator new-provider`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.resources.abc import Traversable
from pathlib import Path

import click

from orchestrator_core.cli.usage import Command

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")

COMMON, COMPATIBLE, OWN_WIRE = "common", "compatible", "own_wire"


@click.command("new-provider", cls=Command)
@click.argument("name")
@click.option(
    "--compatible", "kind", flag_value=COMPATIBLE, default=True, help="It speaks OpenAI's protocol. [default]"
)
@click.option("--own-wire", "kind", flag_value=OWN_WIRE, help="It has a wire format of its own.")
@click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where to write the package.  [default: orchestrator-NAME]",
)
def new_provider(name: str, kind: str, directory: Path | None) -> None:
    """Write the package of a new provider.

    It is complete: code, tests with the conformance suite, packaging, continuous integration, README and licence. Its
    tests pass as it stands; then replace what is invented.

    \b
    Examples:
      orchestrator new-provider acme
      orchestrator new-provider acme --own-wire --directory ~/src/acme

    Exit codes: 0 written, 1 there is something at that place already, 2 no name for a provider.
    """
    if not NAME.fullmatch(name):
        raise click.UsageError("This is no name for a provider: use lower-case letters, digits and '-', as in acme.")
    target = directory or Path(f"orchestrator-{name}")
    if target.exists() and any(target.iterdir()):
        raise click.ClickException(f"{target} is not empty. Choose another --directory.")
    files = {path: text for folder in (COMMON, kind) for path, text in _files(_templates() / folder)}
    for path, text in sorted(files.items()):
        written = target / _renamed(path, name)
        written.parent.mkdir(parents=True, exist_ok=True)
        written.write_text(_renamed(text, name), encoding="utf-8")
    click.echo(f"{len(files)} files are in {target}. Next:")
    for line in (
        f"cd {target}",
        'pip install --editable ".[dev]"',
        "pytest",
        "orchestrator plugins doctor " + name,
    ):
        click.echo(f"  {line}")


def _templates() -> Traversable:
    from importlib.resources import files  # `--help` does without the archive readers behind it

    return files("orchestrator_core.testing") / "templates"


def _files(folder: Traversable, parent: str = "") -> Iterator[tuple[str, str]]:
    """Yield paths and texts. The templates are packages of a vendor called Acme, which are tested as they stand."""
    for entry in folder.iterdir():
        # What tools leave in a checkout is no template: those have no dotted names, which the tools would obey here.
        if entry.name.startswith(".") or entry.name == "__pycache__":
            continue
        path = f"{parent}{entry.name.replace('dot-', '.', 1) if entry.name.startswith('dot-') else entry.name}"
        if entry.is_dir():
            yield from _files(entry, f"{path}/")
        else:
            yield path, entry.read_text(encoding="utf-8")


def _renamed(text: str, name: str) -> str:
    words = name.split("-")
    for old, new in (
        ("orchestrator_acme", f"orchestrator_{'_'.join(words)}"),
        ("acme_fake", f"{'_'.join(words)}_fake"),
        ("AcmeProvider", f"{''.join(map(str.title, words))}Provider"),
        ("AcmeFake", f"{''.join(map(str.title, words))}Fake"),
        ("Acme", " ".join(map(str.title, words))),
        ("ACME", "_".join(words).upper()),
        ("acme", name),
    ):
        text = text.replace(old, new)
    return text
