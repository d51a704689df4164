from pathlib import Path

import pytest
import torch

from paper_repro.huang_iemocap.config import HuangIemocapConfig
from paper_repro.huang_iemocap.fitting import (
    SETS,
    Utterances,
    accuracy,
    fit,
    latent_risk,
    outputs_of,
    slots,
    utterances,
)
from paper_repro.readers.iemocap_dialogues import Dialogues, read_iemocap_dialogues


@pytest.fixture(autouse=True)
def single_precision():
    torch.set_default_dtype(torch.float32)


@pytest.fixture
def train(folder: Path) -> Dialogues:
    return read_iemocap_dialogues(folder / "IEMOCAP_features_raw.pkl")["train"]


def test_slots_are_utterances_and_then_zeros_of_class_0(train: Dialogues):
    filled = slots(train, SETS["TV"], 10)
    assert len(filled.emotions) == 10 * len(train.lengths)
    start = 0
    for number, length in enumerate(train.lengths.tolist()):
        for modality in SETS["TV"]:
            own = filled.inputs[modality][10 * number : 10 * number + 10]
            assert torch.equal(own[:length], train.inputs[modality][start : start + length])
            assert bool((own[length:] == 0).all())
        own_labels = filled.emotions[10 * number : 10 * number + 10]
        assert torch.equal(own_labels[:length], train.emotions[start : start + length])
        assert bool((own_labels[length:] == 0).all())
        start += length


def separable(size: int) -> Utterances:
    emotions = torch.arange(size) % 6
    noise = torch.randn(size, 6, generator=torch.Generator().manual_seed(size))
    return Utterances(
        {
            "text": torch.eye(6)[emotions % 3] + 0.05 * noise,
            "audio": torch.eye(6)[emotions // 3] + 0.05 * noise,
        },
        emotions,
    )


def test_two_modalities_see_what_neither_sees_alone():
    config = HuangIemocapConfig(width=8, epochs=40, batch_size=32)
    both = fit(separable(120), [separable(60)], config, seed=0)
    assert both.accuracies[-1][0] == 100
    assert both.accuracies[-1][0] == accuracy(both.model, separable(60))
    alone = Utterances({"text": separable(120).inputs["text"]}, separable(120).emotions)
    assert fit(alone, [alone], config, seed=0).accuracies[-1][0] < 80
    assert latent_risk(both.model, separable(120), separable(60)) < 5


def test_the_network_is_linear_and_a_seed_repeats_its_run(train: Dialogues):
    config = HuangIemocapConfig(width=4, epochs=2, batch_size=16)
    data = utterances(train, SETS["TVA"])
    first, again = (fit(data, [data, data], config, seed=3) for _ in range(2))
    assert first.accuracies == again.accuracies
    assert [len(each) for each in first.accuracies] == [2, 2]
    zeros = {m: torch.zeros_like(values) for m, values in data.inputs.items()}
    double = {m: 2 * values for m, values in data.inputs.items()}
    base, once, twice = (
        outputs_of(first.model, Utterances(inputs, data.emotions)).fused
        for inputs in (zeros, data.inputs, double)
    )
    torch.testing.assert_close(twice - base, 2 * (once - base), rtol=1e-3, atol=1e-4)
