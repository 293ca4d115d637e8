"""The MCP server: tools, resources, prompts, and the one place where a fault becomes a tool error."""

import logging
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

import anyio
from mcp.server.apps import Apps
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ResourceNotFoundError, ToolError
from mcp.server.request_state import RequestStateSecurity
from mcp.shared.exceptions import MCPError
from mcp.types import (
    INVALID_PARAMS,
    CallToolResult,
    Completion,
    CompletionArgument,
    CompletionContext,
    GetPromptResult,
    InputRequiredResult,
    Prompt,
    PromptReference,
    Resource,
    ResourceTemplate,
    ResourceTemplateReference,
)
from pydantic import AnyUrl, ValidationError

from mcp_server import __version__, icons, prompts, results, schemas, telemetry
from mcp_server.callers import current_caller
from mcp_server.completions import complete
from mcp_server.errors import Internal, InvalidArgument, RateLimited, SeedreamError, describe
from mcp_server.explain import explain
from mcp_server.generations import Generations
from mcp_server.http.disconnect import TOO_LARGE
from mcp_server.request import GENERATION_ID, LONGEST_LIST, ToolArguments
from mcp_server.tools import Tools
from mcp_server.view import URI as VIEW
from mcp_server.view import View

if TYPE_CHECKING:
    from mcp_server.pictures.read import Form

logger = logging.getLogger(__name__)

NAME = "mcp-server-seedream"

SETTLE_SECONDS = 0.03
_SDK_TRACING = "OpenTelemetryMiddleware"


class SeedreamServer(MCPServer[Any]):
    """`MCPServer`, whose tool failures are texts of ours: `[code] …`, what to do, who, billed or not."""

    def __init__(
        self,
        generations: Generations,
        tools: Tools | None = None,
        security: RequestStateSecurity | None = None,
    ) -> None:
        self._generations = generations
        self._in_flight = self._requests = 0
        self._calls: Counter[str] = Counter()
        self._tools = tools or Tools(generations)
        self._view = View(generations)
        super().__init__(
            NAME,
            title="Seedream images",
            version=__version__,
            instructions=schemas.instructions(generations.settings.limits),
            icons=icons.SERVER,
            log_level="WARNING",
            tools=self._tools.all(),
            extensions=[Apps()],
            middleware=[self._count, self._view.offer],
            request_state_security=security,
        )
        # Its spans hold whatever texts clients send; `telemetry.serving` has others.
        self.middleware[:] = [one for one in self.middleware if type(one).__name__ != _SDK_TRACING]
        self.completion()(self._complete)  # type: ignore[no-untyped-call]  # the SDK leaves it so

    async def run_over(self, read: Any, write: Any) -> None:
        """Serve one session over the SDK's streams, until the reading one ends."""
        await self._lowlevel_server.run(read, write, self._lowlevel_server.create_initialization_options())

    async def answered(
        self, seconds: float, unless: anyio.Event | None = None, quiet: float = SETTLE_SECONDS
    ) -> None:
        """Wait until every request that was read is answered, and no more came for a `quiet` while.

        At most so many `seconds`, or until `unless`.
        """
        with anyio.move_on_after(seconds):
            last = self._requests
            await anyio.sleep(quiet)  # what was read last is about to be taken up
            while (self._in_flight or last != self._requests) and not (unless and unless.is_set()):
                last = self._requests
                await anyio.sleep(quiet)

    async def _count(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        # A subscription's request ends with its session.
        if ctx.request_id is None or ctx.method.startswith("subscriptions/"):
            return await call_next(ctx)
        if refusal := self._refusal(ctx):
            return refusal
        self._in_flight += 1
        self._requests += 1
        caller = self._caller
        self._calls[caller] += 1
        try:
            with telemetry.serving(ctx.method, ctx.meta):
                return await call_next(ctx)
        finally:
            self._in_flight -= 1
            self._calls[caller] -= 1
            if not self._calls[caller]:
                del self._calls[caller]

    def _refusal(self, ctx: ServerRequestContext[Any, Any]) -> CallToolResult | None:
        """What is answered in place of a call that must not be made.

        Over SSE a call is a message among others: what limits requests over HTTP does not hold it.
        """
        if ctx.method != "tools/call":
            return None
        if problem := getattr(ctx.request, "scope", {}).get(TOO_LARGE):
            return results.failure(InvalidArgument(problem, "use fewer, smaller, or public images"))
        most = self._generations.settings.most_requests
        if self._generations.remote and self._calls[self._caller] >= most:
            problem = f"{most} calls of yours are under way"
            return results.failure(RateLimited(problem, "call again when one of them is answered"))
        return None

    @property
    def _caller(self) -> str:
        return current_caller(remote=self._generations.remote)

    async def list_resources(self) -> list[Resource]:
        """What can be read without knowing more."""
        return [
            Resource(
                uri=results.RECENT,
                name="generations",
                title="Recent generations",
                description="What was asked for lately, newest first, and what became of it: links, files",
                mime_type="application/json",
            )
        ]

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
            ResourceTemplate(
                uri_template=f"{results.RESOURCE}/thumbnail",
                name="picture-thumbnail",
                title="A picture that this server has made, small",
                description="A JPEG of at most 512 px and 80 KB",
            ),
        ]

    async def read_resource(
        self, uri: AnyUrl | str, context: Context[Any, Any] | None = None
    ) -> Iterable[ReadResourceContents] | InputRequiredResult:
        """A picture's bytes, with the type that they have."""
        service = self._generations
        if str(uri) == results.RECENT:
            recent = await service.ledger.recent(self._caller, LONGEST_LIST)
            text = results.recent(recent, service.album.expired)
            return [ReadResourceContents(content=text, mime_type="application/json")]
        if str(uri) == VIEW:
            return [await self._view.read(self._caller)]
        match = _RESOURCE.fullmatch(str(uri))
        if match is None:
            return await super().read_resource(uri, context)
        try:
            data, mime_type = await service.album.read(
                self._caller, match["id"], int(match["n"]), cast("Form", match["form"] or "fit")
            )
        except LookupError as error:
            raise ResourceNotFoundError(str(error.args[0])) from None
        return [ReadResourceContents(content=data, mime_type=mime_type)]

    async def list_prompts(self) -> list[Prompt]:
        """The slash commands."""
        return prompts.listed(self._generations.settings.limits)

    async def get_prompt(
        self,
        name: str,
        arguments: dict[str, Any] | None = None,
        context: Context[Any, Any] | None = None,  # noqa: ARG002 - the SDK passes it
    ) -> GetPromptResult:
        """The text of a prompt; the SDK's own way would drop unknown arguments, and log a fault."""
        try:
            return prompts.render(name, arguments or {}, self._generations.settings.limits)
        except InvalidArgument as error:
            raise MCPError(INVALID_PARAMS, error.problem) from None

    async def _complete(
        self,
        ref: PromptReference | ResourceTemplateReference,
        argument: CompletionArgument,
        context: CompletionContext | None,
    ) -> Completion:
        return await complete(self._generations, self._caller, ref, argument, context)

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[Any, Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        """Run a tool; any failure is a result that the model can read, never the SDK's own words."""
        with telemetry.calling(name if name in self._tools.arguments else "other"):
            try:
                return await super().call_tool(name, arguments, context)
            except ToolError as error:
                failure = _failure(name, self._tools.arguments, error.__cause__)
                telemetry.failed(failure.code)
                return results.failure(failure)


def _failure(
    name: str, arguments: Mapping[str, type[ToolArguments]], cause: BaseException | None
) -> SeedreamError:
    """The error in our words for what the SDK says of the tool `name`, one of those that take `arguments`."""
    if isinstance(cause, ValidationError):
        return explain(cause, arguments[name])
    if cause is None:
        return InvalidArgument("There is no such tool", f"call one of {', '.join(arguments)}")
    logger.error("%s: %s", name, describe(cause))  # a traceback may hold data
    return Internal()


_RESOURCE = re.compile(
    rf"seedream://generations/(?P<id>{GENERATION_ID})/(?P<n>[0-9]{{1,3}})(/(?P<form>full|thumbnail))?"
)
