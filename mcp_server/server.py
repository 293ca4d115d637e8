"""The MCP server: the two tools, and the one place where a failure becomes a tool error."""

import logging
import re
import traceback
from collections.abc import Iterable
from functools import partial
from typing import Any, cast

from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ResourceNotFoundError, ToolError
from mcp.server.mcpserver.tools import Tool
from mcp.server.mcpserver.utilities.func_metadata import FuncMetadata
from mcp.types import CallToolResult, InputRequiredResult, ResourceTemplate
from pydantic import AnyUrl, ValidationError

from mcp_server import __version__, results, schemas
from mcp_server.errors import Internal, InvalidArgument, SeedreamError
from mcp_server.explain import explain
from mcp_server.generations import Generations
from mcp_server.progress import BEAT_SECONDS, heartbeat
from mcp_server.references import check_references
from mcp_server.request import (
    EditArguments,
    GenerateArguments,
    ListArguments,
    ToolArguments,
    billable_images,
)

logger = logging.getLogger(__name__)

NAME = "mcp-server-seedream"


class SeedreamServer(MCPServer[Any]):
    """`MCPServer`, whose tool failures are texts of ours: `[code] …`, what to do, who, billed or not."""

    def __init__(self, generations: Generations, *, beat_seconds: float = BEAT_SECONDS) -> None:
        self._generations = generations
        super().__init__(
            NAME,
            title="Seedream images",
            version=__version__,
            instructions=schemas.INSTRUCTIONS,
            log_level="WARNING",
            tools=[
                _tool(GenerateArguments, generations, beat_seconds),
                _tool(EditArguments, generations, beat_seconds),
                _list_tool(generations),
            ],
        )

    async def list_resource_templates(self) -> list[ResourceTemplate]:
        """The resources that read a picture's bytes."""
        return [
            ResourceTemplate(
                uri_template=results.RESOURCE,
                name="picture",
                title="A picture that this server has made",
                description="Its bytes, made smaller where they would be over 1 MB; n counts from 1",
            ),
            ResourceTemplate(
                uri_template=f"{results.RESOURCE}/full",
                name="picture-full",
                title="A picture that this server has made, in full",
                description="Its bytes as they are, often several MB; many hosts refuse that much",
            ),
        ]

    async def read_resource(
        self, uri: AnyUrl | str, context: Context[Any, Any] | None = None
    ) -> Iterable[ReadResourceContents] | InputRequiredResult:
        """A picture's bytes, with the type that they have."""
        match = _RESOURCE.fullmatch(str(uri))
        if match is None:
            return await super().read_resource(uri, context)
        try:
            data, mime_type = await self._generations.read_picture(
                match["id"], int(match["n"]), full=bool(match["full"])
            )
        except LookupError as error:
            raise ResourceNotFoundError(str(error.args[0])) from None
        return [ReadResourceContents(content=data, mime_type=mime_type)]

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[Any, Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        """Run a tool; any failure is a result that the model can read, never the SDK's own words."""
        try:
            return await super().call_tool(name, arguments, context)
        except ToolError as error:
            cause = error.__cause__
            if isinstance(cause, ValidationError):
                return results.failure(explain(cause, _ARGUMENTS[name]))
            if cause is None:
                return results.failure(
                    InvalidArgument("There is no such tool", f"call one of {', '.join(_ARGUMENTS)}")
                )
            # Where, not what: a traceback or the error's own text may hold the caller's data.
            last = traceback.extract_tb(cause.__traceback__)[-1:]
            where = ", ".join(f"{frame.filename}:{frame.lineno}" for frame in last)
            logger.error("%s in %s at %s", type(cause).__name__, name, where)  # noqa: TRY400
            return results.failure(
                Internal(
                    "This server failed in a way that it should not",
                    "tell the person; its log on stderr says more. Do not repeat the call by yourself",
                )
            )


_ARGUMENTS: dict[str, type[ToolArguments]] = {
    "generate_image": GenerateArguments,
    "edit_image": EditArguments,
    "list_images": ListArguments,
}
_RESOURCE = re.compile(r"seedream://generations/(?P<id>[0-9a-f]{1,64})/(?P<n>[0-9]{1,3})(?P<full>/full)?")


def _tool(model: type[GenerateArguments], generations: Generations, beat_seconds: float) -> Tool:
    """The tool that takes `model`. Built by hand: the SDK would drop unknown arguments in silence."""
    settings, edit = generations.settings, issubclass(model, EditArguments)
    describe = schemas.edit_description if edit else schemas.generate_description
    return Tool(
        fn=partial(_call, generations, beat_seconds),
        name="edit_image" if edit else "generate_image",
        title="Edit images" if edit else "Generate images",
        description=describe(settings.limits),
        parameters=schemas.input_schema(settings.limits, watermark=settings.watermark, edit=edit),
        fn_metadata=FuncMetadata(arg_model=model, output_schema=schemas.output_schema()),
        is_async=True,
        context_kwarg="context",
        annotations=schemas.MAKING,
    )


def _list_tool(generations: Generations) -> Tool:
    async def list_images(*, arguments: ListArguments) -> CallToolResult:
        return results.listing(generations.history.recent(arguments.limit))

    return Tool(
        fn=list_images,
        name="list_images",
        title="List recent images",
        description=schemas.LIST_DESCRIPTION,
        parameters=schemas.list_input_schema(),
        fn_metadata=FuncMetadata(arg_model=ListArguments, output_schema=schemas.list_output_schema()),
        is_async=True,
        context_kwarg=None,
        annotations=schemas.READING,
    )


async def _call(
    generations: Generations,
    beat_seconds: float,
    *,
    arguments: GenerateArguments,
    context: Context[Any, Any],
) -> CallToolResult:
    """A call of either tool, from checked arguments to the result."""
    try:
        return await _generate(generations, beat_seconds, arguments, context)
    except SeedreamError as error:
        logger.info("call failed: %s", error.code)
        return results.failure(error)


async def _generate(
    generations: Generations, beat_seconds: float, arguments: GenerateArguments, context: Context[Any, Any]
) -> CallToolResult:
    settings = generations.settings
    with await check_references(arguments.references, generations.rules) as references:
        await generations.check_ready()
        body = arguments.wire(references.wire, watermark=settings.watermark)
        most = billable_images(body)
        what = f"Waiting for {'1 image' if most == 1 else f'up to {most} images'}"
        async with heartbeat(context.report_progress, what, beat_seconds):
            generation = await generations.generate(body)
            troubles = await generations.collect(generation, preview=arguments.preview)
    warnings = [
        *arguments.warnings(),
        *references.warnings,
        *arguments.shortfall(len(generation.urls), generation.unusable),
        *troubles,
    ]
    links = results.links_wanted(settings.resource_links, _client_name(context))
    return results.success(generation, warnings, links=links)


def _client_name(context: Context[Any, Any]) -> str | None:
    params = context.session.client_params
    return cast("str | None", params.client_info.name) if params else None
