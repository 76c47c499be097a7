"""Qwen (Alibaba Cloud Model Studio) as a provider of the orchestrator gateway."""

from orchestrator_qwen.provider import QwenProvider

__all__ = ["QwenProvider"]
