"""How many digits, how large a model, how long."""

from dataclasses import dataclass

from bogc.checks import check_number


@dataclass(frozen=True)
class MnistHalvesConfig:
    """Settings of all methods; the defaults are the published protocol as far as it is known to us.

    Attributes:
        train: Of the first 50,000 digits of the published training part, evenly spaced.
        validation: Of its last 10,000.
        test: Of the 10,000 of the published test part.
        hidden: Hidden units.
        epochs: Passes over the training digits.
        chains: Persistent chains of maximum likelihood.
        costs: C of the support vector machine, of which validation chooses one.
        tolerance: Mean change of the hidden units at which the filling of a digit has settled.
        most_rounds: Rounds of filling after which it stops all the same.
        seeds: Repetitions: weights, batches and sampling differ, the digits do not.

    Raises:
        RangeError: A number is out of range.
    """

    train: int = 50_000
    validation: int = 10_000
    test: int = 10_000
    hidden: int = 1000
    epochs: int = 300
    chains: int = 500
    costs: tuple[float, ...] = (1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0)
    tolerance: float = 1e-5
    most_rounds: int = 100
    seeds: int = 5

    def __post_init__(self) -> None:
        for name, most in (("train", 50_000), ("validation", 10_000), ("test", 10_000)):
            value = getattr(self, name)
            check_number(name, value, 1 <= value <= most, f"must lie in 1 .. {most}", "MNIST has no more.")
        for name in ("hidden", "epochs", "chains", "most_rounds", "seeds"):
            value = getattr(self, name)
            check_number(name, value, value >= 1, "must be at least 1", "Choose a larger number.")
        check_number("costs", len(self.costs), len(self.costs) >= 1, "must name at least one", "Use 0.01.")
        for cost in self.costs:
            check_number("costs", cost, cost > 0, "must be positive", "Choose a positive C.")
        check_number("tolerance", self.tolerance, self.tolerance >= 0, "must not be negative", "Use 1e-5.")
