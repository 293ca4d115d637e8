"""How a call begins: by a claim, or within the budgets, with a slot, and with a request on its way."""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from weakref import WeakValueDictionary

import anyio
import anyio.lowlevel

from mcp_server.errors import Internal
from mcp_server.generations.budget import refuse
from mcp_server.generations.fallback import FallbackLedger
from mcp_server.generations.generation import Generation
from mcp_server.generations.identity import fingerprint
from mcp_server.generations.ledger import Begun, Full, Held, Terms, day_of
from mcp_server.generations.requests import Post, Requests
from mcp_server.generations.words import no_more
from mcp_server.progress import Phase
from mcp_server.references import References
from mcp_server.request import billable_images, without_image_data

LONGEST_WAIT = timedelta(seconds=60)
"""How long a call waits for its turn under `SEEDREAM_IMAGES_PER_MINUTE`: a whole window."""

_TURN_SECONDS = 1.0
"""Between two looks at a budget: others may have settled for less than they had reserved."""

_NEWS_SECONDS = 0.3
"""Between two looks at a process that may be dead."""

_DOUBTFUL = timedelta(hours=1)
"""For how long after a crash an identical call counts as a repetition."""

_TICK_SECONDS = 0.01

Confirm = Callable[[int], Awaitable[None]]
"""Asks the person whether so many images may be billed. Raises what ends the call where they may not."""


@dataclass(frozen=True, slots=True)
class Order:
    """A checked call: who asks for what."""

    caller: str
    endpoint: str  # where the request goes
    model: str
    body: Mapping[str, Any]
    references: References
    emulated: bool = False

    @property
    def most(self) -> int:
        """Images that it may bill."""
        return billable_images(self.body)


class Beginnings:
    """Rows for the calls of this process, which is `process` in the ledger.

    With `told_of_doubts` the first identical call after one that a crash cut off gets that one's outcome, an
    error, and not a request of its own: over a network calls are repeated by themselves.

    Once it is `ending` nothing is begun, and once `nobody_listens` nothing that could not begin at once.
    """

    def __init__(
        self,
        process: str,
        ledger: FallbackLedger,
        requests: Requests,
        terms: Terms,
        *,
        most_at_once: int,
        clock: Callable[[], datetime],
        sleep: Callable[[float], Awaitable[None]],
        told_of_doubts: bool,
    ) -> None:
        self._process = process
        self._ledger = ledger
        self._requests = requests
        self._terms = terms
        self._slots = anyio.Semaphore(most_at_once)
        self._clock = clock
        self._sleep = sleep
        self._told_of_doubts = told_of_doubts
        self._turns: WeakValueDictionary[tuple[str, str], anyio.Lock] = WeakValueDictionary()
        self._takers = 0
        self.ending = False
        self.nobody_listens = False

    async def settle(self) -> None:
        """Wait until what is being begun has a row, and a request under way."""
        while self._takers:  # noqa: ASYNC110 - moments
            await anyio.sleep(_TICK_SECONDS)

    async def begin(self, order: Order, post: Post, phase: Phase, confirm: Confirm | None) -> Begun:
        """A row for the order: one to claim, or a new one whose request is on its way."""
        self._check_not_ending()
        wanted = Generation(
            id=secrets.token_hex(8),
            caller=order.caller,
            fingerprint=await fingerprint(order.endpoint, order.body),
            owner=self._process,
            waiter=self._process,
            model=order.model,
            prompt=order.body["prompt"],
            requested=without_image_data(order.body),
            emulated=order.emulated,
            most=order.most,
            counted=order.most,
            created=self._clock(),
        )
        if confirm:
            if claimed := await self._claim(wanted, phase):
                return claimed
            await self._check_day(wanted)
            if self.nobody_listens:
                raise no_more()
            await confirm(order.most)
        patience = self._clock() + LONGEST_WAIT
        while True:
            taken = await self._take_with_slot(order, wanted, post, phase)
            if isinstance(taken, Begun):
                return taken
            if isinstance(taken, Full):
                await self._wait_for_room(taken, wanted, patience, phase)
            else:
                await self._wait_for_news(phase)

    async def _claim(self, wanted: Generation, phase: Phase) -> Begun | None:
        """An abandoned row, if there is one."""
        while isinstance(taken := await self._take(wanted, None, _send_nothing), Held):
            await self._wait_for_news(phase)
        return taken if isinstance(taken, Begun) else None

    async def _take_with_slot(
        self, order: Order, wanted: Generation, post: Post, phase: Phase
    ) -> Begun | Full | Held | None:
        """A row to claim, or a new one whose request is sent once there is a slot for it."""
        immediate = self._slots.value > 0
        if not immediate:
            phase.enter("slot", lambda waited: f"Waiting for other requests to end, {waited:.0f} s")
        await self._slots.acquire()
        if self.nobody_listens and not immediate:
            self._slots.release()
            raise no_more()
        sent = False

        def send(wanted: Generation) -> None:
            nonlocal sent
            self._requests.send(wanted, order.body, order.references, post, self._slots.release)
            sent = True

        try:
            return await self._take(replace(wanted, created=self._clock()), self._terms, send)
        finally:
            if not sent:
                self._slots.release()

    async def _wait_for_news(self, phase: Phase) -> None:
        """Wait a little for a process with the same request that may be dead to return, or to be given up."""
        if self.nobody_listens:
            raise no_more()
        phase.enter("held", lambda waited: f"Looking for an identical earlier request, {waited:.0f} s")
        await self._sleep(_NEWS_SECONDS)

    async def _check_day(self, wanted: Generation) -> None:
        """Refuse what the day has no room for, before the person is asked about it."""
        if (cap := self._terms.per_day) is None:
            return
        day = day_of(wanted.created)
        used = await self._ledger.images_since(wanted.caller, day, emulated=wanted.emulated)
        if used + wanted.most > cap:
            full = Full(per_day=True, used=used, until=day + timedelta(days=1))
            raise refuse(full, wanted, self._terms, wanted.created, waited=False) or Internal

    async def _take(
        self, wanted: Generation, terms: Terms | None, send: Callable[[Generation], None]
    ) -> Begun | Full | Held | None:
        """A row from the ledger, if there is one to have; `send` is called with a new one.

        One of identical calls at a time: one that was cancelled meanwhile abandons its row before the next
        looks.
        """
        turn = self._turns.setdefault((wanted.caller, wanted.fingerprint), anyio.Lock())
        async with turn, self._taking():
            # Once there is a row there must be a request, or somebody who knows that there is none.
            with anyio.CancelScope(shield=True):
                since = wanted.created - _DOUBTFUL if self._told_of_doubts else None
                begun = await self._ledger.begin(wanted, terms, doubts_since=since)
                if isinstance(begun, Begun) and not begun.claimed:
                    send(begun.generation)
            if not isinstance(begun, Begun):
                return begun
            try:
                await anyio.lowlevel.checkpoint_if_cancelled()
            except BaseException:
                with anyio.CancelScope(shield=True):
                    await self._ledger.update(begun.generation.id, abandoned=True)
                raise
            return begun

    @asynccontextmanager
    async def _taking(self) -> AsyncIterator[None]:
        """Nothing is taken once the process ends, and its end waits for what is being taken."""
        self._check_not_ending()
        self._takers += 1
        try:
            yield
        finally:
            self._takers -= 1

    async def _wait_for_room(self, full: Full, wanted: Generation, patience: datetime, phase: Phase) -> None:
        """Wait a little for the window of a minute to move on, or for others to settle for less.

        Raises:
            BudgetExceeded: waiting is of no use, or lasted long enough; says when to come back.
        """
        if self.nobody_listens:
            raise no_more()
        now = self._clock()
        if refusal := refuse(full, wanted, self._terms, now, waited=now >= patience):
            raise refusal
        cap = self._terms.per_minute
        phase.enter("room", lambda waited: f"Waiting under the cap of {cap} images a minute, {waited:.0f} s")
        left = (min(full.until, patience) - now).total_seconds()
        await self._sleep(min(max(left, _TICK_SECONDS), _TURN_SECONDS))

    def _check_not_ending(self) -> None:
        if self.ending:
            raise no_more()


def _send_nothing(_generation: Generation) -> None:
    """Where no terms are given there is nothing new."""
