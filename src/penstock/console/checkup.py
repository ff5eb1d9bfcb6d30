"""`penstock doctor`: what a person should know about this installation, and what to do about it."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
from collections.abc import Iterator
from typing import Any

from penstock import ledger
from penstock.console.offering import Offering
from penstock.context import Context
from penstock.errors import CallerError
from penstock.routing import Channels
from penstock.store import tasks

FIXED_SQLITE = (3, 51, 3)
NAMED = 20
"""So many in one finding."""
GOOD, LOOK, BAD = "good", "look", "bad"


async def doctor(ctx: Context) -> list[dict[str, Any]]:
    """Findings, each {"verdict", "about", "words"}."""
    found = [_disk(ctx), _secret(ctx), _database(ctx), _public_url(ctx), _channels(ctx), *_slips(ctx)]
    wrong = await ledger.check(ctx)
    found.append(_say(BAD if wrong else GOOD, "ledger", "; ".join(wrong[:5]) or "the books balance"))
    unfinished = len(await tasks.unfinished(ctx.store))
    found.append(_say(GOOD, "tasks", f"{unfinished} unfinished"))
    return found


def _say(verdict: str, about: str, words: str) -> dict[str, Any]:
    return {"verdict": verdict, "about": about, "words": words}


def _disk(ctx: Context) -> dict[str, Any]:
    free, least = shutil.disk_usage(ctx.settings.data).free, ctx.settings.min_free_disk
    words = f"{free >> 20} MB free; new work is refused below {least >> 20} MB"
    return _say(BAD if free < least else LOOK if free < 4 * least else GOOD, "disk", words)


def _secret(ctx: Context) -> dict[str, Any]:
    path = ctx.settings.data / "secret"
    if ctx.settings.secret:
        return _say(GOOD, "secret", "from PENSTOCK_SECRET; keep a copy apart from the database's backups")
    mode = stat.S_IMODE(os.stat(path).st_mode)
    if mode & 0o077:
        return _say(BAD, "secret", f"{path} can be read by others: chmod 600 {path}")
    return _say(GOOD, "secret", f"{path}, readable by you alone")


def _database(ctx: Context) -> dict[str, Any]:
    if ctx.store.kind != "sqlite":
        return _say(GOOD, "database", "PostgreSQL")
    if sqlite3.sqlite_version_info < FIXED_SQLITE:
        words = (
            f"SQLite {sqlite3.sqlite_version} has the WAL-reset bug (fixed in 3.51.3). This gateway steers clear of it "
            "with one writer that alone checkpoints: open the database with no other program while it runs"
        )
        return _say(LOOK, "database", words)
    return _say(GOOD, "database", f"SQLite {sqlite3.sqlite_version}")


def _public_url(ctx: Context) -> dict[str, Any]:
    url = ctx.settings.public_url
    try:
        ctx.guard.check_literal(url)
    except CallerError:
        words = f"{url} is this machine only, so vendors are polled and can't call back; see PENSTOCK_PUBLIC_URL"
        return _say(LOOK, "public URL", words)
    if not url.startswith("https://"):
        return _say(LOOK, "public URL", f"{url}: SDKs take outputs as files only from https URLs")
    return _say(GOOD, "public URL", url)


def _channels(ctx: Context) -> dict[str, Any]:
    channels = ctx.of(Channels).rows()
    if not channels:
        return _say(LOOK, "channels", "none yet: live keys have no model to call. Add one: penstock channels add")
    active = [channel for channel in channels if not channel.given["disabled"]]
    return _say(GOOD, "channels", f"{len(active)} of {len(channels)} in use")


def _slips(ctx: Context) -> Iterator[dict[str, Any]]:
    """What is set, and comes to nothing."""
    offering = Offering(ctx)
    for about, names, words in (
        ("prices", offering.unpriced(), "served without a price, so no live key can use it: penstock prices set MODEL"),
        ("prices", offering.idle_prices(), "has a price, and no channel serves it: is that its name?"),
        ("aliases", offering.idle_aliases(), "stands for what no channel serves: penstock aliases list"),
        ("groups", offering.idle_patterns(), "no channel has such a name: penstock groups show"),
    ):
        if names:
            more = f", and {len(names) - NAMED} more" if len(names) > NAMED else ""
            yield _say(LOOK, about, f"{', '.join(names[:NAMED])}{more}: {words}")
