"""The `media` column: what paths mean, and reading single rows."""

import pytest

from rollout3d import tables


@pytest.mark.parametrize("seconds", [0.0, 0.25, 12.345, 7200.5])
def test_a_frames_path_tells_its_time(seconds):
    assert tables.frame_seconds(tables.frame_path(seconds)) == seconds


def test_paths_of_frames_sort_by_time():
    times = [9.5, 10.0, 99.25, 100.0, 3601.0]
    assert sorted(map(tables.frame_path, reversed(times))) == [tables.frame_path(t) for t in times]


@pytest.mark.parametrize("path", [None, "", "image/0.png", "a.jpg", "my/video/00001.000.jpg", "video/0.jpg"])
def test_other_paths_are_stills(path):
    assert tables.frame_seconds(path) is None


def question(i, media):
    row = {name: "" for name in tables.OCR_SFT.schema.names} | {"scene_id": None, "space_id": None, "options": None}
    return row | {"question_id": f"q{i}", "objects": [], "media": media, "target": f"t{i}"}


@pytest.fixture
def written(tmp_path):
    """Seven rows in row groups of three; every third without media."""
    images = [[{"bytes": bytes([i, k]), "path": f"image/{k}.png"} for k in range(i % 3)] or None for i in range(7)]
    rows = [question(i, media) for i, media in enumerate(images)]
    with tables.Writer(tables.OCR_SFT, tmp_path / "a.parquet", tables.Lineage("test")) as writer:
        for start in range(0, 7, 3):
            writer.write(rows[start : start + 3])
    return tmp_path / "a.parquet", rows


def test_light_rows_lack_nothing_but_the_bytes(written):
    path, rows = written
    without = [row | {"media": row["media"] and [{"path": image["path"]} for image in row["media"]]} for row in rows]
    assert tables.read_light(tables.OCR_SFT, path) == without


def test_media_are_read_by_place_in_any_order(written):
    path, rows = written
    media = tables.MediaReader(tables.OCR_SFT, path)
    for place in (6, 0, 3, 2, 5, 1, 4, 4):
        assert media[place] == rows[place]["media"]
    for nowhere in (-1, 7):
        with pytest.raises(IndexError):
            media[nowhere]


def test_another_table_is_refused(written):
    with pytest.raises(tables.TableError, match="expected 'ocr_rl'"):
        tables.read_light(tables.OCR_RL, written[0])
    with pytest.raises(tables.TableError, match="expected 'ocr_rl'"):
        tables.MediaReader(tables.OCR_RL, written[0])
