"""Prices of models: dollars per token, the discount of the Batch API, and the tokens that a picture is billed as.

Prices stand in resources/prices.csv with their date and source; those of the key `api.prices` replace them. Rules for
pictures: OpenAI, "Images and vision", Calculating costs.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Protocol

from rollout3d.errors import UserError
from rollout3d.resources import shipped

_NUMBERS = ("usd_per_million_in", "usd_per_million_out", "batch_discount")
TABLE = shipped("resources/prices.csv")
BATCH_DISCOUNT = 0.5
"""Discount of the Batch API for a model that the table lacks. [OpenAI: half for every model]"""


class PriceError(UserError, ValueError):
    """No price is known for a model."""


class PictureRule(Protocol):
    """Tokens that a server bills for a picture of `width` x `height` pixels."""

    def tokens(self, width: int, height: int) -> int: ...


@dataclass(frozen=True)
class Tiles:
    """`base` tokens per picture and `tile` tokens per tile of 512x512 pixels (GPT-4o, GPT-4.1).

    The picture is shrunk to fit 2048x2048 pixels, then until its shorter side has 768; it is never enlarged (assumed:
    OpenAI's price calculator bills one tile for 150x150 pixels). Detail `auto` is counted as `high`, its most.
    """

    base: int
    tile: int

    def tokens(self, width: int, height: int) -> int:
        shrink = min(1.0, 2048 / max(width, height))
        shrink *= min(1.0, 768 / (min(width, height) * shrink))
        across, down = (math.ceil(round(side * shrink, 6) / 512) for side in (width, height))
        return self.base + self.tile * across * down


@dataclass(frozen=True)
class Patches:
    """`multiplier` tokens per patch of 32x32 pixels (GPT-4.1 mini and nano).

    A picture of more than `limit` patches is shrunk until whole patches fit one of its sides and `limit` is kept.
    """

    multiplier: float
    limit: int = 1536

    def tokens(self, width: int, height: int) -> int:
        patches = math.ceil(width / 32) * math.ceil(height / 32)
        if patches > self.limit:
            shrink = math.sqrt(32 * 32 * self.limit / (width * height))
            across, down = width * shrink / 32, height * shrink / 32
            shrink *= min(math.floor(across) / across, math.floor(down) / down)
            patches = min(self.limit, math.prod(math.ceil(round(side * shrink / 32, 6)) for side in (width, height)))
        return math.ceil(round(patches * self.multiplier, 6))


GPT_4O = Tiles(85, 170)
"""Rule for pictures of a model that the table lacks."""


@dataclass(frozen=True)
class ModelPrice:
    """US dollars per million tokens of a model. `date` is None where the configuration gives the price."""

    model: str
    usd_per_million_in: float
    usd_per_million_out: float
    pictures: PictureRule
    batch_discount: float = BATCH_DISCOUNT
    date: str | None = None
    source: str = "the configuration"
    batch: bool = False
    """True where replies come through the Batch API: every cost is discounted."""

    def cost(self, tokens_in: float, tokens_out: float) -> float:
        """Return the dollars for tokens, those of pictures among the ones in."""
        usd = (tokens_in * self.usd_per_million_in + tokens_out * self.usd_per_million_out) / 1e6
        return usd * (1 - self.batch_discount) if self.batch else usd

    @property
    def dated(self) -> str:
        """Date and source of the price, in words."""
        return f"prices of {self.date}, {self.source}" if self.date else f"prices from {self.source}"

    def __str__(self) -> str:
        return (
            f"{self.model}: {self.usd_per_million_in:g} dollars per million tokens in, "
            f"{self.usd_per_million_out:g} out, {self.batch_discount:.0%} less in a batch ({self.dated})"
        )


@cache
def table(path: Path = TABLE) -> dict[str, ModelPrice]:
    """Read prices by model from `resources/prices.csv`."""
    with open(path, newline="", encoding="utf-8") as stream:
        return {row["model"]: _price(row) for row in csv.DictReader(stream)}


def _price(row: dict[str, str]) -> ModelPrice:
    if row["picture_rule"] == "tiles":
        rule: PictureRule = Tiles(int(row["picture_base"]), int(row["picture_tile"]))
    else:
        rule = Patches(float(row["picture_multiplier"]))
    usd_in, usd_out, discount = (float(row[name]) for name in _NUMBERS)
    return ModelPrice(row["model"], usd_in, usd_out, rule, discount, row["date"], row["source"])


def price(model: str, own: Mapping[str, tuple[float, float]], batch: bool = False) -> ModelPrice:
    """Return the price of `model`: that of `own` (`api.prices`, dollars per million tokens), else the table's.

    Pictures of a model that the table lacks are counted as GPT-4o's. Raises PriceError if neither has the model.
    """
    known, given = table().get(model), own.get(model)
    if known is None:
        if given is None:
            raise PriceError(
                f"no price is known for the model {model}: set api.prices to {{{model}: [IN, OUT]}}, its dollars per "
                f"million tokens of prompt and of completion (0 for a server of your own). resources/prices.csv has "
                f"{', '.join(table())}"
            )
        return ModelPrice(model, *given, GPT_4O, batch=batch)
    usd_in, usd_out = given or (known.usd_per_million_in, known.usd_per_million_out)
    return ModelPrice(
        model,
        usd_in,
        usd_out,
        known.pictures,
        known.batch_discount,
        None if given else known.date,
        "the configuration" if given else known.source,
        batch,
    )
