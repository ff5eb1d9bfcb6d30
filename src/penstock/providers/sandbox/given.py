"""What a caller gave besides words, looked at for real: a picture's size, a document's pages, a sound's seconds."""

from __future__ import annotations

import base64
import io
import re
import wave
from dataclasses import dataclass

from PIL import Image, UnidentifiedImageError

from penstock.canonical.chat import Media
from penstock.errors import InvalidInput
from penstock.providers.sandbox.pictures import OPENED

PAGE = re.compile(rb"/Type\s*/Page(?![a-zA-Z])")
NAMES = {"image": "picture", "document": "document", "audio": "sound", "video": "film"}
LONGEST_TEXT = 1_000_000


@dataclass(frozen=True, slots=True)
class Facts:
    """`text` is what a document of plain text says. What is not known is 0 or empty."""

    words: str
    width: int = 0
    height: int = 0
    seconds: float = 0.0
    pages: int = 0
    text: str = ""


def seen(media: Media) -> Facts:
    """Raises InvalidInput for a picture that can't be read, and for what is not base64."""
    kind = NAMES[media.kind]
    if media.data is None:
        return Facts(f"a link to a {kind}, which is not followed here" if media.url else f"a {kind} by its file's id")
    data = decoded(media.data, kind)
    if media.kind == "image":
        return picture(data)
    if media.kind == "audio":
        return sound(data)
    return document(data, media.media_type) if media.kind == "document" else sized(data, kind)


def decoded(data: str, kind: str) -> bytes:
    try:
        return base64.b64decode(data + "=" * (-len(data) % 4), validate=True)
    except ValueError:
        raise InvalidInput(f"The {kind} is not valid base64.") from None


def picture(data: bytes) -> Facts:
    try:
        Image.init()
        with Image.open(io.BytesIO(data), formats=[name for name in OPENED if name in Image.OPEN]) as image:
            (width, height), format = image.size, image.format
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError, SyntaxError, TypeError):
        raise InvalidInput("The picture can't be read: it is in no format that we know, or damaged.") from None
    return Facts(f"a {format} picture of {width} × {height} pixels", width=width, height=height)


def sound(data: bytes) -> Facts:
    try:
        with wave.open(io.BytesIO(data)) as file:
            lasts_s = file.getnframes() / file.getframerate()
    except (wave.Error, EOFError, ZeroDivisionError):
        return sized(data, "sound")
    return Facts(f"a WAV sound of {lasts_s:.1f} seconds", seconds=lasts_s)


def document(data: bytes, media_type: str) -> Facts:
    """Pages are counted where a PDF names them openly; one that packs its objects tells its size alone."""
    if data.startswith(b"%PDF-"):
        pages = len(PAGE.findall(data))
        return Facts(f"a PDF of {pages} page{'s' * (pages != 1)}", pages=pages) if pages else sized(data, "PDF")
    if media_type.startswith("text/"):
        text = data[:LONGEST_TEXT].decode("utf-8", "replace")
        return Facts(f"a document of {len(text.split())} words", text=text)
    return sized(data, "document")


def sized(data: bytes, kind: str) -> Facts:
    return Facts(f"a {kind} of {len(data)} bytes")
