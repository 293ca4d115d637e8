"""Every documented rule on a request, checked against the emulator's own data."""

import base64
import binascii
import io
import json
import math
import re
from dataclasses import dataclass
from typing import Any

from PIL import Image, UnidentifiedImageError

from mcp_server.emulator import contract
from mcp_server.emulator.contract import ApiError, Fields, Model, bad_request

_NUMBER_WORDS = (
    *("one", "two", "three", "four", "five", "six", "seven", "eight"),
    *("nine", "ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen"),
)
# Not the parts of a ratio (4:3) or of a decimal.
# A whole number of its own: no part of a ratio (4:3), a decimal (2.5), a larger number (1,000).
_NUMBER = re.compile(
    rf"(?<![\w:.,])(\d{{1,3}}|{'|'.join(_NUMBER_WORDS)})(?![\w:]|[.,]\d|\s*:)", re.IGNORECASE
)
_RATIO = re.compile(r"\b([1-9][0-9]?)\s*:\s*([1-9][0-9]?)\b")
_DATA_URI = re.compile(r"data:image/([a-z]+);base64,")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A legal request: what is to be drawn."""

    prompt: str
    references: tuple[str, ...]
    width: int
    height: int
    images: int
    watermark: bool


def read_request(model: Model, body: bytes) -> Wanted:
    """The request to `model` in `body`, every field checked.

    Raises:
        ApiError: the first rule that it breaks, in the API's words.
    """
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        raise bad_request("the body is not JSON") from None
    if not isinstance(fields, dict):
        raise bad_request("the body is not a JSON object")
    if re.search(r"[\ud800-\udfff]", str(fields.get("prompt"))):
        raise bad_request("prompt holds half of a surrogate pair")
    _check_types(fields, model.fields)
    prompt = fields.get("prompt", "")
    if not prompt.strip():
        raise bad_request("prompt is required")
    references = _read_references(model, fields)
    mode = fields.get("sequential_image_generation", contract.DEFAULT_MODE)
    if mode not in contract.MODES:
        raise bad_request(f"sequential_image_generation must be one of {contract.MODES}")
    options = fields.get(model.cap_in, {}) if model.cap_in else fields
    cap = options.get("max_images", contract.DEFAULT_MAX_IMAGES)
    least, most = contract.MAX_IMAGES
    if not least <= cap <= most:
        raise bad_request(f"max_images must be from {least} to {most}")
    if (
        fields.get("optimize_prompt_options", {}).get("mode", contract.PROMPT_MODES[0])
        not in contract.PROMPT_MODES
    ):
        raise bad_request(f"optimize_prompt_options.mode must be one of {contract.PROMPT_MODES}")
    width, height = read_size(model, fields.get("size", model.default_size), prompt)
    room = contract.MOST_TOGETHER - len(references)
    images = min(number_in(prompt), cap, room) if mode == "auto" else 1
    return Wanted(
        prompt, references, width, height, images, fields.get("watermark", contract.DEFAULT_WATERMARK)
    )


def _check_types(fields: dict[str, Any], known: Fields, place: str = "") -> None:
    for name, value in fields.items():
        kind = known.get(name)
        if kind is None:
            raise bad_request(f"unknown field {place + name[:60]!r}")
        wanted = kind if isinstance(kind, type) else dict
        # bool is an int to Python, and no integer to JSON.
        if type(value) is not wanted:
            raise bad_request(f"{place}{name} must be of type {wanted.__name__}")
        if isinstance(value, dict) and not isinstance(kind, type):
            _check_types(value, kind, f"{place}{name}.")


def _read_references(model: Model, fields: dict[str, Any]) -> tuple[str, ...]:
    references = fields.get(model.references)
    if references is None:
        return ()
    if not all(isinstance(reference, str) for reference in references):
        raise bad_request(f"{model.references} must be an array of strings")
    if not 1 <= len(references) <= model.most_references:
        raise bad_request(f"{model.references}: 1 to {model.most_references} reference images")
    return tuple(references)


def read_size(model: Model, size: str, prompt: str) -> tuple[int, int]:
    """Width and height in pixels. For a preset the emulator picks them by a ratio in the prompt."""
    least, most = model.total_pixels
    if size in model.preset_sides:
        side = model.preset_sides[size]
        match = _RATIO.search(prompt)
        ratio = min(max(int(match[1]) / int(match[2]), 1 / 3), 3) if match else 1.0
        # Rounded down to 16, but never below the documented minimum of pixels.
        width, height = side * math.sqrt(ratio) / 16, side / math.sqrt(ratio) / 16
        if math.floor(width) * math.floor(height) * 256 < least:
            return math.ceil(width) * 16, math.ceil(height) * 16
        return math.floor(width) * 16, math.floor(height) * 16
    match = re.fullmatch(r"([1-9][0-9]{0,5})x([1-9][0-9]{0,5})", size)
    if match is None:
        raise bad_request(f"size {size[:40]!r} is not valid", "INVALID_IMAGE_SIZE")
    width, height = int(match[1]), int(match[2])
    if not least <= width * height <= most:
        raise bad_request(f"size: total pixels must be from {least} to {most}", "INVALID_IMAGE_SIZE")
    if width > contract.LONGEST_RATIO * height or height > contract.LONGEST_RATIO * width:
        raise bad_request("size: the aspect ratio must be in [1/16, 16]", "INVALID_IMAGE_SIZE")
    return width, height


def number_in(prompt: str) -> int:
    """The number of images that the prompt names; 1 where it names none."""
    match = _NUMBER.search(prompt)
    if match is None:
        return 1
    word = match[1].lower()
    return max(1, int(word)) if word.isdecimal() else _NUMBER_WORDS.index(word) + 1


def decode_data_uri(model: Model, uri: str, name: str) -> bytes:
    """The bytes of a data: URI; `name` is what errors call it.

    Raises:
        ApiError: not of the documented form `data:image/<format>;base64,<data>`.
    """
    head = _DATA_URI.match(uri)
    if head is None or head[1] not in model.reference_formats:
        formats = ", ".join(model.reference_formats)
        raise bad_request(f"{name}: not a data URI of one of {formats}", "INVALID_IMAGE_FORMAT")
    try:
        return base64.b64decode(uri[head.end() :], validate=True)
    except (binascii.Error, ValueError):
        raise bad_request(f"{name}: not base64", "INVALID_IMAGE_FORMAT") from None


def read_reference(model: Model, data: bytes, name: str, thumbnail: int) -> Image.Image:
    """The reference image, checked, as a thumbnail of at most `thumbnail` px a side.

    Raises:
        ApiError: it breaks a rule for input images.
    """
    if len(data) > contract.REFERENCE_BYTES:
        raise bad_request(f"{name}: over 10 MB", "IMAGE_FILE_EXCEEDS_MAX_SIZE")
    formats = tuple(kind.upper() for kind in model.reference_formats)  # as Pillow names them
    try:
        with Image.open(io.BytesIO(data), formats=formats) as image:
            _check_sides(*image.size, name)
            image.draft("RGB", (thumbnail, thumbnail))
            small = image.convert("RGB")
            small.thumbnail((thumbnail, thumbnail))
            return small
    except ApiError:
        raise
    except Image.DecompressionBombError:
        raise bad_request(f"{name}: too many pixels", "IMAGE_EXCEEDS_MAX_RESOLUTION") from None
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError):
        known = ", ".join(model.reference_formats)
        raise bad_request(f"{name}: not a readable {known}", "INVALID_IMAGE_FORMAT") from None


def _check_sides(width: int, height: int, name: str) -> None:
    if min(width, height) <= contract.REFERENCE_SIDE_ABOVE:
        raise bad_request(f"{name}: a side of 14 px or less", "INVALID_IMAGE_SIZE")
    if max(width, height) > contract.REFERENCE_RATIO * min(width, height):
        raise bad_request(f"{name}: aspect ratio outside [1/3, 3]", "INVALID_IMAGE_SIZE")
    if width * height > contract.REFERENCE_PIXELS:
        raise bad_request(f"{name}: over 6000x6000 pixels", "IMAGE_EXCEEDS_MAX_RESOLUTION")
