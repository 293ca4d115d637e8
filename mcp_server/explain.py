"""Wrong arguments in our own words: which one, what is wrong with it, and what is legal."""

import difflib

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from mcp_server.errors import InvalidArgument
from mcp_server.request import MOST_PROBLEMS, GenerateArguments, ToolArguments, shown_name
from mcp_server.sizes import nearest_size


def explain(error: ValidationError, model: type[ToolArguments]) -> InvalidArgument:
    """Pydantic's findings in our words, all at once, so that one more call is enough.

    Nothing of the input is repeated but what our own validators chose to.
    """
    found = error.errors(include_url=False)
    problems = [_explain_one(details, model) for details in found[:MOST_PROBLEMS]]
    if len(found) > MOST_PROBLEMS:
        problems.append(f"and {len(found) - MOST_PROBLEMS} more problems of this kind")
    return InvalidArgument(
        "; ".join(problems), "correct the arguments and call again; nothing was sent to the API"
    )


def _explain_one(details: ErrorDetails, model: type[ToolArguments]) -> str:
    name = "".join(f"[{part}]" if isinstance(part, int) else part for part in details["loc"])
    kind, context = details["type"], details.get("ctx", {})
    if kind == "value_error":
        return f"{name}: {context['error']}" if name else str(context["error"])
    if kind == "extra_forbidden":
        known = list(model.model_fields)
        close = difflib.get_close_matches(name, known, n=1)
        meant = _hint(name, model) or (f"Did you mean {close[0]}?" if close else "")
        return f"{shown_name(name)}: no such argument. {meant or 'Legal: ' + ', '.join(known)}"
    if kind == "missing":
        return f"{name}: is required"
    if kind == "literal_error":
        return f"{name}: not one of the legal values. Legal: {_in_double_quotes(str(context['expected']))}"
    legal = _WANTED.get(kind, "see the schema")
    return f"{name}: {_json_type(details['input'])} is the wrong type. Legal: {legal}"


# What agents that know other image tools try.
_HINTS = {
    "images": "generate_image takes no references; call edit_image",
    "image": "Reference images go into images of edit_image, an array",
    "n": 'For several images set sequential_image_generation to "auto" and max_images',
    "negative_prompt": "Say in prompt what to leave out",
    "seed": "This model takes none",
    "image_size": "Did you mean size?",
    "resolution": "Did you mean size?",
}
_WANTED = {
    "string_type": "a string, in quotes",
    "int_type": "a whole number, without quotes",
    "bool_type": "true or false, without quotes",
    "list_type": 'an array of strings, such as ["https://…"]',
}


def _hint(name: str, model: type[ToolArguments]) -> str | None:
    if name in ("aspect_ratio", "width", "height") and issubclass(model, GenerateArguments):
        return f"Use size, such as {nearest_size(2560, 1440, model.limits)} for 16:9"
    return _HINTS.get(name)


def _in_double_quotes(text: str) -> str:
    return text.replace("'", '"')


def _json_type(value: object) -> str:
    names = {bool: "a boolean", str: "a string", list: "an array", dict: "an object"}
    return names.get(type(value), "a number")
