"""Build a Qwen2.5-VL small enough for a laptop: same class, same control tokens, a few million parameters at most.

Presets and tests use it, the paper's configuration does not. `training` trains it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, Qwen2Tokenizer
from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

from rollout3d.config import Video
from rollout3d.model.load import Policy
from rollout3d.model.pixels import MERGE, PATCH, TEMPORAL_PATCH

SPECIALS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
    "<|box_end|>",
    "<|quad_start|>",
    "<|quad_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
"""Qwen2.5-VL's control tokens, in the order of its vocabulary."""

NUMBERS = tuple(str(number) for number in range(10, 100))
"""Two-digit numbers that are one token each. Qwen's tokeniser splits numbers into digits; a model this small then
generates numbers that it has never seen, whose relative error scores zero."""

CHAT_TEMPLATE = """\
{%- if messages[0].role != 'system' -%}
<|im_start|>system
You are a helpful assistant.<|im_end|>
{% endif -%}
{%- for message in messages -%}
<|im_start|>{{ message.role }}
{% if message.content is string -%}
{{ message.content }}
{%- else -%}
{%- for part in message.content -%}
{%- if part.type == 'image' or part.type == 'image_url' -%}
<|vision_start|><|image_pad|><|vision_end|>
{%- elif part.type == 'video' -%}
<|vision_start|><|video_pad|><|vision_end|>
{%- else -%}
{{ part.text }}
{%- endif -%}
{%- endfor -%}
{%- endif -%}
<|im_end|>
{% endfor -%}
{%- if add_generation_prompt -%}
<|im_start|>assistant
{% endif -%}
"""
"""Jinja template of the prompt format of `rollout3d.model.encode.Encoder`, for servers and processors."""


def tiny_tokenizer(corpus: Iterable[str], vocab_size: int) -> Qwen2Tokenizer:
    """Train a byte-level BPE of at most `vocab_size` tokens, `NUMBERS` and control tokens included, on `corpus`.

    Words are split by Qwen's own pattern. All 256 bytes are in the vocabulary, so any text can be encoded. Raises
    ValueError for a vocabulary without room for these.
    """
    further = len(NUMBERS) + len(SPECIALS)
    base = vocab_size - further
    if base < 256:
        raise ValueError(f"vocab_size {vocab_size} is too small: 256 bytes and {further} further tokens must fit")
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PRETOKENIZE_REGEX), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=base,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        special_tokens=[],
        show_progress=False,
    )
    learner.train_from_iterator(corpus, trainer)
    model = json.loads(learner.to_str())["model"]
    # Added to the vocabulary directly: registered later, they would not keep Qwen's order.
    vocabulary = dict(model["vocab"])
    vocabulary |= {token: len(vocabulary) + i for i, token in enumerate((*NUMBERS, *SPECIALS))}
    tokenizer = Qwen2Tokenizer(
        vocab=vocabulary,
        merges=[tuple(pair) for pair in model["merges"]],  # pyright: ignore[reportArgumentType]  # as the class reads them
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        unk_token=None,  # pyright: ignore[reportArgumentType]  # bytes leave nothing unknown
        extra_special_tokens=list(SPECIALS),
        model_max_length=32768,
    )
    tokenizer.add_tokens(list(NUMBERS))
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def tiny_config(
    vocab: int,
    hidden: int = 128,
    layers: int = 3,
    vision_depth: int = 2,
    vision_hidden: int = 128,
    head_dim: int = 32,
    tokenizer: Qwen2Tokenizer | None = None,
) -> Qwen2_5_VLConfig:
    """Return the configuration of a small Qwen2.5-VL.

    `hidden` and `vision_hidden` must be multiples of `head_dim`, which must be a multiple of 16 (the three position
    axes share half of it as 1/4, 3/8, 3/8, as in the released models); else ValueError. The last vision block attends
    to whole frames, the others to windows. Control tokens are the tokeniser's, or the last `len(SPECIALS)` ids.
    """
    if hidden % head_dim or vision_hidden % head_dim or head_dim % 16:
        raise ValueError(f"hidden sizes {hidden}, {vision_hidden} must be multiples of head_dim {head_dim}, that of 16")
    heads = hidden // head_dim
    half = head_dim // 2
    axes = [half // 4, (half - half // 4) // 2, half - half // 4 - (half - half // 4) // 2]
    ids = {token: vocab - len(SPECIALS) + i for i, token in enumerate(SPECIALS)}
    if tokenizer is not None:
        ids = control_ids(tokenizer)
    sizes = {
        "text_config": {
            "vocab_size": vocab,
            "hidden_size": hidden,
            "intermediate_size": 3 * hidden,
            "num_hidden_layers": layers,
            "num_attention_heads": heads,
            "num_key_value_heads": heads // 2 if heads % 2 == 0 else heads,
            "max_position_embeddings": 32768,
            "rope_parameters": {"rope_type": "default", "mrope_section": axes, "rope_theta": 10_000.0},
        },
        "vision_config": {
            "depth": vision_depth,
            "hidden_size": vision_hidden,
            "intermediate_size": 2 * vision_hidden,
            "num_heads": vision_hidden // head_dim,
            "out_hidden_size": hidden,
            "patch_size": PATCH,
            "spatial_merge_size": MERGE,
            "temporal_patch_size": TEMPORAL_PATCH,
            "window_size": 112,
            "fullatt_block_indexes": [vision_depth - 1],
            "tokens_per_second": 2,
        },
        "tie_word_embeddings": True,
    }
    return sized_config(sizes, ids)


def control_ids(tokenizer: Qwen2Tokenizer) -> dict[str, int]:
    """Return the id of each control token in a tokeniser's vocabulary."""
    found = tokenizer.convert_tokens_to_ids(list(SPECIALS))
    assert isinstance(found, list)
    return dict(zip(SPECIALS, found, strict=True))


def sized_config(sizes: Mapping[str, Any], ids: Mapping[str, int]) -> Qwen2_5_VLConfig:
    """Return a configuration with sizes in the form of `rollout3d.model.shapes.RELEASED` and ids of control tokens."""
    ends = {
        "bos_token_id": ids["<|endoftext|>"],
        "eos_token_id": ids["<|im_end|>"],
        "pad_token_id": ids["<|endoftext|>"],
    }
    return Qwen2_5_VLConfig(
        text_config={**sizes["text_config"], **ends},
        vision_config=dict(sizes["vision_config"]),
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=sizes["tie_word_embeddings"],
    )


def build_tiny(
    tokenizer: Qwen2Tokenizer,
    seed: int = 0,
    video: Video | None = None,
    name: str = "tiny",
    dtype: torch.dtype = torch.float32,
    **sizes: int,
) -> Policy:
    """Return a small policy with random weights drawn by `seed`; `sizes` are keywords of `tiny_config`."""
    config = tiny_config(len(tokenizer), tokenizer=tokenizer, **sizes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Qwen2_5_VLForConditionalGeneration(config)
        torch.nn.Module.to(model, dtype)
    return Policy(model.eval(), tokenizer, video=video, name=name)
