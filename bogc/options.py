"""Command-line flags made from the fields of the configuration, so that each is declared once."""

import inspect
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from bogc.methods.methods import METHODS, TABLES
from bogc.training.config import TrainConfig

ConfigFile = Annotated[Path | None, typer.Option(help="TOML file to start from; flags override it.")]
TRAINING_PANEL: Final = "Training"
CALIBRATION: Final = "calibration"  # the one table whose flags have no prefix
CALIBRATION_PANEL: Final = "Open choices of bogc"


def with_config(command: Callable[..., None]) -> Callable[..., None]:
    """Give ``command(config, ...)`` a flag for each setting; typer reads them off the new signature.

    The command's own parameters come first and keep their names; a setting that is one of them gets no flag.
    """
    own = list(inspect.signature(command).parameters.values())[1:]
    taken = {parameter.name for parameter in own}
    flags = [
        _flag(prefix + f.name, f.type, f.metadata["help"], f.default, panel)
        for target, prefix, panel in _targets()
        for f in fields(target)
        if f.name not in taken and f.name not in TABLES
    ]
    file = inspect.Parameter("config", inspect.Parameter.KEYWORD_ONLY, annotation=ConfigFile, default=None)

    def wrapped(**values: Any) -> None:
        arguments = {name: values.pop(name) for name in taken}
        command(build(values.pop("config"), values), **arguments)

    keyword = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]
    signature = inspect.Signature([*keyword, file, *flags])
    wrapped.__signature__ = signature  # type: ignore[attr-defined]
    wrapped.__annotations__ = {name: p.annotation for name, p in signature.parameters.items()}
    wrapped.__doc__ = command.__doc__
    wrapped.__name__ = command.__name__
    return wrapped


def build(file: Path | None, flags: dict[str, Any]) -> TrainConfig:
    """Merge a TOML file, or the defaults, with the flags that were given.

    Raises:
        ConfigError, RangeError: The file or a flag is not valid.
    """
    merged = (TrainConfig.from_toml(file) if file else TrainConfig()).to_mapping()
    for name, value in flags.items():
        if value is not None:
            table, setting = _place(name)
            target = merged[table] if table else merged
            target[setting] = value
    return TrainConfig.from_mapping(merged)


def _targets() -> list[tuple[type, str, str]]:
    """Dataclasses with settings, the prefix of their flags and the panel under which help shows them."""
    targets: list[tuple[type, str, str]] = [(TrainConfig, "", TRAINING_PANEL)]
    for name, kind in TABLES.items():
        methods = ", ".join(method for method, spec in METHODS.items() if spec.table == name)
        own = name == CALIBRATION
        targets.append((kind, "" if own else f"{name}_", CALIBRATION_PANEL if own else f"Of {methods}"))
    return targets


def _place(flag: str) -> tuple[str, str]:
    """Table, "" for the configuration itself, and setting that a flag's name means."""
    for table in TABLES:
        if table != CALIBRATION and flag.startswith(f"{table}_"):
            return table, flag.removeprefix(f"{table}_")
    return ("" if flag in {f.name for f in fields(TrainConfig)} else CALIBRATION), flag


def _flag(name: str, kind: Any, text: str, default: object, panel: str) -> inspect.Parameter:
    names = [] if kind is not bool else [f"--{name.replace('_', '-')}/--no-{name.replace('_', '-')}"]
    option = typer.Option(
        *names, help=f"{text} [dim]\\[default: {default}][/]", rich_help_panel=panel, show_default=False
    )
    annotation = Annotated[kind | None, option]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=None)
