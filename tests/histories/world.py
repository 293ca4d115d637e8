"""Some histories that share two servers, and whoever ends the servers meanwhile."""

import asyncio
import math
import random
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import anyio

from mcp_server.emulator import Emulator
from mcp_server.emulator.store import Record
from tests.conftest import fault
from tests.histories.driver import Call, Server
from tests.histories.figures import Figures

MOST_ATTEMPTS = 15
HISTORIES_AT_ONCE = 10
STRIKES = 4
REPEATED_AT_ONCE = 0.5
"""The share of cancelled calls that are repeated with the very next line."""

PATIENCE = 120.0
"""Seconds after which a world that has not come to its end counts as stuck."""

ENDINGS = ("kill", "kill", "kill", "trap", "trap", "eof", "term", "hangup")

FAULTS: tuple[dict[str, object], ...] = (
    {"status": 429, "retry_after": "0"},
    {"status": 429, "retry_after": "0", "times": 6},
    {"status": 503, "retry_after": "0", "times": 2},
    {"status": 500},
    {"status": 500, "billed": True},
    {"body": "{}", "billed": True},
    {"drop": "before_body"},
    {"drop": "after_body"},
    {"drop": "after_body", "billed": True},
    {"drop": "mid_reply"},
    {"drop": "mid_reply", "billed": True},
    {"delay": 0.3},
)
"""No 429 or 503 that was billed: by the API's contract there is none."""


class World:
    """Some histories that share two servers, and whoever ends the servers meanwhile."""

    def __init__(self, seed: str, histories: int, folder: Path, figures: Figures) -> None:
        self.dice = random.Random(seed)
        self.seed = seed
        self.calls: list[Call] = []
        self.twins: set[str] = set()
        self.servers: list[Server] = []
        self.file = folder / "ledger.db"
        self._figures = figures
        self._count = histories
        self._up: list[Server] = []
        self._some_up = asyncio.Event()
        self._over = False
        share = histories * 2 // STRIKES
        self._milestones = {number * share + share // 2: asyncio.Event() for number in range(STRIKES)}

    async def run(self) -> None:
        """Live through it all."""
        async with anyio.create_task_group() as tasks:
            self.emulator = Emulator()
            await tasks.start(self.emulator.serve)
            try:
                await asyncio.wait_for(self._live(), PATIENCE)
            except TimeoutError:
                states = [(server.ending, server.code, server.told) for server in self.servers]
                self._figures.violations.append(f"seed {self.seed}: stuck with {states}")
            finally:
                with anyio.CancelScope(shield=True):
                    for server in self.servers:
                        await server.destroy()
            tasks.cancel_scope.cancel()

    def records(self) -> list[Record]:
        """The requests that the emulator got."""
        return list(self.emulator.app.store._records.values())

    def rows(self, condition: str = "1", *parameters: object) -> list[sqlite3.Row]:
        """Rows of the ledger as they stand in the file."""
        with closing(sqlite3.connect(f"file:{self.file}?mode=ro", uri=True)) as file:
            file.row_factory = sqlite3.Row
            return file.execute(
                f"SELECT * FROM generations WHERE {condition} ORDER BY created",  # noqa: S608
                parameters,
            ).fetchall()

    async def _live(self) -> None:
        slots = asyncio.Semaphore(HISTORIES_AT_ONCE)
        most = str(self.dice.choice((4, 16)))
        self._variables = {
            "NOVITA_BASE_URL": self.emulator.url,
            "SEEDREAM_STORE_URL": f"sqlite://{self.file}",
            "SEEDREAM_MAX_CONCURRENCY": most,
        }
        await asyncio.gather(self._start(), self._start())
        striking = asyncio.ensure_future(self._strike())
        await asyncio.gather(*(self._history(number, slots) for number in range(self._count)))
        self._over = True
        for milestone in self._milestones.values():
            milestone.set()
        await striking
        for server, how in zip(list(self._up), ("eof", "term"), strict=False):
            self._end(server, how)
        for server in self.servers:
            if server.trapped:  # all that it was to answer was cancelled
                server.end("kill")
        await asyncio.gather(*(server.ended.wait() for server in self.servers))
        await self._start()
        assert await self._up[0].look()
        self._end(self._up[0], "eof")
        await self.servers[-1].ended.wait()
        # What killed processes asked for is still being made.
        while any(record.wanted and not record.status for record in self.records()):  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.01)

    async def _start(self) -> None:
        server = await Server.start(**self._variables)
        self.servers.append(server)
        self._up.append(server)
        self._some_up.set()

    def _end(self, server: Server, how: str) -> None:
        self._up.remove(server)
        if not self._up:
            self._some_up.clear()
        server.end(how)
        names = {"kill": "kills", "trap": "kills", "eof": "eofs", "term": "terms", "hangup": "hangups"}
        setattr(self._figures, names[how], getattr(self._figures, names[how]) + 1)

    async def _strike(self) -> None:
        """End servers, one or both, now and then, and start others in their place."""
        for milestone in self._milestones.values():
            await milestone.wait()
            await asyncio.sleep(self.dice.uniform(0, 0.3))
            if self._over:
                return
            victims = self.dice.sample(self._up, self.dice.choice((1, 1, 1, 2)))
            for victim in victims:
                self._end(victim, self.dice.choice(ENDINGS))
            leaving = [
                self._leave(call)
                for victim in victims
                if victim.ending not in ("kill", "trap") and self.dice.random() < 0.7
                for call in victim.open_calls()
            ]
            await asyncio.gather(*(self._start() for _ in victims), *leaving)
            self._figures.restarts += len(victims)

    async def _leave(self, call: Call) -> None:
        """Wait no longer once the server has noticed that its host has left: then a repeat is no race.

        A row that is abandoned is surely this call's only if there was no other call.
        """
        if sum(other.prompt == call.prompt for other in self.calls) > 1:
            return
        usable = "prompt = ? AND abandoned AND status IN ('pending', 'succeeded')"
        while not call.done.done():
            with suppress(sqlite3.OperationalError):  # there is no file yet
                if self.rows(usable, call.prompt):
                    call.leave()
            await asyncio.sleep(0.02)

    async def _history(self, number: int, slots: asyncio.Semaphore) -> None:
        dice = random.Random(f"{self.seed}/{number}")
        prompt = f"history {number} of {self.seed}"
        async with slots:
            if dice.random() < 0.15:
                self.twins.add(prompt)
                await asyncio.gather(*(self._intent(prompt, dice, cancels=0) for _ in range(2)))
                return
            await self._intent(prompt, dice, cancels=dice.choice((0, 0, 1, 1, 2, 3)))
            if dice.random() < 0.15:
                await self._intent(prompt, dice, cancels=0)  # another picture of the same

    async def _intent(self, prompt: str, dice: random.Random, cancels: int) -> None:
        """One call, repeated until it gets pictures."""
        server = None
        for _ in range(MOST_ATTEMPTS):
            await self._some_up.wait()
            if server not in self._up:
                server = dice.choice(self._up)
            call = self._call(server, prompt, dice)
            if cancels:
                cancels -= 1
                await asyncio.wait(
                    [call.done], timeout=dice.choice((0, *(dice.uniform(0, 0.4) for _ in range(3))))
                )
                if not call.done.done():
                    server = await self._cancel(call, dice)
            else:
                await call.done
                server = None
            if call.made and not call.left:
                return
        self._figures.violations.append(f"{self.seed}: {prompt!r} never got pictures")

    def _call(self, server: Server, prompt: str, dice: random.Random) -> Call:
        self.emulator.app._latency = dice.uniform(0.02, 0.3)
        if dice.random() < 0.2:
            self.emulator.app.faults.add(fault(**dice.choice(FAULTS)))
        call = server.call(prompt)
        self.calls.append(call)
        if milestone := self._milestones.get(len(self.calls)):
            milestone.set()
        return call

    async def _cancel(self, call: Call, dice: random.Random) -> Server | None:
        """Cancel a call; which server is to get the repeat, if it has to be a certain one."""
        server = call.server
        if server.told < math.inf:  # it hears no more
            await call.done
            return None
        self._figures.cancels += 1
        server.notify("notifications/cancelled", {"requestId": call.number})
        if server in self._up and dice.random() < REPEATED_AT_ONCE:
            call.done.cancel()
            return server
        # Another process can know of it only when this one has noted it: the first look may come before.
        await server.look()
        await server.look()
        call.done.cancel()
        return None
