"""What a request asks for, read from whatever names its model gives to sizes, formats, counts, and pictures.

Pure functions. A model's input was checked against its schema already, and a model without one may get anything: what
makes no sense here is passed over, as a friendly vendor would.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from typing import Any, Literal
from urllib.parse import unquote_to_bytes

import msgspec

from penstock.providers.sandbox import pictures, sound, video
from penstock.providers.sandbox.palettes import dice

Craft = Literal["draw", "enlarge", "cut_out", "film", "play"]

PROMPTS = ("prompt", "text", "lyrics", "caption", "description", "instruction", "query", "question")
PICTURES = (
    "image",
    "input_image",
    "image_prompt",
    "init_image",
    "input_images",
    "images",
    "image_input",
    "image_url",
    "start_image",
    "first_frame_image",
    "reference_images",
    "control_image",
)
KEEP_SHAPE = ("image", "init_image")
"""A picture under these names is reworked at its own ratio, whatever ratio a default says."""
COUNTS = ("num_outputs", "number_of_images", "num_images", "n", "batch_size", "max_images")
DURATIONS = ("duration", "seconds", "duration_seconds", "num_seconds", "length", "music_length")
FORMATS = ("output_format", "format", "audio_format", "output_type")
MEGAPIXELS = {"0.25": 0.25, "0.5": 0.5, "1": 1.0, "2": 2.0, "4": 4.0, "1k": 1.0, "2k": 4.0, "4k": 4.0}
MAX_TOKENS = ("max_tokens", "max_new_tokens", "max_completion_tokens", "max_output_tokens", "max_length")
RATIO = re.compile(r"\s*\d{1,4}(\.\d+)?\s*[:/]\s*\d{1,4}(\.\d+)?\s*")
SIZE = re.compile(r"\s*(\d{1,5})\s*[x×*]\s*(\d{1,5})\s*", re.IGNORECASE)
ENLARGES = re.compile(r"esrgan|upscal|super-?res|enlarge|swinir|gfpgan", re.IGNORECASE)
CUTS_OUT = re.compile(r"rembg|remove-?bg|remove-?background|background-remov|bg-remov|birefnet", re.IGNORECASE)
USUAL_FILM_S, USUAL_TUNE_S = 5.0, 8.0
LONGEST_SHOWN = 200


class Order(msgspec.Struct, frozen=True, omit_defaults=True):
    """How to make one file: sides in pixels, `seconds` long. `with_source`: from the caller's picture."""

    craft: Craft
    prompt: str
    seed: int
    format: str
    width: int = 0
    height: int = 0
    quality: int = 90
    factor: float = 1.0
    seconds: float = 0.0
    with_source: bool = False


def order(kind: str, model: str, input: dict[str, Any], prompt: str, tag: str, source: bytes | None) -> Order:
    """What one output of this job is. Raises InvalidInput where the caller's picture can't be read."""
    whole = input.get("seed")
    seed = whole if isinstance(whole, int) else dice("seed", tag).randrange(1 << 31)
    if kind == "video":
        width, height = sides(input, source)
        seconds = within(seconds_of(input, USUAL_FILM_S), video.SHORTEST_S, video.LONGEST_S)
        return Order("film", prompt, seed, "mp4", width, height, seconds=seconds)
    if kind == "audio":
        seconds = within(seconds_of(input, USUAL_TUNE_S), sound.SHORTEST_S, sound.LONGEST_S)
        wants_mp3 = format_of(input) == "mp3" and sound.mp3_possible()
        return Order("play", prompt, seed, "mp3" if wants_mp3 else "wav", seconds=seconds)
    return picture_order(model, input, prompt, seed, source)


def picture_order(model: str, input: dict[str, Any], prompt: str, seed: int, source: bytes | None) -> Order:
    width, height = sides(input, source)
    if CUTS_OUT.search(model):
        return Order("cut_out", prompt, seed, "png", width, height, with_source=source is not None)
    if ENLARGES.search(model):
        factor = number(input, ("scale", "scale_factor", "upscale_factor", "upscale")) or 4.0
        format = picture_format(input, "png")
        return Order("enlarge", prompt, seed, format, width, height, factor=factor, with_source=source is not None)
    # What the catalogue's own models make when nothing is asked for.
    format = picture_format(input, "png" if model.startswith(("sandbox/", "stability-ai/sdxl")) else "webp")
    asked = number(input, ("output_quality", "quality", "output_compression"))
    quality = 90 if asked is None else round(within(asked, 1, 100))
    return Order("draw", prompt, seed, format, width, height, quality, with_source=source is not None)


def made(order: Order, number: int, source: bytes | None) -> tuple[str, bytes]:
    """(content type, bytes) of one file; the same facts, the same bytes. Takes up to a second."""
    seed, size = order.seed + number, (order.width, order.height)
    if order.craft == "film":
        return "video/mp4", video.film(order.prompt, seed, f"{order.width}:{order.height}", order.seconds)
    if order.craft == "play":
        kind: sound.Format = "mp3" if order.format == "mp3" else "wav"
        return ("audio/mpeg" if kind == "mp3" else "audio/wav"), sound.tune(order.prompt, seed, order.seconds, kind)
    format: pictures.Format = order.format if order.format in pictures.MIME else "png"
    given = source if order.with_source else None
    if order.craft == "draw":
        data = pictures.draw(order.prompt, seed, *size, format, given, order.quality)
    else:  # a link that nobody could fetch still gets a picture
        given = given or pictures.draw(order.prompt, seed, *size, "png")
        data = pictures.cut_out(given) if order.craft == "cut_out" else pictures.enlarge(given, order.factor, format)
    return pictures.MIME[format], data


# ── shapes ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def sides(input: dict[str, Any], source: bytes | None) -> tuple[int, int]:
    """Width and height in pixels. A resolution wins over a ratio, a ratio over sizes, which often are mere defaults."""
    own = pictures.opened(source).size if source is not None else None
    area = megapixels(input)
    if (exact := size_in(input.get("resolution"))) is not None:
        return exact
    if own and any(data_url(input.get(name)) for name in KEEP_SHAPE) and "width" not in input:
        return like(own, area)
    ratio = input.get("aspect_ratio")
    if isinstance(ratio, str) and RATIO.fullmatch(ratio):
        return pictures.size_for(ratio.replace(" ", ""), area)
    if (exact := size_in(input.get("size")) or size_in(input.get("image_size"))) is not None:
        return exact
    width, height = number(input, ("width",)), number(input, ("height",))
    if width or height:
        return side(width or 1024), side(height or 1024)
    return like(own, area) if own else pictures.size_for("1:1", area)


def like(own: tuple[int, int], area: float) -> tuple[int, int]:
    """The ratio of a picture, or the nearest that can be drawn."""
    ratio = within(own[0] / own[1], 0.1, 10.0)
    return pictures.size_for(f"{ratio}:1", area)


def size_in(value: Any) -> tuple[int, int] | None:
    match = SIZE.fullmatch(value) if isinstance(value, str) else None
    return (side(int(match[1])), side(int(match[2]))) if match else None


def side(pixels: float) -> int:
    return round(within(pixels, 16, 2048))


def megapixels(input: dict[str, Any]) -> float:
    for name in ("megapixels", "resolution", "size"):
        word = str(input.get(name, "")).lower().removesuffix("mp").strip()
        if word in MEGAPIXELS:
            return MEGAPIXELS[word]
    return 1.0


# ── words and numbers ─────────────────────────────────────────────────────────────────────────────────────────────────


def prompt_of(input: dict[str, Any]) -> str:
    """What the request is about: its prompt, or the last words of a conversation."""
    said = [input[name] for name in PROMPTS if isinstance(input.get(name), str) and input[name].strip()]
    if said:
        return str(said[0])
    return next(reversed(list(texts(input.get("messages")))), "")


def texts(value: Any) -> Iterator[str]:
    """Every string in a value that is no `data:` URL."""
    if isinstance(value, str):
        if not value.startswith("data:"):
            yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from texts(part)


def number(input: dict[str, Any], names: tuple[str, ...]) -> float | None:
    """The first of these fields that holds a number, also one that is spelt as text."""
    for name in names:
        value = input.get(name)
        if isinstance(value, str) and re.fullmatch(r"\d{1,6}(\.\d{1,6})?s?", value):
            return float(value.rstrip("s"))
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9:
            return float(value)
    return None


def seconds_of(input: dict[str, Any], usual: float) -> float:
    return number(input, DURATIONS) or usual


def count_of(input: dict[str, Any]) -> int:
    return round(within(number(input, COUNTS) or 1, 1, 10))


def tokens_of(input: dict[str, Any]) -> int:
    asked = number(input, MAX_TOKENS)
    return 512 if asked is None else round(within(asked, 1, 8192))


def format_of(input: dict[str, Any]) -> str:
    asked = next((input[name] for name in FORMATS if isinstance(input.get(name), str)), "")
    return asked.lower().removeprefix("image/").replace("jpeg", "jpg")


def picture_format(input: dict[str, Any], usual: str) -> str:
    asked = format_of(input)
    return asked if asked in pictures.MIME else usual


def within(value: float, least: float, most: float) -> float:
    return min(max(value, least), most)


# ── the caller's picture ──────────────────────────────────────────────────────────────────────────────────────────────


def picture_in(input: dict[str, Any]) -> bytes | None:
    """The first picture that the caller sent, None if there is none here (a plain link is not followed)."""
    for name in PICTURES:
        value = input.get(name)
        for item in value if isinstance(value, list) else [value]:
            if (data := data_url(item)) is not None:
                return data
    return None


def data_url(value: Any) -> bytes | None:
    """The bytes of a `data:` URL, empty where they can't be decoded."""
    if not isinstance(value, str) or not value.startswith("data:"):
        return None
    head, _, data = value.partition(",")
    try:
        return base64.b64decode(data) if head.endswith(";base64") else unquote_to_bytes(data)
    except ValueError:
        return b""


def shortened(value: Any) -> Any:
    """The same without the bulk of its `data:` URLs, for showing."""
    if isinstance(value, str) and value.startswith("data:") and len(value) > LONGEST_SHOWN:
        return f"{value[:40]}… ({len(value)} characters)"
    if isinstance(value, dict):
        return {name: shortened(part) for name, part in value.items()}
    return [shortened(part) for part in value] if isinstance(value, list) else value
