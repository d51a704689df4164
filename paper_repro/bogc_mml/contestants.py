"""Who takes part in the comparison, and how each is tuned."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from bogc.methods.search import Choice, Distribution, LogUniform
from bogc.training.compare import search_space, stratified
from bogc.training.config import TrainConfig
from paper_repro.bogc_mml.controls import AVERAGED, PRECONDITIONED

MOMENTUM: Final = "momentum"
RATES: Final[Mapping[str, LogUniform]] = {
    "sgd": LogUniform(0.05, 5.0),
    "adamw": LogUniform(3e-4, 3e-2),
}
"""Where the learning rate is searched; for SGD it is lr / (1 - momentum), that of a constant gradient."""


@dataclass(frozen=True)
class Contestant:
    """A method with some of its choices made.

    Attributes:
        method: Registered name.
        settings: What is fixed, by dotted name; it is not tuned.
        momentum: Of SGD, and beta_1 of AdamW, unless it is tuned.
        tuned: Distributions beside those that the method registers, by dotted name.
        slow: Whether it runs after all others.
    """

    method: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    momentum: float = 0.9
    tuned: Mapping[str, Distribution] = field(default_factory=dict)
    slow: bool = False

    def space(self) -> dict[str, Distribution]:
        """What is tuned beside the learning rate, by dotted name."""
        own = search_space(TrainConfig(), self.method)
        found = {name: how for name, how in own.items() if name != "lr" and name not in self.settings}
        return found | dict(self.tuned)

    def trials(self, base: TrainConfig, count: int, seed: int) -> list[TrainConfig]:
        """``count`` configurations of a Latin hypercube; trial i has the same rate for every contestant.

        Args:
            base: Everything that the contestants share.
            count: Trials.
            seed: Of the sample.
        """
        fixed = replace(base, method=self.method, momentum=self.momentum).altered(self.settings)
        rates = [RATES[base.optimiser].at(q) for q in stratified(count, seed, 0)]
        columns = {
            name: [how.at(q) for q in stratified(count, seed, number)]
            for number, (name, how) in enumerate(self.space().items(), start=1)
        }
        made = [fixed.altered({name: values[i] for name, values in columns.items()}) for i in range(count)]
        return [_with_rate(config, rate) for config, rate in zip(made, rates, strict=True)]


def _with_rate(config: TrainConfig, rate: float) -> TrainConfig:
    shorter = 1 - config.momentum if config.optimiser == "sgd" else 1.0
    return replace(config, lr=rate * shorter)


FILTERED: Final = {"calibration.posterior": "filtered"}
SHRUNK: Final = {
    "calibration.aggregated": "posterior-mean",
    "calibration.weights": "equal",
    "calibration.conservatism": "none",
}

CONTESTANTS: Final[Mapping[str, Contestant]] = {
    "plain sum": Contestant("sum"),
    "bogc": Contestant("bogc"),
    "bogc, filtered": Contestant("bogc", FILTERED, momentum=0.0),
    "bogc, cautious": Contestant("bogc", {"calibration.combination": "cautious"}),
    "plain sum, momentum tuned": Contestant(
        "sum", tuned={MOMENTUM: Choice((0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99))}
    ),
    "plain sum, averaged": Contestant(AVERAGED, momentum=0.0),
    "shrinkage alone": Contestant("bogc", SHRUNK),
    "plain sum, divided by its noise": Contestant(PRECONDITIONED),
    "joint": Contestant("joint"),
    "fixed weights": Contestant("fixed-weights"),
    "inverse variance": Contestant("inverse-variance"),
    "OGM-GE": Contestant("ogm-ge"),
    "CGGM": Contestant("cggm"),
    "MIMO": Contestant("mimo"),
    "MMPareto": Contestant("mmpareto"),
    "I2M2": Contestant("i2m2"),
    "UPGrad": Contestant("upgrad"),
    "bogc, laplace": Contestant("bogc-laplace", slow=True),
}
"""The plain sum is what all are compared with; the four after bogc's are the controls."""

REFERENCE: Final = "plain sum"
CONTROLS: Final = (
    "plain sum, momentum tuned",
    "plain sum, averaged",
    "shrinkage alone",
    "plain sum, divided by its noise",
)
OURS: Final = ("bogc", "bogc, filtered", "bogc, cautious", "bogc, laplace")
