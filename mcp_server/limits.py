"""The documented limits of each model, as data.

From the API's page; where it is silent, the reading is noted. The emulator keeps its own copy and
a test compares the two at every boundary, so that one mistake can't hide on both sides.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

ADVISED_PROMPT_WORDS = 600
"""The API's page advises at most this many English words. More is a warning, never an error."""


_RECOMMENDED = MappingProxyType(
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
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one model takes, and in which shape. Pixels are width times height; every bound is inclusive.

    What has a default is the page of seedream-4.0's. Of the newer models' pages the same is read where they
    are silent: on the sizes to recommend, and on a reference's bytes, sides, ratio and pixels.
    """

    model: str
    path: str
    presets: tuple[str, ...]
    default_size: str = "2048x2048"
    recommended_sizes: Mapping[str, str] = field(default_factory=lambda: _RECOMMENDED)  # by aspect ratio
    min_pixels: int
    max_pixels: int
    max_ratio: int = 16  # of the longer side to the shorter
    max_images: int = 15  # references and results together
    batch_options: str | None = None  # the field whose object holds `max_images`; None: it is a field itself
    references_field: str
    max_references: int
    reference_formats: tuple[str, ...]  # as Pillow and data: URIs name them; others are converted
    reference_max_bytes: int = 10 * 1024**2  # decoded; the page says "10 MB", read as 10 * 1024**2
    reference_min_side: int = 15  # the page says "> 14"
    reference_max_ratio: int = 3
    reference_max_pixels: int = 6000 * 6000

    @property
    def formats(self) -> str:
        """The formats of references in words."""
        *others, last = self.reference_formats
        return " or ".join(filter(None, (", ".join(others), last)))

    @property
    def reference_megabytes(self) -> int:
        """The most bytes of a reference, as the page writes them."""
        return self.reference_max_bytes // 1024**2


SEEDREAM_4_0 = Limits(
    model="seedream-4.0",
    path="/v3/seedream-4.0",
    presets=("1K", "2K", "4K"),
    min_pixels=1024 * 1024,
    max_pixels=4096 * 4096,
    references_field="images",
    max_references=10,
    reference_formats=("jpeg", "png"),
)

# The newer models also have `optimize_prompt_options`, whose `mode` may be nothing but "standard". It is
# optional, and a choice among one: it is left out, as is every field that says nothing.
SEEDREAM_4_5 = Limits(
    model="seedream-4.5",
    path="/v3/seedream-4.5",
    presets=("2K", "4K"),
    min_pixels=2560 * 1440,
    max_pixels=4096 * 4096,
    batch_options="sequential_image_generation_options",
    references_field="image",
    max_references=14,
    reference_formats=("jpeg", "png", "webp", "bmp", "tiff", "gif"),
)

SEEDREAM_5_0_LITE = Limits(
    model="seedream-5.0-lite",
    path="/v3/seedream-5.0-lite",
    presets=("2K", "3K"),
    min_pixels=2560 * 1440,
    max_pixels=10_404_496,  # the page: 3072 * 3072 * 1.1025, rounded up
    batch_options="sequential_image_generation_options",
    references_field="image",
    max_references=14,
    reference_formats=("jpeg", "png", "webp", "bmp", "tiff", "gif"),
)

MODELS: Mapping[str, Limits] = MappingProxyType(
    {limits.model: limits for limits in (SEEDREAM_4_0, SEEDREAM_4_5, SEEDREAM_5_0_LITE)}
)
"""Every model that `SEEDREAM_MODEL` may name. A row here, and one in the emulator's contract, add a model."""
