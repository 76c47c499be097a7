"""The SQL of sessions that are copied in parts, for SQLite and PostgreSQL.

A fork's rows become rows without passing through this process. The session that is filled is not there for anybody
until `SHOW_SESSION`; what a process that ended left unfinished is deleted by whoever comes next.
"""

from __future__ import annotations

ADD_HIDDEN_SESSION = """
INSERT INTO sessions (tenant, id, user_id, metadata, created_at, active_at, parent_id, filled_by)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""

SHOW_SESSION = """
UPDATE sessions SET filled_by = NULL, last_turn_id = ?, last_turn_at = ?, message_count = ?, last_sequence = ?,
       unsummarized = ?, summary_id = ?, seen_summary_id = ?, last_summary_at = ?, providers = ?, total_tokens = ?,
       total_cost = ?, answered_turns = ?, answer_time = ?
WHERE tenant = ? AND id = ? AND filled_by IS NOT NULL RETURNING id
"""

FORGET_HIDDEN_SESSION = "DELETE FROM sessions WHERE tenant = ? AND id = ? AND filled_by IS NOT NULL"

FORGET_HIDDEN_SESSIONS = """
DELETE FROM sessions WHERE filled_by IS NOT NULL AND filled_by NOT IN (SELECT id FROM processes)
"""
"""All tenants': those whose process has ended."""

FIND_MESSAGE = "SELECT sequence, turn_id FROM messages WHERE tenant = ? AND session_id = ? AND id = ?"
"""No index knows the ids of messages: their session is walked."""

FIND_SUMMARY = """
SELECT id, upto_sequence, created_at FROM summaries WHERE tenant = ? AND session_id = ? AND upto_sequence <= ?
ORDER BY upto_sequence DESC LIMIT 1
"""

COPY_SUMMARY = """
INSERT INTO summaries (tenant, id, session_id, from_sequence, upto_sequence, text, provider, model, tokens_after,
                       created_at)
SELECT tenant, CAST(?1 AS TEXT), CAST(?2 AS TEXT), 1, upto_sequence, text, provider, model, tokens_after, created_at
FROM summaries WHERE tenant = ?3 AND id = ?4
"""
"""Without what it stands for in tokens: that was counted for its own step, and here it covers all from the first."""

COPY_TURNS = """
INSERT INTO turns (tenant, id, session_id, state, summary_id, first_with_summary, first_sequence, messages,
                   user_messages, answer_sequence, provider, model, finish_reason, attempts, adjustments, error_code,
                   duration, started_at, finished_at, client, settings)
SELECT t.tenant, CAST(?1 AS TEXT) || substr(CAST(10000000000 + t.first_sequence AS TEXT), 2), CAST(?2 AS TEXT),
       t.state, CASE WHEN t.summary_id = CAST(?3 AS TEXT) THEN CAST(?4 AS TEXT) END,
       CASE WHEN t.summary_id = CAST(?3 AS TEXT) THEN t.first_with_summary ELSE 0 END, t.first_sequence, t.messages,
       t.user_messages, t.answer_sequence, t.provider, t.model, t.finish_reason, t.attempts, t.adjustments,
       t.error_code, t.duration, t.started_at, t.finished_at, t.client, t.settings
FROM messages m JOIN turns t ON t.tenant = m.tenant AND t.id = m.turn_id AND t.first_sequence = m.sequence
WHERE m.tenant = ?5 AND m.session_id = ?6 AND m.sequence BETWEEN ?7 AND ?8
RETURNING id, first_sequence, state, messages, user_messages, answer_sequence, provider, summary_id, started_at
"""
"""Without key, process, usage and cost: a key means one turn, and nothing is to be counted twice."""

ADD_PARTED_TURN = """
INSERT INTO turns (tenant, id, session_id, state, first_sequence, messages, user_messages, started_at, finished_at,
                   client, settings)
VALUES (?, ?, ?, 'interrupted', ?, ?, ?, ?, ?, ?, ?)
RETURNING id, first_sequence, state, messages, user_messages, answer_sequence, provider, summary_id, started_at
"""

COPY_MESSAGES = """
INSERT INTO messages (tenant, session_id, sequence, id, turn_id, role, name, parts, created_at)
SELECT m.tenant, CAST(?3 AS TEXT), m.sequence,
       CAST(?1 AS TEXT) || substr(CAST(10000000000 + m.sequence AS TEXT), 2),
       CAST(?2 AS TEXT) || substr(CAST(10000000000 + t.first_sequence AS TEXT), 2), m.role, m.name, m.parts,
       m.created_at
FROM messages m JOIN turns t ON t.tenant = m.tenant AND t.id = m.turn_id
WHERE m.tenant = ?4 AND m.session_id = ?5 AND m.sequence BETWEEN ?6 AND ?7
"""

IMPORT_TURN = """
INSERT INTO turns (tenant, id, session_id, state, summary_id, first_with_summary, first_sequence, messages,
                   user_messages, answer_sequence, provider, model, finish_reason, input_tokens, cached_input_tokens,
                   cache_write_tokens, output_tokens, reasoning_tokens, usage_details, cost, price_version, attempts,
                   adjustments, error_code, duration, started_at, finished_at, client, settings)
"""

IMPORT_MESSAGE = """
INSERT INTO messages (tenant, session_id, sequence, id, turn_id, role, name, parts, created_at)
"""

IMPORT_SUMMARY = """
INSERT INTO summaries (tenant, id, session_id, from_sequence, upto_sequence, replaces, text, provider, model,
                       input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens,
                       usage_details, cost, tokens_before, tokens_after, created_at)
"""
