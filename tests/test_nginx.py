"""nginx as deploy/ configures it, before replicas that misbehave."""

import re
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from mcp import Client
from mcp.client.sse import sse_client

from benchmarks.load.world import free_port, nginx_conf, program
from mcp_server.http.bodies import LARGEST_BODY
from tests.conftest import running

Answer = Callable[[BaseHTTPRequestHandler], None]


class Replica(ThreadingHTTPServer):
    """What stands behind nginx; `seen` are the requests that it got."""

    daemon_threads = True

    def __init__(self, answer: Answer) -> None:
        self.seen: list[tuple[str, dict[str, str], bytes]] = []
        super().__init__(("127.0.0.1", 0), handler(answer, self))

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


def handler(answer: Answer, replica: Replica) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"] or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            replica.seen.append((self.path, headers, body))
            answer(self)

        do_GET = do_POST  # noqa: N815 - as http.server names it

        def log_message(self, *_: object) -> None:
            """Be quiet."""

    return Handler


def say(status: int, body: bytes = b"made") -> Answer:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    return answer


def break_off(request: BaseHTTPRequestHandler) -> None:
    request.close_connection = True


@contextmanager
def replicas(*answers: Answer) -> Iterator[list[Replica]]:
    with ExitStack() as stack:
        found = [stack.enter_context(Replica(answer)) for answer in answers]
        for replica in found:
            threading.Thread(target=replica.serve_forever, args=(0.01,), daemon=True).start()
            stack.callback(replica.shutdown)
        yield found


@contextmanager
def nginx(folder: Path, *addresses: str) -> Iterator[httpx.Client]:
    """A client of nginx with the configuration of deploy/, before these replicas."""
    try:
        found = program("nginx")
    except FileNotFoundError:
        pytest.skip("NOT TESTED: there is no nginx on this machine")
    port = free_port()
    conf = folder / "nginx.conf"
    conf.write_text(nginx_conf(list(addresses), port, folder), "utf-8")
    command = [found, "-c", str(conf), "-e", "stderr", "-g"]
    test = subprocess.run([*command, "user root;", "-t"], capture_output=True, text=True, check=False)
    assert "test is successful" in test.stderr, test.stderr
    with subprocess.Popen([*command, "daemon off; user root;"], stderr=subprocess.DEVNULL) as process:
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
                while True:
                    try:
                        client.get("/")
                        break
                    except httpx.ConnectError:
                        assert process.poll() is None
                yield client
        finally:
            process.terminate()


def test_a_post_that_a_replica_has_read_is_never_sent_to_another(tmp_path: Path) -> None:
    with replicas(break_off, break_off, break_off) as three:
        with nginx(tmp_path, *(one.address for one in three)) as client:
            assert client.post("/mcp", content=b"a paid picture").status_code == 502
        assert sum(len(one.seen) for one in three) == 1


def test_a_replica_that_is_not_there_costs_no_call(tmp_path: Path) -> None:
    with replicas(say(200)) as [there], nginx(tmp_path, f"127.0.0.1:{free_port()}", there.address) as client:
        for _ in range(4):
            assert client.post("/mcp", content=b"x").text == "made"
        assert len(there.seen) == 4


@pytest.mark.anyio
async def test_sse_through_it_reaches_the_session_at_whichever_replica_it_is(
    tmp_path: Path, redis_url: str
) -> None:
    variables = {"SEEDREAM_EMULATOR": "1", "SEEDREAM_STORE_URL": f"{redis_url}/14"}
    arguments = ("serve", "--transport", "http", "--port", "0")
    with ExitStack() as stack:
        urls = [
            stack.enter_context(running(*arguments, wait_for="listening on", **variables))[0] for _ in "ab"
        ]
        addresses = [url.removeprefix("http://").removesuffix("/mcp") for url in urls]
        client = stack.enter_context(nginx(tmp_path, *addresses))
        for _ in range(2):
            async with Client(sse_client(f"{client.base_url}/sse"), mode="legacy") as caller:
                made = await caller.call_tool("generate_image", {"prompt": "x"}, read_timeout_seconds=20)
                assert not made.is_error


def test_a_replica_that_is_ending_passes_a_call_on_whole(tmp_path: Path) -> None:
    body = b"0123456789" * 100_000  # more than is kept in memory
    with replicas(say(503, b"ending"), say(200)) as [ending, other]:
        with nginx(tmp_path, ending.address, other.address) as client:
            for _ in range(4):
                assert client.post("/mcp", content=body).text == "made"
        assert ending.seen
        assert [sent for _, _, sent in other.seen] == [body] * 4


def test_a_second_try_that_breaks_is_the_last(tmp_path: Path) -> None:
    tries = []

    def first_full_then_broken(request: BaseHTTPRequestHandler) -> None:
        tries.append(1)
        (say(503) if len(tries) == 1 else break_off)(request)

    with replicas(first_full_then_broken, first_full_then_broken, first_full_then_broken) as three:
        with nginx(tmp_path, *(one.address for one in three)) as client:
            assert client.post("/mcp", content=b"x").status_code == 502
    assert len(tries) == 2


@pytest.mark.parametrize("path", ["/mcp", "/sse"])
def test_parts_of_a_stream_go_out_as_they_come(tmp_path: Path, path: str) -> None:
    heard = threading.Event()

    def stream(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Type", "text/event-stream")
        request.send_header("Content-Length", "8")
        request.end_headers()
        request.wfile.write(b"one\n")
        assert heard.wait(10)
        request.wfile.write(b"two\n")

    with replicas(stream) as [one], nginx(tmp_path, one.address) as client:
        with client.stream("POST" if path == "/mcp" else "GET", path) as reply:
            parts = reply.iter_bytes()
            assert next(parts) == b"one\n"
            heard.set()
            assert next(parts) == b"two\n"


def test_a_replica_learns_that_a_client_has_left(tmp_path: Path) -> None:
    read, left = threading.Event(), threading.Event()

    def wait(request: BaseHTTPRequestHandler) -> None:
        read.set()
        request.connection.settimeout(10)
        if request.connection.recv(1) == b"":
            left.set()
        request.close_connection = True

    with replicas(wait) as [one], nginx(tmp_path, one.address) as client:
        with socket.create_connection((client.base_url.host, client.base_url.port or 0)) as raw:
            raw.sendall(b"POST /mcp HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx")
            assert read.wait(10)
        assert left.wait(10)


def test_what_a_replica_is_told_of_the_client_is_not_the_clients_to_say(tmp_path: Path) -> None:
    said = {"X-Forwarded-For": "6.6.6.6", "X-Forwarded-Proto": "https", "Forwarded": "for=6.6.6.6"}
    with replicas(say(200)) as [one], nginx(tmp_path, one.address) as client:
        for request_id in ("a-request.1", "bad\tid", None):
            own = {"X-Request-Id": request_id} if request_id else {}
            client.post("/mcp", content=b"x", headers={**said, **own, "Host": "seedream.example.com"})
    first, second, third = (headers for _, headers, _ in one.seen)
    assert first["x-forwarded-for"] == "127.0.0.1"
    assert first["x-forwarded-proto"] == "http"
    assert "forwarded" not in first
    assert first["host"] == first["x-forwarded-host"] == "seedream.example.com"
    assert first["x-request-id"] == "a-request.1"
    assert re.fullmatch(r"[0-9a-f]{32}", second["x-request-id"])
    assert re.fullmatch(r"[0-9a-f]{32}", third["x-request-id"])


def test_only_what_clients_need_is_public(tmp_path: Path) -> None:
    with replicas(say(200)) as [one], nginx(tmp_path, one.address) as client:
        for path in ("/", "/healthz", "/readyz", "/mcp/x", "/metrics"):
            assert client.get(path).status_code == 404
        assert not one.seen
        for path in ("/mcp", "/sse", "/messages/", "/.well-known/oauth-protected-resource/mcp"):
            assert client.get(path).status_code == 200


def test_a_body_larger_than_a_replica_takes_is_refused_before_it_is_sent(tmp_path: Path) -> None:
    with replicas(say(200)) as [one], nginx(tmp_path, one.address) as client:
        head = f"POST /mcp HTTP/1.1\r\nHost: x\r\nContent-Length: {LARGEST_BODY + 2 * 1024**2}\r\n\r\n"
        with socket.create_connection((client.base_url.host, client.base_url.port or 0)) as raw:
            raw.sendall(head.encode())
            assert b" 413 " in raw.recv(100)
        assert not one.seen
