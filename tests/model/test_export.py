"""From the release's directory through SFT and GRPO to an export that others load: nothing is lost on the way."""

import json
import subprocess
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file
from transformers import GenerationConfig

from model import hub_layout
from rollout3d import tables
from rollout3d.model import export
from rollout3d.model.answer import Setting, answer, build_prompt
from rollout3d.model.load import files_digest, load_policy, read_model, refer_model
from rollout3d.model.media import FrameStore
from rollout3d.model.sampling import Sampling
from rollout3d.stages.export import main
from rollout3d.training import grpo
from rollout3d.training.rewards import Judgement
from rollout3d.training.run import run_grpo, run_sft
from training import training_world as tw

TOKENS = 10
SHOWN = Setting("eval", frame_set="uniform8", pixels=(784, 4704))
ASKED = {"prompt_style": "think", "think": "plain"}

PLAIN = """
import json, sys
import torch
from transformers import Qwen2_5_VLForConditionalGeneration, AutoTokenizer

directory, prompts = sys.argv[1:]
tokenizer = AutoTokenizer.from_pretrained(directory)
model, about = Qwen2_5_VLForConditionalGeneration.from_pretrained(directory, output_loading_info=True)
found = {"loading": [len(about[name]) for name in ("missing_keys", "unexpected_keys", "mismatched_keys")]}

def ask(rule):
    found[rule] = []
    for given in torch.load(prompts):
        rest = {key: value for key, value in given.items() if key not in ("input_ids", "attention_mask")}
        positions, delta = model.model.get_rope_index(given["input_ids"], **rest)
        with torch.no_grad():
            written = model.eval().generate(**given)[0, given["input_ids"].shape[1]:]
        following = int(delta) + given["input_ids"].shape[1]
        text = tokenizer.decode(written, skip_special_tokens=True)
        found[rule].append({"text": text, "next": following, "positions": positions[:, 0].tolist()})

ask("transformers")
sys.path.insert(0, directory)
import released_positions
released_positions.install(model)
ask("released")
assert "rollout3d" not in sys.modules
print(json.dumps(found))
"""


def judge(name, row, rollouts, grpo, *_):
    """Rewards with spread in every group, which an untaught model does not earn."""
    return [Judgement(None, {"correctness": float(i % 2)}, float(i % 2)) for i, _ in enumerate(rollouts)]


def train(root, name, init, files, **section):
    """Two steps of a run; its model.json."""
    out = root / "results" / "runs" / name
    if name == "sft":
        settings, run = tw.with_sft(**section), tw.run(method="sft", run=name)
        run_sft(settings, run, tw.inputs(files, init, "ocr_sft"), out, tw.lineage)
    else:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(grpo, "judge", judge)
            run_grpo(tw.config(**section), tw.run(run=name, steps=2), tw.inputs(files, init), out, tw.lineage)
    assert len(tables.read(tables.METRICS, out / "metrics.parquet")) == 2
    return out / "model.json"


def export_run(model_json, to, *more):
    """What the command prints."""
    with redirect_stdout(StringIO()) as printed:
        main([str(model_json.parent), "--to", str(to), *map(str, more)])
    return printed.getvalue()


def make(root, tokenizer_files, **sizes):
    """A release, trained by SFT and GRPO, evaluated and exported."""
    hub_layout.write(root / "release", tokenizer_files, **sizes)
    refer_model(root / "release.json", name="released", where=str(root / "release"))
    files = tw.build(root, n_questions=4)
    sft = train(root, "sft", root / "release.json", files, batch_size=2)
    ocr = train(root, "ocr", sft, files)
    policy = load_policy(ocr)
    store = FrameStore([files["frames"]])
    questions = tables.read(tables.OCR_RL, files["ocr_rl"])
    given = {"sampling": Sampling(max_new_tokens=TOKENS), "batch_size": 2, "scorer": "tagged", **ASKED}
    answers = list(answer(questions, policy, store, [SHOWN], **given))
    tables.write(tables.PREDICTIONS, root / "results/eval/ocr/vsibench/predictions.parquet", answers, tw.NOWHERE)
    said = export_run(ocr, root / "exported")
    return SimpleNamespace(
        root=root,
        sft=sft,
        ocr=ocr,
        files=files,
        said=said,
        policy=policy,
        store=store,
        questions=questions,
        answers=answers,
        exported=root / "exported",
    )


@pytest.fixture(scope="module")
def small(tokenizer, tmp_path_factory):
    root = tmp_path_factory.mktemp("small")
    tokenizer.save_pretrained(root / "tokenizer")
    return make(root, root / "tokenizer", vocabulary=512)


@pytest.fixture(scope="module", params=["small", "qwen"])
def study(request, tmp_path_factory):
    """With a small tokenizer, and with Qwen's own and its 151,936 embeddings."""
    if request.param == "small":
        return request.getfixturevalue("small")
    files = request.getfixturevalue("qwen_files")
    return make(tmp_path_factory.mktemp("qwen"), files, vocabulary=151936, hidden=32, head_dim=16)


def test_training_moves_the_released_weights(study):
    """Names on disk are the release's throughout; each stage changes both halves of the model."""
    release = {
        name: torch.frombuffer(bytearray(data), dtype=torch.bfloat16).view(shape).float()
        for name, (shape, data) in hub_layout.stored(study.root / "release").items()
    }
    before = release
    for stage in (study.sft, study.ocr):
        after = tw.weights(stage)
        assert after.keys() == release.keys()
        for name in ("visual.patch_embed.proj.weight", "model.layers.0.mlp.up_proj.weight"):
            assert 0 < (after[name] - before[name]).abs().max() < 0.1
        before = after


def test_no_trained_model_keeps_the_penalty_of_the_release(study):
    for stage in (study.sft, study.ocr):
        found = GenerationConfig.from_pretrained(read_model(stage).path)
        assert found.repetition_penalty == 1.0 and not found.do_sample and found.temperature in (None, 1.0)
        assert tuple(found.suppress_tokens) == study.policy.suppress_ids


def test_the_export_holds_the_weights_and_what_others_need(study):
    weights = Path(read_model(study.ocr).path)
    assert (study.exported / "model.safetensors").read_bytes() == (weights / "model.safetensors").read_bytes()
    names = {path.name for path in study.exported.iterdir()}
    assert {"config.json", "tokenizer.json", "chat_template.jinja", "preprocessor_config.json"} < names
    assert {"README.md", "prompt.txt", "released_positions.py", "video_preprocessor_config.json"} < names
    assert json.loads((study.exported / "generation_config.json").read_text()) == {
        "bos_token_id": study.policy.eos_ids[1],
        "do_sample": False,
        "eos_token_id": list(study.policy.eos_ids),
        "max_new_tokens": TOKENS,
        "pad_token_id": study.policy.eos_ids[1],
        "repetition_penalty": 1.0,
        "suppress_tokens": list(study.policy.suppress_ids),
    }
    shown = json.loads((study.exported / "video_preprocessor_config.json").read_text())["size"]
    assert shown["longest_edge"] == SHOWN.pixels[1]
    assert "Think step by step" in (study.exported / "prompt.txt").read_text()


def test_the_export_says_what_it_is_and_where_numbers_will_differ(study):
    assert "other positions" in study.said and "released_positions.py" in study.said and "vsibench" in study.said
    card = (study.exported / "README.md").read_text()
    assert "$" not in card and "18 by the released rule and at 16 in transformers 5.17" in card
    assert read_model(study.ocr).digest in card and f"greedy, at most {TOKENS} tokens" in card


def test_plain_transformers_writes_the_evaluated_texts_once_positions_agree(study, tmp_path):
    """A process of its own that never imports this package, and knows nothing but the directory."""
    prompts = [build_prompt(row, study.policy, study.store, SHOWN, **ASKED) for row in study.questions]
    given = []
    for prompt in prompts:
        ids = prompt.input_ids[None]
        kinds = 2 * (ids == study.policy.encoder.video_pad).int()
        video = {"pixel_values_videos": prompt.pixel_values_videos, "video_grid_thw": prompt.video_grid_thw}
        video["second_per_grid_ts"] = torch.tensor(prompt.second_per_grid)
        given.append({"input_ids": ids, "attention_mask": torch.ones_like(ids), "mm_token_type_ids": kinds, **video})
    torch.save(given, tmp_path / "prompts.pt")
    command = [sys.executable, "-I", "-c", PLAIN, str(study.exported), str(tmp_path / "prompts.pt")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    assert found["loading"] == [0, 0, 0]
    assert [row["text"] for row in found["released"]] == [row["text"] for row in study.answers]
    for prompt, ours, theirs in zip(prompts, found["released"], found["transformers"], strict=True):
        assert ours["positions"] == prompt.position_ids.tolist() and ours["next"] == prompt.next_position
        assert theirs["next"] != prompt.next_position
    assert len({row["text"] for row in study.answers}) > 1


@pytest.fixture(scope="module")
def saved(policy, tmp_path_factory):
    """A saved model without training, and its answers nowhere."""
    from rollout3d.model.load import save_policy

    root = tmp_path_factory.mktemp("saved") / "results" / "runs" / "r"
    save_policy(policy, root, kind="grpo", prompts={"think": "plain"})
    return root / "model.json"


def test_without_answers_the_configuration_decides(saved, tmp_path):
    config = {
        "evaluation": {"temperature": 0.7},
        "generation": {"max_new_tokens": 33},
        "prompts": {"think": "video_r1"},
    }
    said = export_run(saved, tmp_path / "out", "--config", json.dumps(config))
    assert "From the configuration" in said
    found = GenerationConfig.from_pretrained(tmp_path / "out")
    assert (found.do_sample, found.temperature, found.top_k, found.top_p) == (True, 0.7, 0, 1.0)
    assert found.max_new_tokens == 33
    found.save_pretrained(tmp_path / "again")  # transformers refuses a file that contradicts itself
    # The wording that the run was trained with, not the configuration's.
    assert (tmp_path / "out" / "prompt.txt").read_text().startswith("A short request for reasoning")


def test_without_answers_the_recipe_of_a_run_comes_before_the_configuration(policy, tmp_path):
    from rollout3d.model.load import save_policy

    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "mine.yaml").write_text(
        "generation: {max_new_tokens: 77}\nvideo: {eval_max_pixels: 105369}\n"
    )
    save_policy(policy, tmp_path / "r", kind="sft", recipe="mine")
    config = {"runs": {"table": str(tmp_path / "runs.tsv")}, "generation": {"max_new_tokens": 33}}
    export_run(tmp_path / "r" / "model.json", tmp_path / "out", "--config", json.dumps(config))
    assert json.loads((tmp_path / "out" / "generation_config.json").read_text())["max_new_tokens"] == 77
    assert (
        json.loads((tmp_path / "out" / "video_preprocessor_config.json").read_text())["size"]["longest_edge"] == 105369
    )


def test_nothing_is_overwritten_and_nothing_is_left_half_done(saved, tmp_path, monkeypatch, capsys):
    (tmp_path / "out").mkdir()
    with pytest.raises(SystemExit):
        export_run(saved, tmp_path / "out")
    assert "exists already" in capsys.readouterr().err
    monkeypatch.setattr(export, "_card", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        export_run(saved, tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert files_digest(saved.parent / "weights") == read_model(saved).digest


def test_weights_that_have_changed_are_not_exported(policy, tmp_path, capsys):
    from rollout3d.model.load import save_policy

    save_policy(policy, tmp_path / "r", kind="sft")
    (tmp_path / "r" / "weights" / "added_tokens.json").write_text("{}")
    with pytest.raises(SystemExit):
        export_run(tmp_path / "r" / "model.json", tmp_path / "out")
    assert "not those that it describes" in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_answers_of_another_model_or_of_several_kinds_are_refused(small, tmp_path, capsys):
    longer = [row | {"max_new_tokens": 99} for row in small.answers]
    other = [row | {"model_digest": "0" * 64} for row in small.answers]
    for rows, message in (([*small.answers, *longer], "under several settings"), (other, "evaluate again")):
        tables.write(tables.PREDICTIONS, tmp_path / "p.parquet", rows, tw.NOWHERE)
        with pytest.raises(SystemExit):
            export_run(small.ocr, tmp_path / "out", "--predictions", tmp_path / "p.parquet")
        assert message in capsys.readouterr().err


def test_adapters_are_merged_into_what_is_exported(small, tmp_path):
    lora = train(tmp_path, "lora", small.sft, small.files, lora_rank=2, lr=1e-2)
    export_run(lora, tmp_path / "out", "--config", "{}")
    before, after = tw.weights(small.sft), load_file(tmp_path / "out" / "model.safetensors")
    assert after.keys() == before.keys()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved and all(".layers." in name and name.endswith("_proj.weight") for name in moved)
