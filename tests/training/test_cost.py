import pytest
import torch

from bogc.errors import UnsuitableError
from bogc.training import cost
from bogc.training.config import TrainConfig
from bogc.training.cost import ROUNDS, WARMUP, Cost, example, step_costs

SERIES = {m: torch.zeros(2, 16, dtype=torch.float32) for m in ("a", "b")}


@pytest.fixture(autouse=True)
def float32():
    torch.set_default_dtype(torch.float32)


@pytest.fixture
def ticking(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A clock that says that a step of method number i takes i + 1 seconds."""
    order: list[str] = []
    monkeypatch.setattr(
        cost,
        "_stepper",
        lambda data, config: lambda: order.append(config.method) or float(len(config.method)),
    )
    return order


def test_ratios_are_to_the_plain_sum_in_the_same_round_and_methods_take_turns(ticking: list[str]):
    found = step_costs(example(SERIES), ["joint", "mimo"], TrainConfig())
    assert found == {"joint": Cost(5 / 3, 5 / 3, 5 / 3, 5000.0), "mimo": Cost(4 / 3, 4 / 3, 4 / 3, 4000.0)}
    assert ticking == ["sum", "joint", "mimo"] * (WARMUP + ROUNDS)


def test_listens_once_a_round(ticking: list[str]):
    calls: list[int] = []
    step_costs(example(SERIES), ["joint"], TrainConfig(), rounds=2, listen=lambda: calls.append(1))
    assert len(calls) == WARMUP + 2


def test_real_steps_take_time_and_a_method_that_refuses_says_why():
    found = step_costs(example(SERIES), ["bogc", "ogm-ge-released"], TrainConfig(features=4), rounds=1)
    assert isinstance(found["bogc"], Cost)
    assert found["bogc"].milliseconds > 0
    assert found["bogc"].low <= found["bogc"].ratio <= found["bogc"].high
    assert isinstance(found["ogm-ge-released"], UnsuitableError)
    assert "4-D" in str(found["ogm-ge-released"])


def test_example_is_one_batch_of_every_class():
    data = example(SERIES, classes=3, size=8)
    assert len(data) == 8
    assert data.n_classes == 3
    assert {m: tuple(x.shape) for m, x in data.inputs.items()} == {"a": (8, 2, 16), "b": (8, 2, 16)}
