"""The bytes of a file as a reply, whole or a range of them, such that no browser runs what a model or a caller made.

Source: RFC 9110, 14 (ranges); Content Security Policy 3, `sandbox`; RFC 6266 and 8187 (file names).
"""

from __future__ import annotations

import re
from urllib.parse import quote

from penstock.canonical.results import Body
from penstock.dialects._base import Dialect, Incoming, Outgoing

RUNNABLE = ("text/html", "application/xhtml+xml", "image/svg+xml", "text/xml", "application/xml", "application/pdf")
"""Content types that may hold scripts: saved, never shown in place."""

LIVES_S = 3600
MEDIA_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+(?: *; *[\w.+-]+=[\w.+-]+)*", re.ASCII)


def write_body(dialect: Dialect, body: Body, http: Incoming) -> Outgoing:
    """200, or 206 where a range was asked for."""
    file = body.file
    headers = {
        "accept-ranges": "bytes",
        "cache-control": f"private, max-age={LIVES_S}, immutable",
        "content-length": str(body.end - body.start),
        "content-security-policy": "sandbox; default-src 'none'" if _is_runnable(file.content_type) else "sandbox",
        "content-disposition": _disposition(file.content_type, file.name),
        "cross-origin-resource-policy": "cross-origin",
        "etag": f'"{file.sha256}"',
        "x-content-type-options": "nosniff",
    }
    if body.partial:
        headers["content-range"] = f"bytes {body.start}-{body.end - 1}/{file.size}"
    return Outgoing(206 if body.partial else 200, None, headers, _told(file.content_type), body.chunks)


def _told(content_type: str) -> str:
    """An uploader may have written anything; what is no media type is just bytes."""
    return content_type if MEDIA_TYPE.fullmatch(content_type) else "application/octet-stream"


def _is_runnable(content_type: str) -> bool:
    plain = content_type.partition(";")[0].strip().lower()
    return plain in RUNNABLE or plain.endswith("+xml")


def _disposition(content_type: str, name: str) -> str:
    how = "attachment" if _is_runnable(content_type) else "inline"
    return f"{how}; filename*=UTF-8''{quote(name, safe='')}"
