"""The sandbox's films are valid MP4: boxes by hand, and every sample where a decoder is installed."""

import json
import shutil
import struct
import subprocess
from collections.abc import Iterator

import pytest
from PIL import Image, ImageChops

from penstock.errors import InvalidInput
from penstock.providers.sandbox import h264, video
from penstock.providers.sandbox.video import film

CONTAINERS = {b"moov", b"trak", b"mdia", b"minf", b"stbl"}
decoded = pytest.mark.skipif(not (shutil.which("ffmpeg") and shutil.which("ffprobe")), reason="no ffmpeg here")


@pytest.fixture(scope="module")
def boat() -> bytes:
    return film("a boat at sunset", 1, "16:9", 3)


def boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Boxes in their order, containers before what is in them; fails where a length is wrong."""
    while data:
        (length,) = struct.unpack_from(">I", data)
        assert 8 <= length <= len(data)
        kind, body = data[4:8], data[8:length]
        yield kind, body
        if kind in CONTAINERS:
            yield from boxes(body)
        data = data[length:]


def test_the_index_comes_before_the_samples(boat):
    kinds = [kind for kind, _ in boxes(boat)]
    assert kinds[:2] == [b"ftyp", b"moov"]
    assert kinds[-1] == b"mdat"


def test_the_tables_describe_the_samples(boat):
    found = dict(boxes(boat))
    count = 3 * h264.FRAMES_PER_S
    sizes = struct.unpack_from(f">{count}I", found[b"stsz"], 12)
    (offset,) = struct.unpack_from(">I", found[b"stco"], 8)
    assert struct.unpack_from(">I", found[b"stsz"], 8) == (count,)
    assert boat[offset - 4 : offset] == b"mdat"
    assert sum(sizes) == len(found[b"mdat"]) == len(boat) - offset
    kinds = []
    for size in sizes:
        (length,) = struct.unpack_from(">I", boat, offset)
        assert length == size - 4
        kinds.append(boat[offset + 4] & 31)
        offset += size
    assert kinds == [5] + [1] * (count - 1)


def test_length_and_size_are_in_the_head(boat):
    found = dict(boxes(boat))
    scale, length = struct.unpack_from(">II", found[b"mdhd"], 12)
    assert length / scale == 3
    assert struct.unpack(">II", found[b"tkhd"][-8:]) == (640 << 16, 360 << 16)


def test_no_payload_holds_a_start_code(boat):
    body = dict(boxes(boat))[b"mdat"]
    while body:
        (length,) = struct.unpack_from(">I", body)
        assert not any(code in body[4 : 4 + length] for code in (b"\0\0\0", b"\0\0\1", b"\0\0\2"))
        body = body[4 + length :]


def test_the_same_facts_give_the_same_bytes(boat):
    assert film("a boat at sunset", 1, "16:9", 3) == boat
    assert film("a boat at sunset", 2, "16:9", 3) != boat


@pytest.mark.parametrize(
    ("ratio", "size"), [("16:9", (640, 360)), ("9:16", (360, 640)), ("1:1", (480, 480)), ("4:3", (554, 416))]
)
def test_shapes_follow_the_aspect_ratio(ratio, size):
    shape = video.shape_for(ratio)
    assert (shape.width, shape.height) == size


@pytest.mark.parametrize("seconds", [0, 1, 2.5, 10])
def test_ten_seconds_stay_under_two_megabytes(seconds):
    data = film("snowy mountains", 4, "16:9", seconds)
    scale, length = struct.unpack_from(">II", dict(boxes(data))[b"mdhd"], 12)
    assert length / scale == max(1, seconds)
    assert len(data) < 2_000_000


def test_what_is_no_ratio_is_the_callers_mistake():
    with pytest.raises(InvalidInput):
        film("x", 1, "wide", 2)


def test_start_codes_are_broken_up():
    assert h264.escaped(b"\0\0\1\0\0\3") == b"\0\0\3\1\0\0\3\3"
    assert h264.escaped(b"\0\0\0") == b"\0\0\3\0"
    assert h264.escaped(b"\1\0\2") == b"\1\0\2"


def test_numbers_are_written_as_exp_golomb():
    bits = h264.Bits()
    for number in (0, 1, 2, 3):
        bits.ue(number)
    assert bits.closed() == bytes([0b1_010_011_0, 0b0100_1_000])


@decoded
@pytest.mark.parametrize(
    ("prompt", "ratio", "seconds"),
    [
        ("snowy mountains", "16:9", 3),
        ("night city", "9:16", 6),
        ("a cat", "1:1", 1),
        ("hills", "21:9", 2),
        ("", "1:9", 1),
    ],
)
def test_a_decoder_finds_no_error(tmp_path, prompt, ratio, seconds):
    path = tmp_path / "film.mp4"
    path.write_bytes(film(prompt, 9, ratio, seconds))
    shape = video.shape_for(ratio)
    run = subprocess.run(["ffmpeg", "-v", "error", "-i", path, "-f", "null", "-"], capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")
    probe = ["ffprobe", "-v", "error", "-count_frames", "-show_streams", "-show_format", "-of", "json", path]
    facts = json.loads(subprocess.run(probe, capture_output=True, check=True).stdout)
    stream = facts["streams"][0]
    assert (stream["codec_name"], stream["profile"]) == ("h264", "Constrained Baseline")
    assert (stream["width"], stream["height"]) == (shape.width, shape.height)
    assert int(stream["nb_read_frames"]) == seconds * h264.FRAMES_PER_S
    assert float(facts["format"]["duration"]) == pytest.approx(seconds)
    assert facts["format"]["tags"]["comment"] == "penstock sandbox sample"


@decoded
@pytest.mark.parametrize(("ratio", "seconds"), [("16:9", 2), ("9:16", 8)])
def test_every_picture_is_what_the_camera_sees(tmp_path, ratio, seconds):
    """Sample by sample: outside the bird, motion alone has rebuilt the panorama."""
    path = tmp_path / "film.mp4"
    path.write_bytes(film("forest", 2, ratio, seconds))
    shape, count = video.shape_for(ratio), seconds * h264.FRAMES_PER_S
    take = video.taken("forest", 2, shape, count)
    luma = take.pan.convert("YCbCr").getchannel(0).point(video.LUMA)
    raw = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", path, "-f", "rawvideo", "-pix_fmt", "yuv420p", "-"],
        capture_output=True,
        check=True,
    ).stdout
    size = shape.width * shape.height * 3 // 2
    assert len(raw) == count * size
    for number in range(0, count, 7):
        shown = Image.frombytes("L", (shape.width, shape.height), raw[number * size :][: shape.width * shape.height])
        area = (0, 0, shape.width, video.still_from(shape))
        differs = ImageChops.difference(shown.crop(area), luma.crop(video.shifted(area, take.offset(number)))).getbbox()
        assert differs is None or inside(differs, video.flight(take, number))


def inside(small: video.Box, large: video.Box) -> bool:
    return small[0] >= large[0] and small[1] >= large[1] and small[2] <= large[2] and small[3] <= large[3]
