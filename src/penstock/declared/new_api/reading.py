"""Reads their tables into a document."""

from __future__ import annotations

import glob
import time
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Select, column, func, inspect, select, table

from penstock.catalog import language
from penstock.clock import SECOND, rfc3339
from penstock.declared.document import Account, Channel, Document, Group, Key, Line, Opening, Price
from penstock.declared.moved import Moved, Names, Skipped, listed, usd
from penstock.declared.new_api.kinds import DOTS_SINCE, NEW_API, ONE_API, Kind, base_url
from penstock.declared.new_api.ratios import CACHED, WRITTEN, Table, completion, fitting
from penstock.declared.new_api.values import (
    ENABLED,
    MILLION,
    NOBODY,
    Row,
    credentials,
    decimal,
    json_list,
    json_map,
    key_models,
    mapped,
    networks,
    says_something,
    text,
    unusable,
    whole,
    words,
)
from penstock.errors import CallerError

AT_ONCE = 1000
"""Rows in memory while a table is read."""
MOST = Decimal(1_000_000_000)
"""Dollars that a key may have as its quota."""
EXTRAS = (
    *("open_ai_organization", "status_code_mapping", "param_override", "header_override", "system_prompt"),
    *("setting", "settings", "tag", "remark"),
)
"""Columns of channels that have no place in ours."""
EXPRESSIONS = "billing_setting.billing_mode"
CARRIED = {
    "ModelRatio",
    "CompletionRatio",
    "CacheRatio",
    "CreateCacheRatio",
    "ImageRatio",
    "AudioRatio",
    "AudioCompletionRatio",
    "ModelPrice",
    "GroupRatio",
    "QuotaPerUnit",
    "AutoGroups",
    "GroupGroupRatio",
    EXPRESSIONS,
    "billing_setting.billing_expr",
}
LIMITS = ("ModelRequestRateLimitEnabled", "ModelRequestRateLimitGroup")
READ = {"channels", "tokens", "users", "options", "redemptions", "abilities", "setups"}
"""Tables that are read, or that only repeat what others say."""
WHY = {
    "logs": "what was used before stays in the old database",
    "quota_data": "what was used before stays in the old database",
    "tasks": "let unfinished ones end at the old gateway, and keep it until their results are fetched",
    "midjourneys": "let unfinished ones end at the old gateway, and keep it until their results are fetched",
    "top_ups": "payments that were made are in the balances; the records of them stay in the old database",
    "user_subscriptions": "penstock has no subscriptions; give accounts what is due to them: penstock accounts topup",
    "models": "descriptions of models; penstock has a catalogue of its own",
    "vendors": "descriptions of models; penstock has a catalogue of its own",
}


class Database:
    """One reading of it."""

    def __init__(self, connection: Connection, where: str) -> None:
        self._connection = connection
        self._where = where
        looker = inspect(connection)
        self._columns = {name: {each["name"] for each in looker.get_columns(name)} for name in looker.get_table_names()}
        if missing := sorted({"channels", "tokens", "users", "options"} - set(self._columns)):
            raise CallerError(f"this is no database of new-api or one-api: it has no table {', '.join(missing)}")
        self._is_new = "auto_ban" in self._columns["channels"] or "model_limits_enabled" in self._columns["tokens"]
        self._skipped = Skipped()
        self._options = {text(row["key"]): text(row["value"]) for row in self._rows("options", "key", "value")}
        self._per_usd = decimal(self._options.get("QuotaPerUnit")) or Decimal(500_000)
        self._offered: set[str] = set()
        self._members: dict[str, list[str]] = {}
        """The names of the channels of each group that has one, or somebody in it."""

    def moved(self) -> Moved:
        channels = tuple(self._channels())
        accounts, of_user = self._accounts()
        keys = tuple(self._keys(of_user))
        document = Document(
            channels=channels,
            prices=tuple(self._prices()),
            groups=tuple(self._groups(len(channels))),
            accounts=accounts,
            keys=keys,
        )
        self._leave_the_rest()
        return Moved(document, self._skipped.lines())

    # ── channels ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _channels(self) -> Iterator[Channel]:
        names = Names("sandbox")
        fields = ("type", "key", "status", "name", "weight", "base_url", "other", "models", "group", "model_mapping")
        more = ("priority", "channel_info", "config", "created_time")
        for row in self._rows("channels", "id", *fields, *more, *EXTRAS):
            name = names.of(text(row.get("name")), row["id"])
            channel = self._channel(name, row)
            if channel is not None:
                for group in words(text(row.get("group")) or "default"):
                    self._members.setdefault(group, []).append(name)
                yield channel

    def _channel(self, name: str, row: Row) -> Channel | None:
        kind = (NEW_API if self._is_new else ONE_API).get(whole(row["type"]), Kind(f"type {row['type']}"))
        if not kind.provider:
            self._skip("channel", name, f"of type {kind.name}: {kind.why}")
            return None
        address = base_url(kind, row)
        if address is None:
            self._skip("channel", name, f"of type {kind.name}, without an address that can be used")
            return None
        for field in EXTRAS:
            if says_something(text(row.get(field))):
                self._skip("channel", name, f"{field} is left out; penstock has no such setting")
        if kind.name == "Azure":
            self._skip("channel", name, "the API version is left out: Azure's /openai/v1 has none")
        models = self._models(kind, row)
        self._offered.update(models)
        return Channel(
            name=name,
            provider=kind.provider,
            base_url=address,
            credentials=self._credentials(name, row),
            models=listed(models) or (NOBODY,),
            priority=whole(row.get("priority")),
            weight=max(whole(row.get("weight")), 1),
            disabled=whole(row["status"]) != ENABLED,
        )

    def _models(self, kind: Kind, row: Row) -> dict[str, str]:
        """Names of Azure's deployments have no dots there."""
        found = mapped(row)
        if kind.name == "Azure" and (not self._is_new or whole(row.get("created_time")) < DOTS_SINCE):
            return {ours: theirs.replace(".", "") for ours, theirs in found.items()}
        return found

    def _credentials(self, name: str, row: Row) -> tuple[str, ...]:
        """Without those that are off."""
        statuses = json_map(json_map(row.get("channel_info")).get("multi_key_status_list"))
        off = {int(at) for at, status in statuses.items() if status != ENABLED}
        every = credentials(text(row["key"]))
        for at in sorted(off & set(range(len(every)))):
            self._skip("channel", name, f"key number {at + 1} is disabled, and left out")
        return tuple(key for at, key in enumerate(every) if at not in off)

    # ── groups ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _groups(self, channels: int) -> Iterator[Group]:
        ratios = self._table("GroupRatio")
        for name, members in sorted(self._members.items()):
            if not members:
                self._skip("group", name, "no channel of it was carried over, so its keys can call nothing")
            everywhere = members and len(members) == channels
            yield Group(
                name=name,
                channels=None if everywhere else tuple(map(glob.escape, members)) or (NOBODY,),
                multiplier=usd(ratios.get(name, Decimal(1))),
            )
        for name in sorted(set(ratios) - set(self._members)):
            self._skip("group", name, "nobody is in it, and no channel")
        for name, others in json_map(self._options.get("GroupGroupRatio")).items():
            for other, ratio in others.items():
                why = f"pays {ratio} times the price when it uses {other}; a group of penstock has one multiplier"
                self._skip("group", name, why)

    # ── prices ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _prices(self) -> Iterator[Price]:
        ratios, per_call = self._table("ModelRatio"), self._table("ModelPrice")
        expressed = {model for model, mode in json_map(self._options.get(EXPRESSIONS)).items() if mode == "tiered_expr"}
        for model in sorted(self._offered):
            if model in expressed:
                self._skip("model", model, "priced by an expression; set a price: penstock prices set")
            elif "*" in model and (model in per_call or model in ratios):
                self._skip("model", model, "priced for all names that fit; penstock has a price for each")
            elif model in per_call:
                yield Price(model=model, source=self._source, run=usd(per_call[model]))
            elif model in ratios:
                yield self._by_tokens(model, ratios[model])
            elif language.find(model) is None:
                self._skip("model", model, "no option has a price for it; set one: penstock prices set")
            else:
                self._skip(
                    "model", model, "no option has a price for it; penstock's list price holds, unless you set one"
                )
        for model in sorted((set(ratios) | set(per_call)) - self._offered):
            self._skip("price", model, "no channel has this model")

    def _by_tokens(self, model: str, ratio: Decimal) -> Price:
        each = ratio * MILLION / self._per_usd
        cached = self._ratio("CacheRatio", model, CACHED)
        written = self._ratio("CreateCacheRatio", model, WRITTEN)
        heard, seen = self._table("AudioRatio").get(model), self._table("ImageRatio").get(model)
        spoken = self._table("AudioCompletionRatio").get(model, Decimal(1))
        extra = {
            "cache_write_token": written and each * written,
            "audio_input_token": heard and each * heard,
            "audio_output_token": heard and each * heard * spoken,
            "image_input_token": seen and each * seen,
        }
        return Price(
            model=model,
            source=self._source,
            input_mtok=usd(each),
            cached_mtok=None if cached is None else usd(each * cached),
            output_mtok=usd(each * completion(model, self._table("CompletionRatio").get(model), new=self._is_new)),
            lines=tuple(Line(unit=unit, usd=usd(cost), per=1_000_000) for unit, cost in extra.items() if cost),
        )

    def _ratio(self, option: str, model: str, while_unsaved: Table) -> Decimal | None:
        if option in self._options or not self._is_new:
            return self._table(option).get(model)
        return fitting(while_unsaved, model)

    # ── users and their keys ──────────────────────────────────────────────────────────────────────────────────────────

    def _accounts(self) -> tuple[tuple[Account, ...], dict[int, str]]:
        """And the account of each user."""
        made, of_user, names = [], {}, Names()
        for row in self._rows("users", "id", "username", "quota", "group", "status", "role", "aff_quota", "deleted_at"):
            name = names.of(text(row["username"]), row["id"])
            money = decimal(row["quota"]) / self._per_usd
            if whole(row["status"]) != ENABLED or row.get("deleted_at") is not None:
                self._skip("user", f"{name} ({usd(money)} USD)", "disabled or deleted: no account, and no keys")
                continue
            if money < 0:
                self._skip("user", f"{name} ({usd(money)} USD)", "owes money; the account begins at nothing")
            if reward := decimal(row.get("aff_quota")):
                self._skip("user", f"{name} ({usd(reward / self._per_usd)} USD)", "rewards that were not claimed")
            if whole(row["role"]) > 1:
                self._skip("user", name, "an administrator; make a key for running penstock: penstock keys create")
            of_user[whole(row["id"])] = name
            opening = Opening(id=f"new-api/{self._where}/users/{row['id']}", usd=usd(money)) if money > 0 else None
            group = self._in_group(text(row.get("group")).strip() or "default")
            made.append(Account(name=name, group=group, opening=opening))
        if made:
            self._skip("password", f"of every account ({len(made):,})", "nobody logs in to penstock but its operators")
        return tuple(made), of_user

    def _keys(self, of_user: Mapping[int, str]) -> Iterator[Key]:
        names: dict[str, Names] = {}
        fields = ("id", "user_id", "key", "status", "name", "expired_time", "remain_quota", "unlimited_quota", "group")
        limits = ("model_limits_enabled", "model_limits", "models", "allow_ips", "subnet", "deleted_at")
        for row in self._rows("tokens", *fields, *limits):
            account = of_user.get(whole(row["user_id"]))
            wanted = text(row.get("name"))
            if account is None or row.get("deleted_at") is not None:
                self._skip("key", wanted or f"#{row['id']}", "deleted, or its user has no account")
                continue
            name = names.setdefault(account, Names()).of(wanted, row["id"])
            if why := unusable(row):
                self._skip("key", f"{account}/{name}", why)
                continue
            bound = networks(row)
            if bound is None:
                self._skip("key", f"{account}/{name}", "bound to what are no addresses; make a new one")
                continue
            models = key_models(row)
            if models == (NOBODY,):
                self._skip("key", f"{account}/{name}", "its list of models is empty, so it can call nothing")
            expires = whole(row["expired_time"])
            yield Key(
                name=name,
                account=account,
                key=f"sk-{text(row['key']).strip()}",
                group=self._group_of(f"{account}/{name}", text(row.get("group")).strip()),
                expires="" if expires <= 0 else rfc3339(expires * SECOND),
                models=models,
                networks=bound,
                quota_usd=self._quota(row),
            )

    def _quota(self, row: Row) -> str | None:
        """What is left of it, since here nothing is spent yet; more than we can count is no limit."""
        left = decimal(row["remain_quota"]) / self._per_usd
        return None if row.get("unlimited_quota") or left > MOST else usd(left)

    def _group_of(self, key: str, group: str) -> str | None:
        if group != "auto":
            return self._in_group(group) if group else None
        groups = [str(each) for each in json_list(self._options.get("AutoGroups"))] or ["default"]
        self._skip("key", key, f"its group was auto ({', '.join(groups)}), and is {groups[0]} now")
        return self._in_group(groups[0])

    def _in_group(self, group: str) -> str:
        self._members.setdefault(group, [])
        return group

    # ── what stays ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _leave_the_rest(self) -> None:
        codes, worth = 0, Decimal(0)
        if "redemptions" in self._columns:
            for row in self._rows("redemptions", "id", "status", "quota", "expired_time", "deleted_at"):
                until = whole(row.get("expired_time"))
                if whole(row["status"]) == ENABLED and row.get("deleted_at") is None and not 0 < until < time.time():
                    codes, worth = codes + 1, worth + decimal(row["quota"]) / self._per_usd
        if codes:
            why = "make new ones: penstock codes create"
            self._skip("redemption code", f"({codes:,} unused, worth {usd(worth)} USD in all)", why)
        if self._options.get(LIMITS[0]) == "true":
            self._skip("setting", ", ".join(LIMITS), "limits of each user; set rpm for groups or keys")
        for name in sorted(set(self._options) - CARRIED - set(LIMITS)):
            if self._options[name]:
                self._skip("setting", name, "of the old gateway itself")
        for name in sorted(set(self._columns) - READ):
            if rows := self._connection.scalar(select(func.count()).select_from(table(name))):
                self._skip("table", f"{name} ({rows:,} row{'s' * (rows > 1)})", WHY.get(name, "it has no place here"))

    def _skip(self, kind: str, name: str, why: str) -> None:
        self._skipped.add(kind, name, why)

    @property
    def _source(self) -> str:
        return f"{'new-api' if self._is_new else 'one-api'} {self._where}"

    def _table(self, option: str) -> dict[str, Decimal]:
        """An option that has a number for each name."""
        return {name: decimal(value) for name, value in json_map(self._options.get(option)).items()}

    def _rows(self, name: str, first: str, *others: str) -> Iterator[Row]:
        """The columns that this version has, as the driver gives them: their types are not asked for, since SQLite
        keeps what it was given. In order of the first, which is unique."""
        source = table(name, *(column(each) for each in (first, *others) if each in self._columns[name]))
        key = source.c[first]
        query = select(source).order_by(key).limit(AT_ONCE)
        page = self._page(query)
        while page:
            yield from page
            page = self._page(query.where(key > page[-1][first]))

    def _page(self, query: Select[Any]) -> list[Row]:
        return [row._asdict() for row in self._connection.execute(query)]
