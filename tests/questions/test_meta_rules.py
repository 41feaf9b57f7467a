"""Questions of published boxes against VSI-Bench's rules restated naively, on random scenes.

ROLLOUT3D_SCENES sets how many (thousands take minutes).
"""

import json
import os
from collections import Counter

import pytest

from questions.naive_rules import Distances, all_items, random_scene, released_rows
from rollout3d import tables
from rollout3d.stages import audit as audit_stage
from rollout3d.stages import questions as questions_stage

N_SCENES = int(os.environ.get("ROLLOUT3D_SCENES", "24"))


@pytest.fixture(scope="module")
def scenes():
    found = {f"scene{k:04d}_00": random_scene(k, n_objects=9 if k % 4 == 0 else 7) for k in range(N_SCENES)}
    # A category may be counted, but to no object.
    found["scene0000_00"]["object_counts"]["oven"] = 0
    found["scene0000_00"]["object_bbox"]["oven"] = []
    return found


@pytest.fixture(scope="module")
def away(scenes):
    return {name: Distances(scene) for name, scene in scenes.items()}


@pytest.fixture(scope="module")
def meta(scenes, tmp_path_factory):
    path = tmp_path_factory.mktemp("meta") / "scannet_meta_info_val.json"
    path.write_text(json.dumps(scenes))
    return path


@pytest.mark.parametrize("compat", ["corrected", "vsibench"])
def test_every_eligible_item_is_asked_and_no_other(scenes, away, meta, tmp_path, compat):
    out = tmp_path / "questions.parquet"
    config = json.dumps({"questions": {"compat": compat}})
    questions_stage.main(["--config", config, "--meta", str(meta.parent), "--out", str(out)])
    made: dict[str, dict[str, list]] = {name: {} for name in scenes}
    for row in tables.read(tables.QUESTIONS, out):
        texts = tuple(option.split(". ", 1)[1] for option in row["options"] or ())
        answer = texts["ABCD".index(row["ground_truth"])] if texts else row["ground_truth"]
        item = (row["question_type"], row["question"], answer, tuple(sorted(texts)))
        made[row["scene_id"]].setdefault(row["question_type"], []).append(item)
        if row["question_type"] == "object_rel_distance":
            assert f"({', '.join(texts)})" in row["question"]
    total: Counter[str] = Counter()
    for name, scene in scenes.items():
        expected = all_items(scene, compat, away[name])
        for kind in expected.keys() | made[name].keys():
            found, right = made[name].get(kind, []), expected.get(kind, set())
            assert len(set(found)) == len(found), (name, kind)
            if kind == "object_rel_distance":
                allowed = Counter(text.rsplit(" ", 1)[1] for _, text, _, _ in right)
                assert set(found) <= right, name
                assert Counter(text.rsplit(" ", 1)[1] for _, text, _, _ in found) == {
                    primary: min(n, 20) for primary, n in allowed.items()
                }
            else:
                assert set(found) == right, (name, kind)
            total[kind] += len(found)
    assert len(total) == 8 and min(total.values()) > N_SCENES / 4, total
    print(f"{compat}: {sum(total.values())} questions of {len(scenes)} scenes: {dict(total)}")


def test_answers_derived_naively_are_recomputed(scenes, away, meta, tmp_path, capsys):
    answers = released_rows(scenes, away, 5, "vsibench")
    (tmp_path / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in answers))
    out = tmp_path / "audit.parquet"
    audit_stage.main(["--meta", str(meta), "--answers", str(tmp_path / "test.jsonl"), "--out", str(out)])
    rows = tables.read(tables.AUDIT, out)
    assert [row["id"] for row in rows] == [row["id"] for row in answers]
    assert len(rows) > 15 * N_SCENES
    wrong = [row for row in rows if row["agrees"] is not True]
    assert not wrong, wrong[:5]
    assert "disagreements: 0\n" in capsys.readouterr().out
