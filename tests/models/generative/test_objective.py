import pytest
import torch

from bogc.errors import ConfigError
from bogc.models.generative import MDRNN, MultiPrediction, Objective, PerceptronCD, PersistentCD
from tests.models.generative.oracle import binary, deep, generator, machine

OBJECTIVES = [PersistentCD(2, 5), PerceptronCD(2), MultiPrediction(2)]
each = pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda o: type(o).__name__)


@each
def test_a_step_repeats_with_its_generator_and_changes_nothing(objective: Objective):
    network, batch = deep(), binary(0, 8)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    memory = objective.start(network, generator(1))
    chains = {name: value.clone() for name, value in memory.chains.items()}
    first, second = (objective.step(network, batch, memory, generator(2)) for _ in range(2))
    assert torch.equal(first.loss, second.loss)
    assert not first.objective.requires_grad
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])
    torch.testing.assert_close(dict(memory.chains), chains, rtol=0, atol=0)


@each
def test_every_trained_parameter_has_a_gradient(objective: Objective):
    network, batch = deep(), binary(0, 64)
    step = objective.step(network, batch, objective.start(network, generator(1)), generator(2))
    gradients = torch.autograd.grad(step.loss, list(objective.parameters(network)))
    assert all(gradient.abs().sum() > 0 for gradient in gradients)
    assert not step.memory.activity.requires_grad


@each
def test_precisions_agree(objective: Objective, device: torch.device):
    losses = []
    for dtype in (torch.float64, torch.float32):
        network = deep(4).to(device, dtype)
        batch = {name: values.to(device, dtype) for name, values in binary(4, 32).items()}
        memory = objective.start(network, generator(1, device))
        losses.append(objective.step(network, batch, memory, generator(2, device)).loss)
    assert [loss.dtype for loss in losses] == [torch.float64, torch.float32]
    torch.testing.assert_close(losses[0], losses[1].double(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("objective", OBJECTIVES[1:], ids=lambda o: type(o).__name__)
def test_prediction_needs_two_modalities(objective: Objective):
    with pytest.raises(ConfigError, match=r"network must have two modalities or more; found \['x'\]"):
        objective.start(MDRNN(machine(0, {"x": 3})), None)
