import pytest
import torch

from bogc.data.dataset import MultimodalDataset
from paper_repro.tmc_handwritten import protocols
from paper_repro.tmc_handwritten.config import TmcConfig
from paper_repro.tmc_handwritten.protocols import (
    VIEWS,
    as_released,
    concatenation,
    fold_split,
    honest,
    released_split,
    trusted,
)

SHORT = TmcConfig(epochs=2, annealing_epochs=1, rates=(3e-3, 3e-2), folds=5, shuffles=2)


def test_released_split_has_forty_test_images_of_each_digit(mfeat: MultimodalDataset):
    train, test = released_split(mfeat)
    assert torch.bincount(test.targets).tolist() == [40] * 10
    assert torch.bincount(train.targets).tolist() == [160] * 10


def test_released_parts_are_disjoint_and_complete(mfeat: MultimodalDataset):
    train, test = released_split(mfeat)
    rows = torch.cat([torch.cat([part.inputs[view] for view in VIEWS], 1) for part in (train, test)])
    every = torch.cat([mfeat.inputs[view] for view in VIEWS], 1)
    assert sorted(rows.sum(1).tolist()) == sorted(every.sum(1).tolist())
    assert len(train) + len(test) == 2000


def test_folds_test_every_image_once_a_shuffle(mfeat: MultimodalDataset):
    for shuffle in range(2):
        parts = [fold_split(mfeat, SHORT, 5 * shuffle + fold).test for fold in range(5)]
        assert torch.cat(parts).sort().values.tolist() == list(range(2000))
    assert not torch.equal(fold_split(mfeat, SHORT, 0).test, fold_split(mfeat, SHORT, 5).test)


def test_released_protocol_is_a_function_of_its_seed(mfeat: MultimodalDataset):
    train, test = released_split(mfeat)
    first, again = (as_released(train, test, SHORT, 0.03, seed=4) for _ in range(2))
    assert first == again
    assert 10 < first <= 100


def test_honest_protocol_chooses_among_its_rates_and_epochs(mfeat: MultimodalDataset):
    split = fold_split(mfeat, SHORT, 0)
    for build in (trusted, concatenation):
        found = honest(mfeat, split, SHORT, build, seed=0)
        assert found["rate"] in SHORT.rates
        assert found["epoch"] in (1.0, 2.0)
        assert found["accuracy"] > 20


def test_honest_protocol_never_reads_the_test_targets(mfeat: MultimodalDataset):
    split = fold_split(mfeat, SHORT, 0)
    shifted = mfeat.targets.clone()
    shifted[split.test] = (shifted[split.test] + 1) % 10
    other = MultimodalDataset(mfeat.name, mfeat.inputs, shifted, mfeat.class_names)
    found, spoilt = (honest(data, split, SHORT, trusted, seed=0) for data in (mfeat, other))
    assert (found["rate"], found["epoch"]) == (spoilt["rate"], spoilt["epoch"])
    assert spoilt["accuracy"] < found["accuracy"]


def test_whose_ranges_scale_whom(mfeat: MultimodalDataset, monkeypatch: pytest.MonkeyPatch):
    scaled: list[tuple[int, int]] = []

    def watch(part: MultimodalDataset, by: MultimodalDataset) -> MultimodalDataset:
        scaled.append((len(part), len(by)))
        return part

    monkeypatch.setattr(protocols, "min_max", watch)
    as_released(*released_split(mfeat), SHORT, 3e-3, seed=0)
    assert scaled == [(1600, 1600), (400, 400)]
    scaled.clear()
    honest(mfeat, fold_split(mfeat, SHORT, 0), SHORT, concatenation, seed=0)
    assert scaled == [(1200, 1200), (400, 1200), (400, 1200)]
