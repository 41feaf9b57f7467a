import json
import math

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoTokenizer, Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from rollout3d.model import directory, load
from rollout3d.model.encode import Image, Text, Video
from rollout3d.model.load import (
    ModelError,
    Policy,
    files_digest,
    load_policy,
    read_model,
    refer_model,
    save_policy,
    write_model,
)


def _logits(policy, prompt):
    embeddings = policy.prompt_embeddings([prompt])[0][None]
    with torch.no_grad():
        return policy.core(inputs_embeds=embeddings, position_ids=prompt.position_ids[:, None]).logits[0]


def test_spliced_embeddings_give_the_logits_of_the_stock_forward(policy, frames):
    prompt = policy.encoder.prompt([Image(frames(1, 56, 56)[0]), Video(frames(5)), Text("How many chairs?")])
    ids = prompt.input_ids[None]
    with torch.no_grad():
        stock = policy.core(
            input_ids=ids,
            position_ids=prompt.position_ids[:, None],
            pixel_values=prompt.pixel_values,
            image_grid_thw=prompt.image_grid_thw,
            pixel_values_videos=prompt.pixel_values_videos,
            video_grid_thw=prompt.video_grid_thw,
        ).logits[0]
        blind = policy.core(input_ids=ids, position_ids=prompt.position_ids[:, None]).logits[0]
    ours = _logits(policy, prompt)
    assert torch.allclose(ours, stock, atol=1e-5)
    assert not torch.allclose(ours[-1], blind[-1], atol=1e-2)


def test_equal_media_are_looked_at_once(policy, frames, monkeypatch):
    seen = []
    tower = policy.core.model.get_video_features
    monkeypatch.setattr(
        policy.core.model,
        "get_video_features",
        lambda pixels, grids: seen.append(grids.tolist()) or tower(pixels, grids),
    )
    clip, other = frames(4), frames(4, seed=1)
    prompts = [policy.encoder.prompt([Video(v), Text(t)]) for v, t in ((clip, "a"), (other, "b"), (clip, "c"))]
    together = policy.prompt_embeddings(prompts)
    assert seen == [[[2, 4, 6], [2, 4, 6]]]
    alone = policy.prompt_embeddings(prompts[2:])[0]
    assert torch.allclose(together[2], alone, atol=1e-5)
    assert not torch.allclose(together[1][-30:-10], together[2][-30:-10], atol=1e-3)


def test_gradients_reach_the_vision_tower(policy, frames):
    prompt = policy.encoder.prompt([Video(frames()), Text("?")])
    weight = policy.core.model.visual.patch_embed.proj.weight
    (gradient,) = torch.autograd.grad(policy.prompt_embeddings([prompt])[0].square().sum(), weight)
    assert gradient.abs().sum() > 0


def test_a_prompt_without_its_video_is_refused(policy, frames):
    prompt = policy.encoder.prompt([Video(frames()), Text("?")])
    blind = type(prompt)(prompt.input_ids, prompt.position_ids, prompt.next_position, (), prompt.key)
    with pytest.raises(AssertionError, match="12 placeholders but 0 visual"):
        policy.prompt_embeddings([blind])


def test_saved_policy_loads_with_the_same_answers(policy, frames, tmp_path):
    prompt = policy.encoder.prompt([Video(frames()), Text("How many chairs?")])
    handle = save_policy(policy, tmp_path, name="run-1", kind="sft", parents={"train": "abc"}, steps=3)
    assert handle == read_model(tmp_path / "model.json")
    assert (handle.name, handle.kind, handle.parents, handle.about["steps"]) == ("run-1", "sft", {"train": "abc"}, 3)
    loaded = load_policy(tmp_path / "model.json")
    assert loaded.name == "run-1"
    assert torch.equal(loaded.encoder.prompt([Video(frames()), Text("How many chairs?")]).input_ids, prompt.input_ids)
    assert torch.equal(_logits(loaded, prompt), _logits(policy, prompt))


def test_saved_directory_is_an_ordinary_hugging_face_model(policy, tokenizer, frames, tmp_path):
    save_policy(policy, tmp_path)
    weights = tmp_path / "weights"
    assert AutoConfig.from_pretrained(weights).model_type == "qwen2_5_vl"
    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(weights)
    assert torch.equal(model.lm_head.weight, policy.core.model.language_model.embed_tokens.weight)
    other = AutoTokenizer.from_pretrained(weights)
    assert other.chat_template == tokenizer.chat_template
    assert other.encode("chair<|im_end|>") == tokenizer.encode("chair<|im_end|>")
    picture = frames(1, 56, 84)
    pixels = Qwen2VLImageProcessorPil.from_pretrained(weights)(picture[0], return_tensors="pt")["pixel_values"]
    assert torch.allclose(pixels, policy.encoder.medium(Image(picture[0])).patches, atol=1e-5)
    video = json.loads((weights / "video_preprocessor_config.json").read_text())
    assert video["size"]["shortest_edge"] <= 56 * 56 and not video["do_sample_frames"]


def test_the_digest_follows_the_weights(policy, tokenizer, tmp_path):
    first = save_policy(policy, tmp_path / "a").digest
    assert save_policy(policy, tmp_path / "b", name="other").digest == first
    changed = Policy(load_policy(tmp_path / "a" / "model.json").model, tokenizer)
    with torch.no_grad():
        changed.model.lm_head.weight[0, 0] += 1
    assert save_policy(changed, tmp_path / "a").digest != first
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == ["model.json", "weights"]


def test_how_a_tokeniser_was_loaded_does_not_enter_its_model(policy, tmp_path):
    save_policy(policy, tmp_path / "a", kind="tiny")
    for name in ("local_files_only", "is_local"):
        policy.tokenizer.init_kwargs[name] = not policy.tokenizer.init_kwargs.get(name)
    save_policy(policy, tmp_path / "b", kind="tiny")
    assert read_model(tmp_path / "a/model.json").digest == read_model(tmp_path / "b/model.json").digest


def test_weights_that_are_not_those_of_model_json_are_refused(policy, tmp_path):
    save_policy(policy, tmp_path, kind="tiny")
    load_policy(tmp_path / "model.json")
    file = tmp_path / "weights" / "model.safetensors"
    tensors = load_file(file)
    name = next(iter(tensors))
    save_file(tensors | {name: tensors[name] + 1}, file, metadata={"format": "pt"})
    with pytest.raises(ModelError, match="not those that it describes"):
        load_policy(tmp_path / "model.json")


def test_a_failed_save_leaves_the_old_model(policy, tmp_path, monkeypatch):
    old = save_policy(policy, tmp_path)
    monkeypatch.setattr(load, "files_digest", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        save_policy(policy, tmp_path)
    assert read_model(tmp_path / "model.json") == old
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.json", "weights"]
    assert files_digest(tmp_path / "weights") == old.digest


def test_an_adapter_must_be_merged_before_saving(policy, tokenizer, tmp_path):
    from peft import LoraConfig, get_peft_model

    model = load_policy(save_policy(policy, tmp_path / "base") and tmp_path / "base" / "model.json").model
    wrapped = Policy(get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj"])), tokenizer)
    assert isinstance(wrapped.core, Qwen2_5_VLForConditionalGeneration)
    for adapted in (wrapped, Policy(wrapped.core, tokenizer)):
        with pytest.raises(ModelError, match="merge"):
            save_policy(adapted, tmp_path / "adapter")
    assert not (tmp_path / "adapter" / "model.json").exists()


def test_a_reference_points_at_a_directory_or_at_the_hub(policy, tmp_path):
    save_policy(policy, tmp_path / "given")
    local = refer_model(tmp_path / "m" / "local.json", name="base", where=str(tmp_path / "given" / "weights"))
    assert (local.kind, local.path) == ("directory", str(tmp_path / "given" / "weights"))
    assert local.digest == read_model(tmp_path / "given" / "model.json").digest
    hub = refer_model(tmp_path / "m" / "hub.json", name="base", where="Qwen/Qwen2.5-VL-3B-Instruct")
    assert (hub.kind, hub.path) == ("hub", "Qwen/Qwen2.5-VL-3B-Instruct")
    with pytest.raises(ModelError, match=r"site\.models"):
        refer_model(tmp_path / "m" / "none.json", name="base", where=str(tmp_path / "nowhere"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match=r"config\.json"):
        refer_model(tmp_path / "m" / "none.json", name="base", where=str(tmp_path / "empty"))


def test_missing_and_broken_model_files_name_the_remedy(policy, tmp_path):
    with pytest.raises(ModelError, match="snakemake"):
        read_model(tmp_path / "model.json")
    (tmp_path / "model.json").write_text("{}")
    with pytest.raises(ModelError, match="rerun"):
        read_model(tmp_path / "model.json")
    with pytest.raises(ModelError, match="weights are missing"):
        write_model(tmp_path / "model.json", name="x", kind="sft", weights="weights", digest="")


def _rewrite(weights, change):
    """Rewrite a directory's tensors; `change` maps the dictionary of tensors to another."""
    file = weights / "model.safetensors"
    save_file(change(load_file(file)), file, metadata={"format": "pt"})
    _described(weights)


def _described(weights):
    """Let `model.json` describe the directory as it is now."""
    write_model(
        weights.parent / "model.json", name="m", kind="directory", weights="weights", digest=files_digest(weights)
    )


def _without(tensors, name):
    return {key: value for key, value in tensors.items() if key != name}


FAULTS = {
    "missing": (lambda t: _without(t, "visual.merger.ln_q.weight"), r"missing tensors: 1 \(.*merger\.ln_q"),
    "unexpected": (
        lambda t: t | {"model.layers.0.lora_A.weight": torch.zeros(2)},
        r"without a place in the model: 1 \(.*lora_A",
    ),
    "another shape": (lambda t: t | {"model.norm.weight": torch.zeros(7)}, r"norm\.weight is \(7,\), expected \(64,\)"),
    "nothing": (lambda t: {"weight": torch.zeros(1)}, r"missing tensors: 5[67] "),
}


@pytest.mark.parametrize("check", [directory.check, None], ids=["by headers", "at load"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_model_whose_tensors_do_not_fit_is_refused(policy, tmp_path, monkeypatch, fault, check):
    change, message = FAULTS[fault]
    save_policy(policy, tmp_path)
    _rewrite(tmp_path / "weights", change)
    if check:
        with pytest.raises(ModelError, match=message):
            check(tmp_path / "weights")
    monkeypatch.setattr(directory, "check", lambda _: None)  # what transformers reports must do alone
    with pytest.raises(ModelError, match=message):
        load_policy(tmp_path / "model.json")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "qwen2_vl"}, "model_type 'qwen2_vl', not Qwen2.5-VL"),
        ({"architectures": ["LlamaForCausalLM"]}, "architecture LlamaForCausalLM, not Qwen2.5-VL"),
        ({"quantization_config": {"quant_method": "awq"}}, "quantised"),
    ],
)
def test_another_architecture_is_refused(policy, tmp_path, change, message):
    save_policy(policy, tmp_path)
    config = tmp_path / "weights" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | change))
    for use in (
        load_policy,
        lambda path: refer_model(tmp_path / "m.json", name="x", where=str(path.parent / "weights")),
    ):
        with pytest.raises(ModelError, match=message):
            use(tmp_path / "model.json")


def test_weights_that_could_run_code_are_never_opened(policy, tmp_path):
    save_policy(policy, tmp_path)
    weights = tmp_path / "weights"
    torch.save(load_file(weights / "model.safetensors"), weights / "pytorch_model.bin")
    _described(weights)
    load_policy(tmp_path / "model.json")
    (weights / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="pickled files alone"):
        load_policy(tmp_path / "model.json")


def test_a_file_that_was_cut_short_is_refused(policy, tmp_path):
    save_policy(policy, tmp_path)
    file = tmp_path / "weights" / "model.safetensors"
    whole = file.read_bytes()
    for damaged in (whole[:-1000], whole[:4], b"version https://git-lfs.github.com/spec/v1\n"):
        file.write_bytes(damaged)
        with pytest.raises(ModelError, match="download it again"):
            load_policy(tmp_path / "model.json")


def _as_transformers_5(tensors):
    return {directory.current_name(name): tensor for name, tensor in tensors.items()}


def _with_head(tensors):
    return tensors | {"lm_head.weight": tensors["model.embed_tokens.weight"].clone()}


@pytest.mark.parametrize("layout", [lambda tensors: tensors, _as_transformers_5, _with_head], ids=["hub", "v5", "head"])
def test_every_layout_of_a_checkpoint_loads(policy, frames, tmp_path, layout):
    save_policy(policy, tmp_path)
    _rewrite(tmp_path / "weights", layout)
    directory.check(tmp_path / "weights")
    prompt = policy.encoder.prompt([Video(frames()), Text("How many chairs?")])
    assert torch.equal(_logits(load_policy(tmp_path / "model.json"), prompt), _logits(policy, prompt))


def test_a_sharded_checkpoint_loads_and_a_missing_shard_is_named(policy, tmp_path):
    save_policy(policy, tmp_path)
    weights = tmp_path / "weights"
    tensors = load_file(weights / "model.safetensors")
    (weights / "model.safetensors").unlink()
    names = sorted(tensors)
    shards = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    for shard, part in shards.items():
        save_file({name: tensors[name] for name in part}, weights / shard, metadata={"format": "pt"})
    index = {name: shard for shard, part in shards.items() for name in part}
    (weights / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
    _described(weights)
    directory.check(weights)
    load_policy(tmp_path / "model.json")
    (weights / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(ModelError, match="1 of 2 weight files are missing"):
        directory.check(weights)


SIZES_3B = {"hidden_size": 2048, "intermediate_size": 11008, "num_attention_heads": 16, "num_hidden_layers": 36}
SIZES_3B |= {"num_key_value_heads": 2, "vocab_size": 151936}
EYES_3B = {"depth": 32, "hidden_size": 1280, "in_chans": 3, "intermediate_size": 3420, "num_heads": 16}
EYES_3B |= {"out_hidden_size": 2048, "patch_size": 14, "spatial_merge_size": 2, "temporal_patch_size": 2}


def test_expected_shapes_are_those_of_the_model_class():
    """In the shape of the released Qwen2.5-VL-3B, whose config.json is flat, and untied as the 7B's is."""
    config = {"model_type": "qwen2_5_vl", **SIZES_3B, "vision_config": EYES_3B}
    with torch.device("meta"):
        model = Qwen2_5_VLForConditionalGeneration(Qwen2_5_VLConfig(**config))
    assert directory.expected_shapes(config) == {name: tuple(t.shape) for name, t in model.state_dict().items()}
    assert sum(math.prod(shape) for shape in directory.expected_shapes(config).values()) > 3.7e9
