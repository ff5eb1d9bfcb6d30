"""What work is measured in, and money: whole micro-dollars."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

Micros = int
"""Millionths of a US dollar."""


class Unit(StrEnum):
    """What a vendor can bill. Providers report these, never money; prices are data in the store or the catalogue.

    Units are disjoint: a token is counted under one of them. So `input_token` leaves out those that were read from a
    cache, written to one, or came from sound and pictures, and `output_token` leaves out reasoning.
    """

    RUN = "run"
    OUTPUT = "output"
    SECOND = "second"  # of run time
    VIDEO_SECOND = "video_second"
    AUDIO_SECOND = "audio_second"
    CHARACTER = "character"  # of text that goes in
    INPUT_TOKEN = "input_token"
    CACHED_TOKEN = "cached_token"  # read from a cache
    CACHE_WRITE_TOKEN = "cache_write_token"  # kept for minutes
    CACHE_WRITE_HOUR_TOKEN = "cache_write_hour_token"
    AUDIO_INPUT_TOKEN = "audio_input_token"
    IMAGE_INPUT_TOKEN = "image_input_token"
    OUTPUT_TOKEN = "output_token"
    REASONING_TOKEN = "reasoning_token"
    AUDIO_OUTPUT_TOKEN = "audio_output_token"
    IMAGE_OUTPUT_TOKEN = "image_output_token"
    SEARCH = "search"  # a web search that the vendor ran by itself


PRICED_AS: Mapping[Unit, Unit] = {
    Unit.CACHED_TOKEN: Unit.INPUT_TOKEN,
    Unit.CACHE_WRITE_TOKEN: Unit.INPUT_TOKEN,
    Unit.CACHE_WRITE_HOUR_TOKEN: Unit.CACHE_WRITE_TOKEN,
    Unit.AUDIO_INPUT_TOKEN: Unit.INPUT_TOKEN,
    Unit.IMAGE_INPUT_TOKEN: Unit.INPUT_TOKEN,
    Unit.REASONING_TOKEN: Unit.OUTPUT_TOKEN,
    Unit.AUDIO_OUTPUT_TOKEN: Unit.OUTPUT_TOKEN,
    Unit.IMAGE_OUTPUT_TOKEN: Unit.OUTPUT_TOKEN,
}
"""A unit that a rule has no line for is charged as its coarser kind."""

Usage = Mapping[Unit, float]
"""How much of each unit; a unit that is missing was not reported, an explicit zero is zero."""

INPUT_UNITS = (
    Unit.INPUT_TOKEN,
    Unit.CACHED_TOKEN,
    Unit.CACHE_WRITE_TOKEN,
    Unit.CACHE_WRITE_HOUR_TOKEN,
    Unit.AUDIO_INPUT_TOKEN,
    Unit.IMAGE_INPUT_TOKEN,
)
OUTPUT_UNITS = (Unit.OUTPUT_TOKEN, Unit.REASONING_TOKEN, Unit.AUDIO_OUTPUT_TOKEN, Unit.IMAGE_OUTPUT_TOKEN)


_IN, _OUT = frozenset(INPUT_UNITS), frozenset(OUTPUT_UNITS)


def tokens(usage: Mapping[Unit, int]) -> tuple[int, int]:
    """All that went in, and all that came out."""
    put_in = got_out = 0
    for unit, amount in usage.items():
        if unit in _IN:
            put_in += amount
        elif unit in _OUT:
            got_out += amount
    return put_in, got_out


def total(usage: Usage, units: tuple[Unit, ...]) -> int:
    """All tokens of these kinds together, as vendors like to report them."""
    return round(sum([usage.get(unit, 0) for unit in units]))
