"""The fused pass against the chain of objects, which stays the oracle, on the same numbers in float64."""

from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bogc.belief import PseudoCount, ReliabilityFrame, SignFrame
from bogc.calibration import (
    BatchMean,
    Blockwise,
    Eager,
    Fused,
    FusedAgreement,
    MatchEachBlock,
    Pipeline,
    PrecisionWeights,
    Unscaled,
    calibrator,
    closed_form,
    fused,
)
from bogc.calibration.closed_form import CERTAINTIES, MEANS, VALUES
from bogc.calibration.scaling import SCALINGS
from bogc.combination import cumulative, reduced
from bogc.posterior import BlockPrior, FixedPrior
from tests.calibration.moments import Problem, as_dtype, blocks, means_of, problems

RULES = [(mean, value, *rule) for mean, value in product(MEANS, VALUES) for rule in CERTAINTIES]
# float32 loses digits where the scale of the prior is a small difference of signal and noise
RELATIVE = {torch.float64: 1e-7, torch.float32: 2e-3, torch.bfloat16: 2e-3}
ABSOLUTE = {torch.float64: 1e-12, torch.float32: 1e-6, torch.bfloat16: 1e-6}  # of the largest gradient


def pipeline(rule, prior=None) -> Pipeline:
    weights, aggregated, conservatism, fold, frame = rule
    return Pipeline(
        prior=prior or BlockPrior(),
        evidence=PseudoCount(3.0, frame()),
        fold=fold,
        weights=weights(),
        conservatism=conservatism(),
        aggregated=aggregated(),
    )


def assert_fused_is_blockwise(problem: Problem, chain: Pipeline, dtype: torch.dtype, chunk: int = 2**16):
    """Over the steps of ``problem``, each with its own states; the oracle sees the rounded moments."""
    slow, fast = Blockwise(chain, Unscaled()), calibrator(chain, Unscaled(), Eager(chunk))
    assert isinstance(fast, Fused)
    slow_states, states = {}, {}
    for moments in problem:
        rounded = as_dtype(moments, dtype)
        exact = as_dtype(rounded, torch.float64)
        expected = slow(means_of(exact), exact, slow_states)
        found = fast(means_of(rounded), rounded, states)
        slow_states, states = expected.states, found.states
        assert found.updates.keys() == expected.updates.keys()
        for name, update in expected.updates.items():
            size = max(float(m.mean.abs().max()) for m in exact[name].values())
            torch.testing.assert_close(
                found.updates[name].double(), update, rtol=RELATIVE[dtype], atol=ABSOLUTE[dtype] * size
            )
        for name, sources in expected.states.items():
            for source, state in sources.items():
                for key, value in state.items():
                    torch.testing.assert_close(
                        states[name][source][key].double(), value, rtol=RELATIVE[dtype], atol=0
                    )


@pytest.mark.parametrize("dtype", RELATIVE)
@settings(max_examples=25)
@given(problem=problems(), rule=st.sampled_from(RULES))
def test_it_is_the_chain_of_objects(problem, rule, dtype):
    assert_fused_is_blockwise(problem, pipeline(rule), dtype)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: "-".join(part.__name__ for part in rule[:3]))
@pytest.mark.parametrize("sources", [1, 2, 3, 8])
def test_every_form_is_the_chain_of_objects(rule, sources):
    problem = [blocks(seed, sources, (5, 300)) for seed in range(2)]
    assert_fused_is_blockwise(problem, pipeline(rule), torch.float64)


@given(problem=problems(), variance=st.floats(1e-9, 1e9))
@settings(max_examples=10)
def test_a_fixed_prior_has_the_closed_form_too(problem, variance):
    chain = pipeline(RULES[0], FixedPrior(variance))
    assert_fused_is_blockwise(problem, chain, torch.float64)


@pytest.mark.parametrize("chunk", [128, 4096, 2**16])
@pytest.mark.parametrize("sizes", [(1,), (128, 1, 129), (4096, 4097, 9000), (20_000, 3)])
def test_how_blocks_are_cut_does_not_matter(chunk, sizes):
    assert_fused_is_blockwise([blocks(1, 3, sizes)], Pipeline(), torch.float64, chunk)


@pytest.mark.parametrize("scaling", SCALINGS.values())
@given(problem=problems())
@settings(max_examples=10)
def test_scaling_is_that_of_the_blocks(scaling, problem):
    """A block that waits for a variance gets the plain sum, and counts in the length of the whole."""
    moments = problem[0]
    means = means_of(moments) | {"waiting": {"s0": torch.tensor([3.0, -4.0]), "s1": torch.ones(2)}}
    expected = Blockwise(Pipeline(), scaling())(means, moments, {}).updates
    found = calibrator(Pipeline(), scaling())(means, moments, {}).updates
    assert found.keys() == expected.keys()
    for name, update in expected.items():
        size = float(update.abs().max())
        torch.testing.assert_close(found[name], update, rtol=1e-6, atol=1e-9 * size)


def test_sources_that_reach_different_blocks_keep_apart():
    first, second = blocks(1, 3, (40, 5000)), blocks(2, 2, (7, 6000))
    moments = {f"first.{n}": v for n, v in first.items()} | {f"second.{n}": v for n, v in second.items()}
    found = calibrator(Pipeline(), MatchEachBlock())(means_of(moments), moments, {}).updates
    for part, group in (("first", first), ("second", second)):
        alone = calibrator(Pipeline(), MatchEachBlock())(means_of(group), group, {}).updates
        for name, update in alone.items():
            torch.testing.assert_close(found[f"{part}.{name}"], update)


def test_the_state_of_an_absent_source_is_kept():
    fast = calibrator(Pipeline(), Unscaled())
    first, second = blocks(1, 3, (40,)), blocks(2, 2, (40,))
    states = fast(means_of(first), first, {}).states
    after = fast(means_of(second), second, states).states
    assert after["b0"]["s2"] is states["b0"]["s2"]
    assert after["b0"]["s0"]["weight"].item() == pytest.approx(1.9)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
def test_gradients_of_zero_or_without_noise(dtype, size):
    """No gradient, no update; no noise, the plain sum; a dead unit among others changes nothing else."""
    fast = calibrator(Pipeline(), Unscaled())
    moments = as_dtype(blocks(3, 2, (6,)), dtype)
    for m in moments["b0"].values():
        m.mean.mul_(size)
        m.scatter.zero_()
    found = fast(means_of(moments), moments, {}).updates["b0"]
    plain = sum(m.mean for m in moments["b0"].values())
    torch.testing.assert_close(found, plain, rtol=1e-5, atol=0)
    for m in moments["b0"].values():
        m.mean.zero_()
    assert torch.equal(fast(means_of(moments), moments, {}).updates["b0"], torch.zeros(6, dtype=dtype))


@pytest.mark.parametrize("rule", [RULES[0], (*RULES[0][:2], FusedAgreement, reduced.fold, SignFrame)])
def test_certain_and_opposed_sources_do_not_overflow(rule):
    """Float32, no noise at all: eight sources of which half pull the other way, in every dimension."""
    moments = as_dtype(blocks(4, 8, (50,)), torch.float32)
    for index, m in enumerate(moments["b0"].values()):
        m.mean.fill_(1.0 if index % 2 else -1.0)
        m.scatter.zero_()
    found = calibrator(pipeline(rule), Unscaled())(means_of(moments), moments, {}).updates["b0"]
    assert bool(found.isfinite().all())
    assert float(found.abs().max()) < 1e-5


@pytest.mark.parametrize("dtype", RELATIVE)
def test_opposed_sources_without_noise_agree_by_their_ratio(dtype):
    """The odds of both are about 1e31; what is left of their difference decides."""
    moments = blocks(0, 2, (1,), kind="constant")
    moments["b0"]["s0"].mean.fill_(1.5)
    moments["b0"]["s1"].mean.fill_(-1.0)
    rule = (PrecisionWeights, BatchMean, FusedAgreement, cumulative.fold, SignFrame)
    assert_fused_is_blockwise([moments], pipeline(rule), dtype)


def test_what_is_not_finite_is_named():
    moments = blocks(5, 2, (6, 5000))
    moments["b1"]["s1"].mean[17] = torch.nan
    finite = calibrator(Pipeline(), Unscaled())(means_of(moments), moments, {}).finite
    good = {name: all(bool(part.isfinite().all()) for part in parts) for name, parts in finite.items()}
    assert good == {
        "gradient of losses['s0']": True,
        "gradient of losses['s1']": False,
        "calibrated update": False,
    }


def test_stations_are_computed_when_somebody_looks_and_once(monkeypatch):
    asked = []
    chain = fused.calibrate_block
    monkeypatch.setattr(fused, "calibrate_block", lambda *given: asked.append(given) or chain(*given))
    moments = blocks(6, 2, (6, 7))
    stations = fused.Stations(moments, {}, Pipeline())
    assert (list(stations), len(stations), asked) == (["b0", "b1"], 2, [])
    block = stations["b1"]
    assert (stations["b1"], len(asked)) == (block, 1)
    expected = Blockwise(Pipeline(), Unscaled())(means_of(moments), moments, {})
    torch.testing.assert_close(block.update.direction, expected.blocks["b1"].update.direction)


def test_inputs_are_not_changed():
    moments = blocks(7, 3, (6, 5000))
    kept = as_dtype(moments, torch.float64)
    calibrator(Pipeline(), MatchEachBlock())(means_of(moments), moments, {})
    for name, sources in moments.items():
        for source, m in sources.items():
            assert torch.equal(m.mean, kept[name][source].mean)
            assert torch.equal(m.scatter, kept[name][source].scatter)


def test_forms_cover_what_they_say():
    frames, folds = {SignFrame, ReliabilityFrame}, {reduced.fold, cumulative.fold}
    assert {(rule[1], rule[2]) for rule in CERTAINTIES} >= {(f, s) for f in folds for s in frames}
    assert closed_form(Pipeline()) is not None
