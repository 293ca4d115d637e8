"""Texts of hosts, changed in place: what they mean afterwards, and that all else in them is as it was."""

import json
import re
import tomllib
from difflib import SequenceMatcher
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_server.config import jsonc, toml
from mcp_server.config import yaml as yamls
from mcp_server.config.edits import Edit, applied
from mcp_server.config.hosts import Item
from mcp_server.config.merge import difference, merged
from mcp_server.config.shapes import document, local_entry, remote_entry
from mcp_server.config.table import BY_ID

WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=8)
NAMES = st.one_of(st.sampled_from(["mcpServers", "seedream", "servers", "inputs", "env", "id"]), WORDS)
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), WORDS
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
SERVERS = st.dictionaries(NAMES, st.dictionaries(NAMES, VALUES, max_size=3), max_size=3)
GAPS = st.sampled_from(
    ["", " ", "\n", "\n  ", "\t", " // note\n", "/* a, {b} */", '\n// "x": 1,\n  ', "\r\n"]
)


@st.composite
def json_texts(draw: st.DrawFn, value: Any) -> str:
    """`value` as a person may write it: gaps, comments and trailing commas anywhere."""
    if not isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=draw(st.booleans()))
    parts: list[str] = []
    for part in value.items() if isinstance(value, dict) else value:
        key, inner = part if isinstance(value, dict) else (None, part)
        start = f"{json.dumps(key)}{draw(GAPS)}:" if key is not None else ""
        parts.append(draw(GAPS) + start + draw(GAPS) + draw(json_texts(inner)) + draw(GAPS))
    trailing = "," if parts and draw(st.sampled_from(["", ","])) else ""
    inside = ",".join(parts) + trailing + draw(GAPS)
    return f"{{{inside}}}" if isinstance(value, dict) else f"[{inside}]"


@st.composite
def files(draw: st.DrawFn) -> tuple[Any, str]:
    rest = draw(
        st.dictionaries(WORDS.filter(lambda name: name not in ("mcpServers", "inputs")), VALUES, max_size=3)
    )
    data = {**rest, **draw(st.fixed_dictionaries({}, optional={"mcpServers": SERVERS | st.none()}))}
    return data, draw(GAPS) + draw(json_texts(data)) + draw(GAPS)


def comments(text: str) -> list[str]:
    return re.findall(r"//[^\r\n]*|/\*.*?\*/", re.sub(r'"(?:[^"\\]|\\.)*"', '""', text))


def is_kept(before: str, after: str) -> bool:
    """Whether `after` is `before` with something put into it."""
    rest = iter(after)
    return all(character in rest for character in before)


@given(files())
@settings(max_examples=60, deadline=None)
def test_any_json_with_comments_is_read_as_it_is_meant(file: tuple[Any, str]) -> None:
    data, text = file
    assert jsonc.parse(text) == data


@given(files(), st.booleans())
@settings(max_examples=120, deadline=None)
def test_an_entry_gets_into_any_json_with_comments(file: tuple[Any, str], far: bool) -> None:
    data, text = file
    host = BY_ID["claude-desktop" if not far else "generic"]
    entry = remote_entry(host, "https://e.com/mcp") if far else local_entry(host, "/opt/uvx", ["x"])
    assert entry
    after = merged(host, text, entry)
    servers = data.get("mcpServers") or {}
    fresh = jsonc.parse(after)
    assert {**fresh, "mcpServers": None} == {**data, "mcpServers": None}
    assert {**fresh["mcpServers"], "seedream": None} == {**servers, "seedream": None}
    assert merged(host, after, entry) == after
    if servers.get("seedream") is None and data.get("mcpServers", {}) is not None:
        assert comments(after) == comments(text)
        assert servers.get("seedream", 1) is None or is_kept(re.sub(r"{\s*}", "{}", text), after)


def with_secrets(value: Any) -> Any:
    """`value`, every string in it a secret."""
    if isinstance(value, dict):
        return {key: with_secrets(part) for key, part in value.items()}
    if isinstance(value, list):
        return [with_secrets(part) for part in value]
    return f"hunter2{value}" if isinstance(value, str) else value


@given(
    VALUES.map(with_secrets).flatmap(json_texts), st.sampled_from(["", "// hunter2\n", "/* hunter2\n\n */"])
)
@settings(max_examples=60, deadline=None)
def test_no_string_or_comment_of_another_is_in_a_masked_text(text: str, comment: str) -> None:
    text += comment
    masked = jsonc.masked(text, '{"command": "uvx"}')
    assert "hunter2" not in masked
    assert "note" not in masked or "note" in json.dumps(jsonc.parse(text))
    assert masked.count("\n") == text.count("\n")


KEYS = st.from_regex(r"\A[a-z][a-z0-9_-]{0,8}\Z").filter(
    lambda name: name not in ("extensions", "true", "null")
)
LEAVES = st.one_of(
    st.booleans(), st.integers(-999, 999), st.sampled_from(["a b", "x: y", "# no", "é", "", "~"])
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=10,
)
REMARKS = st.sampled_from(["", "# note\n", "\n", "    # far\n\n"])


@st.composite
def yaml_files(draw: st.DrawFn) -> tuple[Any, str]:
    data = draw(st.dictionaries(KEYS, TREES, max_size=3))
    extensions = draw(st.none() | st.dictionaries(KEYS, st.dictionaries(KEYS, TREES, max_size=3), max_size=3))
    pairs: list[tuple[str, Any]] = list(data.items())
    if draw(st.booleans()):
        pairs.insert(draw(st.integers(0, len(pairs))), ("extensions", extensions))
    text = draw(REMARKS)
    for key, value in pairs:
        flow = None if value and isinstance(value, dict | list) and draw(st.booleans()) else False
        indent = draw(st.integers(2, 4))
        text += yaml.safe_dump({key: value}, allow_unicode=True, default_flow_style=flow, indent=indent)
        text += draw(REMARKS)
    return dict(pairs), text.removesuffix("\n") if draw(st.booleans()) else text


@given(yaml_files())
@settings(max_examples=120, deadline=None)
def test_an_entry_gets_into_any_yaml(file: tuple[Any, str]) -> None:
    data, text = file
    host = BY_ID["goose"]
    entry = local_entry(host, "/opt/uvx", ["x"])
    after = merged(host, text, entry)
    extensions = data.get("extensions") or {}
    assert yaml.safe_load(after) == {**data, "extensions": {**extensions, "seedream": entry}}
    assert merged(host, after, entry) == after
    if data.get("extensions", 1):
        assert is_kept(text, after)


TOML_PARTS = st.lists(
    st.sampled_from(
        [
            'model = "x" # note\n',
            "\n",
            "# note\n",
            'notify = [\n  "a", # b\n  "c",\n]\n',
            'text = """\n[mcp_servers.no]\n"""\n',
            '[mcp_servers.a]\ncommand = "x"\n[mcp_servers.a.env]\nKEY = "y"\n',
            "[tui]\nmode = 1\n",
            '[[profiles]]\nname = "a"\n',
            "[mcp_servers]\n",
        ]
    ),
    unique=True,
)


@given(TOML_PARTS, st.booleans())
@settings(max_examples=60, deadline=None)
def test_an_entry_gets_into_any_toml(parts: list[str], ended: bool) -> None:
    parts.sort(key=lambda part: part.startswith("["))
    text = "".join(parts)
    text = text if ended else text.removesuffix("\n")
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return  # a table is declared twice
    host = BY_ID["codex"]
    entry = local_entry(host, "/opt/uvx", ["x"])
    after = merged(host, text, entry)
    servers = data.get("mcp_servers", {})
    assert tomllib.loads(after) == {**data, "mcp_servers": {**servers, "seedream": entry}}
    assert merged(host, after, entry) == after
    assert after.startswith(text) or not text.strip()


@pytest.mark.parametrize(
    "text",
    [
        "mcp_servers = {}\nmodel = 1 # m\n",
        'mcp_servers = { a = { command = "x" } }\n',
        "mcp_servers.a.command = 'x'\nmodel = 1\n",
        '[mcp_servers.seedream]\ncommand = "old" # c\n\n[z]\na = 1\n',
        '[mcp_servers.seedream]\nurl = "https://x"\n\n[z]\na = 1\n',
        '[mcp_servers.a]\ncommand = "x"\n[z]\na = 1\n[mcp_servers.seedream]\ncommand = "old"\n',
    ],
)
def test_an_entry_gets_into_toml_that_is_written_in_another_way(text: str) -> None:
    host = BY_ID["codex"]
    entry = local_entry(host, "/opt/uvx", ["x"])
    after = merged(host, text, entry)
    assert tomllib.loads(after)["mcp_servers"]["seedream"]["command"] == "/opt/uvx"
    assert merged(host, after, entry) == after


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("extensions:\n# c\nx: 1\n", "extensions:\n  a: 1\n# c\nx: 1\n"),
        ("extensions: # c\nx: 1\n", "extensions:\n  a: 1 # c\nx: 1\n"),
        ("extensions: {} # c\n", "extensions:\n  a: 1 # c\n"),
        ("extensions: {b: 2,}\n", 'extensions: {b: 2,"a": 1}\n'),
        ("extensions: {b: 2} # c\n", 'extensions: {b: 2, "a": 1} # c\n'),
        ("extensions:\n    b: 2 # c\n    # d\nx: 1", "extensions:\n    b: 2 # c\n    a: 1\n    # d\nx: 1"),
        ("extensions:\n    b: 2", "extensions:\n    b: 2\n    a: 1\n"),
        ("extensions:\n  b: |\n    t\n\n# c\n", "extensions:\n  b: |\n    t\n\n  a: 1\n# c\n"),
        (
            "extensions:\n  b:\n    c:\n    # d\n  # e\nx: 1\n",
            "extensions:\n  b:\n    c:\n  a: 1\n    # d\n  # e\nx: 1\n",
        ),
        ("extensions:\n  a: 2 # c\n", "extensions:\n  a: 1 # c\n"),
        ("extensions:\n  a:\n  - 2\n  b: 3\n", "extensions:\n  a: 1\n  b: 3\n"),
        ("# c\n", "# c\nextensions:\n  a: 1\n"),
        ("# c", "# c\nextensions:\n  a: 1\n"),
    ],
)
def test_yaml_is_changed_at_its_place_and_nowhere_else(text: str, after: str) -> None:
    assert yamls.edited(text, [Edit(("extensions", "a"), 1)]) == after


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("mcpServers:\n- name: b\n# c\n", "mcpServers:\n- name: b\n- name: a\n  x: 1\n# c\n"),
        ("mcpServers:\n  - b # c\n", "mcpServers:\n  - b # c\n  - name: a\n    x: 1\n"),
        ("mcpServers: []\n", "mcpServers:\n  - name: a\n    x: 1\n"),
        (
            "mcpServers:\n  - name: a # c\n  - name: b\n",
            "mcpServers:\n  - name: a\n    x: 1 # c\n  - name: b\n",
        ),
    ],
)
def test_yaml_lists_are_changed_at_their_place(text: str, after: str) -> None:
    edit = Edit(("mcpServers", Item("name", "a")), {"name": "a", "x": 1})
    assert yamls.edited(text, [edit]) == after


def test_what_is_unknown_of_yaml_is_a_string() -> None:
    text = "a: 2026-11-23\nb: 1.5\nc: 0x1F\nd: ~\ne: yes\nf: True\n3: x\n"
    assert yamls.parse(text) == {
        "a": "2026-11-23",
        "b": "1.5",
        "c": "0x1F",
        "d": None,
        "e": "yes",
        "f": True,
        3: "x",
    }


def test_lines_that_are_ours_are_shown_and_all_else_is_hidden() -> None:
    yaml_text = (
        "a: hunter2 # hunter2\nb:\n  - hunter2\nc: |\n  hunter2\ncmd: uvx # hunter2\n- name: uvx\n# hunter2\n"
    )
    assert yamls.masked(yaml_text, "cmd: uvx\n") == (
        "a: ***\nb:\n  ***\nc: ***\n  ***\ncmd: uvx\n- name: uvx\n***\n"
    )
    toml_text = (
        'a = "hunter2"\n[b.c]\n["hunter2"]\nd = [\n  "hunter2",\n]\ncommand = "uvx" # hunter2\n# hunter2\n'
    )
    assert toml.masked(toml_text, 'command = "uvx"\n') == (
        'a = "***"\n[b.c]\n***\nd = "***"\n***\n***\ncommand = "uvx"\n***\n'
    )


def test_a_change_in_a_line_that_is_hidden_is_shown_apart() -> None:
    host = BY_ID["codex"]
    entry = local_entry(host, "/opt/uvx", ["x"])
    before = 'mcp_servers = { a = { command = "hunter2" } }\n'
    lines = list(difference(host, entry, "f", before, merged(host, before, entry)))
    assert "@@ in a line that holds values of others @@" in lines
    assert '+command = "/opt/uvx"' in lines
    assert "hunter2" not in str(lines)


def test_long_lines_of_a_difference_are_cut() -> None:
    host = BY_ID["cursor"]
    entry = local_entry(host, "/opt/uvx", ["x"])
    before = json.dumps({"mcpServers": {f"server-{number}": {} for number in range(99)}})
    assert max(map(len, difference(host, entry, "f", before, merged(host, before, entry)))) == 204


def test_an_edit_of_plain_data_makes_what_is_missing() -> None:
    edits = [
        Edit(("a", "b"), 1),
        Edit(("c", Item("id", "x")), {"id": "x"}),
        Edit(("c", Item("id", "x"), "y"), 2),
    ]
    assert applied({"c": None}, edits) == {"a": {"b": 1}, "c": [{"id": "x", "y": 2}]}


def test_a_rendered_document_means_itself() -> None:
    for host in BY_ID.values():
        data = document(host, local_entry(host, "C:\\uvx.exe", ["é", 'a"b']))
        assert jsonc.parse(jsonc.render(data)) == data
        assert yamls.parse(yamls.render(data)) == data
        assert toml.parse(toml.render(data)) == data


def test_json_of_nothing_but_a_comment_keeps_it() -> None:
    assert jsonc.edited("// mine", [Edit(("a",), 1)]) == '// mine\n{\n  "a": 1\n}\n'


def test_of_members_of_the_same_name_the_last_counts() -> None:
    text = '{"mcpServers": 1, "mcpServers": {"a": {"command": "x"}}}'
    after = merged(BY_ID["cursor"], text, {"command": "y"})
    assert after == '{"mcpServers": 1, "mcpServers": {"a": {"command": "x"}, "seedream": { "command": "y" }}}'


def test_the_similarity_of_texts_is_that_of_the_entry_alone() -> None:
    before = '{\n  "mcpServers": {\n    "a": {"command": "x"}\n  }\n}\n'
    host = BY_ID["cursor"]
    after = merged(host, before, local_entry(host, "/opt/uvx", ["x"]))
    changes = [
        one for one in SequenceMatcher(None, before, after, autojunk=False).get_opcodes() if one[0] != "equal"
    ]
    assert {one[0] for one in changes} == {"insert"}
