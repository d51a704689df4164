import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from bogc.errors import NonFiniteError, RangeError, UnsuitableError
from bogc.methods import JacobianDescent, UnimodalSum
from bogc.methods.jacobian_descent import AGGREGATORS as MAKERS
from bogc.methods.jacobian_descent import JacobianDescentSettings, at_unit_length, cagrad
from bogc.methods.registry import build_balancer
from tests.networks import PlainNetwork, RichNetwork, losses_of

from .methods import assert_gradients_close, gradient_of

aggregation = pytest.importorskip("torchjd.aggregation")
DIRECT = {
    "upgrad": aggregation.UPGrad,
    "mgda": aggregation.MGDA,
    "pcgrad": aggregation.PCGrad,
    "cagrad": lambda: aggregation.CAGrad(c=0.5),
    "nash-mtl": lambda: aggregation.NashMTL(n_tasks=2),
}
AGGREGATORS = {name: make for name, (make, _) in MAKERS.items()}
all_aggregators = pytest.mark.parametrize("name", AGGREGATORS)
ignore_solver = pytest.mark.filterwarnings("ignore::UserWarning")  # of torchjd's Nash-MTL, called directly


def rows_of(model: RichNetwork, owner: str) -> tuple[Tensor, list[str]]:
    """Gradients of the fusion and of the owner's own loss in its encoder, by autograd, and the names."""
    named = {n: p for n, p in model.named_parameters() if n.startswith(f"{owner}.")}
    losses = losses_of(model)
    found = [
        torch.autograd.grad(losses[s].mean(), list(named.values()), retain_graph=True)
        for s in ("fusion", owner)
    ]
    return torch.stack([torch.cat([g.reshape(-1) for g in gradients]) for gradients in found]), list(named)


@all_aggregators
@ignore_solver
@pytest.mark.parametrize("strength", [1.0, 0.3])
def test_each_encoder_gets_torchjds_own_aggregation_of_its_two_gradients(name: str, strength: float):
    model = RichNetwork()
    balancer = build_balancer(name, model, JacobianDescentSettings(strength=strength), 1)
    found = gradient_of(model, balancer, losses_of(model))
    for owner in ("image", "sound"):
        rows, names = rows_of(model, owner)
        expected = (1 - strength) * rows.sum(0) + strength * DIRECT[name]()(rows)
        actual = torch.cat([found[n].reshape(-1) for n in names])
        torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4 * expected.abs().max().item())


@all_aggregators
def test_where_one_loss_arrives_its_gradient_is_kept(name: str):
    model = RichNetwork()
    found = gradient_of(model, build_balancer(name, model, JacobianDescentSettings(), 1), losses_of(model))
    plain = gradient_of(model, UnimodalSum(model.partition()), losses_of(model))
    single = [n for n in plain if not n.startswith(("image.", "sound."))]
    assert {n.split(".")[0] for n in single} == {"image_head", "sound_head", "fused", "tied"}
    assert_gradients_close({n: found[n] for n in single}, {n: plain[n] for n in single}, 1e-12)


@all_aggregators
def test_a_missing_modality_leaves_its_modules_alone(name: str):
    model = PlainNetwork()
    balancer = build_balancer(name, model, JacobianDescentSettings(), 1)
    found = gradient_of(model, balancer, losses_of(model, without="sound"))
    assert {n.split(".")[0] for n in found} == {"image", "image_head", "fused"}


@all_aggregators
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_gradient_at_all_gives_none(name: str, dtype: torch.dtype):
    """As in a dead encoder; torchjd's Nash-MTL would fail there."""
    rows = torch.zeros(2, 5, dtype=dtype)
    assert torch.equal(AGGREGATORS[name]()(rows), rows[0])


@all_aggregators
@pytest.mark.parametrize(
    "rows", [[[1.0, 2.0], [-1.0, -2.0]], [[1.0, 2.0], [1.0, 2.0]], [[0.0, 0.0], [1.0, 2.0]]]
)
def test_opposed_equal_and_vanishing_gradients_give_a_finite_direction(name: str, rows: list[list[float]]):
    assert bool(AGGREGATORS[name]()(torch.tensor(rows)).isfinite().all())


@pytest.mark.parametrize("name", ["upgrad", "cagrad", "pcgrad"])
@settings(max_examples=10)
@given(exponent=st.floats(-9, 9), seed=st.integers(0, 99))
def test_short_gradients_are_aggregated_as_long_ones(name: str, exponent: float, seed: int):
    """Positively homogeneous; torchjd's CAGrad returns zero for rows shorter than about 0.01."""
    rows = torch.randn(2, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    found = AGGREGATORS[name]()(10**exponent * rows)
    torch.testing.assert_close(found / 10**exponent, AGGREGATORS[name]()(rows), rtol=1e-4, atol=1e-4)


def test_unit_length_shows_the_aggregator_rows_of_length_one():
    seen = []

    def first(rows: Tensor) -> Tensor:
        seen.append(rows.norm().item())
        return rows[0]

    rows = torch.tensor([[3e-7, 0.0], [0.0, 4e-7]])
    torch.testing.assert_close(at_unit_length(first)(rows), rows[0])
    assert seen == [pytest.approx(1)]


def test_nash_mtl_carries_nothing_from_step_to_step():
    aggregate = AGGREGATORS["nash-mtl"]()
    rows = [torch.randn(2, 5), torch.randn(2, 5)]
    first = aggregate(rows[0])
    aggregate(rows[1])
    assert torch.equal(aggregate(rows[0]), first)


@pytest.mark.parametrize("name", AGGREGATORS)
def test_gradients_whose_squares_overflow_never_reach_the_aggregator(name: str):
    model = PlainNetwork().float()
    balancer = build_balancer(name, model, JacobianDescentSettings(), 1)
    losses = {source: 1e25 * loss for source, loss in losses_of(model).items()}
    with pytest.raises(NonFiniteError, match=r"gradient of losses\[.* must be finite"):
        balancer.backward(losses)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_without_torchjd_it_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "torchjd", None)
    with pytest.raises(UnsuitableError, match=r"needs torchjd with its solvers; found .*torchjd.* Run pip"):
        build_balancer("mgda", PlainNetwork(), JacobianDescentSettings(), 1)


@pytest.mark.parametrize(
    ("name", "solver"), [("upgrad", "UPGrad"), ("cagrad", "CAGrad"), ("nash-mtl", "NashMTL")]
)
def test_without_a_solver_it_is_refused_when_built(name: str, solver: str, monkeypatch: pytest.MonkeyPatch):
    def missing(*args: object, **kwargs: object) -> None:
        raise ImportError("requires ['solver'] to be installed")

    monkeypatch.setattr(aggregation, solver, missing)
    with pytest.raises(UnsuitableError, match=r"needs torchjd with its solvers; found requires \['solver'\]"):
        build_balancer(name, PlainNetwork(), JacobianDescentSettings(), 1)


def test_constants_out_of_range():
    partition = PlainNetwork().partition()
    with pytest.raises(RangeError, match=r"c must not be negative; found -1.0"):
        cagrad(-1.0)
    for strength in (-0.1, 1.1):
        with pytest.raises(RangeError, match=r"strength must lie in \[0, 1\]; found"):
            JacobianDescent(partition, lambda rows: rows.sum(0), strength)
