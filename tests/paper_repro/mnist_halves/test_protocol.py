import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bogc.models.generative import MultiPrediction
from paper_repro.mnist_halves import protocol
from paper_repro.mnist_halves.config import MnistHalvesConfig
from paper_repro.mnist_halves.protocol import Digits, choose_machine, error_percent, evaluate, evenly


@given(st.integers(0, 100), st.integers(1, 300), st.data())
def test_positions_are_distinct_in_range_and_evenly_spaced(start: int, length: int, data: st.DataObject):
    count = data.draw(st.integers(1, length))
    rows = evenly(start, start + length, count).tolist()
    assert len(set(rows)) == count
    assert min(rows) == start
    assert max(rows) < start + length
    gaps = np.diff(rows)
    assert len(gaps) == 0 or gaps.max() - gaps.min() <= 1
    assert evenly(start, start + length, length).tolist() == list(range(start, start + length))


def blobs(samples: int, seed: int) -> Digits:
    """Two classes that one bit of either half gives away; the left bit is flipped in one of five samples."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(samples) % 2
    flipped = torch.rand(samples, generator=generator) < 0.2
    left, right = (torch.where(flipped, 1 - labels, labels), labels)
    bits = {"left": left, "right": right}
    inputs = {name: bit[:, None].float().expand(-1, 8).contiguous() for name, bit in bits.items()}
    return Digits(inputs, labels.numpy())


CONFIG = MnistHalvesConfig(hidden=16, epochs=25, costs=(0.1, 1.0))


def test_both_halves_tell_more_than_the_noisier_one():
    errors = evaluate(MultiPrediction(), CONFIG, 0, (blobs(400, 0), blobs(100, 1), blobs(200, 2)))
    assert errors.test.keys() == {"both", "left", "right"}
    assert errors.test["both"] <= 1
    assert errors.test["left"] == pytest.approx(20, abs=10)  # what the noise leaves, 3.5 standard errors
    assert errors.cost in CONFIG.costs
    assert all(0 <= share <= 100 for share in errors.settled.values())


def test_a_seed_fixes_the_result():
    parts = (blobs(60, 0), blobs(30, 1), blobs(30, 2))
    config = MnistHalvesConfig(hidden=4, epochs=2, costs=(1.0,))
    assert evaluate(MultiPrediction(), config, 3, parts) == evaluate(MultiPrediction(), config, 3, parts)


@given(st.integers(0, 50))
def test_the_chosen_machine_has_the_least_error_on_unseen_samples(seed: int):
    random = np.random.default_rng(seed)
    features, unseen = random.normal(size=(40, 3)), random.normal(size=(30, 3))
    labels, unseen_labels = (np.arange(len(x)) % 3 for x in (features, unseen))
    costs = (1e-4, 1e-2, 1.0)
    machine, cost, error = choose_machine(features, labels, unseen, unseen_labels, costs)
    alone = [choose_machine(features, labels, unseen, unseen_labels, (c,))[2] for c in costs]
    assert error == min(alone)
    assert cost == costs[alone.index(min(alone))]
    wrong = sum(a != b for a, b in zip(machine.predict(unseen), unseen_labels, strict=True))
    assert error == pytest.approx(100 * wrong / 30)


def test_the_machine_has_squared_hinge_loss():
    features, labels = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([0, 0, 1, 1])
    machine, _, _ = choose_machine(features, labels, features, labels, (10.0,))
    assert (machine.loss, machine.penalty) == ("squared_hinge", "l2")
    assert error_percent(machine, features, labels) == 0


def test_a_gpu_is_used_where_there_is_one(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert protocol.device() == "cuda"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert protocol.device() == "cpu"
