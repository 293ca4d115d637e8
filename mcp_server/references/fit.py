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

# Decoded, a pixel takes 4 bytes, and making it smaller takes a second copy: some 350 MB at the most, for
# one picture at a time.
_MOST_PIXELS = 45_000_000
# A large picture in a file far smaller than its pixels is a decompression bomb.
_LARGE_PIXELS = 16_000_000
_MOST_PIXELS_PER_BYTE = 1_000
_QUALITIES = (92, 85, 75)
_SHRINK = 0.8


def fit(source: Source, facts: Facts, name: str, limits: Limits) -> tuple[FileSource, str, tuple[int, int]]:
    """The picture re-encoded in a temporary file, its format, and its sides.

    Orientation is applied, metadata (GPS) and further frames are dropped, colours become sRGB.

    Raises:
        ImageUnusable: too large to be decoded in bounded memory, or damaged.
    """
    check_density(source, facts, name)
    pixels = facts.width * facts.height
    try:
        with Image.open(
            as_file(source), formats=(*KNOWN, "HEIF") if "HEIF" in Image.OPEN else KNOWN
        ) as image:
            # A JPEG can be decoded at a half, a quarter or an eighth; others are decoded whole.
            part = next((n for n in (1, 2, 4, 8) if pixels <= n * n * limits.reference_max_pixels), 8)
            image.draft(None, (image.width // part, image.height // part))
            if image.width * image.height > _MOST_PIXELS:
                raise ImageUnusable(
                    f"{name} is {facts.width}x{facts.height}, too large to be made fit",
                    "pass a smaller version",
                )
            picture = _eight_bits(_upright_srgb(image))
            clear = picture.has_transparency_data
            mode = "RGBA" if clear else "RGB"
            if picture.mode != mode:
                picture = picture.convert(mode)
            if picture.width * picture.height > limits.reference_max_pixels:
                picture.thumbnail(_bounded(*picture.size, limits.reference_max_pixels))
    except UNREADABLE:
        raise ImageUnusable(f"{name} is damaged: it can't be decoded", "pass another copy of it") from None
    try:
        return _encoded(picture, "png" if clear else "jpeg", name, limits)
    except (OSError, MemoryError) as error:
        reason = getattr(error, "strerror", None) or "no memory"
        raise ImageUnusable(
            f"{name} can't be made fit: the temporary folder failed ({reason})",
            "pass a jpeg or png within the limits",
        ) from None


def check_density(source: Source, facts: Facts, name: str) -> None:
    """Refuse a decompression bomb.

    Raises:
        ImageUnusable: it claims far more pixels than its bytes can hold.
    """
    pixels = facts.width * facts.height
    if pixels > _LARGE_PIXELS and pixels > _MOST_PIXELS_PER_BYTE * source.size:
        raise ImageUnusable(f"{name} claims far more pixels than its bytes can hold", "pass another image")


def _eight_bits(picture: Image.Image) -> Image.Image:
    """Grey of more than 8 bits, scaled to 8; Pillow's own conversion would cut it off at 255."""
    if picture.mode.startswith("I;16"):
        return picture.convert("I").point(lambda value: value * (1 / 257)).convert("L")
    if picture.mode in ("I", "F"):
        low, high = (float(value) for value in picture.getextrema())  # type: ignore[arg-type]  # one band
        scale = 255 / (high - low) if high > low else 0.0
        return picture.point(lambda value: value * scale - low * scale).convert("L")
    return picture


def _bounded(width: int, height: int, most: int) -> tuple[int, int]:
    """Sides of the same ratio with at most `most` pixels."""
    scale = min(1.0, math.sqrt(most / (width * height)))
    return max(1, math.floor(width * scale)), max(1, math.floor(height * scale))


def _upright_srgb(image: Image.Image) -> Image.Image:
    ImageOps.exif_transpose(image, in_place=True)
    picture = image
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
