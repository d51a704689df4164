"""Command-line flags made from the fields of the configuration, so that each is declared once."""

import inspect
from collections.abc import Callable, Iterable
from dataclasses import Field, fields
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.markup import escape

from bogc.errors import ConfigError
from bogc.methods import METHODS, TABLES
from bogc.training.config import TrainConfig, plain_fields

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
    flags = [_flag(flag, f, panel) for flag, (_, f, panel) in _settings().items() if flag not in taken]
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
        ConfigError, RangeError: The file or a flag is not valid, or the file alone names code as data set.
    """
    found = _settings()
    values = {}
    for flag, value in flags.items():
        if value is not None:
            table, f, _ = found[flag]
            values[f"{table}.{f.name}" if table else f.name] = value
    start = TrainConfig.from_toml(file) if file else TrainConfig()
    if "dataset" not in values:
        check_code(start.dataset, "", str(file))
    return start.altered(values)


def check_code(stored: str, given: str, place: str) -> None:
    """Raise ConfigError if a file names code to be run as a data set, and the command line does not too.

    Args:
        stored: The data set that the file names.
        given: The data set that the command line names; empty if none.
        place: The file.
    """
    if ":" in stored and given != stored:
        rule = "must be repeated on the command line where a file names code"
        remedy = f"Give --dataset {stored} if you trust that module: it is run."
        raise ConfigError("dataset", rule, f"{stored!r} in {place}", remedy)


def _settings() -> dict[str, tuple[str, Field[Any], str]]:
    """Flag -> table, "" for the configuration itself, field, and the panel under which help shows it.

    Raises:
        ConfigError: Two settings would have the same flag.
    """
    targets: list[tuple[str, type, str, str]] = [("", TrainConfig, "", TRAINING_PANEL)]
    for name, kind in TABLES.items():
        methods = ", ".join(method for method, spec in METHODS.items() if spec.table == name)
        own = name == CALIBRATION
        targets.append((name, kind, "" if own else f"{name}_", CALIBRATION_PANEL if own else f"Of {methods}"))
    found: dict[str, tuple[str, Field[Any], str]] = {}
    for table, target, prefix, panel in targets:
        known = plain_fields(target)
        for f in fields(target):
            flag = prefix + f.name
            if flag in found:
                rule, remedy = "must have flags of its own", "Rename the table or the setting."
                raise ConfigError(
                    f"table {table}", rule, f"--{flag.replace('_', '-')}, which is taken", remedy
                )
            if f.name in known:
                found[flag] = (table, f, panel)
    return found


def completion(names: Iterable[str]) -> Callable[[str], list[str]]:
    """What a shell's TAB offers for the last name of a list with commas."""

    def offered(incomplete: str) -> list[str]:
        before, comma, start = incomplete.rpartition(",")
        return [before + comma + name for name in names if name.startswith(start)]

    return offered


def _flag(name: str, declared: Field[Any], panel: str) -> inspect.Parameter:
    dashed = name.replace("_", "-")
    names, default = declared.metadata["names"], escape(str(declared.default))
    option = typer.Option(
        *([f"--{dashed}/--no-{dashed}"] if declared.type is bool else []),
        help=f"{escape(declared.metadata['help'])} [dim]\\[default: {default}][/]",
        rich_help_panel=panel,
        show_default=False,
        autocompletion=completion(names) if names else None,
    )
    annotation: Any = Annotated[declared.type | None, option]  # type: ignore[operator]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=None)
