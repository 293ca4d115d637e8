"""The pictures: a real JPEG of the real size, which shows what reached the emulator.

A composition seeded by the prompt, the prompt itself legibly on it, the references as thumbnails,
and the watermark where asked. The same generation always gives the same bytes.
"""

import io
import random
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

from PIL import Image, ImageDraw, ImageFont

from mcp_server.emulator.checks import Wanted

_LONGEST_CAPTION = 900  # characters; a longer prompt ends in "…"
_FONTS = ("DejaVuSans.ttf", "Arial.ttf", "arial.ttf", "LiberationSans-Regular.ttf")

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def draw_jpeg(wanted: Wanted, number: int, thumbnails: Sequence[Image.Image], scale: float = 1.0) -> bytes:
    """Picture `number` (from 1) of a generation as JPEG; `scale` below 1 draws it smaller."""
    width, height = max(1, int(wanted.width * scale)), max(1, int(wanted.height * scale))
    picture = _composition(f"{wanted.prompt}#{number}", width, height)
    draw = ImageDraw.Draw(picture, "RGBA")
    unit = max(1, round(min((width * height) ** 0.5 / 40, min(width, height) / 12)))
    _caption(draw, wanted.prompt, unit, width, height)
    _note(draw, f"emulated, {number} of {wanted.images}, {wanted.width} x {wanted.height}", unit, width)
    _paste(picture, thumbnails, unit, width, height)
    if wanted.watermark:
        _watermark(draw, unit, width, height)
    output = io.BytesIO()
    picture.save(output, "JPEG", quality=85)
    return output.getvalue()


def _composition(seed: str, width: int, height: int) -> Image.Image:
    """A soft gradient with discs on it, by the seed: drawn small, then enlarged, so that 4K is quick."""
    dice = random.Random(seed)  # noqa: S311 - a picture, not a secret
    corners = Image.new("RGB", (3, 3))
    corners.putdata([tuple(dice.randrange(40, 216) for _ in "rgb") for _ in range(9)])
    small = corners.resize((max(1, width // 4), max(1, height // 4)), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(small, "RGBA")
    for _ in range(dice.randrange(5, 10)):
        x, y = dice.randrange(small.width), dice.randrange(small.height)
        radius = dice.randrange(4, max(5, min(small.size) // 3))
        colour = (*(dice.randrange(256) for _ in "rgb"), 110)
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
    return small.resize((width, height), Image.Resampling.BILINEAR)


def _caption(draw: ImageDraw.ImageDraw, prompt: str, unit: int, width: int, height: int) -> None:
    """The prompt in a dark panel in the middle, wrapped, at the largest size that fits."""
    text = prompt if len(prompt) <= _LONGEST_CAPTION else prompt[:_LONGEST_CAPTION] + "…"
    room = max(unit, height - 8 * unit)
    block, font = "", _font(unit)
    for size in (unit * 2, unit * 3 // 2, unit, max(1, unit * 2 // 3)):
        font = _font(size)
        lines = _wrap(_drawable(text, font), font, width - 4 * unit)
        most = max(1, int(room / (_height(font) + unit // 2)))
        if len(lines) > most:
            lines = [*lines[: most - 1], lines[most - 1] + "…"]
        block = "\n".join(lines)
        if len(lines) < most:
            break
    left, top, right, bottom = draw.multiline_textbbox((0, 0), block, font=font, spacing=unit // 2)
    x, y = (width - (right - left)) / 2, (height - (bottom - top)) / 2
    draw.rounded_rectangle(
        (x - unit, y - unit, x + (right - left) + unit, y + (bottom - top) + unit),
        unit,
        fill=(0, 0, 0, 150),
    )
    draw.multiline_text((x - left, y - top), block, font=font, fill="white", spacing=unit // 2)


def _height(font: Font) -> float:
    _, top, _, bottom = font.getbbox("Ég")
    return max(1.0, bottom - top)


def _drawable(text: str, font: Font) -> str:
    """`text` as `font` can show it: Pillow's own knows only plain letters, so accents are dropped there."""
    if isinstance(getattr(font, "path", None), str):  # a file of this machine
        return text
    plain = unicodedata.normalize("NFKD", text.replace("—", "-").replace("–", "-"))  # noqa: RUF001 - dashes
    return "".join(char if char.isascii() else "?" for char in plain if not _is_mark(char))


def _is_mark(char: str) -> bool:
    return unicodedata.category(char).startswith("M")


def _wrap(text: str, font: Font, width: float) -> list[str]:
    """`text` in lines of at most `width` px; a word that is longer than a line is broken."""
    lines: list[str] = []
    line = ""
    for word in text.split():
        for piece in _pieces(word, font, width):
            longer = f"{line} {piece}".strip()
            if line and font.getlength(longer) > width:
                lines.append(line)
                line = piece
            else:
                line = longer
    return [*lines, line]


def _pieces(word: str, font: Font, width: float) -> list[str]:
    if font.getlength(word) <= width:
        return [word]
    step = max(1, int(len(word) * width / font.getlength(word)))
    cuts = [*range(0, len(word), step), len(word)]
    return [word[start:end] for start, end in pairwise(cuts)]


def _note(draw: ImageDraw.ImageDraw, text: str, unit: int, width: int) -> None:
    block = "\n".join(_wrap(text, _font(unit), width - 2 * unit))
    draw.multiline_text(
        (unit, unit), block, font=_font(unit), fill="white", stroke_width=2, stroke_fill="black"
    )


def _paste(
    picture: Image.Image, thumbnails: Sequence[Image.Image], unit: int, width: int, height: int
) -> None:
    """The references in a row along the bottom, left of the watermark's corner."""
    if not thumbnails:
        return
    room = width - 2 * unit - int(_font(unit).getlength("AI generated"))
    cell = max(1, min(room // len(thumbnails), height // 5))
    for index, thumbnail in enumerate(thumbnails):
        small = thumbnail.copy()
        small.thumbnail((cell - max(1, cell // 10),) * 2)
        framed = Image.new("RGB", (small.width + 4, small.height + 4), "white")
        framed.paste(small, (2, 2))
        picture.paste(framed, (unit + index * cell, height - unit - framed.height))


def _watermark(draw: ImageDraw.ImageDraw, unit: int, width: int, height: int) -> None:
    font = _font(unit)
    left, top, right, bottom = draw.textbbox((0, 0), "AI generated", font=font)
    corner = (width - unit - right + left, height - unit - bottom + top)
    draw.text(corner, "AI generated", font=font, fill="white", stroke_width=2, stroke_fill="black")


@lru_cache(maxsize=64)
def _font(size: int) -> Font:
    """A font of this machine that has most alphabets, or else Pillow's own, which has plain letters."""
    for name in _FONTS:
        try:
            return ImageFont.truetype(name, max(8, size))
        except OSError:
            continue
    return ImageFont.load_default(max(8, size))
