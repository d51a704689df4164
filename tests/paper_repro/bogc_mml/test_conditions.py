import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bogc.data import MultimodalDataset
from bogc.errors import DataError, RangeError
from paper_repro.bogc_mml.conditions import flip_labels, shuffle_modality

N, CLASSES = 50, 4


def made() -> MultimodalDataset:
    rows = torch.arange(N, dtype=torch.float64).unsqueeze(1)
    return MultimodalDataset.from_tensors({"a": rows, "b": rows + 100}, torch.arange(N) % CLASSES)


@given(st.floats(0, 1), st.integers(0, 2**31))
def test_exactly_the_share_of_labels_becomes_another_class(share: float, seed: int):
    data = made()
    noisy = flip_labels(data, share, seed)
    assert int((noisy.targets != data.targets).sum()) == round(share * N)
    assert set(noisy.targets.tolist()) <= set(range(CLASSES))
    assert torch.equal(noisy.targets, flip_labels(data, share, seed).targets)
    assert noisy.inputs is data.inputs


def test_every_other_class_is_as_likely():
    """Of 30,000 flips to 3 classes each gets 10,000 with standard deviation 82: 5 of these fail 2e-6."""
    data = MultimodalDataset.from_tensors(
        {"a": torch.zeros(30_000, 1)},
        torch.zeros(30_000, dtype=torch.int64),
        class_names=("w", "x", "y", "z"),
    )
    counts = flip_labels(data, 1.0, 0).targets.bincount(minlength=4)
    assert counts[0] == 0
    assert bool(((counts[1:] - 10_000).abs() < 5 * 82).all())


@given(st.floats(0, 1), st.integers(0, 2**31))
def test_only_the_named_modality_is_exchanged_and_nothing_is_lost(share: float, seed: int):
    data = made()
    noisy = shuffle_modality(data, "b", share, seed)
    moved = int((noisy.inputs["b"] != data.inputs["b"]).sum())
    assert moved == (round(share * N) if round(share * N) > 1 else 0)
    assert torch.equal(noisy.inputs["b"].sort(0).values, data.inputs["b"])
    assert torch.equal(noisy.inputs["a"], data.inputs["a"])
    assert torch.equal(noisy.targets, data.targets)
    assert torch.equal(data.inputs["b"], made().inputs["b"])


def test_bad_arguments_are_refused():
    with pytest.raises(RangeError, match=r"share must lie in \[0, 1\]; found 1.5. Use 0.4."):
        flip_labels(made(), 1.5, 0)
    with pytest.raises(DataError, match="modality must be one of a, b; found 'c'"):
        shuffle_modality(made(), "c", 0.5, 0)
