"""Equal to BOGC's own backward where the two coincide, and the properties that torchjd tests its own by."""

import copy
import io
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

pytest.importorskip("torchjd", reason="the optional package torchjd is not installed")
from torchjd.aggregation import Aggregator
from torchjd.autojac import backward, jac_to_grad, mtl_backward

from bogc import BOGC, ModalityPartition
from bogc.calibration import MatchPlainSum, Pipeline, Unscaled
from bogc.errors import NonFiniteError, RangeError, ShapeError, StateError
from bogc.gradients import PerSample
from bogc.methods.torchjd_view import CalibratedAggregator
from bogc.posterior import FilteredRoute, NormalInverseGammaRoute, StationaryPrior
from tests.networks import NETWORKS, PlainNetwork, gradients_of, losses_of
from tests.processes import printed

STEPS = 9  # of which 3 are the plain sum
Make = Callable[[], CalibratedAggregator]
MADE: dict[str, Make] = {
    "over steps": CalibratedAggregator,
    "over steps, blocks": lambda: CalibratedAggregator([2, 3, 1]),
    "within batch": lambda: CalibratedAggregator([4, 2], 2),
    "whole length": lambda: CalibratedAggregator([2, 4], scaling=MatchPlainSum()),
}
EVERY = pytest.mark.parametrize("make", MADE.values(), ids=MADE)
few = settings(max_examples=10)
SEEDS = st.integers(0, 10_000)


def history(seed: int, rows: int = 4, columns: int = 6, steps: int = STEPS) -> list[Tensor]:
    """Jacobians of successive steps: a signal, the same at each, and noise."""
    generator = torch.Generator().manual_seed(seed)
    signal = torch.randn(rows, columns, generator=generator)
    return [signal + torch.randn(rows, columns, generator=generator) for _ in range(steps)]


def after(aggregator: Aggregator, matrices: list[Tensor]) -> Tensor:
    """What the last of the Jacobians is aggregated to."""
    return [aggregator(matrix) for matrix in matrices][-1]


def agree(network: PlainNetwork, twin: PlainNetwork) -> None:
    ours, theirs = gradients_of(network), gradients_of(twin)
    assert ours.keys() == theirs.keys()
    for name, gradient in ours.items():
        torch.testing.assert_close(gradient, theirs[name], msg=name)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("scaling", [None, MatchPlainSum(), Unscaled()])
def test_jac_to_grad_equals_the_backward_of_bogc(name: str, scaling):
    """Over warm-up and the steps after it, with a modality missing from one batch."""
    network = NETWORKS[name]()
    twin = copy.deepcopy(network)
    partition, balancer = network.partition(), BOGC(twin.partition(), scaling=scaling)
    aggregator = CalibratedAggregator([block.size for block in partition.blocks], scaling=scaling)
    for step in range(STEPS):
        without = "sound" if step == 7 and name == "plain" else None
        network.zero_grad()
        twin.zero_grad()
        losses = losses_of(network, seed=step, without=without)
        absent = losses["fusion"].new_zeros(()) * sum(p.sum() for p in partition.parameters)
        rows = [losses[s].mean() if s in losses else absent for s in partition.sources]
        backward(rows, inputs=partition.parameters, parallel_chunk_size=1)
        jac_to_grad(partition.parameters, aggregator)
        balancer.backward(losses_of(twin, seed=step, without=without))
        unreached = {n for n, p in network.named_parameters() if n not in gradients_of(twin)}
        for parameter in (p for n, p in network.named_parameters() if n in unreached):
            assert not parameter.grad.any()  # a tensor that no loss reaches gets zeros in place of None
            parameter.grad = None
        agree(network, twin)


def test_per_sample_rows_equal_bogc_with_per_sample_moments():
    network = PlainNetwork()
    twin = copy.deepcopy(network)
    partition, balancer = network.partition(), BOGC(twin.partition(), PerSample())
    aggregator = CalibratedAggregator([block.size for block in partition.blocks], 3)
    for step in range(5):
        network.zero_grad()
        twin.zero_grad()
        backward(list(losses_of(network, seed=step).values()), inputs=partition.parameters)
        jac_to_grad(partition.parameters, aggregator)
        balancer.backward(losses_of(twin, seed=step))
        agree(network, twin)


def test_mtl_backward_calibrates_the_shared_encoder_only():
    trunk, heads = nn.Linear(5, 4), nn.ModuleList([nn.Linear(4, 1) for _ in range(2)])
    twin = copy.deepcopy(trunk)
    balancer = BOGC(ModalityPartition({"one": twin}))
    aggregator = CalibratedAggregator()
    for step in range(STEPS):
        inputs = torch.randn(12, 5, generator=torch.Generator().manual_seed(step))
        trunk.zero_grad()
        twin.zero_grad()
        heads.zero_grad()
        features = trunk(inputs)
        mtl_backward([head(features).square().mean() for head in heads], features=features)
        jac_to_grad(trunk.parameters(), aggregator)
        losses = [head(twin(inputs)).square().squeeze(1) for head in heads]
        for head in heads:
            head.requires_grad_(False)
        losses = [head(twin(inputs)).square().squeeze(1) for head in heads]
        balancer.backward(dict(zip(("fusion", "one"), losses, strict=True)))
        heads.requires_grad_(True)
        torch.testing.assert_close(trunk.weight.grad, twin.weight.grad)
        assert all(head.weight.grad is not None for head in heads)


def filtered() -> CalibratedAggregator:
    return CalibratedAggregator(pipeline=Pipeline(prior=StationaryPrior(), route=FilteredRoute()))


@pytest.mark.parametrize("make", [*MADE.values(), filtered], ids=[*MADE, "filtered"])
@pytest.mark.parametrize("constant", [1e5, 1e12, 1e18])
def test_a_source_that_is_constant_and_large_is_taken_as_in_float64(make: Make, constant: float):
    """It has no variance at all, and its square times its precision would overflow."""
    wide, narrow = make(), make()
    for matrix in history(1):
        matrix[2:] = constant
        found = narrow(matrix.float())
        torch.testing.assert_close(found.double(), wide(matrix.double()), rtol=1e-3, atol=1e-3)


@EVERY
@few
@given(seed=SEEDS)
def test_expected_structure(make: Make, seed: int):
    matrices = history(seed)
    found = after(make(), matrices)
    assert found.shape == matrices[0].shape[1:]
    assert found.dtype == matrices[0].dtype
    assert found.isfinite().all()
    assert not found.requires_grad


@pytest.mark.parametrize("make", [MADE["over steps"], MADE["over steps, blocks"]])
@few
@given(seed=SEEDS)
def test_permutation_invariant(make: Make, seed: int):
    matrices = history(seed)
    order = torch.randperm(4, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(after(make(), [m[order] for m in matrices]), after(make(), matrices))


@few
@given(seed=SEEDS)
def test_invariant_to_the_order_of_samples_and_of_sources(seed: int):
    """Within a batch: samples of one source may be permuted among themselves, and sources as a whole."""
    (matrix,) = history(seed, rows=6, steps=1)
    grouped = matrix.unflatten(0, (2, 3)).flip(0)[:, [2, 0, 1]].flatten(0, 1)
    make = lambda: CalibratedAggregator(sources=2)  # noqa: E731
    torch.testing.assert_close(make()(grouped), make()(matrix))


@EVERY
@few
@given(seed=SEEDS, log_scale=st.floats(-6, 6))
def test_positively_homogeneous(make: Make, seed: int, log_scale: float):
    matrices, scale = history(seed), 10**log_scale
    found = after(make(), [scale * m for m in matrices])
    torch.testing.assert_close(found, scale * after(make(), matrices), rtol=1e-6, atol=1e-9 * scale)


@few
@given(seed=SEEDS)
def test_equivariant_to_the_order_of_columns_in_a_block(seed: int):
    matrices = history(seed)
    order = [1, 0, 4, 2, 3, 5]
    found = after(CalibratedAggregator([2, 3, 1]), [m[:, order] for m in matrices])
    torch.testing.assert_close(found, after(CalibratedAggregator([2, 3, 1]), matrices)[order])


@few
@given(seed=SEEDS)
def test_blocks_do_not_see_each_other(seed: int):
    matrices = history(seed)
    apart = [after(CalibratedAggregator(), [m[:, cut] for m in matrices]) for cut in (slice(2), slice(2, 6))]
    torch.testing.assert_close(after(CalibratedAggregator([2, 4]), matrices), torch.cat(apart))


@EVERY
@few
@given(seed=SEEDS)
def test_a_row_of_zeros_has_no_say(make: Make, seed: int):
    if make is MADE["within batch"]:
        more, less = CalibratedAggregator([4, 2], 3), make()
        padded = [torch.cat([m, torch.zeros(2, 6)]) for m in history(seed)]
    else:
        more, less = make(), make()
        padded = [torch.cat([m, torch.zeros(1, 6)]) for m in history(seed)]
    torch.testing.assert_close(after(more, padded), after(less, history(seed)))


@EVERY
def test_zeros_give_zeros(make: Make):
    assert not after(make(), [torch.zeros(4, 6)] * STEPS).any()


@few
@given(seed=SEEDS)
def test_until_the_variance_is_known_it_is_the_sum(seed: int):
    aggregator = CalibratedAggregator([2, 4])
    for step, matrix in enumerate(history(seed, steps=5)):
        off = (aggregator(matrix) - matrix.sum(0)).norm() / matrix.sum(0).norm()
        assert (off < 1e-12) == (step < 3)


@few
@given(seed=SEEDS)
def test_each_block_has_the_length_of_its_sum(seed: int):
    matrices = history(seed)
    found = after(CalibratedAggregator([2, 4]), matrices).split([2, 4])
    for part, plain in zip(found, matrices[-1].sum(0).split([2, 4]), strict=True):
        torch.testing.assert_close(part.norm(), plain.norm())


@few
@given(seed=SEEDS)
def test_gradients_without_noise_give_the_sum(seed: int):
    """u goes to 0 with the variance, and the update to the plain sum, whatever its scaling."""
    (matrix,) = history(seed, steps=1)
    found = after(CalibratedAggregator(scaling=Unscaled()), [matrix] * STEPS)
    torch.testing.assert_close(found, matrix.sum(0), rtol=1e-3, atol=1e-4)


@EVERY
def test_state_dict_goes_on_where_it_stopped_and_reset_begins_anew(make: Make):
    matrices = history(3)
    whole, first, second = make(), make(), make()
    expected = after(whole, matrices)
    after(first, matrices[:4])
    buffer = io.BytesIO()
    torch.save(first.state_dict(), buffer)
    buffer.seek(0)
    second.load_state_dict(torch.load(buffer, weights_only=True))
    assert torch.equal(after(second, matrices[4:]), expected)
    second.reset()
    assert torch.equal(after(second, matrices), expected)


def test_the_state_follows_the_device_of_the_jacobian(device: torch.device):
    aggregator, other = CalibratedAggregator(), CalibratedAggregator()
    after(aggregator, history(5)[:6])
    other.load_state_dict(aggregator.state_dict())
    last = history(5)[6]
    torch.testing.assert_close(other(last.to(device)).cpu(), aggregator(last))


@EVERY
def test_a_bad_gradient_is_refused_and_nothing_changes(make: Make):
    aggregator, twin, matrices = make(), make(), history(4)
    for matrix in matrices[:-1]:
        aggregator(matrix), twin(matrix)
        bad = matrix.clone()
        bad[0, 1] = float("nan")
        with pytest.raises(NonFiniteError, match="must be finite"):
            aggregator(bad)
    assert torch.equal(aggregator(matrices[-1]), twin(matrices[-1]))


def test_other_shapes_are_refused():
    with pytest.raises(ShapeError, match="matrix must have 5 columns; found 6"):
        CalibratedAggregator([2, 3])(torch.ones(4, 6))
    aggregator = CalibratedAggregator()
    aggregator(torch.ones(4, 6))
    for matrix in (torch.ones(3, 6), torch.ones(4, 7)):
        with pytest.raises(StateError, match=r"\[4, 6\] sources and columns as before; found .* Call reset"):
            aggregator(matrix)
    with pytest.raises(StateError, match="state must hold 'shape', 'sizes' and 'memory'"):
        aggregator.set_extra_state({"phi": 1})
    with pytest.raises(RangeError, match="blocks must have a column or more each; found 0"):
        CalibratedAggregator([2, 0])


def test_the_pipeline_is_that_of_the_user():
    matrices = history(6)
    other = after(CalibratedAggregator(pipeline=Pipeline(route=NormalInverseGammaRoute())), matrices)
    assert not torch.allclose(other, after(CalibratedAggregator(), matrices))


def test_it_says_what_it_is():
    assert repr(CalibratedAggregator([2, 3])) == "CalibratedAggregator(blocks=(2, 3), sources=None)"


def test_without_torchjd_the_import_says_what_to_install():
    code = "import sys; sys.modules['torchjd'] = None; import bogc.methods.torchjd_view"
    found = printed(code)
    assert "UnsuitableError: bogc.methods.torchjd_view needs torchjd; found" in found
    assert "pip install 'bogc[peers]'" in found
