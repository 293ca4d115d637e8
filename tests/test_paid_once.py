"""Paid once, never lost: what a call that ends early leaves, and what the next identical one gets."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Unpack, cast

import anyio
import httpx
import pytest
from mcp import Client
from mcp.types import ElicitResult, PromptReference, ResourceTemplateReference, TextResourceContents

from mcp_server.generations import Generation, Generations
from mcp_server.generations.fallback import FallbackLedger
from mcp_server.generations.generation import LINK_LIFE, link_expiry
from mcp_server.generations.ledger import LEASE, Begun, Changes, Full, LedgerError, Terms
from mcp_server.generations.ledger import Held as Doubtful
from mcp_server.generations.memory import MemoryLedger
from mcp_server.generations.sqlite import SqliteLedger
from mcp_server.progress import making
from mcp_server.server import SeedreamServer
from mcp_server.tools import Tools
from tests.conftest import (
    Clock,
    answering,
    connect,
    data_uri,
    image_bytes,
    make_settings,
    no_sleep,
    pictures,
    text_of,
)

pytestmark = pytest.mark.anyio

BATCH = {"prompt": "4 foxes", "sequential_image_generation": "auto", "max_images": 4}


class Held(httpx.AsyncBaseTransport):
    """An API that answers when it is let go, with `replies` in turn, the last one ever after."""

    def __init__(self, *replies: httpx.Response) -> None:
        self.replies = replies or (pictures(),)
        self.bodies: list[Any] = []
        self.started = anyio.Semaphore(0)
        self.let_go = anyio.Event()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, content=image_bytes(64, 64))
        self.bodies.append(json.loads(await request.aread()))
        reply = self.replies[min(len(self.bodies), len(self.replies)) - 1]
        self.started.release()
        await self.let_go.wait()
        return httpx.Response(reply.status_code, content=reply.content)


async def abandon(
    client: Client, held: Held, arguments: dict[str, Any], tool: str = "generate_image"
) -> None:
    """Call, and cancel once the request is at the API."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(client.call_tool, tool, arguments)
        await held.started.acquire()
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def process(
    store: Path, transport: httpx.AsyncBaseTransport, **variables: str
) -> AsyncIterator[Client]:
    """A server as one of several that share a ledger's file."""
    url = f"sqlite:///{store}"
    async with connect(transport=transport, SEEDREAM_STORE_URL=url, **variables) as client:
        yield client


@pytest.mark.parametrize("done", [True, False], ids=["made by then", "still being made"])
async def test_the_next_identical_call_gets_what_a_cancelled_one_left(era: str, done: bool) -> None:
    held = Held()
    async with connect(transport=held, mode=era) as client:
        await abandon(client, held, {"prompt": "x"})
        if done:
            held.let_go.set()
        async with anyio.create_task_group() as tasks:
            results = []

            async def call() -> None:
                results.append(await client.call_tool("generate_image", {"prompt": "x"}))

            tasks.start_soon(call)
            await anyio.wait_all_tasks_blocked()
            held.let_go.set()
        (result,) = results
        again = await client.call_tool("generate_image", {"prompt": "x"})
    assert result.structured_content["recovered"] is True
    assert "Recovered" in text_of(result)
    assert "billed" in result.structured_content["warnings"][0]
    assert result.structured_content["usage"] == {"images": 1, "images_today": 1}
    assert again.structured_content["recovered"] is False
    assert len(held.bodies) == 2


async def test_exactly_one_of_many_gets_it() -> None:
    held = Held()
    async with connect(transport=held) as client:
        await abandon(client, held, {"prompt": "x"})
        results: list[Any] = []

        async def call() -> None:
            results.append(await client.call_tool("generate_image", {"prompt": "x"}))

        async with anyio.create_task_group() as tasks:
            for _ in range(6):
                tasks.start_soon(call)
            for _ in range(5):
                await held.started.acquire()
            held.let_go.set()
    assert [result.structured_content["recovered"] for result in results].count(True) == 1
    assert len(held.bodies) == 6
    assert len({result.structured_content["generation_id"] for result in results}) == 6


class Gated(MemoryLedger):
    """A ledger one of whose methods waits, as a thread does, whatever is cancelled meanwhile."""

    def __init__(self, method: str) -> None:
        super().__init__()
        self.method = method
        self.reached, self.gate = anyio.Event(), anyio.Event()

    async def _pass(self, method: str) -> None:
        if method == self.method:
            self.reached.set()
            with anyio.CancelScope(shield=True):
                await self.gate.wait()

    async def begin(
        self, wanted: Generation, terms: Terms | None, *, doubts_since: datetime | None = None
    ) -> Begun | Full | None:
        begun = await super().begin(wanted, terms, doubts_since=doubts_since)
        await self._pass("begin")
        return begun

    async def images_since(self, caller: str, since: datetime, *, emulated: bool) -> int:
        await self._pass("images_since")
        return await super().images_since(caller, since, emulated=emulated)


@pytest.mark.parametrize("method", ["begin", "images_since"])
async def test_a_cancel_that_meets_the_ledger_at_work_loses_nothing(method: str) -> None:
    transport, requests = answering(pictures())
    ledger = Gated(method)
    results: list[Any] = []
    async with Generations(
        make_settings(), transport=transport, ledger=FallbackLedger(ledger, "x"), process="a"
    ) as service:
        async with Client(SeedreamServer(service)) as client:

            async def repeat() -> None:
                results.append(await client.call_tool("generate_image", {"prompt": "x"}))

            scope = anyio.CancelScope()

            async def call() -> None:
                with scope:
                    await client.call_tool("generate_image", {"prompt": "x"})

            with anyio.fail_after(10):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(call)
                    await ledger.reached.wait()
                    scope.cancel()
                    tasks.start_soon(repeat)
                    await anyio.wait_all_tasks_blocked()
                    ledger.gate.set()
    assert results[0].structured_content["recovered"] is True
    assert len(requests) == 1


class Doubting(MemoryLedger):
    """A ledger in which an identical request may have died, until it was asked so many times."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    async def begin(  # type: ignore[override]  # a store that others share answers more than memory does
        self, wanted: Generation, terms: Terms | None, *, doubts_since: datetime | None = None
    ) -> Begun | Full | Doubtful | None:
        self.times -= 1
        return (
            Doubtful() if self.times >= 0 else await super().begin(wanted, terms, doubts_since=doubts_since)
        )


@pytest.mark.parametrize("confirmed", [True, False])
async def test_a_call_waits_until_it_is_known_whether_an_identical_one_has_died(*, confirmed: bool) -> None:
    transport, requests = answering(pictures())
    settings = make_settings(**{"SEEDREAM_CONFIRM_ABOVE": "0"} if confirmed else {})
    ledger = Doubting(3)
    async with Generations(
        settings, transport=transport, ledger=FallbackLedger(cast("Any", ledger), "x"), sleep=no_sleep
    ) as service:
        async with Client(SeedreamServer(service), elicitation_callback=agree) as client:
            made = await client.call_tool("generate_image", {"prompt": "x"})
            assert not made.is_error
            ledger.times = 100
            await service.abandon_all()
            late = await client.call_tool("generate_image", {"prompt": "y"})
    assert "told to end" in text_of(late)
    assert len(requests) == 1


async def agree(context: Any, params: Any) -> ElicitResult:
    return ElicitResult(action="accept")


async def test_references_count_by_content(tmp_path: Path) -> None:
    held = Held()
    picture = image_bytes(64, 64)
    path = tmp_path / "a.jpg"
    path.write_bytes(picture)
    async with connect(transport=held) as client:
        await abandon(client, held, {"prompt": "x", "images": [data_uri(picture)]}, "edit_image")
        held.let_go.set()
        other = {"prompt": "x", "images": [data_uri(image_bytes(65, 64))]}
        assert not (await client.call_tool("edit_image", other)).structured_content["recovered"]
        same = {"prompt": "x", "images": [str(path)], "preview": True}
        assert (await client.call_tool("edit_image", same)).structured_content["recovered"]
    assert len(held.bodies) == 2


@pytest.mark.parametrize(
    "other", [{"prompt": "y"}, {"prompt": "x", "size": "1K"}, {"prompt": "x", "watermark": True}]
)
async def test_another_request_is_another_generation(other: dict[str, Any]) -> None:
    held = Held()
    async with connect(transport=held) as client:
        await abandon(client, held, {"prompt": "x"})
        held.let_go.set()
        assert not (await client.call_tool("generate_image", other)).structured_content["recovered"]


async def test_an_abandoned_generation_is_saved_and_recovered_with_its_files(tmp_path: Path) -> None:
    held = Held()
    folder = tmp_path / "saved"
    async with connect(transport=held, SEEDREAM_SAVE_DIR=str(folder)) as client:
        await abandon(client, held, {"prompt": "x"})
        held.let_go.set()
        result = await client.call_tool("generate_image", {"prompt": "x", "preview": True})
    (image,) = result.structured_content["images"]
    assert [Path(image["saved_path"])] == list(folder.iterdir())
    assert [block.type for block in result.content] == ["text", "resource_link", "image"]


async def test_after_a_restart_the_next_process_gives_what_the_first_had_made(tmp_path: Path) -> None:
    store, held = tmp_path / "ledger.db", Held()
    async with process(store, held) as client:
        await abandon(client, held, {"prompt": "x"})
        held.let_go.set()
    async with process(store, held, SEEDREAM_SAVE_DIR=str(tmp_path / "saved")) as client:
        result = await client.call_tool("generate_image", {"prompt": "x"})
        assert result.structured_content["recovered"] is True
        assert result.structured_content["images"][0]["saved_path"]
    assert len(held.bodies) == 1


@pytest.mark.parametrize("saves", [True, False])
async def test_a_call_in_one_process_joins_what_another_makes(tmp_path: Path, saves: bool) -> None:
    store, held = tmp_path / "ledger.db", Held()
    variables = {"SEEDREAM_SAVE_DIR": str(tmp_path / "saved")} if saves else {}
    results = []
    async with process(store, held, **variables) as first, process(store, held, **variables) as second:
        await abandon(first, held, {"prompt": "x"})

        async def call() -> None:
            results.append(await second.call_tool("generate_image", {"prompt": "x"}))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call)
            await anyio.wait_all_tasks_blocked()
            held.let_go.set()
    assert results[0].structured_content["recovered"] is True
    assert len(held.bodies) == 1
    assert len(list((tmp_path / "saved").iterdir()) if saves else [1]) == 1


async def test_whoever_has_joined_a_process_that_dies_is_told_and_nothing_is_sent_again(
    tmp_path: Path,
) -> None:
    store, clock = tmp_path / "ledger.db", Clock()
    settings = make_settings(SEEDREAM_STORE_URL=f"sqlite:///{store}")
    held, texts = Held(), []
    dying = SqliteLedger(store, "b", clock)
    async with Generations(settings, transport=held, clock=clock) as service:
        async with Client(SeedreamServer(service)) as client:
            await abandon(client, held, {"prompt": "x"})
            (row,) = await service.ledger.recent("local", 1)
            other = replace(row, id="b", owner="b", waiter="b", created=clock())
            await service.ledger.update(row.id, status="failed", pictures={})
            assert isinstance(await dying.begin(other, Terms()), Begun)
            await dying.update("b", abandoned=True)

            async def call() -> None:
                texts.append(text_of(await client.call_tool("generate_image", {"prompt": "x"})))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(call)
                await anyio.wait_all_tasks_blocked()
                listed = await client.call_tool("list_images", {})
                assert "1 image is being made" in text_of(listed)
                await dying.renew("b", clock())
                await dying.close()
            held.let_go.set()
    await dying.close()
    assert texts[0].startswith("[outcome_unknown] The server process that sent the request has ended")
    assert len(held.bodies) == 1


async def test_a_process_with_work_renews_its_lease(tmp_path: Path) -> None:
    store, clock, held = tmp_path / "ledger.db", Clock(), Held()
    settings = make_settings(SEEDREAM_STORE_URL=f"sqlite:///{store}")
    async with Generations(settings, transport=held, clock=clock) as service:
        async with Client(SeedreamServer(service)) as client:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(client.call_tool, "generate_image", {"prompt": "x"})
                await held.started.acquire()
                assert service._calls is not None
                clock.forward(seconds=25)
                with anyio.move_on_after(0.3):
                    await service._calls.keep_lease(pause=0.05)
                clock.forward(seconds=25)
                (row,) = (await client.call_tool("list_images", {})).structured_content["generations"]
                held.let_go.set()
    assert row["status"] == "pending"


async def test_a_failure_reaches_whoever_has_joined_and_is_not_repeated(tmp_path: Path) -> None:
    store, held = tmp_path / "ledger.db", Held(httpx.Response(400, json={"reason": "ILLEGAL_PROMPT"}))
    texts = []
    async with process(store, held) as first, process(store, held) as second:
        await abandon(first, held, {"prompt": "x"})

        async def call() -> None:
            texts.append(text_of(await second.call_tool("generate_image", {"prompt": "x"})))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call)
            await anyio.wait_all_tasks_blocked()
            held.let_go.set()
    assert texts[0].startswith("[content_rejected]")
    assert "Billed: no" in texts[0]


async def test_after_an_unknown_outcome_an_identical_call_is_new_and_warns() -> None:
    transport, requests = answering(httpx.Response(500), pictures())
    async with connect(transport=transport) as client:
        failed = await client.call_tool("generate_image", {"prompt": "x"})
        result = await client.call_tool("generate_image", {"prompt": "x"})
        third = await client.call_tool("generate_image", {"prompt": "x"})
    assert text_of(failed).startswith("[outcome_unknown]")
    assert "may have been billed too" in result.structured_content["warnings"][0]
    assert result.structured_content["recovered"] is False
    assert third.structured_content["warnings"] == []
    assert len(requests) == 3


async def test_one_odd_link_costs_neither_the_good_one_nor_the_server() -> None:
    odd = pictures("https://cdn.example.com/good.jpg", "https://[cdn.example.com/a.jpg")
    transport, _ = answering(odd)
    async with connect(transport=transport) as client:
        result = await client.call_tool("generate_image", BATCH)
        assert (await client.call_tool("generate_image", BATCH)).is_error is False
    assert [image["url"] for image in result.structured_content["images"]] == [
        "https://cdn.example.com/good.jpg"
    ]
    assert link_expiry("https://[x", Clock()()) == Clock()() + LINK_LIFE


async def test_an_outcome_that_cannot_be_recorded_still_reaches_the_call() -> None:
    class Broken(MemoryLedger):
        async def update(self, *generation_ids: str, **changes: Unpack[Changes]) -> None:
            if "urls" in changes:
                raise ZeroDivisionError

    transport, _ = answering(pictures())
    async with Generations(
        make_settings(), transport=transport, ledger=FallbackLedger(Broken(), "x"), process="a"
    ) as service:
        async with Client(SeedreamServer(service)) as client:
            result = await client.call_tool("generate_image", {"prompt": "x"})
            assert (await client.list_tools()).tools
    assert result.structured_content["images"]


async def test_a_store_that_cannot_be_read_for_a_while_is_no_answer() -> None:
    clock = Clock()

    class Shaky(MemoryLedger):
        looks = 0

        async def get(self, caller: str, generation_id: str) -> Generation | None:
            self.looks += 1
            if self.looks == 1:
                raise LedgerError("locked")
            clock.forward(seconds=20)  # by then it may be tried again
            await self.update(
                generation_id, status="succeeded", urls=("https://a.example/1",), ended=clock(), pictures={}
            )
            return await super().get(caller, generation_id)

    transport, requests = answering(pictures())
    store = Shaky(clock)
    ledger = FallbackLedger(store, "x", clock)
    async with Generations(
        make_settings(), transport=transport, ledger=ledger, process="a", clock=clock
    ) as service:
        async with Client(SeedreamServer(service)) as client:
            first = await client.call_tool("generate_image", {"prompt": "x"})
            (row,) = store.rows.values()
            store.rows[row.id] = replace(
                row, abandoned=True, status="pending", pictures=None, owner="b", waiter="b"
            )
            await store.renew("b", clock() + LEASE * 10)

            async def time_passes() -> None:
                while ledger.trouble is None:  # noqa: ASYNC110 - no event tells of it
                    await anyio.sleep(0.01)
                clock.forward(seconds=20)

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(time_passes)
                result = await client.call_tool("generate_image", {"prompt": "x"})
    assert not first.is_error
    assert result.structured_content["recovered"] is True
    assert len(requests) == 1


async def test_many_doubts_are_told_in_few_words() -> None:
    transport, _ = answering(*[httpx.Response(500)] * 5, pictures())
    async with connect(transport=transport) as client:
        for _ in range(5):
            await client.call_tool("generate_image", {"prompt": "x"})
        result = await client.call_tool("generate_image", {"prompt": "x"})
    warnings = result.structured_content["warnings"]
    assert len(warnings) == 4
    assert warnings[-1] == "So did 2 identical calls before those."


async def test_a_fault_of_ours_after_the_pictures_were_made_leaves_them_to_the_next_call() -> None:
    transport, requests = answering(pictures())
    ledger = Faulty()
    async with Generations(
        make_settings(), transport=transport, ledger=FallbackLedger(ledger, "x"), process="a"
    ) as service:
        async with Client(SeedreamServer(service)) as client:
            failed = await client.call_tool("generate_image", {"prompt": "x"})
            ledger.sound = True
            result = await client.call_tool("generate_image", {"prompt": "x"})
    assert text_of(failed).startswith("[internal]")
    assert result.structured_content["recovered"] is True
    assert len(requests) == 1


class Faulty(MemoryLedger):
    """A ledger with a mistake in it."""

    sound = False

    async def images_since(self, caller: str, since: datetime, *, emulated: bool) -> int:
        if not self.sound:
            raise ZeroDivisionError
        return await super().images_since(caller, since, emulated=emulated)


async def test_what_is_under_way_at_the_end_of_the_drain_is_unknown(tmp_path: Path) -> None:
    store, held = tmp_path / "ledger.db", Held()
    async with process(store, held, SEEDREAM_DRAIN_SECONDS="0") as client:
        await abandon(client, held, {"prompt": "x"})
    held.let_go.set()
    async with process(store, held) as client:
        (row,) = (await client.call_tool("list_images", {})).structured_content["generations"]
        assert row["status"] == "unknown"
        assert "may have been made and billed" in row["note"]
        result = await client.call_tool("generate_image", {"prompt": "x"})
    assert row["generation_id"] in result.structured_content["warnings"][0]


async def test_a_server_that_ends_takes_no_new_calls() -> None:
    transport, requests = answering(pictures())
    async with Generations(make_settings(), transport=transport) as service:
        async with Client(SeedreamServer(service)) as client:
            await client.call_tool("generate_image", {"prompt": "x"})
            await service.drain()
            refused = text_of(await client.call_tool("generate_image", {"prompt": "x"}))
    assert refused.startswith("[upstream_unavailable]")
    assert "nothing was sent" in refused
    assert len(requests) == 1


async def test_a_cancelled_call_that_waits_for_a_slot_sends_nothing() -> None:
    held = Held()
    async with connect(transport=held, SEEDREAM_MAX_CONCURRENCY="1") as client:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.call_tool, "generate_image", {"prompt": "x"})
            await held.started.acquire()
            async with anyio.create_task_group() as others:
                others.start_soon(client.call_tool, "generate_image", {"prompt": "y"})
                await anyio.wait_all_tasks_blocked()
                others.cancel_scope.cancel()
            held.let_go.set()
        listed = await client.call_tool("list_images", {})
    assert [row["prompt"] for row in listed.structured_content["generations"]] == ["x"]
    assert len(held.bodies) == 1


async def test_callers_over_the_network_are_not_those_of_this_machine(tmp_path: Path) -> None:
    settings = make_settings(SEEDREAM_STORE_URL=f"sqlite:///{tmp_path / 'ledger.db'}")
    transport, _ = answering(pictures())
    async with Generations(settings, transport=transport) as local:
        async with Client(SeedreamServer(local)) as client:
            made = await client.call_tool("generate_image", {"prompt": "x"})
        async with Generations(settings, transport=transport, remote=True) as remote:
            async with Client(SeedreamServer(remote)) as client:
                listed = await client.call_tool("list_images", {})
                again = await client.call_tool("generate_image", {"prompt": "x"})
                with pytest.raises(Exception, match="no such picture"):
                    await client.read_resource(made.structured_content["images"][0]["resource"])
    assert listed.structured_content["generations"] == []
    assert again.structured_content["usage"]["images_today"] == 1


async def test_the_recent_generations_are_a_resource_and_their_ids_complete() -> None:
    transport, _ = answering(pictures("https://a.example/1", "https://a.example/2"), httpx.Response(400))
    async with connect(transport=transport) as client:
        made = (await client.call_tool("generate_image", BATCH)).structured_content
        await client.call_tool("generate_image", {"prompt": "y"})
        resources = (await client.list_resources()).resources
        assert [resource.uri for resource in resources] == ["seedream://generations"]
        (content,) = (await client.read_resource("seedream://generations")).contents
        assert isinstance(content, TextResourceContents)
        recent = json.loads(content.text)
        template = {"type": "ref/resource", "uri": "seedream://generations/{id}/{n}"}
        ids = await complete(client, template, "id", made["generation_id"][:3])
        numbers = await complete(client, template, "n", "", made["generation_id"])
        nothing = await complete(client, template, "id", "zz")
        other = await client.complete(
            PromptReference(type="ref/prompt", name="x"), {"name": "id", "value": ""}
        )
    assert [row["status"] for row in recent] == ["failed", "succeeded"]
    assert "[upstream_rejected]" in recent[0]["note"]
    assert recent[1]["images"][1]["resource"] == f"seedream://generations/{made['generation_id']}/2"
    assert other.completion.values == []
    assert (ids, numbers, nothing) == ([made["generation_id"]], ["1", "2"], [])


async def complete(client: Client, ref: dict[str, str], name: str, value: str, chosen: str = "") -> list[str]:
    result = await client.complete(
        ResourceTemplateReference.model_validate(ref),
        {"name": name, "value": value},
        context_arguments={"id": chosen} if chosen else None,
    )
    return list(result.completion.values)


def test_progress_reckons_the_image_from_the_usual_time() -> None:
    assert making(4, None)(18) == "Waiting for up to 4 images: 18 s"
    assert making(1, None)(18) == "Waiting for 1 image: 18 s"
    assert making(4, 25)(1) == "Probably at image 1 of up to 4, 1 s, usually about 25 s"
    assert making(4, 25)(18) == "Probably at image 3 of up to 4, 18 s, usually about 25 s"
    assert making(4, 25)(60) == "Probably at image 4 of up to 4, 60 s, usually about 25 s"
    assert making(1, 25)(60) == "Probably at image 1 of 1, 60 s, usually about 25 s"


async def test_progress_tells_the_usual_time_that_the_ledger_knows(era: str) -> None:
    clock, held = Clock(), Held()
    heard: list[str] = []

    async def listen(progress: float, total: float | None, message: str | None) -> None:
        heard.append(message or "")
        if "usually" in heard[-1]:
            held.let_go.set()

    async with Generations(make_settings(), transport=held, clock=clock) as service:
        async with Client(SeedreamServer(service, Tools(service, beat_seconds=0.02)), mode=era) as client:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(client.call_tool, "generate_image", BATCH)
                await held.started.acquire()
                clock.forward(seconds=25)
                held.let_go.set()
            held.let_go = anyio.Event()
            with anyio.fail_after(10):
                await client.call_tool("generate_image", BATCH, progress_callback=listen)
    assert heard[-1] == "Probably at image 1 of up to 4, 0 s, usually about 25 s"
