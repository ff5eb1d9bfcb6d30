"""What lives as long as the process, and is handed to whoever needs it."""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar

from penstock.config import Settings
from penstock.faults import Faults
from penstock.metrics import Metrics
from penstock.store import Store
from penstock.store.blobs import Blobs
from penstock.wire.http import Http
from penstock.wire.outbound import Guard
from penstock.wire.signing import SecretBox, Signer

T = TypeVar("T")


class Context:
    """The process's own things. `of(Kind)` is the one `Kind(ctx)` of this process, made when first asked for: so a room
    keeps its state in a class of its own, and this one need not know it."""

    def __init__(self, settings: Settings, secret: bytes, store: Store, blobs: Blobs, http: Http) -> None:
        self.settings = settings
        self.secret = secret
        self.store = store
        self.blobs = blobs
        self.http = http
        self.guard = Guard(allow=settings.egress_allow)
        self.signer = Signer(secret)
        self.box = SecretBox(secret)
        self.faults = Faults(settings.faults)
        self.metrics = Metrics()
        self.closing = asyncio.Event()
        self._kept: dict[type, Any] = {}

    def of(self, kind: type[T]) -> T:
        kept = self._kept.get(kind)
        if kept is None:
            kept = self._kept[kind] = kind(self)  # type: ignore[call-arg]
        return kept
