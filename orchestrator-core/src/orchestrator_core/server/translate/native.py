"""What an upstream said in a dialect of clients, where it has to be read here."""

from __future__ import annotations

import jiter

from orchestrator_core.provider_api import Json, NativeEvent, PluginError


def native_json(native: NativeEvent) -> Json:
    """Return what an upstream's own bytes say.

    Raises:
        PluginError: They are no JSON.
    """
    try:
        value: Json = jiter.from_json(native.data)
    except ValueError:
        raise PluginError("The provider's plugin gave an event of its provider's own that is no JSON.") from None
    return value
