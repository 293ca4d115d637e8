"""The metrics. No attribute of them has more than a handful of values."""

from functools import cache

from opentelemetry import metrics

from mcp_server import __version__
from mcp_server.telemetry.spans import SCOPE

_SECONDS = (0.1, 0.5, 1, 2, 3, 5, 7.5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300, 600)
"""Bounds of the histogram: one image takes 7 to 60 s, a batch minutes."""


class Instruments:
    """The instruments of a process, from the meter provider that is or will be set for it."""

    def __init__(self) -> None:
        meter = metrics.get_meter(SCOPE, __version__)
        self.calls = meter.create_counter("seedream.calls", "{call}", "Calls of tools that have ended")
        self.errors = meter.create_counter("seedream.errors", "{error}", "Calls that failed, by code")
        self.active_calls = meter.create_up_down_counter(
            "seedream.calls.active", "{call}", "Calls of tools in flight"
        )
        self.images = meter.create_counter("seedream.images", "{image}", "Images that the API made")
        self.upstream = meter.create_histogram(
            "seedream.upstream.duration",
            "s",
            "How long the API took for a request, each attempt by itself",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self.active_requests = meter.create_up_down_counter(
            "seedream.upstream.active", "{request}", "Generations whose request is in flight"
        )


@cache
def instruments() -> Instruments:
    """The instruments; made by their first use, since a start has no use for them."""
    return Instruments()
