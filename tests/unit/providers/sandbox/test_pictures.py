"""The sandbox's pictures are real files, of the asked size and format, and the same for the same facts."""

from io import BytesIO

import pytest
from PIL import Image, ImageDraw

from penstock.errors import InvalidInput
from penstock.providers.sandbox.palettes import FIGURE_WORDS, MOTIF_WORDS, PALETTES, SUITS, look
from penstock.providers.sandbox.pictures import NOTE, cut_out, draw, enlarge, size_for, writable
from penstock.providers.sandbox.scenes import MOTIFS


def opened(data: bytes) -> Image.Image:
    image = Image.open(BytesIO(data))
    image.load()
    return image


def photo(format: str = "JPEG", size: tuple[int, int] = (200, 150)) -> bytes:
    """A red disc on light grey."""
    image = Image.new("RGB", size, (240, 240, 235))
    ImageDraw.Draw(image).ellipse((60, 40, 140, 120), fill=(200, 40, 60))
    out = BytesIO()
    image.save(out, format)
    return out.getvalue()


@pytest.mark.parametrize(("format", "named"), [("png", "PNG"), ("webp", "WEBP"), ("jpg", "JPEG")])
def test_a_picture_has_the_asked_size_and_format(format, named):
    image = opened(draw("a boat at sunset", 7, 160, 96, format))
    assert (image.format, image.size) == (named, (160, 96))


def test_every_motif_can_be_drawn_at_any_shape():
    words = {motif: word for word, motif in [*MOTIF_WORDS.items(), *FIGURE_WORDS.items()]}
    assert set(words) == set(MOTIFS)
    for motif, word in words.items():
        assert look(word, 0).motif == motif
        for size in ((16, 16), (90, 320), (320, 90)):
            assert opened(draw(word, 1, *size, "png")).size == size


def test_every_palette_can_be_drawn():
    assert {palette for palettes in SUITS.values() for palette in palettes} <= set(PALETTES)
    assert set(SUITS) == set(MOTIFS)


def test_the_same_facts_give_the_same_bytes():
    assert draw("a cat", 1, 96, 96, "webp") == draw("a cat", 1, 96, 96, "webp")


@pytest.mark.parametrize("other", [("a cat", 2), ("a dog", 1)])
def test_another_seed_or_prompt_gives_another_picture(other):
    assert draw("a cat", 1, 96, 96, "png") != draw(*other, 96, 96, "png")


def test_a_picture_is_no_plain_area():
    colours = opened(draw("anything at all", 5, 256, 256, "png")).convert("RGB").getcolors(1 << 20)
    assert colours is not None
    assert len(colours) > 200


@pytest.mark.parametrize(
    ("prompt", "motif", "palette"),
    [
        ("A red BOAT on lakes at sunset", "sea", "sunset"),
        ("日落 海边", "sea", "sunset"),
        ("neon city", "city", "neon"),
        ("a green hill with a cat", "cat", "green"),
    ],
)
def test_words_steer(prompt, motif, palette):
    seen = look(prompt, 3)
    assert (seen.motif, seen.palette) == (motif, PALETTES[palette])


def test_the_file_says_that_it_is_a_sample():
    assert opened(draw("x", 1, 64, 64, "png")).text["Description"] == NOTE
    for format in ("webp", "jpg"):
        assert opened(draw("x", 1, 64, 64, format)).getexif()[0x010E] == NOTE


@pytest.mark.parametrize("prompt", ["", "\ud800 \x00 \u202e", "é 🙂 大象", "word " * 5000])
def test_any_prompt_can_be_drawn(prompt):
    assert opened(draw(prompt, 1, 320, 200, "png")).size == (320, 200)


def test_letters_that_the_font_lacks_are_left_out():
    assert writable("Café\n大象 🙂  ok") == "Cafe ok"


@pytest.mark.parametrize("size", [(0, 10), (10, -1), (5000, 10)])
def test_sizes_have_bounds(size):
    with pytest.raises(InvalidInput):
        draw("x", 1, *size, "png")


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_a_picture_of_the_callers_is_made_over(format):
    data = photo(format)
    made = draw("sunset", 1, 120, 160, "png", source=data)
    assert opened(made).size == (120, 160)
    assert made == draw("sunset", 1, 120, 160, "png", source=data)
    assert made != draw("neon", 1, 120, 160, "png", source=data)


@pytest.mark.parametrize(
    "source", [b"", b"no picture", photo()[:300], b"\x89PNG\r\n\x1a\n" + bytes(40), b"%!PS-Adobe-3.0 EPSF\n"]
)
def test_what_is_no_picture_is_the_callers_mistake(source):
    for use in (enlarge, lambda data, _: cut_out(data), lambda data, _: draw("x", 1, 64, 64, "png", source=data)):
        with pytest.raises(InvalidInput):
            use(source, 2)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_small_file_with_a_huge_picture_is_refused():
    out = BytesIO()
    Image.new("1", (12_000, 12_000)).save(out, "PNG")
    with pytest.raises(InvalidInput):
        cut_out(out.getvalue())


def test_a_picture_is_enlarged_within_bounds():
    assert opened(enlarge(photo(), 2)).size == (400, 300)
    assert opened(enlarge(photo(), 2, "webp")).format == "WEBP"
    assert max(opened(enlarge(photo(), 1000, "jpg")).size) == 4096


def test_the_background_is_cut_out():
    image = opened(cut_out(photo()))
    assert (image.format, image.mode, image.size) == ("PNG", "RGBA", (200, 150))
    assert image.getpixel((3, 3))[3] == 0
    assert image.getpixel((100, 80))[3] == 255


@pytest.mark.parametrize(("ratio", "size"), [("1:1", (1024, 1024)), ("16:9", (1360, 768)), ("9x16", (768, 1360))])
def test_sizes_follow_the_aspect_ratio(ratio, size):
    assert size_for(ratio) == size


def test_sizes_follow_the_megapixels():
    assert size_for("1:1", 0.25) == (512, 512)


@pytest.mark.parametrize("ratio", ["", "16", "a:b", "1:0", "0:1", "nan:1", "1:99", "-1:-1:2", "inf:inf"])
def test_what_is_no_ratio_is_the_callers_mistake(ratio):
    with pytest.raises(InvalidInput):
        size_for(ratio)
