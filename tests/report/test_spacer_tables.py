"""Tables of SpaceR and Spatial-R1 from small scores and answers made by hand."""

import pytest

from evaluation.eval_rows import DIRECT, prediction, question
from report.test_report_tables import RUN_TABLE, cell, score
from rollout3d import doors, tables
from rollout3d.config import Config, read_runs
from rollout3d.report import lines
from rollout3d.report.study import Files, collect, shown_tables
from rollout3d.report.tables import TABLES, build, read_references

SPACER = [name for name in TABLES if doors.paper_of(name) == "spacer"]
SPATIAL_R1 = [name for name in TABLES if doors.paper_of(name) == "spatial_r1"]
REFERENCE = read_references()


def run_named(*names):
    """The run ocr of the committed table, reported in other tables."""
    ocr = read_runs(RUN_TABLE, Config())["ocr"]
    return {"spacer": ocr.model_copy(update={"run": "spacer", "tables": list(names)})}


def test_each_table_and_figure_of_both_papers_is_a_target():
    figures = {f"spacer_figure{n}" for n in ("2", "3", "3a", "6", "7")}
    assert {f"spacer_table{n}" for n in range(1, 7)} | figures | {"spacer_scannet"} == {*SPACER}
    assert SPATIAL_R1 == ["spatial_r1_table1"]
    assert all(lines.TITLES[name].startswith(("SpaceR, ", "Spatial-R1, ")) for name in SPACER + SPATIAL_R1)


@pytest.mark.parametrize("table", SPACER + SPATIAL_R1)
def test_without_results_every_cell_says_so(table, tmp_path):
    cells = build(table, REFERENCE)
    assert cells and all(c["ours"] is None and c["n"] is None for c in cells)
    assert all("not run" in c["note"] or "not part of this study" in c["note"] for c in cells)
    tables.write(tables.REPORT, tmp_path / "t.parquet", cells, tables.Lineage("test"))
    printed = [row for row in REFERENCE if row["table"] == table and row["value"]]
    assert sorted((c["row"], c["column"], c["paper"]) for c in cells if c["paper"] is not None) == sorted(
        (row["row"], row["column"], float(row["value"])) for row in printed
    )


def test_table_1_has_ours_on_vsi_bench_and_the_papers_numbers_elsewhere():
    cells = build("spacer_table1", REFERENCE, scores=[score("spacer", 44.0, n=5130)])
    ours = cell(cells, "SpaceR SG-RLVR", "VSI-Bench")
    assert (ours["paper"], ours["ours"], ours["n"], ours["note"]) == (45.6, 44.0, 5130, "run spacer")
    elsewhere = cell(cells, "SpaceR SG-RLVR", "STI-Bench")
    assert (elsewhere["paper"], elsewhere["ours"]) == (37.0, None) and "not run on this benchmark" in elsewhere["note"]
    assert "not run" in cell(cells, "Qwen2.5-VL-7B-Instruct", "VSI-Bench")["note"]
    assert cell(cells, "GPT-4o", "Video-MME")["paper"] == 71.9
    assert not [c for c in cells if c["column"] == "Avg."]
    sheet = lines.paper_sheet("spacer_table1", cells)
    (line,) = (line for group in sheet.groups for line in group.lines if line.name == "SpaceR SG-RLVR")
    assert not any("not run" in note for note in line.notes)


def test_table_1_has_ours_on_all_six_benchmarks_where_they_were_evaluated():
    """Video understanding is answered directly (Section 5.1), so its columns are those of another run."""
    own = {"sti_bench": 37.5, "spar_bench": 36.0, "video_mme": 57.0, "temp_compass": 70.0, "long_video_bench": 54.0}
    scores = [score("spacer", 44.0, n=5130)]
    for name, value in own.items():
        about = {"benchmark": name, "scorer": name, "settings": f"how on {name}"}
        answered = {"spacer": value, "spacer_direct": value + 1}
        scores += [score(run, number) | about for run, number in answered.items()]
    scores.append(score("spacer", 38.0, "SR_sub") | {"benchmark": "sti_bench", "scorer": "sti_bench"})
    scores.append(score("spacer", 39.0, "mean of tasks") | {"benchmark": "sti_bench", "scorer": "sti_bench"})
    cells = build("spacer_table1", REFERENCE, scores=scores)
    columns = ("VSI-Bench", "STI-Bench", "STI-Bench SR_sub", "SPAR-Bench", "Video-MME", "TempCompass", "LongVideoBench")
    found = [cell(cells, "SpaceR SG-RLVR", column)["ours"] for column in columns]
    assert found == [44.0, 37.5, 38.0, 36.0, 58.0, 71.0, 55.0]
    assert "run spacer_direct" in cell(cells, "SpaceR SG-RLVR", "Video-MME")["note"]
    assert "how on sti_bench" in cell(cells, "SpaceR SG-RLVR", "STI-Bench")["note"]
    assert "how on" not in cell(cells, "SpaceR SG-RLVR", "VSI-Bench")["note"]
    assert "not run on this benchmark" in cell(cells, "SpaceR SG-RLVR", "SPAR-Bench single-view")["note"]
    assert not {c["column"] for c in cells} & {"Avg.", "mean of tasks"}
    first = build("spacer_table1", REFERENCE, scores=scores[1:])
    assert cell(first, "SpaceR SG-RLVR", "VSI-Bench")["ours"] is None, (
        "another benchmark stands in no column of VSI-Bench"
    )


def test_ablation_and_map_sizes_stand_beside_their_runs():
    scores = [score("spacer_no_map", 40.0), score("spacer", 45.0)]
    cells = build("spacer_table2", REFERENCE, scores=scores)
    assert [cell(cells, row, "VSI-Bench")["ours"] for row in ("w/o-map imagination", "SpaceR SG-RLVR")] == [40.0, 45.0]
    scores = [score("spacer_map5", 41.0), score("spacer_map5", 30.0, "object_counting")]
    cells = build("spacer_table6", REFERENCE, scores=scores)
    assert cell(cells, "5 x 5")["ours"] == 41.0 and cell(cells, "5 x 5", "Obj. Count")["ours"] == 30.0
    assert cell(cells, "5 x 5", "Obj. Count")["paper"] == 52.5
    assert "no questions of this task" in cell(cells, "5 x 5", "Room Size")["note"]
    accuracy = cell(cells, "5 x 5", "Map accuracy")
    assert (accuracy["paper"], accuracy["ours"]) == (53.7, None)


def test_table_3_gives_the_mean_tokens_of_thoughts_and_none_for_direct_answers():
    answers = [
        prediction("a", 1.0, model="spacer", text="<think>12345678</think><answer>9", n_tokens=100),  # 25
        prediction("b", 1.0, model="spacer", text="<think>123</think>", n_tokens=36),  # 6
        prediction("a", 1.0, "black32", model="spacer", text="<think>123", n_tokens=999),
        prediction("a", 1.0, model="spacer_direct", text="A", n_tokens=2, **DIRECT),
    ]
    scores = [score("spacer", 45.0), score("spacer_direct", 44.0)]
    cells = build("spacer_table3", REFERENCE, scores=scores, answers=answers)
    tokens = cell(cells, "SpaceR SG-RLVR, think", "Tokens (spatial)")
    assert (tokens["ours"], tokens["n"], tokens["paper"]) == (15.5, 2, 345.6)
    direct = cell(cells, "SpaceR SG-RLVR, non-think", "Tokens (spatial)")
    assert (direct["ours"], direct["paper"]) == (None, None)
    assert cell(cells, "SpaceR SG-RLVR, non-think", "VSI-Bench")["ours"] == 44.0
    assert cell(cells, "SpaceR SG-RLVR, think", "Tokens (video)")["ours"] is None


def test_a_model_asked_in_table_3_is_the_one_that_its_row_names():
    scores = [score("qwen7b", 30.0)]
    cells = build("spacer_table3", REFERENCE, scores=scores, models={"qwen7b": "small model (x)"})
    assert cell(cells, "Qwen2.5-VL-7B-Instruct, non-think", "VSI-Bench")["ours"] is None
    assert cell(cells, "qwen7b: small model (x)", "VSI-Bench")["ours"] == 30.0
    cells = build("spacer_table3", REFERENCE, scores=scores, models={"qwen7b": "Qwen/Qwen2.5-VL-7B-Instruct"})
    assert cell(cells, "Qwen2.5-VL-7B-Instruct, non-think", "VSI-Bench")["ours"] == 30.0


def test_table_4_counts_spatial_words_per_answer():
    answers = [
        prediction("a", 1.0, model="spacer", text="<think>near the sofa, behind it</think> <answer>A</answer>"),
        prediction("b", 1.0, model="spacer", text="<think>far</think> <answer>left</answer>"),
        prediction("c", 1.0, model="spacer", text="A"),
        prediction("a", 1.0, model="qwen7b", text="A", **DIRECT),
    ]
    cells = build("spacer_table4", REFERENCE, scores=[score("spacer", 45.0)], answers=answers)
    words = cell(cells, "SpaceR", "VSI-Bench words")
    assert (words["ours"], words["n"], words["paper"]) == (pytest.approx(4 / 3), 3, 8.7)
    assert cell(cells, "Qwen2.5-VL-7B-Instruct", "VSI-Bench words")["ours"] == 0.0
    assert cell(cells, "SpaceR", "VSI-Bench")["ours"] == 45.0
    assert cell(cells, "SpaceR-1000 iters", "VSI-Bench")["note"] == "run spacer_1000; not run"


def test_gains_by_dataset_are_differences_of_averages_on_the_same_questions():
    asked = [
        question("a", "object_rel_distance", "A", 4),
        question("b", "object_counting", "4"),
        question("c", "object_rel_distance", "A", 4, dataset="arkitscenes"),
    ]
    values = {"spacer": (1.0, 0.5, 1.0), "qwen7b": (0.0, 0.1, 1.0)}
    answers = [
        prediction(row, value, model=run) for run, of in values.items() for row, value in zip(asked, of, strict=True)
    ]
    cells = build("spacer_scannet", REFERENCE, answers=answers, asked=asked)
    gains = {c["column"]: (c["ours"], c["n"], c["paper"]) for c in cells}
    assert gains["ScanNet"] == (pytest.approx(100 * ((1 + 0.5) / 2 - (0 + 0.1) / 2)), 2, 11.6)
    assert gains["Other scans"] == (pytest.approx(0.0), 1, 11.0)
    # Over all: relative distance 1 against 1/2, counting 0.5 against 0.1.
    assert gains["VSI-Bench"] == (pytest.approx(100 * (0.75 - 0.3)), 3, 11.2)
    assert "minus run qwen7b" in cells[0]["note"]
    alone = build("spacer_scannet", REFERENCE, answers=answers[:3], asked=asked)
    assert all(c["ours"] is None and "not run" in c["note"] for c in alone)
    with pytest.raises(ValueError, match="evaluate both again"):
        build("spacer_scannet", REFERENCE, answers=answers[:4], asked=asked)


def test_figure_2_counts_sources_and_types_beside_the_two_numbers_of_the_text():
    rows = [question(f"q{i}", "object_counting", "3") for i in range(3)] + [question("s", "room_size_estimation", "9")]
    rows += [question("g", "OCR", "x", scene_id=None)]
    cells = {c["row"]: c for c in build("spacer_figure2", REFERENCE, rl=rows)}
    found = {name: (c["ours"], c["paper"]) for name, c in cells.items()}
    assert found["SpaceR-151k"] == (5, 151310) and found["General (Video-R1-260k)"] == (1, 60000)
    assert found["About scans (SR-91k)"] == (4, None) and found["object counting"] == (3, None)
    assert found["object rel distance"] == (0, None) and found["general: OCR"] == (1, None)


def test_figure_6_counts_videos_and_questions_by_duration():
    rows = [question(f"q{i}", "object_counting", "3", scene_id=scene) for i, scene in enumerate("aabcd")]
    scenes = [{"scene_id": s, "fps": 24.0, "n_frames": n} for s, n in zip("abc", (24 * 29, 24 * 30, 24 * 900))]
    cells = build("spacer_figure6", REFERENCE, rl=rows, scenes=scenes)
    found = {(c["row"], c["column"]): c["ours"] for c in cells if c["ours"]}
    assert found == {
        ("0 to 30 s", "Videos"): 1,
        ("0 to 30 s", "Questions"): 2,
        ("30 to 60 s", "Videos"): 1,
        ("30 to 60 s", "Questions"): 1,
        ("300 s and longer", "Videos"): 1,
        ("300 s and longer", "Questions"): 1,
        ("duration unknown", "Videos"): 1,
        ("duration unknown", "Questions"): 1,
    }


def test_the_page_of_a_study_shows_the_tables_of_its_papers(tmp_path):
    assert shown_tables(run_named("spacer_table1")) == SPACER
    assert shown_tables(run_named("spacer_table2", "spatial_r1_table1")) == sorted([*SPACER, *SPATIAL_R1])
    scores = [score("ocr", 40.0, readable=None, consistent=None, low=None, high=None)]
    tables.write(tables.SCORES, tmp_path / "scores.parquet", scores, tables.Lineage("score"))
    study = collect(Files(scores=[str(tmp_path / "scores.parquet")]), Config())
    assert {doors.paper_of(name) for name in study.tables} == {"ocr"}
