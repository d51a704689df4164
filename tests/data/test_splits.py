import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bogc.data import Split, group_folds, make_split, stratified_folds
from bogc.errors import DataError, DeviceError, DtypeError, RangeError, ShapeError

from .factories import make_dataset

TEN_SUBJECTS = torch.arange(100) % 10
TWO_CLASSES = torch.arange(100) // 50


def assert_partition(split: Split, samples: int) -> None:
    """The three parts are disjoint and cover every sample."""
    together = torch.cat([split.train, split.validation, split.test])
    assert torch.equal(together.sort().values, torch.arange(samples))


def assert_equal_splits(a: Split, b: Split) -> None:
    for name in ("train", "validation", "test"):
        assert torch.equal(getattr(a, name), getattr(b, name))


@st.composite
def grouped(draw):
    """Groups and classes of 3 to 40 samples, at least ``folds`` groups, and a number of folds."""
    folds = draw(st.integers(3, 5))
    labels = st.tuples(st.integers(-3, 9), st.integers(0, 3))
    rows = draw(st.lists(labels, min_size=3, max_size=40)) + [(100 + extra, 0) for extra in range(folds)]
    groups, targets = torch.tensor(draw(st.permutations(rows))).unbind(1)
    return groups, targets, folds


class TestGroupFolds:
    @settings(deadline=None)
    @given(grouped(), st.integers(0, 4), st.integers(0, 2**32 - 1))
    def test_any_groups_are_kept_whole_and_everything_is_covered(self, case, fold, seed):
        groups, targets, folds = case
        split = group_folds(groups, targets, folds, fold % folds, seed)
        assert_partition(split, len(groups))
        parts = [set(groups[part].tolist()) for part in (split.train, split.validation, split.test)]
        assert sum(map(len, parts)) == len(set(groups.tolist()))

    @settings(deadline=None)
    @given(grouped(), st.integers(0, 1000))
    def test_every_sample_is_tested_and_validated_once_over_the_folds(self, case, seed):
        groups, targets, folds = case
        splits = [group_folds(groups, targets, folds, fold, seed) for fold in range(folds)]
        for part in ("validation", "test"):
            together = torch.cat([getattr(split, part) for split in splits])
            assert torch.equal(together.sort().values, torch.arange(len(groups)))

    @settings(deadline=None)
    @given(grouped(), st.integers(0, 1000))
    def test_folds_differ_by_at_most_one_group(self, case, seed):
        groups, targets, folds = case
        tests = [group_folds(groups, targets, folds, fold, seed).test for fold in range(folds)]
        sizes = [len(set(groups[test].tolist())) for test in tests]
        assert max(sizes) - min(sizes) <= 1

    def test_ten_subjects_in_five_folds(self):
        split = group_folds(TEN_SUBJECTS, TWO_CLASSES, folds=5, fold=0, seed=0)
        sizes = [len(TEN_SUBJECTS[part].unique()) for part in (split.train, split.validation, split.test)]
        assert sizes == [6, 2, 2]

    def test_groups_of_one_class_are_spread(self):
        groups = torch.arange(9)
        targets = groups // 3
        for fold in range(3):
            split = group_folds(groups, targets, folds=3, fold=fold, seed=4)
            assert targets[split.test].sort().values.tolist() == [0, 1, 2]

    def test_the_seed_decides(self):
        assert_equal_splits(*(group_folds(TEN_SUBJECTS, TWO_CLASSES, 5, 1, seed=7) for _ in range(2)))
        tests = [group_folds(TEN_SUBJECTS, TWO_CLASSES, 5, 0, seed).test.tolist() for seed in range(5)]
        assert len(set(map(tuple, tests))) > 1

    def test_frozen_value(self):
        split = group_folds(torch.arange(10), torch.zeros(10, dtype=torch.int64), folds=5, fold=0, seed=0)
        assert (split.test.tolist(), split.validation.tolist()) == ([2, 6], [7, 8])

    def test_fewer_groups_than_folds(self):
        with pytest.raises(DataError, match="groups must be at least 11, one a fold; found 10"):
            group_folds(TEN_SUBJECTS, TWO_CLASSES, folds=11, fold=0, seed=0)

    def test_lengths_differ(self):
        with pytest.raises(ShapeError, match="groups must have 100 rows, one a target; found 99"):
            group_folds(TEN_SUBJECTS[1:], TWO_CLASSES, folds=3, fold=0, seed=0)


class TestStratifiedFolds:
    @settings(deadline=None)
    @given(st.lists(st.integers(5, 12), min_size=1, max_size=4), st.integers(0, 4), st.integers(0, 2**32 - 1))
    def test_each_class_is_spread_evenly_and_everything_is_covered(self, counts, fold, seed):
        targets = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
        split = stratified_folds(targets, 5, fold, seed)
        assert_partition(split, len(targets))
        for part in (split.validation, split.test):
            for index, count in enumerate(counts):
                assert abs(int((targets[part] == index).sum()) - count / 5) < 1

    def test_the_seed_decides(self):
        assert_equal_splits(*(stratified_folds(TWO_CLASSES, 5, 1, seed=7) for _ in range(2)))
        tests = [stratified_folds(TWO_CLASSES, 5, 0, seed).test.tolist() for seed in range(3)]
        assert len(set(map(tuple, tests))) > 1

    def test_a_class_too_small_for_the_folds(self):
        targets = torch.tensor([0, 0, 0, 0, 7, 7])
        with pytest.raises(
            DataError, match="at least 3 samples of each class, one a fold; found 2 of class 7"
        ):
            stratified_folds(targets, folds=3, fold=0, seed=0)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ((2, 0, 0), "folds must be at least 3; found 2"),
        ((5, 5, 0), r"fold must lie in \[0, 5\); found 5"),
        ((5, -1, 0), r"fold must lie in \[0, 5\); found -1"),
        ((5, 0, -1), "seed must lie in .*; found -1"),
        ((5, 0, 2**32), "seed must lie in .*; found 4294967296"),
    ],
)
def test_settings_out_of_range(settings, match):
    with pytest.raises(RangeError, match=match):
        group_folds(TEN_SUBJECTS, TWO_CLASSES, *settings)
    with pytest.raises(RangeError, match=match):
        stratified_folds(TWO_CLASSES, *settings)


class TestMakeSplit:
    def test_by_group_when_there_are_groups(self):
        dataset = make_dataset(24, groups=torch.arange(24) // 4)
        expected = group_folds(dataset.groups, dataset.targets, 3, 1, 5)
        assert_equal_splits(make_split(dataset, folds=3, fold=1, seed=5), expected)

    def test_by_class_when_there_are_none(self):
        dataset = make_dataset(24)
        assert_equal_splits(make_split(dataset, 3, 1, 5), stratified_folds(dataset.targets, 3, 1, 5))


class TestSplit:
    def test_parts_must_be_disjoint(self):
        with pytest.raises(
            DataError, match="each index at most once; found index 2 repeated in train and test"
        ):
            Split(torch.tensor([0, 2]), torch.tensor([1]), torch.tensor([2, 3]))

    def test_an_index_twice_in_one_part(self):
        with pytest.raises(DataError, match="found index 1 repeated in validation"):
            Split(torch.tensor([0]), torch.tensor([1, 1]), torch.tensor([2]))

    def test_no_part_may_be_empty(self):
        with pytest.raises(DataError, match="validation must hold at least one index"):
            Split(torch.tensor([0]), torch.tensor([], dtype=torch.int64), torch.tensor([2]))

    def test_negative_indices(self):
        with pytest.raises(RangeError, match=r"test must be zero or more; found -2 at index \[0\]"):
            Split(torch.tensor([0]), torch.tensor([1]), torch.tensor([-2]))

    def test_masks_are_no_indices(self):
        with pytest.raises(DtypeError, match="train must be int64; found torch"):
            Split(torch.tensor([True]), torch.tensor([1]), torch.tensor([2]))

    def test_parts_on_two_devices(self):
        with pytest.raises(DeviceError, match="must be on one device"):
            Split(torch.tensor([0]), torch.tensor([1], device="meta"), torch.tensor([2]))
