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

_COST = "Paid per image; 7 to 60 s for one, minutes for a batch."

INSTRUCTIONS = (
    "Makes pictures with Seedream. Every image made is paid for, so call once and wait; a batch may take "
    "minutes. generate_image draws from words alone, edit_image from reference images. The result's links "
    "expire: show them to the person in full, and pass them to edit_image to change a picture."
)


def generate_description(limits: Limits) -> str:
    """When to use `generate_image`, and when not."""
    return (
        f"Make pictures from a text prompt with {limits.model}. {_COST} Use when the person wants a new "
        "picture. Not to change a picture or use it as a model: that is edit_image. "
        "Its links expire in about 24 hours."
    )


def edit_description(limits: Limits) -> str:
    """When to use `edit_image`, and when not."""
    return (
        f"Make pictures from a text prompt and 1 to {limits.max_references} reference images with "
        f"{limits.model}: change, restyle, combine. {_COST} Use to change a picture, also one of an earlier "
        "result. Not for a picture from words alone: that is generate_image. "
        "Its links expire in about 24 hours."
    )


def input_schema(limits: Limits, *, watermark: bool, edit: bool) -> dict[str, Any]:
    """The input schema of `edit_image` or `generate_image`; `watermark` is the argument's default."""
    recommended = ", ".join(f"{ratio} {size}" for ratio, size in limits.recommended_sizes.items())
    most = limits.max_images - edit
    properties: dict[str, Any] = {
        "prompt": {
            "type": "string",
            "minLength": 1,
            "description": "What the picture shows, or what to change. Not blank. Best at most "
            f"{ADVISED_PROMPT_WORDS} English words. For several images, name their number here and set "
            "sequential_image_generation to auto.",
        }
    }
    if edit:
        properties["images"] = {
            "type": "array",
            "items": {"type": "string"},
            "minItems": 1,
            "maxItems": limits.max_references,
            "description": f"1 to {limits.max_references} reference images, each a public http(s) URL, a "
            "local file (path or file://) or data:image/<jpeg|png>;base64,<data>. Each: jpeg or png (other "
            "formats are converted), ratio 1:3 to 3:1, sides over 14 px, at most 10 MB and "
            f"{limits.reference_max_pixels:,} pixels.",
        }
    properties |= {
        "size": {
            "type": "string",
            "pattern": size_pattern(limits),
            "default": limits.default_size,
            "description": f"{describe(limits)}. Recommended: {recommended}. With "
            f"{', '.join(limits.presets)} the model picks the ratio from the prompt.",
        },
        "sequential_image_generation": {
            "type": "string",
            "enum": ["disabled", "auto"],
            "default": "disabled",
            "description": "disabled: one image. auto: the model decides how many by the prompt, up to "
            "max_images.",
        },
        "max_images": {
            "type": "integer",
            "minimum": 1,
            "maximum": most,
            "description": f"Most images to make and pay, 1 to {most}; over 1 only with auto "
            f"({DEFAULT_BATCH} if left out there)."
            + (f" References + max_images: at most {limits.max_images}." if edit else ""),
        },
        "watermark": {
            "type": "boolean",
            "default": watermark,
            "description": 'Puts "AI generated" in the bottom right corner.',
        },
        "preview": {
            "type": "boolean",
            "default": False,
            "description": "Also return small thumbnails, to look at.",
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
    """The schema of `structuredContent`, the same for both tools."""
    string, integer, boolean = {"type": "string"}, {"type": "integer"}, {"type": "boolean"}
    image = {
        "index": integer,
        "url": {**string, "description": "Signed: use it byte for byte"},
        "mime_type": string,
        "expires_at": {**string, "description": "About, ISO 8601"},
        "resource": string,
        "saved_path": string,
        "width": integer,
        "height": integer,
    }
    optional = {"saved_path", "width", "height"}
    properties: dict[str, Any] = {
        "generation_id": string,
        "status": string,
        "images": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": image,
                "required": [name for name in image if name not in optional],
            },
        },
        "requested": {"type": "object", "description": "What was sent, without image data"},
        "warnings": {"type": "array", "items": string},
        "recovered": boolean,
        "emulated": boolean,
        "usage": {
            "type": "object",
            "properties": {"images": integer, "images_today": integer},
        },
    }
    return {"type": "object", "properties": properties, "required": list(properties)}


LIST_DESCRIPTION = (
    "List the images made lately, newest first: links, whether they have expired, saved files. Free. "
    "Use to find an earlier picture again; not to make one."
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
