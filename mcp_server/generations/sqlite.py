"""The ledger in a SQLite file that any number of processes share."""

import logging
import sqlite3
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, Unpack

from mcp_server.generations import rows
from mcp_server.generations.batches import Batches, Job
from mcp_server.generations.generation import Generation
from mcp_server.generations.ledger import Begun, Changes, Full, LedgerError, Terms
from mcp_server.generations.processes import Processes
from mcp_server.generations.schema import MIGRATIONS, check_ours, migrate, transaction
from mcp_server.generations.statements import begin, bury, insert, renew

_BUSY_SECONDS = 5.0

Result = TypeVar("Result")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Work:
    """What is to be done with the file."""

    do: Callable[[sqlite3.Connection], Any]
    sweep: bool
    reads: bool


class SqliteLedger:
    """A `Ledger` in the file at `path`, made where there is none; `process` is this process's id in it.

    `clock` tells the time.

    Raises:
        LedgerError: from any method; the file is left as it is.
    """

    def __init__(
        self,
        path: Path,
        process: str,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        migrations: tuple[str, ...] = MIGRATIONS,
    ) -> None:
        self._path = path
        self._clock = clock
        self._migrations = migrations
        self._processes = Processes(path.with_name(f"{path.name}.processes"), process)
        self._file: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        # One connection, one statement at a time, never on the event loop.
        self._batches = Batches(self._do)

    async def begin(
        self, wanted: Generation, terms: Terms | None, *, doubts_since: datetime | None = None
    ) -> Begun | Full | None:
        """See `Ledger.begin`."""
        work = partial(begin, wanted=wanted, terms=terms, doubts_since=doubts_since)
        return await self._run(work, sweep=True)

    async def update(self, *generation_ids: str, **changes: Unpack[Changes]) -> None:
        """See `Ledger.update`."""

        def change(file: sqlite3.Connection) -> None:
            values = rows.to_columns(changes)
            names = ", ".join(f"{name} = ?" for name in values)
            every = [[*values.values(), generation_id] for generation_id in generation_ids]
            file.executemany(f"UPDATE generations SET {names} WHERE id = ?", every)  # noqa: S608 - names of ours

        await self._run(change)

    async def put(self, generation: Generation) -> None:
        """See `Ledger.put`."""

        def write(file: sqlite3.Connection) -> None:
            insert(file, rows.to_row(generation))

        await self._run(write)

    async def renew(self, process: str, until: datetime) -> None:
        """See `Ledger.renew`."""
        await self._run(lambda file: renew(file, process, until))

    async def get(self, caller: str, generation_id: str) -> Generation | None:
        """See `Ledger.get`."""
        found = await self._select("caller = ? AND id = ?", caller, generation_id, sweep=True)
        return found[0] if found else None

    async def recent(self, caller: str, most: int, *, before: Generation | None = None) -> list[Generation]:
        """See `Ledger.recent`."""
        older = "AND (created, id) < (?, ?)" if before else ""
        values = [before.created.timestamp(), before.id] if before else []
        condition = f"caller = ? {older} ORDER BY created DESC, id DESC LIMIT ?"
        return await self._select(condition, caller, *values, most, sweep=True)

    async def with_link(self, caller: str, url: str) -> Generation | None:
        """See `Ledger.with_link`."""
        condition = (
            "caller = ? AND EXISTS (SELECT 1 FROM json_each(urls) WHERE value = ?) "
            "ORDER BY created DESC LIMIT 1"
        )
        found = await self._select(condition, caller, url)
        return found[0] if found else None

    async def images_since(self, caller: str, since: datetime, *, emulated: bool) -> int:
        """See `Ledger.images_since`."""
        text = (
            "SELECT COALESCE(SUM(counted), 0) FROM generations "
            "WHERE caller = ? AND created >= ? AND emulated = ? AND status <> 'pending'"
        )
        parameters = (caller, since.timestamp(), emulated)
        return int(await self._run(lambda file: file.execute(text, parameters).fetchone()[0], reads=True))

    async def prune(self, before: datetime) -> None:
        """See `Ledger.prune`."""
        text = "DELETE FROM generations WHERE created < ?"
        await self._run(lambda file: file.execute(text, (before.timestamp(),)))

    async def check(self) -> None:
        """See `Ledger.check`."""
        await self._run(lambda file: file.execute("SELECT 1 FROM leases"), reads=True)

    async def attend(self) -> None:
        """The lock of the process shows that it lives."""

    async def close(self) -> None:
        """Close the file and let go of the lock."""
        await self._batches.alone(self._close)

    async def _select(self, condition: str, *parameters: object, sweep: bool = False) -> list[Generation]:
        text = f"SELECT * FROM generations WHERE {condition}"  # noqa: S608 - conditions of ours

        def read(file: sqlite3.Connection) -> list[Generation]:
            found = []
            for row in file.execute(text, parameters):
                try:
                    found.append(rows.from_row(row))
                except ValueError as error:  # one damaged row must not hide the others
                    logger.warning("left out of the ledger: %s", error)
            return found

        return await self._run(read, sweep=sweep)

    async def _run(
        self, work: Callable[[sqlite3.Connection], Result], *, sweep: bool = False, reads: bool = False
    ) -> Result:
        """`work` in a thread, in a transaction unless it only `reads`.

        With `sweep` after a look for processes that have ended.
        """
        try:
            result: Result = await self._batches.run(_Work(work, sweep, reads))
        except (sqlite3.Error, OSError, ValueError) as error:
            raise LedgerError(_reason(error)) from error
        return result

    def _do(self, jobs: list[Job[_Work]]) -> None:
        """All of them in one transaction; if any fails, each in one of its own."""
        at_work = False
        try:
            if self._file and self._identity != _identity(self._path):
                self._close()  # deleted or replaced: what went there now would be lost
            file = self._file or self._open()
            with nullcontext() if all(job.work.reads for job in jobs) else transaction(file):
                if any(job.work.sweep for job in jobs):
                    self._sweep(file)
                at_work = True
                for job in jobs:
                    job.result = job.work.do(file)
        except Exception as error:  # noqa: BLE001 - it goes to those who wait
            if at_work and len(jobs) > 1:
                for job in jobs:
                    self._do([job])
            else:
                for job in jobs:
                    job.error = error

    def _open(self) -> sqlite3.Connection:
        if not self._path.is_absolute():
            raise ValueError("there is no home folder to keep it in")
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path.touch(mode=0o600)  # SQLite gives its other files the same rights
        with self._processes.alone(_BUSY_SECONDS):  # to change the journal's mode SQLite waits for nobody
            file = sqlite3.connect(
                self._path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            try:
                file.row_factory = sqlite3.Row
                check_ours(file, len(self._migrations))
                file.execute("PRAGMA journal_mode = WAL")
                file.execute("PRAGMA synchronous = FULL")  # a row outlives a power cut, too
                file.execute("PRAGMA fullfsync = ON")  # macOS keeps that promise only when asked twice
                migrate(file, self._migrations)
                self._processes.enter()
            except BaseException:
                file.close()
                raise
        self._file = file
        self._identity = _identity(self._path)
        return file

    def _close(self) -> None:
        if self._file:
            self._file.close()
            self._file = None
        self._processes.leave()

    def _sweep(self, file: sqlite3.Connection) -> None:
        """What the end of processes means for their rows."""
        now = self._clock()
        for process, until in file.execute("SELECT process, until FROM leases").fetchall():
            dead = self._processes.is_dead(process)
            if dead or (dead is None and until <= now.timestamp()):
                bury(file, process, now)
            if dead:
                self._processes.forget(process)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.stat()
    except FileNotFoundError:
        return None
    return stat.st_dev, stat.st_ino


def _reason(error: Exception) -> str:
    """What went wrong, in a few words that hold no data and no path."""
    return (error.strerror or type(error).__name__) if isinstance(error, OSError) else str(error)
