"""The release's layout and what is exported, with vLLM and with Hugging Face's own processor."""

import re
import sys
from types import SimpleNamespace

import pytest
import torch
from unpacked import keep_weights_plain

from model import hub_layout, qwen_prompts
from rollout3d.config import Video as VideoConfig
from rollout3d.model.encode import Text, Video
from rollout3d.model.export import Asked, export_model
from rollout3d.model.generate_hf import generate
from rollout3d.model.generate_vllm import Engine, request
from rollout3d.model.load import load_policy, refer_model, save_policy
from rollout3d.model.pixels import resize
from rollout3d.model.sampling import Sampling
from rollout3d.resize import smart_size

TOKENS = 12
ASKED = Asked("think_plain", 0.0, TOKENS, 6, "uniform", 4704, "As in a test.")
ENGINE = {"dtype": "float32", "max_model_len": 1024, "gpu_memory_utilization": 0.2, "enforce_eager": True}


@pytest.fixture(scope="module")
def released(qwen_files, tmp_path_factory):
    """The release's directory with Qwen's tokenizer; vLLM needs heads of 64."""
    root = tmp_path_factory.mktemp("hub")
    hub_layout.write(root / "model", qwen_files, vocabulary=151936, hidden=128, head_dim=64)
    refer_model(root / "model.json", name="released", where=str(root / "model"))
    keep_weights_plain()
    return SimpleNamespace(path=root / "model", policy=load_policy(root / "model.json"))


@pytest.fixture(scope="module")
def exported(released, tmp_path_factory):
    root = tmp_path_factory.mktemp("exported")
    save_policy(released.policy, root / "run", name="run", kind="grpo")
    export_model(root / "run" / "model.json", root / "out", ASKED, VideoConfig())
    return root / "out"


@pytest.fixture(scope="module")
def processor(released):
    from transformers import AutoProcessor

    return AutoProcessor.from_pretrained(released.path)


def numbers(answers):
    """Tokens of an engine's or transformers' answers."""
    return [[completion.token_ids for completion in group] for group in answers]


PROMPTS = list(qwen_prompts.prompts())


@pytest.mark.parametrize(("name", "control", "parts"), PROMPTS, ids=[name for name, _, _ in PROMPTS])
def test_prompts_and_pixels_are_those_of_hugging_faces_processor(released, processor, name, control, parts):
    prompt = released.policy.encoder.prompt(parts)
    _, features = qwen_prompts.processed(processor, parts)
    # Control tokens in a question stay text with us, so that no question ends its turn.
    assert (prompt.input_ids.tolist() == features["input_ids"][0].tolist()) == (not control)
    for field in ("pixel_values", "image_grid_thw", "pixel_values_videos", "video_grid_thw"):
        ours = getattr(prompt, field)
        assert (ours is None) == (field not in features)
        assert ours is None or torch.allclose(ours.float(), features[field].float(), rtol=0, atol=1e-6)
    assert prompt.second_per_grid == list(features.get("second_per_grid_ts", []))


def test_vllm_answers_without_the_penalty_of_the_release(released, frames):
    policy = released.policy
    engine = Engine(released.path, **ENGINE)
    texts = ("What is closest to the bed?", "chair chair chair")
    prompts = [policy.encoder.prompt([Video(frames(8, 84, 112)), Text(text)]) for text in texts]
    greedy = Sampling(max_new_tokens=2 * TOKENS)
    ours = numbers(generate(policy, prompts, greedy))
    assert numbers(engine.generate(policy, prompts, greedy)) == ours
    # The same requests with vLLM's defaults, which the release sets.
    penalised = engine.llm.get_default_sampling_params()
    assert penalised.repetition_penalty == hub_layout.PENALTY
    penalised.temperature, penalised.max_tokens = 0.0, 2 * TOKENS
    results = engine.llm.generate([request(prompt, policy.encoder) for prompt in prompts], penalised, use_tqdm=False)
    assert [[list(output.token_ids) for output in result.outputs] for result in results] != ours


def test_the_readme_of_an_export_gives_the_evaluated_answers(released, exported, frames, monkeypatch):
    """Its code is run as it stands, in transformers and in vLLM, on frames that must be resized."""
    from vllm import LLM

    policy = released.policy
    clip = frames(6, 100, 150)
    resized = resize(clip, *smart_size(100, 150, 4 * 28 * 28, ASKED.max_pixels))
    prompt = policy.encoder.prompt([Video(resized), Text("How many chairs?")])
    ((ours,),) = generate(policy, [prompt], Sampling(max_new_tokens=TOKENS))
    monkeypatch.chdir(exported)
    monkeypatch.setattr("sys.path", [*sys.path])
    blocks = re.findall(r"```python\n(.*?)```", (exported / "README.md").read_text(), re.DOTALL)
    names = {"frames": clip, "question": "How many chairs?"}
    for block in blocks:
        exec(block, names)
    assert names["inputs"]["input_ids"][0].tolist() == prompt.input_ids.tolist()
    assert names["answer"] == ours.text
    llm = LLM(str(exported), **ENGINE, limit_mm_per_prompt={"video": 1})
    asked = {
        "prompt": names["text"],
        "multi_modal_data": {"video": [(clip, names["clip"] | {"do_sample_frames": False})]},
    }
    (result,) = llm.generate([asked], names["parameters"], use_tqdm=False)
    assert result.prompt_token_ids == prompt.input_ids.tolist()
    assert list(result.outputs[0].token_ids) == ours.token_ids
