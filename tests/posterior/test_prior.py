"""Priors against loops over steps and plain numbers, written from their docstrings."""

import math
from dataclasses import dataclass
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from bogc.errors import DtypeError, NonFiniteError, RangeError, ShapeError, ZeroVarianceError
from bogc.gradients import GradientMoments
from bogc.posterior import (
    PRIORS,
    BlockPrior,
    BlockSums,
    FixedPrior,
    GradientPrior,
    PriorPolicy,
    StationaryPrior,
    SuccessivePrior,
)
from bogc.posterior.prior import MOST_RATIO, discounted_count

SEEDS = st.integers(0, 2**31)
DECAYS = st.floats(0, 0.99)
POLICIES = [SuccessivePrior(), SuccessivePrior(samples=500), StationaryPrior(), BlockPrior()]
SIZE = 6


@dataclass(frozen=True)
class Step:
    """One step of a source in a block: gradients now and one and two steps before, variance of a sample."""

    gradients: tuple[Tensor, Tensor, Tensor]
    variance: Tensor
    level: float
    count: float

    @property
    def noise(self) -> Tensor:
        """Of the mean, today's level included."""
        return self.variance * self.level / self.count


def stream(seed: int, steps: int, levels: bool = True, factor: float = 1.0) -> list[Step]:
    """A common signal with noise on top, the size of the batch and the level changing from step to step."""
    generator = torch.Generator().manual_seed(seed)

    def randn(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    signal, variance = factor * randn(SIZE), factor**2 * randn(SIZE).exp()
    gradients = signal + 0.3 * variance.sqrt() * randn(steps + 2, SIZE)
    found = []
    for t in range(2, steps + 2):
        level = float(randn(1).exp()) if levels else 1.0
        count = float(torch.randint(1, 65, (1,), generator=generator))
        found.append(Step((gradients[t], gradients[t - 1], gradients[t - 2]), variance, level, count))
    return found


def sums_of(step: Step, lags: int) -> BlockSums:
    """As a pass over the block gives them, for one source and block [1, 1]."""

    def one(value: Tensor) -> Tensor:
        return value.reshape(1, 1)

    now, root = step.gradients[0], step.noise.sqrt()
    products = tuple(one((now * step.gradients[k] / root).mean()) for k in range(1, lags + 1))
    return BlockSums(
        one(now.square().mean()), one(step.noise.mean()), one(root.mean()), products, step.level, step.count
    )


def empty(policy: PriorPolicy, shape: tuple[int, int] = (1, 1)) -> dict[str, Tensor]:
    return {name: torch.zeros(shape) for name in policy.names}


def moments_of(step: Step) -> GradientMoments:
    return GradientMoments.from_variance(step.gradients[0], step.variance * step.level, step.count, 9)


def run(policy: PriorPolicy, steps: list[Step]) -> tuple[Tensor, dict[str, Tensor]]:
    """tau^2 for the last step, from those before it, and what is remembered."""
    table = empty(policy)
    for records, step in enumerate(steps):
        if records:
            scale = policy.scale(table, records, step.level, step.count)
            tau2 = policy.variance(scale.reshape(1), moments_of(step)).expand(SIZE)
        policy.learn(sums_of(step, policy.lags), table)
    return tau2, table


def weighted(values: list[float], decay: float) -> float:
    """Mean with weights 1, decay, decay^2, ... from the newest back."""
    weights = [decay**age for age in range(len(values))]
    return sum(w * v for w, v in zip(weights, reversed(values), strict=True)) / sum(weights)


def correlation(step: Step, lag: int) -> float:
    """<g_t g_{t-lag} / s>, s the root of one sample's variance."""
    pairs = zip(*(step.gradients[k].tolist() for k in (0, lag)), step.variance.tolist(), strict=True)
    return sum(x * y / math.sqrt(v) for x, y, v in pairs) / SIZE


def root_of(step: Step) -> float:
    return sum(math.sqrt(v) for v in step.variance.tolist()) / SIZE


def successive(policy: SuccessivePrior, steps: list[Step], lag: int = 1) -> float:
    """a of theory 1.28 and 1.30, per root of one sample's variance."""
    *past, _ = steps
    a = weighted([correlation(step, lag) for step in past], policy.decay)
    return a + (root_of(past[-1]) / policy.samples if policy.samples else 0)


def tau2_of(policy: SuccessivePrior, a: float, steps: list[Step]) -> list[float]:
    """level a s_d (theory 1.29), a held between the floor and the most."""
    *past, last = steps
    floor = policy.floor or (0.01 if policy.samples else 0.03)
    root = root_of(past[-1])
    a = min(max(a, floor * root / last.count), MOST_RATIO * root / last.count)
    return [last.level * a * math.sqrt(v) for v in last.variance.tolist()]


@given(SEEDS, DECAYS, st.none() | st.integers(65, 10_000), st.integers(2, 9))
def test_successive_is_a_mean_of_products_times_the_root_of_the_noise(seed, decay, samples, count):
    policy, steps = SuccessivePrior(decay, samples), stream(seed, count)
    tau2, _ = run(policy, steps)
    assert tau2.tolist() == pytest.approx(tau2_of(policy, successive(policy, steps), steps), rel=1e-9)


@given(SEEDS, DECAYS, st.none() | st.integers(65, 10_000), st.integers(2, 9))
def test_stationary_divides_it_by_phi(seed, decay, samples, count):
    policy, steps = StationaryPrior(decay, samples), stream(seed, count)
    tau2, table = run(policy, steps)
    phis = []
    for upto in range(2, count + 1):
        c1, c2 = (successive(policy, steps[:upto], lag) for lag in (1, 2))
        weak = c1 * steps[upto - 1].count <= 0.02 * root_of(steps[upto - 2])
        phis.append(0.9 if weak else min(max(c2 / c1, 0.5), 0.98))
    phi = min(max(weighted(phis, decay), 0.5), 0.98)
    assert table["phi"].item() == pytest.approx(phi, rel=1e-6)
    expected = [v / phi for v in tau2_of(policy, successive(policy, steps), steps)]
    assert tau2.tolist() == pytest.approx(expected, rel=1e-6)


def test_phi_is_a_mean_of_what_was_learnt_and_of_nothing_before():
    """scale is asked at the first steps too, when there is nothing to know yet."""
    steps, (early, late) = stream(0, 4), (StationaryPrior(), StationaryPrior())
    tables = [empty(early), empty(late)]
    for _ in range(3):
        early.scale(tables[0], 1, 1.0, 8.0)
    for table in tables:
        for records, step in enumerate(steps):
            if records:
                early.scale(table, records, step.level, step.count)
            early.learn(sums_of(step, 2), table)
    for name in early.names:
        assert torch.equal(tables[0][name], tables[1][name])


@given(SEEDS, DECAYS, st.integers(2, 9))
def test_block_is_the_mean_square_less_the_mean_noise_over_steps(seed, decay, count):
    policy, steps = BlockPrior(decay), stream(seed, count)
    tau2, _ = run(policy, steps)
    square = weighted([step.gradients[0].square().mean().item() for step in steps[:-1]], decay)
    noise = weighted([step.noise.mean().item() for step in steps[:-1]], decay)
    expected = max(square - noise, 1e-3 * noise)
    assert tau2.tolist() == pytest.approx([expected] * SIZE, rel=1e-9, abs=1e-12 * square)


@given(SEEDS, st.floats(1e-3, 1e3), st.integers(2, 6))
@pytest.mark.parametrize("policy", POLICIES, ids=lambda p: type(p).__name__)
def test_rescaling_the_loss_rescales_the_scale(policy, seed, factor, count):
    scaled, _ = run(policy, stream(seed, count, factor=factor))
    plain, _ = run(policy, stream(seed, count))
    torch.testing.assert_close(scaled / factor**2, plain, rtol=1e-8, atol=0)


@given(SEEDS, st.integers(2, 6), st.floats(1, 64))
@pytest.mark.parametrize("policy", POLICIES[:3], ids=lambda p: type(p).__name__)
def test_the_size_of_the_batch_changes_the_noise_and_not_the_signal(policy, seed, count, size):
    """tau^2 speaks of the true gradient: away from its bounds it does not depend on N, past or present."""
    steps = stream(seed, count, levels=False)
    same = [Step(step.gradients, step.variance, 1.0, size) for step in steps]
    least, most = 0.04 * root_of(steps[0]), 0.1 * MOST_RATIO * root_of(steps[0])
    if (
        min(
            successive(policy, steps[:n]) * min(s.count for s in [*same, *steps]) for n in range(2, count + 1)
        )
        < least
    ):
        return
    assert successive(policy, steps) < most
    torch.testing.assert_close(run(policy, same)[0], run(policy, steps)[0], rtol=1e-8, atol=0)


@given(SEEDS)
@pytest.mark.parametrize("policy", POLICIES, ids=lambda p: type(p).__name__)
def test_sources_and_blocks_of_different_ages_sizes_and_levels_are_those_alone(policy, seed):
    """Two sources and two blocks in one table, one pair unseen at the first steps: records [S, B]."""
    streams = [[stream(seed + 2 * s + b, 5) for b in range(2)] for s in range(2)]
    ages = [[5, 3], [4, 5]]
    table = empty(policy, (2, 2))
    seen = torch.zeros(2, 2, dtype=torch.int64)
    for t in range(5):
        present = torch.tensor([[t >= 5 - age for age in row] for row in ages])
        now = [[streams[s][b][t] for b in range(2)] for s in range(2)]
        level, count = (
            torch.tensor([[getattr(x, n) for x in row] for row in now]) for n in ("level", "count")
        )
        if t == 4:
            scale = policy.scale(table, seen, level, count).expand(2, 2)
        kept = {name: values.clone() for name, values in table.items()}
        parts = [[sums_of(x, policy.lags) for x in row] for row in now]

        def joined(name: str, parts: list = parts) -> Tensor:
            return torch.tensor([[getattr(p, name).item() for p in row] for row in parts])

        products = tuple(
            torch.tensor([[p.products[k].item() for p in row] for row in parts]) for k in range(policy.lags)
        )
        sums = BlockSums(joined("square"), joined("noise"), joined("root"), products, level, count)
        policy.learn(sums, table)
        for name, values in table.items():  # what is not there has no step
            values.copy_(torch.where(present, values, kept[name]))
        seen += present
    for s in range(2):
        for b in range(2):
            own = streams[s][b][5 - ages[s][b] :]
            if isinstance(policy, StationaryPrior):
                continue  # its mean of phi is taken at every call of scale, which here is one
            expected, _ = run(policy, own)
            found = policy.variance(scale[s, b].reshape(1), moments_of(own[-1])).expand(SIZE)
            torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


@given(DECAYS, st.integers(1, 30))
def test_a_discounted_count_is_the_sum_of_the_weights(decay, steps):
    expected = sum(decay**age for age in range(steps))
    assert discounted_count(decay, steps) == pytest.approx(expected)
    found = discounted_count(decay, torch.tensor([[steps, 1]]))
    assert found.tolist() == [pytest.approx([expected, 1])]


def test_products_see_the_signal_where_the_noise_is_overstated():
    """The trap of the block prior: noise said to be 4 times what it is (as within a batch under BatchNorm).
    Then mean g^2 - noise is negative and sits on the floor; the products, 20,000 a step, are unmoved.

    g = signal + noise with variances 1 and 1; their mean over 30 steps has standard error at most
    sqrt(3 / (20,000 * 30)) + sqrt(2 / 20,000) = .012 for the common signal; 4.27 of it are .053 (2e-5).
    """
    generator = torch.Generator().manual_seed(0)
    signal, *rest = torch.randn(33, 20_000, generator=generator, dtype=torch.float64)
    successive, block = SuccessivePrior(), BlockPrior()
    tables = {policy: empty(policy) for policy in (successive, block)}
    gradients = [signal + noise for noise in rest]
    stated = torch.full((20_000,), 4.0, dtype=torch.float64)
    for before, now in pairwise(gradients):
        for policy, table in tables.items():
            means = [v.mean().reshape(1, 1) for v in (now.square(), stated, stated.sqrt(), now * before / 2)]
            policy.learn(BlockSums(*means[:3], (means[3],), 1.0, 1.0), table)
    moments = GradientMoments.from_variance(gradients[-1], stated, 1, 9)
    found = successive.variance(successive.scale(tables[successive], 31, 1.0, 1.0).reshape(1), moments)
    assert abs(found.mean().item() - 1) < 0.053
    assert block.scale(tables[block], 31, 1.0, 1.0).item() == pytest.approx(4e-3)


def test_batches_of_an_epoch_without_replacement_are_put_right_by_the_size_of_the_training_set():
    """Halves of a set of n = 8 samples: E g_t g_{t-1} is tau^2 - sigma^2 / n, and the term undoes it.

    The halves are t + d and t - d with variances 1 and 2 of t and d, their product t^2 - d^2 has variance
    2 + 8, and its mean over 20,000 dimensions a standard error of .0224; 4.27 of it are .096 (2e-5). Without
    the term it is 2 too low.
    """
    generator = torch.Generator().manual_seed(0)
    truth = torch.randn(20_000, generator=generator, dtype=torch.float64)
    rows = 4 * torch.randn(8, 20_000, generator=generator, dtype=torch.float64)
    rows = truth + rows - rows.mean(0)  # the whole set has the true gradient
    now, before = rows[:4].mean(0), rows[4:].mean(0)
    for samples, expected in ((8, 1.0), (None, -1.0)):
        policy = SuccessivePrior(samples=samples)
        table = empty(policy)
        root = torch.full((1, 1), 2.0)
        product = (now * before / 2).mean().reshape(1, 1)
        policy.learn(BlockSums(root, root**2, root, (product,), 1.0, 4.0), table)
        assert abs(4 * policy.signal("product", table, 1).item() - expected) < 0.096


def test_a_fixed_prior_is_fixed():
    policy = FixedPrior(2.5)
    scale = policy.scale({}, 1, 1.0, 4.0)
    moments = GradientMoments.from_variance(torch.randn(3), torch.ones(3), 4, 3)
    assert policy.variance(scale.reshape(1), moments).item() == 2.5
    assert policy.learn(sums_of(stream(0, 1)[0], 0), {}) is None


@pytest.mark.parametrize("policy", POLICIES, ids=lambda p: type(p).__name__)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_dead_block_gets_a_valid_prior(policy, dtype):
    """Gradients and noise of 0 at every step; the moments that are asked have their own floor."""
    zero = torch.zeros(1, 1, dtype=dtype)
    table = {name: torch.zeros(1, 1, dtype=dtype) for name in policy.names}
    policy.learn(BlockSums(zero, zero, zero, (zero,) * policy.lags, 1.0, 8.0), table)
    scale = policy.scale(table, 1, 1.0, 8.0)
    samples = 1e-6 * torch.ones(4, 3, dtype=dtype) * torch.tensor([[-1.0], [1.0], [-1.0], [1.0]], dtype=dtype)
    tau2 = policy.variance(scale[0], GradientMoments.from_samples(samples))
    assert tau2.dtype == dtype
    assert bool(tau2.isfinite().all() & (tau2 > 0).all())


def test_the_priors_are_registered_by_name_and_made_from_settings():
    settings = {"prior_decay": 0.5, "samples": 7, "prior_variance": 3.0}
    assert {name: kind.from_settings(settings) for name, kind in PRIORS.items()} == {
        "successive": SuccessivePrior(0.5, 7),
        "stationary": StationaryPrior(0.5, 7),
        "block": BlockPrior(0.5),
        "fixed": FixedPrior(3.0),
    }


ONE = torch.ones(2, dtype=torch.float64)


@pytest.mark.parametrize(
    ("loc", "variance", "error", "message"),
    [
        (ONE, 0 * ONE, ZeroVarianceError, "prior variance must be positive"),
        (ONE / 0, ONE, NonFiniteError, "prior loc must be finite"),
        (ONE, ONE.float(), DtypeError, "prior must have one dtype"),
        (ONE, torch.ones(3, dtype=torch.float64), ShapeError, "prior must have shapes that broadcast"),
    ],
)
def test_impossible_priors_are_refused(loc, variance, error, message):
    with pytest.raises(error, match=message):
        GradientPrior(loc, variance)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FixedPrior(0.0), "value must be positive and finite; found 0.0. Use the scale"),
        (lambda: BlockPrior(1.0), r"decay must lie in \[0, 1\); found 1.0. Use 0.9"),
        (lambda: BlockPrior(0.9, 0.0), "floor must be positive; found 0.0. Use 1e-3"),
        (lambda: SuccessivePrior(-0.1), r"decay must lie in \[0, 1\); found -0.1. Use 0.95"),
        (lambda: SuccessivePrior(floor=0.0), "floor must be positive; found 0.0. Use 0.01"),
        (lambda: StationaryPrior(samples=0), "samples must be at least 1; found 0. Pass the size"),
    ],
)
def test_settings_out_of_range_are_refused(make, message):
    with pytest.raises(RangeError, match=message):
        make()


def test_the_base_class_is_abstract_and_its_prior_is_centred():
    with pytest.raises(TypeError, match="abstract"):
        PriorPolicy()
    prior = GradientPrior.centred(torch.tensor([2.0]))
    assert (prior.loc.item(), prior.variance.item()) == (0, 2)
