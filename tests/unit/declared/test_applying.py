from __future__ import annotations

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings

from penstock import ledger
from penstock.access import Groups, Keys
from penstock.canonical.who import LIVE
from penstock.clock import SECOND, now, rfc3339
from penstock.context import Context
from penstock.declared.applying import Applied, apply, carry_out, is_new_key
from penstock.declared.comparing import compared, planned
from penstock.declared.document import Document, read
from penstock.errors import CallerError, Unauthenticated
from penstock.ledger import Prices
from penstock.routing import Aliases, Channels
from penstock.store import accounts
from tests.unit.declared.worlds import DOCUMENTS, gateway

pytestmark = pytest.mark.anyio
SECRET = "sk-from-before-1234"
WHOLE = f"""
[[groups]]
name = "team"
multiplier = "1.25"
rpm = 100

[[accounts]]
name = "acme"
group = "team"
opening = {{ id = "old/1", usd = "12.50" }}

[[channels]]
name = "openai"
provider = "openai"
credentials = ["env:ONE", "env:TWO"]
models = ["gpt-*", "fast=gpt-5-mini"]
priority = 3

[[aliases]]
name = "best"
targets = ["gpt-5", "fast"]

[[prices]]
model = "fast"
input_mtok = "0.10"
output_mtok = "0.40"

[[prices]]
model = "fast"
channel = "openai"
starts = 2099-01-01
lines = [{{ unit = "minute", usd = "0.00000006" }}]

[[keys]]
name = "app"
account = "acme"
quota_month_usd = "50.0"
expires = 2099-01-01

[[keys]]
name = "old app"
account = "acme"
key = "{SECRET}"
"""
ENV = {"ONE": "canary-1", "TWO": "canary-2"}


def declared(text: str) -> Document:
    return read(text, ENV, "a.toml")


async def applied(ctx: Context, text: str) -> Applied:
    return await apply(ctx, declared(text))


async def verbs(ctx: Context, text: str) -> dict[str, str]:
    return {f"{change.part} {change.name}": change.verb for change in await compared(ctx, declared(text))}


async def test_the_whole_of_it(context: Context) -> None:
    ctx = context
    changes = await compared(ctx, declared(WHOLE))
    assert "canary" not in repr(changes) and SECRET not in repr(changes)
    done = await applied(ctx, WHOLE)
    assert [f"{change.verb} {change.part}" for change in done.changes] == [
        *("add groups", "add accounts", "add channels", "add aliases", "add prices", "add prices"),
        *("add keys", "add keys"),
    ]
    assert set((await verbs(ctx, WHOLE)).values()) == {"same"}
    assert await applied(ctx, WHOLE) == Applied((), ())
    channel = ctx.of(Channels).row("openai")
    assert [each.credential for each in channel.channels] == ["canary-1", "canary-2"]
    assert channel.given["models"] == {"gpt-*": "gpt-*", "fast": "gpt-5-mini"}
    assert ctx.of(Groups).get("team").multiplier == 1_250_000
    assert ctx.of(Aliases).targets("best") == ("gpt-5", "fast")
    [rule] = ctx.of(Prices).now()["fast"].values()
    assert [(line.unit, line.micros, line.per) for line in rule.lines] == [
        ("input_token", 100_000, 1_000_000),
        ("output_token", 400_000, 1_000_000),
    ]
    account = await ctx.of(Keys).account("acme", make=False)
    assert await accounts.balance(ctx.store, account, LIVE) == 12_500_000
    assert await ledger.check(ctx) == []
    [made] = done.keys
    assert (made["name"], (await ctx.of(Keys).caller(made["key"])).group.name) == ("app", "team")
    assert (await ctx.of(Keys).caller(SECRET)).name == "old app"


async def test_what_is_left_out_stays(context: Context) -> None:
    await applied(context, WHOLE)
    fewer = '[[channels]]\nname = "openai"\nprovider = "openai"\nweight = 4\n[[groups]]\nname = "team"\nrpm = 0\n'
    changes = {change.part: change for change in await compared(context, declared(fewer))}
    assert (changes["channels"].before, changes["channels"].after) == ({"weight": 1}, {"weight": 4})
    assert (changes["groups"].before, changes["groups"].after) == ({"rpm": 100}, {"rpm": None})
    await applied(context, fewer)
    row = context.of(Channels).row("openai")
    assert (row.given["weight"], row.given["priority"], len(row.channels)) == (4, 3, 2)
    assert (context.of(Groups).get("team").rpm, context.of(Groups).get("team").multiplier) == (None, 1_250_000)


async def test_another_credential_is_a_change_that_shows_none(context: Context) -> None:
    await applied(context, WHOLE)
    other = '[[channels]]\nname = "openai"\nprovider = "openai"\ncredential = "canary-3"\n'
    [change] = await compared(context, declared(other))
    assert (change.verb, change.before, change.after) == (
        "change",
        {"credentials": ["•••", "•••"]},
        {"credentials": ["•••"]},
    )
    await applied(context, other)
    assert [each.credential for each in context.of(Channels).row("openai").channels] == ["canary-3"]


async def test_another_provider_has_another_address(context: Context) -> None:
    for provider, address in (("openai", "https://api.openai.com/v1"), ("anthropic", "https://api.anthropic.com")):
        await applied(context, f'[[channels]]\nname = "a"\nprovider = "{provider}"\n')
        assert context.of(Channels).row("a").given["base_url"].startswith(address)
    await applied(context, '[[channels]]\nname = "a"\nprovider = "anthropic"\nbase_url = "https://x.example/"\n')
    await applied(context, '[[channels]]\nname = "a"\nprovider = "openai"\n')
    assert context.of(Channels).row("a").given["base_url"] == "https://x.example"


PRICE = '[[prices]]\nmodel = "m"\nrun = "{}"\n'


async def test_a_price_is_compared_with_the_one_that_holds(context: Context) -> None:
    await applied(context, PRICE.format("0.5"))
    assert set((await verbs(context, PRICE.format("0.50"))).values()) == {"same"}
    await context.of(Prices).add("m", [{"unit": "run", "micros": 7}])
    assert set((await verbs(context, PRICE.format("0.5"))).values()) == {"change"}
    await applied(context, PRICE.format("0.5"))
    assert context.of(Prices).rule("m", None).lines[0].micros == 500_000
    assert len(context.of(Prices).every()) == 3


async def test_a_dated_price_takes_over_from_the_one_without_a_date(context: Context) -> None:
    soon = rfc3339(now() + SECOND // 2)
    text = PRICE.format("0.1") + PRICE.format("0.2") + f'starts = "{soon}"\n'
    await applied(context, text)
    assert context.of(Prices).rule("m", None).lines[0].micros == 100_000
    await asyncio.sleep(0.6)
    assert context.of(Prices).rule("m", None).lines[0].micros == 200_000
    assert set((await verbs(context, text)).values()) == {"same"}


async def test_a_model_may_be_free(context: Context) -> None:
    await context.of(Prices).add("m", [])
    assert set((await verbs(context, PRICE.format("0"))).values()) == {"same"}


async def test_an_opening_is_booked_once(context: Context) -> None:
    text = '[[accounts]]\nname = "{}"\nopening = {{ id = "o", usd = "{}" }}\n'
    await context.of(Keys).account("acme")
    await asyncio.gather(*[applied(context, text.format("acme", "2")) for _ in range(5)])
    account = await context.of(Keys).account("acme", make=False)
    assert await applied(context, text.format("acme", "9")) == Applied((), ())
    assert await accounts.balance(context.store, account, LIVE) == 2_000_000
    [entry] = await accounts.entries_of_work(context.store, "opening/o")
    assert (entry[3], entry[5]) == ("topup", 2_000_000)
    assert await ledger.check(context) == []
    with pytest.raises(CallerError, match="another account"):
        await applied(context, text.format("other", "2"))


async def test_two_processes_book_it_once(context: Context) -> None:
    """Past the check of both: there is room for one entry."""
    from penstock.declared.applying import _book
    from penstock.declared.document import Opening

    account = await context.of(Keys).account("acme")
    await asyncio.gather(*[_book(context, account, Opening(id="o", usd="2")) for _ in range(5)])
    assert await accounts.balance(context.store, account, LIVE) == 2_000_000


KEY = '[[keys]]\nname = "app"\n'


async def test_a_revoked_key_stays_so(context: Context) -> None:
    text = KEY + f'[[keys]]\nname = "old"\nkey = "{SECRET}"\n'
    await applied(context, text)
    for name in ("app", "old"):
        await context.of(Keys).revoke(name)
    assert set((await verbs(context, text)).values()) == {"same"}
    assert await applied(context, text) == Applied((), ())
    with pytest.raises(Unauthenticated):
        await context.of(Keys).caller(SECRET)


async def test_another_secret_is_another_key(context: Context) -> None:
    for number in (1, 2):
        await applied(context, KEY + f'key = "{SECRET}-{number}"\n')
        assert (await context.of(Keys).caller(f"{SECRET}-{number}")).name == "app"
    assert (await context.of(Keys).caller(f"{SECRET}-1")).name == "app"


async def test_a_rotated_key_is_known_by_its_newest(context: Context) -> None:
    await applied(context, KEY + "rpm = 5\n")
    made = await context.of(Keys).rotate("app", overlap_s=0)
    assert await applied(context, KEY + "rpm = 6\n")
    assert (await context.of(Keys).caller(made["key"])).rpm == 6
    assert await applied(context, KEY + "rpm = 6\n") == Applied((), ())


async def test_keys_are_left_to_where_they_can_be_shown(context: Context) -> None:
    steps = await planned(context, declared(KEY + f'[[keys]]\nname = "old"\nkey = "{SECRET}"\n'))
    done = await carry_out(context, [step for step in steps if not is_new_key(step)])
    assert [change.name for change in done.changes] == ["default/old"]


async def test_aliases_change_places_at_once(context: Context) -> None:
    alias = '[[aliases]]\nname = "{}"\ntargets = ["{}"]\n'
    await applied(context, alias.format("a", "m") + alias.format("b", "a"))
    done = await applied(context, alias.format("a", "b") + alias.format("b", "m"))
    assert [change.name for change in done.changes] == ["a", "b"]
    assert context.of(Aliases).targets("a") == ("m",)


async def test_others_get_their_turn_while_a_long_document_is_compared(context: Context) -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    counting = asyncio.create_task(count())
    text = "".join(f'[[prices]]\nmodel = "m{number}"\nrun = "1"\n' for number in range(1000))
    await compared(context, declared(text))
    counting.cancel()
    assert turns >= 20


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ('[[channels]]\nname = "a"\nprovider = "nobody"', "channels, 'a': no provider named 'nobody'"),
        ('[[channels]]\nname = "a"\nprovider = "compatible"', "channels, 'a': .* needs a base URL"),
        ('[[channels]]\nname = "sandbox"\nprovider = "openai"', "built in"),
        ('[[channels]]\nname = "a"\nprovider = "openai"\nweight = -1', "channels, 'a': .*weight"),
        ('[[channels]]\nname = "a"\nprovider = "openai"\n' * 2, "channels, 'a': it is there twice"),
        ('[[groups]]\nname = "a"\nmultiplier = "x"', "groups, 'a': multiplier: 'x' is not an amount"),
        ('[[groups]]\nname = "a"\nmultiplier = "-1"', "groups, 'a': multiplier"),
        ('[[groups]]\nname = "a"\npolicy = "x"', "groups, 'a': policy"),
        ('[[groups]]\nname = "a"\nmodels = [""]', "groups, 'a': models"),
        ('[[accounts]]\nname = "a"\ngroup = "nobody"', "accounts, 'a': there is no group 'nobody'"),
        ('[[accounts]]\nname = " a"', "accounts, ' a': name"),
        ('[[accounts]]\nname = "a"\nopening = { id = "x", usd = "0" }', "accounts, 'a': an opening needs"),
        ('[[accounts]]\nname = "a"\nopening = { id = "x", usd = "?" }', "accounts, 'a': opening"),
        ('[[aliases]]\nname = "a"\ntargets = ["b"]\n[[aliases]]\nname = "b"\ntargets = ["a"]', "aliases, .*circle"),
        ('[[accounts]]\nname = "a"\nopening = { id = "x", usd = "1e999999" }', "accounts, 'a': opening: '1e999999'"),
        ('[[aliases]]\nname = "a"\ntargets = []', "aliases, 'a': "),
        ('[[prices]]\nmodel = "m"', "prices, 'm': it has no line"),
        ('[[prices]]\nmodel = "m"\nrun = "-1"', "prices, 'm': .*negative"),
        ('[[prices]]\nmodel = "m"\nrun = "NaN"', "prices, 'm': 'NaN' is not a price"),
        ('[[prices]]\nmodel = "m"\nrun = "1"\nstarts = "soon"', "prices, 'm from soon': starts: 'soon' is not a date"),
        ('[[prices]]\nmodel = "m"\nrun = "1"\nchannel = "x"', "prices, 'm on x': there is no channel 'x'"),
        ('[[prices]]\nmodel = "m"\nlines = [{ unit = "x", usd = "1" }]', "prices, 'm': not a price"),
        (
            '[[prices]]\nmodel = "m"\nrun = "1"\nlines = [{ unit = "run", usd = "1" }]',
            "two lines of the price are for the same",
        ),
        ('[[keys]]\nname = "a"\nmode = "x"', r"keys, 'default/a \(x\)': mode"),
        ('[[keys]]\nname = "a"\nkey = "short"', "keys, 'default/a': key: must be"),
        ('[[keys]]\nname = "a"\nscopes = ["x"]', "keys, 'default/a': scopes"),
        ('[[keys]]\nname = "a"\nnetworks = ["x"]', "keys, 'default/a': networks"),
        ('[[keys]]\nname = "a"\nexpires = "2001-01-01"', "keys, 'default/a': expires_at: must be a time to come"),
        ('[[keys]]\nname = "a"\nexpires = "30d"', "keys, 'default/a': expires: '30d' is not a date"),
        ('[[keys]]\nname = "a"\ngroup = "nobody"', "keys, 'default/a': there is no group 'nobody'"),
        ('[[keys]]\nname = "a"\nquota_usd = "-1"', "keys, 'default/a': quota_total"),
        (f'[[keys]]\nname = "a"\nkey = "{SECRET}"\n[[keys]]\nname = "b"\nkey = "{SECRET}"', "the same secret"),
        ("[[chanels]]\nname = 'a'", "there is no chanels to declare"),
        ('[[channels]]\nname = "a"\nprovider = "openai"\nprio = 1', "unknown field `prio`.*channels"),
        ('[[channels]]\nname = "a"\nprovider = "openai"\ncredential = "env:NOT_THERE"', "has no NOT_THERE"),
        ("[[", "not TOML"),
    ],
)
async def test_one_wrong_thing_changes_nothing(context: Context, wrong: str, words: str) -> None:
    with pytest.raises(CallerError, match=words):
        await applied(context, '[[groups]]\nname = "fine"\n' + wrong)
    assert [group.name for group in context.of(Groups).every()] == ["default"]
    assert context.of(Channels).every() == []


@given(DOCUMENTS)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_whatever_was_applied_is_the_same_then(document: Document) -> None:
    async def twice() -> None:
        async with gateway() as ctx:
            done = await apply(ctx, document)
            assert len(done.changes) <= len(await compared(ctx, document))
            assert [change for change in await compared(ctx, document) if change.verb != "same"] == []
            assert await apply(ctx, document) == Applied((), ())

    asyncio.run(twice())
