"""Estimates against figures worked by hand."""

from dataclasses import replace

import pytest

from rollout3d import tables
from rollout3d.teacher import estimate
from rollout3d.teacher.estimate import Estimate, assumed, counted, typical
from rollout3d.teacher.prices import Tiles, price
from teacher.frame_rows import frame_rows

RULE = Tiles(85, 170)
LINEAGE = tables.Lineage("test")


def load():
    """Two questions: 32 characters and one picture of two tiles; 64 characters and two pictures of one tile."""
    return counted([("x" * 32, [(640, 480)]), ("y" * 64, [(504, 364), (432, 432)])], RULE)


def made(**changes):
    values = {"stage": "annotate", "load": load(), "price": price("gpt-4o", {}), "attempts": 3}
    values |= {"max_tokens": 1000, "assumed_out": 400, "limit_key": "cot.max_usd", "max_usd": 1.0}
    return Estimate(**values | changes)


def test_pictures_and_tokens_are_counted():
    found = load()
    assert (found.rows, found.pictures, found.picture_tokens) == (2, 3, 425 + 255 + 255)
    assert found.text_tokens == 32 / 4 + 64 / 4 + 2 * estimate.OVERHEAD
    assert found.times(4).pictures == 6 and found.times(4).tokens_in == 2 * found.tokens_in


def test_dollars_at_both_prices():
    one = made()
    tokens = 935 + 24 + 2 * estimate.OVERHEAD
    assert one.usd(batch=False) == pytest.approx((tokens * 2.5 + 2 * 400 * 10) / 1e6)
    assert one.usd(batch=False, worst=True) == pytest.approx((tokens * 2.5 + 2 * 1000 * 10) / 1e6)
    assert one.usd(batch=True, worst=True) == pytest.approx(one.usd(batch=False, worst=True) / 2)
    many = made(load=load().times(2000))
    said = many.text()
    usd = 1000 * one.usd(batch=False)
    assert f"one attempt, expected{usd:31,.2f}{usd / 2:12,.2f}" in said
    usd = 3000 * one.usd(batch=False, worst=True)
    assert f"all 3 attempts, longest replies{usd:21,.2f}{usd / 2:12,.2f}" in said
    assert "2,000 questions to gpt-4o" in said and "1.5 per question, their real sizes" in said
    assert "prices of 2026-03" in said and "400 per reply (assumed: no reply is cached yet)" in said


def test_replies_in_the_cache_give_their_length_and_count_as_paid():
    found = made(load=load().times(10), replies=4, replies_tokens_out=800, replies_usd=0.2, answered=4, max_usd=0.3)
    assert found.tokens_out == 200 and found.left == 6
    said = found.text()
    assert "200 per reply (the mean of 4 replies in the cache)" in said
    assert "paid: 0.20 dollars for 4 replies in the cache; 4 of the questions have one" in said
    assert "what is left of it, 0.10 covers one attempt" in said
    longer = replace(found, replies_tokens_out=40_000)
    assert longer.tokens_out == 1000, "no reply is longer than max_tokens"


def test_the_limit_is_compared():
    assert "covers every attempt at its longest at list price" in made().text()
    few = made(load=load().times(2000), max_usd=5.0)
    assert few.exceeds and "keeps what it paid for" in few.text()
    share = 5.0 / few.usd(batch=False)
    assert f"it covers {share:.0%} of one attempt at list price" in few.text()
    batch = made(load=load().times(2000), max_usd=6.0, price=price("gpt-4o", {}, batch=True))
    assert not batch.exceeds and "covers one attempt in batches" in batch.text()
    assert "nothing is asked until it is raised" in made(max_usd=0.0).text()


def test_no_questions_cost_nothing():
    assert made(load=counted([], RULE)).text() == "annotate: no questions, no cost"


def test_the_mean_request_of_tables(tmp_path):
    rows = frame_rows("uniform32", "uniform16")
    other = [row | {"scene_id": "scene0001_00", "width": 640, "height": 480} for row in rows[:4]]
    tables.write(tables.FRAMES, tmp_path / "f.parquet", [*rows, *other], LINEAGE)
    found = typical([tmp_path / "f.parquet"], [], "uniform32", 3, "x" * 40, RULE)
    # 3 of 5 frames of 160x120, and both of 640x480: the mean of two scans.
    assert (found.rows, found.pictures) == (1, 2.5) and found.picture_tokens == (3 * 255 + 2 * 425) / 2
    assert found.source == "the mean of 2 scans"
    tables.write(tables.FRAMES, tmp_path / "none.parquet", [], LINEAGE)
    assert typical([tmp_path / "none.parquet"], [], "uniform32", 3, "", RULE) is None


def test_sizes_are_assumed_before_scans_are_read():
    found = assumed(32, 256 * 28 * 28, 432, "x" * 400, RULE)
    assert found.pictures == 33 and found.picture_tokens == 33 * 255
    assert found.source == "assumed: frames of 504x364 pixels"
