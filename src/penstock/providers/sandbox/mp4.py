"""The box around the sandbox's films: one H.264 track in an MP4 file whose index comes first, so that it plays at once.

Source: ISO/IEC 14496-12 (boxes) and 14496-15 (`avcC`).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from penstock.providers.sandbox.h264 import CONSTRAINTS, FRAMES_PER_S, LEVEL, PROFILE

TICKS_PER_FRAME = 512
TICKS_PER_S = FRAMES_PER_S * TICKS_PER_FRAME
MATRIX = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)


def file(frames: Sequence[bytes], sps: bytes, pps: bytes, width: int, height: int, note: str) -> bytes:
    """An MP4 file of NAL units, one a frame, the first a whole picture; `note` is its comment."""
    samples = [struct.pack(">I", len(frame)) + frame for frame in frames]
    head = box("ftyp", b"isom", u32(0x200), b"isomiso2avc1mp41")
    sizes = [len(sample) for sample in samples]
    start = len(head) + len(movie(sizes, 0, sps, pps, width, height, note)) + 8
    return head + movie(sizes, start, sps, pps, width, height, note) + box("mdat", *samples)


def movie(sizes: Sequence[int], start: int, sps: bytes, pps: bytes, width: int, height: int, note: str) -> bytes:
    length = len(sizes) * TICKS_PER_FRAME
    text = note.encode()
    return box(
        "moov",
        full("mvhd", 0, u32(0, 0, TICKS_PER_S, length, 0x10000), b"\1\0", bytes(10), MATRIX, bytes(24), u32(2)),
        box(
            "trak",
            full("tkhd", 3, u32(0, 0, 1, 0, length), bytes(16), MATRIX, u32(width << 16, height << 16)),
            box(
                "mdia",
                full("mdhd", 0, u32(0, 0, TICKS_PER_S, length), b"\x55\xc4\0\0"),  # language undetermined
                full("hdlr", 0, u32(0), b"vide", bytes(12), b"penstock\0"),
                box(
                    "minf",
                    full("vmhd", 1, bytes(8)),
                    box("dinf", full("dref", 0, u32(1), full("url ", 1))),
                    table(sizes, start, sps, pps, width, height),
                ),
            ),
        ),
        box("udta", box("\xa9cmt", struct.pack(">HH", len(text), 0x55C4), text)),
    )


def table(sizes: Sequence[int], start: int, sps: bytes, pps: bytes, width: int, height: int) -> bytes:
    """Where each frame is and how long it lasts: all in one chunk."""
    count = len(sizes)
    return box(
        "stbl",
        full("stsd", 0, u32(1), avc1(sps, pps, width, height)),
        full("stts", 0, u32(1, count, TICKS_PER_FRAME)),
        full("stss", 0, u32(1, 1)),
        full("stsc", 0, u32(1, 1, count, 1)),
        full("stsz", 0, u32(0, count, *sizes)),
        full("stco", 0, u32(1, start)),
    )


def avc1(sps: bytes, pps: bytes, width: int, height: int) -> bytes:
    setup = bytes([1, PROFILE, CONSTRAINTS, LEVEL, 0xFF, 0xE1])  # lengths have four bytes, one sequence parameter set
    sets = struct.pack(">H", len(sps)) + sps + b"\1" + struct.pack(">H", len(pps)) + pps
    return box(
        "avc1",
        struct.pack(">6xH16xHH", 1, width, height),
        u32(0x480000, 0x480000, 0),  # 72 dots an inch
        struct.pack(">H32xHh", 1, 24, -1),
        box("avcC", setup, sets),
    )


def box(kind: str, *parts: bytes) -> bytes:
    return u32(8 + sum(map(len, parts))) + kind.encode("latin-1") + b"".join(parts)


def full(kind: str, flags: int, *parts: bytes) -> bytes:
    return box(kind, u32(flags), *parts)


def u32(*numbers: int) -> bytes:
    return struct.pack(f">{len(numbers)}I", *numbers)
