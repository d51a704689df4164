"""What is trained, when it is stopped, and how much is measured there."""

from dataclasses import dataclass

from bogc.checks import check_number


@dataclass(frozen=True)
class UncertaintyConfig:
    """Settings of the experiment.

    Attributes:
        settings: Data sets, batch sizes, and how many networks of each trainer.
        trainers: What the networks are trained by, of ``training.TRAINERS``.
        steps: Optimiser steps.
        moments: Steps at which the truth is measured.
        reference: Other batches whose mean gradient is the truth.
        features: Width of the encoders.
        former: Data sets on which the former default is judged too, in one network: it takes a pass a sample.

    Raises:
        RangeError: A number is out of range.
    """

    settings: tuple[tuple[str, int, int], ...] = (
        ("watch", 64, 2),
        ("kipan", 64, 2),
        ("synthetic", 64, 2),
        ("emoji", 64, 2),
        ("mfeat", 64, 2),
        ("watch", 16, 1),
        ("kipan", 16, 1),
        ("synthetic", 16, 1),
    )
    trainers: tuple[str, ...] = ("sum", "bogc")
    steps: int = 200
    moments: tuple[int, ...] = (4, 20, 60, 120, 190)
    reference: int = 80
    features: int = 32
    former: tuple[str, ...] = ("kipan", "synthetic")

    def __post_init__(self) -> None:
        for name, least in {"steps": 6, "reference": 2, "features": 2}.items():
            value = getattr(self, name)
            check_number(name, value, value >= least, f"must be at least {least}", "Choose a larger number.")
        for _, size, seeds in self.settings:
            check_number("settings", size, size >= 2, "must be batches of at least 2", "Use 64.")
            check_number("settings", seeds, seeds >= 1, "must be at least 1 network", "Use 2.")
        for moment in self.moments:
            rule = "must lie in 4 .. steps - 1"
            check_number("moments", moment, 4 <= moment < self.steps, rule, "A filter is ready at step 4.")
