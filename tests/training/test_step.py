import copy

import pytest
import torch
from torch.nn import functional

from bogc.balancing import BOGC, JointTraining, UnimodalSum
from bogc.errors import NonFiniteError
from bogc.models import MultimodalClassifier
from bogc.training import per_sample_losses, train_step
from tests import tiny


@pytest.fixture
def model() -> MultimodalClassifier:
    data = tiny.load()
    return MultimodalClassifier.for_samples({m: v[0] for m, v in data.inputs.items()}, 3, 8).float()


def test_losses_are_one_a_sample(model: MultimodalClassifier):
    batch = tiny.load().take(torch.arange(10))
    outputs = model(batch.inputs)
    losses = per_sample_losses(outputs, batch.targets)
    assert {s: tuple(loss.shape) for s, loss in losses.items()} == dict.fromkeys(
        ("fusion", "vector", "series"), (10,)
    )
    torch.testing.assert_close(
        losses["fusion"].mean(), functional.cross_entropy(outputs.fused, batch.targets)
    )


@pytest.mark.parametrize("method", [JointTraining, UnimodalSum, BOGC])
@pytest.mark.parametrize("bf16", [False, True])
def test_steps_lower_the_loss(model: MultimodalClassifier, method: type, bf16: bool, device: torch.device):
    model.to(device)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.05)
    balancer = method(model.partition())
    batch = tiny.load().take(torch.arange(60)).to(device)
    losses = [float(train_step(model, batch, balancer, optimiser, bf16).losses["fusion"]) for _ in range(25)]
    assert losses[-1] < 0.9 * losses[0]


def test_a_nan_batch_changes_no_parameter(model: MultimodalClassifier):
    optimiser = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    batch = tiny.load().take(torch.arange(20))
    broken = type(batch)({**batch.inputs, "vector": batch.inputs["vector"] * float("nan")}, batch.targets)
    before = [p.detach().clone() for p in model.parameters()]
    with pytest.raises(NonFiniteError, match=r"losses\['fusion'\] must be finite; found NaN"):
        train_step(model, broken, BOGC(model.partition()), optimiser, bf16=False)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert not optimiser.state


@pytest.mark.parametrize("bf16", [False, True])
def test_losses_are_float32_whatever_the_forward_pass_ran_in(model: MultimodalClassifier, bf16: bool):
    batch = tiny.load().take(torch.arange(10))
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
        outputs = model(batch.inputs)
    assert (outputs.fused.dtype == torch.bfloat16) == bf16
    assert {loss.dtype for loss in per_sample_losses(outputs, batch.targets).values()} == {torch.float32}


def test_a_step_is_forward_backward_and_one_step_of_the_optimiser(model: MultimodalClassifier):
    other = copy.deepcopy(model)
    batch = tiny.load().take(torch.arange(20))
    optimisers = [torch.optim.SGD(m.parameters(), lr=0.05, momentum=0.9) for m in (model, other)]
    for _ in range(2):
        train_step(model, batch, UnimodalSum(model.partition()), optimisers[0], bf16=False)
        optimisers[1].zero_grad()
        losses = per_sample_losses(other(batch.inputs), batch.targets)
        torch.stack([loss.mean() for loss in losses.values()]).sum().backward()
        optimisers[1].step()
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, other.state_dict()[name])


def test_the_balancer_sees_outputs_and_targets_of_this_batch(model: MultimodalClassifier):
    batch = tiny.load().take(torch.arange(20))
    seen = []

    class Looking(JointTraining):
        def step(self, observation, state):
            seen.append(observation.predictions("this test"))
            return super().step(observation, state)

    optimiser = torch.optim.SGD(model.parameters(), lr=0.05)
    info = train_step(model, batch, Looking(model.partition()), optimiser, bf16=False)
    outputs, targets = seen[0]
    assert targets is batch.targets
    fused = functional.cross_entropy(outputs.fused, targets)
    torch.testing.assert_close(info.losses["fusion"], fused.detach())
