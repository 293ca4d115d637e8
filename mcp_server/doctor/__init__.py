"""`mcp-server-seedream doctor`: what this server finds on this machine, and what to do where it is wrong.

`checks` look, one thing each; `report` says what they found. Nothing is billed, and no secret is shown.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import anyio


def run_doctor(environ: Mapping[str, str], *, as_json: bool) -> int:
    """Print the findings for a server with this environment. Returns the exit code: 1 where one is wrong."""
    from mcp_server.doctor.checks import examine
    from mcp_server.doctor.report import as_table, as_text_json

    report = anyio.run(examine, environ)
    # Into a pipe whose reader may have enough of it, as `head` has.
    with suppress(BrokenPipeError):
        print(as_text_json(report) if as_json else as_table(report), flush=True)
        return 0 if report.well else 1
    with Path(os.devnull).open("wb") as nothing:
        os.dup2(nothing.fileno(), 1)  # or the end of the process would fail at it once more
    return 1
