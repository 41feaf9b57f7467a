"""`rollout3d export lmms-eval`: the folder alone gives the prompt, the frames and the pixels of the evaluation.

`lmms/test_lmms_eval.py` runs the folder in lmms-eval itself, where that is installed.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation import harness_run
from evaluation.harness_run import VIDEO, evaluated, exported
from rollout3d.evaluation import harness_export
from rollout3d.evaluation.harness import HarnessSettings, release_text
from rollout3d.model.load import save_policy
from rollout3d.scoring.parse import extract_answer
from toyworld.model.architecture import build_tiny

NUMBER = {
    "id": 3,
    "dataset": "scannet",
    "scene_name": "room",
    "question_type": "object_counting",
    "question": "How many chair(s) are in this room?",
    "ground_truth": "3",
    "options": None,
}
CHOICE = NUMBER | {
    "id": 4,
    "question_type": "object_rel_direction_easy",
    "question": "If I am standing by the sofa and facing the tv, is the bed to the left or the right of the tv?",
    "ground_truth": "A",
    "options": ["A. left", "B. right"],
}
# The forms of VSI-Bench and of Video-R1 as their releases have them, written out.
DIRECT = {
    3: "These are frames of a video.\nHow many chair(s) are in this room?\n"
    "Please answer the question using a single word or phrase.",
    4: "These are frames of a video.\nIf I am standing by the sofa and facing the tv, is the bed to the left or the "
    "right of the tv?\nOptions:\nA. left\nB. right\nAnswer with the option's letter from the given choices directly.",
}

ASK = """
import json, sys
folder, video, texts = sys.argv[1:]
sys.path[:] = [folder, *(path for path in sys.path if not path.endswith("workflow"))]
import rollout3d
assert rollout3d.__file__.startswith(folder), rollout3d.__file__
from rollout3d.evaluation.harness import Harness, HarnessSettings, Question, release_text
docs = json.loads(texts)
harness = Harness(folder)
asked = [Question(str(doc["id"]), video, release_text(doc, harness.settings)) for doc in docs]
prompts = [harness.prompt(each) for each in asked]
answers = dict(harness.answers(asked, harness.settings.max_new_tokens, harness.settings.temperature))
print(json.dumps({
    "texts": [each.text for each in asked],
    "ids": [prompt.input_ids.tolist() for prompt in prompts],
    "positions": [prompt.position_ids.tolist() for prompt in prompts],
    "media": [[medium.key for medium in prompt.media] for prompt in prompts],
    "shape": list(harness.frames(video).shape),
    "answers": [answers[place] for place in range(len(asked))],
}))
"""


@pytest.fixture(scope="module")
def run(tokenizer, tmp_path_factory):
    return harness_run.make(tmp_path_factory.mktemp("harness"), tokenizer, ["room"])


CASES = {
    "think": ({"video": VIDEO, "generation": {"max_new_tokens": 9}}, "uniform6", "think", "video_r1"),
    "official": (
        {"video": VIDEO, "generation": {"max_new_tokens": 9}, "evaluation": {"frame_policy": "official"}},
        *("official6", "think", "video_r1"),
    ),
    "more frames than the video has": (
        {"video": VIDEO | {"eval_frames": 40}, "generation": {"max_new_tokens": 9}},
        *("uniform40", "think", "video_r1"),
    ),
    "a rate, odd and true time": (
        {
            "video": VIDEO | {"time_mode": "true", "eval_max_pixels": 18816},
            "generation": {"max_new_tokens": 9},
            "evaluation": {"frame_policy": "fps2max5"},
        },
        *("fps2max5", "think", "video_r1"),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_folder_alone_gives_prompts_pixels_and_answers_of_the_evaluation(run, tmp_path, case):
    config, shown, style, think = CASES[case]
    docs = [NUMBER, CHOICE]
    exported(run.made, tmp_path / "out", config)
    moved = (tmp_path / "out").rename(tmp_path / "moved")
    command = [sys.executable, "-c", ASK, str(moved), str(run.videos["room"]), json.dumps(docs)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    prompts, answers = evaluated(run, docs, config, shown, style, think)
    assert found["ids"] == [prompt.input_ids.tolist() for prompt in prompts]
    assert found["positions"] == [prompt.position_ids.tolist() for prompt in prompts]
    assert found["media"] == [[medium.key for medium in prompt.media] for prompt in prompts]
    assert found["answers"] == answers
    # 150 x 100 rounds to 140 x 112: within 18,816 pixels. Within 9,408: shrunk by sqrt(15,000 / 9,408), rounded down.
    n = {"uniform6": 6, "official6": 6, "uniform40": 40, "fps2max5": 4}[shown]
    assert found["shape"] == ([n, 112, 140, 3] if shown == "fps2max5" else [n, 56, 112, 3])


def settings_for(prompt):
    return HarnessSettings("r", prompt, "uniform32", 0.0, 16, 0, 8, {})


@pytest.mark.parametrize("doc", [NUMBER, CHOICE], ids=["number", "choice"])
def test_direct_prompts_are_vsibench_s_byte_for_byte(doc):
    assert release_text(doc, settings_for("direct")).encode() == DIRECT[doc["id"]].encode()


def test_reasoning_prompts_are_video_r1_s_byte_for_byte():
    middle = (
        "Please think about this question as if you were a human pondering deeply. Engage in an internal dialogue "
        "using expressions such as 'let me think', 'wait', 'Hmm', 'oh, I see', 'let's break it down', etc, or other "
        "natural language thought expressions It's encouraged to include self-reflection or verification in the "
        "reasoning process. Provide your detailed reasoning between the <think> </think> tags, and then give your "
        "final answer between the <answer> </answer> tags."
    )
    text = release_text(CHOICE, settings_for("think_video_r1"))
    end = " Please provide only the single option letter (e.g., A, B, C, D, etc.) within the <answer> </answer> tags."
    assert text == f"{CHOICE['question']}Options:\nA. left\nB. right\n\n{middle}{end}"
    number = release_text(NUMBER, settings_for("think_video_r1"))
    end = " Please provide the numerical value (e.g., 42 or 3.14) within the <answer> </answer> tags."
    assert number == f"{NUMBER['question']}\n{middle}{end}"


def test_a_prompt_that_offers_a_map_keeps_its_grid():
    assert "a grid of 12x12 cells" in release_text(NUMBER, settings_for("think_map12"))


def read_task(path):
    """A task's file with the functions that it names as texts."""

    class Loader(yaml.SafeLoader):
        pass

    Loader.add_constructor("!function", lambda loader, node: f"function {node.value}")
    return yaml.load(path.read_text(), Loader)


def test_tasks_lay_prompt_and_limits_over_lmms_eval_s_own(run, tmp_path):
    said = exported(run.made, tmp_path / "out", {"generation": {"max_new_tokens": 1234}})
    folder = tmp_path / "out" / "rollout3d_lmms_eval" / "tasks"
    assert sorted(path.name for path in folder.glob("*.yaml")) == [
        "rollout3d_vsibench.yaml",
        "rollout3d_vsibench_debiased.yaml",
    ]
    assert "rollout3d_vsibench" in said and "README.md" in said
    group = read_task(folder / "rollout3d_vsibench_debiased.yaml")
    (task,) = group["task"]
    assert (group["group"], task["task"]) == ("rollout3d_vsibench_debiased", "vsibench_debiased")
    assert task["doc_to_text"] == "function prompt.doc_to_text" and task["doc_to_messages"] is None
    assert task["generation_kwargs"] == {
        "max_new_tokens": 1234,
        "temperature": 0,
        "top_p": 1.0,
        "do_sample": False,
        "until": [],
    }
    # The harness must not cut reasoning: its log would lose it.
    assert task["reasoning_tags"] == "none"
    assert [each["function"] for each in task["filter_list"][0]["filter"]] == ["regex", "take_first"]


def test_direct_answers_are_not_filtered(tokenizer, tmp_path):
    policy = build_tiny(tokenizer, seed=1, hidden=64, layers=2, vision_hidden=64)
    save_policy(policy, tmp_path / "run", kind="none", prompts={"style": "direct"})
    exported(tmp_path / "run", tmp_path / "out", {})
    (task,) = read_task(tmp_path / "out/rollout3d_lmms_eval/tasks/rollout3d_vsibench.yaml")["task"]
    assert task["filter_list"] == [{"name": "answer", "filter": [{"function": "take_first"}]}]
    assert task["generation_kwargs"]["max_new_tokens"] == 16


@settings(deadline=None)
@given(st.lists(st.sampled_from(["<answer>", "</answer>", " ", "\n", "A", "<think>", "</think>", "3.5"]), max_size=9))
def test_the_filter_cuts_what_the_official_scorer_reads(pieces):
    text = "".join(pieces)
    cut = [each.strip() for each in re.compile(harness_export.ANSWER).findall(text)]
    assert (cut[0] if cut else "") == (extract_answer(text) or "")


def test_the_readme_has_the_command_and_the_differences(run, tmp_path):
    exported(run.made, tmp_path / "out", {"generation": {"max_new_tokens": 77}})
    text = (tmp_path / "out" / "README.md").read_text()
    assert "$name" not in text and "at most 77 tokens" in text and "`think_video_r1`" in text
    assert 'PYTHONPATH="$PWD/out" LMMS_EVAL_PLUGINS=rollout3d_lmms_eval' in text
    assert "--scorer tagged --text-column resps" in text and "by its own rule" in text


def test_a_prompt_that_gives_maps_is_refused(run, tmp_path, capsys):
    with pytest.raises(SystemExit):
        exported(run.made, tmp_path / "out", {"prompts": {"think": "map"}, "evaluation": {"given_map": "random"}})
    assert "a harness has no such maps" in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_nothing_is_overwritten_and_nothing_is_left_half_done(run, tmp_path, monkeypatch, capsys):
    (tmp_path / "out").mkdir()
    with pytest.raises(SystemExit):
        exported(run.made, tmp_path / "out", {})
    assert "exists already" in capsys.readouterr().err
    monkeypatch.setattr(harness_export, "_readme", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        exported(run.made, tmp_path / "new", {})
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_without_settings_names_the_file(tmp_path):
    with pytest.raises(ValueError, match=r"settings\.json: no settings of an export .* export the run again"):
        HarnessSettings.read(tmp_path)
