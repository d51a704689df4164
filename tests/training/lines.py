"""Rows of a comparison of three methods."""

from bogc.training.statistics import Difference, Interval
from bogc.training.summary import Row


def line(method: str, joint: Difference | None, sibling: Difference | None) -> Row:
    share = Interval(0.8125, 0.1359)
    return Row(
        method=method,
        folds=5,
        validation=0.9 if method == "sum" else 0.8,
        accuracy=share,
        joint=joint,
        sibling=sibling,
        macro_f1=share,
        nll=Interval(0.4, 0.05),
        calibration_error=Interval(0.1, 0.02),
        without={"audio": Interval(0.41, 0.02), "video": Interval(0.62, 0.03)},
        probes={"audio": Interval(0.7, 0.02), "video": Interval(0.5, 0.03)},
        milliseconds=12.34,
        megabytes=5.678,
        chosen=tuple({"fold": fold, "lr": 0.01 * (fold + 1)} for fold in range(5)),
        diverged_trials=0,
        diverged_runs=0,
    )


def difference(reference: str, mean: float, corrected: float) -> Difference:
    return Difference(reference, Interval(mean, 0.013), corrected / 2, corrected)


LINES = [
    line("joint", None, difference("sum", -0.01, 0.3)),
    line("sum", difference("joint", 0.01, 0.4), difference("joint", 0.01, 0.4)),
    line("bogc", difference("joint", -0.1, 0.0004), difference("sum", -0.11, 0.01)),
]
