from __future__ import annotations

import pytest

from penstock.canonical.plan import Deployment
from penstock.context import Context
from penstock.errors import CallerError, ChannelRejected, Conflict, NotFound
from penstock.routing import SANDBOX, Channels, Health, row_of

pytestmark = pytest.mark.anyio
GIVEN = {"name": "one", "provider": "cog", "base_url": "http://127.0.0.1:5000/", "credential": "canary-C4nary"}


async def test_added_changed_and_disabled(context: Context) -> None:
    channels = context.of(Channels)
    await channels.load()
    made = await channels.add(GIVEN | {"models": ["a/b", "c/d=e/f"], "options": {"idempotent": True}})
    assert (made.base_url, made.models) == ("http://127.0.0.1:5000", {"a/b": "a/b", "c/d": "e/f"})
    changed = await channels.change("one", {"priority": 5})
    assert (changed.priority, changed.credential, changed.secret) == (5, "canary-C4nary", made.secret)
    again = Channels(context)
    await again.load()
    assert again.every() == channels.every() == [changed]
    assert channels.serving("a/b") == [(changed, "a/b")]
    await channels.disable("one")
    assert channels.serving("a/b") == []
    with pytest.raises(Conflict):
        await channels.add(GIVEN)
    assert channels.by_secret(made.secret) is not None
    assert channels.by_secret("") is channels.by_secret("ключ") is None
    assert channels.get("sandbox") is SANDBOX


@pytest.mark.parametrize(
    "wrong",
    [
        *({"name": ""}, {"name": "sandbox"}, {"provider": "nobody"}, {"base_url": "ftp://x"}, {"x": 1}),
        *({"weight": -1}, {"weight": "2"}, {"weight": True}, {"priority": None}, {"rpm": 0}, {"concurrency": 0}),
        *({"rpm": 2**40}, {"options": {"cost": -1}}, {"options": {"cost": "low"}}, {"options": {"probe_s": 0}}),
        *({"options": 5}, {"credentials": [1]}),
    ],
)
async def test_nonsense_is_no_channel(context: Context, wrong: dict[str, object]) -> None:
    with pytest.raises(CallerError):
        await context.of(Channels).add(GIVEN | wrong)
    assert context.of(Channels).every() == []


@pytest.mark.parametrize(
    ("models", "model", "upstream"),
    [
        (["*"], "a/b", "a/b"),
        (["a/*"], "a/b", "a/b"),
        (["a/*"], "b/b", None),
        (["a/*=x", "a/b=y"], "a/b", "y"),
        (["a/*=x"], "a/c", "x"),
        (["a/*=hub/*"], "a/b", "hub/a/b"),
    ],
)
async def test_patterns(context: Context, models: list[str], model: str, upstream: str | None) -> None:
    await context.of(Channels).add(GIVEN | {"models": models})
    assert [name for _, name in context.of(Channels).serving(model)] == ([upstream] if upstream else [])


async def test_credentials_rest_sealed(context: Context) -> None:
    made = await context.of(Channels).add(GIVEN)
    assert "C4nary" not in repr(made)
    if context.store.kind == "sqlite":
        for path in context.settings.data.glob("penstock.db*"):
            assert b"C4nary" not in path.read_bytes()
            assert made.secret.encode() not in path.read_bytes()


async def test_several_credentials_are_so_many_channels_of_one_name(context: Context) -> None:
    channels = context.of(Channels)
    first = await channels.add(GIVEN | {"credentials": ["one", "two", "one", " three\n"], "weight": 6, "rpm": 7})
    every = channels.every()
    assert [(each.credential, each.weight, each.rpm) for each in every] == [
        ("one", 2, 7),
        ("two", 2, 7),
        ("three", 2, 7),
    ]
    assert {(each.name, each.secret, row_of(each.id)) for each in every} == {("one", first.secret, first.id)}
    assert every[0].id == first.id
    assert len({each.id for each in every}) == 3
    assert [channels.get(each.id) for each in every] == every
    assert channels.by_secret(first.secret) == first
    changed = await channels.change("one", {"priority": 4})
    assert (changed.weight, channels.row("one").given["weight"]) == (2, 6)
    await channels.change("one", {"credential": "two\nfour"})
    renewed = channels.every()
    assert [each.credential for each in renewed] == ["two", "four"]
    gone = channels.get(every[2].id)
    assert gone is not None
    assert gone.credential == "two"


async def test_a_change_gives_a_fresh_chance(context: Context) -> None:
    made = await context.of(Channels).add(GIVEN)
    context.of(Health).failed(Deployment(made, "m"), ChannelRejected())
    changed = await context.of(Channels).change("one", {"credential": "right"})
    assert context.of(Health).ready(Deployment(changed, "m"))
    with pytest.raises(NotFound):
        await context.of(Channels).change("two", {"credential": "right"})
