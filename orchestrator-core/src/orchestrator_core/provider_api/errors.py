"""The errors of the gateway: one closed tree, for plugins and for core.

    GatewayError
    |-- RequestError                 the caller's doing; no retry, no fallback
    |   |-- InvalidRequest           400 invalid_request
    |   |   |-- UnsupportedParameter 400 unsupported_parameter
    |   |   `-- NotSupported         400 not_supported (the provider has no such operation)
    |   |-- Unauthenticated          401 unauthenticated
    |   |-- ProviderKeyMalformed     401 provider_key_malformed (the caller's own key, not sent to the provider)
    |   |-- PermissionDenied         403 permission_denied
    |   |-- NotFound                 404 not_found
    |   |-- MethodNotAllowed         405 method_not_allowed
    |   |-- RequestTimeout           408 request_timeout
    |   |-- Conflict                 409 conflict
    |   |   |-- SessionBusy          409 session_busy
    |   |   `-- RequestInFlight      409 request_in_flight (same Idempotency-Key)
    |   |-- SessionEnded             410 session_expired, session_closed
    |   |-- PayloadTooLarge          413 payload_too_large
    |   |-- UnsupportedMediaType     415 unsupported_media_type
    |   |-- IdempotencyMismatch      422 idempotency_mismatch
    |   |-- RateLimited              429 rate_limited (a limit of the gateway)
    |   `-- BudgetExceeded           429 budget_exceeded (what the client may spend)
    |-- ProviderError                a provider or its plugin; fallback allowed
    |   |-- ProviderRefused          400, 404, 413, 422: the provider refused the request itself; no fallback
    |   |   |-- ContextTooLong       400 context_length_exceeded
    |   |   `-- ContentBlocked       400 content_blocked
    |   |-- ProviderAuthFailed       502 provider_auth_failed (401 where the caller brought the key)
    |   |-- ProviderQuotaExhausted   429 provider_quota_exhausted
    |   |-- ProviderRateLimited      429 provider_rate_limited
    |   |-- ProviderUnavailable      503 provider_unavailable; retried
    |   |   |-- ProviderNotConfigured 503 provider_not_configured; not retried
    |   |   `-- CircuitOpen          503 circuit_open (it kept failing, and was not asked); not retried
    |   |-- ProviderFailed           502 provider_failed: 500, 502, 504 and error events; retried
    |   |   |-- ProviderUnreachable  502 provider_unreachable: refused, reset, DNS, TLS
    |   |   `-- ProviderBadResponse  502 provider_bad_response: no JSON, wrong shape, cut
    |   |       `-- AnswerTooLarge   502 provider_bad_response: larger than the gateway takes; not retried
    |   |-- ProviderRedirect         502 provider_redirect
    |   |-- ProviderTimeout          504 provider_timeout
    |   `-- PluginError              502 plugin_error
    |-- StorageError                 503 storage_unavailable
    |   |-- StorageBusy              503 storage_busy
    |   `-- StorageFull              503 storage_full
    |-- DeadlineExceeded             504 deadline_exceeded (before a provider was asked)
    |-- Overloaded                   503 overloaded (the gateway itself)
    |-- ShuttingDown                 503 shutting_down
    `-- InternalError                500 internal_error

A provider maps its wire errors to this tree; `status_errors.error_for_status` does most of it. A message is written
for the client: it says what to do and holds no credential.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar


class GatewayError(Exception):
    """The base of every error that a client may see.

    Attributes:
        code: A stable word for programs.
        status: The HTTP status.
        retryable: Whether the same provider may be asked once more.
        fallback: Whether another provider may be asked instead.
        message: What happened and what to do, for people.
        param: The request field that is at fault.
        retry_after: Seconds after which to come again.
        provider: The provider instance, where one was asked.
        upstream_status: The HTTP status that the provider gave.
        upstream_type: The provider's own word for the class of the error.
        upstream_code: The provider's own word for the error.
        session_id: The session whose turn it ended, so that the caller learns of one that was made for it.
        turn_id: The turn that it ended.
        attempts: How many targets were tried or passed over.
        details: Further facts for programs, by name, such as the limit that fired. They are shown to the client.
    """

    code: str = "internal_error"
    status: int = 500
    retryable: ClassVar[bool] = False
    fallback: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        status: int | None = None,
        param: str | None = None,
        retry_after: float | None = None,
        provider: str | None = None,
        upstream_status: int | None = None,
        upstream_type: str | None = None,
        upstream_code: str | None = None,
        details: Mapping[str, str | int | float | None] | None = None,
    ) -> None:
        """Make an error. `code` and `status` refine those of the class."""
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code
        if status is not None and 400 <= status < 600:
            self.status = status
        self.param = param
        # A plugin may have computed it from anything; what is no time is none.
        usable = retry_after is not None and math.isfinite(retry_after) and retry_after >= 0
        self.retry_after = retry_after if usable else None
        self.provider = provider
        self.upstream_status = upstream_status
        self.upstream_type = upstream_type
        self.upstream_code = upstream_code
        self.session_id: str | None = None
        self.turn_id: str | None = None
        self.attempts = 0
        self.details = details or {}


class RequestError(GatewayError):
    """The caller's doing: neither a retry nor another provider would help."""

    code, status = "invalid_request", 400


class InvalidRequest(RequestError):
    """The request cannot be understood or served as it stands."""


class UnsupportedParameter(InvalidRequest):
    """A strict request has a parameter that the target would have to leave out."""

    code = "unsupported_parameter"


class NotSupported(InvalidRequest):
    """The provider has no such operation, for instance no embeddings."""

    code = "not_supported"


class Unauthenticated(RequestError):
    """The client's credential is missing or wrong."""

    code, status = "unauthenticated", 401


class ProviderKeyMalformed(RequestError):
    """The key that the caller brought for a provider cannot be one of that provider's."""

    code, status = "provider_key_malformed", 401


class PermissionDenied(RequestError):
    """The client is known and may not do this."""

    code, status = "permission_denied", 403


class NotFound(RequestError):
    """There is no such thing, or it belongs to somebody else: the two look the same."""

    code, status = "not_found", 404


class MethodNotAllowed(RequestError):
    """The path exists, with other methods."""

    code, status = "method_not_allowed", 405


class RequestTimeout(RequestError):
    """The client was too slow in sending its request."""

    code, status = "request_timeout", 408


class Conflict(RequestError):
    """The request is at odds with the present state."""

    code, status = "conflict", 409


class SessionBusy(Conflict):
    """Another turn of the same session is under way."""

    code = "session_busy"


class RequestInFlight(Conflict):
    """The first request with this idempotency key has not ended."""

    code = "request_in_flight"


class SessionEnded(RequestError):
    """The session is over; `code` is `session_expired` or `session_closed`."""

    code, status = "session_expired", 410


class PayloadTooLarge(RequestError):
    """The request body is larger than allowed."""

    code, status = "payload_too_large", 413


class UnsupportedMediaType(RequestError):
    """The request body is of a kind or encoding that is not taken."""

    code, status = "unsupported_media_type", 415


class IdempotencyMismatch(RequestError):
    """An idempotency key came again with another request."""

    code, status = "idempotency_mismatch", 422


class RateLimited(RequestError):
    """A limit of the gateway fired; the message names it."""

    code, status = "rate_limited", 429


class BudgetExceeded(RequestError):
    """What the client may spend in a period is spent, or promised to calls under way; `details` say how much it is."""

    code, status = "budget_exceeded", 429


class ProviderError(GatewayError):
    """A provider failed, or its plugin did."""

    code, status = "provider_failed", 502
    fallback = True


class ProviderRefused(ProviderError):
    """The provider refused the request itself (400, 404, 413, 422): the caller has to change it."""

    code, status = "provider_refused", 400
    fallback = False


class ContextTooLong(ProviderRefused):
    """The conversation does not fit into the model's context window."""

    code = "context_length_exceeded"


class ContentBlocked(ProviderRefused):
    """The provider's content filter refused the request."""

    code = "content_blocked"


class ProviderAuthFailed(ProviderError):
    """The provider refused the credential."""

    code, status = "provider_auth_failed", 502


class ProviderQuotaExhausted(ProviderError):
    """The account has no money or quota left: waiting does not help."""

    code, status = "provider_quota_exhausted", 429


class ProviderRateLimited(ProviderError):
    """The provider asks to slow down."""

    code, status = "provider_rate_limited", 429
    retryable = True


class ProviderUnavailable(ProviderError):
    """The provider is overloaded or down (503, 529)."""

    code, status = "provider_unavailable", 503
    retryable = True


class ProviderNotConfigured(ProviderUnavailable):
    """The provider has no usable credential here."""

    code = "provider_not_configured"
    retryable = False


class CircuitOpen(ProviderUnavailable):
    """The provider's model failed too often of late, and is left alone; `retry_after` says for how long."""

    code = "circuit_open"
    retryable = False


class ProviderFailed(ProviderError):
    """The provider had an error of its own (500, 502, 504, an error event)."""

    retryable = True


class ProviderUnreachable(ProviderFailed):
    """No connection: refused, reset, DNS or TLS failure."""

    code = "provider_unreachable"


class ProviderBadResponse(ProviderFailed):
    """The answer is not what the provider's protocol promises."""

    code = "provider_bad_response"


class AnswerTooLarge(ProviderBadResponse):
    """The answer is larger than the gateway takes: its own bound, which another try would reach again."""

    retryable = False


class ProviderRedirect(ProviderError):
    """The provider redirected, which is never followed: it would carry the key away."""

    code = "provider_redirect"


class ProviderTimeout(ProviderError):
    """The provider did not answer in time."""

    code, status = "provider_timeout", 504


class PluginError(ProviderError):
    """The plugin broke the contract or raised something unknown."""

    code = "plugin_error"


class StorageError(GatewayError):
    """The conversation store cannot be used now."""

    code, status = "storage_unavailable", 503


class StorageBusy(StorageError):
    """The store was locked for longer than a request may wait."""

    code = "storage_busy"


class StorageFull(StorageError):
    """The store has no room; the provider was not asked."""

    code = "storage_full"


class DeadlineExceeded(GatewayError):
    """The caller's own time limit ended before a provider was asked."""

    code, status = "deadline_exceeded", 504


class Overloaded(GatewayError):
    """The gateway has more in flight, in all or at one provider, than it was sized for."""

    code, status = "overloaded", 503
    fallback = True


class ShuttingDown(GatewayError):
    """The gateway is stopping and takes no new work."""

    code, status = "shutting_down", 503


class InternalError(GatewayError):
    """A fault of the gateway; the request id leads to the log."""
