"""The numbers of SpaceR and Spatial-R1: as the papers print them, and by the papers' own arithmetic."""

import csv
from collections import defaultdict
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "resources" / "reference"
COLUMNS = ["table", "row", "column", "value", "source", "run", "model"]
PAPERS = {"spacer": "SpaceR", "spatial_r1": "Spatial-R1"}


def rows(paper):
    with (FOLDER / f"{paper}.csv").open(newline="") as file:
        reader = csv.DictReader(file)
        assert reader.fieldnames == COLUMNS
        return list(reader)


def read(paper):
    """Table -> row -> column -> number."""
    found = defaultdict(lambda: defaultdict(dict))
    for row in rows(paper):
        if row["value"]:
            assert row["column"] not in found[row["table"]][row["row"]], row
            found[row["table"]][row["row"]][row["column"]] = float(row["value"])
    return found


SPACER, SPATIAL_R1 = read("spacer"), read("spatial_r1")["spatial_r1_table1"]
SIX = ["VSI-Bench", "STI-Bench", "STI-Bench SR_sub", "SPAR-Bench", "SPAR-Bench single-view", "SPAR-Bench multi-view"]
THREE = ["Video-MME", "TempCompass", "LongVideoBench"]
TASKS = ["Appr. Order", "Abs. Dist.", "Obj. Count", "Rel. Dist.", "Obj. Size", "Room Size", "Route Plan", "Rel. Dir."]

PRINTED = [
    ("spacer_table1", "GPT-4o", SIX + THREE, "34.0 34.8 35.4 36.4 38.1 35.3 71.9 73.8 66.7"),
    ("spacer_table1", "Gemini 1.5 Pro", SIX + THREE, "48.8 - - - - - 75.0 67.1 64.0"),
    ("spacer_table1", "Gemini 2.5 Pro", SIX + THREE, "- 40.9 40.5 - - - - - -"),
    ("spacer_table1", "LLaVA-OneVision-7B", SIX + THREE, "32.4 - - 31.2 33.1 29.9 58.2 - 56.3"),
    ("spacer_table1", "Video-R1-7B-zero", SIX + THREE, "31.8 32.9 29.8 28.6 30.6 27.3 54.9 71.0 53.7"),
    ("spacer_table1", "Qwen2.5-VL-72B-Instruct", SIX + THREE, "35.6 40.8 36.9 36.4 40.6 33.6 61.3 75.3 57.1"),
    ("spacer_table1", "Qwen2.5-VL-7B-Instruct", SIX + THREE, "34.4 34.5 32.3 33.8 36.9 31.8 56.3 71.1 53.5"),
    ("spacer_table1", "SpaceR SFT", SIX + THREE, "41.6 30.2 27.3 33.3 35.1 32.0 57.6 69.3 54.3"),
    ("spacer_table1", "SpaceR SG-RLVR", SIX + THREE, "45.6 37.0 38.7 37.6 38.2 37.1 57.9 71.4 54.6"),
    ("spacer_table2", "w/o-map imagination", SIX + THREE, "43.9 34.0 33.3 34.1 34.7 33.8 56.9 71.9 52.8"),
    ("spacer_table2", "w/o-general data", SIX + THREE, "46.9 37.1 37.2 37.1 35.5 39.5 56.3 71.0 53.6"),
    ("spacer_table2", "w/o-SR data", SIX + THREE, "26.2 34.2 33.9 30.2 30.7 29.5 57.4 70.5 52.9"),
    ("spacer_table2", "w/o-length reward", SIX + THREE, "44.0 35.8 36.5 35.9 36.6 35.5 56.7 71.2 54.0"),
    ("spacer_table2", "SpaceR SG-RLVR", SIX + THREE, "45.6 37.0 38.7 37.6 38.2 37.1 57.9 71.4 54.6"),
    ("spacer_table3", "SpaceR-Kimi", SIX + THREE, "43.5 35.2 32.7 32.1 32.2 32.0 - - -"),
    ("spacer_table3", "Qwen2.5-VL-3B-Instruct, non-think", SIX + THREE, "26.7 36.7 37.5 25.4 25.3 25.5 52.4 65.7 49.7"),
    ("spacer_table3", "SpaceR-Tiny SFT, non-think", SIX + THREE, "34.8 33.0 36.5 24.8 24.5 24.9 53.4 63.8 50.7"),
    (
        *("spacer_table3", "SpaceR SG-RLVR, think", [*SIX, "Tokens (spatial)", *THREE, "Tokens (video)"]),
        "45.6 37.0 38.7 37.6 38.2 37.1 345.6 56.4 70.0 51.7 265.7",
    ),
    (
        *("spacer_table3", "SpaceR-Tiny SG-RLVR, think", [*SIX, "Tokens (spatial)", *THREE, "Tokens (video)"]),
        "41.2 37.8 40.1 30.9 31.4 30.6 274.2 51.6 65.4 49.4 237.1",
    ),
    ("spacer_table3", "SpaceR (Video-R1-SFT) SG-RLVR, think", SIX + THREE, "- - - - - - 60.6 73.5 54.6"),
    (
        *("spacer_table4", "SpaceR-1000 iters"),
        ["VSI-Bench words", "VSI-Bench", "STI-Bench words", "STI-Bench", "SPAR-Bench words", "SPAR-Bench"],
        "3.1 40.5 1.7 35.7 2.2 35.4",
    ),
    ("spacer_table5", "Randomly generated", ["Map accuracy", *TASKS], "10.5 44.0 28.9 51.5 37.9 56.1 33.2 28.4 44.2"),
    ("spacer_table5", "Ground truth", ["Map accuracy", *TASKS], "100.0 56.5 33.6 64.1 41.8 62.3 46.7 32.5 44.7"),
    ("spacer_table6", "5 x 5", ["Map accuracy", *TASKS], "53.7 40.0 27.1 52.5 37.9 55.0 36.9 30.4 46.4"),
    ("spacer_table6", "10 x 10", ["Map accuracy", *TASKS], "42.1 50.3 31.8 62.2 40.0 59.4 46.0 32.0 43.9"),
    ("spacer_table6", "20 x 20", ["Map accuracy", *TASKS], "24.5 34.1 30.9 61.8 37.6 57.4 38.9 28.4 44.9"),
]
"""Table, row, columns, and the numbers as they stand in SpaceR's text, in the order of the columns."""


@pytest.mark.parametrize(("table", "row", "columns", "numbers"), PRINTED)
def test_numbers_of_spacer_are_those_of_its_text(table, row, columns, numbers):
    printed = {column: float(text) for column, text in zip(columns, numbers.split(), strict=True) if text != "-"}
    assert {column: SPACER[table][row][column] for column in printed} == printed
    assert not (set(columns) - set(printed)) & set(SPACER[table][row]), "a blank of the paper stays a blank"


@pytest.mark.parametrize(
    ("row", "numbers"),
    [
        ("Chance Level (Random)", "25.0 - - 25.0 - - 28.3 36.1"),
        ("GPT-4o", "28.5 5.3 46.2 37.0 43.8 38.2 31.5 41.3"),
        ("LongVILA-8B", "25.5 9.1 21.6 29.6 16.7 0.0 32.5 30.7"),
        ("Qwen2.5-VL-7B (zero-shot)", "32.7 17.5 34.0 35.8 51.9 36.6 29.4 37.7"),
        ("Qwen2.5-VL-7B (CoT)", "30.4 12.1 15.8 31.8 19.1 24.2 34.5 34.7"),
        ("Spatial-R1 (Ours)", "36.8 33.0 62.9 38.2 58.1 31.0 28.9 32.7"),
    ],
)
def test_numbers_of_spatial_r1_are_those_of_its_text(row, numbers):
    printed = {task: float(text) for task, text in zip(TASKS, numbers.split(), strict=True) if text != "-"}
    assert {task: SPATIAL_R1[row].get(task) for task in printed} == printed


def test_every_row_that_the_papers_print_is_there():
    n = {table: (len(SPACER[table]), sum(map(len, SPACER[table].values()))) for table in SPACER}
    assert n["spacer_table1"] == (17, 11 * 9 + 4 + 3 + 2 + 6 + 2 * 9)
    assert n["spacer_table2"] == (5, 45) and n["spacer_table4"] == (4, 24)
    # Two of six numbers, four of nine, three thinking rows of eleven, and three of video understanding alone.
    assert n["spacer_table3"] == (14, 2 * 6 + 5 * 9 + 4 * 11 + 3 * 3)
    assert n["spacer_table5"] == (3, 30) and n["spacer_table6"] == (4, 40)
    assert len(SPATIAL_R1) == 23 and sum(map(len, SPATIAL_R1.values())) == 22 * 9 + 4


def test_gains_that_spacer_prints_follow_from_its_rows():
    table = SPACER["spacer_table1"]
    gains = dict(zip(SIX + THREE, (11.2, 2.5, 6.4, 3.8, 1.3, 5.3, 1.6, 0.3, 1.1), strict=True))
    for column, gain in gains.items():
        assert table["SpaceR SG-RLVR"][column] - table["Qwen2.5-VL-7B-Instruct"][column] == pytest.approx(gain)


THOUGHT = {
    "Qwen2.5-VL-3B-Instruct": (-0.8, -2.4, -0.3, 1.4, 1.3, 1.4, -0.4, -2.5, -0.7),  # printed: -2.4 for TempCompass
    "SpaceR-Tiny SG-RLVR": (0.7, 1.2, 1.4, 0.8, 0.7, 1.0, -1.3, -1.0, -0.7),
    "Qwen2.5-VL-7B-Instruct": (-4.2, -1.3, 2.1, -2.2, -5.7, 0.0, -2.3, -3.0, -6.9),
    "SpaceR SG-RLVR": (0.6, 0.3, 3.9, 1.5, 2.0, 1.1, -1.5, -1.4, -2.9),
}


@pytest.mark.parametrize("model", THOUGHT)
def test_what_thinking_changes_in_table_3_follows_from_its_rows(model):
    table = SPACER["spacer_table3"]
    for column, change in zip(SIX + THREE, THOUGHT[model], strict=True):
        assert table[f"{model}, think"][column] - table[f"{model}, non-think"][column] == pytest.approx(change)


def test_spar_overall_lies_between_its_two_halves():
    for table in ("spacer_table1", "spacer_table2", "spacer_table3"):
        for row, cells in SPACER[table].items():
            if "SPAR-Bench" in cells:
                halves = cells["SPAR-Bench single-view"], cells["SPAR-Bench multi-view"]
                assert min(halves) <= cells["SPAR-Bench"] <= max(halves), (table, row)


UNEVEN = {"20 x 20": 41.75, "Chance Level (Frequency)": 35.46, "LongVILA-8B": 20.71, "Spatial-R1 (Ours)": 40.2}
"""Rows whose printed average is not the mean of the eight tasks -> that mean (resources/reference/README.md)."""


def test_averages_are_means_of_the_eight_tasks_but_for_the_rows_that_the_readme_lists():
    found = SPACER["spacer_table5"] | SPACER["spacer_table6"] | SPATIAL_R1
    for row, cells in found.items():
        if "Avg." in cells:
            mean = sum(cells[task] for task in TASKS) / len(TASKS)
            if row in UNEVEN:
                assert mean == pytest.approx(UNEVEN[row], abs=0.006) and abs(mean - cells["Avg."]) > 0.5
            else:
                assert mean == pytest.approx(cells["Avg."], abs=0.11), row


def test_rows_that_two_tables_share_agree():
    one, three, four = (SPACER[f"spacer_table{n}"] for n in (1, 3, 4))
    assert one["SpaceR SG-RLVR"] == SPACER["spacer_table2"]["SpaceR SG-RLVR"]
    for column in SIX:
        assert one["SpaceR SG-RLVR"][column] == three["SpaceR SG-RLVR, think"][column]
    for column in THREE:  # video understanding is answered directly (Section 5.1)
        assert one["SpaceR SG-RLVR"][column] == three["SpaceR SG-RLVR, non-think"][column]
    for row, same in (("Qwen2.5-VL-7B-Instruct", "Qwen2.5-VL-7B-Instruct"), ("SpaceR", "SpaceR SG-RLVR")):
        assert {c: one[same][c] for c in ("VSI-Bench", "STI-Bench", "SPAR-Bench")} == {
            column: value for column, value in four[row].items() if "words" not in column
        }
    assert SPACER["spacer_table5"]["Model-generated"] == SPACER["spacer_table6"]["10 x 10"]
    assert SPACER["spacer_table5"]["Model-generated"]["Avg."] == one["SpaceR SG-RLVR"]["VSI-Bench"]


@pytest.mark.parametrize("paper", PAPERS)
def test_each_row_says_where_it_stands_and_what_it_is_compared_with(paper):
    for row in rows(paper):
        assert bool(row["value"]) == row["source"].startswith(f"{PAPERS[paper]}, ") and bool(row["value"] or row["run"])
        assert bool(row["model"]) == (row["run"] not in ("", "random", "frequent")), row
