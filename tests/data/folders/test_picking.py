import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bogc.data.folders.picking import all_frames, one_a_piece, one_a_third
from bogc.errors import RangeError

SEEDS = st.none() | st.integers(0, 2**32 - 1).map(np.random.default_rng)


@given(st.integers(1, 8), st.integers(0, 40), SEEDS)
def test_one_of_each_piece_is_used(pieces: int, more: int, random: np.random.Generator | None):
    count = pieces + more
    indices = one_a_piece(pieces, count, random)
    length = count // pieces
    assert [index // length for index in indices] == list(range(pieces))


@pytest.mark.parametrize(
    ("pieces", "count", "expected"),
    # frames numbered from 1: i * seg + max(int(seg / 2), 1), with seg = int(count / pieces)
    [(3, 6, [0, 2, 4]), (3, 10, [0, 3, 6]), (2, 4, [0, 2]), (3, 13, [1, 5, 9]), (2, 3, [0, 1])],
)
def test_without_a_generator_it_is_the_middle(pieces: int, count: int, expected: list[int]):
    assert one_a_piece(pieces, count) == expected


def test_every_frame_of_a_piece_is_drawn_equally_often():
    random = np.random.default_rng(0)
    drawn = np.array([one_a_piece(2, 8, random) for _ in range(4000)])
    for piece in range(2):
        counts = np.bincount(drawn[:, piece] - 4 * piece, minlength=4)
        # a count of 4000 draws with chance 1/4, within 6 standard deviations: eight tests fail once in 6e7
        assert np.abs(counts - 1000).max() < 6 * np.sqrt(4000 * 3 / 16)


@given(st.integers(1, 6), SEEDS)
def test_of_few_frames_the_first_is_used_for_all_thirds(count: int, random: np.random.Generator | None):
    assert one_a_third(count, random) == [0, 0, 0]


@given(st.integers(7, 200), SEEDS)
def test_no_frame_after_the_ninth_is_used(count: int, random: np.random.Generator | None):
    indices = one_a_third(count, random)
    assert indices == sorted(indices)
    assert len(indices) == 3
    assert max(indices) <= 8


def test_too_few_frames_are_refused():
    with pytest.raises(RangeError, match="count must be at least 3, one a piece; found 2"):
        one_a_piece(3, 2)
    with pytest.raises(RangeError, match="count must be at least 1; found 0"):
        one_a_third(0)


@given(st.integers(0, 9), SEEDS)
def test_all_are_used_by_default(count: int, random: np.random.Generator | None):
    assert all_frames(count, random) == list(range(count))
