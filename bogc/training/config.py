"""The configuration of one run, from TOML or flags."""

import hashlib
import json
import math
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn
from torch.optim import SGD, AdamW, Optimizer

from bogc.checks import check_device, check_number
from bogc.data import DATASETS
from bogc.errors import ConfigError
from bogc.methods import METHODS, TABLES, setting
from bogc.methods.search import LogUniform
from bogc.models import FUSIONS
from bogc.registry import Registry

MakeOptimiser = Callable[[Iterable[nn.Parameter], "TrainConfig"], Optimizer]
OPTIMISERS: Final[Registry[MakeOptimiser]] = Registry("optimiser")


class Settings(Mapping[str, Any]):
    """The settings of methods by the name of their table; cannot be changed, and equal if all are."""

    def __init__(self, tables: Mapping[str, Any]) -> None:
        self._tables = dict(tables)

    def __getitem__(self, name: str) -> Any:
        return self._tables[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tables)

    def __len__(self) -> int:
        return len(self._tables)

    def __hash__(self) -> int:
        return hash(frozenset(self._tables.items()))

    def __repr__(self) -> str:
        return repr(self._tables)


@dataclass(frozen=True)
class TrainConfig:
    """Everything that determines a run; two runs with equal configs on one machine end bit-identical.

    The learning rate falls to zero along a cosine; the split depends on ``fold`` alone. Each field's metadata
    holds the help text of its command-line flag.

    ``settings`` holds every table of settings that a method has registered, with its defaults where none is
    given. A table is given as an object of its type or as a mapping,
    ``TrainConfig(settings={"calibration": {"frame": "reliability"}})``, and read as an attribute,
    ``config.calibration.frame``.
    """

    dataset: str = setting(
        "watch",
        "registered name, or package.module:function that returns a MultimodalDataset",
        names=DATASETS,
    )
    method: str = setting("bogc", f"balancing method: {', '.join(METHODS)}", names=METHODS)
    fold: int = setting(0, "which fold is the test set, from 0")
    folds: int = setting(5, "number of folds")
    seed: int = setting(0, "seed of initial weights, batch order and dropout")
    epochs: int = setting(20, "passes over the training data")
    extend: int = setting(
        0, "epochs more for the finished run of the same flags, whose learning rate starts anew for them"
    )
    batch_size: int = setting(64, "samples a step")
    optimiser: str = setting("sgd", "sgd or adamw", names=OPTIMISERS)
    lr: float = setting(0.02, "learning rate at the start", LogUniform(1e-3, 0.5))
    momentum: float = setting(0.9, "momentum of SGD, beta_1 of AdamW")
    weight_decay: float = setting(1e-4, "weight decay")
    features: int = setting(64, "width of each encoder's output")
    fusion: str = setting("concat", f"fusion head: {', '.join(FUSIONS)}", names=FUSIONS)
    patience: int = setting(
        0, "epochs without a better validation accuracy before stopping; 0: never stop early"
    )
    device: str = setting("auto", "auto, cpu, cuda, cuda:1, ...")
    bf16: bool = setting(False, "forward pass under bfloat16 autocast")
    log_every: int = setting(10, "steps between records of the opinions")
    checkpoint_every: int = setting(0, "steps between checkpoints within an epoch; 0: only between epochs")
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        own = {name: getattr(self, name) for name in plain_fields(TrainConfig)}
        for name, value in _checked(own, TrainConfig, "").items():
            object.__setattr__(self, name, value)
        METHODS.choose(self.method)
        if self.fusion not in FUSIONS:
            rule = f"must be one of {', '.join(FUSIONS)}"
            raise ConfigError("fusion", rule, repr(self.fusion), "Choose one of these.")
        OPTIMISERS.choose(self.optimiser)
        for name, (least, most) in _RANGES.items():
            value = getattr(self, name)
            rule = f"must be at least {least}" if value < least else f"must be at most {most:g}"
            check_number(name, value, least <= value <= most, rule, "See bogc train --help.")
        check_number("lr", self.lr, 0 < self.lr < math.inf, "must be positive and finite", "Use 0.02.")
        check_number(
            "fold", self.fold, self.fold < self.folds, f"must be below folds = {self.folds}", "Count from 0."
        )
        if self.extend and self.patience:
            remedy = "Leave one of them out."
            raise ConfigError(
                "extend", "must be 0 with patience, which may end a run early", self.extend, remedy
            )
        if self.optimiser == "adamw":
            rule = "must be below 1, as beta_1 of AdamW"
            check_number("momentum", self.momentum, self.momentum < 1, rule, "Use 0.9.")
        object.__setattr__(self, "settings", _complete(self.settings))

    def __getattr__(self, name: str) -> Any:
        tables = self.__dict__.get("settings", {})
        if name not in tables:
            raise AttributeError(f"TrainConfig has neither a field nor a table of settings {name!r}")
        return tables[name]

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> "TrainConfig":
        """Build from nested plain values, as in TOML: fields, and a mapping for each table of settings.

        Raises:
            ConfigError: A key is unknown or a value has the wrong type.
            RangeError: A number is out of range.
        """
        own = dict(values)
        tables = {name: own.pop(name) for name in TABLES if name in own}
        return cls(**_checked(own, cls, ""), settings=tables)

    @classmethod
    def from_toml(cls, path: Path) -> "TrainConfig":
        """Read a TOML file with the fields above, the methods' settings as tables, such as ``[calibration]``.

        Raises:
            ConfigError: The file is missing or not TOML in UTF-8; otherwise as for from_mapping.
        """
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise ConfigError(
                str(path), "must be a readable TOML file", error, "Check the path and syntax."
            ) from None
        return cls.from_mapping(values)

    def to_mapping(self) -> dict[str, Any]:
        """Inverse of from_mapping."""
        own = {name: getattr(self, name) for name in plain_fields(TrainConfig)}
        return own | {name: asdict(table) for name, table in self.settings.items()}

    def altered(self, values: Mapping[str, Any]) -> "TrainConfig":
        """Copy with some settings replaced, each by its name, or by ``"table.name"`` in one of the tables.

        Raises:
            ConfigError, RangeError: As for from_mapping.
        """
        changed = self.to_mapping()
        for name, value in values.items():
            table, _, last = name.rpartition(".")
            if table:
                TABLES.choose(table)
            (changed[table] if table else changed)[last] = value
        return self.from_mapping(changed)

    @property
    def digest(self) -> str:
        """Ten hexadecimal digits that identify what is computed, not how often it is logged or saved.

        Of the tables, only the method's own counts; ``extend`` counts if it is not 0.
        """
        unused = set(self.settings) - {METHODS[self.method].table}
        values = self.to_mapping()
        for name in ("device", "log_every", "checkpoint_every", *unused):
            values.pop(name)
        if not self.extend:
            values.pop("extend")
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:10]

    @property
    def last_epoch(self) -> int:
        """Number of epochs after which the run is finished, if patience does not end it."""
        return self.epochs + self.extend

    @property
    def method_settings(self) -> Any:
        """The method's own settings; None if it has none."""
        return self.settings.get(METHODS[self.method].table)

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
        check_device("device", self.device)
        return torch.device(self.device)


@OPTIMISERS.register("sgd")
def _sgd(parameters: Iterable[nn.Parameter], config: TrainConfig) -> Optimizer:
    return SGD(parameters, lr=config.lr, momentum=config.momentum, weight_decay=config.weight_decay)


@OPTIMISERS.register("adamw")
def _adamw(parameters: Iterable[nn.Parameter], config: TrainConfig) -> Optimizer:
    betas = (config.momentum, 0.999)
    return AdamW(parameters, lr=config.lr, betas=betas, weight_decay=config.weight_decay)


_MANY: Final = 10**9
_RANGES: Final[dict[str, tuple[float, float]]] = {
    "fold": (0, _MANY),
    "folds": (3, 10**6),
    "seed": (0, 2**32 - 1),
    "epochs": (1, 10**6),
    "extend": (0, 10**6),
    "batch_size": (2, _MANY),
    "momentum": (0, sys.float_info.max),
    "weight_decay": (0, sys.float_info.max),
    "features": (2, 2**16),
    "patience": (0, _MANY),
    "log_every": (1, _MANY),
    "checkpoint_every": (0, _MANY),
}


def plain_fields(target: type) -> dict[str, Any]:
    """Name -> type of those fields of a dataclass that are made by ``setting``."""
    return {f.name: f.type for f in fields(target) if "help" in f.metadata}


def _complete(given: Mapping[str, Any]) -> Settings:
    """Every table that is registered: as given, or its defaults.

    Raises:
        ConfigError: A table is not registered, is of another type, or has a field's name.
    """
    for name in given:
        TABLES.choose(name)
    clash = TABLES.keys() & plain_fields(TrainConfig).keys()
    if clash:
        raise ConfigError("table of settings", "must not have a field's name", sorted(clash), "Rename it.")
    found = {}
    for name, kind in TABLES.items():
        value = given.get(name, {})
        found[name] = value if isinstance(value, kind) else kind(**_checked(value, kind, f"{name}."))
    return Settings(found)


def _checked(values: object, target: type, prefix: str) -> dict[str, Any]:
    """Check names and types against the dataclass ``target``; an int passes for a float."""
    if not isinstance(values, Mapping):
        raise ConfigError(
            prefix.rstrip("."), "must be a table", _shown(values), "Write it as [table] and its settings."
        )
    known = plain_fields(target)
    for name, value in values.items():
        if name not in known:
            close = get_close_matches(name, known, n=3)
            remedy = f"Did you mean {' or '.join(close)}?" if close else f"Known: {', '.join(known)}."
            raise ConfigError(f"{prefix}{name}", "must be a known setting", _shown(value), remedy)
        expected = known[name]
        if type(value) is not expected and not (expected is float and type(value) is int):
            rule = f"must be of type {getattr(expected, '__name__', expected)}"
            raise ConfigError(
                f"{prefix}{name}", rule, _shown(value), "Write it without quotes, or with, as fits."
            )
    return {n: _float(v) if known[n] is float else v for n, v in values.items()}


def _shown(value: object) -> str:
    try:
        return repr(value)[:200]
    except (RecursionError, ValueError):  # nested too deeply; an int of thousands of digits
        return f"a {type(value).__name__}"


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # of an int; what is infinite is refused by name
        return math.inf
