"""The sandbox's landscapes: motifs that fill a picture from edge to edge, at any width."""

from __future__ import annotations

from penstock.providers.sandbox.canvas import Canvas, Point, height_at
from penstock.providers.sandbox.palettes import Rgb, mixed
from penstock.providers.sandbox.skies import balloon, birds, cloud, stars, sun


def hills(c: Canvas) -> None:
    x = c.chance.uniform(0.25, 0.75)
    sun(c, x, c.chance.uniform(0.36, 0.46), 0.1)
    cloud(c, (x + 0.45) % 1, 0.2, 0.085)
    layers = 6
    for i in range(layers):
        depth = i / (layers - 1)
        crest = c.rolling(0.54 + 0.085 * i, 0.05 + 0.012 * i, 0.9 + 0.2 * i)
        c.below(crest, c.land(depth))
        c.wash.line(crest, fill=(*mixed(c.land(depth), c.palette.glow, 0.5), 90), width=max(1, round(c.u * 0.0022)))
        if i < 3:
            c.veil(c.h * (0.6 + 0.085 * i), c.h * (0.74 + 0.085 * i), c.palette.sky[2], 0.35)
    if "balloon" in c.look.props:
        balloon(c, 0.3 if x > 0.5 else 0.7, 0.27, 0.1)
        balloon(c, 0.52, 0.4, 0.035)
    else:
        birds(c, (x + 0.3) % 0.8 + 0.1, 0.3)


def sea(c: Canvas) -> None:
    horizon, x = 0.58, c.chance.uniform(0.3, 0.7)
    px, _ = sun(c, x, horizon - 0.1, 0.085)
    cloud(c, (x + 0.4) % 1, 0.2, 0.1, 90)
    cloud(c, (x + 0.62) % 1, 0.31, 0.06, 70)
    island(c, (x + 0.5) % 1, horizon)
    c.band(c.h * horizon, c.h, [mixed(c.palette.sky[2], c.palette.far, 0.55), c.land(0.45), c.land(0.9)])
    glitter(c, px, horizon)
    for i in range(4):
        crest = c.rolling(0.8 + 0.055 * i, 0.008 + 0.003 * i, 2.4 - 0.3 * i, 96)
        c.below(crest, c.land(0.5 + 0.14 * i), 105)
    if "boat" in c.look.props or c.chance.random() < 0.6:
        boat(c, c.w * ((x + 0.27) % 0.8 + 0.1), c.h * 0.69, c.u * 0.085)
    birds(c, x, 0.25)


def island(c: Canvas, x: float, horizon: float) -> None:
    """A low hump of land on the horizon."""
    px, py, half = x * c.w, c.h * horizon, c.u * c.chance.uniform(0.25, 0.4)
    for shift, size in ((0.0, 1.0), (0.55, 0.6)):
        box = (px + half * (shift - size), py - half * 0.16 * size, px + half * (shift + size), py + half * 0.16 * size)
        c.pen.ellipse(box, fill=c.land(0.12 + 0.1 * shift))


def glitter(c: Canvas, x: float, horizon: float) -> None:
    """The sun's path on the water: short strokes which widen and part towards us."""
    for i in range(70):
        near = (i / 70) ** 1.3
        y = c.h * (horizon + 0.006 + (0.97 - horizon) * near)
        spread, length = c.u * (0.035 + 0.15 * near), c.u * c.chance.uniform(0.015, 0.05) * (0.7 + 2 * near)
        px, thick = x + c.chance.gauss(0, 0.5) * spread, max(1.0, c.u * (0.0012 + 0.003 * near))
        c.wash.ellipse(
            (px - length, y - thick, px + length, y + thick), fill=(*c.palette.glow, round(190 - 150 * near))
        )


def boat(c: Canvas, x: float, y: float, s: float) -> None:
    """A sailing boat, its waterline's middle in pixels; `s` is half its length."""
    hull, sail, jib = c.palette.near, mixed(c.palette.glow, (255, 255, 255), 0.5), c.palette.accents[1]
    for i in range(7):
        wide, py = s * (0.95 - 0.1 * i), y + s * (0.16 + 0.13 * i)
        c.wash.ellipse((x - wide, py, x + wide, py + s * 0.05), fill=(*sail, 95 - 12 * i))
    c.pen.line([(x, y - s * 0.1), (x, y - s * 2.1)], fill=hull, width=max(1, round(s * 0.05)))
    c.pen.polygon([(x + s * 0.06, y - s * 2.05), (x + s * 0.06, y - s * 0.3), (x + s * 0.95, y - s * 0.3)], fill=sail)
    c.pen.polygon([(x - s * 0.06, y - s * 1.8), (x - s * 0.06, y - s * 0.3), (x - s * 0.75, y - s * 0.3)], fill=jib)
    c.pen.polygon(
        [(x - s, y - s * 0.2), (x + s * 1.1, y - s * 0.2), (x + s * 0.72, y + s * 0.14), (x - s * 0.74, y + s * 0.14)],
        fill=hull,
    )


def mountains(c: Canvas) -> None:
    x = c.chance.uniform(0.2, 0.8)
    sun(c, x, 0.24, 0.075)
    cloud(c, (x + 0.5) % 1, 0.17, 0.08, 100)
    for i, (base, rise) in enumerate(((0.62, 0.2), (0.72, 0.3), (0.84, 0.24))):
        massif(c, base, rise, 0.15 + 0.25 * i, snowy=i < 2)
        c.veil(c.h * (base - 0.12), c.h * (base + 0.1), c.palette.sky[2], 0.5 - 0.08 * i)
    for i in range(3):
        crest = c.rolling(0.84 + 0.06 * i, 0.02, 1.5)
        grove(c, crest, c.land(0.68 + 0.16 * i), 0.045 + 0.022 * i, 1.5 - 0.25 * i)


def massif(c: Canvas, base: float, rise: float, depth: float, snowy: bool) -> None:
    """A chain of peaks from edge to edge, each with a side in the light, a side in the shade, and snow on its head."""
    lit = c.land(depth)
    shade = mixed(lit, c.palette.near, 0.28)
    snow = mixed((255, 255, 255), c.palette.sky[2], 0.25)
    width = c.u * rise * 1.5
    x = -width * c.chance.random()
    peaks = []
    while x < c.w + width:
        peaks.append((x, c.h * base - c.u * rise * c.chance.uniform(0.75, 1.7), width * c.chance.uniform(0.85, 1.3)))
        x += width * c.chance.uniform(0.6, 1.05)
    for px, py, half in sorted(peaks, key=lambda peak: peak[1]):
        foot = c.h * base + c.u * 0.25
        fold = px + half * 0.12
        c.pen.polygon([(px - half, foot), (px, py), (px + half, foot)], fill=lit)
        c.pen.polygon(
            [
                (px, py),
                (px + half, foot),
                (fold - half * 0.1, foot),
                (fold, py + (foot - py) * 0.5),
                (px - half * 0.05, py + (foot - py) * 0.25),
            ],
            fill=shade,
        )
        if snowy:
            cap(c, (px, py), half, foot, snow, mixed(snow, shade, 0.35))
    c.below([(0, c.h * base + c.u * 0.24), (c.w, c.h * base + c.u * 0.24)], lit)


def cap(c: Canvas, peak: Point, half: float, foot: float, snow: Rgb, shade: Rgb) -> None:
    """Snow with a jagged lower edge on a peak's both sides."""
    (px, py), tall, slope = peak, foot - peak[1], half / (foot - peak[1])
    low = 0.3 * tall
    edge = [(-1.0, 1.0), (-0.62, 0.78), (-0.4, 1.12), (-0.1, 0.8), (0.15, 1.18), (0.45, 0.82), (0.68, 1.06), (1.0, 1.0)]
    line = [(px + share * slope * low * min(1.0, dy), py + low * dy) for share, dy in edge]
    c.pen.polygon([(px, py), *line], fill=snow)
    c.pen.polygon([(px, py), (px - half * 0.012, py + low * 0.5), *line[4:]], fill=shade)


def forest(c: Canvas) -> None:
    x = c.chance.uniform(0.3, 0.7)
    sun(c, x, 0.3, 0.1)
    birds(c, (x + 0.3) % 0.7 + 0.15, 0.2, 4)
    crest = c.rolling(0.5, 0.07, 0.8)
    c.below(crest, c.land(0.08))
    for i in range(5):
        base = 0.57 + 0.095 * i
        crest = c.rolling(base, 0.03, 1.2)
        grove(c, crest, c.land(0.2 + 0.2 * i), 0.09 + 0.045 * i, 1.0)
        c.veil(c.h * (base - 0.04), c.h * (base + 0.12), c.palette.sky[2], 0.4 - 0.08 * i)


def grove(c: Canvas, crest: list[Point], colour: Rgb, tall: float, density: float) -> None:
    """Pines along a crest, and the ground under them; `tall` in shorter sides."""
    c.below(crest, colour)
    x = 0.0
    while x < c.w:
        height = c.u * tall * c.chance.uniform(0.55, 1.25)
        pine(c, x, height_at(crest, x) + height * 0.06, height, colour)
        x += height * c.chance.uniform(0.22, 0.6) / density


def pine(c: Canvas, x: float, y: float, tall: float, colour: Rgb) -> None:
    half = tall * 0.2
    left = [
        (-0.12, 1.0),
        (-0.45, 0.68),
        (-0.2, 0.7),
        (-0.72, 0.38),
        (-0.3, 0.4),
        (-1.0, 0.06),
        (-0.12, 0.09),
        (-0.12, -0.06),
    ]
    shape = [(x + dx * half, y - dy * tall) for dx, dy in left]
    c.pen.polygon([*shape, *[(2 * x - px, py) for px, py in reversed(shape)]], fill=colour)


def city(c: Canvas) -> None:
    x = c.chance.uniform(0.3, 0.7)
    sun(c, x, 0.36, 0.16)
    for i in range(3):
        depth = 0.2 + 0.38 * i
        skyline(c, 0.62 + 0.12 * i, 0.34 - 0.03 * i, depth, windows=i > 0)
        if i < 2:
            c.veil(c.h * 0.5, c.h * (0.85 + 0.1 * i), c.palette.sky[2], 0.45)


def skyline(c: Canvas, base: float, rise: float, depth: float, windows: bool) -> None:
    """A row of houses down to the picture's foot; lights in a part of their windows."""
    colour, x = c.land(depth), -c.u * 0.03
    while x < c.w:
        wide = c.u * c.chance.uniform(0.06, 0.13) * (0.75 + 0.45 * depth)
        top = c.h * base - c.u * rise * c.chance.random() ** 1.6
        c.pen.rectangle((x, top, x + wide, c.h), fill=colour)
        roof(c, x, top, wide, colour)
        if windows:
            lights(c, x, top, wide, 0.6 + 0.5 * depth)
        x += wide * c.chance.uniform(0.94, 1.12)


def roof(c: Canvas, x: float, top: float, wide: float, colour: Rgb) -> None:
    kind, middle = c.chance.randrange(5), x + wide / 2
    if kind == 0:
        c.pen.polygon([(x, top), (middle, top - wide * 0.4), (x + wide, top)], fill=colour)
    elif kind == 1:
        c.pen.rectangle((x + wide * 0.2, top - wide * 0.3, x + wide * 0.8, top), fill=colour)
        c.pen.line([(middle, top), (middle, top - wide * 0.9)], fill=colour, width=max(1, round(wide * 0.04)))
    elif kind == 2:
        c.pen.rectangle((x + wide * 0.55, top - wide * 0.18, x + wide * 0.85, top), fill=colour)


def lights(c: Canvas, x: float, top: float, wide: float, scale: float) -> None:
    gap = c.u * 0.019 * scale
    columns = max(2, int(wide / gap) - 1)
    step, size = wide / (columns + 0.6), gap * 0.46
    warm, cool = mixed(c.palette.accents[0], (255, 240, 200), 0.35), c.palette.accents[1]
    lit = c.chance.uniform(0.2, 0.6)
    y = top + gap * 0.8
    while y < c.h * 0.94:
        for i in range(columns):
            if c.chance.random() < lit:
                left = x + step * (i + 0.5)
                fill = cool if c.chance.random() < 0.08 else warm
                c.wash.rectangle((left, y, left + size, y + size * 1.25), fill=(*fill, c.chance.randint(120, 240)))
        y += gap * 1.25


def starry(c: Canvas) -> None:
    """A night sky with a constellation of chance, over quiet hills."""
    c.glow(c.w * 0.5, c.h * 0.72, max(c.w, c.h) * 0.6, mixed(c.palette.sky[2], c.palette.accents[2], 0.5), 0.5)
    for i in range(7):
        c.glow(
            c.w * (0.05 + 0.15 * i),
            c.h * (0.5 - 0.06 * i),
            c.u * c.chance.uniform(0.12, 0.24),
            c.palette.accents[i % 3],
            0.2,
        )
    stars(c, 330)
    side = c.chance.choice((0.2, 0.8))
    sun(c, side, 0.2, 0.065)
    left = 0.42 if side < 0.5 else 0.08
    knots = [(c.w * (left + 0.085 * i), c.h * c.chance.uniform(0.14, 0.5)) for i in range(6)]
    c.wash.line(knots, fill=(*c.palette.glow, 110), width=max(1, round(c.u * 0.002)))
    c.wash.line([knots[1], knots[3]], fill=(*c.palette.glow, 70), width=max(1, round(c.u * 0.002)))
    for x, y in knots:
        c.glow(x, y, c.u * 0.03, c.palette.glow, 0.6)
        c.disc(x, y, c.u * c.chance.uniform(0.004, 0.0075), (255, 255, 255))
    for i in range(3):
        crest = c.rolling(0.78 + 0.07 * i, 0.05, 1.0)
        grove(c, crest, c.land(0.25 + 0.35 * i), 0.05 + 0.02 * i, 0.8)


def waves(c: Canvas) -> None:
    """Bands that swing across the whole picture."""
    sun(c, c.chance.uniform(0.25, 0.75), 0.24, 0.1)
    one, two, three, four = c.palette.accents
    ramp = [mixed(c.palette.sky[2], one, 0.5), one, two, three, four, c.palette.near]
    count = 13
    for i in range(count):
        spot = i / (count - 1) * (len(ramp) - 1)
        index = min(int(spot), len(ramp) - 2)
        crest = c.rolling(0.36 + 0.052 * i, 0.07 - 0.002 * i, 0.9)
        colour = mixed(ramp[index], ramp[index + 1], spot - index)
        c.below(crest, mixed(colour, (255, 255, 255), 0.3))
        c.below([(x, y + c.u * 0.003) for x, y in crest], colour)
