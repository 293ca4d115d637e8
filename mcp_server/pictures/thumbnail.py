"""Smaller versions of a picture, for models that can look and for results that must stay small."""

import io
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

LONGER_SIDE = 320  # px
MOST_BYTES = 24_000  # of one thumbnail
MOST_BYTES_IN_ALL = 300_000
MOST_PIXELS = 4096 * 4096 * 2

_QUALITIES = (85, 70, 50, 30)
_UNREADABLE = (OSError, ValueError, SyntaxError, RuntimeError, EOFError, Image.DecompressionBombError)


class PictureError(Exception):
    """What is wrong with a picture or its link, in a few words of our own."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a picture is, by its content: its type and its sides in px."""

    mime_type: str
    width: int
    height: int


def read_header(path: Path) -> Header:
    """The type and sides of the picture in a file.

    Raises:
        PictureError: it is no picture that can be read.
    """
    try:
        with Image.open(path, formats=("JPEG", "PNG", "WEBP")) as image:
            kind = "jpeg" if image.format == "MPO" else (image.format or "").lower()
            return Header(f"image/{kind}", *image.size)
    except _UNREADABLE:
        raise PictureError("it is no picture that can be read") from None


def smaller(path: Path, side: int, most_bytes: int) -> bytes:
    """A JPEG of at most `side` px on the longer side and `most_bytes`.

    Raises:
        PictureError: it can't be decoded, or not in bounded memory.
    """
    try:
        with Image.open(path, formats=("JPEG", "PNG", "WEBP")) as image:
            if image.width * image.height > MOST_PIXELS:
                raise PictureError("it has too many pixels")
            # A JPEG is decoded at an eighth of its size where that is enough: 4K costs little.
            image.draft("RGB", (side, side))
            image.thumbnail((side, side))
            small = image.convert("RGB")
            if image.has_transparency_data:  # on white: what is transparent has no colour of its own
                small = Image.new("RGB", image.size, "white")
                small.paste(image.convert("RGBA"), mask=image.convert("RGBA").getchannel("A"))
    except _UNREADABLE:
        raise PictureError("it is no picture that can be read") from None
    while True:
        small.thumbnail((side, side))
        for quality in _QUALITIES:
            output = io.BytesIO()
            small.save(output, "JPEG", quality=quality, optimize=True)
            if output.tell() <= most_bytes:
                return output.getvalue()
        side = side * 3 // 4
