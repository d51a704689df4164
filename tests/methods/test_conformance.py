"""What every method of the registry promises on a real network: images, BatchNorm, missing modalities.

A new method is covered by being registered; it only has to say here which of its settings is its strength.
"""

import copy
import functools
import io
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from bogc.calibration import SCALINGS
from bogc.data import MultimodalBatch, MultimodalDataset
from bogc.errors import ConfigError, NonFiniteError
from bogc.methods import Balancer, JointTraining, UnimodalSum
from bogc.methods.bogc import CalibrationSettings
from bogc.methods.cggm import CGGMSettings
from bogc.methods.i2m2 import I2M2Settings
from bogc.methods.inverse_variance import InverseVarianceSettings
from bogc.methods.jacobian_descent import JacobianDescentSettings
from bogc.methods.mmpareto import MMParetoSettings
from bogc.methods.ogm_ge import OGMGESettings
from bogc.methods.registry import METHODS, build_balancer
from bogc.methods.sums import FixedWeightsSettings, MIMOSettings
from bogc.models import ModalOutputs
from bogc.training import TrainConfig, per_sample_losses, train_step
from bogc.training.state import Network, build_network, rng_state, set_rng_state
from tests.networks import gradients_of

from .methods import frozen

SHAPES = {"image": (1, 4, 4), "sound": (2, 6), "vector": (5,)}  # an image first: its weights have 4 axes
PAST_WARM_UP = 6
STEPS = 14  # I2M2 changes stage at half of them: while a saved state continues

REFUSED = {("ogm-ge-released", 3): "must be two for the released OGM-GE"}
"""(method, number of modalities) -> why building refuses; nothing else may be left out below."""

DRAWS = {"ogm-ge", "ogm-ge-released", "pcgrad"}
"""Methods that draw from the global generator; no other may touch it."""


class Problem(NamedTuple):
    model: Network
    balancer: Balancer
    data: MultimodalDataset

    def batch(self, seed: int, without: str | None = None) -> MultimodalBatch:
        order = torch.randperm(len(self.data), generator=torch.Generator().manual_seed(seed))
        batch = self.data.take(order[:12].to(self.data.targets.device))
        return batch.without(without) if without else batch


def problem(
    method: str, modalities: int, device: torch.device | str = "cpu", seed: int = 0, settings: Any = None
) -> Problem:
    """A small network of the kind that the method trains, in float32, and the method; ``seed`` decides."""
    generator = torch.Generator().manual_seed(3)
    shapes = dict(list(SHAPES.items())[:modalities])
    inputs = {m: torch.randn(40, *shape, generator=generator) for m, shape in shapes.items()}
    targets = torch.arange(40) % 3
    data = MultimodalDataset.from_tensors(inputs, targets).to(device)
    torch.manual_seed(seed)
    config = TrainConfig(method=method, features=4)
    if settings is not None:
        config = replace(config, settings={METHODS[method].table: settings})
    model = build_network(config, data)
    return Problem(model, build_balancer(method, model, config.method_settings, STEPS), data)


@functools.cache
def warmed_up(method: str, modalities: int, device: torch.device, settings: Any) -> tuple[Problem, Any]:
    """A problem past the warm-up of streaming moments, and the generator's state; not to be touched."""
    made = problem(method, modalities, device, settings=settings)
    for seed in range(PAST_WARM_UP):
        made.model.zero_grad()
        backward(made, made.batch(seed))
    return made, rng_state()


def prepared(method: str, modalities: int, device: torch.device, settings: Any = None) -> Problem:
    """A copy of the warmed-up problem, ``.grad`` of its last step with it, and the generator as it was."""
    made, generators = warmed_up(method, modalities, device, settings)
    copied = copy.deepcopy(made)  # all but .grad
    for own, parameter in zip(copied.model.parameters(), made.model.parameters(), strict=True):
        own.grad = None if parameter.grad is None else parameter.grad.clone()
    set_rng_state(generators)
    return copied


Seen = tuple[dict[str, Tensor], ModalOutputs, Tensor]


def observed(made: Problem, batch: MultimodalBatch) -> Seen:
    outputs = made.model(batch.inputs)
    return per_sample_losses(outputs, batch.targets), outputs, batch.targets


def give(made: Problem, batch: MultimodalBatch, seen: Seen) -> None:
    """``backward`` of what was seen; to a method that evaluates the losses again, as a closure."""
    if not made.balancer.estimator.needs_closure:
        made.balancer.backward(*seen)
        return
    first = [seen[0]]
    made.balancer.backward(lambda: first.pop() if first else observed(made, batch)[0])


def backward(made: Problem, batch: MultimodalBatch) -> dict[str, Tensor]:
    """Copies of all ``.grad`` after a backward that adds to them."""
    give(made, batch, observed(made, batch))
    return {name: gradient.clone() for name, gradient in gradients_of(made.model).items()}


def assert_equal(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> None:
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture(autouse=True)
def float32(strict: None) -> None:
    torch.set_default_dtype(torch.float32)


cases = pytest.mark.parametrize(
    ("method", "modalities"), [(m, n) for m in METHODS for n in (2, 3) if (m, n) not in REFUSED]
)
all_methods = pytest.mark.parametrize("method", METHODS)


@pytest.mark.parametrize(("method", "modalities"), REFUSED)
def test_what_is_left_out_is_really_refused(method: str, modalities: int):
    with pytest.raises(ConfigError, match=REFUSED[method, modalities]):
        problem(method, modalities)


@cases
def test_a_modality_may_be_missing_at_times(method: str, modalities: int, device: torch.device):
    made = prepared(method, modalities, device)
    optimiser = torch.optim.SGD(made.model.parameters(), lr=0.01, momentum=0.9)
    absences = ["image", None, "sound", "sound", "image", None]
    found: dict[str, dict[str, Tensor]] = {}
    for seed, without in enumerate(absences):
        before = keys_of(made.balancer.state_dict())
        info = train_step(made.model, made.batch(seed, without), made.balancer, optimiser, bf16=False)
        found[str(without)] = gradients_of(made.model)
        assert all(bool(gradient.isfinite().all()) for gradient in found[str(without)].values())
        assert without not in info.losses
        assert before <= keys_of(made.balancer.state_dict())  # an absent modality's state is kept
        if without:
            assert not any(name.startswith(f"encoders.{without}.") for name in found[str(without)])
    assert found["image"].keys() < found["None"].keys()


def keys_of(value: Any, path: tuple[Any, ...] = ()) -> set[tuple[Any, ...]]:
    """Paths of all leaves of nested dicts."""
    if not isinstance(value, dict):
        return {path}
    return set().union(*(keys_of(item, (*path, key)) for key, item in value.items()))


@all_methods
def test_bf16_autocast_gives_finite_float32_gradients(method: str, device: torch.device):
    made = problem(method, 2, device)
    optimiser = torch.optim.SGD(made.model.parameters(), lr=0.01)
    for seed in range(PAST_WARM_UP + 1):
        train_step(made.model, made.batch(seed), made.balancer, optimiser, bf16=True)
        for gradient in gradients_of(made.model).values():
            assert gradient.dtype == torch.float32
            assert bool(gradient.isfinite().all())


@all_methods
def test_backward_changes_grad_and_nothing_else(method: str, device: torch.device):
    """Not the parameters, BatchNorm's statistics, the optimiser or, unless it draws noise, the generator."""
    made = prepared(method, 2, device)
    optimiser = torch.optim.SGD(made.model.parameters(), lr=0.01, momentum=0.9)
    optimiser.step()
    seen = observed(made, made.batch(20))
    before = frozen([made.model.state_dict(), optimiser.state_dict(), made.model.training])
    generators = frozen(rng_state())
    give(made, made.batch(20), seen)
    assert frozen([made.model.state_dict(), optimiser.state_dict(), made.model.training]) == before
    assert (frozen(rng_state()) != generators) == (method in DRAWS)
    optimiser.step()
    assert frozen(made.model.state_dict()) != before[0]


@all_methods
def test_backward_adds_to_grad(method: str, device: torch.device):
    apart, found = prepared(method, 2, device), []
    for seed in (20, 21):
        apart.model.zero_grad()
        found.append(backward(apart, apart.batch(seed)))
    together = prepared(method, 2, device)
    together.model.zero_grad()
    assert_equal(backward(together, together.batch(20)), found[0])
    assert_equal(backward(together, together.batch(21)), {n: g + found[1][n] for n, g in found[0].items()})


@all_methods
def test_the_same_seed_gives_the_same_gradients(method: str, device: torch.device):
    first, second = prepared(method, 2, device), problem(method, 2, device)
    for seed in range(PAST_WARM_UP):
        second.model.zero_grad()
        backward(second, second.batch(seed))
    assert_equal(gradients_of(first.model), gradients_of(second.model))


@cases
def test_a_saved_state_continues_to_the_last_bit(method: str, modalities: int, device: torch.device):
    """Into a fresh balancer of another seed, whose own modules therefore start elsewhere."""
    saved, loaded = prepared(method, modalities, device), problem(method, modalities, device, seed=1)
    file = io.BytesIO()
    parts = {"model": saved.model.state_dict(), "balancer": saved.balancer.state_dict(), "rng": rng_state()}
    torch.save(parts, file)
    runs = []
    for made in (saved, loaded):
        file.seek(0)
        state = torch.load(file, weights_only=True)
        set_rng_state(state["rng"])
        if made is loaded:
            made.model.load_state_dict(state["model"])
            made.balancer.load_state_dict(state["balancer"])
        optimiser = torch.optim.SGD(made.model.parameters(), lr=0.05)
        for seed in (20, 21, 22):
            train_step(made.model, made.batch(seed), made.balancer, optimiser, bf16=False)
        runs.append(frozen([gradients_of(made.model), made.model.state_dict(), made.balancer.state_dict()]))
    assert runs[0] == runs[1]


def nan_loss(seen: Seen) -> None:
    for source, loss in seen[0].items():
        seen[0][source] = loss + torch.where(torch.arange(len(loss), device=loss.device) == 3, torch.nan, 0)


def infinite_loss(seen: Seen) -> None:
    seen[0].update({source: loss + torch.inf for source, loss in seen[0].items()})


def infinite_gradient(seen: Seen) -> None:
    """Finite losses; the gradient overflows on its way into the encoders."""
    for feature in seen[1].features.values():
        feature.register_hook(lambda gradient: gradient + torch.inf)


def squares_overflow(seen: Seen) -> None:
    """Finite losses and gradients, but nothing can be said of a length or a variance."""
    for feature in seen[1].features.values():
        feature.register_hook(lambda gradient: gradient * 1e25)


@all_methods
@pytest.mark.parametrize("broken", [nan_loss, infinite_loss, infinite_gradient])
def test_what_is_not_finite_is_refused_and_changes_nothing(method: str, broken: Any, device: torch.device):
    made = prepared(method, 2, device)
    seen = observed(made, made.batch(20))
    broken(seen)
    before = frozen([gradients_of(made.model), made.model.state_dict(), made.balancer.state_dict()])
    with pytest.raises(NonFiniteError, match=r"must be finite; found NaN or infinity. Nothing was changed"):
        give(made, made.batch(20), seen)
    assert frozen([gradients_of(made.model), made.model.state_dict(), made.balancer.state_dict()]) == before
    made.model.zero_grad()
    assert all(bool(g.isfinite().all()) for g in backward(made, made.batch(21)).values())  # and it goes on


@all_methods
def test_gradients_whose_squares_overflow_are_refused_or_used_but_never_become_nan(
    method: str, device: torch.device
):
    made = prepared(method, 2, device)
    made.model.zero_grad()
    seen = observed(made, made.batch(20))
    squares_overflow(seen)
    try:
        give(made, made.batch(20), seen)
    except NonFiniteError:
        assert not gradients_of(made.model)
    assert all(bool(gradient.isfinite().all()) for gradient in gradients_of(made.model).values())


class Plain(NamedTuple):
    """A setting at which a method is plain training, and how nearly, relative to the largest element."""

    method: str
    settings: Any
    reference: type[Balancer]
    rtol: float = 1e-5


JOINT, SUM = JointTraining, UnimodalSum
STRENGTHLESS = [
    Plain("joint", None, JOINT, 0),
    Plain("sum", None, SUM, 0),
    Plain("fixed-weights", FixedWeightsSettings(fusion=1.0, unimodal=1.0), SUM, 0),
    Plain("fixed-weights", FixedWeightsSettings(fusion=1.0, unimodal=0.0), JOINT),
    Plain("ogm-ge", OGMGESettings(alpha=0.0), JOINT),  # nothing is slowed, so no noise either
    Plain("ogm-ge-released", OGMGESettings(alpha=0.0, noise=0.0), JOINT),
    Plain("cggm", CGGMSettings(strength=0.0, direction=0.0), JOINT),
    Plain("cggm-released", CGGMSettings(strength=0.0, direction=0.0, clip=0.0), JOINT),
    Plain("mimo", MIMOSettings(strength=0.0), JOINT),
    *(Plain(m, MMParetoSettings(strength=0.0), SUM) for m in ("mmpareto", "mmpareto-released")),
    Plain("i2m2", I2M2Settings(apart=0.0), JOINT),  # the loss of the product
    Plain("inverse-variance", InverseVarianceSettings(strength=0.0), SUM),
    *(
        Plain(m, JacobianDescentSettings(strength=0.0), SUM)
        for m in ("upgrad", "mgda", "pcgrad", "cagrad", "nash-mtl")
    ),
    *(  # u = v / tau^2 is next to 0 in every dimension: everything is believed, nothing is shrunk
        Plain("bogc", CalibrationSettings(prior="fixed", prior_variance=1e8, scaling=scaling), SUM, 1e-4)
        for scaling in SCALINGS
    ),
    # all sources weigh the same, and the layer has the length of the plain sum
    Plain("bogc-laplace", CalibrationSettings(weights="mixed-certainty", mix=0.0), SUM),
]


def test_every_method_says_what_its_strength_is():
    assert {plain.method for plain in STRENGTHLESS} == set(METHODS)


@pytest.mark.parametrize(
    ("plain", "modalities"),
    [
        pytest.param(plain, n, id=f"{plain.method}-{n}")
        for plain in STRENGTHLESS
        for n in (2, 3)
        if (plain.method, n) not in REFUSED
    ],
)
def test_without_strength_it_is_plain_training(plain: Plain, modalities: int, device: torch.device):
    made = prepared(plain.method, modalities, device, plain.settings)
    made.model.zero_grad()
    found = backward(made, made.batch(20))
    made.model.zero_grad()
    reference = plain.reference(made.model.partition())
    expected = backward(made._replace(balancer=reference), made.batch(20))
    error, size = [], []
    for name, parameter in made.model.named_parameters():
        zero = torch.zeros_like(parameter)  # a weight of 0 may leave out what the reference has as 0
        error.append((found.get(name, zero) - expected.get(name, zero)).abs().max())
        size.append(expected.get(name, zero).abs().max())
    assert torch.stack(error).max() <= plain.rtol * torch.stack(size).max()
