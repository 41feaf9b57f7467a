"""Positions of the tokens of a prompt on Qwen2.5-VL's three axes: time, height, width.

One rule for training, generation and scoring. Releases of transformers disagree with each other, with vLLM and with the
code that the model was pre-trained with (5.17 truncates the seconds and lets text overlap a long video in time), so a
policy trained under one and sampled under another silently sees other positions. The rule here is the reference one:

- text advances all three axes by one per token;
- a visual token sits at the start position plus (floor(i * seconds_per_grid * tokens_per_second), row, column), i being
  its temporal patch; for a still image i = 0;
- what follows continues at the largest position of any axis plus one.

Source: Qwen2.5-VL's reference code, transformers pull request 35569 and vLLM's `get_mrope_input_positions`.
"""

from __future__ import annotations

import types
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:  # not at run time: an export has this file without this package
    from jaxtyping import Int


def rope_index(
    input_ids: Int[Tensor, " p"],
    image_grid_thw: Int[Tensor, "m 3"] | Sequence[Sequence[int]] | None,
    video_grid_thw: Int[Tensor, "n 3"] | Sequence[Sequence[int]] | None,
    second_per_grid: Sequence[float] | None,
    config: Any,
) -> tuple[Int[Tensor, "3 p"], int]:
    """Return the positions (time, height, width) of one sequence, and the position of the token after it.

    `image_grid_thw`, `video_grid_thw`: patches in time, height and width of each medium, in the order of appearance.
    `second_per_grid`: seconds between temporal patches of each video (one second if None). `config`: the model's
    Qwen2_5_VLConfig. Raises ValueError if placeholders and grids do not match, which a truncated prompt would cause.
    """
    merge, rate = config.vision_config.spatial_merge_size, config.vision_config.tokens_per_second
    images = _grids(image_grid_thw)
    videos = _grids(video_grid_thw)
    seconds = [float(s) for s in second_per_grid] if second_per_grid is not None else [1.0] * len(videos)
    if len(seconds) != len(videos):
        raise ValueError(f"{len(videos)} videos but {len(seconds)} values of second_per_grid")
    media = {
        config.image_token_id: iter([(grid, 0.0) for grid in images]),
        config.video_token_id: iter(list(zip(videos, seconds, strict=True))),
    }
    pieces: list[torch.Tensor] = []
    start = at = 0
    tokens = input_ids.tolist()
    while at < len(tokens):
        if tokens[at] not in media:
            end = next((i for i in range(at, len(tokens)) if tokens[i] in media), len(tokens))
            piece = torch.arange(end - at).expand(3, -1)
        else:
            (t, h, w), interval = _next(media[tokens[at]])
            # tokens_per_second positions per second, and `interval` seconds per temporal patch.
            piece = _visual(t, h // merge, w // merge, interval * rate)
            end = at + piece.shape[1]
            if tokens[at:end] != [tokens[at]] * (end - at):
                raise ValueError(f"a grid of {t} x {h} x {w} patches needs {end - at} placeholders at token {at}")
        pieces.append(piece + start)
        # By the largest position of any axis: far less than the number of a medium's tokens.
        start += int(piece.max()) + 1
        at = end
    if any(next(rest, None) is not None for rest in media.values()):
        raise ValueError("more images or videos than placeholders in the prompt")
    positions = torch.cat(pieces, dim=1) if pieces else torch.zeros(3, 0, dtype=torch.int64)
    return positions.to(input_ids.device), start


def install(model: Any) -> None:
    """Make a Qwen2_5_VLForConditionalGeneration use `rope_index` wherever it computes positions itself.

    It is the one override of positions: forward and generate both go through `model.model.get_rope_index`. Our own
    loops pass explicit positions and never reach it; it protects callers that use the model directly.
    """

    def get_rope_index(
        self: Any,
        input_ids: torch.Tensor,
        mm_token_type_ids: torch.Tensor | None = None,
        image_grid_thw: torch.Tensor | None = None,
        video_grid_thw: torch.Tensor | None = None,
        second_per_grid_ts: torch.Tensor | Sequence[float] | None = None,
        attention_mask: torch.Tensor | None = None,
        **_: Any,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        images, videos = _grids(image_grid_thw), _grids(video_grid_thw)
        seconds = [1.0] * len(videos) if second_per_grid_ts is None else [float(s) for s in second_per_grid_ts]
        positions = torch.zeros(3, *input_ids.shape, dtype=torch.int64, device=input_ids.device)
        deltas: list[int] = []
        for row, tokens in enumerate(input_ids):
            kept = torch.ones_like(tokens, dtype=torch.bool) if attention_mask is None else attention_mask[row].bool()
            ids = tokens[kept]
            n_images = _count(ids, self.config.image_token_id, images, self.config.vision_config.spatial_merge_size)
            n_videos = _count(ids, self.config.video_token_id, videos, self.config.vision_config.spatial_merge_size)
            one, following = rope_index(ids, images[:n_images], videos[:n_videos], seconds[:n_videos], self.config)
            images, videos, seconds = images[n_images:], videos[n_videos:], seconds[n_videos:]
            positions[:, row, kept] = one
            deltas.append(following - len(ids))
        return positions, torch.tensor(deltas, device=input_ids.device).unsqueeze(1)

    model.model.get_rope_index = types.MethodType(get_rope_index, model.model)


def _grids(grids: torch.Tensor | Sequence[Sequence[int]] | None) -> list[tuple[int, int, int]]:
    """Return grids as numbers; none for None."""
    listed = [] if grids is None else [[int(side) for side in grid] for grid in grids]
    return [(t, h, w) for t, h, w in listed]


def _next(media: Any) -> tuple[tuple[int, int, int], float]:
    found = next(media, None)
    if found is None:
        raise ValueError("more placeholders in the prompt than images or videos")
    return found


def _count(ids: torch.Tensor, token: int, grids: list[tuple[int, int, int]], merge: int) -> int:
    """Return how many of the batch's next media belong to this row: as many as fill its placeholders."""
    left, used = int((ids == token).sum()), 0
    while left > 0 and used < len(grids):
        t, h, w = grids[used]
        left -= t * (h // merge) * (w // merge)
        used += 1
    if left:
        raise ValueError(f"placeholders and grids of token {token} do not match: {abs(left)} too many or too few")
    return used


def _visual(t: int, h: int, w: int, rate: float) -> Int[Tensor, "3 n"]:
    """Return the offsets of a medium's t * h * w tokens; `rate`: positions per temporal patch."""
    # In double precision, and rounded down once, behind the product: i * rate in single precision may fall short.
    time = (torch.arange(t, dtype=torch.float64) * rate).floor().long()
    axes = torch.meshgrid(time, torch.arange(h), torch.arange(w), indexing="ij")
    return torch.stack(axes).reshape(3, -1)
