"""What is built by ``unchecked`` on the hot path passes the check that was left out, whatever the dtype.

Producers in the posterior room and in the gradients room have theirs beside their own tests.
"""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from bogc.belief import EVIDENCE_MAPS, FRAMES, DirichletBelief, Evidence, MassFunction, Opinion
from bogc.calibration import CONSERVATISMS, WEIGHTS, CalibratedUpdate, FusedAgreement, calibrate
from bogc.checks import Unchecked
from bogc.combination import cumulative, dempster, reduced
from bogc.posterior import GradientPosterior, GradientPrior

DTYPES = [torch.float64, torch.float32, torch.bfloat16]
SIZES = [2, 3, 6]


def assert_passes_the_check(produced: Unchecked) -> None:
    type(produced)(**vars(produced))


def evidence(like: Tensor, seed: int = 0, high: float = 4.0) -> Evidence:
    """From 1e-4 to 10**high, some of it zero."""
    generator = torch.Generator().manual_seed(seed)
    exponents = torch.rand(like.shape, generator=generator, dtype=torch.float32) * (high + 4) - 4
    values = (10**exponents).to(like.dtype)
    values[..., seed % like.shape[-1]] *= seed % 2
    return Evidence(values, float(like.shape[-1]))


def opinions(like: Tensor, sources: int = 3) -> list[Opinion]:
    return [
        Opinion.from_dirichlet(DirichletBelief.from_evidence(evidence(like, seed))) for seed in range(sources)
    ]


def masses(like: Tensor) -> list[MassFunction]:
    return [MassFunction.from_opinion(opinion) for opinion in opinions(like)]


PRODUCERS: dict[str, Callable[[Tensor], Unchecked]] = {
    "DirichletBelief.from_evidence": lambda like: DirichletBelief.from_evidence(evidence(like)),
    "DirichletBelief.to_evidence": lambda like: DirichletBelief.from_evidence(evidence(like)).to_evidence(),
    "Opinion.from_dirichlet": lambda like: opinions(like)[0],
    "Opinion.to_dirichlet": lambda like: opinions(like)[0].to_dirichlet(2.0),
    "Opinion.vacuous": Opinion.vacuous,
    "MassFunction.from_opinion": lambda like: masses(like)[0],
    "MassFunction.to_opinion": lambda like: masses(like)[0].to_opinion(),
    "dempster.combine": lambda like: dempster.combine(masses(like)),
    "reduced.combine": lambda like: reduced.combine(opinions(like)),
    "reduced.RULE.fold": lambda like: reduced.RULE.fold(opinions(like)),
    "reduced.combine_evidence": lambda like: reduced.combine_evidence([evidence(like), evidence(like, 1)]),
    "cumulative.combine": lambda like: cumulative.combine(opinions(like)),
    "cumulative.RULE.fold": lambda like: cumulative.RULE.fold(opinions(like)),
}


@pytest.mark.parametrize("name", PRODUCERS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES)
def test_what_is_produced_passes_the_check(name, dtype, size):
    produced = PRODUCERS[name](torch.zeros(50, size, dtype=dtype))
    assert_passes_the_check(produced)


@pytest.mark.parametrize("frame", FRAMES.values())
@pytest.mark.parametrize("kind", EVIDENCE_MAPS.values())
@pytest.mark.parametrize("dtype", DTYPES)
def test_evidence_maps_produce_evidence(kind, frame, dtype):
    generator = torch.Generator().manual_seed(2)
    drawn = torch.randn(2, 200, generator=generator, dtype=torch.float32).to(dtype)
    posterior = GradientPosterior(drawn[0], drawn[1].square() + 1e-6)
    assert_passes_the_check(kind(frame=frame())(posterior, GradientPrior.centred(drawn.new_ones(1))))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("weights", WEIGHTS.values())
@pytest.mark.parametrize("conservatism", CONSERVATISMS.values())
@pytest.mark.parametrize("frame", FRAMES.values())
def test_calibrate_produces_an_update(frame, weights, conservatism, dtype):
    if conservatism is FusedAgreement and frame is not FRAMES["sign"]:
        conservatism = CONSERVATISMS["fused-certainty"]
    like = torch.zeros(6, dtype=dtype) if frame().pools else torch.zeros(6, 2, dtype=dtype)
    sources = opinions(like)
    drawn = torch.rand(3, 2, 6, generator=torch.Generator().manual_seed(3), dtype=torch.float32).to(dtype)
    posteriors = [GradientPosterior(mean, variance + 1e-3) for mean, variance in drawn]
    chosen = {"frame": frame(), "weights": weights(), "conservatism": conservatism()}
    update = calibrate(posteriors, sources, reduced.RULE.fold(sources), **chosen)
    assert isinstance(update, CalibratedUpdate)
    assert_passes_the_check(update)
