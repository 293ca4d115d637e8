"""The API's errors, and httpx's, as ours. Classified by the reason first, then by the status.

The rows are those of the API's error table; a test walks it, and every exception httpx has.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import httpx

from mcp_server.client.retry import parse_retry_after
from mcp_server.errors import (
    Authentication,
    BadUpstreamReply,
    ContentRejected,
    InsufficientBalance,
    OutcomeUnknown,
    PermissionRequired,
    RateLimited,
    UploadFailed,
    UpstreamError,
    UpstreamRejected,
    UpstreamUnavailable,
    quote,
)

_REASONS: Mapping[str, type[UpstreamError]] = {
    **dict.fromkeys(
        (
            "INVALID_REQUEST_BODY",
            "INVALID_IMAGE_SIZE",
            "INVALID_IMAGE_FORMAT",
            "IMAGE_FILE_EXCEEDS_MAX_SIZE",
            "IMAGE_EXCEEDS_MAX_RESOLUTION",
            "API_NOT_FOUND",
        ),
        UpstreamRejected,
    ),
    **dict.fromkeys(
        (
            "ILLEGAL_PROMPT",
            "ILLEGAL_IMAGE_CONTENT",
            "InputTextSensitiveContentDetected",
            "InputImageSensitiveContentDetected",
            "OutputImageSensitiveContentDetected",
        ),
        ContentRejected,
    ),
    **dict.fromkeys(
        ("BILLING_BALANCE_NOT_ENOUGH", "NOT_ENOUGH_BALANCE", "BILLING_AUTH_FAILED"), InsufficientBalance
    ),
    **dict.fromkeys(("MISSING_API_KEY", "INVALID_API_KEY", "FAILED_TO_AUTH"), Authentication),
    **dict.fromkeys(
        ("API_NOT_ALLOWED", "FEATURE_NOT_ALLOWED", "NEED_REAL_NAME_VERIFY", "model_access_denied"),
        PermissionRequired,
    ),
    **dict.fromkeys(("RATE_LIMIT_EXCEEDED", "RequestBurstTooFast", "ServerOverloaded"), RateLimited),
    "SERVICE_NOT_AVAILABLE": UpstreamUnavailable,
    **dict.fromkeys(("BILLING_FAILED", "CREATE_TASK_FAILED", "TASK_FAILED"), OutcomeUnknown),
}
_STATUSES: Mapping[int, type[UpstreamError]] = {
    401: Authentication,
    402: InsufficientBalance,
    403: PermissionRequired,
    408: OutcomeUnknown,
    429: RateLimited,
    503: UpstreamUnavailable,
}
_PROBLEMS: Mapping[type[UpstreamError], str] = {
    UpstreamRejected: "The API refused the request",
    ContentRejected: "The API's moderation refused the request",
    InsufficientBalance: "The account's balance is not enough",
    Authentication: "The API refused the key in NOVITA_API_KEY",
    PermissionRequired: "The account may not use this model or feature",
    RateLimited: "The API's rate limit is reached",
    UpstreamUnavailable: "The API is not available",
    OutcomeUnknown: "The API failed after it took the request",
}
_REMEDIES: Mapping[type[UpstreamError], str] = {
    UpstreamRejected: "change the argument that the API names, then call again",
    ContentRejected: "reword the prompt, or use another reference image; the same call will be refused again",
    InsufficientBalance: "a person must top up the account at Novita; until then every call fails",
    Authentication: "a person must put a valid key into NOVITA_API_KEY and restart the server",
    PermissionRequired: "a person must get access to the model in the Novita account",
    RateLimited: "wait a minute, then call again",
    UpstreamUnavailable: "wait a minute, then call again",
    OutcomeUnknown: (
        "do not repeat the call by yourself: it may be billed a second time. Tell the person, who can "
        "look at the account's usage page and decide"
    ),
}
# Statuses after which the outcome is unknown whatever retryable thing the body says of itself.
_AFTER_THE_REQUEST = frozenset({500, 502, 504})


def from_response(status: int, headers: Mapping[str, str], body: bytes, secret: str) -> UpstreamError:
    """The error that a reply with a status other than 200 means.

    `secret`, the API key, never gets into the message, even where the API repeats it.
    """
    reply = _json(body)
    kind = next((known for code in _codes(reply) if (known := _by_reason(code))), None)
    if kind is None:
        kind = _STATUSES.get(status, OutcomeUnknown if status >= 500 else UpstreamRejected)
    if status in _AFTER_THE_REQUEST and kind.retryable:
        kind = OutcomeUnknown
    problem, remedy, who = _PROBLEMS[kind], _REMEDIES[kind], kind.who
    if kind is UpstreamRejected and (status in (404, 405) or 300 <= status < 400):
        remedy = "a person must check NOVITA_BASE_URL and SEEDREAM_MODEL: there is no such API"
        who = "a person"
    problem += f" (HTTP {status}){what_it_says(reply, secret)}"
    retry_after = parse_retry_after(headers.get("retry-after"), datetime.now(UTC))
    if kind.retryable and retry_after is not None:
        remedy = f"wait {max(1, round(retry_after))} s, as the API asks, then call again"
    return kind(problem, remedy, retry_after, who)


def what_it_says(reply: object, secret: str) -> str:
    """`, it said "…"` with the message of an error body, quoted; empty where it has none."""
    said = next(_messages(reply), "")
    return f", it said {quote(said, (secret,))}" if said else ""


def from_exception(error: httpx.RequestError | TimeoutError, *, whole: bool = True) -> UpstreamError:
    """The error that an exception of a request means: was anything sent when it happened?

    `whole` is false where the body was cut off before its last byte: no JSON, so nothing to bill.

    Only names of exceptions are used: their texts may hold addresses and proxy passwords.
    """
    name = type(error).__name__
    # ProxyError is the proxy's refusal to connect, so the API saw nothing.
    if isinstance(
        error,
        (
            httpx.ConnectError,
            httpx.ConnectTimeout,
            httpx.PoolTimeout,
            httpx.ProxyError,
            httpx.UnsupportedProtocol,
            httpx.LocalProtocolError,
        ),
    ):
        return UpstreamUnavailable(
            f"No connection to the API could be made ({name}); nothing was sent",
            "check the network, NOVITA_BASE_URL, and behind a company proxy HTTPS_PROXY and SSL_CERT_FILE; "
            "then call again",
        )
    if not whole:
        return UploadFailed(
            f"The connection to the API broke before the request was complete ({name})",
            "check the network; fewer or smaller reference images upload faster. Then call again",
        )
    if isinstance(error, httpx.DecodingError):
        return BadUpstreamReply("The API's reply could not be decoded", _REMEDIES[OutcomeUnknown])
    if isinstance(error, (httpx.TimeoutException, TimeoutError)):
        problem = f"The API did not answer in time ({name}; SEEDREAM_TIMEOUT_SECONDS sets how long to wait)"
    else:
        problem = f"The connection to the API broke after the request was sent ({name})"
    return OutcomeUnknown(problem, _REMEDIES[OutcomeUnknown])


def _by_reason(code: str) -> type[UpstreamError] | None:
    """The error for a reason, also for one with a suffix (`OutputImage…Detected.PolicyViolation`)."""
    return _REASONS.get(code) or _REASONS.get(code.partition(".")[0])


def _json(text: str | bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _parts(reply: object) -> Iterator[Mapping[str, Any]]:
    """The objects that may describe the error, the most exact first.

    The origin's own error may stand as JSON text inside `message`.
    """
    if not isinstance(reply, dict):
        return
    error = reply.get("error")
    for outer in ({"message": error} if isinstance(error, str) else error, reply):
        if isinstance(outer, dict):
            inner = _json(outer["message"]) if isinstance(outer.get("message"), str) else None
            if isinstance(inner, dict):
                yield from (part for part in (inner.get("error"), inner) if isinstance(part, dict))
            yield outer


def _codes(reply: object) -> Iterator[str]:
    for part in _parts(reply):
        yield from (part[key] for key in ("reason", "code") if isinstance(part.get(key), str))


def _messages(reply: object) -> Iterator[str]:
    for part in _parts(reply):
        yield from (
            part[key] for key in ("message", "reason") if isinstance(part.get(key), str) and part[key]
        )
