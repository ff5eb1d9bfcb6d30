"""What hangs or flies in the sky of the sandbox's pictures: sun and moon, stars, clouds, birds, balloons."""

from __future__ import annotations

from PIL import Image, ImageDraw

from penstock.providers.sandbox.canvas import Canvas, Point
from penstock.providers.sandbox.palettes import mixed


def sun(c: Canvas, x: float, y: float, radius: float) -> Point:
    """A sun, or a moon where the look asks for one, at shares of the canvas; `radius` in shorter sides."""
    px, py, r = x * c.w, y * c.h, radius * c.u
    c.glow(px, py, r * 4.2, c.palette.glow, 0.75)
    c.disc(px, py, r, c.palette.glow)
    if "moon" in c.look.props or c.palette.dark:
        shade = mixed(c.palette.glow, c.palette.sky[1], 0.16)
        for dx, dy, size in ((-0.3, -0.25, 0.24), (0.28, 0.1, 0.17), (-0.1, 0.42, 0.14), (0.32, -0.42, 0.09)):
            c.disc(px + dx * r, py + dy * r, r * size, shade)
    return px, py


def stars(c: Canvas, count: int) -> None:
    for x, y in c.spots(count, 0, 0.75):
        size = c.u * 0.0012 * (1 + 2.2 * c.chance.random() ** 4)
        c.disc(x, y, size, (255, 255, 255), c.chance.randint(90, 235))


def cloud(c: Canvas, x: float, y: float, size: float, alpha: int = 120) -> None:
    """A flat-bottomed cloud; `size` in shorter sides."""
    tint = mixed(c.palette.sky[2], (255, 255, 255), 0.6)
    px, py, s = x * c.w, y * c.h, size * c.u
    layer = Image.new("L", (round(4 * s), round(1.4 * s)))
    for dx, top, wide in ((0.1, 0.75, 1.2), (0.7, 0.3, 1.4), (1.5, 0.0, 1.5), (2.3, 0.45, 1.2), (2.9, 0.8, 1.0)):
        layer.paste(alpha, (round(dx * s), round(top * s)), pill(round(wide * s), round((1.4 - top) * s)))
    c.image.paste(tint, (round(px - 2 * s), round(py - s)), layer)


def pill(width: int, height: int) -> Image.Image:
    mask = Image.new("L", (width, height))
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, width - 1, height * 2), radius=width // 2, fill=255)
    return mask


def birds(c: Canvas, x: float, y: float, count: int = 5) -> None:
    """A loose flock about a place, in shares."""
    colour = (*c.land(0.85), 220)
    for _ in range(count):
        px, py = c.w * x + c.u * c.chance.uniform(-0.14, 0.14), c.h * y + c.u * c.chance.uniform(-0.06, 0.06)
        bird(c, px, py, c.u * c.chance.uniform(0.009, 0.016), colour)


def bird(c: Canvas, x: float, y: float, span: float, colour: tuple[int, int, int, int]) -> None:
    thick = max(1, round(span * 0.28))
    c.wash.line([(x - 2 * span, y - 0.5 * span), (x - span, y - span), (x, y)], fill=colour, width=thick, joint="curve")
    c.wash.line([(x, y), (x + span, y - span), (x + 2 * span, y - 0.5 * span)], fill=colour, width=thick, joint="curve")


def balloon(c: Canvas, x: float, y: float, size: float) -> None:
    """A hot-air balloon, its envelope's middle at shares of the canvas; `size` is its radius in shorter sides."""
    px, py, r = x * c.w, y * c.h, size * c.u
    one, two, three, _ = c.palette.accents
    c.pen.polygon(
        [
            (px - r * 0.86, py + r * 0.5),
            (px + r * 0.86, py + r * 0.5),
            (px + r * 0.2, py + r * 1.5),
            (px - r * 0.2, py + r * 1.5),
        ],
        fill=one,
    )
    c.disc(px, py, r, one)
    for half, fill in ((0.68, two), (0.3, three)):
        c.pen.ellipse((px - r * half, py - r, px + r * half, py + r), fill=fill)
        c.pen.polygon(
            [
                (px - r * half * 0.9, py + r * 0.45),
                (px + r * half * 0.9, py + r * 0.45),
                (px + r * half * 0.22, py + r * 1.5),
                (px - r * half * 0.22, py + r * 1.5),
            ],
            fill=fill,
        )
    rope = c.palette.near
    c.pen.line(
        [(px - r * 0.18, py + r * 1.5), (px - r * 0.13, py + r * 1.85)], fill=rope, width=max(1, round(r * 0.03))
    )
    c.pen.line(
        [(px + r * 0.18, py + r * 1.5), (px + r * 0.13, py + r * 1.85)], fill=rope, width=max(1, round(r * 0.03))
    )
    c.pen.rounded_rectangle((px - r * 0.16, py + r * 1.82, px + r * 0.16, py + r * 2.08), r * 0.05, fill=c.palette.near)
