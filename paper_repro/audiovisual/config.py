"""What is trained, and for how long."""

from dataclasses import dataclass

from bogc.checks import check_number


@dataclass(frozen=True)
class AudioVisualConfig:
    """Settings of all runs; the defaults are those of the released code where it has one.

    Attributes:
        epochs: Passes over the training clips.
        batch_size: Clips a step; an incomplete last batch is used too.
        rate: Learning rate of SGD at the start.
        momentum: Of SGD.
        weight_decay: Of SGD.
        decay_epochs: After as many epochs the rate is multiplied by ``decay``.
        decay: See there.
        alpha: How strongly OGM-GE slows the leading encoder; the released code has no default.
        modulated_epochs: Epochs with OGM-GE, from the first on; plain joint training after them.
        seeds: Runs of each protocol and method.
        held_out: Share of the released training part that the validated protocol chooses its epoch by.
        frames: Of each clip.
        side: Height and width of a frame in pixels.

    Raises:
        RangeError: A number is out of range.
    """

    epochs: int = 100
    batch_size: int = 64
    rate: float = 1e-3
    momentum: float = 0.9
    weight_decay: float = 1e-4
    decay_epochs: int = 70
    decay: float = 0.1
    alpha: float = 0.8
    modulated_epochs: int = 51
    seeds: int = 5
    held_out: float = 0.1
    frames: int = 1
    side: int = 224

    def __post_init__(self) -> None:
        for name in ("epochs", "decay_epochs", "seeds", "frames", "side"):
            value = getattr(self, name)
            check_number(name, value, value >= 1, "must be at least 1", "Choose a larger number.")
        for name in ("momentum", "weight_decay", "alpha", "modulated_epochs"):
            value = getattr(self, name)
            check_number(name, value, value >= 0, "must not be negative", "Use 0 for none.")
        for name in ("rate", "decay"):
            value = getattr(self, name)
            check_number(name, value, value > 0, "must be positive", "Choose a positive number.")
        check_number("batch_size", self.batch_size, self.batch_size >= 2, "must be at least 2", "Use 64.")
        valid = 0 < self.held_out < 1
        check_number("held_out", self.held_out, valid, "must lie between 0 and 1", "Use 0.1.")
