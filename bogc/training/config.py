"""The configuration of one run, from TOML or flags."""

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

import torch

from bogc.methods.cggm import CGGMSettings
from bogc.methods.fields import choose, setting
from bogc.methods.fixed_weights import FixedWeightsSettings
from bogc.methods.i2m2 import I2M2Settings
from bogc.methods.inverse_variance import InverseVarianceSettings
from bogc.methods.jacobian_descent import JacobianDescentSettings
from bogc.methods.methods import METHODS, TABLES
from bogc.methods.mimo import MIMOSettings
from bogc.methods.mmpareto import MMParetoSettings
from bogc.methods.ogm_ge import OGMGESettings
from bogc.methods.search import LogUniform
from bogc.methods.settings import CalibrationSettings
from bogc.checks import check_number
from bogc.errors import ConfigError, DeviceError
from bogc.models import FUSIONS


@dataclass(frozen=True)
class TrainConfig:
    """Everything that determines a run; two runs with equal configs on one machine end bit-identical.

    The optimiser is SGD with momentum and a cosine schedule to zero; the split depends on ``fold`` alone.
    Each field's metadata holds the help text of its command-line flag.
    """

    dataset: str = setting(
        "watch", "registered name, or package.module:function that returns a MultimodalDataset"
    )
    method: str = setting("bogc", f"balancing method: {', '.join(METHODS)}")
    fold: int = setting(0, "which fold is the test set, from 0")
    folds: int = setting(5, "number of folds")
    seed: int = setting(0, "seed of initial weights, batch order and dropout")
    epochs: int = setting(20, "passes over the training data")
    batch_size: int = setting(64, "samples a step")
    lr: float = setting(0.02, "learning rate at the start", LogUniform(1e-3, 0.5))
    momentum: float = setting(0.9, "momentum of SGD")
    weight_decay: float = setting(1e-4, "weight decay of SGD")
    features: int = setting(64, "width of each encoder's output")
    fusion: str = setting("concat", f"fusion head: {', '.join(FUSIONS)}")
    patience: int = setting(
        0, "epochs without a better validation accuracy before stopping; 0: never stop early"
    )
    device: str = setting("auto", "auto, cpu, cuda, cuda:1, ...")
    bf16: bool = setting(False, "forward pass under bfloat16 autocast")
    log_every: int = setting(10, "steps between records of the opinions")
    checkpoint_every: int = setting(0, "steps between checkpoints within an epoch; 0: only between epochs")
    calibration: CalibrationSettings = field(default_factory=CalibrationSettings)
    ogm_ge: OGMGESettings = field(default_factory=OGMGESettings)
    cggm: CGGMSettings = field(default_factory=CGGMSettings)
    mimo: MIMOSettings = field(default_factory=MIMOSettings)
    mmpareto: MMParetoSettings = field(default_factory=MMParetoSettings)
    i2m2: I2M2Settings = field(default_factory=I2M2Settings)
    inverse_variance: InverseVarianceSettings = field(default_factory=InverseVarianceSettings)
    fixed_weights: FixedWeightsSettings = field(default_factory=FixedWeightsSettings)
    jacobian_descent: JacobianDescentSettings = field(default_factory=JacobianDescentSettings)

    def __post_init__(self) -> None:
        choose("method", self.method, METHODS)
        choose("fusion", self.fusion, FUSIONS)
        for name, least in _LEAST.items():
            value = getattr(self, name)
            check_number(name, value, value >= least, f"must be at least {least}", "See bogc train --help.")
        check_number("lr", self.lr, self.lr > 0, "must be positive", "Use 0.02.")
        check_number(
            "fold", self.fold, self.fold < self.folds, f"must be below folds = {self.folds}", "Count from 0."
        )

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> "TrainConfig":
        """Build from nested plain values, as in TOML.

        Raises:
            ConfigError: A key is unknown or a value has the wrong type.
            RangeError: A number is out of range.
        """
        own = dict(values)
        tables = {
            name: kind(**_checked(own.pop(name, {}), kind, f"{name}.")) for name, kind in TABLES.items()
        }
        return cls(**tables, **_checked(own, cls, ""))

    @classmethod
    def from_toml(cls, path: Path) -> "TrainConfig":
        """Read a TOML file with the fields above, the methods' settings as tables, such as ``[calibration]``.

        Raises:
            ConfigError: The file is missing or not TOML; otherwise as for from_mapping.
        """
        try:
            return cls.from_mapping(tomllib.loads(path.read_text(encoding="utf-8")))
        except (OSError, tomllib.TOMLDecodeError) as error:
            raise ConfigError(
                str(path), "must be a readable TOML file", error, "Check the path and syntax."
            ) from None

    def to_mapping(self) -> dict[str, Any]:
        """Inverse of from_mapping."""
        return asdict(self)

    @property
    def digest(self) -> str:
        """Ten hexadecimal digits that identify what is computed, not how often it is logged or saved.

        Of the tables, only the method's own counts.
        """
        unused = set(TABLES) - {METHODS[self.method].table}
        values = self.to_mapping()
        for name in ("device", "log_every", "checkpoint_every", *unused):
            values.pop(name)
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:10]

    @property
    def method_settings(self) -> Any:
        """The method's own settings; None if it has none."""
        return getattr(self, METHODS[self.method].table, None)

    @property
    def run_name(self) -> str:
        """Folder name of the run."""
        dataset = self.dataset.replace(":", "-").replace("/", "-")
        return f"{dataset}-{self.method}-fold{self.fold}-seed{self.seed}-{self.digest}"

    def torch_device(self) -> torch.device:
        """Resolve ``device``.

        Raises:
            DeviceError: It is not there.
        """
        if self.device == "auto":
            return torch.device("cuda" if torch.cuda.is_available() else "cpu")
        try:
            torch.empty(0, device=self.device)
        except (RuntimeError, AssertionError) as error:
            reason = str(error).splitlines()[0]
            raise DeviceError(
                "device", "must be usable by torch", f"{self.device} ({reason})", "Use cpu."
            ) from None
        return torch.device(self.device)


_LEAST: Final = {
    "fold": 0,
    "folds": 3,
    "epochs": 1,
    "batch_size": 2,
    "momentum": 0,
    "weight_decay": 0,
    "features": 2,
    "patience": 0,
    "log_every": 1,
    "checkpoint_every": 0,
}


def _checked(values: object, target: type, prefix: str) -> dict[str, Any]:
    """Check names and types against the dataclass ``target``; an int passes for a float."""
    if not isinstance(values, Mapping):
        raise ConfigError(
            prefix.rstrip("."), "must be a table", repr(values), "Write it as [table] and its settings."
        )
    known = {f.name: f.type for f in fields(target) if f.name not in TABLES}
    for name, value in values.items():
        if name not in known:
            close = get_close_matches(name, known, n=3)
            remedy = f"Did you mean {' or '.join(close)}?" if close else f"Known: {', '.join(known)}."
            raise ConfigError(f"{prefix}{name}", "must be a known setting", repr(value), remedy)
        expected = known[name]
        if type(value) is not expected and not (expected is float and type(value) is int):
            rule = f"must be of type {getattr(expected, '__name__', expected)}"
            raise ConfigError(
                f"{prefix}{name}", rule, repr(value), "Write it without quotes, or with, as fits."
            )
    return {n: float(v) if known[n] is float else v for n, v in values.items()}
