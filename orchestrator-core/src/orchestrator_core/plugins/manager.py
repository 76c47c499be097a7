"""One pluggy manager for each provider instance, so that no call can reach another provider."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import pluggy

from orchestrator_core.config.messages import nearest
from orchestrator_core.plugins.defaults import DefaultHooks
from orchestrator_core.provider_api import HOOKS, PROJECT, ProviderHooks


def make_manager(instance: ProviderHooks) -> pluggy.PluginManager:
    """Return a manager with the hook specs, core's defaults and one provider.

    Raises:
        pluggy.PluginValidationError: An implementation does not fit its hook.
    """
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(ProviderHooks)
    # Of two implementations that are `trylast`, pluggy calls the one last that was registered last.
    manager.register(instance, instance.context.provider_id)
    manager.register(DefaultHooks(instance.info), "core")
    manager.check_pending()
    return manager


def check_hooks(cls: type[ProviderHooks]) -> str | None:
    """Return what is wrong with the hooks of a class, in words for its author, or None.

    pluggy itself reports a misspelt hook or argument only when an instance is registered; the class is enough.
    """
    for name in dir(cls):
        method = inspect.getattr_static(cls, name)
        if not hasattr(method, f"{PROJECT}_impl"):
            continue
        if name not in HOOKS:
            hint = nearest(name, HOOKS)
            return f"{name} is marked with @hookimpl and is no hook: the hooks are {', '.join(HOOKS)}.{hint}"
        parameters = list(inspect.signature(method).parameters.values())
        ordinary = all(item.kind is item.POSITIONAL_OR_KEYWORD and item.default is item.empty for item in parameters)
        if [item.name for item in parameters] != ["self", "request"] or not ordinary:
            return f"the hook {name} must take exactly one argument, named request, without a default"
        if name == "chat" and not _gives_events(inspect.unwrap(method)):
            return "the hook chat must be an async generator: write `async def` with `yield` in it"
    return None


def implemented_hooks(cls: type[ProviderHooks]) -> tuple[str, ...]:
    """Return the hooks that a class implements itself."""
    return tuple(name for name in HOOKS if hasattr(getattr(cls, name), f"{PROJECT}_impl"))


def _gives_events(function: Callable[..., object]) -> bool:
    """Whether a function is an async generator, or says that it hands one on."""
    if inspect.iscoroutinefunction(function):
        return False
    said = str(inspect.signature(function).return_annotation)
    return inspect.isasyncgenfunction(function) or "AsyncGenerator" in said or "ChatEvents" in said
