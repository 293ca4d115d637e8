"""The client's limits against the emulator's own data, at every boundary: they can't drift apart."""

import json
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mcp_server.emulator import contract
from mcp_server.emulator.checks import decode_data_uri, read_reference, read_request
from mcp_server.emulator.contract import ApiError, Model
from mcp_server.errors import ImageUnusable
from mcp_server.limits import Limits
from mcp_server.references import Attachment, Rules, _attach
from mcp_server.request import GenerateArguments
from tests.conftest import data_uri, image_bytes
from tests.made_up import ARGUMENTS, BOTH_SIDES
from tests.test_references import png_header

URL = "https://example.com/a.png"

of_every_model = pytest.mark.parametrize(
    ("ours", "theirs"), BOTH_SIDES, ids=[limits.model for limits, _ in BOTH_SIDES]
)


def we_send(limits: Limits, **arguments: Any) -> dict[str, Any] | None:
    """The wire body that we would send, or None where we refuse."""
    model = ARGUMENTS[limits.model]["edit_image" if "images" in arguments else "generate_image"]
    try:
        checked = model.model_validate({"prompt": "x"} | arguments)
    except ValidationError:
        return None
    assert isinstance(checked, GenerateArguments)
    return checked.wire(checked.references, watermark=False)


def it_takes(model: Model, body: dict[str, Any]) -> bool:
    try:
        read_request(model, json.dumps({"prompt": "x"} | body).encode())
    except ApiError:
        return False
    return True


def both_agree(ours: Limits, theirs: Model, size: str) -> bool:
    return (we_send(ours, size=size) is not None) == it_takes(theirs, {"size": size})


EDGES = [
    1,
    14,
    15,
    249,
    250,
    255,
    256,
    257,
    480,
    481,
    806,
    807,
    1000,
    1023,
    1024,
    1025,
    1440,
    1441,
    1920,
    2560,
]
EDGES += [3225, 3226, 4095, 4096, 4097, 6324, 6325, 7680, 7681, 12_896, 12_912, 16_383, 16_384, 16_385]


@of_every_model
def test_sizes_at_every_corner(ours: Limits, theirs: Model) -> None:
    for width, height in product(EDGES, EDGES):
        assert both_agree(ours, theirs, f"{width}x{height}")


@of_every_model
@given(width=st.integers(200, 17_000), height=st.integers(200, 17_000))
def test_sizes_anywhere(ours: Limits, theirs: Model, width: int, height: int) -> None:
    assert both_agree(ours, theirs, f"{width}x{height}")


@of_every_model
@given(side=st.integers(240, 6_400))
def test_sizes_along_the_edges_of_pixels_and_ratio(ours: Limits, theirs: Model, side: int) -> None:
    for pixels in theirs.total_pixels:
        for other in (pixels // side - 1, pixels // side, pixels // side + 1, 16 * side, 16 * side + 1):
            assert both_agree(ours, theirs, f"{side}x{other}")


def with_cap(model: Model, images: int) -> dict[str, Any]:
    """A batch in the model's own shape."""
    cap = {"max_images": images}
    return {"sequential_image_generation": "auto", **({model.cap_in: cap} if model.cap_in else cap)}


@of_every_model
@pytest.mark.parametrize("images", range(-1, 18))
def test_the_number_of_images(ours: Limits, theirs: Model, images: int) -> None:
    sent = we_send(ours, sequential_image_generation="auto", max_images=images)
    wanted = with_cap(theirs, images)
    assert (sent is not None) == it_takes(theirs, wanted)
    assert sent is None or wanted.items() <= sent.items()


@of_every_model
@pytest.mark.parametrize("references", range(1, 17))
def test_the_number_of_references(ours: Limits, theirs: Model, references: int) -> None:
    images = [URL] * references
    assert (we_send(ours, images=images) is not None) == it_takes(theirs, {theirs.references: images})


@of_every_model
@pytest.mark.parametrize("preset", [f"{number}K" for number in range(10)])
def test_the_presets(ours: Limits, theirs: Model, preset: str) -> None:
    assert both_agree(ours, theirs, preset)


REFERENCE_SIDES = [
    *((14, 14), (15, 15), (14, 42), (15, 45), (15, 46), (45, 15), (46, 15), (1000, 3000), (1000, 3001)),
    *((6000, 6000), (6000, 6001), (5999, 6001), (3464, 10_392), (3465, 10_390)),
]


def we_attach(limits: Limits, uri: str) -> Attachment | None:
    """What we would send of a reference, or None where we refuse."""
    try:
        return _attach(uri, "x", Rules(limits, loopback_ok=False, fit=False))[0]
    except ImageUnusable:
        return None


@of_every_model
@pytest.mark.parametrize(("width", "height"), REFERENCE_SIDES)
def test_the_sides_of_a_reference(ours: Limits, theirs: Model, width: int, height: int) -> None:
    uri = data_uri(png_header(width, height), "image/png")
    try:
        read_reference(theirs, decode_data_uri(theirs, uri, "x"), "x", 64)
    except ApiError as error:
        # The header alone says its sides; that nothing follows it is no rule on sides.
        it_would = error.reason == "INVALID_IMAGE_FORMAT"
    else:
        it_would = True
    assert (we_attach(ours, uri) is not None) == it_would


@of_every_model
@pytest.mark.parametrize("size", [10 * 1024**2 - 1, 10 * 1024**2, 10 * 1024**2 + 1])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_the_bytes_of_a_reference(ours: Limits, theirs: Model, size: int, kind: str) -> None:
    data = image_bytes(64, 64, kind)
    data += b"\0" * (size - len(data))
    attachment = we_attach(ours, data_uri(data, f"image/{kind.lower()}"))
    if attachment is None:
        with pytest.raises(ApiError):
            read_reference(theirs, data, "x", 64)
    else:
        read_reference(theirs, attachment.source.read(0, attachment.length), "x", 64)


@of_every_model
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_the_formats_of_a_reference_and_how_they_are_labelled(ours: Limits, theirs: Model, kind: str) -> None:
    data = image_bytes(64, 64, kind)
    attachment = we_attach(ours, data_uri(data, "image/png"))
    if attachment is None:
        with pytest.raises(ApiError):
            decode_data_uri(theirs, data_uri(data, f"image/{kind.lower()}"), "x")
        with pytest.raises(ApiError):
            read_reference(theirs, data, "x", 64)
    else:
        sent = data_uri(attachment.source.read(0, attachment.length), f"image/{kind.lower()}")
        assert sent.startswith(attachment.label)
        read_reference(theirs, decode_data_uri(theirs, sent, "x"), "x", 64)


OPTIONAL = {"optimize_prompt_options"}
"""What the newer models document beside what we send."""


@of_every_model
def test_the_wire_has_only_fields_that_the_emulator_knows_and_it_takes_them(
    ours: Limits, theirs: Model
) -> None:
    body = we_send(ours, images=[URL], sequential_image_generation="auto", max_images=14)
    assert body is not None
    assert set(body) == set(theirs.fields) - OPTIONAL
    assert it_takes(theirs, body)


@of_every_model
def test_the_wire_of_one_model_is_refused_by_those_with_other_fields(ours: Limits, theirs: Model) -> None:
    body = we_send(ours, images=[URL], sequential_image_generation="auto", max_images=3)
    assert body is not None
    for _, other in BOTH_SIDES:
        assert it_takes(other, body) == (other.fields == theirs.fields)


@of_every_model
def test_path_and_defaults_agree(ours: Limits, theirs: Model) -> None:
    assert ours.path == theirs.path
    assert ours.default_size == theirs.default_size
    sent = we_send(ours)
    assert sent is not None
    assert sent["size"] == theirs.default_size
    assert sent["sequential_image_generation"] == contract.DEFAULT_MODE
