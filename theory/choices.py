"""The open choices of bogc, their names and defaults, as tables for chapter 0, from the registries."""

import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any, Final

from bogc.belief import EVIDENCE_MAPS, FRAMES
from bogc.calibration import AGGREGATED, CONSERVATISMS, SCALINGS, WEIGHTS
from bogc.combination import RULES, Rule
from bogc.gradients import ESTIMATORS
from bogc.methods import READINGS, CalibrationSettings
from bogc.posterior import PRIORS, ROUTES
from bogc.registry import Registry
from theory.chapters import FOLDER

PAGE: Final = FOLDER / "00_notation.md"
BETWEEN: Final = re.compile(r"(<!-- choices -->\n).*?(\n<!-- /choices -->)", re.DOTALL)
REGISTRIES: Final[Mapping[str, Registry[Any]]] = {
    "estimator": ESTIMATORS,
    "prior": PRIORS,
    "posterior": ROUTES,
    "evidence": EVIDENCE_MAPS,
    "frame": FRAMES,
    "combination": RULES,
    "weights": WEIGHTS,
    "conservatism": CONSERVATISMS,
    "aggregated": AGGREGATED,
    "scaling": SCALINGS,
}
"""Field of CalibrationSettings -> what can be chosen."""


def written(text: str) -> str:
    """Put the tables as they are now between the markers.

    Raises:
        ValueError: There are no markers.
    """
    if not BETWEEN.search(text):
        raise ValueError("no <!-- choices --> and <!-- /choices --> in the text")
    return BETWEEN.sub(lambda found: found[1] + tables() + found[2], text)


def tables() -> str:
    """Every choice with the readings that take it, and every number with its default."""
    readings = {name: taken(name) for name in READINGS}
    choices = [["choice", "name", "taken by", "what it is"]]
    for field, registry in REGISTRIES.items():
        for index, (name, choice) in enumerate(registry.items()):
            by = ", ".join(reading for reading, names in readings.items() if names[field] == name)
            choices.append([f"`{field}`" if index == 0 else "", f"`{name}`", by, first_line(choice)])
    numbers = [["number", "default", "what it is"]]
    numbers += [
        [f"`{f.name}`", str(f.default), str(f.metadata["help"])]
        for f in fields(CalibrationSettings)
        if isinstance(f.default, int | float) and not isinstance(f.default, bool)
    ]
    return "\n".join((*table(choices), "", *table(numbers)))


def taken(reading: str) -> dict[str, str]:
    """Name that a reading takes for each choice."""
    settings = CalibrationSettings(reading=reading)
    names = {field: getattr(settings, field) for field in REGISTRIES} | settings.resolved()
    if names["aggregated"] not in AGGREGATED:
        names["aggregated"] = ROUTES[names["posterior"]].aggregates
    return names


def first_line(choice: Any) -> str:
    """First line of what a choice says of itself: its class's docstring, or its module's for a rule."""
    if isinstance(choice, str):
        return ""
    source = sys.modules[choice.of_evidence.__module__] if isinstance(choice, Rule) else choice
    return (inspect.getdoc(source) or "").partition("\n")[0]


def table(rows: list[list[str]]) -> Iterator[str]:
    """Lines of a Markdown table."""
    head, *body = rows
    for cells in (head, ["---"] * len(head), *body):
        escaped = (cell.replace("|", r"\|").replace("<", r"\<") for cell in cells)
        yield "".join(f"| {cell} " if cell else "| " for cell in escaped) + "|"
