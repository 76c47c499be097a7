"""The names that plugins may rely on: adding one is a decision, losing one breaks them."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

from orchestrator_core import provider_api
from orchestrator_core.provider_api import HOOKS, GatewayError, ProviderHooks, errors


def test_every_exported_name_exists_and_all_is_sorted() -> None:
    exported = provider_api.__all__
    assert sorted(exported, key=lambda name: (not name.isupper(), not name[0].isupper(), name)) == list(exported)
    assert [name for name in exported if not hasattr(provider_api, name)] == []


def test_every_public_class_and_function_of_the_contract_is_exported() -> None:
    defined = {
        name
        for module in pkgutil.iter_modules(provider_api.__path__, f"{provider_api.__name__}.")
        for name, value in vars(importlib.import_module(module.name)).items()
        if (inspect.isclass(value) or inspect.isfunction(value))
        and not name.startswith("_")
        and value.__module__ == module.name
    }
    assert defined - set(provider_api.__all__) == set()


def test_a_hook_has_one_parameter_without_a_default() -> None:
    for hook in HOOKS:
        parameters = list(inspect.signature(getattr(ProviderHooks, hook)).parameters.values())
        assert [parameter.name for parameter in parameters] == ["self", "request"]
        assert parameters[1].default is inspect.Parameter.empty


def test_the_tree_of_errors_is_drawn_as_it_is() -> None:
    drawn = errors.__doc__ or ""

    def check(kind: type[GatewayError], depth: int) -> None:
        line = next(line for line in drawn.splitlines() if line.strip("|`- ").split(" ")[0] == kind.__name__)
        assert line.index(kind.__name__) == 4 + 4 * depth, kind.__name__
        for child in kind.__subclasses__():
            if child.__module__ == errors.__name__:
                check(child, depth + 1)

    check(GatewayError, 0)
