"""The programs of the how-to pages run as they stand, each page from top to bottom."""

import re
import warnings
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ("networks", "monitoring", "troubleshooting")
BLOCK = re.compile(r"(?:<!-- needs: ([\w, ]+) -->\n)?```python\n(.*?)```", re.DOTALL)


def blocks(page: str) -> list[tuple[list[str], str, int]]:
    """What each program needs, its text and the line it begins in."""
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    return [
        (re.findall(r"\w+", needs or ""), code, text[: match.start(2)].count("\n"))
        for match in BLOCK.finditer(text)
        for needs, code in [match.groups()]
    ]


def run(page: str) -> set[str]:
    """Run a page's programs in one namespace; packages that were not there."""
    names: dict[str, object] = {"__name__": page}
    missing: set[str] = set()
    for needs, code, line in blocks(page):
        absent = {package for package in needs if find_spec(package) is None}
        missing |= absent
        if not absent:
            program = compile("\n" * line + code, str(DOCS / f"{page}.md"), "exec")
            with warnings.catch_warnings():
                if needs:  # of other libraries
                    warnings.simplefilter("ignore")
                exec(program, names)
    return missing


@pytest.mark.parametrize("page", PAGES)
def test_a_page_runs_from_top_to_bottom(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Optional loggers and peft are run where they are installed, the rest always."""
    torch.set_default_dtype(torch.float32)
    monkeypatch.chdir(tmp_path)
    assert len(blocks(page)) >= 5
    assert run(page) <= {"wandb", "mlflow", "peft", "tensorboard", "transformers"}
