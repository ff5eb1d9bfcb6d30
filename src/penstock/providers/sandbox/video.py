"""The sandbox's films: a camera's slow pan over the prompt's picture, with a bird on the wing. Pure functions.

The picture is coded once; after that the decoder moves it along, and only a strip beyond the right edge, the bird, and
what the bird uncovers are sent. Measured on one core: 10 s of 16:9 (640×360) in 0.3 s and 1.2 MB.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from PIL import Image, ImageDraw

from penstock.providers.sandbox import h264, mp4
from penstock.providers.sandbox.canvas import halo
from penstock.providers.sandbox.palettes import Look, look, mixed
from penstock.providers.sandbox.pictures import MARK, NOTE, fitting, lettering, ratio_of, writable
from penstock.providers.sandbox.scenes import scene

SHORTEST_S, LONGEST_S = 1.0, 20.0
PIXELS = 640 * 360
STEP = 2  # pixels a move; even, for chroma
HIDDEN = 32  # columns beyond the right edge, filled again whenever the pan has used them up
CAPTION = 16  # the least height of the still strip at the foot
INK = (14, 14, 22)
BIRD = (28, 20)
PAINTED_PIXELS = 1_500_000

Box = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Take:
    """One film: all that its camera will see, in which look, how many frames, and a move every how many."""

    pan: Image.Image
    look: Look
    shape: h264.Shape
    count: int
    every: int

    def offset(self, number: int) -> int:
        """How far the camera has come in a frame, in pixels."""
        return STEP * (number // self.every)


def film(prompt: str, seed: int, aspect_ratio: str, seconds: float) -> bytes:
    """An MP4 of H.264 in the asked shape with the area of 640×360, 24 frames a second; the same facts, the same bytes.

    `seconds` is held within 1–20. Raises InvalidInput where `aspect_ratio` is none.
    """
    shape = shape_for(aspect_ratio)
    count = round(min(max(seconds, SHORTEST_S), LONGEST_S) * h264.FRAMES_PER_S)
    take = taken(prompt, seed, shape, count)
    frames = [h264.whole(cut(opening(take.pan, prompt, shape)))]
    frames += [following(take, number) for number in range(1, count)]
    return mp4.file(frames, h264.sequence(shape), h264.picture(), shape.width, shape.height, NOTE)


def shape_for(aspect_ratio: str) -> h264.Shape:
    """Even sides that come near to the ratio, between 3:1 and 1:3 (so that the bird and the caption have room)."""
    ratio = min(max(ratio_of(aspect_ratio), 1 / 3), 3.0)
    width = round(math.sqrt(PIXELS * ratio) / 2) * 2
    height = round(width / ratio / 2) * 2
    return h264.Shape(-(-width // 16) + HIDDEN // 16, -(-height // 16), width, height)


def taken(prompt: str, seed: int, shape: h264.Shape, count: int) -> Take:
    """Paint what the camera will see; a long film pans at half the pace, so that its subject stays in view."""
    every = 1 if STEP * count <= 0.6 * shape.width else 2
    width, height = shape.across * 16 + STEP * count // every, still_from(shape)
    scale = min(2.0, math.sqrt(PAINTED_PIXELS / (width * height)))
    seen = look(prompt, seed)
    image = scene(seen, f"{prompt}/{seed}/film", round(width * scale), round(height * scale))
    kind = Image.Resampling.BOX if scale >= 1 else Image.Resampling.BICUBIC
    return Take(image.resize((width, height), kind), seen, shape, count, every)


def still_from(shape: h264.Shape) -> int:
    """The height where the still caption begins, in pixels; a whole number of macroblocks."""
    return (shape.height - CAPTION) // 16 * 16


def opening(pan: Image.Image, prompt: str, shape: h264.Shape) -> Image.Image:
    """The first picture: the pan's start, and the caption below it."""
    image = Image.new("RGB", (shape.across * 16, shape.down * 16), INK)
    image.paste(pan, (0, 0))
    pen, font, y = ImageDraw.Draw(image), lettering(11), (still_from(shape) + shape.height) // 2
    pen.rectangle((0, still_from(shape), image.width, image.height), fill=INK)
    words = fitting(writable(prompt), font, shape.width - 36 - font.getlength(MARK))
    pen.text((10, y), words, font=font, anchor="lm", fill=(225, 225, 232))
    pen.text((shape.width - 10, y), MARK, font=font, anchor="rm", fill=(165, 165, 178))
    return image


def following(take: Take, number: int) -> bytes:
    """The picture `number`: the one before moved on, and fresh samples for the strip and the bird."""
    across, still = take.shape.across, still_from(take.shape) // 16
    offset = take.offset(number)
    move = offset - take.offset(number - 1)
    vectors = [move] * (across * still) + [0] * (across * (take.shape.down - still))
    fresh: dict[int, bytes] = {}
    if move and offset % HIDDEN == 0:
        strip = (across * 16 - HIDDEN, 0, across * 16, still * 16)
        fresh |= tiles(take.pan.crop(shifted(strip, offset)), strip, across)
    return h264.moved(number, across, vectors, fresh | around_bird(take, number, move))


# ── the bird ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def around_bird(take: Take, number: int, move: int) -> dict[int, bytes]:
    """Samples of where the bird is, and of where the move has taken the bird of the picture before."""
    now, before = flight(take, number), shifted(flight(take, number - 1), -move)
    left, top = min(now[0], before[0]) // 16 * 16, min(now[1], before[1]) // 16 * 16
    right, bottom = -(-max(now[2], before[2]) // 16) * 16, -(-max(now[3], before[3]) // 16) * 16
    area = left, top, right, bottom
    part, bird = take.pan.crop(shifted(area, take.offset(number))), wings(take.look, number)
    part.paste(bird, (now[0] - left, now[1] - top), bird)
    return tiles(part, area, take.shape.across)


def flight(take: Take, number: int) -> Box:
    """Where the bird is in a picture, in pixels: from the left to the right in a gentle wave. The first has none."""
    share = number / take.count
    x = round(take.shape.width * (0.12 + 0.62 * share))
    y = round(still_from(take.shape) * (0.2 + 0.045 * math.sin(2.2 * math.tau * share)))
    return x, y, x + BIRD[0], y + BIRD[1]


def wings(seen: Look, number: int) -> Image.Image:
    """The bird with its wings up or down; by night it is a spark that glows and dims."""
    beat = math.sin(math.tau * number / 14)
    return spark(seen, beat) if seen.palette.dark else wingbeat(seen, beat)


def wingbeat(seen: Look, beat: float) -> Image.Image:
    width, height = BIRD
    big, ink = Image.new("RGBA", (4 * width, 4 * height), (*seen.palette.near, 0)), (*seen.palette.near, 255)
    pen, x, y = ImageDraw.Draw(big), 2 * width, 2 * height
    for side in (-1, 1):
        elbow = (x + side * width * 0.9, y - 4 - beat * height * 0.95)
        tip = (x + side * width * 1.75, y - beat * height * 0.35)
        pen.line([(x, y), elbow, tip], fill=ink, width=7, joint="curve")
    pen.ellipse((x - 6, y - 5, x + 14, y + 5), fill=ink)
    return big.reduce(4)


def spark(seen: Look, beat: float) -> Image.Image:
    width, height = BIRD
    light = halo(round(190 + 60 * beat)).resize((height, height))
    image = Image.new("RGBA", BIRD, (*mixed(seen.palette.glow, (255, 255, 255), 0.4), 0))
    image.putalpha(light.crop(((height - width) // 2, 0, (height + width) // 2, height)))
    return image


# ── samples ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def shifted(box: Box, pixels: int) -> Box:
    left, top, right, bottom = box
    return left + pixels, top, right + pixels, bottom


def tiles(part: Image.Image, area: Box, across: int) -> dict[int, bytes]:
    """The macroblocks of a part of the picture, by their place in it."""
    left, top, right, bottom = (edge // 16 for edge in area)
    places = [row * across + column for row in range(top, bottom) for column in range(left, right)]
    return dict(zip(places, cut(part), strict=True))


def cut(image: Image.Image) -> list[bytes]:
    """Macroblocks row by row, 384 samples each: 256 of luma and twice 64 of chroma, in the limited range of BT.601."""
    luma, blue, red = image.convert("YCbCr").split()
    luma, blue, red = luma.point(LUMA), blue.reduce(2).point(CHROMA), red.reduce(2).point(CHROMA)
    out = []
    for y in range(0, image.height, 16):
        for x in range(0, image.width, 16):
            half = (x // 2, y // 2, x // 2 + 8, y // 2 + 8)
            parts = luma.crop((x, y, x + 16, y + 16)), blue.crop(half), red.crop(half)
            out.append(b"".join(part.tobytes() for part in parts))
    return out


LUMA = [round(16 + v * 219 / 255) for v in range(256)]
CHROMA = [round(16 + v * 224 / 255) for v in range(256)]
