"""The ledger: a row for each generation, written before its request is sent.

`Ledger` is the protocol; `memory`, `sqlite` and `redis` implement it, and one contract test suite runs
against each. What the rules mean stands here; `memory` is the plainest way to read them as code.

- A row is **abandoned** when the call that waited for it ended without its result. `begin` gives an
  abandoned row to the next identical call of the same caller: to exactly one, whatever races.
- Each process holds a **lease** that it renews while it has work. When it lapses, or the process is known
  to be dead, its pending rows become unknown, and what nobody had got from it counts as abandoned.
- A pending row **counts** against the budgets with the most that it may bill; `update` settles it.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Protocol, TypedDict, Unpack

from mcp_server.generations.generation import Failure, Generation, Picture, Status

LEASE = timedelta(seconds=30)
"""How long a process that does not renew its lease counts as alive."""

MINUTE = timedelta(minutes=1)
RECENT_TIMES = 20
"""How many earlier generations the usual time is the median of."""


class LedgerError(Exception):
    """The store can't be used; `str()` says why in a few words, without the path."""


class Changes(TypedDict, total=False):
    """What may change in a row."""

    status: Status
    ended: datetime
    counted: int
    urls: tuple[str, ...]
    unusable: int
    pictures: dict[int, Picture]
    failure: Failure
    abandoned: bool
    delivered: bool


@dataclass(frozen=True, slots=True)
class Terms:
    """The budgets of a caller, in images."""

    per_minute: int | None = None
    per_day: int | None = None


@dataclass(frozen=True, slots=True)
class Begun:
    """A row that is now the call's own: a new one, or an abandoned one that it has claimed."""

    generation: Generation
    claimed: bool = False
    in_doubt: tuple[Generation, ...] = ()  # identical ones, since the last success, that may have been billed
    usual_seconds: float | None = None  # what requests of as many images took lately


@dataclass(frozen=True, slots=True)
class Full:
    """A budget has no room: nothing was written."""

    per_day: bool  # else the one per minute
    used: int  # images, reserved ones included
    until: datetime  # when there is room if nothing else is made


@dataclass(frozen=True, slots=True)
class Held:
    """An identical request is under way in a process that may be dead: soon that is known."""


class Ledger(Protocol):
    """Rows of generations, shared by all processes that use the same store.

    Raises:
        LedgerError: from any method, when the store can't be used.
    """

    async def begin(
        self, wanted: Generation, terms: Terms | None, *, doubts_since: datetime | None = None
    ) -> Begun | Full | Held | None:
        """In one atomic step: claim an abandoned row identical to `wanted`, or else reserve and insert it.

        Without `terms` nothing is inserted: None where there is nothing to claim. `wanted.created` is now;
        the lease of `wanted.owner` runs from it. With `doubts_since` rows begun since then are claimed, too,
        that are unknown and whose callers were never told so.
        """

    async def update(self, *generation_ids: str, **changes: Unpack[Changes]) -> None:
        """Change rows; of an id that is not there, nothing."""

    async def put(self, generation: Generation) -> None:
        """Write a whole row that was begun elsewhere, while this store could not be used."""

    async def renew(self, process: str, until: datetime) -> None:
        """Let the lease of `process` run to `until`; a time that has passed ends it."""

    async def get(self, caller: str, generation_id: str) -> Generation | None:
        """A row of the caller's."""

    async def recent(self, caller: str, most: int, *, before: Generation | None = None) -> list[Generation]:
        """The caller's newest rows, newest first; only those older than `before`."""

    async def with_link(self, caller: str, url: str) -> Generation | None:
        """The caller's newest row with a picture at `url`."""

    async def images_since(self, caller: str, since: datetime, *, emulated: bool) -> int:
        """How many images the caller's rows of a day have made, or may have; pending ones do not count.

        `since` is the day's midnight, UTC.
        """

    async def prune(self, before: datetime) -> None:
        """Forget rows created before then."""

    async def check(self) -> None:
        """Whether the store can be used, and nothing else."""

    async def attend(self) -> None:
        """Show others that this process lives, for as long as this runs: more than its lease can."""

    async def close(self) -> None:
        """Let go of the store."""


def day_of(now: datetime) -> datetime:
    """The last midnight, UTC: when the budget of the day began."""
    return now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def full(today: int, window: list[tuple[datetime, int]], wanted: Generation, terms: Terms) -> Full | None:
    """Whether the budgets have no room for `wanted`.

    `today` are the images of the caller's rows of the day, `window` the times and images of those of the last
    minute, oldest first; each with what is reserved.
    """
    now = wanted.created
    if terms.per_day is not None and today + wanted.most > terms.per_day:
        return Full(per_day=True, used=today, until=day_of(now) + timedelta(days=1))
    used = left = sum(count for _, count in window)
    if terms.per_minute is None or used + wanted.most <= terms.per_minute:
        return None
    until = now + MINUTE
    for created, count in window:
        left -= count
        until = created + MINUTE
        if left + wanted.most <= terms.per_minute:
            break
    return Full(per_day=False, used=used, until=until)


def usual(seconds: list[float]) -> float | None:
    """The usual time, from those of earlier generations."""
    return median(seconds) if seconds else None
