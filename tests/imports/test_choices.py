"""Options and answers of choice questions, in the forms of the releases."""

import pytest

from rollout3d.imports.choices import given_options, implied_options, letter, option_texts, split_options, word
from rollout3d.imports.records import Unusable
from rollout3d.questions import types

QUESTION = "Which of the following objects is the closest to the TV?"
BEDS = ["bed", "floor lamp", "sofa", "stool"]


@pytest.mark.parametrize(
    "behind",
    [
        "\nOptions:\nA. bed\nB. floor lamp\nC. sofa\nD. stool",
        "\nOptions:\nA. bed\nB. floor lamp\nC. sofa\nD. stool\n",
        "\nOptions:\nA.bed\nB.floor lamp\nC.sofa\nD.stool",
        " (A)bed (B)floor lamp (C)sofa (D)stool",
        "\nOptions:\nA. bed\nB. floor lamp\nC. sofa\nD. stool\nPlease select one option.",
        "\nOptions: A. bed; B. floor lamp; C. sofa; D. stool",
        "\nOptions: A. bed B. floor lamp C. sofa D. stool",
        " Options: A. bed, B. floor lamp, C. sofa, D. stool.",
        "\noptions:\na) bed\nb) floor lamp\nc) sofa\nd) stool",
        "\nChoices:\n(A) bed\n(B) floor lamp\n(C) sofa\n(D) stool",
        "\nA. bed\nB. floor lamp\nC. sofa\nD. stool",
        " (A) bed (B) floor lamp (C) sofa (D) stool",
        " a) bed, b) floor lamp, c) sofa, d) stool",
        "\nA: bed\nB: floor lamp\nC: sofa\nD: stool",
        "\nOptions:\nbed\nfloor lamp\nsofa\nstool",
        "\nOptions:\n- bed\n- floor lamp\n- sofa\n- stool",
        "\nOptions: bed, floor lamp, sofa, stool",
    ],
)
def test_options_are_found_in_the_text_in_every_form(behind):
    question, options = split_options(QUESTION + behind)
    assert question == QUESTION and [text.rstrip(".") for text in option_texts(options)] == BEDS


@pytest.mark.parametrize(
    "text",
    [
        "How many chair(s) are in this room?",
        "Vitamin A. is what?",
        "Given a triangle ABC with A. as its top, how long is it?",
        "You will perform: 1. Go forward until the TV 2. [please fill in]",
        "A. bed\nB. sofa",
    ],
)
def test_a_text_without_a_row_of_letters_has_no_options(text):
    assert split_options(text) == (text, [])


def test_lists_of_categories_keep_their_commas():
    order = "What will be the first-time appearance order of the following categories in the video: bed, tv?"
    assert split_options(order + "\nOptions:\nA. bed, tv\nB. tv, bed") == (order, ["A. bed, tv", "B. tv, bed"])
    assert split_options("Which letter? (A) vitamin C. or D. (B) none")[1] == ["A. vitamin C. or D.", "B. none"]


@pytest.mark.parametrize(
    ("value", "texts"),
    [
        (["A. left", "B. right"], ["left", "right"]),
        (["(A) left", "(B) right"], ["left", "right"]),
        (["a) left", "b) right"], ["left", "right"]),
        (["A: left", "B: right"], ["left", "right"]),
        (["left", "right"], ["left", "right"]),
        ({"A": "left", "B": "right", "C": None}, ["left", "right"]),
        ("A. left\nB. right", ["left", "right"]),
        ("A. left B. right", ["left", "right"]),
        ('["A. left", "B. right"]', ["left", "right"]),
        ([1, 2.5], ["1", "2.5"]),
    ],
)
def test_options_of_a_field_of_any_form(value, texts):
    assert option_texts(given_options(value)) == texts


@pytest.mark.parametrize(
    "value", ["tv", [1, None], "[broken", {"x1": "left"}, ["A. x", "y"], ["A. x", "B. X"], ["A. x"], ["x", " "]]
)
def test_malformed_options_are_refused(value):
    with pytest.raises(Unusable, match="malformed options"):
        option_texts(given_options(value))
    assert given_options(None) == given_options([]) == given_options("None") == []


@pytest.mark.parametrize(
    ("answer", "texts", "expected"),
    [
        ("B", BEDS, "B"),
        ("b", BEDS, "B"),
        ("(B)", BEDS, "B"),
        ("B.", BEDS, "B"),
        ("b)", BEDS, "B"),
        ("Option B", BEDS, "B"),
        ("Answer: B", BEDS, "B"),
        ("The correct answer is B.", BEDS, "B"),
        ("The answer is (B) floor lamp", BEDS, "B"),
        ("B. floor lamp", BEDS, "B"),
        ("B) Floor lamp.", BEDS, "B"),
        ("floor lamp", BEDS, "B"),
        ("The floor lamp.", BEDS, "B"),
        ("FLOOR  LAMP", BEDS, "B"),
        ("left", ["left", "right"], "A"),
        ("Right.", ["left", "right"], "B"),
        ("to the left", ["left", "right"], "A"),
        ("on the left side of the window", ["left", "right"], "A"),
        ("to my back", ["left", "right", "back"], "C"),
        ("behind", ["left", "right", "back"], "C"),
        ("front left", ["front-left", "front-right", "back-left", "back-right"], "A"),
        ("to my back-right", ["front-left", "front-right", "back-left", "back-right"], "D"),
        ("tv, bed", ["bed, tv", "tv, bed"], "B"),
        ("B. tv, bed", ["bed, tv", "tv, bed"], "B"),
        ("3", ["2", "3"], "B"),
    ],
)
def test_an_answer_is_a_letter_a_text_or_both(answer, texts, expected):
    assert letter(answer, texts) == expected


@pytest.mark.parametrize(
    ("answer", "texts", "reason"),
    [
        ("E", BEDS, "malformed"),
        ("chair", BEDS, "malformed"),
        ("A and B", BEDS, "malformed"),
        ("A, B", BEDS, "malformed"),
        ("AB", BEDS, "malformed"),
        ("2", BEDS, "malformed"),
        ("front", ["front-left", "front-right", "back-left", "back-right"], "malformed"),
        ("A. sofa", BEDS, "ambiguous"),
        ("A. chair", BEDS, "ambiguous"),
        ("A", ["B", "A"], "ambiguous"),
    ],
)
def test_what_names_no_option_or_two_is_refused(answer, texts, reason):
    with pytest.raises(Unusable, match=f"{reason} answer"):
        letter(answer, texts)


def test_a_row_of_letters_is_cut_off_only_where_options_are_looked_for():
    triangle = "Angles of a triangle: A: 30 degrees B: 60 degrees. What is C?"
    assert split_options(triangle, given=True) == (triangle, [])
    assert split_options("Where?\nOptions:\nA. here\nB. there", given=True)[0] == "Where?"


def test_words_name_implied_options_and_letters_do_not():
    assert word("to the left", ["left", "right"]) == "A" and word("Answer: right.", ["left", "right"]) == "B"
    for answer in ("A", "(b)", "The answer is A.", "back"):
        with pytest.raises(Unusable, match="which the question implies"):
            word(answer, ["left", "right"])


def test_options_that_the_question_implies():
    assert implied_options(types.load("object_rel_direction_easy"), []) == ["left", "right"]
    assert implied_options(types.load("object_rel_direction_medium"), []) == ["left", "right", "back"]
    assert implied_options(types.load("object_rel_direction_hard"), [])[0] == "front-left"
    assert implied_options(types.load("object_rel_distance"), ["bed", "tv"]) == ["bed", "tv"]
    assert implied_options(types.load("obj_appearance_order"), ["bed", "tv"]) == []
    assert implied_options(types.load("route_planning"), []) == []
