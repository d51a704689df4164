"""python -m paper_repro.gradient_uncertainty: pictures and the README's tables from what was measured."""

import re
from pathlib import Path
from typing import Final

from bogc.training.storage import write_atomically
from paper_repro.document import to_markdown
from paper_repro.forest import png
from paper_repro.gradient_uncertainty import headline
from paper_repro.gradient_uncertainty.findings import readme_blocks
from paper_repro.gradient_uncertainty.pictures import PICTURES, over_training
from paper_repro.results import FILE, Results, read_results

FOLDER: Final = Path(__file__).parent
DOCS: Final = FOLDER.parents[1] / "docs"
_GENERATED: Final = re.compile(r"(<!-- results -->\n).*?(<!-- /results -->)", re.DOTALL)


def with_results(text: str, results: Results) -> str:
    """Put the tables between the README's marks."""
    tables = to_markdown(readme_blocks(results))
    return _GENERATED.sub(lambda found: f"{found[1]}{tables}{found[2]}", text)


def main() -> None:
    """Write them beside results.json, and docs/uncertainty.png."""
    seen = headline.read_or_train(FOLDER / headline.FILE)
    _write(DOCS / "uncertainty.png", png(over_training(seen, headline.CONFIG.steps)))
    results = read_results(FOLDER / FILE)
    if results is None:
        print("No results yet: run `python -m paper_repro run gradient-uncertainty --folder paper_repro`.")
        return
    for name, draw in PICTURES.items():
        _write(FOLDER / name, png(draw(results)))
    readme = FOLDER / "README.md"
    _write(readme, with_results(readme.read_text(encoding="utf-8"), results).encode())


def _write(path: Path, content: bytes) -> None:
    write_atomically(path, lambda file: file.write(content))


if __name__ == "__main__":
    main()
