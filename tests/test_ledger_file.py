"""The ledger's file: shared by processes, damaged, full, foreign, of other versions."""

import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Coroutine
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Unpack, cast

import anyio
import pytest

from mcp_server.generations.fallback import RETRY, FallbackLedger
from mcp_server.generations.generation import Generation
from mcp_server.generations.ledger import Begun, Changes, Full, LedgerError, Terms, day_of
from mcp_server.generations.memory import MemoryLedger
from mcp_server.generations.processes import Processes
from mcp_server.generations.schema import MIGRATIONS
from mcp_server.generations.sqlite import SqliteLedger
from mcp_server.generations.stores import default_path, open_ledger, sqlite_path
from tests.conftest import NOON, Clock, a_generation, answering, connect, pictures, text_of

pytestmark = pytest.mark.anyio

FREE = Terms()


@asynccontextmanager
async def opened(path: Path, process: str = "a", **options: Any) -> AsyncIterator[SqliteLedger]:
    ledger = SqliteLedger(path, process, **options)
    try:
        yield ledger
    finally:
        await ledger.close()


async def begin(ledger: Any, wanted: Generation) -> Begun:
    begun = await ledger.begin(wanted, FREE)
    assert isinstance(begun, Begun)
    return begun


async def test_processes_share_the_file_and_one_claims(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    async with opened(path, "a") as first, opened(path, "b") as second, opened(path, "c") as third:
        row = a_generation()
        await begin(first, row)
        await first.update(row.id, abandoned=True)
        claims: list[Begun] = []

        async def claim(ledger: SqliteLedger, process: str) -> None:
            claims.append(await begin(ledger, a_generation(owner=process)))

        async with anyio.create_task_group() as tasks:
            for ledger, process in ((first, "a"), (second, "b"), (third, "c")):
                for _ in range(5):
                    tasks.start_soon(claim, ledger, process)
        assert sum(begun.claimed for begun in claims) == 1
        assert len(await second.recent("local", 50)) == 15


async def test_the_day_is_never_overdrawn_by_processes_at_once(tmp_path: Path) -> None:
    path, terms = tmp_path / "ledger.db", Terms(per_day=10)
    async with opened(path, "a") as first, opened(path, "b") as second:
        begun: list[object] = []

        async def reserve(ledger: SqliteLedger) -> None:
            begun.append(await ledger.begin(a_generation(most=3, created=NOON), terms))

        async with anyio.create_task_group() as tasks:
            for ledger in (first, second) * 5:
                tasks.start_soon(reserve, ledger)
    assert sum(isinstance(one, Begun) for one in begun) == 3


async def test_many_processes_may_open_a_new_file_at_once(tmp_path: Path) -> None:
    ledgers = [SqliteLedger(tmp_path / "ledger.db", f"a{number}") for number in range(12)]
    async with anyio.create_task_group() as tasks:
        for number, ledger in enumerate(ledgers):
            tasks.start_soon(begin, ledger, a_generation(owner=f"a{number}"))
    assert len(await ledgers[0].recent("local", 50)) == 12
    for ledger in ledgers:
        await ledger.close()


HOLDING = """
import sys
from pathlib import Path
from mcp_server.generations.processes import Processes
processes = Processes(Path(sys.argv[1]), "b")
with processes.alone(1):
    processes.enter()
print("held", flush=True)
sys.stdin.read()
"""


def test_a_killed_process_is_known_to_be_dead_at_once_and_a_live_one_is_not(tmp_path: Path) -> None:
    folder = tmp_path / "processes"
    mine = Processes(folder, "a")
    with mine.alone(1):
        mine.enter()
    with subprocess.Popen(
        [sys.executable, "-c", HOLDING, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        assert not mine.is_dead("b")
        other.kill()
        other.wait()
    assert mine.is_dead("b")
    mine.forget("b")
    assert not mine.is_dead("b")  # nothing is known of it: its lease must tell
    assert not mine.is_dead("a")
    assert not mine.is_dead("../b")
    mine.leave()
    assert [file.name for file in folder.iterdir()] == ["opening.lock"]


async def test_rows_of_a_killed_process_are_unknown_at_once(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    async with opened(path, "b") as dying:
        await begin(dying, a_generation(owner="b"))
        async with opened(path, "a") as other:
            assert (await other.recent("local", 1))[0].status == "pending"
            own = dying._processes._own
            assert own is not None
            own.release()  # what the system does when a process is killed
            assert (await other.recent("local", 1))[0].status == "unknown"


async def test_the_file_and_its_folder_are_the_users_alone(tmp_path: Path) -> None:
    path = tmp_path / "state" / "ledger.db"
    async with opened(path) as ledger:
        await begin(ledger, a_generation())
        for one in (path.parent, *path.parent.iterdir()):
            assert stat.S_IMODE(one.stat().st_mode) & 0o077 == 0, one
        with closing(sqlite3.connect(path)) as file:
            assert file.execute("PRAGMA journal_mode").fetchone() == ("wal",)


async def test_an_older_file_is_brought_forward_and_a_newer_one_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    row = a_generation()
    async with opened(path) as ledger:
        await begin(ledger, row)
    newer = (*MIGRATIONS, "ALTER TABLE generations ADD COLUMN colour TEXT; CREATE TABLE x (a)")
    async with opened(path, migrations=newer) as ledger:
        assert await ledger.get("local", row.id) is not None
        await begin(ledger, a_generation())
    before = path.read_bytes()
    async with opened(path) as ledger:
        with pytest.raises(LedgerError, match="newer version"):
            await ledger.recent("local", 1)
    assert path.read_bytes() == before


async def test_a_migration_that_fails_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    async with opened(path) as ledger:
        await begin(ledger, a_generation())
    broken = (*MIGRATIONS, "CREATE TABLE x (a); CREATE NONSENSE")
    async with opened(path, migrations=broken) as ledger:
        with pytest.raises(LedgerError):
            await ledger.recent("local", 1)
    async with opened(path) as ledger:
        assert len(await ledger.recent("local", 5)) == 1


def damaged(path: Path) -> None:
    path.write_bytes(b"not a database, but a letter to grandmother" * 100)


def foreign(path: Path) -> None:
    with closing(sqlite3.connect(path)) as file, file:
        file.execute("CREATE TABLE recipes (cake)")


def a_folder(path: Path) -> None:
    path.mkdir()


def with_a_damaged_row(path: Path) -> None:
    with closing(sqlite3.connect(path)) as file, file:
        for statement in MIGRATIONS[0].split(";"):
            file.execute(statement)
        file.execute("PRAGMA user_version = 1")
        file.execute("PRAGMA application_id = 0x5EED4EA")
        columns = (
            "local",
            "f",
            "a",
            "a",
            "m",
            "p",
            "no json",
            0,
            1,
            datetime.now(UTC).timestamp(),
            "succeeded",
        )
        rest = (None, 1, "[]", 0, 0, None, None, 0, 0)
        marks = ", ".join("?" * 21)
        file.execute(f"INSERT INTO generations VALUES ({marks})", ("id", *columns, *rest))  # noqa: S608
    file.close()


async def test_a_file_that_is_deleted_while_it_is_open_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    async with opened(path) as ledger:
        await begin(ledger, a_generation())
        for file in tmp_path.glob("ledger.db*"):
            if file.is_file():
                file.unlink()
        row = a_generation()
        await begin(ledger, row)
        async with opened(path, "b") as other:
            assert [found.id for found in await other.recent("local", 5)] == [row.id]


@pytest.mark.parametrize("harm", [damaged, foreign, a_folder])
async def test_a_file_that_cannot_be_used_is_left_as_it_is_and_each_result_says_so(
    harm: Any, tmp_path: Path, era: str
) -> None:
    path = tmp_path / "ledger.db"
    harm(path)
    before = path.read_bytes() if path.is_file() else None
    transport, requests = answering(pictures())
    async with connect(transport=transport, mode=era, SEEDREAM_STORE_URL=f"sqlite:///{path}") as client:
        for count in (1, 2):
            result = await client.call_tool("generate_image", {"prompt": "x"})
            assert not result.is_error
            assert str(path) in text_of(result)
            assert any("can't be used" in warning for warning in result.structured_content["warnings"])
            assert result.structured_content["usage"]["images_today"] == count
        listed = await client.call_tool("list_images", {})
        assert len(listed.structured_content["generations"]) == 2
        assert "can't be used" in text_of(listed)
        assert listed.structured_content["warnings"]
    assert len(requests) == 2
    assert before == (path.read_bytes() if path.is_file() else None)


async def test_a_damaged_row_is_left_out_and_hides_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "ledger.db"
    with_a_damaged_row(path)
    transport, _ = answering(pictures())
    async with connect(transport=transport, SEEDREAM_STORE_URL=f"sqlite:///{path}") as client:
        made = await client.call_tool("generate_image", {"prompt": "x"})
        listed = await client.call_tool("list_images", {})
    assert made.structured_content["warnings"] == []
    assert [row["prompt"] for row in listed.structured_content["generations"]] == ["x"]
    assert "a row in it is damaged" in caplog.text


class Failing(MemoryLedger):
    """A store that can be made to fail."""

    broken = False

    async def _unless_broken(self, work: Awaitable[Any]) -> Any:
        if self.broken:
            cast("Coroutine[Any, Any, Any]", work).close()
            raise LedgerError("disk full")
        return await work

    async def begin(
        self, wanted: Generation, terms: Terms | None, *, doubts_since: datetime | None = None
    ) -> Begun | Full | None:
        begun = super().begin(wanted, terms, doubts_since=doubts_since)
        return cast("Begun | Full | None", await self._unless_broken(begun))

    async def update(self, *generation_ids: str, **changes: Unpack[Changes]) -> None:
        await self._unless_broken(super().update(*generation_ids, **changes))

    async def renew(self, process: str, until: datetime) -> None:
        await self._unless_broken(super().renew(process, until))

    async def get(self, caller: str, generation_id: str) -> Generation | None:
        return cast("Generation | None", await self._unless_broken(super().get(caller, generation_id)))

    async def recent(self, caller: str, most: int, *, before: Generation | None = None) -> list[Generation]:
        found = await self._unless_broken(super().recent(caller, most, before=before))
        return cast("list[Generation]", found)


async def test_an_outcome_that_the_store_did_not_take_is_written_when_it_can_be() -> None:
    clock = Clock()
    store = Failing(clock)
    ledger = FallbackLedger(store, "x", clock)
    row = a_generation(created=NOON)
    await begin(ledger, row)
    store.broken = True
    await ledger.update(
        row.id, status="succeeded", urls=("https://a",), ended=NOON, pictures={}, abandoned=True
    )
    assert "disk full" in (ledger.trouble or "")
    found = await ledger.get("local", row.id)
    assert found is not None
    assert found.status == "succeeded"
    store.broken = False
    clock.now += RETRY + timedelta(seconds=1)
    await ledger.renew("a", clock() + timedelta(minutes=1))
    assert ledger.trouble is None
    assert store.rows[row.id].urls == ("https://a",)
    assert (await begin(ledger, a_generation(created=NOON))).generation.id == row.id


async def test_what_is_under_way_when_the_store_breaks_is_joined_and_not_made_twice() -> None:
    clock = Clock()
    store = Failing(clock)
    ledger = FallbackLedger(store, "x", clock)
    row = a_generation(created=NOON)
    await begin(ledger, row)
    await ledger.update(row.id, abandoned=True)
    store.broken = True
    assert (await begin(ledger, a_generation(created=NOON))).claimed
    other = await begin(ledger, a_generation(created=NOON, fingerprint="g"))
    assert not other.claimed
    assert {found.id for found in await ledger.recent("local", 5)} == {row.id, other.generation.id}
    await ledger.update(row.id, status="succeeded", urls=("https://a",), ended=NOON, pictures={})
    found = await ledger.with_link("local", "https://a")
    assert found is not None
    assert found.id == row.id
    store.broken = False
    await ledger.close()
    assert set(store.rows) == {row.id, other.generation.id}


async def test_while_the_store_is_broken_memory_serves_by_itself() -> None:
    clock = Clock()
    store = Failing(clock)
    ledger = FallbackLedger(store, "x", clock)
    stored, row = a_generation(created=NOON, fingerprint="g"), a_generation(created=NOON)
    await begin(ledger, stored)
    await ledger.update(stored.id, status="failed", delivered=True, pictures={})
    await begin(ledger, row)
    store.broken = True
    await ledger.update(row.id, abandoned=True)
    assert (await begin(ledger, a_generation(created=NOON))).claimed
    await ledger.update(row.id, status="failed", counted=0, delivered=True)
    store.broken = False
    assert await ledger.get("local", stored.id) is None  # not yet: it is left alone for a while
    clock.now += RETRY + timedelta(seconds=1)
    found = await ledger.get("local", stored.id)
    assert found is not None
    assert found.status == "failed"
    await ledger.close()
    assert store.rows[row.id].status == "failed"


async def test_while_the_store_is_away_its_last_count_holds_and_new_rows_are_written_later() -> None:
    clock, terms = Clock(), Terms(per_day=3)
    store = Failing(clock)
    ledger = FallbackLedger(store, "x", clock)
    for _ in range(2):
        row = a_generation(created=NOON)
        assert isinstance(await ledger.begin(row, terms), Begun)
        await ledger.update(row.id, status="succeeded", urls=("https://a",), ended=NOON, pictures={})
    assert await ledger.images_since("local", day_of(NOON), emulated=False) == 2
    store.broken = True
    third = a_generation(created=NOON)
    assert isinstance(await ledger.begin(third, terms), Begun)
    await ledger.update(third.id, status="succeeded", urls=("https://b",), ended=NOON, pictures={})
    full = await ledger.begin(a_generation(created=NOON), terms)
    assert isinstance(full, Full)
    assert full.used == 3
    store.broken = False
    clock.now += RETRY + timedelta(seconds=1)
    assert isinstance(await ledger.begin(a_generation(created=clock()), terms), Full)
    assert store.rows[third.id].urls == ("https://b",)


@pytest.mark.parametrize("new", [True, False], ids=["a new row", "a row that the store has"])
async def test_what_happens_while_the_store_catches_up_is_written_too(new: bool) -> None:
    clock = Clock()
    reached, gate = anyio.Event(), anyio.Event()

    class Slow(Failing):
        slow = False

        async def _wait(self) -> None:
            if self.slow:
                reached.set()
                await gate.wait()

        async def put(self, generation: Generation) -> None:
            await super().put(generation)
            await self._wait()

        async def update(self, *generation_ids: str, **changes: Unpack[Changes]) -> None:
            await super().update(*generation_ids, **changes)
            await self._wait()

    store = Slow(clock)
    ledger = FallbackLedger(store, "x", clock)
    row = a_generation(created=NOON)
    store.broken = new
    await begin(ledger, row)
    store.broken = True
    await ledger.update(row.id, counted=1)
    store.broken, store.slow = False, True
    clock.now += RETRY + timedelta(seconds=1)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ledger.renew, "a", clock() + timedelta(minutes=1))
        await reached.wait()
        store.slow = False
        await ledger.update(row.id, status="succeeded", urls=("https://a",), ended=NOON, pictures={})
        gate.set()
    await ledger.close()
    assert store.rows[row.id].urls == ("https://a",)


async def test_what_others_own_is_not_written_over_from_memory() -> None:
    clock = Clock()
    store = Failing(clock)
    ledger = FallbackLedger(store, "x", clock)
    row = a_generation(created=NOON, owner="b", abandoned=True)
    await store.put(row)
    claimed = await begin(ledger, a_generation(created=NOON))
    assert claimed.claimed
    store.broken = True
    await begin(ledger, a_generation(created=NOON, fingerprint="g"))
    assert await ledger.get("local", row.id) is None
    assert ledger.trouble
    await ledger.update(row.id, delivered=True)
    store.broken = False
    await store.update(row.id, status="succeeded", urls=("https://a",), ended=NOON, pictures={})
    await ledger.close()
    assert store.rows[row.id].urls == ("https://a",)
    assert store.rows[row.id].delivered


async def test_memory_forgets_the_oldest_rows() -> None:
    ledger = MemoryLedger(Clock(), most=3)
    times = [NOON + timedelta(seconds=second) for second in range(5)]
    ids = [(await begin(ledger, a_generation(created=time))).generation.id for time in times]
    assert [row.id for row in await ledger.recent("local", 9)] == ids[:1:-1]


async def test_without_a_home_folder_memory_serves_and_the_trouble_is_told() -> None:
    ledger = open_ledger("sqlite:///~nobody-of-this-name/x.db", "a", Clock())
    assert await ledger.recent("local", 1) == []
    assert "no home folder" in (ledger.trouble or "")


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:////var/lib/x.db", "/var/lib/x.db"),
        ("sqlite:///var/lib/x.db", "/var/lib/x.db"),
        ("sqlite:///~/x.db", str(Path.home() / "x.db")),
    ],
)
@pytest.mark.skipif(os.name == "nt", reason="POSIX paths")
def test_a_store_url_names_an_absolute_path(url: str, path: str) -> None:
    assert str(sqlite_path(url)) == path


def test_by_default_the_file_is_in_the_users_state_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert default_path().name == "ledger.db"
    assert default_path().parent.name == "mcp-server-seedream"
    open_ledger(None, "a", Clock())  # opens nothing yet
