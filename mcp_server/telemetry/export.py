"""The SDK of OpenTelemetry, set up by its standard variables. Its packages come with the extra `otel`."""

import logging
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from mcp_server import __version__
from mcp_server.errors import quote
from mcp_server.telemetry.spans import SCOPE

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace.export import SpanExporter

logger = logging.getLogger(__name__)

FLUSH_SECONDS = 2.0
"""How long the end of the process waits for what is not delivered yet."""

_SILENCE_SECONDS = 600.0
_PROTOCOL = "http/protobuf"
_SIGNALS = ("TRACES", "METRICS")

Stop = Callable[[], None]


@contextmanager
def exporting(environ: Mapping[str, str]) -> Iterator[None]:
    """In the block, export what the standard variables ask for, if they do. Raises nothing of its own.

    At its end, what is left is delivered, if that takes no longer than `FLUSH_SECONDS`.
    """
    stops = _start(environ)
    try:
        yield
    finally:
        _stop(stops)


def wanted(environ: Mapping[str, str]) -> dict[str, set[str]]:
    """The exporters asked for, by signal: `otlp` and `console`.

    An endpoint asks for `otlp`. Unlike in the SDK's own way, nothing is exported where nothing is set.
    """
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return {}
    found = {}
    for signal in _SIGNALS:
        endpoint = environ.get(f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT") or environ.get(
            "OTEL_EXPORTER_OTLP_ENDPOINT"
        )
        text = environ.get(f"OTEL_{signal}_EXPORTER", "").strip() or ("otlp" if endpoint else "none")
        names = {name.strip().lower() for name in text.split(",")} - {"none", ""}
        if unknown := names - {"otlp", "console"}:
            logger.warning("OTEL_%s_EXPORTER: only otlp, console and none are there", signal)
        protocol = environ.get(f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL") or environ.get(
            "OTEL_EXPORTER_OTLP_PROTOCOL"
        )
        if "otlp" in names and protocol and protocol.strip() != _PROTOCOL:
            logger.warning(
                "OTEL_EXPORTER_OTLP_PROTOCOL: only %s is there, usually at port 4318; no %s are exported",
                _PROTOCOL,
                signal.lower(),
            )
            names.discard("otlp")
        if names := names - unknown:
            found[signal] = names
    return found


def _start(environ: Mapping[str, str]) -> list[Stop]:
    exporters = wanted(environ)
    if not exporters:
        return []
    stops: list[Stop] = []
    _tell_seldom()
    try:
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource

        ours = {
            "service.name": "mcp-server-seedream",
            "service.version": __version__,
            "service.instance.id": str(uuid.uuid4()),  # replicas count for themselves
        }
        resource = Resource.create(ours).merge(OTELResourceDetector().detect())
        for signal, names in exporters.items():
            stops.append((_trace if signal == "TRACES" else _measure)(resource, names))
    except ImportError:
        logger.warning(
            "OTEL_ variables ask for traces or metrics, and what exports them is not installed: "
            "pip install 'mcp-server-seedream[otel]'"
        )
    except Exception as error:  # noqa: BLE001 - a wrong variable must not keep the server from its work
        logger.warning("traces or metrics can't be exported: %s", quote(str(error)))
    return stops


def _trace(resource: "Resource", names: set[str]) -> Stop:
    from opentelemetry import trace
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter

    class OurSpans(BatchSpanProcessor):
        """Leaves out the SDK's spans, which may hold texts of clients."""

        def on_end(self, span: ReadableSpan) -> None:
            if span.instrumentation_scope and span.instrumentation_scope.name == SCOPE:
                super().on_end(span)

    exporters: list[SpanExporter] = []
    if "otlp" in names:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        exporters.append(OTLPSpanExporter())
    if "console" in names:
        exporters.append(ConsoleSpanExporter(out=sys.stderr))  # stdout belongs to the protocol
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    for exporter in exporters:
        provider.add_span_processor(OurSpans(exporter))
    trace.set_tracer_provider(provider)
    return provider.shutdown


def _measure(resource: "Resource", names: set[str]) -> Stop:
    from opentelemetry import metrics
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, PeriodicExportingMetricReader

    exporters: list[MetricExporter] = []
    if "otlp" in names:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

        exporters.append(OTLPMetricExporter())
    if "console" in names:
        exporters.append(ConsoleMetricExporter(out=sys.stderr))
    readers = [PeriodicExportingMetricReader(exporter) for exporter in exporters]
    provider = MeterProvider(readers, resource, shutdown_on_exit=False)
    metrics.set_meter_provider(provider)
    return provider.shutdown


def _stop(stops: list[Stop]) -> None:
    """Flush all at once: what is slow about one must not cost the other's time."""

    def run(stop: Stop) -> None:
        with suppress(Exception):
            stop()

    # Daemons: a collector that does not answer can't hold the process.
    threads = [threading.Thread(target=run, args=(stop,), daemon=True) for stop in stops]
    until = time.monotonic() + FLUSH_SECONDS
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))


class _Seldom(logging.Handler):
    """Passes on what OpenTelemetry logs, of each kind one line in 10 minutes: it logs each failed attempt."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._silent_until: dict[tuple[str, int], float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        kind, now = (record.name, record.levelno), time.monotonic()
        if now < self._silent_until.get(kind, 0.0):
            return
        self._silent_until[kind] = now + _SILENCE_SECONDS
        logger.warning("OpenTelemetry: %s (its like is left out for 10 minutes)", quote(_told(record)))


def _told(record: logging.LogRecord) -> str:
    """What a line of OpenTelemetry's says, without what may be secret: a header, an exception's text."""
    if not record.name.startswith("opentelemetry.exporter.") or not isinstance(record.args, tuple):
        return str(record.msg)
    return str(record.msg) % tuple(
        type(one).__name__ if isinstance(one, Exception) else one for one in record.args
    )


def _tell_seldom() -> None:
    theirs = logging.getLogger("opentelemetry")
    theirs.propagate = False
    theirs.handlers = [_Seldom()]
