"""Callers' files, and the secret that webhooks are signed with.

Quirk: the newest official document has no `name` and `etag`, yet the Python client demands both; `expires_at` is typed
as a time by another, so what never expires does so at the end of the calendar.
"""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.canonical.commands import Delete, Download, List, Show, Upload
from penstock.canonical.task import File, Page
from penstock.clock import rfc3339
from penstock.dialects._base import Dialect, Incoming, Links, Outgoing, route
from penstock.dialects._downloads import write_body
from penstock.dialects.replicate.pages import write_page
from penstock.dialects.replicate.rendering import BASE
from penstock.errors import CallerError

NEVER = "9999-12-31T23:59:59.000Z"


def file(file: File, links: Links) -> dict[str, Any]:
    """`metadata` is the uploader's; that of other files says where they came from, which is ours to know."""
    return {
        "id": file.id,
        "name": file.name,
        "content_type": file.content_type,
        "size": file.size,
        "etag": file.md5,
        "checksums": {"sha256": file.sha256, "md5": file.md5},
        "metadata": msgspec.Raw(file.metadata if file.role == "upload" else "{}"),
        "created_at": rfc3339(file.created_at, 3),
        "expires_at": NEVER if file.expires_at is None else rfc3339(file.expires_at, 3),
        "urls": {"get": f"{links.base}{BASE}/files/{file.id}"},
    }


def write_uploaded(dialect: Dialect, uploaded: File, http: Incoming) -> Outgoing:
    return Outgoing(201, file(uploaded, http.links))


def write_file(dialect: Dialect, found: File, http: Incoming) -> Outgoing:
    return Outgoing(200, file(found, http.links))


def write_files(dialect: Dialect, page: Page, http: Incoming) -> Outgoing:
    return write_page(page, [file(found, http.links) for found in page.results], http)


def write_nothing(dialect: Dialect, _: None, http: Incoming) -> Outgoing:
    return Outgoing(204)


def write_secret(dialect: Dialect, secret: str, http: Incoming) -> Outgoing:
    return Outgoing(200, {"key": secret}, {"cache-control": "no-store"})


class Files(Dialect):
    @route("POST", "/files", write_uploaded, streams=True)
    def upload(self, http: Incoming) -> Upload:
        """Upload a file, as the part `content` of a form."""
        if http.chunks is None:
            raise CallerError("The request has no body")
        return Upload(http.header("content-type") or "", http.chunks)

    @route("GET", "/files", write_files)
    def list_files(self, http: Incoming) -> List:
        """List files."""
        return List("files", cursor=http.query.get("cursor"))

    @route("GET", "/files/{id}", write_file)
    def get_file(self, http: Incoming) -> Show:
        """Get a file's metadata."""
        return Show("file", http.path["id"])

    @route("DELETE", "/files/{id}", write_nothing)
    def delete_file(self, http: Incoming) -> Delete:
        """Delete a file."""
        return Delete("file", http.path["id"])

    @route("GET", "/files/{id}/download", write_body)
    def download(self, http: Incoming) -> Download:
        """Download a file: one of the key's own, or with `signature`, its capability, any."""
        return Download(http.path["id"], http.query.get("signature", ""), http.header("range"))

    @route("GET", "/webhooks/default/secret", write_secret)
    def webhook_secret(self, http: Incoming) -> Show:
        """Get the secret that webhooks are signed with."""
        return Show("webhook_secret", "default")
