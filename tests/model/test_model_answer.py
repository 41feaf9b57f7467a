import random

import pytest
import torch

from rollout3d import tables
from rollout3d.model.answer import Setting, answer, build_prompt
from rollout3d.model.generate_hf import Batches, generate
from rollout3d.model.media import FrameStore
from rollout3d.model.parts import Parts
from rollout3d.model.sampling import Completion, Sampling

GREEDY = Sampling(max_new_tokens=3)


@pytest.fixture
def store(frames, write_frames, write_maps):
    def scene(seed):
        return [(i, ["uniform16"], frame) for i, frame in enumerate(frames(16, 56, 56, seed))]

    path = write_frames({"room": scene(1), "hall": scene(2)})
    return FrameStore([path], [write_maps({"room": frames(1, 56, 56, seed=3)[0]})])


@pytest.fixture
def rows(question, encoded, frames):
    scenes = ["room", "hall", "room", "hall", "room"]
    asked = [question(question_id=f"q{i}", scene_id=s, question=f"How many? {i}") for i, s in enumerate(scenes)]
    own = {"bytes": encoded(frames(1, 40, 40)[0]), "path": "x.png"}
    return [*asked, question(question_id="general", scene_id=None, media=[own])]


def _answer(rows, policy, store, **options):
    options = {"sampling": GREEDY, "batch_size": 2, "scorer": "vsibench"} | options
    return list(answer(rows, policy, store, [Setting("frames2", n_frames=2)], **options))


def _scripted(texts):
    """A generator that writes given texts by question, whatever it is shown."""

    def write(policy, prompts, sampling, seed=0, keys=None):
        return [[Completion([1, 2], texts[key], True)] * sampling.n for key in keys]

    return Batches(write)


def test_predictions_are_rows_of_the_table_in_the_order_asked(rows, policy, store, tmp_path):
    found = _answer(rows, policy, store)
    assert [row["question_id"] for row in found] == ["q0", "q1", "q2", "q3", "q4", "general"]
    assert {row["setting"] for row in found} == {"frames2"} and {row["model"] for row in found} == {policy.name}
    assert tables.write(tables.PREDICTIONS, tmp_path / "p.parquet", found, tables.Lineage("test")) == 6


def test_answers_do_not_depend_on_the_batch_size(rows, policy, store):
    sampling = Sampling(n=2, temperature=1.0, max_new_tokens=4)
    one = _answer(rows, policy, store, sampling=sampling, batch_size=1)
    many = _answer(rows, policy, store, sampling=sampling, batch_size=16)
    assert one == many
    assert [(row["question_id"], row["sample"]) for row in one[:3]] == [("q0", 0), ("q0", 1), ("q1", 0)]


def test_texts_are_scored_against_the_question(question, policy, store):
    rows = [question(question_id="a", ground_truth="4"), question(question_id="b"), question(question_id="c")]
    texts = {"a": "2 chairs", "b": "<think>x</think> <answer>3</answer>", "c": "no idea"}
    plain = _answer(rows, policy, store, back_end=_scripted(texts))
    assert [(row["answer"], row["score"]) for row in plain] == [("2", 0.1), ("<think>x</think>", 0.0), ("no", 0.0)]
    tagged = _answer(rows, policy, store, back_end=_scripted(texts), scorer="tagged")
    assert [(row["answer"], row["score"]) for row in tagged] == [(None, 0.0), ("3", 1.0), (None, 0.0)]
    assert {row["scorer"] for row in tagged} == {"tagged"} and {row["n_tokens"] for row in tagged} == {2}


def test_scenes_are_answered_together_and_questions_name_the_draws(rows, policy, store):
    seen = []

    def spying(policy, prompts, sampling, seed=0, keys=None):
        seen.append((seed, list(keys)))
        return generate(policy, prompts, sampling, seed, keys)

    _answer(rows, policy, store, back_end=Batches(spying), seed=7)
    assert seen == [(7, ["general", "q1"]), (7, ["q3", "q0"]), (7, ["q2", "q4"])]


def test_a_setting_decides_what_is_shown(question, policy, store):
    sixteen = build_prompt(question(), policy, store, Setting("frames16"))
    two = build_prompt(question(), policy, store, Setting("frames2", n_frames=2))
    small = build_prompt(question(), policy, store, Setting("small", pixels=(784, 28 * 28 * 4), n_frames=2))
    assert sixteen.video_grid_thw.tolist() == [[8, 4, 4]] and two.video_grid_thw.tolist() == [[1, 4, 4]]
    assert small.video_grid_thw.tolist() == [[1, 4, 4]] and sixteen.image_grid_thw is None
    frames = store.frames("room", "uniform16", 2)
    assert torch.equal(two.pixel_values_videos, policy.encoder.medium(store.video("room", "uniform16", 2)).patches)
    assert frames[0].tolist() == store.frames("room", "uniform16")[0].tolist()


def test_the_top_view_is_an_image_before_the_video(question, policy, store):
    prompt = build_prompt(question(), policy, store, Setting("frames16_bev", bev=True))
    assert [medium.modality for medium in prompt.media] == ["image", "video"]
    assert (prompt.media[0].frames[0] == store.bev("room")).all()
    assert "top view" in policy.decode(prompt.input_ids)


def test_black_frames_keep_the_shape_and_hide_everything(rows, question, policy, store):
    seeing = build_prompt(question(), policy, store, Setting("x", bev=True))
    blind = build_prompt(question(), policy, store, Setting("x", bev=True, probe="black"))
    assert torch.equal(seeing.input_ids, blind.input_ids)
    assert not any(medium.frames.any() for medium in blind.media) and len(blind.media) == 2
    general = build_prompt(rows[-1], policy, store, Setting("x", probe="black"))
    assert len(general.media) == 1 and not general.media[0].frames.any()


def test_general_questions_show_their_own_pictures_and_need_no_store(rows, policy):
    prompt = build_prompt(rows[-1], policy, None, Setting("frames16"), prompt_style="think", think="plain")
    assert [medium.modality for medium in prompt.media] == ["image"]
    text = policy.decode(prompt.input_ids)
    assert "Think step by step" in text and "frames of a video" not in text


def test_a_questions_own_video_is_shown_as_a_video(question, encoded, frames, policy, true_time_policy):
    clip = frames(8, 56, 84)
    media = [{"bytes": encoded(frame), "path": tables.frame_path(i / 4)} for i, frame in enumerate(clip)]
    row = question(scene_id=None, media=media)
    prompt = build_prompt(row, policy, None, Setting("frames4", "uniform8", n_frames=4), prompt_style="think")
    (shown,) = prompt.media
    assert shown.modality == "video" and prompt.video_grid_thw.tolist() == [[2, 4, 6]]
    assert (shown.frames == clip[[0, 2, 5, 7]]).all()
    timed = build_prompt(row, true_time_policy, None, Setting("frames8", "uniform8"))
    assert timed.second_per_grid == [0.5]
    small = build_prompt(row, policy, None, Setting("small", "uniform8", n_frames=4, pixels=(784, 28 * 28 * 4)))
    dark = build_prompt(
        row, policy, None, Setting("small", "uniform8", n_frames=4, pixels=(784, 28 * 28 * 4), probe="black")
    )
    assert small.video_grid_thw.tolist() == dark.video_grid_thw.tolist() == [[2, 2, 4]]
    assert small.media[0].frames.any() and not dark.media[0].frames.any()


def test_a_question_about_a_scene_without_frames_is_refused(question, policy):
    with pytest.raises(ValueError, match="question q is about scene room: pass frames tables"):
        build_prompt(question(), policy, None, Setting("x"))


def test_a_failure_while_encoding_ahead_is_raised(rows, policy, store, question):
    with pytest.raises(ValueError, match="attic"):
        _answer([*rows, question(scene_id="attic")], policy, store)


def test_no_questions_give_no_predictions(policy, store):
    assert _answer([], policy, store) == []


class Queue:
    """A back end as vLLM is: prompts of their own, finished in any order."""

    name = "vllm"
    shares_forward = False

    def __init__(self, dies_after=None):
        self.written, self.dies_after = [], dies_after

    def run(self, policy, batches, sampling, seed=0):
        waiting = list(batches)
        random.Random(len(waiting)).shuffle(waiting)
        for batch in waiting:
            if len(self.written) == self.dies_after:
                raise KeyboardInterrupt
            self.written += batch.keys
            yield batch, [[Completion([1], f"answer to {key}", True)] * sampling.n for key in batch.keys]


class Dying:
    """The transformers back end, until the process is stopped."""

    name = "hf"
    shares_forward = True

    def __init__(self, dies_after):
        self.written, self.dies_after = [], dies_after

    def run(self, policy, batches, sampling, seed=0):
        return Batches(self._generate).run(policy, batches, sampling, seed)

    def _generate(self, policy, prompts, sampling, seed=0, keys=None):
        if len(self.written) == self.dies_after:
            raise KeyboardInterrupt
        self.written.append(list(keys))
        return generate(policy, prompts, sampling, seed, keys)


@pytest.fixture
def parts(tmp_path):
    return lambda: Parts(tmp_path / "out.parquet", tables.Lineage("test"))


def test_answers_come_in_the_order_asked_whatever_is_finished_first(rows, policy, store):
    queue = Queue()
    found = _answer(rows, policy, store, back_end=queue)
    names = ["q0", "q1", "q2", "q3", "q4", "general"]
    assert [row["question_id"] for row in found] == names and queue.written != names
    assert [row["text"] for row in found] == [f"answer to {name}" for name in names]


def test_a_stopped_run_goes_on_with_the_batches_that_are_not_whole(rows, policy, store, parts, caplog, capsys):
    caplog.set_level("INFO")
    whole = _answer(rows, policy, store)
    first = Dying(2)
    with pytest.raises(KeyboardInterrupt):
        _answer(rows, policy, store, back_end=first, parts=parts())
    second = Dying(9)
    assert _answer(rows, policy, store, back_end=second, parts=parts()) == whole
    assert (first.written, second.written) == ([["general", "q1"], ["q3", "q0"]], [["q2", "q4"]])
    assert "4 of 6 answers were kept by an earlier start" in caplog.text
    assert "frames2: questions 6/6" in capsys.readouterr().err
    third = Dying(0)
    assert _answer(rows, policy, store, back_end=third, parts=parts()) == whole and not third.written


def test_a_batch_that_lost_one_answer_is_computed_whole(rows, policy, store, parts):
    """Rounding depends on who is in a batch: an answer must not meet other neighbours because one was lost."""
    found = {(row["setting"], row["question_id"]): [("kept", 1)] for row in _answer(rows, policy, store)}
    del found["frames2", "q3"]
    parts().add(found)
    again = Dying(9)
    texts = {row["question_id"]: row["text"] for row in _answer(rows, policy, store, back_end=again, parts=parts())}
    assert again.written == [["q3", "q0"]]
    assert {name for name, text in texts.items() if text == "kept"} == {"general", "q1", "q2", "q4"}


def test_a_stopped_queue_loses_the_questions_in_flight_only(rows, policy, store, parts):
    whole = _answer(rows, policy, store, back_end=Queue())
    asked = []
    for after in (0, 1, 3, None):
        queue = Queue(after)
        try:
            found = _answer(rows, policy, store, back_end=queue, parts=parts())
        except KeyboardInterrupt:
            assert after is not None
        asked += queue.written
    assert found == whole and sorted(asked) == sorted(row["question_id"] for row in rows)


def test_settings_are_answered_in_turn_and_kept_apart(rows, policy, store, parts):
    settings = [Setting("frames2", n_frames=2), Setting("black2", n_frames=2, probe="black")]
    options = {"sampling": GREEDY, "batch_size": 4, "scorer": "vsibench"}
    whole = list(answer(rows, policy, store, settings, **options))
    names = [row["question_id"] for row in rows]
    assert [(r["setting"], r["question_id"]) for r in whole] == [(s.name, q) for s in settings for q in names]
    stopped = Dying(3)
    with pytest.raises(KeyboardInterrupt):
        list(answer(rows, policy, store, settings, **options, back_end=stopped, parts=parts()))
    again = Dying(9)
    assert list(answer(rows, policy, store, settings, **options, back_end=again, parts=parts())) == whole
    assert len(stopped.written) + len(again.written) == 4


def test_scores_come_from_the_kept_texts(question, policy, store, parts):
    """What is kept is what was written: a corrected scorer or ground truth needs no model."""
    parts().add({("frames2", "q"): [("4", 1)]})
    row = question(ground_truth="4")
    (found,) = _answer([row], policy, store, back_end=Dying(0), parts=parts())
    assert (found["answer"], found["score"], found["n_tokens"]) == ("4", 1.0, 1)


def test_two_questions_of_one_id_are_refused(question, policy, store):
    with pytest.raises(ValueError, match="question ids occur more than once, such as q"):
        _answer([question(), question(question="Another?")], policy, store)


@pytest.mark.parametrize("faulty", ["silent", "twice"])
def test_a_back_end_must_answer_every_question_once(rows, policy, store, faulty):
    class Faulty(Queue):
        def run(self, policy, batches, sampling, seed=0):
            found = list(super().run(policy, batches, sampling, seed))
            return iter(found[1:] if faulty == "silent" else [*found, found[0]])

    with pytest.raises(AssertionError, match="without an answer" if faulty == "silent" else "twice"):
        _answer(rows, policy, store, back_end=Faulty())
