"""The results as tables and sentences, for the README and the report."""

from collections.abc import Sequence
from typing import Final

from bogc.calibration import CONSERVATISMS, WEIGHTS
from bogc.training.statistics import mean_interval
from paper_repro.document import Block, Paragraph, Picture, Table
from paper_repro.gradient_uncertainty.table import (
    ESTIMATORS,
    PRIORS,
    ROUTES,
    STUDENT,
    TRUE_NOISE,
    TRUE_SCALE,
)
from paper_repro.gradient_uncertainty.updates import BATCH_MEANS, DEFAULTS
from paper_repro.results import Results

PICTURE: Final = "gradient_uncertainty/reliability.png"
ALL_ESTIMATORS: Final = (*ESTIMATORS, TRUE_NOISE)
ALL_PRIORS: Final = (*PRIORS, TRUE_SCALE)
LAWS: Final = (*ROUTES, STUDENT)
DEFAULT: Final = "streaming 0.9 | block | normal"
NOW: Final = "per-sample | block | normal"
UPDATE: Final = ", ".join(DEFAULTS)
INTERVAL: Final = (
    "Means over all runs; ± is the 95 % Student-t interval over runs, which differ in data set, trainer and "
    "seed. Empty: not defined."
)


def blocks(results: Results) -> list[Block]:
    """What the report shows: sentences, coverage, and the reliability diagram."""
    return [
        *(Paragraph(sentence) for sentence in sentences(results)),
        Paragraph(f"Share of the truth within the 90 % interval, Normal route. {INTERVAL}"),
        by_prior(results, "coverage 0.9 | {} | {} | normal"),
        Picture(PICTURE, "Reliability diagram: share of the truth within central intervals, by their level"),
    ]


def readme_blocks(results: Results) -> list[Block]:
    """What the README shows."""
    shown: list[Block] = [*(Paragraph(sentence) for sentence in sentences(results)), Paragraph(INTERVAL)]
    titled: Sequence[tuple[str, Table]] = (
        ("**What these gradients are like**, by data set.", context(results)),
        *(
            (
                f"**Coverage** of the 90 % interval, {law}.",
                by_prior(results, "coverage 0.9 | {} | {} | " + law),
            )
            for law in LAWS
        ),
        (
            "**u against the posterior's error**: rank correlation over the dimensions of a layer, Normal.",
            by_prior(results, "u ~ error | {} | {} | normal"),
        ),
        (
            "**u against the error of the batch gradient**, likewise.",
            by_prior(results, "u ~ batch error | {} | {} | normal"),
        ),
        (
            "**Posterior standard deviation against the posterior's error**, likewise.",
            by_prior(results, "sd ~ error | {} | {} | normal"),
        ),
        (
            "**u against the posterior's error over dimensions and batches together**.",
            by_prior(results, "u ~ error, all | {} | {} | normal"),
        ),
        (
            "**Layers and losses**: rank correlation of their mean u with that of known noise and scale.",
            by_prior(results, "u ~ true u, layers | {} | {} | normal"),
        ),
        (
            "**Mean u less that of known noise and scale**.",
            by_prior(results, "u - true u, layers | {} | {} | normal"),
        ),
        ("**Estimated over true noise variance** of a batch gradient.", noise(results)),
        ("**Sign**: expected calibration error of the probability that g > 0, Normal.", signs(results)),
        (
            "**Update by estimator and prior**: squared error over the plain sum's at the same length, "
            "layer by layer; posterior means, relative belief, fused certainty.",
            by_prior(results, "squared error | {} | {} | normal | " + UPDATE + ", match-each-block"),
        ),
        (
            "**The same without rescaling**.",
            by_prior(results, "squared error | {} | {} | normal | " + UPDATE + ", unscaled"),
        ),
        (
            "**Cosine to the truth gained**.",
            by_prior(results, "cosine gained | {} | {} | normal | " + UPDATE),
        ),
        ("**Update by weights and conservatism**: squared error over the plain sum's.", weights(results)),
    )
    for text, table in titled:
        shown += [Paragraph(text), table]
    return shown


def sentences(results: Results) -> list[str]:
    """The answers, with their numbers."""

    def share(key: str) -> str:
        return _percent(results, key)

    def number(key: str) -> str:
        return _number(results, key)

    scale = f"streaming 0.9 | {TRUE_SCALE} | normal"
    ideal = f"{TRUE_NOISE} | {TRUE_SCALE} | normal"
    return [
        f"*Is a 90 % interval right 90 % of the time?* That of the reference ({DEFAULT}) is in "
        f"{share(f'coverage 0.9 | {DEFAULT}')} of cases, over {len(results.runs)} runs; with the layer's "
        f"true mean square as prior scale in {share(f'coverage 0.9 | {scale}')}, with the true noise too in "
        f"{share(f'coverage 0.9 | {ideal}')}, and with the true noise but the scale by empirical Bayes in "
        f"{share(f'coverage 0.9 | {TRUE_NOISE} | block | normal')}.",
        f"*Does u predict the error?* Over the dimensions of a layer, u of the reference has rank "
        f"correlation "
        f"{number(f'u ~ error | {DEFAULT}')} with the error of the posterior mean and "
        f"{number(f'u ~ batch error | {DEFAULT}')} with that of the batch gradient; "
        f"with known noise and scale it would be {number(f'u ~ error | {ideal}')} and "
        f"{number(f'u ~ batch error | {ideal}')}.",
        f"*Is the calibrated update closer to the truth than the plain sum?* At the plain sum's "
        f"length, layer by layer, the squared error of the reference, posterior means aggregated, is "
        f"{number(f'squared error | {DEFAULT} | {UPDATE}, match-each-block')} times the plain sum's, with "
        f"known noise and scale {number(f'squared error | {ideal} | {UPDATE}, match-each-block')} times, "
        f"with the filtered prior "
        f"{number(f'squared error | streaming 0.9 | filtered | normal | {UPDATE}, match-each-block')} times. "
        f"Unscaled it is {number(f'squared error | {DEFAULT} | {UPDATE}, unscaled')} times; the best "
        f"constant factor a layer would reach {number('squared error | best factor')}.",
        f"*And with batch means aggregated, as by default now?* At the plain sum's length "
        f"{number(f'squared error | {NOW} | {BATCH_MEANS}, match-each-block')} times the plain sum's with "
        f"the variance of the samples of the batch, "
        f"{number(f'squared error | {DEFAULT} | {BATCH_MEANS}, match-each-block')} times with the streaming "
        f"one, and {number(f'squared error | {ideal} | {BATCH_MEANS}, match-each-block')} times with known "
        f"noise and scale.",
        f"*Why?* Within a layer, dimensions with large true gradients are the noisy ones: rank correlation "
        f"of size and noise {number('size ~ noise')}. One prior scale a layer shrinks them most.",
    ]


def context(results: Results) -> Table:
    """One line a data set."""
    keys = {
        "true u": "u, known noise and scale",
        "signal / noise": "signal / noise variance",
        "size ~ noise": "size ~ noise, rank correlation",
        "cosine | plain sum": "cosine of plain sum and truth",
        "squared error | best factor": "best constant factor, squared error",
        "whole part - mean of batches": "whole part less mean of batches, over noise",
        "share without gradient": "dimensions without gradient",
        "share sparse": "sparse dimensions",
    }
    rows = tuple(
        (dataset, *(_number(results, key, dataset) for key in keys)) for dataset in results.config["datasets"]
    )
    return Table(("data set", *keys.values()), rows)


def by_prior(results: Results, pattern: str) -> Table:
    """One line an estimator, one column a prior; ``pattern`` takes both names."""
    rows = tuple(
        (estimator, *(_number(results, pattern.format(estimator, prior)) for prior in ALL_PRIORS))
        for estimator in ALL_ESTIMATORS
    )
    return Table(("estimator", *ALL_PRIORS), rows)


def noise(results: Results) -> Table:
    """Median and the middle 80 % over dimensions and batches at every stop; pooled over layers; sparse."""
    stops = results.config["stops"]

    def spread(name: str, estimator: str, suffix: str = "") -> str:
        low, median, high = (
            _number(results, f"{name}, {part} | {estimator}{suffix}").partition(" ")[0]
            for part in ("low", "median", "high")
        )
        return f"{median} ({low} to {high})" if median else ""

    rows = tuple(
        (
            estimator,
            *(spread("noise ratio", estimator, f" | at {stop}") for stop in stops),
            spread("pooled noise ratio", estimator),
            spread("noise ratio, sparse", estimator),
        )
        for estimator in ESTIMATORS
    )
    header = ("estimator", *(f"at {stop:.0%} of training" for stop in stops), "pooled over a layer", "sparse")
    return Table(header, rows)


def signs(results: Results) -> Table:
    """Single sources: opinion and posterior; fused: Dempster, cumulative, and the sum of the posteriors."""
    columns = {
        "opinion": "sign error, opinion",
        "posterior": "sign error, posterior",
        "fused by Dempster": "fused sign error, dempster",
        "fused cumulatively": "fused sign error, cumulative",
        "sum of posteriors": "fused sign error, summed posteriors",
    }
    rows = tuple(
        (f"{e}, {p}", *(_number(results, f"{key} | {e} | {p} | normal") for key in columns.values()))
        for e in ALL_ESTIMATORS
        for p in ("block", "block, floor 0.1", TRUE_SCALE)
        if e != TRUE_NOISE or p != "block, floor 0.1"
    )
    return Table(("estimator, prior", *columns), rows)


def weights(results: Results) -> Table:
    """Block prior, Normal route, three estimators."""
    rows = []
    for estimator in ("streaming 0.9", "per-sample", TRUE_NOISE):
        for w in WEIGHTS:
            for c in CONSERVATISMS:
                label = f"{estimator} | block | normal | {w}, {c}"
                cells = [
                    _number(results, f"squared error | {label}, {scaling}")
                    for scaling in ("unscaled", "match-plain-sum", "match-each-block")
                ]
                rows.append((estimator, w, c, *cells, _number(results, f"cosine gained | {label}")))
    header = ("estimator", "weights", "conservatism", "unscaled", "one factor", "each layer", "cosine gained")
    return Table(header, tuple(rows))


def values(results: Results, key: str, dataset: str = "") -> list[float]:
    """Of all runs, or of those on one data set."""
    found = results.values_of(key)
    return [value for run, value in found.items() if not dataset or run.startswith(f"{dataset}, ")]


def _number(results: Results, key: str, dataset: str = "") -> str:
    found = values(results, key, dataset)
    if not found:
        return ""
    interval = mean_interval(found)
    half = "" if interval.half is None or dataset else f" ± {interval.half:.2f}"
    return f"{interval.mean:.2f}{half}"


def _percent(results: Results, key: str) -> str:
    found = values(results, key)
    return f"{mean_interval(found).percent()} %" if found else ""
