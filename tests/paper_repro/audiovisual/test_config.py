import pytest

from bogc.errors import ConfigError, RangeError
from paper_repro.audiovisual.config import AudioVisualConfig


def test_the_defaults_are_the_released_ones():
    config = AudioVisualConfig()
    assert (config.epochs, config.batch_size, config.optimiser, config.rate) == (100, 64, "sgd", 1e-3)
    assert (config.momentum, config.weight_decay) == (0.9, 1e-4)
    assert (config.decay_epochs, config.decay) == (70, 0.1)
    assert (config.first_modulated, config.modulated_epochs) == (0, 51)
    assert (config.frames, config.side, config.start, config.pretrained) == (1, 224, "xavier", "")


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("epochs", 0),
        ("batch_size", 1),
        ("rate", 0.0),
        ("alpha", -0.1),
        ("held_out", 1.0),
        ("decay", 0.0),
        ("smoothing", 0.0),
        ("clip", -1.0),
        ("first_modulated", -1),
    ],
)
def test_numbers_out_of_range_are_refused(setting: str, value: float):
    with pytest.raises(RangeError, match=f"{setting} must .*; found {value}"):
        AudioVisualConfig(**{setting: value})


@pytest.mark.parametrize(("setting", "value"), [("optimiser", "lbfgs"), ("start", "zeros")])
def test_unknown_choices_are_refused(setting: str, value: str):
    with pytest.raises(ConfigError, match=f"{setting} must be one of .*; found '{value}'"):
        AudioVisualConfig(**{setting: value})
