import pytest

from rollout3d.scoring.aggregate import tasks, vsibench

FULL = {
    "object_counting": [1.0, 0.0],
    "object_abs_distance": [0.2],
    "object_size_estimation": [0.4, 0.6, 0.8],
    "room_size_estimation": [0.1],
    "object_rel_distance": [1.0, 1.0, 0.0, 0.0],
    "object_rel_direction_easy": [1.0],
    "object_rel_direction_medium": [0.0, 1.0],
    "object_rel_direction_hard": [0.0, 0.0, 0.0, 0.0],
    "route_planning": [0.0],
    "obj_appearance_order": [1.0, 0.0, 0.0, 0.0],
}


def test_direction_is_the_mean_of_three_means_and_overall_the_mean_of_eight_tasks():
    means = vsibench(FULL)
    assert list(means) == [*(task.name for task in tasks()), "overall"] and len(means) == 9
    # Pooled, direction would be 2/7.
    assert means["object_rel_direction"].score == pytest.approx((1.0 + 0.5 + 0.0) / 3)
    assert means["object_rel_direction"].n == 7
    by_hand = (0.5 + 0.2 + 0.6 + 0.1 + 0.5 + 0.5 + 0.0 + 0.25) / 8
    assert means["overall"].score == pytest.approx(by_hand)
    assert means["overall"].n == 23


def test_absent_tasks_are_reported_and_left_out_of_the_mean():
    means = vsibench({"object_counting": [1.0], "route_planning": [0.0, 0.0], "object_rel_direction_hard": [0.5]})
    assert means["room_size_estimation"].score is None and means["room_size_estimation"].n == 0
    assert means["object_rel_direction"].score == 0.5
    assert means["overall"].score == pytest.approx(0.5) and means["overall"].n == 4


def test_nothing_scored_is_no_score():
    assert vsibench({})["overall"].score is None


def test_other_types_are_refused():
    with pytest.raises(ValueError, match="depth_prediction"):
        vsibench({"depth_prediction": [1.0]})
    with pytest.raises(ValueError, match="no question types: object_rel_direction"):
        vsibench({"object_rel_direction": [1.0]})
