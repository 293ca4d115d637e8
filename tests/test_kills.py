"""kill -9 at every point of a call: what the ledger knows then, and what the next identical call does."""

import json
import os
import sys
from pathlib import Path

import anyio
import pytest

from mcp_server.emulator import Emulator
from tests.conftest import child_environment

pytestmark = pytest.mark.anyio


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks, to pay for the imports once")
async def test_killed_at_any_point_each_row_is_right_and_nothing_is_paid_twice_unsaid(
    emulator: Emulator, tmp_path: Path
) -> None:
    done = await anyio.run_process(
        [sys.executable, "-m", "tests.dying", emulator.url, str(tmp_path)],
        env=child_environment(NOVITA_API_KEY="", NOVITA_BASE_URL=""),
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()[-2_000:]
    points = [json.loads(line) for line in done.stdout.splitlines()]
    names = [point["point"] for point in points]
    for expected in ("before begin", "after begin", "before POST", "after POST", "before GET", "after GET"):
        assert expected in names
    assert len([name for name in names if "update" in name]) >= 4
    assert "after the result" in names
    assert sum(point["result"]["recovered"] for point in points) >= 4
    for point in points:
        billed = sum(
            record.billed_images > 0
            for record in emulator.app.store._records.values()
            if record.wanted and record.wanted.prompt == point["prompt"]
        )
        earlier, result = point["before"], point["result"]
        where = point["point"]
        statuses = [row["status"] for row in earlier]
        doubts = [warning for warning in result["warnings"] if "may have been billed" in warning]
        if result["recovered"]:
            # It was recorded before the death: paid once.
            assert (statuses, billed, doubts) == (["succeeded"], 1, []), where
        elif statuses == ["unknown"]:
            # Nobody knows, and the next result says so.
            assert len(doubts) == 1, where
            assert billed in (1, 2), where
        elif statuses == ["succeeded"]:
            # It was delivered: the same call again asks for another picture.
            assert where in ("after update abandoned+delivered", "before renew", "after renew"), where
            assert billed == 2, where
        else:
            assert (statuses, billed, doubts) == ([], 1, []), where
            assert where == "before begin"
        if where in ("after POST", "before update status+urls"):
            assert billed == 2, where
        assert result["status"] == "succeeded", where
        assert result["images"][0]["saved_path"], where
        assert not [name for name in point["saved"] if not name.endswith((".jpg", ".part"))], where
