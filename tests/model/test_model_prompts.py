import hashlib
import json
import re

import pytest

from rollout3d.model import prompts, wordings
from rollout3d.model.encode import Image, Text, Video
from rollout3d.model.prompts import ANSWER_TYPES, question_parts, question_text, wording

OPTIONS = ["A. chair", "B. sofa"]


def test_direct_number_prompt_is_the_benchmarks(question):
    assert question_text(question()) == (
        "These are frames of a video.\nHow many chair(s) are in this room?\n"
        "Please answer the question using a single word or phrase."
    )


def test_direct_choice_prompt_is_the_benchmarks(question):
    row = question(question="Which is closest?", answer_type="choice", options=OPTIONS)
    assert question_text(row) == (
        "These are frames of a video.\nWhich is closest?\nOptions:\nA. chair\nB. sofa\n"
        "Answer with the option's letter from the given choices directly."
    )


VIDEO_R1 = (
    "Please think about this question as if you were a human pondering deeply. Engage in an internal dialogue using "
    "expressions such as 'let me think', 'wait', 'Hmm', 'oh, I see', 'let's break it down', etc, or other natural "
    "language thought expressions It's encouraged to include self-reflection or verification in the reasoning process. "
    "Provide your detailed reasoning between the <think> </think> tags, and then give your final answer between the "
    "<answer> </answer> tags."
)
ENDS = {
    "choice": "Please provide only the single option letter (e.g., A, B, C, D, etc.)",
    "number": "Please provide the numerical value (e.g., 42 or 3.14)",
    "regression": "Please provide the numerical value (e.g., 42 or 3.14)",
    "text": "Please provide your text answer",
    "ocr": "Please transcribe text from the image/video clearly and provide your text answer",
}
"""What follows the prompt, behind a blank and before "within the <answer> </answer> tags."."""


@pytest.mark.parametrize("answer_type", ANSWER_TYPES)
def test_reasoning_prompt_is_video_r1s(question, answer_type):
    """Of its SFT and its GRPO, word for word; options follow the question without a line break, and end with one."""
    options = OPTIONS if answer_type == "choice" else None
    row = question(question="Which is closest?", answer_type=answer_type, options=options)
    asked = "Which is closest?" + ("Options:\nA. chair\nB. sofa\n" if options else "")
    end = f"{ENDS[answer_type]} within the <answer> </answer> tags."
    assert question_text(row, style="think", think="video_r1") == f"{asked}\n{VIDEO_R1} {end}"


def test_plain_reasoning_prompt_is_short_and_asks_for_the_tags(question):
    row = question(question="Which?", answer_type="choice", options=OPTIONS)
    text = question_text(row, style="think", think="plain")
    assert text.startswith("Which?\nOptions:\nA. chair\nB. sofa\nThink step by step between <think> </think>")
    assert "<answer> </answer>" in text and len(text) < 160


LISTED = (
    "ceiling light, trash can, bed, heater, closet, pillow, backpack, chair, refrigerator, tv, nightstand, keyboard, "
    "computer tower, coat hanger, table, trash bin, whiteboard, monitor, sofa, clock, computer mouse, radiator, "
    "telephone"
)
"""The 23 categories of SpaceR's evaluation."""
MAP = """Which is closest?Options:
A. chair
B. sofa

Please think about this question as if you were a human pondering deeply. Engage in an internal dialogue using \
expressions such as 'let me think', 'wait', 'Hmm', 'oh, I see', 'let's break it down', etc, or other natural language \
thought expressions It's encouraged to include self-reflection or verification in the reasoning process.
A map of the room may help. If you draw one, do so while you think:
Steps:
1. Look for the objects of the video that belong to the categories below.
2. Lay a grid of 10x10 cells over the whole floor, seen from above, and decide in which cell the middle of each \
object lies.
3. Write the result between <map> and </map>.
Rules:
1. Use these categories and no others: CATEGORIES.
2. Use every frame to place an object. A cell is [x, y], two whole numbers from 0 to 9.
3. Give one cell for each object, also where a category has several.
Write the map as a dictionary from category to cells, for example <map>{"sofa": [[1, 3]], "chair": [[2, 0], [4, 2]]}\
</map>.
Provide your detailed reasoning between the <think> </think> tags, and then give your final answer between the \
<answer> </answer> tags. Please provide only the single option letter (e.g., A, B, C, D, etc.) within the <answer> \
</answer> tags."""
"""The whole prompt of one question, CATEGORIES standing for the list."""


@pytest.mark.parametrize(
    ("categories", "listed"),
    [(None, LISTED), (("bed", "office {question} chair"), "bed, office {question} chair"), ((), "")],
)
def test_map_prompt_offers_a_map_of_the_listed_categories(question, categories, listed):
    row = question(question="Which is closest?", answer_type="choice", options=OPTIONS)
    text = question_text(row, style="think", think="map10", categories=categories)
    assert text == MAP.replace("CATEGORIES", listed)


def test_the_fixed_list_is_that_of_spacers_evaluation(question):
    assert len(LISTED.split(", ")) == 23
    assert wording("think_map10")["categories"] == LISTED


@pytest.mark.parametrize(("think", "grid", "last"), [("map5", 5, 4), ("map15", 15, 14), ("map20", 20, 19)])
def test_map_prompt_names_the_grid_and_its_last_cell(question, think, grid, last):
    row = question(question="Which is closest?", answer_type="choice", options=OPTIONS)
    expected = MAP.replace("10x10", f"{grid}x{grid}").replace("from 0 to 9", f"from 0 to {last}")
    assert question_text(row, style="think", think=think) == expected.replace("CATEGORIES", LISTED)
    (example,) = re.findall(r"<map>(\{.*\})</map>", expected)
    assert all(0 <= value <= last for cells in json.loads(example).values() for cell in cells for value in cell)


@pytest.mark.parametrize("answer_type", ANSWER_TYPES)
def test_questions_that_are_not_about_a_scan_keep_video_r1s_prompt(question, answer_type):
    row = question(scene_id=None, space_id=None, answer_type=answer_type, options=None)
    plain = question_text(row, style="think", think="video_r1")
    assert question_text(row, style="think", think="map10", categories=("bed",)) == plain and "<map>" not in plain
    spatial = question_text(question(answer_type=answer_type, options=None), style="think", think="map10")
    end = plain[plain.index("<answer> </answer> tags.") :]
    assert "<map>" in spatial and spatial.endswith(end)


def test_the_short_map_prompt_offers_a_map_and_other_questions_keep_the_short_one(question):
    text = question_text(question(answer_type="number", options=None), style="think", think="plain_map5")
    assert "place all things on a 5x5 <map> </map>" in text and text.endswith(" Answer with a number.")
    leaked = question_text(question(options=None), style="think", think="plain_map5", categories=("bed", "tv"))
    assert "place bed, tv on a 5x5 <map> </map>" in leaked
    row = question(scene_id=None, space_id=None)
    assert question_text(row, style="think", think="plain_map5") == question_text(row, style="think", think="plain")


def test_map_prompt_leaves_braces_of_a_question_alone(question):
    text = question_text(question(question="{grid} {categories} {last}"), style="think", think="map10")
    assert text.startswith("{grid} {categories} {last}\n")


def test_digest_of_the_map_prompt_counts_both_of_its_files(tmp_path, monkeypatch):
    for name in ("think_map", "think_video_r1", "think_plain", "think_plain_map"):
        (tmp_path / f"{name}.txt").write_text(name)
    monkeypatch.setattr(wordings, "DIRECTORY", tmp_path)
    digest = wordings.wording_digest.__wrapped__
    assert digest("think_plain") == hashlib.sha256(b"think_plain").hexdigest()[:16]
    assert digest("think_map10") == hashlib.sha256(b"think_mapthink_video_r1").hexdigest()[:16]
    assert digest("think_plain_map5") == hashlib.sha256(b"think_plain_mapthink_plain").hexdigest()[:16]


@pytest.mark.parametrize("name", ["direct", "think_video_r1", "think_plain", "think_map10", "think_plain_map5"])
def test_every_wording_has_a_place_for_the_question_and_an_end_for_every_answer(name):
    sections = wording(name)
    assert sections["question"].count("{question}") == 1
    assert sections["options"].count("{options}") == 1
    assert set(ANSWER_TYPES) <= set(sections)


def test_braces_in_a_question_are_left_alone(question):
    assert "{options} {x}" in question_text(question(question="{options} {x}"))


def test_media_come_first_and_the_top_view_before_the_video(question, frames):
    video, bev = Video(frames()), Image(frames(1)[0])
    parts = question_parts(question(), video, bev=bev)
    assert parts[:2] == [bev, video] and isinstance(parts[2], Text)
    assert parts[2].text.startswith("The first image is a top view of the scene.\nThese are frames of a video.\n")
    pictures = [Image(frames(1)[0]), Image(frames(1)[0])]
    parts = question_parts(question(), images=pictures)
    assert parts[:2] == pictures and parts[2].text.startswith("How many")


def test_unknown_names_say_what_is_known(question, tmp_path, monkeypatch):
    known = r"known are direct, .*think_map, think_plain, think_plain_map, think_video_r1"
    with pytest.raises(ValueError, match=known):
        question_text(question(), style="think", think="nonsense")
    with pytest.raises(ValueError, match="unknown answer type 'poem'"):
        question_text(question(answer_type="poem"))
    (tmp_path / "think_half.txt").write_text("== question ==\n{question}\n")
    monkeypatch.setattr(prompts, "DIRECTORY", tmp_path)
    with pytest.raises(ValueError, match=r"sections missing or unknown: bev, choice"):
        wording("think_half")
