"""Masks: which pixels a point paints, and run lengths that lose nothing."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rollout3d.geometry.masks import (
    add_noise,
    mask_box,
    rle_area,
    rle_decode,
    rle_encode,
    rle_paint,
    splat_mask,
    splat_radius,
)

MASKS = hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=17))


@given(MASKS)
def test_run_lengths_round_trip(mask):
    data = rle_encode(mask)
    assert (rle_decode(data, mask.shape[1], mask.shape[0]) == mask).all()
    assert rle_area(data) == mask.sum()


@given(MASKS)
def test_run_lengths_are_the_shortest_and_start_with_zeros(mask):
    runs = struct.unpack(f"<{len(rle_encode(mask)) // 4}I", rle_encode(mask))
    assert sum(runs) == mask.size
    assert all(run > 0 for run in runs[1:])
    assert (runs[0] == 0) == bool(mask.flat[0])


@pytest.mark.parametrize(
    ("rows", "runs"),
    [
        ([[0, 1, 1], [1, 0, 0]], (1, 3, 2)),
        ([[1, 0], [0, 1]], (0, 1, 2, 1)),
        ([[0, 0], [0, 0]], (4,)),
        ([[1, 1], [1, 1]], (0, 4)),
    ],
)
def test_run_lengths_by_hand(rows, runs):
    data = struct.pack(f"<{len(runs)}I", *runs)
    assert rle_encode(rows) == data
    assert rle_decode(data, len(rows[0]), len(rows)).tolist() == [[bool(v) for v in row] for row in rows]


def test_run_lengths_of_another_size_or_cut_off_are_refused():
    data = rle_encode(np.ones((3, 4)))
    with pytest.raises(ValueError, match="12 pixels"):
        rle_decode(data, 4, 4)
    with pytest.raises(ValueError, match="cut off"):
        rle_decode(data[:-1], 4, 3)


def test_box_of_a_mask_is_inclusive():
    mask = np.zeros((10, 20), bool)
    mask[3:5, 7:12] = True
    assert mask_box(mask) == (7, 3, 11, 4)
    assert mask_box(np.zeros((4, 4), bool)) is None


def _painted(uv, radius, shape="disc", z=1.0, width=9, height=7):
    mask = splat_mask([uv], [z], radius, width, height, shape)
    assert mask.shape == (height, width)
    return {(int(x), int(y)) for y, x in zip(*np.nonzero(mask))}


@pytest.mark.parametrize("uv", [(4, 3), (3.5, 2.5), (4.49, 3.49)])
def test_a_point_paints_the_pixel_whose_square_it_is_in(uv):
    assert _painted(uv, 0) == {(4, 3)}


def test_discs_and_squares():
    plus = {(4, 3), (3, 3), (5, 3), (4, 2), (4, 4)}
    square = {(x, y) for x in (3, 4, 5) for y in (2, 3, 4)}
    assert _painted((4, 3), 1) == plus
    assert _painted((4, 3), 1.5) == square  # the diagonal is 1.41 away
    assert _painted((4, 3), 1, "square") == square
    assert len(_painted((4, 3), 2)) == 13


def test_points_beside_the_picture_reach_in_and_points_behind_do_not():
    assert _painted((-1, 0), 1) == {(0, 0)}
    assert _painted((9, 6), 1, "square") == {(8, 5), (8, 6)}
    assert _painted((-2, 0), 1) == set()
    assert _painted((4, 3), 2, z=0.01) == set()
    assert _painted((np.nan, np.nan), 2, z=-1.0) == set()
    assert _painted((1e300, 3), 2) == set()


def test_each_point_has_its_own_radius():
    mask = splat_mask([[1, 1], [6, 4]], [1, 1], [0, 1], 9, 7)
    assert mask.sum() == 1 + 5


@settings(deadline=None)  # the first call compiles
@given(
    hnp.arrays(np.float64, (6, 2), elements=st.floats(-4, 14)),
    hnp.arrays(np.float64, 6, elements=st.floats(0, 4)),
)
def test_splats_are_the_union_of_all_discs(uv, radius):
    rows, cols = np.mgrid[:8, :10]
    expected = np.zeros((8, 10), bool)
    for (u, v), r in zip(uv, radius):
        expected |= (cols - np.floor(u + 0.5)) ** 2 + (rows - np.floor(v + 0.5)) ** 2 <= r * r
    assert (splat_mask(uv, np.ones(6), radius, 10, 8) == expected).all()


@pytest.mark.parametrize("spacing_px", [0.9, 2.0, 7.3, 12.0])
def test_radius_closes_the_gaps_between_points_and_little_more(spacing_px):
    # points 3 cm apart, at the depth at which that is so many pixels
    z = 500 * 0.03 / spacing_px
    (radius,) = splat_radius(500, 0.03, [z])
    axis = np.arange(0, 60, spacing_px) + 0.37
    uv = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    margin = int(np.ceil(spacing_px))
    inside = (slice(margin, 59 - margin),) * 2
    assert splat_mask(uv, np.full(len(uv), z), radius, 60, 60)[inside].all()
    if spacing_px > 2:
        assert not splat_mask(uv, np.full(len(uv), z), 0.8 * radius - 0.5, 60, 60)[inside].all()
    assert splat_radius(500, 0.03, [0.001, 1e9]) == pytest.approx([24, 0.707], abs=1e-3)


@settings(deadline=None)  # the first call compiles
@given(MASKS, st.integers(1, 23), st.integers(1, 23))
def test_run_lengths_are_painted_at_any_size_as_if_decoded_and_looked_up(mask, height, width):
    stored_h, stored_w = mask.shape
    before = np.zeros((height, width), bool)
    before[::3, ::2] = True  # what others painted stays
    painted = before.copy()
    rle_paint(rle_encode(mask), stored_w, stored_h, painted)
    for y in range(height):
        for x in range(width):
            falls_on = mask[int((y + 0.5) * stored_h / height), int((x + 0.5) * stored_w / width)]
            assert painted[y, x] == (before[y, x] or falls_on)


def test_run_lengths_of_another_picture_are_not_painted():
    with pytest.raises(ValueError, match="cover 6 pixels"):
        rle_paint(rle_encode(np.ones((2, 3))), 4, 4, np.zeros((2, 2), bool))


@pytest.mark.parametrize(("sigma", "keep"), [(40.0, 1.0), (900.0, 1.0), (90.0, 0.6), (0.0, 1.0)])
def test_noise_is_the_formula_inside_the_region_and_nothing_outside(sigma, keep):
    rng = np.random.default_rng(1)
    frames = rng.integers(0, 256, (3, 20, 30, 3), np.uint8)
    region = rng.random((3, 20, 30)) < 0.3
    noisy = add_noise(frames, region, sigma, np.random.default_rng(7), keep)
    draws = np.random.default_rng(7).standard_normal((region.sum(), 3), np.float32)
    pixels = np.float32(keep) * frames[region].astype(np.float32) + np.float32(sigma) * draws
    expected = frames.copy()
    expected[region] = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
    # Sums may be fused with products: a pixel on the border between two bytes may fall to the other.
    assert np.abs(noisy.astype(int) - expected).max() <= 1 and (noisy == expected).mean() > 0.999
    assert (noisy == frames)[~region].all()
    if sigma == 0:
        assert (noisy == frames).all()
