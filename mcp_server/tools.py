"""The tools: from checked arguments to a result, step by step."""

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from functools import partial
from typing import Any

import anyio
from mcp.server.apps import client_supports_apps
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.tools import Tool
from mcp.server.mcpserver.utilities.func_metadata import FuncMetadata
from mcp.types import CallToolResult, InputRequiredResult

from mcp_server import icons, quirks, results, schemas, telemetry
from mcp_server.callers import current_caller, key_of_caller
from mcp_server.confirm import AskFirst, Confirmation
from mcp_server.errors import InvalidArgument, SeedreamError, UpstreamUnavailable
from mcp_server.generations import Generations
from mcp_server.http.disconnect import client_gone
from mcp_server.progress import BEAT_SECONDS, Phase, heartbeat
from mcp_server.references import check_references
from mcp_server.request import (
    GenerateArguments,
    ListArguments,
    ToolArguments,
    arguments_for,
    billable_images,
)

logger = logging.getLogger(__name__)


class Tools:
    """The tools over one `Generations`. `confirmation` and `beat_seconds` replace the usual ones in tests."""

    def __init__(
        self,
        generations: Generations,
        *,
        beat_seconds: float = BEAT_SECONDS,
        confirmation: Confirmation | None = None,
    ) -> None:
        self._generations = generations
        self.arguments: Mapping[str, type[ToolArguments]] = arguments_for(generations.settings.limits)
        self._beat_seconds = beat_seconds
        self._above = generations.settings.confirm_above
        self._confirmation = confirmation or Confirmation(self._above or 0)

    def all(self) -> list[Tool]:
        """Built by hand: the SDK's own way would drop unknown arguments in silence."""
        return [self._maker("generate_image"), self._maker("edit_image"), self._lister()]

    def _maker(self, name: str) -> Tool:
        settings, edit = self._generations.settings, name == "edit_image"
        describe = schemas.edit_description if edit else schemas.generate_description
        return Tool(
            fn=self._call,
            name=name,
            title="Edit images" if edit else "Generate images",
            description=describe(settings.limits),
            parameters=schemas.input_schema(settings.limits, watermark=settings.watermark, edit=edit),
            fn_metadata=FuncMetadata(arg_model=self.arguments[name], output_schema=schemas.output_schema()),
            is_async=True,
            context_kwarg="context",
            annotations=schemas.MAKING,
            icons=icons.EDIT if edit else icons.GENERATE,
        )

    def _lister(self) -> Tool:
        return Tool(
            fn=self._list,
            name="list_images",
            title="List recent images",
            description=schemas.LIST_DESCRIPTION,
            parameters=schemas.list_input_schema(),
            fn_metadata=FuncMetadata(arg_model=ListArguments, output_schema=schemas.list_output_schema()),
            is_async=True,
            context_kwarg=None,
            annotations=schemas.READING,
            icons=icons.LIST,
        )

    async def _list(self, *, arguments: ListArguments) -> CallToolResult:
        service, before = self._generations, None
        caller, ledger, limit = current_caller(remote=service.remote), service.ledger, arguments.limit
        if arguments.before and (before := await ledger.get(caller, arguments.before)) is None:
            problem = "before: no generation of that id is on record"
            return results.failure(InvalidArgument(problem, "leave it out to list the newest ones"))
        recent = await ledger.recent(caller, limit + 1, before=before)
        more = len(recent) > limit
        return results.listing(
            recent[:limit], service.album.expired, ledger.trouble, older=bool(before), more=more
        )

    async def _call(
        self, *, arguments: GenerateArguments, context: Context[Any, Any]
    ) -> CallToolResult | InputRequiredResult:
        """A call of either tool that makes pictures."""
        try:
            return await _while_heard(context, self._make(arguments, context))
        except AskFirst as ask:
            telemetry.ended("input_required")
            return ask.result
        except SeedreamError as error:
            logger.info("call failed: %s", error.code)
            telemetry.failed(error.code)
            return results.failure(error, self._generations.trouble)

    async def _make(self, arguments: GenerateArguments, context: Context[Any, Any]) -> CallToolResult:
        service, phase = self._generations, Phase()
        settings, caller = service.settings, current_caller(remote=service.remote)
        key = key_of_caller(context.request_context.request, allowed=settings.caller_keys)
        asked = arguments.wire(arguments.references, watermark=settings.watermark)
        telemetry.asked(
            settings.model,
            asked,
            images=billable_images(asked),
            references=len(arguments.references),
            emulated=settings.emulator,
            prompts=settings.trace_prompts,
        )
        with await check_references(arguments.references, service.rules(caller)) as references:
            await service.check_ready(key)
            body = arguments.wire(references.wire, watermark=settings.watermark)
            asks = self._above is not None and billable_images(body) > self._above
            confirm = partial(self._confirm, context, arguments.prompt, phase) if asks else None
            async with heartbeat(context.report_progress, phase, self._beat_seconds):
                made = await service.make(
                    caller,
                    body,
                    references,
                    preview=arguments.preview,
                    phase=phase,
                    confirm=confirm,
                    key=key,
                )
        generation = made.generation
        telemetry.made(len(generation.urls))
        warnings = [
            *arguments.warnings(),
            *references.warnings,
            *arguments.shortfall(len(generation.urls), generation.unusable),
            *made.warnings,
        ]
        client = context.session.client_params
        links = quirks.links_wanted(
            settings.resource_links,
            client and client.client_info,
            draws_views=client_supports_apps(context),
        )
        return results.success(made, warnings, links=links)

    async def _confirm(self, context: Context[Any, Any], prompt: str, phase: Phase, most: int) -> None:
        phase.enter("confirm", lambda waited: f"Waiting for the person to confirm, {waited:.0f} s")
        await self._confirmation(context, prompt, most)


async def _while_heard(
    context: Context[Any, Any], work: Coroutine[Any, Any, CallToolResult]
) -> CallToolResult:
    """The result of `work`, which is cancelled when its HTTP client leaves."""
    if (gone := client_gone(context.request_context.request)) is None:
        return await work
    with anyio.CancelScope() as scope:

        async def watch() -> None:
            await gone.wait()
            scope.cancel()

        watching = asyncio.get_running_loop().create_task(watch())
        try:
            return await work
        finally:
            watching.cancel()
    telemetry.ended("cancelled")
    # Nobody reads this.
    return results.failure(UpstreamUnavailable("The client has left", "call again to get the pictures"))
