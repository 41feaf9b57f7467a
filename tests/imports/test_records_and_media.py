"""Released training files: records, pictures, videos, and when too much of a file is lost."""

import json
import struct
import threading
import time

import cv2
import numpy as np
import pytest

from rollout3d import tables
from rollout3d.config import Video as VideoConfig
from rollout3d.imports import media, records
from rollout3d.imports.records import ExternalError, Unusable
from rollout3d.imports.release import Losses, in_order
from scenes import mini

SMALL = VideoConfig(
    train_frames=3, train_min_pixels=784, train_max_pixels=56 * 84, image_max_pixels=28 * 56, min_pixels=784
)


def decoded(image):
    return cv2.imdecode(np.frombuffer(image["bytes"], np.uint8), cv2.IMREAD_COLOR)


def picture_file(path, height, width):
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    assert cv2.imwrite(str(path), pixels)
    return path


# --- records ---------------------------------------------------------------------------------------------------------

ROWS = [{"n": i, "text": 'a "quoted" [bracket], {brace}\n' + "é" * i} for i in range(9)]


@pytest.mark.parametrize("chunk", [1, 7, 1 << 20])
@pytest.mark.parametrize(
    "written",
    [
        json.dumps(ROWS),
        json.dumps(ROWS, indent=4, ensure_ascii=False),
        "\n".join(json.dumps(row) for row in ROWS),
        "\ufeff" + "".join(json.dumps(row) + "\r\n" for row in ROWS),
    ],
    ids=["list", "indented list", "lines", "lines from Windows"],
)
def test_lists_and_lines_give_the_same_records_however_they_are_read(tmp_path, monkeypatch, chunk, written):
    monkeypatch.setattr(records, "CHUNK", chunk)
    (tmp_path / "a.json").write_text(written, encoding="utf-8", newline="")
    assert list(records.records(tmp_path / "a.json")) == ROWS


def test_records_come_before_the_file_is_read_to_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "CHUNK", 64)
    path = tmp_path / "a.json"
    path.write_text(json.dumps(ROWS)[:-2])
    reading = records.records(path)
    assert next(reading) == ROWS[0], "the damage at the end is not seen yet"
    with pytest.raises(ExternalError, match="download it again"):
        list(reading)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[{"a": 1}, {"a": 2}', "damaged after record 2 .*not closed"),
        ('[{"a": 1} {"a": 2}]', "damaged after record 1 .*comma"),
        ('[{"a": 1}, {"a":', "damaged after record 1"),
        ("[1, 2]", "damaged after record 0 .*not a list of objects"),
        ("version https://git-lfs", "damaged after record 0"),
        ("[]", "no records"),
        ("", "no records"),
    ],
)
def test_a_damaged_file_is_named_with_the_place(tmp_path, text, says):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ExternalError, match=rf"a\.json: .*{says}"):
        list(records.records(tmp_path / "a.json"))


def test_a_record_without_end_does_not_fill_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "CHUNK", 10)
    monkeypatch.setattr(records, "LONGEST", 100)
    (tmp_path / "a.json").write_text('[{"a": "' + "x" * 10_000)
    with pytest.raises(ExternalError, match="damaged after record 0"):
        list(records.records(tmp_path / "a.json"))
    with open(tmp_path / "a.json") as file:
        stream = records._Stream(file)
        stream.peek()
        stream.skip()
        with pytest.raises(json.JSONDecodeError):
            stream.value()
        assert len(stream._text) < 200


@pytest.mark.parametrize("text", ["[" * 100_000, '[{"a": 1}, ' + '{"a":' * 100_000])
def test_a_file_nested_without_end_is_refused_by_name(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(ExternalError, match=r"a\.json: damaged after record [01]"):
        list(records.records(path))


def test_what_stands_behind_the_end_of_a_list_is_not_lost_in_silence(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('[{"a": 1}]\n \n')
    assert list(records.records(path)) == [{"a": 1}]
    path.write_text('[{"a": 1}]\n[{"a": 2}]')
    with pytest.raises(ExternalError, match=r"damaged after record 1 \('\[' behind the end of the list\)"):
        list(records.records(path))


def test_half_a_character_is_refused_before_a_table_refuses_it():
    with pytest.raises(Unusable, match="half a character"):
        records.text_of({"a": "x\ud83d"}, "a")
    with pytest.raises(Unusable, match="missing field: a"):
        records.text_of({"a": "  "}, "a")
    assert records.text_of({"a": " x\n"}, "a") == "x"


def test_files_are_looked_for_below_the_release_only(tmp_path):
    (tmp_path / "release" / "Math").mkdir(parents=True)
    (tmp_path / "release" / "Math" / "1.png").write_bytes(b"x")
    (tmp_path / "secret.png").write_bytes(b"x")
    root = tmp_path / "release"
    assert records.file_of(root, "./Math/1.png") == root / "Math" / "1.png"
    for outside in ("../secret.png", str(tmp_path / "secret.png"), "Math/../../secret.png"):
        with pytest.raises(Unusable, match="outside"):
            records.file_of(root, outside)
    with pytest.raises(Unusable, match="missing file") as missing:
        records.file_of(root, "./Math/2.png")
    assert missing.value.file == "Math/2.png"


# --- pictures and videos ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_a_picture_within_the_limit_is_kept_byte_by_byte(tmp_path, name):
    path = picture_file(tmp_path / name, 28, 56)
    assert media.picture(path, SMALL, 90) == [{"bytes": path.read_bytes(), "path": f"image/0.{name[-3:]}"}]


def test_a_larger_picture_is_shrunk_to_what_the_model_sees(tmp_path):
    (image,) = media.picture(picture_file(tmp_path / "a.png", 112, 224), SMALL, 90)
    # 112x224 within 1568 pixels: both sides a quarter.
    assert decoded(image).shape == (28, 56, 3) and image["path"] == "image/0.jpg"
    assert image["bytes"][:3] == b"\xff\xd8\xff"


def test_other_formats_become_jpeg_with_their_colours(tmp_path):
    pixels = np.full((28, 56, 3), (250, 20, 120), np.uint8)  # blue first
    cv2.imwrite(str(tmp_path / "a.bmp"), pixels)
    (image,) = media.picture(tmp_path / "a.bmp", SMALL, 95)
    assert image["path"] == "image/0.jpg"
    assert np.abs(decoded(image).astype(int) - pixels).max() < 8


def test_a_picture_that_cannot_be_shown_has_a_reason(tmp_path):
    for name, data in (("empty.png", b""), ("page.jpg", b"<html>not found</html>")):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(Unusable, match="undecodable picture"):
            media.picture(tmp_path / name, SMALL, 90)
    with pytest.raises(Unusable, match="cannot be shown"):
        media.picture(picture_file(tmp_path / "strip.png", 1, 300), SMALL, 90)


def shade(i):
    return np.full((112, 168, 3), 20 * i, np.uint8)


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_a_picture_that_claims_gigabytes_is_refused_before_it_is_decoded(tmp_path, name, monkeypatch):
    path = picture_file(tmp_path / name, 60, 60)
    claim = bytearray(path.read_bytes())
    at = 16 if name == "a.png" else claim.index(b"\xff\xc0") + 5
    claim[at : at + 4] = (20_000).to_bytes(4, "big") if name == "a.png" else b"\x4e\x20\x4e\x20"
    if name == "a.png":
        claim[20:24] = (20_000).to_bytes(4, "big")
    path.write_bytes(claim)
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("decoded"))
    with pytest.raises(Unusable, match=rf"undecodable picture: {name} claims 20000x20000 pixels"):
        media.picture(path, SMALL, 90)


def test_frames_of_a_video_are_spread_with_both_ends_and_carry_their_times(tmp_path):
    mini.write_video(tmp_path / "a.mp4", [shade(i) for i in range(12)], rate=10)
    frames = media.video_frames(tmp_path / "a.mp4", SMALL, 90, {"uniform3"})
    # round(linspace(0, 11, 3)), halves to even. They are stored as they are: what is shown follows from their own size.
    assert [tables.frame_seconds(f["path"]) for f in frames] == pytest.approx([0.0, 0.6, 1.1])
    assert [f["path"] for f in frames] == sorted(f["path"] for f in frames)
    assert [decoded(f).shape for f in frames] == [(112, 168, 3)] * 3
    assert tables.frame_origin(frames[1]["path"]) == tables.Origin(6, 12, 10.0, 168, 112)
    assert [decoded(f).mean() for f in frames] == pytest.approx([0, 120, 220], abs=6)


def test_a_short_video_gives_each_frame_once(tmp_path):
    mini.write_video(tmp_path / "a.mp4", [shade(0), shade(9)], rate=10)
    assert len(media.video_frames(tmp_path / "a.mp4", SMALL, 90, {"uniform3"})) == 2


def test_a_video_stored_on_its_side_is_turned(tmp_path):
    bright_corner = shade(0)
    bright_corner[:40, :40] = 230
    path = tmp_path / "a.mp4"
    mini.write_video(path, [bright_corner] * 3, rate=10)
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 4 + 40
    # "Turn a quarter clockwise": the upper left corner goes to the upper right.
    data[matrix : matrix + 36] = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 112 << 16, 0, 1 << 30)
    path.write_bytes(data)
    for frame in media.video_frames(path, SMALL, 90, {"uniform3"}):
        pixels = decoded(frame)
        assert pixels.shape == (168, 112, 3)
        assert pixels[8, -8].min() > 180 and pixels[8, 8].max() < 60 and pixels[-8, -8].max() < 60


def test_what_is_no_video_has_a_reason(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"no video" * 99)
    with pytest.raises(Unusable, match="undecodable video"):
        media.video_frames(tmp_path / "a.mp4", SMALL, 90, {"uniform3"})


# --- many of them ----------------------------------------------------------------------------------------------------


def test_results_come_in_order_and_few_wait():
    asked = []
    lock = threading.Lock()

    def work(i):
        time.sleep(0.01 if i % 3 == 0 else 0)
        return i * i

    def items():
        for i in range(40):
            with lock:
                asked.append(i)
            yield i

    results = in_order(work, items(), threads=2)
    assert next(results) == 0
    assert len(asked) <= 6, "the next items are not asked for before the first result is taken"
    assert list(results) == [i * i for i in range(1, 40)]


def test_losses_beyond_the_share_are_one_error_with_examples(tmp_path):
    losses = Losses(tmp_path / "a.json", 0.2)
    for _ in range(5):
        losses.add(Unusable("not selected", expected=True))
    losses.add(Unusable("missing file", "Chart/1.png"))
    losses.add(Unusable("missing file", "Chart/2.png"))
    losses.check(10)
    losses.add(Unusable("unknown data_type", "audio"))
    with pytest.raises(ExternalError, match=r"3 of 10 .*0\.2.*2 times 'missing file: Chart/1\.png'; 1 times .*audio"):
        losses.check(10)
