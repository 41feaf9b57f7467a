"""A shrunk Qwen2.5-VL-3B-Instruct in the layout of its release on the Hub, and the release's rule of positions.

Written from the published layout, and shares no code with the product: a flat config.json, tensors named `visual.*` and
`model.*` in bfloat16, two shards with an index, a tied output layer that no file holds, a generation_config.json with a
repetition penalty of 1.05, preprocessor_config.json, and a chat template in tokenizer_config.json and in
chat_template.json.
"""

from __future__ import annotations

import json
import math
import shutil
import struct
from pathlib import Path

import torch

SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
PENALTY, TEMPERATURE = 1.05, 1e-6
"""As the release has them: they spoil whoever samples with `generate` and its defaults."""

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if loop.first and message['role'] != 'system' %}"
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
    "{% endif %}"
    "<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif part['type'] == 'video' %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""Renders what the release's template renders for turns of text, images and videos."""


def write(
    directory: Path,
    tokenizer_files: Path,
    *,
    vocabulary: int,
    hidden: int = 64,
    head_dim: int = 32,
    layers: int = 2,
    seed: int = 0,
) -> dict[str, torch.Tensor]:
    """Write the model with random weights; return its tensors by their published names.

    `tokenizer_files`: directory with tokenizer.json and tokenizer_config.json. `vocabulary`: rows of the embedding; the
    release has 151,936, more than its tokenizer has tokens.
    """
    directory.mkdir(parents=True)
    shutil.copy(tokenizer_files / "tokenizer.json", directory)
    about = json.loads((tokenizer_files / "tokenizer_config.json").read_text())
    _json(directory / "tokenizer_config.json", about | {"chat_template": CHAT_TEMPLATE})
    _json(directory / "chat_template.json", {"chat_template": CHAT_TEMPLATE})
    added = json.loads((tokenizer_files / "tokenizer.json").read_text())["added_tokens"]
    ids = {token["content"]: token["id"] for token in added}
    _json(directory / "config.json", _config(ids, vocabulary, hidden, head_dim, layers))
    _json(
        directory / "generation_config.json",
        {
            "bos_token_id": ids["<|endoftext|>"],
            "pad_token_id": ids["<|endoftext|>"],
            "do_sample": True,
            "eos_token_id": [ids["<|im_end|>"], ids["<|endoftext|>"]],
            "repetition_penalty": PENALTY,
            "temperature": TEMPERATURE,
            "transformers_version": "4.49.0",
        },
    )
    _json(
        directory / "preprocessor_config.json",
        {
            "min_pixels": 3136,
            "max_pixels": 12845056,
            "patch_size": 14,
            "temporal_patch_size": 2,
            "merge_size": 2,
            "image_mean": [0.48145466, 0.4578275, 0.40821073],
            "image_std": [0.26862954, 0.26130258, 0.27577711],
            "image_processor_type": "Qwen2VLImageProcessor",
            "processor_class": "Qwen2_5_VLProcessor",
        },
    )
    tensors = _tensors(vocabulary, hidden, head_dim, layers, seed)
    write_weights(directory, tensors)
    return tensors


def write_weights(directory: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Write tensors as two shards and their index, as `safetensors` lays a file out: header length, header, bytes."""
    names = sorted(tensors)
    place = {name: SHARDS[i >= len(names) // 2] for i, name in enumerate(names)}
    for shard in SHARDS:
        header: dict[str, object] = {"__metadata__": {"format": "pt"}}
        body = b""
        for name in names:
            if place[name] == shard:
                data = raw(tensors[name])
                header[name] = {
                    "dtype": "BF16",
                    "shape": list(tensors[name].shape),
                    "data_offsets": [len(body), len(body) + len(data)],
                }
                body += data
        head = json.dumps(header).encode()
        head += b" " * (-len(head) % 8)
        (directory / shard).write_bytes(struct.pack("<Q", len(head)) + head + body)
    total = sum(2 * tensor.numel() for tensor in tensors.values())
    _json(directory / "model.safetensors.index.json", {"metadata": {"total_size": total}, "weight_map": place})


def stored(directory: Path) -> dict[str, tuple[list[int], bytes]]:
    """Shape and bytes of each tensor in the shards, by its name there."""
    found = {}
    for shard in SHARDS:
        data = (directory / shard).read_bytes()
        (length,) = struct.unpack("<Q", data[:8])
        for name, about in json.loads(data[8 : 8 + length]).items():
            if name != "__metadata__":
                start, end = about["data_offsets"]
                found[name] = about["shape"], data[8 + length + start : 8 + length + end]
    return found


def raw(tensor: torch.Tensor) -> bytes:
    """The bytes of a bfloat16 tensor."""
    assert tensor.dtype == torch.bfloat16
    return tensor.contiguous().view(torch.int16).numpy().tobytes()


def positions(ids: list[int], media: list[tuple[tuple[int, int, int], float]], config: dict) -> tuple[list, int]:
    """The release's positions (time, height, width) of each token, and the position of the next one, token by token.

    `media`: grid of patches and seconds per temporal patch of each image (0 seconds) and video, in order. Text
    continues one behind the largest position so far, whichever axis it is on.
    """
    pads = {config["image_token_id"], config["video_token_id"]}
    rate = config["vision_config"]["tokens_per_second"]
    found: list[tuple[int, int, int]] = []
    waiting = list(media)
    following = 0
    at = 0
    while at < len(ids):
        if ids[at] not in pads:
            found.append((following, following, following))
            following, at = following + 1, at + 1
            continue
        (frames, rows, columns), seconds = waiting.pop(0)
        start = following
        for frame in range(frames):
            for row in range(rows // 2):
                for column in range(columns // 2):
                    found.append((start + math.floor(frame * seconds * rate), start + row, start + column))
                    at += 1
        following = 1 + max(max(place) for place in found)
    assert not waiting and at == len(ids)
    return found, following


def _config(ids: dict[str, int], vocabulary: int, hidden: int, head_dim: int, layers: int) -> dict:
    """config.json of Qwen2.5-VL-3B-Instruct with smaller sizes: those of the language model at the top level."""
    time = head_dim // 8
    return {
        "architectures": ["Qwen2_5_VLForConditionalGeneration"],
        "attention_dropout": 0.0,
        "bos_token_id": ids["<|endoftext|>"],
        "eos_token_id": ids["<|im_end|>"],
        "vision_start_token_id": ids["<|vision_start|>"],
        "vision_end_token_id": ids["<|vision_end|>"],
        "vision_token_id": ids["<|vision_pad|>"],
        "image_token_id": ids["<|image_pad|>"],
        "video_token_id": ids["<|video_pad|>"],
        "hidden_act": "silu",
        "hidden_size": hidden,
        "initializer_range": 0.02,
        "intermediate_size": 2 * hidden,
        "max_position_embeddings": 128000,
        "max_window_layers": layers,
        "model_type": "qwen2_5_vl",
        "num_attention_heads": hidden // head_dim,
        "num_hidden_layers": layers,
        "num_key_value_heads": 1,
        "rms_norm_eps": 1e-06,
        "rope_theta": 1000000.0,
        "sliding_window": 32768,
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
        "transformers_version": "4.41.2",
        "use_cache": True,
        "use_sliding_window": False,
        "vision_config": {
            "depth": 2,
            "hidden_act": "silu",
            "hidden_size": 64,
            "intermediate_size": 96,
            "num_heads": 2,
            "in_chans": 3,
            "out_hidden_size": hidden,
            "patch_size": 14,
            "spatial_merge_size": 2,
            "spatial_patch_size": 14,
            "window_size": 112,
            "fullatt_block_indexes": [1],
            "tokens_per_second": 2,
            "temporal_patch_size": 2,
        },
        "rope_scaling": {"type": "mrope", "mrope_section": [time, 3 * time // 2, 3 * time // 2]},
        "vocab_size": vocabulary,
    }


def _tensors(vocabulary: int, hidden: int, head_dim: int, layers: int, seed: int) -> dict[str, torch.Tensor]:
    """Random tensors of the published names, large enough that every input changes the output."""
    inner, eyes, lens = 2 * hidden, 64, 96
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (vocabulary, hidden)}
    for i in range(layers):
        shapes |= {
            f"model.layers.{i}.{name}": shape
            for name, shape in {
                "input_layernorm.weight": (hidden,),
                "self_attn.q_proj.weight": (hidden, hidden),
                "self_attn.q_proj.bias": (hidden,),
                "self_attn.k_proj.weight": (head_dim, hidden),
                "self_attn.k_proj.bias": (head_dim,),
                "self_attn.v_proj.weight": (head_dim, hidden),
                "self_attn.v_proj.bias": (head_dim,),
                "self_attn.o_proj.weight": (hidden, hidden),
                "post_attention_layernorm.weight": (hidden,),
                "mlp.gate_proj.weight": (inner, hidden),
                "mlp.up_proj.weight": (inner, hidden),
                "mlp.down_proj.weight": (hidden, inner),
            }.items()
        }
    shapes["model.norm.weight"] = (hidden,)
    shapes["visual.patch_embed.proj.weight"] = (eyes, 3, 2, 14, 14)
    for i in range(2):
        shapes |= {
            f"visual.blocks.{i}.{name}": shape
            for name, shape in {
                "norm1.weight": (eyes,),
                "norm2.weight": (eyes,),
                "attn.qkv.weight": (3 * eyes, eyes),
                "attn.qkv.bias": (3 * eyes,),
                "attn.proj.weight": (eyes, eyes),
                "attn.proj.bias": (eyes,),
                "mlp.gate_proj.weight": (lens, eyes),
                "mlp.gate_proj.bias": (lens,),
                "mlp.up_proj.weight": (lens, eyes),
                "mlp.up_proj.bias": (lens,),
                "mlp.down_proj.weight": (eyes, lens),
                "mlp.down_proj.bias": (eyes,),
            }.items()
        }
    shapes |= {
        "visual.merger.ln_q.weight": (eyes,),
        "visual.merger.mlp.0.weight": (4 * eyes, 4 * eyes),
        "visual.merger.mlp.0.bias": (4 * eyes,),
        "visual.merger.mlp.2.weight": (hidden, 4 * eyes),
        "visual.merger.mlp.2.bias": (hidden,),
    }
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, shape in shapes.items():
        noise = torch.randn(shape, generator=generator)
        if "norm" in name or "ln_q" in name:
            value = 1 + 0.1 * noise
        elif name == "model.embed_tokens.weight":
            value = 0.15 * noise  # tied: of this size, the next token depends on more than the last one
        else:
            fan_in = math.prod(shape[1:]) if len(shape) > 1 else 100
            value = noise * (0.1 if len(shape) == 1 else 1.5 / math.sqrt(fan_in))
        tensors[name] = value.to(torch.bfloat16)
    return tensors


def _json(path: Path, values: dict) -> None:
    path.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
