"""The texts of the prompts.

What somebody typed is quoted as a JSON string, out of which no text can break.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mcp.types import Icon

from mcp_server import icons
from mcp_server.limits import Limits
from mcp_server.prompts.arguments import Argument, most_images
from mcp_server.request import DEFAULT_BATCH

Values = Mapping[str, str]
"""Checked arguments, without those that were left out."""


@dataclass(frozen=True, slots=True)
class Template:
    """A prompt: what hosts list, and what writes its text."""

    title: str
    description: str
    icons: list[Icon]
    arguments: tuple[Argument, ...]
    write: Callable[[Values, Limits], str]


def _product_shots(values: Values, limits: Limits) -> str:
    number = int(values.get("shots", min(DEFAULT_BATCH, most_images(values, limits))))
    subject = "the product in the reference image" if "image" in values else "the product"
    advice = f"Say how {subject} looks (shape, colours, material, label), "
    if number > 1:
        advice += (
            "the same in every image. Name for each another angle, distance or detail; the setting stays."
        )
        look_for = "which shots there are, and whether the product is the same in all"
    else:
        advice += "the angle, the setting and the light."
        look_for = "whether the product and its label are right"
    given = {"Product": values["product"], "Setting": values.get("setting", "clean studio, soft light")}
    task = f"a set of {number} product shots" if number > 1 else "one product shot"
    call = _call(values, number, values.get("size", limits.default_size), advice)
    return _text(f"Make {task}.", given, call, look_for)


def _character_series(values: Values, limits: Limits) -> str:
    scenes = len([scene for scene in re.split(r"[;\n]", values["scenes"]) if scene.strip()])
    by_scenes = min(scenes if scenes > 1 else DEFAULT_BATCH, most_images(values, limits))
    number = int(values.get("number", by_scenes))
    subject = "the character in the reference image" if "image" in values else "the character"
    advice = f"Describe {subject} once, in details (face, hair, build, clothes, colours)"
    if number > 1:
        which = f", the first {number} of them" if scenes > number else ""
        which = ", then others that fit" if scenes < number else which
        advice += f" that stay the same in every image. Then one scene for each image, in this order{which}. "
        advice += "One style for all."
        look_for = "which scenes there are, and whether the character is the same in all"
    else:
        advice += ", then the first scene."
        look_for = "whether the character and the scene are right"
    given = {"Character": values["character"], "Scenes": values["scenes"]}
    task = f"a set of {number} pictures" if number > 1 else "one picture"
    call = _call(values, number, values.get("size", limits.default_size), advice)
    return _text(f"Make {task} of one character.", given, call, look_for)


def _restyle(values: Values, limits: Limits) -> str:
    recommended = ", ".join(f"{ratio} {size}" for ratio, size in limits.recommended_sizes.items())
    given = {
        "Style": values["style"],
        "Keep": values.get("keep", "composition, people, things and any lettering"),
    }
    advice = (
        "Say that the style of the reference image changes, to which (medium, colours, light, texture), and "
        "what stays as it is."
    )
    if "size" not in values:
        advice += f"\nFor size take the one nearest to the picture's own proportions: {recommended}."
    call = _call(values, 1, values.get("size"), advice)
    return _text(
        "Restyle a picture.", given, call, "whether the style is right, and all is there that was to stay"
    )


def _call(values: Values, number: int, size: str | None, advice: str) -> list[str]:
    """The call to make: its arguments as JSON, and how to word the one that the agent writes."""
    tool = "edit_image" if "image" in values else "generate_image"
    arguments: dict[str, Any] = {"images": [values["image"]]} if "image" in values else {}
    arguments |= {"size": size} if size else {}
    if number > 1:
        arguments |= {"sequential_image_generation": "auto", "max_images": number}
        advice = f'Begin with their number: "A set of {number} images: …". {advice}'
    lines = [f"- {name}: {_json(value)}" for name, value in (arguments | {"preview": True}).items()]
    return [f"Call {tool} once, with:", *lines, f"- prompt: in your words. {advice}"]


def _text(task: str, given: Values, call: list[str], look_for: str) -> str:
    quoted = [f"{label}: {_json(value)}" for label, value in given.items()]
    after = (
        "Every image made is paid for: call once and wait, minutes for a batch. Then look at the previews "
        f"before you say what they show, and say {look_for}. Give every link in full; links expire in about "
        "24 hours. To mend a picture, pass its link in images of edit_image."
    )
    return "\n".join([task, "", *quoted, "", *call, "", after])


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


_SIZE = Argument("size", "size", "The size of each picture")
_REFERENCE = "a link, such as one of an earlier result, or a local file"

TEMPLATES: Mapping[str, Template] = {
    "product_shots": Template(
        title="Product shots",
        description="Make a set of pictures of one product, from several sides, in one setting and light",
        icons=icons.GENERATE,
        arguments=(
            Argument("product", "text", "The product, in words", required=True),
            Argument("image", "image", f"A picture of it: {_REFERENCE}"),
            Argument("setting", "text", "Setting or background; a clean studio if left out"),
            Argument("shots", "number", f"How many pictures, {DEFAULT_BATCH} if left out"),
            _SIZE,
        ),
        write=_product_shots,
    ),
    "character_series": Template(
        title="Character series",
        description="Make pictures of one character, who looks the same in every scene",
        icons=icons.GENERATE,
        arguments=(
            Argument("character", "text", "The character, in words", required=True),
            Argument("scenes", "text", "The scenes, with semicolons in between", required=True),
            Argument("image", "image", f"A picture of the character: {_REFERENCE}"),
            Argument(
                "number", "number", "How many pictures; left out, one for each scene, or for a single one 4"
            ),
            _SIZE,
        ),
        write=_character_series,
    ),
    "restyle": Template(
        title="Restyle a picture",
        description="Make a picture again in another style",
        icons=icons.EDIT,
        arguments=(
            Argument("image", "image", f"The picture: {_REFERENCE}", required=True),
            Argument("style", "text", "The new style, such as watercolour or pencil sketch", required=True),
            Argument("keep", "text", "What must stay as it is"),
            _SIZE,
        ),
        write=_restyle,
    ),
}
"""Every prompt by its name."""
