"""What tools/list publishes: flat input schemas, the output schema, descriptions, annotations.

Flat, because some model API or host refuses each of the richer forms, and some drop the whole tool
list for one. Every limit stands in a description too, because some hosts strip the bounds.
"""

from typing import Any

from mcp.types import ToolAnnotations

from mcp_server.limits import ADVISED_PROMPT_WORDS, Limits
from mcp_server.request import DEFAULT_BATCH, LONGEST_LIST
from mcp_server.sizes import describe

READING = ToolAnnotations(
    read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
)
MAKING = ToolAnnotations(
    read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=True
)

_COST = "Paid per image; one takes 7 to 60 s, a batch minutes. Links last about 24 h."

_USES = {"16:9": "banner, wallpaper", "9:16": "phone, story", "1:1": "icon, product"}
"""What pictures of a ratio are for."""


def instructions(limits: Limits) -> str:
    """What an agent is to know before it calls anything, in fewer than 150 words."""
    sizes = [
        f"{limits.recommended_sizes[ratio]} {use}"
        for ratio, use in _USES.items()
        if ratio in limits.recommended_sizes
    ]
    return (
        "Pictures by Seedream. generate_image draws from words; edit_image changes, restyles or combines "
        "pictures, or takes them as references; list_images finds earlier ones, free.\n"
        "- Every image made is paid for: call once and wait, minutes for a batch. If the wait was cut off, "
        "the identical call gets what was made.\n"
        '- Several images: state their NUMBER in the prompt ("4 photos of ..."), and set '
        "sequential_image_generation to auto and max_images to that number.\n"
        f"- Pick size by use: {'; '.join([*sizes, f'{limits.presets[-1]} print'])}.\n"
        "- To change or continue a picture, pass its link from the result in images of edit_image.\n"
        "- Before you say what a picture shows, look: preview true returns thumbnails.\n"
        "- Give the person every link in full; links expire in about 24 hours."
    )


def generate_description(limits: Limits) -> str:
    """When to use `generate_image`, and when not."""
    return (
        f"Make pictures from words with {limits.model}. Use when the person wants a new picture, or a set "
        f"of them. Not to change a picture or take it as a reference: use edit_image. {_COST}"
    )


def edit_description(limits: Limits) -> str:
    """When to use `edit_image`, and when not."""
    return (
        f"Make pictures from words and 1 to {limits.max_references} reference images with {limits.model}. "
        "Use when a picture, also one of an earlier result, is to be changed, restyled, combined or a "
        f"reference. Not for a picture from words alone: use generate_image. {_COST}"
    )


def input_schema(limits: Limits, *, watermark: bool, edit: bool) -> dict[str, Any]:
    """The input schema of `edit_image` or `generate_image`; `watermark` is the argument's default."""
    recommended = ", ".join(f"{ratio} {size}" for ratio, size in limits.recommended_sizes.items())
    most, ratio = limits.max_images - edit, limits.reference_max_ratio
    properties: dict[str, Any] = {
        "prompt": {
            "type": "string",
            "minLength": 1,
            "description": "What to show or change. Not blank, best at most "
            f"{ADVISED_PROMPT_WORDS} English words. For several images, state their number here.",
        }
    }
    if edit:
        properties["images"] = {
            "type": "array",
            "items": {"type": "string"},
            "minItems": 1,
            "maxItems": limits.max_references,
            "description": f"1 to {limits.max_references} reference images: public http(s) URL, "
            "local file (path or file://) or data:image/<format>;base64,<data>. Each: "
            f"{limits.formats} (others are converted), ratio 1:{ratio} to {ratio}:1, sides over "
            f"{limits.reference_min_side - 1} px, at most {limits.reference_megabytes} MB and "
            f"{limits.reference_max_pixels:,} pixels.",
        }
    properties |= {
        "size": {
            "type": "string",
            "pattern": size_pattern(limits),
            "default": limits.default_size,
            "description": f"{describe(limits)}. Recommended: {recommended}. Presets: ratio by the prompt.",
        },
        "sequential_image_generation": {
            "type": "string",
            "enum": ["disabled", "auto"],
            "default": "disabled",
            "description": "disabled: one image. auto: as many as the prompt says, up to max_images.",
        },
        "max_images": {
            "type": "integer",
            "minimum": 1,
            "maximum": most,
            "description": f"Most images to make and pay, 1 to {most}; over 1 only with auto "
            f"(default there {DEFAULT_BATCH})."
            + (f" References + max_images: at most {limits.max_images}." if edit else ""),
        },
        "watermark": {
            "type": "boolean",
            "default": watermark,
            "description": 'Put "AI generated" bottom right.',
        },
        "preview": {
            "type": "boolean",
            "default": False,
            "description": "Also return thumbnails to look at.",
        },
    }
    return {
        "type": "object",
        "properties": properties,
        "required": ["prompt", "images"] if edit else ["prompt"],
        "additionalProperties": False,
    }


def size_pattern(limits: Limits) -> str:
    """One anchored pattern for both ways to give a size, in upper or lower case."""
    presets = "|".join(f"{preset[:-1]}[Kk]" for preset in limits.presets)
    return f"^({presets}|[1-9][0-9]{{2,4}}[xX][1-9][0-9]{{2,4}})$"


def output_schema() -> dict[str, Any]:
    """The schema of `structuredContent`, the same for both tools. Types alone, for the bytes."""
    string, integer, boolean = {"type": "string"}, {"type": "integer"}, {"type": "boolean"}
    image = {
        "index": integer,
        "url": string,
        "mime_type": string,
        "expires_at": string,
        "resource": string,
        "saved_path": string,
        "width": integer,
        "height": integer,
    }
    properties: dict[str, Any] = {
        "generation_id": string,
        "status": string,
        "images": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": image,
                "required": ["index", "url"],
            },
        },
        "requested": {"type": "object"},
        "warnings": {"type": "array", "items": string},
        "recovered": boolean,
        "emulated": boolean,
        "usage": {"type": "object"},
    }
    return {"type": "object", "properties": properties, "required": ["generation_id", "status", "images"]}


LIST_DESCRIPTION = (
    "List images made lately, newest first: links, expiry, saved files. Free. Use when an earlier picture is "
    "needed. Not to make one."
)


def list_input_schema() -> dict[str, Any]:
    """The input schema of `list_images`."""
    limit = {
        "type": "integer",
        "minimum": 1,
        "maximum": LONGEST_LIST,
        "default": 10,
        "description": f"How many generations, 1 to {LONGEST_LIST}.",
    }
    before = {"type": "string", "description": "A generation_id: list only older ones."}
    properties = {"limit": limit, "before": before}
    return {"type": "object", "properties": properties, "additionalProperties": False}


def list_output_schema() -> dict[str, Any]:
    """The schema of the `structuredContent` of `list_images`."""
    generations = {"type": "array", "items": {"type": "object"}}
    return {
        "type": "object",
        "properties": {
            "generations": generations,
            "left_out": {"type": "integer"},
            "more": {"type": "boolean"},
            "warnings": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["generations", "left_out", "more", "warnings"],
    }
