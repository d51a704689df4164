import inspect
from dataclasses import fields
from pathlib import Path

import pytest

from bogc.balancing.settings import CalibrationSettings
from bogc.errors import ConfigError
from bogc.options import build, with_config
from bogc.training import TrainConfig


def test_every_setting_has_a_flag_with_a_help_text():
    def command(config: TrainConfig, out: Path = Path("x")) -> None:
        """Doc."""

    parameters = inspect.signature(with_config(command)).parameters
    expected = {f.name for target in (TrainConfig, CalibrationSettings) for f in fields(target)} - {
        "calibration"
    }
    assert set(parameters) == expected | {"config", "out"}
    for name in expected:
        assert parameters[name].annotation.__metadata__[0].help


def test_flags_override_the_file(tmp_path: Path):
    path = tmp_path / "c.toml"
    path.write_text('lr = 0.5\nepochs = 7\n[calibration]\nframe = "reliability"\n')
    config = build(path, {"epochs": 9, "lr": None, "decay": 0.5})
    assert (config.lr, config.epochs, config.calibration.decay, config.calibration.frame) == (
        0.5,
        9,
        0.5,
        "reliability",
    )


def test_without_file_and_flags_it_is_the_default():
    assert build(None, {"lr": None}) == TrainConfig()


def test_a_bad_flag_is_a_typed_error():
    with pytest.raises(ConfigError, match="method must be one of"):
        build(None, {"method": "nothing"})
