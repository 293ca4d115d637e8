"""A ledger that goes on in memory while its store can't be used, and says so.

Paid pictures come first: a full disk or a damaged file costs the record across restarts, never a call.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TypeVar, Unpack, cast

import anyio

from mcp_server.generations.generation import Generation
from mcp_server.generations.ledger import Begun, Changes, Full, Held, Ledger, LedgerError, Terms, day_of
from mcp_server.generations.memory import MemoryLedger

logger = logging.getLogger(__name__)

RETRY = timedelta(seconds=15)
"""After a failure the store is left alone for so long: waiting for a lock takes seconds."""

Result = TypeVar("Result")


class FallbackLedger:
    """A `Ledger` over `store`, and memory for what that does not take. Never raises `LedgerError`.

    `name` is what messages call the store; without it they tell nothing of it. `trouble` is what to tell
    people, while there is any.
    """

    def __init__(
        self, store: Ledger, name: str | None, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._store = store
        self._name = name
        self._clock = clock
        self._memory = MemoryLedger(clock)  # rows that the store does not have, or not as they are
        self._at_work: dict[str, Generation] = {}  # rows that this process makes, until they are over
        self._late: dict[str, Changes] = {}  # what the store has not taken, of rows that it has
        self._new: set[str] = set()  # rows that it does not have at all
        self._counted: dict[tuple[str, bool], tuple[datetime, int]] = {}  # what it last said of a day
        self._catching_up = anyio.Lock()
        self._failed_at: datetime | None = None
        self.trouble: str | None = None

    async def begin(
        self, wanted: Generation, terms: Terms | None, *, doubts_since: datetime | None = None
    ) -> Begun | Full | Held | None:
        """See `Ledger.begin`."""
        await self._catch_up()
        if claimed := await self._memory.begin(wanted, None, doubts_since=doubts_since):
            return claimed
        begun = await self._try(lambda: self._store.begin(wanted, terms, doubts_since=doubts_since))
        if self._failed_at:
            return await self._begin_in_memory(wanted, terms)
        if isinstance(begun, Begun) and begun.generation.owner == wanted.owner:
            self._at_work[begun.generation.id] = begun.generation
        return begun

    async def _begin_in_memory(self, wanted: Generation, terms: Terms | None) -> Begun | Full | None:
        """As `begin`, with what the store last said of the day taken off the budget."""
        day, used = self._counted.get((wanted.caller, wanted.emulated), (day_of(wanted.created), 0))
        if terms and terms.per_day is not None and day == day_of(wanted.created):
            # What memory has of the store's rows, it counts by itself.
            used -= sum(
                row.counted
                for row in self._memory.rows.values()
                if row.id not in self._new
                and (row.caller, row.emulated) == (wanted.caller, wanted.emulated)
                and row.status != "pending"
                and row.created >= day
            )
            used = max(0, used)
            terms = replace(terms, per_day=max(0, terms.per_day - used))
        else:
            used = 0
        begun = await self._memory.begin(wanted, terms)
        if isinstance(begun, Begun) and not begun.claimed:
            self._new.add(wanted.id)
        return replace(begun, used=begun.used + used) if isinstance(begun, Full) and begun.per_day else begun

    async def update(self, *generation_ids: str, **changes: Unpack[Changes]) -> None:
        """See `Ledger.update`."""
        await self._memory.update(*generation_ids, **changes)
        rows = [row for name in generation_ids if (row := self._at_work.get(name))]
        for row in rows:
            self._at_work[row.id] = replace(row, **changes)
        in_time = [name for name in generation_ids if name not in self._late and name not in self._new]
        if in_time:
            await self._try(lambda: self._store.update(*in_time, **changes))
        # Only what changed here: others may have changed the rest.
        for name in generation_ids if self._failed_at else set(generation_ids) - set(in_time):
            if name not in self._new:
                self._late[name] = cast("Changes", {**self._late.get(name, {}), **changes})
        for row in rows:
            now = self._at_work.get(row.id)
            if now and now.status != "pending" and (now.delivered or now.abandoned):
                del self._at_work[row.id]

    async def put(self, generation: Generation) -> None:
        """See `Ledger.put`."""
        await self._try(lambda: self._store.put(generation))

    async def renew(self, process: str, until: datetime) -> None:
        """See `Ledger.renew`."""
        await self._catch_up()
        await self._memory.renew(process, until)
        await self._try(lambda: self._store.renew(process, until))

    async def get(self, caller: str, generation_id: str) -> Generation | None:
        """See `Ledger.get`."""
        if row := await self._memory.get(caller, generation_id):
            return row
        return await self._try(lambda: self._store.get(caller, generation_id))

    async def recent(self, caller: str, most: int, *, before: Generation | None = None) -> list[Generation]:
        """See `Ledger.recent`."""
        stored = await self._try(lambda: self._store.recent(caller, most, before=before)) or []
        held = await self._memory.recent(caller, most, before=before)
        rows = {row.id: row for row in [*stored, *held]}
        return sorted(rows.values(), key=lambda row: row.order, reverse=True)[:most]

    async def with_link(self, caller: str, url: str) -> Generation | None:
        """See `Ledger.with_link`."""
        if row := await self._memory.with_link(caller, url):
            return row
        return await self._try(lambda: self._store.with_link(caller, url))

    async def images_since(self, caller: str, since: datetime, *, emulated: bool) -> int:
        """See `Ledger.images_since`."""
        stored = await self._try(lambda: self._store.images_since(caller, since, emulated=emulated))
        if stored is None:
            day, counted = self._counted.get((caller, emulated), (since, 0))
            stored = counted if day == since else 0
        self._counted[caller, emulated] = (since, stored)
        return stored + await self._memory.images_since(caller, since, emulated=emulated)

    async def prune(self, before: datetime) -> None:
        """See `Ledger.prune`."""
        await self._try(lambda: self._store.prune(before))

    async def check(self) -> None:
        """Whether the store can be used.

        Raises:
            LedgerError: it can't.
        """
        await self._store.check()

    async def attend(self) -> None:
        """See `Ledger.attend`."""
        await self._store.attend()

    async def close(self) -> None:
        """Write what is late, if it can be written now, and let go of the store."""
        self._failed_at = None
        await self._catch_up()
        await self._try(self._store.close)

    async def _try(self, work: Callable[[], Awaitable[Result]]) -> Result | None:
        """What the store answers; None where it can't be used."""
        now = self._clock()
        if self._failed_at and now < self._failed_at + RETRY:
            return None
        try:
            result = await work()
        except LedgerError as error:
            if self._failed_at is None:
                logger.warning("the ledger can't be used: %s", error)
            self._failed_at = now
            of_what = f" ({self._name}) can't be used: {error}" if self._name else " can't be used"
            elsewhere = ", or name another place in SEEDREAM_STORE_URL" if self._name else ""
            self.trouble = (
                f"The record of generations{of_what}. What is made now is remembered, and counted against "
                f"budgets, only until this server ends. A person must mend that{elsewhere}."
            )
            for row in self._at_work.values():
                self._memory.rows[row.id] = row
                self._late.setdefault(row.id, {})
            return None
        self._failed_at = self.trouble = None
        return result

    async def _catch_up(self) -> None:
        """Write to the store what it did not take when it happened."""
        if not (self._new or self._late):
            return
        async with self._catching_up:
            await self._write_late()

    async def _write_late(self) -> None:
        for generation_id in [*self._new, *self._late]:
            row, changes = self._memory.rows.get(generation_id), self._late.get(generation_id)
            if generation_id in self._new and row:
                await self._try(partial(self._store.put, row))
            elif changes:
                await self._try(partial(self._store.update, generation_id, **changes))
            if self._failed_at:
                return
            if row is not self._memory.rows.get(generation_id) or changes is not self._late.get(
                generation_id
            ):
                continue  # it went on while it was written: the next time writes the rest
            self._memory.rows.pop(generation_id, None)
            self._new.discard(generation_id)
            self._late.pop(generation_id, None)
            if row and row.status == "pending":
                self._at_work[generation_id] = row
