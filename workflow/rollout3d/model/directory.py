"""Check, without torch, that a model's directory holds a whole Qwen2.5-VL of the shapes that its configuration names.

Only `config.json` and the headers of the safetensors files are read, which takes milliseconds for any size. The
preflight and `load` use the same checks. Nothing is ever unpickled: a directory that holds its weights as `.bin` files
alone is refused.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rollout3d.errors import UserError
from rollout3d.model import shapes

MODEL_TYPE = "qwen2_5_vl"
ARCHITECTURE = "Qwen2_5_VLForConditionalGeneration"
WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"
MAX_HEADER = 100_000_000
"""Maximum number of bytes of a safetensors header (the format's own limit)."""
SHOWN = 3
"""Number of tensor names in a message."""

RELEASED = {
    **{
        name: (config["text_config"]["num_hidden_layers"], config["text_config"]["hidden_size"])
        for name, config in shapes.RELEASED.items()
    },
    "Qwen2.5-VL-32B-Instruct": (64, 5120),
    "Qwen2.5-VL-72B-Instruct": (80, 8192),
}
"""Release -> layers and width of its language model."""

Shapes = dict[str, tuple[int, ...]]


class ModelError(UserError, ValueError):
    """A model cannot be used; the message names the file and the remedy."""


def check(directory: Path | str) -> None:
    """Raise ModelError unless `directory` holds a whole Qwen2.5-VL with safetensors weights and its tokeniser."""
    directory = Path(directory)
    config = read_config(directory)
    check_config(config, directory)
    if not (directory / "tokenizer.json").is_file() and not (directory / "vocab.json").is_file():
        raise ModelError(f"{directory}: no tokeniser (tokenizer.json, or vocab.json and merges.txt): download it again")
    found = read_shapes(directory)
    # Compared, and named in messages, as the files name them.
    published = any(name.startswith("visual.") for name in found)
    wanted = {published_name(name) if published else name: shape for name, shape in expected_shapes(config).items()}
    given = found if published else {current_name(name): shape for name, shape in found.items()}
    if is_tied(config):
        wanted.pop("lm_head.weight")
        given.pop("lm_head.weight", None)
    wrong = [(name, given[name], shape) for name, shape in wanted.items() if name in given and given[name] != shape]
    refuse(directory, wanted.keys() - given.keys(), given.keys() - wanted.keys(), wrong)


def refuse(
    where: Path | str,
    missing: Iterable[str],
    unexpected: Iterable[str],
    mismatched: Iterable[tuple[str, Iterable[int], Iterable[int]]],
) -> None:
    """Raise ModelError if any tensor is missing, unexpected, or of another shape (name, shape in the file, expected).

    Buffers that old releases stored (`inv_freq`) are no tensors of the model and are ignored.
    """
    missing, unexpected = (
        sorted(name for name in names if not name.endswith("inv_freq")) for names in (missing, unexpected)
    )
    faults = []
    if missing:
        faults.append(f"missing tensors: {len(missing)} ({_few(missing)}), which would be drawn at random")
    if unexpected:
        faults.append(f"tensors without a place in the model: {len(unexpected)} ({_few(unexpected)})")
    wrong = [f"{name} is {tuple(is_)}, expected {tuple(should)}" for name, is_, should in sorted(mismatched)]
    if wrong:
        faults.append(f"tensors of another shape than config.json says: {len(wrong)} ({_few(wrong)})")
    if faults:
        raise ModelError(
            f"{where}: {'; '.join(faults)}. Is this a whole, unquantised Qwen2.5-VL, and is an adapter merged? "
            "Download or export it again, or correct site.models"
        )


def read_config(directory: Path) -> dict[str, Any]:
    """`config.json` of a model's directory. Raises ModelError if there is none or it is no JSON object."""
    path = directory / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(
            f"{directory}: holds no config.json, so it is no Hugging Face model; correct site.models"
        ) from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot be read ({error}); download it again") from None
    if not isinstance(config, dict):
        raise ModelError(f"{path}: not a JSON object; download it again")
    return config


def check_config(config: dict[str, Any], where: Path | str) -> None:
    """Raise ModelError unless a model's configuration is that of an unquantised Qwen2.5-VL."""
    model_type, named = config.get("model_type"), config.get("architectures") or []
    if model_type != MODEL_TYPE or (named and ARCHITECTURE not in named):
        is_ = f"model_type '{model_type}'" if model_type != MODEL_TYPE else f"architecture {', '.join(named)}"
        raise ModelError(
            f"{where}: {is_}, not Qwen2.5-VL ({MODEL_TYPE}, {ARCHITECTURE}), the only model that can be trained and "
            "asked here; name another in models.*.name or site.models"
        )
    if config.get("quantization_config"):
        raise ModelError(
            f"{where}: its weights are quantised, which cannot be trained; name the original model instead"
        )


def check_name(name: str, directory: Path | str) -> None:
    """Raise ModelError if `name` is a release of Qwen2.5-VL and `directory` holds a model of other sizes.

    Tables and page would call it by that name. A model of the same sizes, such as a fine-tuned one, cannot be
    distinguished from the release.
    """
    wanted = RELEASED.get(name.rpartition("/")[2])
    config = read_config(Path(directory))
    text = config.get("text_config") or config
    found = (text.get("num_hidden_layers"), text.get("hidden_size"))
    if wanted and found != wanted:
        raise ModelError(
            f"{directory}: holds a model of {found[0]} layers of width {found[1]}, which is not {name} ({wanted[0]} of "
            f"{wanted[1]}): name what it is in models.*.name, so that no table calls it by another model's name"
        )


def is_tied(config: dict[str, Any]) -> bool:
    """Return whether the output layer is the input embeddings, so that files need not hold it."""
    return bool(config.get("tie_word_embeddings") or (config.get("text_config") or {}).get("tie_word_embeddings"))


def current_name(name: str) -> str:
    """Return the name of a tensor as transformers 5 has it, from any layout of Qwen2.5-VL's checkpoints.

    The Hub's files have `visual.*` and `model.*`; transformers 4.52 to 4.57 saved some as `model.visual.*` and
    `model.language_model.*`, which are transformers 5's own.
    """
    if name.startswith("visual."):
        return f"model.{name}"
    if name.startswith("model.") and not name.startswith(("model.visual.", "model.language_model.")):
        return f"model.language_model.{name.removeprefix('model.')}"
    return name


def published_name(name: str) -> str:
    """Return the name of a tensor in the Hub's files, from transformers 5's name."""
    if name.startswith("model.visual."):
        return name.removeprefix("model.")
    if name.startswith("model.language_model."):
        return f"model.{name.removeprefix('model.language_model.')}"
    return name


def weight_files(directory: Path) -> list[Path]:
    """Return the safetensors files of a model's weights. Raises ModelError if there are none or one is missing."""
    if (directory / WHOLE).is_file():
        return [directory / WHOLE]
    index = directory / INDEX
    if index.is_file():
        try:
            names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelError(f"{index}: not an index of weights ({error!r}); download it again") from None
        missing = [name for name in names if not (directory / name).is_file()]
        if missing or not names:
            raise ModelError(
                f"{directory}: {len(missing)} of {len(names)} weight files are missing ({_few(missing)}): download "
                "them again"
            )
        return [directory / name for name in names]
    pickled = sorted(path.name for path in directory.glob("*.bin"))
    if pickled:
        raise ModelError(
            f"{directory}: holds its weights as pickled files alone ({_few(pickled)}), which are never opened because "
            "they can run code; convert them to safetensors or download a release that has them"
        )
    raise ModelError(f"{directory}: holds no {WHOLE} or {INDEX}; download it again, or correct site.models")


def read_shapes(directory: Path) -> Shapes:
    """Return the shape of each stored tensor, by its name. Raises ModelError if a file is damaged or missing."""
    shapes: Shapes = {}
    for path in weight_files(directory):
        shapes |= read_header(path)
    return shapes


def read_header(path: Path) -> Shapes:
    """Return the shapes in a safetensors file's header. Raises ModelError if the file is damaged."""
    try:
        size = path.stat().st_size
        with open(path, "rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            if length > min(size, MAX_HEADER):
                raise ValueError("its header is longer than the file")
            header = json.loads(stream.read(length))
        tensors = {name: about for name, about in header.items() if name != "__metadata__"}
        shapes = {name: tuple(about["shape"]) for name, about in tensors.items()}
        needed = 8 + length + max((about["data_offsets"][1] for about in tensors.values()), default=0)
    except (OSError, struct.error, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{path}: not a safetensors file ({error}); download it again") from None
    if size != needed:
        raise ModelError(f"{path}: has {size:,} bytes, its header says {needed:,}: download it again")
    return shapes


def expected_shapes(config: dict[str, Any]) -> Shapes:
    """Return the shape of each tensor of a Qwen2.5-VL with this configuration, by transformers 5's names.

    Raises ModelError if the configuration lacks a size. Released configurations are flat, those of transformers 5
    have a `text_config`.
    """
    text, eyes = config.get("text_config") or config, config.get("vision_config") or {}
    try:
        shapes = {**_language(text), **_vision(eyes)}
        vocabulary, width = text["vocab_size"], text["hidden_size"]
    except (KeyError, TypeError) as error:
        raise ModelError(f"config.json lacks the size {error}: download it again") from None
    return {**shapes, "lm_head.weight": (vocabulary, width)}


def _language(text: dict[str, Any]) -> Shapes:
    width, inner = text["hidden_size"], text["intermediate_size"]
    heads = text["num_attention_heads"]
    shared = (text.get("num_key_value_heads") or heads) * (width // heads)
    layer = {
        "input_layernorm.weight": (width,),
        "post_attention_layernorm.weight": (width,),
        "self_attn.q_proj.weight": (width, width),
        "self_attn.q_proj.bias": (width,),
        "self_attn.k_proj.weight": (shared, width),
        "self_attn.k_proj.bias": (shared,),
        "self_attn.v_proj.weight": (shared, width),
        "self_attn.v_proj.bias": (shared,),
        "self_attn.o_proj.weight": (width, width),
        "mlp.gate_proj.weight": (inner, width),
        "mlp.up_proj.weight": (inner, width),
        "mlp.down_proj.weight": (width, inner),
    }
    root = "model.language_model"
    shapes: Shapes = {f"{root}.embed_tokens.weight": (text["vocab_size"], width), f"{root}.norm.weight": (width,)}
    for k in range(text["num_hidden_layers"]):
        shapes |= {f"{root}.layers.{k}.{name}": shape for name, shape in layer.items()}
    return shapes


def _vision(eyes: dict[str, Any]) -> Shapes:
    """The vision tower; sizes that the releases leave out have the defaults of transformers' configuration."""
    width, inner = eyes["hidden_size"], eyes.get("intermediate_size", 3420)
    patch, frames = eyes.get("patch_size", 14), eyes.get("temporal_patch_size", 2)
    merged = width * eyes.get("spatial_merge_size", 2) ** 2
    block = {
        "norm1.weight": (width,),
        "norm2.weight": (width,),
        "attn.qkv.weight": (3 * width, width),
        "attn.qkv.bias": (3 * width,),
        "attn.proj.weight": (width, width),
        "attn.proj.bias": (width,),
        "mlp.gate_proj.weight": (inner, width),
        "mlp.gate_proj.bias": (inner,),
        "mlp.up_proj.weight": (inner, width),
        "mlp.up_proj.bias": (inner,),
        "mlp.down_proj.weight": (width, inner),
        "mlp.down_proj.bias": (width,),
    }
    root, out = "model.visual", eyes.get("out_hidden_size", 3584)
    shapes: Shapes = {
        f"{root}.patch_embed.proj.weight": (width, eyes.get("in_channels", 3), frames, patch, patch),
        f"{root}.merger.ln_q.weight": (width,),
        f"{root}.merger.mlp.0.weight": (merged, merged),
        f"{root}.merger.mlp.0.bias": (merged,),
        f"{root}.merger.mlp.2.weight": (out, merged),
        f"{root}.merger.mlp.2.bias": (out,),
    }
    for k in range(eyes.get("depth", 32)):
        shapes |= {f"{root}.blocks.{k}.{name}": shape for name, shape in block.items()}
    return shapes


def _few(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
