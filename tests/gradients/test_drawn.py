"""Drawn moments against exact Gaussians, the delta method, a slow spelling, and what they must not change."""

import copy
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.functional import hessian as hessian_of
from torch.nn import functional

from bogc.errors import (
    LossError,
    NonFiniteError,
    PartitionError,
    RangeError,
    UnsuitableError,
)
from bogc.gradients import Closure, Drawn, GradientGroup, ModalityPartition, Reevaluation
from bogc.gradients.drawn import laplace_variance, nearest, normal_draw
from tests.networks import PlainNetwork, RichNetwork, losses_of

Pairs = dict[tuple[str, str], Tensor]


def measured(
    estimator: Drawn, partition: ModalityPartition, closure: Closure, unit: float = 1.0
) -> list[GradientGroup]:
    again = Reevaluation(closure, partition)
    return estimator.bound(again, estimator.step).measure(again.losses, partition, unit, {})


def taken(groups: list[GradientGroup], values: str) -> Pairs:
    return {pair: v for group in groups for pair, v in group.layout.take(getattr(group, values)).items()}


class Quadratic:
    """Losses w_n (phi - c)^T H (phi - c) / 2 with mean weight 1: one parameter vector, a Hessian H."""

    def __init__(self, size: int = 4, samples: int = 5) -> None:
        generator = torch.Generator().manual_seed(0)
        root = torch.randn(size, size, generator=generator)
        self.hessian, self.minimum = root @ root.T / size, torch.randn(size, generator=generator)
        self.weights = torch.rand(samples, generator=generator) + 0.5
        self.weights /= self.weights.mean()
        self.layer = nn.ParameterList([nn.Parameter(torch.ones(size))])
        self.partition = ModalityPartition({"image": self.layer})

    def closure(self) -> dict[str, Tensor]:
        gap = self.layer[0] - self.minimum
        return {"fusion": self.weights * (gap @ self.hessian @ gap) / 2}

    def exact(self, damping: float) -> tuple[Tensor, Tensor]:
        """Mean H (phi_hat - c) and covariance H Sigma H of the gradient."""
        gradient = self.hessian @ (self.layer[0].detach() - self.minimum)
        fisher = self.weights.square().mean() * gradient.square()
        return gradient, self.hessian @ torch.diag(1 / (fisher + damping)) @ self.hessian


def test_a_quadratic_loss_gives_its_exact_gaussian():
    """Means have standard error sqrt(v / S), variances v sqrt(2 / (S - 1)): 8 comparisons at 4.71 of them
    (2.5e-6 each) fail together with probability 2e-5."""
    problem, draws = Quadratic(), 8000
    (group,) = measured(Drawn(draws, damping=0.5), problem.partition, problem.closure)
    mean, covariance = problem.exact(0.5)
    variance, found = torch.diag(covariance), group.scatter[0, :4] / (draws - 1)
    assert bool(((group.drawn[0, :4] - mean).abs() < 4.71 * (variance / draws).sqrt()).all())
    assert bool(((found / variance - 1).abs() < 4.71 * (2 / (draws - 1)) ** 0.5).all())
    torch.testing.assert_close(group.gradients[0, :4], mean)


class Softmax:
    """A linear softmax head on fixed features, and its derivatives by hand."""

    def __init__(self, dtype: torch.dtype = torch.float64) -> None:
        generator = torch.Generator().manual_seed(1)
        self.features = torch.randn(7, 2, generator=generator, dtype=torch.float64).to(dtype)
        self.targets = torch.randint(3, (7,), generator=generator)
        self.head = nn.Linear(2, 3, bias=False, dtype=dtype)
        with torch.no_grad():
            self.head.weight.copy_(torch.randn(3, 2, generator=generator, dtype=torch.float64))
        self.partition = ModalityPartition({"image": self.head})

    def closure(self) -> dict[str, Tensor]:
        return {"fusion": functional.cross_entropy(self.head(self.features), self.targets, reduction="none")}

    def by_hand(self) -> tuple[Tensor, Tensor]:
        """Mean squared score [6], Hessian [6, 6]: score (p - y) x^T, Hessian (diag p - p p^T) (x) x x^T."""
        fisher, hessian = torch.zeros(6), torch.zeros(6, 6)
        for x, y in zip(self.features.double(), self.targets, strict=True):
            p = (self.head.weight.detach().double() @ x).softmax(0)
            error = p - functional.one_hot(y, 3)
            fisher += torch.outer(error, x).flatten().square() / 7
            hessian += torch.kron(torch.diag(p) - torch.outer(p, p), torch.outer(x, x)) / 7
        return fisher, hessian


@pytest.mark.parametrize("vectorize", [False, True])
def test_scales_of_a_softmax_head_are_those_by_hand(vectorize: bool):
    problem = Softmax()
    found = Drawn(damping=0.3, vectorize=vectorize).scales(problem.closure(), problem.partition)
    expected = (problem.by_hand()[0] + 0.3).rsqrt()
    torch.testing.assert_close(found[problem.head.weight].flatten(), expected)


def test_many_draws_of_a_sharp_posterior_are_the_delta_method():
    """With delta = 1e6 the gradient is locally linear: v = H Sigma H, by hand. 6 variances at 4.65 standard
    errors sqrt(2 / (S - 1)) fail together with probability 2e-5; the next term of the expansion is 1e-6."""
    problem, draws = Softmax(), 4000
    (group,) = measured(Drawn(draws, damping=1e6), problem.partition, problem.closure)
    fisher, hessian = problem.by_hand()
    delta = (hessian.square() * laplace_variance(fisher, 1e6)).sum(1)
    found = group.scatter[0, :6] / (draws - 1)
    assert bool(((found / delta - 1).abs() < 4.65 * (2 / (draws - 1)) ** 0.5).all())


def test_a_wide_posterior_is_not_the_delta_method():
    """At delta = 1 a draw is about one unit away, where the softmax has other curvature."""
    problem = Softmax()
    (group,) = measured(Drawn(2000), problem.partition, problem.closure)
    fisher, hessian = problem.by_hand()
    delta = (hessian.square() * laplace_variance(fisher, 1.0)).sum(1)
    ratio = group.scatter[0, :6] / 1999 / delta
    assert bool(((ratio < 0.9) | (ratio > 1.1)).any())


def slow(
    network: PlainNetwork | RichNetwork, estimator: Drawn, heads: dict[str, nn.Linear], unit: float
) -> tuple[Pairs, Pairs]:
    """Mean and scatter by copies of the network, one a draw: the same draws, no replacing, no merging."""
    losses, generator = losses_of(network), torch.Generator().manual_seed(estimator.seed * 1_000_003)
    scales: dict[str, Tensor] = {}
    names = {id(p): name for name, p in network.named_parameters()}
    for source, head in heads.items():
        for parameter in head.parameters():
            scores = [torch.autograd.grad(loss, parameter, retain_graph=True)[0] for loss in losses[source]]
            fisher = torch.stack(scores).square().mean(0)
            scales[names[id(parameter)]] = (fisher + estimator.damping).rsqrt()
    rows: dict[tuple[str, str], list[Tensor]] = {}
    for _ in range(estimator.draws):
        other = copy.deepcopy(network)
        with torch.no_grad():
            for name, scale in scales.items():
                own = other.get_parameter(name)
                own += scale * torch.randn(own.shape, generator=generator)
        for source, loss in losses_of(other).items():
            for block in other.partition().blocks:
                found = torch.autograd.grad(
                    loss.mean() / unit, block.parameters, retain_graph=True, allow_unused=True
                )
                if any(g is not None for g in found):
                    flat = [
                        torch.zeros_like(p) if g is None else g
                        for p, g in zip(block.parameters, found, strict=True)
                    ]
                    rows.setdefault((source, block.name), []).append(torch.cat([g.flatten() for g in flat]))
    stacked = {pair: torch.stack(found) for pair, found in rows.items()}
    means = {pair: found.mean(0) for pair, found in stacked.items()}
    return means, {pair: (found - means[pair]).square().sum(0) for pair, found in stacked.items()}


@pytest.mark.parametrize("kind", [PlainNetwork, RichNetwork])
@pytest.mark.parametrize("unit", [1.0, 0.25])
def test_moments_are_those_of_a_copy_of_the_network_a_draw(kind: type, unit: float):
    network, estimator = kind(), Drawn(4, damping=0.5, seed=7)
    groups = measured(estimator, network.partition(), lambda: losses_of(network), unit)
    heads = {"fusion": network.fused, "image": network.image_head, "sound": network.sound_head}
    for values, expected in zip(("drawn", "scatter"), slow(network, estimator, heads, unit), strict=True):
        found = taken(groups, values)
        assert found.keys() == expected.keys()
        for pair, value in expected.items():
            torch.testing.assert_close(found[pair], value, rtol=1e-8, atol=1e-12, msg=f"{values} {pair}")
    for group in groups:
        assert group.freedom == dict.fromkeys(losses_of(network), 3)
        assert group.counts == dict.fromkeys(losses_of(network), 1)


def test_features_may_be_cached():
    """A closure from the features on: the same moments, and encoders have gradients too."""
    network = PlainNetwork()
    partition = network.partition()
    whole = measured(Drawn(3), partition, lambda: losses_of(network))
    kept: dict[str, Tensor] = {}
    hooks = [
        getattr(network, name).register_forward_hook(lambda m, i, o, name=name: kept.setdefault(name, o))
        for name in ("image", "sound")
    ]
    cached = measured(Drawn(3), partition, lambda: losses_of(network))  # hooks give the first features again
    for hook in hooks:
        hook.remove()
    assert {"image", "sound"} == kept.keys()
    for values in ("gradients", "drawn", "scatter"):
        for pair, value in taken(whole, values).items():
            torch.testing.assert_close(taken(cached, values)[pair], value)


def test_heads_are_found_and_may_be_said():
    network = RichNetwork()
    losses, partition = losses_of(network), network.partition()
    names = {
        s: [f"{n}.weight", f"{n}.bias"]
        for s, n in (("fusion", "fused"), ("image", "image_head"), ("sound", "sound_head"))
    }
    assert Drawn().shown(losses, partition) == names
    said = Drawn(heads={"fusion": network.tied}).shown(losses, partition)
    assert said == names | {"fusion": ["tied.weight", "tied.bias"]}
    assert "heads=" in repr(Drawn(heads={"fusion": network.tied}))


def test_nearest_layers_are_all_that_are_equally_near():
    """A sum of heads has as many last layers as summands."""
    one, two, before = nn.Linear(3, 1), nn.Linear(3, 1), nn.Linear(3, 3)
    partition = ModalityPartition({"image": [one, two, before]})
    hidden = before(torch.ones(5, 3))
    loss = torch.stack([one(hidden), two(hidden)]).sum(0).squeeze(1)
    assert set(map(id, nearest(loss, partition))) <= {id(p) for p in (*one.parameters(), *two.parameters())}
    layer = Drawn().last_layers({"fusion": loss}, partition)["fusion"]
    assert set(map(id, layer)) == {id(p) for p in (*one.parameters(), *two.parameters())}
    assert nearest(torch.ones(3), partition) == []


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
def test_a_layer_is_nearer_than_what_is_added_before_it(bias: bool, dtype: torch.dtype | None):
    """Whether or not its weights are transposed and cast on their way into the product."""
    shift, head = nn.ParameterList([nn.Parameter(torch.ones(3))]), nn.Linear(3, 2, bias=bias)
    partition = ModalityPartition({"image": [shift, head]})
    with torch.autocast("cpu", dtype=dtype, enabled=dtype is not None):
        loss = head(torch.ones(4, 3) + shift[0]).double().square().sum(1)
    assert all(
        p in set(head.parameters()) for p in Drawn().last_layers({"fusion": loss}, partition)["fusion"]
    )


def test_sources_with_one_last_layer_add_their_fisher():
    head = nn.Linear(3, 1)
    partition = ModalityPartition({"image": head})
    losses = {s: head(torch.randn(6, 3)).squeeze(1).square() for s in ("fusion", "image")}
    alone = [Drawn().scales({s: loss}, partition)[head.weight].pow(-2) - 1 for s, loss in losses.items()]
    together = Drawn().scales(losses, partition)[head.weight].pow(-2) - 1
    torch.testing.assert_close(together, alone[0] + alone[1])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_draws_are_repeatable_and_differ_between_steps_and_seeds(dtype: torch.dtype):
    problem = Softmax(dtype)

    def run(estimator: Drawn) -> Tensor:
        (group,) = measured(estimator, problem.partition, problem.closure)
        assert group.scatter.dtype == torch.promote_types(dtype, torch.float32)
        return group.drawn

    first = run(Drawn(3))
    state = torch.get_rng_state()
    assert torch.equal(run(Drawn(3)), first)
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(run(Drawn(3, step=1)), first)
    assert not torch.equal(run(Drawn(3, seed=1)), first)


def test_float32_is_float64_to_rounding():
    """The draws are others, so the same are given: with damping 1e12 they hardly move."""
    found = [
        taken(measured(Drawn(2, 1e12), p.partition, p.closure), "drawn")
        for p in (Softmax(), Softmax(torch.float32))
    ]
    for pair, value in found[0].items():
        torch.testing.assert_close(found[1][pair].double(), value, rtol=1e-4, atol=1e-6)


def test_a_linear_loss_has_no_variance():
    """Its gradient is the same at all parameters: certain, whatever the noise of the batch."""
    layer = nn.Linear(3, 1)
    inputs = torch.randn(6, 3)
    (group,) = measured(
        Drawn(), ModalityPartition({"image": layer}), lambda: {"fusion": layer(inputs).squeeze(1)}
    )
    assert float(group.scatter.max()) < 1e-28


def test_a_normal_draw_has_location_and_scale():
    """10,000 numbers: mean within 4.9, variance within 4.9 standard errors, each failing with 1e-6."""
    found = normal_draw(
        torch.full((10_000,), 3.0), torch.full((10_000,), 2.0), torch.Generator().manual_seed(0)
    )
    assert abs(float(found.mean()) - 3) < 4.9 * 2 / 100
    assert abs(float(found.var()) / 4 - 1) < 4.9 * (2 / 9999) ** 0.5


def test_laplace_variance_is_the_inverse_curvature():
    hessian = hessian_of(lambda t: (3 * t**2 / 2 + 0.5 * t**2 / 2).sum(), torch.zeros(1))
    assert float(laplace_variance(torch.tensor(3.0), 0.5)) == pytest.approx(1 / float(hessian))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Drawn(0), RangeError, "draws must be at least 2 for a variance; found 0. Use 8"),
        (lambda: Drawn(1), RangeError, "draws must be at least 2"),
        (lambda: Drawn(damping=0.0), RangeError, "damping must be positive and finite; found 0.0. Use 1"),
        (lambda: Drawn(damping=-1.0), RangeError, "damping must be positive and finite; found -1"),
    ],
)
def test_impossible_settings_are_refused(make: Callable[[], Drawn], error: type, message: str):
    with pytest.raises(error, match=message):
        make()


def test_without_a_closure_it_is_refused():
    network = PlainNetwork()
    with pytest.raises(
        LossError, match=r"losses must be a closure, to be evaluated at draws; .* Call backward\(lambda"
    ):
        Drawn().measure(losses_of(network), network.partition(), 1.0, {})


def test_a_source_without_a_last_layer_is_named():
    network = PlainNetwork()
    partition, losses = network.partition(), losses_of(network)
    outside = torch.zeros(12, requires_grad=True)
    message = (
        r"losses\['image'\] must reach a last layer with trainable parameters; found none. Name it: heads"
    )
    with pytest.raises(PartitionError, match=message):
        Drawn().scales(losses | {"image": 2 * outside}, partition)
    with pytest.raises(PartitionError, match=r"losses\['image'\] must reach .* found Linear.*sound|Linear"):
        Drawn(heads={"image": network.sound_head}).scales(losses, partition)
    with pytest.raises(PartitionError, match=r"losses\['image'\] must reach"):
        Drawn(heads={"image": nn.Linear(2, 2)}).scales(losses, partition)
    with pytest.raises(PartitionError, match=r"heads must be of the sources .* found \['smell'\]"):
        Drawn(heads={"smell": network.fused}).scales(losses, partition)


def test_infinity_at_a_draw_is_refused():
    layer = nn.Linear(2, 1)

    def closure() -> dict[str, Tensor]:
        return {"fusion": (400 * layer(torch.ones(3, 2)).squeeze(1)).square().exp()}

    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
    with pytest.raises(NonFiniteError, match="gradient at draws of the last layers must be finite"):
        measured(Drawn(), ModalityPartition({"image": layer}), closure)
    assert not bool(layer.weight.any())


def test_other_layers_at_a_draw_are_refused():
    network, calls = PlainNetwork(), []

    def closure() -> dict[str, Tensor]:
        calls.append(1)
        losses = losses_of(network)
        return losses if len(calls) == 1 else losses | {"image": losses["fusion"] * 2}

    with pytest.raises(LossError, match="closure must reach the same layers at every draw"):
        measured(Drawn(), network.partition(), closure)


class Unbatched(torch.autograd.Function):
    """An operation without a rule for many rows at once."""

    @staticmethod
    def forward(ctx, value):
        return value.clone()

    @staticmethod
    def backward(ctx, gradient):
        return torch.from_numpy(gradient.numpy().copy())


def test_an_operator_that_cannot_be_vectorised_is_explained():
    layer = nn.Linear(2, 1)
    partition = ModalityPartition({"image": layer})

    def closure() -> dict[str, Tensor]:
        return {"fusion": Unbatched.apply(layer(torch.ones(3, 2)).squeeze(1)).square()}

    with pytest.raises(UnsuitableError, match=r"loss must be vectorisable .* Use Drawn\(vectorize=False\)"):
        measured(Drawn(), partition, closure)
    assert measured(replace(Drawn(), vectorize=False), partition, closure)
