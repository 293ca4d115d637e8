"""What the emulator remembers: its recent requests, and the links that it signed."""

import base64
import hashlib
import hmac
import secrets
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from PIL import Image

from mcp_server.emulator.checks import Wanted
from mcp_server.emulator.contract import ApiError

MOST_REMEMBERED = 2_000


@dataclass
class Record:
    """One request to the API's endpoint, and what became of it."""

    id: str
    when: datetime
    path: str  # of the model's endpoint
    status: int = 0
    reason: str = ""
    wanted: Wanted | None = None
    thumbnails: list[Image.Image] = field(default_factory=list)
    billed_images: int = 0

    def summary(self) -> dict[str, object]:
        """The record as JSON, for the control endpoint."""
        summary: dict[str, object] = {
            "id": self.id,
            "when": self.when.isoformat(),
            "path": self.path,
            "status": self.status,
            "reason": self.reason,
            "billed_images": self.billed_images,
        }
        if self.wanted is not None:
            summary |= {
                "prompt": self.wanted.prompt,
                "width": self.wanted.width,
                "height": self.wanted.height,
                "watermark": self.wanted.watermark,
                "references": len(self.thumbnails),
            }
        return summary


class Store:
    """Records by id, oldest dropped first; and the signing of links."""

    def __init__(self, link_seconds: float) -> None:
        self._link_seconds = link_seconds
        self._key = secrets.token_bytes(32)
        self._records: OrderedDict[str, Record] = OrderedDict()
        self.requests = 0
        self.billed_requests = 0
        self.billed_images = 0

    def new_record(self, path: str) -> Record:
        """A record of a request that has just come in."""
        record = Record(secrets.token_hex(8), datetime.now(UTC), path)
        self._records[record.id] = record
        self.requests += 1
        while len(self._records) > MOST_REMEMBERED:
            self._records.popitem(last=False)
        return record

    def bill(self, record: Record, images: int) -> None:
        """Count the pictures of `record` as billed."""
        record.billed_images = images
        self.billed_requests += 1
        self.billed_images += images

    def recent(self, most: int) -> list[Record]:
        """The newest records, newest first."""
        return list(reversed(self._records.values()))[:most]

    def link(self, base: str, record: Record, number: int) -> str:
        """The signed link to picture `number` (from 1); its query must come back byte for byte."""
        expires = int((record.when + timedelta(seconds=self._link_seconds)).timestamp())
        return f"{base}/pictures/{record.id}/{number}.jpg?{self._query(record.id, number, expires)}"

    def picture(self, record_id: str, number: int, query: str) -> Record:
        """The record that a link's path and query name.

        Raises:
            ApiError: 403 for a wrong or expired signature, 404 for a picture long forgotten.
        """
        expires = query.partition("&")[0].removeprefix("X-Expires=")
        if not expires.isdecimal() or not hmac.compare_digest(
            query.encode(), self._query(record_id, number, int(expires[:15])).encode()
        ):
            raise ApiError(403, "SignatureDoesNotMatch", "the link's query is not as it was given out")
        if int(expires) <= datetime.now(UTC).timestamp():
            raise ApiError(403, "AccessDenied", "the link has expired")
        record = self._records.get(record_id)
        if record is None or record.wanted is None:
            raise ApiError(404, "NoSuchKey", "the emulator has forgotten this picture")
        return record

    def thumbnail(self, record_id: str, number: int) -> Record | None:
        """The record, for the emulator's own page, which needs no signature."""
        record = self._records.get(record_id)
        if record is None or record.wanted is None or not 1 <= number <= record.billed_images:
            return None
        return record

    def _query(self, record_id: str, number: int, expires: int) -> str:
        text = f"{record_id}/{number}/{expires}".encode()
        signature = base64.b64encode(hmac.digest(self._key, text, hashlib.sha256)).decode()
        return f"X-Expires={expires}&X-Signature={quote(signature, safe='')}"
