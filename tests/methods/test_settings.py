from dataclasses import fields
from functools import partial
from itertools import product

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


FRAMED = [
    {"frame": frame, "conservatism": conservatism}
    for frame, conservatism in product(FRAMES, CONSERVATISMS)
    if frame == "sign" or conservatism != "fused-agreement"
]
LATER = [
    {"combination": rule, "weights": weights, "scaling": scaling}
    for rule, weights, scaling in product(RULES, WEIGHTS, SCALINGS)
]


@pytest.mark.parametrize("choices", FRAMED, ids=lambda c: ", ".join(c.values()))
@pytest.mark.parametrize("evidence", EVIDENCE_MAPS)
def test_every_map_frame_and_conservatism_run_together(evidence, choices):
    settings = CalibrationSettings(estimator="grouped", prior="fixed", evidence=evidence, **choices)
    assert_it_runs(settings, 2)


@pytest.mark.parametrize("choices", LATER, ids=lambda c: ", ".join(c.values()))
@pytest.mark.parametrize("frame", FRAMES)
def test_every_rule_weight_and_scaling_run_together(frame, choices):
    assert_it_runs(CalibrationSettings(estimator="grouped", prior="fixed", frame=frame, **choices), 2)


@pytest.mark.parametrize(
    ("estimator", "prior", "posterior", "frame"), list(product(ESTIMATORS, PRIORS, ROUTES, FRAMES))
)
def test_every_choice_up_to_the_posterior_runs(estimator, prior, posterior, frame):
    settings = CalibrationSettings(estimator=estimator, prior=prior, posterior=posterior, frame=frame)
    if posterior == "filtered" and prior != "stationary":
        with pytest.raises(ConfigError, match="prior must estimate phi for a filtered posterior"):
            settings.build(PlainNetwork().partition())
        return
    assert_it_runs(settings, 5)


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
