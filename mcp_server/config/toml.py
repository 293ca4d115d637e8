"""TOML: read, changed in place by tomlkit, rendered."""

import contextlib
import re
import tomllib
from collections.abc import Sequence
from typing import Any

from mcp_server.config.edits import Edit, Refused, applied

_HEADER = re.compile(r"\s*\[+[\w.-]+\]+\s*")
_PAIR = re.compile(r"(\s*[\w.\"'-]+\s*=\s*)(\S.*)")


def parse(text: str) -> Any:
    """What `text` means.

    Raises:
        Refused: it is no TOML.
    """
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        line = re.search(r"line \d+", str(error))
        raise Refused(f"{line[0] if line else 'it'} is no TOML") from None


def edited(text: str, edits: Sequence[Edit]) -> str:
    """`text` with the edits in it, all else as it was."""
    for edit in edits:
        text = _put(text, edit)
    return text


def render(value: Any) -> str:
    """`value`, tables by name, as TOML."""
    import tomlkit

    return tomlkit.dumps(value)


def masked(text: str, ours: str) -> str:
    """`text` with what could be a secret hidden in every line that is not in `ours`, a text of our own."""
    lines = {line.strip() for line in ours.splitlines()}
    known = lines | {line.partition(" = ")[2] for line in lines}
    return "\n".join(_masked_line(line, known) for line in text.split("\n"))


def _masked_line(line: str, known: set[str]) -> str:
    if not line.strip() or line.strip() in known or _HEADER.fullmatch(line):
        return line
    pair = _PAIR.fullmatch(line.rstrip())
    if pair is None:
        return "***"
    value = re.sub(r"\s+#.*", "", pair[2]).strip()
    return pair[1] + (value if value in known else '"***"')


def _put(text: str, edit: Edit) -> str:
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    if isinstance(edit.value, dict):  # a table may stand anywhere: at the end nothing else is touched
        gap = "" if not text or text.endswith("\n") else "\n"
        fresh = text + gap + ("\n" if text.strip() else "") + render(applied(None, [edit]))
        with contextlib.suppress(Refused):  # it is there already, or the table around it is an inline one
            parse(fresh)
            return fresh
    try:
        document: Any = tomlkit.parse(text)
        here = document
        for step in edit.path[:-1]:
            here = here.setdefault(step, tomlkit.table())
        here[edit.path[-1]] = edit.value
        return tomlkit.dumps(document)
    except TOMLKitError:  # pragma: no cover - no text is known that only tomllib reads
        return text  # without what was asked for, which is found out
