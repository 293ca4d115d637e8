"""Everything that can go wrong, as one tree; each error knows the text that an agent may see.

    SeedreamError
     |-- InvalidArgument        [invalid_argument]       the call breaks a documented limit
     |-- ImageNotFound          [image_not_found]        a local reference image is not there
     |-- ImageUnusable          [image_unusable]         a reference image breaks a limit
     |-- NotConfigured          [not_configured]         no API key
     |-- BudgetExceeded         [budget_exceeded]        a cap on images is reached, or the person said no
     |-- Internal               [internal]               a fault of this server
     `-- UpstreamError          the API answered, or failed to
          |-- Authentication        [authentication]        the key was refused
          |-- InsufficientBalance   [insufficient_balance]  the account is empty
          |-- PermissionRequired    [permission]            the account lacks access
          |-- ContentRejected       [content_rejected]      moderation
          |-- UpstreamRejected      [upstream_rejected]     any other refusal
          |-- RateLimited           [rate_limited]          too many requests; surely not billed
          |-- UpstreamUnavailable   [upstream_unavailable]  nothing was sent, or it was turned away
          |    `-- UploadFailed     [upstream_unavailable]  it broke off before it was complete
          |-- OutcomeUnknown        [outcome_unknown]       sent, and may have been billed
          `-- BadUpstreamReply      [bad_upstream_reply]    a success that holds no image

Only text that this package wrote goes into a message. What the upstream said is untrusted: it
enters through `quote`, and through nothing else.
"""

import re
import traceback
import unicodedata
from typing import ClassVar, Literal

QUOTE_LIMIT = 300
"""Longest quotation of foreign text, in characters."""

_DATA_URI = re.compile(r"data:[^,\s]{0,100},[A-Za-z0-9+/=_%-]*")
_ENCODED = re.compile(r"[A-Za-z0-9+/=_-]{60,}")

Who = Literal["you", "a person"]
Billed = Literal["no", "unknown"]


def quote(text: str, secrets: tuple[str, ...] = ()) -> str:
    """`text` from outside as one quoted line of at most 300 characters.

    Control and format characters, image data and the given secrets are left out.
    """
    for secret in filter(None, secrets):
        text = text.replace(secret, "[secret]")
    text = text[: QUOTE_LIMIT * 20]  # bounds the work below; far more than is kept
    text = _ENCODED.sub("[data]", _DATA_URI.sub("[image data]", text))
    text = "".join(" " if unicodedata.category(char)[0] in "CZ" else char for char in text)
    text = " ".join(text.split()).replace('"', "'")
    if len(text) > QUOTE_LIMIT - 2:
        text = text[: QUOTE_LIMIT - 3] + "…"
    return f'"{text}"'


class SeedreamError(Exception):
    """A failure that an agent, or the person behind it, can act on.

    `problem` is what is wrong, `remedy` what to do about it; both are one line of trusted text.
    """

    code: ClassVar[str]
    who: Who = "you"
    billed: ClassVar[Billed] = "no"

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.remedy = remedy

    def text(self) -> str:
        """The whole message: `[code] problem`, then what to do, who must, whether it was billed."""
        billed = {
            "no": "no",
            "unknown": "unknown (the request was sent; the account's usage page can tell)",
        }[self.billed]
        return (
            f"[{self.code}] {self.problem}\n"
            f"What to do: {self.remedy}\n"
            f"Who must do it: {self.who}\n"
            f"Billed: {billed}"
        )


class InvalidArgument(SeedreamError):
    """The call breaks a documented limit. Nothing was sent."""

    code = "invalid_argument"


class ImageNotFound(SeedreamError):
    """A local reference image is not there. Nothing was sent."""

    code = "image_not_found"


class ImageUnusable(SeedreamError):
    """A reference image breaks a documented limit, or can't be read. Nothing was sent."""

    code = "image_unusable"


class NotConfigured(SeedreamError):
    """There is no API key. Nothing was sent."""

    code = "not_configured"
    who = "a person"


class BudgetExceeded(SeedreamError):
    """A cap on images has no room for the call, or the person did not confirm it. Nothing was sent."""

    code = "budget_exceeded"


class Internal(SeedreamError):
    """A fault of this server; the log on stderr has the details."""

    code = "internal"
    who = "a person"
    billed = "unknown"

    def __init__(
        self,
        problem: str = "This server failed in a way that it should not",
        remedy: str = "tell the person; its log on stderr says more. Do not repeat the call by yourself",
    ) -> None:
        super().__init__(problem, remedy)


class UpstreamError(SeedreamError):
    """The API refused, failed, or did not answer.

    `retry_after` is what the API asked to wait, in seconds, where it did.
    """

    retryable: ClassVar[bool] = False
    """Whether the same request may be sent again: only where surely nothing was billed."""

    def __init__(
        self, problem: str, remedy: str, retry_after: float | None = None, who: Who | None = None
    ) -> None:
        super().__init__(problem, remedy)
        self.retry_after = retry_after
        self.who = who or type(self).who


class Authentication(UpstreamError):
    """The API refused the key."""

    code = "authentication"
    who = "a person"


class InsufficientBalance(UpstreamError):
    """The account has no balance left."""

    code = "insufficient_balance"
    who = "a person"


class PermissionRequired(UpstreamError):
    """The account may not use this model."""

    code = "permission"
    who = "a person"


class ContentRejected(UpstreamError):
    """Moderation refused the prompt, a reference, or the result."""

    code = "content_rejected"


class UpstreamRejected(UpstreamError):
    """The API refused the request for any other reason."""

    code = "upstream_rejected"


class RateLimited(UpstreamError):
    """Too many requests; the API billed nothing."""

    code = "rate_limited"
    retryable = True


class UpstreamUnavailable(UpstreamError):
    """No connection was made, or the API turned the request away unread."""

    code = "upstream_unavailable"
    retryable = True


class UploadFailed(UpstreamUnavailable):
    """The request broke off before it was complete. Uploads are long: not repeated by itself."""

    retryable = False


class OutcomeUnknown(UpstreamError):
    """The request was sent, and what became of it is not known: it may have been billed."""

    code = "outcome_unknown"
    who = "a person"
    billed = "unknown"


class BadUpstreamReply(UpstreamError):
    """The API said success, and its reply holds no usable image."""

    code = "bad_upstream_reply"
    who = "a person"
    billed = "unknown"


def describe(error: BaseException) -> str:
    """What a log may say of a fault of ours: its type and its place; its text may hold the caller's data."""
    last = traceback.extract_tb(error.__traceback__)[-1:]
    return " at ".join([type(error).__name__, *(f"{frame.filename}:{frame.lineno}" for frame in last)])


def revive(code: str, problem: str, remedy: str, who: str) -> SeedreamError:
    """The error that another process, or an earlier call, has written down."""
    error = _kinds(SeedreamError).get(code, Internal)(problem, remedy)
    error.who = "a person" if who == "a person" else "you"
    return error


def _kinds(base: type[SeedreamError]) -> dict[str, type[SeedreamError]]:
    """The classes below `base` by code; the one higher in the tree where two share one."""
    kinds: dict[str, type[SeedreamError]] = {}
    for kind in base.__subclasses__():
        below = _kinds(kind)
        kinds |= {**below, kind.code: kind} if "code" in vars(kind) else below
    return kinds
