"""What has to change in a host's file, as steps on plain data: only what differs, and no one's secrets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mcp_server.config.hosts import Host, Item, Step
from mcp_server.config.shapes import inputs_of, path_of

_SECRETS = {
    *("env", "envs", "env_keys", "env_vars", "environment"),
    *("headers", "requestOptions", "bearer_token_env_var", "oauth"),
}
"""How a secret gets in. Once a person has an entry, that is their affair."""


class Refused(Exception):
    """Why a file is left as it is, in one line."""


@dataclass(frozen=True, slots=True)
class Edit:
    """A value to be put at a place; what is missing on the way there is made."""

    path: tuple[Step, ...]
    value: Any


def found(data: Any, path: Sequence[Step]) -> Any:
    """What is at `path`, or None.

    Raises:
        Refused: something on the way is of another kind.
    """
    for number, step in enumerate(path):
        if data is None:
            return None
        if isinstance(step, Item) and isinstance(data, list):
            data = _element(data, step)
        elif isinstance(step, str) and isinstance(data, dict):
            data = data.get(step)
        else:
            where = ".".join(map(str, path[:number])) or "its root"
            raise Refused(f"{where} is not {'a list' if isinstance(step, Item) else 'an object'}")
    return data


def servers_path(host: Host, data: Any) -> tuple[Step, ...]:
    """Where our entry belongs in a file with `data`."""
    older = found(data, host.older_keys) if host.older_keys else None
    if isinstance(older, dict) and not found(data, host.keys):
        return path_of(host, older=any(isinstance(one, dict) and "type" in one for one in older.values()))
    return path_of(host)


def needed(host: Host, data: Any, entry: Mapping[str, Any]) -> list[Edit]:
    """The edits that bring `entry` into a file with `data`; none if it is there.

    An entry that is there keeps what a person set: secrets, limits of time, switches, all that is not ours.

    Raises:
        Refused: something in the file is of another kind than the host documents.
    """
    path = servers_path(host, data)
    old = found(data, path)
    edits = _entry_edits(host, path, old, entry)
    after = found(applied(data, edits), path)
    for question in inputs_of(host, after):
        place = ("inputs", Item("id", question["id"]))
        if found(data, place) is None:
            edits.append(Edit(place, question))
    return edits


def applied(data: Any, edits: Sequence[Edit]) -> Any:
    """`data` with the edits in it: what the text must mean once it is edited."""
    for edit in edits:
        data = _put(data, edit.path, edit.value)
    return data


def nested(path: Sequence[Step], value: Any) -> Any:
    """`value` inside what `path` says is around it."""
    for step in reversed(path):
        value = [value] if isinstance(step, Item) else {step: value}
    return value


def _put(data: Any, path: Sequence[Step], value: Any) -> Any:
    if not path:
        return value
    step, rest = path[0], path[1:]
    if not isinstance(step, Item):
        return {**(data or {}), step: _put((data or {}).get(step), rest, value)}
    element = _element(data or [], step)
    if element is None:
        return [*(data or []), value]
    return [_put(item, rest, value) if item is element else item for item in data]


def _element(items: Sequence[Any], step: Item) -> Any:
    named = (item for item in items if isinstance(item, dict) and item.get(step.by) == step.name)
    return next(named, None)


def _entry_edits(host: Host, path: tuple[Step, ...], old: Any, entry: Mapping[str, Any]) -> list[Edit]:
    if not isinstance(old, dict):
        return [Edit(path, dict(entry))]
    shapes = [shape for shape in (host.local, host.http, host.sse) if shape]
    of_others = {key for shape in shapes for key in shape} - set(entry)
    if of_others & set(old):  # it was for another transport
        kept = {key: value for key, value in old.items() if key not in of_others and key not in _SECRETS}
        return [Edit(path, {**kept, **entry})]
    return [
        Edit((*path, key), value)
        for key, value in entry.items()
        if key not in _SECRETS
        and old.get(key) != value
        and not (isinstance(value, int) and key in old)  # limits and switches
    ]
