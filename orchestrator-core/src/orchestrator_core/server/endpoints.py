"""All endpoints of the gateway."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator_core.server import documentation, page
from orchestrator_core.server.endpoint import Endpoint
from orchestrator_core.server.routes import (
    activity,
    clients,
    connectors,
    health,
    messages,
    openai,
    orchestrate,
    session_copies,
    session_history,
    session_transfer,
    session_turns,
    sessions,
    status,
    summaries,
    usage,
)

ENDPOINTS: Sequence[Endpoint] = (
    *orchestrate.ENDPOINTS,
    *sessions.ENDPOINTS,
    *summaries.ENDPOINTS,
    *session_history.ENDPOINTS,
    *session_turns.ENDPOINTS,
    *session_copies.ENDPOINTS,
    *session_transfer.ENDPOINTS,
    *status.ENDPOINTS,
    *activity.ENDPOINTS,
    *usage.ENDPOINTS,
    *clients.ENDPOINTS,
    *openai.ENDPOINTS,
    *messages.ENDPOINTS,
    *connectors.ENDPOINTS,
    *health.ENDPOINTS,
    *documentation.ENDPOINTS,
    *page.ENDPOINTS,
)
"""In the order of the documentation."""
