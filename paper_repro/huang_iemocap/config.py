"""What is trained, on how much, and for how long."""

from dataclasses import dataclass

from bogc.checks import check_number


@dataclass(frozen=True)
class HuangIemocapConfig:
    """Settings of all runs; the README says which are the paper's.

    Attributes:
        width: Of the latent features of each modality.
        epochs: Passes over the training utterances.
        batch_size: Utterances a step; an incomplete last batch is used too.
        rate: Learning rate of Adam.
        shares: Of the training utterances, drawn at random, that are trained on; 1 among them.
        held_out: Share of the training dialogues that the validated protocol chooses its epoch by.
        seeds: Runs.

    Raises:
        RangeError: A number is out of range.
    """

    width: int = 128
    epochs: int = 50
    batch_size: int = 2048
    rate: float = 0.01
    shares: tuple[float, ...] = (1.0, 0.1, 0.01)
    held_out: float = 0.1
    seeds: int = 5

    def __post_init__(self) -> None:
        for name in ("width", "epochs", "batch_size", "seeds"):
            value = getattr(self, name)
            check_number(name, value, value >= 1, "must be at least 1", "Choose a larger number.")
        check_number("rate", self.rate, self.rate > 0, "must be positive", "Choose a positive number.")
        valid = 0 < self.held_out < 1
        check_number("held_out", self.held_out, valid, "must lie between 0 and 1", "Use 0.1.")
        for share in self.shares:
            check_number("shares", share, 0 < share <= 1, "must lie in (0, 1]", "Use 1 for all.")
        check_number("shares", len(self.shares), 1.0 in self.shares, "must hold 1", "Add it.")
