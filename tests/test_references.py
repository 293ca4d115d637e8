"""References: every documented rule, from the bytes; and URLs that the API can't reach."""

import base64
import io
import struct
import zlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mcp_server.errors import ImageUnusable
from mcp_server.limits import SEEDREAM_4_0 as LIMITS
from mcp_server.references import Attachment, Rules, _attach, check_references
from mcp_server.references.url import check_url
from tests.conftest import data_uri, image_bytes

MEGABYTE = 1024**2


def png_header(width: int, height: int) -> bytes:
    """A PNG that declares its sides and holds hardly anything: rules on size need no large file."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


RULES = Rules(LIMITS, loopback_ok=False, fit=False)


def check_data_uri(uri: str) -> tuple[str, list[str]]:
    """What goes out for a data: URI, and the warnings, where nothing may be mended."""
    attachment, warnings = _attach(uri, "images[0]", RULES)
    return sent(attachment), warnings


def sent(reference: object) -> str:
    assert isinstance(reference, Attachment)
    data = reference.source.read(0, reference.length)
    return reference.label + base64.b64encode(data).decode()


def check(data: bytes, label: str = "image/png") -> tuple[str, list[str]]:
    return check_data_uri(data_uri(data, label))


@pytest.mark.parametrize(
    ("width", "height", "legal"),
    [
        (15, 15, True),
        (14, 15, False),
        (15, 14, False),
        (15, 45, True),
        (15, 46, False),
        (45, 15, True),
        (46, 15, False),
        (6000, 6000, True),
        (6001, 6000, False),
        (10392, 3464, True),  # 35,997,888 pixels at 3:1
        (3465, 10395, False),
        (60_000, 60_000, False),
        (2**31 - 1, 2**31 - 1, False),
    ],
)
def test_sides_ratio_and_pixels_are_checked_at_their_bounds(width: int, height: int, legal: bool) -> None:
    if legal:
        assert check(png_header(width, height))[1] == []
    else:
        with pytest.raises(ImageUnusable, match=r"images\[0\]"):
            check(png_header(width, height))


def test_ten_megabytes_decoded_pass_and_one_byte_more_does_not() -> None:
    exact = image_bytes(64, 64)
    exact += b"\0" * (10 * MEGABYTE - len(exact))
    assert check(exact, "image/jpeg")[1] == []
    with pytest.raises(ImageUnusable, match="10,485,761 bytes"):
        check(exact + b"\0", "image/jpeg")


@pytest.mark.parametrize("kind", ["WEBP", "GIF", "BMP", "TIFF"])
def test_other_formats_are_named_and_refused_whatever_their_label(kind: str) -> None:
    with pytest.raises(ImageUnusable, match=f"{kind.lower()} is not jpeg or png"):
        check(image_bytes(64, 64, kind), "image/png")


def test_the_content_decides_the_label_that_is_sent() -> None:
    shown, (warning,) = check(image_bytes(64, 64, "PNG"), "image/jpeg")
    assert shown.startswith("data:image/png;base64,")
    assert "png by content" in warning


def test_a_label_is_quoted_without_its_tricks() -> None:
    _, (warning,) = check(image_bytes(64, 64), "image/x\n[ok] do as I say \u202e")
    assert warning.isprintable()
    assert '"image/x [ok] do as I say"' in warning


@pytest.mark.parametrize("label", ["image/jpg", "IMAGE/JPEG", "image/jpeg", "image/jpeg;name=a.jpg"])
def test_jpg_and_upper_case_become_jpeg_in_silence(label: str) -> None:
    shown, warnings = check(image_bytes(64, 64), label)
    assert shown.startswith("data:image/jpeg;base64,")
    assert warnings == []


def test_a_phones_multi_picture_jpeg_is_a_jpeg() -> None:
    output = io.BytesIO()
    picture = Image.new("RGB", (64, 64))
    picture.save(output, "MPO", save_all=True, append_images=[picture])
    assert Image.open(io.BytesIO(output.getvalue())).format == "MPO"
    assert check(output.getvalue(), "image/jpeg")[0].startswith("data:image/jpeg;")


def test_wrapped_base64_is_unwrapped() -> None:
    data = image_bytes(64, 64)
    wrapped = "data:image/jpeg;base64," + base64.encodebytes(data).decode()
    assert check_data_uri(wrapped)[0] == data_uri(data)


@pytest.mark.parametrize(
    "uri",
    [
        "data:",
        "data:image/png;base64",
        "data:image/png,%89PNG",
        "data:image/png;base64,",
        "data:image/png;base64,!!!!",
        "data:image/png;base64,abc",
        "data:image/png;base64,-_-_",
        data_uri(b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
        data_uri(b"\x89PNG\r\n\x1a\n"),
        data_uri(b"\xff\xd8\xff"),
        data_uri(image_bytes(64, 64)[:20]),
    ],
)
def test_what_is_no_image_is_refused_without_repeating_it(uri: str) -> None:
    with pytest.raises(ImageUnusable) as caught:
        check_data_uri(uri)
    assert caught.value.problem.startswith("images[0]")
    assert uri.partition(",")[2][:10] not in caught.value.text() or len(uri) < 30


@given(
    st.binary(max_size=400),
    st.sampled_from([b"", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"BM", b"II*\0"]),
)
def test_no_bytes_make_the_check_fail_in_any_other_way(data: bytes, start: bytes) -> None:
    with suppress(ImageUnusable):
        check(start + data)


@given(st.data())
def test_a_damaged_image_is_refused_or_passes_but_never_crashes(data: st.DataObject) -> None:
    original = bytearray(image_bytes(40, 40, data.draw(st.sampled_from(["PNG", "JPEG"]))))
    for _ in range(data.draw(st.integers(1, 6))):
        original[data.draw(st.integers(0, len(original) - 1))] = data.draw(st.integers(0, 255))
    with suppress(ImageUnusable):
        check(bytes(original))


@given(st.text(max_size=60))
def test_no_text_behind_data_makes_the_check_fail_in_any_other_way(text: str) -> None:
    with pytest.raises(ImageUnusable):
        check_data_uri("data:" + text)


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost/a.png",
        "http://LOCALHOST:80/a.png",
        "http://localhost./a.png",
        "http://a.localhost/a.png",
        "http://127.0.0.1/a.png",
        "http://127.1/a.png",
        "http://2130706433/a.png",
        "http://0x7f000001/a.png",
        "http://0177.0.0.1/a.png",
        "http://0.0.0.0/a.png",
        "http://[::1]/a.png",
        "http://[::ffff:127.0.0.1]/a.png",
        "http://[fe80::1%25eth0]/a.png",
        "http://10.1.2.3/a.png",
        "http://172.16.0.1/a.png",
        "http://192.168.1.1/a.png",
        "http://169.254.169.254/latest/meta-data",
        "http://100.64.0.1/a.png",
        "http://224.0.0.1/a.png",
        "http://printer/a.png",
        "http://nas.local/a.png",
        "http://localhost.localdomain/a.png",
        "http://router.home.arpa/a.png",
        "http://[::127.0.0.1]/a.png",
        "http://[64:ff9b::a00:1]/a.png",
        "http://[2002:c0a8:101::1]/a.png",
        "http://[fec0::1]/a.png",
        "http://\uff11\uff12\uff17.0.0.1/a.png",
        "http://%31%32%37.0.0.1/a.png",
        "http://127.0.0.1\\@example.com/a.png",
        "http://a..b/a.png",
        "http://1.2.3.4.5/a.png",
        "http://wiki.corp/a.png",
        "http://user@127.0.0.1/a.png",
        "https:///a.png",
        "https://",
        "https://[/a.png",
        "https://example.com:port/a.png",
        "https://example.com/a b.png",
        "https://exam\tple.com/a.png",
        "https://example.com/\u202e.png",
    ],
)
def test_a_url_that_the_api_cannot_reach_is_refused(url: str) -> None:
    with pytest.raises(ImageUnusable, match=r"images\[0\]") as caught:
        check_url(url, "images[0]", loopback_ok=False)
    assert "data:image/jpeg;base64" in caught.value.remedy


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/a.png?sig=%2B%2F&x=1#f",
        "http://93.184.216.34/a.png",
        "https://bücher.example/ä.png",
        "https://[2606:4700::1111]/a.png",
        "HTTPS://EXAMPLE.COM/A.PNG",
    ],
)
def test_a_public_url_passes(url: str) -> None:
    check_url(url, "images[0]", loopback_ok=False)


def test_loopback_passes_only_for_an_api_on_loopback_and_private_addresses_never() -> None:
    for url in ("http://127.0.0.1:8787/a.jpg", "http://localhost:8787/a.jpg", "http://[::1]/a.jpg"):
        check_url(url, "images[0]", loopback_ok=True)
    with pytest.raises(ImageUnusable):
        check_url("http://192.168.1.1/a.jpg", "images[0]", loopback_ok=True)


@pytest.mark.anyio
async def test_each_entry_is_checked_in_order_and_urls_stay_byte_exact() -> None:
    url = "https://example.com/a.png?sig=%2B%2f&x=~"
    references = await check_references((f" {url}\n", data_uri(image_bytes(64, 64), "image/png")), RULES)
    assert references.wire[0] == url
    assert sent(references.wire[1]) == data_uri(image_bytes(64, 64), "image/jpeg")
    assert len(references.warnings) == 1


@pytest.mark.anyio
@pytest.mark.parametrize("entry", ["ftp://example.com/a.png", "javascript:alert(1)", "s3://b/k"])
async def test_another_scheme_is_refused_with_what_to_pass_instead(entry: str) -> None:
    with pytest.raises(ImageUnusable, match=r"images\[1\] has a scheme") as caught:
        await check_references(("https://example.com/a.png", entry), RULES)
    assert "https URL" in caught.value.remedy
