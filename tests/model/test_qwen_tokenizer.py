"""Prompts with the true tokenizer of Qwen2.5: text and ids equal those of transformers' Qwen2_5_VLProcessor.

Its video processor needs torchvision, which comes with `make test-vllm` only (tests/vllm/test_vllm_release.py compares
everything with it). Here the processor has a stand-in that knows the grid of a video and nothing else; the text, its
placeholders and the tokens are the processor's own.
"""

import json
from types import SimpleNamespace

import pytest
import torch
from transformers import AutoConfig, AutoTokenizer
from transformers.models.qwen2_5_vl.processing_qwen2_5_vl import Qwen2_5_VLProcessor
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from model import hub_layout, qwen_prompts
from rollout3d.model.encode import VISION_SPECIALS, Encoder, Text

PROMPTS = list(qwen_prompts.prompts())
IDS = {"<|vision_start|>": 151652, "<|vision_end|>": 151653, "<|image_pad|>": 151655, "<|video_pad|>": 151656}


class Grids:
    """Stands in for Qwen2VLVideoProcessor: frames of a size that is not changed."""

    model_input_names = ["pixel_values_videos", "video_grid_thw"]
    merge_size = temporal_patch_size = 2

    def __call__(self, videos, video_metadata, **_):
        grids = [[(len(v) + 1) // 2, v.shape[1] // 14, v.shape[2] // 14] for v in videos]
        rates = [SimpleNamespace(sampled_fps=about["fps"]) for about in video_metadata]
        return {"video_grid_thw": torch.tensor(grids), "video_metadata": rates}


class Processor(Qwen2_5_VLProcessor):
    def check_argument_for_proper_class(self, argument_name, argument):
        """Accept the stand-in."""


@pytest.fixture(scope="module")
def directory(qwen_files, tmp_path_factory):
    """The release's directory with the true tokenizer."""
    root = tmp_path_factory.mktemp("hub") / "model"
    hub_layout.write(root, qwen_files, vocabulary=151936, hidden=32, head_dim=16, layers=1)
    return root


@pytest.fixture(scope="module")
def tokenizer(directory):
    return AutoTokenizer.from_pretrained(directory)


@pytest.fixture(scope="module")
def encoder(directory, tokenizer):
    return Encoder(tokenizer, AutoConfig.from_pretrained(directory))


@pytest.fixture(scope="module")
def processor(directory, tokenizer):
    images = Qwen2VLImageProcessorPil.from_pretrained(directory)
    return Processor(images, tokenizer, Grids(), chat_template=tokenizer.chat_template)


def test_the_tokenizer_is_qwens(tokenizer, directory):
    config = json.loads((directory / "config.json").read_text())
    assert len(tokenizer) == 151665 < config["vocab_size"]
    assert {token: tokenizer.convert_tokens_to_ids(token) for token in IDS} == IDS
    assert (config["image_token_id"], config["video_token_id"]) == (151655, 151656)


def test_turns_are_written_as_by_qwens_own_template(qwen_files, encoder):
    """The package's template is that of Qwen2.5, which knows texts only and has another default for the system turn."""
    genuine = AutoTokenizer.from_pretrained(qwen_files)
    parts = dict((name, parts) for name, _, parts in PROMPTS)["sixteen frames"]
    prompt = encoder.prompt(parts)
    shown = "<|vision_start|>" + "<|video_pad|>" * prompt.media[0].n_tokens + "<|vision_end|>"
    messages = [
        {"role": "system", "content": "You are a helpful assistant."},
        {"role": "user", "content": shown + parts[1].text},
    ]
    ids = genuine.apply_chat_template(messages, add_generation_prompt=True, return_dict=True)["input_ids"]
    assert prompt.input_ids.tolist() == ids


def test_the_prompts_are_of_every_kind():
    assert len(PROMPTS) == 45 and sum(control for _, control, _ in PROMPTS) == 9
    assert len({name for name, _, _ in PROMPTS}) == 45


@pytest.mark.parametrize(("name", "control", "parts"), PROMPTS, ids=[name for name, _, _ in PROMPTS])
def test_text_and_ids_are_those_of_the_processor(encoder, processor, tokenizer, name, control, parts):
    prompt = encoder.prompt(parts)
    text, features = qwen_prompts.processed(processor, parts)
    ids = features["input_ids"][0].tolist()
    for kind in ("image", "video"):
        sizes = [medium.n_tokens for medium in prompt.media if medium.modality == kind]
        pieces = text.split(f"<|{kind}_pad|>")
        text = "".join(piece + f"<|{kind}_pad|>" * n for piece, n in zip(pieces, [*sizes, 0], strict=True))
    # The tokenizer composes characters, as in e and an accent.
    assert tokenizer.decode(prompt.input_ids) == tokenizer.backend_tokenizer.normalizer.normalize_str(text)
    if control:
        assert prompt.input_ids.tolist() != ids, "the processor reads control tokens in a question as such"
        assert len(prompt) > len(ids)
        plain = encoder.prompt([part if not isinstance(part, Text) else Text("") for part in parts])
        for token in ("<|im_end|>", "<|im_start|>", "<|endoftext|>", *VISION_SPECIALS):
            number = tokenizer.convert_tokens_to_ids(token)
            assert (prompt.input_ids == number).sum() == (plain.input_ids == number).sum()
    else:
        assert prompt.input_ids.tolist() == ids
