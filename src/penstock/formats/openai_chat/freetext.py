"""Calls of tools that take free text, from vendors who know none: there it is a function with one text, `input`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from penstock.canonical.events import Event, Finished, ToolDelta, ToolStarted


class FreeText:
    """Takes `input` out of the arguments of these tools' calls, which waits until the calls are whole."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(names)
        self._held: dict[int, list[str]] = {}

    def of(self, event: Event) -> Iterator[Event]:
        if isinstance(event, ToolStarted) and event.name in self._names and not event.custom:
            self._held[event.index] = []
            yield msgspec.structs.replace(event, custom=True)
        elif isinstance(event, ToolDelta) and event.index in self._held:
            self._held[event.index].append(event.text)
        else:
            if isinstance(event, Finished):
                yield from self.end()
            yield event

    def end(self) -> Iterator[Event]:
        held, self._held = self._held, {}
        for index, pieces in held.items():
            yield ToolDelta(index, _input("".join(pieces)))


def _input(arguments: str) -> str:
    try:
        said: Any = msgspec.json.decode(arguments)
    except (msgspec.DecodeError, RecursionError):
        return arguments
    text = said.get("input") if isinstance(said, dict) else None
    return text if isinstance(text, str) else arguments
