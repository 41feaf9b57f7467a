"""The page, its gallery and the summary, from small tables; the results in them are invented."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from evaluation.small_world import CONFIG, LINEAGE, SCENES, frame_rows, map_rows, question_rows
from report.small_study import fabricate
from rollout3d import tables
from rollout3d.config import Config, read_runs
from rollout3d.geometry.masks import rle_encode
from rollout3d.report import gallery
from rollout3d.report.page import pivot, render, sample_questions
from rollout3d.report.study import Files, collect
from rollout3d.report.summary import summary
from rollout3d.stages import paper_table as table_stage
from rollout3d.stages import report as report_stage
from rollout3d.stages import summary as summary_stage

RUN_TABLE = str(Path(__file__).parents[2] / "config" / "runs.tsv")
CONFIG = Config.model_validate(
    CONFIG | {"preset": "demo", "results": "results/demo", "runs": {"table": RUN_TABLE, "max_steps": 6}}
)
RUNS = {name: run for name, run in read_runs(RUN_TABLE, CONFIG).items() if name in ("qwen3b", "sft", "ocr")}
LABELS = ("sofa", "lamp", "lamp", "wall")


def object_rows():
    return [
        {
            "scene_id": scene,
            "object_id": i,
            "label": label,
            "category": label,
            "perturbable": label != "wall",
            "centroid": [0.0] * 3,
            "axes_lengths": [1.0] * 3,
            "normalized_axes": np.eye(3).ravel().tolist(),
            "aabb_min": [0.0] * 3,
            "aabb_max": [1.0] * 3,
            "n_points": 3,
        }
        for scene in SCENES
        for i, label in enumerate(LABELS)
    ]


def region_rows():
    """Object i covers rows 14 i to 14 i + 9 of every frame."""
    rows = []
    for scene in SCENES:
        for frame in (0, 3, 6, 9):
            for i in range(len(LABELS)):
                mask = np.zeros((56, 56), bool)
                mask[14 * i : 14 * i + 10] = True
                rows.append(
                    {
                        "scene_id": scene,
                        "frame_index": frame,
                        "object_id": i,
                        "n_visible": int(mask.sum()),
                        "box": [0, 14 * i, 55, 14 * i + 9],
                        "mask": rle_encode(mask),
                    }
                )
    return rows


def scene_rows():
    return [
        {
            "scene_id": scene,
            "space_id": scene,
            "dataset": "scannet",
            "split": "train",
            "scene_type": None,
            "fps": 10.0,
            "n_frames": 10,
            "width": 56,
            "height": 56,
            "rotation_deg": 0,
            "to_aligned": np.eye(4).ravel().tolist(),
            "room_size_m2": 20.0,
            "room_center": None,
            "object_counts": [],
            "flags": [],
        }
        for scene in SCENES
    ]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A results directory, and its files by the report's arguments."""
    root = tmp_path_factory.mktemp("results")
    scenes = {}
    for name, table, rows in (
        ("scenes", tables.SCENES, scene_rows()),
        ("frames", tables.FRAMES, frame_rows()),
        ("objects", tables.OBJECTS, object_rows()),
        ("maps", tables.MAPS, map_rows()),
        ("regions.aabb_none", tables.REGIONS, region_rows()),
    ):
        path = root / "scenes" / "scannet" / "0" / f"{name}.parquet"
        tables.write(table, path, rows, LINEAGE)
        scenes[name.split(".")[0]] = [str(path)]
    train = root / "train" / "ocr_rl.parquet"
    tables.write(tables.OCR_RL, train, question_rows(), LINEAGE)
    files = fabricate(root, scenes, question_rows(), question_rows(), CONFIG, RUNS)
    return root, {**files, "train": str(train)}


def files_of(study, **changes):
    given = {name: value for name, value in study[1].items() if name != "predictions"}
    return Files(**(given | changes))


def picture(jpeg):
    return cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR).astype(int)


def test_perturbed_frames_differ_from_clean_ones_in_the_regions_of_the_named_objects_only(study):
    examples = collect(files_of(study), CONFIG).examples
    assert len(examples) >= 2 and examples[0].step == 0
    for e in examples:
        recorded = next(r["perturbed_objects"] for r in e.rollouts if r["perturbed_objects"])
        assert e.objects == tuple(LABELS[i] for i in recorded) and "wall" not in e.objects
        assert e.n_objects == 3 and len(e.objects) == int(3 * e.delta + 0.5)
        assert e.sigma == pytest.approx(128 * e.delta / 0.5)
        clean, noisy = picture(e.clean), picture(e.perturbed)
        scale = gallery.STRIP_HEIGHT / 56
        for i in range(len(LABELS)):
            # Rows well inside the region; JPEG smears over its border.
            rows = slice(round((14 * i + 3) * scale), round((14 * i + 7) * scale))
            changed = np.abs(clean[rows] - noisy[rows]).mean()
            assert bool(changed > 10) is (i in recorded), (e.step, i, changed)


def test_question_whose_recorded_objects_differ_is_left_out_with_a_warning(study, tmp_path, caplog):
    rows = tables.read(tables.ROLLOUTS, study[1]["rollouts"][0])
    wrong = [r | {"perturbed_objects": [0, 1, 2]} if r["perturbed_objects"] else r for r in rows]
    path = tmp_path / "ocr" / "rollouts.parquet"
    tables.write(tables.ROLLOUTS, path, wrong, LINEAGE)
    assert collect(files_of(study, rollouts=[str(path)]), CONFIG).examples == []
    assert "is not the recorded one" in caplog.text


class Tags(HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.open, self.links, self.text = [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_page_is_well_formed_needs_nothing_from_elsewhere_and_marks_its_preset(study):
    page = render(collect(files_of(study), CONFIG))
    tags = Tags(page)
    assert tags.open == []
    assert all(link.startswith(("#", "data:image/")) for link in tags.links) and "<script" not in page
    assert sum(link.startswith("data:image/") for link in tags.links) > 8
    text = " ".join(tags.text)
    for title in ("Table 1.", "Table 2.", "Table 3.", "Table 4.", "Table 5.", "Figure 3.")[1:5]:
        assert title in text
    assert "must not be compared with the paper" in text and "preset demo" in text
    assert "<think>I look for it.</think>" in text, "a model's text is shown, not interpreted"
    assert "random guess" in text and "black frames" in text


def test_sources_and_what_the_text_gives_away_are_shown(study, tmp_path):
    names = ("source", "question_type", "fate", "reason", "n")
    rows = [("spacer", "object_counting", "train", "", 70), ("spacer", "", "unusable", "missing field", 4)]
    rows += [("spacer", "object_counting", "dropped", "leak guard: its space is tested by vsibench", 1234)]
    tables.write(tables.SOURCES, tmp_path / "s.parquet", [dict(zip(names, row)) for row in rows], LINEAGE)
    names = ("question_type", "measure", "name", "value", "n")
    rows = [("route_planning", "score", "chance", 0.25, 40), ("route_planning", "score", "longest", 0.4, 40)]
    rows += [("route_planning", "score", "letter", 0.25, 40), ("route_planning", "answer", "Turn <Back>", 0.5, 20)]
    tables.write(tables.BIAS, tmp_path / "b.parquet", [dict(zip(names, row)) for row in rows], LINEAGE)
    page = render(
        collect(files_of(study, sources=str(tmp_path / "s.parquet"), bias=str(tmp_path / "b.parquet")), CONFIG)
    )
    text = " ".join(Tags(page).text)
    assert "1,234 leak guard: its space is tested by vsibench; 4 missing field" in text
    table = page[page.index('id="bias"') :].split("</table>")[0]
    assert '<td class="bad">40.0</td>' in table and table.count('class="bad"') == 1
    assert "Turn <Back> (50 %)" in text and "route planning" in text
    without = " ".join(Tags(render(collect(files_of(study), CONFIG))).text)
    assert "gives away" not in without and "come from" not in without


def test_page_of_the_papers_configuration_has_no_preset_banner(study):
    page = render(collect(files_of(study), CONFIG.model_copy(update={"preset": None})))
    assert 'class="banner"' not in page and "preset" not in page


def test_page_without_any_results_says_so():
    page = render(collect(Files(), CONFIG))
    text = " ".join(Tags(page).text)
    for line in ("Nothing was evaluated.", "Nothing was trained.", "No questions.", "No object-centric run"):
        assert line in text
    assert "not run" in text


def test_same_tables_give_the_same_page(study):
    assert render(collect(files_of(study), CONFIG)) == render(collect(files_of(study), CONFIG))


def test_samples_show_every_type_before_repeating_one():
    rows = [{"question_type": kind, "question_id": f"{kind}{i}"} for kind in ("b", "a", "c") for i in range(9)]
    drawn = sample_questions(rows, seed=0, n=7)
    kinds = [row["question_type"] for row in drawn]
    assert kinds == ["a", "b", "c", "a", "b", "c", "a"] and len({row["question_id"] for row in drawn}) == 7
    assert sample_questions(rows, 0) == sample_questions(rows, 0) != sample_questions(rows, 1)
    assert len(sample_questions(rows[:2], 0)) == 2


def test_notes_shared_by_all_our_rows_are_lifted_out_of_the_lines():
    def cell(row, ours, note):
        return {"row": row, "column": "Avg.", "paper": 1.0, "ours": ours, "n": 1, "note": note}

    columns, lines, common = pivot(
        [
            cell("x", 1.0, "run x; preset demo"),
            cell("y", 2.0, "run y; preset demo"),
            cell("z", None, "run z; not run"),
        ]
    )
    assert columns == ["Avg."] and common == ["preset demo"]
    assert [line["notes"] for line in lines] == [["run x"], ["run y"], ["run z", "not run"]]
    assert [line["ours"] for line in lines] == [True, True, False]


def test_stages_write_tables_page_and_summary(study, tmp_path, capsys):
    root, files = study
    config = ["--config", CONFIG.model_dump_json()]
    made = []
    for name in ("table1", "table2", "figure3"):
        out = root / "report" / f"{name}.parquet"
        questions = {"figure3": [files["train"], files["sft"]], "table1": [files["train"]]}.get(name, [])
        scores = files["scores"] if name == "table2" else []
        predictions = files["predictions"] if name == "table1" else []
        given = ["--scores", *scores, "--predictions", *predictions, "--questions", *questions]
        table_stage.main([*config, "--table", name, *given, "--out", str(out)])
        made.append(str(out))
    rows = {name: tables.read(tables.REPORT, path) for name, path in zip(("table1", "table2", "figure3"), made)}
    assert next(r for r in rows["table1"] if r["column"] == "Acc.")["n"] == 6
    assert next(r for r in rows["table2"] if r["row"] == "Ours")["note"] == (
        "run ocr; benchmark synthetic; preset demo; scorer tagged; 32 frames uniform; at most 200704 px; "
        "think_video_r1; temperature 0; 1024 tokens; vllm"
    )
    assert sum(r["ours"] for r in rows["figure3"] if r["column"] == "OCR-RL") == 6
    assert set(tables.lineage(made[0])["parents"]) == {"predictions", "questions", "reference", "runs"}

    page = root / "report" / "index.html"
    arguments = ["--tables", *made, "--out", str(page)]
    for name, value in files.items():
        if name != "predictions":
            arguments += [f"--{name}", *([value] if isinstance(value, str) else value)]
    report_stage.main([*config, *arguments])
    assert "Figure 3." in page.read_text() and [p.name for p in page.parent.glob(".*")] == []
    capsys.readouterr()
    summary_stage.main(["--results", str(root)])
    text = capsys.readouterr().out
    assert "3 scans (scannet 3), 12 objects, 30 frames" in text
    assert "6 to train on" in text and "training: ocr 6 steps, sft 30 steps" in text
    assert str(page) in text


def test_summary_puts_every_run_beside_its_baselines(study):
    lines = summary(study[0]).splitlines()
    start = next(i for i, line in enumerate(lines) if "scores on synthetic" in line)
    assert lines[start + 1].split() == ["run", "video", "black", "random", "frequent", "questions"]
    for run, line in zip(("ocr", "qwen3b", "sft"), lines[start + 2 :]):
        rows = tables.read(tables.SCORES, study[0] / "eval" / run / "synthetic" / "scores.parquet")
        score = {r["view"]: r["score"] for r in rows if r["task"] == "overall"}
        expected = [f"{score[view]:.1f}" for view in ("video", "black", "random", "frequent")]
        assert line.split() == [run, *expected, "6"]
    shared = "32 frames uniform, at most 200704 px, {}, temperature 0, {} tokens, vllm"
    assert [line.strip() for line in lines[start + 5 : start + 7]] == [
        f"settings of ocr, sft: scorer tagged, {shared.format('think_video_r1', 1024)}",
        f"settings of qwen3b: scorer vsibench, {shared.format('direct', 16)}",
    ]


def test_summary_of_nothing_is_empty(tmp_path):
    assert summary(tmp_path) == ""


def test_strip_keeps_order_and_enlarges_small_frames():
    frames = np.stack([np.full((28, 28, 3), 40 * i, np.uint8) for i in range(6)])
    image = picture(gallery.strip(frames, 3))
    assert image.shape[0] == gallery.STRIP_HEIGHT
    cell = gallery.STRIP_HEIGHT
    assert [round(image[90, 90 + k * (cell + 4)].mean() / 40) for k in range(3)] == [0, 2, 5]
    assert re.match(rb"\xff\xd8", gallery.strip(frames, 3))
