"""The SQL of the store, for SQLite and PostgreSQL. Times are microseconds since the epoch, UTC.

Every statement names the tenant, but for those that put in order what processes left behind.

SQLite has no statistics here and takes a tenant for a handful of rows: where it would read all of them, `INDEXED BY`
says what to use. `tests/core/sessions/test_session_schema.py` reads every
plan.
"""

from __future__ import annotations

_SESSION_COLUMNS = """
s.id, s.user_id, s.metadata, s.created_at, s.last_turn_at, s.closed_at, s.message_count, s.last_sequence,
s.unsummarized, s.providers, s.seen_summary_id, s.last_turn_id, last.state,
s.summary_id, m.from_sequence, m.upto_sequence, m.text, m.created_at, m.provider, m.model, s.fence, s.parent_id
"""

_OF_SESSION = """
LEFT JOIN turns last ON last.tenant = s.tenant AND last.id = s.last_turn_id
LEFT JOIN summaries m ON m.tenant = s.tenant AND m.id = s.summary_id
"""

SESSION = f"SELECT {_SESSION_COLUMNS} FROM sessions s {_OF_SESSION}"  # noqa: S608 - names of this file
"""The columns of a session; a condition follows."""

LOCK_SESSION = "SELECT id FROM sessions WHERE tenant = ? AND id = ? FOR UPDATE"

LOCK_SESSION_OF_TURN = """
SELECT id FROM sessions WHERE tenant = ?1 AND id = (SELECT session_id FROM turns WHERE tenant = ?1 AND id = ?2)
FOR UPDATE
"""

HAS_SESSION = "SELECT 1 FROM sessions WHERE tenant = ? AND id = ?"

GET_SESSION = SESSION + "WHERE s.tenant = ? AND s.id = ? AND s.filled_by IS NULL"

INSERT_SESSION = """
INSERT INTO sessions (tenant, id, user_id, metadata, created_at, active_at, parent_id) VALUES (?, ?, ?, ?, ?, ?, ?)
"""

INSERT_LABELS = "INSERT INTO labels (tenant, name, value, created_at, session_id)"
"""Values follow."""

DELETE_LABELS = "DELETE FROM labels WHERE tenant = ? AND session_id = ?"

ADD_TO_TENANT = """
INSERT INTO tenants (tenant, shard, total_created, total_duration) VALUES (?, ?, ?, ?)
ON CONFLICT (tenant, shard) DO UPDATE SET
  total_created = tenants.total_created + excluded.total_created,
  total_duration = tenants.total_duration + excluded.total_duration
"""

SET_METADATA = "UPDATE sessions SET metadata = ? WHERE tenant = ? AND id = ?"

CLOSE_SESSION = "UPDATE sessions SET closed_at = coalesce(closed_at, ?) WHERE tenant = ? AND id = ?"

DELETE_SESSION = "DELETE FROM sessions WHERE tenant = ? AND id = ? RETURNING id"

DELETE_REPLIES = """
DELETE FROM idempotency WHERE tenant = ?1 AND key IN (
  SELECT idempotency_key FROM turns INDEXED BY turns_session
  WHERE tenant = ?1 AND session_id = ?2 AND idempotency_key IS NOT NULL)
"""

DELETE_REPLIES_OF_SESSION = "DELETE FROM idempotency WHERE tenant = ? AND session_id = ?"

SESSION_BEGINS_TURN = """
UPDATE sessions SET last_turn_id = ?, last_turn_at = ?, active_at = ?, message_count = ?, last_sequence = ?,
       unsummarized = ?, fence = ?
WHERE tenant = ? AND id = ? AND coalesce(last_turn_id, '') = ? AND last_sequence = ?
  AND coalesce(summary_id, '') = ? AND closed_at IS NULL
"""
"""Where another turn or a summary came in between, the session is not what the turn goes on with."""

SESSION_ENDS_TURN = """
UPDATE sessions SET message_count = ?, last_sequence = ?, unsummarized = ?, seen_summary_id = ?, providers = ?,
       total_tokens = total_tokens + ?, total_cost = COALESCE(total_cost + ?, total_cost, ?),
       answered_turns = answered_turns + ?, answer_time = answer_time + ?
WHERE tenant = ? AND id = ? AND last_turn_id = ? AND last_turn_at = ? AND last_sequence = ?
  AND coalesce(summary_id, '') = ?
"""
"""Where another turn, another try or a summary came in between, the session is not what the turn left behind."""

SESSION_GETS_SUMMARY = """
UPDATE sessions SET summary_id = ?, last_summary_at = ?, unsummarized = ?, total_tokens = total_tokens + ?,
       total_cost = COALESCE(total_cost + ?, total_cost, ?)
WHERE tenant = ? AND id = ?
"""

CHARGE_SESSION = """
UPDATE sessions SET total_tokens = total_tokens + ?, total_cost = COALESCE(total_cost + ?, total_cost, ?)
WHERE tenant = ? AND id = ?
"""
"""One that is gone is passed over."""

GET_METRICS = """
SELECT message_count, providers, total_tokens, total_cost, answered_turns, answer_time, last_summary_at, created_at
FROM sessions WHERE tenant = ? AND id = ? AND filled_by IS NULL
"""

HAS_ANSWERED_TURN = """
SELECT 1 FROM turns INDEXED BY turns_session
WHERE tenant = ? AND session_id = ? AND provider IS NOT NULL AND process_id IS NOT NULL LIMIT 1
"""
"""One of its own: those that were copied into it have no process, and cost nothing here."""

GET_TENANT = """
SELECT CAST(coalesce(sum(total_created), 0) AS BIGINT), CAST(coalesce(sum(total_duration), 0) AS BIGINT)
FROM tenants WHERE tenant = ?
"""

COUNT_ACTIVE = """
SELECT count(*) FROM sessions WHERE tenant = ? AND closed_at IS NULL AND active_at >= ? AND filled_by IS NULL
"""

_SELECT_TURN = """
SELECT t.id, t.session_id, t.state, t.started_at, t.summary_id, t.first_sequence, t.messages, t.user_messages,
t.answer_sequence, t.first_with_summary, t.provider, t.model, t.finish_reason, t.input_tokens,
t.cached_input_tokens, t.cache_write_tokens, t.output_tokens, t.reasoning_tokens, t.usage_details, t.cost,
t.price_version, t.attempts, t.adjustments, t.error_code, t.duration, t.client, t.finished_at,
t.idempotency_key IS NOT NULL, t.settings, t.fingerprint
"""

_TURN = _SELECT_TURN + "FROM turns t "

GET_TURN = _TURN + "WHERE tenant = ? AND id = ?"

GET_TURN_BY_KEY = _TURN + "WHERE tenant = ? AND idempotency_key = ?"

GET_TURN_OF_SESSION = _TURN + "WHERE tenant = ? AND session_id = ? AND id = ?"

GET_TURN_AND_SESSION = (
    f"{_SELECT_TURN}, {_SESSION_COLUMNS} FROM turns t JOIN sessions s ON s.tenant = t.tenant AND s.id = t.session_id "
    f"{_OF_SESSION} WHERE t.tenant = ? AND t.id = ?"
)
"""The columns of a turn and then those of its session."""

GET_TURNS = (
    _SELECT_TURN
    + """
FROM messages m JOIN turns t ON t.tenant = m.tenant AND t.id = m.turn_id AND t.first_sequence = m.sequence
WHERE m.tenant = ? AND m.session_id = ? AND m.sequence > ? ORDER BY m.sequence LIMIT ?
"""
)
"""In the order of their first messages, whose index it walks."""

FORGET_TURN_KEY = "UPDATE turns SET idempotency_key = NULL WHERE tenant = ? AND id = ?"

INSERT_TURN = """
INSERT INTO turns (tenant, id, session_id, state, idempotency_key, summary_id, first_sequence, messages,
                   user_messages, started_at, process_id, client, settings, fingerprint)
VALUES (?, ?, ?, 'pending', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""

RESUME_TURN = """
UPDATE turns SET state = 'pending', summary_id = ?, answer_sequence = NULL, error_code = NULL, started_at = ?,
       finished_at = NULL, process_id = ?, settings = ?
WHERE tenant = ? AND id = ?
"""

END_TURN = """
UPDATE turns SET state = ?, summary_id = ?, first_with_summary = ?, answer_sequence = ?, provider = ?, model = ?,
       finish_reason = ?, input_tokens = ?, cached_input_tokens = ?, cache_write_tokens = ?, output_tokens = ?,
       reasoning_tokens = ?, usage_details = ?, cost = ?, price_version = ?, attempts = ?, adjustments = ?,
       error_code = ?, duration = ?, finished_at = ?
WHERE tenant = ? AND id = ? AND started_at = ?
  AND (state = 'pending' OR (state = 'interrupted' AND error_code IN ('process_ended', 'abandoned')))
"""
"""Somebody may have taken the turn up again: then its end is theirs to write."""

ABANDON_TURN = """
UPDATE turns SET state = ?, error_code = ?, finished_at = ? WHERE tenant = ? AND id = ? AND state = 'pending'
"""

ABANDON_TRY = """
UPDATE turns SET state = ?, error_code = ?, finished_at = ?
WHERE tenant = ? AND id = ? AND started_at = ? AND state = 'pending'
"""

INSERT_MESSAGE = """
INSERT INTO messages (tenant, session_id, sequence, id, turn_id, role, name, parts, created_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""

DELETE_MESSAGE = "DELETE FROM messages WHERE tenant = ? AND session_id = ? AND sequence = ?"

_MESSAGE = """
SELECT m.id, m.sequence, m.turn_id, t.state, m.role, m.name, m.parts, m.created_at, t.provider, t.model
FROM messages m JOIN turns t ON t.tenant = m.tenant AND t.id = m.turn_id
"""

GET_MESSAGE = _MESSAGE + "WHERE m.tenant = ? AND m.session_id = ? AND m.sequence = ?"

_CONTEXT = _MESSAGE + "WHERE m.tenant = ? AND m.session_id = ? AND m.sequence > ? AND t.state <> 'failed' "

GET_OLDEST = _CONTEXT + "ORDER BY m.sequence LIMIT ?"

GET_NEWEST = _CONTEXT + "AND m.sequence < ? ORDER BY m.sequence DESC LIMIT ?"

GET_HISTORY = _MESSAGE + "WHERE m.tenant = ? AND m.session_id = ? AND m.sequence > ? ORDER BY m.sequence LIMIT ?"

GET_MESSAGES = _MESSAGE + "WHERE m.tenant = ? AND m.session_id = ? AND m.sequence BETWEEN ? AND ? ORDER BY m.sequence"

GET_SAID = """
SELECT role, name, parts FROM messages
WHERE tenant = ? AND session_id = ? AND sequence BETWEEN ? AND ? ORDER BY sequence
"""

COUNT_CONTEXT = """
SELECT count(*) FROM messages m JOIN turns t ON t.tenant = m.tenant AND t.id = m.turn_id
WHERE m.tenant = ? AND m.session_id = ? AND m.sequence > ? AND m.sequence <= ? AND t.state <> 'failed'
"""

INSERT_SUMMARY = """
INSERT INTO summaries (tenant, id, session_id, from_sequence, upto_sequence, replaces, text, provider, model,
                       input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens,
                       usage_details, cost, tokens_before, tokens_after, created_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""

_SUMMARY = """
SELECT id, from_sequence, upto_sequence, replaces, text, provider, model, input_tokens, cached_input_tokens,
       cache_write_tokens, output_tokens, reasoning_tokens, usage_details, cost, tokens_before, tokens_after,
       created_at
FROM summaries WHERE tenant = ? AND session_id = ?
"""

GET_SUMMARIES = _SUMMARY + "ORDER BY upto_sequence LIMIT ? OFFSET ?"

GET_NEWEST_SUMMARY = _SUMMARY + "ORDER BY upto_sequence DESC LIMIT 1"

GET_SUMMARIZED_TURNS = """
SELECT turn_id, sequence FROM messages
WHERE tenant = ? AND session_id = ? AND sequence BETWEEN ? AND ? ORDER BY sequence
"""

GET_CLAIM = """
SELECT fingerprint, status, content_type, headers, body, created_at FROM idempotency WHERE tenant = ? AND key = ?
"""

INSERT_CLAIM = """
INSERT INTO idempotency (tenant, key, fingerprint, created_at, process_id) VALUES (?, ?, ?, ?, ?)
"""

SETTLE_CLAIM = """
UPDATE idempotency SET status = ?, content_type = ?, headers = ?, body = ?, session_id = ?
WHERE tenant = ? AND key = ? AND process_id = ? AND created_at = ? AND status IS NULL
"""

FREE_CLAIM = """
DELETE FROM idempotency WHERE tenant = ? AND key = ? AND process_id = ? AND created_at = ? AND status IS NULL
"""

DELETE_CLAIM = "DELETE FROM idempotency WHERE tenant = ? AND key = ? AND created_at = ?"

INTERRUPT_TURNS = """
UPDATE turns SET state = 'interrupted', error_code = 'process_ended', finished_at = now_micros()
WHERE state = 'pending' AND (process_id IS NULL OR process_id NOT IN (SELECT id FROM processes))
"""
"""All tenants' turns: those whose process has ended."""

FREE_CLAIMS = """
DELETE FROM idempotency
WHERE status IS NULL AND (process_id IS NULL OR process_id NOT IN (SELECT id FROM processes))
"""
"""All tenants' keys: those whose process has ended."""

FORGET_CLAIMS = """
DELETE FROM idempotency WHERE (tenant, key) IN (
  SELECT tenant, key FROM idempotency WHERE created_at < ? ORDER BY created_at LIMIT ?) RETURNING key
"""
"""All tenants' keys: those that mean nothing any more."""

ADD_PROCESS = "INSERT INTO processes (id, since, seen_at) VALUES (?, now_micros(), now_micros())"

BEAT = """
UPDATE processes SET since = CASE WHEN seen_at < now_micros() - ?1 THEN now_micros() ELSE since END,
       seen_at = now_micros()
WHERE id = ?2 RETURNING since
"""

LIST_PROCESSES = "SELECT id FROM processes"

DELETE_PROCESS = "DELETE FROM processes WHERE id = ?"

DELETE_SILENT_PROCESSES = """
DELETE FROM processes WHERE seen_at < now_micros() - ?1 AND EXISTS (
  SELECT 1 FROM processes me WHERE me.id = ?2 AND me.since < now_micros() - ?1)
"""
"""A process that was itself away from the database must not judge others: they may just be coming back."""

DELETE_OTHER_PROCESSES = "DELETE FROM processes WHERE id <> ?"

TAKE_LEASE = """
INSERT INTO leases (name, holder, until, process_id) VALUES (?1, ?2, now_micros() + ?3, ?4)
ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until, process_id = excluded.process_id
WHERE leases.holder = excluded.holder OR leases.until < now_micros()
   OR leases.process_id NOT IN (SELECT id FROM processes)
RETURNING holder
"""
"""A lease of a process that has ended is free at once."""

END_LEASE = "DELETE FROM leases WHERE name = ? AND holder = ?"

LEAVE_FINDING = "UPDATE leases SET finding = ? WHERE name = ? AND holder = ?"

GET_FINDING = "SELECT finding FROM leases WHERE name = ?"

LIST_TENANTS = "SELECT DISTINCT tenant FROM tenants"

LIST_EXPIRED = """
SELECT id FROM sessions WHERE tenant = ? AND closed_at IS NULL AND active_at < ? ORDER BY active_at LIMIT ?
"""

LIST_CLOSED = "SELECT id FROM sessions WHERE tenant = ? AND closed_at < ? ORDER BY closed_at LIMIT ?"

STILL_ENDED = """
SELECT id FROM sessions WHERE tenant = ? AND id = ? AND (active_at < ? OR closed_at IS NOT NULL)
"""

ADD_USAGE = """
INSERT INTO usage (tenant, day, user_id, client, provider, model, operation, shard, calls, input_tokens,
                   cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, cost, unpriced, seconds)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (tenant, day, user_id, client, provider, model, operation, shard) DO UPDATE SET
  calls = usage.calls + excluded.calls,
  input_tokens = usage.input_tokens + excluded.input_tokens,
  cached_input_tokens = usage.cached_input_tokens + excluded.cached_input_tokens,
  cache_write_tokens = usage.cache_write_tokens + excluded.cache_write_tokens,
  output_tokens = usage.output_tokens + excluded.output_tokens,
  reasoning_tokens = usage.reasoning_tokens + excluded.reasoning_tokens,
  cost = usage.cost + excluded.cost,
  unpriced = usage.unpriced + excluded.unpriced,
  seconds = usage.seconds + excluded.seconds
"""

PROBE = "INSERT INTO idempotency (tenant, key, fingerprint, body, created_at) VALUES ('', ?, '', ?, 0)"

END_PROBE = "DELETE FROM idempotency WHERE tenant = '' AND key = ?"
