"""Sizes: both bounds of pixels and ratio, exactly, and the nearest legal size."""

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mcp_server.limits import MODELS, Limits
from mcp_server.limits import SEEDREAM_4_0 as LIMITS
from mcp_server.sizes import SizeError, is_legal, nearest_size, parse_size
from tests import made_up

sides = st.integers(1, 40_000)


PAGES = {
    "seedream-4.0": (1024 * 1024, 4096 * 4096),
    "seedream-4.5": (3_686_400, 16_777_216),
    "seedream-5.0-lite": (3_686_400, 10_404_496),
}
of_every_model = pytest.mark.parametrize("limits", MODELS.values(), ids=list(MODELS))


def legal_by_the_page(model: str, width: int, height: int) -> bool:
    """The rule once more, in the page's own words and numbers."""
    least, most = PAGES[model]
    return least <= width * height <= most and 1 <= 16 * width / height <= 256


@of_every_model
@given(width=sides, height=sides)
def test_a_size_is_legal_exactly_when_the_page_says_so(limits: Limits, width: int, height: int) -> None:
    assert is_legal(width, height, limits) == legal_by_the_page(limits.model, width, height)


@pytest.mark.parametrize(
    ("size", "legal"),
    [
        ("1024x1024", True),
        ("1023x1025", False),  # 1,048,575 pixels
        ("4096x4096", True),
        ("4097x4095", True),  # 16,777,215 pixels: a side may be longer than 4096
        ("4097x4096", False),
        ("16384x1024", True),  # ratio 16 and the most pixels, both inclusive
        ("16385x1024", False),
        ("4096x256", True),  # ratio 16 and the fewest pixels
        ("4097x256", False),
        ("256x4096", True),
        ("256x4097", False),
        ("0x0", False),
    ],
)
def test_the_bounds_are_inclusive(size: str, legal: bool) -> None:
    if legal:
        assert parse_size(size, LIMITS) == size
    else:
        with pytest.raises(SizeError):
            parse_size(size, LIMITS)


@pytest.mark.parametrize("limits", [*MODELS.values(), made_up.LIMITS], ids=lambda limits: limits.model)
@given(width=sides, height=sides)
@example(1, 40_000)
@example(40_000, 2_500)
@example(40_000, 2_499)  # the corner of pixels and ratio, which need not lie on integers
@example(2_499, 40_000)
@example(40_000, 1)
@example(8_000, 400)
@example(17_000, 1_000)
@example(1, 1)
def test_the_nearest_size_is_legal_and_no_neighbour_is_nearer(
    limits: Limits, width: int, height: int
) -> None:
    near_width, near_height = map(int, nearest_size(width, height, limits).split("x"))
    assert is_legal(near_width, near_height, limits)

    def distance(w: int, h: int) -> float:
        return math.hypot(math.log(w / width), math.log(h / height))

    best = distance(near_width, near_height)
    for dw in range(-3, 4):
        for dh in range(-3, 4):
            if is_legal(near_width + dw, near_height + dh, limits):
                assert distance(near_width + dw, near_height + dh) >= best - 1e-3


@of_every_model
@given(width=sides, height=sides)
def test_a_legal_size_is_its_own_nearest(limits: Limits, width: int, height: int) -> None:
    if is_legal(width, height, limits):
        assert nearest_size(width, height, limits) == f"{width}x{height}"


@pytest.mark.parametrize(
    ("given_size", "sent"),
    [("2k", "2K"), (" 4K ", "4K"), ("2048X2048", "2048x2048"), ("2560 x 1440", "2560x1440")],
)
def test_sizes_are_read_leniently(given_size: str, sent: str) -> None:
    assert parse_size(given_size, LIMITS) == sent


@pytest.mark.parametrize(
    ("wrong", "nearest"),
    [
        ("1000x1000", "1024x1024"),
        ("5000x5000", "4096x4096"),
        ("8K", "4K"),
        ("3K", "2K"),
        ("16:9", "2560x1440"),
        ("16/9", "2560x1440"),
        ("5:4", "2290x1832"),
        ("0:4", "2048x2048"),
        ("1024", "1024x1024"),
        ("large", "2048x2048"),
        ("1080p", "1920x1080"),
        ("Landscape", "2560x1440"),
        ("portrait", "1440x2560"),
        ("square", "2048x2048"),
        ("0x5", "2048x2048"),
        ("x" * 5000, "2048x2048"),
        ("9" * 5000 + "x1", "2048x2048"),
        ("\x00", "2048x2048"),
    ],
)
def test_a_wrong_size_is_answered_with_the_nearest_legal_one(wrong: str, nearest: str) -> None:
    with pytest.raises(SizeError) as caught:
        parse_size(wrong, LIMITS)
    message = str(caught.value)
    assert message.endswith(f"Nearest legal: {nearest}")
    assert len(message) < 400
    assert message.isprintable()


@of_every_model
@given(text=st.text(max_size=30))
def test_no_text_gets_past_the_rules(limits: Limits, text: str) -> None:
    try:
        size = parse_size(text, limits)
    except SizeError:
        return
    width, _, height = size.partition("x")
    assert size in limits.presets or is_legal(int(width), int(height), limits)


@of_every_model
def test_every_recommended_size_is_legal_and_so_is_the_default(limits: Limits) -> None:
    for size in (*limits.recommended_sizes.values(), limits.default_size):
        assert parse_size(size, limits) == size
