"""What the ledger costs a call: its row before the request, its outcome, the count of the day. Median.

Each is a transaction of the SQLite file that is synced to the disk, as the server has it.
"""

import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import anyio

from mcp_server.generations.generation import Generation
from mcp_server.generations.ledger import Terms, day_of
from mcp_server.generations.stores import open_ledger

CALLS = 1_000
TARGET = 3.0  # ms


async def _run(folder: Path) -> None:
    ledger = open_ledger(f"sqlite://{folder / 'ledger.db'}", "bench", lambda: datetime.now(UTC))
    terms = Terms(per_minute=10**6, per_day=10**6)
    taken = []
    for number in range(CALLS):
        now = datetime.now(UTC)
        wanted = Generation(
            id=f"{number:x}",
            caller="local",
            fingerprint=f"{number % 100:x}",
            owner="bench",
            waiter="bench",
            model="seedream-4.0",
            prompt="a lighthouse",
            requested={"prompt": "a lighthouse", "size": "2048x2048"},
            emulated=False,
            most=1,
            counted=1,
            created=now,
        )
        started = time.perf_counter()
        await ledger.begin(wanted, terms)
        await ledger.update(
            wanted.id, status="succeeded", urls=("https://cdn.example.com/a",), ended=now, pictures={}
        )
        await ledger.images_since("local", day_of(now), emulated=False)
        taken.append(time.perf_counter() - started)
        await ledger.update(wanted.id, delivered=True)  # beside the call: nobody waits for it
    await ledger.close()
    print(f"the ledger, per call: {statistics.median(taken) * 1000:.2f} ms (target {TARGET:.2f})")


def main() -> None:
    """Run it in a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        anyio.run(_run, Path(folder))


if __name__ == "__main__":
    main()
