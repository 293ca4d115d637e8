"""The spans, and what is counted beside them. Other modules say here what happens, in their own terms.

tools/call NAME          a message of a client; for a call with what was asked for and what came of it
 |-- POST                the request to the API, which may go on after its call; attempts are events
 `-- GET                 the download of one picture, below the call or beside the request
"""

import time
from asyncio import CancelledError
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mcp.shared.exceptions import MCPError
from mcp_types.methods import SPEC_CLIENT_METHODS
from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from mcp_server import __version__
from mcp_server.errors import SeedreamError

if TYPE_CHECKING:
    from mcp_server.generations.generation import Generation
    from mcp_server.telemetry.instruments import Instruments

SCOPE = "mcp_server"

_OUTCOME: ContextVar[list[str]] = ContextVar("outcome")
"""What the call of this context comes to: each entry overrules those before it."""


@cache
def _tracer() -> Tracer:
    return trace.get_tracer(SCOPE, __version__)


def _instruments() -> "Instruments":
    from mcp_server.telemetry.instruments import instruments  # 5 ms that a start need not take

    return instruments()


@contextmanager
def _span(name: str, kind: SpanKind, attributes: Mapping[str, Any], parent: Any = None) -> Iterator[Span]:
    """A span that names the kind of what ends it early, and not its text, which may hold anything."""
    with _tracer().start_as_current_span(
        name,
        parent,
        kind,
        attributes,
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        try:
            yield span
        except CancelledError:
            span.set_attribute("seedream.cancelled", value=True)
            raise
        except Exception as error:
            _mark_failed(span, _code(error))
            raise


def _mark_failed(span: Span, code: str) -> None:
    span.set_attribute("error.type", code)
    span.set_status(StatusCode.ERROR)


def _code(error: Exception) -> str:
    if isinstance(error, SeedreamError):
        return error.code
    return str(error.error.code) if isinstance(error, MCPError) else type(error).__name__


@contextmanager
def serving(method: str, meta: Mapping[str, Any] | None) -> Iterator[None]:
    """Around a client's request; `meta` may name the client's own span.

    In place of the SDK's span, which tells whatever text a client sends as a tool's name, and errors' texts.
    """
    name = method if method in SPEC_CLIENT_METHODS else "other"
    parent = None
    if isinstance(caller := (meta or {}).get("traceparent"), str):
        # Without its tracestate and baggage: free text.
        parent = TraceContextTextMapPropagator().extract({"traceparent": caller})
    with _span(name, SpanKind.SERVER, {"mcp.method.name": name}, parent):
        yield


@contextmanager
def calling(tool: str) -> Iterator[None]:
    """Around a call of the tool, in its request; counts it. `failed` and `ended` say how it ended."""
    span, named, meters = trace.get_current_span(), {"gen_ai.tool.name": tool}, _instruments()
    span.update_name(f"tools/call {tool}")
    span.set_attributes({"gen_ai.operation.name": "execute_tool", **named})
    meters.active_calls.add(1, named)
    outcome = ["ok"]
    token = _OUTCOME.set(outcome)
    try:
        yield
    except CancelledError:
        outcome.append("cancelled")
        raise
    except Exception as error:
        failed(_code(error))
        raise
    finally:
        _OUTCOME.reset(token)
        span.set_attribute("seedream.outcome", outcome[-1])
        meters.active_calls.add(-1, named)
        meters.calls.add(1, {**named, "seedream.outcome": outcome[-1]})


def failed(code: str) -> None:
    """The call of this context ends with the error of this code."""
    ended(code)
    _mark_failed(trace.get_current_span(), code)
    _instruments().errors.add(1, {"error.type": code})


def ended(outcome: str) -> None:
    """The call of this context ends otherwise than with pictures or an error."""
    _OUTCOME.get([]).append(outcome)


def asked(
    model: str, body: Mapping[str, Any], *, images: int, references: int, emulated: bool, prompts: bool
) -> None:
    """What the call of this context asks for; `prompts`: in whose words, too."""
    span = trace.get_current_span()
    span.set_attributes(
        {
            "gen_ai.request.model": model,
            "seedream.size": body["size"],
            "seedream.images.requested": images,
            "seedream.references": references,
            "seedream.emulated": emulated,
        }
    )
    if prompts:
        span.set_attribute("seedream.prompt", body["prompt"])


def begun(generation_id: str, *, recovered: bool) -> None:
    """Which generation the call of this context waits for; `recovered`: one of an earlier call."""
    trace.get_current_span().set_attributes(
        {"seedream.generation.id": generation_id, "seedream.recovered": recovered}
    )


def made(images: int) -> None:
    """How many pictures the call of this context gets."""
    trace.get_current_span().set_attribute("seedream.images.made", images)


@contextmanager
def posting(generation: "Generation") -> Iterator[Callable[[int], None]]:
    """Around the request of a generation, all its attempts; call what it gives with the images made.

    Below the span of the call that began it, whose context its task has, even where that has ended.
    """
    model, meters = generation.model, _instruments()
    attributes = {
        "http.request.method": "POST",
        "gen_ai.operation.name": "generate_content",
        "gen_ai.provider.name": "novita",
        "gen_ai.output.type": "image",
        "gen_ai.request.model": model,
        "seedream.generation.id": generation.id,
        "seedream.size": generation.requested["size"],
        "seedream.images.requested": generation.most,
        "seedream.emulated": generation.emulated,
    }

    def count(images: int) -> None:
        span.set_attribute("seedream.images.made", images)
        meters.images.add(images, {"gen_ai.request.model": model, "seedream.emulated": generation.emulated})

    meters.active_requests.add(1)
    try:
        with _span("POST", SpanKind.CLIENT, attributes) as span:
            yield count
    finally:
        meters.active_requests.add(-1)


@contextmanager
def attempt(host: str, path: str) -> Iterator[None]:
    """Around one attempt of a request; measures it."""
    trace.get_current_span().set_attributes({"server.address": host, "url.template": path})
    started, attributes = time.perf_counter(), {}
    try:
        yield
    except CancelledError:
        attributes = {"error.type": "cancelled"}
        raise
    except Exception as error:
        attributes = {"error.type": _code(error)}
        raise
    finally:
        _instruments().upstream.record(time.perf_counter() - started, attributes)


def answered(status: int) -> None:
    """The request, or download, of this context got a reply of this status."""
    trace.get_current_span().set_attribute("http.response.status_code", status)


def retrying(attempts: int, code: str, seconds: float) -> None:
    """The request of this context failed so many times, now with `code`, and goes out again in `seconds`."""
    span = trace.get_current_span()
    span.set_attribute("http.request.resend_count", attempts)
    span.add_event("retry", {"error.type": code, "seedream.retry.seconds": seconds})


@contextmanager
def downloading(url: str) -> Iterator[None]:
    """Around the download of one picture. Of its link only the host is told: the rest is signed."""
    attributes = {"http.request.method": "GET"}
    with suppress(ValueError):  # the download will say what is wrong with it
        attributes["server.address"] = urlsplit(url).hostname or ""
    with _span("GET", SpanKind.CLIENT, attributes):
        yield
