"""Structured logs on standard error, without secrets."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

_SECRET_NAME = re.compile(r"(?i)(authorization|credential|secret|password|api[-_]?key|token|cookie|^key$)")
_SECRET_VALUE = re.compile(
    r"(\bsk-(?:live-|test-)?)[\w-]{8,}|(whsec_)[\w+/=]{8,}|(r8_)\w{8,}|((?i:bearer|token)\s+)[\w.~+/=-]{8,}|(v1\.\d*\.)[\w-]{24}|([?&]key=|\bAIza)[\w.~-]{8,}"
    r"|(\bpc-\w{5})(?:-?\w{5}){4}"
)


def redact(text: str) -> str:
    """The text without what looks like a key, a signing secret, or a capability."""
    return _SECRET_VALUE.sub(lambda found: next(head for head in found.groups() if head is not None) + "•••", text)


def _redacted(value: Any, depth: int = 0) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict) and depth < 6:
        return {
            redact(str(k)): "•••" if _SECRET_NAME.search(str(k)) else _redacted(v, depth + 1) for k, v in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset) and depth < 6:
        return [_redacted(item, depth + 1) for item in value]
    return redact(repr(value))


def _without_secrets(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """structlog's own entries, such as `_record`, begin with an underscore and are not shown."""
    own = {name: value for name, value in event.items() if name.startswith("_")}
    return _redacted({name: value for name, value in event.items() if name not in own}) | own  # type: ignore[no-any-return]


def configure(form: str = "auto", level: int = logging.INFO) -> None:
    """`form`: json, text, or auto (text on a terminal). The standard library's logs go the same way."""
    pretty = form == "text" or (form == "auto" and sys.stderr.isatty())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _without_secrets,
    ]
    last = structlog.dev.ConsoleRenderer() if pretty else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last],
            foreign_pre_chain=shared,
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.getLogger("alembic").setLevel(logging.WARNING)


def logger(name: str) -> Any:
    return structlog.stdlib.get_logger(f"penstock.{name}")
