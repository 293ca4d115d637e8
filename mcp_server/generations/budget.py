"""What a caller is told when a cap on images has no room."""

from datetime import datetime

from mcp_server.errors import BudgetExceeded
from mcp_server.generations.generation import Generation
from mcp_server.generations.ledger import Full, Terms


def refuse(
    full: Full, wanted: Generation, terms: Terms, now: datetime, *, waited: bool
) -> BudgetExceeded | None:
    """The error that ends the call; None where waiting helps and it has not `waited` as long as it may."""
    seconds = max(1, round((full.until - now).total_seconds()))
    many = "1 image" if wanted.most == 1 else f"up to {wanted.most} images"
    per_minute = terms.per_minute or 0
    if full.per_day:
        cap = terms.per_day or 0
        return BudgetExceeded(
            f"{full.used} of the {cap} images of SEEDREAM_IMAGES_PER_DAY are made or reserved today, and "
            f"this call may make {many}. The count starts anew at {full.until:%Y-%m-%d %H:%M} UTC, in "
            f"{_duration(seconds)}",
            f"{_smaller(cap - full.used, wanted)}wait until then; or a person may raise the cap",
        )
    if wanted.most > per_minute:
        return BudgetExceeded(
            f"This call may make {many}, and SEEDREAM_IMAGES_PER_MINUTE is {per_minute}",
            f"{_smaller(per_minute, wanted)}make them in several calls; or a person may raise the cap",
        )
    if waited:
        return BudgetExceeded(
            f"{full.used} of the {per_minute} images of SEEDREAM_IMAGES_PER_MINUTE are made or reserved, and "
            "this call has waited for its turn as long as it may",
            f"call again in {seconds} s; or a person may raise the cap",
        )
    return None


def _smaller(room: int, wanted: Generation) -> str:
    return f"set max_images to at most {room}, or " if 0 < room < wanted.most else ""


def _duration(seconds: int) -> str:
    minutes = -(-seconds // 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
