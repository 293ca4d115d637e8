"""JSON as hosts take it, with comments and trailing commas: read, changed in place, rendered.

No library on PyPI keeps such a text as it is while one member is set: those that round-trip render it anew.
So places are found by a small parser, and only the text at that place is touched.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from json.decoder import scanstring  # type: ignore[attr-defined]  # the parser's own, which the stubs leave out
from typing import Any

from mcp_server.config.edits import Edit, Refused, nested
from mcp_server.config.hosts import Item

_GAP = re.compile(r"(?:[ \t\r\n]+|//[^\r\n]*|/\*.*?\*/)*", re.DOTALL)
_SCALAR = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null")
_TOKENS = re.compile(r'(//[^\r\n]*|/\*.*?\*/)|("(?:[^"\\]|\\.)*")(\s*:)?', re.DOTALL)
_DEEPEST = 100


@dataclass(slots=True)
class _Node:
    start: int
    end: int = 0
    value: Any = None  # of a scalar
    opener: str = ""  # { or [
    parts: list[tuple[str, "_Node"]] = field(default_factory=list)  # members, or items with no key
    starts: list[int] = field(default_factory=list)  # of the parts, their keys included


def parse(text: str) -> Any:
    """What `text` means; None if there is nothing in it but comments.

    Raises:
        Refused: it is no JSON, comments and trailing commas apart.
    """
    root = _tree(text)
    return None if root is None else _plain(root)


def edited(text: str, edits: Sequence[Edit]) -> str:
    """`text` with the edits in it, all else as it was."""
    for edit in edits:
        root = _tree(text)
        if root is None:
            text = text.rstrip() + "\n" * bool(text.strip()) + render(nested(edit.path, edit.value)) + "\n"
        else:
            text = _put(text, root, edit)
    return text


def render(value: Any, indent: str = "  ", before: str = "") -> str:
    """`value` as JSON; lists of scalars in one line. What is not the first line begins with `before`."""
    if isinstance(value, dict) and value:
        parts = [f"{json.dumps(key)}: {render(part, indent, before + indent)}" for key, part in value.items()]
    elif isinstance(value, list) and any(isinstance(part, dict | list) for part in value):
        parts = [render(part, indent, before + indent) for part in value]
    else:
        return json.dumps(value, ensure_ascii=False)
    inner = ",".join(f"\n{before}{indent}{part}" for part in parts)
    return f"{{{inner}\n{before}}}" if isinstance(value, dict) else f"[{inner}\n{before}]"


def masked(text: str, ours: str) -> str:
    """`text` with every comment and string hidden that is not in `ours`, a text of our own; keys stay."""
    known = {match[2] for match in _TOKENS.finditer(ours)}

    def hide(match: re.Match[str]) -> str:
        comment, string, colon = match.groups()
        if comment:
            return comment[:2] + " ***" + ("\n" * comment.count("\n") + " */" if comment[1] == "*" else "")
        return match[0] if colon or string in known else '"***"'

    return _TOKENS.sub(hide, text)


def _tree(text: str) -> _Node | None:
    start = _skip(text, 0)
    if start == len(text):
        return None
    root = _read(text, start, 0)
    if (rest := _skip(text, root.end)) != len(text):
        raise _wrong(text, rest)
    return root


def _read(text: str, at: int, depth: int) -> _Node:
    node = _Node(at)
    if text[at : at + 1] in ("{", "["):
        if depth == _DEEPEST:
            raise Refused(f"it is nested more than {_DEEPEST} deep")
        node.opener = text[at]
        node.end = _read_parts(text, node, depth)
    elif text[at : at + 1] == '"':
        node.value, node.end = _string(text, at)
    elif match := _SCALAR.match(text, at):
        node.value, node.end = json.loads(match[0]), match.end()
    else:
        raise _wrong(text, at)
    return node


def _read_parts(text: str, node: _Node, depth: int) -> int:
    at = _skip(text, node.start + 1)
    closer = "}" if node.opener == "{" else "]"
    while not text.startswith(closer, at):
        node.starts.append(at)
        key = ""
        if node.opener == "{":
            key, at = _string(text, at)
            at = _skip(text, at)
            if not text.startswith(":", at):
                raise _wrong(text, at)
            at = _skip(text, at + 1)
        part = _read(text, at, depth + 1)
        node.parts.append((key, part))
        at = _skip(text, part.end)
        if text.startswith(",", at):
            at = _skip(text, at + 1)
        elif not text.startswith(closer, at):
            raise _wrong(text, at)
    return at + 1


def _string(text: str, at: int) -> tuple[str, int]:
    if not text.startswith('"', at):
        raise _wrong(text, at)
    try:
        value, end = scanstring(text, at + 1, True)  # noqa: FBT003 - it takes no names
    except json.JSONDecodeError as error:
        raise _wrong(text, error.pos) from None
    return value, end


def _skip(text: str, at: int) -> int:
    match = _GAP.match(text, at)
    return match.end() if match else at


def _wrong(text: str, at: int) -> Refused:
    return Refused(f"line {text.count(chr(10), 0, at) + 1} is no JSON")


def _plain(node: _Node) -> Any:
    if node.opener == "{":
        return {key: _plain(part) for key, part in node.parts}
    return [_plain(part) for _, part in node.parts] if node.opener else node.value


def _put(text: str, root: _Node, edit: Edit) -> str:
    node, path = root, list(edit.path)
    while path and (part := _child(node, path[0])) is not None:
        node = part
        path.pop(0)
    indent = _indent_of(text, root)
    if not path or not node.opener:  # there, or null
        before = _line_start(text, node.start)
        return text[: node.start] + render(nested(path, edit.value), indent, before) + text[node.end :]
    return _insert(text, node, path, edit.value, indent)


def _child(node: _Node, step: Any) -> _Node | None:
    if isinstance(step, Item):
        items = (part for _, part in node.parts if part.opener == "{")
        return next((item for item in items if _plain(item).get(step.by) == step.name), None)
    return next((part for key, part in reversed(node.parts) if key == step), None)


def _insert(text: str, node: _Node, path: list[Any], value: Any, indent: str) -> str:
    """A further member or item at the end of `node`, in the way of those that are there."""
    brace = node.end - 1
    end = len(text[:brace].rstrip())
    inline = bool(node.parts) and "\n" not in text[node.start : node.end]
    outer = _line_start(text, node.start)
    before = _line_start(text, node.starts[0]) if node.parts and not inline else outer + indent
    fresh = render(nested(path[1:], value), indent, before)
    if not isinstance(path[0], Item):
        fresh = f"{json.dumps(path[0])}: {fresh}"
    trailing = _trailing_comma(text, node)
    if inline:
        return text[:end] + ("" if trailing else ",") + " " + re.sub(r"\n\s*", " ", fresh) + text[end:]
    if node.parts and not trailing:
        last = node.parts[-1][1].end
        text, end, brace = text[:last] + "," + text[last:], end + 1, brace + 1
    if not text[node.start + 1 : brace].strip():
        text, end = text[: node.start + 1] + text[brace:], node.start + 1
        brace = end
    after = "" if "\n" in text[end:brace] else f"\n{outer}"
    return text[:end] + f"\n{before}{fresh}{',' if trailing else ''}{after}" + text[end:]


def _trailing_comma(text: str, node: _Node) -> bool:
    return bool(node.parts) and text.startswith(",", _skip(text, node.parts[-1][1].end))


def _line_start(text: str, at: int) -> str:
    """The white space that the line of `at` begins with."""
    line = text[text.rfind("\n", 0, at) + 1 : at]
    return line[: len(line) - len(line.lstrip())]


def _indent_of(text: str, root: _Node) -> str:
    if root.parts and "\n" in text[root.start : root.starts[0]]:
        own, first = _line_start(text, root.start), _line_start(text, root.starts[0])
        return first[len(own) :] or "  "
    return "  "
