from __future__ import annotations

import pytest

from penstock.config import DECLARED
from penstock.declared.document import PARTS, Channel, Document, Key, Price, filled, read, said
from penstock.errors import CallerError


def test_the_settings_leave_its_tables_alone() -> None:
    assert frozenset(PARTS) == DECLARED


def test_settings_beside_it_are_left_alone() -> None:
    assert read("port = 1\n", {}, "a.toml") == Document()


def test_one_credential_and_a_table_of_models_are_lists() -> None:
    text = '[[channels]]\nname = "a"\nprovider = "b"\n{}\n'
    whole = Channel(name="a", provider="b", credentials=("x",), models=("c=d", "e=e"))
    one = 'credential = "x"\nmodels = { c = "d", e = "e" }'
    assert read(text.format(one), {}, "a.toml").channels == (whole,)
    assert read(text.format('credential = ""'), {}, "a.toml").channels[0].credentials == ()


def test_only_what_is_given_is_said() -> None:
    [key] = read('[[keys]]\nname = "a"\nrpm = 0\n', {}, "a.toml").keys
    assert said(key) == {"name": "a", "account": "default", "mode": "live", "key": "", "rpm": 0}


def test_dates_are_text() -> None:
    text = '[[prices]]\nmodel = "m"\nrun = "1"\nstarts = {}\n'
    at = [
        read(text.format(start), {}, "a.toml").prices[0].starts for start in ("2099-01-01", "2099-01-01T10:00:00+02:00")
    ]
    assert at == ["2099-01-01", "2099-01-01T10:00:00+02:00"]


def test_the_environment_fills_any_text() -> None:
    text = '[[channels]]\nname = "a"\nprovider = "b"\nbase_url = "env:URL"\noptions = { organization = ["env:ORG"] }\n'
    [channel] = read(text, {"URL": "http://x", "ORG": "y"}, "a.toml").channels
    assert (channel.base_url, channel.options) == ("http://x", {"organization": ["y"]})
    made = Document(keys=(Key(name="a", key="env:K"),), prices=(Price(model="m", run="env:NOT-A-NAME"),))
    there = filled(made, {"K": "secret"})
    assert (there.keys[0].key, there.prices[0].run) == ("secret", "env:NOT-A-NAME")
    with pytest.raises(CallerError, match="has no K"):
        filled(made, {})
    assert filled(made, {}, strict=False) == made
