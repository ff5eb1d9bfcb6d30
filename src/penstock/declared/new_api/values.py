"""Values as their columns have them."""

from __future__ import annotations

import ipaddress
import json
import re
import time
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from penstock.money import number

Row = Mapping[str, Any]
ENABLED = 1
"""Of channels, users, tokens, redemptions, and the keys of a channel: any other status is some kind of off."""
EXPIRED, EXHAUSTED = 3, 4
"""Of tokens."""
MILLION = Decimal(1_000_000)
NOBODY = "(none)"
"""Where their list is empty and lets nothing through. Ours would let everything."""


def mapped(row: Row) -> dict[str, str]:
    """Ours and theirs. They follow a mapping on as long as it leads somewhere new."""
    mapping = json_map(row.get("model_mapping"))
    found = {}
    for model in words(text(row["models"])):
        seen, theirs = {model}, model
        while isinstance(mapping.get(theirs), str) and mapping[theirs] not in ("", *seen):
            theirs = mapping[theirs]
            seen.add(theirs)
        found[model] = theirs
    return found


def credentials(key: str) -> list[str]:
    """One in a line, or a JSON list."""
    if key.strip().startswith("["):
        found = json_list(key)
        if found:
            return [each if isinstance(each, str) else json.dumps(each) for each in found]
    return [line.strip() for line in key.splitlines() if line.strip()]


def unusable(row: Row) -> str:
    """Why the old gateway turns this key away, if it does."""
    status = whole(row["status"])
    if status == EXPIRED or 0 < whole(row["expired_time"]) < time.time():
        return "expired"
    if status == EXHAUSTED or (not row.get("unlimited_quota") and whole(row["remain_quota"]) <= 0):
        return "its quota is spent; make a new one if it is wanted"
    return "" if status == ENABLED else "disabled; make a new one if it is wanted"


def key_models(row: Row) -> tuple[str, ...] | None:
    """None: all. one-api has no switch for its list."""
    named = words(text(row.get("model_limits") if "model_limits" in row else row.get("models")))
    if "model_limits_enabled" in row:
        return (tuple(named) or (NOBODY,)) if row["model_limits_enabled"] else None
    return tuple(named) or None


def networks(row: Row) -> tuple[str, ...] | None:
    """None where there are limits, but none that can be read: those who have a key like that must not get more."""
    words = re.split(r"[\s,]+", text(row.get("allow_ips") or row.get("subnet")))
    given = [word for word in words if word]
    good = tuple(word for word in given if _is_network(word))
    return good if good or not given else None


def _is_network(word: str) -> bool:
    try:
        ipaddress.ip_network(word, strict=False)
    except ValueError:
        return False
    return True


def text(value: Any) -> str:
    """GORM writes its JSON into SQLite as bytes."""
    if value is None:
        return ""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def whole(value: Any) -> int:
    return int(value or 0)


def decimal(value: Any) -> Decimal:
    return number(value or 0) or Decimal(0)


def words(text: str) -> list[str]:
    return list(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))


def json_map(value: Any) -> dict[str, Any]:
    """An object, empty where there is none."""
    found = _decoded(value)
    return found if isinstance(found, dict) else {}


def json_list(value: Any) -> list[Any]:
    found = _decoded(value)
    return found if isinstance(found, list) else []


def _decoded(value: Any) -> Any:
    """PostgreSQL's driver has decoded a column of JSON already."""
    if isinstance(value, dict | list):
        return value
    try:
        return json.loads(text(value) or "null", parse_float=Decimal)
    except ValueError:
        return None


def says_something(text: str) -> bool:
    """Not nothing, and not JSON that is all off."""
    found = _decoded(text)
    return any(found.values()) if isinstance(found, dict) else text.strip() not in ("", "null", "[]")
