"""Where a data set lies that nobody may pass on: its folder is named by an environment variable."""

import os
from pathlib import Path

from bogc.errors import ConfigError, DataError


def folder_named_by(variable: str) -> Path:
    """Give the folder that the environment variable ``variable`` names.

    Raises:
        ConfigError: The variable is not set, or names no folder.
    """
    value = os.environ.get(variable, "")
    remedy = f"Set it with: export {variable}=/path/to/the/data."
    if not value:
        raise ConfigError(variable, "must name the folder of the data", "nothing", remedy)
    path = Path(value).expanduser()
    if not path.is_dir():
        raise ConfigError(variable, "must name a folder", repr(value), remedy)
    return path


def existing(path: Path, remedy: str) -> Path:
    """Give ``path`` back; DataError with this remedy if there is no such file or folder."""
    if not path.exists():
        raise DataError(str(path), "must exist", "nothing of that name", remedy)
    return path
