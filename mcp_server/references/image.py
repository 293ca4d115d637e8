"""The API's rules for a reference image, checked from its bytes; what can be fixed is handed to `fit`."""

import contextlib
import importlib
from dataclasses import dataclass

from PIL import Image, UnidentifiedImageError

from mcp_server.errors import ImageUnusable
from mcp_server.limits import Limits
from mcp_server.references.ends import end_of_jpeg, end_of_png, is_foreign
from mcp_server.references.source import Source, as_file

# Known by content, whatever the label or the suffix says.
KNOWN = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
_REMEDY = "pass a jpeg or png, as a public URL, a file, or data:image/jpeg;base64,<data>"
TAIL = 64 * 1024
_LARGEST_FILE = 256 * 1024**2

# Phones make pictures of 200 megapixels. Pillow refuses to open what is over twice this; what may be
# decoded is decided by `fit`, and only there.
Image.MAX_IMAGE_PIXELS = 200_000_000

# What Pillow raises for a file that it can't read: SyntaxError for a PNG, RuntimeError for an AVIF.
UNREADABLE = (
    *(UnidentifiedImageError, OSError, ValueError, SyntaxError, OverflowError, RuntimeError),
    *(EOFError, MemoryError, Image.DecompressionBombError),
)


@dataclass(frozen=True, slots=True)
class Facts:
    """What a header says, and how many bytes the picture itself takes."""

    kind: str  # jpeg, png, webp, …
    width: int
    height: int
    length: int


def read_facts(source: Source, name: str) -> tuple[Facts, str | None]:
    """What the image is, and a warning where something behind it is left out.

    Raises:
        ImageUnusable: no image, a damaged or truncated one, or one with another file behind it.
    """
    if source.size == 0:
        raise ImageUnusable(f"{name} is empty", _REMEDY)
    if source.size > _LARGEST_FILE:
        raise ImageUnusable(
            f"{name} is {source.size:,} bytes, too large to be read", "pass a smaller version"
        )
    # Where it ends is looked for first: a file with a million parts would keep Pillow busy too.
    head, end = source.read(0, 8), source.size
    if head[:2] == b"\xff\xd8":
        end = end_of_jpeg(as_file(source)) or 0
    elif head == b"\x89PNG\r\n\x1a\n":
        end = end_of_png(as_file(source), source.size) or 0
    if not end:
        raise ImageUnusable(f"{name} is truncated, or not an image", "pass the complete file")
    _register_heif()
    file = as_file(source)
    try:
        with Image.open(file, formats=(*KNOWN, *_heif_formats())) as image:
            kind, (width, height) = (image.format or "").lower(), image.size
    except Image.DecompressionBombError:
        raise ImageUnusable(f"{name} has too many pixels", "pass a smaller version of it") from None
    except UNREADABLE:
        known = "heic, which needs the extra mcp-server-seedream[heic]" if _is_heif(source) else None
        what = f"is {known}" if known else "is not an image, or its header is damaged"
        raise ImageUnusable(f"{name} {what}", _REMEDY) from None
    kind = {"mpo": "jpeg", "heif": "heic"}.get(kind, kind)  # MPO: a phone's JPEG with a second one behind it
    if kind not in ("jpeg", "png"):
        return Facts(kind, width, height, source.size), None
    return Facts(kind, width, height, end), check_tail(source.read(end, TAIL), source.size - end, name)


def check_tail(tail: bytes, length: int, name: str) -> str | None:
    """A warning where something stands behind a picture, `length` bytes that begin with `tail`.

    Raises:
        ImageUnusable: it is a file of another kind.
    """
    if is_foreign(tail):
        raise ImageUnusable(f"{name} has a file of another kind behind the picture", "save the picture anew")
    return f"{name}: {length:,} bytes behind the end of the picture were left out." if any(tail) else None


def hopeless(facts: Facts, name: str, limits: Limits) -> None:
    """Refuse what no re-encoding mends.

    Raises:
        ImageUnusable: a side is too short, or the ratio too long; with the figures.
    """
    width, height = facts.width, facts.height
    problem, most = None, limits.reference_max_ratio
    if min(width, height) < limits.reference_min_side:
        problem = f"each side must be more than {limits.reference_min_side - 1} px"
    elif width > most * height or height > most * width:
        problem = f"width to height must be from 1:{most} to {most}:1"
    if problem:
        raise ImageUnusable(f"{name} is {width}x{height}: {problem}", "crop or resize it, or pass another")


def misfits(facts: Facts, limits: Limits) -> list[str]:
    """What the API would refuse, but re-encoding can mend; each in a few words."""
    found = []
    if facts.kind not in limits.reference_formats:
        found.append(f"{facts.kind} is not {limits.formats}")
    pixels, most = facts.width * facts.height, limits.reference_max_pixels
    if pixels > most:
        found.append(f"{facts.width}x{facts.height} is more than {most:,} pixels")
    if facts.length > limits.reference_max_bytes:
        most, megabytes = limits.reference_max_bytes, limits.reference_megabytes
        found.append(f"{facts.length:,} bytes is more than {most:,} ({megabytes} MB)")
    return found


def _register_heif() -> None:
    """Teach Pillow HEIC where the optional library is installed."""
    if "HEIF" not in Image.OPEN:
        with contextlib.suppress(ImportError):
            importlib.import_module("pillow_heif").register_heif_opener()


def _heif_formats() -> tuple[str, ...]:
    return ("HEIF",) if "HEIF" in Image.OPEN else ()


def _is_heif(source: Source) -> bool:
    head = source.read(0, 12)
    return head[4:8] == b"ftyp" and head[8:12] in (b"heic", b"heix", b"mif1", b"msf1", b"hevc")
