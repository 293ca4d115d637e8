"""The request model: cross-field rules, the wire form, and errors in our own words."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mcp_server.explain import explain
from mcp_server.limits import SEEDREAM_4_0
from mcp_server.references import Attachment
from mcp_server.references.source import Base64Source
from mcp_server.request import (
    EditArguments,
    GenerateArguments,
    billable_images,
    without_image_data,
)

URL = "https://example.com/a.png"


def problem(model: type[GenerateArguments], **arguments: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(arguments)
    return explain(caught.value, model).problem


def generate(**arguments: Any) -> dict[str, Any]:
    return GenerateArguments.model_validate({"prompt": "x"} | arguments).wire((), watermark=False)


def test_only_documented_fields_go_out_and_the_watermark_always_does() -> None:
    assert generate() == {
        "prompt": "x",
        "size": "2048x2048",
        "sequential_image_generation": "disabled",
        "watermark": False,
    }


@pytest.mark.parametrize("default", [True, False])
def test_the_watermark_argument_wins_over_the_setting(default: bool) -> None:
    model = GenerateArguments
    assert model.model_validate({"prompt": "x"}).wire((), watermark=default)["watermark"] is default
    given_one = model.model_validate({"prompt": "x", "watermark": not default})
    assert given_one.wire((), watermark=default)["watermark"] is not default


def test_a_batch_always_has_a_cap() -> None:
    assert generate(sequential_image_generation="auto")["max_images"] == 4
    assert generate(sequential_image_generation="auto", max_images=15)["max_images"] == 15
    assert generate(sequential_image_generation="auto", max_images=1)["max_images"] == 1


def test_one_image_needs_no_batch() -> None:
    body = generate(max_images=1)
    assert "max_images" not in body
    assert billable_images(body) == 1


@given(st.integers(1, 10), st.integers(1, 14))
def test_references_and_results_together_are_at_most_fifteen(references: int, images: int) -> None:
    arguments = {
        "prompt": "x",
        "images": [URL] * references,
        "sequential_image_generation": "auto",
        "max_images": images,
    }
    if references + images <= 15:
        body = EditArguments.model_validate(arguments).wire((URL,) * references, watermark=False)
        assert (len(body["images"]), billable_images(body)) == (references, images)
    else:
        assert problem(EditArguments, **arguments).endswith(f"max_images here: {15 - references}")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({}, "prompt: is required"),
        ({"prompt": ""}, "prompt: must not be blank"),
        ({"prompt": " \n\t\u3000"}, "prompt: must not be blank"),
        ({"prompt": "\u200b\u2060"}, "prompt: must not be blank"),
        ({"prompt": 7}, "prompt: a number is the wrong type. Legal: a string"),
        ({"prompt": None}, "prompt: null is not a value"),
        ({"prompt": "x", "size": None}, "size: null is not a value"),
        ({"prompt": "x", "size": 2048}, "size: a number is the wrong type. Legal: a string"),
        ({"prompt": "x", "max_images": "3"}, "max_images: a string is the wrong type. Legal: a whole number"),
        ({"prompt": "x", "max_images": True}, "max_images: a boolean is the wrong type"),
        ({"prompt": "x", "max_images": 2.5}, "max_images: a number is the wrong type"),
        ({"prompt": "x", "max_images": float("inf")}, "max_images: a number is the wrong type"),
        ({"prompt": "x", "max_images": 0}, "max_images: 0 is out of range. Legal: 1 to 15"),
        ({"prompt": "x", "max_images": 16}, "max_images: 16 is out of range. Legal: 1 to 15"),
        ({"prompt": "x", "max_images": 2}, 'Set sequential_image_generation to "auto"'),
        ({"prompt": "x", "watermark": "true"}, "watermark: a string is the wrong type. Legal: true or false"),
        ({"prompt": "x", "preview": 1}, "preview: a number is the wrong type"),
        ({"prompt": "x", "sequential_image_generation": "on"}, 'Legal: "disabled" or "auto"'),
        ({"prompt": "x", "z": 3}, "z: no such argument. Legal: prompt, size"),
        ({"prompt": "x", "n": 3}, "n: no such argument. For several images set"),
        ({"prompt": "x", "watermrak": True}, "Did you mean watermark?"),
        ({"prompt": "x", "x" * 300: 1}, "one of the arguments: no such argument"),
        ({"prompt": "x", "images": [URL]}, "images: no such argument. generate_image takes no references"),
    ],
)
def test_a_wrong_argument_is_answered_by_its_name_and_what_is_legal(
    arguments: dict[str, Any], says: str
) -> None:
    assert says in problem(GenerateArguments, **arguments)


@pytest.mark.parametrize(
    ("images", "says"),
    [
        (None, "images: null"),
        ([], "images: 0 given. Legal: 1 to 10"),
        ([URL] * 11, "images: 11 given. Legal: 1 to 10"),
        (URL, "images: a string is the wrong type. Legal: an array of strings"),
        ([URL, 3], "images[1]: a number is the wrong type. Legal: a string"),
        ([URL, " "], "images: entry [1] is blank"),
    ],
)
def test_wrong_references_are_counted_and_named(images: Any, says: str) -> None:
    assert says in problem(EditArguments, prompt="x", images=images)


def test_every_mistake_is_told_at_once() -> None:
    told = problem(GenerateArguments, prompt="", size="1x1", foo=1, watermark="no")
    assert all(name in told for name in ("prompt:", "size:", "foo:", "watermark:"))


def test_an_error_stays_short_whatever_it_is_about() -> None:
    many = problem(EditArguments, prompt="x", images=[3] * 100_000)
    assert many.endswith("and 99990 more problems of this kind")
    for arguments in (
        {"prompt": "x", "a" * 10**6: None},
        {"prompt": "x", "a\n[ok] b": None},
        {"prompt": "x", "max_images": 10**4000},
        {"prompt": "x", **{f"n{number}": 1 for number in range(5_000)}},
    ):
        told = problem(GenerateArguments, **arguments)
        assert len(told) < 2_000
        assert told.isprintable()


def test_an_edit_takes_at_most_fourteen_images() -> None:
    assert "Legal: 1 to 14" in problem(EditArguments, prompt="x", images=[URL], max_images=15)


def test_an_integral_float_is_an_integer_as_json_schema_has_it() -> None:
    assert generate(sequential_image_generation="auto", max_images=3.0)["max_images"] == 3


def test_a_long_prompt_is_a_warning() -> None:
    assert GenerateArguments.model_validate({"prompt": "word " * 600}).warnings() == []
    (warning,) = GenerateArguments.model_validate({"prompt": "word " * 10_000}).warnings()
    assert "10,000 words" in warning


def test_what_was_requested_is_shown_without_image_data() -> None:
    picture = Attachment(Base64Source("AAAA"), "jpeg", 3)
    shown = without_image_data({"prompt": "p" * 9_000, "images": [URL, picture], "size": "2K"})
    assert shown["images"] == [URL, "data:image/jpeg;base64,… (3 bytes)"]
    assert len(shown["prompt"]) < 4_100
    assert shown["size"] == "2K"


def test_the_defaults_are_the_models() -> None:
    assert GenerateArguments.model_fields["size"].default == SEEDREAM_4_0.default_size


@pytest.mark.parametrize(
    "arguments", [{"prompt": "a \ud83d fox"}, {"prompt": "x", "images": ["/a\udc00.jpg"]}]
)
def test_half_a_character_is_refused_before_anything_is_sent(arguments: dict[str, object]) -> None:
    model = EditArguments if "images" in arguments else GenerateArguments
    with pytest.raises(ValidationError, match="half a character"):
        model.model_validate(arguments)
