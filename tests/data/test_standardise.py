import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bogc.data import MultimodalDataset, Standardiser
from bogc.errors import DataError, NonFiniteError, RangeError, ShapeError, TooFewSamplesError

from .factories import make_dataset

TRAIN = torch.arange(8)


CHANNELS = st.lists(st.tuples(st.floats(-10, 10), st.integers(-2, 2)), min_size=1, max_size=3)


def random_dataset(channels: list[tuple[float, int]], samples: int, seed: int) -> MultimodalDataset:
    """``series`` [n, channels, 6] and ``table`` [n, channels]; each channel has a mean and a power of ten."""
    loc, exponent = torch.tensor(channels, dtype=torch.float64).unbind(1)
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(samples, len(channels), 6, generator=generator, dtype=torch.float64)
    series = noise * 10 ** exponent[:, None] + loc[:, None]
    inputs = {"series": series, "table": series[..., 0]}
    return MultimodalDataset.from_tensors(inputs, torch.arange(samples) % 2)


@settings(deadline=None)
@given(CHANNELS, st.integers(4, 12), st.integers(2, 4), st.integers(0, 2**31))
def test_training_channels_get_mean_0_and_deviation_1(channels, samples, train, seed):
    dataset, indices = random_dataset(channels, samples, seed), torch.arange(train)
    standard = Standardiser.fit(dataset, indices).apply(dataset).subset(indices)
    for value in standard.inputs.values():
        rows = value.transpose(0, 1).flatten(1)
        torch.testing.assert_close(rows.mean(1), torch.zeros_like(rows[:, 0]), atol=1e-7, rtol=0)
        torch.testing.assert_close(rows.std(1, correction=0), torch.ones_like(rows[:, 0]), atol=1e-7, rtol=0)


def test_only_training_samples_are_read():
    dataset = make_dataset()
    changed = MultimodalDataset.from_tensors(
        {modality: torch.cat([value[:8], value[8:] * 1e3]) for modality, value in dataset.inputs.items()},
        dataset.targets,
    )
    ours, theirs = Standardiser.fit(dataset, TRAIN), Standardiser.fit(changed, TRAIN)
    for modality in dataset.modalities:
        assert torch.equal(ours.loc[modality], theirs.loc[modality])
        assert torch.equal(ours.scale[modality], theirs.scale[modality])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("constant", [0.0, 0.1, 0.3, -7.7, 1e6 / 3, 1e-30])
def test_a_constant_channel_keeps_its_scale(constant, channels):
    value = torch.randn(12, channels, 7, dtype=torch.float64)
    value[:8, 0] = constant
    dataset = MultimodalDataset.from_tensors({"audio": value}, torch.arange(12) % 2)
    standardiser = Standardiser.fit(dataset, TRAIN)
    assert standardiser.scale["audio"][0] == 1.0
    standard = standardiser.apply(dataset).inputs["audio"][:8, 0]
    torch.testing.assert_close(standard, torch.zeros_like(standard), atol=1e-9, rtol=0)


def test_a_deviation_that_underflows_counts_as_constant():
    value = torch.tensor([[0.0], [1e-200]], dtype=torch.float64)
    dataset = MultimodalDataset.from_tensors({"audio": value}, torch.tensor([0, 1]))
    assert Standardiser.fit(dataset, torch.tensor([0, 1])).scale["audio"].tolist() == [1.0]


def test_float32_survives_a_large_mean():
    value = 1e4 + torch.randn(200, 1, 50, dtype=torch.float64) * 0.1
    dataset = MultimodalDataset.from_tensors({"audio": value.float()}, torch.arange(200) % 2)
    standard = Standardiser.fit(dataset, torch.arange(200)).apply(dataset).inputs["audio"]
    assert standard.dtype == torch.float32
    assert abs(float(standard.double().mean())) < 1e-6
    assert abs(float(standard.double().std(correction=0)) - 1) < 1e-6


def test_targets_names_and_groups_are_kept():
    dataset = make_dataset(groups=torch.arange(12))
    standard = Standardiser.fit(dataset, TRAIN).apply(dataset)
    assert standard.targets is dataset.targets
    assert (standard.name, standard.class_names) == (dataset.name, dataset.class_names)
    assert standard.groups is dataset.groups


def test_another_data_set_is_refused():
    standardiser = Standardiser.fit(make_dataset(), TRAIN)
    targets = torch.tensor([0, 1])
    other = MultimodalDataset.from_tensors({"audio": torch.zeros(2, 2)}, targets)
    with pytest.raises(DataError, match=r"must have the modalities \['audio', 'video'\]; found \['audio'\]"):
        standardiser.apply(other)
    wider = MultimodalDataset.from_tensors({"audio": torch.zeros(2, 3), "video": torch.zeros(2, 4)}, targets)
    with pytest.raises(ShapeError, match=r"inputs\['audio'\] must have 2 channels; found \[2, 3\]"):
        standardiser.apply(wider)


def test_a_result_too_large_for_the_dtype_is_refused():
    value = torch.tensor([[0.0], [1e-4], [6e4]], dtype=torch.float16)
    dataset = MultimodalDataset.from_tensors({"audio": value}, torch.tensor([0, 1, 0]))
    with pytest.raises(
        NonFiniteError, match=r"inputs\['audio'\] must be finite; found inf at index \[2, 0\]"
    ):
        Standardiser.fit(dataset, torch.tensor([0, 1])).apply(dataset)


def test_bad_training_indices():
    with pytest.raises(TooFewSamplesError, match="at least two; found 1"):
        Standardiser.fit(make_dataset(), torch.tensor([0]))
    with pytest.raises(RangeError, match=r"indices must lie in \[0, 12\); found 12"):
        Standardiser.fit(make_dataset(), torch.tensor([0, 12]))
