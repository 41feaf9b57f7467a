"""Cognitive maps that models wrote: cells and scores by hand, and any text."""

import ast
import json
from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout3d.geometry.gridmap import asked_for
from rollout3d.scoring.maps import FAR, code_score, map_text, paper_score, read_map

TRUTH = {"table": [[0, 3], [5, 7]], "chair": [[9, 3]]}
RULES = (paper_score, code_score)


def read(text, names=TRUTH):
    return read_map(text, names)


# --- reading ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("<map>{}</map>", "{}"),
        ("so <map> a </map> and <map>b</map>", " a "),
        ("</map> <map>a", None),
        ("<map>a", None),
        ("a</map>", None),
        ("none", None),
    ],
)
def test_the_first_closed_tag_counts(text, found):
    assert map_text(text) == found


@pytest.mark.parametrize(
    "text",
    [
        '{"table": [[0, 3], [5, 7]], "chair": [[9, 3]]}',
        "{'table': [(0, 3), (5, 7)], 'chair': ((9, 3),)}",
        '{"table": ((0, 3), (5, 7)), "chair": [(9, 3)],}',
        "\nstr{'table': [[0,3],[5,7]], 'chair': [[9,3]]}\n",
        '{" Table.": [[0.9, 3.2], [5, 7, 1]], "*chair*": ["9, 3"]}',
        '{"table": ["(0,3)", "5 7"], "chair": [9, 3]}',
        '{"table": [[0,3]], "TABLE": [[5,7]], "lamp": [[1,1]], "chair": [[9,3]]}',
        "table: [[0,3],[5,7]] and chair: [[9,3]]",
        "{'table': [[0,3],[5,7]], 'chair': [[9,3]]",
        "Chair at (9, 3); the Table at (0,3), another table at (5,7)",
        "{'table': [[00,3],[5,7]], 'chair': [[9,+3]]}",
    ],
)
def test_forms_of_one_map(text):
    assert read(text) == {"table": [(0, 3), (5, 7)], "chair": [(9, 3)]}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        "3",
        '{"lamp": [[1, 2]]}',
        '{"table": 3, "chair": null}',
        '{"table": [[1]], "chair": [true, false]}',
        '{"table": [["a", "b"]], "chair": [[NaN, 1]]}',
        "armchair 3,5",
        "table",
    ],
)
def test_what_holds_no_cell_of_a_category_is_empty(text):
    assert read(text) == {}


def test_a_text_is_searched_for_the_longest_name_first():
    names = ("table", "coffee table")
    assert read("coffee table 1,2 and table 3,4", names) == {"coffee table": [(1, 2)], "table": [(3, 4)]}


def test_coordinates_outside_the_grid_are_kept_and_bounded():
    assert read('{"chair": [[-3, 1e999]], "table": [[12, ' + "9" * 50 + "]]}") == {
        "chair": [(-3, FAR)],
        "table": [(12, FAR)],
    }


CELLS = st.lists(st.lists(st.integers(-30, 30), min_size=2, max_size=2), min_size=1, max_size=6)
MAPS = st.dictionaries(st.sampled_from(["chair", "table", "coffee table", "tv"]), CELLS, max_size=4)


@given(MAPS, st.sampled_from([repr, json.dumps, lambda m: repr({k: tuple(map(tuple, v)) for k, v in m.items()})]))
def test_a_map_that_was_written_comes_back_as_pythons_own_reader_reads_it(written, form):
    text = form(written)
    expected = {name: [tuple(cell) for cell in cells] for name, cells in ast.literal_eval(text).items()}
    assert read_map(text, ["chair", "table", "coffee table", "tv"]) == expected


# --- scoring ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES)
def test_a_right_map_is_1_and_an_empty_one_0(rule):
    assert rule(TRUTH, TRUTH) == 1.0
    assert rule({}, TRUTH) == rule({"lamp": [[0, 3]]}, TRUTH) == 0.0
    assert rule(TRUTH, {}) == rule(TRUTH, {"table": []}) == 0.0


@pytest.mark.parametrize("rule", RULES)
def test_equation_4_by_hand(rule):
    # Distances 0, 3 and 5 cells of three objects; 10 sqrt(2) is the diagonal.
    drawn = {"table": [[0, 3], [5, 4]], "chair": [[6, 7]], "lamp": [[1, 1]]}
    assert rule(drawn, TRUTH) == pytest.approx(1 - (0 + 3 + 5) / 3 / (10 * sqrt(2)))
    assert rule(drawn, TRUTH) == pytest.approx(0.811438, abs=1e-6)
    # Two tables of three objects are missing.
    assert rule({"chair": [[9, 3]]}, TRUTH) == pytest.approx(1 / 3)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(("grid", "expected"), [(5, 0.292893), (10, 0.646447), (15, 0.764298), (20, 0.823223)])
def test_the_grids_size_sets_the_unit_of_distance(rule, grid, expected):
    assert rule({"chair": [[3, 4]]}, {"chair": [[0, 0]]}, grid) == pytest.approx(expected, abs=1e-6)


def test_instances_are_assigned_for_the_least_distance_in_the_paper_and_closest_first_in_the_code():
    truth, drawn = {"chair": [[0, 0], [3, 0]]}, {"chair": [[2, 0], [5, 0]]}
    assert paper_score(drawn, truth) == pytest.approx(1 - (2 + 2) / 2 / (10 * sqrt(2)))
    assert code_score(drawn, truth) == pytest.approx(1 - (1 + 5) / 2 / (10 * sqrt(2)))


def test_a_wrong_number_of_instances_costs_in_the_code_only():
    drawn = {"chair": [[9, 3], [0, 0], [1, 1]]}
    assert paper_score(drawn, {"chair": [[9, 3]]}) == 1.0
    assert code_score(drawn, {"chair": [[9, 3]]}) == pytest.approx(1 / 3)
    # Too few: those that are missing earn 0 in both.
    for rule in RULES:
        assert rule({"table": [[5, 7]]}, {"table": TRUTH["table"]}) == 0.5


def test_listing_every_cell_earns_no_more_than_its_first_cells():
    every = [[x, y] for x in range(10) for y in range(10)]
    assert paper_score({"chair": every}, {"chair": [[9, 9]]}) == pytest.approx(1 - 9 / 10)
    assert code_score({"chair": every}, {"chair": [[9, 9]]}) == pytest.approx(1 / 100)


@pytest.mark.parametrize("rule", RULES)
def test_a_cell_beyond_the_diagonal_is_worth_nothing_and_takes_nothing_away(rule):
    assert rule({"table": [[0, 3], [FAR, -FAR]]}, {"table": TRUTH["table"]}) == 0.5


@pytest.mark.parametrize("rule", RULES)
@given(drawn=MAPS, truth=MAPS, grid=st.sampled_from([5, 10, 15, 20]))
def test_a_score_is_within_0_and_1(rule, drawn, truth, grid):
    assert 0 <= rule(drawn, truth, grid) <= 1


@pytest.mark.parametrize("rule", RULES)
@given(text=st.text() | st.text("[](){},:'\"0123456789.-+e tablechr\\n", max_size=200))
def test_any_text_is_read_and_scored_within_0_and_1(rule, text):
    assert 0 <= rule(read(text), TRUTH) <= 1


@pytest.mark.timeout(20)
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    "piece",
    [
        "[",
        "{",
        "(",
        "-",
        "1+",
        "9",
        "1,",
        "1 ",
        " ",
        "'",
        '"',
        "\\",
        "{'table':",
        "table ",
        "table 1,",
        "!",
        "1.",
        "(1,2),",
    ],
)
def test_a_hostile_text_of_any_length_is_read_at_once(piece, rule):
    for text in (piece * 50_000, "{'table': " + piece * 50_000, "{'table" + piece * 50_000 + "x': [[1,2]]}"):
        assert 0 <= rule(read(text), TRUTH) <= 1
    assert map_text("<map>" * 50_000) is None


def test_a_map_is_compared_with_what_its_prompt_asked_for():
    """With the whole map of this room, one that obeys the prompt earns 3 of 5."""
    room = {"chair": [[0, 3], [5, 7]], "door": [[9, 9]], "window": [[0, 9]], "Lamp": [[1, 1]]}
    asked = asked_for(room, ("chair", "sofa", "LAMP"))
    assert asked == {"chair": [[0, 3], [5, 7]], "Lamp": [[1, 1]]}
    obedient = {"chair": [(0, 3), (5, 7)], "lamp": [(1, 1)]}
    assert all(rule(obedient, asked) == 1.0 and rule(obedient, room) == pytest.approx(0.6) for rule in RULES)
    assert asked_for(room, ("sofa",)) == {} and all(rule(obedient, {}) == 0.0 for rule in RULES)
