"""From shards to train and test: sides, leak guard, sources, and the stages' command lines."""

import json
import logging
from collections import Counter

import pytest

from questions.question_rooms import KINDS, floor_of, map_row, object_rows, random_things, scene_row, view
from rollout3d import tables
from rollout3d.config import Config, merge
from rollout3d.questions.assemble import assemble
from rollout3d.questions.generate import questions_for_scene
from rollout3d.stages import assemble as assemble_stage
from rollout3d.stages import questions as questions_stage

TRAIN_AND_VAL = {
    "datasets": {"scannet": {"splits": {"train": ["train"], "test": ["val"]}}},
    "questions": {"max_value_share": 1.0},
}


def config(**changes):
    return Config.model_validate(merge(TRAIN_AND_VAL, changes))


def scan(k, split="train", space=None, seed=None):
    return {
        "things": random_things(k if seed is None else seed, 12),
        "scene_id": f"scene{k:04d}_00",
        "space_id": space or f"scene{k:04d}",
        "split": split,
    }


def questions_of(scans):
    rows = []
    for s in scans:
        times = {c: 1.3 * i for i, c in enumerate(KINDS)}
        names = {key: s[key] for key in ("scene_id", "space_id", "split")}
        rows += questions_for_scene(view(s["things"], times, floor_of(s["things"]), **names), config().questions, 0)[0]
    return rows


SCANS = [scan(0), scan(1), scan(2), scan(3, "val"), scan(4, "val")]
SCENES = [{"dataset": "scannet"} | {key: s[key] for key in ("scene_id", "space_id", "split")} for s in SCANS]


@pytest.fixture(scope="module")
def rows():
    return questions_of(SCANS)


def test_rows_go_to_the_side_of_their_split(rows):
    made = assemble(rows, [], config())
    assert {row["scene_id"] for row in made.train} == {"scene0000_00", "scene0001_00", "scene0002_00"}
    assert {row["scene_id"] for row in made.test} == {"scene0003_00", "scene0004_00"}
    assert len(made.train) + len(made.test) == len(rows) and made.dropped == []
    nothing_tested = assemble(rows, [], Config.model_validate({"questions": {"max_value_share": 1.0}}))
    assert nothing_tested.test == [] and len(nothing_tested.train) == len(made.train)
    assert {row["reason"] for row in nothing_tested.dropped} == {"its split is neither trained on nor tested"}


def test_assembly_forgets_shards_and_order(rows):
    one = assemble(rows, [], config())
    assert assemble(rows[::-1], [], config()) == one
    assert assemble([*rows[100:], *rows[:100], *rows[:7]], [], config()) == one, "equal rows count once"
    assert assemble(rows, [], config(seed=1)).train != one.train


@pytest.mark.parametrize("total", [None, 150])
def test_letters_are_even_on_each_side(rows, total):
    made = assemble(rows, [], config(questions={"total": total}))
    for side in (made.train, made.test):
        kinds = Counter((row["question_type"], len(row["options"])) for row in side if row["options"])
        assert len(kinds) >= 5
        for kind, n in kinds:
            of_kind = [r for r in side if r["question_type"] == kind and r["options"] and len(r["options"]) == n]
            used = Counter(row["ground_truth"] for row in of_kind)
            assert max(used.values()) - min(used.get(letter, 0) for letter in "ABCD"[:n]) <= 1


def test_relative_distance_still_names_its_options_in_order(rows):
    asked = [r for r in assemble(rows, [], config()).train if r["question_type"] == "object_rel_distance"]
    assert len(asked) > 50
    for row in asked:
        names = [option[3:] for option in row["options"]]
        assert f"({', '.join(names)})" in row["question"]
        assert json.loads(row["evidence"])["nearest"] == names["ABCD".index(row["ground_truth"])]


def imported_order(rows):
    row = next(r for r in rows if r["question_type"] == "obj_appearance_order" and r["split"] == "train")
    row = row | {"source": "vlm3r_order", "question": row["question"] + " "}
    return row | {"question_id": tables.question_id(row)}


@pytest.mark.parametrize(("source", "kept"), [("external", {"e"}), ("generated", {"g"}), ("both", {"e", "g"})])
def test_sources_decide_which_questions_train(rows, source, kept):
    c = config(questions={"sources": {"obj_appearance_order": source, "route_planning": "generated"}})
    imported = imported_order(rows)
    made = assemble([*rows, imported], SCENES, c)
    orders = [row for row in made.train if row["question_type"] == "obj_appearance_order"]
    assert {"g" if row["source"] == "generated" else "e" for row in orders} == kept
    assert any(row["question_type"] == "obj_appearance_order" for row in made.test), "tests are always generated"
    if "e" in kept:
        assert [r for r in orders if r["source"] == "vlm3r_order"]
    assert all(source in row["reason"] for row in made.dropped) and bool(made.dropped) is (source != "both")


def test_without_an_external_file_generated_questions_stand_in_with_a_warning(rows, caplog):
    with caplog.at_level(logging.WARNING):
        made = assemble(rows, [], config())
    assert any(row["question_type"] == "obj_appearance_order" for row in made.train)
    assert all(row["source"] == "generated" for row in made.train)
    warned = "\n".join(caplog.messages)
    assert "obj_appearance_order: no external file" in warned and "route_planning: no external file" in warned


def test_total_caps_training_and_not_the_test(rows):
    made = assemble(rows, [], config(questions={"total": 100}))
    full = assemble(rows, [], config())
    assert len(made.train) == 100 and made.test == full.test
    assert len(made.dropped) == len(full.train) - 100
    share = Counter(row["question_type"] for row in full.train)
    for kind, n in Counter(row["question_type"] for row in made.train).items():
        assert abs(n - 100 * share[kind] / len(full.train)) < 1


def test_no_number_dominates_training_and_the_test_is_left_alone(rows):
    full = assemble(rows, [], config())
    made = assemble(rows, [], config(questions={"max_value_share": 0.06}))
    assert made.test == full.test and len(made.train) < len(full.train)
    sizes = Counter(r["ground_truth"] for r in made.train if r["question_type"] == "object_abs_distance")
    before = Counter(r["ground_truth"] for r in full.train if r["question_type"] == "object_abs_distance")
    (_, first), (_, second) = before.most_common(2)
    assert first > 0.06 * before.total() and max(sizes.values()) <= max(0.06 * sizes.total(), second) < first
    reasons = Counter(row["reason"] for row in made.dropped)
    assert reasons == {
        "a number that answers more than questions.max_value_share = 0.06": len(full.train) - len(made.train)
    }


def test_what_the_text_gives_away_is_pruned_when_asked_for(rows):
    full = assemble(rows, [], config())
    made = assemble(rows, [], config(questions={"text_only_margin": 0.02}))
    assert made.test == full.test and len(made.train) < len(full.train)
    reasons = Counter(row["reason"] for row in made.dropped)
    assert reasons == {"guessed from the text: questions.text_only_margin = 0.02": len(full.train) - len(made.train)}


def test_the_mix_is_what_the_configuration_asks_for(rows):
    mix = {"object_rel_distance": 0.5, "room_size_estimation": 0.02}
    made = assemble(rows, [], config(questions={"total": 100, "mix": mix}))
    count = Counter(row["question_type"] for row in made.train)
    assert len(made.train) == 100 and count["object_rel_distance"] == 50 and count["room_size_estimation"] == 2
    with pytest.raises(ValueError, match=r"add up to 1\.1"):
        config(questions={"mix": {"object_rel_distance": 0.6, "object_abs_distance": 0.5}})


def test_stages_write_tables_that_do_not_depend_on_shards_or_reruns(tmp_path):
    def run(name, shards):
        scenes, outs = [], []
        for k, part in enumerate(shards):
            folder = tmp_path / name / str(k)
            written = {
                tables.SCENES: [
                    scene_row(s["things"], **{key: s[key] for key in ("scene_id", "space_id", "split")}) for s in part
                ],
                tables.OBJECTS: [row for s in part for row in object_rows(s["things"], s["scene_id"])],
                tables.MAPS: [
                    map_row(floor_of(s["things"]), {c: 1.3 * i for i, c in enumerate(KINDS)}, s["scene_id"])
                    for s in part
                ],
            }
            for table, content in written.items():
                tables.write(table, folder / f"{table.name}.parquet", content, tables.Lineage("ingest"))
            argv = ["--config", json.dumps(TRAIN_AND_VAL)]
            for table in written:
                argv += [f"--{table.name}", str(folder / f"{table.name}.parquet")]
            outs.append(folder / "questions.parquet")
            questions_stage.main([*argv, "--out", str(outs[-1]), "--dropped", str(folder / "dropped.parquet")])
            scenes.append(folder / "scenes.parquet")
        made = [tmp_path / name / f"{side}.parquet" for side in ("train", "test", "dropped", "sources")]
        argv = ["--config", json.dumps(TRAIN_AND_VAL), "--questions", *map(str, outs), "--scenes", *map(str, scenes)]
        argv += ["--out-train", str(made[0]), "--out-test", str(made[1]), "--dropped", str(made[2])]
        argv += ["--sources", str(made[3])]
        assemble_stage.main(argv)
        return made

    # A scan of a split that nobody wants, and a training scan of the same space.
    unwanted = [scan(5, "test"), scan(6, "train", space="scene0005")]
    whole = run("whole", [[*SCANS, *unwanted]])
    again = run("again", [[*SCANS, *unwanted]])
    split = run("split", [SCANS[3:], [], [*unwanted, *SCANS[:3]]])
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in whole]
    train, test = tables.read(tables.OCR_RL, whole[0]), tables.read(tables.QUESTIONS, whole[1])
    assert train == tables.read(tables.OCR_RL, split[0]) and test == tables.read(tables.QUESTIONS, split[1])
    assert tables.read(tables.SOURCES, whole[3]) == tables.read(tables.SOURCES, split[3])
    assert len(train) > 300 and {row["split"] for row in test} == {"val"}
    dropped = tables.read(tables.TABLES["questions_dropped"], tmp_path / "whole" / "0" / "dropped.parquet")
    reasons = {row["question_id"]: row["reason"] for row in dropped}
    assert reasons["scene0005_00"] == "split 'test' is neither trained on nor tested"
    leaks = [row for row in tables.read(tables.TABLES["questions_dropped"], whole[2]) if "guard" in row["reason"]]
    assert len(leaks) > 20 and {row["reason"] for row in leaks} == {
        "leak guard: space scene0005 is also in split 'test'"
    }
    assert "scene0005" not in {row["space_id"] for row in train}
    assert any("candidates: cap of" in row["reason"] for row in dropped)


def test_each_type_draws_for_itself():
    things = random_things(1, 20)
    times = {c: 1.3 * i for i, c in enumerate(KINDS)}

    def made(**per_scene):
        questions = Config.model_validate({"questions": {"per_scene": per_scene}}).questions
        rows = questions_for_scene(view(things, times, floor_of(things)), questions, 0)[0]
        return {kind: [r for r in rows if r["question_type"] == kind] for kind in questions.caps}

    full, less = made(), made(object_rel_distance=3)
    assert len(less["object_rel_distance"]) == 3 < len(full["object_rel_distance"])
    assert {k: v for k, v in less.items() if k != "object_rel_distance"} == {
        k: v for k, v in full.items() if k != "object_rel_distance"
    }
    other = questions_for_scene(view(things, times, floor_of(things)), Config().questions, 1)[0]
    assert other != [row for rows in full.values() for row in rows], "another seed, another draw"


def test_refused_questions_stand_in_the_account_and_training_carries_its_own_marks(rows):
    seen = {"answerable": ["full", "uniform16", "uniform32"], "refused": None, "budget_answers": None}
    refused = [
        {
            "question_id": "scene0000_00/object_size_estimation/0f",
            "file": "",
            "reason": "never clearly seen in uniform16: sofa",
        },
        {
            "question_id": "scene0000_00/object_size_estimation/1f",
            "file": "",
            "reason": "never clearly seen in uniform16: bed, sofa",
        },
        {"question_id": "scene0000_00/route_planning", "file": "", "reason": "3 candidates: a detour"},
    ]
    made = assemble([row | seen for row in rows], [], config(), refused=refused)
    told = {(r["question_type"], r["reason"]): r["n"] for r in made.sources if r["fate"] == "refused"}
    assert told == {("object_size_estimation", "never clearly seen in uniform16"): 2}
    # Training depends on the frames that it shows, and on no others: a set for evaluation leaves its table as it is.
    assert {tuple(row["answerable"]) for row in made.train} == {("full", "uniform16")}
    assert {tuple(row["answerable"]) for row in made.test} == {("full", "uniform16", "uniform32")}
    bare = assemble(rows, [], config())
    assert [row["question_id"] for row in bare.train] == [row["question_id"] for row in made.train]
    assert bare.train[0]["answerable"] is None
