"""A dense target for the vision tower while the small model is trained: what each visual token shows.

A linear layer on every visual token says which categories the cell of each of its two frames shows, and how far away
that is. The renderer knows both. A second target says it in words: a token points in the direction of the embeddings of
what it shows. Looking up the place of a word in the video is then the same operation as looking it up in a text, which
a language model learns early; without this target, questions about one thing are answered by habit for thousands of
steps. A third target, for the language model, is where in the room that cell lies: what is nearest to what cannot be
learnt from single frames. The layers of this head are thrown away after training; the model that is saved is as any
other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, l1_loss, normalize

from rollout3d.model.load import Policy
from rollout3d.model.pixels import TEMPORAL_PATCH, pad_time
from rollout3d.resize import FACTOR
from toyworld.rendering.quick import CELL, NUMBER_OF, Film
from toyworld.rooms.vocabulary import CATEGORIES

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


assert CELL == FACTOR

LAYER = 2
"""Layer of the language model, the last of smaller ones, whose states at visual tokens tell the place of what these
show."""


@dataclass(frozen=True, eq=False)
class Cells:
    """Targets of a film of N frames of h x w cells, C categories."""

    categories: Bool[np.ndarray, "n h w c"]
    depth: Float[np.ndarray, "n h w"]
    """Mean depth, metres; 0 where a cell shows no surface."""
    place: Float[np.ndarray, "n h w 2"]
    """Mean place, metres right of and ahead of the first camera."""
    names: tuple[str, ...]
    """What the lessons call the categories."""

    @classmethod
    def of(cls, film: Film, dataset: str) -> Cells:
        """Return the targets of a film that is spoken of in the words of `dataset`."""
        names = tuple(CATEGORIES[name].asked_as.get(dataset, name) for name in NUMBER_OF)
        return cls(pad_time(film.categories), pad_time(film.depth), pad_time(film.place), names)


class DenseHead(nn.Module):
    """Reads categories and log-depth of both frames from each visual token, and compares it with words."""

    def __init__(self, policy: Policy):
        super().__init__()
        config: Any = policy.core.config.text_config
        width: int = config.hidden_size
        self.read = nn.Linear(width, TEMPORAL_PATCH * (len(NUMBER_OF) + 1))
        self.scale, self.bias = nn.Parameter(torch.tensor(10.0)), nn.Parameter(torch.tensor(-3.0))
        self.locate = nn.Linear(width, TEMPORAL_PATCH * 2)
        self._words: dict[str, list[int]] = {}
        self._policy = [policy]  # in a list: its parameters are not this module's
        self._features: list[Tensor] = []
        self._state: Tensor | None = None
        policy.core.model.visual.register_forward_hook(self._keep)
        layers: Any = policy.core.model.language_model.layers
        layers[min(LAYER, len(layers) - 1)].register_forward_hook(self._keep_state)

    def _keep(self, _module: nn.Module, _inputs: Any, output: Any) -> None:
        self._features.append(output.pooler_output)
        self._state = None

    def _keep_state(self, _module: nn.Module, _inputs: Any, output: Any) -> None:
        if self._state is None:  # the first after the video: that of the prompt, and not of what is asked about it
            self._state = output[0] if isinstance(output, tuple) else output

    def forward(self, cells: Cells | None, places: bool = False) -> Tensor:
        """Return the loss of the visual tokens made since the last call; 0 without targets (black frames).

        Cross-entropy summed over the categories of a cell, once read from the token and once by its likeness to the
        category's name, plus the absolute error of the logarithm of the depth, all averaged over cells; nats. With
        `places`, plus the absolute error of each coordinate of the place, metres.
        """
        made, self._features = self._features, []
        if cells is None:
            return torch.zeros(())
        features = torch.cat(made)
        # Tokens run by pair of frames, row and column.
        said = self.read(features).unflatten(1, (TEMPORAL_PATCH, -1))
        there, depth = (_by_token(torch.from_numpy(a).float()) for a in (cells.categories, cells.depth[..., None]))
        what = _per_cell(said[..., :-1], there)
        named = _per_cell(self._likeness(features, cells.names), there.amax(1))
        surface = depth[..., 0] > 0
        loss = what + named + l1_loss(said[..., -1][surface], depth[..., 0][surface].log())
        if places:
            loss = loss + self._misplaced(_by_token(torch.from_numpy(cells.place).float()), surface)
        return loss

    def _misplaced(self, place: Float[Tensor, "t 2 2"], surface: Bool[Tensor, "t 2"]) -> Tensor:
        """Return the absolute error of the places that the states at visual tokens tell, mean over coordinates."""
        assert self._state is not None
        # The prompt ends with the video's tokens and the one that closes it.
        states = self._state[0, -1 - len(place) : -1]
        return l1_loss(self.locate(states).unflatten(1, (TEMPORAL_PATCH, 2))[surface], place[surface])

    def _likeness(self, features: Float[Tensor, "t d"], names: Sequence[str]) -> Float[Tensor, "t c"]:
        """Return logits: the scaled cosine of each token and the mean embedding of each name."""
        (policy,) = self._policy
        for name in names:
            if name not in self._words:
                # As inside a sentence, where a space comes before it.
                self._words[name] = policy.tokenizer.encode(f" {name}", add_special_tokens=False)
        words = [policy.embed_tokens(torch.tensor(self._words[name])).mean(0) for name in names]
        return self.scale * normalize(features, dim=1) @ normalize(torch.stack(words), dim=1).T + self.bias


def _per_cell(logits: Float[Tensor, "*t c"], there: Float[Tensor, "*t c"]) -> Tensor:
    """Return the cross-entropy of a cell, summed over its categories and averaged over cells."""
    return binary_cross_entropy_with_logits(logits, there, reduction="sum") / there[..., 0].numel()


def _by_token(values: Float[Tensor, "n h w c"]) -> Float[Tensor, "t 2 c"]:
    """Return values per frame and cell by visual token, which covers the same cell of two frames."""
    pairs = values.unflatten(0, (-1, TEMPORAL_PATCH))
    return pairs.permute(0, 2, 3, 1, 4).flatten(0, 2)
