"""Base for providers that speak OpenAI's wire format; it knows no provider by name.

A vendor's plugin is a class with a card and the vendor's differences:

    class AcmeProvider(OpenAICompatibleProvider):
        info = ProviderInfo(name="acme", title="Acme", capabilities=("chat",))
        dialect = Dialect(base_url="https://api.acme.example/v1", renamed={"seed": "random_seed"})
"""

from orchestrator_core.openai_compatible.dialect import LIMITS, Dialect, Refused, Thinking
from orchestrator_core.openai_compatible.provider import OpenAICompatibleProvider

__all__ = ["LIMITS", "Dialect", "OpenAICompatibleProvider", "Refused", "Thinking"]
