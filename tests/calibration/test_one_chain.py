"""BOGC.backward is the chain of objects on each block, to the last bit, for every registered choice."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import Tensor

from bogc.belief import EVIDENCE_MAPS, FRAMES, DirichletBelief, Opinion
from bogc.calibration import AGGREGATED, CONSERVATISMS, SCALINGS, WEIGHTS, calibrate
from bogc.combination import RULES, cautious, cumulative, reduced
from bogc.gradients import ESTIMATORS
from bogc.methods import BOGC, CalibrationSettings, UnimodalSum
from bogc.posterior import PRIORS, ROUTES, ConjugateNormal
from tests.networks import PlainNetwork, RichNetwork, gradients_of, losses_of

COMBINE = {"dempster": reduced.combine, "cumulative": cumulative.combine, "cautious": cautious.combine}
STEPS = 5  # of which 3 are the plain sum
DEFAULT = CalibrationSettings()

CHOICES = {
    "default": DEFAULT,
    **{f"estimator {n}": replace(DEFAULT, estimator=n) for n in ESTIMATORS},
    **{f"prior {n}": replace(DEFAULT, prior=n) for n in PRIORS},
    **{f"posterior {n}": replace(DEFAULT, posterior=n) for n in ROUTES},
    **{f"evidence {n}": replace(DEFAULT, evidence=n) for n in EVIDENCE_MAPS},
    **{f"frame {n}": replace(DEFAULT, frame=n) for n in FRAMES},
    **{f"frame {n}, posterior means": replace(DEFAULT, frame=n, aggregated="posterior-mean") for n in FRAMES},
    **{f"rule {n}": replace(DEFAULT, combination=n) for n in RULES},
    **{f"rule {n} in dimensions": replace(DEFAULT, combination=n, frame="dimensions") for n in RULES},
    **{f"weights {n}": replace(DEFAULT, weights=n) for n in WEIGHTS},
    **{f"conservatism {n}": replace(DEFAULT, conservatism=n) for n in CONSERVATISMS},
    **{f"aggregated {n}": replace(DEFAULT, aggregated=n) for n in AGGREGATED},
    **{f"scaling {n}": replace(DEFAULT, scaling=n) for n in SCALINGS},
    "reading laplace": replace(DEFAULT, reading="laplace"),
    "reading laplace, mixed": replace(DEFAULT, reading="laplace", weights="mixed-certainty"),
    "reading laplace, means over draws": replace(DEFAULT, reading="laplace", aggregated="posterior-mean"),
    "prior weight": replace(DEFAULT, prior_weight=7.0),
    "per sample, NIG, dimensions": replace(
        DEFAULT, estimator="per-sample", posterior="normal-inverse-gamma", frame="dimensions"
    ),
}
DTYPES = [torch.float64, torch.float32, torch.bfloat16]


def by_hand(balancer: BOGC, info, settings: CalibrationSettings) -> dict[str, Tensor]:
    """Scaled updates by block, from what the step shows of moments and priors."""
    chosen, pipeline = settings.resolved(), balancer.pipeline
    frame, route = FRAMES[chosen["frame"]](), chosen["posterior"]
    evidence_map = EVIDENCE_MAPS[chosen["evidence"]](settings.prior_weight, frame)
    directions, plain = {}, {}
    for name, block in info.blocks.items():
        posteriors, opinions = [], []
        for source, moments in block.moments.items():
            prior = block.priors[source]
            if route == "normal":
                posterior = ConjugateNormal(prior)(moments)
            elif route in ("filtered", "matched"):  # they are carried more than moments and prior
                posterior = block.posteriors[source]
            else:
                posterior = ROUTES[route]()(moments, prior)
            evidence = evidence_map(posterior, prior)
            posteriors.append(posterior)
            opinions.append(Opinion.from_dirichlet(DirichletBelief.from_evidence(evidence)))
        aggregated = settings.aggregated
        if aggregated == "auto":
            aggregated = pipeline.route.aggregates
        update = calibrate(
            posteriors,
            opinions,
            COMBINE[settings.combination](opinions),
            means=[m.mean for m in block.moments.values()] if aggregated == "batch-mean" else None,
            frame=frame,
            weights=WEIGHTS[settings.weights](),
            conservatism=CONSERVATISMS[settings.conservatism](),
        )
        directions[name] = update.direction
        plain[name] = sum(m.mean for m in block.moments.values())
    return SCALINGS[settings.scaling]()(directions, plain)


def assert_is_the_chain(network, settings: CalibrationSettings, steps: int = STEPS) -> None:
    partition = network.partition()
    balancer = settings.build(partition)
    checked = 0
    for seed in range(steps):
        network.zero_grad(set_to_none=True)
        info = balancer.backward(partial(losses_of, network, seed=seed))
        expected = by_hand(balancer, info, settings) if info.blocks else {}
        for block in partition.blocks:
            if block.name not in expected:
                continue
            parts = expected[block.name].split([p.numel() for p in block.parameters])
            for parameter, part in zip(block.parameters, parts, strict=True):
                assert torch.equal(parameter.grad, part.view_as(parameter).to(parameter.dtype)), block.name
                checked += 1
    assert checked >= 10


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", CHOICES)
def test_every_choice_is_the_chain_to_the_last_bit(name: str, dtype: torch.dtype):
    assert_is_the_chain(PlainNetwork().to(dtype), CHOICES[name])


@pytest.mark.parametrize(
    "name", ["default", "posterior filtered", "frame dimensions", "estimator grouped", "reading laplace"]
)
def test_it_is_the_chain_in_a_network_with_norms_attention_and_tied_layers(name: str):
    assert_is_the_chain(RichNetwork(), CHOICES[name])


def test_the_chain_of_wide_layers_is_the_same():
    """Blocks of many rows, cut into pieces that stay in a cache."""

    class Wide(PlainNetwork):
        def __init__(self) -> None:
            super().__init__()
            self.image = torch.nn.Sequential(
                torch.nn.Linear(5, 700), torch.nn.Tanh(), torch.nn.Linear(700, 800), torch.nn.Linear(800, 4)
            )

    assert_is_the_chain(Wide().float(), DEFAULT, 5)


def test_every_choice_of_every_registry_is_tried():
    tried = {field: {getattr(s, field) for s in CHOICES.values()} for field in vars(DEFAULT)}
    registries = {
        "estimator": ESTIMATORS, "prior": PRIORS, "posterior": ROUTES, "evidence": EVIDENCE_MAPS,
        "frame": FRAMES, "combination": RULES, "weights": WEIGHTS, "conservatism": CONSERVATISMS,
        "aggregated": AGGREGATED, "scaling": SCALINGS,
    }  # fmt: skip
    for field, registry in registries.items():
        assert set(registry) <= tried[field], field


def test_before_there_is_an_opinion_it_is_the_plain_sum_to_the_last_bit():
    network = PlainNetwork()
    balancer, plain = BOGC(network.partition()), UnimodalSum(network.partition())
    for seed in range(3):
        network.zero_grad()
        balancer.backward(losses_of(network, seed=seed))
        found = {name: gradient.clone() for name, gradient in gradients_of(network).items()}
        network.zero_grad()
        plain.backward(losses_of(network, seed=seed))
        for name, gradient in gradients_of(network).items():
            torch.testing.assert_close(found[name], gradient, rtol=1e-13, atol=1e-15)
