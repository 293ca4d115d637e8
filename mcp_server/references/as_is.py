"""Formats that only some models take, and take as they are: whole, with nothing of another kind behind them.

JPEG and PNG are read by their structure alone (`image`). These are decoded once, as `fit` would have to.
"""

import io
from collections.abc import Callable
from dataclasses import replace

from PIL import Image

from mcp_server.errors import ImageUnusable
from mcp_server.references.ends import end_of_bmp, end_of_gif, end_of_webp
from mcp_server.references.fit import check_density
from mcp_server.references.image import KNOWN, TAIL, UNREADABLE, Facts, check_tail
from mcp_server.references.source import Source

# A TIFF has none: its parts may stand anywhere.
_ENDS: dict[str, Callable[[bytes], int | None]] = {
    "bmp": end_of_bmp,
    "gif": end_of_gif,
    "webp": end_of_webp,
}


def check_as_is(source: Source, facts: Facts, name: str) -> tuple[Facts, str | None]:
    """The facts up to the picture's end, and a warning where something behind it is left out.

    Raises:
        ImageUnusable: truncated, damaged, a decompression bomb, or with another file behind it.
    """
    check_density(source, facts, name)
    data = source.read(0, facts.length)
    end = _ENDS.get(facts.kind, len)(data)
    if end is None:
        raise ImageUnusable(f"{name} is truncated, or not a proper {facts.kind}", "pass the complete file")
    told = check_tail(data[end : end + TAIL], len(data) - end, name)
    try:
        with Image.open(io.BytesIO(data[:end]), formats=KNOWN) as image:
            image.load()
    except UNREADABLE:
        raise ImageUnusable(f"{name} is damaged: it can't be decoded", "pass another copy of it") from None
    return replace(facts, length=end), told
