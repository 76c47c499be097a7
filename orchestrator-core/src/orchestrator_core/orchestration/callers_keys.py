"""Keys that callers bring for a provider: one that cannot be the provider's is not sent to it."""

from __future__ import annotations

from typing import Final

import structlog

from orchestrator_core.config import Settings
from orchestrator_core.plugins import Provider
from orchestrator_core.provider_api import KeyVerdict, ProviderKeyMalformed, Secret

_KEPT: Final = 2048
"""Keys that are not judged again."""

_FLAWS: Final = {
    "placeholder": "it is an example that was never replaced",
    "foreign": "it is another vendor's key",
    "malformed": "it has not the form of this provider's keys",
}

log = structlog.get_logger(__name__)


class CallersKeys:
    """Judges keys by the forms that their provider declares.

    What was found is remembered by a hash of the key, which is used for its request only.
    """

    def __init__(self, settings: Settings) -> None:
        """Judge as strictly as the server's own keys are judged.

        Args:
            settings: `key_check`.
        """
        self._strict = settings.key_check == "strict"
        self._taken: dict[tuple[str, int], None] = {}

    def check(self, provider: Provider, credential: Secret) -> None:
        """Refuse a key that cannot be one of a provider's.

        An example is always refused. Any other form is taken, with a warning, where the operator tolerates odd keys
        (`ORCHESTRATOR_KEY_CHECK=warn`), and where the provider's name stands for a server of the operator's choice:
        who issues its keys is not known.

        Raises:
            ProviderKeyMalformed: It cannot be one.
            PluginError: The plugin failed.
        """
        key = provider.id, hash(credential)
        if key in self._taken:
            return
        verdict = provider.validate_key(credential)
        if not verdict.valid:
            strict = self._strict and provider.settings.base_url is None
            if strict or verdict.status == "placeholder":
                raise ProviderKeyMalformed(_refusal(provider, verdict), provider=provider.id)
            log.warning("caller's key of an odd form", provider=provider.id, form=verdict.status)
        if len(self._taken) >= _KEPT:
            del self._taken[next(iter(self._taken))]
        self._taken[key] = None


def _refusal(provider: Provider, verdict: KeyVerdict) -> str:
    """Return what the caller is told, without anything of the key."""
    reason = verdict.reason or _FLAWS[verdict.status]
    forms = " or ".join(form.description for form in provider.info.key_formats)
    if forms and forms not in reason:
        reason = f"{reason}; expected {forms}"
    return (
        f"The key in X-Provider-Key (on /api also X-API-Key) cannot be one of {provider.id}: {reason}. Send the "
        "provider's own key there, or leave the header out to use the server's."
    )
