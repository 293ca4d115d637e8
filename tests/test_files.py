"""Local reference files: every way to write a path, allowed places, races, and what is made fit."""

import asyncio
import base64
import io
import json
import os
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from PIL import Image, ImageCms

from mcp_server.errors import ImageNotFound, ImageUnusable, InvalidArgument, SeedreamError
from mcp_server.limits import SEEDREAM_4_0 as LIMITS
from mcp_server.references import Attachment, Rules, check_references
from mcp_server.references.ends import end_of_jpeg, end_of_png
from mcp_server.references.files import open_local, path_text
from mcp_server.references.source import Base64Source, FileSource
from tests.conftest import answering, connect, data_uri, image_bytes, pictures, posix, text_of
from tests.test_references import png_header

pytestmark = pytest.mark.anyio

ANYWHERE = Rules(LIMITS, loopback_ok=False)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "a fox, ünïcode 狐.jpg"
    path.write_bytes(image_bytes(64, 48))
    return path


def peak() -> int:
    """The most memory that this process has had, in KiB."""
    resource = pytest.importorskip("resource", reason="the system does not tell how much memory was used")
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


async def attach(path: object, rules: Rules = ANYWHERE) -> tuple[bytes, str, list[str]]:
    """What goes out for a file: the bytes, the format, the warnings."""
    with await check_references([str(path)], rules) as references:
        (reference,) = references.wire
        assert isinstance(reference, Attachment)
        return reference.source.read(0, reference.length), reference.kind, references.warnings


@posix
async def test_every_way_to_write_a_path_leads_to_the_file(
    picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(picture.parent))
    monkeypatch.chdir(picture.parent)
    uri = picture.as_uri()
    for spelled in (
        *(str(picture), f"~/{picture.name}", picture.name, f"./{picture.name}", f" {picture}\n", uri),
        *(
            uri.replace("file://", "FILE://localhost"),
            uri.replace("%20", " "),
            uri.replace("file://", "file:"),
        ),
    ):
        data, kind, warnings = await attach(spelled)
        assert (data, kind, warnings) == (picture.read_bytes(), "jpeg", [])


@pytest.mark.parametrize(
    ("entry", "windows", "path"),
    [
        ("file:///C:/a%20b/c.jpg", True, "C:/a b/c.jpg"),
        ("file:///c.jpg", False, "/c.jpg"),
        ("file:///shot #1?.jpg", False, "/shot #1?.jpg"),
        ("C:\\Users\\x\\c.jpg", True, "C:\\Users\\x\\c.jpg"),
        ("\\\\server\\share\\c.jpg", True, "\\\\server\\share\\c.jpg"),
        ("c.jpg", False, "c.jpg"),
    ],
)
def test_paths_are_read_as_their_system_writes_them(entry: str, windows: bool, path: str) -> None:
    assert path_text(entry, "x", windows=windows) == path


@pytest.mark.parametrize(
    "entry",
    [
        "C:\\a.jpg",
        "c:/a.jpg",
        "file:///C:/a.jpg",
        "\\\\server\\share\\a.jpg",
        "file://server/a.jpg",
        "a\0b",
        "file:",
    ],
)
def test_a_path_that_cannot_be_one_here_is_told(entry: str) -> None:
    with pytest.raises(InvalidArgument, match="x "):
        path_text(entry, "x", windows=False)


@posix
async def test_a_relative_path_in_the_root_folder_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    with pytest.raises(InvalidArgument, match="relative path, but this server runs in /"):
        await attach("a.jpg")


async def test_a_missing_file_is_answered_with_the_nearest_names(picture: Path) -> None:
    (picture.parent / "fox-1.png").touch()
    with pytest.raises(ImageNotFound) as caught:
        await attach(picture.parent / "fox-2.png")
    assert "did you mean fox-1.png?" in caught.value.remedy
    with pytest.raises(ImageNotFound, match="no such file"):
        await attach(picture.parent / "zzzzzz")
    with pytest.raises(ImageNotFound) as caught:
        await attach(picture.parent / "none" / "a.jpg")
    assert "folder is not there" in caught.value.remedy


@posix
async def test_only_allowed_folders_are_read_and_links_are_followed_to_their_end(
    picture: Path, tmp_path: Path
) -> None:
    allowed, other = tmp_path / "allowed", tmp_path / "other"
    allowed.mkdir()
    other.mkdir()
    (allowed / "in.jpg").write_bytes(picture.read_bytes())
    (other / "out.jpg").write_bytes(picture.read_bytes())
    (allowed / "to-out.jpg").symlink_to(other / "out.jpg")
    (allowed / "to-in.jpg").symlink_to(allowed / "in.jpg")
    (tmp_path / "door").symlink_to(allowed)
    rules = Rules(LIMITS, loopback_ok=False, folders=(tmp_path / "door",))
    for good in (allowed / "in.jpg", allowed / "to-in.jpg", tmp_path / "door" / "in.jpg"):
        assert (await attach(good, rules))[0] == picture.read_bytes()
    for bad in (
        *(other / "out.jpg", allowed / "to-out.jpg", allowed / ".." / "other" / "out.jpg"),
        *(tmp_path / "allowed-too.jpg", other / "not-there.jpg", "/etc/passwd", "/etc/not-there"),
    ):
        with pytest.raises(ImageUnusable, match="not in a folder") as caught:
            await attach(bad, rules)
        assert "did you mean" not in caught.value.text()


@posix
async def test_a_name_that_is_pointed_elsewhere_while_it_is_opened_leaks_nothing(
    picture: Path, tmp_path: Path
) -> None:
    allowed, secret = tmp_path / "allowed", tmp_path / "secret.jpg"
    allowed.mkdir()
    secret.write_bytes(image_bytes(99, 99))
    (allowed / "in.jpg").write_bytes(picture.read_bytes())
    name = allowed / "swapped.jpg"
    stop = False

    def swap() -> None:
        while not stop:
            for target in (allowed / "in.jpg", secret):
                other = allowed / "new"
                other.unlink(missing_ok=True)
                other.symlink_to(target)
                other.replace(name)

    name.symlink_to(allowed / "in.jpg")
    swapping = asyncio.get_running_loop().run_in_executor(None, swap)
    for _ in range(300):
        try:
            source = open_local(str(name), "x", (allowed,))
        except SeedreamError:
            continue
        assert source.read(0, 10**6) == picture.read_bytes()
        source.close()
    stop = True
    await swapping


@posix
def test_a_folder_that_is_swapped_while_a_file_is_opened_leaks_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is open is judged, not its name: the name leads to an allowed place before and after."""
    allowed, secret, real_open = tmp_path / "in", tmp_path / "out", os.open
    for folder, side in ((allowed / "d", 64), (secret, 99)):
        folder.mkdir(parents=True)
        (folder / "a.jpg").write_bytes(image_bytes(side, side))

    def swap_open_swap(path: object, *rest: int) -> int:  # the moment between two calls of the system
        monkeypatch.undo()
        (allowed / "d").rename(allowed / "e")
        (allowed / "d").symlink_to(secret)
        descriptor = real_open(str(path), *rest)
        (allowed / "d").unlink()
        (allowed / "e").rename(allowed / "d")
        return descriptor

    monkeypatch.setattr(os, "open", swap_open_swap)
    with pytest.raises(ImageUnusable, match="not in a folder"):
        open_local(str(allowed / "d" / "a.jpg"), "x", (allowed,))


@posix
def test_a_file_that_becomes_a_fifo_before_it_is_opened_is_refused_without_waiting(
    picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_open = os.open

    def change_then(path: object, *rest: int) -> int:
        monkeypatch.undo()
        picture.unlink()
        os.mkfifo(picture)
        return real_open(str(path), *rest)

    monkeypatch.setattr(os, "open", change_then)
    with pytest.raises(ImageUnusable, match="no regular file"):
        open_local(str(picture), "x", None)


async def test_over_the_network_no_file_is_read_unless_folders_are_allowed(
    picture: Path, tmp_path: Path
) -> None:
    from mcp_server.environment import read_settings
    from mcp_server.generations import Generations

    for variables, folders in (({}, ()), ({"SEEDREAM_INPUT_DIRS": str(tmp_path)}, (tmp_path,))):
        assert Generations(read_settings(variables), remote=True).rules("local").folders == folders
    with pytest.raises(ImageUnusable, match="may not read this machine's files"):
        await attach(picture, Rules(LIMITS, loopback_ok=False, folders=()))


@posix
async def test_folders_devices_fifos_and_empty_files_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "unreadable.jpg").write_bytes(b"x")
    for path, said in (
        (tmp_path, "a folder"),
        (tmp_path / "fifo", "no regular file"),
        ("/dev/zero", "no regular file"),
        (tmp_path / "empty.jpg", "is empty"),
        (tmp_path / "empty.jpg" / "x", "can't be read"),
    ):
        with anyio.fail_after(5), pytest.raises(ImageUnusable, match=said):
            await attach(path)


async def test_a_file_that_changes_after_its_check_is_not_sent(picture: Path) -> None:
    with await check_references([str(picture)], ANYWHERE) as references:
        picture.write_bytes(b"the secrets of another program")
        (reference,) = references.wire
        assert isinstance(reference, Attachment)
        with pytest.raises(ImageUnusable, match="changed while"):
            reference.source.read(0, 100)


async def test_a_change_in_the_middle_of_the_request_ends_the_call_with_nothing_billed(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(image_bytes(64, 64))

    class Upstream(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            os.utime(path, (1, 1))
            await request.aread()
            return pictures()

    async with connect(transport=Upstream()) as client:
        text = text_of(await client.call_tool("edit_image", {"prompt": "x", "images": [str(path)]}))
    assert text.startswith("[image_unusable] images[0] changed")
    assert text.endswith("Billed: no")


def save(image: Image.Image, kind: str, **options: Any) -> bytes:
    output = io.BytesIO()
    image.save(output, kind, **options)
    return output.getvalue()


def noise(width: int, height: int, mode: str = "RGB") -> Image.Image:
    return Image.frombytes(mode, (width, height), os.urandom(width * height * len(mode)))


@pytest.mark.parametrize("kind", ["WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF"])
async def test_other_formats_are_converted_with_a_warning(kind: str, tmp_path: Path) -> None:
    if kind == "HEIF":
        import pillow_heif

        pillow_heif.register_heif_opener()
    path = tmp_path / "picture.bin"
    path.write_bytes(save(Image.new("RGB", (60, 40), "teal"), kind))
    data, sent_as, (warning,) = await attach(path)
    assert sent_as == "jpeg"
    assert Image.open(io.BytesIO(data)).size == (60, 40)
    assert "made fit" in warning
    with pytest.raises(ImageUnusable, match="is not jpeg or png"):
        await attach(path, Rules(LIMITS, loopback_ok=False, fit=False))


@pytest.mark.parametrize("kind", ["WEBP", "GIF", "TIFF"])
async def test_transparency_becomes_png(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "picture"
    path.write_bytes(save(Image.new("RGBA", (60, 40), (200, 0, 0, 0)), kind))
    data, sent_as, _ = await attach(path)
    image = Image.open(io.BytesIO(data))
    assert (sent_as, image.format, image.getpixel((5, 5))) == ("png", "PNG", image.getpixel((5, 5)))
    assert image.convert("RGBA").getpixel((5, 5))[3] == 0  # type: ignore[index]


async def test_the_first_frame_of_an_animation_is_sent(tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    frames = [Image.new("RGB", (60, 40), colour) for colour in ("red", "blue")]
    path.write_bytes(save(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    data, _, _ = await attach(path)
    red, _, blue = Image.open(io.BytesIO(data)).convert("RGB").getpixel((5, 5))  # type: ignore[misc]
    assert red > 200
    assert blue < 50


async def test_orientation_is_applied_and_metadata_dropped_when_re_encoding(tmp_path: Path) -> None:
    image = Image.new("RGB", (60, 40), "teal")
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    exif[0x8825] = {1: "N", 2: (52.0, 31.0, 0.0)}  # a place
    path = tmp_path / "a.webp"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    path.write_bytes(save(image, "WEBP", exif=exif, icc_profile=profile))
    data, _, _ = await attach(path)
    sent = Image.open(io.BytesIO(data))
    assert sent.size == (40, 60)
    assert not sent.getexif()
    assert "icc_profile" not in sent.info
    path.write_bytes(save(image, "WEBP", icc_profile=b"no profile"))
    assert Image.open(io.BytesIO((await attach(path))[0])).size == (60, 40)


async def test_over_ten_megabytes_is_compressed_and_over_36_megapixels_shrunk(tmp_path: Path) -> None:
    heavy, large, clear = tmp_path / "heavy.png", tmp_path / "large.jpg", tmp_path / "clear.png"
    heavy.write_bytes(save(noise(2000, 2000), "PNG"))
    large.write_bytes(save(Image.effect_noise((7000, 6000), 80), "JPEG", quality=30))
    clear.write_bytes(save(noise(1900, 1900, "RGBA"), "PNG"))
    for path, kind in ((heavy, "jpeg"), (large, "jpeg"), (clear, "png")):
        data, sent_as, (warning,) = await attach(path)
        width, height = Image.open(io.BytesIO(data)).size
        assert sent_as == kind
        assert len(data) <= LIMITS.reference_max_bytes
        assert width * height <= LIMITS.reference_max_pixels
        assert f"sent as {width}x{height}" in warning


async def test_what_cannot_be_mended_is_refused_with_its_figures(tmp_path: Path) -> None:
    path = tmp_path / "a.webp"
    for size, said in (((14, 20), "each side must be more than 14 px"), ((200, 50), "from 1:3 to 3:1")):
        path.write_bytes(save(Image.new("RGB", size), "WEBP"))
        with pytest.raises(ImageUnusable, match=f"is {size[0]}x{size[1]}: .*{said}"):
            await attach(path)


async def test_a_decompression_bomb_is_refused_fast_and_small(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(save(Image.new("1", (9_000, 9_000)), "PNG"))
    before = peak()
    with (
        anyio.fail_after(1),
        pytest.raises(ImageUnusable, match=r"far more pixels|too many pixels|too large"),
    ):
        await attach(path)
    assert peak() - before < 50_000
    path.write_bytes(png_header(30_000, 15_000))
    with pytest.raises(ImageUnusable, match="too many pixels"):
        await attach(path)


async def test_a_file_of_a_million_parts_or_without_end_is_refused_fast(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    with path.open("wb") as sparse:
        sparse.write(b"\xff\xd8")
        sparse.truncate(10 * 2**30)
    scans = image_bytes(64, 64)[:2] + b"\xff\xda\x00\x02" * 50_000
    markers = b"\xff\xd8" + b"\xff\x01" * 60_000
    chunks = png_header(64, 64)[:33] + b"\0\0\0\0abcd\0\0\0\0" * 200_000
    for content, said in (
        (None, "too large to be read"),
        (scans, "truncated"),
        (markers, "truncated"),
        (chunks, "truncated"),
    ):
        if content:
            path.write_bytes(content)
        with anyio.fail_after(5), pytest.raises(ImageUnusable, match=said):
            await attach(path)


async def test_a_blank_picture_is_no_bomb_and_a_huge_photograph_is_shrunk(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(save(Image.new("RGB", (2048, 2048), "white"), "WEBP", lossless=True))
    assert (await attach(path))[1] == "jpeg"
    path.write_bytes(save(Image.effect_noise((9_600, 6_400), 50), "JPEG", quality=20))
    data, _, (warning,) = await attach(path)
    width, height = Image.open(io.BytesIO(data)).size
    assert (width, height) == (4_800, 3_200)
    assert "9600x6400 is more than" in warning
    path.write_bytes(save(Image.new("RGB", (6_100, 6_000), "white"), "PNG"))
    width, height = Image.open(io.BytesIO((await attach(path))[0])).size
    assert 35_000_000 < width * height <= LIMITS.reference_max_pixels


@pytest.mark.parametrize("mode", ["I;16", "I", "F"])
async def test_grey_of_more_than_eight_bits_keeps_its_shades(mode: str, tmp_path: Path) -> None:
    shades = [x * 256 for x in range(256)] * 128
    image = Image.new("F", (256, 128))
    image.putdata(shades)
    path = tmp_path / "a.tiff"
    path.write_bytes(save(image if mode == "F" else image.convert("I").convert(mode), "TIFF"))
    data, _, _ = await attach(path)
    sent = Image.open(io.BytesIO(data)).convert("L")
    for x in (0, 64, 128, 192, 255):
        assert abs(int(sent.getpixel((x, 30))) - x) < 6  # type: ignore[arg-type]
    flat = Image.new("F", (64, 64), 7.0)
    path.write_bytes(save(flat, "TIFF"))
    await attach(path)


async def test_a_temporary_folder_that_fails_is_told_with_nothing_billed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.webp"
    path.write_bytes(save(Image.new("RGB", (64, 64)), "WEBP"))
    monkeypatch.setattr(tempfile, "tempdir", "/nonexistent")
    with pytest.raises(ImageUnusable, match="the temporary folder failed") as caught:
        await attach(path)
    assert caught.value.text().endswith("Billed: no")


async def test_a_picture_too_large_to_decode_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "large.bmp"
    with path.open("wb") as file:
        file.write(save(Image.new("RGB", (16, 16)), "BMP")[:54])
        file.seek(18)
        file.write((8_000).to_bytes(4, "little") * 2)
        file.truncate(8_000 * 8_000 * 3 + 54)
    with pytest.raises(ImageUnusable, match="too large to be made fit"):
        await attach(path)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
async def test_only_the_picture_leaves_the_machine(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a"
    whole = save(noise(64, 64), kind, **({"progressive": True} if kind == "JPEG" else {}))
    for behind, warned in (
        (b"\0" * 500, 0),
        (b"\0\0\0\x18ftypmp42 a moving picture", 1),
        (b"key=hunter2", 1),
    ):
        path.write_bytes(whole + behind)
        data, _, warnings = await attach(path)
        assert data == whole
        assert len(warnings) == warned
    for behind in (b"PK\x03\x04 an archive", b"<?php system()", b"%PDF-1.7"):
        path.write_bytes(whole + behind)
        with pytest.raises(ImageUnusable, match="another kind"):
            await attach(path)
    for cut in (len(whole) - 3, len(whole) // 2, 60):
        path.write_bytes(whole[:cut])
        with pytest.raises(ImageUnusable):
            await attach(path)


async def test_no_file_that_is_no_image_leaves_the_machine(tmp_path: Path) -> None:
    path = tmp_path / "id_rsa.jpg"
    for content in (
        b"-----BEGIN OPENSSH PRIVATE KEY-----",
        b"%PDF-1.4 " + image_bytes(64, 64),
        b"\xff\xd8\xff",
    ):
        path.write_bytes(content)
        with pytest.raises(ImageUnusable):
            await attach(path)


def test_ends_are_found_across_the_edges_of_the_pieces_that_are_read() -> None:
    jpeg, png = save(noise(700, 700), "JPEG", quality=95), save(noise(300, 300), "PNG")
    assert len(jpeg) > 400_000
    for behind in (b"", b"\xff\xd9", b"\xff" * 5):
        assert end_of_jpeg(io.BytesIO(jpeg + behind)) == len(jpeg)
        assert end_of_png(io.BytesIO(png + behind), len(png + behind)) == len(png)
    filled = jpeg[:2] + b"\xff\xff" + jpeg[2:]
    assert end_of_jpeg(io.BytesIO(filled)) == len(filled)
    assert end_of_jpeg(io.BytesIO(b"\xff\xd8\xff\x01\xff\xe0\x00\x01")) is None
    assert end_of_png(io.BytesIO(png[:-2]), len(png) - 2) is None


async def test_the_request_on_the_wire_is_exact_json_with_its_length_and_can_be_sent_again(
    picture: Path, tmp_path: Path
) -> None:
    large = tmp_path / "large.jpg"
    large.write_bytes(save(noise(900, 900), "JPEG", quality=95))
    transport, requests = answering(httpx.Response(503), httpx.ConnectError("x"), pictures())
    bodies: list[bytes] = []

    class Reading(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            bodies.append(await request.aread())
            return await transport.handle_async_request(request)

    inline = data_uri(image_bytes(70, 70))
    arguments = {"prompt": 'x "é"', "images": [str(picture), "https://example.com/ä", str(large), inline]}
    async with connect(transport=Reading()) as client:
        assert not (await client.call_tool("edit_image", arguments)).is_error
    images = [
        data_uri(picture.read_bytes()),
        "https://example.com/ä",
        data_uri(large.read_bytes()),
        inline,
    ]
    plain = json.dumps(
        {
            "prompt": 'x "é"',
            "images": images,
            "size": "2048x2048",
            "sequential_image_generation": "disabled",
            "watermark": False,
        },
        ensure_ascii=False,
        separators=(",", ":"),
    ).encode()
    assert bodies == [plain] * 3
    assert requests[0].headers["content-length"] == str(len(plain))
    assert "transfer-encoding" not in requests[0].headers


async def test_a_request_that_breaks_off_before_its_end_billed_nothing_and_is_not_repeated(
    tmp_path: Path,
) -> None:
    path = tmp_path / "large.jpg"
    path.write_bytes(save(noise(2_000, 2_000), "JPEG", quality=95))
    asked = 0

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        await reader.readexactly(70_000)
        writer.transport.abort()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with connect(NOVITA_BASE_URL=url) as client:
        text = text_of(await client.call_tool("edit_image", {"prompt": "x", "images": [str(path)]}))
    server.close()
    assert text.startswith("[upstream_unavailable] The connection to the API broke before the request")
    assert text.endswith("Billed: no")
    assert asked == 1


async def test_a_source_that_ends_early_ends_the_request(tmp_path: Path) -> None:
    from mcp_server.client.body import RequestBody

    body = RequestBody({"images": [Attachment(Base64Source("AAAA"), "jpeg", 9)]})
    with pytest.raises(ImageUnusable, match="shorter"):
        [chunk async for chunk in body]


@pytest.mark.parametrize("offset", range(7))
def test_base64_is_decoded_from_anywhere(offset: int) -> None:
    data = bytes(range(50))
    source = Base64Source(base64.b64encode(data).decode())
    assert source.size == 50
    for length in range(52):
        assert source.read(offset, length) == data[offset : offset + length]


def mutations(seed: int) -> bytes:
    """A damaged picture: bytes changed, cut, doubled, or zeroed."""
    dice = random.Random(seed)
    kinds: list[Callable[[], bytes]] = [
        lambda kind=kind: save(Image.new("RGB", (dice.randrange(16, 90), 40), "teal"), kind)  # type: ignore[misc]
        for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
    ]
    data = bytearray(kinds[seed % len(kinds)]())
    for _ in range(dice.randrange(1, 12)):
        place = dice.randrange(len(data))
        match dice.randrange(4):
            case 0:
                data[place] = dice.randrange(256)
            case 1:
                data[place : place + 4] = dice.randbytes(4)
            case 2:
                del data[place : place + dice.randrange(1, 40)]
            case _:
                data[place:place] = data[place : place + 40]
        if not data:
            data = bytearray(b"\0")
    return bytes(data)


async def test_a_corpus_of_damaged_files_never_crashes_hangs_or_eats_memory(tmp_path: Path) -> None:
    path = tmp_path / "damaged"
    before = peak()
    outcomes = {True: 0, False: 0}
    for seed in range(400):
        path.write_bytes(mutations(seed))
        started = time.monotonic()
        try:
            data, _, _ = await attach(path)
        except SeedreamError:
            outcomes[False] += 1
        else:
            outcomes[True] += 1
            assert len(data) <= LIMITS.reference_max_bytes
        assert time.monotonic() - started < 10  # a hang, not a benchmark
    assert peak() - before < 200_000
    assert min(outcomes.values()) > 20


def test_a_file_source_reads_and_closes(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"0123456789")
    source = FileSource(path.open("rb", buffering=0), "x")
    assert (source.size, source.read(3, 4)) == (10, b"3456")
    source.close()
