"""What vendors call: their callbacks about our jobs, and the files that they put here. The secret in the path is the
channel's own; without it nothing answers."""

from __future__ import annotations

from penstock.canonical.commands import Hear, Receive
from penstock.dialects._base import Dialect, Incoming, Outgoing, route
from penstock.errors import PenstockError


class Vendors(Dialect):
    name = "vendors"
    errors = {PenstockError: "error"}

    def heard(self, result: None, http: Incoming) -> Outgoing:
        return Outgoing(200, {})

    def received(self, url: str, http: Incoming) -> Outgoing:
        return Outgoing(201, {"url": url}, {"location": url})

    @route("POST", "/internal/hooks/{secret}/{task}", heard, needs_key=False)
    def hook(self, http: Incoming) -> Hear:
        """A vendor reports on a job."""
        return Hear(http.path["secret"], http.path["task"], http.body, dict(http.headers))

    @route("PUT", "/internal/cog/{secret}/{name}", received, needs_key=False, streams=True)
    def put(self, http: Incoming) -> Receive:
        """A Cog server started with `--upload-url` puts an output file."""
        task, kind = http.header("x-prediction-id") or "", http.header("content-type") or ""
        assert http.chunks is not None
        return Receive(http.path["secret"], task, http.path["name"], kind, http.chunks)

    def error(self, exc: PenstockError) -> Outgoing:
        return Outgoing(exc.status, {"error": str(exc)})
