"""Results: text, resource links and structured content, each of which says everything alone.

Some hosts show the model only the text, some only the structured content, and some break on links.
"""

import base64
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from mcp.types import CallToolResult, ContentBlock, ImageContent, ResourceLink, TextContent

from mcp_server.errors import SeedreamError
from mcp_server.generations import Generation
from mcp_server.request import without_image_data

if TYPE_CHECKING:
    from mcp_server.previews import Preview

LINK_LIFE = timedelta(hours=24)
"""About how long a link works: the model's origin says so, Novita does not document it."""

MIME_TYPE = "image/jpeg"
"""What pictures are in practice; only a picture that was fetched is known better."""

_HOSTS_WITHOUT_LINKS = ("codex", "kiro")
"""Hosts, by the start of their client name, in which a resource_link fails the whole call."""

_EMULATED = "EMULATED: drawn by the emulator in this server, not by Seedream; nothing was billed."


def links_wanted(setting: str, client_name: str | None) -> bool:
    """Whether this host gets `resource_link`s, by `SEEDREAM_RESOURCE_LINKS` and the client's name."""
    if setting == "auto":
        return not (client_name or "").lower().startswith(_HOSTS_WITHOUT_LINKS)
    return setting == "always"


def link_expiry(url: str, created: datetime) -> datetime:
    """When a link ends: as its own query says, as object stores sign them, or else by `LINK_LIFE`."""
    query = {name.lower(): value for name, value in parse_qsl(urlsplit(url).query)}
    try:
        for name in ("expires", "x-expires"):
            if name in query:
                return datetime.fromtimestamp(int(query[name]), UTC)
        for vendor in ("x-tos", "x-amz"):
            if f"{vendor}-expires" in query:
                signed = datetime.strptime(query[f"{vendor}-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
                return signed + timedelta(seconds=int(query[f"{vendor}-expires"]))
    except (ValueError, KeyError, OverflowError, OSError):
        pass  # nothing that could be read
    return created + LINK_LIFE


def success(
    generation: Generation,
    model: str,
    warnings: Sequence[str],
    *,
    links: bool,
    previews: Mapping[int, "Preview"],
) -> CallToolResult:
    """The result of a call that made pictures. `previews` are by index from 0."""
    body, urls = generation.body, generation.urls
    ends = [link_expiry(url, generation.created) for url in urls]
    expires = min(ends)
    images = [
        _image(number, url, end, previews.get(number - 1))
        for number, (url, end) in enumerate(zip(urls, ends, strict=True), 1)
    ]
    content: list[ContentBlock] = [
        TextContent(type="text", text=_text(generation, model, warnings, expires, previewed=bool(previews)))
    ]
    if links:
        content += [_link(image, len(urls), body["prompt"], expires) for image in images]
    content += [
        ImageContent(
            type="image", data=base64.b64encode(preview.jpeg).decode("ascii"), mime_type="image/jpeg"
        )
        for _, preview in sorted(previews.items())
    ]
    structured: dict[str, Any] = {
        "generation_id": generation.id,
        "status": "succeeded",
        "images": images,
        "requested": {"model": model, **without_image_data(body)},
        "warnings": list(warnings),
        "recovered": False,
        "emulated": generation.emulated,
        "usage": {"images": len(urls), "images_today": generation.images_today},
    }
    return CallToolResult(content=content, structured_content=structured)


def failure(error: SeedreamError) -> CallToolResult:
    """The result of a call that failed: one block of text that the model can act on."""
    return CallToolResult(content=[TextContent(type="text", text=error.text())], is_error=True)


def _text(
    generation: Generation, model: str, warnings: Sequence[str], expires: datetime, *, previewed: bool
) -> str:
    urls = generation.urls
    count = "1 image" if len(urls) == 1 else f"{len(urls)} images"
    lines = [f"Made {count} with {model}, size {generation.body['size']}."]
    if generation.emulated:
        lines.append(_EMULATED)
    lines += [f"{number}. {url}" for number, url in enumerate(urls, 1)]
    until = (
        "The links work for about 24 hours, until about"
        if not generation.emulated
        else ("The links work only while this server runs, at most until")
    )
    lines.append(f"{until} {expires:%Y-%m-%d %H:%M} UTC.")
    if previewed:
        lines.append("Small previews follow; the links lead to the full pictures.")
    lines += [f"Warning: {warning}" for warning in warnings]
    lines.append(
        "Next: give the person the links in full, with everything after the question mark. To change a "
        "picture, call edit_image with its link in images. "
        f"(Generation {generation.id}; images today by this server process: {generation.images_today}.)"
    )
    return "\n".join(lines)


def _link(image: Mapping[str, Any], count: int, prompt: str, expires: datetime) -> ResourceLink:
    number, words = image["index"], " ".join(prompt.split())
    suffix = {"image/png": "png", "image/webp": "webp"}.get(image["mime_type"], "jpg")
    return ResourceLink(
        type="resource_link",
        uri=image["url"],
        name=f"seedream-{number}.{suffix}",
        title=f"Image {number} of {count}",
        mime_type=image["mime_type"],
        description=f"{words[:120]}{'…' if len(words) > 120 else ''} "
        f"(link works until about {expires:%Y-%m-%d %H:%M} UTC)",
    )


def _image(number: int, url: str, expires: datetime, preview: "Preview | None") -> dict[str, Any]:
    image: dict[str, Any] = {
        "index": number,
        "url": url,
        "mime_type": preview.mime_type if preview else MIME_TYPE,
        "expires_at": expires.isoformat(timespec="seconds"),
    }
    if preview:
        image |= {"width": preview.width, "height": preview.height}
    return image
