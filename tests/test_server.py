"""The tools through the SDK's client in memory, in both protocol eras."""

import json
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import anyio
import httpx
import jsonschema
import pytest
from mcp import Client
from mcp.types import ResourceLink, TextContent

from mcp_server.environment import read_settings
from mcp_server.generations import Generations
from mcp_server.generations.generation import link_expiry
from mcp_server.progress import BEAT_SECONDS
from mcp_server.schemas import output_schema
from mcp_server.server import SeedreamServer
from mcp_server.tools import Tools
from tests.conftest import answering, connect, data_uri, image_bytes, make_settings, pictures, posix, text_of

pytestmark = pytest.mark.anyio

URL = "https://example.com/a.png"


async def test_a_result_says_everything_in_each_of_its_three_forms(era: str) -> None:
    urls = ("https://cdn.example.com/a.jpg?sig=%2F%2b&x=~", "http://cdn.example.com/b")
    transport, _ = answering(pictures(*urls))
    async with connect(transport=transport, mode=era) as client:
        result = await client.call_tool(
            "generate_image",
            {"prompt": "two foxes", "sequential_image_generation": "auto", "max_images": 2, "size": "2k"},
        )
    assert not result.is_error
    text, *links = result.content
    assert isinstance(text, TextContent)
    structured = result.structured_content
    jsonschema.validate(structured, output_schema())
    for number, url in enumerate(urls, 1):
        link = links[number - 1]
        image = structured["images"][number - 1]
        assert isinstance(link, ResourceLink)
        assert url in text.text
        assert link.uri == image["url"] == url
        assert image["index"] == number
        assert link.mime_type == image["mime_type"] == "image/jpeg"
        assert link.name
        assert link.title
        assert link.description
        assert datetime.fromisoformat(image["expires_at"]).utcoffset() is not None
    assert "2 images" in text.text
    assert "24 hours" in text.text
    assert "edit_image" in text.text
    assert structured["status"] == "succeeded"
    assert structured["generation_id"] in text.text
    assert structured["requested"] == {
        "model": "seedream-4.0",
        "prompt": "two foxes",
        "size": "2K",
        "sequential_image_generation": "auto",
        "max_images": 2,
        "watermark": False,
    }
    assert (structured["recovered"], structured["emulated"], structured["warnings"]) == (False, False, [])
    assert structured["usage"] == {"images": 2, "images_today": 2}


async def test_references_go_out_as_given_and_no_image_data_comes_back(era: str) -> None:
    transport, requests = answering(pictures())
    uri = data_uri(image_bytes(64, 64))
    async with connect(transport=transport, mode=era) as client:
        result = await client.call_tool("edit_image", {"prompt": "x", "images": [URL, uri]})
    assert json.loads(requests[0].content)["images"] == [URL, uri]
    assert uri.partition(",")[2] not in result.model_dump_json()
    assert result.structured_content["requested"]["images"][0] == URL


async def test_a_wrong_argument_sends_nothing(era: str) -> None:
    transport, requests = answering(pictures())
    wrong: list[tuple[str, dict[str, Any]]] = [
        ("generate_image", {"prompt": " "}),
        ("generate_image", {"prompt": "x", "size": "100x100"}),
        ("generate_image", {"prompt": "x", "max_images": 4}),
        ("generate_image", {"prompt": "x", "n": 4}),
        ("edit_image", {"prompt": "x", "images": [URL] * 11}),
        ("edit_image", {"prompt": "x"}),
        ("no_such_tool", {}),
    ]
    async with connect(transport=transport, mode=era) as client:
        for tool, arguments in wrong:
            result = await client.call_tool(tool, arguments)
            assert result.is_error
            (block,) = result.content
            assert isinstance(block, TextContent)
            first, *rest = block.text.splitlines()
            assert first.startswith("[invalid_argument] ")
            assert [line.partition(":")[0] for line in rest] == ["What to do", "Who must do it", "Billed"]
            assert rest[-1] == "Billed: no"
    assert requests == []


@posix
async def test_an_unusable_reference_sends_nothing() -> None:
    transport, requests = answering(pictures())
    async with connect(transport=transport) as client:
        for image, code in (
            (data_uri(b"no image"), "image_unusable"),
            ("http://localhost/a.png", "image_unusable"),
            ("file:///etc/passwd", "image_unusable"),
            ("/etc/passwd", "image_unusable"),
            ("/etc/no-such-file", "image_not_found"),
        ):
            result = await client.call_tool("edit_image", {"prompt": "x", "images": [URL, image]})
            assert text_of(result).startswith(f"[{code}] images[1]")
    assert requests == []


async def test_without_a_key_the_tools_are_listed_and_a_call_says_how_to_get_one(era: str) -> None:
    async with Generations(read_settings({})) as service:
        async with Client(SeedreamServer(service), mode=era) as client:
            assert len((await client.list_tools()).tools) == 3
            text = text_of(await client.call_tool("generate_image", {"prompt": "x"}))
    assert text.startswith("[not_configured]")
    for said in ("NOVITA_API_KEY", "https://novita.ai", "SEEDREAM_EMULATOR=1", "a person", "Billed: no"):
        assert said in text


async def test_the_embedded_emulator_serves_without_a_key_and_every_result_says_so(era: str) -> None:
    async with Generations(
        read_settings({"SEEDREAM_EMULATOR": "1", "SEEDREAM_STORE_URL": "memory://"})
    ) as service:
        async with Client(SeedreamServer(service), mode=era) as client:
            first = await client.call_tool("generate_image", {"prompt": "x"})
            link = first.structured_content["images"][0]["url"]
            edited = await client.call_tool("edit_image", {"prompt": "y", "images": [link]})
            async with httpx.AsyncClient() as http:
                picture = await http.get(edited.structured_content["images"][0]["url"])
    assert picture.headers["content-type"] == "image/jpeg"
    for result in (first, edited):
        assert "EMULATED" in text_of(result)
        assert result.structured_content["emulated"] is True


async def test_a_server_that_is_never_called_starts_nothing() -> None:
    async with Generations(
        read_settings({"SEEDREAM_EMULATOR": "1", "SEEDREAM_STORE_URL": "memory://"})
    ) as service:
        async with Client(SeedreamServer(service)) as client:
            await client.list_tools()
        assert service._client is None


async def test_fewer_pictures_than_asked_for_are_a_result_with_a_warning() -> None:
    transport, _ = answering(pictures("https://x/a"))
    arguments = {"prompt": "x", "sequential_image_generation": "auto"}
    async with connect(transport=transport) as client:
        asked = await client.call_tool("generate_image", {**arguments, "max_images": 3})
        by_default = await client.call_tool("generate_image", arguments)
    assert "1 of up to 3 images" in asked.structured_content["warnings"][0]
    assert "1 of up to 3 images" in text_of(asked)
    assert by_default.structured_content["warnings"] == []


async def test_a_ten_thousand_word_prompt_is_sent_with_a_warning_and_the_result_stays_small() -> None:
    transport, requests = answering(
        pictures(*(f"https://cdn.example.com/{'x' * 600}/{n}" for n in range(15)))
    )
    prompt = "word " * 10_000
    async with connect(transport=transport) as client:
        result = await client.call_tool("generate_image", {"prompt": prompt})
    assert json.loads(requests[0].content)["prompt"] == prompt
    assert "10,000 words" in text_of(result)
    assert len(result.model_dump_json()) < 75_000  # some 25,000 tokens


@pytest.mark.parametrize(
    ("query", "expiry"),
    [
        ("X-Tos-Date=20260102T030405Z&X-Tos-Expires=3600", "2026-01-02T04:04:05+00:00"),
        ("x-amz-date=20260102T030405Z&x-amz-expires=60", "2026-01-02T03:05:05+00:00"),
        ("Expires=1767323045&Signature=x", "2026-01-02T03:04:05+00:00"),
        ("Expires=soon", "2026-01-02T00:00:00+00:00"),
        ("Expires=99999999999999999999", "2026-01-02T00:00:00+00:00"),
        ("X-Tos-Expires=3600", "2026-01-02T00:00:00+00:00"),
        ("", "2026-01-02T00:00:00+00:00"),
    ],
)
async def test_a_link_ends_when_its_signature_says_or_after_a_day(query: str, expiry: str) -> None:
    created = datetime(2026, 1, 1, tzinfo=UTC)
    assert link_expiry(f"https://cdn.example.com/a.jpg?{query}", created).isoformat() == expiry


class Held(httpx.AsyncBaseTransport):
    """An API that answers when it is let go, and counts what is under way."""

    def __init__(self) -> None:
        self.started, self.let_go = anyio.Semaphore(0), anyio.Event()
        self.now = self.most = self.ended = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.now += 1
        self.most = max(self.most, self.now)
        self.started.release()
        try:
            await self.let_go.wait()
        finally:
            self.now -= 1
            self.ended += 1
        return pictures()


async def test_calls_run_at_once_up_to_the_cap(era: str) -> None:
    held = Held()
    async with connect(transport=held, mode=era, SEEDREAM_MAX_CONCURRENCY="3") as client:
        async with anyio.create_task_group() as tasks:
            for _ in range(8):
                tasks.start_soon(client.call_tool, "generate_image", {"prompt": "x"})
            for _ in range(3):
                await held.started.acquire()
            await anyio.wait_all_tasks_blocked()
            assert held.now == 3
            held.let_go.set()
    assert (held.most, held.ended) == (3, 8)


async def test_a_cancelled_call_stops_waiting_and_the_next_one_works(era: str) -> None:
    held = Held()
    async with connect(transport=held, mode=era, SEEDREAM_MAX_CONCURRENCY="1") as client:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.call_tool, "generate_image", {"prompt": "x"})
            await held.started.acquire()
            tasks.cancel_scope.cancel()
        held.let_go.set()
        with anyio.fail_after(10):
            result = await client.call_tool("generate_image", {"prompt": "y"})
    assert not result.is_error


async def test_progress_goes_out_and_rises_while_a_call_waits(era: str) -> None:
    held = Held()
    heard: list[float] = []

    async def listen(progress: float, total: float | None, message: str | None) -> None:
        assert total is None
        assert message is not None
        assert "image" in message
        heard.append(progress)
        if len(heard) == 4:
            held.let_go.set()

    async with Generations(make_settings(), transport=held) as service:
        async with Client(SeedreamServer(service, Tools(service, beat_seconds=0.11)), mode=era) as client:
            with anyio.fail_after(10):
                await client.call_tool("generate_image", {"prompt": "x"}, progress_callback=listen)
    assert all(earlier < later for earlier, later in pairwise(heard))


def test_heartbeats_come_more_often_than_every_five_seconds() -> None:
    assert BEAT_SECONDS <= 5


async def test_an_internal_fault_tells_nothing_of_itself(capsys: pytest.CaptureFixture[str]) -> None:
    class Broken(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            raise ZeroDivisionError("the caller's data")

    async with connect(transport=Broken()) as client:
        result = await client.call_tool("generate_image", {"prompt": "x"})
    assert text_of(result).startswith("[internal]")
    assert "caller's data" not in text_of(result)
    assert "Traceback" not in capsys.readouterr().err


async def test_a_fault_of_a_tool_itself_tells_nothing_of_itself_either() -> None:
    class Broken(Tools):
        async def _make(self, arguments: Any, context: Any) -> Any:
            raise ZeroDivisionError("the caller's data")

    async with Generations(make_settings()) as service:
        async with Client(SeedreamServer(service, Broken(service))) as client:
            text = text_of(await client.call_tool("generate_image", {"prompt": "x"}))
    assert text.startswith("[internal]")
    assert "caller's data" not in text


async def test_the_first_two_calls_at_once_share_one_client() -> None:
    transport, _ = answering(pictures())
    async with Generations(make_settings(), transport=transport) as service:
        async with Client(SeedreamServer(service)) as client, anyio.create_task_group() as tasks:
            for _ in range(2):
                tasks.start_soon(client.call_tool, "generate_image", {"prompt": "x"})
        assert service._client is not None
