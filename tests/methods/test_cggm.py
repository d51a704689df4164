import copy
import math

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from bogc.errors import ConfigError, DtypeError, LossError, NonFiniteError, RangeError, ShapeError
from bogc.gradients import ModalityPartition
from bogc.methods import CGGM, BatchView, JointTraining
from bogc.methods.cggm import cosines, direction_loss, guarded_balance, released_balance
from bogc.methods.tasks import CLASSIFICATION, REGRESSION, Task
from bogc.models import ModalOutputs, MultimodalClassifier
from tests.networks import gradients_of
from tests.oracles import cggm as oracle

from .methods import assert_gradients_close, frozen

GAINS = st.lists(st.floats(-1, 1), min_size=2, max_size=5)
FLOOR = 1e-3


# the formulas


@given(GAINS, st.floats(1e-6, 1))
def test_the_guarded_balance_is_that_written_out(gains, floor):
    found = guarded_balance(torch.tensor(gains), floor)
    assert found.tolist() == pytest.approx(oracle.guarded_balance(gains, floor), abs=1e-12)


@given(GAINS)
def test_the_guarded_balance_lies_in_the_unit_interval_and_sums_to_one_less_than_the_modalities(gains):
    found = guarded_balance(torch.tensor(gains))
    assert ((found >= -1e-12) & (found <= 1)).all()
    assert found.sum().item() == pytest.approx(len(gains) - 1, abs=1e-12)


@given(GAINS, st.lists(st.floats(-1, 1), min_size=5, max_size=5), st.floats(1e-9, 1e-5))
def test_the_guarded_balance_is_continuous_everywhere(gains, direction, size):
    """Lipschitz in the largest change: M + 1 over the least denominator, also at 0 and across signs."""
    there = torch.tensor(gains) + size * torch.tensor(direction[: len(gains)])
    change = (guarded_balance(there) - guarded_balance(torch.tensor(gains))).abs().max()
    assert change <= (len(gains) + 1) * size / FLOOR + 1e-12


def test_nobody_gaining_is_the_same_factor_for_all():
    assert torch.equal(guarded_balance(torch.tensor([-0.2, 0.0, -0.1])), torch.full((3,), 1 - 1 / 3))


@given(st.lists(st.floats(0, 1), min_size=2, max_size=5))
def test_far_above_the_floor_the_guarded_balance_is_cggms(gains):
    assume(sum(gains) > 0.1)
    found = guarded_balance(torch.tensor(gains), 1e-9)
    assert found.tolist() == pytest.approx(oracle.balance(gains), abs=1.1e-8)


@given(GAINS)
def test_the_released_balance_is_that_written_out(gains):
    assume(abs(sum(gains) + 1e-8) > 1e-6)
    found = released_balance(torch.tensor(gains)).tolist()
    assert found == pytest.approx(oracle.released_balance(gains), rel=1e-7, abs=1e-7)


def test_the_released_balance_reverses_the_modality_that_improves():
    """Theory 6.7."""
    assert released_balance(torch.tensor([0.3, -0.2])).tolist() == pytest.approx([-2, 3], rel=1e-6)


@given(st.lists(st.floats(-3, 3), min_size=2, max_size=4), st.integers(0, 99))
def test_the_direction_loss_is_a_weighted_distance_of_directions(factors, seed):
    """Theory 6.9: its left form from the oracle, its right form here; it is never negative."""
    generator = torch.Generator().manual_seed(seed)
    fused = torch.randn(3, 2, generator=generator)
    own = [torch.randn(3, 2, generator=generator) for _ in factors]
    found = direction_loss(torch.tensor(factors), cosines(fused, own)).item()
    expected = oracle.direction_loss(factors, oracle.array(fused), [oracle.array(g) for g in own])
    assert found == pytest.approx(expected, abs=1e-12)
    distances = [
        (math.copysign(1, b) * fused / fused.norm() - g / g.norm()).square().sum().item()
        for b, g in zip(factors, own, strict=True)
    ]
    right = sum(abs(b) * d for b, d in zip(factors, distances, strict=True)) / (2 * len(factors))
    assert found == pytest.approx(right, abs=1e-12)
    assert found >= -1e-12


# networks for three kinds of target


class Network(nn.Module):
    """One network for all kinds of target: layers that keep further axes, and a smooth nonlinearity."""

    def __init__(self, layer, outputs: int) -> None:
        super().__init__()
        self.encoders = nn.ModuleDict({m: nn.Sequential(layer(2, 3), nn.Tanh()) for m in ("u", "v", "w")})
        self.mix, self.head = layer(3, 4), layer(4, outputs)

    def forward(self, inputs: dict[str, Tensor]) -> ModalOutputs:
        features = {m: self.encoders[m](x) for m, x in inputs.items()}
        fused = self.head(self.mix(torch.stack(list(features.values())).sum(0)).tanh())
        return ModalOutputs(fused, {}, features)

    def partition(self) -> ModalityPartition:
        return ModalityPartition(dict(self.encoders), shared=(self.mix, self.head), model=self)


def linear(inputs: int, outputs: int) -> nn.Module:
    return nn.Linear(inputs, outputs)


def pixelwise(inputs: int, outputs: int) -> nn.Module:
    return nn.Conv2d(inputs, outputs, 1)


class Case:
    """One kind of target.

    Smooth losses only, so that second derivatives exist: squared errors stand for regression.
    """

    def __init__(self, layer, outputs: int, shape: tuple[int, ...], task: Task) -> None:
        self.layer, self.outputs, self.shape, self.task = layer, outputs, shape, task

    def network(self) -> Network:
        return Network(self.layer, self.outputs)

    def batch(self, seed: int = 0, samples: int = 10) -> tuple[dict[str, Tensor], Tensor]:
        generator = torch.Generator().manual_seed(seed)
        inputs = {m: torch.randn(samples, 2, *self.shape, generator=generator) for m in ("u", "v", "w")}
        total = inputs["u"].sum(1) - inputs["v"][:, 0]
        return inputs, total if self.task is not CLASSIFICATION else (total > 0).long() + (total > 1).long()

    def losses(self, fused: Tensor, targets: Tensor) -> Tensor:
        if self.task is CLASSIFICATION:
            pixels = functional.cross_entropy(fused, targets, reduction="none")
            return pixels.reshape(len(fused), -1).mean(1)
        return (fused.squeeze(1) - targets).square()

    def classifiers(self) -> nn.ModuleDict:
        return nn.ModuleDict({m: self.layer(3, self.outputs) for m in ("u", "v", "w")})

    def build(self, network: Network, lr: float = 0.05, **settings) -> CGGM:
        classifiers = self.classifiers()
        optimiser = torch.optim.Adam(classifiers.parameters(), lr=lr)
        return CGGM(network.partition(), classifiers, optimiser, task=self.task, **settings)

    def backward(self, network: Network, balancer, inputs: dict[str, Tensor], targets: Tensor):
        outputs = network(inputs)
        network.zero_grad(set_to_none=True)
        return balancer.backward({"fusion": self.losses(outputs.fused, targets)}, outputs, targets)


CASES = {
    "classes": Case(linear, 3, (), CLASSIFICATION),
    "pixels": Case(pixelwise, 3, (3, 2), CLASSIFICATION),
    "numbers": Case(linear, 1, (), REGRESSION),
}


def output_gradient(prediction: Tensor, loss) -> Tensor:
    """Derivative of a mean loss in a prediction, at a detached copy."""
    leaf = prediction.detach().requires_grad_()
    return torch.autograd.grad(loss(leaf), leaf)[0]


def objective(case: Case, network: Network, direction: float, factors, own, batch) -> float:
    """Mean fusion loss and lambda times the direction loss, both by their definitions."""
    inputs, targets = batch
    prediction = network(inputs).fused
    fused = output_gradient(prediction, lambda z: case.losses(z, targets).mean())
    loss = oracle.direction_loss(factors, oracle.array(fused), own)
    return case.losses(prediction, targets).mean().item() + direction * loss


@pytest.mark.parametrize("direction", [0.2, 3.0])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_gradient_is_that_of_loss_and_direction_loss_by_finite_differences(case, direction):
    """Classifiers see detached features: they, their gradients and B are constants of the step."""
    network = case.network()
    balancer = case.build(network, rho=1.3, direction=direction)
    case.backward(network, balancer, *case.batch(0))
    before = balancer.state_dict()["state"]["merits"]
    inputs, targets = case.batch(1)
    guesses = {m: balancer.classifiers[m](f.detach()) for m, f in network(inputs).features.items()}
    own = [oracle.array(output_gradient(z, lambda y: case.task.loss(y, targets))) for z in guesses.values()]
    gains = [case.task.merit(guess, targets).item() - before[m].item() for m, guess in guesses.items()]
    balance = dict(zip(guesses, oracle.guarded_balance(gains, FLOOR), strict=True))
    info = case.backward(network, balancer, inputs, targets)
    assert {m: k.item() / 1.3 for m, k in info.factors.items()} == pytest.approx(balance)
    found = gradients_of(network)
    at = list(balance.values()), own, (inputs, targets)
    for name, parameter in network.named_parameters():
        scale = 1.3 * balance[name.split(".")[1]] if name.startswith("encoders") else 1.0
        for index in range(min(parameter.numel(), 4)):
            slope = central_difference(parameter, index, lambda: objective(case, network, direction, *at))
            assert found[name].flatten()[index].item() == pytest.approx(scale * slope, rel=1e-5, abs=1e-8)


def central_difference(parameter: Tensor, index: int, function, width: float = 1e-5) -> float:
    flat = parameter.data.view(-1)
    values = []
    for sign in (1, -1):
        flat[index] += sign * width
        values.append(function())
        flat[index] -= sign * width
    return (values[0] - values[1]) / (2 * width)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_direction_loss_reaches_encoders_and_trunk(case):
    """Unlike the released spelling's."""
    network = case.network()
    found = []
    for direction in (0.0, 1.0):
        torch.manual_seed(1)
        balancer = case.build(network, direction=direction)
        for seed in (0, 1):
            case.backward(network, balancer, *case.batch(seed))
        found.append({name: gradient.clone() for name, gradient in gradients_of(network).items()})
    assert all(not torch.allclose(found[0][name], found[1][name], rtol=1e-6) for name in found[0])


# state, classifiers, missing modalities


CLASSES = CASES["classes"]


def test_the_first_step_is_joint_training_bit_for_bit():
    network = CLASSES.network()
    CLASSES.backward(network, JointTraining(network.partition()), *CLASSES.batch())
    expected = {name: gradient.clone() for name, gradient in gradients_of(network).items()}
    info = CLASSES.backward(network, CLASSES.build(network), *CLASSES.batch())
    assert info.factors == {}
    assert all(torch.equal(gradient, expected[name]) for name, gradient in gradients_of(network).items())


def test_without_strength_and_direction_it_is_joint_training_in_every_step():
    network = CLASSES.network()
    balancer = CLASSES.build(network, strength=0.0, direction=0.0)
    for seed in range(3):
        CLASSES.backward(network, JointTraining(network.partition()), *CLASSES.batch(seed))
        expected = {name: gradient.clone() for name, gradient in gradients_of(network).items()}
        CLASSES.backward(network, balancer, *CLASSES.batch(seed))
        assert_gradients_close(gradients_of(network), expected, rtol=1e-14)


@settings(max_examples=10)
@given(st.floats(0, 1), st.floats(0, 2))
def test_the_factor_is_linear_in_the_strength(strength, rho):
    network = CLASSES.network()
    factors = []
    for own in (0.0, strength, 1.0):
        torch.manual_seed(0)
        balancer = CLASSES.build(network, strength=own, rho=rho, lr=0.5)
        for seed in (0, 1):
            info = CLASSES.backward(network, balancer, *CLASSES.batch(seed))
        factors.append(torch.stack(list(info.factors.values())))
    assert torch.equal(factors[0], torch.ones(3))
    torch.testing.assert_close(factors[1], torch.lerp(factors[0], factors[2], strength))
    assert factors[2].sum().item() == pytest.approx(2 * rho)


def test_classifiers_learn_their_own_loss_once_a_step():
    network = CLASSES.network()
    balancer = CLASSES.build(network)
    twins = copy.deepcopy(balancer.classifiers)
    optimiser = torch.optim.Adam(twins.parameters(), lr=0.05)
    for seed in range(4):
        inputs, targets = CLASSES.batch(seed)
        features = {m: f.detach() for m, f in network(inputs).features.items()}
        optimiser.zero_grad()
        for m, feature in features.items():
            functional.cross_entropy(twins[m](feature), targets).backward()
        optimiser.step()
        CLASSES.backward(network, balancer, inputs, targets)
        for mine, theirs in zip(balancer.classifiers.parameters(), twins.parameters(), strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-14)
        assert all(p.grad is None for p in balancer.classifiers.parameters())


def test_a_rejected_gradient_changes_neither_classifiers_nor_state():
    network = CLASSES.network()
    balancer = CLASSES.build(network)
    CLASSES.backward(network, balancer, *CLASSES.batch())
    before = frozen(balancer.state_dict())
    inputs, targets = CLASSES.batch(1)
    outputs = network(inputs)
    losses = {"fusion": CLASSES.losses(outputs.fused, targets) * math.nan}
    with pytest.raises(NonFiniteError, match=r"losses\['fusion'\] must be finite"):
        balancer.backward(losses, outputs, targets)
    assert frozen(balancer.state_dict()) == before


def test_a_classifier_without_finite_gradient_is_refused_even_where_the_network_has_one():
    """In the first step, where the classifiers do not touch the network's gradient."""
    network = CLASSES.network()
    balancer = CLASSES.build(network)
    before = frozen(balancer.state_dict())
    inputs, targets = CLASSES.batch()
    outputs = network(inputs)
    damaged = ModalOutputs(outputs.fused, {}, {**outputs.features, "v": outputs.features["v"] * math.nan})
    with pytest.raises(NonFiniteError, match=r"^gradient of the classifiers must be finite"):
        balancer.backward({"fusion": CLASSES.losses(outputs.fused, targets)}, damaged, targets)
    assert frozen(balancer.state_dict()) == before
    assert gradients_of(network) == {}


def test_classifiers_change_through_commit_alone():
    network = CLASSES.network()
    balancer = CLASSES.build(network)
    inputs, targets = CLASSES.batch()
    outputs = network(inputs)
    before = frozen(balancer.state_dict())
    losses = {"fusion": CLASSES.losses(outputs.fused, targets)}
    view = BatchView(losses, balancer.partition, {"fusion": len(losses["fusion"])}, outputs, targets)
    step = balancer.step(view, {})
    assert frozen(balancer.state_dict()) == before
    step.commit()
    assert frozen(balancer.state_dict()["members"]) != before["members"]


def test_a_restored_state_continues_bit_for_bit():
    network = CLASSES.network()
    first = CLASSES.build(network)
    for seed in range(3):
        CLASSES.backward(network, first, *CLASSES.batch(seed))
    second = CLASSES.build(network)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for seed in (3, 4):
        CLASSES.backward(network, first, *CLASSES.batch(seed))
        expected = {name: gradient.clone() for name, gradient in gradients_of(network).items()}
        CLASSES.backward(network, second, *CLASSES.batch(seed))
        assert all(torch.equal(g, expected[name]) for name, g in gradients_of(network).items())
        assert frozen(first.state_dict()) == frozen(second.state_dict())


def test_a_missing_modality_is_not_balanced_and_keeps_its_merit():
    network = CLASSES.network()
    balancer = CLASSES.build(network)
    CLASSES.backward(network, balancer, *CLASSES.batch())
    before = frozen(balancer.state_dict()["state"]["merits"])
    inputs, targets = CLASSES.batch(1)
    info = CLASSES.backward(network, balancer, {m: inputs[m] for m in ("u", "w")}, targets)
    assert set(info.factors) == {"u", "w"}
    assert sum(k.item() for k in info.factors.values()) == pytest.approx(1.3)
    assert frozen(balancer.state_dict()["state"]["merits"])["v"] == before["v"]
    info = CLASSES.backward(network, balancer, {"u": inputs["u"]}, targets)
    assert info.factors == {}


def test_a_modality_that_comes_late_is_balanced_from_its_second_step_on():
    network = CLASSES.network()
    balancer = CLASSES.build(network)
    inputs, targets = CLASSES.batch()
    CLASSES.backward(network, balancer, {m: inputs[m] for m in ("u", "w")}, targets)
    assert set(CLASSES.backward(network, balancer, inputs, targets).factors) == {"u", "w"}
    assert set(CLASSES.backward(network, balancer, inputs, targets).factors) == {"u", "v", "w"}


def test_outputs_of_another_forward_pass_are_refused():
    network = CLASSES.network()
    balancer = CLASSES.build(network)
    inputs, targets = CLASSES.batch()
    CLASSES.backward(network, balancer, inputs, targets)
    losses = {"fusion": CLASSES.losses(network(inputs).fused, targets)}
    with pytest.raises(LossError, match=r"^outputs must be what the losses were computed from"):
        balancer.backward(losses, network(inputs), targets)


@pytest.mark.parametrize("names", [("u", "v"), ("u", "v", "w", "x")])
def test_there_is_one_classifier_a_modality(names):
    network = CLASSES.network()
    classifiers = nn.ModuleDict({name: nn.Linear(3, 3) for name in names})
    with pytest.raises(ConfigError, match=r"^classifiers must be one a modality"):
        CGGM(network.partition(), classifiers, torch.optim.SGD(classifiers.parameters(), 0.1))


@pytest.mark.parametrize("wrong", [{"rho": -1.0}, {"direction": -0.1}, {"strength": 1.5}])
def test_constants_have_their_ranges(wrong):
    (name,) = wrong
    with pytest.raises(RangeError, match=f"^{name} must (not be negative|lie in)"):
        CLASSES.build(CLASSES.network(), **wrong)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_a_network_of_any_dtype_with_classifiers_of_another(dtype, device):
    samples = {"u": torch.zeros(2), "v": torch.zeros(2), "w": torch.zeros(2)}
    network = MultimodalClassifier.for_samples(samples, 3, 4).to(device, dtype)
    classifiers = nn.ModuleDict({m: nn.Linear(4, 3) for m in samples}).to(device, torch.float32)
    balancer = CGGM(network.partition(), classifiers, torch.optim.Adam(classifiers.parameters()))
    for seed in range(3):
        inputs, targets = CLASSES.batch(seed)
        targets = targets.to(device)
        outputs = network({m: x.to(device, dtype) for m, x in inputs.items()})
        losses = functional.cross_entropy(outputs.fused.float(), targets, reduction="none")
        balancer.backward({"fusion": losses}, outputs, targets)
    assert all(g.dtype == dtype and bool(g.isfinite().all()) for g in gradients_of(network).values())


def test_classifiers_and_their_optimiser_stand_beside_the_network():
    network = CLASSES.network()
    partition, own = network.partition(), CLASSES.classifiers()
    everything = torch.optim.SGD([*own.parameters(), *network.parameters()], 0.1)
    with pytest.raises(ConfigError, match=r"^optimiser must hold no parameter of the network; found"):
        CGGM(partition, own, everything)
    with pytest.raises(ConfigError, match=r"^optimiser must hold every parameter of classifiers\['v'\]"):
        CGGM(partition, own, torch.optim.SGD([*own["u"].parameters(), own["v"].weight], 0.1))
    shared = nn.ModuleDict({**own, "w": network.encoders["w"]})
    with pytest.raises(ConfigError, match=r"^classifiers\['w'\] must share no parameter with the network"):
        CGGM(partition, shared, torch.optim.SGD(shared.parameters(), 0.1))
    idle = nn.ModuleDict({**own, "u": nn.Identity()})
    with pytest.raises(ConfigError, match=r"^classifiers\['u'\] must have a trainable parameter; found none"):
        CGGM(partition, idle, torch.optim.SGD(idle.parameters(), 0.1))


def test_a_parameter_that_a_classifier_does_not_use_is_left_alone():
    network, own = CLASSES.network(), CLASSES.classifiers()
    own["u"].register_parameter("spare", nn.Parameter(torch.ones(3)))
    balancer = CGGM(network.partition(), own, torch.optim.SGD(own.parameters(), 0.1, weight_decay=0.5))
    before = own["u"].weight.detach().clone()
    CLASSES.backward(network, balancer, *CLASSES.batch())
    assert torch.equal(own["u"].spare, torch.ones(3))
    assert not torch.equal(own["u"].weight, before)


def test_classifiers_predict_like_the_network():
    network = CLASSES.network()
    narrow = nn.ModuleDict({m: nn.Linear(3, 2 if m == "v" else 3) for m in ("u", "v", "w")})
    balancer = CGGM(network.partition(), narrow, torch.optim.SGD(narrow.parameters(), 0.1))
    message = r"^classifiers\['v'\] must predict like the network, \[10, 3\]; found \[10, 2\]"
    with pytest.raises(ShapeError, match=message):
        CLASSES.backward(network, balancer, *CLASSES.batch())


def test_classes_that_are_numbers_are_refused():
    network = CLASSES.network()
    inputs, targets = CLASSES.batch()
    outputs = network(inputs)
    losses = {"fusion": CLASSES.losses(outputs.fused, targets)}
    with pytest.raises(DtypeError, match=r"^targets must be int64 class indices; .* REGRESSION"):
        CLASSES.build(network).backward(losses, outputs, targets.double())
    assert not gradients_of(network)
