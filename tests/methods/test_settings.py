import random
from dataclasses import fields
from functools import partial
from itertools import combinations, product

import pytest
import torch
from torch import nn

from bogc.belief import EVIDENCE_MAPS, FRAMES
from bogc.calibration import CONSERVATISMS, SCALINGS, WEIGHTS
from bogc.combination import RULES
from bogc.errors import BogcError, ConfigError, RangeError, TypeMismatchError
from bogc.gradients import ESTIMATORS, ModalityPartition
from bogc.methods import BOGC
from bogc.methods.bogc import CalibrationSettings
from bogc.posterior import PRIORS, ROUTES
from tests.networks import PlainNetwork, losses_of

from .methods import gradient_of


def assert_it_runs(settings: CalibrationSettings, steps: int) -> None:
    network = PlainNetwork()
    balancer = settings.build(network.partition())
    for seed in range(steps):
        info = balancer.backward(partial(losses_of, network, seed=seed))
    assert info.blocks
    for parameter in network.parameters():
        assert bool(parameter.grad.isfinite().all())


CHOICES = {
    "estimator": ESTIMATORS, "prior": PRIORS, "posterior": ROUTES, "evidence": EVIDENCE_MAPS, "frame": FRAMES,
    "combination": RULES, "weights": WEIGHTS, "conservatism": CONSERVATISMS, "scaling": SCALINGS,
}  # fmt: skip


def fits(chosen: dict[str, str]) -> bool:
    """Neither of the two contradictions that are refused."""
    return (chosen["posterior"] != "filtered" or chosen["prior"] == "stationary") and (
        chosen["conservatism"] != "fused-agreement" or chosen["frame"] == "sign"
    )


def pairs(chosen: dict[str, str]) -> set[frozenset[tuple[str, str]]]:
    return {frozenset(pair) for pair in combinations(chosen.items(), 2)}


def covering() -> list[dict[str, str]]:
    """Combinations such that every two choices that fit each other are together in one of them."""
    draw = random.Random(0)
    drawn = [{name: draw.choice(list(values)) for name, values in CHOICES.items()} for _ in range(20_000)]
    drawn = [chosen for chosen in drawn if fits(chosen)]
    left, found = set().union(*map(pairs, drawn)), []
    while left:
        best = max(drawn[:2000], key=lambda chosen: len(pairs(chosen) & left))
        if not pairs(best) & left:
            best = next(chosen for chosen in drawn if pairs(chosen) & left)
        found.append(best)
        left -= pairs(best)
    return found


COVERING = covering()


def test_every_two_choices_are_tried_together():
    tried = set().union(*map(pairs, COVERING))
    apart = {
        frozenset([(one, a), (other, b)])
        for one, other in combinations(CHOICES, 2)
        for a, b in product(CHOICES[one], CHOICES[other])
    } - tried
    assert apart == {
        *(frozenset([("posterior", "filtered"), ("prior", p)]) for p in PRIORS if p != "stationary"),
        *(frozenset([("conservatism", "fused-agreement"), ("frame", f)]) for f in FRAMES if f != "sign"),
    }


@pytest.mark.parametrize("chosen", COVERING, ids=lambda chosen: ", ".join(chosen.values()))
def test_choices_run_together(chosen: dict[str, str]):
    assert_it_runs(CalibrationSettings(**chosen), 5)


@pytest.mark.parametrize("prior", [name for name in PRIORS if name != "stationary"])
def test_a_filter_needs_a_prior_that_knows_phi(prior: str):
    with pytest.raises(ConfigError, match="prior must estimate phi for a filtered posterior"):
        CalibrationSettings(prior=prior, posterior="filtered").build(PlainNetwork().partition())


def test_svi_is_close_to_the_closed_form():
    """Posterior means within 0.1 deviations move the update little."""
    layer = nn.Linear(3, 1)
    partition = ModalityPartition({"image": layer})
    inputs, found = torch.randn(12, 3), {}
    for inference in ("svi", "closed-form"):
        settings = CalibrationSettings(
            estimator="grouped", inference=inference, scaling="unscaled", prior="block"
        )
        balancer = settings.build(partition)
        gradient_of(layer, balancer, {"fusion": (layer(inputs).squeeze(1) - 3).square()})
        losses = {"fusion": (layer(inputs).squeeze(1) - 3).square()}
        found[inference] = gradient_of(layer, balancer, losses)["weight"]
    torch.testing.assert_close(found["svi"], found["closed-form"], rtol=0.2, atol=0.02)


def test_defaults_are_those_of_the_objects():
    partition = PlainNetwork().partition()
    built, plain = CalibrationSettings().build(partition), BOGC(partition)
    assert built.estimator == plain.estimator
    assert built.pipeline == plain.pipeline
    assert built.scaling == plain.scaling


def test_every_setting_has_a_help_text():
    assert all(field.metadata["help"] for field in fields(CalibrationSettings))


@pytest.mark.parametrize(
    ("choices", "error", "message"),
    [
        *(
            ({name: "best"}, ConfigError, rf"{name} must be one of .*; found 'best'\. Choose one of these")
            for name in (
                "estimator", "prior", "posterior", "inference", "evidence", "frame", "combination",
                "weights", "conservatism", "scaling", "aggregated",
            )
        ),
        ({"inference": "svi", "posterior": "normal-inverse-gamma"}, ConfigError, "svi fits the normal"),
        ({"conservatism": "fused-agreement", "frame": "dimensions"}, TypeMismatchError, "needs the sign"),
        ({"conservatism": "fused-agreement", "frame": "reliability"}, TypeMismatchError, "needs the sign"),
        ({"decay": 1.0}, RangeError, "decay must lie in"),
        ({"prior_decay": 1.0}, RangeError, "decay must lie in"),
        ({"groups": 1, "estimator": "grouped"}, RangeError, "groups must be at least 2"),
        ({"prior_variance": 0.0, "prior": "fixed"}, RangeError, "value must be positive"),
        ({"prior_weight": 0.0}, RangeError, "prior_weight must be positive"),
    ],
)  # fmt: skip
def test_contradictions_are_refused_when_building(choices, error, message):
    with pytest.raises(error, match=message) as caught:
        CalibrationSettings(**choices).build(PlainNetwork().partition())
    assert isinstance(caught.value, BogcError)
