"""The icons of the server and its tools, as data: URIs.

PNG, since hosts need not take SVG and some do not; with its MIME type, without which some take none.
Small, since the tools' icons are a part of every tools/list, and the server's of every answer in the newer
protocol. They have one colour and a clear ground: a violet that stands out from white (4.5 to 1) and
from the dark grey of hosts (3.7 to 1), so that one icon serves both themes.

How they were made: drawn with Pillow on a grid 16 times as fine, reduced by area, and packed by zopfli,
without any chunk that a PNG can lack. They have 32 x 32 px and 1 bit: a four-pointed star with
a smaller one; a pencil, tip down on the left; four squares with round corners.
"""

from mcp.types import Icon


def _png(data: str) -> list[Icon]:
    """`data` is base64."""
    return [Icon(src=f"data:image/png;base64,{data}", mime_type="image/png")]


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
SERVER = GENERATE
"""The newer protocol repeats it in every result, so it is no larger than a tool's."""
