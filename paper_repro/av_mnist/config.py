"""What is trained, and for how long."""

from dataclasses import dataclass

from bogc.checks import check_number


@dataclass(frozen=True)
class AvMnistConfig:
    """Settings of all runs; the defaults are those of the released code.

    Attributes:
        train: Samples to train on, the first of the training part; what is left of it validates.
        epochs: Most passes over them, in each of the stages.
        patience: The joint expert and the product stop when more epochs than these have passed without a
            better validation accuracy.
        batch_size: Samples a step.
        unimodal_rate: Learning rate of SGD for an expert on one modality.
        joint_rate: For the expert on both.
        product_rate: For all of them together.
        weight_decay: Of SGD, in all stages.
        clip: Largest norm of the gradient, in all stages.
        unimodal_channels: Of the first layers of the experts on one modality.
        joint_channels: Of those of the expert on both.
        seeds: Runs.

    Raises:
        RangeError: A number is out of range.
    """

    train: int = 55_000
    epochs: int = 30
    patience: int = 10
    batch_size: int = 40
    unimodal_rate: float = 0.01
    joint_rate: float = 0.1
    product_rate: float = 0.01
    weight_decay: float = 1e-4
    clip: float = 8.0
    unimodal_channels: int = 3
    joint_channels: int = 6
    seeds: int = 5

    def __post_init__(self) -> None:
        for name in ("train", "epochs", "unimodal_channels", "joint_channels", "seeds"):
            value = getattr(self, name)
            check_number(name, value, value >= 1, "must be at least 1", "Choose a larger number.")
        for name in ("patience", "weight_decay"):
            value = getattr(self, name)
            check_number(name, value, value >= 0, "must not be negative", "Use 0 for none.")
        for name in ("unimodal_rate", "joint_rate", "product_rate", "clip"):
            value = getattr(self, name)
            check_number(name, value, value > 0, "must be positive", "Choose a positive number.")
        check_number("batch_size", self.batch_size, self.batch_size >= 2, "must be at least 2", "Use 40.")
