"""Completions of the prompts' arguments; those of the resources are tested with the ledger."""

from datetime import timedelta
from pathlib import Path

import pytest
from mcp import Client
from mcp.types import PromptReference, ResourceTemplateReference

from mcp_server.generations import Generations
from mcp_server.generations.generation import Picture
from mcp_server.server import SeedreamServer
from tests.conftest import Clock, a_generation, answering, connect, make_settings, pictures

pytestmark = pytest.mark.anyio

BATCH = {"sequential_image_generation": "auto", "max_images": 2}


async def offered(client: Client, prompt: str, name: str, value: str = "", **given: str) -> list[str]:
    result = await client.complete(
        PromptReference(type="ref/prompt", name=prompt),
        {"name": name, "value": value},
        context_arguments=given or None,
    )
    assert result.completion.total is not None
    assert result.completion.has_more is (result.completion.total > len(result.completion.values))
    return list(result.completion.values)


async def test_sizes_complete_by_how_they_begin_and_by_ratio(era: str) -> None:
    async with connect(mode=era) as client:
        every = await offered(client, "product_shots", "size")
        assert every[:4] == ["1K", "2K", "4K", "2048x2048"]
        assert len(every) == 11
        for typed, values in (
            ("2k", ["2K"]),
            ("25", ["2560x1440"]),
            ("1440X", ["1440x2560"]),
            ("16:9", ["2560x1440"]),
            ("16:", ["2560x1440"]),
            ("3:", ["1728x2304", "2496x1664"]),
            ("x", []),
        ):
            for prompt in ("product_shots", "character_series", "restyle"):
                assert await offered(client, prompt, "size", typed) == values


async def test_numbers_complete_up_to_what_fits_beside_the_reference(era: str) -> None:
    async with connect(mode=era) as client:
        every = [str(n) for n in range(1, 16)]
        assert await offered(client, "product_shots", "shots") == every
        assert await offered(client, "character_series", "number", "", image="a.png") == every[:-1]
        assert await offered(client, "character_series", "number", "1", image=" ") == ["1", *every[9:]]
        assert await offered(client, "product_shots", "shots", "0") == []


async def test_what_is_unknown_or_free_text_completes_to_nothing(era: str) -> None:
    async with connect(mode=era) as client:
        assert await offered(client, "no_such_prompt", "size") == []
        assert await offered(client, "restyle", "no_such_argument") == []
        assert await offered(client, "restyle", "style", "w") == []
        other = ResourceTemplateReference(type="ref/resource", uri="other://{id}")
        assert (await client.complete(other, {"name": "id", "value": ""})).completion.values == []


async def test_recent_images_complete_newest_first_by_link_or_by_words_of_the_prompt(era: str) -> None:
    first, second = "https://a.example/1?s=%2F", "https://a.example/2"
    transport, _ = answering(pictures(first), pictures(second, "https://b.example/3"))
    async with connect(transport=transport, mode=era) as client:
        assert await offered(client, "restyle", "image") == []
        await client.call_tool("generate_image", {"prompt": "a Red fox"})
        await client.call_tool("generate_image", {"prompt": "2 wolves", **BATCH})
        assert await offered(client, "restyle", "image") == [second, "https://b.example/3", first]
        assert await offered(client, "product_shots", "image", "https://a") == [second, first]
        assert await offered(client, "character_series", "image", "red") == [first]
        assert await offered(client, "restyle", "image", "zebra") == []


@pytest.mark.parametrize("kind", ["local", "local with folders", "remote"])
async def test_an_image_is_offered_as_long_as_edit_image_takes_it(kind: str, tmp_path: Path) -> None:
    remote, clock = kind == "remote", Clock()
    variables = {"SEEDREAM_INPUT_DIRS": str(tmp_path)} if kind == "local with folders" else {}
    async with Generations(make_settings(**variables), remote=remote, clock=clock) as service:
        for name, hours, saved in (
            ("old", 30, None),
            ("kept", 30, "kept.jpg"),
            ("new", 1, None),
            ("both", 0, "both.jpg"),
        ):
            picture = Picture("image/jpeg", 64, 64, tmp_path / saved if saved else None)
            row = a_generation(
                caller="http" if remote else "local",
                status="succeeded",
                created=clock() - timedelta(hours=hours),
                urls=(f"https://a.example/{name}",),
                pictures={1: picture},
            )
            await service.ledger.put(row)
        await service.ledger.put(a_generation(caller="somebody else", urls=("https://a.example/theirs",)))
        async with Client(SeedreamServer(service)) as client:
            every = await offered(client, "restyle", "image")
            by_path = await offered(client, "restyle", "image", str(tmp_path))
    live = ["https://a.example/both", "https://a.example/new"]
    if kind == "local":
        files = [str(tmp_path / "both.jpg"), str(tmp_path / "kept.jpg")]
        assert every == [live[0], files[0], live[1], files[1]]
        assert by_path == files
    else:
        # The server itself takes the file for an expired link.
        assert every == [*live, "https://a.example/kept"]
        assert by_path == []


async def test_at_most_a_hundred_values_are_offered(era: str) -> None:
    urls = [f"https://a.example/{n}" for n in range(15)]
    transport, _ = answering(pictures(*urls))
    async with connect(transport=transport, mode=era) as client:
        for _ in range(7):
            await client.call_tool("generate_image", {"prompt": "x", **BATCH, "max_images": 15})
        assert len(await offered(client, "restyle", "image")) == 100
