import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.preprocessing import MinMaxScaler

from bogc.data.dataset import MultimodalDataset
from paper_repro.tmc_handwritten.scaling import min_max


def made(seed: int, rows: int) -> MultimodalDataset:
    generator = torch.Generator().manual_seed(seed)
    values = 100 * torch.randn(rows, 4, generator=generator)
    values[:, 2] = 5.0  # constant
    return MultimodalDataset.from_tensors({"v": values}, torch.arange(rows) % 2)


@given(st.integers(0, 10_000))
def test_scaling_is_scikit_learns(seed: int):
    train, test = made(seed, 9), made(seed + 1, 6)
    for part, by in ((train, train), (test, test), (test, train)):
        expected = MinMaxScaler().fit(by.inputs["v"]).transform(part.inputs["v"])
        assert min_max(part, by).inputs["v"].numpy() == pytest.approx(expected)


def test_scaling_by_training_samples_does_not_look_at_the_others():
    train, test = made(0, 9), made(1, 6)
    alone = min_max(test.subset(torch.tensor([0, 1])), train).inputs["v"]
    assert torch.equal(min_max(test, train).inputs["v"][:2], alone)
    assert not torch.equal(min_max(test, test).inputs["v"][:2], alone)


def test_targets_are_kept():
    assert torch.equal(min_max(made(0, 4), made(0, 4)).targets, made(0, 4).targets)
