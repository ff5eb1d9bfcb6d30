"""Replicate's one envelope for lists."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode

from penstock.canonical.task import Page
from penstock.dialects._base import Incoming, Outgoing


def write_page(page: Page, results: list[Any], http: Incoming) -> Outgoing:
    links = {"previous": _url(http, page.previous), "next": _url(http, page.next)}
    return Outgoing(200, {**links, "results": results})


def _url(http: Incoming, cursor: str | None) -> str | None:
    """Absolute, and with the same filters, since clients follow it as it is."""
    if cursor is None:
        return None
    query = {name: value for name, value in http.query.items() if name != "cursor"} | {"cursor": cursor}
    return f"{http.links.base}{quote(http.target)}?{urlencode(query)}"
