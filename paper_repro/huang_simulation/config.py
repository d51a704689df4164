"""How much is simulated."""

from dataclasses import dataclass

from bogc.checks import check_number

MODALITIES = 4
WIDTH = 100  # coordinates of each modality


@dataclass(frozen=True)
class HuangConfig:
    """Settings of the simulation. The paper's sample sizes are not known to us; see the README beside.

    Attributes:
        overlaps: w, how much of the first modality the others hold.
        train: Samples to fit on.
        test: Held-out samples.
        seeds: Independent repetitions, each with new training and test samples.

    Raises:
        RangeError: A number is out of range.
    """

    overlaps: tuple[float, ...] = (1.0, 0.8, 0.5, 0.2, 0.0)
    train: int = 10_000
    test: int = 40_000
    seeds: int = 10

    def __post_init__(self) -> None:
        fewest = MODALITIES * WIDTH + 3
        remedy = "Least squares needs more samples than coordinates."
        check_number("train", self.train, self.train >= fewest, f"must be at least {fewest}", remedy)
        check_number("test", self.test, self.test >= 1, "must be at least 1", "Hold samples out.")
        check_number("seeds", self.seeds, self.seeds >= 1, "must be at least 1", "Repeat once or more.")
        for overlap in self.overlaps:
            valid = 0 <= overlap <= 1
            check_number("overlaps", overlap, valid, "must lie in [0, 1]", "It is a share.")
