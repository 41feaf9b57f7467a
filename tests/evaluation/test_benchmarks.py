"""Released files to questions and frames, on small genuine files."""

from __future__ import annotations

import json
import struct

import av
import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evaluation.eval_rows import question
from rollout3d import tables
from rollout3d.config import Config
from rollout3d.evaluation.benchmarks import BENCHMARKS, BenchmarkError, get, vsibench
from rollout3d.evaluation.benchmarks.vsibench import sample_video
from rollout3d.releases import MissingData

ROWS = [
    {
        "id": 7,
        "dataset": "scannet",
        "scene_name": "scene0207_02",
        "question_type": "object_counting",
        "question": "How many table(s) are in this room?",
        "ground_truth": "4",
        "options": None,
    },
    {
        "id": 3,
        "dataset": "arkitscenes",
        "scene_name": "41069025",
        "question_type": "object_rel_direction_easy",
        "question": "If I am standing by the stove and facing the tv, is the sofa to the left or the right of the tv?",
        "ground_truth": "B",
        "options": ["A. left", "B. right"],
    },
]


def write_video(path, n=12, width=96, height=64, level=lambda i: 20 * i, corner=False):
    """MPEG-4 in MP4; frame i is grey level(i), or black with a white top left corner."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.bit_rate = 4_000_000
        for i in range(n):
            picture = np.full((height, width, 3), 0 if corner else level(i), np.uint8)
            if corner:
                picture[: height // 2, : width // 2] = 255
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode())


def patch(path, box, offset, data):
    """Overwrite bytes of an MP4 box's body."""
    content = bytearray(path.read_bytes())
    at = content.index(box) + 4 + offset
    content[at : at + len(data)] = data
    path.write_bytes(bytes(content))


@pytest.fixture()
def release(tmp_path):
    root = tmp_path / "vsibench"
    root.mkdir()
    (root / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    write_video(root / "scannet/scene0207_02.mp4")
    write_video(root / "arkitscenes/41069025.mp4", n=3)
    return root


def config(root, **video):
    video = {"eval_frames": 4, "min_pixels": 784, "train_max_pixels": 3136, "eval_max_pixels": 3136} | video
    return Config.model_validate({"video": video, "site": {"benchmarks": {"vsibench": str(root)}}})


def prepare(root, **video):
    return get("vsibench").prepare(config(root, **video), None, ())


def test_vsibench_rows_become_questions_in_the_order_of_their_ids(release, tmp_path):
    rows = prepare(release).questions
    assert [row["scene_id"] for row in rows] == ["41069025", "scene0207_02"]
    choice, number = rows
    assert (choice["answer_type"], choice["options"], choice["ground_truth"]) == (
        "choice",
        ["A. left", "B. right"],
        "B",
    )
    assert (number["answer_type"], number["options"], number["ground_truth"]) == ("number", None, "4")
    assert (number["space_id"], choice["space_id"]) == ("scene0207", "41069025")
    assert json.loads(number["evidence"]) == {"id": 7, "pruned": None}
    tables.write(tables.QUESTIONS, tmp_path / "q.parquet", rows, tables.Lineage("test"))


def test_parquet_halves_give_the_same_questions_as_the_json_lines(release):
    whole = prepare(release).questions
    (release / "test.jsonl").unlink()
    for name, part in (("debiased", ROWS[:1]), ("pruned", ROWS[1:])):
        part = [row | {"pruned": name == "pruned"} for row in part]
        pq.write_table(pa.Table.from_pylist(part), release / f"test_{name}.parquet")
    halves = prepare(release).questions
    assert [row["question_id"] for row in halves] == [row["question_id"] for row in whole]
    assert [json.loads(row["evidence"])["pruned"] for row in halves] == [True, False]
    pruned = release / "test_pruned.parquet"
    pruned.write_bytes(pruned.read_bytes()[:-5])
    with pytest.raises(BenchmarkError, match=f"^{pruned}: not a readable Parquet file .*; download it again$"):
        vsibench.read_rows(pruned)
    pruned.unlink()
    with pytest.raises(BenchmarkError, match=r"only half of VSI-Bench, test_debiased\.parquet"):
        prepare(release)


def test_equal_questions_with_different_ids_are_both_asked(release):
    twice = [*ROWS, ROWS[0] | {"id": 99}]
    (release / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in twice))
    ids = [row["question_id"] for row in prepare(release).questions]
    assert len(set(ids)) == 3


def test_frames_are_spread_evenly_and_stored_at_the_evaluation_size(release, tmp_path):
    frames = list(prepare(release).frames)
    of = {scene: [f for f in frames if f["scene_id"] == scene] for scene in ("scene0207_02", "41069025")}
    assert [f["frame_index"] for f in of["scene0207_02"]] == [0, 4, 7, 11]  # round(linspace(0, 11, 4))
    assert [f["frame_index"] for f in of["41069025"]] == [0, 1, 2], "a short video gives each frame once"
    assert [f["timestamp_s"] for f in of["scene0207_02"]] == pytest.approx([0, 0.4, 0.7, 1.1])
    for f in of["scene0207_02"]:
        picture = cv2.imdecode(np.frombuffer(f["image"]["bytes"], np.uint8), cv2.IMREAD_COLOR)
        # 64x96 within 3136 pixels: both sides shrunk by sqrt(6144/3136) = 1.4 to 45.7 and 68.6, down to 28 and 56.
        assert picture.shape[:2] == (f["height"], f["width"]) == (28, 56)
        assert abs(picture.mean() - 20 * f["frame_index"]) < 6
        assert f["K"] is None and f["pose"] is None and f["sets"] == ["eval4"]
    tables.write(tables.FRAMES, tmp_path / "f.parquet", frames, tables.Lineage("test"))


def test_rotation_stated_by_the_container_makes_frames_upright(tmp_path):
    path = tmp_path / "turned.mp4"
    write_video(path, n=2, corner=True)
    _, _, stored = next(sample_video(path, 1))
    assert stored.shape == (64, 96, 3) and stored[8, 8].min() > 200
    # Display matrix of "turn a quarter clockwise": x' = -y + 64, y' = x.
    patch(path, b"tkhd", 40, struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 64 << 16, 0, 1 << 30))
    _, _, upright = next(sample_video(path, 1))
    assert upright.shape == (96, 64, 3)
    assert upright[8, -8].min() > 200 and upright[8, 8].max() < 50 and upright[-8, -8].max() < 50


def test_indices_count_the_frames_that_decode_not_those_that_the_container_states(tmp_path):
    path = tmp_path / "cut.mp4"
    write_video(path)
    patch(path, b"elst", 12, struct.pack(">i", 4096))  # the edit list starts at frame 4 of 12
    with av.open(str(path)) as container:
        assert container.streams.video[0].frames == 12
    got = list(sample_video(path, 2))
    assert [index for index, _, _ in got] == [0, 7]
    assert [seconds for _, seconds, _ in got] == pytest.approx([0, 0.7])
    assert abs(got[0][2].mean() - 80) < 6 and abs(got[1][2].mean() - 220) < 6


def test_missing_videos_are_counted_and_named(release):
    (release / "scannet/scene0207_02.mp4").unlink()
    with pytest.raises(BenchmarkError, match=r"1 of 2 videos are missing, such as .*scannet/scene0207_02\.mp4"):
        prepare(release)


def test_missing_or_foreign_files_say_what_to_do(release, tmp_path):
    with pytest.raises(MissingData, match=r"site\.benchmarks\.vsibench"):
        prepare(tmp_path / "nowhere")
    (release / "test.jsonl").write_text('{"id": 1, "question": "?"}\n')
    with pytest.raises(BenchmarkError, match="without the columns dataset, scene_name"):
        prepare(release)
    (release / "test.jsonl").write_text(json.dumps(ROWS[0] | {"question_type": "smell"}) + "\n")
    with pytest.raises(BenchmarkError, match="unknown dataset 'scannet' or question type 'smell'"):
        prepare(release)
    (release / "test.jsonl").unlink()
    with pytest.raises(BenchmarkError, match="no VSI-Bench questions"):
        prepare(release)


def test_a_letter_without_options_is_no_number(release):
    rows = [ROWS[0], ROWS[1] | {"options": None}]
    (release / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(BenchmarkError, match=r"test\.jsonl: row 3 has no options, and its answer 'B' is no number"):
        prepare(release)


def test_file_that_is_no_video_is_named(release):
    (release / "scannet/scene0207_02.mp4").write_bytes(b"not a video")
    with pytest.raises(BenchmarkError, match=r"scene0207_02\.mp4: not a readable video"):
        list(prepare(release).frames)


def test_unknown_benchmark_lists_the_known_ones():
    with pytest.raises(BenchmarkError, match="one of synthetic, vsibench"):
        get("stibench")
    assert set(BENCHMARKS) == {"vsibench", "synthetic"}


def frame(scene, index, sets):
    return {
        "scene_id": scene,
        "frame_index": index,
        "timestamp_s": index / 10,
        "sets": sets,
        "image": {"bytes": b"x", "path": "x.jpg"},
        "width": 28,
        "height": 28,
        "source_width": 28,
        "source_height": 28,
        "K": None,
        "pose": None,
    }


def test_synthetic_benchmark_takes_the_evaluation_frames_of_its_scenes_only(tmp_path):
    asked = [question("q1", "object_counting", "2", scene_id="b"), question("q2", "object_counting", "3", scene_id="a")]
    tables.write(tables.QUESTIONS, tmp_path / "test.parquet", asked, tables.Lineage("test"))
    rows = [frame(s, i, ["eval32", "train16"] if i % 2 else ["train16"]) for s in ("b", "c", "a") for i in range(4)]
    tables.write(tables.FRAMES, tmp_path / "frames.parquet", rows, tables.Lineage("test"))
    prepared = get("synthetic").prepare(Config(), tmp_path / "test.parquet", [tmp_path / "frames.parquet"])
    assert prepared.questions == asked
    assert [(f["scene_id"], f["frame_index"]) for f in prepared.frames] == [("a", 1), ("a", 3), ("b", 1), ("b", 3)]


def test_synthetic_benchmark_refuses_scenes_without_frames(tmp_path):
    asked = [question("q1", "object_counting", "2", scene_id="lost")]
    tables.write(tables.QUESTIONS, tmp_path / "test.parquet", asked, tables.Lineage("test"))
    tables.write(tables.FRAMES, tmp_path / "frames.parquet", [frame("b", 0, ["eval32"])], tables.Lineage("test"))
    with pytest.raises(BenchmarkError, match="1 test scenes are in none of the frame tables, such as lost"):
        get("synthetic").prepare(Config(), tmp_path / "test.parquet", [tmp_path / "frames.parquet"])
    with pytest.raises(BenchmarkError, match="needs --questions"):
        get("synthetic").prepare(Config(), None, [])
