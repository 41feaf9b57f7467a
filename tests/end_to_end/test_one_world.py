"""One film of one world, written as a scan of each dataset: ingest and questions must give the same answers.

Three worlds of different shapes. What the datasets say is compared with the world itself, computed here or by
`synthetic.truth` without the code under test, and with what the other datasets say. Categories have other names in
other datasets, so everything is compared by the world's kinds; a dataset is asked about those that it knows.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import combinations

import numpy as np
import pytest

from end_to_end.one_world import CATEGORY, FPS, KIND, SEEDS, SET, SHARED, Case
from end_to_end.one_world import accounts as accounts_of
from rollout3d import config
from rollout3d.config.frames import WHOLE_VIDEO
from rollout3d.config.question_types import PER_SCENE
from rollout3d.questions.templates import option_text
from toyworld.rendering.recording import record
from toyworld.rooms.vocabulary import FORMATS
from toyworld.rooms.world import build_world


@pytest.fixture(scope="module")
def cases(tmp_path_factory) -> dict[str, Case]:
    """The three worlds, each filmed once, written and ingested as three datasets."""
    base = tmp_path_factory.mktemp("one_world")
    films = {shape: record(build_world(seed, (15, 30), shape), 8, FPS, 160, 120) for shape, seed in SEEDS.items()}
    small = {"train_frames": 4, "eval_frames": 4, "eval_max_pixels": 9408, "train_max_pixels": 9408}
    small |= {"min_pixels": 784, "train_min_pixels": 784}
    questions = {
        "distance": "exact",
        # ScanNet plays these films in 3.3 seconds: what is a second apart in them is 0.4 seconds apart there.
        "appearance_gap_s": 0.4,
        "per_scene": dict.fromkeys(PER_SCENE)
        | {"object_rel_distance": 300, "obj_appearance_order": 300, "route_planning": 1},
    }
    shards = {name: {"shards": 1} for name in FORMATS}
    settings = config.Config.model_validate({"datasets": shards, "video": small, "questions": questions})
    accounts = {shape: {} for shape in films}
    for dataset in FORMATS:
        for shape, account in accounts_of(base, dataset, films, settings):
            accounts[shape][dataset] = account
    return {shape: Case(shape, film, accounts[shape]) for shape, film in films.items()}


@pytest.fixture(params=SEEDS)
def case(request, cases) -> Case:
    return cases[request.param]


def spread(answers: dict[str, str]) -> float:
    values = [float(answer) for answer in answers.values()]
    return max(values) - min(values)


def shared(told: dict[tuple[str, ...], dict[str, str]]) -> dict[tuple[str, ...], dict[str, str]]:
    """Questions that all three datasets ask."""
    return {question: answers for question, answers in told.items() if len(answers) == len(FORMATS)}


def test_counts_are_the_worlds(case):
    for dataset, account in case.accounts.items():
        counts = {KIND[dataset][entry["category"]]: entry["n"] for entry in account.scene["object_counts"]}
        assert counts == {kind: n for kind, n in case.truth["counts"].items() if kind in CATEGORY[dataset]}
    told = case.told("object_counting")
    for (_, kind), answers in told.items():
        assert set(answers.values()) == {str(case.truth["counts"][kind])}
    assert shared(told)


def test_boxes_are_the_worlds(case):
    """ScanNet's surfaces carry half a millimetre of noise, and a box around many points is as large as the largest."""
    for dataset, account in case.accounts.items():
        slack = 0.005 if dataset == "scannet" else 1e-4
        move = account.aligned_from_world
        if dataset == "scannet":  # the only one with a matrix of alignment, which leads back to the world's own frame
            assert move == pytest.approx(np.eye(4), abs=1e-5)
        rows = defaultdict(list)
        for row in account.rows["objects"]:
            if row["category"]:
                rows[KIND[dataset][row["category"]]].append(row)
        for kind in rows:
            assert len(rows[kind]) == len(case.things[kind])
            for thing in case.things[kind]:
                corners = thing.corners() @ move[:3, :3].T + move[:3, 3]
                centre = (corners.min(axis=0) + corners.max(axis=0)) / 2
                row = min(rows[kind], key=lambda row: np.linalg.norm(np.array(row["centroid"]) - centre))
                assert row["centroid"] == pytest.approx(centre, abs=slack)
                assert sorted(row["axes_lengths"]) == pytest.approx(sorted(thing.size), abs=2 * slack)
                assert row["aabb_min"] == pytest.approx(corners.min(axis=0), abs=slack)
                assert row["aabb_max"] == pytest.approx(corners.max(axis=0), abs=slack)


def test_sizes_agree_within_two_centimetres(case):
    told = case.told("object_size_estimation")
    for (_, kind), answers in told.items():
        (thing,) = case.things[kind]
        assert spread(answers) <= 2
        for answer in answers.values():
            assert int(answer) == pytest.approx(100 * max(thing.size), abs=2)
    assert len(shared(told)) >= 3


def test_room_areas_agree_within_two_percent(case):
    areas = {dataset: account.scene["room_size_m2"] for dataset, account in case.accounts.items()}
    assert spread(areas) <= 0.02 * case.truth["room_area_m2"]
    for area in areas.values():
        assert area == pytest.approx(case.truth["room_area_m2"], rel=0.02)
    assert {(question, *answers) for question, answers in case.told("room_size_estimation").items()} == {
        (("room_size_estimation",), *FORMATS)
    }


def test_distances_agree_within_ten_centimetres(case):
    """Answers have one decimal, so they may differ by one in it; the measured distance is compared with the truth."""
    told = defaultdict(dict)
    for (_, *pair), answers in case.told("object_abs_distance").items():
        told[frozenset(pair)] |= answers  # datasets list their categories in different orders
    for pair, answers in told.items():
        expected = case.distance(*pair)
        assert spread(answers) <= 0.1 + 1e-9
        for dataset, answer in answers.items():
            found = case.accounts[dataset].view.distance(*(CATEGORY[dataset][kind] for kind in pair), "exact")
            assert found == pytest.approx(expected, abs=0.02)
            assert float(answer) == pytest.approx(expected, abs=0.1)
    assert len(shared(told)) >= 3


def test_vsibenchs_sampling_errs_on_the_long_side(case):
    """The benchmark's own rule drops face points by rounding, hence by how a scan lies in its frame: its distances are
    up to two decimetres too long, and other ones in each dataset. That is a property of the rule, reproduced."""
    errors = []
    for dataset, account in case.accounts.items():
        for a, b in combinations(account.view.unique, 2):
            found = account.view.distance(a, b, "vsibench")
            errors.append(found - case.distance(KIND[dataset][a], KIND[dataset][b]))
    assert errors and min(errors) > -0.005 and max(errors) < 0.25


def direction(case: Case, kind: str, standing: str, facing: str, query: str) -> str:
    """From the centres as complex numbers: the argument of query over facing, seen from standing; left is positive."""
    p, o, q = (complex(*case.things[name][0].center[:2]) for name in (standing, facing, query))
    angle = np.degrees(np.angle((q - p) / (o - p)))
    side = "left" if angle > 0 else "right"
    if kind.endswith("hard"):
        return ("front-" if abs(angle) < 90 else "back-") + side
    return "back" if abs(angle) > 135 else side


@pytest.mark.parametrize("level", ["easy", "medium", "hard"])
def test_directions_are_the_same_and_the_worlds(case, level):
    told = case.told(f"object_rel_direction_{level}")
    for question, answers in told.items():
        assert set(answers.values()) == {direction(case, *question)}, question
    # A triple of things that all three know is asked about by all three or by none.
    common = {question: answers for question, answers in told.items() if set(question[1:]) <= SHARED}
    assert common and common == shared(told)


def test_nearest_things_are_the_same_and_the_worlds(case):
    told = defaultdict(dict)
    for dataset, account in case.accounts.items():
        for (_, primary, *options), answer in account.asked("object_rel_distance").items():
            nearest = min(options, key=lambda kind: case.distance(primary, kind))
            assert KIND[dataset][answer] == nearest
            told[primary, frozenset(options)][dataset] = nearest
    assert len(told) > 20


def test_categories_appear_in_the_same_order(case):
    """First appearances are at most one frame of the film off the world's own.

    The world's own: the first frame with a pose in which twenty pixels (0.1 %) show a kind. The depth pictures of the
    datasets have other sizes and so another twenty pixels: a frame's difference is left to them, and the order of two
    kinds is compared where they are more than two frames apart. Seconds are not compared: ScanNet's videos play 24
    frames per second, ScanNet++'s thirty.
    """
    for account in case.accounts.values():
        mine = [kind for kind in case.things if kind in CATEGORY[account.dataset]]
        expected = {}
        for kind in mine:
            frames = [k for k in account.tracked if case.pixels[k][kind] >= 20]
            if frames:
                expected[kind] = frames[0]
        found = account.first_frames
        assert set(found) == set(expected)
        late = {kind: (found[kind], frame) for kind, frame in expected.items() if abs(found[kind] - frame) > 1}
        assert not late, account.dataset
        for a, b in combinations(expected, 2):
            if abs(expected[a] - expected[b]) > 2:
                assert (found[a] < found[b]) == (expected[a] < expected[b])
    assert len(set(case.accounts["scannet"].first_frames) & SHARED) >= 4


def test_questions_about_the_order_have_the_films_answer(case):
    """The film's order is that of its own pixels, lost frames among them: so far apart, neither they nor thresholds
    matter."""
    told = defaultdict(dict)
    for dataset, account in case.accounts.items():
        for (_, *listed), answer in account.asked("obj_appearance_order").items():
            order = account.kinds(answer.split(", "))
            assert order == tuple(sorted(listed, key=case.truth["first_seen_s"].get)), dataset
            for pair in combinations(order, 2):
                assert told[frozenset(pair)].setdefault(dataset, pair) == pair
    assert all(len(set(answers.values())) == 1 for answers in told.values())
    assert max(map(len, told.values())) == len(FORMATS)


def test_no_question_that_passes_the_gate_names_what_the_masks_never_show(case):
    for dataset, account in case.accounts.items():
        kept, _ = account.gated
        for name in (SET, WHOLE_VIDEO):
            shown = case.masks[account.film_frames(name)].max(axis=0)
            for row in kept:
                for entry in row["objects"]:
                    for thing in case.things[KIND[dataset][entry["category"]]]:
                        assert shown[thing.thing_id], (dataset, name, row["question"], entry["category"])


def test_the_gate_refuses_what_the_masks_never_show_and_little_else(cases):
    """A thing below 0.1 % of each frame is not clearly seen, one above 0.3 % is."""
    refused = 0
    for case in cases.values():
        for dataset, account in case.accounts.items():
            if dataset == "scannetpp":  # its phone loses the end of the film
                continue
            share = case.masks[account.film_frames(SET)].max(axis=0) / (160 * 120)
            dropped = {row["question_id"].split("/")[-1] for row in account.gated[1]}
            refused += len(dropped)
            for row in account.questions:
                kinds = [KIND[dataset][entry["category"]] for entry in row["objects"]]
                least = min((share[thing.thing_id] for kind in kinds for thing in case.things[kind]), default=1)
                ordered = row["question_type"] == "obj_appearance_order"
                if least < 0.001 and dataset == "scannet":
                    assert row["question_id"] in dropped
                lost = set(account.film_frames(SET)) & set(case.recording.lost)
                named = bool(kinds)  # a room's size is judged by how much of the room the frames show
                if named and least > 0.003 and not ordered and not lost:
                    assert row["question_id"] not in dropped, row["question"]
    assert refused > 20


def test_orders_that_pass_the_gate_are_those_of_the_masks_at_full_rate(case):
    """Whatever number of pixels one takes for seen: 5 (0.03 % of the picture), 20 (0.1 %) or 38 (0.2 %)."""
    for dataset, account in case.accounts.items():
        for row in account.marked:
            if row["question_type"] != "obj_appearance_order":
                continue
            if WHOLE_VIDEO not in row["answerable"]:
                continue
            order = account.kinds(option_text(row["options"]["ABCD".index(row["ground_truth"])]).split(", "))
            for least in (5, 20, 38):
                first = [next(k for k, found in enumerate(case.pixels) if found[kind] >= least) for kind in order]
                assert first == sorted(set(first)), (dataset, order, least)
