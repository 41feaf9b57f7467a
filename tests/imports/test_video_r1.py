"""Video-R1's cold start: records to rows, what is left out, and the stage."""

import json

import cv2
import numpy as np
import pytest

from fixed import fixed
from rollout3d import tables
from rollout3d.config import Config
from rollout3d.config.sections import External
from rollout3d.imports import release as whole
from rollout3d.imports import video_r1
from rollout3d.imports.records import ExternalError
from rollout3d.imports.release import Import
from rollout3d.stages import import_cot as stage
from scenes import mini

SMALL = {"video": {"train_frames": 4, "train_max_pixels": 56 * 84, "train_min_pixels": 784, "min_pixels": 784}}
LINEAGE = tables.Lineage("test")


def record(number=0, **changes):
    values = {
        "problem_id": number,
        "problem": "What is shown?",
        "data_type": "image",
        "problem_type": "multiple choice",
        "options": ["A. a chair", "B. a table"],
        "process": "<think>\nLegs and a top.\n</think>",
        "solution": "<answer>B</answer>",
        "path": "./General/still.png",
        "data_source": "General",
        "reward": 1.0,
        "select": True,
    }
    return values | changes


@pytest.fixture
def release(tmp_path):
    """A folder with a picture, a video, and a function that writes the JSON beside them."""
    root = tmp_path / "release"
    (root / "General").mkdir(parents=True)
    cv2.imwrite(str(root / "General" / "still.png"), np.full((60, 60, 3), 99, np.uint8))
    (root / "General" / "broken.png").write_bytes(b"nothing")
    mini.write_video(root / "CLEVRER" / "v.mp4", [np.full((56, 84, 3), 20 * i, np.uint8) for i in range(8)], rate=4)

    def write(rows):
        path = root / "Video-R1-COT-165k.json"
        path.write_text(json.dumps(rows))
        return path

    return write


def imported(path, tmp_path, threads=1, share=1.0, name="out"):
    config = Config.model_validate(SMALL)
    out, dropped = tmp_path / f"{name}.parquet", tmp_path / f"{name}_dropped.parquet"
    with fixed(External, max_share_dropped=share):
        counts = video_r1.import_cot(path, Import(out, dropped, config, LINEAGE, threads))
    rows, left_out = tables.read(tables.OCR_SFT, out), tables.read(tables.QUESTIONS_DROPPED, dropped)
    assert counts == (len(rows), len(left_out))
    return rows, left_out


def test_a_picture_record_becomes_a_sample(release, tmp_path):
    (row,), left_out = imported(release([record(7)]), tmp_path)
    assert not left_out
    assert (row["answer_type"], row["ground_truth"], row["options"]) == ("choice", "B", ["A. a chair", "B. a table"])
    assert row["think"] == "Legs and a top."
    assert row["target"] == "<think>\nLegs and a top.\n</think>\n<answer>B</answer>"
    assert (row["dataset"], row["source"], row["split"]) == ("video_r1_cot", "Video-R1-COT-165k.json", "train")
    assert row["scene_id"] is None and row["space_id"] is None and row["objects"] == []
    evidence = {"problem_id": 7, "data_source": "General", "path": "./General/still.png"}
    assert json.loads(row["evidence"]) == evidence
    still = (tmp_path / "release" / "General" / "still.png").read_bytes()
    assert row["media"] == [{"bytes": still, "path": "image/0.png"}]


def test_question_and_reasoning_are_learnt_as_given(release, tmp_path):
    """Video-R1's script joins the fields as they are, and puts "Options:" straight behind the question."""
    given = {"problem": " What is shown?\n", "process": "<think>Legs.</think> ", "solution": "<answer>B</answer>\n"}
    (row,), _ = imported(release([record(**given)]), tmp_path)
    assert (row["question"], row["think"]) == (" What is shown?\n", "Legs.")
    assert row["target"] == "<think>Legs.</think> \n<answer>B</answer>\n"


def test_a_video_record_brings_the_frames_of_one_video(release, tmp_path):
    asked = record(problem_type="numerical", data_type="video", path="CLEVRER/v.mp4", solution="<answer>1,200</answer>")
    (row,), _ = imported(release([asked]), tmp_path)
    assert (row["answer_type"], row["ground_truth"], row["options"]) == ("number", "1200", None)
    assert row["target"].endswith("<answer>1,200</answer>"), "what is learnt stays as given"
    assert [tables.frame_seconds(image["path"]) for image in row["media"]] == pytest.approx([0, 0.5, 1.25, 1.75])


@pytest.mark.parametrize(
    ("kind", "solution", "answer_type", "truth"),
    [
        ("multiple choice", "<answer> a. </answer>", "choice", "A"),
        ("numerical", "<answer>42</answer>", "number", "42"),
        ("numerical", "<answer>1,200 cm</answer>", "number", "1200"),
        ("regression", "<answer>-3.5</answer>", "regression", "-3.5"),
        ("regression", "<answer>\u22123.5</answer>", "regression", "-3.5"),
        ("OCR", "<answer>Main Street, 5</answer>", "ocr", "Main Street, 5"),
        ("free-form", "<answer>She opens\nthe door</answer>", "text", "She opens\nthe door"),
    ],
)
def test_every_type_of_answer_is_mapped(release, tmp_path, kind, solution, answer_type, truth):
    (row,), _ = imported(release([record(problem_type=kind, solution=solution)]), tmp_path)
    assert (row["question_type"], row["answer_type"], row["ground_truth"]) == (kind, answer_type, truth)
    assert (row["options"] is None) == (kind != "multiple choice")


BAD = {
    "missing file": {"path": "General/gone.png"},
    "path outside the release": {"path": "../elsewhere.png"},
    "undecodable picture": {"path": "General/broken.png"},
    "undecodable video": {"path": "General/broken.png", "data_type": "video"},
    "unknown data_type": {"data_type": "audio"},
    "unknown problem_type": {"problem_type": "poem"},
    "malformed answer: 'left' is no letter": {"solution": "<answer>left</answer>"},
    "malformed answer: 'C' is no letter": {"solution": "<answer>C</answer>"},
    "ambiguous answer: '2,5' is not one number": {"problem_type": "numerical", "solution": "<answer>2,5</answer>"},
    "malformed answer: 'many' is no number": {"problem_type": "numerical", "solution": "<answer>many</answer>"},
    "malformed reasoning or answer: B": {"solution": "B"},
    "malformed reasoning or answer: <answer> </answer>": {"solution": "<answer> </answer>"},
    "malformed reasoning or answer: I think": {"process": "I think B."},
    "malformed options": {"options": "A or B"},
    "malformed record": {"options": ["A. \ud83d", "B. b"]},
    "missing field: process": {"process": None},
    "missing field: problem": {"problem": ""},
    "not selected": {"select": False},
}


def test_what_cannot_be_used_is_kept_with_its_reason_and_the_rest_in_file_order(release, tmp_path):
    rows = [record(0), *(record(10 + i, **changes) for i, changes in enumerate(BAD.values())), record(1), record(2)]
    rows.append(record(1))  # the same again
    kept, left_out = imported(release(rows), tmp_path)
    assert [json.loads(row["evidence"])["problem_id"] for row in kept] == [0, 1, 2]
    assert [row["question_id"] for row in left_out] == [f"video_r1_cot/{10 + i}" for i in range(len(BAD))] + [
        "video_r1_cot/1"
    ]
    for row, reason in zip(left_out, [*BAD, "listed twice"]):
        assert row["reason"].startswith(reason)
    assert [row["file"] for row in left_out[:4]] == ["General/gone.png", "", "General/broken.png", "General/broken.png"]


def test_the_same_words_about_different_files_are_different_questions(release, tmp_path):
    (tmp_path / "release" / "General" / "other.png").write_bytes(
        (tmp_path / "release" / "General" / "still.png").read_bytes()
    )
    kept, _ = imported(release([record(1), record(2, path="General/other.png")]), tmp_path)
    assert len({row["question_id"] for row in kept}) == 2


def test_threads_change_no_byte_and_rows_stand_in_small_groups(release, tmp_path, monkeypatch):
    import pyarrow.parquet as pq

    monkeypatch.setattr(whole, "GROUP", 4)
    videos = {"data_type": "video", "path": "CLEVRER/v.mp4"}
    path = release([record(i, **(videos if i % 2 else {})) for i in range(10)])
    imported(path, tmp_path, threads=1, name="one")
    imported(path, tmp_path, threads=3, name="three")
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "three.parquet").read_bytes()
    groups = pq.ParquetFile(tmp_path / "one.parquet").metadata
    assert [groups.row_group(i).num_rows for i in range(groups.num_row_groups)] == [4, 4, 2]


def test_too_many_missing_files_stop_before_anything_is_decoded(release, tmp_path, monkeypatch):
    monkeypatch.setattr(whole, "picture", lambda *_: pytest.fail("decoded"))
    path = release([record(i, path=f"General/{i}.png") for i in range(3)] + [record(9)])
    with pytest.raises(ExternalError, match=r"3 of 4 records .*0\.2.*missing file: General/0\.png.*unpack"):
        imported(path, tmp_path, share=0.2)
    assert not list(tmp_path.glob("*.parquet"))


def test_too_many_undecodable_files_leave_no_table(release, tmp_path):
    path = release([record(i, path="General/broken.png") for i in range(2)] + [record(9)])
    with pytest.raises(ExternalError, match="2 of 3 records"):
        imported(path, tmp_path, share=0.5)
    assert not list(tmp_path.glob("*.parquet")) and not list(tmp_path.glob(".*.tmp"))


def test_a_file_without_one_usable_record_is_refused(release, tmp_path):
    with pytest.raises(ExternalError, match="none of its 2 records"):
        imported(release([record(0, select=False), record(1, select=False)]), tmp_path)


def run_stage(monkeypatch, tmp_path, files):
    monkeypatch.setenv("ROLLOUT3D_SITE", json.dumps({"external": files}))
    out = [str(tmp_path / name) for name in ("a.parquet", "b.parquet")]
    raw = str(tmp_path / "raw.parquet")
    stage.main(["--config", json.dumps(SMALL), "--out", out[0], "--dropped", out[1], "--threads", "2", "--raw", raw])
    return out


def test_the_stage_writes_both_tables_with_their_origin(release, tmp_path, monkeypatch):
    path = release([record(0)])
    out, dropped = run_stage(monkeypatch, tmp_path, {"video_r1_cot": str(path)})
    assert len(tables.read(tables.OCR_SFT, out)) == 1 and tables.read(tables.QUESTIONS_DROPPED, dropped) == []
    about = tables.lineage(out)
    assert about["stage"] == "import_cot"
    files = [("Video-R1-COT-165k.json", path), ("General/still.png", path.parent / "General" / "still.png")]
    listed = [["external.video_r1_cot", name, file.stat().st_size] for name, file in sorted(files)]
    file = tables.digest([tables.digest(path.read_bytes())])
    assert about["parents"] == {"file": file, "raw": tables.digest(listed)}
    rows = tables.read(tables.RAW_FILES, tmp_path / "raw.parquet")
    assert [[row["root"], row["path"], row["n_bytes"]] for row in rows if row["kind"] == "file"] == listed


@pytest.mark.parametrize("files", [{}, {"video_r1_cot": "/nowhere/Video-R1-COT-165k.json"}])
def test_without_the_file_the_stage_says_key_file_and_source(tmp_path, monkeypatch, capsys, files):
    with pytest.raises(SystemExit):
        run_stage(monkeypatch, tmp_path, files)
    said = capsys.readouterr().err
    for expected in ("site.external.video_r1_cot", "Video-R1-COT-165k.json", "Video-R1/Video-R1-data", "local.yaml"):
        assert expected in said
    assert ("not configured" in said) == (not files) and said.count("error:") == 1


def test_a_damaged_file_is_one_message(release, tmp_path, monkeypatch, capsys):
    path = release([record(0)])
    path.write_text(path.read_text()[:-9])
    with pytest.raises(SystemExit):
        run_stage(monkeypatch, tmp_path, {"video_r1_cot": str(path)})
    assert "download it again" in capsys.readouterr().err
