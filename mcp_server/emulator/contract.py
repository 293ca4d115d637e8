"""The API's documented limits and errors, as the emulator's own data.

Copied from the API's page a second time, on purpose: nothing here is imported from the request
models, so that a mistake on one side shows as a difference between the two.
"""

PATH = "/v3/seedream-4.0"
BALANCE_PATH = "/openapi/v1/billing/balance/detail"

FIELDS = {
    "prompt": str,
    "images": list,
    "size": str,
    "sequential_image_generation": str,
    "max_images": int,
    "watermark": bool,
}
PRESET_SIDES = {"1K": 1024, "2K": 2048, "4K": 4096}
DEFAULT_SIZE = "2048x2048"
TOTAL_PIXELS = (1_048_576, 16_777_216)
LONGEST_RATIO = 16
MODES = ("auto", "disabled")
DEFAULT_MODE = "disabled"
MAX_IMAGES = (1, 15)
DEFAULT_MAX_IMAGES = 15
DEFAULT_WATERMARK = True
MOST_TOGETHER = 15  # references and generated images

MOST_REFERENCES = 10
REFERENCE_FORMATS = ("JPEG", "PNG")
REFERENCE_BYTES = 10_485_760
REFERENCE_SIDE_ABOVE = 14
REFERENCE_RATIO = 3
REFERENCE_PIXELS = 36_000_000


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
