from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor

from hypothesis import given
from hypothesis import strategies as st

from penstock.ids import ALPHABET, encode, new_id

BYTES = st.binary(min_size=16, max_size=16)


def plainly(raw: bytes) -> str:
    number = int.from_bytes(raw, "big") << 2
    return "".join(ALPHABET[(number >> shift) & 31] for shift in range(125, -1, -5))


def test_the_vectors() -> None:
    assert encode(0) == "0" * 26
    assert encode(2**128 - 1) == "z" * 25 + "w"


@given(BYTES, BYTES)
def test_five_bits_a_letter_and_in_order(a: bytes, b: bytes) -> None:
    assert encode(int.from_bytes(a, "big")) == plainly(a)
    assert (plainly(a) < plainly(b)) == (a < b)


def test_new_ones_differ_and_sort_by_time() -> None:
    first = new_id()
    time.sleep(0.002)
    made = [new_id() for _ in range(1000)]
    assert len(set(made)) == 1000
    assert all(first < each and re.fullmatch(r"[0-9a-hjkmnp-tv-z]{25}[048cgmrw]", each) for each in made)


def test_threads_make_ids_at_once() -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: [new_id() for _ in range(5000)], range(16)))
    ids = [id for some in made for id in some]
    assert len(set(ids)) == len(ids)
