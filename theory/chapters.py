"""The chapters on disk: a Markdown file with numbered equations beside a Python file with their checks."""

import importlib.util
import re
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType

FOLDER = Path(__file__).parent
TITLE = re.compile(r"^\*\*(\d+\.\d+) ([^*]+?)\.?\*\*", re.MULTILINE)
TAG = re.compile(r"\\tag\{(\d+\.\d+)\}")
DISPLAY = re.compile(r"\$\$((?:(?!\$\$).)+?)\\tag\{(\d+\.\d+)\}\s*\$\$", re.DOTALL)


@dataclass(frozen=True)
class Chapter:
    """One chapter.

    Attributes:
        number: As in its file names.
        text: The Markdown.
        module: The imported Python file.
    """

    number: int
    path: Path
    text: str
    module: ModuleType

    @property
    def statements(self) -> dict[str, str]:
        """Equation number -> its title; ``**4.7 Product form.**`` stands before the display tagged 4.7."""
        return dict(TITLE.findall(self.text))

    @property
    def tags(self) -> list[str]:
        """Numbers of the displayed equations, in order."""
        return TAG.findall(self.text)

    @property
    def displays(self) -> dict[str, str]:
        """Equation number -> the LaTeX of its display, without the tag."""
        return {number: display.strip() for display, number in DISPLAY.findall(self.text)}


@cache
def chapters() -> tuple[Chapter, ...]:
    """Load every chapter, in order."""
    files = sorted(FOLDER.glob("[0-9][0-9]_*.md"))
    return tuple(
        Chapter(int(path.stem[:2]), path, path.read_text(encoding="utf-8"), load(path.with_suffix(".py")))
        for path in files
    )


def load(path: Path) -> ModuleType:
    """Import a chapter's Python file; its name starts with a digit, so not by an import statement."""
    name = f"theory.chapter_{path.stem}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
