"""The ledger in Redis beyond the contract: many processes, connections that end, what is stored."""

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import anyio
import pytest

from mcp_server.generations.fallback import FallbackLedger
from mcp_server.generations.ledger import LEASE, Begun, Full, Held, LedgerError, Terms
from mcp_server.generations.redis import RedisLedger
from mcp_server.generations.stores import open_ledger, redis_name
from tests.conftest import NOON, Clock, a_generation, eventually, redis_server

pytestmark = pytest.mark.anyio

Open = Callable[..., RedisLedger]


@pytest.fixture
async def opened(redis_url: str) -> AsyncIterator[Open]:
    """Opens ledgers of processes that share a store."""
    prefix = f"{{{secrets.token_hex(8)}}}:"
    async with AsyncExitStack() as stack:

        def make(process: str, clock: Clock | None = None) -> RedisLedger:
            ledger = RedisLedger(redis_url, process, clock or Clock(), prefix)
            stack.push_async_callback(ledger.close)
            return ledger

        yield make


async def watched(ledger: RedisLedger) -> bool:
    return bool(await ledger.redis.smembers(f"{ledger._prefix}watched"))


async def test_of_many_processes_one_claims(opened: Open) -> None:
    ledgers = [opened(f"{number:x}") for number in range(8)]
    row = a_generation(created=NOON)
    await ledgers[0].begin(row, Terms())
    await ledgers[0].update(row.id, abandoned=True)
    claims = []

    async def claim(ledger: RedisLedger, process: str) -> None:
        if await ledger.begin(a_generation(created=NOON, owner=process), None):
            claims.append(process)

    async with anyio.create_task_group() as tasks:
        for number, ledger in enumerate(ledgers):
            tasks.start_soon(claim, ledger, f"{number:x}")
    assert len(claims) == 1


async def test_of_many_processes_none_overdraws_a_budget(opened: Open) -> None:
    ledgers = [opened(f"{number:x}") for number in range(8)]
    kinds = []

    async def begin(ledger: RedisLedger) -> None:
        kinds.append(type(await ledger.begin(a_generation(created=NOON, most=3), Terms(per_day=10))))

    async with anyio.create_task_group() as tasks:
        for ledger in ledgers:
            tasks.start_soon(begin, ledger)
    assert sorted(kinds, key=str) == [Begun] * 3 + [Full] * 5


async def test_a_fresh_identical_call_waits_for_a_process_whose_connection_is_gone(opened: Open) -> None:
    clock = Clock()
    dying, other = opened("d", clock), opened("o", clock)
    row = a_generation(created=NOON, owner="d")
    again = a_generation(created=NOON, owner="o")
    async with anyio.create_task_group() as life:
        life.start_soon(dying.attend)
        await dying.begin(row, Terms())
        await eventually(lambda: watched(other))
        assert isinstance(await other.begin(again, Terms()), Begun)  # it lives: that is a variation
        await other.update(again.id, status="failed", delivered=True, pictures={})
        life.cancel_scope.cancel()
    third = a_generation(created=NOON, owner="o")
    while not isinstance(held := await other.begin(third, Terms()), Held):
        assert isinstance(held, Begun)
        await other.update(third.id, status="failed", delivered=True, pictures={})
        await anyio.sleep(0.05)
    different = a_generation(created=NOON, owner="o", fingerprint="g")
    assert isinstance(await other.begin(different, Terms()), Begun)
    clock.forward(seconds=6)  # far less than the lease
    fourth = a_generation(created=clock(), owner="o")
    begun = await other.begin(fourth, Terms(), doubts_since=NOON - timedelta(hours=1))
    assert isinstance(begun, Begun)
    assert (begun.claimed, begun.generation.id, begun.generation.status) == (True, row.id, "unknown")
    assert not await watched(other)


async def test_what_a_lost_process_made_and_had_not_handed_out_is_waited_for_and_claimed(
    opened: Open,
) -> None:
    clock = Clock()
    dying, other = opened("d", clock), opened("o", clock)
    row = a_generation(created=NOON, owner="d")
    await dying.begin(row, Terms())
    await dying.update(row.id, status="succeeded", urls=("https://x",), ended=NOON, pictures={})
    await dying.redis.sadd(f"{dying._prefix}watched", "d")
    again = a_generation(created=NOON, owner="o")
    assert isinstance(await other.begin(again, Terms()), Held)
    clock.forward(seconds=6)
    begun = await other.begin(a_generation(created=clock(), owner="o"), Terms())
    assert isinstance(begun, Begun)
    assert (begun.claimed, begun.generation.id) == (True, row.id)


async def test_of_very_many_doubts_only_the_newest_are_told(opened: Open) -> None:
    ledger = opened("a")
    for number in range(120):
        await ledger.put(
            a_generation(created=NOON + timedelta(seconds=number), status="unknown", pictures={})
        )
    begun = await ledger.begin(a_generation(created=NOON + timedelta(minutes=5)), Terms())
    assert isinstance(begun, Begun)
    assert len(begun.in_doubt) == 100
    assert begun.in_doubt[0].created == NOON + timedelta(seconds=119)


async def test_after_a_failover_that_left_it_a_replica_the_connection_is_made_anew(tmp_path: Path) -> None:
    with redis_server(tmp_path) as url:
        ledger = RedisLedger(url, "a", Clock())
        await ledger.check()
        before = await ledger.redis.client_id()
        await ledger.redis.replicaof("127.0.0.1", "1")
        with pytest.raises(LedgerError, match="read only"):
            await ledger.begin(a_generation(created=NOON), Terms())
        assert await ledger.redis.client_id() != before
        await ledger.redis.replicaof("NO", "ONE")
        assert isinstance(await ledger.begin(a_generation(created=NOON), Terms()), Begun)
        await ledger.close()


async def test_a_process_that_comes_back_is_believed(opened: Open) -> None:
    clock = Clock()
    away, other = opened("a", clock), opened("o", clock)
    row = a_generation(created=NOON, owner="a")
    await away.begin(row, Terms())
    await away.redis.sadd(f"{away._prefix}watched", "a")
    assert isinstance(await other.begin(a_generation(created=NOON, owner="o"), Terms()), Held)
    async with anyio.create_task_group() as life:
        life.start_soon(away.attend)
        lease = f"{away._prefix}leases"
        soonest = float(await away._shared(NOON + LEASE - timedelta(seconds=1)))

        async def renewed() -> bool:
            return float(await away.redis.zscore(lease, "a") or 0) > soonest

        await eventually(renewed)
        clock.forward(seconds=6)
        found = await other.get("local", row.id)
        life.cancel_scope.cancel()
    assert found is not None
    assert found.status == "pending"


async def test_an_idle_process_that_is_gone_leaves_nothing(opened: Open) -> None:
    ledger = opened("a")
    await ledger.check()
    await ledger.redis.sadd(f"{ledger._prefix}watched", "gone")
    assert await ledger.get("local", "x") is None
    assert not await watched(ledger)


async def test_a_wrong_clock_makes_nobody_dead(opened: Open) -> None:
    slow, fast = Clock(), Clock()
    fast.forward(minutes=10)
    right, wrong = opened("a", slow), opened("b", fast)
    row = a_generation(created=NOON, owner="a")
    await right.begin(row, Terms())
    found = await wrong.get("local", row.id)
    assert found is not None
    assert found.status == "pending"


async def test_pruning_leaves_no_key_behind(opened: Open) -> None:
    ledger = opened("a")
    for number in range(600):
        row = a_generation(created=NOON, status="succeeded", urls=(f"https://x/{number}",), pictures={})
        await ledger.put(row)
    await ledger.put(a_generation(created=NOON, status="unknown", abandoned=True))
    await ledger.prune(NOON + timedelta(seconds=1))
    left = [key async for key in ledger.redis.scan_iter(f"{ledger._prefix}*")]
    kinds = {key.removeprefix(ledger._prefix).partition(":")[0] for key in left}
    assert kinds <= {"version", "day", "times"}  # which end by themselves


async def test_a_damaged_row_hides_no_other(opened: Open) -> None:
    ledger = opened("a")
    good, bad = a_generation(created=NOON), a_generation(created=NOON)
    await ledger.put(good)
    await ledger.put(bad)
    await ledger.redis.hset(f"{ledger._prefix}row:{bad.id}", "requested", "{")
    assert await ledger.recent("local", 5) == [good]


async def test_what_another_version_wrote_is_left_alone(opened: Open) -> None:
    ledger = opened("a")
    await ledger.redis.set(f"{ledger._prefix}version", "99")
    with pytest.raises(LedgerError, match="another version"):
        await ledger.check()
    assert [key async for key in ledger.redis.scan_iter(f"{ledger._prefix}*")] == [f"{ledger._prefix}version"]


async def test_without_its_store_a_ledger_goes_on_and_catches_up_and_never_shows_the_password(
    tmp_path: Path,
) -> None:
    clock = Clock()
    with redis_server(tmp_path) as url:
        secret = url.replace("redis://", "redis://:hunter2@")
        port = int(url.rpartition(":")[2])
        ledger = FallbackLedger(RedisLedger(url, "a", clock), redis_name(secret), clock)
        await ledger.check()
    row = a_generation(created=NOON)
    assert isinstance(await ledger.begin(row, Terms()), Begun)
    assert url in (ledger.trouble or "")
    assert "hunter2" not in (ledger.trouble or "")
    with pytest.raises(LedgerError):
        await ledger.check()
    with redis_server(tmp_path, port):
        clock.forward(seconds=20)
        await ledger.update(row.id, status="succeeded", urls=("https://x",), ended=clock(), pictures={})
        await ledger.renew("a", clock() + LEASE)
        again = RedisLedger(url, "b", clock)
        found = await again.get("local", row.id)
        await again.close()
        await ledger.close()
    assert ledger.trouble is None
    assert found is not None
    assert found.status == "succeeded"


async def test_a_lost_connection_is_made_again(tmp_path: Path) -> None:
    with redis_server(tmp_path) as url:
        ledger = RedisLedger(url, "a", Clock())
        await ledger.check()
        async with anyio.create_task_group() as life:
            life.start_soon(ledger.attend)
            await eventually(lambda: watched(ledger))
            await ledger.redis.delete(f"{ledger._prefix}watched")
            await ledger.redis.client_kill_filter(_type="pubsub")
            await eventually(lambda: watched(ledger))
            assert await ledger.redis.pubsub_numsub(f"{ledger._prefix}process:a") == [
                (f"{ledger._prefix}process:a", 1)
            ]
            life.cancel_scope.cancel()
        await ledger.close()


class Silent:
    """A connection on which nothing comes any more."""

    async def get_message(self, timeout: float) -> None:
        assert timeout

    async def ping(self) -> None:
        pass


async def test_a_connection_that_does_not_answer_is_given_up(opened: Open) -> None:
    with anyio.fail_after(10):
        await opened("a")._stay_connected(cast("Any", Silent()))


async def test_a_process_that_lives_and_says_nothing_is_doubted(opened: Open) -> None:
    clock = Clock()
    frozen, other = opened("f", clock), opened("o", clock)
    row = a_generation(created=NOON, owner="f")
    await frozen.begin(row, Terms())
    async with anyio.create_task_group() as life:
        life.start_soon(frozen.attend)
        await eventually(lambda: watched(other))
        key = f"{other._prefix}leases"
        await other.redis.zadd(key, {"f": float(await other._shared(NOON + timedelta(seconds=20)))})
        begun = await other.begin(a_generation(created=NOON, owner="o"), Terms())
        life.cancel_scope.cancel()
    assert isinstance(begun, Held)


def test_the_setting_names_it_without_its_password() -> None:
    ledger = open_ledger("redis://ann:hunter2@127.0.0.1:1/3", "a", Clock())
    assert ledger._name == "redis://127.0.0.1:1/3"
