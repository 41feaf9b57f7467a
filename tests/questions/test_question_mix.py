"""Named mixes, cuts that are even over scans, what binds, and one scan per space."""

import logging
from collections import Counter
from fractions import Fraction

import pytest

from rollout3d import tables
from rollout3d.config import Config, read
from rollout3d.questions import mix
from rollout3d.questions.assemble import assemble
from rollout3d.questions.select import limit_total
from rollout3d.stages import assemble as assemble_stage

CAPS = {"object_counting": 8, "room_size_estimation": 1, "object_abs_distance": 30, "object_rel_distance": 40}


def question(kind, scan, k, space=None):
    row = {
        "dataset": "scannet",
        "scene_id": f"scene{scan:04d}_00" if isinstance(scan, int) else scan,
        "space_id": space or (f"scene{scan:04d}" if isinstance(scan, int) else scan[:9]),
        "split": "train",
        "question_type": kind,
        "answer_type": "number",
        "question": f"{kind} {scan} {k}?",
        "options": None,
        "ground_truth": f"{k + 1}.{scan if isinstance(scan, int) else 0}",
        "objects": [],
        "media": None,
        "source": "generated",
        "evidence": "{}",
    }
    return row | {"question_id": tables.question_id(row)}


def uneven_world(scans=60):
    """Scans with a few questions and scans with many: the k-th has k % 8 of eight counts, and so on."""
    rows = []
    for scan in range(scans):
        for kind, cap in CAPS.items():
            n = 1 if cap == 1 else (scan * 7 + len(kind)) % cap
            rows += [question(kind, scan, k) for k in range(n)]
    return rows


def test_a_cut_takes_turns_over_the_scans_of_each_type():
    rows = uneven_world()
    kept, left = limit_total(rows, 300, seed=0)
    assert len(kept) == 300 and len(kept) + len(left) == len(rows)
    available = Counter((row["question_type"], row["scene_id"]) for row in rows)
    taken = Counter((row["question_type"], row["scene_id"]) for row in kept)
    for kind in CAPS:
        most = max(n for (of, _), n in taken.items() if of == kind)
        for (of, scan), n in available.items():
            if of == kind:
                assert taken[kind, scan] >= min(n, most - 1), (
                    "a scan that has more gives as many as the others, or one less"
                )
    # By quotas as before: the cut chooses among scans, not among types.
    share = Counter(row["question_type"] for row in rows)
    for kind, n in Counter(row["question_type"] for row in kept).items():
        assert abs(n - 300 * share[kind] / len(rows)) < 1


def test_a_cut_keeps_every_scan_where_it_can_and_evens_out_over_types():
    rows = [question(kind, scan, k) for scan in range(50) for kind in ("a", "b", "c") for k in range(1 + scan % 5 * 3)]
    kept, _ = limit_total(rows, 150, seed=0, mix={"a": "1/3", "b": "1/3", "c": "1/3"})
    assert set(Counter(row["scene_id"] for row in kept).values()) == {3}
    kept, _ = limit_total(rows, 75, seed=0, mix={"a": "1/3", "b": "1/3", "c": "1/3"})
    assert sorted(Counter(row["scene_id"] for row in kept).values()) == [1] * 25 + [2] * 25


def test_a_cut_forgets_the_order_and_moves_little_when_a_scan_is_added():
    rows = uneven_world(61)
    more = {row["question_id"] for row in limit_total(rows, 300, seed=0)[0]}
    assert {row["question_id"] for row in limit_total(rows[::-1], 300, seed=0)[0]} == more
    assert {row["question_id"] for row in limit_total(rows, 300, seed=1)[0]} != more
    fewer = {r["question_id"] for r in limit_total([r for r in rows if r["scene_id"] != "scene0060_00"], 300, 0)[0]}
    own = {row["question_id"] for row in rows if row["scene_id"] == "scene0060_00"}
    # The new scan's rows take as many places from others, and a turn or two changes hands.
    assert len(more - fewer) <= len(own & more) + 2 * len(CAPS)


def test_the_seed_draws_the_rows_of_a_scan():
    rows = [question("object_counting", 0, k) for k in range(40)]
    drawn = [{row["question"] for row in limit_total(rows, 8, seed)[0]} for seed in range(30)]
    assert len({frozenset(each) for each in drawn}) == 30
    often = Counter(text for each in drawn for text in each)
    assert len(often) == 40 and max(often.values()) <= 16, "about six of thirty draws each"


def test_rows_without_a_scan_count_as_one_each():
    general = [question("OCR", 0, k) | {"scene_id": None, "space_id": None} for k in range(30)]
    kept, _ = limit_total([*general, *uneven_world(5)], 40, seed=0, mix={"OCR": 0.5})
    assert Counter(row["question_type"] for row in kept)["OCR"] == 20


def test_the_benchmarks_mix_is_the_released_one():
    asked = mix.shares("benchmark")
    assert sum(asked.values()) == 1 and asked["object_size_estimation"] == Fraction(953, 5130)
    direction = sum(share for kind, share in asked.items() if kind.startswith("object_rel_direction"))
    assert direction == Fraction(968, 5130) and asked["object_rel_direction_easy"] == Fraction(217, 5130)
    assert mix.shares("paper") == {} and mix.shares({"route_planning": 0.1}) == {"route_planning": 0.1}
    rows = [question(kind, scan, k) for kind in asked for scan in range(20) for k in range(60)]
    kept, _ = limit_total(rows, 5130, 0, asked)
    assert Counter(r["question_type"] for r in kept) == {kind: 5130 * share for kind, share in asked.items()}


def test_a_mix_that_cannot_reach_the_total_says_what_binds_and_what_remains():
    rows = [question("object_counting", scan, k) for scan in range(40) for k in range(30)]
    rows += [question("room_size_estimation", scan, 0) for scan in range(40)]
    asked = {"room_size_estimation": 0.2}
    binds, remain = mix.problems(rows, 1000, asked)
    assert "room_size_estimation binds: 40 questions are left (40 scans with at most 1)" in binds
    assert "its share is 20.0 %, 200 are wanted of 1,000" in binds
    assert "200 questions remain at exactly these shares (questions.total: null keeps them)" in remain
    assert "fill up to questions.total = 1,000" in remain
    assert len(limit_total(rows, None, 0, asked)[0]) == 200, "what remains is what questions.total: null keeps"
    assert len(limit_total(rows, 1000, 0, asked)[0]) == 1000
    assert mix.problems(rows, 200, asked) == [] and mix.problems(rows, 10_000, "paper") == []
    binds, remain = mix.problems(rows, None, asked)
    assert "binds" in binds and "200 questions remain at these shares" in remain
    (missing,) = mix.problems(rows, 100, {"route_planning": 0.2})
    assert "no question of route_planning is left to train on" in missing


def test_assembly_warns_of_a_mix_that_cannot_be_had(caplog):
    rows = [question("object_counting", scan, k) for scan in range(9) for k in range(9)]
    rows += [question("room_size_estimation", scan, 0) for scan in range(9)]
    with caplog.at_level(logging.WARNING):
        config = Config.model_validate({"questions": {"total": 80, "mix": "benchmark", "max_value_share": 1.0}})
        made = assemble(rows, [], config)
    assert len(made.train) == 80
    said = "\n".join(caplog.messages)
    # 288 of 288 + 565 rooms: nine rooms reach for 26 rows, and 54 counts fill up.
    assert "questions.mix (benchmark): room_size_estimation binds: 9 questions are left" in said
    assert "26 questions remain at exactly these shares" in said
    assert "no question of object_size_estimation, object_abs_distance" in said


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("bench", "questions.mix: bench is not a named mix; did you mean benchmark?"),
        ("[benchmark]", "questions.mix: ['benchmark'] is not a named mix; did you mean benchmark?"),
        ("null", "questions.mix cannot be null; choose from paper, benchmark"),
        ("{object_rel_direction: 0.3}", "questions.mix.object_rel_direction is not a question type; did you mean obj"),
        ("{object_counting: 0}", "questions.mix.object_counting must be more than 0, not 0"),
    ],
)
def test_a_mix_is_a_known_name_or_shares_of_known_types(tmp_path, value, says):
    path = tmp_path / "mine.yaml"
    path.write_text(f"seed: 1\nquestions:\n  mix: {value}\n")
    with pytest.raises(read.ConfigError) as error:
        read.load(path)
    assert str(error.value).startswith(f"{path}:3: {says}")


def test_a_stage_by_hand_names_the_misspelt_type_its_file_and_line(tmp_path, capsys):
    path = tmp_path / "mix_typo.yaml"
    path.write_text(
        "questions:\n  mix: {object_rel_direction: 0.3, object_countng: 0.2}\n"
        "  per_scene: {object_absolute_distance: 5, obj_counting: 3}\n"
    )
    needed = [
        each
        for name in ("questions", "scenes", "out-train", "out-test", "dropped", "sources")
        for each in (f"--{name}", "x")
    ]
    with pytest.raises(SystemExit):
        assemble_stage.main(["--config", str(path), *needed])
    said = capsys.readouterr().err
    for line, name, near in (
        (2, "mix.object_rel_direction", "object_rel_direction_hard"),
        (2, "mix.object_countng", "object_counting"),
        (3, "per_scene.object_absolute_distance", "object_abs_distance"),
        (3, "per_scene.obj_counting", "object_counting"),
    ):
        assert f"{path}:{line}: questions.{name} is not a question type; did you mean {near}" in said
    with pytest.raises(SystemExit):
        assemble_stage.main(["--config", '{"questions": {"per_scene": {"objects": null}}}', *needed])
    said = capsys.readouterr().err
    assert "--config: questions.per_scene.objects is not a question type; choose from object_co" in said
    assert said.count("object_counting") == 1 and "pydantic" not in said


def test_shares_lie_over_a_name_and_a_name_has_no_entries_to_remove(tmp_path):
    benchmark, shares, without = (tmp_path / name for name in ("benchmark.yaml", "shares.yaml", "without.yaml"))
    benchmark.write_text("questions: {mix: benchmark}\n")
    shares.write_text("questions: {mix: {route_planning: 0.2}}\n")
    without.write_text("questions: {mix: {route_planning: null}}\n")
    layers = [read.read_yaml(path) for path in (benchmark, shares, without)]
    site = read.Layer("site", {"evaluation": {"benchmarks": []}})
    assert read.validate([layers[0], layers[1], site]).questions.mix == {"route_planning": 0.2}
    assert read.validate([layers[1], layers[0], site]).questions.mix == "benchmark"
    assert read.validate([layers[1], layers[2], site]).questions.mix == "paper"
    with pytest.raises(read.ConfigError, match=r"without\.yaml:1: .*cannot be removed: questions\.mix is benchmark"):
        read.validate([layers[0], layers[2], site])


def test_one_scan_of_each_space_trains_if_asked_for():
    scans = [f"scene{space:04d}_{k:02d}" for space in range(12) for k in range(3)]
    rows = [question("object_counting", scan, k) for scan in scans for k in range(4)]
    settings = {"questions": {"one_scan_per_space": True, "max_value_share": 1.0}}
    made = assemble(rows, [], Config.model_validate(settings))
    assert len(made.train) == 12 * 4 and {row["space_id"] for row in made.train} == {s[:9] for s in scans}
    of_space = {(row["space_id"], row["scene_id"]) for row in made.train}
    assert len(of_space) == 12 and len({scan[-2:] for _, scan in of_space}) > 1, "not always the first scan"
    assert {r["reason"] for r in made.dropped} == {
        "another scan of its space trains: questions.one_scan_per_space"
    } and len(made.dropped) == 12 * 2 * 4
    assert len(assemble(rows, [], Config.model_validate({"questions": {"max_value_share": 1.0}})).train) == len(rows)


def guessable(n=120):
    """Counts whose answer stands in the question: the learned guess is right where a random guess is not."""
    rows = []
    for k in range(n):
        thing, answer = (("chair", "2"), ("lamp", "9"), ("table", "40"))[k % 3]
        row = question("object_counting", k, 0) | {"objects": [{"category": thing, "object_ids": []}]}
        row |= {"ground_truth": answer, "question": f"How many {thing}(s) are in room {k}?"}
        rows.append(row | {"question_id": tables.question_id(row)})
    return rows


def test_guessing_from_the_text_is_always_reported_and_pruned_where_strict_removes():
    def made(**questions):
        return assemble(guessable(), [], Config.model_validate({"questions": {"max_value_share": 1.0} | questions}))

    (line,) = [row for row in made().sources if row["fate"] == "train"]
    # Constant 2: a third of the answers; every answer follows from the thing asked about.
    assert (line["n"], line["text_only_rule"], line["text_only"]) == (120, "learned", 1.0)
    assert line["chance"] == pytest.approx(1 / 3)
    assert made().dropped == [] and made(strict="off").train == made().train
    removed = made(strict="remove")
    assert removed.dropped and {row["reason"] for row in removed.dropped} == {
        "guessed from the text: questions.text_only_margin = 0.05"
    }
    assert made(strict="remove", text_only_margin=0.9).dropped == [], "a margin of one's own comes first"
    assert all(row["chance"] is None for row in removed.sources if row["fate"] == "dropped")


def test_what_trains_is_told_by_type():
    rows = [question("object_counting", scan, k) for scan in range(4) for k in range(3)]
    rows += [question("room_size_estimation", scan, 0) for scan in range(4)]
    head, _, first, second = mix.lines(rows, {"object_counting": (0.25, "learned", 0.5)}, "training, mix paper")
    assert head == "training, mix paper: 16 questions of 4 scans, 4 to 4 per scan"
    assert first.split() == ["object_counting", "12", "75.0", "4", "3-3", "50.0", "(learned),", "25.0"]
    assert second.split() == ["room_size_estimation", "4", "25.0", "4", "1-1"]
