from __future__ import annotations

import pickle

import pytest
from standardwebhooks.webhooks import Webhook

from penstock.errors import GatewayError
from penstock.wire.signing import Secret, SecretBox, Signer, derive, hash_key, webhook_headers

SECRET = b"s" * 32


def test_a_capability_holds_for_its_purpose_and_subject_until_it_expires() -> None:
    signer = Signer(SECRET)
    token = signer.sign("output", "task1/0", 1000)
    assert signer.verify("output", "task1/0", token, now_s=999)
    assert not signer.verify("output", "task1/0", token, now_s=1000)
    assert not signer.verify("stream", "task1/0", token, now_s=999)
    assert not signer.verify("output", "task2/0", token, now_s=999)
    assert not Signer(b"t" * 32).verify("output", "task1/0", token, now_s=999)
    assert signer.verify("output", "task1/0", signer.sign("output", "task1/0", None))


def test_a_token_cannot_be_changed() -> None:
    signer = Signer(SECRET)
    token = signer.sign("output", "t", 1000)
    version, expiry, mac = token.split(".")
    forged = [
        "",
        ".",
        "..",
        "v1..",
        token[:-1],
        token + "A",
        f"{version}.2000.{mac}",
        f"{version}..{mac}",
        f"v2.{expiry}.{mac}",
    ]
    forged += [f"{version}.{mac}", "é.ü.ß", "\ud800", token.replace("v1", "v1.1"), f"{token}\n"]
    assert not any(signer.verify("output", "t", one, now_s=0) for one in forged)
    assert token.replace(".", "").replace("-", "").replace("_", "").isalnum()


def test_keys_differ_by_purpose_and_secret() -> None:
    keys = {derive(SECRET, "a"), derive(SECRET, "b"), derive(b"t" * 32, "a")}
    assert len(keys) == 3 and all(len(key) == 32 for key in keys)
    assert hash_key(b"pepper", "sk-live-1") == hash_key(b"pepper", "sk-live-1") != hash_key(b"salt", "sk-live-1")


def test_a_sealed_credential_opens_in_its_own_row_only() -> None:
    box = SecretBox(SECRET)
    sealed = box.seal("sk-ünïcode", "channels/c1")
    assert box.open(sealed, "channels/c1") == "sk-ünïcode"
    assert sealed != box.seal("sk-ünïcode", "channels/c1")
    for attempt, row in [
        (sealed, "channels/c2"),
        (sealed[:-4] + "AAAA", "channels/c1"),
        ("", "channels/c1"),
        ("v1.x.y", ""),
    ]:
        with pytest.raises(GatewayError):
            box.open(attempt, row)
    with pytest.raises(GatewayError):
        SecretBox(b"t" * 32).open(sealed, "channels/c1")


def test_after_a_change_of_secret_the_older_one_still_opens() -> None:
    sealed = SecretBox(SECRET).seal("sk", "row")
    changed = SecretBox(b"t" * 32, SECRET)
    assert changed.open(sealed, "row") == "sk"
    assert SecretBox(b"t" * 32).open(changed.seal("sk", "row"), "row") == "sk"


def test_a_secret_is_not_printed() -> None:
    secret = Secret("canary")
    shown = [str(secret), repr(secret), f"{secret}", f"{secret:>9}", f"{[secret]}", f"{secret!r}", "%s" % secret]  # noqa: UP031
    assert not any("canary" in one for one in shown)
    assert (
        secret.reveal() == "canary" and secret == Secret("canary") and secret != Secret("other") and secret != "canary"
    )
    with pytest.raises(TypeError):
        pickle.dumps(secret)


def test_a_webhook_is_signed_as_in_the_replicate_reference() -> None:
    secret, body = "whsec_AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcY", b'{"id":"7k2m9x4fhsrm40cv8d1a6bqzng","status":"succeeded"}'
    assert webhook_headers(secret, "msg_2pQx7LkYh3", 1760000000, body) == {
        "webhook-id": "msg_2pQx7LkYh3",
        "webhook-timestamp": "1760000000",
        "webhook-signature": "v1,t/FzKF1FvRC2sPVZ7k0VdabciKzOHoLMn2zNqx1pm5k=",
    }


def test_the_library_verifies_what_we_sign() -> None:
    import time

    body = '{"text":"☃"}'.encode()
    secret = "whsec_AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcY"
    assert Webhook(secret).verify(body, webhook_headers(secret, "msg_1", int(time.time()), body)) == {"text": "☃"}
