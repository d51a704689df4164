"""What is trained, and for how long."""

from dataclasses import dataclass

from bogc.checks import check_number
from paper_repro.networks.affect import Dropouts


@dataclass(frozen=True)
class AffectConfig:
    """Settings of all runs; the defaults are those of the released code for CMU-MOSI.

    Attributes:
        epochs: Passes over the training utterances.
        batch_size: Utterances a step; an incomplete last batch is used too.
        rate: Learning rate of Adam at the start; a tenth of it once the validation loss has not fallen in
            more than ``patience`` epochs.
        patience: See there.
        clip: Largest norm of the whole gradient, with every method.
        classifier_rate: Learning rate of the Adam of CGGM's classifiers.
        rho: Factor of all B.
        direction: lambda, weight of the direction loss.
        width: Of all sequences within the network.
        heads: Of attention.
        layers: Of each modality's encoder.
        classifier_layers: Of each classifier's encoder.
        attention: Dropout of attention weights.
        hidden: Dropout in feed-forward parts.
        residual: Dropout of what is added.
        embedding: Dropout of the inputs of encoders.
        output: Dropout before the output.
        seeds: Runs of each method.

    Raises:
        RangeError: A number is out of range.
    """

    epochs: int = 30
    batch_size: int = 64
    rate: float = 1e-3
    patience: int = 10
    clip: float = 0.8
    classifier_rate: float = 5e-4
    rho: float = 1.3
    direction: float = 0.2
    width: int = 40
    heads: int = 5
    layers: int = 5
    classifier_layers: int = 2
    attention: float = 0.15
    hidden: float = 0.15
    residual: float = 0.1
    embedding: float = 0.2
    output: float = 0.1
    seeds: int = 5

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "heads", "layers", "classifier_layers", "seeds"):
            value = getattr(self, name)
            check_number(name, value, value >= 1, "must be at least 1", "Choose a larger number.")
        for name in ("rate", "classifier_rate", "clip"):
            value = getattr(self, name)
            check_number(name, value, value > 0, "must be positive", "Choose a positive number.")
        for name in ("patience", "rho", "direction"):
            value = getattr(self, name)
            check_number(name, value, value >= 0, "must not be negative", "Use 0 for none.")
        valid = 0 <= self.output < 1
        check_number("output", self.output, valid, "must lie in [0, 1)", "Use 0 for none.")
        valid = self.width >= 4 and self.width % self.heads == 0
        rule = f"must be a multiple of the {self.heads} heads, at least 4"
        check_number("width", self.width, valid, rule, "Use 40.")
        _ = self.dropouts  # checks the others

    @property
    def dropouts(self) -> Dropouts:
        """Of all encoders."""
        return Dropouts(self.attention, self.hidden, self.residual, self.embedding)
