"""The API's documented limits and errors, as the emulator's own data.

Copied from the API's page a second time, on purpose: nothing here is imported from the request
models, so that a mistake on one side shows as a difference between the two.
"""

from collections.abc import Mapping
from dataclasses import dataclass

BALANCE_PATH = "/openapi/v1/billing/balance/detail"

Fields = Mapping[str, "type | Fields"]
"""The fields of an object by name: each one's type, or the fields of the object that it is."""

LONGEST_RATIO = 16
MODES = ("auto", "disabled")
DEFAULT_MODE = "disabled"
MAX_IMAGES = (1, 15)
DEFAULT_MAX_IMAGES = 15
DEFAULT_WATERMARK = True
PROMPT_MODES = ("standard",)
MOST_TOGETHER = 15  # references and generated images

REFERENCE_BYTES = 10_485_760
REFERENCE_SIDE_ABOVE = 14
REFERENCE_RATIO = 3
REFERENCE_PIXELS = 36_000_000


@dataclass(frozen=True, slots=True)
class Model:
    """What one model's page says for itself; the constants above hold for all."""

    path: str
    fields: Fields
    cap_in: str | None  # the field whose object holds `max_images`; None: it is a field itself
    references: str  # the field that holds them
    most_references: int
    reference_formats: tuple[str, ...]  # as data: URIs name them
    preset_sides: Mapping[str, int]
    total_pixels: tuple[int, int]
    default_size: str = "2048x2048"


MODELS = (
    Model(
        path="/v3/seedream-4.0",
        fields={
            "prompt": str,
            "images": list,
            "size": str,
            "sequential_image_generation": str,
            "max_images": int,
            "watermark": bool,
        },
        cap_in=None,
        references="images",
        most_references=10,
        reference_formats=("jpeg", "png"),
        preset_sides={"1K": 1024, "2K": 2048, "4K": 4096},
        total_pixels=(1_048_576, 16_777_216),
    ),
    Model(
        path="/v3/seedream-4.5",
        fields={
            "prompt": str,
            "image": list,
            "size": str,
            "sequential_image_generation": str,
            "sequential_image_generation_options": {"max_images": int},
            "optimize_prompt_options": {"mode": str},
            "watermark": bool,
        },
        cap_in="sequential_image_generation_options",
        references="image",
        most_references=14,
        reference_formats=("jpeg", "png", "webp", "bmp", "tiff", "gif"),
        preset_sides={"2K": 2048, "4K": 4096},
        total_pixels=(3_686_400, 16_777_216),
    ),
    Model(
        path="/v3/seedream-5.0-lite",
        fields={
            "prompt": str,
            "image": list,
            "size": str,
            "sequential_image_generation": str,
            "sequential_image_generation_options": {"max_images": int},
            "optimize_prompt_options": {"mode": str},
            "watermark": bool,
        },
        cap_in="sequential_image_generation_options",
        references="image",
        most_references=14,
        reference_formats=("jpeg", "png", "webp", "bmp", "tiff", "gif"),
        preset_sides={"2K": 2048, "3K": 3072},
        total_pixels=(3_686_400, 10_404_496),
    ),
)


class ApiError(Exception):
    """An error as the API words it: `{"code", "reason", "message", "metadata"}`."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message

    def body(self) -> dict[str, object]:
        """The JSON body of the reply."""
        return {"code": self.status, "reason": self.reason, "message": self.message, "metadata": {}}


def bad_request(message: str, reason: str = "INVALID_REQUEST_BODY") -> ApiError:
    """A 400, for an argument that breaks a rule."""
    return ApiError(400, reason, message)
