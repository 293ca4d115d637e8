"""The prompts, slash commands in hosts: each leads an agent to the right call of the right tool."""

from collections.abc import Mapping

from mcp.types import GetPromptResult, Prompt, PromptArgument, PromptMessage, TextContent

from mcp_server.errors import InvalidArgument
from mcp_server.limits import Limits
from mcp_server.prompts.arguments import Argument, checked, most_images
from mcp_server.prompts.templates import TEMPLATES

__all__ = ["argument_of", "listed", "most_images", "render"]


def listed(limits: Limits) -> list[Prompt]:
    """What prompts/list answers."""
    return [
        Prompt(
            name=name,
            title=template.title,
            description=template.description,
            icons=template.icons,
            arguments=[
                PromptArgument(name=one.name, description=one.described(limits), required=one.required)
                for one in template.arguments
            ],
        )
        for name, template in TEMPLATES.items()
    ]


def render(name: str, given: Mapping[str, str], limits: Limits) -> GetPromptResult:
    """What prompts/get answers: one message of the user.

    Raises:
        InvalidArgument: there is no such prompt, or its arguments are wrong; says all that is.
    """
    template = TEMPLATES.get(name)
    if template is None:
        legal = ", ".join(TEMPLATES)
        raise InvalidArgument(f"There is no such prompt. Legal: {legal}", "take one of those")
    text = template.write(checked(template.arguments, given, limits), limits)
    message = PromptMessage(role="user", content=TextContent(type="text", text=text))
    return GetPromptResult(description=template.description, messages=[message])


def argument_of(prompt: str, name: str) -> Argument | None:
    """The argument `name` of a prompt, if there is one."""
    template = TEMPLATES.get(prompt)
    return next((one for one in template.arguments if one.name == name), None) if template else None
