"""Encode text, pictures and videos as a prompt of Qwen2.5-VL: tokens, explicit positions, patches.

Training, difficulty, annotation checks and evaluation share this one encoder, so they have the same prompts. It lays
out the chat turns itself: a chat template can only render them as text, and the Hugging Face processor needs
torchvision. A prompt is never truncated: cutting placeholders would leave features without tokens.

Letters in shapes: P tokens of a prompt, n frames of H x W pixels, (t, h, w) patches of a medium.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from tokenizers import Tokenizer

from rollout3d.config import Video as VideoConfig
from rollout3d.model.pixels import MERGE, TEMPORAL_PATCH, grid_of, pad_time, patchify, resize
from rollout3d.model.rope import rope_index
from rollout3d.resize import FACTOR, smart_size

SYSTEM = "You are a helpful assistant."
"""The chat template's default, which Video-R1's GRPO and evaluation use; its SFT script leaves out the full stop."""

VISION_SPECIALS = ("<|vision_start|>", "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>")
"""Tokens that only a prompt may hold: a policy that writes one breaks the next forward over its own text."""
ENDS = ("<|im_end|>", "<|endoftext|>")
"""Tokens that end an answer."""


@dataclass(frozen=True)
class Text:
    """Text of the user. Control tokens in it are encoded as ordinary characters."""

    text: str


@dataclass(frozen=True, eq=False)
class Image:
    """A still picture (H, W, 3) uint8, resized to at most `max_pixels` pixels (None: the configuration's limit)."""

    pixels: np.ndarray
    max_pixels: int | None = None


@dataclass(frozen=True, eq=False)
class Video:
    """Frames (n, H, W, 3) uint8, any n >= 1; only their sides are rounded to multiples of 28.

    `seconds_per_frame`, the time between two frames, is read only where the configuration asks for true time.
    """

    frames: np.ndarray
    seconds_per_frame: float | None = None


Part = Text | Image | Video


@dataclass(frozen=True, eq=False)
class Medium:
    """A picture or video as the model sees it: resized, cut into patches, with a digest of its pixels."""

    modality: Literal["image", "video"]
    frames: np.ndarray
    """(n, H, W, 3) uint8, n even, sides multiples of 28; an image is doubled in time."""
    grid: tuple[int, int, int]
    """Patches in time, height, width."""
    patches: torch.Tensor
    """(t * h * w, 1176) float32, standardised."""
    second_per_grid: float
    """Seconds between temporal patches."""
    key: str
    """Equal keys mean equal pixels, hence equal visual features."""

    @property
    def n_tokens(self) -> int:
        """Number of visual tokens of the language model."""
        t, h, w = self.grid
        return t * (h // MERGE) * (w // MERGE)


@dataclass(frozen=True, eq=False)
class Prompt:
    """One encoded prompt, ready for a forward; P tokens, generation prompt included."""

    input_ids: torch.Tensor
    """(P,) int64."""
    position_ids: torch.Tensor
    """(3, P) int64: time, height, width."""
    next_position: int
    """Position, on all axes, of the first token of the answer."""
    media: tuple[Medium, ...] = field(repr=False)
    """In order of appearance."""
    key: str
    """Digest of tokens, positions and pixels: equal keys mean the same prompt."""

    def __len__(self) -> int:
        return len(self.input_ids)

    @cached_property
    def pixel_values(self) -> torch.Tensor | None:
        """Patches of the images, concatenated; None without images."""
        return self._patches("image")

    @cached_property
    def image_grid_thw(self) -> torch.Tensor | None:
        """(images, 3) int64; None without images."""
        return self._grids("image")

    @cached_property
    def pixel_values_videos(self) -> torch.Tensor | None:
        """Patches of the videos, concatenated; None without videos."""
        return self._patches("video")

    @cached_property
    def video_grid_thw(self) -> torch.Tensor | None:
        """(videos, 3) int64; None without videos."""
        return self._grids("video")

    @property
    def second_per_grid(self) -> list[float]:
        """Seconds between temporal patches, of each video."""
        return [m.second_per_grid for m in self.media if m.modality == "video"]

    def _patches(self, modality: str) -> torch.Tensor | None:
        found = [m.patches for m in self.media if m.modality == modality]
        if len(found) < 2:
            return found[0] if found else None
        return torch.cat(found)

    def _grids(self, modality: str) -> torch.Tensor | None:
        found = [m.grid for m in self.media if m.modality == modality]
        return torch.tensor(found) if found else None


class Encoder:
    """Encodes prompts and answers for one tokeniser and one model configuration. Safe to share between threads.

    Patches of the last `cached` media are kept: the questions of a scene share its video.
    """

    def __init__(self, tokenizer: Any, model_config: Any, video_config: VideoConfig | None = None, cached: int = 4):
        self.model_config = model_config
        self.video_config = video_config or VideoConfig()
        # A private copy: control tokens in a question must stay text, and a shared tokeniser with changing settings
        # fails when two threads use it.
        self._words = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
        self._words.no_truncation()
        self._words.no_padding()
        self._words.encode_special_tokens = True
        self._lock = threading.Lock()
        self._cache: OrderedDict[str, torch.Tensor] = OrderedDict()
        self._cached = cached
        self.vision_ids = tuple(self._id(token) for token in VISION_SPECIALS)
        self.turn, self.end = self._id("<|im_start|>"), self._id("<|im_end|>")
        vision_start, vision_end, _, self.image_pad, self.video_pad = self.vision_ids
        self._frame = (vision_start, vision_end)
        for name, token in (("image_token_id", self.image_pad), ("video_token_id", self.video_pad)):
            if getattr(model_config, name) != token:
                raise ValueError(
                    f"the model's {name} is {getattr(model_config, name)} but the tokeniser says {token}: "
                    "tokeniser and model do not belong together"
                )

    def prompt(self, parts: Sequence[Part], system: str | None = None) -> Prompt:
        """Encode one user turn, after the system turn and with the assistant's turn opened.

        `system` None is `SYSTEM`. Adjacent texts are joined before they are tokenised.
        """
        media: list[Medium] = []
        pieces: list[str | int] = [self.turn, f"system\n{SYSTEM if system is None else system}", self.end, "\n"]
        pieces += [self.turn, "user\n"]
        for part in parts:
            if isinstance(part, Text):
                pieces.append(part.text)
                continue
            medium = self.medium(part)
            media.append(medium)
            pad = self.image_pad if medium.modality == "image" else self.video_pad
            pieces += [self._frame[0], *[pad] * medium.n_tokens, self._frame[1]]
        pieces += [self.end, "\n", self.turn, "assistant\n"]
        ids = torch.tensor(self._tokens(pieces))
        images = [m.grid for m in media if m.modality == "image"]
        videos = [(m.grid, m.second_per_grid) for m in media if m.modality == "video"]
        positions, following = rope_index(
            ids, images, [grid for grid, _ in videos], [seconds for _, seconds in videos], self.model_config
        )
        hasher = hashlib.blake2b(ids.numpy().tobytes() + positions.numpy().tobytes(), digest_size=16)
        for medium in media:
            hasher.update(medium.key.encode())
        return Prompt(ids, positions, following, tuple(media), hasher.hexdigest())

    def completion(self, text: str, after: str = "") -> torch.Tensor:
        """Return the tokens (C,) of an assistant's answer, its end of turn included, as training has them.

        `after`: text behind the end of turn, such as the line break of the chat template, which no model generates.
        """
        return torch.tensor(self._tokens([text, self.end, after]))

    def medium(self, part: Image | Video) -> Medium:
        """Resize one picture or video and cut it into patches. Raises ValueError unless it is uint8 with 3 channels."""
        video = isinstance(part, Video)
        frames = part.frames if isinstance(part, Video) else part.pixels[None]
        if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3 or not len(frames):
            raise ValueError(f"media must be uint8 (n, height, width, 3), not {frames.dtype} {frames.shape}")
        if isinstance(part, Video):
            bounds = FACTOR**2, None
        else:
            least, most = self.video_config.image_pixels
            bounds = least, part.max_pixels or most
        height, width = frames.shape[1:3]
        frames = resize(frames, *smart_size(height, width, *bounds))
        frames = np.ascontiguousarray(pad_time(frames))
        key = hashlib.blake2b(repr(frames.shape).encode() + frames.tobytes(), digest_size=16).hexdigest()
        seconds = self._seconds(part) if isinstance(part, Video) else 0.0
        return Medium("video" if video else "image", frames, grid_of(frames), self._patchify(frames, key), seconds, key)

    def _seconds(self, video: Video) -> float:
        if self.video_config.time_mode == "unit":
            return 1.0
        if video.seconds_per_frame is None:
            raise ValueError("video.time_mode is 'true' but this video has no timestamps; use 'unit'")
        # In single precision, as vLLM keeps it: both must round a position down from the same number.
        return float(np.float32(TEMPORAL_PATCH * video.seconds_per_frame))

    def _patchify(self, frames: np.ndarray, key: str) -> torch.Tensor:
        with self._lock:
            if key in self._cache:
                self._cache.move_to_end(key)
                return self._cache[key]
        patches = patchify(frames)
        with self._lock:
            self._cache[key] = patches
            while len(self._cache) > self._cached:
                self._cache.popitem(last=False)
        return patches

    def _tokens(self, pieces: Sequence[str | int]) -> list[int]:
        ids: list[int] = []
        text = ""
        for piece in [*pieces, None]:
            if isinstance(piece, str):
                text += piece
                continue
            if text:
                ids += self._words.encode(text, add_special_tokens=False).ids
                text = ""
            if piece is not None:
                ids.append(piece)
        return ids

    def _id(self, token: str) -> int:
        found = self._words.token_to_id(token)
        if found is None:
            raise ValueError(f"the tokeniser lacks {token}: it is not one of Qwen2.5-VL")
        return found
