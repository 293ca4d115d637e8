"""Traces and metrics leave the process as the standard variables say, and never at its cost."""

import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from mcp_server import __version__
from mcp_server.sockets import listen
from mcp_server.telemetry import export
from tests.conftest import INITIALIZE, child_environment, running
from tests.test_telemetry import agree

pytestmark = pytest.mark.anyio

BOUND_SECONDS = 8.0
"""Far more than the flush may take on a busy machine, and less than an exporter takes to give up (10 s)."""

MOST_LINES = 4
"""On stderr in ten minutes: attempts and failures, of traces and of metrics."""

CALL = {
    "jsonrpc": "2.0",
    "id": 2,
    "method": "tools/call",
    "params": {"name": "generate_image", "arguments": {"prompt": "x", "size": "1K"}},
}


class Collector(ThreadingHTTPServer):
    """An OTLP receiver. Keeps what comes, and answers with `status`; with 0, never."""

    daemon_threads = True

    def __init__(self, status: int = 200) -> None:
        super().__init__(("127.0.0.1", 0), _Receive)
        self.status = status
        self.traces = ExportTraceServiceRequest()
        self.metrics = ExportMetricsServiceRequest()
        self.asked = 0
        self.end = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def spans(self) -> dict[str, Any]:
        return {
            span.name: span
            for resource in self.traces.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        }

    def scopes(self) -> set[str]:
        return {scope.scope.name for one in self.traces.resource_spans for scope in one.scope_spans}

    def metric_names(self) -> set[str]:
        return {
            metric.name
            for resource in self.metrics.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def resource(self) -> dict[str, str]:
        (first, *_) = self.traces.resource_spans
        return {pair.key: pair.value.string_value for pair in first.resource.attributes}


class _Receive(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.asked += 1
        if self.server.status == 0:
            self.server.end.wait()
            return
        if self.path == "/v1/traces":
            self.server.traces.MergeFromString(body)
        elif self.path == "/v1/metrics":
            self.server.metrics.MergeFromString(body)
        self.send_response(self.server.status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def collecting(status: int = 200) -> Iterator[Collector]:
    with Collector(status) as collector:
        thread = threading.Thread(target=collector.serve_forever)
        thread.start()
        try:
            yield collector
        finally:
            collector.end.set()
            collector.shutdown()
            thread.join()


def serve_once(
    *command: str, messages: tuple[object, ...] = (INITIALIZE, CALL), **variables: str
) -> tuple[subprocess.CompletedProcess[str], float]:
    """A server over stdio that gets the messages and then the end; and how long it took after that."""
    process = subprocess.Popen(
        [sys.executable, *(command or ("-m", "mcp_server"))],
        env=child_environment(SEEDREAM_EMULATOR="1", **variables),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    lines = []
    for message in messages:
        process.stdin.write(json.dumps(message) + "\n")
        process.stdin.flush()
        lines.append(process.stdout.readline())
    started = time.monotonic()
    rest, errors = process.communicate(timeout=60)
    took = time.monotonic() - started
    return subprocess.CompletedProcess("", process.returncode, "".join(lines) + rest, errors), took


def assert_served(done: subprocess.CompletedProcess[str]) -> None:
    """Both messages were answered, and stdout holds nothing else."""
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["id"] for answer in answers] == [1, 2]
    assert answers[1]["result"]["structuredContent"]["status"] == "succeeded"
    assert done.returncode == 0
    assert "Traceback" not in done.stderr


async def test_a_server_over_stdio_exports_to_a_collector() -> None:
    with collecting() as collector:
        environment = child_environment(
            SEEDREAM_EMULATOR="1",
            SEEDREAM_CONFIRM_ABOVE="0",  # the SDK has a span for asking, which is left out
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
            OTEL_RESOURCE_ATTRIBUTES="deployment.environment=test",
        )
        parameters = StdioServerParameters(command=sys.executable, args=["-m", "mcp_server"], env=environment)
        async with Client(stdio_client(parameters), mode="legacy", elicitation_callback=agree) as client:
            result = await client.call_tool("generate_image", {"prompt": "x", "size": "1K"})
            assert not result.is_error
        spans = collector.spans()
    assert {"initialize", "tools/call generate_image", "POST"} <= set(spans)
    assert spans["POST"].parent_span_id == spans["tools/call generate_image"].span_id
    assert collector.scopes() == {"mcp_server"}
    assert {"seedream.calls", "seedream.images", "seedream.upstream.duration"} <= collector.metric_names()
    resource = collector.resource()
    assert resource["service.name"] == "mcp-server-seedream"
    assert resource["service.version"] == __version__
    assert resource["service.instance.id"]
    assert resource["deployment.environment"] == "test"


async def test_a_server_over_http_exports_only_what_is_asked_for_under_the_name_given() -> None:
    with collecting() as collector:
        with running(
            *("serve", "--transport", "http", "--port", "0"),
            wait_for="listening on",
            SEEDREAM_EMULATOR="1",
            OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"{collector.url}/v1/traces",
            OTEL_SERVICE_NAME="pictures",
        ) as (url, process):
            async with Client(url) as client:
                await client.call_tool("generate_image", {"prompt": "x", "size": "1K"})
            process.terminate()
            process.wait(15)
        assert "tools/call generate_image" in collector.spans()
        assert collector.resource()["service.name"] == "pictures"
        assert not collector.metric_names()


def test_a_collector_that_is_not_there_costs_no_call_little_time_and_few_lines() -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
    done, took = serve_once(
        OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}", OTEL_BSP_SCHEDULE_DELAY="10"
    )
    assert_served(done)
    assert took < BOUND_SECONDS
    assert 1 <= done.stderr.count("OpenTelemetry: ") <= MOST_LINES
    assert len(done.stderr.splitlines()) <= MOST_LINES


@pytest.mark.parametrize("status", [0, 401, 503], ids=["hangs", "refuses", "is busy"])
def test_a_collector_that_does_not_take_it_does_not_hold_up_the_end(status: int) -> None:
    with collecting(status) as collector:
        done, took = serve_once(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url)
        assert collector.asked
    assert_served(done)
    assert took < BOUND_SECONDS
    assert bool(done.stderr) == bool(status)
    assert len(done.stderr.splitlines()) <= MOST_LINES


def test_a_signal_ends_a_server_over_http_whose_collector_hangs() -> None:
    with collecting(0) as collector:
        arguments = ("serve", "--transport", "http", "--port", "0")
        variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
        with running(*arguments, wait_for="listening on", **variables) as (_, process):
            started = time.monotonic()
            process.terminate()
            assert process.wait(30) in (0, -15)
            assert time.monotonic() - started < BOUND_SECONDS


def test_the_console_is_stderr() -> None:
    done, _ = serve_once(OTEL_TRACES_EXPORTER="console", OTEL_METRICS_EXPORTER="console")
    assert_served(done)
    assert "tools/call generate_image" in done.stderr
    assert "seedream.calls" in done.stderr


def test_without_the_extra_one_line_says_how_to_install_it() -> None:
    code = (
        "import sys; sys.modules['opentelemetry.sdk'] = None; sys.argv[1:] = [];"
        "from mcp_server.cli import main; sys.exit(main())"
    )
    done, _ = serve_once("-c", code, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9")
    assert_served(done)
    (line,) = [line for line in done.stderr.splitlines() if "WARNING" in line]
    assert line.endswith("pip install 'mcp-server-seedream[otel]'")


def test_a_wrong_variable_is_one_line_and_the_server_goes_on() -> None:
    done, _ = serve_once(OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9", OTEL_BSP_MAX_QUEUE_SIZE="0")
    assert_served(done)
    assert "can't be exported" in done.stderr


def test_where_nothing_is_asked_for_the_sdk_is_not_even_imported() -> None:
    code = (
        "import sys; from mcp_server.cli import main; main(['serve']);"
        "print([name for name in sys.modules if name.startswith(('opentelemetry.sdk', 'opentelemetry.exp'))],"
        " file=sys.stderr)"
    )
    done, _ = serve_once("-c", code, messages=(INITIALIZE,))
    assert done.stderr.splitlines()[-1] == "[]"


ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}


@pytest.mark.parametrize(
    ("environ", "found"),
    [
        ({}, {}),
        (ENDPOINT, {"TRACES": {"otlp"}, "METRICS": {"otlp"}}),
        (ENDPOINT | {"OTEL_SDK_DISABLED": "True"}, {}),
        (ENDPOINT | {"OTEL_METRICS_EXPORTER": "none"}, {"TRACES": {"otlp"}}),
        (ENDPOINT | {"OTEL_TRACES_EXPORTER": " ", "OTEL_METRICS_EXPORTER": "none"}, {"TRACES": {"otlp"}}),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://127.0.0.1:9"}, {"METRICS": {"otlp"}}),
        ({"OTEL_TRACES_EXPORTER": "console, otlp"}, {"TRACES": {"console", "otlp"}}),
        (
            ENDPOINT | {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"},
            {"TRACES": {"otlp"}, "METRICS": {"otlp"}},
        ),
    ],
)
def test_the_standard_variables_say_what_is_exported(
    environ: dict[str, str], found: dict[str, set[str]], caplog: pytest.LogCaptureFixture
) -> None:
    assert export.wanted(environ) == found
    assert not caplog.records


@pytest.mark.parametrize(
    ("environ", "found", "said"),
    [
        (ENDPOINT | {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, {}, "only http/protobuf"),
        (
            ENDPOINT | {"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc"},
            {"METRICS": {"otlp"}},
            "only http/protobuf",
        ),
        (
            {"OTEL_TRACES_EXPORTER": "zipkin,console"},
            {"TRACES": {"console"}},
            "OTEL_TRACES_EXPORTER: only otlp, console and none",
        ),
        ({"OTEL_METRICS_EXPORTER": "prometheus"}, {}, "OTEL_METRICS_EXPORTER: only otlp, console and none"),
    ],
)
def test_what_is_not_there_is_said(
    environ: dict[str, str], found: dict[str, set[str]], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert export.wanted(environ) == found
    assert said in caplog.text


def test_what_opentelemetry_logs_is_told_once_and_without_what_may_be_secret(
    caplog: pytest.LogCaptureFixture,
) -> None:
    handler = export._Seldom()
    secret = ValueError("header value: hunter2")
    for name, message, arguments in (
        ("exporter.otlp", "Failed to export %s: %s, %s", ("spans", 401, "Unauthorized")),
        ("exporter.http", "Transient error %s, retrying in %.2fs", (secret, 0.5)),
        ("util.re", "Header format invalid: %s", ("bearer hunter2",)),
    ):
        record = {"name": f"opentelemetry.{name}", "msg": message, "args": arguments}
        for _ in range(2):
            handler.handle(logging.makeLogRecord(record))
    assert [line.split('"')[1] for line in caplog.messages] == [
        "Failed to export spans: 401, Unauthorized",
        "Transient error ValueError, retrying in 0.50s",
        "Header format invalid: %s",
    ]


def test_an_end_that_fails_is_no_failure_and_one_that_hangs_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(export, "FLUSH_SECONDS", 0.05)
    let_go, ran = threading.Event(), threading.Event()

    def broken() -> None:
        ran.set()
        raise ZeroDivisionError

    export._stop([let_go.wait, broken])  # type: ignore[list-item]  # what it gives is not looked at
    let_go.set()
    assert ran.wait(20)
