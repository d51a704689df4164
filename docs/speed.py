"""Write what ``make bench`` measured into docs/speed.md and the README.

Run as ``python -m docs.speed`` in the root of the repository. Text between markers is replaced; the rest of
the two files is written by hand.
"""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from docs.collect import markdown

ROOT: Final = Path(__file__).parents[1]
RESULTS: Final = ROOT / "tests" / "benchmarks" / "results"
PAGES: Final = (ROOT / "docs" / "speed.md", ROOT / "README.md")
Row = Mapping[str, float]
Problems = Mapping[str, Mapping[str, Row]]


def ratio(row: Row) -> str:
    """Median and range over rounds."""
    return f"{row['ratio']:.2f} ({row['low']:.2f} to {row['high']:.2f})"


def by_problem(results: Problems, cell: Callable[[Row], str] = ratio) -> str:
    """Return a table, a row for each thing measured and a column a problem; – where it does not run."""
    names = dict.fromkeys(name for found in results.values() for name in found)
    lines = [
        [name, *(cell(found[name]) if name in found else "–" for found in results.values())] for name in names
    ]
    return markdown(["", *results], lines)


def cost(results: Problems) -> str:
    """The README's table: a row a network, a column a method other than the reference."""
    (names, *_) = ([name for name in found if name != "sum"] for found in results.values())
    lines = [[problem, *(f"{found[n]['ratio']:.1f}" for n in names)] for problem, found in results.items()]
    return markdown(["network", *names], lines)


def growth(results: Mapping[str, Any]) -> str:
    """Milliseconds a step, and exponents of time and memory, a table a series."""
    tables = []
    for series, found in results.items():
        sizes = [f"{size:g}" for size in found["sizes"]]
        lines = [
            [
                method,
                *(f"{point[method]['milliseconds']:.0f}" for point in found["points"]),
                *(f"{exponents[key]:.2f}" for key in ("time", "memory")),
            ]
            for method, exponents in found["exponents"].items()
        ]
        tables.append(markdown([f"ms, by {series}", *sizes, "exponent, time", "memory"], lines))
    return "\n\n".join(tables)


def blocks(results: Path = RESULTS) -> dict[str, str]:
    """Name of a marker -> what stands between it and its end."""
    kept = {
        path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(results.glob("*.json"))
    }
    found = {name: value["results"] for name, value in kept.items()}
    dempster = by_problem(found["dempster"], lambda row: f"{row['nanoseconds']:,.1f} ns; {ratio(row)}")
    memory = by_problem(found["moments"], lambda row: f"{row['memory']:.1f}")
    return {
        "cost": f"{made(kept['steps'])}\n\n{cost(found['steps'])}",
        "moments": f"{made(kept['moments'])}\n\n{by_problem(found['moments'])}\n\n{memory}",
        "gradients": f"{made(kept['gradients'])}\n\n{by_problem(found['gradients'])}",
        "fusion": f"{made(kept['fusion'])}\n\n{by_problem({'time': found['fusion']['passes']})}",
        "dempster": f"{made(kept['dempster'])}\n\n{dempster}",
        "distributed": f"{made(kept['distributed'])}\n\n{by_problem(found['distributed'])}",
        "scale": f"{made(kept['scale'])}\n\n{growth(found['scale'])}",
    }


def made(kept: Mapping[str, Any]) -> str:
    """Where and when it was measured."""
    versions = kept["versions"]
    return f"Measured on {versions['date']}: {kept['device']}, torch {versions['torch']}."


def filled(text: str, found: Mapping[str, str]) -> str:
    """Replace what stands between the markers of a page."""
    for name, block in found.items():
        pattern = rf"<!-- bench {name} -->.*?<!-- /bench -->"
        text = re.sub(pattern, f"<!-- bench {name} -->\n{block}\n<!-- /bench -->", text, flags=re.DOTALL)
    return text


def main() -> None:
    """Fill in both pages."""
    found = blocks()
    for page in PAGES:
        page.write_text(filled(page.read_text(encoding="utf-8"), found), encoding="utf-8")


if __name__ == "__main__":
    main()
