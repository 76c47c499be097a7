"""The SQL of the clients' keys. They belong to no tenant: each names one."""

from __future__ import annotations

_COLUMNS = (
    "name, role, digest, previous_digest, previous_until, providers, models, requests_per_minute, "
    "session_requests_per_minute, budget_usd, budget_tokens, budget_period, expires_at, revoked_at, revision"
)

LOCK_CLIENTS = "LOCK TABLE clients IN SHARE ROW EXCLUSIVE MODE"
"""Those who write come one after the other, so that revisions are committed in their order; readers need not wait."""

NEXT_REVISION = "SELECT revision FROM clients ORDER BY revision DESC LIMIT 1"

COUNT_CLIENTS = "SELECT count(*) FROM clients WHERE revoked_at IS NULL"

FIND_CLIENT_NAME = "SELECT id FROM clients WHERE name = ? AND revoked_at IS NULL"

INSERT_CLIENT = f"""
INSERT INTO clients (id, tenant, created_at, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""  # noqa: S608 - names of this file

UPDATE_CLIENT = """
UPDATE clients SET name = ?, role = ?, digest = ?, previous_digest = ?, previous_until = ?, providers = ?, models = ?,
       requests_per_minute = ?, session_requests_per_minute = ?, budget_usd = ?, budget_tokens = ?, budget_period = ?,
       expires_at = ?, revoked_at = ?, revision = ?
WHERE id = ?
"""

_CLIENT = f"SELECT id, tenant, created_at, {_COLUMNS} FROM clients "  # noqa: S608 - names of this file

GET_CLIENT = _CLIENT + "WHERE id = ?"

LIST_CLIENTS = _CLIENT + "ORDER BY created_at, id LIMIT ? OFFSET ?"

LIST_VALID_CLIENTS = _CLIENT + "WHERE revoked_at IS NULL ORDER BY created_at, id LIMIT ? OFFSET ?"

LIST_CHANGED_CLIENTS = _CLIENT + "WHERE revision > ? ORDER BY revision"

HAS_CLIENT = "SELECT 1 FROM clients WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?) LIMIT 1"
