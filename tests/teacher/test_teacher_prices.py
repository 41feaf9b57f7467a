"""Prices and the tokens of pictures, against OpenAI's published examples and figures worked by hand."""

import re

import pytest

from rollout3d.teacher import prices
from rollout3d.teacher.prices import Patches, PriceError, Tiles, price


@pytest.mark.parametrize(
    ("width", "height", "tokens"),
    [
        (1024, 1024, 765),  # published: 768x768, four tiles
        (2048, 4096, 1105),  # published: 1024x2048, then 768x1536, six tiles
        (4096, 8192, 1105),  # as 2048x4096, which it is shrunk to
        (150, 150, 255),  # the price calculator: never enlarged, one tile
        (504, 364, 255),  # a stored frame of the paper's settings, 4:3: one tile
        (588, 336, 425),  # 16:9: two tiles
        (432, 432, 255),  # the view from above
        (512, 512, 255),
        (513, 512, 425),
        (768, 768, 765),
        (2048, 100, 765),  # four tiles in a row
        (4096, 200, 765),
        (100, 20000, 765),
    ],
)
def test_tiles_of_gpt_4o(width, height, tokens):
    assert Tiles(85, 170).tokens(width, height) == tokens


def test_tiles_of_gpt_4o_mini():
    assert Tiles(2833, 5667).tokens(1024, 1024) == 25501  # 2833 + 4 * 5667
    assert Tiles(2833, 5667).tokens(504, 392) == 8500


@pytest.mark.parametrize(
    ("width", "height", "patches"),
    [
        (1024, 1024, 1024),  # published
        (1800, 2400, 1452),  # published: 1056x1408 pixels, 33x44 patches
        (504, 392, 16 * 13),
        (32, 32, 1),
        (33, 32, 2),
    ],
)
def test_patches_of_gpt_4_1_mini(width, height, patches):
    assert Patches(1.0).tokens(width, height) == patches
    assert Patches(1.62).tokens(1024, 1024) == 1659  # 1658.88


def test_patches_never_exceed_the_limit():
    for width in range(1200, 3000, 37):
        for height in (900, 1300, 2111):
            assert Patches(1.0).tokens(width, height) <= 1536


def test_every_row_of_the_table_has_a_date_a_source_and_half_price_in_a_batch():
    found = prices.table()
    assert {"gpt-4o", "gpt-4o-mini", "gpt-4.1", "gpt-4.1-mini", "gpt-4.1-nano"} <= set(found)
    for model, row in found.items():
        assert re.fullmatch(r"20\d\d-\d\d", row.date) and len(row.source) > 5, model
        assert 0 < row.usd_per_million_in < row.usd_per_million_out and row.batch_discount == 0.5, model
    assert found["gpt-4o-mini"].pictures == Tiles(2833, 5667) and found["gpt-4.1-mini"].pictures == Patches(1.62)


def test_the_table_gives_the_price_unless_the_configuration_does():
    table = price("gpt-4o", {})
    assert table.cost(1_000_000, 100_000) == pytest.approx(2.5 + 1.0) and "prices of 2026-03" in str(table)
    half = price("gpt-4o", {}, batch=True)
    assert half.cost(1_000_000, 100_000) == pytest.approx(1.75)
    own = price("gpt-4o", {"gpt-4o": (2.5, 4.0)})
    assert own.cost(1_000_000, 1_000_000) == 6.5 and own.date is None and "from the configuration" in str(own)


def test_a_model_without_a_price_names_the_keys_to_set():
    with pytest.raises(PriceError, match=r"model my-llm: set api\.prices to \{my-llm: \[IN, OUT\]\}"):
        price("my-llm", {"another": (1.0, 2.0)})
    free = price("my-llm", {"my-llm": (0.0, 0.0)})
    assert free.cost(1e6, 1e6) == 0 and free.pictures == Tiles(85, 170)
