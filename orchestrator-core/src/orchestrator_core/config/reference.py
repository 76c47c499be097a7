"""The reference of all settings, made from the model: `python -m orchestrator_core.config.reference`."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator, Mapping
from typing import Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from orchestrator_core.config.settings import SPECIFIED, SUSPICIOUS_PATTERNS, Settings, environment_names
from orchestrator_core.provider_api import Secret

_INTRODUCTION = """\
# Settings

*This page is made from the code by `python -m orchestrator_core.config.reference`.*

A setting is taken from the first of these that has it, and an empty value is no value:

1. the environment of the process;
2. the file `.env` in the working directory; of a name that is set twice the last line counts, and nothing in it is
   interpolated;
3. the file `orchestrator.toml` in the working directory, or the one that `ORCHESTRATOR_CONFIG` names;
4. the default.

In the environment, lists are separated by commas and mappings are JSON:
`ORCHESTRATOR_ALIASES='{"fast": "openai/gpt-6-luna"}'`. In the file, settings have the names of the first column, lists
are arrays and mappings are tables. A setting that does not exist, a value of the wrong type and an unreadable file stop
the start; all of them are reported at once, by name and without a value.
"""

_PROVIDERS = """\
## Providers

`<PREFIX>` is the provider's name in upper case, such as `OPENAI` or `MISTRAL`; its own page names it where it is
another one.

| Environment | In the file, below `[provider.<name>]` | Meaning |
|---|---|---|
| `<PREFIX>_API_KEY` | never | The key, or several, separated by commas: the next is used when one is refused. |
| `<PREFIX>_API_KEY_FILE` | never | A file that holds the key, such as a mounted secret. |
| `<PREFIX>_BASE_URL` | `base_url` | Where the provider is, in the form that the vendor's SDK takes, without a query. |
| `<PREFIX>_DEFAULT_MODEL` | `default_model` | The model where a request names none. |
| `<PREFIX>_DEFAULT_TEMPERATURE` | `default_temperature` | From 0 to 2; sent where a request sets none. |
| `<PREFIX>_DEFAULT_MAX_TOKENS` | `default_max_tokens` | At least 1; sent where a request sets none. |

A provider may have further settings; they follow the same rule. A secret of the gateway
itself can be given as a file as well, such as `ORCHESTRATOR_CLIENT_KEY` in `ORCHESTRATOR_CLIENT_KEY_FILE`.

## Servers by name

Any server that speaks a protocol for which a plugin takes named servers needs no package of its own. Its key is
`<NAME>_API_KEY`, and the other settings of the table can be given as `<NAME>_<SETTING>` as well:

```toml
[servers.ollama]
base_url = "http://127.0.0.1:11434/v1"
default_model = "qwen3"
```

## An example

```toml
# orchestrator.toml
default_provider = "mistral"
fallbacks = ["openai", "anthropic/claude-haiku-5-5"]
max_requests_per_minute = 200

[aliases]
fast = "openai/gpt-6-luna"
spread = { targets = ["openai/gpt-6-luna", "mistral/mistral-small-latest"], strategy = "weighted", weights = [3, 1] }

[provider.mistral]
default_model = "mistral-small-latest"
default_temperature = 0.3
```
"""


def markdown() -> str:
    """Return the page."""
    specified = [name for name in Settings.model_fields if name in SPECIFIED]
    others = [name for name in Settings.model_fields if name not in SPECIFIED]
    return "\n".join(
        [
            _INTRODUCTION,
            "## The gateway\n",
            *_table(specified),
            "",
            "## Further settings\n",
            *_table(others),
            "",
            "The default patterns of `suspicious_patterns`, which are searched for without regard to case:\n",
            "```text",
            *SUSPICIOUS_PATTERNS,
            "```\n",
            _PROVIDERS,
        ]
    )


def _table(names: list[str]) -> Iterator[str]:
    yield "| Setting | Environment | Type | Default | Meaning |"
    yield "|---|---|---|---|---|"
    for name in names:
        field = Settings.model_fields[name]
        environment = ", ".join(f"`{variable}`" for variable in environment_names(name))
        meaning = (field.description or "").replace("|", r"\|")
        yield f"| `{name}` | {environment} | {_type(field)} | {_default(name, field)} | {meaning} |"


def _type(field: FieldInfo) -> str:
    return _describe(field.annotation)


def _describe(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return _describe(next(argument for argument in arguments if argument is not type(None)))
    if hasattr(annotation, "__metadata__"):
        return _describe(annotation.__origin__)
    if origin is Literal:
        return ", ".join(f"`{argument}`" for argument in arguments)
    if origin is tuple:
        return "list"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return "mapping"
    words = {bool: "true or false", int: "whole number", float: "number", str: "text", Secret: "text, secret"}
    return words[annotation]


def _default(name: str, field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True, validated_data={})
    if name == "suspicious_patterns":
        return "see below"
    if value is None or value in ((), {}):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


if __name__ == "__main__":
    sys.stdout.write(markdown())
