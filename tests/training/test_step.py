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
