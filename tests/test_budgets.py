"""Caps on images, and asking the person first."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from mcp import Client
from mcp.client.context import ClientRequestContext
from mcp.types import ElicitRequestParams, ElicitResult, ErrorData

from mcp_server.confirm import ANSWER_SECONDS, Confirmation
from mcp_server.generations import Generations
from mcp_server.generations.beginning import LONGEST_WAIT
from mcp_server.server import SeedreamServer
from mcp_server.tools import Tools
from tests.conftest import Clock, answering, make_settings, pictures, text_of

pytestmark = pytest.mark.anyio

LINKS = [f"https://a.example/{number}" for number in range(15)]


def batch(most: int) -> dict[str, Any]:
    return {"prompt": "foxes", "sequential_image_generation": "auto", "max_images": most}


@asynccontextmanager
async def capped(
    transport: httpx.AsyncBaseTransport, clock: Clock | None = None, **variables: str
) -> AsyncIterator[Client]:
    """A client of a server with caps; waiting moves its clock on."""
    time = clock or Clock()

    async def sleep(seconds: float) -> None:
        time.forward(seconds=seconds)
        await anyio.lowlevel.checkpoint()

    async with Generations(
        make_settings(**variables), transport=transport, sleep=sleep, clock=time
    ) as service:
        async with Client(SeedreamServer(service)) as client:
            yield client


async def test_the_day_is_refused_with_the_count_and_the_time_it_starts_anew(tmp_path: Path) -> None:
    transport, requests = answering(pictures(*LINKS[:3]), pictures())
    clock = Clock()
    clock.forward(minutes=30)
    variables = {
        "SEEDREAM_IMAGES_PER_DAY": "5",
        "SEEDREAM_STORE_URL": f"sqlite:///{tmp_path / 'ledger.db'}",
    }
    async with capped(transport, clock, **variables) as client:
        made = await client.call_tool("generate_image", batch(4))
        assert made.structured_content["usage"] == {"images": 3, "images_today": 3}
        refused = await client.call_tool("generate_image", batch(4))
    text = text_of(refused)
    assert refused.is_error
    assert text.startswith("[budget_exceeded] 3 of the 5 images of SEEDREAM_IMAGES_PER_DAY")
    for said in ("up to 4 images", "2026-03-05 00:00 UTC", "11 h 30 min", "max_images to at most 2", "no"):
        assert said in text
    # The count outlives the process, and the day ends.
    async with capped(transport, clock, **variables) as client:
        assert not (await client.call_tool("generate_image", batch(2))).is_error
        clock.forward(hours=11, minutes=20)
        assert "in 10 min" in text_of(await client.call_tool("generate_image", batch(5)))
        clock.forward(minutes=11)
        assert not (await client.call_tool("generate_image", batch(5))).is_error
    assert len(requests) == 3


async def test_a_refused_call_writes_nothing_down() -> None:
    transport, requests = answering(pictures())
    async with capped(transport, SEEDREAM_IMAGES_PER_DAY="3") as client:
        await client.call_tool("generate_image", batch(4))
        listed = await client.call_tool("list_images", {})
    assert listed.structured_content["generations"] == []
    assert requests == []


async def test_the_minute_is_waited_for_with_progress() -> None:
    transport, requests = answering(pictures(*LINKS[:2]))
    clock, heard = Clock(), []

    async def sleep(seconds: float) -> None:
        clock.forward(seconds=seconds)
        await anyio.sleep(0.002)

    async def listen(progress: float, total: float | None, message: str | None) -> None:
        heard.append(message or "")

    settings = make_settings(SEEDREAM_IMAGES_PER_MINUTE="2")
    async with Generations(settings, transport=transport, sleep=sleep, clock=clock) as service:
        async with Client(SeedreamServer(service, Tools(service, beat_seconds=0.01))) as client:
            started = clock()
            await client.call_tool("generate_image", batch(2))
            await client.call_tool("generate_image", batch(2), progress_callback=listen)
    assert timedelta(seconds=59) < clock() - started < timedelta(seconds=62)
    assert any("the cap of 2 images a minute" in message for message in heard)
    assert len(requests) == 2


async def test_whoever_waits_too_long_is_told_when_to_come_back() -> None:
    release = anyio.Event()

    class Stuck(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            await release.wait()
            return pictures()

    clock = Clock()
    async with capped(Stuck(), clock, SEEDREAM_IMAGES_PER_MINUTE="1") as client:
        results: list[str] = []

        async def call(prompt: str) -> None:
            results.append(text_of(await client.call_tool("generate_image", {"prompt": prompt})))

        async with anyio.create_task_group() as tasks:
            for prompt in "abc":
                tasks.start_soon(call, prompt)
            while not any("budget_exceeded" in text for text in results):
                await anyio.lowlevel.checkpoint()
            release.set()
    (refused,) = [text for text in results if "budget_exceeded" in text]
    assert "1 of the 1 images of SEEDREAM_IMAGES_PER_MINUTE" in refused
    assert "call again in " in refused
    assert timedelta(seconds=60) <= LONGEST_WAIT


async def test_more_than_a_minute_ever_has_room_for_is_refused_at_once() -> None:
    transport, requests = answering(pictures())
    clock = Clock()
    async with capped(transport, clock, SEEDREAM_IMAGES_PER_MINUTE="3") as client:
        before = clock()
        text = text_of(await client.call_tool("generate_image", batch(4)))
        assert clock() == before
    assert text.startswith("[budget_exceeded] This call may make up to 4 images")
    assert "set max_images to at most 3" in text
    assert requests == []


async def test_what_is_recovered_takes_no_room() -> None:
    started, release = anyio.Event(), anyio.Event()

    class Slow(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            started.set()
            await release.wait()
            return pictures()

    async with capped(Slow(), SEEDREAM_IMAGES_PER_DAY="1") as client:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.call_tool, "generate_image", {"prompt": "x"})
            await started.wait()
            tasks.cancel_scope.cancel()
        release.set()
        result = await client.call_tool("generate_image", {"prompt": "x"})
    assert result.structured_content["recovered"] is True


class Person:
    """Answers what it is asked."""

    def __init__(self, answer: ElicitResult | ErrorData) -> None:
        self.answer = answer
        self.asked: list[str] = []

    async def __call__(
        self, context: ClientRequestContext, params: ElicitRequestParams
    ) -> ElicitResult | ErrorData:
        self.asked.append(params.message)
        return self.answer


@asynccontextmanager
async def asking(
    person: Any, era: str, transport: httpx.AsyncBaseTransport, seconds: float = ANSWER_SECONDS
) -> AsyncIterator[Client]:
    settings = make_settings(SEEDREAM_CONFIRM_ABOVE="3")
    async with Generations(settings, transport=transport) as service:
        tools = Tools(service, confirmation=Confirmation(3, seconds))
        async with Client(SeedreamServer(service, tools), mode=era, elicitation_callback=person) as client:
            yield client


@pytest.mark.parametrize("content", [{"proceed": True}, {}, None])
async def test_the_person_is_asked_once_with_prompt_count_and_cap(
    era: str, content: dict[str, str | int | float | bool | list[str] | None] | None
) -> None:
    transport, requests = answering(pictures(*LINKS[:4]))
    person = Person(ElicitResult(action="accept", content=content))
    async with asking(person, era, transport) as client:
        assert not (await client.call_tool("generate_image", batch(3))).is_error
        assert person.asked == []
        assert not (await client.call_tool("generate_image", batch(4))).is_error
    (question,) = person.asked
    assert "up to 4 images" in question
    assert "above 3" in question
    assert "foxes" in question
    assert len(requests) == 2


@pytest.mark.parametrize(
    "answer",
    [
        ElicitResult(action="decline"),
        ElicitResult(action="cancel"),
        ElicitResult(action="accept", content={"proceed": False}),
        ElicitResult(action="accept", content={"proceed": "perhaps"}),
    ],
)
async def test_anything_but_a_yes_costs_nothing_and_is_clear(era: str, answer: ElicitResult) -> None:
    transport, requests = answering(pictures())
    async with asking(Person(answer), era, transport) as client:
        text = text_of(await client.call_tool("generate_image", batch(4)))
    assert text.startswith("[budget_exceeded] The person was asked")
    assert "Billed: no" in text
    assert requests == []


async def test_the_person_is_not_asked_about_what_the_day_has_no_room_for(era: str) -> None:
    transport, requests = answering(pictures())
    person = Person(ElicitResult(action="accept"))
    settings = make_settings(SEEDREAM_CONFIRM_ABOVE="3", SEEDREAM_IMAGES_PER_DAY="5")
    async with Generations(settings, transport=transport) as service:
        async with Client(SeedreamServer(service), mode=era, elicitation_callback=person) as client:
            text = text_of(await client.call_tool("generate_image", batch(6)))
    assert text.startswith("[budget_exceeded] 0 of the 5 images")
    assert (person.asked, requests) == ([], [])


async def test_a_host_that_fails_to_ask_counts_as_a_no() -> None:
    transport, requests = answering(pictures())
    async with asking(Person(ErrorData(code=-32603, message="no window")), "legacy", transport) as client:
        text = text_of(await client.call_tool("generate_image", batch(4)))
    assert "the host did not give a usable answer" in text
    assert requests == []


async def test_a_host_that_never_answers_counts_as_a_no_after_a_while() -> None:
    transport, requests = answering(pictures())

    async def never(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        await anyio.sleep_forever()
        raise AssertionError

    async with asking(never, "legacy", transport, seconds=0.05) as client:
        text = text_of(await client.call_tool("generate_image", batch(4)))
    assert "gave no answer within" in text
    assert requests == []
    assert ANSWER_SECONDS < 60  # hosts give up on the whole call then


async def test_a_host_that_cannot_ask_is_not_asked_and_the_log_says_so_once(
    era: str, caplog: pytest.LogCaptureFixture
) -> None:
    transport, requests = answering(pictures(*LINKS[:4]))
    with caplog.at_level(logging.WARNING):
        async with asking(None, era, transport) as client:
            for _ in range(2):
                assert not (await client.call_tool("generate_image", batch(4))).is_error
    assert len([record for record in caplog.records if "can't ask" in record.message]) == 1
    assert len(requests) == 2


async def test_what_was_abandoned_is_recovered_without_asking(era: str) -> None:
    started, release = anyio.Event(), anyio.Event()

    class Slow(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            started.set()
            await release.wait()
            return pictures(*LINKS[:4])

    person = Person(ElicitResult(action="accept", content={"proceed": True}))
    async with asking(person, era, Slow()) as client:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.call_tool, "generate_image", batch(4))
            await started.wait()
            tasks.cancel_scope.cancel()
        release.set()
        result = await client.call_tool("generate_image", batch(4))
    assert result.structured_content["recovered"] is True
    assert len(person.asked) == 1


async def test_within_the_day_the_person_is_asked_as_ever(era: str) -> None:
    transport, requests = answering(pictures(*LINKS[:4]))
    person = Person(ElicitResult(action="accept"))
    settings = make_settings(SEEDREAM_CONFIRM_ABOVE="3", SEEDREAM_IMAGES_PER_DAY="5")
    async with Generations(settings, transport=transport) as service:
        async with Client(SeedreamServer(service), mode=era, elicitation_callback=person) as client:
            assert not (await client.call_tool("generate_image", batch(4))).is_error
    assert (len(person.asked), len(requests)) == (1, 1)


async def test_once_the_host_has_left_nobody_is_asked_and_nothing_waits() -> None:
    transport, requests = answering(pictures())
    person = Person(ElicitResult(action="accept"))
    settings = make_settings(SEEDREAM_CONFIRM_ABOVE="1", SEEDREAM_IMAGES_PER_MINUTE="2")
    async with Generations(settings, transport=transport) as service:
        async with Client(SeedreamServer(service), elicitation_callback=person) as client:
            for _ in range(2):
                await client.call_tool("generate_image", {"prompt": "x"})
            await service.abandon_all()
            asking_text = text_of(await client.call_tool("generate_image", batch(2)))
            waiting_text = text_of(await client.call_tool("generate_image", {"prompt": "y"}))
    assert "told to end" in asking_text
    assert "told to end" in waiting_text
    assert (person.asked, len(requests)) == ([], 2)
