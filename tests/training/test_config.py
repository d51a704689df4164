import inspect
import json
import pickle
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bogc.errors import ConfigError, DeviceError, RangeError
from bogc.methods import METHODS, TABLES, CalibrationSettings, Job, UnimodalSum, method, setting
from bogc.methods.search import LogUniform
from bogc.options import build, with_config
from bogc.training import TrainConfig
from bogc.training.compare import search_space
from bogc.training.config import OPTIMISERS


@given(
    seed=st.integers(0, 10**6),
    lr=st.floats(1e-6, 10),
    frame=st.sampled_from(["sign", "reliability"]),
    bf16=st.booleans(),
)
def test_mapping_round_trip(seed: int, lr: float, frame: str, bf16: bool):
    config = TrainConfig(seed=seed, lr=lr, bf16=bf16, settings={"calibration": {"frame": frame}})
    assert config.calibration == CalibrationSettings(frame=frame)
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
    config = TrainConfig(settings={table: changed(table)})
    assert config != TrainConfig()
    lines = [f"{name} = {json.dumps(value)}" for name, value in asdict(changed(table)).items()]
    path = tmp_path / "run.toml"
    path.write_text("\n".join([f"[{table}]", *lines]))
    assert TrainConfig.from_toml(path) == config
    assert TrainConfig.from_mapping(config.to_mapping()) == config


@pytest.mark.parametrize("method", METHODS)
def test_of_the_tables_only_the_methods_own_counts_in_the_digest(method: str):
    base = TrainConfig(method=method)
    own = METHODS[method].table
    for table in TABLES:
        other = replace(base, settings={table: changed(table)})
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
        ({"method": "sgd"}, r"method must be one of .*joint, .*; found 'sgd'"),
        ({"optimiser": "adam"}, "optimiser must be one of sgd, adamw; found 'adam'"),
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
        ({"lr": -1.0}, "lr must be positive and finite; found -1.0"),
        ({"lr": float("inf")}, "lr must be positive and finite; found inf"),
        ({"lr": float("nan")}, "lr must be positive and finite; found nan"),
        ({"weight_decay": float("inf")}, r"weight_decay must be at most 1.79769e\+308; found inf"),
        ({"seed": -1}, "seed must be at least 0; found -1"),
        ({"seed": 10**20}, r"seed must be at most 4.29497e\+09; found 1000000"),
        ({"features": 10**9}, "features must be at most 65536; found 1000000000"),
        ({"extend": -1}, "extend must be at least 0; found -1"),
        ({"epochs": 0}, "epochs must be at least 1; found 0"),
        ({"fold": 5}, "fold must be below folds = 5; found 5"),
        ({"batch_size": 1}, "batch_size must be at least 2; found 1"),
        ({"optimiser": "adamw", "momentum": 1.0}, "momentum must be below 1, as beta_1 of AdamW; found 1.0"),
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
    other = {"calibration": {"frame": "dimensions"}}
    assert replace(base, settings=other).digest != base.digest
    joint = replace(base, method="joint")
    assert replace(joint, settings=other).digest == joint.digest


def test_a_setting_is_altered_by_its_dotted_name():
    config = TrainConfig().altered({"lr": 0.5, "calibration.frame": "reliability", "mimo": {"strength": 3.0}})
    assert (config.lr, config.calibration.frame, config.mimo.strength) == (0.5, "reliability", 3.0)
    assert config.altered({"lr": 0.02, "calibration.frame": "auto", "mimo.strength": 1.0}) == TrainConfig()
    with pytest.raises(ConfigError, match=r"calibration\.fram must be a known setting"):
        config.altered({"calibration.fram": "sign"})
    with pytest.raises(ConfigError, match=r"table of settings must be one of .*; found 'mine'"):
        config.altered({"mine.strength": 1.0})


def test_equal_configurations_are_one_key_and_survive_a_pickle():
    first, second = (TrainConfig(settings={"mimo": {"strength": s}}) for s in (2.0, 2.0))
    other = TrainConfig(settings={"mimo": {"strength": 3.0}})
    assert {first: 1, second: 2, other: 3} == {first: 2, other: 3}
    assert pickle.loads(pickle.dumps(first)) == first
    with pytest.raises(AttributeError, match="neither a field nor a table of settings 'mim'"):
        _ = first.mim


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mine": {}}, "table of settings must be one of .*; found 'mine'"),
        ({"mimo": CalibrationSettings()}, "mimo must be a table; found CalibrationSettings"),
        ({"mimo": {"smoothing": "much"}}, "mimo.smoothing must be of type float; found 'much'"),
    ],
)
def test_a_table_that_is_unknown_or_of_another_type_is_refused(settings: dict, message: str):
    with pytest.raises(ConfigError, match=message):
        TrainConfig(settings=settings)


@dataclass(frozen=True)
class MySettings:
    strength: float = setting(2.0, "how much", LogUniform(0.1, 10.0))


@pytest.fixture
def mine() -> Iterator[None]:
    """A method that somebody else registers, after this package was imported."""

    @method("mine", summary="my sum", paper="mine", needs="all losses", passes="1", settings=MySettings)
    def build(job: Job) -> UnimodalSum:
        return UnimodalSum(job.model.partition())

    yield
    METHODS.withdraw("mine")
    TABLES.withdraw("mine")


@pytest.mark.usefixtures("mine")
def test_a_method_from_outside_needs_no_change_here():
    config = TrainConfig.from_mapping({"method": "mine", "mine": {"strength": 3.0}})
    assert config.method_settings == config.mine == MySettings(3.0)
    assert TrainConfig.from_mapping(config.to_mapping()) == config
    assert config.digest != TrainConfig(method="mine").digest
    assert list(search_space(config, "mine")) == ["lr", "mine.strength"]
    assert build(None, {"method": "mine", "mine_strength": 3.0}) == config

    def command(config: TrainConfig) -> None:
        """Doc."""

    flag = inspect.signature(with_config(command)).parameters["mine_strength"]
    assert flag.annotation.__metadata__[0].rich_help_panel == "Of mine"


def test_a_table_with_a_fields_name_is_refused():
    TABLES.register("lr")(MySettings)
    try:
        with pytest.raises(ConfigError, match=r"must not have a field's name; found \['lr'\]"):
            TrainConfig()
    finally:
        TABLES.withdraw("lr")


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_momentum_and_weight_decay_are_those_of_either_optimiser(name: str):
    config = TrainConfig(optimiser=name, lr=0.25, momentum=0.75, weight_decay=0.125)
    optimiser = OPTIMISERS[name]([torch.nn.Parameter(torch.zeros(2))], config)
    assert type(optimiser).__name__.lower() == name
    (group,) = optimiser.param_groups
    momentum = group["momentum"] if name == "sgd" else group["betas"][0]
    assert (group["lr"], momentum, group["weight_decay"]) == (0.25, 0.75, 0.125)


def test_devices():
    assert TrainConfig(device="cpu").torch_device().type == "cpu"
    with pytest.raises(DeviceError, match=r"device must be usable by torch; found cuda:99 \(.*\). Use cpu."):
        TrainConfig(device="cuda:99").torch_device()
