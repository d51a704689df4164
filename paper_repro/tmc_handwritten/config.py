"""What is trained, and for how long."""

from dataclasses import dataclass

from bogc.checks import check_number


@dataclass(frozen=True)
class TmcConfig:
    """Settings of all protocols; the defaults are those of the released code where it has one.

    Attributes:
        epochs: Passes over the training samples.
        batch_size: Samples a step.
        annealing_epochs: Epochs in which the weight of the divergence grows from 0 to 1.
        rates: Learning rates of Adam: the released default, and the one of an independent re-run.
        weight_decay: Added by Adam to the gradient, times the parameter.
        seeds: Runs of each released protocol.
        folds: Folds of the honest protocol; one tests, one validates.
        shuffles: How often the folds are dealt anew.
        hidden: Hidden units of the concatenation baseline.

    Raises:
        RangeError: A number is out of range.
    """

    epochs: int = 500
    batch_size: int = 200
    annealing_epochs: int = 50
    rates: tuple[float, ...] = (3e-4, 3e-3)
    weight_decay: float = 1e-5
    seeds: int = 10
    folds: int = 5
    shuffles: int = 1
    hidden: int = 100

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "annealing_epochs", "seeds", "shuffles", "hidden"):
            value = getattr(self, name)
            check_number(name, value, value >= 1, "must be at least 1", "Choose a larger number.")
        check_number("folds", self.folds, self.folds >= 3, "must be at least 3", "Each part needs one.")
        for rate in self.rates:
            check_number("rates", rate, rate > 0, "must be positive", "Choose a positive rate.")
