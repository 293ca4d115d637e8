"""deploy/: files that agree with each other and with the program."""

import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio
import yaml
from redis.exceptions import NoPermissionError

from benchmarks.load.world import free_port, program
from mcp_server.environment import IN_FILES
from mcp_server.generations.ledger import Terms
from mcp_server.generations.stores import open_ledger
from mcp_server.http.bodies import LARGEST_BODY
from mcp_server.settings import Settings
from tests.conftest import a_generation

DEPLOY = Path(__file__).parents[1] / "deploy"
FILES = sorted(path for path in DEPLOY.rglob("*") if path.is_file() and "secrets" not in path.parts)
CONF = (DEPLOY / "nginx.conf").read_text("utf-8")


def test_nginx_takes_what_a_replica_takes_and_waits_longer_than_the_longest_batch() -> None:
    largest = re.search(r"client_max_body_size (\d+)m", CONF)
    assert largest
    assert int(largest[1]) * 1024**2 >= LARGEST_BODY
    minutes = re.search(r"proxy_read_timeout (\d+)m", CONF)
    assert minutes
    longest = Settings.model_fields["timeout_seconds"].default + 40 * 14
    assert int(minutes[1]) * 60 > longest


def documents(name: str) -> list[Any]:
    return list(yaml.safe_load_all((DEPLOY / name).read_text("utf-8")))


def of_kind(kind: str, name: str = "kubernetes/replicas.yaml") -> Any:
    return next(one for one in documents(name) if one["kind"] == kind)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(DEPLOY)))
def test_every_setting_that_a_file_names_is_one(path: Path) -> None:
    known = {field.alias for field in Settings.model_fields.values()} | {f"{name}_FILE" for name in IN_FILES}
    named = set(re.findall(r"\b(?:SEEDREAM|NOVITA)_[A-Z0-9_]*[A-Z0-9]", path.read_text("utf-8")))
    assert named <= known


@pytest.mark.parametrize(
    "path", [path for path in FILES if path.suffix == ".yaml"], ids=lambda path: path.name
)
def test_every_yaml_file_can_be_read(path: Path) -> None:
    assert all(documents(str(path.relative_to(DEPLOY))))


def test_a_composed_replica_may_drain_before_it_is_killed_and_writes_nowhere_else() -> None:
    services = documents("compose.yaml")[0]["services"]
    for name in ("seedream-1", "seedream-2"):
        one = services[name]
        assert seconds(one["stop_grace_period"]) > float(one["environment"]["SEEDREAM_DRAIN_SECONDS"])
    for one in services.values():
        assert one["read_only"]
        assert one["cap_drop"] == ["ALL"]
        assert "no-new-privileges:true" in one["security_opt"]
    assert set(re.findall(r"server (seedream-\d):", CONF)) == {
        name for name in services if "seedream" in name
    }


def test_a_pod_may_drain_before_it_is_killed() -> None:
    pod = of_kind("Deployment")["spec"]["template"]["spec"]
    [server] = pod["containers"]
    environment = {one["name"]: one["value"] for one in server["env"]}
    slept = re.search(r"sleep\((\d+)\)", server["lifecycle"]["preStop"]["exec"]["command"][-1])
    assert slept
    needed = int(slept[1]) + float(environment["SEEDREAM_DRAIN_SECONDS"])
    assert pod["terminationGracePeriodSeconds"] > needed
    assert server["securityContext"]["readOnlyRootFilesystem"]
    assert pod["securityContext"]["runAsNonRoot"]


def test_ports_paths_and_the_user_are_the_same_everywhere() -> None:
    image = (DEPLOY / "Dockerfile").read_text("utf-8")
    pod = of_kind("Deployment")["spec"]["template"]["spec"]
    [server] = pod["containers"]
    assert {port["containerPort"] for port in server["ports"]} == {8000}
    assert set(re.findall(r"server seedream-\d:(\d+)", CONF)) == {"8000"}
    assert "EXPOSE 8000" in image
    assert '"--port", "8000"' in image
    assert "http://127.0.0.1:8000/healthz" in image
    assert f"USER {pod['securityContext']['runAsUser']}:" in image
    probes = {name: server[name]["httpGet"]["path"] for name in server if name.endswith("Probe")}
    assert probes == {"startupProbe": "/healthz", "readinessProbe": "/readyz", "livenessProbe": "/healthz"}
    labels = of_kind("Deployment")["spec"]["template"]["metadata"]["labels"]
    assert of_kind("Service")["spec"]["selector"] == labels
    assert of_kind("PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == labels


def test_valkey_is_configured_alike_in_both() -> None:
    inside = of_kind("ConfigMap", "kubernetes/valkey.yaml")["data"]["valkey.conf"]
    assert directives(inside) == directives((DEPLOY / "valkey.conf").read_text("utf-8"))


def test_the_pins_of_the_image_are_among_those_of_the_tests() -> None:
    tested = pins(DEPLOY.parent / "requirements.txt")
    image = pins(DEPLOY / "requirements.txt")
    assert image.items() | pins(DEPLOY / "requirements.build.txt").items() <= tested.items()
    assert {"mcp", "httpx", "redis", "opentelemetry-sdk"} <= image.keys()
    assert not {"pytest", "ruff"} & image.keys()


@contextmanager
def valkey(folder: Path, users: str) -> Iterator[int]:
    """Valkey with the configuration of deploy/ and these users; its port."""
    try:
        found = program("valkey-server", "redis-server")
    except FileNotFoundError:
        pytest.skip("NOT TESTED: there is no redis-server or valkey-server on this machine")
    (folder / "users").write_text(users, "utf-8")
    port = free_port()
    text = (DEPLOY / "valkey.conf").read_text("utf-8")
    changes = {
        "/run/secrets/valkey_users": folder / "users",
        "/data": folder,
        "6379": port,
        "* -::*": "127.0.0.1",
    }
    for before, after in changes.items():
        text = text.replace(before, str(after))
    (folder / "valkey.conf").write_text(text, "utf-8")
    with subprocess.Popen([found, folder / "valkey.conf"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            assert any("Ready to accept connections" in line for line in process.stdout)
            yield port
        finally:
            process.kill()


@pytest.mark.anyio
async def test_the_users_of_the_example_may_do_what_they_must_and_no_more(tmp_path: Path) -> None:
    secret = of_kind("Secret", "kubernetes/examples/secret.yaml")["stringData"]
    with valkey(tmp_path, secret["valkey_users"]) as port:
        url = secret["store_url"].replace("seedream-valkey:6379", f"127.0.0.1:{port}")
        ledger = open_ledger(url, "a", lambda: datetime.now(UTC))
        await ledger.begin(a_generation(id="1"), Terms(per_minute=9, per_day=9))
        await ledger.renew("a", datetime.now(UTC))
        assert [one.id for one in await ledger.recent("local", 9)] == ["1"]
        assert ledger.trouble is None
        await ledger.close()
        async with redis.asyncio.Redis.from_url(url) as own, own.pubsub() as box:
            await box.subscribe("{seedream}:replicas")
            assert await own.publish("{seedream}:replicas", "news") == 1
            for forbidden in (own.get("another's"), own.config_get(), own.flushall()):
                with pytest.raises(NoPermissionError):
                    await forbidden
        with socket.create_connection(("127.0.0.1", port)) as raw:
            for said, answer in (
                ("PING", "-NOAUTH"),
                ("AUTH health none", "+OK"),
                ("PING", "+PONG"),
                ("GET {seedream}:version", "-NOPERM"),
            ):
                raw.sendall(f"{said}\r\n".encode())
                assert raw.recv(100).decode().startswith(answer)


def seconds(span: str) -> float:
    return float(span.removesuffix("s"))


def directives(text: str) -> list[str]:
    return [line for line in map(str.strip, text.splitlines()) if line and not line.startswith("#")]


def pins(path: Path) -> dict[str, str]:
    """Each package's version, without the platforms that it is for."""
    found = re.findall(r"^([a-z0-9-]+)(?:\[[a-z,]+\])?==([^ ;]+)", path.read_text("utf-8"), re.MULTILINE)
    return dict(found)
