"""What is timed, and how often."""

from dataclasses import dataclass

from bogc.checks import check_number


@dataclass(frozen=True)
class MimoTimeConfig:
    """Settings of the measurement.

    Attributes:
        sizes: D, parameters of the gradients.
        judged: The size, one of them, whose ratios are compared with the published one: about a ResNet-18.
        sources: S, losses: one of the fusion and one a modality.
        rounds: Times that each method is measured in a run, in turn with the others.
        repeats: Runs, each with new gradients.
        image: Height and width of the pictures for the whole step.
        batch: Samples of the whole step.
        features: Width of the network of the whole step.

    Raises:
        RangeError: A number is out of range.
    """

    sizes: tuple[int, ...] = (100_000, 300_000, 1_000_000, 3_000_000, 11_200_000, 30_000_000)
    judged: int = 11_200_000
    sources: int = 3
    rounds: int = 5
    repeats: int = 5
    image: int = 64
    batch: int = 32
    features: int = 64

    def __post_init__(self) -> None:
        check_number("sources", self.sources, self.sources >= 3, "must be at least 3", "Two modalities.")
        for name in ("rounds", "repeats", "image", "batch"):
            value = getattr(self, name)
            check_number(name, value, value >= 1, "must be at least 1", "Choose a larger number.")
        check_number("features", self.features, self.features >= 2, "must be at least 2", "Use 64.")
        valid = self.judged in self.sizes
        check_number("judged", self.judged, valid, "must be one of the sizes", "Add it to them.")
        for size in self.sizes:
            valid = size >= self.sources
            check_number("sizes", size, valid, f"must be at least {self.sources}", "Use 100000.")
