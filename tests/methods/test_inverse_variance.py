from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from bogc.errors import RangeError
from bogc.gradients import Grouped, PerSample, Successive
from bogc.methods import InverseVariance, UnimodalSum, build_balancer
from bogc.methods.inverse_variance import InverseVarianceSettings, inverse_variance_weights
from tests.networks import PlainNetwork, RichNetwork, losses_of

from .methods import assert_gradients_close, frozen, gradient_of

variances = st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=4)


def column(values: list[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64).unsqueeze(1)


@given(values=variances)
def test_weights_are_reciprocal_variances(values: list[float]):
    """Theory 6.30."""
    v = column(values)
    torch.testing.assert_close(inverse_variance_weights(v), (1 / v) / (1 / v).sum(0))


@given(values=variances, data=st.data())
def test_no_other_weights_that_sum_to_one_have_less_variance(values: list[float], data: st.DataObject):
    """Of independent sources: the variance of the weighted sum is sum w^2 v, at least 1 / sum 1/v."""
    v = column(values)
    least = (inverse_variance_weights(v).square() * v).sum()
    torch.testing.assert_close(least, 1 / (1 / v).sum())
    other = column(data.draw(st.lists(st.floats(0.01, 1), min_size=len(values), max_size=len(values))))
    other = other / other.sum()
    assert least <= (other.square() * v).sum() * (1 + 1e-12)


@given(values=variances, factor=st.floats(1e-3, 1e3), power=st.floats(0, 3))
def test_a_common_scale_of_the_variances_changes_nothing(values: list[float], factor: float, power: float):
    v = column(values)
    scaled = inverse_variance_weights(factor * v, power)
    torch.testing.assert_close(scaled, inverse_variance_weights(v, power), rtol=1e-6, atol=1e-12)


@given(values=variances)
def test_power_zero_gives_equal_weights_and_powers_sharpen(values: list[float]):
    v = column(values)
    torch.testing.assert_close(inverse_variance_weights(v, 0.0), torch.full_like(v, 1 / len(values)))
    largest = [inverse_variance_weights(v, power).max().item() for power in (0.0, 0.5, 1.0, 2.0)]
    assert all(later >= earlier - 1e-12 for earlier, later in pairwise(largest))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_zero_variance_takes_all_the_weight_and_two_share_it(dtype: torch.dtype):
    v = torch.tensor([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [1.0, 2.0, 0.0]], dtype=dtype)
    expected = torch.tensor([[1.0, 0.5, 0.0], [0.0, 0.5, 0.5], [0.0, 0.0, 0.5]], dtype=dtype)
    torch.testing.assert_close(inverse_variance_weights(v), expected)


def rows_of(loss: Tensor, parameter: Tensor) -> Tensor | None:
    """Oracle: per-sample gradients by one autograd call a sample."""
    found = [torch.autograd.grad(value, parameter, retain_graph=True, allow_unused=True)[0] for value in loss]
    return None if found[0] is None else torch.stack(found)


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_it_is_the_formula_parameter_by_parameter(power: float):
    """S sum_s w_s g_s, with the variance of the batch mean from per-sample gradients."""
    model = RichNetwork()
    found = gradient_of(model, InverseVariance(model.partition(), PerSample(), power), losses_of(model))
    losses = losses_of(model)
    for name, parameter in model.named_parameters():
        rows = [row for row in (rows_of(loss, parameter) for loss in losses.values()) if row is not None]
        if not rows:
            assert name not in found
            continue
        precision = torch.stack([(row.var(0) / len(row)).clamp(min=1e-300) ** -power for row in rows])
        means = torch.stack([row.mean(0) for row in rows])
        expected = len(rows) * (precision / precision.sum(0) * means).sum(0)
        torch.testing.assert_close(found[name], expected, rtol=1e-8, atol=1e-12, msg=name)


@pytest.mark.parametrize("factor", [1e-4, 1e4])
def test_rescaling_all_losses_rescales_the_gradient(factor: float):
    model = PlainNetwork()
    balancers = [InverseVariance(model.partition(), Grouped(3)) for _ in range(2)]
    plain = gradient_of(model, balancers[0], losses_of(model))
    scaled = gradient_of(model, balancers[1], {s: factor * loss for s, loss in losses_of(model).items()})
    assert_gradients_close({n: g / factor for n, g in scaled.items()}, plain, 1e-9)


def test_the_warm_up_is_the_plain_sum_and_then_it_is_not():
    model = RichNetwork()
    balancer = InverseVariance(model.partition(), Successive(0.9))
    plain = UnimodalSum(model.partition())
    for seed in range(2):
        found = gradient_of(model, balancer, losses_of(model, seed=seed))
        assert_gradients_close(found, gradient_of(model, plain, losses_of(model, seed=seed)), 1e-12)
    found = gradient_of(model, balancer, losses_of(model, seed=3))
    expected = gradient_of(model, plain, losses_of(model, seed=3))
    assert not torch.allclose(found["image.0.weight"], expected["image.0.weight"])
    torch.testing.assert_close(found["fused.weight"], expected["fused.weight"])  # one source, weight 1


def test_a_missing_modality_keeps_its_state():
    model = PlainNetwork()
    balancer = InverseVariance(model.partition())
    for seed in range(2):
        balancer.backward(losses_of(model, seed=seed))
    before = frozen(balancer.state_dict()["state"])
    balancer.backward(losses_of(model, seed=2, without="sound"))
    after = frozen(balancer.state_dict()["state"])
    assert after["pairs"].keys() == before["pairs"].keys()
    for pair, kept in before["pairs"].items():
        source, block = pair.split("\n")
        assert (after["pairs"][pair] == kept) == (source == "sound" or block.startswith("sound"))


def test_constants_out_of_range():
    partition = PlainNetwork().partition()
    with pytest.raises(RangeError, match=r"strength must not be negative; found -0.5"):
        InverseVariance(partition, strength=-0.5)
    with pytest.raises(RangeError, match="decay must lie in"):
        build_balancer("inverse-variance", PlainNetwork(), InverseVarianceSettings(decay=1.0), 10)
