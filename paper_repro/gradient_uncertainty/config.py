"""What is trained, when it is stopped, and how much is measured there."""

from dataclasses import dataclass

from bogc.checks import check_number


@dataclass(frozen=True)
class UncertaintyConfig:
    """Settings of the experiment.

    Attributes:
        datasets: What the networks learn.
        trainers: By which methods, each at its default settings; seeds take them by turns.
        seeds: Networks of each data set.
        steps: Optimiser steps at least; whole epochs.
        stops: Moments of training that are looked at, as shares of the steps.
        window: Steps before each moment over which the priors take in every estimator.
        batches: Fresh batches on which the posteriors are judged.
        reference: Other batches at least, whose mean gradient is the truth; whole passes over the data.
        dimensions: Dimensions of each layer that are judged, drawn once.
        batch_size: Samples of a batch.
        features: Width of the encoders.

    Raises:
        RangeError: A number is out of range.
    """

    datasets: tuple[str, ...] = ("kipan", "synthetic", "mfeat", "emoji", "watch")
    trainers: tuple[str, ...] = ("bogc", "sum")
    seeds: int = 2
    steps: int = 120
    stops: tuple[float, ...] = (0.1, 0.5, 0.95)
    window: int = 5
    batches: int = 6
    reference: int = 120
    dimensions: int = 64
    batch_size: int = 64
    features: int = 16

    def __post_init__(self) -> None:
        for name in ("seeds", "window", "batches"):
            value = getattr(self, name)
            check_number(name, value, value >= 1, "must be at least 1", "Choose a larger number.")
        for name, least in {"reference": 2, "dimensions": 8, "batch_size": 8, "features": 2}.items():
            value = getattr(self, name)
            check_number(name, value, value >= least, f"must be at least {least}", "Choose a larger number.")
        check_number("steps", self.steps, self.steps >= 10, "must be at least 10", "Use 200.")
        for stop in self.stops:
            check_number("stops", stop, 0 < stop < 1, "must lie in (0, 1)", "Use 0.1, 0.5 and 0.95.")
