"""data: URIs: the API's rules for a reference image, checked from its bytes."""

import base64
import binascii
import io
import re

from PIL import Image, UnidentifiedImageError

from mcp_server.errors import ImageUnusable, quote
from mcp_server.limits import Limits

_HEAD = re.compile(r"data:(?P<type>[^;,]{0,100})(?P<parameters>(?:;[^;,]{0,100}){0,8}),", re.IGNORECASE)
_REMEDY = "pass the image as data:image/jpeg;base64,<data> or data:image/png;base64,<data>"
# Known by content, so that the error can say what the file is.
_KNOWN = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")


def check_data_uri(uri: str, name: str, limits: Limits) -> tuple[str, str | None]:
    """The data: URI as the API wants it, and a warning where its label was wrong.

    The format is the content's, whatever the label says. `name` is what errors call the image.

    Raises:
        ImageUnusable: it is not base64, no jpeg or png, or breaks a limit on bytes, sides or ratio.
    """
    head = _HEAD.match(uri)
    if head is None or not head["parameters"].lower().endswith(";base64"):
        raise ImageUnusable(f"{name} is not of the form data:image/<format>;base64,<data>", _REMEDY)
    encoded = "".join(uri[head.end() :].split())  # some encoders wrap lines
    size = len(encoded) * 3 // 4 - encoded[-2:].count("=")
    if size > limits.reference_max_bytes:
        raise _too_large(name, size, limits)
    try:
        data = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise ImageUnusable(f"{name} does not hold valid base64", _REMEDY) from None
    kind = check_image(data, name, limits)
    label = head["type"].lower().removeprefix("image/")
    warning = None
    if label != kind and (label, kind) != ("jpg", "jpeg"):
        warning = f"{name} was labelled {quote(head['type'])}, and is {kind} by content; sent as {kind}."
    return f"data:image/{kind};base64,{encoded}", warning


def check_image(data: bytes, name: str, limits: Limits) -> str:
    """The format of the image in `data`, `jpeg` or `png`, if it keeps every rule. Reads the header only.

    Raises:
        ImageUnusable: with the figure that is wrong and the legal one.
    """
    if not data:
        raise ImageUnusable(f"{name} is empty", _REMEDY)
    try:
        with Image.open(io.BytesIO(data), formats=_KNOWN) as image:
            kind, (width, height) = (image.format or "").lower(), image.size
    except Image.DecompressionBombError:
        raise ImageUnusable(
            f"{name} has more than {limits.reference_max_pixels:,} pixels", "pass a smaller version of it"
        ) from None
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, OverflowError, RuntimeError):
        # What Pillow raises for a header it can't read: SyntaxError for a PNG, RuntimeError for an AVIF.
        raise ImageUnusable(f"{name} is not an image, or its header is damaged", _REMEDY) from None
    if kind == "mpo":  # a phone's JPEG with a second picture behind the first, which every reader shows
        kind = "jpeg"
    if kind not in limits.reference_formats:
        legal = " or ".join(limits.reference_formats)
        raise ImageUnusable(f"{name} is {kind} by content; the API takes {legal}", f"convert it to {legal}")
    if problem := _side_problem(width, height, limits):
        raise ImageUnusable(f"{name} is {width}x{height}: {problem}", "crop or resize it, or pass another")
    return kind


def _side_problem(width: int, height: int, limits: Limits) -> str | None:
    if min(width, height) < limits.reference_min_side:
        return f"each side must be more than {limits.reference_min_side - 1} px"
    most = limits.reference_max_ratio
    if width > most * height or height > most * width:
        return f"width to height must be from 1:{most} to {most}:1"
    if width * height > limits.reference_max_pixels:
        return f"{width * height:,} pixels, and at most {limits.reference_max_pixels:,} are legal"
    return None


def _too_large(name: str, size: int, limits: Limits) -> ImageUnusable:
    most = limits.reference_max_bytes
    return ImageUnusable(
        f"{name} is {size:,} bytes once decoded; at most {most:,} (10 MB) are legal",
        "pass a smaller or more strongly compressed version, or its public URL",
    )
