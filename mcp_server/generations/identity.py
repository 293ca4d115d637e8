"""What makes two requests identical: the same bytes would go to the same place."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from anyio import to_thread

from mcp_server.references import Attachment, Wire
from mcp_server.references.source import CHUNK


async def fingerprint(endpoint: str, body: Mapping[str, Any]) -> str:
    """A hash of the request; references by content, URLs as they are.

    Raises:
        ImageUnusable: a reference file has changed since it was checked.
    """
    references = {
        name: [await to_thread.run_sync(_digest, reference) for reference in value]
        for name, value in body.items()
        if isinstance(value, list)
    }
    # `images` even where there are none: rows on record were written so.
    text = json.dumps([endpoint, {"images": [], **body, **references}], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _digest(reference: Wire) -> str:
    if not isinstance(reference, Attachment):
        return reference
    content = hashlib.sha256(reference.label.encode())
    for offset in range(0, reference.length, CHUNK):
        content.update(reference.source.read(offset, min(CHUNK, reference.length - offset)))
    return content.hexdigest()
