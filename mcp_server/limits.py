"""The documented limits of each model, as data.

From the API's page; where it is silent, the reading is noted. The emulator keeps its own copy and
a test compares the two at every boundary, so that one mistake can't hide on both sides.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

ADVISED_PROMPT_WORDS = 600
"""The API's page advises at most this many English words. More is a warning, never an error."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one model takes. Pixels are products, width times height; every bound is inclusive."""

    model: str
    path: str
    presets: tuple[str, ...]
    default_size: str
    recommended_sizes: Mapping[str, str]  # aspect ratio -> WIDTHxHEIGHT
    min_pixels: int
    max_pixels: int
    max_ratio: int  # of the longer side to the shorter
    max_images: int  # references and results together
    max_references: int
    reference_formats: tuple[str, ...]
    reference_max_bytes: int  # decoded; the page says "10 MB", read as 10 * 1024**2
    reference_min_side: int  # the page says "> 14"
    reference_max_ratio: int
    reference_max_pixels: int


SEEDREAM_4_0 = Limits(
    model="seedream-4.0",
    path="/v3/seedream-4.0",
    presets=("1K", "2K", "4K"),
    default_size="2048x2048",
    recommended_sizes=MappingProxyType(
        {
            "1:1": "2048x2048",
            "4:3": "2304x1728",
            "3:4": "1728x2304",
            "16:9": "2560x1440",
            "9:16": "1440x2560",
            "3:2": "2496x1664",
            "2:3": "1664x2496",
            "21:9": "3024x1296",
        }
    ),
    min_pixels=1024 * 1024,
    max_pixels=4096 * 4096,
    max_ratio=16,
    max_images=15,
    max_references=10,
    reference_formats=("jpeg", "png"),
    reference_max_bytes=10 * 1024**2,
    reference_min_side=15,
    reference_max_ratio=3,
    reference_max_pixels=6000 * 6000,
)

MODELS: Mapping[str, Limits] = MappingProxyType({SEEDREAM_4_0.model: SEEDREAM_4_0})
"""Every model that `SEEDREAM_MODEL` may name."""
