"""Spans and metrics of calls, by OpenTelemetry's own in-memory exporters; nothing secret in them."""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import httpx
import pytest
from mcp import Client
from mcp.client.context import ClientRequestContext
from mcp.shared.exceptions import MCPError
from mcp.types import ElicitRequestParams, ElicitResult
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    HistogramDataPoint,
    InMemoryMetricReader,
    NumberDataPoint,
)
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from mcp_server import telemetry
from mcp_server.emulator import Emulator
from mcp_server.errors import Internal
from mcp_server.generations import Generations
from mcp_server.server import SeedreamServer
from mcp_server.telemetry.spans import SCOPE
from mcp_server.tools import Tools, _while_heard
from tests.conftest import (
    KEY,
    a_generation,
    answering,
    connect,
    data_uri,
    fault,
    image_bytes,
    make_settings,
    no_sleep,
    pictures,
)
from tests.test_paid_once import Held, abandon

pytestmark = pytest.mark.anyio

PROMPT = "a fox whose name nobody may know"
BATCH = {"sequential_image_generation": "auto", "max_images": 4}


class Recorded:
    """What this process records. Its providers can be set only once; the metrics count from `clear`."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        tracing = TracerProvider(shutdown_on_exit=False)
        tracing.add_span_processor(SimpleSpanProcessor(self._exporter))
        trace.set_tracer_provider(tracing)
        since = AggregationTemporality.DELTA
        self._reader = InMemoryMetricReader(preferred_temporality={Counter: since, Histogram: since})
        metrics.set_meter_provider(MeterProvider([self._reader], shutdown_on_exit=False))

    def clear(self) -> None:
        self._exporter.clear()
        self.figures()

    @property
    def everything(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())

    def spans(self, name: str = "") -> list[ReadableSpan]:
        """Spans of this server, of this name, in the order in which they ended."""
        ours = [
            one
            for one in self.everything
            if one.instrumentation_scope and one.instrumentation_scope.name == SCOPE
        ]
        return [one for one in ours if name in ("", one.name)]

    def one(self, name: str) -> ReadableSpan:
        (span,) = self.spans(name)
        return span

    def figures(self) -> dict[str, list[tuple[dict[str, Any], float]]]:
        """By metric, what was counted (of a histogram how often), by attributes."""
        found: dict[str, list[tuple[dict[str, Any], float]]] = {}
        data = self._reader.get_metrics_data()
        for resource in data.resource_metrics if data else ():
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    for point in metric.data.data_points:
                        found.setdefault(metric.name, []).append(
                            (dict(point.attributes or {}), _number(point))
                        )
        return found


def _number(point: Any) -> float:
    if isinstance(point, HistogramDataPoint):
        assert point.sum >= 0
        return point.count
    assert isinstance(point, NumberDataPoint)
    return point.value


@cache
def recorder() -> Recorded:
    return Recorded()


@pytest.fixture
def recorded() -> Iterator[Recorded]:
    recorder().clear()
    yield recorder()
    recorder().clear()


async def agree(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
    """A person who lets every call go on."""
    return ElicitResult(action="accept", content={"proceed": True})


def of(span: ReadableSpan) -> Mapping[str, Any]:
    return span.attributes or {}


def parent_of(span: ReadableSpan, among: list[ReadableSpan]) -> ReadableSpan | None:
    wanted = span.parent and span.parent.span_id
    return next((one for one in among if one.context and one.context.span_id == wanted), None)


async def test_a_call_is_a_span_with_the_request_to_the_api_below_it(recorded: Recorded, era: str) -> None:
    transport, requests = answering(pictures("https://cdn.example.com/a?sig=1", "https://cdn.example.com/b"))
    arguments = {"prompt": PROMPT, "images": ["https://example.com/x.png?secret=1"], "size": "4k", **BATCH}
    async with connect(transport=transport, mode=era) as client:
        result = await client.call_tool("edit_image", arguments)
    generation = result.structured_content["generation_id"]
    asked = {
        "gen_ai.request.model": "seedream-4.0",
        "seedream.size": "4K",
        "seedream.images.requested": 4,
        "seedream.images.made": 2,
        "seedream.emulated": False,
        "seedream.generation.id": generation,
    }
    call, post = recorded.one("tools/call edit_image"), recorded.one("POST")
    assert (call.kind, post.kind) == (SpanKind.SERVER, SpanKind.CLIENT)
    assert of(call) == {
        "mcp.method.name": "tools/call",
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "edit_image",
        "seedream.references": 1,
        "seedream.recovered": False,
        "seedream.outcome": "ok",
        **asked,
    }
    assert of(post) == {
        "gen_ai.operation.name": "generate_content",
        "gen_ai.provider.name": "novita",
        "gen_ai.output.type": "image",
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "server.address": "api.novita.ai",
        "url.template": "/v3/seedream-4.0",
        **asked,
    }
    assert parent_of(post, recorded.everything) is call
    assert not {"traceparent", "tracestate", "baggage"} & set(requests[0].headers)
    if era == "legacy":  # in the other one, in memory, the SDK's client has no span of its own
        caller = parent_of(call, recorded.everything)
        assert caller is not None
        assert caller.name == "MCP send tools/call edit_image"


async def test_the_shape_of_a_newer_model_is_told_in_the_same_words(recorded: Recorded) -> None:
    transport, _ = answering(pictures())
    arguments = {"prompt": PROMPT, "images": ["https://example.com/x.png"], **BATCH}
    async with connect(transport=transport, SEEDREAM_MODEL="seedream-4.5") as client:
        await client.call_tool("edit_image", arguments)
    call, post = of(recorded.one("tools/call edit_image")), of(recorded.one("POST"))
    assert call["seedream.references"] == 1
    assert post["url.template"] == "/v3/seedream-4.5"
    for told in (call, post):
        assert told["gen_ai.request.model"] == "seedream-4.5"
        assert told["seedream.images.requested"] == 4


async def test_calls_images_and_the_apis_time_are_counted(recorded: Recorded) -> None:
    transport, _ = answering(pictures("https://x/a", "https://x/b"))
    async with connect(transport=transport) as client:
        for _ in range(2):
            await client.call_tool("generate_image", {"prompt": "x", **BATCH})
        await client.call_tool("list_images", {})
    figures = recorded.figures()
    assert figures["seedream.calls"] == [
        ({"gen_ai.tool.name": "generate_image", "seedream.outcome": "ok"}, 2),
        ({"gen_ai.tool.name": "list_images", "seedream.outcome": "ok"}, 1),
    ]
    assert figures["seedream.images"] == [
        ({"gen_ai.request.model": "seedream-4.0", "seedream.emulated": False}, 4)
    ]
    assert figures["seedream.upstream.duration"] == [({}, 2)]
    assert "seedream.errors" not in figures


async def test_what_is_in_flight_is_counted_and_no_more_once_it_is_over(recorded: Recorded) -> None:
    held = Held()

    def in_flight() -> list[float]:
        figures = recorded.figures()
        names = ("seedream.calls.active", "seedream.upstream.active")
        return [sum(number for _, number in figures.get(name, [])) for name in names]

    async with connect(transport=held) as client:
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(client.call_tool, "generate_image", {"prompt": "x"})
            for _ in range(3):
                await held.started.acquire()
            assert in_flight() == [3, 3]
            held.let_go.set()
        assert in_flight() == [0, 0]


@pytest.mark.parametrize("wanted", [True, False])
async def test_the_prompt_is_in_a_span_only_where_that_is_asked_for(recorded: Recorded, wanted: bool) -> None:
    transport, _ = answering(pictures())
    variables = {"SEEDREAM_OTEL_PROMPTS": "1"} if wanted else {}
    async with connect(transport=transport, **variables) as client:
        await client.call_tool("generate_image", {"prompt": PROMPT})
    assert of(recorded.one("tools/call generate_image")).get("seedream.prompt") == (
        PROMPT if wanted else None
    )
    assert any(PROMPT in span.to_json() for span in recorded.spans()) is wanted


async def test_each_attempt_is_measured_and_a_retry_is_an_event(recorded: Recorded) -> None:
    lost = httpx.ConnectError("no route to 10.1.2.3")
    transport, _ = answering(httpx.Response(503), lost, pictures())
    async with connect(transport=transport) as client:
        await client.call_tool("generate_image", {"prompt": "x"})
    post = recorded.one("POST")
    assert of(post)["http.request.resend_count"] == 2
    assert of(post)["http.response.status_code"] == 200
    assert [(event.name, (event.attributes or {})["error.type"]) for event in post.events] == [
        ("retry", "upstream_unavailable"),
        ("retry", "upstream_unavailable"),
    ]
    assert sorted(recorded.figures()["seedream.upstream.duration"], key=str) == [
        ({"error.type": "upstream_unavailable"}, 2),
        ({}, 1),
    ]


@pytest.mark.parametrize(
    ("tool", "arguments", "reply", "code"),
    [
        ("generate_image", {"prompt": " "}, pictures(), "invalid_argument"),
        ("generate_image", {"prompt": "x"}, httpx.Response(401), "authentication"),
        ("generate_image", {"prompt": "x"}, httpx.Response(500), "outcome_unknown"),
        ("generate_image", {"prompt": "x"}, httpx.Response(200, json={}), "bad_upstream_reply"),
        ("edit_image", {"prompt": "x", "images": ["/no/such/file.png"]}, pictures(), "image_not_found"),
        ("a secret", {}, pictures(), "invalid_argument"),
    ],
)
async def test_a_failure_is_told_and_counted_by_its_code(
    recorded: Recorded, tool: str, arguments: dict[str, Any], reply: httpx.Response, code: str
) -> None:
    transport, requests = answering(reply)
    async with connect(transport=transport) as client:
        assert (await client.call_tool(tool, arguments)).is_error
    shown = tool if "_" in tool else "other"
    failed = [recorded.one(f"tools/call {shown}"), *(recorded.spans("POST") if requests else [])]
    assert len(failed) == 1 + len(requests)
    for span in failed:
        assert of(span)["error.type"] == code
        assert not span.status.is_ok
        assert (span.status.description, span.events) == (None, ())
    figures = recorded.figures()
    assert figures["seedream.calls"] == [({"gen_ai.tool.name": shown, "seedream.outcome": code}, 1)]
    assert figures["seedream.errors"] == [({"error.type": code}, 1)]


async def test_a_request_that_outlives_its_call_stays_below_it_and_its_heir_names_it(
    recorded: Recorded,
) -> None:
    held = Held()
    async with connect(transport=held) as client:
        await abandon(client, held, {"prompt": "x"})
        await anyio.wait_all_tasks_blocked()
        (left,) = recorded.spans("tools/call generate_image")
        assert not recorded.spans("POST")
        held.let_go.set()
        again = await client.call_tool("generate_image", {"prompt": "x"})
    heir = recorded.spans("tools/call generate_image")[1]
    post = recorded.one("POST")
    assert parent_of(post, recorded.everything) is left
    assert of(left)["seedream.outcome"] == "cancelled"
    assert left.status.is_unset
    assert of(post)["seedream.images.made"] == 1
    assert of(heir)["seedream.recovered"] is True
    assert of(heir)["seedream.generation.id"] == of(post)["seedream.generation.id"]
    assert of(heir)["seedream.generation.id"] == again.structured_content["generation_id"]
    assert recorded.figures()["seedream.images"][0][1] == 1


async def test_a_request_given_up_at_the_end_says_so(recorded: Recorded) -> None:
    held = Held()
    async with connect(transport=held, SEEDREAM_DRAIN_SECONDS="0") as client:
        await abandon(client, held, {"prompt": "x"})
    assert of(recorded.one("POST"))["seedream.cancelled"] is True
    figures = recorded.figures()
    assert figures["seedream.upstream.duration"] == [({"error.type": "cancelled"}, 1)]
    assert figures["seedream.calls"][0][0]["seedream.outcome"] == "cancelled"


async def test_a_fault_of_ours_is_told_by_its_kind_alone(recorded: Recorded) -> None:
    class Broken(Tools):
        async def _list(self, **_: Any) -> Any:
            raise ZeroDivisionError(PROMPT)

    async with Generations(make_settings(), sleep=no_sleep) as generations:
        server = SeedreamServer(generations, Broken(generations))
        async with Client(server, mode="legacy") as client:
            await client.call_tool("list_images", {})
            with pytest.raises(MCPError):
                await client.read_resource(f"seedream://{PROMPT.replace(' ', '-')}")
    assert of(recorded.one("tools/call list_images"))["error.type"] == Internal.code
    read = recorded.one("resources/read")
    assert of(read) == {"mcp.method.name": "resources/read", "error.type": "-32602"}
    assert (read.status.description, read.events) == (None, ())


def test_an_exception_that_leaves_a_call_or_request_counts_too(recorded: Recorded) -> None:
    with pytest.raises(ZeroDivisionError), telemetry.serving("tools/call", None):
        with telemetry.calling("list_images"):
            raise ZeroDivisionError(PROMPT)
    with pytest.raises(ZeroDivisionError), telemetry.posting(a_generation()):
        raise ZeroDivisionError(PROMPT)
    for span in recorded.spans():
        assert of(span)["error.type"] == "ZeroDivisionError"
    assert recorded.figures()["seedream.errors"] == [({"error.type": "ZeroDivisionError"}, 1)]
    telemetry.ended("nothing")  # outside of any call


async def test_a_call_that_asks_the_person_first_is_told_from_one_that_is_answered(
    recorded: Recorded,
) -> None:
    transport, _ = answering(pictures())
    async with Generations(
        make_settings(SEEDREAM_CONFIRM_ABOVE="0"), transport=transport, sleep=no_sleep
    ) as generations:
        server = SeedreamServer(generations)
        async with Client(server, mode="2026-07-28", elicitation_callback=agree) as client:
            await client.call_tool("generate_image", {"prompt": "x"})
    outcomes = [of(span)["seedream.outcome"] for span in recorded.spans("tools/call generate_image")]
    assert outcomes == ["input_required", "ok"]


async def test_a_call_whose_http_client_has_left_is_told_as_cancelled(recorded: Recorded) -> None:
    gone = anyio.Event()
    gone.set()
    request = SimpleNamespace(scope={"mcp_server.gone": gone, "path": "/mcp"})
    context: Any = SimpleNamespace(request_context=SimpleNamespace(request=request))
    with telemetry.serving("tools/call", None), telemetry.calling("generate_image"):
        work: Any = anyio.sleep_forever()
        await _while_heard(context, work)
    assert of(recorded.one("tools/call generate_image"))["seedream.outcome"] == "cancelled"


async def test_downloads_stand_below_what_they_are_for_and_tell_no_link(
    recorded: Recorded, emulator: Emulator, tmp_path: Path
) -> None:
    async with connect(NOVITA_BASE_URL=emulator.url, SEEDREAM_SAVE_DIR=str(tmp_path)) as client:
        saved = await client.call_tool("generate_image", {"prompt": "x"})
        (download,) = recorded.spans("GET")
        assert parent_of(download, recorded.everything) is recorded.one("tools/call generate_image")
    recorded.clear()
    async with connect(NOVITA_BASE_URL=emulator.url) as client:
        made = await client.call_tool("generate_image", {"prompt": "x", "preview": True})
        await client.read_resource(f"seedream://generations/{made.structured_content['generation_id']}/1")
    preview, read = recorded.spans("GET")
    assert parent_of(preview, recorded.everything) is recorded.one("tools/call generate_image")
    assert parent_of(read, recorded.everything) is recorded.one("resources/read")
    for span in (download, preview, read):
        assert of(span) == {
            "http.request.method": "GET",
            "server.address": "127.0.0.1",
            "http.response.status_code": 200,
        }
    for result in (saved, made):
        link = result.structured_content["images"][0]["url"]
        assert not [span for span in recorded.spans() if link.rpartition("/")[2] in span.to_json()]


async def test_a_download_that_fails_says_what_the_host_answered(recorded: Recorded) -> None:
    transport, _ = answering(pictures("https://cdn.example.com/a?sig=1", "https://[odd"), httpx.Response(403))
    async with connect(transport=transport) as client:
        result = await client.call_tool("generate_image", {"prompt": "x", "preview": True, **BATCH})
    assert not result.is_error
    by_host = {of(span).get("server.address"): span for span in recorded.spans("GET")}
    assert of(by_host["cdn.example.com"])["http.response.status_code"] == 403
    assert of(by_host["cdn.example.com"])["error.type"] == "PictureError"


@pytest.mark.parametrize(
    "meta", [None, {}, {"traceparent": 5}, {"traceparent": f"{KEY}"}, {"tracestate": KEY}]
)
def test_what_a_client_says_of_its_own_trace_can_do_no_harm(
    recorded: Recorded, meta: dict[str, Any] | None
) -> None:
    with telemetry.serving(KEY, meta):
        pass
    (span,) = recorded.spans()
    assert (span.name, span.parent) == ("other", None)
    assert KEY not in span.to_json()


def test_a_clients_tracestate_is_left_out(recorded: Recorded) -> None:
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with telemetry.serving(
        "ping", {"traceparent": parent, "tracestate": f"vendor={KEY}", "baggage": f"a={KEY}"}
    ):
        pass
    span = recorded.one("ping")
    assert span.context is not None
    assert f"{span.context.trace_id:x}" in parent
    assert not span.context.trace_state


async def test_nothing_secret_is_in_any_span_or_metric(recorded: Recorded, emulator: Emulator) -> None:
    picture, other = data_uri(image_bytes(64, 64)), data_uri(b"no picture, and a secret all the same" * 5)
    for status in (400, 401, 429, 500, 503):
        emulator.app.faults.add(
            fault(status=status, message=f"Bearer {KEY} {KEY} {picture} {PROMPT}", retry_after="9999")
        )
    emulator.app.faults.add(fault(body=KEY))
    emulator.app.faults.add(fault(drop="after_body"))
    async with connect(NOVITA_BASE_URL=emulator.url) as client:
        recorded.clear()
        for _ in range(8):
            await client.call_tool("edit_image", {"prompt": PROMPT, "images": [picture], "preview": True})
        await client.call_tool("edit_image", {"prompt": PROMPT, "images": [other]})
        await client.call_tool("generate_image", {"prompt": PROMPT, "size": KEY})
        await client.call_tool("generate_image", {"prompt": PROMPT, picture: 1})
        await client.call_tool(picture, {"prompt": PROMPT})
        with pytest.raises(MCPError):
            await client.read_resource(f"seedream://{KEY}")
    spans = recorded.spans()
    assert len([span for span in spans if span.name.startswith("tools/call")]) == 12
    assert {of(span)["seedream.outcome"] for span in spans if span.name.startswith("tools/call")} > {
        "ok",
        "authentication",
        "outcome_unknown",
        "rate_limited",
        "image_unusable",
    }
    told = "".join(span.to_json() for span in spans) + str(recorded.figures())
    for secret in (KEY, PROMPT, "fox", picture[30:60], other[30:60], "?", "Traceback"):
        assert secret not in told


async def test_the_sdks_own_spans_of_requests_are_gone(recorded: Recorded) -> None:
    """They tell a tool's name and an error's text as the client sent them."""
    transport, _ = answering(pictures())
    async with connect(transport=transport) as client:
        await client.call_tool("generate_image", {"prompt": "x"})
        await client.call_tool(KEY, {})
    servers = [span for span in recorded.everything if span.kind is SpanKind.SERVER]
    assert len(servers) >= 3
    assert {span.instrumentation_scope and span.instrumentation_scope.name for span in servers} == {SCOPE}
