"""The paper's tables beside our numbers, from rows made by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from evaluation.eval_rows import DIRECT, prediction, question
from rollout3d import tables
from rollout3d.config import Config, merge, question_types, read_runs
from rollout3d.config.recipes import summaries
from rollout3d.doors import paper_of
from rollout3d.report.lines import pivot
from rollout3d.report.study import shown_tables
from rollout3d.report.tables import (
    TABLES,
    build,
    models_of,
    models_of_settings,
    read_reference,
    read_references,
    reference_of,
    value_text,
)

REFERENCE = read_references()
OCR = [name for name in TABLES if paper_of(name) == "ocr"]


RUN_TABLE = Path(__file__).parents[2] / "config" / "runs.tsv"
LINE = "32 frames uniform, at most 200704 px, {}, temperature 0, {} tokens, vllm"
REASONED = {"scorer": "tagged", "settings": LINE.format("think_video_r1", 1024)}
ANSWERED = {"scorer": "vsibench", "settings": LINE.format("direct", 16)}


def score(run, value, task="overall", view="video", benchmark="vsibench", n=100, **changes):
    made = {"scorer": None, "settings": None, "part": None, "model_digest": None}
    return (
        made
        | {
            "run": run,
            "benchmark": benchmark,
            "task": task,
            "view": view,
            "score": value,
            "n": n,
            "well_formed": None,
            "rests_on": [],
        }
        | changes
    )


def cell(cells, row, column="Avg."):
    found = [c for c in cells if c["row"] == row and c["column"] == column]
    assert len(found) == 1
    return found[0]


def test_reference_has_every_number_of_the_papers_tables():
    count = {name: sum(1 for r in REFERENCE if r["table"] == name and r["source"].startswith("OCR")) for name in OCR}
    # Table 2: 14 models with nine numbers, four with the average only.
    assert count == {"table1": 12, "table2": 14 * 9 + 4, "table3": 6, "table4": 6, "table5": 4, "figure3": 0}
    value = {(r["table"], r["row"], r["column"]): r["value"] for r in REFERENCE}
    assert value["table2", "Ours", "Appr. Order"] == "49.8" and value["table4", "+ T-GRPO", "Avg."] == "44.1"
    assert value["table1", "frames16_grpo", "Wrong"] == "56618"


def test_accuracy_of_table_1_follows_from_its_counts():
    value = {(r["row"], r["column"]): float(r["value"]) for r in REFERENCE if r["table"] == "table1"}
    for setting in {row for row, _ in value}:
        right, wrong = value[setting, "Correct"], value[setting, "Wrong"]
        assert right + wrong == 98_103
        assert value[setting, "Acc."] == pytest.approx(100 * right / (right + wrong), abs=0.006)


def test_runs_of_the_reference_are_in_the_run_table_with_that_table():
    runs = read_runs(Path(__file__).parents[2] / "config" / "runs.tsv", Config())
    for row in REFERENCE:
        if row["run"] not in ("", "random", "frequent") and row["table"] in OCR:
            assert row["table"] in runs[row["run"]].tables, row
    for name, run in runs.items():
        for table in run.tables:
            if table != "table1":
                assert any(r["run"] == name and r["table"] == table for r in REFERENCE), (name, table)


@pytest.mark.parametrize("table", TABLES)
def test_without_results_every_cell_says_so(table, tmp_path):
    cells = build(table, REFERENCE)
    if table == "figure3":
        assert {c["ours"] for c in cells} == {0.0} and {c["row"] for c in cells} == set(question_types.NAMES)
    else:
        assert all(c["ours"] is None and c["n"] is None for c in cells)
        assert all("not run" in c["note"] or "not part of this study" in c["note"] for c in cells)
    tables.write(tables.REPORT, tmp_path / "t.parquet", cells, tables.Lineage("test"))


def test_run_stands_beside_the_papers_number_of_its_row():
    scores = [score("ocr", 47.1, n=5130), score("ocr", 12.0, view="black"), score("ocr", 30.5, "room_size_estimation")]
    cells = build("table2", REFERENCE, scores=scores)
    ours = cell(cells, "Ours")
    assert (ours["paper"], ours["ours"], ours["n"], ours["note"]) == (47.5, 47.1, 5130, "run ocr")
    assert cell(cells, "Ours", "Room Size")["ours"] == 30.5
    lost = cell(cells, "Ours", "Route Plan")
    assert lost["ours"] is None and "no questions of this task" in lost["note"]
    assert "not run" in cell(cells, "Qwen2.5-VL-7B-Instruct")["note"]
    assert "not part of this study" in cell(cells, "GPT-4o")["note"]
    assert cell(build("table4", REFERENCE, scores=scores), "+ Ours")["ours"] == 47.1
    assert cell(build("table5", REFERENCE, scores=scores), "Linear")["ours"] == 47.1
    assert cell(build("table3", REFERENCE, scores=scores), "Cold start: ours")["ours"] is None


def test_every_row_of_tables_3_and_4_says_what_its_recipe_has_otherwise():
    config = Config()
    runs = read_runs(RUN_TABLE, config)
    recipes = summaries(config, runs.values())
    scores = [score("noisy", 40.0), score("sft_video_r1", 35.0)]
    for table in ("table3", "table4"):
        cells = build(table, REFERENCE, scores=scores, recipes=recipes)
        of_run = {row["row"]: row["run"] for row in REFERENCE if row["table"] == table}
        assert any(of_run.get(c["row"]) in recipes for c in cells)
        for c in cells:
            run = of_run.get(c["row"], c["row"])  # a run of another table stands under its own name
            own = recipes.get(run, {"recipe": None, "differs": {}})
            assert ("recipe " in c["note"]) == (run in recipes), c
            for key, (study, value) in own["differs"].items():
                assert f"{key} {value_text(value)} (study: {value_text(study)})" in c["note"], c
    (noisy,) = [c for c in build("table4", REFERENCE, scores=scores, recipes=recipes) if "Noisy" in c["row"]]
    assert "recipe noisyrollout: grpo.ablation.grad_rollouts both_on_clean (study: clean)" in noisy["note"]
    (cold,) = [c for c in build("table4", REFERENCE, scores=scores, recipes=recipes) if c["ours"] == 35.0]
    assert "video.train_frames fps2max16 (study: 16)" in cold["note"] and "sft.epochs 1 (study: 2)" in cold["note"]


def test_guesses_stand_beside_vsi_benchs_chance_levels():
    scores = [
        score("ocr", 47.1),
        score("ocr", 36.1, "object_rel_direction", "random"),
        score("ocr", 33.0, view="frequent"),
    ]
    cells = build("table2", REFERENCE, scores=scores)
    guess = cell(cells, "Chance (random)", "Rel. Dir.")
    assert (guess["paper"], guess["ours"], guess["note"]) == (36.1, 36.1, "guessing")
    assert cell(cells, "Chance (most frequent)")["ours"] == 33.0


def test_preset_and_other_benchmark_are_marked_and_the_first_of_the_benchmarks_is_reported():
    other = [score("ocr", 20.0, benchmark="synthetic")]
    cells = build("table2", REFERENCE, scores=other, preset="demo")
    assert cell(cells, "Ours")["note"] == "run ocr; benchmark synthetic; preset demo"
    both = [score("ocr", 40.0), *other]
    assert [cell(build("table2", REFERENCE, scores=rows), "Ours")["ours"] for rows in (both, both[::-1])] == [
        40.0,
        20.0,
    ]


def test_run_without_a_row_of_its_own_appears_under_its_name():
    cells = build("table2", REFERENCE, scores=[score("ocr_sigma64", 41.0)])
    mine = cell(cells, "ocr_sigma64")
    assert mine["ours"] == 41.0 and mine["paper"] is None


def test_table_1_counts_the_predictions_of_each_setting():
    asked = {q: question(q, "object_counting", "100") for q in "abcd"}
    predictions = [
        prediction(asked[q], value, setting, **changes)
        for setting, values, changes in (
            ("frames2", (0.0, 1.0, 0.6, 0.5), DIRECT),
            ("frames16_grpo", (1.0, 1.0, 1.0, 0.0), {}),
        )
        for q, value in zip("abcd", values)
    ]
    for row in predictions:
        if row["setting"] == "frames2":
            row["text"] = row["answer"]
    cells = build("table1", REFERENCE, predictions=predictions, rl=list(asked.values()), correct_above=0.5)
    assert [cell(cells, "frames2", c)["ours"] for c in ("Correct", "Wrong", "Acc.")] == [2.0, 2.0, 50.0]
    assert [cell(cells, "frames16_grpo", c)["ours"] for c in ("Correct", "Wrong", "Acc.")] == [3.0, 1.0, 75.0]
    assert cell(cells, "frames16_bev", "Acc.")["note"] == "not run"
    asked_how = "32 frames uniform; at most 200704 px; {}; vllm"
    assert cell(cells, "frames2", "Acc.")["note"] == "scorer vsibench; " + asked_how.format(
        "direct; temperature 0; 16 tokens"
    )
    assert cell(cells, "frames16_grpo", "Acc.")["note"] == "scorer tagged; " + asked_how.format(
        "think_video_r1; temperature 0; 1024 tokens"
    )


def test_figure_3_counts_types_by_frequency_and_names_their_sources():
    def rows(kind, n, source="generated"):
        return [{"question_type": kind, "source": source}] * n

    rl = rows("route_planning", 2) + rows("route_planning", 1, "vlm3r_route") + rows("object_counting", 5)
    cells = build("figure3", REFERENCE, rl=rl, sft=rows("route_planning", 2))
    assert [c["row"] for c in cells[:4:2]] == ["object_counting", "route_planning"]
    route = cell(cells, "route_planning", "OCR-RL")
    assert route["ours"] == 3.0 and route["note"] == "2 generated, 1 vlm3r_route"
    assert (
        cell(cells, "route_planning", "OCR-SFT")["ours"] == 2.0
        and cell(cells, "object_counting", "OCR-SFT")["ours"] == 0.0
    )


def test_unknown_table_and_foreign_reference_are_refused(tmp_path):
    with pytest.raises(ValueError, match="unknown table 'table9'"):
        build("table9", REFERENCE)
    (tmp_path / "r.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="expected the columns table, row"):
        read_reference(tmp_path / "r.csv")


def test_a_column_never_mixes_scorers_or_settings_without_a_mark():
    scores = [score("qwen3b", 30.0, **ANSWERED), score("ocr", 47.1, **REASONED), score("ocr", 25.0, view="random")]
    cells = build("table2", REFERENCE, scores=scores)
    assert "scorer tagged" in cell(cells, "Ours")["note"] and "1024 tokens" in cell(cells, "Ours")["note"]
    _, lines, common = pivot(cells)
    notes = {line["name"]: line["notes"] for line in lines}
    assert notes["Ours"] == ["run ocr", "scorer tagged", "think_video_r1", "1024 tokens"]
    assert notes["Qwen2.5-VL-3B-Instruct"] == ["run qwen3b", "scorer vsibench", "direct", "16 tokens"]
    assert common == ["32 frames uniform", "at most 200704 px", "temperature 0", "vllm"], "guesses have no settings"


def test_settings_that_all_rows_share_stand_once():
    cells = build("table3", REFERENCE, scores=[score(run, 40.0, **REASONED) for run in ("sft", "grpo", "ocr")])
    _, lines, common = pivot(cells)
    assert common == ["scorer tagged", *REASONED["settings"].split(", ")]
    assert all(len(line["notes"]) == 1 for line in lines if line["ours"])


def test_unknown_settings_and_parts_are_marked():
    part = {"part": "scannet, 2071 of 5130"}
    cells = build("table2", REFERENCE, scores=[score("ocr", 1.0, scorer="tagged", settings="settings unknown", **part)])
    assert cell(cells, "Ours")["note"] == "run ocr; scorer tagged; settings unknown; part: scannet, 2071 of 5130"
    cells = build("table2", REFERENCE, scores=[score("ocr", 1.0, view="random", **part)])
    assert cell(cells, "Chance (random)")["note"] == "guessing; part: scannet, 2071 of 5130"


def test_the_tables_show_the_official_scorer_whatever_stands_beside_it():
    other = score("ocr", 99.0, scorer="lmms", settings=REASONED["settings"])
    cells = build("table2", REFERENCE, scores=[score("ocr", 47.1, **REASONED), other])
    assert cell(cells, "Ours")["ours"] == 47.1


def models(changes):
    config = Config.model_validate(merge(Config().model_dump(mode="json"), changes))
    runs = read_runs(RUN_TABLE, config)
    return models_of(config, runs), models_of_settings(config, runs)


SMALL = {"models": {"base": {"name": "tiny-x", "tiny": True}, "filter_base": {"name": "tiny-x", "same_as": "base"}}}


def test_models_are_those_that_runs_start_from():
    ran, settings = models({})
    assert {ran[run] for run in ("qwen3b", "sft", "ocr", "ocr_video_r1")} == {"Qwen/Qwen2.5-VL-3B-Instruct"}
    assert {ran["qwen7b"], *settings.values()} == {"Qwen/Qwen2.5-VL-7B-Instruct"}
    ran, settings = models(SMALL | {"preset": "demo"})
    assert {*ran.values(), *settings.values()} == {"small model (tiny-x)"}


def test_a_row_is_never_labelled_with_a_model_that_was_not_run(tmp_path):
    scores = [score("qwen3b", 12.0, **ANSWERED), score("ocr", 20.0, **REASONED)]
    cells = build("table2", REFERENCE, scores=scores, models=models(SMALL | {"preset": "demo"})[0])
    papers = cell(cells, "Qwen2.5-VL-3B-Instruct")
    assert (papers["ours"], papers["note"]) == (None, "not run")
    ours = cell(cells, "qwen3b: small model (tiny-x)")
    assert (ours["ours"], ours["paper"]) == (12.0, None)
    method = cell(cells, "Ours")
    assert method["ours"] == 20.0 and method["paper"] == 47.5
    assert "small model (tiny-x), not Qwen2.5-VL-3B-Instruct" in method["note"]
    tables.write(tables.REPORT, tmp_path / "t.parquet", cells, tables.Lineage("test"))


@pytest.mark.parametrize("name", ["Qwen/Qwen2.5-VL-7B-Instruct", "me/my-finetuned-3b"])
def test_another_base_model_has_a_row_of_its_own(name):
    ran = models({"models": {"base": {"name": name}}})[0]
    cells = build("table2", REFERENCE, scores=[score("qwen3b", 33.0), score("qwen7b", 33.5)], models=ran)
    assert cell(cells, "Qwen2.5-VL-3B-Instruct")["ours"] is None
    assert cell(cells, f"qwen3b: {name}")["ours"] == 33.0
    assert cell(cells, "Qwen2.5-VL-7B-Instruct")["ours"] == 33.5, "the other row's model was run"


def test_the_papers_own_models_keep_their_rows():
    cells = build("table2", REFERENCE, scores=[score("qwen3b", 33.0), score("ocr", 47.0)], models=models({})[0])
    assert cell(cells, "Qwen2.5-VL-3B-Instruct")["ours"] == 33.0 and cell(cells, "Ours")["note"] == "run ocr"
    assert not any(c["row"].startswith("qwen3b") for c in cells)


def test_table_1_says_which_model_answered():
    asked = [question("a", "object_counting", "4")]
    answers = [prediction(asked[0], 1.0, "frames2", text="4", **DIRECT)]
    changes = SMALL | {"preset": "demo"}
    cells = build("table1", REFERENCE, predictions=answers, rl=asked, models=models(changes)[1])
    assert cell(cells, "frames2", "Acc.")["note"].startswith("small model (tiny-x), not Qwen2.5-VL-7B")


def test_every_row_of_a_run_names_the_papers_model():
    for row in REFERENCE:
        assert bool(row["model"]) == (row["table"] == "table1" or row["run"] not in ("", "random", "frequent")), row


def test_each_table_has_its_rows_in_the_file_of_its_paper():
    assert {path.stem for path in map(reference_of, TABLES)} == {paper_of(name) for name in TABLES}
    for name in TABLES:
        own = [row for row in read_reference(reference_of(name)) if row["table"] == name]
        assert own == [row for row in REFERENCE if row["table"] == name]
        assert own or name in ("figure3", "spacer_figure3a", "spacer_figure6"), name  # drawn without numbers
    assert {row["table"] for row in REFERENCE} <= set(TABLES), "a row of a table without a file"


def test_a_study_shows_the_tables_of_the_papers_that_its_runs_name():
    runs = read_runs(RUN_TABLE, Config())
    assert shown_tables(runs) == OCR
    assert shown_tables({"other": runs["ocr"].model_copy(update={"tables": []})}) == OCR
