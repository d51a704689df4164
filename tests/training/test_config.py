from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bogc.balancing.settings import CalibrationSettings
from bogc.errors import ConfigError, DeviceError, RangeError
from bogc.training import TrainConfig


@given(
    seed=st.integers(0, 10**6),
    lr=st.floats(1e-6, 10),
    frame=st.sampled_from(["sign", "reliability"]),
    bf16=st.booleans(),
)
def test_mapping_round_trip(seed: int, lr: float, frame: str, bf16: bool):
    config = TrainConfig(seed=seed, lr=lr, bf16=bf16, calibration=CalibrationSettings(frame=frame))
    assert TrainConfig.from_mapping(config.to_mapping()) == config


def test_toml(tmp_path: Path):
    path = tmp_path / "run.toml"
    path.write_text('dataset = "mfeat"\nlr = 1\n[calibration]\nframe = "reliability"\n')
    config = TrainConfig.from_toml(path)
    assert (config.dataset, config.lr, config.calibration.frame) == ("mfeat", 1.0, "reliability")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epoch": 3}, r"epoch must be a known setting; found 3. Did you mean epochs\?"),
        ({"zzz": 3}, "zzz must be a known setting; found 3. Known: dataset, method"),
        ({"epochs": "3"}, "epochs must be of type int; found '3'"),
        ({"bf16": 1}, "bf16 must be of type bool; found 1"),
        ({"calibration": {"fram": "sign"}}, r"calibration.fram must be a known setting; .*mean frame"),
        ({"method": "sgd"}, "method must be one of joint, sum, bogc; found 'sgd'"),
        ({"fusion": "film"}, "fusion must be one of concat, sum; found 'film'"),
    ],
)
def test_unknown_or_mistyped_settings(values: dict, message: str):
    with pytest.raises(ConfigError, match=message):
        TrainConfig.from_mapping(values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"lr": -1.0}, "lr must be positive; found -1.0"),
        ({"epochs": 0}, "epochs must be at least 1; found 0"),
        ({"fold": 5}, "fold must be below folds = 5; found 5"),
        ({"batch_size": 1}, "batch_size must be at least 2; found 1"),
    ],
)
def test_numbers_out_of_range(values: dict, message: str):
    with pytest.raises(RangeError, match=message):
        TrainConfig.from_mapping(values)


def test_missing_or_broken_file(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"must be a readable TOML file; found .*No such file"):
        TrainConfig.from_toml(tmp_path / "none.toml")
    (tmp_path / "broken.toml").write_text("lr = = 3")
    with pytest.raises(ConfigError, match=r"broken.toml must be a readable TOML file; found Invalid value"):
        TrainConfig.from_toml(tmp_path / "broken.toml")


def test_digest_is_of_what_is_computed():
    base = TrainConfig()
    assert replace(base, log_every=3, checkpoint_every=2, device="cpu").digest == base.digest
    assert replace(base, lr=0.5).digest != base.digest
    other = CalibrationSettings(frame="dimensions")
    assert replace(base, calibration=other).digest != base.digest
    joint = replace(base, method="joint")
    assert replace(joint, calibration=other).digest == joint.digest


def test_devices():
    assert TrainConfig(device="cpu").torch_device().type == "cpu"
    with pytest.raises(DeviceError, match=r"device must be usable by torch; found cuda:99 \(.*\). Use cpu."):
        TrainConfig(device="cuda:99").torch_device()
