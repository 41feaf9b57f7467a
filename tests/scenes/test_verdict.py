"""Judging the figures of agreement: three fates, three modes, and an error where a whole release is wrong."""

import pytest

from rollout3d.scenes.verdict import LIMITS, TooManyContradictions, counts, judge, judge_all

GOOD = {
    **dict.fromkeys(("poses", "upright", "in_room", "in_view", "depth_scale"), 1.0),
    **dict.fromkeys(("boxes_in_room", "boxes_hold", "boxes_filled", "boxes_agree"), 1.0),
    **{"gravity": 0.97, "path": 0.1, "height_m": 1.5, "floor_m": 0.0, "colour": 0.2, "colour_misfit": 0.0},
    **{"offset_s": 0.0, "depth_m": 0.01, "depth_misfit": 0.0},
}


def scene(name="s", **figures):
    return {"scene_id": name, "agreement": GOOD | figures}


@pytest.mark.parametrize("mode", ["drop", "flag"])
def test_good_figures_pass(mode):
    assert set(GOOD) == set(LIMITS)
    assert judge(scene(), mode).fate == "good"
    rest = dict.fromkeys(name for name in GOOD if name != "poses")
    assert judge(scene(**rest), mode).fate == "good", "what could not be measured is not held against it"


def test_softer_limits_flag_and_gross_ones_drop_with_the_figure_named():
    flagged = judge(scene(colour_misfit=0.2, depth_scale=1.1), "drop")
    assert flagged.fate == "flagged" and len(flagged.reasons) == 2
    dropped = judge(scene(colour_misfit=0.5, depth_scale=1.1), "drop")
    assert dropped.fate == "dropped"
    assert dropped.text == "share of other poses that fit a frame's colours better (colour_misfit) is 0.5, above 0.25"
    assert judge(scene(height_m=-23.0), "drop").text.endswith("(height_m) is -23, below 0.05")


@pytest.mark.parametrize("name", LIMITS)
def test_gross_limits_lie_beyond_the_softer_ones(name):
    flag, drop = LIMITS[name].flag, LIMITS[name].drop
    assert drop[0] is None or drop[0] < flag[0]
    assert drop[1] is None or drop[1] > flag[1]
    for limit, outside in ((flag[0], -0.01), (flag[1], 0.01)):
        if limit is not None:
            assert judge(scene(**{name: limit}), "drop").fate == "good"
            assert judge(scene(**{name: limit + outside}), "drop").fate == "flagged"
    for limit, outside in ((drop[0], -0.01), (drop[1], 0.01)):
        if limit is not None:
            assert judge(scene(**{name: limit}), "drop").fate == "flagged"
            assert judge(scene(**{name: limit + outside}), "drop").fate == "dropped"


def test_flag_drops_nothing_and_off_judges_nothing():
    bad = scene(in_room=0.0)
    assert judge(bad, "flag").fate == "flagged" and judge(bad, "off").fate == "unchecked"


def test_scenes_that_were_not_measured_are_not_judged():
    for row in ({"scene_id": "s", "agreement": None}, {"scene_id": "s"}, scene(**dict.fromkeys(GOOD))):
        assert judge(row, "drop").fate == "unchecked"


def test_counts_are_one_line():
    rows = [scene(), scene(colour=0.9), scene(in_room=0.1), {"agreement": None}]
    assert counts(judge(row, "drop") for row in rows) == "scans checked: 3, flagged: 1, dropped: 1; 1 not checked"
    assert counts(judge(row, "drop") for row in rows[:3]) == "scans checked: 3, flagged: 1, dropped: 1"


def test_a_few_dropped_scans_are_logged_with_the_remedy(caplog):
    rows = [scene(f"s{i}") for i in range(40)] + [scene("bad", in_view=0.0), scene("odd", colour=0.9)]
    found = judge_all(rows, "drop", 0.1)
    assert found["bad"].fate == "dropped" and found["odd"].fate == "flagged" and found["s0"].fate == "good"
    assert "1 of 42 checked scans contradict themselves and are dropped" in caplog.text
    assert "bad: share of the pictures that the mesh fills (in_view) is 0, below 0.1" in caplog.text
    assert "scenes.agreement: flag" in caplog.text and "odd: colours" in caplog.text


def test_a_release_that_is_wrong_throughout_is_an_error():
    rows = [scene(f"s{i}", in_room=0.0) for i in range(10)]
    with pytest.raises(TooManyContradictions, match=r"(?s)10 of the shard's 10 .*check-scan.*scenes.agreement: flag"):
        judge_all(rows, "drop", 0.1)
    assert {verdict.fate for verdict in judge_all(rows, "flag", 0.1).values()} == {"flagged"}
    assert {verdict.fate for verdict in judge_all(rows, "drop", 1.0).values()} == {"dropped"}
