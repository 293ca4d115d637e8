"""YAML: places are found by ruamel.yaml, and only the text at that place is touched.

A round trip through a library would render the whole file anew: other indents, other quotes, folded lines.
"""

import json
import re
from collections.abc import Iterator, Sequence
from textwrap import dedent
from typing import Any

from mcp_server.config.edits import Edit, Refused, nested
from mcp_server.config.hosts import Item

_MOST_NODES = 100_000
_PAIR = re.compile(r"(\s*(?:- +)?[\w.$-]+:)((?:[ \t].*)?)")


def parse(text: str) -> Any:
    """What `text` means, of scalars only what JSON knows; None if there is nothing in it.

    Raises:
        Refused: it is no YAML, or several documents, or aliases make it vast.
    """
    root = _tree(text)
    budget = iter(range(_MOST_NODES))
    return None if root is None else _plain(root, budget)


def edited(text: str, edits: Sequence[Edit]) -> str:
    """`text` with the edits in it, all else as it was."""
    for edit in edits:
        text = _put(text, edit)
    return text


def render(value: Any) -> str:
    """`value` as YAML in blocks."""
    from io import StringIO

    from ruamel.yaml import YAML

    writer = YAML(pure=True)
    writer.default_flow_style = False
    writer.indent(mapping=2, sequence=4, offset=2)
    writer.width = 10_000
    output = StringIO()
    writer.dump(value, output)
    return dedent(output.getvalue())


def masked(text: str, ours: str) -> str:
    """`text` with what could be a secret hidden in every line that is not in `ours`, a text of our own."""
    known = {line.strip() for line in ours.splitlines()} | set(_values(parse(ours)))
    return "\n".join(_masked_line(line, known) for line in text.split("\n"))


def _values(data: Any) -> Iterator[str]:
    """Each scalar and list in `data`, in the ways that this module writes them."""
    if isinstance(data, dict | list):
        for part in data.values() if isinstance(data, dict) else data:
            yield from _values(part)
    yield data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    yield json.dumps(data, ensure_ascii=False)


def _masked_line(line: str, known: set[str]) -> str:
    if not line.strip() or line.strip() in known:
        return line
    pair = _PAIR.fullmatch(line.rstrip())
    if pair is None:
        return re.sub(r"\S.*", "***", line)
    value = re.sub(r"\s+#.*", "", pair[2]).strip()
    return f"{pair[1]} {value if value in known else '***'}" if pair[2] else line


def _tree(text: str) -> Any:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        return YAML(typ="safe", pure=True).compose(text)
    except (YAMLError, RecursionError, ValueError) as error:
        mark = error.problem_mark if isinstance(error, MarkedYAMLError) else None
        raise Refused(f"line {mark.line + 1} is no YAML" if mark else "it is no YAML") from None


def _plain(node: Any, budget: Iterator[int]) -> Any:
    if next(budget, None) is None:
        raise Refused("its aliases make it too large")
    if isinstance(node.value, str):
        return _scalar(node)
    if node.id == "sequence":
        return [_plain(item, budget) for item in node.value]
    plain = {}
    for key, value in node.value:
        name = _plain(key, budget)
        if not isinstance(name, str | int | None) or name in plain:
            raise Refused(f"line {key.start_mark.line + 1} has a key that is there already, or is none")
        plain[name] = _plain(value, budget)
    return plain


def _scalar(node: Any) -> Any:
    kind = str(node.tag).rpartition(":")[2]
    if kind == "null":
        return None
    if kind == "bool":
        return node.value.lower() == "true"
    if kind == "int" and re.fullmatch(r"-?\d+", node.value):
        return int(node.value)
    return str(node.value)


def _put(text: str, edit: Edit) -> str:
    node, key, path = _tree(text), None, list(edit.path)
    if node is None:
        return _lines_end(text) + render(nested(path, edit.value))
    while path and (part := _child(node, path[0])) is not None:
        key, node = part
        path.pop(0)
    value = nested(path, edit.value)
    if not path or isinstance(node.value, str) or not node.value:  # there, or null, or {}
        return _replace(text, node, key, value)
    return _insert(text, node, value)


def _child(node: Any, step: Any) -> tuple[Any, Any] | None:
    """The key, if there is one, and the value at `step`."""
    if isinstance(step, Item):
        for item in node.value:
            name = _child(item, step.by) if item.id == "mapping" else None
            if name and name[1].value == step.name:
                return None, item
        return None
    if node.id != "mapping":
        return None
    return next(((key, value) for key, value in node.value if key.value == step), None)


def _replace(text: str, node: Any, key: Any, value: Any) -> str:
    """`value` in the place of `node`, which may be empty: scalars and lists of them in its line."""
    start, gap, column = node.start_mark.index, "", int(node.start_mark.column)
    block = isinstance(value, dict) or (isinstance(value, list) and isinstance(value[0], dict))
    if key is not None:
        start, column = text.index(":", key.end_mark.index) + 1, int(key.start_mark.column) + 2
        gap = "\n" + " " * column if block else " "
    lines = render(value).splitlines() if block else [json.dumps(value, ensure_ascii=False)]
    return text[:start] + gap + ("\n" + " " * column).join(lines) + text[_end(text, node, key) :]


def _insert(text: str, node: Any, value: Any) -> str:
    """A further member or item at the end of `node`, in the way of those that are there."""
    if node.flow_style:
        end = node.end_mark.index - 1
        inner = json.dumps(value, ensure_ascii=False)[1:-1]
        gap = ", " if node.value and not text[:end].rstrip().endswith(",") else ""
        return text[:end] + gap + inner + text[end:]
    end = _end(text, node)
    if text[end - 1] != "\n":
        line = text.find("\n", end)
        text, end = (text, line + 1) if line >= 0 else (text + "\n", len(text) + 1)
    before = " " * node.start_mark.column
    lines = [f"{before}{line}\n" for line in render(value).splitlines()]
    return "".join((text[:end], *lines, text[end:]))


def _end(text: str, node: Any, key: Any = None) -> int:
    """Where what is in a node ends; the marks of blocks and of empty values are behind later comments."""
    while not isinstance(node.value, str) and not node.flow_style:
        last = node.value[-1]
        key, node = last if isinstance(last, tuple) else (None, last)
    if key is not None and node.value == "" and node.start_mark.index == node.end_mark.index:
        return text.index(":", key.end_mark.index) + 1
    return int(node.end_mark.index)


def _lines_end(text: str) -> str:
    return text if not text or text.endswith("\n") else text + "\n"
