"""Sizes: read leniently, checked exactly, and answered with the nearest legal one.

A size is a preset (`2K`) or WIDTHxHEIGHT in pixels. The rules hold on the product of the sides and
on their ratio, not on a side alone.
"""

import math
import re
from itertools import product

from mcp_server.limits import Limits

_EXPLICIT = re.compile(r"([0-9]{1,9})\s*[x\u00d7*]\s*([0-9]{1,9})", re.IGNORECASE)
_RATIO = re.compile(r"([0-9]{1,4})\s*[:/]\s*([0-9]{1,4})")
_ONE_SIDE = re.compile(r"([0-9]{1,9})(?:\s*px)?", re.IGNORECASE)
_NAMES = {
    **dict.fromkeys(("landscape", "wide", "horizontal", "720p", "1440p"), "16:9"),
    **dict.fromkeys(("portrait", "tall", "vertical"), "9:16"),
    "square": "1:1",
}
_PRESET = re.compile(r"([0-9]{1,3})\s*k", re.IGNORECASE)


class SizeError(ValueError):
    """A size that the model does not take; `str()` of it says why, what is legal, what is nearest."""


def parse_size(text: str, limits: Limits) -> str:
    """`text` as the API wants it: a preset in upper case, or `WIDTHxHEIGHT`.

    Raises:
        SizeError: it is no size, or one that breaks a limit.
    """
    cleaned = text.strip()
    if cleaned.upper() in limits.presets:
        return cleaned.upper()
    match = _EXPLICIT.fullmatch(cleaned)
    if match is None:
        shown = cleaned if len(cleaned) <= 40 and cleaned.isprintable() else "the value"
        hint = _nearest_to_text(cleaned, limits)
        raise SizeError(f"{shown!r} is not a size. Legal: {describe(limits)}. Nearest legal: {hint}")
    width, height = int(match[1]), int(match[2])
    if problem := size_problem(width, height, limits):
        hint = nearest_size(width, height, limits)
        raise SizeError(f"{problem}. Legal: {describe(limits)}. Nearest legal: {hint}")
    return f"{width}x{height}"


def is_legal(width: int, height: int, limits: Limits) -> bool:
    """Whether the model makes pictures of `width` x `height` pixels."""
    return size_problem(width, height, limits) is None


def size_problem(width: int, height: int, limits: Limits) -> str | None:
    """What is wrong with `width` x `height` pixels, or None. Integers only: no rounding at the edge."""
    size, pixels = f"{width}x{height}", width * height
    if width == 0 or height == 0:
        return f"{size} has no pixels"
    if pixels < limits.min_pixels:
        return f"{size} has {pixels:,} pixels, fewer than {limits.min_pixels:,}"
    if pixels > limits.max_pixels:
        return f"{size} has {pixels:,} pixels, more than {limits.max_pixels:,}"
    if width > limits.max_ratio * height or height > limits.max_ratio * width:
        return f"{size} is more than {limits.max_ratio} times as long as it is wide or high"
    return None


def nearest_size(width: int, height: int, limits: Limits) -> str:
    """The legal `WIDTHxHEIGHT` nearest to the one given, by the logarithms of both sides.

    In log space the legal sizes are a rectangle along the axes "ratio" and "pixels", so clamping
    each of the two gives the nearest point; the integers around it are then compared.
    """
    if width == 0 or height == 0:
        return limits.default_size
    if width < height:
        return "x".join(reversed(nearest_size(height, width, limits).split("x")))
    ratio = min(width / height, limits.max_ratio)
    pixels = min(max(width * height, limits.min_pixels), limits.max_pixels)
    best_width, best_height = round(math.sqrt(pixels * ratio)), round(math.sqrt(pixels / ratio))
    candidates = []
    for short, long in product(
        range(best_height - 2, best_height + 3), range(best_width - 2, best_width + 3)
    ):
        # The corner of ratio and pixels need not lie on integers: what is legal there may be further off.
        least = -(-limits.min_pixels // short)
        most = min(limits.max_pixels // short, limits.max_ratio * short)
        if least <= most:
            candidates.append((min(max(long, least), most), short))
    chosen = min(
        candidates,
        key=lambda side: (math.log(side[0] / width)) ** 2 + (math.log(side[1] / height)) ** 2,
    )
    return f"{chosen[0]}x{chosen[1]}"


def describe(limits: Limits) -> str:
    """The legal sizes in words, for descriptions and errors."""
    return (
        f"{', '.join(limits.presets)}, or WIDTHxHEIGHT with {limits.min_pixels:,} to "
        f"{limits.max_pixels:,} pixels in all, ratio 1:{limits.max_ratio} to {limits.max_ratio}:1"
    )


def _nearest_to_text(text: str, limits: Limits) -> str:
    """The size that somebody who wrote `text` most likely meant."""
    named = text.lower()
    if named == "1080p":
        return nearest_size(1920, 1080, limits)
    text = _NAMES.get(named, text)
    if text.replace("/", ":") in limits.recommended_sizes:
        return limits.recommended_sizes[text.replace("/", ":")]
    if (match := _RATIO.fullmatch(text)) and int(match[1]) and int(match[2]):
        # The asked ratio at the pixel count of the default size.
        ratio = int(match[1]) / int(match[2])
        side = math.sqrt(math.prod(map(int, limits.default_size.split("x"))))
        return nearest_size(round(side * math.sqrt(ratio)), round(side / math.sqrt(ratio)), limits)
    if match := _ONE_SIDE.fullmatch(text):
        return nearest_size(int(match[1]), int(match[1]), limits)
    if match := _PRESET.fullmatch(text):
        return min(limits.presets, key=lambda preset: abs(int(preset[:-1]) - int(match[1])))
    return limits.default_size
