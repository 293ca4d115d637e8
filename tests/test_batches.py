"""Work for a store that goes together: what waits is one lot, and nobody's failure is another's."""

import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from mcp_server.generations.batches import Batches, Job
from mcp_server.generations.ledger import LedgerError
from mcp_server.generations.sqlite import SqliteLedger
from tests.conftest import NOON, a_generation

pytestmark = pytest.mark.anyio


class Store:
    """Does what it is given once it is let go, and notes the lots."""

    def __init__(self) -> None:
        self.lots: list[list[str]] = []
        self.begun, self.let_go = threading.Event(), threading.Event()

    def do(self, jobs: list[Job[str]]) -> None:
        self.lots.append([job.work for job in jobs])
        self.begun.set()
        assert self.let_go.wait(10)
        for job in jobs:
            if job.work == "bad":
                job.error = ValueError("bad")
            job.result = job.work.upper()


@asynccontextmanager
async def held(store: Store, batches: Batches[str]) -> AsyncIterator[anyio.abc.TaskGroup]:
    """While the store is at work on one job."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(batches.run, "first")
        assert await anyio.to_thread.run_sync(store.begun.wait, 10)
        yield tasks
        store.let_go.set()


async def test_what_comes_while_the_store_is_at_work_goes_together_and_each_gets_its_own() -> None:
    store, results = Store(), dict[str, Any]()
    batches = Batches(store.do)

    async def run(work: str) -> None:
        try:
            results[work] = await batches.run(work)
        except ValueError as error:
            results[work] = str(error)

    async with held(store, batches) as tasks:
        for work in ("a", "bad", "b"):
            tasks.start_soon(run, work)
        await anyio.wait_all_tasks_blocked()
    assert store.lots == [["first"], ["a", "bad", "b"]]
    assert results == {"a": "A", "bad": "bad", "b": "B"}


async def test_what_is_cancelled_before_it_has_begun_is_dropped() -> None:
    store = Store()
    batches = Batches(store.do)
    async with held(store, batches):
        with anyio.move_on_after(0):
            await batches.run("dropped")
    assert await batches.run("next") == "NEXT"
    assert store.lots == [["first"], ["next"]]


async def test_one_that_fails_in_a_transaction_of_many_fails_alone(tmp_path: Path) -> None:
    ledger = SqliteLedger(tmp_path / "ledger.db", "a", lambda: NOON)
    failed = []

    async def break_it() -> None:
        try:
            await ledger.update("x", nonsense=1)  # type: ignore[call-arg]
        except LedgerError as error:
            failed.append(str(error))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ledger.put, a_generation(id="0"))  # opens the file, while the others gather
        for number in range(1, 6):
            tasks.start_soon(ledger.put, a_generation(id=str(number)))
            tasks.start_soon(break_it)
    assert len(failed) == 5
    assert {row.id for row in await ledger.recent("local", 50)} == set("012345")
    await ledger.close()


async def test_an_error_that_is_no_stores_comes_out_as_it_is(tmp_path: Path) -> None:
    ledger = SqliteLedger(tmp_path / "ledger.db", "a", lambda: NOON)

    def break_it(_file: sqlite3.Connection) -> None:
        raise KeyError("ours")

    with pytest.raises(KeyError):
        await ledger._run(break_it)
    await ledger.close()
