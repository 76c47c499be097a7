"""Rules for every source file, read from its syntax tree."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORE = ROOT / "orchestrator-core" / "src" / "orchestrator_core"
PLUGINS = sorted((ROOT / "plugins").glob("*/src/*"))
TEMPLATES = CORE / "testing" / "templates"
"""Packages of their own, which `new-provider` copies."""
SOURCES = sorted(
    path for package in (CORE, *PLUGINS) for path in package.rglob("*.py") if not path.is_relative_to(TEMPLATES)
)
PROVIDERS = {
    "anthropic",
    "claude",
    "dashscope",
    "deepseek",
    "echo",
    "gemini",
    "google",
    "grok",
    "kimi",
    "kimi_k2",
    "mistral",
    "moonshot",
    "openai",
    "openai-compatible",
    "qwen",
    "xai",
}
NEUTRAL = ("provider_api", "orchestration", "server", "plugins", "resilience", "upstream", "sessions", "cli", "testing")
REVEALING = {"upstream/client.py", "provider_api/keys.py"}
MAX_LINES = 400
EXCEPTION = re.compile(r"# (noqa|type: ignore|pragma: no cover)")
REASON = re.compile(r"# (noqa|type: ignore|pragma: no cover)\S*( \w+,?)*( - |  # )\S")


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), relative(path))


def compared(node: ast.AST) -> Iterator[ast.expr]:
    """Yield what decides a branch: the sides of comparisons, patterns, and keys that are looked up."""
    if isinstance(node, ast.Compare):
        yield from (node.left, *node.comparators)
    elif isinstance(node, ast.MatchValue):
        yield node.value
    elif isinstance(node, ast.Dict):
        yield from (key for key in node.keys if key is not None)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "startswith":
        yield from node.args


def examples(module: ast.Module) -> set[ast.AST]:
    """Return the nodes of what only documents: values of constants and arguments that are called examples."""
    roots: list[ast.AST] = []
    for node in ast.walk(module):
        named = [node.arg] if isinstance(node, ast.keyword) else []
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            named = [target.id for target in targets if isinstance(target, ast.Name)]
        if any(name and "example" in name.lower() for name in named):
            roots.append(node)
    return {child for root in roots for child in ast.walk(root)}


def branches_on_providers(module: ast.Module) -> list[int]:
    return [
        constant.lineno
        for node in set(ast.walk(module)) - examples(module)
        for expression in compared(node)
        for constant in ast.walk(expression)
        if isinstance(constant, ast.Constant) and str(constant.value).lower() in PROVIDERS
    ]


@pytest.mark.parametrize(
    "path", [path for folder in NEUTRAL for path in sorted((CORE / folder).rglob("*.py"))], ids=relative
)
def test_no_line_of_core_branches_on_the_name_of_a_provider(path: Path) -> None:
    assert branches_on_providers(tree(path)) == []


@pytest.mark.parametrize(
    "source",
    [
        "if provider == 'openai': pass",
        "x = provider.id in ('grok', 'kimi')",
        "match name:\n    case 'echo': pass",
        "table = {'mistral': 9}",
        "name.startswith('claude')",
    ],
)
def test_the_rule_about_names_finds_what_it_should(source: str) -> None:
    assert branches_on_providers(ast.parse(source)) != []


def test_credentials_are_revealed_in_two_places_only() -> None:
    calling = {
        path.relative_to(CORE).as_posix() if path.is_relative_to(CORE) else relative(path)
        for path in SOURCES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute)
        and node.attr in ("reveal", "_value", "_encoded")
        and path.name != "secret.py"
    }
    assert calling == REVEALING


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_a_module_is_short_enough_to_be_read(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    # The errors are one closed tree, drawn and defined in one place on purpose.
    allowed = 450 if path == CORE / "provider_api" / "errors.py" else MAX_LINES
    assert lines <= allowed


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_every_module_and_every_public_name_has_a_docstring(path: Path) -> None:
    module = tree(path)
    missing = [] if ast.get_docstring(module) else ["module"]
    for node in module.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            missing += undocumented(node)
    assert missing == []


def undocumented(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef, owner: str = "") -> list[str]:
    if node.name.startswith("_") or any("overload" in ast.dump(mark) for mark in node.decorator_list):
        return []
    name = f"{owner}{node.name}"
    missing = [] if ast.get_docstring(node) else [name]
    if isinstance(node, ast.ClassDef):
        for child in node.body:
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                missing += undocumented(child, f"{name}.")
    return missing


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_an_exception_to_a_rule_has_its_reason_beside_it(path: Path) -> None:
    bare, explained = [], False
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if EXCEPTION.search(line):
            explained = explained or REASON.search(line) is not None
            if not explained:
                bare.append(number)
        else:
            explained = line.lstrip().startswith("#")
    assert bare == []


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_no_handler_catches_everything_in_silence(path: Path) -> None:
    silent = [
        node.lineno
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or (isinstance(node.type, ast.Name) and node.type.id in ("Exception", "BaseException")))
        and all(isinstance(child, ast.Pass) for child in node.body)
    ]
    assert silent == []


def test_a_version_stands_once() -> None:
    version = tomllib.loads((ROOT / "orchestrator-core" / "pyproject.toml").read_text())["project"]["version"]
    repeated = [
        relative(path)
        for path in SOURCES
        for module in [tree(path)]
        for node in set(ast.walk(module)) - examples(module)
        if isinstance(node, ast.Constant) and node.value == version
    ]
    assert repeated == []


def test_only_the_command_draws_tables() -> None:
    drawing = {
        relative(path)
        for path in SOURCES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "rich"
    }
    assert {path.rpartition("/")[0] for path in drawing} == {"orchestrator-core/src/orchestrator_core/cli"}
