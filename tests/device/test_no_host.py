"""Steps on a device that cannot be read: one look at whether all is finite, and nothing is copied there."""

from contextlib import nullcontext
from dataclasses import replace
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from bogc.data import MultimodalDataset
from bogc.methods import METHODS, Balancer, CalibrationSettings, build_balancer
from bogc.training import TrainConfig, per_sample_losses
from bogc.training.state import Network, build_network

from .away import DEVICE, Away, Crossing

SHAPES = {"image": (1, 4, 4), "sound": (2, 6), "vector": (5,)}
STEPS = 5
"""After the first ones, which are plain sums; layouts have been copied then."""
ON_THE_HOST = {"upgrad", "mgda", "pcgrad", "cagrad", "nash-mtl"}
"""Methods whose small problems torchjd solves on the host."""
ELSEWHERE = {"bogc-laplace": "its draws are those of the host, the same for every device"}


class Step(NamedTuple):
    reads: list[str]
    copies: list[str]


def problem(method: str, settings: Any = None) -> tuple[Network, Balancer, dict[str, Tensor], Tensor]:
    shapes = dict(list(SHAPES.items())[: 2 if method == "ogm-ge-released" else 3])
    data = MultimodalDataset.from_tensors(
        {m: torch.randn(12, *shape) for m, shape in shapes.items()}, torch.arange(12) % 3
    )
    config = TrainConfig(method=method, features=4)
    if settings is not None:
        config = replace(config, settings={METHODS[method].table: settings})
    model = build_network(config, data).to(DEVICE)
    balancer = build_balancer(method, model, config.method_settings, 2 * STEPS)
    return model, balancer, {m: x.to(DEVICE) for m, x in data.inputs.items()}, data.targets.to(DEVICE)


def last_step(method: str, settings: Any = None, parts: int = 1) -> Step:
    """What the last of some steps reads and copies; each of ``parts`` micro-batches."""
    model, balancer, inputs, targets = problem(method, settings)
    for step in range(STEPS):
        away, crossing = Away(), Crossing()
        with away, crossing if step + 1 == STEPS else nullcontext():
            for part in range(parts):
                outputs = model(inputs)
                losses = per_sample_losses(outputs, targets)
                if part + 1 < parts:
                    balancer.accumulate(losses)
                else:
                    balancer.backward(losses, outputs, targets)
    return Step(away.reads, away.copies + crossing.copies)


@pytest.mark.parametrize("method", [m for m in METHODS if m not in ON_THE_HOST | set(ELSEWHERE)])
def test_a_step_of_every_method_waits_once_and_copies_nothing(method: str):
    found = last_step(method)
    assert len(found.reads) == 1
    assert not found.copies


@pytest.mark.parametrize(
    "choice",
    [
        {"estimator": "grouped", "prior": "block"},
        {"estimator": "per-sample", "prior": "block"},
        {"prior": "stationary", "posterior": "filtered"},
        {"prior": "fixed"},
        {"combination": "cautious"},
        {"combination": "cumulative"},
    ],
    ids=lambda choice: ",".join(choice.values()),
)
def test_so_does_a_step_of_every_choice(choice: dict[str, str]):
    found = last_step("bogc", CalibrationSettings(**choice))
    assert len(found.reads) == 1
    assert not found.copies


@pytest.mark.parametrize("method", ["sum", "fixed-weights", "inverse-variance", "bogc"])
def test_micro_batches_wait_once_each_and_copy_nothing(method: str):
    found = last_step(method, parts=3)
    assert len(found.reads) <= 3
    assert not found.copies


def test_the_modes_see_what_they_look_for():
    with Away() as away, Crossing() as crossing:
        x = torch.ones(3, device=DEVICE)
        assert x.tolist() == [1, 1, 1]
        assert bool((x > 2).all())
        x.new_tensor([1.0, 2.0])
        torch.ones(3).to(DEVICE)
    assert away.reads == ["tolist", "__bool__"]
    assert away.copies == ["new_tensor"]
    assert crossing.copies == ["aten._to_copy.default"]
