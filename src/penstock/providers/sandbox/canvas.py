"""The brush of the sandbox's pictures: gradients, glows, ridges, and small figures on one Pillow image.

Everything is measured in shares of the canvas (`x` 0–1 from left to right, `y` 0–1 downwards) or in `u`, its shorter
side in pixels, so that a scene looks alike at 16:9, 1:1, and 9:16.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache
from random import Random

from PIL import Image, ImageDraw

from penstock.providers.sandbox.palettes import Look, Palette, Rgb, mixed

Point = tuple[float, float]


class Canvas:
    """An image under work, with the chance and the colours it is painted by."""

    def __init__(self, width: int, height: int, look: Look, chance: Random) -> None:
        self.w, self.h, self.u = width, height, min(width, height)
        self.look, self.chance = look, chance
        self.image = gradient(width, height, self.palette.sky)
        # An opaque fill is fifteen times as fast as one that blends, so there is a pen for each.
        self.pen = ImageDraw.Draw(self.image)
        self.wash = ImageDraw.Draw(self.image, "RGBA")

    @property
    def palette(self) -> Palette:
        return self.look.palette

    def land(self, depth: float) -> Rgb:
        """The colour of a layer: 0 is the farthest, 1 the nearest."""
        return mixed(self.palette.far, self.palette.near, depth)

    def disc(self, x: float, y: float, radius: float, fill: Rgb, alpha: int = 255) -> None:
        """A disc about (x, y) in pixels."""
        pen = self.pen if alpha == 255 else self.wash
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(*fill, alpha))

    def ring(self, x: float, y: float, radius: float, fill: Rgb, alpha: int, thick: float) -> None:
        self.wash.ellipse((x - radius, y - radius, x + radius, y + radius), outline=(*fill, alpha), width=round(thick))

    def glow(self, x: float, y: float, radius: float, colour: Rgb, strength: float = 0.6) -> None:
        """Light that fades outwards from (x, y) in pixels."""
        left, top, right, bottom = x - radius, y - radius, x + radius, y + radius
        box = max(0, round(left)), max(0, round(top)), min(self.w, round(right)), min(self.h, round(bottom))
        size = box[2] - box[0], box[3] - box[1]
        if min(size) > 0:
            # Only what is on the canvas is scaled up: a great glow is mostly beyond it.
            scale = 128 / radius
            near, far = (
                ((box[0] - left) * scale, (box[1] - top) * scale),
                ((box[2] - left) * scale, (box[3] - top) * scale),
            )
            part = max(0.0, near[0]), max(0.0, near[1]), min(256.0, far[0]), min(256.0, far[1])
            self.image.paste(colour, box, halo(round(255 * strength)).resize(size, Image.Resampling.BILINEAR, box=part))

    def band(self, top: float, bottom: float, stops: Sequence[Rgb]) -> None:
        """A gradient across the whole width, between two heights in pixels."""
        first, last = round(top), round(bottom)
        if last > first:
            self.image.paste(gradient(self.w, last - first, stops), (0, first))

    def veil(self, top: float, bottom: float, colour: Rgb, strength: float) -> None:
        """Mist: thicker downwards from `top` to `bottom`, both in pixels."""
        first, last = round(top), round(bottom)
        if last > first:
            slope = Image.linear_gradient("L").point([round(v * strength) for v in range(256)])
            column = slope.crop((0, 0, 1, 256)).resize((1, last - first), Image.Resampling.BILINEAR)
            self.image.paste(colour, (0, first), column.resize((self.w, last - first), Image.Resampling.NEAREST))

    def below(self, crest: Iterable[Point], fill: Rgb, alpha: int = 255) -> None:
        """Fill everything under a line of points that runs from the left edge to the right one."""
        pen = self.pen if alpha == 255 else self.wash
        pen.polygon([*crest, (self.w, self.h), (0, self.h)], fill=(*fill, alpha))

    def rolling(self, base: float, swing: float, waves: float = 2.0, steps: int = 64) -> list[Point]:
        """A smooth crest about the height `base` (share), with swings of `swing` (share); three sines added up."""
        parts = [
            (share, waves * factor * self.chance.uniform(0.7, 1.3), self.chance.uniform(0, math.tau))
            for share, factor in ((0.6, 1.0), (0.28, 2.1), (0.12, 4.3))
        ]
        wide, swing = max(1.0, self.w / self.h), swing * min(1.0, 1.3 * self.u / self.h)  # tall pictures: no spikes
        return [
            (
                self.w * i / steps,
                self.h * (base - swing * sum(a * math.sin(math.tau * n * wide * i / steps + p) for a, n, p in parts)),
            )
            for i in range(steps + 1)
        ]

    def spots(self, count: int, top: float, bottom: float) -> list[Point]:
        """Chance places between two heights (shares), in pixels."""
        return [(self.chance.random() * self.w, self.chance.uniform(top, bottom) * self.h) for _ in range(count)]


def height_at(crest: Sequence[Point], x: float) -> float:
    """How high a crest is at `x`, in pixels; its points are evenly spaced."""
    step = crest[1][0] - crest[0][0]
    index = min(max(int(x / step), 0), len(crest) - 2)
    (_, left), (_, right) = crest[index], crest[index + 1]
    return left + (right - left) * (x / step - index)


def gradient(width: int, height: int, stops: Sequence[Rgb]) -> Image.Image:
    """Colours from the top to the bottom, smoothly."""
    column = Image.new("RGB", (1, len(stops)))
    column.putdata(list(stops))
    # From the middle of the first stop to the middle of the last: a resize would hold the end colours for half a stop.
    box = (0, 0.5, 1, len(stops) - 0.5)
    tall = column.resize((1, height), Image.Resampling.BILINEAR, box=box)
    return tall.resize((width, height), Image.Resampling.NEAREST)


@lru_cache(maxsize=64)
def halo(strength: int) -> Image.Image:
    """A mask of 256×256 that is `strength` (0–255) in its middle and fades to nothing at its rim."""
    # Pillow's gradient reaches 255 in the corners, so 180 at the middle of each side.
    return Image.radial_gradient("L").point([round(strength * max(0.0, 1 - v / 180) ** 2) for v in range(256)])
