"""The size at which frames are stored."""

import numpy as np
import pytest

from rollout3d.resize import resize_frame, smart_size


@pytest.mark.parametrize(
    ("size", "limits", "expected"),
    [
        # 640x480 into 256 tokens: 640 * 480 = 307200, shrink 1.2372, 387.98 x 517.3 -> 13 and 18 multiples.
        ((480, 640), (3136, 200704), (364, 504)),
        ((120, 160), (784, 9408), (84, 112)),  # exactly 1/1.428571: three by four multiples
        ((192, 256), (3136, 200704), (196, 252)),  # within limits: nearest multiples, 6.86 -> 7 and 9.14 -> 9
        ((30, 40), (3136, 200704), (56, 84)),  # too small: times 1.6166, 48.5 x 64.7, rounded up
        ((42, 56), (784, 200704), (56, 56)),  # a half goes to the even multiple, as Python rounds: 1.5 -> 2
        ((5, 600), (1, 200704), (28, 588)),  # a thin side keeps one multiple
    ],
)
def test_size_follows_the_processor(size, limits, expected):
    assert smart_size(*size, *limits) == expected


def test_size_stays_within_limits_and_on_the_grid():
    for height in range(60, 1500, 97):
        for width in range(60, 2000, 113):
            tall, wide = smart_size(height, width, 3136, 200704)
            assert tall % 28 == 0 and wide % 28 == 0
            assert 3136 <= tall * wide <= 200704


def test_no_upper_limit_only_rounds():
    assert smart_size(1000, 2000, 784, None) == (1008, 1988)


def test_needle_is_refused():
    with pytest.raises(ValueError, match="200"):
        smart_size(10, 2001, 784, None)


def test_shrinking_averages_whole_pixels():
    picture = np.random.default_rng(0).integers(0, 256, (8, 12, 3)).astype(np.uint8)
    blocks = picture.reshape(4, 2, 6, 2, 3).mean(axis=(1, 3))
    assert np.abs(resize_frame(picture, 4, 6) - blocks).max() <= 0.5


def test_enlarging_keeps_edges_where_the_camera_expects_them():
    step = np.zeros((10, 10, 3), np.uint8)
    step[:, 5:] = 200
    larger = resize_frame(step, 40, 40).astype(int)
    # The edge between columns 4 and 5 is at u = 4.5, hence at 4.5 * 4 + 1.5 = 19.5 of the larger picture.
    assert (larger[:, :18] <= 25).all() and (larger[:, 22:] >= 175).all()
    assert abs(int(larger[20, 19, 0]) + int(larger[20, 20, 0]) - 200) <= 2


def test_same_size_is_untouched():
    picture = np.arange(36, dtype=np.uint8).reshape(3, 4, 3)
    assert np.array_equal(resize_frame(picture, 3, 4), picture)
