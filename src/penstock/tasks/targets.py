"""What a submission asks for: a model and its version, and who could take it."""

from __future__ import annotations

import re

import msgspec

from penstock.access.admission import check_allowed, check_model
from penstock.canonical.commands import Submit
from penstock.canonical.plan import Channel
from penstock.canonical.who import LIVE, TEST, Caller
from penstock.catalog import Model, Version
from penstock.catalog.loaded import catalog
from penstock.context import Context
from penstock.errors import Forbidden, NoChannel, NotFound, UnknownVersion
from penstock.routing import Aliases, planning
from penstock.store import keys
from penstock.tasks import learning

HIDDEN = "hidden"
PATH = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)


class Target(msgspec.Struct, frozen=True):
    """`known` is None for a model that only a channel's pattern allows; `asked` is the name that was asked for, where
    it is the operator's for several models or another one."""

    model: str
    version: str
    known: tuple[Model, Version] | None
    deployment: str | None = None
    asked: str | None = None


async def find(ctx: Context, caller: Caller, command: Submit) -> Target:
    """Raises NotFound, UnknownVersion, Forbidden."""
    if command.deployment:
        return await _deployed(ctx, caller, command.deployment)
    if not command.model:
        target = _found(ctx, caller, command, None)
        check_model(caller, target.model)
        return target
    targets = ctx.of(Aliases).targets(command.model)
    check_allowed(caller, command.model, targets)
    if catalog(ctx).find(targets[0]) is None:
        await learning.seek(ctx, targets[0])
    target = _found(ctx, caller, command, targets[0])
    return target if targets == (command.model,) else msgspec.structs.replace(target, asked=command.model)


def serving(ctx: Context, caller: Caller, target: Target) -> list[Channel]:
    """The channels that could take it now. Raises NoChannel for a live key whose model nobody serves."""
    if caller.mode == TEST:
        return []
    found = [each.channel for each in planning.serving(ctx, target.asked or target.model, caller.group)]
    if not found:
        raise NoChannel(f"No channel serves {target.model} yet. Ask your operator to add one.")
    return found


def versions(ctx: Context, target: Target) -> list[Version | None]:
    """Of all models that may take it; None of one that is known by its name alone."""
    first = target.known[1] if target.known else None
    others = ctx.of(Aliases).targets(target.asked)[1:] if target.asked else ()
    known = (catalog(ctx).find(name) for name in others)
    return [first, *(model.latest if model else None for model in known)]


def _found(ctx: Context, caller: Caller, command: Submit, model: str | None) -> Target:
    known = catalog(ctx)
    if command.version:
        found = known.version(command.version)
        if found is not None:
            path, version = found[0].path, found[1].id
            if model and model != path:
                raise UnknownVersion()
            return _allowed(caller, Target(path, version, found))
        if model and known.find(model) is None and _open(ctx, caller, model):
            return Target(model, command.version, None)
        raise NotFound() if command.in_path else UnknownVersion()
    found_model = known.find(model or "")
    if found_model is not None:
        shown = HIDDEN if found_model.official else found_model.latest.id
        return _allowed(caller, Target(found_model.path, shown, (found_model, found_model.latest)))
    if model and _open(ctx, caller, model):
        return Target(model, HIDDEN, None)
    raise NotFound() if command.in_path else UnknownVersion()


def _allowed(caller: Caller, target: Target) -> Target:
    if caller.mode == LIVE and target.model.startswith("sandbox/"):
        raise Forbidden("Live keys can't use sandbox models. Use a test key.")
    return target


def _open(ctx: Context, caller: Caller, model: str) -> bool:
    """Whether some channel allows this model though the catalogue does not know it."""
    named = PATH.fullmatch(model) is not None and {".", ".."}.isdisjoint(model.split("/"))
    return named and bool(planning.serving(ctx, model, caller.group))


async def _deployed(ctx: Context, caller: Caller, path: str) -> Target:
    owner, _, name = path.partition("/")
    row = await keys.deployment(ctx.store, caller.account, name) if owner == caller.account_name else None
    if row is None:
        raise NotFound()
    check_model(caller, row[2])
    found = catalog(ctx).version(row[3])
    return _allowed(caller, Target(row[2], row[3], found, deployment=path))
