import copy
import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor, nn

from bogc.errors import NonFiniteError, RangeError
from bogc.gradients import ModalityPartition
from bogc.methods import MMPareto, ReleasedMMPareto, UnimodalSum
from bogc.methods.mmpareto import common_direction, lengthen, min_norm_weight, pareto_weight
from bogc.methods.separate import Jacobian
from tests.networks import NETWORKS, PlainNetwork, gradients_of, losses_of
from tests.oracles import mmpareto as oracle

from .methods import assert_gradients_close, frozen, gradient_of

SPELLINGS = {"paper": MMPareto, "released": ReleasedMMPareto}
NUMBERS = st.floats(-10, 10, allow_subnormal=False).filter(lambda x: x == 0 or abs(x) > 1e-3)
PAIRS = st.integers(1, 6).flatmap(
    lambda size: st.tuples(*[st.lists(NUMBERS, min_size=size, max_size=size)] * 2)
)


def pair(values: tuple[list[float], list[float]]) -> tuple[Tensor, Tensor]:
    return torch.tensor(values[0], dtype=torch.float64), torch.tensor(values[1], dtype=torch.float64)


def arrays(*gradients: Tensor) -> list[list[np.ndarray]]:
    return [[gradient.numpy()] for gradient in gradients]


def square(a: Tensor, b: Tensor, weight: float | Tensor) -> float:
    return (weight * a + (1 - weight) * b).square().sum().item()


def flat(parts: list[list[float]]) -> list[float]:
    return [number for part in parts for number in part]


class Given(nn.Module):
    """An encoder whose two gradients are given: losses linear in its tensors, one number a row."""

    def __init__(self, fused: list[list[float]], own: list[list[float]]) -> None:
        super().__init__()
        self.tensors = nn.ParameterList([torch.zeros(len(part)) for part in fused])
        self.head = nn.Linear(1, 1)
        self.rows = {"fusion": torch.tensor(flat(fused)), "only": torch.tensor(flat(own))}

    def losses(self) -> dict[str, Tensor]:
        tensors = torch.cat(list(self.tensors))
        found = {source: (row.to(tensors) * tensors).sum().expand(3) for source, row in self.rows.items()}
        return {**found, "fusion": found["fusion"] + self.head(tensors.new_ones(1))}

    def partition(self) -> ModalityPartition:
        return ModalityPartition({"only": self.tensors}, shared=self.head, model=self)


def step(spelling: str, fused: list[list[float]], own: list[list[float]]) -> list[list[float]]:
    network = Given(fused, own)
    SPELLINGS[spelling](network.partition()).backward(network.losses())
    return [tensor.grad.tolist() for tensor in network.tensors]


# the weight


@given(PAIRS)
def test_the_weight_gives_the_shortest_combination(values):
    a, b = pair(values)
    weight = min_norm_weight(a, b)
    assert 0 <= weight <= 1
    searched = oracle.shortest_weight(*arrays(a, b))
    assert square(a, b, weight) <= square(a, b, searched) + 1e-9
    if (a - b).norm() > 1e-2:
        assert weight.item() == pytest.approx(searched, abs=1e-4)


@given(PAIRS)
def test_the_shortest_combination_descends_for_both(values):
    """Theory 6.17: both products are at least the square of its length."""
    a, b = pair(values)
    weight = min_norm_weight(a, b)
    d = weight * a + (1 - weight) * b
    slack = 1e-12 * (1 + a.norm() * d.norm() + b.norm() * d.norm())
    assert d.dot(a) >= d.dot(d) - slack
    assert d.dot(b) >= d.dot(d) - slack


@given(PAIRS)
def test_the_released_weight_is_that_of_the_transcription(values):
    a, b = pair(values)
    assume(a.norm() > 0 or b.norm() > 0)
    found = pareto_weight(a, b, edge=0.001).item()
    assert found == pytest.approx(oracle.released_weight(*arrays(a, b)), rel=1e-10)


def test_equal_gradients_weigh_alike_and_zero_takes_all():
    a, zero = torch.tensor([1.0, -2.0]), torch.zeros(2)
    assert min_norm_weight(a, a).item() == min_norm_weight(zero, zero).item() == 0.5
    assert min_norm_weight(zero, a).item() == 1
    assert min_norm_weight(a, zero).item() == 0
    assert min_norm_weight(zero, a, 0.001).item() == 0.999
    assert min_norm_weight(a, zero, 0.001).item() == 0.001


# the paper's spelling


@given(PAIRS)
def test_paper_lowers_both_losses_and_has_the_length_of_the_sum(values):
    a, b = pair(values)
    fused, own = [a.tolist()], [b.tolist()]
    g = torch.tensor(step("paper", fused, own)[0])
    weight = 0.5 if a.dot(b) > 0 else oracle.shortest_weight(*arrays(a, b))
    h = weight * a + (1 - weight) * b
    slack = 1e-10 * (1 + g.norm() * (a.norm() + b.norm()))
    assert g.dot(a) >= -slack
    assert g.dot(b) >= -slack
    if h.norm() > 1e-6:
        assert g.norm().item() == pytest.approx(1.5 * (a + b).norm().item(), rel=1e-9)
        torch.testing.assert_close(g / g.norm(), h / h.norm(), rtol=0, atol=1e-6)


@given(PAIRS, st.integers(1, 5))
def test_paper_does_not_depend_on_how_an_encoder_is_cut_into_tensors(values, cut):
    a, b = values
    assume(len(a) > cut)
    whole = step("paper", [a], [b])[0]
    parts = step("paper", [a[:cut], a[cut:]], [b[:cut], b[cut:]])
    assert flat(parts) == pytest.approx(whole, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_equal_gradients_give_three_times_their_own(spelling):
    a = [[1.0, -2.0, 0.5]]
    assert step(spelling, a, a)[0] == pytest.approx([3.0, -6.0, 1.5])


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_zero_gradient_leaves_the_other_lengthened(spelling):
    a, zero = [[1.0, -2.0], [3.0]], [[0.0, 0.0], [0.0]]
    for found in (step(spelling, a, zero), step(spelling, zero, a)):
        expected = oracle.released_gradients(*[[np.array(part) for part in side] for side in (a, zero)])
        if spelling == "paper":  # the other's weight is 1: the shortest vector is zero
            assert found == zero
        else:
            assert flat(found) == pytest.approx(np.concatenate(expected).tolist())
            assert flat(found) == pytest.approx([1.5, -3.0, 4.5])


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_two_zero_gradients_stay_zero(spelling):
    assert step(spelling, [[0.0, 0.0]], [[0.0, 0.0]]) == [[0.0, 0.0]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@given(
    seed=st.integers(0, 10**6), size=st.sampled_from([1, 3, 40, 600, 20_000]), ratio=st.floats(0.001, 1000)
)
def test_opposed_gradients_have_no_direction_not_even_that_of_rounding(dtype, seed, size, ratio):
    a = torch.randn(size, generator=torch.Generator().manual_seed(seed)).to(dtype)
    b = -ratio * a
    assert not common_direction(a, b, pareto_weight(a, b)).any()


@given(PAIRS)
def test_a_common_direction_descends_for_both(values):
    a, b = pair(values)
    h = common_direction(a, b, pareto_weight(a, b))
    assert h.dot(a) >= -1e-12 * a.norm() * h.norm()
    assert h.dot(b) >= -1e-12 * b.norm() * h.norm()


@given(PAIRS, st.floats(0.1, 3))
def test_lengthening_never_shortens_nor_turns(values, factor):
    direction, plain = pair(values)
    found = lengthen(direction, plain, factor)
    if direction.norm() == 0:
        assert not found.any()
    else:
        longest = factor * max(direction.norm(), plain.norm())
        assert found.norm().item() == pytest.approx(longest.item(), rel=1e-12)
        torch.testing.assert_close(found / found.norm(), direction / direction.norm())


# the released spelling


def test_released_raises_a_loss_in_the_counterexample_and_the_paper_does_not():
    """Theory 6.20: two tensors of one number each."""
    fused, own = [[2.0], [-1.0]], [[-5.0], [9.0]]
    found = step("released", fused, own)
    assert found == [[pytest.approx(4.5, rel=1e-14)], [pytest.approx(12.0, rel=1e-14)]]
    assert 2 * found[0][0] - found[1][0] == pytest.approx(-3, rel=1e-13)
    (first,), (second,) = step("paper", fused, own)
    assert 2 * first - second > 0
    assert 9 * second - 5 * first > 0


@given(PAIRS, PAIRS)
def test_released_equals_the_transcription_tensor_by_tensor(first, second):
    fused, own = [first[0], second[0]], [first[1], second[1]]
    numbers = [[np.array(part) for part in side] for side in (fused, own)]
    weight = oracle.released_weight(*numbers)
    mixed = [weight * a + (1 - weight) * b for a, b in zip(*numbers, strict=True)]
    assume(all(np.linalg.norm(h) > 1e-9 for h in mixed))  # else the released code divides by rounding
    found = step("released", fused, own)
    for part, expected in zip(found, oracle.released_gradients(*numbers), strict=True):
        assert part == pytest.approx(expected.tolist(), rel=1e-8, abs=1e-10)


@pytest.mark.parametrize("turned", [False, True], ids=["agreeing", "conflicting"])
@pytest.mark.parametrize("network", NETWORKS)
def test_released_equals_the_transcription_on_a_network(network, turned):
    model = NETWORKS[network]()
    conflicts = 0
    for seed in range(4):
        losses = losses_of(model, seed=seed)
        if turned:  # the fused loss pulls the other way
            losses["fusion"] = -losses["fusion"]
        drawn = {source: separate(model, loss) for source, loss in losses.items()}
        expected: dict[str, Tensor] = {}
        for gradients in drawn.values():
            for name, gradient in gradients.items():
                expected[name] = expected.get(name, 0) + gradient
        for modality in ("image", "sound"):
            names = [name for name in drawn["fusion"] if name.startswith(f"{modality}.")]
            fused, own = [[drawn[source][name].numpy() for name in names] for source in ("fusion", modality)]
            conflicts += oracle.dot(fused, own) < 0
            made = oracle.released_gradients(fused, own)
            expected |= {name: torch.tensor(gradient) for name, gradient in zip(names, made, strict=True)}
        found = gradient_of(model, ReleasedMMPareto(model.partition()), losses)
        assert_gradients_close(found, expected, 1e-10)
    assert 0 < conflicts < 8


def separate(model: nn.Module, loss: Tensor) -> dict[str, Tensor]:
    named = dict(model.named_parameters())
    drawn = torch.autograd.grad(loss.mean(), list(named.values()), retain_graph=True, allow_unused=True)
    return {name: gradient for name, gradient in zip(named, drawn, strict=True) if gradient is not None}


# both


class Together(nn.Module):
    """Both encoders end in a trunk that all three losses pass through."""

    def __init__(self) -> None:
        super().__init__()
        self.image, self.sound, self.trunk = nn.Linear(5, 4), nn.Linear(6, 4), nn.Linear(4, 3)

    def losses(self) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(0)
        image = self.image(torch.randn(7, 5, generator=generator)).tanh()
        sound = self.sound(torch.randn(7, 6, generator=generator)).tanh()
        parts = {"fusion": image * sound, "image": image, "sound": sound}
        return {source: self.trunk(x).logsumexp(1) for source, x in parts.items()}

    def partition(self) -> ModalityPartition:
        return ModalityPartition({"image": self.image, "sound": self.sound}, shared=self.trunk, model=self)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_trunk_of_three_sources_keeps_the_plain_sum(spelling):
    network = Together()
    found = gradient_of(network, SPELLINGS[spelling](network.partition()), network.losses())
    expected = gradient_of(network, UnimodalSum(network.partition()), network.losses())
    torch.testing.assert_close(found["trunk.weight"], expected["trunk.weight"], rtol=1e-12, atol=1e-14)
    assert not torch.allclose(found["image.weight"], expected["image.weight"])


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("network", NETWORKS)
def test_without_strength_it_is_the_plain_sum(network, spelling):
    model = NETWORKS[network]()
    found = gradient_of(model, SPELLINGS[spelling](model.partition(), strength=0.0), losses_of(model))
    expected = gradient_of(model, UnimodalSum(model.partition()), losses_of(model))
    assert_gradients_close(found, expected, 1e-12)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_the_weight_of_the_fusion_is_reported_whatever_the_order_of_losses(spelling):
    network = PlainNetwork()
    losses = losses_of(network)
    first = SPELLINGS[spelling](network.partition()).backward(losses)
    second = SPELLINGS[spelling](network.partition()).backward(dict(reversed(losses_of(network).items())))
    assert set(first.factors) == {"image", "sound"}
    assert frozen(second.factors) == pytest.approx(frozen(first.factors))
    conflicting = Given([[2.0], [-1.0]], [[-5.0], [9.0]])
    for order in (list, reversed):
        info = SPELLINGS[spelling](conflicting.partition()).backward(
            dict(order(conflicting.losses().items()))
        )
        assert info.factors["only"].item() == pytest.approx((106 + 19) / 149)  # |b|^2 - ab over |a - b|^2


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_missing_modality_leaves_the_rest_as_it_was(spelling):
    network = PlainNetwork()
    found = gradient_of(
        network, SPELLINGS[spelling](network.partition()), losses_of(network, without="sound")
    )
    assert not any(name.startswith("sound") for name in found)
    assert any(name.startswith("image.") for name in found)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_nan_changes_nothing(spelling):
    network = PlainNetwork()
    balancer = SPELLINGS[spelling](network.partition())
    balancer.backward(losses_of(network))
    before = copy.deepcopy(gradients_of(network))
    losses = losses_of(network)
    with pytest.raises(NonFiniteError, match=r"losses\['image'\] must be finite"):
        balancer.backward({**losses, "image": losses["image"] * math.nan})
    assert all(torch.equal(gradient, before[name]) for name, gradient in gradients_of(network).items())


@pytest.mark.parametrize("wrong", [{"factor": 0.0}, {"factor": -1.0}, {"strength": 1.1}, {"strength": -0.1}])
def test_constants_have_their_ranges(wrong):
    (name,) = wrong
    with pytest.raises(RangeError, match=f"^{name} must (be positive|lie in)"):
        MMPareto(PlainNetwork().partition(), **wrong)


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_other_dtypes_and_devices(dtype, spelling, device):
    network = Given([[2.0], [-1.0]], [[-5.0], [9.0]]).to(device, dtype)
    SPELLINGS[spelling](network.partition()).backward(network.losses())
    expected = step(spelling, [[2.0], [-1.0]], [[-5.0], [9.0]])
    found = [tensor.grad for tensor in network.tensors]
    assert all(g.dtype == dtype for g in found)
    loose = 1e-5 if dtype == torch.float32 else 0.05
    assert [g.tolist() for g in found] == [pytest.approx(part, rel=loose) for part in expected]


def test_a_jacobian_is_cut_where_its_tensors_end():
    """The released spelling sees the tensors of all layers of an encoder, not its layers."""
    network = PlainNetwork()
    (block,) = [b for b in network.partition().blocks if b.name == "image.0"]
    rows = torch.randn(2, block.size)
    sizes = [p.numel() for p in block.parameters]
    tensors = [slice(0, sizes[0]), slice(sizes[0], sum(sizes))]
    jacobian = Jacobian("image", ("fusion", "image"), rows, tensors)
    found, _ = ReleasedMMPareto(network.partition()).direction(jacobian)
    expected = oracle.released_gradients(*[[p.numpy() for p in row.split(sizes)] for row in rows])
    assert found.tolist() == pytest.approx(np.concatenate(expected).tolist(), rel=1e-10)
