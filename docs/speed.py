"""Write what ``make bench`` measured into docs/speed.md.

Run as ``python -m docs.speed`` in the root of the repository. Text between markers is replaced; the rest is
written by hand.
"""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from docs.collect import markdown

ROOT: Final = Path(__file__).parents[1]
RESULTS: Final = ROOT / "tests" / "benchmarks" / "results"
PAGES: Final = (ROOT / "docs" / "speed.md",)
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


def cost(results: Mapping[str, Any]) -> str:
    """Ratios of time, a row a network and a column a contestant."""
    names = list(dict.fromkeys(name for found in results.values() for name in found["time"]))
    lines = [
        [problem, *(f"{found['time'][n]['ratio']:.2f}" for n in names)] for problem, found in results.items()
    ]
    return markdown(["network", *names], lines)


def memory(results: Mapping[str, Any]) -> str:
    """Peak memory over that of the parameters, likewise."""
    names = list(dict.fromkeys(name for found in results.values() for name in found["memory"]))
    measured = {problem: found["memory"] for problem, found in results.items() if found["memory"]}
    lines = [[problem, *(f"{found[n]:.1f}" for n in names)] for problem, found in measured.items()]
    return markdown(["network", *names], lines)


def operations(results: Mapping[str, Mapping[str, int]]) -> str:
    """Tensor operations of a step, and how many times the plain step's."""
    lines = [
        [problem, str(found["plain sum"]), str(found["bogc"]), f"{found['bogc'] / found['plain sum']:.1f}"]
        for problem, found in results.items()
    ]
    return markdown(["network", "plain sum", "bogc", "ratio"], lines)


def blocks(results: Path = RESULTS) -> dict[str, str]:
    """Name of a marker -> what stands between it and its end."""
    kept = {
        path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(results.glob("*.json"))
    }
    found = {}
    if "steps" in kept:  # minutes on an idle machine: until then the pages say that it is to be measured
        steps = kept["steps"]
        found["cost"] = f"{made(steps)}\n\n{cost(steps['results'])}"
        found["memory"] = f"{made(steps)}\n\n{memory(steps['results'])}"
    counted, rules = kept["operations"], kept["dempster"]
    dempster = by_problem(rules["results"], lambda row: f"{row['nanoseconds']:,.1f} ns; {ratio(row)}")
    found["operations"] = f"{made(counted)}\n\n{operations(counted['results'])}"
    found["dempster"] = f"{made(rules)}\n\n{dempster}"
    return found


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
