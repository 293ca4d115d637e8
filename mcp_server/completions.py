"""Completions: what an argument of a resource or prompt may be, for hosts that offer it while one types."""

from collections.abc import Mapping

from mcp.types import (
    Completion,
    CompletionArgument,
    CompletionContext,
    PromptReference,
    ResourceTemplateReference,
)

from mcp_server import results
from mcp_server.generations import Generation, Generations
from mcp_server.limits import Limits
from mcp_server.prompts import argument_of, most_images
from mcp_server.request import LONGEST_LIST

_MOST = 100
"""Most values that the protocol lets an answer have."""


async def complete(
    service: Generations,
    caller: str,
    ref: PromptReference | ResourceTemplateReference,
    argument: CompletionArgument,
    context: CompletionContext | None,
) -> Completion:
    """The values that fit to what is typed; none for what is unknown."""
    given = (context.arguments if context else None) or {}
    if isinstance(ref, PromptReference):
        values = await _of_prompt(service, caller, ref.name, argument, given)
    elif ref.uri.startswith(results.RECENT):
        values = await _of_resource(service, caller, argument, given)
    else:
        values = []
    return Completion(values=values[:_MOST], total=len(values), has_more=len(values) > _MOST)


async def _of_resource(
    service: Generations, caller: str, argument: CompletionArgument, given: Mapping[str, str]
) -> list[str]:
    """The ids of recent generations that have pictures, and the numbers of one's pictures."""
    recent = await service.ledger.recent(caller, LONGEST_LIST)
    if argument.name == "id":
        values = [generation.id for generation in recent if generation.urls]
    else:
        chosen = [generation for generation in recent if generation.id == given.get("id")]
        values = [str(n) for generation in chosen for n in range(1, len(generation.urls) + 1)]
    return [value for value in values if value.startswith(argument.value)]


async def _of_prompt(
    service: Generations, caller: str, name: str, argument: CompletionArgument, given: Mapping[str, str]
) -> list[str]:
    typed, limits = argument.value, service.settings.limits
    kind = known.kind if (known := argument_of(name, argument.name)) else None
    if kind == "size":
        return _sizes(typed, limits)
    if kind == "number":
        return [str(n) for n in range(1, most_images(given, limits) + 1) if str(n).startswith(typed)]
    return await _pictures(service, caller, typed) if kind == "image" else []


def _sizes(typed: str, limits: Limits) -> list[str]:
    """Presets and recommended sizes, by how they begin, or by the ratio: for `16:9` there is 2560x1440."""
    recommended = limits.recommended_sizes
    if ":" in typed:
        return [size for ratio, size in recommended.items() if ratio.startswith(typed)]
    sizes = dict.fromkeys((*limits.presets, *recommended.values()))
    return [size for size in sizes if size.lower().startswith(typed.lower())]


async def _pictures(service: Generations, caller: str, typed: str) -> list[str]:
    """What `edit_image` takes for the caller's recent pictures, newest first.

    Found by how it begins, or by words of the prompt: a link says nothing to a person.
    """
    files = service.rules(caller).folders is None
    found = []
    for generation in await service.ledger.recent(caller, LONGEST_LIST):
        meant = bool(typed) and typed.casefold() in generation.prompt.casefold()
        for number in range(1, len(generation.urls) + 1):
            names = _names(generation, number, expired=service.album.expired(generation, number), files=files)
            found += [name for name in names if meant or name.startswith(typed)]
    return found


def _names(generation: Generation, number: int, *, expired: bool, files: bool) -> list[str]:
    """The link of a picture while it works, and its file; `files` says whether the caller may name files.

    Where not, an expired link stands for the file.
    """
    picture = (generation.pictures or {}).get(number)
    saved = picture.saved_path if picture else None
    link = [generation.urls[number - 1]] if not expired or (saved and not files) else []
    return [*link, str(saved)] if saved and files else link
