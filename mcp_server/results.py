"""Results: text, resource links and structured content, each of which says everything alone.

Some hosts show the model only the text, some only the structured content, and some break on links.
"""

import base64
import json
from collections.abc import Callable, Sequence
from typing import Any

from mcp.types import CallToolResult, ContentBlock, ImageContent, ResourceLink, TextContent

from mcp_server.errors import SeedreamError
from mcp_server.generations import Generation, Made
from mcp_server.generations.generation import LINK_LIFE

MIME_TYPE = "image/jpeg"
"""What pictures are in practice; only a picture that was fetched is known better."""

RECENT = "seedream://generations"
"""The resource that lists the recent generations."""

RESOURCE = "seedream://generations/{id}/{n}"
"""The resource that reads a picture's bytes; with `/full` behind it, never made smaller."""

LONGEST_LIST = 40_000
"""Characters of the text of `list_images`, some 10,000 tokens; older generations are left out."""

_EMULATED = "EMULATED: drawn by the emulator in this server, not by Seedream; nothing was billed."


def success(made: Made, warnings: Sequence[str], *, links: bool) -> CallToolResult:
    """The result of a call that got pictures."""
    generation = made.generation
    content: list[ContentBlock] = [TextContent(type="text", text="\n".join(_text(made, warnings)))]
    images = _images(generation)
    if links:
        content += [_link(image, generation) for image in images]
    content += [
        ImageContent(type="image", data=base64.b64encode(preview).decode("ascii"), mime_type="image/jpeg")
        for _, preview in sorted(made.previews.items())
    ]
    structured: dict[str, Any] = {
        "generation_id": generation.id,
        "status": generation.status,
        "images": images,
        "requested": {"model": generation.model, **generation.requested},
        "warnings": list(warnings),
        "recovered": made.recovered,
        "emulated": generation.emulated,
        "usage": {"images": len(generation.urls), "images_today": made.images_today},
    }
    return CallToolResult(content=content, structured_content=structured)


Expired = Callable[[Generation, int], bool]
"""Whether the link to a picture, by its number from 1, works no more."""


def listing(
    generations: Sequence[Generation],
    expired: Expired,
    trouble: str | None,
    *,
    older: bool = False,
    more: bool = False,
) -> CallToolResult:
    """The result of `list_images`: generations, newest first.

    `older` says that they are those before a given one, `more` that there are older ones yet.
    """
    texts = [f"Warning: {trouble}"] if trouble else []
    listed: list[dict[str, Any]] = []
    for generation in generations:
        record = _record(generation, expired)
        text = "\n".join(_lines(generation, record))
        if listed and sum(map(len, texts)) + len(text) > LONGEST_LIST:  # one at least, to go on from
            break
        texts.append(text)
        listed.append(record)
    if left_out := len(generations) - len(listed):
        texts.append(f"{left_out} older ones are left out here: together they would be too long.")
    if (more or left_out) and listed:
        texts.append(f"To list older ones, call list_images with before {listed[-1]['generation_id']}.")
    texts.append(
        f"The bytes of a picture: resource {RESOURCE}, n from 1. To change one, call edit_image with its "
        "link in images; an expired link works there too if the picture was saved."
        if listed
        else f"No {'older ' if older else ''}generations are on record."
    )
    return CallToolResult(
        content=[TextContent(type="text", text="\n".join(texts))],
        structured_content={
            "generations": listed,
            "left_out": left_out,
            "more": more or left_out > 0,
            "warnings": [trouble] if trouble else [],
        },
    )


def recent(generations: Sequence[Generation], expired: Expired) -> str:
    """The resource of the recent generations, as JSON."""
    return json.dumps([_record(generation, expired) for generation in generations], ensure_ascii=False)


def _record(generation: Generation, expired: Expired) -> dict[str, Any]:
    images = _images(generation)
    for image in images:
        image["expired"] = expired(generation, image["index"])
    record: dict[str, Any] = {
        "generation_id": generation.id,
        "status": generation.status,
        "created": generation.created.isoformat(timespec="seconds"),
        "prompt": _short(generation.prompt, 300),
        "model": generation.model,
        "size": generation.requested.get("size"),
        "emulated": generation.emulated,
        "images": images,
    }
    most = generation.most
    if generation.status == "unknown":
        those = "1 image" if most == 1 else f"up to {most} images"
        record["note"] = (
            f"No answer of the API is on record: {those} may have been made and billed. The account's usage "
            "page can tell."
        )
    elif generation.failure:
        record["note"] = f"[{generation.failure.code}] {generation.failure.problem}. Not billed."
    elif generation.status == "pending":
        those = "1 image is" if most == 1 else f"Up to {most} images are"
        record["note"] = f"{those} being made."
    elif generation.abandoned:
        record["note"] = "Never delivered: the same call again gets it, and is not billed."
    return record


def _lines(generation: Generation, record: dict[str, Any]) -> list[str]:
    emulated = " (emulated)" if generation.emulated else ""
    when = f"{generation.created:%Y-%m-%d %H:%M} UTC"
    lines = [f"{generation.id}, {when}, {generation.status}{emulated}: {record['prompt']}"]
    lines += [f"  {record['note']}"] if "note" in record else []
    for image in record["images"]:
        lines.append(f"  {image['index']}. {image['url']}{' (expired)' if image['expired'] else ''}")
        lines += [f"     saved as {image['saved_path']}"] if "saved_path" in image else []
    return lines


def failure(error: SeedreamError, trouble: str | None = None) -> CallToolResult:
    """The result of a call that failed: one block of text that the model can act on.

    `trouble` is what else every result has to say.
    """
    text = "\n".join([error.text(), *([f"Warning: {trouble}"] if trouble else [])])
    return CallToolResult(content=[TextContent(type="text", text=text)], is_error=True)


def _text(made: Made, warnings: Sequence[str]) -> list[str]:
    generation = made.generation
    urls, pictures = generation.urls, generation.pictures or {}
    count = "1 image" if len(urls) == 1 else f"{len(urls)} images"
    lines = [f"Made {count} with {generation.model}, size {generation.requested['size']}."]
    if made.recovered:
        lines[0] = f"Recovered {count}, made earlier with {generation.model} and billed only once."
    if generation.emulated:
        lines.append(_EMULATED)
    for number, url in enumerate(urls, 1):
        lines.append(f"{number}. {url}")
        picture = pictures.get(number)
        if picture and picture.saved_path:
            lines.append(f"   saved as {picture.saved_path}")
    expires = min(generation.expires(number) for number in range(1, len(urls) + 1))
    until = "work until about"
    if expires == generation.made + LINK_LIFE:
        until = "work for about 24 hours, until about"
    if generation.emulated:
        until = "work only while this server runs, at most until"
    lines.append(f"The links {until} {expires:%Y-%m-%d %H:%M} UTC.")
    if made.previews:
        lines.append("Small previews follow; the links lead to the full pictures.")
    lines += [f"Warning: {warning}" for warning in warnings]
    lines.append(
        "Next: give the person the links in full, with everything after the question mark. To change a "
        "picture, call edit_image with its link in images. Bytes: resource "
        f"{RESOURCE.replace('{id}', generation.id)}, n from 1. "
        f"(Generation {generation.id}; images today: {made.images_today}.)"
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
        picture = (generation.pictures or {}).get(number)
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
