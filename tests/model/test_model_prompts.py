import pytest

from rollout3d.model import prompts
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


@pytest.mark.parametrize("name", ["direct", "think_video_r1", "think_plain"])
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
    with pytest.raises(ValueError, match="known are direct, think_plain, think_video_r1"):
        question_text(question(), style="think", think="nonsense")
    with pytest.raises(ValueError, match="unknown answer type 'poem'"):
        question_text(question(answer_type="poem"))
    (tmp_path / "think_half.txt").write_text("== question ==\n{question}\n")
    monkeypatch.setattr(prompts, "DIRECTORY", tmp_path)
    with pytest.raises(ValueError, match=r"sections missing or unknown: bev, choice"):
        wording("think_half")
