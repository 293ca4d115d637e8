"""The icons: small, safe for every client that shows any, distinct, and visible in both themes."""

import base64
import io
from collections import Counter

import pytest
from mcp import Client
from mcp.types import Icon
from PIL import Image

from tests.conftest import connect

pytestmark = pytest.mark.anyio

WHITE, BLACK, DARK_GREY = (255, 255, 255), (0, 0, 0), (30, 30, 30)
"""Grounds that hosts have."""


async def shown(client: Client) -> dict[str, list[Icon] | None]:
    """The icons of the server, the tools and the prompts, as a client gets them."""
    info = client.server_info
    return {
        "server": info.icons if info else None,
        **{tool.name: tool.icons for tool in (await client.list_tools()).tools},
        **{prompt.name: prompt.icons for prompt in (await client.list_prompts()).prompts},
    }


def picture(icons: list[Icon] | None) -> tuple[Image.Image, int]:
    """The picture that a client shows, and its bytes."""
    assert icons is not None
    (icon,) = icons
    kind, _, data = icon.src.partition(",")
    assert (kind, icon.mime_type) == ("data:image/png;base64", "image/png")
    png = base64.b64decode(data, validate=True)
    image = Image.open(io.BytesIO(png))
    image.verify()
    image = Image.open(io.BytesIO(png))
    assert image.format == "PNG"
    assert icon.sizes in (None, [f"{image.width}x{image.height}"])
    return image.convert("RGBA"), len(png)


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_the_server_the_tools_and_the_prompts_have_icons_that_every_client_takes(mode: str) -> None:
    async with connect(mode=mode) as client:
        icons = await shown(client)
    assert len(icons) == 7
    for name, icon in icons.items():
        image, size = picture(icon)
        assert image.width == image.height
        assert image.width == 32
        assert size < 200, f"{name}: {size} bytes"
    own = [picture(icons[name])[0].tobytes() for name in ("generate_image", "edit_image", "list_images")]
    assert len(set(own)) == 3


async def test_each_icon_stands_out_from_light_and_dark_grounds() -> None:
    async with connect() as client:
        icons = await shown(client)
    for icon in icons.values():
        image, _ = picture(icon)
        colours = [image.getpixel((x, y)) for x in range(image.width) for y in range(image.height)]
        counted = Counter(colour for colour in colours if isinstance(colour, tuple))
        assert any(colour[3] == 0 for colour in counted)  # the ground shows through
        ((most, _),) = Counter({c: n for c, n in counted.items() if c[3] == 255}).most_common(1)
        for ground in (WHITE, BLACK, DARK_GREY):
            assert contrast(most[:3], ground) >= 3  # what WCAG asks of graphics


def contrast(one: tuple[int, ...], other: tuple[int, ...]) -> float:
    """The contrast of two colours by WCAG."""
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: tuple[int, ...]) -> float:
    linear = [
        value / 255 / 12.92 if value <= 10 else ((value / 255 + 0.055) / 1.055) ** 2.4 for value in colour
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
