"""The command as it runs where little is installed; used by the tests of it.

Run as ``python tests/gpu/blocked.py WORDS``, the words of the command.
"""

import runpy
import sys
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

ABSENT = (
    "beartype", "hypothesis", "joblib", "matplotlib", "PIL", "pytest", "rich", "scipy", "seglearn",
    "sklearn", "torchjd", "transformers", "typer",
)  # fmt: skip
"""Packages that the command must do without."""


class Others(PathFinder):
    """What finds the packages that are installed, but for these."""

    @classmethod
    def find_spec(cls, fullname: str, path: Any = None, target: Any = None) -> Any:
        """See the base class."""
        return None if fullname.partition(".")[0] in ABSENT else super().find_spec(fullname, path, target)


if __name__ == "__main__":
    sys.meta_path[:] = [Others if finder is PathFinder else finder for finder in sys.meta_path]
    runpy.run_path(str(Path(__file__).parent), run_name="__main__")
