"""The emulator, which here also tells at `/billed` how many images each prompt has been billed for.

Its own record is of the last requests only. Prints its URL.
"""

import argparse
from collections import Counter

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from mcp_server.emulator import Emulator
from mcp_server.emulator.faults import Fault
from mcp_server.emulator.store import Record, Store

KINDS: tuple[dict[str, object], ...] = (
    {"status": 429, "reason": "RATE_LIMIT_EXCEEDED", "retry_after": "1"},
    {"status": 503, "reason": "SERVICE_NOT_AVAILABLE"},
    {"status": 500, "reason": "TASK_FAILED", "billed": True},
    {"drop": "before_body"},
    {"drop": "mid_reply", "billed": True},
)
"""What goes wrong, in equal parts: surely not billed twice, billed without a word, neither, billed half."""


class BillingStore(Store):
    """A store that remembers every bill."""

    def __init__(self, link_seconds: float) -> None:
        super().__init__(link_seconds)
        self.billed: Counter[str] = Counter()

    def bill(self, record: Record, images: int) -> None:
        """Count them for the prompt, too."""
        super().bill(record, images)
        if record.wanted:
            self.billed[record.wanted.prompt] += images


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latency", type=float, required=True)
    parser.add_argument("--faults", type=float, required=True)
    arguments = parser.parse_args()
    share = arguments.faults / len(KINDS)
    faults = [Fault.model_validate({**kind, "share": share}) for kind in KINDS] if share else []
    emulator = Emulator(latency=arguments.latency, faults=faults)
    emulator.app.store = store = BillingStore(link_seconds=86_400.0)

    async def billed(_request: Request) -> JSONResponse:
        return JSONResponse({"requests": store.requests, "billed": store.billed})

    emulator.app.asgi.routes.append(Route("/billed", billed))
    print(f"listening on {emulator.url}", flush=True)
    emulator.run()


if __name__ == "__main__":
    main()
