"""Figures of a CUDA device with one command: ``python -m tests.gpu --out DIR``, or ``make gpu``.

``python tests/gpu`` does the same where beartype, which other tests need, is not installed.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]
if not __package__:  # run by its folder: the tests' own __init__.py is passed by
    sys.path[0] = str(ROOT)
    sys.modules["tests"] = package = ModuleType("tests")
    package.__path__ = [str(ROOT / "tests")]

from bogc.errors import DeviceError  # noqa: E402
from tests.gpu.machine import find  # noqa: E402
from tests.gpu.page import PAGE, render  # noqa: E402
from tests.gpu.progress import say  # noqa: E402
from tests.gpu.running import PARTS, Plan, run  # noqa: E402

RESULTS = Path(__file__).resolve().parent / "results"
DRY = ROOT / "runs" / "gpu"


def main(words: Sequence[str] | None = None) -> int:
    """Measure, or write the page. Returns the exit status: 1 if a part failed or is missing, 2: no device."""
    given = _parser().parse_args(words)
    if given.render is not None:
        render(given.render, given.page)
        say(f"Written: {given.page}")
        return 0
    try:
        machine = find(given.device)
    except DeviceError as error:
        say(f"{type(error).__name__}: {error}")
        return 2
    out = given.out or (DRY if machine.dry else RESULTS)
    good = run(Plan(machine, out, given.only or list(PARTS), given.again, given.minutes))
    say(f"Results: {out / machine.folder}. The page: python -m tests.gpu --render {out}")
    return 0 if good else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.gpu",
        description="Checks and figures of a CUDA device; what is there already is not made again.",
    )
    parser.add_argument("--out", type=Path, help="folder of the results; tests/gpu/results by default")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N; cpu: a dry run of tiny sizes")
    parser.add_argument("--only", action="append", choices=list(PARTS), help="a part; may be repeated")
    parser.add_argument("--again", action="store_true", help="make again what is there already")
    parser.add_argument("--minutes", type=float, default=8.0, help="after which no further row is begun")
    parser.add_argument("--render", type=Path, metavar="DIR", help="write the page from the results in DIR")
    parser.add_argument("--page", type=Path, default=PAGE, help="what --render writes")
    return parser


if __name__ == "__main__":
    sys.exit(main())
