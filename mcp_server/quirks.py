"""What certain hosts break on, as one table. A host is known by the name in its `clientInfo`."""

import re
from dataclasses import dataclass
from typing import Literal

from mcp.types import Implementation

Breaks = Literal["links", "links beside a view", "questions"]
"""A `resource_link` fails the whole call; or it keeps the view from its result; or a question to the person
is taken and never shown."""


@dataclass(frozen=True, slots=True)
class Quirk:
    """What a host breaks on. Of names the first words count, in lower case, with hyphens for spaces."""

    host: str
    names: tuple[str, ...]
    breaks: Breaks
    evidence: str  # a thread or a file, what it says, when
    until: tuple[int, ...] | None = None  # the first version that is known to be well


QUIRKS = (
    Quirk(
        "Codex",
        ("codex",),
        "links",
        "openai/codex#33404, #41280 (July, August 2026, open): the call ends in “Unexpected response type”",
    ),
    Quirk(
        "Kiro",
        ("kiro", "q-dev-cli"),
        "links",
        "kirodotdev/Kiro#3953 to #9439 (0.6 to 0.12.200, June 2026): “Unsupported response item type: "
        "resource_link”; the name of its command line is from #6935",
    ),
    Quirk(
        "Roo Code",
        ("roo-code",),
        "links",
        "RooCodeInc/Roo-Code 3.52.1: results are parsed by version 1.12.0 of the TypeScript SDK, which does "
        "not know the type",
    ),
    Quirk(
        "Cline before 3.45",
        ("cline",),
        "links",
        "cline/cline#5208 (July 2025): a Zod error for the whole result; its lock file has an SDK that knows "
        "the type in 3.45.0",
        until=(3, 45),
    ),
    Quirk(
        "claude.ai and Claude Desktop, where they draw a view",
        ("claude-ai", "anthropic"),
        "links beside a view",
        "anthropics/claude-ai-mcp#753 (August 2026, open): the view stays without its result",
    ),
    Quirk(
        "Cursor",
        ("cursor",),
        "questions",
        "gleanwork/glean-plugins-vnext#39, #51 (July and August 2026): elicitation is declared, and 3.10 to "
        "3.14 never show it; its `clientInfo` always says version 1.0.0",
    ),
    Quirk(
        "Claude Cowork",
        ("local-agent-mode",),
        "questions",
        "anthropics/claude-ai-mcp#1046, #236 (2026): elicitation is declared and never shown",
    ),
)


def breaks_on(client: Implementation | None) -> frozenset[Breaks]:
    """What the host behind this `clientInfo` breaks on; without one, nothing is known."""
    if client is None:
        return frozenset()
    name = re.sub(r"[\s_]+", "-", client.name.strip().lower())
    return frozenset(
        quirk.breaks
        for quirk in QUIRKS
        if any(_begins(name, known) for known in quirk.names)
        and (quirk.until is None or _version(client) < quirk.until)
    )


def links_wanted(setting: str, client: Implementation | None, *, draws_views: bool) -> bool:
    """Whether a result gets `resource_link`s, by `SEEDREAM_RESOURCE_LINKS` and the host."""
    if setting != "auto":
        return setting == "always"
    known = breaks_on(client)
    return "links" not in known and not (draws_views and "links beside a view" in known)


def _begins(name: str, known: str) -> bool:
    return name.startswith(known) and not name[len(known) :][:1].isalnum()


def _version(client: Implementation) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d{1,9}", client.version)[:3])
