"""The client's limits against the emulator's own data, at every boundary: they can't drift apart."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mcp_server.emulator import contract
from mcp_server.emulator.checks import decode_data_uri, read_reference, read_request
from mcp_server.emulator.contract import ApiError
from mcp_server.errors import ImageUnusable
from mcp_server.limits import SEEDREAM_4_0 as LIMITS
from mcp_server.references import Rules, _attach
from mcp_server.request import EditArguments, GenerateArguments
from tests.conftest import data_uri, image_bytes
from tests.test_references import png_header

URL = "https://example.com/a.png"
RULES = Rules(LIMITS, loopback_ok=False, fit=False)


def we_take(model: type[GenerateArguments], **arguments: Any) -> dict[str, Any] | None:
    """The wire body that we would send, or None where we refuse."""
    try:
        checked = model.model_validate({"prompt": "x"} | arguments)
    except ValidationError:
        return None
    return checked.wire(checked.references, watermark=False)


def it_takes(body: dict[str, Any]) -> bool:
    try:
        read_request(json.dumps({"prompt": "x"} | body).encode())
    except ApiError:
        return False
    return True


EDGES = [1, 14, 15, 255, 256, 257, 1023, 1024, 1025, 4095, 4096, 4097, 16_383, 16_384, 16_385]


@pytest.mark.parametrize("width", EDGES)
@pytest.mark.parametrize("height", EDGES)
def test_sizes_at_every_corner(width: int, height: int) -> None:
    size = f"{width}x{height}"
    assert (we_take(GenerateArguments, size=size) is not None) == it_takes({"size": size})


@given(st.integers(200, 17_000), st.integers(200, 17_000))
def test_sizes_anywhere(width: int, height: int) -> None:
    size = f"{width}x{height}"
    assert (we_take(GenerateArguments, size=size) is not None) == it_takes({"size": size})


@given(st.integers(256, 4_200))
def test_sizes_along_the_edges_of_pixels_and_ratio(side: int) -> None:
    for pixels in contract.TOTAL_PIXELS:
        for other in (pixels // side - 1, pixels // side, pixels // side + 1, 16 * side, 16 * side + 1):
            size = f"{side}x{other}"
            assert (we_take(GenerateArguments, size=size) is not None) == it_takes({"size": size})


@pytest.mark.parametrize("images", range(-1, 18))
def test_the_number_of_images(images: int) -> None:
    body = {"sequential_image_generation": "auto", "max_images": images}
    assert (we_take(GenerateArguments, **body) is not None) == it_takes(body)


@pytest.mark.parametrize("references", range(1, 13))
def test_the_number_of_references(references: int) -> None:
    images = [URL] * references
    assert (we_take(EditArguments, images=images) is not None) == it_takes({"images": images})


@pytest.mark.parametrize("preset", ["1K", "2K", "3K", "4K", "8K"])
def test_the_presets(preset: str) -> None:
    assert (we_take(GenerateArguments, size=preset) is not None) == it_takes({"size": preset})


REFERENCE_SIDES = [
    *((14, 14), (15, 15), (14, 42), (15, 45), (15, 46), (45, 15), (46, 15), (1000, 3000), (1000, 3001)),
    *((6000, 6000), (6000, 6001), (5999, 6001), (3464, 10_392), (3465, 10_390)),
]


@pytest.mark.parametrize(("width", "height"), REFERENCE_SIDES)
def test_the_sides_of_a_reference(width: int, height: int) -> None:
    uri = data_uri(png_header(width, height), "image/png")
    try:
        _attach(uri, "x", RULES)
    except ImageUnusable:
        ours = False
    else:
        ours = True
    try:
        read_reference(decode_data_uri(uri, 0), 0, 64)
    except ApiError as error:
        # The header alone says its sides; that nothing follows it is no rule on sides.
        theirs = error.reason == "INVALID_IMAGE_FORMAT"
    else:
        theirs = True
    assert ours == theirs


@pytest.mark.parametrize("size", [10 * 1024**2 - 1, 10 * 1024**2, 10 * 1024**2 + 1])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_the_bytes_of_a_reference(size: int, kind: str) -> None:
    data = image_bytes(64, 64, kind)
    data += b"\0" * (size - len(data))
    try:
        attachment, _ = _attach(data_uri(data, f"image/{kind.lower()}"), "x", RULES)
    except ImageUnusable:
        with pytest.raises(ApiError):
            read_reference(data, 0, 64)
    else:
        read_reference(attachment.source.read(0, attachment.length), 0, 64)


@pytest.mark.parametrize("kind", ["WEBP", "GIF", "BMP", "TIFF"])
def test_the_formats_of_a_reference(kind: str) -> None:
    data = image_bytes(64, 64, kind)
    with pytest.raises(ImageUnusable):
        _attach(data_uri(data), "x", RULES)
    with pytest.raises(ApiError):
        read_reference(data, 0, 64)


def test_the_wire_has_only_fields_that_the_emulator_knows_and_it_takes_them() -> None:
    body = we_take(EditArguments, images=[URL], sequential_image_generation="auto", max_images=14)
    assert body is not None
    assert set(body) == set(contract.FIELDS)
    assert it_takes(body)


def test_path_and_defaults_agree() -> None:
    assert LIMITS.path == contract.PATH
    assert LIMITS.default_size == contract.DEFAULT_SIZE
    assert we_take(GenerateArguments)["sequential_image_generation"] == contract.DEFAULT_MODE  # type: ignore[index]
