"""Training with the reading laplace: the loop passes a closure, and draws leave no trace in the network."""

from pathlib import Path

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from bogc.cli import app
from bogc.methods import BOGC, UnimodalSum
from bogc.training import TrainConfig, train_step
from bogc.training.state import build_network
from tests import tiny


@pytest.fixture(autouse=True)
def float32(strict: None) -> None:
    torch.set_default_dtype(torch.float32)


def network() -> nn.Module:
    """The stock network with dropout before every head."""
    torch.manual_seed(0)
    model = build_network(TrainConfig(features=8), tiny.load())
    for name, encoder in model.encoders.items():
        model.encoders[name] = nn.Sequential(encoder, nn.Dropout(0.5))
    return model


def test_a_step_runs_the_forward_pass_again_and_leaves_statistics_and_generator_as_one_pass_does():
    batch, states = tiny.load().take(torch.arange(32)), []
    for make in (lambda p: BOGC.reading("laplace", p, draws=3), UnimodalSum):
        model, passes = network(), []
        model.register_forward_hook(lambda m, i, o, passes=passes: passes.append(o.fused.detach()))
        optimiser = torch.optim.SGD(model.parameters(), lr=0.0)
        torch.manual_seed(5)
        train_step(model, batch, make(model.partition()), optimiser, bf16=False)
        states.append((dict(model.named_buffers()), torch.get_rng_state(), passes))
    (buffers, generator, drawn), (plain, expected, once) = states
    assert [len(drawn), len(once)] == [4, 1]
    assert torch.equal(drawn[0], once[0])
    assert not torch.equal(drawn[1], once[0])
    assert torch.equal(generator, expected)
    assert all(torch.equal(buffers[name], value) for name, value in plain.items())


def test_draws_see_the_masks_of_the_first_pass():
    """With next to no spread of the last layers all passes are equal, with half of the units dropped."""
    model, passes = network(), []
    model.register_forward_hook(lambda m, i, o: passes.append(o.fused.detach()))
    balancer = BOGC.reading("laplace", model.partition(), draws=3, damping=1e30)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.0)
    train_step(model, tiny.load().take(torch.arange(32)), balancer, optimiser, bf16=False)
    assert all(torch.equal(found, passes[0]) for found in passes)


def test_the_command_line_trains_by_reading_and_by_method(tmp_path: Path):
    common = [
        "--dataset",
        "tests.tiny:load",
        "--epochs",
        "2",
        "--features",
        "8",
        "--device",
        "cpu",
        "--draws",
        "3",
    ]
    for own in (["--reading", "laplace"], ["--method", "bogc-laplace"]):
        done = CliRunner().invoke(app, ["train", *common, *own, "--out", str(tmp_path)])
        assert done.exit_code == 0, done.output
    assert len(list(tmp_path.glob("*/result.json"))) == 2
