"""Making a picture fit: re-encoded as jpeg or png within the limits, with the least loss."""

import io
import math
import tempfile
from typing import BinaryIO, cast

from PIL import Image, ImageCms, ImageOps

from mcp_server.errors import ImageUnusable
from mcp_server.limits import Limits
from mcp_server.references.image import KNOWN, UNREADABLE, Facts
from mcp_server.references.source import FileSource, Source, as_file

# Decoded, a pixel takes 4 bytes. A file far smaller than its pixels is a decompression bomb.
_MOST_PIXELS = 60_000_000
_MOST_PIXELS_PER_BYTE = 1_000
_QUALITIES = (92, 85, 75)
_SHRINK = 0.8


def fit(source: Source, facts: Facts, name: str, limits: Limits) -> tuple[FileSource, str, tuple[int, int]]:
    """The picture re-encoded in a temporary file, its format, and its sides.

    Orientation is applied, metadata (GPS) and further frames are dropped, colours become sRGB.

    Raises:
        ImageUnusable: too large to be decoded in bounded memory, or damaged.
    """
    if facts.width * facts.height > _MOST_PIXELS_PER_BYTE * max(source.size, 1):
        raise ImageUnusable(f"{name} claims far more pixels than its bytes can hold", "pass another image")
    try:
        with Image.open(
            as_file(source), formats=(*KNOWN, "HEIF") if "HEIF" in Image.OPEN else KNOWN
        ) as image:
            # A JPEG can be decoded at a half or less; others are decoded whole.
            image.draft("RGB", _bounded(*image.size, limits.reference_max_pixels))
            if image.width * image.height > _MOST_PIXELS:
                raise ImageUnusable(
                    f"{name} is {facts.width}x{facts.height}, too large to be made fit",
                    "pass a smaller version",
                )
            picture = _upright_srgb(image)
    except UNREADABLE:
        raise ImageUnusable(f"{name} is damaged: it can't be decoded", "pass another copy of it") from None
    clear = picture.has_transparency_data
    picture = picture.convert("RGBA" if clear else "RGB")
    if picture.width * picture.height > limits.reference_max_pixels:
        picture.thumbnail(_bounded(*picture.size, limits.reference_max_pixels))
    return _encoded(picture, "png" if clear else "jpeg", name, limits)


def _bounded(width: int, height: int, most: int) -> tuple[int, int]:
    """Sides of the same ratio with at most `most` pixels."""
    scale = min(1.0, math.sqrt(most / (width * height)))
    return max(1, math.floor(width * scale)), max(1, math.floor(height * scale))


def _upright_srgb(image: Image.Image) -> Image.Image:
    picture = ImageOps.exif_transpose(image)
    profile = picture.info.get("icc_profile")
    if profile and picture.mode in ("RGB", "CMYK", "L"):
        try:
            converted = ImageCms.profileToProfile(
                picture, io.BytesIO(profile), ImageCms.createProfile("sRGB"), outputMode="RGB"
            )
            picture = converted or picture
        except ImageCms.PyCMSError:
            pass  # a broken profile: the colours stay as they are
    return picture


def _encoded(
    picture: Image.Image, kind: str, name: str, limits: Limits
) -> tuple[FileSource, str, tuple[int, int]]:
    picture.info.clear()  # PNG would carry a profile and texts along
    while True:
        for quality in _QUALITIES if kind == "jpeg" else (None,):
            file = cast("BinaryIO", tempfile.TemporaryFile(buffering=0))  # noqa: SIM115 - the source closes it
            if quality is None:
                picture.save(file, "PNG")
            else:
                picture.save(file, "JPEG", quality=quality)
            if file.seek(0, io.SEEK_END) <= limits.reference_max_bytes:
                return FileSource(file, name), kind, picture.size
            file.close()
        picture = picture.resize(
            (math.floor(picture.width * _SHRINK), math.floor(picture.height * _SHRINK)),
            Image.Resampling.LANCZOS,
        )
