"""Copy what ``make tables`` measured into docs/, and write the tables of docs/results.md.

Run as ``python -m docs.collect`` in the root of the repository; ``--claims`` writes the comparison's alone.
"""

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

from paper_repro.bogc_mml.claims_report import AVERAGE_PANEL, Scores, scores_of, table
from paper_repro.document import to_markdown
from paper_repro.results import FILE, read_results

ROOT = Path(__file__).parents[1]
DATA_SETS = ("watch", "mfeat", "emoji", "kipan")
FILES = {
    "table.md": "{}_table.md",
    "table.json": "{}_table.json",
    "pictures/comparison_forest.png": "{}_forest.png",
    "pictures/comparison_modalities.png": "{}_modalities.png",
}


def summary(docs: Path) -> str:
    """Two Markdown tables, a row a method and a column a data set: accuracy, and with a modality removed.

    Reads the numbers from ``docs``/*_table.json; a method that was left out of a data set has a dash.
    """
    found = {name: json.loads((docs / f"{name}_table.json").read_text()) for name in DATA_SETS}
    rows = {name: {row["method"]: row for row in table["rows"]} for name, table in found.items()}
    methods = list(dict.fromkeys(m for table in found.values() for m in _methods(table)))
    first = [[m, *(_accuracy(rows[name].get(m)) for name in DATA_SETS)] for m in methods]
    second = [[m, *(_without(rows[name].get(m)) for name in DATA_SETS)] for m in methods]
    head = ["method", *(f"{name} ({table['fits']} runs)" for name, table in found.items())]
    return f"{markdown(head, first)}\n\n{markdown(['method', *DATA_SETS], second)}"


def _methods(table: dict[str, Any]) -> list[str]:
    """All methods, those left out after the others, and bogc last."""
    names = [*(row["method"] for row in table["rows"]), *table["left_out"]]
    return sorted(names, key=lambda name: name == "bogc")


def _accuracy(row: dict[str, Any] | None) -> str:
    if row is None or row["accuracy"] is None:
        return "–"
    text = _interval(row["accuracy"])
    if row["joint"] is None:
        return text
    mark = "" if row["joint"]["corrected"] is None or row["joint"]["corrected"] >= 0.05 else " *"
    return f"{text} ({100 * row['joint']['interval']['mean']:+.1f}{mark})"


def _without(row: dict[str, Any] | None) -> str:
    """Mean over folds with the modality removed that costs most, and its name."""
    if row is None or not row["without"]:
        return "–"
    worst = min(row["without"], key=lambda modality: row["without"][modality]["mean"])
    return f"{_interval(row['without'][worst])} ({worst})"


def _interval(value: dict[str, float]) -> str:
    return f"{100 * value['mean']:.1f} ± {100 * value['half']:.1f}"


def markdown(head: list[str], body: list[list[str]]) -> str:
    """Return a table."""
    lines = [head, ["---"] * len(head), *body]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def stored_comparison() -> Scores:
    """Accuracies of the comparison that paper_repro/PROTOCOL.md fixes, means over conditions and optimisers.

    Raises:
        FileNotFoundError: There are no results.
    """
    path = Path(__file__).parents[1] / "paper_repro" / "bogc_mml" / "claims" / FILE
    results = read_results(path)
    if results is None:
        raise FileNotFoundError(path)
    return scores_of(results, AVERAGE_PANEL)


def claims() -> str:
    """Table of that comparison."""
    return to_markdown([table(stored_comparison())]).rstrip()


def write_block(page: Path, marker: str, content: str) -> None:
    """Replace what stands between two markers of a page."""
    block = f"<!-- {marker} -->\n{content}\n<!-- /{marker} -->"
    pattern = rf"<!-- {marker} -->.*?<!-- /{marker} -->"
    page.write_text(re.sub(pattern, lambda _: block, page.read_text(), flags=re.DOTALL))


def main() -> None:
    """Copy, and replace the tables of docs/results.md."""
    for name in DATA_SETS:
        for source, target in FILES.items():
            shutil.copyfile(ROOT / "runs" / name / source, ROOT / "docs" / target.format(name))
    write_block(ROOT / "docs" / "results.md", "tables", summary(ROOT / "docs"))
    write_claims()


def write_claims() -> None:
    """Replace the table of the comparison."""
    write_block(ROOT / "docs" / "results.md", "claims", claims())


if __name__ == "__main__":
    write_claims() if "--claims" in sys.argv else main()
