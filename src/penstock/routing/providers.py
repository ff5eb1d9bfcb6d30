"""The providers that are installed, and those among them that answer in this process."""

from __future__ import annotations

from penstock import plugins
from penstock.context import Context
from penstock.errors import CallerError
from penstock.providers._base import Provider, Transport


class Providers:
    def __init__(self, ctx: Context) -> None:
        self._data = ctx.settings.data
        self._known: dict[str, Provider] = plugins.find("providers", Provider, ctx.settings.plugins)
        self._transports: dict[str, Transport | None] = {}

    def __getitem__(self, name: str) -> Provider:
        provider = self._known.get(name)
        if provider is None:
            raise CallerError(f"no provider named {name!r}; there are {', '.join(sorted(self._known))}")
        return provider

    def names(self) -> list[str]:
        return sorted(self._known)

    def transport(self, name: str) -> Transport | None:
        if name not in self._transports:
            self._transports[name] = self[name].transport(self._data / name)
        return self._transports[name]

    async def close(self) -> None:
        for transport in self._transports.values():
            if transport is not None:
                await transport.close()
