"""A model that nobody offers, as one row on each side: of another shape, and with limits of its own."""

from types import MappingProxyType

from mcp_server.emulator import contract
from mcp_server.limits import MODELS, Limits
from mcp_server.request import arguments_for
from mcp_server.settings import Settings

LIMITS = Limits(
    model="seedream-99",
    path="/v9/seedream-99/make",
    presets=("1K", "6K"),
    default_size="1600x1200",
    recommended_sizes=MappingProxyType({"4:3": "1600x1200", "2:1": "3000x1500"}),
    min_pixels=1_000_000,
    max_pixels=40_000_000,
    batch_options="batch",
    references_field="pictures",
    max_references=3,
    reference_formats=("jpeg", "png", "webp"),
)

CONTRACT = contract.Model(
    path="/v9/seedream-99/make",
    fields={
        "prompt": str,
        "pictures": list,
        "size": str,
        "sequential_image_generation": str,
        "batch": {"max_images": int},
        "watermark": bool,
    },
    cap_in="batch",
    references="pictures",
    most_references=3,
    reference_formats=("jpeg", "png", "webp"),
    preset_sides={"1K": 1024, "6K": 6144},
    total_pixels=(1_000_000, 40_000_000),
    default_size="1600x1200",
)

BOTH_SIDES = [*zip(MODELS.values(), contract.MODELS, strict=True), (LIMITS, CONTRACT)]
"""Each model's row in the table of limits, and its row in the emulator's contract."""


ARGUMENTS = {limits.model: arguments_for(limits) for limits, _ in BOTH_SIDES}
"""Made once, for tests that go through many examples."""


class MoreModels(Settings):
    """Settings that may name it."""

    models = MappingProxyType({**MODELS, LIMITS.model: LIMITS})
