"""Traces and metrics, by OpenTelemetry's API; without its SDK all of it does nothing.

`spans` has what other modules call, `instruments` the metrics, `export` sets the SDK up, where the standard
variables ask for that. Never in any of it: keys, tokens, image data, links, texts of errors, and without
`SEEDREAM_OTEL_PROMPTS` prompts.
"""

from mcp_server.telemetry.spans import (
    answered,
    asked,
    attempt,
    begun,
    calling,
    downloading,
    ended,
    failed,
    made,
    posting,
    retrying,
    serving,
)

__all__ = [
    "answered",
    "asked",
    "attempt",
    "begun",
    "calling",
    "downloading",
    "ended",
    "failed",
    "made",
    "posting",
    "retrying",
    "serving",
]
