"""A very small H.264 writer: Constrained Baseline, whole samples (I_PCM) where a picture changes, motion elsewhere.

Source: ITU-T H.264 (08/2021), 7.3 (syntax), 8.4.1 (prediction of motion vectors), annex A and E.
A macroblock that only moves with its neighbours costs no bit at all, so a camera's slow pan is nearly free.
Vectors here are whole luma pixels to the right, and even, so that chroma moves by whole samples, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

FRAMES_PER_S = 24
# Level 3: up to 1,620 macroblocks a picture and 40,500 a second.
PROFILE, CONSTRAINTS, LEVEL = 66, 0xC0, 30
MOST_BLOCKS = 1620
I_PCM, I_PCM_IN_P = 25, 30
FRAME_NUM_BITS = 8


class Bits:
    """A string of bits under way."""

    def __init__(self) -> None:
        self.bytes, self.rest, self.count = bytearray(), 0, 0

    def put(self, value: int, count: int) -> None:
        """Append `count` bits, the highest first."""
        self.rest, self.count = self.rest << count | value, self.count + count
        whole, self.count = divmod(self.count, 8)
        if whole:
            self.bytes += (self.rest >> self.count).to_bytes(whole)
            self.rest &= (1 << self.count) - 1

    def ue(self, value: int) -> None:
        """An Exp-Golomb number from 0 (9.1)."""
        self.put(value + 1, 2 * (value + 1).bit_length() - 1)

    def se(self, value: int) -> None:
        """A signed Exp-Golomb number: 0, 1, -1, 2, -2, … (9.1.1)."""
        self.ue(2 * value - 1 if value > 0 else -2 * value)

    def samples(self, block: bytes) -> None:
        """Whole bytes, after zeros up to the next byte's start."""
        self.put(0, -self.count % 8)
        self.bytes += block

    def closed(self) -> bytes:
        """The bytes, ended by a 1 and zeros (7.3.2.11)."""
        self.put(1, 1)
        self.put(0, -self.count % 8)
        return bytes(self.bytes)


@dataclass(frozen=True, slots=True)
class Shape:
    """A picture's coded size in macroblocks of 16×16, and what of it is shown, in pixels (even)."""

    across: int
    down: int
    width: int
    height: int

    def __post_init__(self) -> None:
        if self.across * self.down > MOST_BLOCKS:
            raise ValueError(f"{self.across}×{self.down} macroblocks are more than level 3 allows")


def unit(ref: int, kind: int, payload: bytes) -> bytes:
    """A NAL unit: its head, and the payload with its start codes broken up (7.4.1)."""
    if b"\0\0" in payload:
        payload = escaped(payload)
    return bytes([ref << 5 | kind]) + payload


def escaped(payload: bytes) -> bytes:
    out, zeros = bytearray(), 0
    for byte in payload:
        if zeros >= 2 and byte <= 3:
            out.append(3)
            zeros = 0
        out.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return bytes(out)


def sequence(shape: Shape) -> bytes:
    """The sequence parameter set (7.3.2.1.1): order of output is order of coding, one picture to refer to."""
    bits = Bits()
    for byte in (PROFILE, CONSTRAINTS, LEVEL):
        bits.put(byte, 8)
    for number in (0, FRAME_NUM_BITS - 4, 2, 1):  # id, log2_max_frame_num - 4, pic_order_cnt_type, references
        bits.ue(number)
    bits.put(0, 1)  # no gaps in frame_num
    bits.ue(shape.across - 1)
    bits.ue(shape.down - 1)
    bits.put(0b111, 3)  # frames only, direct_8x8_inference, cropped
    for crop in (0, (shape.across * 16 - shape.width) // 2, 0, (shape.down * 16 - shape.height) // 2):
        bits.ue(crop)
    bits.put(1, 1)
    usability(bits)
    return unit(3, 7, bits.closed())


def usability(bits: Bits) -> None:
    """Annex E: colours as in BT.601 with limited range, a fixed rate, nothing reordered."""
    bits.put(0b00, 2)  # no aspect ratio (square), no overscan
    bits.put(0b1_101_0_1, 6)  # signal type: unspecified format, limited range, colours follow
    for byte in (6, 6, 6):
        bits.put(byte, 8)
    bits.put(0b0_1, 2)  # no chroma location; timing follows
    bits.put(1, 32)
    bits.put(2 * FRAMES_PER_S, 32)
    bits.put(
        0b1_00_0_1_1, 6
    )  # fixed rate, no HRD (2), no pic_struct, restrictions follow: vectors may leave the picture
    for number in (0, 0, 16, 16, 0, 1):
        bits.ue(number)


def picture() -> bytes:
    """The picture parameter set (7.3.2.2): CAVLC, and each slice says how it deblocks."""
    bits = Bits()
    bits.ue(0)
    bits.ue(0)
    bits.put(0b00, 2)
    for _ in range(3):
        bits.ue(0)
    bits.put(0b000, 3)  # no weights
    for _ in range(3):
        bits.se(0)
    bits.put(0b100, 3)
    return unit(3, 8, bits.closed())


def whole(blocks: Sequence[bytes]) -> bytes:
    """A picture that stands alone (IDR): every macroblock as its 384 samples, none of which may be 0."""
    bits = Bits()
    for number in (0, 7, 0):  # first macroblock, all slices are I, parameter set
        bits.ue(number)
    bits.put(0, FRAME_NUM_BITS)
    bits.ue(0)
    bits.put(0b00, 2)
    finish_head(bits)
    for block in blocks:
        bits.ue(I_PCM)
        bits.samples(block)
    return unit(3, 5, bits.closed())


def moved(number: int, across: int, vectors: Sequence[int], fresh: Mapping[int, bytes]) -> bytes:
    """A picture made of the one before: block by block from `vectors[i]` pixels further right, but `fresh` as samples.

    `number` counts pictures since the last whole one.
    """
    bits = Bits()
    for value in (0, 5, 0):  # first macroblock, all slices are P, parameter set
        bits.ue(value)
    bits.put(number % (1 << FRAME_NUM_BITS), FRAME_NUM_BITS)
    bits.put(0b000, 3)  # one reference, in its order; sliding window
    finish_head(bits)
    motion(bits, across, [None if i in fresh else 4 * vector for i, vector in enumerate(vectors)], fresh)
    return unit(2, 1, bits.closed())


def finish_head(bits: Bits) -> None:
    bits.se(0)  # quantiser as in the parameter set
    bits.ue(1)  # no deblocking: samples stay as they were sent


def motion(bits: Bits, across: int, grid: Sequence[int | None], fresh: Mapping[int, bytes]) -> None:
    """Macroblocks of a P slice. `grid` has each one's horizontal vector in quarters of a pixel, None for samples."""
    skipped = 0
    for index, vector in enumerate(grid):
        if vector is not None and vector == skip_vector(grid, index, across):
            skipped += 1
            continue
        bits.ue(skipped)
        skipped = 0
        if vector is None:
            bits.ue(I_PCM_IN_P)
            bits.samples(fresh[index])
        else:
            bits.ue(0)  # P_L0_16x16
            bits.se(vector - predicted(grid, index, across))
            bits.se(0)
            bits.ue(0)  # nothing is left over
    if skipped:
        bits.ue(skipped)


def skip_vector(grid: Sequence[int | None], index: int, across: int) -> int:
    """The vector of a macroblock that is passed over (8.4.1.1)."""
    if index < across or index % across == 0 or grid[index - 1] == 0 or grid[index - across] == 0:
        return 0
    return predicted(grid, index, across)


def predicted(grid: Sequence[int | None], index: int, across: int) -> int:
    """What the neighbours left, above, and above right (else above left) make expect (8.4.1.3)."""
    column = index % across
    left = grid[index - 1] if column else None
    if index < across:
        return left or 0
    above = grid[index - across]
    corner = grid[index - across + 1] if column < across - 1 else (grid[index - across - 1] if column else None)
    known = [vector for vector in (left, above, corner) if vector is not None]
    return known[0] if len(known) == 1 else sorted((left or 0, above or 0, corner or 0))[1]
