"""What work is measured in, and money: whole micro-dollars."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

Micros = int
"""Millionths of a US dollar."""


class Unit(StrEnum):
    """What a vendor can bill. Providers report these, never money; prices are data in the store or the catalogue."""

    RUN = "run"
    OUTPUT = "output"
    SECOND = "second"  # of run time
    VIDEO_SECOND = "video_second"
    AUDIO_SECOND = "audio_second"
    INPUT_TOKEN = "input_token"
    OUTPUT_TOKEN = "output_token"


Usage = Mapping[Unit, float]
"""How much of each unit; a unit that is missing was not reported, an explicit zero is zero."""
