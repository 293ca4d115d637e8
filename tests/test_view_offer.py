"""The MCP App is offered to clients that draw views, and only to them."""

import base64
import io
import json
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, MCPError
from mcp.types import BlobResourceContents, TextResourceContents
from PIL import Image

from mcp_server import __version__
from mcp_server.view import URI, _origin, document
from tests.conftest import APPS, answering, host, image_bytes, pictures
from tests.test_pictures import Host, cdn, ok

pytestmark = pytest.mark.anyio

MIME_TYPE = "text/html;profile=mcp-app"
PROMPT = {"prompt": "a lighthouse"}


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_a_host_that_draws_views_is_told_of_one_for_each_tool(mode: str) -> None:
    async with host({"mode": mode, "extensions": [APPS]}) as client:
        tools = (await client.list_tools()).tools
        resources = {str(one.uri): one for one in (await client.list_resources()).resources}
        view = (await client.read_resource(URI)).contents[0]
    assert [(tool.meta or {})["ui"] for tool in tools] == [{"resourceUri": URI}] * 3
    assert resources[URI].mime_type == MIME_TYPE
    assert isinstance(view, TextResourceContents)
    assert view.mime_type == MIME_TYPE
    assert view.text == document()


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_a_host_without_views_sees_no_difference(mode: str) -> None:
    async def seen(*, apps: bool) -> tuple[Any, ...]:
        network, _ = answering(pictures("https://images.example/1.jpg?signed=1"))
        options = {"mode": mode, "extensions": [APPS] if apps else None}
        async with host(options, transport=network) as client:
            made = await client.call_tool("generate_image", PROMPT)
            extensions = client.server_capabilities.extensions or {}
            assert ("io.modelcontextprotocol/ui" in extensions) == (apps and mode == "auto")
            return (
                [tool.model_dump(exclude={"meta"}) for tool in (await client.list_tools()).tools],
                [tool.meta for tool in (await client.list_tools()).tools],
                {str(one.uri) for one in (await client.list_resources()).resources},
                [block.type for block in made.content],
                sorted(made.structured_content),
            )

    plain, with_views = await seen(apps=False), await seen(apps=True)
    assert plain[1] == [None] * 3
    assert URI not in plain[2]
    assert with_views[2] - plain[2] == {URI}
    assert (plain[0], *plain[3:]) == (with_views[0], *with_views[3:])


async def allowed(client: Client) -> list[str]:
    """The origins that the view's frame is to let pictures come from."""
    view = (await client.read_resource(URI)).contents[0]
    (listed,) = [one for one in (await client.list_resources()).resources if str(one.uri) == URI]
    assert view.meta == listed.meta
    origins: list[str] = (view.meta or {})["ui"]["csp"]["resourceDomains"]
    return origins


async def test_the_image_hosts_in_use_are_declared_and_no_others() -> None:
    hosts = ("https://b.example", "https://c.example:8443", "http://127.0.0.1:9")
    hostile = (
        "https://x.example; script-src *",
        "https://[::1]",
        "http://plain.example",
        "javascript:alert(1)//",
        "https://y.example:99999",
        "https://'self'",
    )
    links = [f"{origin}/{path}?s=1" for path in "12" for origin in hosts + hostile]
    network, _ = answering(pictures(*links))
    async with host({"extensions": [APPS]}, transport=network) as client:
        before = await allowed(client)
        await client.call_tool("generate_image", PROMPT)
        after = await allowed(client)
    assert before == []
    assert set(after) <= set(hosts)
    assert "https://b.example" in after


async def test_pictures_can_be_read_small(tmp_path: Path) -> None:
    picture = image_bytes(2048, 1024, padding=0)
    network = Host(cdn("a"), a=ok(picture))
    async with host({"extensions": [APPS]}, transport=network, SEEDREAM_SAVE_DIR=str(tmp_path)) as client:
        made = await client.call_tool("generate_image", PROMPT)
        resource = made.structured_content["images"][0]["resource"]
        (small,) = (await client.read_resource(f"{resource}/thumbnail")).contents
        with pytest.raises(MCPError):
            await client.read_resource(f"{resource}/thumbnails")
    assert isinstance(small, BlobResourceContents)
    assert small.mime_type == "image/jpeg"
    data = base64.b64decode(small.blob)
    assert len(data) <= 80_000
    assert Image.open(io.BytesIO(data)).size == (512, 256)


def test_the_document_is_whole_in_itself_and_stays_far_below_what_hosts_take() -> None:
    html = document()
    assert html.count("<style>") == 1
    assert html.count("<script>") >= 1
    assert len(json.dumps(html)) < 200_000
    assert f'version: "{__version__}"' in html
    for outside in ("<link", 'src="http', "@import", "url(http", "import("):
        assert outside not in html


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://B.example/x?y", "https://b.example"),
        ("https://c.example:8443/", "https://c.example:8443"),
        ("http://127.0.0.1:9/x", "http://127.0.0.1:9"),
        ("http://plain.example/x", None),
        ("https://[::1]/x", None),
        ("https://[::1/x", None),
        ("https://y.example:99999/x", None),
        ("https://x.example; script-src */", None),
        ("https://'self'/x", None),
        ("javascript:alert(1)", None),
        ("/x", None),
    ],
)
def test_only_what_can_stand_in_a_policy_is_named_there(url: str, origin: str | None) -> None:
    assert _origin(url) == origin
