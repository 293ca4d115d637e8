"""The arguments of prompts: described, and checked. All are strings, as the protocol has it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from mcp_server.errors import InvalidArgument
from mcp_server.limits import Limits
from mcp_server.request import MOST_PROBLEMS, shown_name
from mcp_server.sizes import parse_size

LONGEST_TEXT = 4_000
"""Most characters of an argument: a long link fits, image data does not."""


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument of a prompt; `kind` says what it must be, and how it is completed."""

    name: str
    kind: Literal["text", "image", "size", "number"]
    meaning: str
    required: bool = False

    def described(self, limits: Limits) -> str:
        """What hosts show beside it."""
        if self.kind == "size":
            return (
                f"{self.meaning}: {', '.join(limits.presets)} or WIDTHxHEIGHT, such as {limits.default_size}"
            )
        if self.kind == "number":
            return f"{self.meaning}: 1 to {limits.max_images}, beside a picture {limits.max_images - 1}"
        return self.meaning


def most_images(given: Mapping[str, str], limits: Limits) -> int:
    """The most images that a call can make, beside the reference that the arguments may name."""
    return limits.max_images - bool(given.get("image", "").strip())


def checked(arguments: Sequence[Argument], given: Mapping[str, str], limits: Limits) -> dict[str, str]:
    """The arguments that were given, without blank ones, which hosts with forms send for what was left out.

    Raises:
        InvalidArgument: says all that is wrong.
    """
    legal = [argument.name for argument in arguments]
    unknown = [shown_name(name) for name in given if name not in legal]
    problems = [f"{name}: no such argument. Legal: {', '.join(legal)}" for name in unknown]
    values = {}
    for argument in arguments:
        # JSON can hold a half of a character, which could not be sent back.
        text = given.get(argument.name, "").encode("utf-8", "replace").decode().strip()
        try:
            if text:
                values[argument.name] = _value(argument, text, given, limits)
            elif argument.required:
                raise ValueError("is required, and not blank")
        except ValueError as error:
            problems.append(f"{argument.name}: {error}")
    if problems:
        raise InvalidArgument("; ".join(problems[:MOST_PROBLEMS]), "correct the arguments")
    return values


def _value(argument: Argument, text: str, given: Mapping[str, str], limits: Limits) -> str:
    if len(text) > LONGEST_TEXT:
        instead = ", or a link or a file in place of data" if argument.kind == "image" else ""
        raise ValueError(f"has {len(text):,} characters. Legal: at most {LONGEST_TEXT:,}{instead}")
    if argument.kind == "size":
        return parse_size(text, limits)
    if argument.kind == "number":
        most = most_images(given, limits)
        if not re.fullmatch("[0-9]{1,6}", text):
            raise ValueError(f"is no whole number. Legal: 1 to {most}")
        if not 1 <= int(text) <= most:
            raise ValueError(f"{int(text)} is out of range. Legal: 1 to {most}")
        return str(int(text))
    return text
