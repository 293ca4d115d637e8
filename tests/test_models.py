"""Every model, from one row on each side: its limits, its wire shape, calls of both tools from end to end."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from mcp import Client

from mcp_server.emulator import Emulator, contract
from mcp_server.environment import SettingsError, read_settings
from mcp_server.explain import explain
from mcp_server.generations import Generations
from mcp_server.generations.identity import fingerprint
from mcp_server.limits import MODELS, SEEDREAM_4_0, SEEDREAM_4_5, SEEDREAM_5_0_LITE, Limits
from mcp_server.pictures.save import _XMP_JPEG
from mcp_server.references import Attachment, Wire
from mcp_server.references.source import Base64Source
from mcp_server.request import GenerateArguments, arguments_for, billable_images, without_image_data
from mcp_server.server import SeedreamServer
from mcp_server.settings import Settings
from tests import made_up
from tests.conftest import (
    KEY,
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

URL = "https://example.com/a.png"
BATCH: Mapping[str, Any] = {"sequential_image_generation": "auto", "max_images": 3}
NEWER = (SEEDREAM_4_5, SEEDREAM_5_0_LITE)


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    """One that knows the made-up model, too."""
    instance = Emulator(models=(*contract.MODELS, made_up.CONTRACT))
    async with anyio.create_task_group() as tasks:
        await tasks.start(instance.serve)
        yield instance
        tasks.cancel_scope.cancel()


def settings_of(model: str, **variables: str) -> Settings:
    given = {"NOVITA_API_KEY": KEY, "SEEDREAM_STORE_URL": "memory://", "SEEDREAM_MODEL": model} | variables
    return made_up.MoreModels.model_validate(given)


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[Client]:
    async with Generations(settings, sleep=no_sleep) as generations:
        async with Client(SeedreamServer(generations)) as client:
            yield client


@pytest.mark.parametrize("limits", [*MODELS.values(), made_up.LIMITS], ids=lambda limits: limits.model)
async def test_both_tools_work_with_every_model_over_http(
    limits: Limits, emulator: Emulator, tmp_path: Path
) -> None:
    file = tmp_path / "a.webp"
    file.write_bytes(image_bytes(64, 64, "WEBP"))
    async with serving(settings_of(limits.model, NOVITA_BASE_URL=emulator.url)) as client:
        plain = await client.call_tool("generate_image", {"prompt": "a fox"})
        batch = await client.call_tool(
            "generate_image", {"prompt": "3 foxes in 3:4", "size": limits.presets[-1], **BATCH}
        )
        own = plain.structured_content["images"][0]["url"]
        images = [own, str(file), data_uri(image_bytes(20, 20))]
        edit = await client.call_tool(
            "edit_image", {"prompt": "2 foxes", "images": images, **BATCH, "max_images": 2}
        )
    assert [len(result.structured_content["images"]) for result in (plain, batch, edit)] == [1, 3, 2]
    requested = [result.structured_content["requested"] for result in (plain, batch, edit)]
    assert {one["model"] for one in requested} == {limits.model}
    assert requested[0]["size"] == limits.default_size
    assert len(requested[2][limits.references_field]) == 3
    edited, batched, first = emulator.app.store.recent(3)
    assert {record.path for record in (edited, batched, first)} == {limits.path}
    assert (first.billed_images, batched.billed_images, edited.billed_images) == (1, 3, 2)
    assert len(edited.thumbnails) == 3
    assert first.wanted is not None
    assert batched.wanted is not None
    assert f"{first.wanted.width}x{first.wanted.height}" == limits.default_size
    side = int(limits.presets[-1][:-1]) * 1024
    assert batched.wanted.width * batched.wanted.height == pytest.approx(side * side, rel=0.05)
    assert batched.wanted.width / batched.wanted.height == pytest.approx(3 / 4, rel=0.03)


async def test_an_embedded_emulator_serves_the_newer_models_too() -> None:
    async with connect(SEEDREAM_MODEL="seedream-5.0-lite", SEEDREAM_EMULATOR="1") as client:
        result = await client.call_tool("generate_image", {"prompt": "2 foxes", "size": "3k", **BATCH})
    assert text_of(result).startswith("Made 2 images with seedream-5.0-lite, size 3K.")


async def test_servers_of_two_models_in_one_process_do_not_disturb_each_other(emulator: Emulator) -> None:
    older, newer = (
        settings_of(model, NOVITA_BASE_URL=emulator.url) for model in ("seedream-4.0", "seedream-5.0-lite")
    )
    async with serving(older) as old, serving(newer) as new:
        for client, legal, illegal in ((old, "1K", "3K"), (new, "3K", "1K"), (old, "4K", "3K")):
            assert not (await client.call_tool("generate_image", {"prompt": "x", "size": legal})).is_error
            refused = await client.call_tool("generate_image", {"prompt": "x", "size": illegal})
            assert f"'{illegal}' is not a size" in text_of(refused)
        eleven = {"prompt": "x", "images": [data_uri(image_bytes(20, 20))] * 11}
        assert "Legal: 1 to 10 reference images" in text_of(await old.call_tool("edit_image", eleven))
        assert not (await new.call_tool("edit_image", eleven)).is_error
        descriptions = [(await client.list_tools()).tools[0].description or "" for client in (old, new)]
    assert ["seedream-4.0" in descriptions[0], "seedream-5.0-lite" in descriptions[1]] == [True, True]


def sent_by(limits: Limits, references: Sequence[Wire] = (), **arguments: Any) -> dict[str, Any]:
    model = arguments_for(limits)["edit_image" if references else "generate_image"]
    images = {"images": [URL] * len(references)} if references else {}
    checked = model.model_validate({"prompt": "x"} | images | arguments)
    assert isinstance(checked, GenerateArguments)
    return checked.wire(references, watermark=False)


@pytest.mark.parametrize("limits", NEWER, ids=lambda limits: limits.model)
def test_the_newer_models_get_their_own_fields_and_no_others(limits: Limits) -> None:
    assert sent_by(limits) == {
        "prompt": "x",
        "size": "2048x2048",
        "sequential_image_generation": "disabled",
        "watermark": False,
    }
    assert sent_by(limits, (URL,), sequential_image_generation="auto") == {
        "prompt": "x",
        "image": [URL],
        "size": "2048x2048",
        "sequential_image_generation": "auto",
        "sequential_image_generation_options": {"max_images": 4},
        "watermark": False,
    }


@pytest.mark.parametrize("limits", [*MODELS.values(), made_up.LIMITS], ids=lambda limits: limits.model)
def test_what_a_body_bills_and_shows_is_known_in_every_shape(limits: Limits) -> None:
    picture = Attachment(Base64Source("AAAA"), "jpeg", 3)
    body = sent_by(limits, (URL, picture), **BATCH)
    assert billable_images(body) == 3
    assert billable_images(sent_by(limits, max_images=1)) == 1
    shown = without_image_data(body)
    assert shown == {**body, limits.references_field: [URL, "data:image/jpeg;base64,… (3 bytes)"]}
    assert json.loads(json.dumps(shown)) == shown


UNKNOWN: list[tuple[str, dict[str, Any], str]] = [
    ("seedream-4.5", {"images": [URL]}, "unknown field 'images'"),
    ("seedream-4.5", {"max_images": 3}, "unknown field 'max_images'"),
    ("seedream-5.0-lite", {"sequential_image_generation_options": {"n": 3}}, "unknown field 'sequential"),
    ("seedream-5.0-lite", {"sequential_image_generation_options": 3}, "must be of type dict"),
    (
        "seedream-5.0-lite",
        {"sequential_image_generation_options": {"max_images": "3"}},
        "must be of type int",
    ),
    ("seedream-5.0-lite", {"sequential_image_generation_options": {"max_images": 16}}, "from 1 to 15"),
    ("seedream-5.0-lite", {"optimize_prompt_options": {"mode": "fast"}}, "optimize_prompt_options.mode"),
    ("seedream-5.0-lite", {"image": [URL] * 15}, "1 to 14 reference images"),
    (
        "seedream-5.0-lite",
        {"image": [data_uri(image_bytes(20, 20), "image/avif")]},
        "image[0]: not a data URI",
    ),
    ("seedream-5.0-lite", {"size": "4K"}, "is not valid"),
    ("seedream-4.5", {"size": "1024x1024"}, "from 3686400 to 16777216"),
    ("seedream-4.0", {"image": [URL]}, "unknown field 'image'"),
    ("seedream-4.0", {"optimize_prompt_options": {"mode": "standard"}}, "unknown field 'optimize"),
]


@pytest.mark.parametrize(("model", "fields", "says"), UNKNOWN, ids=range(len(UNKNOWN)))
async def test_the_emulator_holds_each_model_to_its_own_page(
    emulator: Emulator, model: str, fields: dict[str, Any], says: str
) -> None:
    async with httpx.AsyncClient(base_url=emulator.url, headers={"Authorization": "Bearer k"}) as http:
        reply = await http.post(f"/v3/{model}", json={"prompt": "x"} | fields)
        assert (reply.status_code, says in reply.json()["message"]) == (400, True)
        legal = (
            {"prompt": "x", "optimize_prompt_options": {"mode": "standard"}}
            if model != "seedream-4.0"
            else {}
        )
        assert (await http.post(f"/v3/{model}", json={"prompt": "x"} | legal)).status_code == 200


async def test_a_budget_counts_a_batch_in_the_nested_shape() -> None:
    transport, requests = answering(pictures())
    variables = {"SEEDREAM_MODEL": "seedream-4.5", "SEEDREAM_IMAGES_PER_DAY": "2"}
    async with connect(transport=transport, **variables) as client:
        refused = await client.call_tool("generate_image", {"prompt": "x", **BATCH})
        taken = await client.call_tool("generate_image", {"prompt": "x"})
    assert text_of(refused).startswith("[budget_exceeded]")
    assert (taken.is_error, len(requests)) == (False, 1)


async def test_references_are_in_no_saved_picture_whatever_their_field(
    emulator: Emulator, tmp_path: Path
) -> None:
    settings = settings_of("seedream-4.5", NOVITA_BASE_URL=emulator.url, SEEDREAM_SAVE_DIR=str(tmp_path))
    async with serving(settings) as client:
        images = [data_uri(image_bytes(20, 20))]
        result = await client.call_tool("edit_image", {"prompt": "2 foxes", "images": images, **BATCH})
    saved = Path(result.structured_content["images"][1]["saved_path"]).read_bytes()
    xmp = saved.partition(_XMP_JPEG)[2].partition(b"<?xpacket end")[0]
    assert b'"sequential_image_generation_options": {"max_images": 3}' in xmp
    assert b"base64" not in xmp


async def test_a_call_that_was_abandoned_before_this_version_is_still_recognised() -> None:
    """The hashes are those of seedream-4.0's requests on record."""
    endpoint = f"https://api.novita.ai{SEEDREAM_4_0.path}"
    plain = sent_by(SEEDREAM_4_0, **BATCH) | {"prompt": "a fox"}
    assert (
        await fingerprint(endpoint, plain)
        == "67137fddf026f9520907da773485ca119ebdda2ff30256af4080d129b54ee12a"
    )
    references = (URL, Attachment(Base64Source("AAAA"), "jpeg", 3))
    edit = sent_by(SEEDREAM_4_0, references) | {"prompt": "a fox", "watermark": True}
    assert (
        await fingerprint(endpoint, edit)
        == "7e2c160d25bf35ca430997573929542a3c2bf04b62a92c6d7c0ca24d3d0a1d66"
    )


async def test_references_count_for_what_is_identical_by_their_content_in_every_shape() -> None:
    def attached(text: str) -> tuple[Wire, ...]:
        return (Attachment(Base64Source(text), "jpeg", 3),)

    for limits in NEWER:
        bodies = [sent_by(limits, attached(text)) for text in ("AAAA", "AAAA", "BBBB")]
        first, same, other = [await fingerprint("https://x", body) for body in bodies]
        assert first == same != other


@pytest.mark.parametrize("base", ["https://api.ppio.com", "https://api.jiekou.ai", "https://api.ppio.com/"])
@pytest.mark.parametrize("limits", MODELS.values(), ids=list(MODELS))
async def test_the_sibling_hosts_are_reached_by_the_base_url(base: str, limits: Limits) -> None:
    transport, requests = answering(pictures())
    async with connect(transport=transport, NOVITA_BASE_URL=base, SEEDREAM_MODEL=limits.model) as client:
        assert not (await client.call_tool("generate_image", {"prompt": "x"})).is_error
    assert [str(request.url) for request in requests] == [f"{base.rstrip('/')}/v3/{limits.model}"]


def test_an_unknown_model_is_an_error_that_names_the_legal_ones() -> None:
    with pytest.raises(SettingsError, match=r"seedream-4\.0, seedream-4\.5, seedream-5\.0-lite"):
        read_settings({"SEEDREAM_MODEL": made_up.LIMITS.model})


@pytest.mark.parametrize(
    ("limits", "arguments", "says"),
    [
        (SEEDREAM_4_5, {"size": "1K"}, "Nearest legal: 2K"),
        (SEEDREAM_4_5, {"size": "1024x1024"}, "Nearest legal: 1920x1920"),
        (SEEDREAM_4_5, {"size": "1080p"}, "Nearest legal: 2560x1440"),
        (SEEDREAM_5_0_LITE, {"size": "4K"}, "Legal: 2K, 3K, or WIDTHxHEIGHT with 3,686,400 to 10,404,496"),
        (SEEDREAM_5_0_LITE, {"size": "4K"}, "Nearest legal: 3K"),
        (SEEDREAM_5_0_LITE, {"size": "999999x100"}, "Nearest legal: 12896x806"),
        (SEEDREAM_5_0_LITE, {"size": "100x999999"}, "Nearest legal: 806x12896"),
        (SEEDREAM_4_0, {"width": 3}, "Use size, such as 2560x1440 for 16:9"),
        (made_up.LIMITS, {"size": "2K"}, "Nearest legal: 1K"),
        (made_up.LIMITS, {"size": "16:9"}, "Nearest legal: 1848x1039"),
        (made_up.LIMITS, {"size": "big"}, "Nearest legal: 1600x1200"),
    ],
)
def test_hints_are_legal_for_the_model(limits: Limits, arguments: dict[str, Any], says: str) -> None:
    model = arguments_for(limits)["generate_image"]
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - pydantic's is one
        model.model_validate({"prompt": "x"} | arguments)
    assert says in explain(caught.value, model).problem  # type: ignore[arg-type]


def test_the_default_model_is_the_settings_default() -> None:
    assert make_settings().limits is SEEDREAM_4_0 is GenerateArguments.limits


@pytest.mark.parametrize("limits", MODELS.values(), ids=lambda limits: limits.model)
def test_references_and_the_cap_of_a_batch_never_go_over_the_limit(limits: Limits) -> None:
    edit = arguments_for(limits)["edit_image"]
    assert issubclass(edit, GenerateArguments)
    for given in range(1, limits.max_references + 1):
        images = [URL] * given
        asked = edit.model_validate({"prompt": "x", "images": images, "sequential_image_generation": "auto"})
        body = asked.wire(images, watermark=False)
        assert billable_images(body) == min(4, limits.max_images - given)
