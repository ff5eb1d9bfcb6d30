"""The sandbox's figures: motifs with something in the middle, and the poster of circles."""

from __future__ import annotations

import math
from itertools import pairwise

from penstock.providers.sandbox.canvas import Canvas, height_at
from penstock.providers.sandbox.palettes import Rgb, mixed
from penstock.providers.sandbox.skies import birds, cloud, sun


def flowers(c: Canvas) -> None:
    x = c.chance.uniform(0.2, 0.8)
    sun(c, x, 0.2, 0.085)
    cloud(c, (x + 0.5) % 1, 0.18, 0.09)
    for i in range(3):
        c.below(c.rolling(0.5 + 0.1 * i, 0.04, 0.9), c.land(0.15 + 0.22 * i))
    c.veil(c.h * 0.5, c.h * 0.72, c.palette.sky[2], 0.25)
    for row in range(5):
        size = 0.018 + 0.021 * row
        count = round(c.w / (c.u * size * 4.6)) + 1
        for i in range(count):
            px = c.w * (i + c.chance.uniform(0.1, 0.9)) / count
            flower(c, px, c.h * (0.62 + 0.075 * row + c.chance.uniform(-0.03, 0.03)), c.u * size, row / 4)


def flower(c: Canvas, x: float, y: float, r: float, depth: float) -> None:
    stem = mixed(c.land(0.5), c.palette.near, 0.4 + 0.6 * depth)
    lean = c.chance.uniform(-0.6, 0.6) * r
    c.pen.line(
        [(x, y), (x + lean * 0.4, y + r * 2.5), (x + lean, c.h)],
        fill=stem,
        width=max(1, round(r * 0.13)),
        joint="curve",
    )
    leaf(c, x + lean * 0.4, y + r * 2.6, r * 1.5, c.chance.choice((0.6, 2.5)), stem)
    petal, heart = c.chance.choice(c.palette.accents), mixed(c.palette.accents[1], c.palette.near, 0.15)
    petal = mixed(petal, c.palette.sky[2], 0.3 * (1 - depth))
    count, turn = c.chance.choice((5, 6, 8)), c.chance.random()
    for i in range(count):
        leaf(c, x, y, r * 1.12, math.tau * (i + turn) / count, mixed(petal, (255, 255, 255), 0.16 * (i % 2)), 0.42)
    c.disc(x, y, r * 0.32, heart if petal != heart else c.palette.accents[3])


def leaf(c: Canvas, x: float, y: float, length: float, angle: float, fill: Rgb, plump: float = 0.2) -> None:
    """An almond from (x, y) outwards; `plump` is half its width by its length."""
    cos, sin = math.cos(angle), math.sin(angle)
    side = [(0.0, 0.0), (0.2, 0.55), (0.5, 0.95), (0.75, 0.9), (0.93, 0.5), (1.0, 0.0)]
    shape = [*side, *[(a, -b) for a, b in reversed(side[1:-1])]]
    points = [(x + length * (a * cos - b * plump * sin), y + length * (a * sin + b * plump * cos)) for a, b in shape]
    c.pen.polygon(points, fill=fill)


def robot(c: Canvas) -> None:
    discs_behind(c)
    x, y, s = c.w / 2, c.h * 0.54, c.u * 0.2
    one, two, three, four = c.palette.accents
    shell, shade = mixed((245, 247, 250), c.palette.sky[1], 0.12), mixed((245, 247, 250), c.palette.near, 0.3)
    dark, round_ = c.palette.near, c.pen.rounded_rectangle
    c.wash.ellipse((x - s * 1.2, y + s * 1.5, x + s * 1.2, y + s * 1.75), fill=(*dark, 70))
    for side in (-1, 1):
        round_(sorted_box(x + side * s * 0.2, y + s * 1.0, x + side * s * 0.5, y + s * 1.62), s * 0.1, fill=shade)
        c.pen.line(
            [
                (x + side * s * 0.75, y + s * 0.35),
                (x + side * s * 1.08, y + s * 0.75),
                (x + side * s * 1.12, y + s * (1.1 - 1.05 * (side > 0))),
            ],
            fill=shade,
            width=round(s * 0.17),
            joint="curve",
        )
        c.disc(x + side * s * 1.12, y + s * (1.1 - 1.05 * (side > 0)), s * 0.15, two)
        round_(sorted_box(x + side * s * 0.88, y - s * 0.75, x + side * s * 1.06, y - s * 0.3), s * 0.08, fill=two)
    round_((x - s * 0.72, y + s * 0.1, x + s * 0.72, y + s * 1.2), s * 0.28, fill=shell)
    round_((x - s * 0.4, y + s * 0.4, x + s * 0.4, y + s * 0.85), s * 0.1, fill=dark)
    c.pen.line(
        [
            (x - s * 0.3, y + s * 0.63),
            (x - s * 0.12, y + s * 0.63),
            (x - s * 0.03, y + s * 0.48),
            (x + s * 0.08, y + s * 0.77),
            (x + s * 0.15, y + s * 0.63),
            (x + s * 0.3, y + s * 0.63),
        ],
        fill=three,
        width=max(1, round(s * 0.04)),
        joint="curve",
    )
    c.pen.line([(x, y - s), (x, y - s * 1.4)], fill=shade, width=max(1, round(s * 0.07)))
    c.glow(x, y - s * 1.45, s * 0.4, one, 0.8)
    c.disc(x, y - s * 1.45, s * 0.12, one)
    round_((x - s * 0.92, y - s * 1.05, x + s * 0.92, y + s * 0.02), s * 0.34, fill=shell)
    round_((x - s * 0.72, y - s * 0.86, x + s * 0.72, y - s * 0.18), s * 0.26, fill=dark)
    for side in (-1, 1):
        c.disc(x + side * s * 0.33, y - s * 0.54, s * 0.15, three)
        c.disc(x + side * s * 0.33 + s * 0.05, y - s * 0.59, s * 0.05, (255, 255, 255))
    c.pen.arc(
        (x - s * 0.14, y - s * 0.46, x + s * 0.14, y - s * 0.26), 20, 160, fill=four, width=max(1, round(s * 0.045))
    )


def sorted_box(x0: float, y0: float, x1: float, y1: float) -> tuple[float, float, float, float]:
    return min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)


def discs_behind(c: Canvas) -> None:
    """Rings of light behind a figure, and the floor it stands on."""
    c.glow(c.w / 2, c.h * 0.5, c.u * 0.75, c.palette.glow, 0.7)
    for i in range(3):
        c.disc(
            c.w / 2, c.h * 0.5, c.u * (0.46 - 0.07 * i), mixed(c.palette.sky[1], c.palette.glow, 0.25 + 0.2 * i), 120
        )
    for _ in range(14):
        x, y = c.chance.random() * c.w, c.chance.uniform(0.05, 0.7) * c.h
        c.disc(x, y, c.u * c.chance.uniform(0.005, 0.018), c.chance.choice(c.palette.accents), 170)
    floor = c.h * 0.54 + c.u * 0.28
    c.below([(0, floor), (c.w, floor)], mixed(c.palette.far, c.palette.sky[2], 0.35))


def cat(c: Canvas) -> None:
    """A cat on a hill, before a great sun."""
    x = c.chance.uniform(0.42, 0.58)
    px, _ = sun(c, x, 0.5, 0.27)
    birds(c, (x + 0.35) % 0.8 + 0.1, 0.2, 4)
    for i in range(3):
        c.below(c.rolling(0.66 + 0.05 * i, 0.045, 0.9), c.land(0.15 + 0.2 * i))
    ground = c.rolling(0.83, 0.02, 0.6)
    c.below(ground, c.palette.near)
    sitting(c, px, height_at(ground, px) + c.u * 0.015, c.u * 0.4)


def sitting(c: Canvas, x: float, y: float, tall: float) -> None:
    """A cat seen from behind, sitting at (x, y) in pixels."""
    fur, t = c.palette.near, tall
    c.pen.ellipse((x - t * 0.25, y - t * 0.5, x + t * 0.25, y + t * 0.04), fill=fur)
    c.pen.polygon(
        [
            (x - t * 0.235, y - t * 0.3),
            (x - t * 0.12, y - t * 0.68),
            (x + t * 0.12, y - t * 0.68),
            (x + t * 0.235, y - t * 0.3),
        ],
        fill=fur,
    )
    c.pen.ellipse((x - t * 0.19, y - t * 0.94, x + t * 0.19, y - t * 0.6), fill=fur)
    for side in (-1, 1):
        c.pen.polygon(
            [
                (x + side * t * 0.185, y - t * 0.8),
                (x + side * t * 0.175, y - t * 1.06),
                (x + side * t * 0.03, y - t * 0.92),
            ],
            fill=fur,
        )
    tail = [(0.1, -0.04), (0.26, -0.02), (0.4, -0.06), (0.47, -0.17), (0.44, -0.3), (0.37, -0.37)]
    for (ax, ay), (bx, by) in pairwise(tail):
        for i in range(7):
            f = i / 6
            c.disc(x + t * (ax + (bx - ax) * f), y + t * (ay + (by - ay) * f), t * 0.036, fur)


def discs(c: Canvas) -> None:
    """Circles, rings, and arcs that overlap, like a poster."""
    paper = mixed(c.palette.sky[2], (255, 255, 255), 0.45)
    c.band(0, c.h, [paper, mixed(paper, c.palette.sky[2], 0.6)])
    for i in range(8):
        x, y = c.chance.uniform(0.1, 0.9) * c.w, c.chance.uniform(0.1, 0.85) * c.h
        radius, fill = c.u * c.chance.uniform(0.07, 0.3) * (1 - 0.05 * i), c.palette.accents[i % 4]
        if i % 4 == 3:
            for turn in range(4):
                c.ring(x, y, radius * (1 - 0.2 * turn), c.palette.near, 150, max(1, c.u * 0.003))
        else:
            c.disc(x, y, radius, mixed(fill, c.palette.near, 0.3) if fill == (255, 255, 255) else fill, 205)
            if i % 3 == 0:
                turn = c.chance.randrange(360)
                box = (x - radius, y - radius, x + radius, y + radius)
                c.wash.pieslice(box, turn, turn + 180, fill=(*c.palette.near, 205))
    for i in range(5):
        y = c.h * (0.82 + 0.016 * i)
        c.wash.line(
            [(c.w * 0.08, y), (c.w * c.chance.uniform(0.4, 0.92), y)],
            fill=(*c.palette.near, 130),
            width=max(1, round(c.u * 0.003)),
        )
