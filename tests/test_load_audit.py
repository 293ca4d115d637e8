"""The audit of the load test finds what it is there to find."""

from benchmarks.load.audit import Audit, audit
from benchmarks.load.clients import Call, Intent
from mcp_server.generations import Generation
from tests.conftest import a_generation

LINK = "https://cdn.example.com/a.jpg"


def intent(*ends: str, url: str | None = None) -> Intent:
    calls = [Call(float(start), start + 1.0, end) for start, end in enumerate(ends)]
    return Intent("x", "ann", "lean", calls, url)


def made(status: str = "succeeded", **fields: object) -> Generation:
    return a_generation(status=status, urls=(LINK,) if status == "succeeded" else (), **fields)


def look(images: int, rows: list[Generation], wanted: Intent, killed_at: float = 99.0) -> Audit:
    return audit({"x": images} if images else {}, rows, [wanted], killed_at)


def test_it_holds_where_every_bill_has_its_row_and_its_picture() -> None:
    assert look(1, [made()], intent("result", url=LINK)).holds
    assert look(1, [made("failed"), made()], intent("rate_limited", "result", url=LINK)).holds


def test_it_holds_where_the_client_was_told_that_nobody_can_know() -> None:
    for images in (0, 1):
        assert look(images, [made("unknown")], intent("outcome_unknown")).holds


def test_a_bill_without_a_row_is_found() -> None:
    found = look(1, [made("failed")], intent("outcome_unknown"))
    assert (found.billed, found.on_record, found.unrecorded) == (1, 0, ["x"])
    assert not found.holds


def test_a_row_without_a_bill_is_found() -> None:
    assert look(0, [made()], intent("result", url=LINK)).unbilled == ["x"]


def test_a_second_bill_is_found_whatever_the_ledger_says() -> None:
    found = look(2, [made("unknown"), made()], intent("lost: HTTP 502", "result", url=LINK), killed_at=0.5)
    assert found.twice == found.struck == ["x"]
    assert not found.struck_and_unknown
    assert not found.holds


def test_a_picture_that_its_client_never_got_is_lost_even_if_it_was_told_that_nobody_can_know() -> None:
    assert look(1, [made()], intent("outcome_unknown")).lost == ["x"]
    assert look(1, [made("unknown")], intent("content_rejected")).lost == ["x"]


def test_a_link_that_is_on_no_row_is_lost() -> None:
    assert look(1, [made("unknown")], intent("result", url=LINK)).lost == ["x"]


def test_what_has_come_to_no_end_is_found() -> None:
    found = look(0, [made("pending")], intent("lost: HTTP 502"))
    assert (found.pending, found.open) == (["x"], ["x"])
    assert look(0, [], intent("upstream_unavailable")).open == ["x"]
