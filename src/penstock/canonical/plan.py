"""Where work can go: one upstream model through one channel, and the list of them, best first."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec


@dataclass(frozen=True, slots=True)
class Channel:
    """One credential at one provider. `models` maps our names to the vendor's; `owner/*` and `*` are patterns.

    `options` are facts about this upstream that its provider alone can't know, such as `{"idempotent": true}` for a
    relay that honours `Idempotency-Key`. `secret` is a word that only this channel's vendor is told, in callback URLs.
    A channel with several credentials is one of these for each: they share name and secret, and differ in `id`.
    """

    id: str
    name: str
    provider: str
    base_url: str
    credential: str = field(repr=False)
    secret: str = field(repr=False)
    models: dict[str, str] = field(default_factory=dict)
    priority: int = 0
    weight: float = 1
    concurrency: int | None = None
    options: dict[str, Any] = field(default_factory=dict)
    disabled: bool = False
    created_at: int = 0
    rpm: int | None = None


class Deployment(msgspec.Struct, frozen=True):
    """`model` is our name for it: what was asked for, or what an alias stands for."""

    channel: Channel
    upstream_model: str
    model: str = ""

    @property
    def key(self) -> str:
        """Which one it is, as a word without commas."""
        return f"{self.channel.id}/{self.upstream_model}".replace(",", "%2C")


Plan = list[Deployment]
