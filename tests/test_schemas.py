"""The published schemas: snapshots, the lint, the byte budget, and that they tell the truth."""

import json
import os
import re
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
from mcp.types import Tool
from pydantic import ValidationError

from mcp_server.limits import MODELS, SEEDREAM_4_0, Limits
from mcp_server.schemas import input_schema, instructions
from tests import made_up
from tests.conftest import APPS, connect, host

SNAPSHOTS = Path(__file__).parent / "snapshots"
BUDGET = 7 * 1024
FORBIDDEN = re.compile(
    r"^(oneOf|anyOf|allOf|not|if|then|else|dependent.*|\$ref|\$defs|definitions|const|format|uniqueItems|"
    r"exclusiveM.*|null)$"
)
ARGUMENTS = ("prompt", "images", *input_schema(SEEDREAM_4_0, watermark=False, edit=False)["properties"])

pytestmark = pytest.mark.anyio

of_every_model = pytest.mark.parametrize("limits", MODELS.values(), ids=list(MODELS))


async def listed(limits: Limits = SEEDREAM_4_0) -> list[Tool]:
    async with connect(SEEDREAM_MODEL=limits.model) as client:
        return (await client.list_tools()).tools


@of_every_model
async def test_the_schemas_are_as_they_were(limits: Limits) -> None:
    *making, listing = await listed(limits)
    # The default model's stand at the top, with the tool that is the same for all.
    folder, tools = (
        (SNAPSHOTS, [*making, listing]) if limits is SEEDREAM_4_0 else (SNAPSHOTS / limits.model, making)
    )
    for tool in tools:
        path = folder / f"{tool.name}.json"
        now = tool.model_dump(by_alias=True, exclude_none=True, mode="json")
        if os.environ.get("UPDATE_SNAPSHOTS"):
            folder.mkdir(exist_ok=True)
            path.write_text(json.dumps(now, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        assert now == json.loads(path.read_text(encoding="utf-8")), "UPDATE_SNAPSHOTS=1 accepts the change"


async def test_the_tools_have_honest_annotations() -> None:
    *making, listing = await listed()
    assert [tool.name for tool in making] == ["generate_image", "edit_image"]
    for tool in making:
        hints = tool.annotations
        assert hints is not None
        assert hints.open_world_hint is True
        assert not (hints.read_only_hint or hints.destructive_hint or hints.idempotent_hint)
    assert listing.name == "list_images"
    assert listing.annotations is not None
    assert listing.annotations.read_only_hint
    assert not (listing.annotations.destructive_hint or listing.annotations.open_world_hint)


@of_every_model
async def test_all_tools_together_stay_within_the_byte_budget(limits: Limits) -> None:
    for extensions in (None, [APPS]):
        async with host({"extensions": extensions, "mode": "legacy"}, SEEDREAM_MODEL=limits.model) as client:
            result = await client.list_tools()
        listed = result.model_dump(by_alias=True, exclude_none=True, mode="json")
        sent = json.dumps(listed, ensure_ascii=False, separators=(",", ":"))
        # With spaces, too, though the SDK sends none, but for the few bytes that name the view.
        spaced = sent if extensions else json.dumps(listed)
        assert max(len(sent.encode()), len(spaced)) <= BUDGET, f"{len(sent)}, {len(spaced)} bytes"


async def test_each_tool_says_when_to_use_it_and_when_not() -> None:
    for tool in await listed():
        assert re.search(r"\. Use when .*\. Not ", tool.description or ""), tool.name
    generate, edit, _ = (str(tool.description) for tool in await listed())
    for making in (generate, edit):
        for said in ("seedream-4.0", "Paid per image", "about 24 h"):
            assert said in making
    assert "use edit_image" in generate
    assert "use generate_image" in edit


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_the_instructions_teach_how_to_use_the_tools_in_few_words(mode: str) -> None:
    async with connect(mode=mode) as client:
        text = client.instructions or ""
    for said in (
        *("generate_image draws from words", "edit_image changes", "list_images finds earlier ones"),
        *("paid for: call once and wait", "the identical call gets what was made"),
        *(
            "state their NUMBER in the prompt",
            "sequential_image_generation to auto",
            "max_images to that number",
        ),
        *("2560x1440 banner", "1440x2560 phone", "2048x2048 icon", "4K print"),
        *("pass its link from the result in images of edit_image", "Before you say", "preview true"),
        *("link in full", "expire in about 24 hours"),
    ):
        assert said in text
    assert len(text.split()) < 150


def test_the_instructions_name_the_sizes_of_the_model() -> None:
    sizes = {"16:9": "3200x1800", "5:4": "2000x1600"}
    text = instructions(replace(SEEDREAM_4_0, presets=("2K", "3K"), recommended_sizes=sizes))
    assert "Pick size by use: 3200x1800 banner, wallpaper; 3K print." in text


def nodes(schema: Any) -> list[dict[str, Any]]:
    """Every schema inside `schema`, itself included; names of properties are not keywords."""
    if not isinstance(schema, dict):
        return []
    inner = [*schema.get("properties", {}).values(), schema.get("items")]
    return [schema, *(node for part in inner for node in nodes(part))]


@of_every_model
async def test_the_input_schemas_are_flat_and_use_nothing_that_a_host_refuses(limits: Limits) -> None:
    for tool in await listed(limits):
        for node in nodes(tool.input_schema):
            assert not [key for key in node if FORBIDDEN.match(key)]
            assert isinstance(node["type"], str)
        assert tool.input_schema["type"] == "object"
        assert tool.input_schema["additionalProperties"] is False
        for schema in tool.input_schema["properties"].values():
            assert schema["type"] in ("string", "integer", "boolean", "array")
            assert schema["description"]
            assert set(schema) <= {
                *("type", "description", "default", "enum", "pattern", "items", "minLength"),
                *("minimum", "maximum", "minItems", "maxItems"),
            }
            if schema["type"] == "array":
                assert schema["items"] == {"type": "string"}
            if "enum" in schema:
                assert schema["type"] == "string"
            if "pattern" in schema:
                assert schema["pattern"].startswith("^")
                assert schema["pattern"].endswith("$")
                assert "(?" not in schema["pattern"]


async def test_the_output_schemas_are_plain_too() -> None:
    for tool in await listed():
        assert tool.output_schema is not None
        for node in nodes(tool.output_schema):
            assert not [key for key in node if FORBIDDEN.match(key)]
            assert isinstance(node["type"], str)


@of_every_model
async def test_every_limit_is_in_a_description_too(limits: Limits) -> None:
    generate, edit, _ = (tool.input_schema["properties"] for tool in await listed(limits))
    said = {
        "size": ("1:16 to 16:1", *limits.presets, *limits.recommended_sizes.values()),
        "images": (f"1 to {limits.max_references}", "10 MB", "36,000,000", "over 14 px", "1:3 to 3:1"),
    }
    for words in (*said["size"], f"{limits.min_pixels:,} to {limits.max_pixels:,}"):
        assert words in generate["size"]["description"]
    for words in (*said["images"], *limits.reference_formats):
        assert words in edit["images"]["description"]
    assert generate["size"]["default"] == limits.default_size
    assert "600" in generate["prompt"]["description"]
    assert "1 to 15" in generate["max_images"]["description"]
    assert "1 to 14" in edit["max_images"]["description"]
    assert "at most 15" in edit["max_images"]["description"]


async def test_a_models_own_limits_are_as_its_page_has_them() -> None:
    pages = {
        "seedream-4.0": ("1K, 2K, 4K,", "1,048,576 to 16,777,216 pixels", "1 to 10 ", "jpeg or png"),
        "seedream-4.5": ("2K, 4K,", "3,686,400 to 16,777,216 pixels", "1 to 14 ", "webp, bmp, tiff or gif"),
        "seedream-5.0-lite": ("2K, 3K,", "3,686,400 to 10,404,496 pixels", "1 to 14 ", "tiff or gif"),
    }
    assert set(pages) == set(MODELS)
    for model, (presets, pixels, references, formats) in pages.items():
        _, edit, _ = (tool.input_schema["properties"] for tool in await listed(MODELS[model]))
        assert edit["size"]["description"].startswith(presets)
        assert pixels in edit["size"]["description"]
        assert edit["images"]["description"].startswith(references)
        assert formats in edit["images"]["description"]


json_values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 20),
    st.floats(0, 16),
    st.text(max_size=6),
    st.sampled_from(["auto", "disabled", "2K", "2048x2048", "100x100", "https://example.com/a.png"]),
    st.lists(st.sampled_from(["https://example.com/a.png", "x", 3]), max_size=12),
)
SCHEMAS = {
    (limits.model, edit): Draft202012Validator(input_schema(limits, watermark=False, edit=edit))
    for limits, edit in product(MODELS.values(), (False, True))
}
names = st.sampled_from([*ARGUMENTS, "extra"])


@of_every_model
@settings(max_examples=200)
@given(arguments=st.dictionaries(names, json_values), edit=st.booleans())
def test_what_the_schema_refuses_the_server_refuses(
    limits: Limits, arguments: dict[str, Any], edit: bool
) -> None:
    """Nothing that a host would have kept back can cost money: the schema is no decoration."""
    model = made_up.ARGUMENTS[limits.model]["edit_image" if edit else "generate_image"]
    # null and size have laxer readings in the schema's letter than in a host's; both are tested above.
    error = best_match(SCHEMAS[limits.model, edit].iter_errors(arguments))
    if error and (error.json_path, error.validator) != ("$.size", "pattern"):
        with pytest.raises(ValidationError):
            model.model_validate(arguments)


@of_every_model
@settings(max_examples=200)
@given(data=st.data())
def test_what_the_schema_and_the_cross_field_rules_allow_the_server_takes(
    limits: Limits, data: st.DataObject
) -> None:
    sizes = (*limits.presets, *map(str.lower, limits.presets), *limits.recommended_sizes.values())
    optional = {
        "size": st.sampled_from(sizes),
        "sequential_image_generation": st.just("auto"),
        "watermark": st.booleans(),
        "preview": st.booleans(),
    }
    arguments = data.draw(st.fixed_dictionaries({"prompt": st.text("ab", min_size=1)}, optional=optional))
    SCHEMAS[limits.model, False].validate(arguments)
    made_up.ARGUMENTS[limits.model]["generate_image"].model_validate(arguments)
