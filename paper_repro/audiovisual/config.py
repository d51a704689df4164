"""What is trained, and for how long."""

from dataclasses import dataclass
from typing import Final

from bogc.checks import check_number
from bogc.errors import ConfigError

OPTIMISERS: Final = ("sgd", "adam", "adamw")
STARTS: Final = ("xavier", "torch")

_AT_LEAST_ONE: Final = ("epochs", "decay_epochs", "seeds", "frames", "side")
_NOT_NEGATIVE: Final = (
    "momentum",
    "weight_decay",
    "alpha",
    "first_modulated",
    "modulated_epochs",
    "strength",
    "rho",
    "direction",
    "clip",
)
_POSITIVE: Final = ("rate", "decay", "factor", "smoothing", "classifier_rate")


@dataclass(frozen=True)
class AudioVisualConfig:
    """Settings of all runs; the defaults are those of the released code of OGM-GE where it has one.

    Attributes:
        epochs: Passes over the training clips.
        batch_size: Clips a step; an incomplete last batch is used too.
        optimiser: One of ``OPTIMISERS``.
        rate: Its learning rate at the start.
        momentum: Of SGD.
        weight_decay: Of the optimiser; in AdamW apart from the gradient.
        decay_epochs: After every so many epochs the rate is multiplied by ``decay``.
        decay: See there.
        start: How linear layers start: "xavier" normal with biases at 0, or as "torch" does.
        pretrained: File below the data's folder with torchvision's weights of ResNet-18 on ImageNet, from
            which the encoders start; empty: from nothing.
        alpha: How strongly OGM-GE slows the leading encoder; its released code has no default.
        first_modulated: First epoch with OGM-GE, from 0; plain joint training before it.
        modulated_epochs: Epochs with OGM-GE; plain joint training after them.
        factor: Constant that lengthens MMPareto's update.
        strength: lambda of MIMO.
        smoothing: mu of MIMO.
        rho: Of CGGM.
        direction: lambda of CGGM.
        classifier_rate: Learning rate of CGGM's classifiers.
        clip: Largest norm of the gradient with CGGM.
        seeds: Runs of each protocol and method.
        held_out: Share of the released training part that the validated protocol chooses its epoch by, where
            the data set has no validation part.
        frames: Of each clip.
        side: Height and width of a frame in pixels.

    Raises:
        RangeError: A number is out of range.
        ConfigError: There is no such optimiser or start.
    """

    epochs: int = 100
    batch_size: int = 64
    optimiser: str = "sgd"
    rate: float = 1e-3
    momentum: float = 0.9
    weight_decay: float = 1e-4
    decay_epochs: int = 70
    decay: float = 0.1
    start: str = "xavier"
    pretrained: str = ""
    alpha: float = 0.8
    first_modulated: int = 0
    modulated_epochs: int = 51
    factor: float = 1.5
    strength: float = 1.0
    smoothing: float = 0.1
    rho: float = 1.3
    direction: float = 0.2
    classifier_rate: float = 5e-4
    clip: float = 0.8
    seeds: int = 5
    held_out: float = 0.1
    frames: int = 1
    side: int = 224

    def __post_init__(self) -> None:
        for name in _AT_LEAST_ONE:
            value = getattr(self, name)
            check_number(name, value, value >= 1, "must be at least 1", "Choose a larger number.")
        for name in _NOT_NEGATIVE:
            value = getattr(self, name)
            check_number(name, value, value >= 0, "must not be negative", "Use 0 for none.")
        for name in _POSITIVE:
            value = getattr(self, name)
            check_number(name, value, value > 0, "must be positive", "Choose a positive number.")
        check_number("batch_size", self.batch_size, self.batch_size >= 2, "must be at least 2", "Use 64.")
        valid = 0 < self.held_out < 1
        check_number("held_out", self.held_out, valid, "must lie between 0 and 1", "Use 0.1.")
        for name, choices in {"optimiser": OPTIMISERS, "start": STARTS}.items():
            if getattr(self, name) not in choices:
                rule = f"must be one of {', '.join(choices)}"
                raise ConfigError(name, rule, repr(getattr(self, name)), "Choose one of them.")
