"""The results as tables: every goal beside what was measured, then the rest."""

from collections.abc import Callable
from statistics import fmean
from typing import Final

from bogc.training.statistics import Interval, mean_interval
from paper_repro.document import Block, Paragraph, Picture, Table
from paper_repro.gradient_uncertainty.judging import FUSED_BY
from paper_repro.results import Results

PICTURE: Final = "gradient_uncertainty/reliability.png"
Values = dict[str, float]
Measure = Callable[[Values], float]
GOALS: Final[dict[str, tuple[Measure, float, float]]] = {
    "90 % interval holds the truth: .85 to .97": (lambda v: v["coverage 0.9 | default"], 0.85, 0.97),
    "50 % interval: .45 to .65": (lambda v: v["coverage 0.5 | default"], 0.45, 0.65),
    "mean u less true u: within .10": (lambda v: v["u | default"] - v["true u, root | default"], -0.1, 0.1),
    "the same of block ratios": (lambda v: v["u, ratio | default"] - v["true u, ratio | default"], -0.1, 0.1),
    "squared error over the plain sum's: at most 1.03": (
        lambda v: v["error, update, geometric | default"],
        0.0,
        1.03,
    ),
    "movement of u a step: at most .02": (lambda v: v["movement of u | default"], 0.0, 0.02),
    "layers that flip: none": (lambda v: v["flips | default"], 0.0, 0.0),
}
"""What is asked for, how it is measured in a run, and between which values it is met."""

TABLES: Final[dict[str, dict[str, str]]] = {
    "**u**: mean over dimensions and of block ratios, and the true u in its three readings; distance is the "
    "mean of |u - true u, root| over layers and losses.": {
        "u": "u | default",
        "true u, root": "true u, root | default",
        "true u, flat": "true u, flat | default",
        "u, ratio": "u, ratio | default",
        "true u, ratio": "true u, ratio | default",
        "distance": "u, distance | default",
        "noise, estimated / true": "noise ratio, geometric | default",
        "u ~ error": "u ~ error | default",
        "largest movement": "largest movement of u | default",
    },
    "**The update** at the plain sum's length, layer by layer: squared error over the plain sum's, geometric "
    "and arithmetic mean over layers; of the sum of the posterior means likewise; and if n is not known.": {
        "geometric": "error, update, geometric | default",
        "arithmetic": "error, update | default",
        "posterior means": "error, means, geometric | default",
        "90 %, n unknown": "coverage 0.9 | n unknown",
        "u, n unknown": "u | n unknown",
    },
    "**Filtered posterior**, the one over steps.": {
        "90 %": "coverage 0.9 | filtered",
        "50 %": "coverage 0.5 | filtered",
        "u": "u | filtered",
        "error of its mean": "error, means, geometric | filtered",
        "arithmetic": "error, means | filtered",
        "error of its update": "error, update, geometric | filtered",
    },
    "**Sources that share a batch**: correlation of the noise of the first two losses of a layer; true u of "
    "the summed gradient, and what each rule makes of the true u of its terms; fused u as stated, and the "
    "probability with which the sign is stated / how often it is right.": {
        "correlation": "noise correlation | default",
        "sum's true u": "sum's true u | default",
        **{f"{rule} of true u": f"u from true u, {rule} | default" for rule in FUSED_BY},
        **{f"u, {rule}": f"fused u, {rule} | default" for rule in FUSED_BY},
        **{f"sign, {r}": f"sign stated, {r} | default / sign right, {r} | default" for r in FUSED_BY},
    },
    "**The former default** (variance of the samples of a batch, block prior), beside the default now.": {
        f"{title}, {name}": f"{key} | {name}"
        for title, key in (
            ("90 %", "coverage 0.9"),
            ("50 %", "coverage 0.5"),
            ("noise, estimated / true", "noise ratio, geometric"),
            ("error", "error, update, geometric"),
            ("movement", "movement of u"),
            ("flips", "flips"),
        )
        for name in ("former", "default")
    },
}
"""Text of a table to its columns and their keys among a run's values."""

READING: Final = (
    "Means over layers, losses and moments, then over the networks of a setting, trained by the plain sum or "
    "by bogc; ± is the 95 % Student-t interval over these networks."
)


def blocks(results: Results) -> list[Block]:
    """What the report shows."""
    caption = "Share of the truth within central intervals of the posterior, by their level"
    return [Paragraph(f"Goals and what was measured. {READING}"), goals(results), Picture(PICTURE, caption)]


def readme_blocks(results: Results) -> list[Block]:
    """What the README shows."""
    shown: list[Block] = [Paragraph(f"**Goals.** {READING}"), goals(results)]
    shown += [Paragraph("**The same by what the networks are trained by**, sum / bogc."), by_trainer(results)]
    for text, columns in TABLES.items():
        shown += [Paragraph(text), table(results, columns)]
    return shown


def networks(results: Results, trainer: str = "") -> dict[str, list[Values]]:
    """Setting to the values of its networks, or of those that were trained by one of the trainers."""
    found = {}
    for dataset, size, _ in results.config["settings"]:
        start = f"{dataset} {size}, {trainer}"
        own = [run.values for name, run in results.runs.items() if name.startswith(start)]
        if own:
            found[f"{dataset} {size}"] = own
    return found


def goals(results: Results) -> Table:
    """One line a goal, one column a setting; met if the means of all settings meet it."""
    rows, found = [], networks(results)
    for goal, (measure, least, most) in GOALS.items():
        own = {setting: mean_interval([*map(measure, runs)]) for setting, runs in found.items()}
        missed = [s for s, interval in own.items() if not least <= round(interval.mean, 3) <= most]
        verdict = f"missed: {', '.join(missed)}" if missed else "met" if own else ""
        rows.append((goal, *map(_text, own.values()), verdict))
    return Table(("goal", *found, "verdict"), tuple(rows))


def by_trainer(results: Results) -> Table:
    """One line a goal, one column a setting, means of each trainer's networks."""
    rows, found = [], [networks(results, trainer) for trainer in results.config["trainers"]]
    for goal, (measure, _, _) in GOALS.items():
        means = [[fmean(map(measure, own[s])) for own in found if s in own] for s in found[0]]
        rows.append((goal, *(" / ".join(f"{mean:.3f}" for mean in each) for each in means)))
    return Table(("goal", *found[0]), tuple(rows))


def table(results: Results, columns: dict[str, str]) -> Table:
    """One line a setting that has any of the numbers."""
    rows = []
    for setting, runs in networks(results).items():
        cells = [" / ".join(_cell(runs, key) for key in keys.split(" / ")) for keys in columns.values()]
        if all(cells):
            rows.append((setting, *cells))
    return Table(("", *columns), tuple(rows))


def _cell(runs: list[Values], key: str) -> str:
    found = [values[key] for values in runs if key in values]
    return _text(mean_interval(found)) if found else ""


def _text(interval: Interval) -> str:
    half = "" if interval.half is None else f" ± {interval.half:.3f}"
    return f"{interval.mean:.3f}{half}"
