"""Sizes: both bounds of pixels and ratio, exactly, and the nearest legal size."""

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mcp_server.limits import SEEDREAM_4_0 as LIMITS
from mcp_server.sizes import SizeError, is_legal, nearest_size, parse_size

sides = st.integers(1, 40_000)


def legal_by_the_page(width: int, height: int) -> bool:
    """The rule once more, in the page's own words and numbers."""
    return 1024 * 1024 <= width * height <= 4096 * 4096 and 1 <= 16 * width / height <= 256


@given(sides, sides)
def test_a_size_is_legal_exactly_when_the_page_says_so(width: int, height: int) -> None:
    assert is_legal(width, height, LIMITS) == legal_by_the_page(width, height)


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


@given(sides, sides)
@example(1, 40_000)
@example(40_000, 2_500)
@example(8_000, 400)
@example(17_000, 1_000)
@example(1, 1)
def test_the_nearest_size_is_legal_and_no_neighbour_is_nearer(width: int, height: int) -> None:
    near_width, near_height = map(int, nearest_size(width, height, LIMITS).split("x"))
    assert is_legal(near_width, near_height, LIMITS)

    def distance(w: int, h: int) -> float:
        return math.hypot(math.log(w / width), math.log(h / height))

    best = distance(near_width, near_height)
    for dw in range(-3, 4):
        for dh in range(-3, 4):
            if is_legal(near_width + dw, near_height + dh, LIMITS):
                assert distance(near_width + dw, near_height + dh) >= best - 1e-3


@given(sides, sides)
def test_a_legal_size_is_its_own_nearest(width: int, height: int) -> None:
    if is_legal(width, height, LIMITS):
        assert nearest_size(width, height, LIMITS) == f"{width}x{height}"


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


@given(st.text(max_size=30))
def test_no_text_gets_past_the_rules(text: str) -> None:
    try:
        size = parse_size(text, LIMITS)
    except SizeError:
        return
    width, _, height = size.partition("x")
    assert size in LIMITS.presets or is_legal(int(width), int(height), LIMITS)


def test_every_recommended_size_is_legal() -> None:
    assert all(parse_size(size, LIMITS) == size for size in LIMITS.recommended_sizes.values())
