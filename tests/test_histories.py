"""Hundreds of random histories of calls, cancels, kills, endings and faults, in real processes."""

import pytest

from tests.histories import run

pytestmark = pytest.mark.anyio


async def test_whatever_happens_each_picture_is_billed_once_on_record_and_gets_to_whoever_asked() -> None:
    figures = await run(worlds=6, histories=50, seed=1)
    assert not figures.violations, "\n".join(figures.violations)
    assert figures.histories >= 300
    # Or else too little took place for that to mean much.
    assert figures.calls > 450
    assert figures.cancels > 80
    assert figures.kills >= 5
    assert figures.eofs + figures.terms + figures.hangups >= 20
    assert figures.restarts >= 10
    assert figures.faults > 60
    assert figures.recovered > 20
    assert figures.doubts > 10
