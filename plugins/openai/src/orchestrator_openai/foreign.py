"""Fields of other vendors of the protocol, which OpenAI refuses as unknown.

A chat that was written for another vendor may fall back to OpenAI. Any other field that is not known here is passed on,
so that what OpenAI adds next year arrives.
"""

from __future__ import annotations

from typing import Final

# https://docs.mistral.ai/api/endpoint/chat
_MISTRAL: Final = ("guardrails", "prefix", "prompt_mode", "random_seed", "safe_prompt", "document_url")

# https://www.alibabacloud.com/help/en/model-studio/qwen-api-via-openai-chat-completions
_QWEN: Final = (
    "enable_search",
    "enable_thinking",
    "partial",
    "preserve_thinking",
    "repetition_penalty",
    "search_options",
    "thinking_budget",
    "top_k",
    "video_url",
    "vl_high_resolution_images",
)

# https://api-docs.deepseek.com/guides/thinking_mode and https://platform.kimi.ai/docs/api/chat
_THINKERS: Final = ("thinking", "reasoning_content", "reasoning_details")

# https://docs.x.ai/docs/api-reference#chat-completions
_XAI: Final = ("deferred", "search_parameters")

# https://platform.claude.com/docs/en/api/messages/create
_ANTHROPIC: Final = ("cache_control", "mcp_servers", "output_config")

# https://ai.google.dev/gemini-api/docs/openai
_GEMINI: Final = ("cached_content", "extra_body", "generation_config", "safety_settings", "thinking_config")

FOREIGN: Final = frozenset((*_MISTRAL, *_QWEN, *_THINKERS, *_XAI, *_ANTHROPIC, *_GEMINI))
