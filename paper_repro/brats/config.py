"""What is trained, and for how long."""

from dataclasses import dataclass

from bogc.checks import check_number
from paper_repro.networks.segmentation import Sizes


@dataclass(frozen=True)
class BratsConfig:
    """Settings of all runs; the defaults are those of the released code.

    Attributes:
        epochs: Passes over the training patients, one slice of each.
        warm_up: Epochs, out of these, in which the rate rises from ``first_rate`` to ``rate``, step by step.
        batch_size: Slices a step; an incomplete last batch is used too, unless it is a single slice.
        first_rate: See there.
        rate: Learning rate of SGD after the warm-up.
        last_rate: To which it falls by a cosine.
        classifier_rate: Learning rate of the SGD of CGGM's classifiers.
        momentum: Of both.
        weight_decay: Of both.
        rho: Factor of all B; only in CGGM with the guard.
        direction: lambda, weight of the direction loss.
        side: Height and width of a slice.
        width: See ``paper_repro.networks.segmentation.Sizes``, as for the next three.
        depths: See there.
        features: See there.
        early: See there.
        seeds: Runs of each method.

    Raises:
        RangeError: A number is out of range.
    """

    epochs: int = 75
    warm_up: int = 10
    batch_size: int = 64
    first_rate: float = 4e-4
    rate: float = 0.01
    last_rate: float = 1e-3
    classifier_rate: float = 6e-3
    momentum: float = 0.9
    weight_decay: float = 3e-4
    rho: float = 1.0
    direction: float = 0.1
    side: int = 160
    width: int = 64
    depths: tuple[int, int, int] = (3, 4, 23)
    features: int = 256
    early: int = 48
    seeds: int = 5

    def __post_init__(self) -> None:
        for name in ("epochs", "side", "seeds"):
            value = getattr(self, name)
            check_number(name, value, value >= 1, "must be at least 1", "Choose a larger number.")
        for name in ("first_rate", "rate", "last_rate", "classifier_rate"):
            value = getattr(self, name)
            check_number(name, value, value > 0, "must be positive", "Choose a positive number.")
        for name in ("momentum", "weight_decay", "rho", "direction"):
            value = getattr(self, name)
            check_number(name, value, value >= 0, "must not be negative", "Use 0 for none.")
        valid = 0 <= self.warm_up < self.epochs
        check_number("warm_up", self.warm_up, valid, "must be fewer than all epochs", "Use 0 for none.")
        check_number("batch_size", self.batch_size, self.batch_size >= 2, "must be at least 2", "Use 64.")
        _ = self.sizes  # checks the others

    @property
    def sizes(self) -> Sizes:
        """Of network and classifiers."""
        return Sizes(self.width, self.depths, self.features, self.early)
