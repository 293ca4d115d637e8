"""The contract of a ledger: one suite, run against each implementation."""

import itertools
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from mcp_server.generations.fallback import FallbackLedger
from mcp_server.generations.generation import Failure, Generation, Picture
from mcp_server.generations.ledger import LEASE, Begun, Full, Ledger, Terms
from mcp_server.generations.memory import MemoryLedger
from mcp_server.generations.redis import RedisLedger
from mcp_server.generations.sqlite import SqliteLedger
from tests.conftest import NOON, Clock, a_generation

pytestmark = pytest.mark.anyio

URL = "https://cdn.example.com/a.jpg?sig=%2F%3D&x=ü\"'"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "sqlite", "fallback", "redis"])
async def ledger(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> AsyncIterator[Ledger]:
    made: Ledger = MemoryLedger(clock)
    if request.param == "redis":
        made = RedisLedger(request.getfixturevalue("redis_url"), "a", clock, f"{{{secrets.token_hex(8)}}}:")
    elif request.param != "memory":
        made = SqliteLedger(tmp_path / "ledger.db", "a", clock)
    if request.param == "fallback":
        made = FallbackLedger(made, "x", clock)
    yield made
    await made.close()


@pytest.fixture
def row(clock: Clock) -> Callable[..., Generation]:
    """A row that begins now, with an id of its own."""
    ids = itertools.count()
    return lambda **fields: a_generation(**{"id": f"{next(ids):x}", "created": clock()} | fields)


FREE = Terms()


async def begin(ledger: Ledger, wanted: Generation, terms: Terms | None = FREE) -> Begun:
    begun = await ledger.begin(wanted, terms)
    assert isinstance(begun, Begun)
    return begun


async def succeed(ledger: Ledger, row: Generation, clock: Clock, **changes: Any) -> None:
    values: dict[str, Any] = {"urls": (URL,), "counted": 1, "pictures": {}, "ended": clock()}
    await ledger.update(row.id, status="succeeded", **values | changes)


async def test_a_row_comes_back_as_it_was_written(ledger: Ledger, row: Any, clock: Clock) -> None:
    wanted = row(
        prompt="狐 'x' \"y\" \x00",
        requested={"prompt": "狐", "images": ["https://x/?a=1", "data:image/jpeg;base64,… (3 bytes)"]},
        most=15,
        emulated=True,
    )
    assert (await begin(ledger, wanted)).generation == wanted
    assert await ledger.get("local", wanted.id) == wanted
    picture = Picture("image/png", 10, 20, Path("/tmp/狐.png"))  # noqa: S108 - never opened
    changes: dict[str, Any] = {
        "status": "succeeded",
        "urls": (URL, "https://b"),
        "unusable": 1,
        "counted": 3,
        "ended": clock() + timedelta(seconds=1.5),
        "pictures": {1: picture, 2: replace(picture, saved_path=None)},
        "delivered": True,
    }
    await ledger.update(wanted.id, **changes)
    assert await ledger.get("local", wanted.id) == replace(wanted, **changes)
    failure = Failure("rate_limited", "a", "b", "you")
    await ledger.update(wanted.id, failure=failure)
    found = await ledger.get("local", wanted.id)
    assert found is not None
    assert found.failure == failure


async def test_what_is_not_there_is_none_and_can_be_updated_to_no_effect(ledger: Ledger) -> None:
    assert await ledger.get("local", "nothing") is None
    assert await ledger.with_link("local", URL) is None
    assert await ledger.recent("local", 5) == []
    assert await ledger.images_since("local", NOON, emulated=False) == 0
    await ledger.update("nothing", abandoned=True)


async def test_rows_can_be_changed_together(ledger: Ledger, row: Any) -> None:
    ids = [(await begin(ledger, row())).generation.id for _ in range(3)]
    await ledger.update(*ids[:2], delivered=True)
    assert [found.delivered for found in await ledger.recent("local", 5)] == [False, True, True]


async def test_identical_calls_that_nobody_abandoned_are_separate(ledger: Ledger, row: Any) -> None:
    first, second = row(), row()
    assert not (await begin(ledger, first)).claimed
    assert not (await begin(ledger, second)).claimed
    assert [found.id for found in await ledger.recent("local", 5)] == [second.id, first.id]


async def test_rows_are_listed_page_by_page_also_those_of_one_moment(ledger: Ledger, row: Any) -> None:
    made = [row(created=NOON + timedelta(seconds=second)) for second in (0, 1, 1, 1, 2)]
    for one in made:
        await begin(ledger, one)
    await begin(ledger, row(caller="other"))
    pages, before = [], None
    while page := await ledger.recent("local", 2, before=before):
        pages.append([found.id for found in page])
        before = page[-1]
    newest_first = sorted(made, key=lambda one: one.order, reverse=True)
    assert [len(page) for page in pages] == [2, 2, 1]
    assert [found for page in pages for found in page] == [one.id for one in newest_first]


@pytest.mark.parametrize("done", [True, False])
async def test_an_abandoned_row_goes_to_exactly_one_identical_call(
    ledger: Ledger, row: Any, clock: Clock, done: bool
) -> None:
    first = row()
    await begin(ledger, first)
    if done:
        await succeed(ledger, first, clock)
    await ledger.update(first.id, abandoned=True)
    claims: list[Begun] = []

    async def claim() -> None:
        claims.append(await begin(ledger, row(owner="a")))

    async with anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(claim)
    (claimed,) = [begun for begun in claims if begun.claimed]
    assert claimed.generation.id == first.id
    assert not claimed.generation.abandoned
    assert len(await ledger.recent("local", 50)) == 10


async def test_an_abandoned_claim_can_be_claimed_again(ledger: Ledger, row: Any) -> None:
    first = row()
    await begin(ledger, first)
    for _ in range(3):
        await ledger.update(first.id, abandoned=True)
        assert (await begin(ledger, row())).generation.id == first.id


async def test_without_terms_there_is_only_a_claim_or_nothing(ledger: Ledger, row: Any) -> None:
    first = row()
    assert await ledger.begin(first, None) is None
    assert await ledger.recent("local", 5) == []
    await begin(ledger, first)
    await ledger.update(first.id, abandoned=True)
    assert (await begin(ledger, row(), None)).claimed


@pytest.mark.parametrize(
    "other", [{"caller": "http"}, {"fingerprint": "g"}], ids=["another caller", "another request"]
)
async def test_nobody_else_gets_an_abandoned_row(ledger: Ledger, row: Any, other: dict[str, str]) -> None:
    first = row()
    await begin(ledger, first)
    await ledger.update(first.id, abandoned=True)
    assert not (await begin(ledger, row(**other))).claimed


@pytest.mark.parametrize("status", ["failed", "unknown"])
async def test_a_row_without_pictures_is_not_claimed(ledger: Ledger, row: Any, status: Any) -> None:
    first = row()
    await begin(ledger, first)
    await ledger.update(first.id, status=status, abandoned=True, pictures={})
    assert not (await begin(ledger, row())).claimed


async def test_a_row_whose_links_have_ended_is_not_claimed(ledger: Ledger, row: Any, clock: Clock) -> None:
    first = row()
    await begin(ledger, first)
    await succeed(ledger, first, clock, abandoned=True)
    clock.forward(hours=25)
    assert not (await begin(ledger, row())).claimed


async def test_the_links_of_an_embedded_emulator_are_of_use_in_its_own_process_alone(
    ledger: Ledger, row: Any, clock: Clock
) -> None:
    first = row(emulated=True)
    await begin(ledger, first)
    await succeed(ledger, first, clock, abandoned=True)
    assert not (await begin(ledger, row(emulated=True, owner="b"))).claimed
    assert (await begin(ledger, row(emulated=True))).claimed


async def test_callers_do_not_see_each_others_rows(ledger: Ledger, row: Any, clock: Clock) -> None:
    mine, theirs = row(), row(caller="http")
    for one in (mine, theirs):
        await begin(ledger, one)
        await succeed(ledger, one, clock)
    assert [found.id for found in await ledger.recent("http", 5)] == [theirs.id]
    assert await ledger.get("http", mine.id) is None
    found = await ledger.with_link("http", URL)
    assert found is not None
    assert found.id == theirs.id
    assert await ledger.images_since("http", NOON, emulated=False) == 1


async def test_a_process_whose_lease_lapses_leaves_unknown_rows(
    ledger: Ledger, row: Any, clock: Clock
) -> None:
    first = row(owner="b")
    await begin(ledger, first)
    clock.forward(seconds=LEASE.total_seconds() - 1)
    assert (await ledger.recent("local", 1))[0].status == "pending"
    await ledger.renew("b", clock() + LEASE)
    clock.forward(seconds=2)
    assert (await ledger.recent("local", 1))[0].status == "pending"
    clock.forward(seconds=LEASE.total_seconds())
    found = await ledger.get("local", first.id)
    assert found is not None
    assert (found.status, found.ended, found.pictures) == ("unknown", clock(), {})


async def test_an_identical_call_after_that_is_new_and_knows_of_the_doubt_until_one_succeeds(
    ledger: Ledger, row: Any, clock: Clock
) -> None:
    lost = [row(owner="b"), row(owner="b"), row(owner="b", fingerprint="g")]
    for one in lost:
        await begin(ledger, one)
    await ledger.renew("b", clock())
    clock.forward(seconds=1)
    again = row()
    begun = await begin(ledger, again)
    assert not begun.claimed
    assert {doubted.id for doubted in begun.in_doubt} == {lost[0].id, lost[1].id}
    assert len((await begin(ledger, row())).in_doubt) == 2
    await succeed(ledger, again, clock)
    clock.forward(seconds=1)
    assert (await begin(ledger, row())).in_doubt == ()


async def test_a_doubt_that_nobody_was_told_of_is_claimed_once_where_that_is_asked_for(
    ledger: Ledger, row: Any, clock: Clock
) -> None:
    cut_off = await begin(ledger, row(owner="b"))
    clock.forward(seconds=LEASE.total_seconds())
    long_ago = await ledger.begin(row(created=clock()), None, doubts_since=clock())
    assert long_ago is None
    told = await ledger.begin(row(created=clock()), FREE, doubts_since=NOON - timedelta(hours=1))
    assert isinstance(told, Begun)
    assert (told.claimed, told.generation.id) == (True, cut_off.generation.id)
    assert told.generation.status == "unknown"
    again = await ledger.begin(row(created=clock()), FREE, doubts_since=NOON - timedelta(hours=1))
    assert isinstance(again, Begun)
    assert not again.claimed
    assert [earlier.id for earlier in again.in_doubt] == [cut_off.generation.id]


async def test_pictures_are_claimed_before_doubts(ledger: Ledger, row: Any, clock: Clock) -> None:
    paid = row(owner="a")
    await begin(ledger, paid)
    await succeed(ledger, paid, clock)
    clock.forward(seconds=1)
    await begin(ledger, row(owner="b", created=clock()))
    await ledger.update(paid.id, abandoned=True)
    clock.forward(seconds=LEASE.total_seconds())
    claimed = await ledger.begin(row(created=clock()), FREE, doubts_since=NOON - timedelta(hours=1))
    assert isinstance(claimed, Begun)
    assert claimed.generation.id == paid.id


async def test_a_store_that_is_there_can_be_used(ledger: Ledger) -> None:
    await ledger.check()


async def test_what_a_dead_process_made_and_nobody_got_is_claimed(
    ledger: Ledger, row: Any, clock: Clock
) -> None:
    got, lost = row(owner="b"), row(owner="b", fingerprint="g")
    for one in (got, lost):
        await begin(ledger, one)
        await succeed(ledger, one, clock)
    await ledger.update(got.id, delivered=True)
    await ledger.renew("b", clock())
    assert not (await begin(ledger, row())).claimed
    assert (await begin(ledger, row(fingerprint="g"))).generation.id == lost.id


async def test_the_claim_of_a_process_that_dies_is_free_again(ledger: Ledger, row: Any, clock: Clock) -> None:
    first = row()
    await begin(ledger, first)
    await succeed(ledger, first, clock, abandoned=True)
    claimed = await begin(ledger, row(owner="b"))
    assert (claimed.claimed, claimed.generation.waiter) == (True, "b")
    assert not (await begin(ledger, row())).claimed
    await ledger.renew("b", clock())
    assert (await begin(ledger, row())).generation.id == first.id


async def test_a_doubt_whose_claimant_dies_before_it_is_told_is_claimed_again(
    ledger: Ledger, row: Any, clock: Clock
) -> None:
    first = row(owner="b")
    await begin(ledger, first)
    await ledger.update(first.id, abandoned=True)
    await begin(ledger, row(owner="c"))
    await ledger.renew("b", clock())
    await ledger.renew("c", clock())
    again = await ledger.begin(row(), FREE, doubts_since=NOON - timedelta(hours=1))
    assert isinstance(again, Begun)
    assert (again.generation.id, again.generation.status) == (first.id, "unknown")


async def test_what_failed_for_free_can_be_noted_as_delivered(ledger: Ledger, row: Any, clock: Clock) -> None:
    first = row()
    await begin(ledger, first)
    await ledger.update(first.id, status="failed", counted=0, ended=clock(), pictures={})
    await ledger.update(first.id, delivered=True, abandoned=False)
    found = await ledger.get("local", first.id)
    assert found is not None
    assert found.delivered
    assert getattr(ledger, "trouble", None) is None


async def test_an_owner_that_was_thought_dead_is_believed_when_it_answers(
    ledger: Ledger, row: Any, clock: Clock
) -> None:
    first = row(owner="b")
    await begin(ledger, first)
    await ledger.renew("b", clock())
    assert (await ledger.recent("local", 1))[0].status == "unknown"
    await succeed(ledger, first, clock)
    assert (await begin(ledger, row())).generation.id == first.id


async def test_a_saving_that_a_death_cut_off_is_over(ledger: Ledger, row: Any, clock: Clock) -> None:
    first = row(owner="b")
    await begin(ledger, first)
    await ledger.update(first.id, status="succeeded", urls=(URL,), ended=clock())
    await ledger.renew("b", clock())
    (found,) = await ledger.recent("local", 1)
    assert (found.status, found.pictures) == ("succeeded", {})


async def test_the_day_is_full_with_what_may_be_billed_and_settles_to_what_was(
    ledger: Ledger, row: Any, clock: Clock
) -> None:
    terms = Terms(per_day=5)
    first = row(most=4)
    await begin(ledger, first, terms)
    full = await ledger.begin(row(most=2), terms)
    assert full == Full(per_day=True, used=4, until=NOON.replace(hour=0) + timedelta(days=1))
    assert len(await ledger.recent("local", 5)) == 1
    await succeed(ledger, first, clock, counted=3)
    await begin(ledger, row(most=2), terms)
    assert isinstance(await ledger.begin(row(most=1), terms), Full)
    assert isinstance(await ledger.begin(row(most=1, caller="http"), terms), Begun)
    assert isinstance(await ledger.begin(row(most=1, emulated=True), terms), Begun)
    clock.forward(hours=12)
    await begin(ledger, row(most=5), terms)


async def test_what_failed_for_free_takes_no_room_and_what_is_unknown_does(
    ledger: Ledger, row: Any, clock: Clock
) -> None:
    terms = Terms(per_day=2)
    free, doubtful = row(), row()
    await begin(ledger, free, terms)
    await begin(ledger, doubtful, terms)
    await ledger.update(free.id, status="failed", counted=0, ended=clock())
    await ledger.update(doubtful.id, status="unknown", ended=clock())
    await begin(ledger, row(), terms)
    assert isinstance(await ledger.begin(row(), terms), Full)
    assert await ledger.images_since("local", NOON, emulated=False) == 1


async def test_a_minute_slides(ledger: Ledger, row: Any, clock: Clock) -> None:
    terms = Terms(per_minute=3)
    await begin(ledger, row(most=1), terms)
    clock.forward(seconds=20)
    await begin(ledger, row(most=2), terms)
    clock.forward(seconds=20)
    full = await ledger.begin(row(most=1), terms)
    assert full == Full(per_day=False, used=3, until=NOON + timedelta(minutes=1))
    full = await ledger.begin(row(most=3), terms)
    assert full == Full(per_day=False, used=3, until=NOON + timedelta(seconds=80))
    clock.forward(seconds=20)
    await begin(ledger, row(most=1), terms)


async def test_a_minute_reaches_over_midnight(ledger: Ledger, row: Any, clock: Clock) -> None:
    terms = Terms(per_minute=1, per_day=1)
    clock.now = NOON.replace(hour=23, minute=59, second=50)
    await begin(ledger, row(), terms)
    clock.forward(seconds=20)
    full = await ledger.begin(row(), terms)
    assert isinstance(full, Full)
    assert not full.per_day
    clock.forward(seconds=40)
    await begin(ledger, row(), terms)


async def test_a_claim_needs_no_room(ledger: Ledger, row: Any) -> None:
    terms = Terms(per_day=1)
    first = row()
    await begin(ledger, first, terms)
    await ledger.update(first.id, abandoned=True)
    assert (await begin(ledger, row(), terms)).claimed


async def test_the_usual_time_is_the_median_of_alike_requests(ledger: Ledger, row: Any, clock: Clock) -> None:
    assert (await begin(ledger, row())).usual_seconds is None
    for seconds in (10, 20, 90):
        one, other = row(), row(most=4)
        for begun in (one, other):
            await begin(ledger, begun)
        await succeed(ledger, one, clock, ended=clock() + timedelta(seconds=seconds))
        await succeed(ledger, other, clock, ended=clock() + timedelta(seconds=seconds * 2))
        clock.forward(seconds=1)
    assert (await begin(ledger, row())).usual_seconds == pytest.approx(20)
    assert (await begin(ledger, row(most=4))).usual_seconds == pytest.approx(40)
    assert (await begin(ledger, row(most=5))).usual_seconds is None


async def test_a_row_from_elsewhere_is_written_whole(ledger: Ledger, row: Any) -> None:
    foreign = row(status="succeeded", urls=(URL,), pictures={}, abandoned=True)
    await ledger.put(foreign)
    await ledger.put(foreign)
    assert await ledger.recent("local", 5) == [foreign]


async def test_old_rows_are_pruned(ledger: Ledger, row: Any, clock: Clock) -> None:
    old = row()
    await begin(ledger, old)
    await succeed(ledger, old, clock)
    clock.forward(days=2)
    new = row()
    await begin(ledger, new)
    await ledger.prune(clock() - timedelta(days=1))
    assert [found.id for found in await ledger.recent("local", 5)] == [new.id]
