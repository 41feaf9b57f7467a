"""Models on disk and in memory: `model.json`, loading, saving, and the policy that the rest of the pipeline holds.

`model.json` names a model without holding it: `{"name", "kind", "path", "digest", "parents", "prompts", ...}`. `path`
is a directory relative to the file, an absolute directory, a folder that travels with this package (kind "shipped": a
moved clone finds it), or a Hugging Face name. Weights are safetensors in an ordinary Hugging Face directory:
transformers, vLLM and anyone else can open it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoConfig, AutoTokenizer, Qwen2_5_VLForConditionalGeneration
from transformers.utils import logging

from rollout3d.config import Video as VideoConfig
from rollout3d.files import sync_files, write_atomically
from rollout3d.model import directory as directories
from rollout3d.model import rope, vision
from rollout3d.model.directory import ModelError
from rollout3d.model.encode import ENDS, Encoder, Image, Medium, Prompt
from rollout3d.model.hub_files import GENERATION, generation_config, processor_files
from rollout3d.resources import shipped

WEIGHTS = "weights"
"""Name of the weights' directory beside `model.json`."""
SHIPPED = "shipped"
"""Kind of a model that travels with this package."""
CARD = "README.md"
"""Description of a shipped model, which decides no result."""
BLANK = Image(np.zeros((28, 28, 3), np.uint8))
"""One black visual token."""


@dataclass(frozen=True)
class ModelHandle:
    """What a `model.json` says."""

    name: str
    """Key of the model or run, stored in every prediction."""
    kind: str
    """hub | directory | shipped | tiny | sft | grpo | ..."""
    path: str
    """Directory or Hugging Face name, resolved."""
    digest: str
    """sha256 over the files of the weights' directory; of the name, for a model of the Hub."""
    parents: dict[str, str] = field(default_factory=dict)
    """Digests of what it was made from."""
    about: dict[str, Any] = field(default_factory=dict)
    """Everything else, such as `prompts` and `steps`."""


class Policy:
    """A model with its tokeniser and encoder. `digest`: of its weights, as `model.json` has it; None if there is none.

    Tokens `eos_ids` end an answer, tokens `suppress_ids` are never drawn. `core` is the bare model class also when
    `model` is wrapped by peft. Positions follow `rope.rope_index` everywhere.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        video: VideoConfig | None = None,
        name: str = "model",
        digest: str | None = None,
    ):
        self.model, self.tokenizer, self.name = model, tokenizer, name
        self.digest = digest
        self.encoder = Encoder(tokenizer, self.core.config, video)
        self.eos_ids: tuple[int, ...] = tuple(tokenizer.convert_tokens_to_ids(list(ENDS)))
        self.suppress_ids: tuple[int, ...] = self.encoder.vision_ids
        rope.install(self.core)
        vision.install(self.core)

    @property
    def core(self) -> Qwen2_5_VLForConditionalGeneration:
        """The Qwen2_5_VLForConditionalGeneration inside `model`."""
        return self.model.get_base_model() if hasattr(self.model, "get_base_model") else self.model

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return self.core.lm_head.weight.device

    def features(self, media: Sequence[Medium]) -> list[torch.Tensor]:
        """Compute the visual tokens (n_tokens, D) of each medium, in one call of the vision tower.

        Media with equal keys are encoded once and share their features; gradients flow if they are enabled.
        """
        unique = {medium.key: medium for medium in media}
        found: dict[str, torch.Tensor] = {}
        if unique:
            pixels = torch.cat([medium.patches for medium in unique.values()]).to(self.device)
            grids = torch.tensor([medium.grid for medium in unique.values()], device=self.device)
            # Images and videos share one path through the tower; the grids tell them apart.
            tower: Any = self.core.model
            outputs = tower.get_video_features(pixels, grids).pooler_output
            for medium, features in zip(unique.values(), outputs, strict=True):
                if len(features) != medium.n_tokens:
                    raise AssertionError(f"{medium.n_tokens} placeholders but {len(features)} visual features")
                found[medium.key] = features
        return [found[medium.key] for medium in media]

    def blank_look(self) -> torch.Tensor:
        """Run the vision tower on a blank patch; return 0, from which a gradient of zero flows through all of it."""
        return 0 * self.features([self.encoder.medium(BLANK)])[0].sum()

    def prompt_embeddings(self, prompts: Sequence[Prompt]) -> list[torch.Tensor]:
        """Return the input embeddings (P, D) of each prompt, visual features inserted; P differs between prompts.

        Raises AssertionError unless placeholders and visual features match one to one: a forward without its video
        would otherwise run silently on the placeholders' own embeddings.
        """
        features = iter(self.features([medium for prompt in prompts for medium in prompt.media]))
        spliced: list[torch.Tensor] = []
        for prompt in prompts:
            ids = prompt.input_ids.to(self.device)
            words = self.embed_tokens(ids)
            slots = (ids == self.encoder.image_pad) | (ids == self.encoder.video_pad)
            visual = [next(features) for _ in prompt.media]
            n_visual = sum(len(part) for part in visual)
            if int(slots.sum()) != n_visual:
                raise AssertionError(f"{int(slots.sum())} placeholders but {n_visual} visual features in a prompt")
            if visual:
                words = words.masked_scatter(slots.unsqueeze(-1), torch.cat(visual).to(words.dtype))
            spliced.append(words)
        return spliced

    def embed_tokens(self, ids: torch.Tensor) -> torch.Tensor:
        """Return the input embeddings (..., D) of text tokens (...)."""
        return self.core.get_input_embeddings()(ids)

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of an answer's tokens, without control tokens."""
        return self.tokenizer.decode(list(ids), skip_special_tokens=True)


def read_model(path: Path | str) -> ModelHandle:
    """Read a `model.json`. Raises ModelError if it or the directory that it names is missing."""
    path = Path(path)
    if not path.exists():
        raise ModelError(f"{path}: no such file; run `snakemake {path}`")
    try:
        about = json.loads(path.read_text())
        name, kind, where = about.pop("name"), about.pop("kind"), about.pop("path")
    except (json.JSONDecodeError, KeyError) as error:
        raise ModelError(f"{path}: not a model.json ({error}); delete it and rerun its stage") from error
    if kind != "hub":
        directory = shipped(where) if kind == SHIPPED else path.parent / where
        if not (directory / "config.json").exists():
            raise ModelError(f"{path}: its weights are missing, expected {directory / 'config.json'}")
        where = str(directory.resolve())
    return ModelHandle(name, kind, where, about.pop("digest", ""), about.pop("parents", {}), about)


def write_model(path: Path | str, *, name: str, kind: str, weights: str, digest: str, **about: Any) -> ModelHandle:
    """Write a `model.json` atomically; `weights` is stored as given (relative paths are relative to the file)."""
    path = Path(path)
    values = {"name": name, "kind": kind, "path": weights, "digest": digest, "parents": {}, "prompts": {}, **about}
    write_atomically(path, json.dumps(values, indent=2, sort_keys=True, ensure_ascii=False) + "\n")
    return read_model(path)


def refer_model(path: Path | str, *, name: str, where: str, **about: Any) -> ModelHandle:
    """Write a `model.json` for a model that exists already: a directory, or a name on the Hugging Face Hub.

    A `name` that is the path of a folder in this package's clone, with that folder as `where`, is a shipped model.

    Raises ModelError if there is no such directory, or if it holds no whole Qwen2.5-VL, or one of other sizes than the
    release that `name` names.
    """
    directory = Path(where).expanduser()
    if directory == shipped(name):
        directories.check(directory)
        return write_model(path, name=name, kind=SHIPPED, weights=name, digest=files_digest(directory, CARD), **about)
    if directory.is_dir():
        directories.check(directory)
        directories.check_name(name, directory)
        resolved = str(directory.resolve())
        return write_model(path, name=name, kind="directory", weights=resolved, digest=files_digest(directory), **about)
    if directory.is_absolute() or where.startswith((".", "~")):
        raise ModelError(f"{where}: no such directory; correct site.models")
    digest = hashlib.sha256(where.encode()).hexdigest()
    return write_model(path, name=name, kind="hub", weights=where, digest=digest, **about)


def files_digest(directory: Path | str, *without: str) -> str:
    """Return the sha256 over names and contents of a directory's files, in sorted order; hidden files are skipped.

    `without`: names of other files to skip.
    """
    hasher = hashlib.sha256()
    for file in sorted(p for p in Path(directory).iterdir() if p.is_file() and not p.name.startswith(".")):
        if file.name in without:
            continue
        hasher.update(file.name.encode() + b"\0")
        with open(file, "rb") as stream:
            hasher.update(hashlib.file_digest(stream, "sha256").digest())
    return hasher.hexdigest()


def load_policy(
    model_json: Path | str,
    dtype: str | torch.dtype = "float32",
    device: str | torch.device = "cpu",
    attn: str = "sdpa",
    video: VideoConfig | None = None,
) -> Policy:
    """Load the policy that a `model.json` names, in evaluation mode.

    `attn`: attention of the vision tower (sdpa | eager | flash_attention_2). The language model always uses sdpa:
    packed rows have masks of four dimensions, which flash attention does not support. Raises ModelError if it cannot be
    loaded, is no Qwen2.5-VL, or lacks tensors, which transformers would draw at random.
    """
    handle = read_model(model_json)
    dtype = getattr(torch, dtype) if isinstance(dtype, str) else dtype
    try:
        if handle.kind == "hub":
            directories.check_config(AutoConfig.from_pretrained(handle.path).to_dict(), handle.path)
        else:
            directories.check(handle.path)
        with _quiet():
            pair: Any = Qwen2_5_VLForConditionalGeneration.from_pretrained(
                handle.path,
                dtype=dtype,
                attn_implementation={"text_config": "sdpa", "vision_config": attn},
                use_safetensors=True,  # a .bin file would be unpickled
                ignore_mismatched_sizes=True,  # refused below, with the file's name
                output_loading_info=True,
            )
        model, loaded = pair
        directories.refuse(handle.path, loaded["missing_keys"], loaded["unexpected_keys"], loaded["mismatched_keys"])
        tokenizer = AutoTokenizer.from_pretrained(handle.path)
    except OSError as error:
        remedy = "download it, and name its directory in site.models" if handle.kind == "hub" else "rerun its stage"
        raise ModelError(f"{model_json}: cannot load {handle.path} ({error}); {remedy}") from error
    check_weights(model_json, handle)  # last: the checks above name what is wrong with a model
    return Policy(model.to(device).eval(), tokenizer, video=video, name=handle.name, digest=handle.digest)


def save_policy(policy: Policy, directory: Path | str, **about: Any) -> ModelHandle:
    """Write the weights to `directory/weights` and `directory/model.json` beside them; return what the latter says.

    `about` enters `model.json`: give `kind`, `parents`, `prompts`; `name` defaults to the policy's. Everything is
    written aside and renamed, `model.json` last, so a killed process leaves the old model or the new one. An adapter
    must be merged before (`policy.model.merge_and_unload()`): its weights would be saved under other names.
    """
    if policy.core is not policy.model or any("lora_" in name for name, _ in policy.core.named_parameters()):
        raise ModelError("an adapter cannot be saved as a model: merge it into the weights first")
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    target = directory / WEIGHTS
    aside, old = (directory / f".{WEIGHTS}.{os.getpid()}.{what}" for what in ("new", "old"))
    try:
        with _quiet():
            policy.model.save_pretrained(aside)
        policy.tokenizer.save_pretrained(aside)
        _without_circumstances(aside / "tokenizer_config.json")
        # Bounds that frames of the encoder always meet, so that no processor resizes them again.
        lowest, highest = min(policy.encoder.video_config.min_pixels, 4 * 28 * 28), 16384 * 28 * 28
        beside = processor_files(lowest, highest, highest) | {GENERATION: generation_config(policy.tokenizer)}
        for name, values in beside.items():
            (aside / name).write_text(json.dumps(values, indent=2, sort_keys=True) + "\n")
        digest = files_digest(aside)
        sync_files(aside)
        if target.exists():
            target.rename(old)
        aside.rename(target)
    finally:
        for leftover in (aside, old):
            shutil.rmtree(leftover, ignore_errors=True)
    values = {"name": policy.name, "kind": "directory", **about}
    return write_model(directory / "model.json", weights=WEIGHTS, digest=digest, **values)


def check_weights(model_json: Path | str, handle: ModelHandle) -> None:
    """Raise ModelError unless the files of a local model have the digest of its `model.json`.

    Results of a model are current by that digest: other weights in its place would silently give wrong numbers.
    """
    skipped = (CARD,) if handle.kind == SHIPPED else ()
    if handle.kind == "hub" or not handle.digest or files_digest(handle.path, *skipped) == handle.digest:
        return
    if Path(handle.path).parent == Path(model_json).resolve().parent:
        remedy = f"delete {model_json} and run `snakemake {model_json}`"
    else:
        remedy = "describe it anew: `snakemake -R describe_model`"
    raise ModelError(f"{model_json}: the files in {handle.path} are not those that it describes; {remedy}")


def _without_circumstances(path: Path) -> None:
    """Remove entries about how a tokeniser was loaded from its configuration: equal models then have equal files."""
    about = json.loads(path.read_text())
    for name in ("local_files_only", "is_local", "name_or_path", "_commit_hash"):
        about.pop(name, None)
    path.write_text(json.dumps(about, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


@contextmanager
def _quiet() -> Iterator[None]:
    """Switch transformers' progress bars off inside the block: they fill logs."""
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
