"""Rows in each release's form: what is kept and with which values, what is left out and why, and who can read it."""

import json
from collections import Counter

import cv2
import numpy as np
import pytest

from fixed import fixed
from imports import releases
from rollout3d import tables
from rollout3d.config import Config, question_types
from rollout3d.config.sections import External
from rollout3d.doors import SCORERS
from rollout3d.imports.records import ExternalError
from rollout3d.imports.release import Import
from rollout3d.imports.released import import_questions
from rollout3d.questions.bias import bias_table
from rollout3d.questions.templates import option_text
from rollout3d.scoring.scorers import score
from rollout3d.training.rewards import Written, judge

GRPO = Config().grpo
EVERY = {"spatial_types": list(question_types.NAMES), "general": 10_000}
FOUR = ["A. bed", "B. sofa", "C. stool", "D. lamp"]
ORDERS = ["A. bed, tv, lamp, door", "B. tv, bed, lamp, door"]


@pytest.fixture
def imported(tmp_path):
    (tmp_path / "still.png").write_bytes(cv2.imencode(".png", np.full((60, 60, 3), 99, np.uint8))[1].tobytes())

    def run(rows, source="spacer", share=0.0, **external):
        path = tmp_path / f"{source}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        config = Config.model_validate({"external": EVERY | external, "video": {"min_pixels": 784}})
        out, dropped = tmp_path / "out.parquet", tmp_path / "dropped.parquet"
        with fixed(External, max_share_dropped=share):
            import_questions(source, path, Import(out, dropped, config, tables.Lineage("test")))
        kept = tables.read(tables.QUESTIONS, out)
        check(kept)
        return kept, [row["reason"] for row in tables.read(tables.QUESTIONS_DROPPED, dropped)]

    return run


def check(rows):
    """Every row is read by the guessers of `bias`, by each scorer and by the rewards, and its answer is right there."""
    bias_table(rows)
    for row in rows:
        truth, kind = row["ground_truth"], row["answer_type"]
        if kind == "choice":
            option_text(row["options"]["ABCDEFGH".index(truth)])
        if kind == "number":
            assert format(float(truth)) and "e" not in truth
        # SpaceR's and SPAR-Bench's evaluators know no sign, ROUGE no pairs in one word, and Video-R1's regression never
        # reaches 1.
        short = kind == "text" and len(truth.split()) == 1
        for scorer in set(SCORERS.names) - ({"spacer", "spar_bench"} if truth.startswith("-") else set()):
            text = f"<answer>{truth}</answer>" if scorer in ("tagged", "video_r1") else truth
            assert score(text, row, scorer).score > (0.6 if short else 0.999), (scorer, row)
        (judged,) = judge("ocr", row, [Written(f"<think>so</think> <answer>{truth}</answer>", 9)], GRPO)
        assert judged.total > (0.6 if short else 0.999), row


def answers(rows):
    return [(row["question_type"], row["ground_truth"], row["options"] and len(row["options"])) for row in rows]


def test_spacer_151k(imported):
    kept, reasons = imported(
        [
            releases.spacer(releases.DISTANCE.format("bed", "tv"), "1.7 meters"),
            releases.spacer(releases.SIZE.format("bed"), "203.5"),
            releases.spacer(releases.ROOM, "17.5 m\u00b2"),
            releases.spacer("How many chair(s) are in this room?", "3 chairs"),
            releases.spacer(releases.NEAREST, "B", FOUR),
            releases.spacer(releases.EASY.format("bed", "tv", "lamp", "tv"), "left", ["A. left", "B. right"]),
            releases.spacer(releases.ORDER, "B", ORDERS),
            releases.spacer("How many wall(s) are in this room?", "4"),
            releases.spacer(releases.DISTANCE.format("bed", "bed"), "1.0"),
        ]
    )
    assert answers(kept) == [
        ("object_abs_distance", "1.7", None),
        ("object_size_estimation", "203.5", None),
        ("room_size_estimation", "17.5", None),
        ("object_counting", "3", None),
        ("object_rel_distance", "B", 4),
        ("object_rel_direction_easy", "A", 2),
        ("obj_appearance_order", "B", 2),
    ]
    assert {(row["dataset"], row["scene_id"], row["space_id"]) for row in kept} == {
        ("scannet", "scene0012_01", "scene0012")
    }
    # The filters took two, and with a share of 0 not one damaged record would have been let pass.
    assert reasons == ["degenerate object: wall", "names one object twice: bed, bed"]


def test_the_first_sr_release(imported):
    following = releases.FOLLOWING
    kept, reasons = imported(
        [
            releases.first_sr(releases.EASY.format("bed", "window", "chair", "window"), "right"),
            releases.first_sr(releases.EASY.format("bed", "window", "stool", "window"), "Left."),
            releases.first_sr(
                releases.EASY.format("bed", "tv", "stool", "tv") + "\nOptions:\nA. right\nB. left\n", "left"
            ),
            releases.first_sr(following.format("tv") + "\nOptions:\nA. bed\nB. sofa\nC. stool\nD. lamp\n", "C"),
            releases.first_sr(following.format("sink") + "\nOptions:\na) bed\nb) sofa\nc) stool\nd) lamp", "stool"),
            releases.first_sr(following.format("door") + "\na) bed, b) sofa, c) stool, d) lamp", "d"),
            releases.first_sr(releases.DISTANCE.format("bed", "tv"), "1.2345", "object_abs_distance"),
            releases.first_sr(releases.SIZE.format("bed"), 203.51, "object_size"),
            releases.first_sr(following.format("wall") + "\nOptions:\nA. object\nB. floor\nC. bed\nD. stool\n", "C"),
            releases.first_sr(following.format("tv") + "\nOptions:\na) object\nb) bed\nc) sofa\nd) stool", "b"),
            releases.first_sr("How many doorframe(s) are in this room?", "2"),
        ]
    )
    assert answers(kept) == [
        ("object_rel_direction_easy", "B", 2),
        ("object_rel_direction_easy", "A", 2),
        ("object_rel_direction_easy", "B", 2),
        ("object_rel_distance", "C", 4),
        ("object_rel_distance", "C", 4),
        ("object_rel_distance", "D", 4),
        ("object_abs_distance", "1.2345", None),
        ("object_size_estimation", "203.51", None),
    ]
    assert kept[0]["options"] == ["A. left", "B. right"] and kept[3]["options"] == FOUR == kept[4]["options"]
    assert [o["category"] for o in kept[5]["objects"]] == ["door", "bed", "sofa", "stool", "lamp"]
    assert kept[5]["question"] == following.format("door")
    assert reasons == ["degenerate object: wall", "degenerate object: object", "degenerate object: doorframe"]


def test_a_letter_says_nothing_where_the_question_only_implies_its_options(imported):
    """Their order is not known: "A" would be a guess."""
    words = releases.first_sr(releases.EASY.format("bed", "window", "chair", "window"), "left")
    kept, reasons = imported([words, words | {"solution": "A"}, words | {"solution": "B."}], share=1.0)
    assert answers(kept) == [("object_rel_direction_easy", "A", 2)]
    assert reasons == [
        f"malformed answer: '{s}' is none of left, right, which the question implies" for s in ("A", "B.")
    ]


def test_vlm3r(imported):
    turns = ["A. Turn Left", "B. Turn Right", "C. Turn Back"]
    kept, reasons = imported(
        [
            releases.vlm3r(releases.ROUTE.format("bed", "tv", "door", "door"), "C", turns),
            releases.vlm3r(releases.ORDER, "A", ORDERS),
            releases.vlm3r("How many chair(s) are in this room?", "4"),
            releases.vlm3r(releases.NEAREST, "D. lamp", FOUR, video="scannet/videos/scene0001_00.mp4", scene_name=None),
            releases.vlm3r(releases.DISTANCE.format("bed", "tv"), "2.0", scene_name="47115543", data_source=None)
            | {"video": "arkitscenes/videos/47115543.mp4"},
            releases.vlm3r(releases.ROUTE.format("bed", "wall", "door", "door"), "C", turns),
        ],
        "vlm3r_route",
    )
    assert answers(kept) == [
        ("route_planning", "C", 3),
        ("obj_appearance_order", "A", 2),
        ("object_counting", "4", None),
        ("object_rel_distance", "D", 4),
        ("object_abs_distance", "2.0", None),
    ]
    assert [(row["dataset"], row["scene_id"]) for row in kept[2:]] == [
        ("scannetpp", "09c1414f1b"),
        ("scannet", "scene0001_00"),
        ("arkitscenes", "47115543"),
    ]
    assert not any("<image>" in row["question"] or "Options" in row["question"] for row in kept)
    assert reasons == ["degenerate object: wall"]


def test_video_r1_260k(imported):
    kept, reasons = imported(
        [
            releases.video_r1("Which one?", "B", options=["A. one", "B. two"]),
            releases.video_r1("Which word?", "two", options=["A. one", "B. two"]),
            releases.video_r1("Which place?\nA. here\nB. there", "B"),
            releases.video_r1("How many?", "1,000", "numerical"),
            releases.video_r1("What is x?", "\u22122.5", "numerical"),
            releases.video_r1("How many apples?", "5 apples", "numerical"),
            releases.video_r1("How large?", "0.25", "regression"),
            releases.video_r1("What does it say?", "Main Street 5", "OCR"),
            releases.video_r1("What happens?", "Rain", "free-form"),
            releases.video_r1("How many chair(s) are in this room?", "2", "numerical"),
            releases.video_r1("What is the area of the room?", "12", "numerical"),
            releases.video_r1("What is said?", "\u4f60\u597d", "free-form"),
            releases.video_r1("How far off is nothing?", "0", "regression"),
        ],
        "video_r1",
    )
    assert [row["ground_truth"] for row in kept] == [
        *("B", "B", "B", "1000", "-2.5", "5", "0.25", "Main Street 5", "Rain", "2", "12")
    ]
    assert all(row["scene_id"] is None and row["media"] for row in kept), "a still picture shows no scan"
    assert [reason.split(":")[0] for reason in reasons] == ["cannot be scored"] * 2


TEXT_ALONE = {"data_type": "text", "path": None}


def test_video_r1_text_alone(imported):
    """The five answer types without picture and video; what asks about a room shows no scan either."""
    kept, reasons = imported(
        [
            releases.video_r1("Which one?", "B", options=["A. one", "B. two"], **TEXT_ALONE),
            releases.video_r1("How many?", "3", "numerical", **TEXT_ALONE | {"path": ""}),
            releases.video_r1("What does it say?", "Main Street 5", "OCR", **TEXT_ALONE),
            releases.video_r1("What happens?", "Rain", "free-form", **TEXT_ALONE),
            releases.video_r1("How large?", "0.25", "regression", **TEXT_ALONE),
            releases.video_r1("How many chair(s) are in this room?", "2", "numerical", **TEXT_ALONE),
            releases.video_r1("How many?", "3", "numerical", data_type="text"),
            releases.video_r1("How many?", "3", "numerical", path=None),
        ],
        "video_r1",
        share=0.5,
    )
    assert [row["answer_type"] for row in kept] == ["choice", "number", "ocr", "text", "regression", "number"]
    assert all((row["scene_id"], row["media"]) == (None, None) for row in kept)
    assert reasons == ["a text with a path: data_type is text, path ./still.png", "missing field: path"]


ANSWERS = [
    *(
        "1.7",
        "1.7 meters",
        "170 cm",
        "about 2",
        "2,5",
        "1.5m",
        "12 square meters",
        "3 chairs",
        "-2",
        "\u22122",
        "1,200",
    ),
    *(
        "left",
        "to my back",
        "front-left",
        "A",
        "(b)",
        "C.",
        "bed",
        "The sofa",
        "B. sofa",
        "B. lamp",
        "tv, bed, lamp, door",
    ),
    *("three", "many", "0", "0.0", "1e3", "inf", "nan", "1e999", "1/2", "2-3", "", " ", "\x00", "9" * 400, "\u0663"),
    *(
        "<answer>2</answer>",
        "None",
        "1.2.3",
        "12 m\u00b2",
        "E",
        "A and B",
        ".5",
        "5.",
        "+3",
        "a",
        "0x10",
        "1_000",
        "\ud83d",
    ),
]
QUESTIONS = [
    ("How many chair(s) are in this room?", []),
    (releases.SIZE.format("bed"), []),
    (releases.DISTANCE.format("bed", "tv"), []),
    (releases.ROOM, []),
    (releases.NEAREST, FOUR),
    (releases.NEAREST, []),
    (releases.EASY.format("bed", "tv", "lamp", "tv"), []),
    (releases.EASY.format("bed", "tv", "lamp", "tv"), ["(A) left", "(B) right"]),
    (releases.ORDER, ORDERS),
    (releases.ROUTE.format("bed", "tv", "door", "door"), ["Turn Left", "Turn Right"]),
]


def test_whatever_is_imported_can_be_scored_and_the_rest_has_a_reason(imported):
    """Every answer to every question, in two shapes: nothing crashes, nothing gets lost, each row passes `check`."""
    rows = []
    for question, options in QUESTIONS:
        for answer in ANSWERS:
            rows.append(releases.spacer(question, "x", options, len(rows)) | {"solution": answer})
            rows.append(releases.vlm3r(question, answer, options, len(rows)))
    for kind in ("multiple choice", "numerical", "regression", "OCR", "free-form"):
        for answer in ANSWERS:
            given = FOUR if kind == "multiple choice" else []
            rows.append(releases.video_r1("What?", answer, kind, len(rows), options=given))
    kept, reasons = imported(rows, share=1.0)
    assert len(kept) + len(reasons) == len(rows) == 2 * len(QUESTIONS) * len(ANSWERS) + 5 * len(ANSWERS)
    found = Counter(reason.split(":")[0] for reason in reasons)
    assert set(found) <= {
        *("ambiguous answer", "impossible answer", "malformed answer", "missing field", "malformed options"),
        *("listed twice", "cannot be scored", "malformed text", "malformed record"),
    }
    assert len(kept) > 150 and found["ambiguous answer"] > 100 and found["malformed answer"] > 300


def test_filters_are_no_damage_and_their_remedy_names_the_key(imported):
    walls = [releases.spacer("How many wall(s) are in this room?", str(k), number=k) for k in range(9)]
    kept, reasons = imported([*walls, releases.spacer(releases.ORDER, "B", ORDERS)], share=0.0)
    assert len(kept) == 1 and len(reasons) == 9
    with pytest.raises(
        ExternalError, match=r"none of its 9 records is taken: 9 times 'degenerate object: wall'"
    ) as error:
        imported(walls)
    assert "download" not in str(error.value).lower() and "is it a file" not in str(error.value)
    with pytest.raises(ExternalError, match=r"is taken: 1 times 'not in external\.spatial_types: obj.* in external\."):
        imported([releases.spacer(releases.ORDER, "B", ORDERS)], spatial_types=["route_planning"])


def test_the_remedy_of_damage_is_about_files_only_where_files_are_at_fault(imported):
    good = releases.spacer(releases.ORDER, "B", ORDERS)
    with pytest.raises(ExternalError, match=r"2 times 'malformed answer.*Check that the file is the release") as error:
        imported([good, *(releases.spacer(releases.ROOM, text) for text in ("big", "small"))], share=0.5)
    assert "unpack" not in str(error.value)
    with pytest.raises(ExternalError, match=r"2 times 'missing file: gone\.png'.*unpack its archives") as error:
        gone = [releases.video_r1(f"Which {k}?", "1", "numerical", path="gone.png") for k in range(2)]
        imported([good, *gone], share=0.5)
    assert "Check that" not in str(error.value)
