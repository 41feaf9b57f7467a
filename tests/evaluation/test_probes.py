"""Altered videos: how they are made, shown, answered, merged and scored."""

import json
from collections import Counter

import numpy as np
import pytest

from evaluation.small_world import CONFIG, LINEAGE, SCENES, Recorder, question_rows, tiny_policy, write_tables
from rollout3d import tables
from rollout3d.config.choices import PROBES
from rollout3d.evaluation.merge import merge
from rollout3d.evaluation.run import settings
from rollout3d.evaluation.views import view_of
from rollout3d.geometry.masks import rle_encode
from rollout3d.model.answer import Setting, answer
from rollout3d.model.generate_hf import Batches
from rollout3d.model.load import save_policy
from rollout3d.model.media import FrameStore, MissingFrames
from rollout3d.model.probes import TWINS, probe_rows, probed
from rollout3d.model.regions import Regions
from rollout3d.model.sampling import Sampling
from rollout3d.model.twins import Twins
from rollout3d.stages import evaluate, merge_predictions, score
from rollout3d.stages import probes as probes_stage

SHOWN = [0, 2, 4, 5, 7, 9]
"""Frames of uniform6, of ten."""
QUARTER = np.zeros((56, 56), bool)
QUARTER[:28, :28] = True


def object_row(scene):
    box = {"centroid": [0.0] * 3, "axes_lengths": [1.0] * 3, "normalized_axes": [1.0, 0, 0, 0, 1, 0, 0, 0, 1]}
    named = {"scene_id": scene, "object_id": 1, "label": "sofa", "category": "sofa", "perturbable": True}
    return named | box | {"aabb_min": [0.0] * 3, "aabb_max": [1.0] * 3, "n_points": 9}


def region_row(scene, frame, object_id=1):
    shown = {"scene_id": scene, "frame_index": frame, "sets": ["uniform6"], "object_id": object_id}
    return shown | {"n_visible": 784, "box": [0, 0, 27, 27], "mask": rle_encode(QUARTER)}


@pytest.fixture
def files(tmp_path):
    """The small world; the sofa of scene a is in frames 2 and 5, that of b in all, that of c in none."""
    made = write_tables(tmp_path)
    made |= {name: str(tmp_path / f"{name}.parquet") for name in ("objects", "regions", "probes")}
    tables.write(tables.OBJECTS, made["objects"], [object_row(scene) for scene in SCENES], LINEAGE)
    regions = [region_row("a", frame) for frame in (2, 5)] + [region_row("b", frame) for frame in SHOWN]
    tables.write(tables.REGIONS, made["regions"], [*regions, region_row("c", 4, object_id=2)], LINEAGE)
    return made


SOFA_A, TV_A, SOFA_B, TV_B, SOFA_C, TV_C = question_rows()


def made(files, probes, questions=None, seed=0, regions=True):
    given = ([files["objects"]], [files["regions"]]) if regions else None
    rows = question_rows() if questions is None else questions
    found = list(probe_rows(rows, [files["frames"]], "uniform6", probes, seed, given))
    return {(row["question_id"], row["probe"]): row for row in found}


def twins_of(files, rows):
    tables.write(tables.PROBES, files["probes"], rows.values(), LINEAGE)
    made, store = tables.read(tables.PROBES, files["probes"]), FrameStore([files["frames"]])
    return Twins(made, "uniform6", store, [files["objects"]], [files["regions"]], source=str(files["probes"]))


def video(files, row, probe, **changes):
    twins = twins_of(files, made(files, [probe], **changes))
    own = FrameStore([files["frames"]]).video(row["scene_id"], "uniform6", 6, (784, 3136))
    return own.frames, twins.video(row, probe, own, 6, (784, 3136)).frames


def test_every_probe_of_the_configuration_can_be_made():
    assert tuple(TWINS) == PROBES


def test_shuffled_frames_are_the_same_in_an_order_of_the_questions_own(files):
    found = made(files, ["shuffled"])
    orders = [row["order"] for row in found.values()]
    assert all(sorted(order) == [*range(6)] and order != [*range(6)] for order in orders)
    assert len({tuple(order) for order in orders}) > 1, "questions of a scene have orders of their own"
    assert found == made(files, ["shuffled"], questions=question_rows()[::-1])
    assert found != made(files, ["shuffled"], seed=1)
    own, shown = video(files, TV_B, "shuffled")
    assert np.array_equal(shown, own[found[TV_B["question_id"], "shuffled"]["order"]])


def test_another_rooms_video_is_one_for_all_questions_of_a_scene(files):
    found = made(files, ["other_room"])
    for sofa, tv in ((SOFA_A, TV_A), (SOFA_B, TV_B), (SOFA_C, TV_C)):
        other = found[sofa["question_id"], "other_room"]["scene_id"]
        assert other != sofa["scene_id"] and found[tv["question_id"], "other_room"]["scene_id"] == other
    own, shown = video(files, SOFA_A, "other_room")
    other = found[SOFA_A["question_id"], "other_room"]["scene_id"]
    assert np.array_equal(shown, FrameStore([files["frames"]]).frames(other, "uniform6", 6, (784, 3136)))
    assert not np.array_equal(shown, own)


def test_scans_of_one_space_are_no_other_room(files):
    same = [row | {"space_id": "flat"} for row in question_rows()]
    reasons = {row["reason"] for row in made(files, ["other_room"], questions=same).values()}
    assert reasons == {"no scene of another room in this table"}


def test_frames_that_show_a_named_object_are_left_out(files):
    found = made(files, ["removed"])
    # Left are places 0, 2, 4 and 5; round(linspace(0, 3, 6)) is 0 1 1 2 2 3.
    assert found[SOFA_A["question_id"], "removed"]["order"] == [0, 2, 2, 4, 4, 5]
    reasons = {q["question_id"]: found[q["question_id"], "removed"]["reason"] for q in question_rows()}
    assert reasons[SOFA_B["question_id"]] == "every frame shows one of its objects"
    assert reasons[SOFA_C["question_id"]] == "none of its objects is in the frames"
    assert reasons[TV_A["question_id"]] == "names no object"
    assert {row["reason"] for row in made(files, ["removed"], regions=False).values()} == {
        "no regions of objects are known"
    }


def test_named_objects_are_drowned_where_they_are_and_nothing_else_is(files):
    own, shown = video(files, SOFA_A, "drowned")
    changed = (own != shown).any(axis=-1)
    height, width = own.shape[1:3]
    assert not changed[[0, 2, 4, 5]].any(), "frames 0, 4, 7 and 9 do not show the sofa"
    for place in (1, 3):
        assert changed[place, : height // 2, : width // 2].mean() > 0.99
        assert changed[place].sum() == changed[place, : height // 2, : width // 2].sum()
    noise = shown[1, : height // 2, : width // 2].astype(float)
    # Uniform over 0 to 255: mean 127.5, deviation 73.9; some 2,000 values give it to 5.
    assert abs(noise.mean() - 127.5) < 6 and abs(noise.std() - 73.9) < 4
    assert np.array_equal(shown, video(files, SOFA_A, "drowned")[1])


def test_a_setting_belongs_to_the_probe_with_the_longest_name():
    found = {view: view_of(f"{view}16") for view in ("uniform", *PROBES)}
    assert found == {"uniform": "video"} | {probe: probe for probe in PROBES}


LEFT_HALF = np.zeros((56, 56), bool)
LEFT_HALF[:, :28] = True


def crowd(files, n_others, large=None):
    """Give scene a other objects, 2 to n_others + 1, each in one cell of its frames; `large` has a mask of its own."""
    others = range(2, n_others + 2)
    objects = [object_row(scene) for scene in SCENES]
    objects[1:1] = [object_row("a") | {"object_id": k, "label": "lamp", "category": "lamp"} for k in others]
    regions = [region_row("a", 2)]
    for k in others:
        mask = np.zeros((56, 56), bool)
        mask[26 + 2 * k : 28 + 2 * k, 40:44] = True
        regions.append(region_row("a", 2, k) | {"mask": rle_encode(large if k == 2 and large is not None else mask)})
    tables.write(tables.OBJECTS, files["objects"], objects, LINEAGE)
    tables.write(tables.REGIONS, files["regions"], [*regions, region_row("b", 4)], LINEAGE)


def test_as_many_other_objects_of_the_nearest_area_are_drowned(files):
    crowd(files, 6, large=LEFT_HALF)
    rows = made(files, ["drowned_context"])
    # The sofa covers 784 pixels; object 2 covers 1568 and each other one 8: log 2 is nearer to 0 than log 98.
    assert rows[SOFA_A["question_id"], "drowned_context"]["objects"] == [2]
    assert rows == made(files, ["drowned_context"], questions=question_rows()[::-1])
    assert rows[TV_A["question_id"], "drowned_context"]["reason"] == "names no object"
    assert rows[SOFA_B["question_id"], "drowned_context"]["reason"] == "shows fewer other objects than named ones"
    assert rows[SOFA_C["question_id"], "drowned_context"]["reason"] == "no regions of objects are known"
    two = SOFA_A | {"objects": [{"category": "sofa", "object_ids": [1]}, {"category": "lamp", "object_ids": [2]}]}
    found = made(files, ["drowned_context"], questions=[two])[two["question_id"], "drowned_context"]["objects"]
    assert len(found) == 2 and set(found) <= {3, 4, 5, 6, 7}, "as many as the question names, and none of these"
    draws = {tuple(made(files, ["drowned_context"], [two], seed)[two["question_id"], "drowned_context"]["objects"])
             for seed in range(6)}  # fmt: skip
    assert len(draws) > 1, "sets of equal area are drawn by seed"


def test_the_noise_over_other_objects_spares_the_named_ones(files):
    crowd(files, 1, large=LEFT_HALF)
    own, shown = video(files, SOFA_A, "drowned_context")
    changed, (height, width) = (own != shown).any(axis=-1), own.shape[1:3]
    assert not changed[[0, 2, 3, 4, 5]].any(), "frame 2 alone shows the object"
    assert not changed[1, : height // 2].any(), "its upper half is behind the sofa"
    assert changed[1, height // 2 :, : width // 2].mean() > 0.99 and not changed[1, :, width // 2 :].any()


def test_the_area_compared_is_the_one_that_noise_covers(files):
    crowd(files, 2, large=LEFT_HALF)
    # Object 2 has the left half, of which the sofa has one half, too; object 3 has 8 pixels elsewhere.
    regions = Regions([files["objects"]], [files["regions"]], lambda _: [{"frame_index": i} for i in (0, 2, 2)])
    assert regions.areas("a") == {1: 2 * 784, 2: 2 * 1568, 3: 2 * 8}
    assert regions.areas("a", [1]) == {1: 2 * 784, 2: 2 * 784, 3: 2 * 8}
    assert regions.areas("a", [1, 2]) == {1: 2 * 784, 2: 2 * 1568, 3: 2 * 8}, "3 lies in neither"
    assert regions.areas("a", [2, 3]) == {1: 0, 2: 2 * 1568, 3: 2 * 8}
    rng = np.random.default_rng(0)
    for _ in range(50):
        masks = rng.random((4, 20, 30)) < rng.random((4, 1, 1))
        rows = [region_row("a", 2, k + 1) | {"mask": rle_encode(mask)} for k, mask in enumerate(masks)]
        tables.write(
            tables.OBJECTS, files["objects"], [object_row("a") | {"object_id": k} for k in (1, 2, 3, 4)], LINEAGE
        )
        tables.write(tables.REGIONS, files["regions"], rows, LINEAGE)
        found = Regions([files["objects"]], [files["regions"]], lambda _: [{"frame_index": 2}]).areas("a", [1, 4])
        left = {k + 1: int((masks[k] & ~masks[0] & ~masks[3]).sum()) for k in (1, 2)}
        assert {k: found[k] for k in (2, 3)} == left


def test_all_objects_are_drowned_even_of_a_question_that_names_none(files):
    crowd(files, 6)
    rows = made(files, ["drowned_all"])
    for question in (SOFA_A, TV_A):
        assert rows[question["question_id"], "drowned_all"]["objects"] == [1, 2, 3, 4, 5, 6, 7]
    assert rows[SOFA_C["question_id"], "drowned_all"]["reason"] == "no regions of objects are known"
    own, shown = video(files, TV_A, "drowned_all")
    changed = (own != shown).any(axis=-1)
    assert changed[1].mean() == pytest.approx((784 + 6 * 8) / 56**2, rel=0.02)
    assert not changed[[0, 2, 3, 4, 5]].any()


def test_a_question_without_a_scene_has_no_twin_but_black(files):
    general = SOFA_A | {"scene_id": None, "space_id": None, "media": [{"bytes": None, "path": "still.png"}]}
    found = made(files, PROBES, questions=[general])
    reasons = {probe: row["reason"] for (_, probe), row in found.items()}
    assert reasons == dict.fromkeys(PROBES, "about no scene") | {"black": None}


def test_text_alone_has_no_twin_since_it_shows_nothing_to_blacken(files):
    text = SOFA_A | {"scene_id": None, "space_id": None, "media": None}
    reasons = {probe: row["reason"] for (_, probe), row in made(files, PROBES, questions=[text]).items()}
    assert reasons == dict.fromkeys(PROBES, "about no scene") | {"black": "shows nothing"}


def predictions(files, probe, questions=None):
    twins = twins_of(files, made(files, [probe]))
    rows, store = question_rows() if questions is None else questions, FrameStore([files["frames"]])
    asked = [Setting("uniform6", "uniform6"), Setting(f"{probe}6", "uniform6", probe=probe)]
    sampling, back_end = Sampling(max_new_tokens=2), Batches(Recorder())
    shared = {"sampling": sampling, "batch_size": 4, "scorer": "vsibench", "back_end": back_end}
    return list(answer(rows, tiny_policy(), store, asked, **shared, twins=twins))


def test_questions_without_a_twin_are_not_asked(files):
    found = predictions(files, "removed")
    assert [p["question_id"] for p in found if p["setting"] == "removed6"] == [SOFA_A["question_id"]]
    assert [p["question_id"] for p in found if p["setting"] == "uniform6"] == [
        q["question_id"] for q in question_rows()
    ]
    with pytest.raises(ValueError, match="setting removed6 needs a table of probes"):
        list(
            answer(
                question_rows(),
                *(tiny_policy(), FrameStore([files["frames"]]), [Setting("removed6", "uniform6", probe="removed")]),
                **{"sampling": Sampling(max_new_tokens=1), "batch_size": 2, "scorer": "vsibench"},
            )
        )


def test_a_table_of_other_questions_is_refused(files):
    twins = twins_of(files, made(files, ["shuffled"], questions=question_rows()[:1]))
    with pytest.raises(ValueError, match=rf"{files['probes']}: has no probe 'removed' of question .*make the table"):
        twins.usable(SOFA_A["question_id"], "removed")


def test_nothing_is_drowned_without_regions(files):
    tables.write(tables.PROBES, files["probes"], made(files, ["drowned"]).values(), LINEAGE)
    store = FrameStore([files["frames"]])
    twins = Twins(tables.read(tables.PROBES, files["probes"]), "uniform6", store)
    own = store.video("a", "uniform6", 6, (784, 3136))
    with pytest.raises(MissingFrames, match=r"scene a: no regions .* give --objects and --regions"):
        twins.video(SOFA_A, "drowned", own, 6, (784, 3136))


def test_a_share_of_the_questions_is_asked_with_probes_the_same_for_all(files):
    rows = tables.read(tables.QUESTIONS, files["questions"])
    every = [rows[0] | {"question_id": f"q{k}"} for k in range(60)]
    third = probed(every, 20)
    assert len(third) == 20 and third < probed(every, 30) < probed(every, 60) == {row["question_id"] for row in every}
    assert len(probed(every, 20, 7)) == 20 and third != probed(every, 20, 7) != probed(every, 20, 8)
    found = list(probe_rows(every, [files["frames"]], "uniform6", ["black", "shuffled"], 0, None, 1 / 3))
    assert len(found) == 120
    for row in found:
        assert row["reason"] == (None if row["question_id"] in third else "not among evaluation.probe_share")
        assert row["scene_id"] if row["question_id"] in third else row["scene_id"] is None


def test_each_task_has_as_many_probes_as_far_as_it_has_questions():
    """A third of 90: 30, of which 4 are all that one task has and 13 each is what is left for two others."""
    sizes = {"object_counting": 66, "room_size_estimation": 4, "object_rel_direction_easy": 8}
    sizes["object_rel_direction_hard"] = 12  # one task with the easy ones
    rows = [{"question_id": f"{name}{k}", "question_type": name} for name, n in sizes.items() for k in range(n)]
    found = probed(rows, 30)
    assert found == probed(rows[::-1], 30)
    tasks = Counter(name.rstrip("0123456789").removesuffix("_easy").removesuffix("_hard") for name in found)
    assert tasks == {"object_counting": 13, "room_size_estimation": 4, "object_rel_direction": 13}


def test_evaluation_asks_for_the_table_of_probes_before_it_loads_a_model(files, tmp_path, capsys):
    config = CONFIG | {"evaluation": {"probes": ["shuffled"]}, "generation": {"backend": "hf"}}
    given = f"--run x --method none --model {tmp_path}/none.json --questions {files['questions']}"
    with pytest.raises(SystemExit):
        evaluate.main(["--config", json.dumps(config), *f"{given} --frames {files['frames']} --out x".split()])
    assert "evaluation.probes needs --probes" in capsys.readouterr().err


def test_the_table_depends_on_the_regions_of_its_own_frames(files, tmp_path):
    config = CONFIG | {"evaluation": {"probes": ["removed"]}}
    given = f"--questions {files['questions']} --frames {files['frames']} --objects {files['objects']}"

    def recorded(regions):
        argv = f"{given} --regions {regions} --out {files['probes']}".split()
        probes_stage.main(["--config", json.dumps(config), *argv])
        return tables.lineage(files["probes"])["parents"]

    before = recorded(files["regions"])
    more = [*tables.read(tables.REGIONS, files["regions"]), region_row("a", 3) | {"sets": ["uniform4"]}]
    more.sort(key=lambda row: (row["scene_id"], row["frame_index"]))
    tables.write(tables.REGIONS, tmp_path / "more.parquet", more, LINEAGE)
    assert recorded(tmp_path / "more.parquet") == before


def test_only_questions_without_a_twin_may_lack_an_answer(files):
    found, ids = predictions(files, "removed"), [q["question_id"] for q in question_rows()]
    spared = {"removed": set(ids) - {SOFA_A["question_id"]}}
    assert merge([found[::2], found[1::2]], ids, spared) == found
    with pytest.raises(ValueError, match="setting removed6: 1 questions have no answer"):
        merge([found], ids, {"removed": spared["removed"] - {TV_B["question_id"]}})


def test_evaluation_shows_each_probe_that_is_asked_for(files):
    evaluation = {"probes": ["black", "other_room"]}
    found = settings(config := _config(evaluation).evaluation, _config(evaluation).video)
    assert [(each.name, each.probe) for each in found] == [
        ("uniform6", None),
        ("black6", "black"),
        ("other_room6", "other_room"),
    ]
    assert config.probes == ["black", "other_room"]


def _config(evaluation):
    from rollout3d.config import Config

    return Config.model_validate(CONFIG | {"evaluation": evaluation})


def test_stages_lead_from_the_table_to_a_score_of_each_probe(files, tmp_path):
    save_policy(tiny_policy(), tmp_path / "model", kind="tiny")
    config = CONFIG | {"evaluation": {"probes": list(PROBES)}, "generation": {"max_new_tokens": 2, "backend": "hf"}}

    def call(stage, words):
        stage.main(["--config", json.dumps(config), *words.split()])

    scans = f"--questions {files['questions']} --frames {files['frames']}"
    scans += f" --objects {files['objects']} --regions {files['regions']}"
    call(probes_stage, f"--benchmark synthetic {scans} --out {files['probes']}")
    run, parts = "--run ocr --benchmark synthetic", [tmp_path / f"part{i}.parquet" for i in range(2)]
    for i, part in enumerate(parts):
        how = f"--method grpo --shard {i} --n-shards 2 --model {tmp_path}/model/model.json"
        call(evaluate, f"{run} {how} {scans} --probes {files['probes']} --out {part}")
    merged = tmp_path / "predictions.parquet"
    given = f"--predictions {parts[0]} {parts[1]} --questions {files['questions']} --probes {files['probes']}"
    call(merge_predictions, f"{run} {given} --out {merged}")
    read = f"--predictions {merged} --questions {files['questions']} --train {files['ocr_rl']}"
    call(score, f"{run} --method grpo {read} --out {tmp_path}/scores.parquet")
    rows = tables.read(tables.SCORES, tmp_path / "scores.parquet")
    n = {row["view"]: row["n"] for row in rows if row["task"] == "overall" and row["scorer"]}
    assert n == {
        **{"video": 6, "black": 6, "seen": 6, "shuffled": 6, "seen_shuffled": 6, "other_room": 6},
        **{"seen_other_room": 6, "drowned": 2, "seen_drowned": 2, "removed": 1, "seen_removed": 1},
        **{"drowned_all": 4, "seen_drowned_all": 4},
    }
