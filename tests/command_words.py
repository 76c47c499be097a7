"""Reads commands as a shell would, and says what is wrong with those that name something of this tree."""

from __future__ import annotations

import ast
import re
import shlex
import tomllib
from collections.abc import Iterator, Sequence
from functools import cache

import click

from documentation import ROOT
from orchestrator_core.cli.group import cli
from orchestrator_core.config.settings import Settings, environment_names
from orchestrator_core.plugins.loading import find_plugins

ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
OF_THIS_TREE = re.compile(r"(?:\./)?(?:deploy|docs|tests|plugins|requirements|scripts|orchestrator-core|\.ci)/[\w./-]+")
OURS = re.compile(r"orchestrator-([a-z-]+)(?:\[([a-z,]+)\])?")
SEPARATORS = re.compile(r"[|&;()]+")
REDIRECTIONS = re.compile(r"\d?[<>]+&?")

PROVIDER_SETTINGS = (
    "API_KEY",
    "API_KEY_FILE",
    "BASE_URL",
    "DEFAULT_MODEL",
    "DEFAULT_TEMPERATURE",
    "DEFAULT_MAX_TOKENS",
)
FOREIGN = re.compile(r"OTEL_\w+|ACME_\w+|LAB_\w+|PYTHONPATH|DOMAIN|GATEWAY|NO_COLOR|POSTGRES_PASSWORD|ADMIN|KEY")
"""Variables of other programs, of the provider of the tutorial, and of the examples themselves."""

OTHERS = frozenset(
    {"caddy", "cd", "chmod", "cp", "docker", "echo", "gh", "git", "grep", "helm", "install", "kill", "kubectl", "node"}
    | {"npm", "openssl", "pre-commit", "printf", "sed", "sha256sum", "systemctl", "towncrier", "twine", "useradd"}
    | {"eval", "xargs", ".", ".ci/run"}
)
"""Programs that are not of this tree: of their words the files are looked for."""


def simple_commands(command: str) -> Iterator[tuple[Sequence[str], dict[str, str]]]:
    """Yield the simple commands of a command: words, and the variables that are set before them."""
    lexer = shlex.shlex(command.replace("\\\n", " "), posix=True, punctuation_chars="|&;()<>")
    lexer.whitespace_split = True
    words: list[str] = []
    skipped = False
    for word in [*lexer, ";"]:
        if SEPARATORS.fullmatch(word):
            if words:
                yield _assigned(words)
            words = []
        elif REDIRECTIONS.fullmatch(word):
            skipped = True
        elif skipped:
            skipped = False
        elif word != "$":
            words.append(word)


def _assigned(words: Sequence[str]) -> tuple[Sequence[str], dict[str, str]]:
    found: dict[str, str] = {}
    for place, word in enumerate(words):
        match = ASSIGNMENT.fullmatch(word)
        if match is None:
            return words[place:], found
        found[match[1]] = match[2]
    return (), found


def check(command: str, *, mentioned: bool = False) -> None:
    """Check a command.

    Args:
        command: With all of its lines.
        mentioned: Whether it stands in a text, where its arguments may be left out.

    Raises:
        AssertionError: It names what does not exist.
    """
    for words, assigned in simple_commands(command):
        for name in assigned:
            assert _is_setting(name), f"{name} is no setting: {command}"
        if words:
            _check_words(list(words), command, mentioned=mentioned)


def _check_words(words: list[str], command: str, *, mentioned: bool) -> None:
    program, arguments = words[0], words[1:]
    if "/bin/" in program:  # of an environment that the reader has made
        program = program.rpartition("/")[2]
    for word in words:
        if OF_THIS_TREE.fullmatch(word) and not word.endswith("/"):
            assert (ROOT / word).exists(), f"{word} is not there: {command}"
    if program == "orchestrator":
        _check_orchestrator(arguments, command, mentioned=mentioned)
    elif program == "export":
        names = [word.partition("=")[0] for word in arguments]
        assert all(map(_is_setting, names)), f"no setting: {command}"
    elif program == "nox":
        if "-s" in arguments:
            assert arguments[arguments.index("-s") + 1] in _sessions(), f"no session of nox: {command}"
    elif program == "pip":
        _check_pip(arguments, command)
    elif program not in ("python", "python3", "pytest", "curl"):
        assert program in OTHERS, f"{program} is of this tree, or has to be among OTHERS in {__file__}: {command}"


def _check_orchestrator(arguments: list[str], command: str, *, mentioned: bool) -> None:
    found: click.Command = cli
    name = "orchestrator"
    while isinstance(found, click.Group) and arguments and not arguments[0].startswith("-"):
        name = arguments.pop(0)
        inner = found.get_command(click.Context(found), name)
        assert inner is not None, f"no such command: {command}"
        found = inner
    if isinstance(found, click.Group):
        assert mentioned or found.invoke_without_command or arguments == ["--help"], f"a command is missing: {command}"
        return
    try:
        found.make_context(name, arguments)
    except click.UsageError as error:
        # What is only mentioned may leave out an argument, or write `N` for it.
        if not (mentioned and isinstance(error, click.BadParameter)):
            raise AssertionError(f"{command}: {error.format_message()}") from error


def _check_pip(arguments: list[str], command: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    core = tomllib.loads((ROOT / "orchestrator-core" / "pyproject.toml").read_text())["project"]
    for before, word in zip(["", *arguments], arguments, strict=False):
        ours = OURS.fullmatch(word)
        if before == "--group":
            assert word in project["dependency-groups"], f"no group: {command}"
        elif ours is not None:
            assert ours[1] == "core" or (ROOT / "plugins" / ours[1]).is_dir() or ours[1] == "acme", command
            for extra in (ours[2] or "").split(",") if ours[2] else ():
                assert extra in core["optional-dependencies"], f"no extra {extra}: {command}"
        elif word.startswith("./") and "*" not in word:
            path, _, extras = word.rstrip("]").partition("[")
            assert (ROOT / path / "pyproject.toml").is_file(), f"no distribution {word}: {command}"
            assert not extras or set(extras.split(",")) <= set(core["optional-dependencies"]), f"no extra: {command}"


def _is_setting(name: str) -> bool:
    return (
        name.removesuffix("_FILE") in _settings()
        or name in _settings()
        or any(name == f"{prefix}_{setting}" for prefix in _prefixes() for setting in PROVIDER_SETTINGS)
        or FOREIGN.fullmatch(name) is not None
    )


@cache
def _settings() -> frozenset[str]:
    return frozenset(name for field in Settings.model_fields for name in environment_names(field))


@cache
def _prefixes() -> frozenset[str]:
    found = [plugin.cls.info for plugin in find_plugins(timeout=30.0) if plugin.cls is not None]
    keys = {name.removesuffix("_API_KEY") for info in found for name in info.key_env}
    return frozenset({*keys, *(prefix for info in found for prefix in info.env_prefixes or (info.name.upper(),))})


@cache
def _sessions() -> frozenset[str]:
    tree = ast.parse((ROOT / "noxfile.py").read_text())
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.decorator_list)
