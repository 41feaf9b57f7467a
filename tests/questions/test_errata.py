"""Errata: which questions they remove or correct, what they leave alone, and files that cannot be read."""

import json
import logging
from collections import Counter

import pytest

from questions.question_rooms import scene_row, view
from rollout3d import tables
from rollout3d.config import Config
from rollout3d.questions import errata
from rollout3d.questions.assemble import assemble
from rollout3d.questions.errata import ErrataError, read
from rollout3d.questions.generate import questions_for_scene
from rollout3d.questions.letters import balance_letters
from rollout3d.stages import assemble as stage
from rollout3d.stages import questions as questions_stage

HEADER = "dataset,scene_id,question_type,category,question_id,published,corrected,reason,source"
THINGS = [
    *(("table", (x, 1.0, 0.4), (0.6, 0.5, 0.8)) for x in (0.5, 3.0)),
    *(("door", (x, 4.0, 1.0), (0.8, 0.1, 2.0)) for x in (0.5, 1.7, 3.0)),
    ("lamp", (1.5, 1.5, 0.5), (0.2, 0.2, 0.3)),
    ("tv", (2.5, 2.5, 0.5), (0.8, 0.2, 0.5)),
    ("sofa", (1.0, 3.0, 0.4), (1.5, 0.8, 0.8)),
]
SCAN = {"scene_id": "scene0251_00", "space_id": "scene0251", "split": "train"}
OPEN = {"questions": {"max_value_share": 1.0}}


def questions():
    return questions_for_scene(view(THINGS, **SCAN), Config().questions, 0)[0]


def scenes():
    return [{key: scene_row([], **SCAN)[key] for key in ("dataset", "scene_id", "space_id", "split")}]


def rows_of(tmp_path, *lines, header=HEADER):
    path = tmp_path / "mine.csv"
    path.write_text("\n".join([header, *lines]) + "\n")
    return read([path])


def made(tmp_path, *lines):
    return assemble(questions(), scenes(), Config.model_validate(OPEN), corrections=rows_of(tmp_path, *lines))


def counts(rows):
    return {r["objects"][0]["category"]: r["ground_truth"] for r in rows if r["question_type"] == "object_counting"}


def test_the_shipped_errata_are_those_that_readers_published():
    found = {(e.scene_id, e.category): (e.published, e.corrected) for e in read([errata.SHIPPED])}
    assert found == {
        ("47115543", "table"): ("2", "3"),
        ("47333457", "table"): ("3", "2"),
        ("47331990", "sofa"): ("2", ""),
        ("scene0664_02", "towel"): ("2", "12"),
        ("scene0251_00", "table"): ("2", "3"),
        ("scene0251_00", "door"): ("3", "4"),
    }
    assert all(e.shipped and "issue 40" in e.source for e in read([errata.SHIPPED]))


def test_wrong_counts_of_the_boxes_are_corrected(caplog):
    assert counts(questions()) == {"table": "2", "door": "3"}
    with caplog.at_level(logging.INFO):
        corrected = assemble(questions(), scenes(), Config.model_validate(OPEN), corrections=read([errata.SHIPPED]))
    assert counts(corrected.train) == {"table": "3", "door": "4"} and corrected.dropped == []
    assert len(corrected.train) == len(questions())
    for row in corrected.train:
        assert row["question_id"] == tables.question_id(row)
        if row["question_type"] == "object_counting":
            assert str(json.loads(row["evidence"])["count"]) == row["ground_truth"], "the teacher reads the evidence"
    told = Counter()
    for row in corrected.sources:
        told[row["question_type"] == "object_counting", row["fate"], row["reason"]] += row["n"]
    assert told[True, "train", "answer corrected by errata"] == 2
    assert sum(told.values()) == len(questions())
    said = "\n".join(caplog.messages)
    assert "errata: 2 questions corrected, 0 removed" in said
    assert f"{errata.SHIPPED}: 4 rows are about scans that are not here" in said


def test_what_a_sampling_answers_is_unknown_once_the_answer_is_another(tmp_path):
    marks = {"answerable": ["full"], "refused": "uniform16 shows 2 of 3", "budget_answers": None}
    rows = [row | marks for row in questions()]
    (line,) = rows_of(tmp_path, ",scene0251_00,object_counting,table,,2,3,three,")
    after = {row["question"]: row for row in errata.apply(rows, [line], {"scene0251_00"}).rows}
    for row in rows:
        corrected = row["question"] == "How many table(s) are in this room?"
        expected = dict.fromkeys(marks) if corrected else marks
        assert {name: after[row["question"]][name] for name in marks} == expected


def test_an_empty_correction_removes_with_its_reason(tmp_path):
    after = made(tmp_path, "scannet,scene0251_00,object_counting,door,,3,,the fourth door is hidden,me")
    assert counts(after.train) == {"table": "2"}
    (row,) = after.dropped
    assert row["reason"] == f"errata: the fourth door is hidden ({tmp_path / 'mine.csv'}:2)"
    assert sum(r["n"] for r in after.sources if (r["fate"], r["reason"]) == ("dropped", "errata")) == 1
    assert sum(r["n"] for r in after.sources) == len(questions())


def test_a_category_without_an_answer_removes_every_question_of_the_type_that_names_it(tmp_path):
    after = made(tmp_path, ",scene0251_00,object_abs_distance,lamp,,,,the lamp is a lantern,")
    named = [r for r in questions() if r["question_type"] == "object_abs_distance" and "the lamp" in r["question"]]
    assert len(named) == 2 and len(after.dropped) == 2
    both = made(tmp_path, ",scene0251_00,object_abs_distance,lamp; tv,,,,one behind the other,")
    assert len(both.dropped) == 1


def test_a_row_that_changes_nothing_is_told_with_its_place(tmp_path, caplog):
    lines = [
        "scannet,scene0251_00,object_counting,table,,5,6,already counted anew,me",
        "scannet,scene0251_00,object_counting,chair,,2,3,no chair is asked about,me",
        "scannet,scene9999_00,object_counting,table,,2,3,of another study,me",
        "scannetpp,scene0251_00,object_counting,table,,2,3,of another release,me",
    ]
    with caplog.at_level(logging.WARNING):
        after = made(tmp_path, *lines)
    assert counts(after.train) == {"table": "2", "door": "3"}
    place = tmp_path / "mine.csv"
    assert [m for m in caplog.messages if "changes nothing" in m] == [
        f"{place}:2: changes nothing: scene0251_00 object_counting table is answered 2, not 5",
        f"{place}:3: changes nothing: scene0251_00 has no question of object_counting chair",
        f"{place}:4: changes nothing: the scan scene9999_00 is not here",
        f"{place}:5: changes nothing: scene0251_00 has no question of object_counting table",
    ]


@pytest.fixture
def direction():
    return next(row for row in questions() if row["question_type"] == "object_rel_direction_medium")


def test_a_question_is_named_by_its_id_before_or_after_its_letters_were_balanced(tmp_path, direction):
    right = "ABC".index(direction["ground_truth"])
    wrong = next(o[3:] for k, o in enumerate(direction["options"]) if k != right)
    balanced = balance_letters([direction, direction | {"question_id": "x"}], 1)
    ids = {direction["question_id"], *(row["question_id"] for row in balanced)}
    assert len(ids) > 1
    for name in ids:
        (done,) = [
            row
            for row in made(tmp_path, f",scene0251_00,,,{name},,{wrong},mirrored,").train
            if row["question"] == direction["question"]
        ]
        assert done["options"]["ABC".index(done["ground_truth"])][3:] == wrong
    (gone,) = made(tmp_path, f",scene0251_00,,,{name},,,mirrored,").dropped
    assert gone["question_id"] == direction["question_id"]


def test_a_correction_that_is_no_option_is_an_error(tmp_path, direction):
    with pytest.raises(ErrataError, match=r"mine\.csv:2: corrected 'up' is none of the options: "):
        made(tmp_path, f",scene0251_00,,,{direction['question_id']},,up,tilted,")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (
            "scannet,scene0251_00,object_countng,table,,2,3,x,y",
            "question_type: object_countng is not a question type; did you mean ob",
        ),
        (
            "scanet,scene0251_00,object_counting,table,,2,3,x,y",
            "dataset: scanet is not a dataset; did you mean scannet",
        ),
        ("scannet,,object_counting,table,,2,3,x,y", "scene_id is empty"),
        ("scannet,scene0251_00,object_counting,table,,2,3,,y", "reason is empty"),
        ("scannet,scene0251_00,,table,,2,3,x,y", "question_type and question_id are empty: write one of them"),
        ("scannet,scene0251_00,object_counting,table,,2,three,x,y", "corrected must be a number, not 'three'"),
        ("scannet,scene0251_00,object_counting,table,,2,2.5,x,y", "corrected must be a whole number, not '2.5'"),
        ("scannet,scene0251_00,room_size_estimation,,,nan,2.5,x,y", "published must be a number, not 'nan'"),
        ("scannet,scene0251_00,object_counting,table,,2,2,x,y", "published and corrected are the same"),
        ("scannet,scene0251_00,object_counting,table,,2,3,one, two,y", "10 cells where the header has 9; a text with"),
        ("scannet,scene0251_00", "2 cells where the header has 9"),
        ('scannet,scene0251_00,object_counting,"table,,2,3,x,y', "is not CSV: unexpected end of data"),
    ],
)
def test_a_malformed_row_is_an_error_with_file_and_line(tmp_path, line, says):
    with pytest.raises(ErrataError) as error:
        rows_of(tmp_path, "scannet,scene0664_02,object_counting,towel,,2,12,x,y", "", line)
    assert str(error.value).startswith(f"{tmp_path / 'mine.csv'}:4: {says}"), error.value


def test_malformed_files_are_errors_and_all_problems_are_told_at_once(tmp_path):
    good = "scannet,scene0251_00,object_counting,table,,2,3,x,y"
    with pytest.raises(ErrataError) as error:
        rows_of(tmp_path, good.replace("scannet,", "scanet,"), good, good)
    first, second = str(error.value).splitlines()
    assert ":2: dataset: scanet" in first
    assert second.endswith(f":4: is about the same questions as {tmp_path / 'mine.csv'}:3; keep one of them")
    with pytest.raises(ErrataError, match=r":1: column scene is not one of the errata; did you mean scene_id"):
        rows_of(tmp_path, header=HEADER.replace("scene_id", "scene"))
    with pytest.raises(ErrataError, match=r":1: column reason is missing"):
        rows_of(tmp_path, header="scene_id,question_type")
    with pytest.raises(ErrataError, match=r":1: has no header"):
        read([_written(tmp_path, b"")])
    with pytest.raises(ErrataError, match=r":2: this line is not UTF-8 text"):
        read([_written(tmp_path, HEADER.encode() + b"\nscannet,sc\xe9ne,,,,,,,\n")])
    with pytest.raises(ErrataError, match=r"nowhere\.csv: the errata cannot be read: No such file"):
        read([tmp_path / "nowhere.csv"])
    (row,) = read([_written(tmp_path, f"\ufeff{HEADER}\r\n{good}\r\n".encode())])
    assert (row.place, row.scene_id, row.corrected) == (f"{tmp_path / 'mine.csv'}:2", "scene0251_00", "3")


def _written(tmp_path, data):
    (tmp_path / "mine.csv").write_bytes(data)
    return tmp_path / "mine.csv"


def test_the_stage_applies_the_shipped_errata_unless_the_benchmarks_defects_are_wanted(tmp_path, capsys):
    lineage = tables.Lineage("test")
    tables.write(tables.QUESTIONS, tmp_path / "q.parquet", questions(), lineage)
    tables.write(tables.SCENES, tmp_path / "s.parquet", [scene_row(THINGS, **SCAN)], lineage)

    def run(*more, **config):
        argv = ["--config", json.dumps({"questions": OPEN["questions"] | config})]
        argv += ["--questions", str(tmp_path / "q.parquet"), "--scenes", str(tmp_path / "s.parquet")]
        for name in ("out-train", "out-test", "dropped", "sources"):
            argv += [f"--{name}", str(tmp_path / f"{name}.parquet")]
        stage.main([*argv, *more])
        return counts(tables.read(tables.OCR_RL, tmp_path / "out-train.parquet"))

    assert run() == {"table": "3", "door": "4"}
    assert "errata" in tables.lineage(tmp_path / "out-train.parquet")["parents"]
    assert run(compat="vsibench") == {"table": "2", "door": "3"} == run("--errata")
    mine = _written(tmp_path, f"{HEADER}\n,scene0251_00,object_counting,table,,,7,seven,me\n".encode())
    assert run("--errata", str(mine)) == {"table": "7", "door": "3"}
    mine.write_text(mine.read_text().replace("object_counting", "object_countin"))
    with pytest.raises(SystemExit):
        run("--errata", str(mine))
    assert f"{mine}:2: question_type: object_countin is not a question type" in capsys.readouterr().err


def test_questions_from_published_boxes_are_corrected_too(tmp_path, capsys):
    things = {"table": 2, "door": 3, "lamp": 1}
    scenes = {}
    for name, counts_there in (("scene0251_00", things), ("scene0003_00", things)):
        boxes = {c: [meta_box(k, j) for j in range(n)] for k, (c, n) in enumerate(counts_there.items())}
        scenes[name] = {"dataset": "scannet", "video_path": "", "room_size": 20.0, "room_center": [0, 0, 0]}
        scenes[name] |= {"object_counts": counts_there, "object_bbox": boxes}
    meta = tmp_path / "scannet_meta_info_val.json"
    meta.write_text(json.dumps(scenes))

    def run(*more):
        questions_stage.main(["--meta", str(meta), "--out", str(tmp_path / "q.parquet"), *more])
        rows = tables.read(tables.QUESTIONS, tmp_path / "q.parquet")
        return [counts([row for row in rows if row["scene_id"] == name]) for name in scenes]

    assert run() == [{"table": "3", "door": "4"}, {"table": "2", "door": "3"}]
    assert run("--errata") == [{"table": "2", "door": "3"}] * 2
    assert run("--config", '{"questions": {"compat": "vsibench"}}') == [{"table": "2", "door": "3"}] * 2
    mine = _written(tmp_path, f"{HEADER}\n,scene0003_00,object_counting,table,,,,unclear,\n".encode())
    assert run("--errata", str(mine)) == [{"table": "2", "door": "3"}, {"door": "3"}]
    dropped = tables.read(tables.QUESTIONS_DROPPED, tmp_path / "q_dropped.parquet")
    assert [row["reason"] for row in dropped if row["reason"].startswith("errata")] == [f"errata: unclear ({mine}:2)"]


def meta_box(k, j):
    centre = [1.5 * k, 1.2 * j, 0.5]
    return {
        "centroid": centre,
        "axesLengths": [0.5, 0.4, 0.3],
        "normalizedAxes": [1, 0, 0, 0, 1, 0, 0, 0, 1],
        "min": [c - s / 2 for c, s in zip(centre, (0.5, 0.4, 0.3))],
        "max": [c + s / 2 for c, s in zip(centre, (0.5, 0.4, 0.3))],
    }


def test_a_corrected_question_that_equals_another_one_is_removed_and_the_other_stays(tmp_path):
    (table,) = [r for r in questions() if r["question"].startswith("How many table")]
    right = table | {"ground_truth": "3", "source": "spacer"}
    right |= {"question_id": tables.question_id(right)}
    rows = rows_of(tmp_path, "scannet,scene0251_00,object_counting,table,,2,3,miscounted,us")
    done = errata.apply([table, right], rows, {"scene0251_00"})
    assert done.rows == [right] and done.corrected == set()
    assert [(row["question_id"], why) for row, why in done.removed] == [
        (table["question_id"], "errata: corrected, it equals another question")
    ]


@pytest.mark.parametrize("value", ["3.5", "-3", "several"])
def test_a_count_that_is_named_by_its_id_is_corrected_to_whole_numbers_only(tmp_path, value):
    (table,) = [r for r in questions() if r["question"].startswith("How many table")]
    rows = rows_of(tmp_path, f"scannet,scene0251_00,,,{table['question_id']},,{value},miscounted,us")
    with pytest.raises(ErrataError, match=f"mine.csv:2: corrected must be a whole number from 0 on, not '{value}'"):
        errata.apply([table], rows, {"scene0251_00"})


def test_a_corrected_count_is_written_as_counts_are(tmp_path):
    (table,) = [r for r in questions() if r["question"].startswith("How many table")]
    rows = rows_of(tmp_path, f"scannet,scene0251_00,,,{table['question_id']},,4.0,miscounted,us")
    (row,) = errata.apply([table], rows, {"scene0251_00"}).rows
    assert row["ground_truth"] == "4" and json.loads(row["evidence"])["count"] == 4
