"""docs/gpu.md: what stands between its markers is written from the results."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tests.gpu.records import Row, failures, read

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "gpu.md"
PLAIN: Final = "plain sum"
PEER: Final = "torchjd UPGrad"
OURS: Final = "bogc"
GOAL_NETWORK: Final = "two ResNet-18, 22 M, batch 64"
OVER_PEER: Final = 1.3
OVER_PLAIN: Final = 2.5
SHARE: Final = 0.7
NOTHING: Final = (
    "**No machine with a GPU was at hand: no line of bogc has been run on one, and nothing is claimed of its "
    "speed there.** The command above makes the figures, and the next one puts them here."
)
MARKED: Final = re.compile(r"(<!-- gpu -->\n).*?(<!-- /gpu -->)", re.DOTALL)
Parts = Mapping[str, Row]


def render(folder: Path, page: Path = PAGE) -> None:
    """Replace what stands between the markers of ``page`` by what is in ``folder``."""
    page.write_text(filled(page.read_text(encoding="utf-8"), folder), encoding="utf-8")


def filled(text: str, folder: Path) -> str:
    """Text of a page with the figures in ``folder``."""
    block = "\n\n".join(sections(folder)) or NOTHING
    return MARKED.sub(lambda found: f"{found[1]}{block}\n{found[2]}", text)


def sections(folder: Path) -> list[str]:
    """One section a card, in the order of their names."""
    found: list[str] = []
    for card in sorted(path for path in folder.glob("*") if path.is_dir()):
        kept = {path.stem: read(path) for path in sorted(card.glob("*.json"))}
        parts = {name: part for name, part in kept.items() if part is not None}
        if parts:
            found.append(section(parts))
    return found


def section(parts: Parts) -> str:
    """All parts of one card; those that are missing are named."""
    device = next(iter(parts.values()))["device"]
    texts = [f"## {device}"]
    if any(part["dry"] for part in parts.values()):
        texts.append(
            "**A dry run on a CPU, of tiny sizes: it shows that everything runs, no figure means anything.**"
        )
    for name, write in WRITERS.items():
        if name not in parts:
            texts.append(f"### {TITLES[name]}\n\nNot measured yet: `python -m tests.gpu --only {name}`.")
            continue
        part = parts[name]
        lines = [f"### {TITLES[name]}", made(part), *write(part["rows"])]
        if not part["whole"]:
            lines.append("*Cut off: the same command makes the rows that are missing.*")
        lines += [f"*{where} failed: `{text}`*" for where, text in failures(part["rows"])]
        texts.append("\n\n".join(lines))
    return "\n\n".join(texts)


def made(part: Row) -> str:
    """When and with what it was measured."""
    versions = part["versions"]
    words = f"Measured on {part['date']}: torch {versions['torch']}, CUDA {versions['cuda']}"
    words += f", torchjd {versions['torchjd']}" if "torchjd" in versions else ""
    return f"{words}, Python {versions['python']}, bogc {versions['bogc']}; {part['seconds']:.0f} s."


def markdown(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """Return a table."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *body))


def number(row: Mapping[str, Any], name: str, form: str = ".2f", factor: float = 1.0) -> str:
    """One number of a row, or a dash where there is none."""
    value = row.get(name)
    return "–" if value is None else format(factor * value, form)


def goal(words: str, value: float | None, met: bool) -> str:
    """A line that holds a figure against its goal."""
    if value is None:
        return f"- {words}: not measured."
    return f"- {words}: {value:.2f}, {'met' if met else '**not met**'}."


def suite(rows: Mapping[str, Row]) -> list[str]:
    """Waits of a step, and tests."""
    texts = []
    waits, tests = rows.get("waits", {}), rows.get("tests", {})
    if "waits" in waits:
        once = "as it should" if waits["waits"] == 1 and not waits["copies"] else "**which is not once**"
        names = ", ".join(f"`{name}`" for name in waits["reads"])
        texts.append(f"A default step waits {waits['waits']} time(s) for the device ({names}), {once}.")
    if "left out" in tests:
        texts.append(f"Tests: left out, {tests['left out']}.")
    elif "passed tests" in tests:
        counts = ", ".join(f"{tests[f'{kind} tests']} {words}" for kind, words in OUTCOMES.items())
        texts.append(f"Tests on the device: {counts}.")
        if tests["not passed"]:
            texts.append("\n".join(f"- not passed: `{name}`" for name in tests["not passed"]))
    return texts


OUTCOMES: Final = {
    "passed": "passed",
    "failed": "failed",
    "error": "could not be run",
    "skipped": "skipped",
}


def contestants(rows: Mapping[str, Row]) -> list[str]:
    """Names in the order of the first row, and of others."""
    return list(dict.fromkeys(name for row in rows.values() for name in row.get("contestants", {})))


def steps(rows: Mapping[str, Row]) -> list[str]:
    """Ratios, memory, and the goals."""
    names = contestants(rows)
    measured = {name: row["contestants"] for name, row in rows.items() if "contestants" in row}
    times = [
        [name, number(found.get(PLAIN, {}), "milliseconds"), *(_ratio(found.get(n, {})) for n in names[1:])]
        for name, found in measured.items()
    ]
    memory = [
        [name, *(number(found.get(n, {}), "peak_bytes", ",.0f", 2.0**-20) for n in names)]
        for name, found in measured.items()
    ]
    left = [f"*{name}: left out, {row['left out']}.*" for name, row in rows.items() if "left out" in row]
    return [
        "A step over the plain sum's, median (and range) of rounds in which contestants take turns:",
        markdown(["network", "plain sum, ms", *names[1:]], times),
        "Peak memory of a step in MiB, parameters and all that is remembered included:",
        markdown(["network", *names], memory),
        *left,
        step_goals(measured.get(GOAL_NETWORK, {})),
    ]


def _ratio(row: Mapping[str, Any]) -> str:
    if "ratio" not in row:
        return "–"
    return f"{row['ratio']:.2f} ({row['low']:.2f} to {row['high']:.2f})"


def step_goals(found: Mapping[str, Row]) -> str:
    """Goals of two ResNet-18 at batch 64."""
    ours, peer = (found.get(name, {}).get("ratio") for name in (OURS, PEER))
    over = None if ours is None or peer is None else ours / peer
    first = f"goal, {GOAL_NETWORK}: at most {OVER_PEER} times UPGrad's step"
    second = f"goal, {GOAL_NETWORK}: at most {OVER_PLAIN} times the plain sum's"
    lines = [
        goal(first, over, over is not None and over <= OVER_PEER),
        goal(second, ours, ours is not None and ours <= OVER_PLAIN),
    ]
    return "\n".join(lines)


def bandwidth(rows: Mapping[str, Row]) -> list[str]:
    """Share of a copy's bandwidth, and the goal."""
    measured = {name: row for name, row in rows.items() if "contestants" in row}
    names = contestants(measured)
    lines = []
    for name, row in measured.items():
        own = [row["contestants"][n] for n in names]
        shares = [number(found, "share", ".0f", 100) for found in own]
        times = [number(found, "milliseconds", ".3f") for found in own]
        moved = number(own[0], "moved_bytes", ".1f", 1 / row["least_bytes"])
        copied = number(row, "copy_gigabytes_a_second", ",.0f")
        lines.append([name, copied, *times, *shares, moved, number(own[0], "moved_share", ".0f", 100)])
    head = ["", "copy, GB/s", *(f"{n}, ms" for n in names), *(f"{n}, %" for n in names)]
    best = [
        max((found.get("share", 0.0) for found in row["contestants"].values()), default=0.0)
        for row in measured.values()
    ]
    words = f"goal: the pass at {SHARE} of a copy's bandwidth, at the largest size, the better of the two"
    return [
        "Bytes that a step of two sources cannot do without, 44 a parameter, by its time: per cent of the "
        "bandwidth of a copy of as many bytes. The last columns: how many times as many bytes the operations "
        "of the step that is not compiled read and write, and per cent of a copy's bandwidth for those.",
        markdown([*head, "bytes moved over least", "those, %"], lines),
        goal(words, best[-1] if best else None, bool(best) and best[-1] >= SHARE),
    ]


def precision(rows: Mapping[str, Row]) -> list[str]:
    """Relative differences of updates, overflows, and what is the same to the bit."""
    compared = {name: row for name, row in rows.items() if OURS in row}
    lines = []
    for name, row in compared.items():
        for method in ("sum", OURS):
            found = row[method]
            values = [number(found, key, ".1e") for key in ("median", "largest")]
            overflows = [number(found, key, ".0f") for key in ("overflows", "unreported")]
            inside = {True: "yes", False: "**no**", None: "–"}[found.get("rounding")]
            lines.append([name, method, *values, *overflows, inside])
    head = ["", "method", "median", "largest", "overflows", "of these unreported", "rounding only"]
    texts = [
        "Difference of the update of a step, relative to that in float32 on the device (on the CPU, in the "
        "rows of that name), over 20 steps, each from the same parameters. Overflows are provoked by a "
        "large first scale.",
        markdown(head, lines),
    ]
    if "same" in (row := rows.get("same seed twice", {})):
        same = "the same bits" if row["same"] else "**other bits**"
        said = f"; not deterministic, says torch: {', '.join(row['not deterministic'])}"
        texts.append(
            f"The same seed twice gives {same} after {row['steps']} steps with deterministic algorithms on"
            f"{said if row['not deterministic'] else ''}."
        )
    return texts


def training(rows: Mapping[str, Row]) -> list[str]:
    """Accuracy and seconds of whole runs."""
    lines = [
        [
            name,
            row["data"],
            str(row["epochs"]),
            number(row, "accuracy", ".2f", 100),
            number(row, "training_seconds", ".1f"),
        ]
        for name, row in rows.items()
        if "accuracy" in row
    ]
    words = "One run a method with one seed: that training works to the end, not which method is better."
    return [words, markdown(["method", "data", "epochs", "test accuracy, %", "seconds"], lines)]


TITLES: Final = {
    "suite": "Tests, and what a step waits for",
    "steps": "Whole steps",
    "bandwidth": "The calibration pass",
    "precision": "Half precision, bits and other devices",
    "training": "Whole runs",
}
WRITERS: Final = {
    "suite": suite,
    "steps": steps,
    "bandwidth": bandwidth,
    "precision": precision,
    "training": training,
}
