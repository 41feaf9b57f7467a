"""What a text gives away: each guesser on questions made for it, and pruning until none is left."""

from collections import Counter

import numpy as np
import pytest

from questions.question_rooms import KINDS, random_things, view
from rollout3d import tables
from rollout3d.config import Questions
from rollout3d.questions import bias
from rollout3d.questions.letters import balance_letters
from rollout3d.questions.templates import lettered
from rollout3d.questions.types import obj_appearance_order
from rollout3d.stages import bias as stage


def choice(k, options, truth, question="Which?", objects=(), kind="made_up"):
    row = {
        "dataset": "scannet",
        "scene_id": f"scene{k:04d}_00",
        "space_id": f"scene{k:04d}",
        "split": "train",
        "question_type": kind,
        "answer_type": "choice",
        "question": question,
        "options": lettered(options),
        "ground_truth": "ABCD"[options.index(truth)],
        "objects": [{"category": c, "object_ids": []} for c in objects],
        "media": None,
        "source": "generated",
        "evidence": "{}",
    }
    return row | {"question_id": f"{k:016x}"}


def number(k, truth, objects=("bed",), kind="object_size_estimation"):
    row = choice(k, ["a"], "a", objects=objects, kind=kind)
    return row | {"answer_type": "number", "options": None, "ground_truth": truth}


def scores(rows):
    return {name: float(values.mean()) for name, values in bias.measured(rows)[1].items()}


def test_guesses_from_the_form_of_the_options():
    # Right: the longest, first in the alphabet, always B; named first in the list.
    rows = [choice(k, ["zz", "aaa", "b"], "aaa") for k in range(4)]
    found = scores(rows)
    assert found["longest"] == found["alphabetical"] == found["letter"] == 1
    assert found["shortest"] == found["reversed"] == 0
    assert bias.measured(rows)[0] == pytest.approx(1 / 3)
    # Nothing to choose by: all of one length.
    tied = scores([choice(0, ["ab", "cd", "ef", "gh"], "cd")])
    assert tied["longest"] == tied["shortest"] == 0.25


def test_the_order_of_the_question_is_compared_with_the_options():
    question = "In which order: bed, tv, lamp, door?"
    options = ["bed, tv, lamp, door", "tv, bed, lamp, door", "door, lamp, tv, bed", "lamp, door, tv, bed"]
    found = {truth: scores([choice(0, options, truth, question)]) for truth in options}
    assert [found[truth]["listing"] for truth in options] == [1, 0, 0, 0]
    assert [found[truth]["unlike listing"] for truth in options] == [0, 0, 1, 0]
    assert [found[truth]["not the listing"] for truth in options] == pytest.approx([0, 1 / 3, 1 / 3, 1 / 3])


def test_the_order_of_the_question_is_that_of_whole_names():
    """A plain search finds the table within the coffee table, before the door."""
    question = "In which order: coffee table, door, table, lamp?"
    options = ["coffee table, door, table, lamp", "coffee table, table, door, lamp", "lamp, table, door, coffee table"]
    found = {truth: scores([choice(0, options, truth, question)])["listing"] for truth in options}
    assert [found[truth] for truth in options] == [1, 0, 0]
    # A longer name counts that no option lists; and names end where words do.
    named = "Beside the coffee table, in which order: door, table, lamp?"
    options = ["door, table, lamp", "table, door, lamp"]
    assert scores([choice(0, options, options[0], named, ["coffee table"])])["listing"] == 1
    assert scores([choice(0, options, options[0], "tables, door, table, lamp")])["listing"] == 1
    assert scores([choice(0, options, options[0], "door, tables, lamp")])["listing"] == 0.5, "no table is named"


def test_what_was_right_in_other_rooms_is_learned_and_never_from_the_own_room():
    rng = np.random.default_rng(0)
    # A sofa's answer is left, a lamp's right; the text alone says nothing.
    rows = [
        choice(k, ["left", "right"], "left" if k % 2 else "right", objects=["sofa" if k % 2 else "lamp"])
        for k in range(100)
    ]
    found = scores(rows)
    assert found["learned"] == 1 and 0.3 < found["frequent"] < 0.7
    # One answer for each room, known nowhere else.
    alone = [choice(k, [f"w{k}", f"x{k}", f"y{k}", f"z{k}"], f"{rng.choice(list('wxyz'))}{k}") for k in range(400)]
    assert scores(alone)["learned"] == pytest.approx(0.25) and scores(alone)["frequent"] == pytest.approx(0.25)


def test_numbers_are_guessed_by_constant_and_by_object():
    rows = [number(k, "200" if k % 2 else "20", ["bed" if k % 2 else "clock"]) for k in range(60)]
    chance, found = bias.measured(rows)
    assert chance == 0.5, "one constant fits one half"
    assert {name: v.mean() for name, v in found.items()} == {"frequent": 0.5, "learned": 1.0}
    rooms = [number(k, "30.0", (), "room_size_estimation") for k in range(9)]
    assert bias.measured(rooms)[0] == 1


def test_default_appearance_orders_leak_no_listing_and_the_benchmarks_do():
    """Against a guesser: the order of the list helps nobody, unless the benchmark's slip is asked for."""
    made = {}
    for compat in ("corrected", "vsibench"):
        rows = []
        for k in range(60):
            things = random_things(k, 16)
            rng = np.random.default_rng(k)
            times = {c: float(t) for c, t in zip(KINDS, rng.permutation(len(KINDS)) * 1.7)}
            scene = view(things, times, scene_id=f"scene{k:04d}_00", space_id=f"scene{k:04d}")
            rows += obj_appearance_order.generate(scene, Questions(compat=compat), rng)[0]
        assert len(rows) > 1500
        made[compat] = scores(balance_letters(rows, seed=0))
    # Three standard errors of 1,500 guesses at one in four.
    for name in ("listing", "unlike listing", "not the listing", "alphabetical", "longest", "letter"):
        assert abs(made["corrected"][name] - 0.25) < 0.034, name
    assert made["vsibench"]["not the listing"] > 0.32 and made["vsibench"]["listing"] < 0.1


def lopsided(n, seed=0):
    """Directions of which 55 % are "right", sofas always on the left, and sizes that the category tells."""
    rng = np.random.default_rng(seed)
    rows = []
    for k in range(n):
        truth = str(rng.choice(["left", "right", "back"], p=[0.25, 0.55, 0.2]))
        thing = str(rng.choice(["bed", "tv", "lamp"]))
        if rng.random() < 0.1:
            thing, truth = "sofa", "left"
        rows.append(choice(k, ["left", "right", "back"], truth, objects=[thing]))
    return rows


def test_pruning_brings_every_guess_to_chance():
    rows = lopsided(1500)
    before = scores(rows)
    assert before["longest"] > 0.45 and before["learned"] > 0.5
    kept, pruned = bias.debias(rows, 0.03, seed=0)
    chance, after = bias.measured(kept)
    assert max(v.mean() for name, v in after.items() if name != "letter") <= chance + 0.03 + 1e-9
    assert len(kept) + len(pruned) == 1500 and len(kept) > 600
    answers = Counter(bias._truth(row) for row in kept)
    assert max(answers.values()) / len(kept) < 0.37
    assert {r["question_id"] for r in bias.debias(rows[::-1], 0.03, seed=0)[0]} == {r["question_id"] for r in kept}


def test_pruning_leaves_fair_and_few_questions_alone(caplog):
    rng = np.random.default_rng(1)
    fair = [
        choice(k, ["left", "right"], ["left", "right"][k % 2], objects=[str(rng.choice(list("abc")))])
        for k in range(400)
    ]
    assert bias.debias(fair, 0.1, seed=0) == (fair, [])
    few = lopsided(bias.MIN_ROWS - 1)
    assert bias.debias(few, 0.0, seed=0) == (few, [])
    hopeless = [choice(k, ["left", "right"], "right") for k in range(80)]
    kept, _ = bias.debias(hopeless, 0.1, seed=0)
    assert len(kept) >= bias.MIN_ROWS and "made_up: 'frequent' still scores 1.000 where chance is 0.500" in caplog.text


def test_sizes_that_the_category_tells_are_pruned():
    rng = np.random.default_rng(2)
    told = [number(k, "200" if k % 2 else "90", ["bed" if k % 2 else "chair"]) for k in range(100)]
    free = [number(200 + k, str(rng.integers(30, 300)), [str(rng.choice(["bed", "chair", "tv"]))]) for k in range(400)]
    kept, pruned = bias.debias(told + free, 0.05, seed=0)
    chance, found = bias.measured(kept)
    assert found["learned"].mean() <= chance + 0.05 + 1e-9
    assert len(pruned) < 250


def test_the_stage_writes_and_prints_the_report(tmp_path, capsys):
    rows = [*lopsided(60), *(number(100 + k, str(50 + k % 7)) for k in range(20))]
    general = choice(500, ["a", "b"], "a", kind="multiple choice") | {"scene_id": None, "space_id": None}
    odd = choice(501, ["a", "b"], "a", kind="unlettered") | {"options": ["a", "b"]}
    tables.write(tables.OCR_RL, tmp_path / "rl.parquet", [*rows, general, odd], tables.Lineage("test"))
    stage.main(["--questions", str(tmp_path / "rl.parquet"), "--out", str(tmp_path / "bias.parquet")])
    found = tables.read(tables.BIAS, tmp_path / "bias.parquet")
    assert found == bias.bias_table([*rows, general, odd])
    shares = {(r["question_type"], r["measure"], r["name"]): r["value"] for r in found}
    truths = Counter(map(bias._truth, rows[:60]))
    assert shares["made_up", "answer", "right"] == pytest.approx(truths["right"] / 60)
    assert sum(v for (kind, what, _), v in shares.items() if kind == "made_up" and what == "letter") == pytest.approx(1)
    assert "unlettered" not in {kind for kind, _, _ in shares}
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 4 and said[1].split()[:3] == ["made_up", "60", "33.3"]


def test_the_stage_names_a_file_that_is_no_question_table(tmp_path, capsys):
    tables.write(tables.VERDICTS, tmp_path / "v.parquet", [], tables.Lineage("test"))
    with pytest.raises(SystemExit):
        stage.main(["--questions", str(tmp_path / "v.parquet"), "--out", str(tmp_path / "bias.parquet")])
    assert "v.parquet: holds table 'verdicts'" in capsys.readouterr().err


def test_the_stage_names_a_place_that_it_cannot_write_to(tmp_path, capsys):
    tables.write(tables.QUESTIONS, tmp_path / "q.parquet", lopsided(9), tables.Lineage("test"))
    for out, says in (
        (tmp_path / "q.parquet" / "bias.parquet", "its folder cannot be made"),
        (tmp_path, "is a folder"),
    ):
        with pytest.raises(SystemExit) as ended:
            stage.main(["--questions", str(tmp_path / "q.parquet"), "--out", str(out)])
        assert ended.value.code == 1 and f"error: {out}: {says}" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["q.parquet"]


@pytest.mark.parametrize(
    ("content", "says"), [(None, "no such file"), ("{}", "not a readable Parquet file"), ("folder", "is a folder")]
)
def test_the_stage_names_a_file_that_it_cannot_read(tmp_path, capsys, content, says):
    path = tmp_path / "q.parquet"
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_text(content)
    with pytest.raises(SystemExit):
        stage.main(["--questions", str(path), "--out", str(tmp_path / "bias.parquet")])
    said = capsys.readouterr().err
    assert said.startswith(f"error: {path}: {says}") and "is the path right?" in said
