"""The sandbox's pictures by their motif: a look and a key in, an image out."""

from __future__ import annotations

from collections.abc import Callable

from PIL import Image

from penstock.providers.sandbox import figures, landscapes
from penstock.providers.sandbox.canvas import Canvas
from penstock.providers.sandbox.palettes import Look, dice
from penstock.providers.sandbox.skies import stars

MOTIFS: dict[str, Callable[[Canvas], None]] = {
    "hills": landscapes.hills,
    "sea": landscapes.sea,
    "mountains": landscapes.mountains,
    "forest": landscapes.forest,
    "city": landscapes.city,
    "stars": landscapes.starry,
    "flowers": figures.flowers,
    "robot": figures.robot,
    "cat": figures.cat,
    "waves": landscapes.waves,
    "discs": figures.discs,
}
STARLESS = frozenset({"waves", "discs", "robot", "stars"})  # or they bring their own


def scene(look: Look, key: str, width: int, height: int) -> Image.Image:
    """Paint a look. `key` decides the composition, so that one prompt and seed always give one picture."""
    canvas = Canvas(width, height, look, dice("scene", key))
    if look.palette.dark and look.motif not in STARLESS:
        stars(canvas, 150)
    MOTIFS[look.motif](canvas)
    return canvas.image
