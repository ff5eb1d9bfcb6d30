"""Identifiers: 26 characters of Crockford base 32, the first ten of them time, so that newer sorts after older."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = [a + b for a in ALPHABET for b in ALPHABET]  # ten bits at a time: an id is made on the hot path


def _dice() -> Iterator[bytes]:
    """Ten random bytes at a time. Asking the kernel for each ten lets another thread in between, which costs more."""
    while True:
        rolled = os.urandom(10 * 400)
        yield from [rolled[at : at + 10] for at in range(0, len(rolled), 10)]


def _shake() -> None:
    """Fresh dice: also for a forked child, which must not roll what its parent rolls."""
    global _random
    _random = _dice().__next__


_random: Callable[[], bytes]
_shake()
os.register_at_fork(after_in_child=_shake)


def new_id() -> str:
    """A new id: 48 bits of milliseconds, 80 random ones, as 26 characters; the last is one of `048cgmrw`."""
    return encode(time.time_ns() // 1_000_000 << 80 | int.from_bytes(_random(), "big"))


def made_at(id: str) -> int:
    """When an id was made, in nanoseconds since 1970, to the millisecond: so a list by id is a list by time."""
    number = 0
    for character in id[:10]:
        number = number << 5 | ALPHABET.index(character)
    return (number >> 2) * 1_000_000


def encode(number: int) -> str:
    """128 bits as 26 characters, two zero bits at the end, as Replicate writes its ids.

    >>> encode(0) == "0" * 26, encode(2**128 - 1) == "z" * 25 + "w"
    (True, True)
    """
    number <<= 2
    return "".join([_PAIRS[number >> shift & 1023] for shift in range(120, -1, -10)])
