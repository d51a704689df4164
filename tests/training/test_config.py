from dataclasses import asdict, fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bogc.balancing.methods import METHODS, TABLES
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


def changed(table: str) -> object:
    """The table's settings with every number, of which each has some, off its default."""
    kind = TABLES[table]
    return kind(**{f.name: f.default / 2 for f in fields(kind) if f.type is float})


@pytest.mark.parametrize("table", TABLES)
def test_every_table_goes_through_toml_and_back(table: str, tmp_path: Path):
    config = replace(TrainConfig(), **{table: changed(table)})
    assert config != TrainConfig()
    lines = [f"{name} = {value!r}" for name, value in asdict(changed(table)).items()]
    path = tmp_path / "run.toml"
    path.write_text("\n".join([f"[{table}]", *lines]))
    assert TrainConfig.from_toml(path) == config
    assert TrainConfig.from_mapping(config.to_mapping()) == config


@pytest.mark.parametrize("method", METHODS)
def test_of_the_tables_only_the_methods_own_counts_in_the_digest(method: str):
    base = TrainConfig(method=method)
    own = METHODS[method].table
    for table in TABLES:
        other = replace(base, **{table: changed(table)})
        assert (other.digest != base.digest) == (table == own)
    assert base.method_settings == (getattr(base, own) if own else None)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epoch": 3}, r"epoch must be a known setting; found 3. Did you mean epochs\?"),
        ({"zzz": 3}, "zzz must be a known setting; found 3. Known: dataset, method"),
        ({"epochs": "3"}, "epochs must be of type int; found '3'"),
        ({"bf16": 1}, "bf16 must be of type bool; found 1"),
        ({"calibration": {"fram": "sign"}}, r"calibration.fram must be a known setting; .*mean frame"),
        ({"method": "sgd"}, r"method must be one of joint, sum, .*, bogc; found 'sgd'"),
        ({"fusion": "best"}, "fusion must be one of concat, sum, film, gated; found 'best'"),
        ({"mimo": {"lambda": 1.0}}, r"mimo\.lambda must be a known setting; found 1\.0\. Known: strength"),
        ({"cggm": 3}, "cggm must be a table; found 3"),
        ({"i2m2": {"apart": "half"}}, r"i2m2\.apart must be of type float; found 'half'"),
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
