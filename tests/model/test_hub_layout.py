"""A model in the layout of the Hub's Qwen2.5-VL-3B-Instruct: every tensor, its positions, its answers."""

import json

import numpy as np
import pytest
import torch
from transformers import Qwen2_5_VLForConditionalGeneration

from model import hub_layout
from rollout3d.model import rope
from rollout3d.model.encode import Image, Text, Video
from rollout3d.model.generate_hf import generate
from rollout3d.model.load import ModelError, load_policy, refer_model
from rollout3d.model.sampling import Sampling, uniforms

TOKENS = 12


@pytest.fixture(scope="module")
def released(tokenizer, tmp_path_factory):
    """Directory, tensors by published name, and a `model.json` that refers to it."""
    root = tmp_path_factory.mktemp("hub")
    tokenizer.save_pretrained(root / "tokenizer")
    # As in the release, the embedding has more rows than the tokenizer has tokens.
    tensors = hub_layout.write(root / "model", root / "tokenizer", vocabulary=512)
    refer_model(root / "model.json", name="released", where=str(root / "model"))
    return root / "model", tensors, root / "model.json"


@pytest.fixture(scope="module")
def policy(released):
    return load_policy(released[2])


@pytest.fixture(scope="module")
def plain(released):
    """The same directory, loaded by transformers alone."""
    return Qwen2_5_VLForConditionalGeneration.from_pretrained(released[0], dtype=torch.float32).eval()


@pytest.fixture
def prompt(policy, frames):
    clip = Video(frames(16, 56, 84))
    return policy.encoder.prompt([Image(frames(1, 56, 56)[0]), clip, Text("How many chairs?")])


def inputs_of(policy, prompt):
    """What transformers' model class is given for a prompt; positions left out."""
    ids = prompt.input_ids[None]
    kinds = (ids == policy.encoder.image_pad).int() + 2 * (ids == policy.encoder.video_pad).int()
    given = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "mm_token_type_ids": kinds}
    for name in ("pixel_values", "image_grid_thw", "pixel_values_videos", "video_grid_thw"):
        if getattr(prompt, name) is not None:
            given[name] = getattr(prompt, name)
    return given | {"second_per_grid_ts": prompt.second_per_grid}


def reference_positions(prompt, directory):
    """Positions of a prompt by the release's rule, (3, P), and of the next token."""
    config = json.loads((directory / "config.json").read_text())
    media = [(medium.grid, medium.second_per_grid) for medium in prompt.media]
    places, following = hub_layout.positions(prompt.input_ids.tolist(), media, config)
    return torch.tensor(places).T, following


def test_every_tensor_arrives_as_the_bytes_of_its_file(released):
    directory, tensors, model_json = released
    own = load_policy(model_json, "bfloat16").core.state_dict()
    files = hub_layout.stored(directory)
    assert files.keys() == tensors.keys() and len(files) == 2 * 12 + 2 + 2 * 12 + 6
    for name, (shape, data) in files.items():
        inside = f"model.{name}" if name.startswith("visual.") else name.replace("model.", "model.language_model.", 1)
        tensor = own.pop(inside)
        assert list(tensor.shape) == shape and hub_layout.raw(tensor) == data, name
    # The tied output layer, which no file holds.
    assert hub_layout.raw(own.pop("lm_head.weight")) == files["model.embed_tokens.weight"][1]
    assert not own


@pytest.mark.parametrize("name", ["visual.blocks.1.attn.qkv.bias", "model.layers.0.self_attn.k_proj.bias"])
def test_a_missing_tensor_is_named_as_in_the_release(released, tokenizer, tmp_path, name):
    _, tensors, _ = released
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    hub_layout.write(tmp_path / "model", tmp_path / "tokenizer", vocabulary=512)
    hub_layout.write_weights(tmp_path / "model", {key: value for key, value in tensors.items() if key != name})
    with pytest.raises(ModelError, match=rf"missing tensors: 1 \({name}\)"):
        refer_model(tmp_path / "model.json", name="x", where=str(tmp_path / "model"))


@pytest.mark.parametrize("name", ["visual.blocks.2.norm1.weight", "model.layers.2.mlp.up_proj.weight"])
def test_a_surplus_tensor_is_named_as_in_the_release(released, tokenizer, tmp_path, name):
    _, tensors, _ = released
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    hub_layout.write(tmp_path / "model", tmp_path / "tokenizer", vocabulary=512)
    hub_layout.write_weights(tmp_path / "model", tensors | {name: torch.zeros(64, dtype=torch.bfloat16)})
    with pytest.raises(ModelError, match=rf"without a place in the model: 1 \({name}\)"):
        refer_model(tmp_path / "model.json", name="x", where=str(tmp_path / "model"))


@pytest.mark.parametrize("seconds, last, following", [(1.0, 17, 18), (7.5, 108, 109)])
def test_the_reference_rule_of_these_tests_gives_the_known_positions(released, seconds, last, following):
    """3 tokens of text, then 16 frames of 280x364: the values of Qwen's code and of vLLM."""
    config = json.loads((released[0] / "config.json").read_text())
    ids = [1, 1, 1, *[config["video_token_id"]] * (8 * 10 * 13), 1]
    places, end = hub_layout.positions(ids, [((8, 20, 26), seconds)], config)
    assert (places[-2][0], places[-1], end) == (last, (following,) * 3, following + 1)


def test_positions_of_every_kind_of_prompt_are_the_release_s(released, policy, frames):
    directory, _, _ = released
    clip, picture = frames(7, 84, 112), frames(1, 112, 56)[0]
    for parts in (
        [Text("No picture")],
        [Video(clip), Text("?")],
        [Image(picture), Text("?")],
        [Image(picture), Video(frames(16, 56, 168)), Text("Left or right?")],
        [Image(picture), Image(picture.transpose(1, 0, 2).copy()), Text("?")],
        [Video(clip), Video(clip[:2]), Text("?")],
    ):
        prompt = policy.encoder.prompt(parts)
        positions, following = reference_positions(prompt, directory)
        assert torch.equal(prompt.position_ids, positions) and prompt.next_position == following


def test_log_probabilities_are_those_of_the_release_s_positions(released, policy, plain, prompt):
    """transformers' own class is given the reference positions; ours wrote the answer with a cache."""
    (answer,) = generate(policy, [prompt], Sampling(max_new_tokens=TOKENS))[0]
    positions, following = reference_positions(prompt, released[0])
    rest = following + torch.arange(len(answer.token_ids))
    explicit = torch.cat([positions, rest.expand(3, -1)], dim=1)[:, None]
    assert np.abs(np.array(answer.logprobs) - teacher_forced(policy, plain, prompt, answer, explicit)).max() <= 1e-5


def test_transformers_takes_other_positions_until_the_rule_is_installed(released, policy, prompt):
    plain = Qwen2_5_VLForConditionalGeneration.from_pretrained(released[0], dtype=torch.float32).eval()
    (answer,) = generate(policy, [prompt], Sampling(max_new_tokens=TOKENS))[0]
    theirs = teacher_forced(policy, plain, prompt, answer)
    rope.install(plain)
    ours = teacher_forced(policy, plain, prompt, answer)
    assert np.abs(np.array(answer.logprobs) - ours).max() <= 1e-5
    assert np.abs(np.array(answer.logprobs) - theirs).max() > 1e-3


def teacher_forced(policy, model, prompt, answer, positions=None):
    """Log-probabilities of an answer's tokens in one forward of a model class without a cache."""
    given = inputs_of(policy, prompt)
    written = torch.tensor([answer.token_ids])
    given["input_ids"] = torch.cat([given["input_ids"], written], dim=1)
    given["attention_mask"] = torch.ones_like(given["input_ids"])
    given["mm_token_type_ids"] = torch.cat([given["mm_token_type_ids"], torch.zeros_like(written).int()], dim=1)
    with torch.no_grad():
        logits = model(**given, position_ids=positions).logits[0, len(prompt) - 1 : -1]
    return logits.log_softmax(-1).gather(1, written.T).squeeze(1).numpy()


def stepwise(policy, model, prompt, choose):
    """Tokens that `choose` takes from the plain model's logits (vision tokens at -inf), one whole forward per token."""
    tokens = []
    config = model.config
    for step in range(TOKENS):
        ids = torch.cat([prompt.input_ids, torch.tensor(tokens, dtype=torch.int64)])
        rest = prompt.next_position + torch.arange(step)
        given = inputs_of(policy, prompt) | {"input_ids": ids[None], "attention_mask": torch.ones_like(ids)[None]}
        del given["mm_token_type_ids"]
        positions = torch.cat([prompt.position_ids, rest.expand(3, -1)], dim=1)[:, None]
        with torch.no_grad():
            logits = model(**given, position_ids=positions).logits[0, -1]
        for token in ("<|vision_start|>", "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>"):
            logits[policy.tokenizer.convert_tokens_to_ids(token)] = -torch.inf
        tokens.append(choose(logits, step))
        if tokens[-1] in (config.text_config.eos_token_id, config.text_config.bos_token_id):
            break
    return tokens


def test_the_repetition_penalty_of_the_release_does_not_reach_greedy_answers(policy, plain, prompt):
    assert plain.generation_config.repetition_penalty == hub_layout.PENALTY
    (answer,) = generate(policy, [prompt], Sampling(max_new_tokens=TOKENS))[0]
    assert answer.token_ids == stepwise(policy, plain, prompt, lambda logits, _: int(logits.argmax()))
    rope.install(plain)
    penalised = plain.generate(**inputs_of(policy, prompt), max_new_tokens=TOKENS)[0, len(prompt) :]
    assert answer.token_ids != penalised.tolist()


def test_the_temperature_of_the_release_does_not_reach_sampled_answers(policy, plain, prompt):
    assert plain.generation_config.temperature == hub_layout.TEMPERATURE
    sampling = Sampling(n=2, temperature=1.0, max_new_tokens=TOKENS)
    for number, answer in enumerate(generate(policy, [prompt], sampling, seed=3, keys=["a"])[0]):
        draws = uniforms(3, "a", number, TOKENS)

        def inverse(logits, step, draws=draws):
            mass = logits.double().softmax(-1).cumsum(-1).numpy()
            return int(np.searchsorted(mass, draws[step] * mass[-1], side="right"))

        assert answer.token_ids == stepwise(policy, plain, prompt, inverse)
