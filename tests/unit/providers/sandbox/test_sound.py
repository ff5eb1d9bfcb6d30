"""The sandbox's tunes: of the asked length, neither silent nor clipped, the same for the same facts."""

from __future__ import annotations

import sys
import wave
from array import array
from io import BytesIO

import pytest

from penstock.providers.sandbox.sound import MAJOR, MINOR, RATE, mood, mp3_possible, tune


def samples(data: bytes) -> array[int]:
    with wave.open(BytesIO(data)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, RATE)
        values = array("h", file.readframes(file.getnframes()))
    if sys.byteorder == "big":
        values.byteswap()
    return values


@pytest.mark.parametrize(("asked", "given"), [(0, 0.5), (0.5, 0.5), (1.25, 1.25), (8, 8)])
def test_a_tune_has_the_asked_length(asked, given):
    assert len(samples(tune("a song", 1, asked, "wav"))) == round(given * RATE)


def test_a_tune_is_heard_throughout_and_fades_out():
    values = samples(tune("happy", 1, 8, "wav"))
    seconds = [max(map(abs, values[i * RATE : (i + 1) * RATE])) for i in range(8)]
    assert min(seconds) > 3000
    assert max(seconds) < 32_000
    assert abs(values[-1]) < 200


def test_the_same_facts_give_the_same_bytes():
    assert tune("a song", 1, 1, "wav") == tune("a song", 1, 1, "wav")
    assert tune("a song", 1, 1, "wav") != tune("a song", 2, 1, "wav")
    assert tune("a song", 1, 1, "wav") != tune("another", 1, 1, "wav")


def test_words_make_the_mood():
    sad, gay = mood("a sad ballad", 1), mood("happy dance", 1)
    assert (sad.scale, gay.scale) == (MINOR, MAJOR)
    assert sad.beat_s > gay.beat_s


def test_without_an_encoder_mp3_is_wav():
    data = tune("a song", 1, 1, "mp3")
    assert data.startswith(b"RIFF") is not mp3_possible()
