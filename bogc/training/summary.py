"""What a finished comparison shows: one row of numbers a method, and a verdict in words, whatever it is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final, TypeAlias

from bogc.training.compare import Comparison, read_fit, read_result, search_space, settings_of
from bogc.training.statistics import Difference, Interval, holm, mean_interval, paired_difference, paired_p

JOINT: Final = "joint"
ByFold: TypeAlias = Mapping[int, float]


@dataclass(frozen=True)
class Row:
    """One method: intervals over folds, each fold the mean of its seeds; None where every run diverged.

    Attributes:
        method: Name.
        folds: Test folds with a result.
        validation: Mean validation accuracy of the chosen settings.
        accuracy: Test accuracy.
        joint: Paired difference in test accuracy to joint training; None for itself, and for a method
            without a result on some fold.
        sibling: The same to the other method with the best mean validation accuracy. Test accuracy has no
            part in that choice, but each fold that validates also tests, in another split.
        macro_f1: Mean F1 score of the classes.
        nll: Negative log-likelihood in nats.
        calibration_error: Expected calibration error.
        without: Test accuracy with a modality removed, by modality.
        probes: Test accuracy of a linear probe on each encoder, by modality.
        milliseconds: CPU time of a step by one thread, median over runs; elapsed time on a GPU.
        megabytes: Mean over runs of the peak memory of tensors in a step, in 10^6 bytes: parameters,
            optimiser, balancer, activations and gradients; neither data set nor workspace of kernels.
        chosen: Chosen settings of each fold, with ``fold``.
        diverged_trials: Trials that diverged.
        diverged_runs: Runs with chosen settings that diverged.
    """

    method: str
    folds: int
    validation: float | None
    accuracy: Interval | None
    joint: Difference | None
    sibling: Difference | None
    macro_f1: Interval | None
    nll: Interval | None
    calibration_error: Interval | None
    without: dict[str, Interval]
    probes: dict[str, Interval]
    milliseconds: float | None
    megabytes: float | None
    chosen: tuple[dict[str, Any], ...]
    diverged_trials: int
    diverged_runs: int


def rows(comparison: Comparison, root: Path) -> list[Row]:
    """Summarise the finished second stage."""
    results: dict[str, list[dict[str, Any]]] = {method: [] for method in comparison.methods}
    for config in comparison.chosen(root):
        results[config.method].append(read_result(root, config))
    tested = {m: [r for r in found if "test" in r] for m, found in results.items()}
    accuracy = {m: by_fold(found, "test", "fused", "accuracy") for m, found in tested.items()}
    complete = {m: values for m, values in accuracy.items() if len(values) == len(comparison.folds)}
    validation = {m: _mean(by_fold(tested[m], "validation", "accuracy")) for m in complete}
    joint = {m: JOINT for m in complete if m != JOINT and JOINT in complete}
    to_joint = differences(complete, joint, comparison.overlap)
    to_sibling = differences(complete, best_siblings(validation), comparison.overlap)
    return [
        _row(comparison, root, m, results[m], tested[m], to_joint.get(m), to_sibling.get(m))
        for m in comparison.methods
    ]


def best_siblings(validation: Mapping[str, float]) -> dict[str, str]:
    """For each method the other one with the highest validation accuracy; none for a single method."""
    ranked = sorted(validation, key=lambda method: validation[method], reverse=True)
    return {m: ranked[1] if m == ranked[0] else ranked[0] for m in validation if len(ranked) > 1}


def differences(
    values: Mapping[str, ByFold], references: Mapping[str, str], overlap: float
) -> dict[str, Difference]:
    """Paired differences of each method to its reference, corrected for their number by Holm's method."""
    pairs = {
        m: (list(values[m].values()), [values[r][fold] for fold in values[m]]) for m, r in references.items()
    }
    p = {m: paired_p(own, other, overlap) for m, (own, other) in pairs.items()}
    known = {m: value for m, value in p.items() if value is not None}
    corrected = dict(zip(known, holm(list(known.values())), strict=True))
    return {
        m: Difference(references[m], paired_difference(*pairs[m], overlap), p[m], corrected.get(m))
        for m in references
    }


def by_fold(results: Sequence[Mapping[str, Any]], *path: str) -> dict[int, float]:
    """Mean over seeds of the number at ``path`` in the results, by fold in ascending order."""
    found: dict[int, list[float]] = {}
    for result in results:
        value: Any = result
        for key in path:
            value = value[key]
        found.setdefault(result["config"]["fold"], []).append(float(value))
    return {fold: sum(found[fold]) / len(found[fold]) for fold in sorted(found)}


def _row(
    comparison: Comparison,
    root: Path,
    method: str,
    results: Sequence[Mapping[str, Any]],
    tested: Sequence[Mapping[str, Any]],
    joint: Difference | None,
    sibling: Difference | None,
) -> Row:
    def interval(*path: str) -> Interval | None:
        found = by_fold(tested, *path)
        return mean_interval(list(found.values()), comparison.overlap) if found else None

    def by_modality(kind: str) -> dict[str, Interval]:
        names = tested[0]["test"][kind] if tested else ()
        return {name: found for name in names if (found := interval("test", kind, name)) is not None}

    trials = [trial for fold in comparison.folds for trial in comparison.trials_of(method, fold)]
    seconds = [result["seconds_per_step"] for result in tested]
    peaks = [result["peak_step_bytes"] for result in tested]
    validation = by_fold(tested, "validation", "accuracy")
    return Row(
        method=method,
        folds=len(validation),
        validation=_mean(validation) if validation else None,
        accuracy=interval("test", "fused", "accuracy"),
        joint=joint,
        sibling=sibling,
        macro_f1=interval("test", "fused", "macro_f1"),
        nll=interval("test", "fused", "nll"),
        calibration_error=interval("test", "fused", "calibration_error"),
        without=by_modality("without"),
        probes=by_modality("probes"),
        milliseconds=1e3 * median(seconds) if seconds else None,
        megabytes=sum(peaks) / len(peaks) / 1e6 if peaks else None,
        chosen=_chosen(comparison, root, method),
        diverged_trials=sum("diverged" in read_fit(root, trial) for trial in trials),
        diverged_runs=len(results) - len(tested),
    )


def _chosen(comparison: Comparison, root: Path, method: str) -> tuple[dict[str, Any], ...]:
    space = search_space(comparison.base, method)
    best = {fold: comparison.best_trial(root, method, fold) for fold in comparison.folds}
    return tuple(
        {"fold": fold} | settings_of(trial, space) for fold, trial in best.items() if trial is not None
    )


def _mean(values: ByFold) -> float:
    return sum(values.values()) / len(values)


LEVEL: Final = 0.05
OURS: Final = "bogc"


def verdict(lines: Sequence[Row]) -> str:
    """One sentence a method on its difference to joint training, and one on bogc and its best sibling."""
    sentences = [f"{line.method} against {judge(line.joint)}" for line in lines if line.joint is not None]
    sentences += [
        f"{line.method} against its best sibling by validation, {judge(line.sibling)}"
        for line in lines
        if line.method == OURS and line.sibling is not None
    ]
    return "\n".join(sentences)


def judge(difference: Difference) -> str:
    """Say better or worse only if the p-value corrected for the number of comparisons is below 0.05."""
    start = f"{difference.reference}: {100 * difference.interval.mean:+.2f} points"
    if difference.interval.half is None or difference.p is None or difference.corrected is None:
        return f"{start} on a single fold; one fold shows nothing about the method."
    word = "no difference shown"
    if difference.corrected < LEVEL:
        word = "better" if difference.interval.mean > 0 else "worse"
    return (
        f"{start}, 95 % interval ± {100 * difference.interval.half:.2f}, p = {p_text(difference.p)}, "
        f"corrected {p_text(difference.corrected)}: {word}."
    )


def p_text(p: float) -> str:
    """Three decimals, or a bound."""
    return f"{p:.3f}" if p >= 0.001 else "<0.001"
