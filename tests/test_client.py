"""The upstream client: every row of the API's error table, what is sent again, and what never is."""

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import anyio
import httpx
import pytest

from mcp_server import errors
from mcp_server.client import SeedreamClient
from mcp_server.client.client import LARGEST_REPLY
from mcp_server.client.failures import from_exception
from mcp_server.client.pool import Pool
from mcp_server.client.retry import ATTEMPTS, LONGEST_WAIT, parse_retry_after, wait_before_retry
from mcp_server.errors import UpstreamError
from mcp_server.limits import SEEDREAM_4_0
from tests.conftest import KEY, answering, connect, no_sleep, pictures, text_of

pytestmark = pytest.mark.anyio

BODY = {"prompt": "x", "size": "2K", "sequential_image_generation": "disabled", "watermark": False}


async def generate(
    transport: httpx.AsyncBaseTransport, images: int = 1, waits: list[float] | None = None
) -> tuple[str, ...]:
    async def sleep(seconds: float) -> None:
        if waits is not None:
            waits.append(seconds)

    client = SeedreamClient(
        "https://api.example.com", KEY, timeout_seconds=180, transport=transport, sleep=sleep
    )
    try:
        return (await client.generate(SEEDREAM_4_0.path, BODY, images)).urls
    finally:
        await client.aclose()


async def failure(*replies: httpx.Response | Exception) -> tuple[UpstreamError, int]:
    """The error that the replies lead to, and how many requests were made."""
    transport, requests = answering(*replies)
    with pytest.raises(UpstreamError) as caught:
        await generate(transport)
    return caught.value, len(requests)


def reply(status: int, reason: str = "", message: str = "said so", **headers: str) -> httpx.Response:
    body = {"code": status, "reason": reason, "message": message, "metadata": {}}
    return httpx.Response(status, json=body, headers=headers)


async def test_the_request_is_the_documented_one() -> None:
    transport, requests = answering(pictures())
    await generate(transport)
    (request,) = requests
    assert (request.method, str(request.url)) == ("POST", "https://api.example.com/v3/seedream-4.0")
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["content-type"] == "application/json"
    assert json.loads(request.content) == BODY


@pytest.mark.parametrize("images", [1, 2, 15])
async def test_the_timeout_grows_with_the_batch(images: int) -> None:
    transport, requests = answering(pictures())
    await generate(transport, images)
    assert requests[0].extensions["timeout"]["read"] == 180 + 40 * (images - 1)
    assert requests[0].extensions["timeout"]["connect"] == 15


TABLE = [
    (400, "INVALID_REQUEST_BODY", errors.UpstreamRejected, 1),
    (400, "INVALID_IMAGE_SIZE", errors.UpstreamRejected, 1),
    (400, "INVALID_IMAGE_FORMAT", errors.UpstreamRejected, 1),
    (400, "IMAGE_FILE_EXCEEDS_MAX_SIZE", errors.UpstreamRejected, 1),
    (400, "IMAGE_EXCEEDS_MAX_RESOLUTION", errors.UpstreamRejected, 1),
    (400, "ILLEGAL_PROMPT", errors.ContentRejected, 1),
    (400, "ILLEGAL_IMAGE_CONTENT", errors.ContentRejected, 1),
    (400, "InputTextSensitiveContentDetected", errors.ContentRejected, 1),
    (400, "InputImageSensitiveContentDetected", errors.ContentRejected, 1),
    (400, "OutputImageSensitiveContentDetected", errors.ContentRejected, 1),
    (400, "OutputImageSensitiveContentDetected.PolicyViolation", errors.ContentRejected, 1),
    (500, "OutputImageSensitiveContentDetected", errors.ContentRejected, 1),
    (400, "BILLING_BALANCE_NOT_ENOUGH", errors.InsufficientBalance, 1),
    (403, "NOT_ENOUGH_BALANCE", errors.InsufficientBalance, 1),
    (403, "BILLING_AUTH_FAILED", errors.InsufficientBalance, 1),
    (402, "", errors.InsufficientBalance, 1),
    (400, "MISSING_API_KEY", errors.Authentication, 1),
    (401, "INVALID_API_KEY", errors.Authentication, 1),
    (403, "FAILED_TO_AUTH", errors.Authentication, 1),
    (401, "", errors.Authentication, 1),
    (403, "API_NOT_ALLOWED", errors.PermissionRequired, 1),
    (403, "FEATURE_NOT_ALLOWED", errors.PermissionRequired, 1),
    (403, "NEED_REAL_NAME_VERIFY", errors.PermissionRequired, 1),
    (403, "model_access_denied", errors.PermissionRequired, 1),
    (403, "", errors.PermissionRequired, 1),
    (404, "API_NOT_FOUND", errors.UpstreamRejected, 1),
    (404, "", errors.UpstreamRejected, 1),
    (301, "", errors.UpstreamRejected, 1),
    (413, "", errors.UpstreamRejected, 1),
    (418, "SOMETHING_NEW", errors.UpstreamRejected, 1),
    (429, "RATE_LIMIT_EXCEEDED", errors.RateLimited, ATTEMPTS),
    (429, "RequestBurstTooFast", errors.RateLimited, ATTEMPTS),
    (429, "ServerOverloaded", errors.RateLimited, ATTEMPTS),
    (429, "", errors.RateLimited, ATTEMPTS),
    (400, "RATE_LIMIT_EXCEEDED", errors.RateLimited, ATTEMPTS),
    (503, "SERVICE_NOT_AVAILABLE", errors.UpstreamUnavailable, ATTEMPTS),
    (503, "", errors.UpstreamUnavailable, ATTEMPTS),
    (500, "BILLING_FAILED", errors.OutcomeUnknown, 1),
    (500, "CREATE_TASK_FAILED", errors.OutcomeUnknown, 1),
    (500, "TASK_FAILED", errors.OutcomeUnknown, 1),
    (503, "TASK_FAILED", errors.OutcomeUnknown, 1),
    (500, "", errors.OutcomeUnknown, 1),
    (502, "", errors.OutcomeUnknown, 1),
    (504, "", errors.OutcomeUnknown, 1),
    (524, "", errors.OutcomeUnknown, 1),
    (408, "", errors.OutcomeUnknown, 1),
    (500, "SERVICE_NOT_AVAILABLE", errors.OutcomeUnknown, 1),  # says retry, but came after the request
]


@pytest.mark.parametrize(("status", "reason", "kind", "requests"), TABLE)
async def test_every_row_of_the_error_table(
    status: int, reason: str, kind: type[UpstreamError], requests: int
) -> None:
    error, made = await failure(reply(status, reason))
    assert type(error) is kind
    assert made == requests
    assert error.billed == ("unknown" if kind is errors.OutcomeUnknown else "no")
    assert f"[{kind.code}]" in error.text()
    assert '"said so"' in error.text()


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"error": {"code": "InvalidParameter", "message": "m"}}, errors.UpstreamRejected),
        ({"error": {"code": "InputTextSensitiveContentDetected", "message": "m"}}, errors.ContentRejected),
        (
            {
                "code": 400,
                "reason": "INVALID_REQUEST_BODY",
                "message": '{"error":{"code":"OutputImageSensitiveContentDetected","message":"m"}}',
            },
            errors.ContentRejected,
        ),
        ({"code": 400, "message": '{"code":"NOT_ENOUGH_BALANCE","message":"m"}'}, errors.InsufficientBalance),
        ({"error": "plain words", "message": "m"}, errors.UpstreamRejected),
        ({"error": '{"error": {"code": "ILLEGAL_PROMPT"}}'}, errors.ContentRejected),
        ({"error": None, "reason": 7, "message": ["m"]}, errors.UpstreamRejected),
        ([], errors.UpstreamRejected),
        ("text", errors.UpstreamRejected),
        (None, errors.UpstreamRejected),
    ],
)
async def test_errors_in_other_shapes_are_understood(body: Any, kind: type[UpstreamError]) -> None:
    error, made = await failure(httpx.Response(400, json=body))
    assert type(error) is kind
    assert made == 1


@pytest.mark.parametrize("content", [b"", b"<html>Bad gateway</html>", b"\xff\xfe\x00", b"[" * 100_000])
async def test_an_error_without_json_is_classified_by_its_status(content: bytes) -> None:
    error, made = await failure(httpx.Response(502, content=content))
    assert type(error) is errors.OutcomeUnknown
    assert made == 1
    assert "html" not in error.text()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>fine</html>",
        b"{}",
        b"[]",
        b"null",
        b'{"images": null}',
        b'{"images": []}',
        b'{"images": [null, 3, {}, "ftp://x/a.png", "javascript:alert(1)", "https://x/a b"]}',
        b'{"images": ["https://x/\\u0000"]}',
        b'{"task_id": "t"}',
        b"[" * 100_000,
        b'{"images": ["https://x/%b"]}' % (b"a" * 10_000),
        b" " * (LARGEST_REPLY + 1),
    ],
)
async def test_a_success_without_a_usable_picture_may_have_been_billed_and_is_not_repeated(
    content: bytes,
) -> None:
    error, made = await failure(httpx.Response(200, content=content))
    assert type(error) is errors.BadUpstreamReply
    assert (error.billed, made) == ("unknown", 1)


@pytest.mark.parametrize("wrap", [lambda url: url, lambda url: {"url": url}, lambda url: {"image_url": url}])
async def test_links_come_back_byte_exact_from_strings_and_objects(wrap: Any) -> None:
    urls = ("https://cdn.example.com/a.jpg?sig=%2F%2b+x%3D&b=~", "https://cdn.example.com/b.jpg?Ü")
    transport, _ = answering(httpx.Response(200, json={"images": [wrap(url) for url in urls]}))
    assert await generate(transport, 2) == urls


async def test_one_bad_link_loses_no_good_one_and_is_told() -> None:
    images = ["https://x/a", 3, "/relative", "https://x/b"]
    transport, _ = answering(httpx.Response(200, json={"images": images}))
    assert await generate(transport, 4) == ("https://x/a", "https://x/b")
    arguments = {"prompt": "x", "sequential_image_generation": "auto", "max_images": 4}
    async with connect(transport=transport) as client:
        result = await client.call_tool("generate_image", arguments)
    assert "2 further items" in text_of(result)
    assert "may be billed" in text_of(result)


async def test_more_pictures_than_asked_for_do_not_flood_the_result() -> None:
    transport, _ = answering(pictures(*(f"https://x/{number}" for number in range(40_000))))
    assert await generate(transport, 15) == tuple(f"https://x/{number}" for number in range(15))


async def test_a_success_that_is_an_error_in_truth_says_what_the_api_said() -> None:
    error, _ = await failure(reply(200, "ILLEGAL_PROMPT", "not this"))
    assert '"not this"' in error.text()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SSL_CERT_FILE", "/nonexistent/ca.pem"),
        ("SSL_CERT_FILE", __file__),
        ("ALL_PROXY", "socks5://127.0.0.1:1"),
        ("HTTPS_PROXY", "foo://bar"),
        ("NO_PROXY", "[::1"),
    ],
)
async def test_a_network_setting_that_cannot_be_used_is_told_by_name(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    async with connect() as client:
        text = text_of(await client.call_tool("generate_image", {"prompt": "x"}))
    assert text.startswith("[not_configured]")
    assert name in text
    assert text.endswith("Billed: no")


def all_subclasses(kind: type[Exception]) -> set[type[Exception]]:
    return {kind} | {below for sub in kind.__subclasses__() for below in all_subclasses(sub)}


NOT_SENT = {
    *(httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError),
    *(httpx.UnsupportedProtocol, httpx.LocalProtocolError),
}


@pytest.mark.parametrize("kind", sorted(all_subclasses(httpx.RequestError), key=repr))
async def test_every_exception_of_httpx_is_mapped(kind: type[httpx.RequestError]) -> None:
    error, made = await failure(kind(f"proxy http://user:{KEY}@proxy failed"))
    if kind in NOT_SENT:
        expected: type[UpstreamError] = errors.UpstreamUnavailable
    elif kind is httpx.DecodingError:
        expected = errors.BadUpstreamReply
    else:
        expected = errors.OutcomeUnknown
    assert type(error) is expected
    assert made == (ATTEMPTS if kind in NOT_SENT else 1)
    assert KEY not in error.text()


async def test_a_request_that_recovers_gives_its_pictures() -> None:
    transport, requests = answering(reply(429), httpx.ConnectError("x"), reply(503), pictures("https://x/a"))
    assert await generate(transport) == ("https://x/a",)
    assert len({request.content for request in requests}) == 1


async def test_retry_after_is_honoured_as_seconds_and_as_a_date() -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=20), usegmt=True)
    transport, _ = answering(
        reply(429, **{"Retry-After": "7"}), reply(503, **{"Retry-After": soon}), pictures()
    )
    waits: list[float] = []
    await generate(transport, waits=waits)
    assert 7 <= waits[0] <= 7.5
    assert 17 <= waits[1] <= 20.5


async def test_a_longer_retry_after_than_hosts_bear_ends_the_call_and_says_when_to_come_back() -> None:
    error, made = await failure(reply(429, **{"Retry-After": "3600"}))
    assert made == 1
    assert "wait 3600 s" in error.text()


@pytest.mark.parametrize("value", [None, "soon", "", "nan", "Mon, 99 Foo 2026 00:00:00 GMT"])
def test_an_unusable_retry_after_is_none(value: str | None) -> None:
    assert parse_retry_after(value, datetime.now(UTC)) is None


@pytest.mark.parametrize(("value", "seconds"), [("-5", 0), ("0", 0), ("1.5", 1.5), ("inf", 86_400 * 365)])
def test_retry_after_is_never_negative_and_never_endless(value: str, seconds: float) -> None:
    assert parse_retry_after(value, datetime.now(UTC)) == seconds


def test_a_date_without_a_zone_is_utc() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert parse_retry_after("Thu, 01 Jan 2026 00:00:09 -0000", now) == 9


def test_the_wait_doubles_is_jittered_and_ends() -> None:
    error = errors.RateLimited("p", "r")
    assert [wait_before_retry(error, attempt, 0.0) for attempt in (1, 2, 3)] == [0.5, 1.0, 2.0]
    assert wait_before_retry(error, 1, 0.5) == 0.75
    assert wait_before_retry(error, ATTEMPTS, 0.0) is None
    assert wait_before_retry(errors.OutcomeUnknown("p", "r"), 1, 0.0) is None
    assert wait_before_retry(errors.RateLimited("p", "r", LONGEST_WAIT), 1, 0.0) == LONGEST_WAIT


class Trickle(httpx.AsyncByteStream):
    """A reply that never ends and never pauses long enough for a read timeout."""

    async def __aiter__(self) -> Any:
        while True:
            yield b" " * 65_536
            await anyio.lowlevel.checkpoint()


async def test_a_reply_that_trickles_without_end_is_cut_off() -> None:
    class Endless(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            return httpx.Response(200, stream=Trickle(), request=request)

    with pytest.raises(errors.BadUpstreamReply):
        await generate(Endless())


def test_a_timeout_of_the_whole_is_an_unknown_outcome() -> None:
    assert type(from_exception(TimeoutError())) is errors.OutcomeUnknown


async def test_what_the_api_says_is_quoted_without_secrets_control_characters_or_image_data() -> None:
    said = f"key {KEY}\x1b[31m\u202e\ndata:image/png;base64,AAAABBBB {'Q' * 900} " + "word " * 500
    error, _ = await failure(reply(400, "INVALID_REQUEST_BODY", said))
    text = error.text()
    assert KEY not in text
    assert "AAAABBBB" not in text
    assert "QQQQ" not in text
    assert len(text) < 800
    assert text.replace("\n", "").isprintable()


async def test_the_client_is_closed_after_use() -> None:
    transport, _ = answering(pictures())
    client = SeedreamClient("https://x", KEY, timeout_seconds=1, transport=transport, sleep=no_sleep)
    await client.aclose()
    with pytest.raises(RuntimeError):
        await client.generate("/", BODY, 1)


async def test_what_runs_at_once_is_spread_over_lots_and_each_is_filled_before_the_next() -> None:
    made: list[httpx.AsyncClient] = []

    def make() -> httpx.AsyncClient:
        made.append(httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(200))))
        return made[-1]

    pool = Pool(make, lot=2)
    async with pool.client() as first, pool.client() as second, pool.client() as third:
        assert [first, second, third] == [made[0], made[0], made[1]]
    async with pool.client() as again:
        assert again is made[0]
    await pool.aclose()
    assert all(client.is_closed for client in made)
