"""A choice of one's own is a class and a line: registered from outside the package, trained by name."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
import torch

from bogc.belief import EVIDENCE_MAPS, FRAMES, EvidenceMap, SignFrame
from bogc.calibration import CONSERVATISMS, SCALINGS, WEIGHTS, Conservatism, Scaling, Weights
from bogc.combination import RULES, Rule
from bogc.combination.reduced import evidence_pair, terms
from bogc.errors import ConfigError
from bogc.gradients import ESTIMATORS, Successive
from bogc.methods import (
    METHODS,
    TABLES,
    Balancer,
    CalibrationSettings,
    Job,
    Step,
    build_balancer,
    method,
    setting,
)
from bogc.methods.base import plain_step
from bogc.posterior import PRIORS, ROUTES, PosteriorRoute, PriorPolicy, normal_posterior
from bogc.training import TrainConfig, train
from tests import tiny
from tests.networks import PlainNetwork, losses_of

NAME = "mine-of-the-tests"


class MyMap(EvidenceMap):
    def amount(self, posterior, prior, pool):
        return (prior.variance / posterior.variance).sqrt()


class MyFrame(SignFrame):
    def certainty(self, evidence, pool=None):
        return self.committed(evidence) ** 2


class MyPrior(PriorPolicy):
    names = ("square",)

    def scale(self, table, records, level, count):
        return table["square"].clamp_min(1e-20)

    def learn(self, sums, table):
        table["square"].mul_(0.5).add_(sums.square, alpha=0.5)


class MyWeights(Weights):
    def __call__(self, beliefs, posterior):
        return beliefs.softmax(0)


class MyConservatism(Conservatism):
    def __call__(self, fused, frame, sources, pool=None):
        return frame.certainty(fused).sqrt() * sources


class MyScaling(Scaling):
    def factors(self, lengths, plain):
        return torch.where(lengths > 0, 0.5 * plain / lengths, 0)


class MyRoute(PosteriorRoute):
    def __call__(self, moments, prior, pool=None):
        return normal_posterior(moments, prior)


class MyEstimator(Successive):
    pass


@dataclass(frozen=True)
class MySettings:
    factor: float = setting(0.5, "what the fusion loss is multiplied by")


class MyMethod(Balancer):
    def __init__(self, partition, factor: float) -> None:
        super().__init__(partition)
        self.factor = factor

    def step(self, seen, state) -> Step:
        return plain_step(seen, {"fusion": self.factor})


def build(job: Job) -> Balancer:
    return MyMethod(job.model.partition(), job.settings.factor)


MINE = {
    "evidence": (EVIDENCE_MAPS, dataclass(frozen=True)(MyMap)),
    "frame": (FRAMES, MyFrame),
    "prior": (PRIORS, MyPrior),
    "weights": (WEIGHTS, MyWeights),
    "conservatism": (CONSERVATISMS, MyConservatism),
    "scaling": (SCALINGS, MyScaling),
    "posterior": (ROUTES, MyRoute),
    "estimator": (ESTIMATORS, dataclass(frozen=True)(MyEstimator)),
    "combination": (RULES, Rule(evidence_pair, terms)),
}


@pytest.fixture
def registered() -> Iterator[None]:
    for registry, choice in MINE.values():
        registry.register(NAME)(choice)
    method(NAME, summary="s", paper="p", needs="n", passes="1", settings=MySettings, table="mine")(build)
    try:
        yield
    finally:
        for registry, _ in MINE.values():
            registry.withdraw(NAME)
        METHODS.withdraw(NAME)
        TABLES.withdraw("mine")


def trains(network, balancer) -> bool:
    optimiser = torch.optim.SGD(network.parameters(), 0.2)
    start = losses_of(network)["fusion"].mean().item()
    for _ in range(30):
        optimiser.zero_grad()
        balancer.backward(losses_of(network))
        optimiser.step()
    return losses_of(network)["fusion"].mean().item() < start


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize("field", MINE)
def test_a_choice_from_outside_trains_by_its_name(field):
    network = PlainNetwork()
    settings = replace(CalibrationSettings(), **{field: NAME})
    balancer = settings.build(network.partition())
    assert trains(network, balancer)
    balancer.load_state_dict(balancer.state_dict())


@pytest.mark.usefixtures("registered")
def test_all_of_them_together_train():
    network = PlainNetwork()
    settings = CalibrationSettings(**dict.fromkeys(MINE, NAME))
    assert trains(network, build_balancer("bogc", network, settings, 30, samples=40))


@pytest.mark.usefixtures("registered")
def test_a_method_from_outside_trains_by_its_name():
    network = PlainNetwork()
    balancer = build_balancer(NAME, network, MySettings(factor=2.0), 30)
    assert isinstance(balancer, MyMethod)
    assert trains(network, balancer)
    assert METHODS[NAME].table == "mine"


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize("settings", [{}, {"mine": {"factor": 2.0}}])
def test_a_method_from_outside_trains_by_the_training_loop(settings, tmp_path):
    torch.set_default_dtype(torch.float32)
    config = TrainConfig(method=NAME, epochs=4, batch_size=16, features=8, device="cpu", settings=settings)
    assert config.method_settings == MySettings(**settings.get("mine", {}))
    assert train(config, tiny.load(), tmp_path)["test"]["fused"]["accuracy"] > 0.5


@pytest.mark.usefixtures("registered")
def test_choices_from_outside_train_by_the_training_loop(tmp_path):
    torch.set_default_dtype(torch.float32)
    settings = {"calibration": dict.fromkeys(MINE, NAME)}
    config = TrainConfig(method="bogc", epochs=4, batch_size=16, features=8, device="cpu", settings=settings)
    assert train(config, tiny.load(), tmp_path)["test"]["fused"]["accuracy"] > 0.5


def test_what_is_not_registered_is_refused_with_the_names_that_are():
    with pytest.raises(ConfigError, match=f"evidence must be one of pseudo-count.*found '{NAME}'"):
        replace(CalibrationSettings(), evidence=NAME).build(PlainNetwork().partition())
    with pytest.raises(ConfigError, match="method must be one of"):
        build_balancer(NAME, PlainNetwork(), None, 1)


@pytest.mark.usefixtures("registered")
def test_a_name_is_taken_once():
    with pytest.raises(ConfigError, match="must be new"):
        WEIGHTS.register(NAME)(type("Other", (Weights,), {}))
