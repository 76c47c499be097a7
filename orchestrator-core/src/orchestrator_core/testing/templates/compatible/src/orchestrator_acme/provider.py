"""Acme's models, over its OpenAI-compatible API."""

from orchestrator_core.openai_compatible import Dialect, OpenAICompatibleProvider
from orchestrator_core.provider_api import KeyFormat, ModelInfo, ProviderInfo


class AcmeProvider(OpenAICompatibleProvider):
    """What the entry point names. What differs from OpenAI's protocol goes into the dialect."""

    info = ProviderInfo(
        name="acme",
        title="Acme",
        capabilities=("chat", "function_calling", "structured_output"),
        default_model="acme-large",
        models=(ModelInfo(id="acme-large", context_window=128_000),),
        key_formats=(KeyFormat(r"acme-[a-zA-Z0-9]{32}", "`acme-` and 32 letters or digits", "acme-"),),
    )
    dialect = Dialect(base_url="https://api.acme.example/v1")
