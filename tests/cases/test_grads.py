"""What is already in .grad, and fp16 training with a GradScaler."""

import pytest
import torch
from torch import Tensor, nn

from bogc.errors import NonFiniteError
from bogc.methods import BOGC
from tests.methods.methods import frozen

from .problems import BALANCERS, Pair, losses_of, train

every = pytest.mark.parametrize("method", BALANCERS)


def sparse(p: Tensor) -> Tensor:
    return torch.ones_like(p).to_sparse()


def expanded(p: Tensor) -> Tensor:
    return torch.ones((), dtype=p.dtype).expand_as(p)


def inference(p: Tensor) -> Tensor:
    with torch.inference_mode():
        return torch.ones_like(p)


def strided(p: Tensor) -> Tensor:
    return torch.ones(*p.shape[::-1], dtype=p.dtype).permute(*reversed(range(p.ndim)))


@every
@pytest.mark.parametrize("kind", [sparse, expanded, inference, strided])
def test_gradients_of_any_kind_are_added_to(method, kind):
    network = Pair()
    balancer = BALANCERS[method](network.partition())
    balancer.backward(losses_of(network))
    found = [p.grad.clone() for p in network.parameters()]
    other = BALANCERS[method](network.partition())
    for p in network.parameters():
        p.grad = kind(p)
    other.backward(losses_of(network))
    for p, gradient in zip(network.parameters(), found, strict=True):
        torch.testing.assert_close(p.grad.to_dense() if p.grad.is_sparse else p.grad.clone(), gradient + 1)


def scaler(scale: float) -> torch.amp.GradScaler:
    return torch.amp.GradScaler("cpu", init_scale=scale, growth_interval=2)


class Half(nn.Module):
    """Multiplies, so that fp16 gradients overflow where the loss scale is large."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(5, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x).tanh()


def half_losses(network: nn.Module, step: int) -> dict[str, Tensor]:
    with torch.autocast("cpu", dtype=torch.float16):
        found = losses_of(network, step)
    return {s: x.float() for s, x in found.items()}


@pytest.fixture
def float32(strict: None) -> None:
    torch.set_default_dtype(torch.float32)


@every
@pytest.mark.parametrize("scale", [2.0**-8, 1.0, 1024.0, 2.0**14])
@pytest.mark.usefixtures("float32")
def test_the_gradient_is_exact_at_any_loss_scale(method, scale):
    found = []
    for own in (None, scaler(scale)):
        torch.manual_seed(0)
        network = Pair(Half())
        balancer = BALANCERS[method](network.partition())
        for step in range(6):
            network.zero_grad()
            balancer.backward(half_losses(network, step), scaler=own)
        unit = 1.0 if own is None else scale
        found.append([p.grad / unit for p in network.parameters()])
    for one, other in zip(*found, strict=True):
        size = one.abs().max().item()
        torch.testing.assert_close(other, one, rtol=0.02, atol=0.01 * size)


@every
@pytest.mark.usefixtures("float32")
def test_an_overflow_leaves_infinity_for_the_scaler_and_nothing_else(method):
    network = Pair(Half())
    own, balancer = scaler(2.0**40), BALANCERS[method](network.partition())
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1)
    before, weights = frozen(balancer.state_dict()), [p.detach().clone() for p in network.parameters()]
    balancer.backward(half_losses(network, 0), scaler=own)
    assert all(bool(p.grad.isinf().all()) for p in network.parameters())
    own.step(optimiser)
    own.update()
    assert own.get_scale() == 2.0**39
    assert frozen(balancer.state_dict()) == before
    assert all(torch.equal(p, w) for p, w in zip(network.parameters(), weights, strict=True))


@every
@pytest.mark.usefixtures("float32")
def test_growth_and_backoff_between_steps_train(method):
    network = Pair(Half())
    own, balancer = scaler(2.0**20), BALANCERS[method](network.partition())
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1)
    start = losses_of(network)["fusion"].mean().item()
    scales = set()
    for _ in range(60):
        optimiser.zero_grad()
        balancer.backward(half_losses(network, 0), scaler=own)
        own.step(optimiser)
        own.update()
        scales.add(own.get_scale())
    assert len(scales) >= 3
    assert losses_of(network)["fusion"].mean().item() < start


@pytest.mark.parametrize("scale", [2.0**-8, 1024.0, 2.0**16])
@pytest.mark.usefixtures("float32")
def test_losses_scaled_by_hand_give_a_scaled_gradient(scale):
    found = []
    for factor in (1.0, scale):
        torch.manual_seed(0)
        network = Pair()
        balancer = BOGC(network.partition())
        for step in range(6):
            network.zero_grad()
            balancer.backward({s: factor * x for s, x in losses_of(network, step).items()})
        found.append([p.grad / factor for p in network.parameters()])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-4, atol=1e-5)


def test_without_a_scaler_an_overflow_is_an_error():
    network = Pair()
    with pytest.raises(NonFiniteError, match="must be finite"):
        BOGC(network.partition()).backward({s: x * float("inf") for s, x in losses_of(network).items()})


@every
@pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::UserWarning"
)  # torch's, about quantisation
def test_nothing_of_bogc_stays_on_the_users_modules(method, tmp_path):
    import copy

    network = Pair()
    balancer = BALANCERS[method](network.partition())
    before = [(len(m._forward_hooks), len(m._backward_hooks), set(vars(m))) for m in network.modules()]
    train(network, balancer, lambda step: losses_of(network, step))
    assert [
        (len(m._forward_hooks), len(m._backward_hooks), set(vars(m))) for m in network.modules()
    ] == before
    copied = copy.deepcopy(network)
    average = torch.optim.swa_utils.AveragedModel(network)
    average.update_parameters(network)
    torch.save(network, tmp_path / "network.pt")
    loaded = torch.load(tmp_path / "network.pt", weights_only=False)
    quantised = torch.ao.quantization.quantize_dynamic(network.float(), {nn.Linear}, dtype=torch.qint8)
    image, sound = torch.randn(3, 5), torch.randn(3, 3)
    for other in (copied, average, loaded):
        other.float()(image.float(), sound.float())
    quantised(image.float(), sound.float())
    train(copied.double(), BALANCERS[method](copied.partition()), lambda step: losses_of(copied, step), 2)
