"""The sandbox's music: a little tune in a key, a tempo, and a mood that follow from the prompt. Pure functions.

Notes are made once each and then added up by the standard library's own loops. Measured on one core: 8 s in 0.2 s.
"""

from __future__ import annotations

import math
import sys
import wave
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import import_module
from importlib.util import find_spec
from io import BytesIO
from itertools import chain, repeat
from operator import add, mul
from random import Random
from typing import Literal

from penstock.providers.sandbox.palettes import dice, spelt

Format = Literal["wav", "mp3"]
RATE = 22_050
SHORTEST_S, LONGEST_S = 0.5, 120.0
# A plucked string's overtones: (times the pitch, loudness), and a rounder set for the bass.
PLUCKED = ((1, 1.0), (2, 0.42), (3, 0.2), (4, 0.08))
ROUND = ((1, 1.0), (2, 0.18))
MAJOR, MINOR = (0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10)
# Degrees of the scale, one chord a bar.
PROGRESSIONS = {MAJOR: ((0, 4, 5, 3), (0, 5, 3, 4), (3, 0, 4, 5)), MINOR: ((0, 5, 2, 6), (0, 3, 5, 4), (0, 6, 5, 6))}
# A word may say more than one thing.
MANNERS = {
    "sad": "sad night rain dark melancholy lonely lost blue winter minor goodbye grief mystery",
    "fast": "fast dance happy party upbeat techno house rock run energetic electronic drum pop",
    "calm": "calm slow ambient sleep lullaby sad lofi relaxing soft gentle ballad meditation",
}


@dataclass(frozen=True, slots=True)
class Mood:
    """Semitones above A2 of the key's first note, its scale, seconds a beat, and the degrees of its chords."""

    key: int
    scale: tuple[int, ...]
    beat_s: float
    chords: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Note:
    """When (in beats), how high (semitones above A2), how long (in beats), how loud (0–1), and with what overtones."""

    at: float
    pitch: int
    beats: float
    loud: float
    voice: tuple[tuple[int, float], ...]


def tune(prompt: str, seed: int, seconds: float, format: Format) -> bytes:
    """A tune of that length (held within 0.5–120 s) as 16-bit mono at 22,050 Hz; the same facts, the same bytes.

    `mp3` needs the package `lameenc`: `mp3_possible()` says whether it is there, and without it the bytes are WAV.
    """
    frames = round(min(max(seconds, SHORTEST_S), LONGEST_S) * RATE)
    samples = mixed(prompt, seed, frames)
    return mp3(samples) if format == "mp3" and mp3_possible() else wav(samples)


def mp3_possible() -> bool:
    """Whether the optional MP3 encoder is installed."""
    return find_spec("lameenc") is not None


def mood(prompt: str, seed: int) -> Mood:
    """Read a prompt: words for sad, fast, and calm music are known, the rest is chance."""
    chance, words = dice("mood", prompt, seed), set(spelt(prompt))
    sad, fast, calm = (bool(words.intersection(MANNERS[manner].split())) for manner in ("sad", "fast", "calm"))
    scale = MINOR if sad or (not fast and chance.random() < 0.3) else MAJOR
    beats_a_minute = 132 if fast else 76 if calm else chance.choice((92, 100, 108))
    return Mood(chance.choice((0, 2, 3, 5, 7, 8, 10)), scale, 60 / beats_a_minute, chance.choice(PROGRESSIONS[scale]))


# ── the notes ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def score(kind: Mood, chance: Random, beats: int) -> Iterator[Note]:
    """Four beats a bar: a bass, a broken chord, and a melody that goes by steps and repeats itself after four bars."""
    phrase = [melody(kind, chance, bar) for bar in range(4)]
    for bar in range(-(-beats // 4)):
        root = kind.chords[bar % 4]
        start = bar * 4
        yield Note(start, pitch(kind, root) - 12, 3.6, 0.5, ROUND)
        yield Note(start + 2, pitch(kind, root + 4) - 12, 1.8, 0.3, ROUND)
        for step, degree in enumerate((0, 2, 4, 7, 4, 2, 4, 2)):
            yield Note(start + step / 2, pitch(kind, root + degree) + 12, 1.0, 0.2, PLUCKED)
        for at, height, beats_long in phrase[bar % 4]:
            yield Note(start + at, height, beats_long, 0.42, PLUCKED)


def melody(kind: Mood, chance: Random, bar: int) -> list[tuple[float, int, float]]:
    """One bar as (beat, pitch, beats): it begins on a note of the chord and wanders a step at a time."""
    root = kind.chords[bar]
    degree = root + chance.choice((2, 4, 7))
    rhythm = chance.choice(((0, 1, 2, 3), (0, 1.5, 2, 3), (0, 1, 1.5, 2, 3.5), (0, 2, 3)))
    notes = []
    for at, following in zip(rhythm, (*rhythm[1:], 4), strict=True):
        notes.append((float(at), pitch(kind, degree) + 24, float(following - at) + 0.4))
        degree = min(max(degree + chance.choice((-2, -1, -1, 1, 1, 2)), root), root + 9)
    return notes


def pitch(kind: Mood, degree: int) -> int:
    """Semitones above A2 of a degree of the scale; degrees beyond 6 are in the octaves above."""
    octave, step = divmod(degree, len(kind.scale))
    return kind.key + kind.scale[step] + 12 * octave


# ── the samples ───────────────────────────────────────────────────────────────────────────────────────────────────────


def mixed(prompt: str, seed: int, frames: int) -> array[int]:
    kind = mood(prompt, seed)
    beats = math.ceil(frames / RATE / kind.beat_s)
    total = array("d", bytes(8 * frames))
    once = cache(tone)  # for this tune only: a process must not keep megabytes of notes
    for note in score(kind, dice("score", prompt, seed), beats):
        start = round(note.at * kind.beat_s * RATE)
        sound = once(note.pitch, round(note.beats * kind.beat_s * RATE), note.loud, note.voice)[
            : max(0, frames - start)
        ]
        total[start : start + len(sound)] = array("d", map(add, total[start : start + len(sound)], sound))
    return levelled(echoed(total, round(0.75 * kind.beat_s * RATE)), frames)


def echoed(total: array[float], delay: int) -> array[float]:
    """The sound with one soft repeat of itself, `delay` samples later."""
    late = array("d", map(mul, total, repeat(0.28)))
    return total[:delay] + array("d", map(add, total[delay:], late))


def levelled(total: array[float], frames: int) -> array[int]:
    """As loud as fits, faded out over the last second (or the last quarter of a short tune)."""
    peak = max(max(total), -min(total), 1e-9)
    fade = min(RATE, frames // 4)
    gain = 26_000 / peak
    gains = chain(repeat(gain, frames - fade), (gain * (fade - i) / fade for i in range(fade)))
    return array("h", map(int, map(mul, total, gains)))


def tone(height: int, frames: int, loud: float, voice: tuple[tuple[int, float], ...]) -> array[float]:
    """One note, struck and dying away; its period is rounded to 1/16 of a sample, which no ear hears."""
    cycle = round(16 * RATE / (110 * 2 ** (height / 12)))  # samples in sixteen periods
    angles = [math.tau * 16 * i / cycle for i in range(cycle)]
    period = [sum(share * math.sin(times * angle) for times, share in voice) for angle in angles]
    swung = period * (frames // cycle + 1)
    return array("d", map(mul, swung[:frames], envelope(frames, loud)))


@lru_cache(maxsize=4)
def envelope(frames: int, loud: float) -> array[float]:
    attack, release = min(140, frames), min(700, frames)
    falling = math.exp(-3.2 / max(1.0, 0.9 * RATE))
    curve, level = array("d"), loud
    for _ in range(frames):
        curve.append(level)
        level *= falling
    for i in range(attack):
        curve[i] *= i / attack
    for i in range(release):
        curve[frames - 1 - i] *= i / release
    return curve


def wav(samples: array[int]) -> bytes:
    out = BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(little_endian(samples))
    return out.getvalue()


def mp3(samples: array[int]) -> bytes:
    encoder = import_module("lameenc").Encoder()
    encoder.set_bit_rate(64)
    encoder.set_in_sample_rate(RATE)
    encoder.set_channels(1)
    encoder.set_quality(7)
    return bytes(encoder.encode(little_endian(samples))) + bytes(encoder.flush())


def little_endian(samples: array[int]) -> bytes:
    ordered = samples[:]
    if sys.byteorder == "big":
        ordered.byteswap()
    return ordered.tobytes()
