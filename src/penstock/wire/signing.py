"""Secrets: capabilities in URLs, sealed credentials, hashed keys, signed webhooks, and a type that can't be printed.

Every key is derived from the one secret of the installation, one for each purpose, so that what was made for one place
is worth nothing in another.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime
from typing import NoReturn

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from standardwebhooks.webhooks import Webhook

from penstock.errors import GatewayError

VERSION = "v1"
MAC_BYTES = 18
"""144 bits: at least 128, and no padding in base64."""

NONCE_BYTES = 12


class Secret:
    """A string that prints as `•••` and can't be pickled; `reveal()` gives it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __str__(self) -> str:
        return "•••"

    __repr__ = __str__

    def __format__(self, spec: str) -> str:
        return format("•••", spec)

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled")


def derive(secret: bytes, purpose: str) -> bytes:
    """The 32-byte key for one purpose: HKDF-SHA-256 (RFC 5869)."""
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=f"penstock/{purpose}".encode()).derive(secret)


def hash_key(pepper: bytes, key: str) -> bytes:
    """What the store keeps of a client's key. Its 32 random bytes need no slow hash."""
    return hmac.digest(pepper, key.encode(), "sha256")


class Signer:
    """Signs capabilities: whoever holds the token may do `purpose` with `subject`, until it expires."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._begun: dict[str, hmac.HMAC] = {}

    def sign(self, purpose: str, subject: str, expires_at_s: int | None) -> str:
        """`v1.EXPIRY.MAC`, safe in a URL; `expires_at_s` is Unix time, None for as long as the data lives."""
        head = f"{VERSION}.{'' if expires_at_s is None else expires_at_s}"
        return f"{head}.{self._mac(purpose, subject, head)}"

    def verify(self, purpose: str, subject: str, token: str, now_s: float | None = None) -> bool:
        head, _, mac = token.rpartition(".")
        if not hmac.compare_digest(_raw(mac), _raw(self._mac(purpose, subject, head))):
            return False
        version, _, expiry = head.partition(".")  # ours, now that the MAC has been checked
        return version == VERSION and (not expiry or int(expiry) > (time.time() if now_s is None else now_s))

    def _mac(self, purpose: str, subject: str, head: str) -> str:
        begun = self._begun.get(purpose)
        if begun is None:
            key = derive(self._secret, f"capability/{purpose}")
            begun = self._begun[purpose] = hmac.new(key, digestmod="sha256")
        mac = begun.copy()  # not the one-shot function, which gives the GIL away: links are made on the hot path
        mac.update(_raw(f"{head}\n{subject}"))
        return urlsafe_b64encode(mac.digest()[:MAC_BYTES]).decode()


class SecretBox:
    """Seals upstream credentials with AES-256-GCM, bound to the row they belong to.

    New ones are sealed with `secret`; those sealed with one of the `older` secrets still open.
    """

    def __init__(self, secret: bytes, *older: bytes) -> None:
        keys = [derive(one, "credentials") for one in (secret, *older)]
        self._boxes = {_key_id(key): AESGCM(key) for key in keys}
        self._newest = _key_id(keys[0])

    def seal(self, text: str, row: str) -> str:
        """`row` is the row's identity (`channels/c1/credential`): copied elsewhere, the seal does not open."""
        nonce = os.urandom(NONCE_BYTES)
        sealed = self._boxes[self._newest].encrypt(nonce, text.encode(), _bound(self._newest, row))
        return f"{VERSION}.{self._newest}.{urlsafe_b64encode(nonce + sealed).decode()}"

    def open(self, sealed: str, row: str) -> str:
        """Raises GatewayError for another secret, another row, or a damaged text."""
        try:
            version, key_id, text = sealed.split(".")
            raw = urlsafe_b64decode(text)
            if version != VERSION:
                raise ValueError(version)
            return self._boxes[key_id].decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], _bound(key_id, row)).decode()
        except (ValueError, KeyError, InvalidTag):
            raise GatewayError("A stored credential can't be opened: was the gateway's secret changed?") from None


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")  # a token comes from a URL and may hold anything


def _key_id(key: bytes) -> str:
    return hashlib.sha256(b"penstock/key-id" + key).hexdigest()[:8]


def _bound(key_id: str, row: str) -> bytes:
    return f"{VERSION}\n{key_id}\n{row}".encode()


def webhook_headers(secret: str, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The three headers of Standard Webhooks. `timestamp` is Unix seconds of this attempt; send exactly `body`.

    The body is signed as the UTF-8 text it is; anything else raises UnicodeDecodeError.
    """
    # The library overwrites the zone of what it is given with UTC, so it has to be UTC before.
    signature = Webhook(secret).sign(message_id, datetime.fromtimestamp(timestamp, UTC), body.decode())
    return {"webhook-id": message_id, "webhook-timestamp": str(timestamp), "webhook-signature": signature}
