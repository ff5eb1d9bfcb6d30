"""Identifiers: 26 characters of Crockford base 32, the first ten of them time, so that newer sorts after older."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from functools import lru_cache

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = [a + b for a in ALPHABET for b in ALPHABET]  # ten bits at a time: an id is made on the hot path
_VALUES = {pair: value for value, pair in enumerate(_PAIRS)}


_LETTERS = bytes.maketrans(bytes(range(256)), (ALPHABET * 8).encode())  # each eight times: all alike likely


def _dice() -> Iterator[tuple[int, str]]:
    """The 80 random bits of an id: two as a number, the others as its last 16 letters. Asking the kernel for each lets
    another thread in between, which costs more."""
    while True:
        rolled = os.urandom(17 * 400)
        letters = rolled.translate(_LETTERS).decode()
        for at in range(0, len(rolled), 17):
            yield rolled[at] & 3, letters[at + 1 : at + 16] + ALPHABET[rolled[at + 16] & 28]


def _shake() -> None:
    """Fresh dice for every thread: also for a forked child, which must not roll what its parent rolls."""
    global _own
    _own = threading.local()


_own: threading.local
_shake()
os.register_at_fork(after_in_child=_shake)


def new_id() -> str:
    """A new id: 48 bits of milliseconds, 80 random ones, as 26 characters; the last is one of `048cgmrw`."""
    try:
        two, letters = _own.roll()
    except AttributeError:
        _own.roll = _dice().__next__
        two, letters = _own.roll()
    made: str = _heads(time.time_ns() // 1_000_000)[two] + letters
    return made


@lru_cache(2)
def _heads(ms: int) -> tuple[str, ...]:
    """The first ten letters of the ids of this millisecond, by the two random bits in them."""
    return tuple(encode(ms << 80 | two << 78)[:10] for two in range(4))


def made_at(id: str) -> int:
    """When an id was made, in nanoseconds since 1970, to the millisecond: so a list by id is a list by time."""
    number = 0
    for at in range(0, 10, 2):
        number = number << 10 | _VALUES[id[at : at + 2]]
    return (number >> 2) * 1_000_000


def encode(number: int) -> str:
    """128 bits as 26 characters, two zero bits at the end, as Replicate writes its ids.

    >>> encode(0) == "0" * 26, encode(2**128 - 1) == "z" * 25 + "w"
    (True, True)
    """
    number <<= 2
    return "".join([_PAIRS[number >> shift & 1023] for shift in range(120, -1, -10)])
