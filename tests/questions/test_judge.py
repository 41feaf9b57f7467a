"""The judge of questions, against a local server, and what assembly does with its verdicts."""

import json
from collections import Counter

import pytest

from questions.question_rooms import random_things, scene_row, view
from rollout3d import tables
from rollout3d.config import Config
from rollout3d.questions import judge as judging
from rollout3d.questions.assemble import assemble
from rollout3d.questions.generate import questions_for_scene
from rollout3d.stages import judge as stage
from rollout3d.stages import registry
from teacher.api_keys import fixed, placed
from teacher.fake_server import serve
from teacher.frame_rows import frame_rows

LINEAGE = tables.Lineage("test")


def imports(n=4):
    things = random_things(3, 10)
    rows = questions_for_scene(view(things), Config().questions, 0)[0]
    rows = [row | {"source": "spacer"} for row in rows if row["options"]][:n]
    return sorted(rows, key=lambda row: row["question_id"])


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Tables on disk, and a function that runs the stage against a server."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    general = imports()[0] | {"scene_id": None, "space_id": None, "question_id": "general"}
    elsewhere = imports()[0] | {"scene_id": "scene0999_00", "question_id": "elsewhere"}
    tables.write(tables.QUESTIONS, tmp_path / "q.parquet", [*imports(), general, elsewhere], LINEAGE)
    tables.write(tables.FRAMES, tmp_path / "f.parquet", frame_rows("uniform16", "uniform32"), LINEAGE)

    def run(server, **judge):
        monkeypatch.setenv("ROLLOUT3D_SITE", json.dumps({"openai_base_url": server.base_url}))
        settings = {"max_usd": 1.0, "frames": 3} | judge
        argv = ["--config", json.dumps(placed("judge", settings))]
        argv += ["--questions", str(tmp_path / "q.parquet"), "--frames", str(tmp_path / "f.parquet")]
        with fixed("judge", settings):
            stage.main([*argv, "--out", str(tmp_path / "v.parquet")])
        return tables.read(tables.VERDICTS, tmp_path / "v.parquet")

    return run


def test_verdicts_and_reasons_are_kept_and_a_rerun_pays_nothing(files):
    def script(body, n):
        text = body["messages"][0]["content"][-1]["text"]
        asked = next(row for row in imports() if row["question"] in text and row["options"][0] in text)
        bad = asked["question_id"] == imports()[1]["question_id"]
        return 200, "DROP: the tv\nis not seen." if bad else "keep: fine"

    with serve(script) as server:
        found = files(server)
        assert files(server) == found
    assert len(server.requests) == 4, "general data and scans without frames are not judged"
    assert [row["question_id"] for row in found] == [row["question_id"] for row in imports()]
    assert [row["keep"] for row in found] == [True, False, True, True]
    assert found[1]["reason"] == "the tv is not seen." and found[0]["reason"] == "fine"
    content = server.requests[0]["messages"][0]["content"]
    assert [part["type"] for part in content] == ["image_url"] * 3 + ["text"]
    text = content[-1]["text"]
    assert "The 3 pictures are frames" in text and "\nB. " in text and "$" not in text
    (row,) = (r for r in imports() if r["question"] in text and all(option in text for option in r["options"]))
    assert f"Answer given: {row['ground_truth']}\n" in text


def test_a_reply_without_a_verdict_and_a_failed_request_leave_the_question_out(files):
    with serve(
        lambda body, n: (400, "too large") if n == 0 else (200, "I think it is fine" if n == 1 else "KEEP")
    ) as server:
        found = files(server, max_share_failed=0.5)
    reasons = sorted(row["reason"] for row in found if not row["keep"])
    assert len(reasons) == 2 and all(reason.startswith("not judged: ") for reason in reasons)
    assert any("too large" in reason for reason in reasons) and any("begins 'I think" in reason for reason in reasons)
    assert {row["reason"] for row in found if row["keep"]} == {"no reason given"}


def test_a_server_that_is_down_drops_nothing(files, tmp_path, capsys):
    with serve(lambda body, n: (400, "model overloaded")) as server, pytest.raises(SystemExit):
        files(server)
    said = capsys.readouterr().err
    assert f"gpt-4o at {server.base_url}: the requests of 1 of 4 questions failed" in said and "overloaded" in said
    assert not (tmp_path / "v.parquet").exists()


def test_without_a_limit_nothing_is_asked(files, capsys):
    with serve(lambda body, n: (200, "KEEP")) as server, pytest.raises(SystemExit):
        files(server, max_usd=0.0)
    assert server.requests == [] and "set judge.max_usd" in capsys.readouterr().err
    with serve(lambda body, n: (200, "KEEP")) as server, pytest.raises(SystemExit):
        files(server, max_usd=1e-6)
    assert server.requests == [] and "raise judge.max_usd" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("KEEP: clear.", (True, "clear.")),
        ("**Drop** - two options are right", (False, "two options are right")),
        ("keep", (True, "no reason given")),
        ("keeper of the lamp", (False, "not judged: the reply begins 'keeper of the lamp'")),
        ("", (False, "not judged: the reply begins ''")),
    ],
)
def test_replies_are_read(text, verdict):
    assert judging.read(text) == verdict


def test_assembly_drops_what_was_judged_bad_and_accounts_for_it():
    rows = imports()
    verdicts = [
        {"question_id": row["question_id"], "keep": k != 1, "reason": f"reason {k}"} for k, row in enumerate(rows)
    ]
    config = Config.model_validate(
        {"questions": {"sources": {"obj_appearance_order": "both", "route_planning": "both"}}}
    )
    scenes = [{key: scene_row([])[key] for key in ("dataset", "scene_id", "space_id", "split")}]
    made = assemble(rows, scenes, config, verdicts=verdicts)
    assert len(made.train) == 3 and made.dropped == [
        {"question_id": rows[1]["question_id"], "file": "", "reason": "dropped by the judge: reason 1"}
    ]
    assert sum(r["n"] for r in made.sources if r["reason"] == "dropped by the judge" and r["fate"] == "dropped") == 1
    assert sum(r["n"] for r in made.sources) == 4


def generated():
    """Questions of a training scan, of one without frames, and of a scan that is tested."""
    things = random_things(3, 10)
    rows = questions_for_scene(view(things), Config().questions, 0)[0]
    for k, split in ((999, "train"), (1, "val")):
        names = {"scene_id": f"scene{k:04d}_00", "space_id": f"scene{k:04d}", "split": split}
        rows += questions_for_scene(view(things, **names), Config().questions, 0)[0]
    return rows


def test_a_sample_of_generated_questions_is_judged_type_by_type(files, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    rows = generated()
    frames = [row | {"scene_id": scan} for scan in ("scene0000_00", "scene0001_00") for row in frame_rows("a", "b")]
    frames = [row | {"sets": ["uniform16"]} for row in frames]
    tables.write(tables.FRAMES, tmp_path / "f.parquet", frames, LINEAGE)
    for name, part in (("a", rows[::2]), ("b", rows[1::2])):
        tables.write(tables.QUESTIONS, tmp_path / f"{name}.parquet", part, LINEAGE)
    kinds = {row["question_type"] for row in rows}

    def run(server, n, *names):
        monkeypatch.setenv("ROLLOUT3D_SITE", json.dumps({"openai_base_url": server.base_url}))
        argv = ["--config", json.dumps({"judge": {"max_usd": 1.0, "generated_sample": n}})]
        argv += ["--source", "generated", "--questions", *(str(tmp_path / f"{each}.parquet") for each in names)]
        stage.main([*argv, "--frames", str(tmp_path / "f.parquet"), "--out", str(tmp_path / "v.parquet")])
        return tables.read(tables.VERDICTS, tmp_path / "v.parquet")

    def script(body, n):
        rejected = "which of these objects" in body["messages"][0]["content"][-1]["text"]
        return 200, "DROP: two are as near" if rejected else "KEEP"

    with serve(script) as server, caplog.at_level("INFO"):
        found = run(server, 2 * len(kinds), "a", "b")
        assert run(server, 2 * len(kinds), "b", "a") == found, "neither the order nor the number of tables matters"
        assert len(server.requests) == 2 * len(kinds), "a rerun pays nothing"
        larger = run(server, 3 * len(kinds), "a", "b")
    of = {row["question_id"]: row for row in rows}
    judged = [of[row["question_id"]] for row in found]
    assert {(row["scene_id"], row["split"]) for row in judged} == {("scene0000_00", "train")}
    available = Counter(row["question_type"] for row in rows if row["scene_id"] == "scene0000_00")
    asked = Counter(row["question_type"] for row in judged)
    assert len(judged) == 2 * len(kinds) and all(asked[kind] >= min(2, available[kind]) for kind in kinds)
    assert {row["question_id"] for row in found} <= {row["question_id"] for row in larger}
    assert f"object_rel_distance {asked['object_rel_distance']} of {asked['object_rel_distance']}" in caplog.text

    config = Config.model_validate({"questions": {"max_value_share": 1.0}})
    train = [row for row in rows if row["split"] == "train"]
    made = assemble(train, [], config, verdicts=found)
    assert {row["question_id"] for row in made.dropped} == {
        row["question_id"] for row in judged if row["question_type"] == "object_rel_distance"
    }
    assert {row["reason"] for row in made.dropped} == {"dropped by the judge: two are as near"}


def test_a_generated_question_without_a_verdict_stays():
    rows = [row | {"source": "generated"} for row in imports()]
    rows = [row | {"question_id": tables.question_id(row)} for row in rows]
    verdicts = [
        {"question_id": row["question_id"], "keep": False, "reason": "not judged: the server is down"} for row in rows
    ]
    made = assemble(rows, [], Config.model_validate({"questions": {"max_value_share": 1.0}}), verdicts=verdicts)
    assert len(made.train) == len(rows) and made.dropped == []


def test_a_sample_without_money_is_refused():
    with pytest.raises(ValueError, match="generated_sample: 5 questions cannot be judged while max_usd is 0"):
        Config.model_validate({"judge": {"generated_sample": 5}})


def test_the_size_of_the_sample_makes_no_verdict_on_imports_stale():
    def identity(source, **judge):
        config = Config.model_validate(placed("judge", {"max_usd": 1.0} | judge))
        return registry.split(registry.job_values("judge", config, registry.Scope(source=source)))[0]

    assert identity("spacer") == identity("spacer", generated_sample=50)
    assert identity("generated", generated_sample=9) != identity("generated", generated_sample=50)
    assert identity("spacer") != identity("spacer", model="another")


def test_a_sample_of_generated_questions_is_estimated_before_it_is_paid_for(files, tmp_path, capsys):
    config = {"judge": {"max_usd": 1.0, "generated_sample": 2}}
    given = ["--questions", str(tmp_path / "q.parquet"), "--frames", str(tmp_path / "f.parquet")]
    stage.main(["--config", json.dumps(config), "--source", "generated", "--estimate", *given])
    assert "judge" in capsys.readouterr().out
