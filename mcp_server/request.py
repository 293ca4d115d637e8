"""The request model: a tool's arguments, checked against the documented limits, and their wire form.

The published schemas (`schemas`) say the same limits; a property test holds the two together.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Self

from mcp.server.mcpserver.utilities.func_metadata import ArgModelBase
from pydantic import ConfigDict, field_validator, model_validator

from mcp_server.limits import ADVISED_PROMPT_WORDS, SEEDREAM_4_0, Limits
from mcp_server.references import Wire
from mcp_server.sizes import parse_size

DEFAULT_BATCH = 4
"""`max_images` that goes out with `auto` when the caller names none: a cap always does."""

LONGEST_LIST = 50
"""Most generations that `list_images` lists."""

GENERATION_ID = "[0-9a-f]{1,64}"
"""What ids of generations look like."""

MOST_PROBLEMS = 10
"""Most problems with the arguments that one error names."""

SHOWN_PROMPT = 4_000
SHOWN_REFERENCE = 2_048
"""Longest prompt and reference URL that a result repeats, in characters."""


class ToolArguments(ArgModelBase):
    """The arguments of a tool. Strict types; an unknown argument is an error, and so is null."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _null_is_no_value(cls, values: dict[str, object]) -> dict[str, object]:
        if nulls := [name for name, value in values.items() if value is None]:
            shown = ", ".join(map(shown_name, nulls[:MOST_PROBLEMS]))
            raise ValueError(f"{shown}: null is not a value. Leave the argument out instead")
        return values

    @field_validator("max_images", "limit", mode="before", check_fields=False)
    @classmethod
    def _integral_number_is_an_integer(cls, value: object) -> object:
        # JSON Schema counts 3.0 as an integer, and some clients write it so.
        return int(value) if isinstance(value, float) and value.is_integer() else value

    def model_dump_one_level(self) -> dict[str, Any]:
        """The tool's keyword arguments: this model itself, so that nobody reads a raw dict."""
        return {"arguments": self}


class ListArguments(ToolArguments):
    """The arguments of `list_images`."""

    limit: int = 10
    before: str | None = None

    @field_validator("limit")
    @classmethod
    def _limit_is_in_range(cls, value: int) -> int:
        if not 1 <= value <= LONGEST_LIST:
            shown = value if abs(value) < 10**9 else "the number"
            raise ValueError(f"{shown} is out of range. Legal: 1 to {LONGEST_LIST}")
        return value

    @field_validator("before")
    @classmethod
    def _before_can_be_an_id(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(GENERATION_ID, value):
            raise ValueError("is no generation_id. Legal: one of an earlier result")
        return value


class GenerateArguments(ToolArguments):
    """The arguments of `generate_image`, as the default model takes them; see `arguments_for`."""

    limits: ClassVar[Limits] = SEEDREAM_4_0
    reserved: ClassVar[int] = 0
    """How many of the model's images references take at the least."""

    prompt: str
    size: str = SEEDREAM_4_0.default_size
    sequential_image_generation: Literal["disabled", "auto"] = "disabled"
    max_images: int | None = None
    watermark: bool | None = None  # None: the setting's default
    preview: bool = False

    @field_validator("prompt")
    @classmethod
    def _prompt_is_not_blank(cls, prompt: str) -> str:
        if not any(char.isprintable() and not char.isspace() for char in prompt):
            raise ValueError("must not be blank. Legal: a description of the picture")
        _check_text(prompt)
        return prompt

    @field_validator("size")
    @classmethod
    def _size_is_legal(cls, size: str) -> str:
        return parse_size(size, cls.limits)

    @field_validator("max_images")
    @classmethod
    def _max_images_is_in_range(cls, value: int | None) -> int | None:
        largest = cls.limits.max_images - cls.reserved
        if value is not None and not 1 <= value <= largest:
            raise ValueError(
                f"{value if abs(value) < 10**9 else 'the number'} is out of range. Legal: 1 to {largest}"
            )
        return value

    @model_validator(mode="after")
    def _batch_is_asked_for_once(self) -> Self:
        if self.sequential_image_generation == "disabled" and (self.max_images or 1) > 1:
            raise ValueError(
                f"max_images is {self.max_images}, but sequential_image_generation is disabled, which "
                'makes one image. Set sequential_image_generation to "auto", or leave out max_images'
            )
        return self

    @property
    def references(self) -> tuple[str, ...]:
        """The reference images as the caller gave them."""
        return ()

    def wire(self, references: Sequence[Wire], *, watermark: bool) -> dict[str, Any]:
        """The fields of the API's request. `references` are checked ones, in order.

        `watermark` is the default where the call names none; it is always sent, since the API's own
        default puts one on.
        """
        body: dict[str, Any] = {"prompt": self.prompt}
        if references:
            body[self.limits.references_field] = list(references)
        body["size"] = self.size
        body["sequential_image_generation"] = self.sequential_image_generation
        if self.sequential_image_generation == "auto":
            room = self.limits.max_images - len(self.references)
            cap = {"max_images": self.max_images or min(DEFAULT_BATCH, room)}
            body |= {options: cap} if (options := self.limits.batch_options) else cap
        body["watermark"] = watermark if self.watermark is None else self.watermark
        return body

    def warnings(self) -> list[str]:
        """What is worth saying about the arguments, though nothing is wrong with them."""
        words = len(self.prompt.split())
        if words <= ADVISED_PROMPT_WORDS:
            return []
        advice = f"the API advises at most {ADVISED_PROMPT_WORDS} and may ignore details of a longer one"
        return [f"The prompt has {words:,} words; {advice}."]

    def shortfall(self, made: int, unusable: int) -> list[str]:
        """Warnings where fewer pictures came than were asked for, or some came without a usable link."""
        if unusable:
            billed = "those pictures may be billed all the same"
            return [f"{unusable} further items of the API's reply were no usable links; {billed}."]
        if made >= (self.max_images or 1):
            return []
        why = "the model decides by the prompt. To get more, name their number in the prompt"
        return [f"{made} of up to {self.max_images} images came back: {why}."]


class EditArguments(GenerateArguments):
    """The arguments of `edit_image`: those of `generate_image`, and the references."""

    reserved: ClassVar[int] = 1

    images: list[str]

    @field_validator("images")
    @classmethod
    def _images_are_countable(cls, images: list[str]) -> list[str]:
        most = cls.limits.max_references
        if not 1 <= len(images) <= most:
            raise ValueError(f"{len(images)} given. Legal: 1 to {most} reference images")
        for index, image in enumerate(images):
            if not image.strip():
                raise ValueError(f"entry [{index}] is blank. Legal: a URL, a file, or a data: URI")
            if not image.isascii():
                _check_text(image)
        return images

    @model_validator(mode="after")
    def _references_and_results_fit(self) -> Self:
        largest = self.limits.max_images - len(self.images)
        if self.max_images is not None and self.max_images > largest:
            raise ValueError(
                f"max_images is {self.max_images}, and {len(self.images)} references are given; together "
                f"they may be at most {self.limits.max_images}. Largest legal max_images here: {largest}"
            )
        return self

    @property
    def references(self) -> tuple[str, ...]:
        """The reference images as the caller gave them."""
        return tuple(self.images)


def arguments_for(given: Limits) -> Mapping[str, type[ToolArguments]]:
    """The arguments of each tool by its name, as one model takes them."""

    class Generate(GenerateArguments):
        limits: ClassVar[Limits] = given
        size: str = given.default_size

    class Edit(EditArguments):
        limits: ClassVar[Limits] = given
        size: str = given.default_size

    return {"generate_image": Generate, "edit_image": Edit, "list_images": ListArguments}


def _check_text(text: str) -> None:
    """JSON can hold halves of characters, which nothing else can."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("holds half a character (a lone surrogate). Legal: whole ones") from None


def billable_images(body: Mapping[str, Any]) -> int:
    """The most images that a request with this body may make, and so bill."""
    options = (value for value in body.values() if isinstance(value, Mapping))
    return next((int(part["max_images"]) for part in (body, *options) if "max_images" in part), 1)


def without_image_data(body: Mapping[str, Any]) -> dict[str, Any]:
    """The body as a result may repeat it: pictures become their type and size, long text is cut."""
    shown = {
        name: list(map(_without_data, value)) if isinstance(value, list) else value
        for name, value in body.items()
    }
    return {**shown, "prompt": _cut(body["prompt"], SHOWN_PROMPT)}


def _without_data(reference: Wire) -> str:
    if isinstance(reference, str):
        return _cut(reference, SHOWN_REFERENCE)
    return f"{reference.label}… ({reference.length:,} bytes)"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}… ({len(text):,} characters)"


def shown_name(name: str) -> str:
    """`name`, an argument's, where an error may repeat it."""
    return name if len(name) <= 60 and name.isprintable() else "one of the arguments"
