"""The icons of the server and its tools, as data: URIs.

PNG, since hosts need not take SVG and some do not; with its MIME type, without which some take none.
Small, since the tools' icons are a part of every tools/list, and the server's of every answer in the newer
protocol. The tools' have one colour and a clear ground: a violet that stands out from white (4.5 to 1) and
from the dark grey of hosts (3.7 to 1), so that one icon serves both themes.

How they were made: drawn with Pillow on a grid 16 times as fine, reduced by area, and packed by zopfli,
without any chunk that a PNG can lack. The tools' have 32 x 32 px and 1 bit: a four-pointed star with
a smaller one; a pencil, tip down on the left; four squares with round corners. The server's has 48 x 48 px
and 2 bits: a tile with round corners, in it two mountains below a star.
"""

from mcp.types import Icon


def _png(data: str, size: str | None = None) -> list[Icon]:
    """`data` is base64; without a `size` hosts use the icon at any."""
    sizes = [size] if size else None
    return [Icon(src=f"data:image/png;base64,{data}", mime_type="image/png", sizes=sizes)]


SERVER = _png(
    "iVBORw0KGgoAAAANSUhEUgAAADAAAAAwAgMAAAAqbBEUAAAADFBMVEV7XPB7XPC9rff///8jNAPOAAAAAXRSTlMAQObYZgAAALZJ"
    "REFUeNp90gEGwzAUxvEWO8Lu0yMM6ysrAmCgJ5icItdZT9Ej5AhF0H573stbGqp/ip94lUiaq+699Gy4ts91tmBL/b8aNvKSoQo3"
    "hePvYfDLAXMsIKSCEXvBBAQDAUiGCVw4WbGZs78R0ukO3jwUDJ/jrr96HgUOIPBhDCNigcNKwTAhDdHgsbvVAMBvGQQOGYMgKEZB"
    "VDhBUnjBppghKaAtjJYyot6P1V3caX311aMoz+WiH0v/2/M1hewkAAAAAElFTkSuQmCC",
    "48x48",
)
GENERATE = _png(
    "iVBORw0KGgoAAAANSUhEUgAAACAAAAAgAQMAAABJtOi3AAAABlBMVEV7XPB7XPBMEBdVAAAAAXRSTlMAQObYZgAAAE1JREFUGBkF"
    "wTEBgCAQAMDzHVzIAFGoYhOIZiRGJt67AHgDYOHaeE4A5doUi+oNoEIngDGRH3cuWh5G5gzQ8nDnRn4YE50AGlQCKASAH2Y+F2IE"
    "BWp6AAAAAElFTkSuQmCC"
)
EDIT = _png(
    "iVBORw0KGgoAAAANSUhEUgAAACAAAAAgAQMAAABJtOi3AAAABlBMVEV7XPB7XPBMEBdVAAAAAXRSTlMAQObYZgAAAFtJREFUGBkF"
    "wTEVwyAUAMDjMTAigaEGoiDR1K1bkRYpSMjIwOPnDkBHupEHyoM6URY+G9+NuUjrR94HJVCj06JzBf4bsUgxyfFQYlDipkanBupG"
    "W2gTbeCEAwC8kHEkFq88dOAAAAAASUVORK5CYII="
)
LIST = _png(
    "iVBORw0KGgoAAAANSUhEUgAAACAAAAAgAQMAAABJtOi3AAAABlBMVEV7XPB7XPBMEBdVAAAAAXRSTlMAQObYZgAAABxJREFUeNpj"
    "QAD5H/I/GOz/2P8hiYBogwNqmwcACoY58foaKRcAAAAASUVORK5CYII="
)
