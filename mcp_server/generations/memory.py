"""The ledger in memory: for `memory://`, and where the file can't be used. It ends with the process."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Unpack

from mcp_server.generations.generation import Generation
from mcp_server.generations.ledger import (
    LEASE,
    MINUTE,
    RECENT_TIMES,
    Begun,
    Changes,
    Full,
    Terms,
    day_of,
    full,
    usual,
)

MOST_REMEMBERED = 2_000


class MemoryLedger:
    """A `Ledger` that one event loop shares, of at most so many rows; `rows` are by id, oldest first.

    `clock` tells the time.
    """

    def __init__(
        self, clock: Callable[[], datetime] = lambda: datetime.now(UTC), most: int = MOST_REMEMBERED
    ) -> None:
        self._clock = clock
        self._most = most
        self.rows: dict[str, Generation] = {}
        self._leases: dict[str, datetime] = {}

    async def begin(
        self, wanted: Generation, terms: Terms | None, *, doubts_since: datetime | None = None
    ) -> Begun | Full | None:
        """See `Ledger.begin`."""
        self._leases[wanted.owner] = wanted.created + LEASE
        self._sweep()
        identical = [row for row in self._of(wanted.caller) if row.fingerprint == wanted.fingerprint]
        abandoned = [row for row in identical if row.abandoned]
        of_use = [row for row in abandoned if _of_use(row, wanted)] or [
            row
            for row in abandoned
            if row.status == "unknown" and doubts_since and row.created > doubts_since
        ]
        if of_use:
            claimed = replace(of_use[0], abandoned=False, delivered=False, waiter=wanted.waiter)
            self.rows[claimed.id] = claimed
            return Begun(claimed, claimed=True, usual_seconds=self._usual(wanted))
        if terms is None:
            return None
        if (terms.per_day or terms.per_minute) and (no_room := self._full(wanted, terms)):
            return no_room
        doubted = []
        for row in identical:
            if row.status == "succeeded":
                break
            if row.status == "unknown":
                doubted.append(row)
        self.rows[wanted.id] = wanted
        while len(self.rows) > self._most:
            del self.rows[next(iter(self.rows))]
        return Begun(wanted, in_doubt=tuple(doubted), usual_seconds=self._usual(wanted))

    async def update(self, *generation_ids: str, **changes: Unpack[Changes]) -> None:
        """See `Ledger.update`."""
        for generation_id in generation_ids:
            if row := self.rows.get(generation_id):
                self.rows[generation_id] = replace(row, **changes)

    async def put(self, generation: Generation) -> None:
        """See `Ledger.put`."""
        self.rows[generation.id] = generation

    async def renew(self, process: str, until: datetime) -> None:
        """See `Ledger.renew`."""
        self._leases[process] = until

    async def get(self, caller: str, generation_id: str) -> Generation | None:
        """See `Ledger.get`."""
        self._sweep()
        row = self.rows.get(generation_id)
        return row if row and row.caller == caller else None

    async def recent(self, caller: str, most: int, *, before: Generation | None = None) -> list[Generation]:
        """See `Ledger.recent`."""
        self._sweep()
        older = [row for row in self._of(caller) if before is None or row.order < before.order]
        return sorted(older, key=lambda row: row.order, reverse=True)[:most]

    async def with_link(self, caller: str, url: str) -> Generation | None:
        """See `Ledger.with_link`."""
        return next((row for row in self._of(caller) if url in row.urls), None)

    async def images_since(self, caller: str, since: datetime, *, emulated: bool) -> int:
        """See `Ledger.images_since`."""
        return sum(
            row.counted
            for row in self._of(caller)
            if row.created >= since and row.status != "pending" and row.emulated == emulated
        )

    async def prune(self, before: datetime) -> None:
        """See `Ledger.prune`."""
        self.rows = {name: row for name, row in self.rows.items() if row.created >= before}

    async def check(self) -> None:
        """It is always there."""

    async def attend(self) -> None:
        """Nobody else sees it."""

    async def close(self) -> None:
        """Nothing to let go of."""

    def _of(self, caller: str) -> Iterator[Generation]:
        """The caller's rows, newest first."""
        return (row for row in reversed(self.rows.values()) if row.caller == caller)

    def _full(self, wanted: Generation, terms: Terms) -> Full | None:
        alike = [row for row in self._of(wanted.caller) if row.emulated == wanted.emulated][::-1]
        midnight = day_of(wanted.created)
        today = sum(row.counted for row in alike if row.created >= midnight)
        window = [(row.created, row.counted) for row in alike if row.created > wanted.created - MINUTE]
        return full(today, window, wanted, terms)

    def _usual(self, wanted: Generation) -> float | None:
        alike = (
            (row.ended - row.created).total_seconds()
            for row in self._of(wanted.caller)
            if row.status == "succeeded"
            and row.ended
            and (row.model, row.most, row.emulated) == (wanted.model, wanted.most, wanted.emulated)
        )
        return usual([seconds for seconds, _ in zip(alike, range(RECENT_TIMES), strict=False)])

    def _sweep(self) -> None:
        """What the end of processes means for their rows."""
        now = self._clock()
        for process in [process for process, until in self._leases.items() if until <= now]:
            del self._leases[process]
            for row in list(self.rows.values()):
                after = row
                if row.waiter == process and not row.delivered and row.status != "failed":
                    after = replace(after, abandoned=True)
                if row.owner == process and row.pictures is None:
                    after = replace(after, pictures={})
                if row.owner == process and row.status == "pending":
                    after = replace(after, status="unknown", ended=now)
                self.rows[row.id] = after


def _of_use(row: Generation, wanted: Generation) -> bool:
    """Whether an abandoned row is worth claiming: it will have, or still has, links that work."""
    if row.status == "pending":
        return True
    # The embedded emulator's links end with its process.
    reachable = not row.emulated or row.owner == wanted.owner
    return row.status == "succeeded" and reachable and row.works_until > wanted.created
