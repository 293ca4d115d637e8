"""Results: text, resource links and structured content, each of which says everything alone.

Some hosts show the model only the text, some only the structured content, and some break on links.
"""

import base64
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from mcp.types import CallToolResult, ContentBlock, ImageContent, ResourceLink, TextContent

from mcp_server.errors import SeedreamError
from mcp_server.generations import Generation
from mcp_server.generations.history import LINK_LIFE

MIME_TYPE = "image/jpeg"
"""What pictures are in practice; only a picture that was fetched is known better."""

RESOURCE = "seedream://generations/{id}/{n}"
"""The resource that reads a picture's bytes; with `/full` behind it, never made smaller."""

LONGEST_LIST = 40_000
"""Characters of the text of `list_images`, some 10,000 tokens; older generations are left out."""

_HOSTS_WITHOUT_LINKS = ("codex", "kiro")
"""Hosts, by the start of their client name, in which a resource_link fails the whole call."""

_EMULATED = "EMULATED: drawn by the emulator in this server, not by Seedream; nothing was billed."


def links_wanted(setting: str, client_name: str | None) -> bool:
    """Whether this host gets `resource_link`s, by `SEEDREAM_RESOURCE_LINKS` and the client's name."""
    if setting == "auto":
        return not (client_name or "").lower().startswith(_HOSTS_WITHOUT_LINKS)
    return setting == "always"


def success(generation: Generation, warnings: Sequence[str], *, links: bool) -> CallToolResult:
    """The result of a call that made pictures."""
    content: list[ContentBlock] = [
        TextContent(type="text", text="\n".join(_text(generation, warnings))),
    ]
    images = _images(generation)
    if links:
        content += [_link(image, generation) for image in images]
    content += [
        ImageContent(
            type="image", data=base64.b64encode(picture.preview).decode("ascii"), mime_type="image/jpeg"
        )
        for _, picture in sorted(generation.pictures.items())
        if picture.preview
    ]
    structured: dict[str, Any] = {
        "generation_id": generation.id,
        "status": "succeeded",
        "images": images,
        "requested": {"model": generation.model, **generation.requested},
        "warnings": list(warnings),
        "recovered": False,
        "emulated": generation.emulated,
        "usage": {"images": len(generation.urls), "images_today": generation.images_today},
    }
    return CallToolResult(content=content, structured_content=structured)


def listing(generations: Sequence[Generation]) -> CallToolResult:
    """The result of `list_images`: generations, newest first."""
    now = datetime.now(UTC)
    texts: list[str] = []
    listed: list[dict[str, Any]] = []
    for generation in generations:
        prompt = _short(str(generation.requested["prompt"]), 300)
        lines = [f"{generation.id}, {generation.created:%Y-%m-%d %H:%M} UTC, succeeded: {prompt}"]
        images = _images(generation)
        for image in images:
            image["expired"] = generation.expires(image["index"]) <= now
            lines.append(f"  {image['index']}. {image['url']}{' (expired)' if image['expired'] else ''}")
            lines += [f"     saved as {image['saved_path']}"] if "saved_path" in image else []
        text = "\n".join(lines)
        if sum(map(len, texts)) + len(text) > LONGEST_LIST:
            break
        texts.append(text)
        listed.append(
            {
                "generation_id": generation.id,
                "status": "succeeded",
                "created": generation.created.isoformat(timespec="seconds"),
                "prompt": prompt,
                "emulated": generation.emulated,
                "images": images,
            }
        )
    if left_out := len(generations) - len(listed):
        texts.append(f"{left_out} older ones are left out here: together they would be too long.")
    texts.append(
        f"The bytes of a picture: resource {RESOURCE}, n from 1. To change one, call edit_image with its "
        "link in images; an expired link works there too if the picture was saved."
        if listed
        else "This server process has made no images yet."
    )
    return CallToolResult(
        content=[TextContent(type="text", text="\n".join(texts))],
        structured_content={"generations": listed, "left_out": left_out},
    )


def failure(error: SeedreamError) -> CallToolResult:
    """The result of a call that failed: one block of text that the model can act on."""
    return CallToolResult(content=[TextContent(type="text", text=error.text())], is_error=True)


def _text(generation: Generation, warnings: Sequence[str]) -> list[str]:
    urls, pictures = generation.urls, generation.pictures
    count = "1 image" if len(urls) == 1 else f"{len(urls)} images"
    lines = [f"Made {count} with {generation.model}, size {generation.requested['size']}."]
    if generation.emulated:
        lines.append(_EMULATED)
    for number, url in enumerate(urls, 1):
        lines.append(f"{number}. {url}")
        picture = pictures.get(number)
        if picture and picture.saved_path:
            lines.append(f"   saved as {picture.saved_path}")
    expires = min(generation.expires(number) for number in range(1, len(urls) + 1))
    until = "work until about"
    if expires == generation.created + LINK_LIFE:
        until = "work for about 24 hours, until about"
    if generation.emulated:
        until = "work only while this server runs, at most until"
    lines.append(f"The links {until} {expires:%Y-%m-%d %H:%M} UTC.")
    if any(picture.preview for picture in pictures.values()):
        lines.append("Small previews follow; the links lead to the full pictures.")
    lines += [f"Warning: {warning}" for warning in warnings]
    lines.append(
        "Next: give the person the links in full, with everything after the question mark. To change a "
        "picture, call edit_image with its link in images. Bytes: resource "
        f"{RESOURCE.replace('{id}', generation.id)}, n from 1. "
        f"(Generation {generation.id}; images today by this server process: {generation.images_today}.)"
    )
    return lines


def _short(text: str, most: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= most else text[:most] + "…"


def _link(image: dict[str, Any], generation: Generation) -> ResourceLink:
    number = image["index"]
    suffix = {"image/png": "png", "image/webp": "webp"}.get(image["mime_type"], "jpg")
    until = f"link works until about {generation.expires(number):%Y-%m-%d %H:%M} UTC"
    return ResourceLink(
        type="resource_link",
        uri=image["url"],
        name=f"seedream-{number}.{suffix}",
        title=f"Image {number} of {len(generation.urls)}",
        mime_type=image["mime_type"],
        description=f"{_short(str(generation.requested['prompt']), 120)} ({until})",
    )


def _images(generation: Generation) -> list[dict[str, Any]]:
    images = []
    for number, url in enumerate(generation.urls, 1):
        picture = generation.pictures.get(number)
        image: dict[str, Any] = {
            "index": number,
            "url": url,
            "mime_type": picture.mime_type if picture else MIME_TYPE,
            "expires_at": generation.expires(number).isoformat(timespec="seconds"),
            "resource": RESOURCE.format(id=generation.id, n=number),
        }
        if picture:
            image |= {"width": picture.width, "height": picture.height}
            if picture.saved_path:
                image["saved_path"] = str(picture.saved_path)
        images.append(image)
    return images
