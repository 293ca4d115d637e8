"""References of the formats that only the newer models take: sent as they are, where they are whole."""

import io
import struct

import pytest
from PIL import Image

from mcp_server.errors import ImageUnusable
from mcp_server.limits import SEEDREAM_4_0, SEEDREAM_4_5
from mcp_server.references import Attachment, Rules, _attach
from mcp_server.references.ends import _MOST_BLOCKS, end_of_bmp, end_of_gif, end_of_webp
from tests.conftest import data_uri, image_bytes

RULES = Rules(SEEDREAM_4_5, loopback_ok=False)
KINDS = ("WEBP", "GIF", "BMP", "TIFF")
WITH_AN_END = ("WEBP", "GIF", "BMP")


def attach(data: bytes, label: str, rules: Rules = RULES) -> tuple[Attachment, list[str]]:
    return _attach(data_uri(data, label), "images[0]", rules)


def sent(attachment: Attachment) -> bytes:
    return attachment.source.read(0, attachment.length)


def an_animation() -> bytes:
    frames = [Image.effect_noise((90, 60), 50).convert("P") for _ in range(3)]
    output = io.BytesIO()
    frames[0].save(output, "GIF", save_all=True, append_images=frames[1:], loop=0)
    return output.getvalue()


@pytest.mark.parametrize("kind", KINDS)
def test_a_newer_model_gets_the_file_as_it_is_under_its_own_label(kind: str) -> None:
    data = image_bytes(90, 60, kind)
    attachment, warnings = attach(data, f"image/{kind.lower()}")
    assert (attachment.label, sent(attachment), warnings) == (f"data:image/{kind.lower()};base64,", data, [])


@pytest.mark.parametrize("kind", KINDS)
def test_seedream_4_0_gets_a_conversion(kind: str) -> None:
    rules = Rules(SEEDREAM_4_0, loopback_ok=False)
    attachment, (warning,) = attach(image_bytes(90, 60, kind), f"image/{kind.lower()}", rules)
    attachment.source.close()
    assert attachment.label == "data:image/jpeg;base64,"
    assert f"{kind.lower()} is not jpeg or png" in warning


def test_what_no_model_takes_is_converted() -> None:
    attachment, (warning,) = attach(image_bytes(90, 60, "AVIF"), "image/avif")
    attachment.source.close()
    assert attachment.label == "data:image/jpeg;base64,"
    assert "avif is not jpeg, png, webp, bmp, tiff or gif" in warning


def test_an_animation_stays_one() -> None:
    data = an_animation()
    assert sent(attach(data, "image/gif")[0]) == data


def test_the_content_decides_the_label() -> None:
    attachment, (warning,) = attach(image_bytes(90, 60, "WEBP"), "image/png")
    assert attachment.label == "data:image/webp;base64,"
    assert "is webp by content; sent as webp" in warning


@pytest.mark.parametrize("kind", WITH_AN_END)
def test_what_stands_behind_the_end_is_left_out(kind: str) -> None:
    data = image_bytes(90, 60, kind)
    attachment, (warning,) = attach(data + b"something private", f"image/{kind.lower()}")
    assert sent(attachment) == data
    assert "17 bytes behind the end" in warning
    with pytest.raises(ImageUnusable, match="a file of another kind"):
        attach(data + b"PK\x03\x04", f"image/{kind.lower()}")


@pytest.mark.parametrize("kind", KINDS)
def test_a_truncated_file_is_not_sent(kind: str) -> None:
    output = io.BytesIO()
    Image.effect_noise((90, 60), 50).convert("RGB").save(output, kind)
    data = output.getvalue()
    with pytest.raises(ImageUnusable, match=r"images\[0\] is (truncated|damaged|not an image)"):
        attach(data[: len(data) * 2 // 3], f"image/{kind.lower()}")


def test_a_decompression_bomb_is_not_decoded() -> None:
    data = an_animation()
    with pytest.raises(ImageUnusable, match="far more pixels"):
        attach(data[:6] + struct.pack("<HH", 5_999, 6_000) + data[10:], "image/gif")


def test_the_end_of_a_gif_is_found_in_bounded_time() -> None:
    data = an_animation()
    assert end_of_gif(data + b"x") == len(data)
    assert end_of_gif(data[:-1]) is None
    assert end_of_gif(data[:-1] + b"?") is None
    assert end_of_gif(b"GIF89a") is None
    assert end_of_gif(b"GIF89a" + b"\0" * 7 + b"!\xf9" + b"\1\0" * _MOST_BLOCKS) is None


def test_the_ends_of_webp_and_bmp_are_those_that_their_headers_name() -> None:
    webp, bmp = image_bytes(90, 60, "WEBP"), image_bytes(90, 60, "BMP")
    assert end_of_webp(webp + b"x") == len(webp)
    assert end_of_webp(webp[:-1]) is None
    assert end_of_bmp(bmp + b"x") == len(bmp)
    for named in (0, len(bmp) + 9):  # not all writers care
        assert end_of_bmp(bmp[:2] + struct.pack("<I", named) + bmp[6:]) == len(bmp)
