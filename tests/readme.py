"""The generated parts of the README. `make readme` writes them; a test holds the file to them."""

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from pydantic_core import PydanticUndefined

from bundle.registry import SERVER
from mcp_server import emulator
from mcp_server.emulator.faults import Fault
from mcp_server.limits import MODELS, SEEDREAM_4_0
from mcp_server.network_settings import NetworkSettings
from mcp_server.quirks import QUIRKS, Breaks
from mcp_server.schemas import input_schema, list_input_schema
from mcp_server.settings import Settings
from tests.configs import links

README = Path(__file__).parent.parent / "README.md"


def tools() -> str:
    """A row for each argument of the tools."""
    edit = input_schema(SEEDREAM_4_0, watermark=False, edit=True)
    generate = input_schema(SEEDREAM_4_0, watermark=False, edit=False)
    lines = ["`generate_image` makes pictures from words; `edit_image` from words and reference images.", ""]
    lines += ["| argument | type | default | meaning |", "|---|---|---|---|"]
    for name, schema in edit["properties"].items():
        kind = " or ".join(f'`"{value}"`' for value in schema.get("enum", ())) or schema["type"]
        default = "required" if name in edit["required"] else _code(schema.get("default"))
        shown = f"`{name}`" + ("" if name in generate["properties"] else " (`edit_image`)")
        meaning = schema["description"]
        if name == "max_images":
            meaning = meaning.replace("1 to 14", "1 to 15 (`edit_image`: 1 to 14)")
        lines.append(f"| {shown} | {kind} | {default} | {_cell(meaning)} |")
    properties = list_input_schema()["properties"]
    limit = properties["limit"]
    lines += ["", f"`list_images` lists what was made lately, for free. `limit`: {limit['description']}"]
    lines[-1] += f" Default {limit['default']}. `before`: {properties['before']['description']}"
    return "\n".join(lines)


def settings() -> str:
    """A row for each environment variable that every server has."""
    return _settings(name for name in Settings.model_fields if name not in NetworkSettings.model_fields)


def network() -> str:
    """A row for each environment variable of a server over the network."""
    return _settings(NetworkSettings.model_fields)


def _settings(names: Iterable[str]) -> str:
    lines = ["| variable | default | meaning |", "|---|---|---|"]
    for field in map(Settings.model_fields.__getitem__, names):
        default = None if field.default is PydanticUndefined else field.default
        lines.append(f"| `{field.alias}` | {_code(default)} | {_cell(field.description or '')} |")
    return "\n".join(lines)


def hosts() -> str:
    """A row for each quirk of a host."""
    lines = ["| host | what it gets | evidence |", "|---|---|---|"]
    lines += [f"| {one.host} | {_INSTEAD[one.breaks]} | {_cell(one.evidence)} |" for one in QUIRKS]
    return "\n".join(lines)


_INSTEAD: Mapping[Breaks, str] = {
    "links": "no `resource_link`",
    "links beside a view": "no `resource_link`",
    "questions": "told so where a question has no answer",
}


def models() -> str:
    """A row for each model."""
    lines = ["| `SEEDREAM_MODEL` | sizes | pixels | references |", "|---|---|---|---|"]
    for limits in MODELS.values():
        pixels = f"{limits.min_pixels:,} to {limits.max_pixels:,}"
        references = f"up to {limits.max_references}: {limits.formats}"
        lines.append(f"| `{limits.model}` | {', '.join(limits.presets)} | {pixels} | {references} |")
    return "\n".join(lines)


def faults() -> str:
    """A row for each field of a fault."""
    lines = ["| field of a fault | meaning |", "|---|---|"]
    for name, field in Fault.model_fields.items():
        lines.append(f"| `{name}` | {_cell(field.description or '')} |")
    return "\n".join(lines)


def not_emulated() -> str:
    """The list in the emulator's docstring."""
    doc = inspect.getdoc(emulator) or ""
    return doc.partition("What it does not emulate:")[2].strip()


def written(text: str) -> str:
    """`text`, the README, with every generated part as the code has it."""
    parts: Mapping[str, Callable[[], str]] = {
        "tools": tools,
        "settings": settings,
        "models": models,
        "network": network,
        "links": links,
        "hosts": hosts,
        "faults": faults,
        "not emulated": not_emulated,
    }
    for name, make in parts.items():
        pattern = rf"(<!-- {name}: [^>]*-->\n).*?(<!-- /{name} -->)"
        fresh = make().replace("\\", r"\\")
        text, count = re.subn(pattern, rf"\1\n{fresh}\n\n\2", text, flags=re.DOTALL)
        if count != 1:
            raise ValueError(f"the README has no place for {name!r}")
    return re.sub(r"(<!-- mcp-name: )\S+", rf"\g<1>{SERVER}", text)  # shows PyPI and the registry one owner


def _code(value: object) -> str:
    if value in (None, ()):
        return "-"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    README.write_text(written(README.read_text("utf-8")), "utf-8")
