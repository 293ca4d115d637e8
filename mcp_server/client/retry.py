"""When to send again, and how long to wait first. Pure functions, no clock of their own.

`POST` is not idempotent upstream: sending twice pays twice. So only errors that say of themselves
that surely nothing was billed (`UpstreamError.retryable`) come here.
"""

import math
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from mcp_server.errors import UpstreamError

ATTEMPTS = 4
"""The most times that one request is sent."""

LONGEST_WAIT = 30.0
"""Seconds. Asked to wait longer, the call ends and says when to come back: hosts give up sooner."""

_FIRST_WAIT = 0.5


def wait_before_retry(error: UpstreamError, attempt: int, jitter: float) -> float | None:
    """Seconds to wait after attempt number `attempt` (from 1) failed with `error`; None: give up.

    `jitter` is a random number in [0, 1). What the API asked for (`retry_after`) is never undercut.
    """
    if not error.retryable or attempt >= ATTEMPTS:
        return None
    backoff = float(_FIRST_WAIT * 2 ** (attempt - 1) * (1 + jitter))
    if error.retry_after is None:
        return backoff
    if error.retry_after > LONGEST_WAIT:
        return None
    # A little spread behind the moment named, or every waiting caller comes back at once.
    return error.retry_after + jitter * _FIRST_WAIT


def parse_retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds to wait by a `Retry-After` header, given as seconds or as an HTTP date; None: unusable."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            when = parsedate_to_datetime(value)
        except (ValueError, OverflowError):
            return None
        seconds = ((when if when.tzinfo else when.replace(tzinfo=UTC)) - now).total_seconds()
    return min(max(seconds, 0.0), 86_400.0 * 365) if not math.isnan(seconds) else None
