"""Reference images: each entry of `images`, checked, made fit where it can be, ready to be streamed.

Nothing is fetched: a URL is the API's to load. Files and data: URIs are checked from their bytes.
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from anyio import CapacityLimiter, to_thread

from mcp_server.errors import ImageUnusable, quote
from mcp_server.limits import Limits
from mcp_server.references.url import check_url

if TYPE_CHECKING:
    from mcp_server.references.source import Source

_DATA_URI = re.compile(r"data:(?P<type>[^;,]{0,100})(?P<parameters>(?:;[^;,]{0,100}){0,8}),", re.IGNORECASE)
_REMEDY = "pass a public https URL, a local file, or the image itself as data:image/jpeg;base64,<data>"


@dataclass(frozen=True, slots=True)
class Attachment:
    """A checked picture that goes into the request as a data: URI: its first `length` bytes."""

    source: "Source"
    kind: str
    length: int

    @property
    def label(self) -> str:
        """The data: URI up to its data."""
        return f"data:image/{self.kind};base64,"


Wire = str | Attachment
"""A reference as it goes out: a URL, or a picture to be encoded on the way."""


@dataclass
class References:
    """Checked references in the caller's order, and what is to be said.

    A context manager that closes their files when the last of those who have entered it leaves: the call,
    and the request, which may outlive it.
    """

    wire: list[Wire] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    _entered: int = 0

    def __enter__(self) -> Self:
        self._entered += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._entered -= 1
        if not self._entered:
            self.close()

    def close(self) -> None:
        """Close the files behind the references."""
        for reference in self.wire:
            if isinstance(reference, Attachment):
                reference.source.close()


@dataclass(frozen=True, slots=True)
class Rules:
    """What references may be: the model's limits, and what this process allows."""

    limits: Limits
    loopback_ok: bool  # URLs on this machine, for an API that is on it too
    folders: Sequence[Path] | None = None  # that files may come from; None: any, empty: none
    fit: bool = True  # mend what can be mended
    one_at_a_time: CapacityLimiter | None = None  # decoding takes memory
    saved_instead_of: Callable[[str], Awaitable[Path | None]] | None = None  # file of an expired link of ours


async def check_references(images: Sequence[str], rules: Rules) -> References:
    """Check every entry of `images` against the documented rules.

    Raises:
        ImageNotFound: a file that is not there.
        ImageUnusable: names the entry by its index, what is wrong, and what to do instead.
        InvalidArgument: a path that can't be one.
    """
    references = References()
    try:
        for index, image in enumerate(images):
            name, entry = f"images[{index}]", image.strip()
            if entry[:7].lower().startswith(("http:/", "https:/")):
                saved = await rules.saved_instead_of(entry) if rules.saved_instead_of else None
                if saved is None or not saved.exists():
                    check_url(entry, name, loopback_ok=rules.loopback_ok)
                    references.wire.append(entry)
                    continue
                within = replace(rules, folders=(saved.parent,))
                checked, warnings = await to_thread.run_sync(
                    _attach, str(saved), name, within, limiter=rules.one_at_a_time
                )
                references.warnings.append(f"{name}: its link has expired, so the saved file was sent.")
            else:
                # Pillow is imported only here. Files are read and base64 is decoded beside the event loop.
                checked, warnings = await to_thread.run_sync(
                    _attach, entry, name, rules, limiter=rules.one_at_a_time
                )
            references.wire.append(checked)
            references.warnings += warnings
    except BaseException:
        references.close()
        raise
    return references


def _attach(entry: str, name: str, rules: Rules) -> tuple[Attachment, list[str]]:
    """The picture behind a data: URI or a path."""
    source, label = _open(entry, name, rules)
    try:
        return _checked(source, label, name, rules)
    except BaseException:
        source.close()
        raise


def _open(entry: str, name: str, rules: Rules) -> "tuple[Source, str | None]":
    from mcp_server.references.files import open_local
    from mcp_server.references.source import Base64Source

    if entry[:5].lower() != "data:":
        if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:(?!\\)", entry) and entry[:5].lower() != "file:":
            raise ImageUnusable(f"{name} has a scheme that is none of https, http, file and data", _REMEDY)
        return open_local(entry, name, rules.folders), None
    head = _DATA_URI.match(entry)
    if head is None or not head["parameters"].lower().endswith(";base64"):
        raise ImageUnusable(f"{name} is not of the form data:image/<format>;base64,<data>", _REMEDY)
    text = entry[head.end() :]
    if any(space in text for space in " \t\r\n"):  # some encoders wrap lines
        text = "".join(text.split())
    try:
        return Base64Source(text), head["type"]
    except ValueError:
        raise ImageUnusable(f"{name} does not hold valid base64", _REMEDY) from None


def _checked(source: "Source", label: str | None, name: str, rules: Rules) -> tuple[Attachment, list[str]]:
    from mcp_server.references.as_is import check_as_is
    from mcp_server.references.fit import fit
    from mcp_server.references.image import hopeless, misfits, read_facts

    if label is not None:
        _check_text(source, name, rules.limits)
    facts, told = read_facts(source, name)
    hopeless(facts, name, rules.limits)
    warnings = [told] if told else []
    if not (problems := misfits(facts, rules.limits)):
        if facts.kind not in ("jpeg", "png"):
            facts, left_out = check_as_is(source, facts, name)
            warnings += [left_out] if left_out else []
        if label is not None and _differs(label, facts.kind):
            warnings.append(
                f"{name} was labelled {quote(label)}, and is {facts.kind} by content; sent as {facts.kind}."
            )
        return Attachment(source, facts.kind, facts.length), warnings
    if not rules.fit:
        raise ImageUnusable(
            f"{name}: {'; '.join(problems)}",
            "convert or shrink it. A person may let this server do so by SEEDREAM_FIT_REFERENCES=true",
        )
    fitted, kind, (width, height) = fit(source, facts, name, rules.limits)
    source.close()
    warnings.append(f"{name} was made fit ({'; '.join(problems)}): sent as {width}x{height} {kind}.")
    return Attachment(fitted, kind, fitted.size), warnings


def _check_text(source: "Source", name: str, limits: Limits) -> None:
    """The whole text of a data: URI: its size, and that it is base64 to its end."""
    if source.size > limits.reference_max_bytes:
        raise ImageUnusable(
            f"{name} is {source.size:,} bytes once decoded; legal are {limits.reference_max_bytes:,} "
            f"({limits.reference_megabytes} MB)",
            "pass a smaller or more strongly compressed version, its file, or its public URL",
        )
    try:
        for offset in range(0, source.size, _PIECE):
            source.read(offset, _PIECE)
    except ValueError:
        raise ImageUnusable(f"{name} does not hold valid base64", _REMEDY) from None


_PIECE = 768 * 1024


def _differs(label: str, kind: str) -> bool:
    shown = label.lower().removeprefix("image/")
    return shown != kind and (shown, kind) != ("jpg", "jpeg")
