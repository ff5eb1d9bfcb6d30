"""What a prompt's words ask a sandbox picture to look like: its colours and its motif, as two tables of words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import blake2b
from random import Random

Rgb = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours of one mood. `sky` runs from the top to the horizon, the layers of land from `far` to `near`."""

    sky: tuple[Rgb, Rgb, Rgb]
    glow: Rgb
    far: Rgb
    near: Rgb
    accents: tuple[Rgb, Rgb, Rgb, Rgb]
    dark: bool = False


@dataclass(frozen=True, slots=True)
class Look:
    """How one prompt is drawn; `props` are the small things beside the motif (a boat, a balloon, a moon)."""

    motif: str
    palette: Palette
    props: frozenset[str]


def rgb(code: str) -> Rgb:
    """`ff8800` as three numbers."""
    return int(code[0:2], 16), int(code[2:4], 16), int(code[4:6], 16)


def row(sky: str, glow: str, land: str, accents: str, dark: bool = False) -> Palette:
    top, middle, low = map(rgb, sky.split())
    far, near = map(rgb, land.split())
    first, second, third, fourth = map(rgb, accents.split())
    return Palette((top, middle, low), rgb(glow), far, near, (first, second, third, fourth), dark)


PALETTES: dict[str, Palette] = {
    "sunset": row("3b2a6b c8557a ffb36b", "fff0c4", "b65a78 2a1b3d", "ffcf7a f26b6b 8e4a8c 3d2a63"),
    "dawn": row("8fa9d6 f3c6c6 ffe9cf", "fffaf0", "b79bb8 3f4a6e", "f7a8a8 f9d5a7 9fb8d9 5e6b9a"),
    "azure": row("2f7fc4 86c5e8 e6f5f2", "fffbe6", "74b3c4 12506b", "ffd166 ef6f6c 2ec4b6 f7f3e3"),
    "green": row("a9d3c8 d7ead0 f6f5dc", "fffde0", "9cc4a0 14392f", "f2c14e e07a5f 6a994e f4f1de"),
    "night": row("060b26 15235a 3a4a8c", "fdf6d8", "2b3a78 050818", "ffd98e 7f9cf5 c3a6ff 4bd0d0", dark=True),
    "neon": row("0d0524 3b0f5c d1357a", "ffb8e0", "5a1f7a 0b0420", "19e3ff ff3ea5 ffd447 8a5cff", dark=True),
    "dusk": row("27406b 7a6f9b f0b8a0", "ffe9c9", "71779c 171f38", "ffc857 e9724c 9a8fbf 3f6c8f"),
    "snow": row("5f8fbf b3d0e6 f3f7fb", "ffffff", "a9c3da 2f4a6b", "ffffff 7aa6d1 e8a87c 3c5a80"),
    "meadow": row("79bfe8 c4e4ee fdf4d7", "fffbe0", "b5d48a 2f6b3f", "f25f7c ffb94f 9b6dd7 ffffff"),
    "sand": row("e8a765 f6cf95 fdeccb", "fffaf0", "e3a266 7a3b26", "c8553d f28f3b 588b8b ffd5c2"),
    "autumn": row("d9825b f0b67f fbe3b9", "fff6dd", "c9773f 4a1f1c", "e4572e f3a712 a8c686 669bbc"),
    "candy": row("b8a1e3 f5c1de fff0e5", "ffffff", "d99ac5 5d4a8f", "ff7aa8 ffd166 6fd6c9 8d7ae6"),
    "slate": row("43546b 9aa8b8 e4e4df", "fffdf5", "8a99a9 202b38", "e8b04a cf5c4c 5f8f8f f2efe6"),
    "rose": row("8c2f4b e07a7a ffd1b8", "fff1e0", "b9526a 3a1026", "ffd9a0 ff8a7a a23b72 f6e7d8"),
}


def listed(rows: dict[str, str]) -> dict[str, str]:
    """Rows of (what they mean: the words) turned about, in their order: word to meaning."""
    return {word: meaning for meaning, words in rows.items() for word in words.split()}


# The first word of a prompt that is in a table decides. Words in scripts without spaces are looked for as they stand.
MOOD_WORDS = listed(
    {
        "sunset": "sunset evening sundown fire flame volcano lava 日落 夕阳 黄昏 火",
        "dawn": "dawn sunrise morning pastel soft 日出 清晨",
        "night": "night midnight star galaxy space cosmos universe moon moonlight dark planet astronaut 夜 星 月 宇宙",
        "neon": "neon cyberpunk synthwave vaporwave hologram futuristic laser 霓虹 赛博",
        "dusk": "dusk twilight rain rainy storm 雨",
        "snow": "snow snowy winter ice frozen arctic glacier 雪 冬",
        "autumn": "autumn fall october maple 秋",
        "sand": "desert sand dune sahara camel 沙漠",
        "candy": "candy cute kawaii unicorn cake dream 可爱",
        "slate": "fog foggy mist misty minimal concrete 雾",
        "meadow": "spring garden meadow 花园 春",
        "rose": "love wine heart romantic 爱",
    }
)
# Plain colours say less than a mood does, so they are asked only after it.
COLOUR_WORDS = listed(
    {
        "rose": "red rose 红",
        "autumn": "orange brown",
        "candy": "pink 粉",
        "sand": "gold golden yellow 黄 金",
        "snow": "white 白",
        "night": "black 黑",
        "slate": "grey gray silver",
        "azure": "blue sky 蓝 天空",
        "green": "green 绿",
        "neon": "purple violet 紫",
    }
)
# A figure is what a prompt is about wherever it stands, so "a hill with a cat" is a cat.
FIGURE_WORDS = listed({"robot": "robot android machine droid cyborg mech 机器人", "cat": "cat kitten kitty tiger 猫"})
MOTIF_WORDS = listed(
    {
        "sea": "sea lake boat ocean beach ship sail sailing sailboat water river island harbour harbor coast 海 湖 船",
        "forest": "forest tree wood woodland jungle pine fox deer bear 森林 树",
        "city": "city street tower building skyline town car tokyo london paris york 城市 街",
        "mountains": "mountain alp peak summit hiker himalaya matterhorn 山",
        "flowers": "flower rose tulip garden bloom blossom bouquet daisy poppy bee butterfly 花",
        "stars": "star galaxy space cosmos universe astronaut planet constellation rocket night moon 星 宇宙 夜 月",
        "hills": "desert dune hill sahara camel field balloon landscape 沙漠",
        "waves": "wave music sound song abstract flow 音乐",
        "discs": "logo poster geometric circle shape icon pattern bauhaus",
    }
)
PROP_WORDS = listed(
    {
        "boat": "boat ship sail sailing sailboat yacht 船",
        "balloon": "balloon 气球",
        "moon": "moon moonlight night 月 夜",
    }
)

# Which colours suit a motif when no word of the prompt names any, and which motifs may stand in for unknown words.
SUITS: dict[str, tuple[str, ...]] = {
    "sea": ("azure", "sunset", "dawn"),
    "forest": ("green", "dawn", "autumn"),
    "city": ("dusk", "neon", "sunset"),
    "mountains": ("snow", "dawn", "dusk"),
    "flowers": ("meadow", "candy"),
    "robot": ("candy", "azure", "sand", "dawn"),
    "cat": ("sunset", "autumn", "candy", "rose"),
    "stars": ("night",),
    "hills": ("sand", "sunset", "candy", "dawn"),
    "waves": ("azure", "sunset", "candy", "rose"),
    "discs": ("dawn", "sand", "slate", "candy"),
}
UNNAMED = ("hills", "sea", "mountains", "waves", "discs", "forest")


def dice(*facts: object) -> Random:
    """A generator of chance that these facts decide alone, the same in every process (`hash` is not)."""
    text = "\x1f".join(map(str, facts)).encode("utf-8", "surrogatepass")
    return Random(int.from_bytes(blake2b(text, digest_size=8).digest()))  # noqa: S311  (pictures, not secrets)


def look(prompt: str, seed: int) -> Look:
    """Read a prompt: words that we know steer, the others and the seed only shuffle."""
    chance = dice("look", prompt, seed)
    motif = first(FIGURE_WORDS, prompt) or first(MOTIF_WORDS, prompt) or chance.choice(UNNAMED)
    palette = first(MOOD_WORDS, prompt) or first(COLOUR_WORDS, prompt) or chance.choice(SUITS[motif])
    props = {prop for word, prop in PROP_WORDS.items() if word in spelt(prompt) or foreign(word, prompt)}
    return Look(motif, PALETTES[palette], frozenset(props))


def first(table: dict[str, str], prompt: str) -> str | None:
    for word in spelt(prompt):
        if word in table:
            return table[word]
    return next((value for word, value in table.items() if foreign(word, prompt)), None)


def spelt(prompt: str) -> list[str]:
    """The prompt's words in small letters, and each also without a plural's ending, at most 200 of them."""
    words = re.findall(r"[a-z]+", prompt[:2000].lower())[:100]
    return [form for word in words for form in (word, word.removesuffix("s"))]


def foreign(word: str, prompt: str) -> bool:
    return not word.isascii() and word in prompt


def mixed(one: Rgb, other: Rgb, share: float) -> Rgb:
    """Between two colours: 0 is the first, 1 the other."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue
