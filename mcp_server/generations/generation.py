"""A generation: one request to the API, and what became of it. A row of the ledger."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit

LINK_LIFE = timedelta(hours=24)
"""About how long a link works: the model's origin says so, Novita does not document it."""

Status = Literal["pending", "succeeded", "failed", "unknown"]
"""`failed` was not billed; `unknown` may have been."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture that was fetched: what it is by its content, and where it is saved."""

    mime_type: str
    width: int
    height: int
    saved_path: Path | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """The error that a generation ended with, as `SeedreamError` has it."""

    code: str
    problem: str
    remedy: str
    who: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """One request to the API. Holds no image data and no secrets."""

    id: str
    caller: str
    fingerprint: str  # the same for the same request: see `fingerprint`
    owner: str  # the process that sends the request
    waiter: str  # the process whose call waits for it: the owner, until another claims it
    model: str
    prompt: str
    requested: Mapping[str, Any]  # as sent, without image data
    emulated: bool
    most: int  # images that it may bill
    created: datetime  # UTC, just before the request
    status: Status = "pending"
    ended: datetime | None = None  # UTC, when the reply was there
    counted: int = 0  # images against the budgets: `most` until it is known
    urls: tuple[str, ...] = ()
    unusable: int = 0  # items of the reply that were no link
    pictures: Mapping[int, Picture] | None = None  # by number from 1; None: still being fetched
    failure: Failure | None = None
    abandoned: bool = False  # nobody waits for it, and nobody has got it
    delivered: bool = False  # its result went out

    @property
    def order(self) -> tuple[datetime, str]:
        """What lists of generations are sorted by; the id keeps those of one moment apart."""
        return self.created, self.id

    @property
    def made(self) -> datetime:
        """When its pictures were there; until then, when it began."""
        return self.ended or self.created

    def expires(self, number: int) -> datetime:
        """About when the link to picture `number` (from 1) ends."""
        return link_expiry(self.urls[number - 1], self.made)

    @property
    def works_until(self) -> datetime:
        """About when the first of its links ends."""
        return first_expiry(self.urls, self.made)


@dataclass(frozen=True, slots=True)
class Made:
    """What a call gets: a generation that succeeded, and what is to be said of it."""

    generation: Generation
    images_today: int  # of this caller since midnight UTC, this generation's included
    recovered: bool = False  # it was made for an earlier call, which never got it
    warnings: list[str] = field(default_factory=list)
    previews: Mapping[int, bytes] = field(default_factory=dict)  # JPEGs by number from 1


def link_expiry(url: str, created: datetime) -> datetime:
    """When a link ends: as its own query says, as object stores sign them, or else by `LINK_LIFE`."""
    try:
        query = {name.lower(): value for name, value in parse_qsl(urlsplit(url).query)}
        for name in ("expires", "x-expires"):
            if name in query:
                return datetime.fromtimestamp(int(query[name]), UTC)
        for vendor in ("x-tos", "x-amz"):
            if f"{vendor}-expires" in query:
                signed = datetime.strptime(query[f"{vendor}-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
                return signed + timedelta(seconds=int(query[f"{vendor}-expires"]))
    except (ValueError, KeyError, OverflowError, OSError):
        pass  # nothing that could be read
    return created + LINK_LIFE


def first_expiry(urls: Iterable[str], created: datetime) -> datetime:
    """About when the first of the links ends."""
    return min((link_expiry(url, created) for url in urls), default=created)
