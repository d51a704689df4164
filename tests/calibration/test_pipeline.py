from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bogc.belief import EVIDENCE_MAPS, FRAMES, Opinion, PseudoCount
from bogc.calibration import (
    AGGREGATED,
    CONSERVATISMS,
    WEIGHTS,
    CalibratedUpdate,
    FusedAgreement,
    Pipeline,
    calibrate_block,
)
from bogc.combination import FOLDS
from bogc.errors import TypeMismatchError
from bogc.gradients import GradientMoments
from bogc.posterior import ROUTES, BlockPrior, DimensionPrior, GradientPosterior
from tests.oracles import calibration as oracle

Samples = dict[str, torch.Tensor]
NAMES = ("fusion", "audio", "video")


def pipeline(choices: oracle.Choices) -> Pipeline:
    return Pipeline(
        prior=BlockPrior(choices.decay, choices.floor),
        evidence=PseudoCount(choices.prior_weight, FRAMES[choices.frame]()),
        fold=FOLDS[choices.fold],
        weights=WEIGHTS[choices.weights](),
        conservatism=CONSERVATISMS[choices.conservatism](),
        aggregated=AGGREGATED[choices.aggregated](),
    )


def moments(samples: Samples) -> dict[str, GradientMoments]:
    return {name: GradientMoments.from_samples(rows) for name, rows in samples.items()}


def draw_samples(seed: int, sources: int = 3, count: int = 8, dimensions: int = 5) -> Samples:
    """Per-sample gradients of different sizes and noises; the last dimension of the last source is dead."""
    generator = torch.Generator().manual_seed(seed)
    samples = {}
    for index, name in enumerate(NAMES[:sources]):
        centre = torch.randn(dimensions, generator=generator, dtype=torch.float64)
        noise = torch.randn(count, dimensions, generator=generator, dtype=torch.float64)
        samples[name] = 0.3**index * (centre + 3 * noise)
    samples[name][:, -1] = 0
    return samples


def assert_equals_oracle(choices: oracle.Choices, steps: list[Samples]) -> None:
    """Run both over ``steps``, each with its own state, and compare every result and every state."""
    states, slow_states = {}, {}
    for samples in steps:
        block, states = calibrate_block(moments(samples), states, pipeline(choices))
        rows = {name: values.tolist() for name, values in samples.items()}
        slow = oracle.calibrate_block(rows, slow_states, choices)
        slow_states = slow.states
        close = {"rtol": 1e-9, "atol": 1e-12}
        torch.testing.assert_close(block.update.direction, torch.tensor(slow.direction), **close)
        torch.testing.assert_close(block.update.weights, torch.tensor(slow.weights), **close)
        torch.testing.assert_close(block.update.conservatism, torch.tensor(slow.conservatism), **close)
        assert states.keys() == slow_states.keys()
        for name, state in states.items():
            assert {k: float(v) for k, v in state.items()} == pytest.approx(vars(slow_states[name]))


DEFAULT = oracle.Choices()
VARIANTS = [
    DEFAULT,
    *[replace(DEFAULT, frame=name) for name in FRAMES],
    *[replace(DEFAULT, fold=name) for name in FOLDS],
    *[replace(DEFAULT, weights=name) for name in WEIGHTS],
    *[replace(DEFAULT, conservatism=name) for name in CONSERVATISMS],
    *[replace(DEFAULT, aggregated="batch-mean", frame=name) for name in FRAMES],
    replace(DEFAULT, prior_weight=7.0, decay=0.0, floor=0.5),
    replace(DEFAULT, frame="dimensions", fold="cumulative", weights="equal", prior_weight=5.0),
    replace(DEFAULT, frame="reliability", weights="precision", conservatism="none"),
]


@given(st.integers(0, 10**6), st.integers(1, 3), st.integers(2, 20), st.integers(2, 6))
def test_the_chain_equals_the_slow_scalar_oracle(seed, sources, count, dimensions):
    assert_equals_oracle(DEFAULT, [draw_samples(seed, sources, count, dimensions)])


@pytest.mark.parametrize("choices", VARIANTS, ids=str)
def test_every_choice_equals_the_slow_scalar_oracle_over_steps(choices):
    assert_equals_oracle(choices, [draw_samples(seed) for seed in range(4)])


def test_the_state_of_an_absent_source_is_kept():
    assert_equals_oracle(DEFAULT, [draw_samples(0), draw_samples(1, sources=2), draw_samples(2)])


def test_the_given_states_are_not_changed():
    _, states = calibrate_block(moments(draw_samples(0)), {}, Pipeline())
    kept = {name: {k: v.clone() for k, v in state.items()} for name, state in states.items()}
    calibrate_block(moments(draw_samples(1)), states, Pipeline())
    assert {n: {k: v.item() for k, v in s.items()} for n, s in states.items()} == {
        n: {k: v.item() for k, v in s.items()} for n, s in kept.items()
    }


@pytest.mark.parametrize("kind", EVIDENCE_MAPS.values())
@pytest.mark.parametrize("frame", FRAMES.values())
@pytest.mark.parametrize("route", ROUTES.values())
@pytest.mark.parametrize("prior", [BlockPrior(), DimensionPrior()])
def test_every_station_of_every_chain_passes_its_check(kind, frame, route, prior):
    chosen = Pipeline(prior=prior, evidence=kind(frame=frame()), route=route())
    block, _ = calibrate_block(moments(draw_samples(3)), {}, chosen)
    for posterior in block.posteriors.values():
        GradientPosterior(posterior.loc, posterior.variance)
    for opinion in [*block.opinions.values(), block.fused]:
        Opinion(opinion.belief, opinion.uncertainty, opinion.base_rate)
    CalibratedUpdate(block.update.direction, block.update.weights, block.update.conservatism)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_lower_precision_is_close_to_float64(dtype, device):
    samples = {name: rows.to(dtype) for name, rows in draw_samples(4).items()}
    exact = calibrate_block(moments({n: r.double() for n, r in samples.items()}), {}, Pipeline())[0].update
    found = calibrate_block(moments({n: r.to(device) for n, r in samples.items()}), {}, Pipeline())[0].update
    assert (found.direction.dtype, found.direction.device.type) == (dtype, device.type)
    tolerance = {torch.float32: 1e-5, torch.bfloat16: 0.1}[dtype]
    scale = float(exact.direction.abs().max())
    torch.testing.assert_close(
        found.direction.double().cpu(), exact.direction, rtol=0, atol=tolerance * scale
    )


def test_all_gradients_zero_give_no_update():
    block, _ = calibrate_block(moments({name: torch.zeros(4, 3) for name in NAMES}), {}, Pipeline())
    assert torch.equal(block.update.direction, torch.zeros(3))


@pytest.mark.parametrize("name", ["reliability", "dimensions"])
def test_a_chain_is_refused_when_made_if_its_frame_cannot_serve_its_conservatism(name):
    match = r"frame must be of type SignFrame; found .*Frame\. FusedAgreement needs a sign; use Fused"
    with pytest.raises(TypeMismatchError, match=match):
        Pipeline(evidence=PseudoCount(frame=FRAMES[name]()), conservatism=FusedAgreement())
