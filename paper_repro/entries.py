"""Published numbers joined with ours."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from bogc.errors import DataError
from bogc.training.statistics import Interval, mean_interval
from paper_repro.experiment import Experiment, Series
from paper_repro.ledger import Published
from paper_repro.needs import NEEDS, need_of
from paper_repro.results import FILE, Results, read_results
from paper_repro.status import Kind, Status, judge, judge_up_to


@dataclass(frozen=True)
class Measured:
    """What we measured for one series.

    Attributes:
        experiment: Name of the experiment.
        interval: Mean over runs and its 95 % interval.
        runs: Names of the runs, such as their seeds.
        date: First and last day, or the only one.
        hardware: On which, all that occur.
        versions: Of which packages, all that occur.
        config_hash: Digest of the configuration.
    """

    experiment: str
    interval: Interval
    runs: tuple[str, ...]
    date: str
    hardware: str
    versions: str
    config_hash: str


@dataclass(frozen=True)
class Entry:
    """A row of the joined ledger.

    Attributes:
        published: What was published.
        measured: What we measured; None if there is no experiment, or it has not been run.
        exact: The theoretical value, where there is one.
        status: The verdict.
    """

    published: Published
    measured: Measured | None
    exact: float | None
    status: Status


def read_all(experiments: Mapping[str, Experiment], folder: Path) -> dict[str, Results | None]:
    """Read the results of every experiment below ``folder``."""
    return {name: read_results(folder / each.folder / FILE) for name, each in experiments.items()}


def measure(series: Series, results: Results | None) -> Measured | None:
    """Summarise one series; None if no run has it."""
    values = {} if results is None else results.values_of(series.key)
    if results is None or not values:
        return None
    runs = [results.runs[name] for name in values]
    dates = sorted({run.date for run in runs})
    made_with = {", ".join(f"{k} {v}" for k, v in sorted(run.versions.items())) for run in runs}
    return Measured(
        experiment=results.experiment,
        interval=mean_interval(list(values.values()), series.overlap),
        runs=tuple(values),
        date=dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}",
        hardware="; ".join(sorted({run.hardware for run in runs})),
        versions="; ".join(sorted(made_with)),
        config_hash=results.config_hash,
    )


def join(
    rows: Sequence[Published], experiments: Mapping[str, Experiment], results: Mapping[str, Results | None]
) -> list[Entry]:
    """Give every row our value, if we have one, and a status.

    Raises:
        DataError: A row has neither an experiment nor an entry in ``NEEDS``.
    """
    answers = {s.row: (s, name) for name, each in experiments.items() for s in each.series if s.row}
    return [_entry(row, answers.get(row.row), results) for row in rows]


def flat(entry: Entry) -> dict[str, object]:
    """One row of the joined ledger as a line of a table; what is missing is empty."""
    ours = entry.measured
    return {
        **asdict(entry.published),
        "exact": "" if entry.exact is None else f"{entry.exact:.6g}",
        "ours": "" if ours is None else f"{ours.interval.mean:.6g}",
        "ours_half_width": "" if ours is None or ours.interval.half is None else f"{ours.interval.half:.3g}",
        "runs": "" if ours is None else "; ".join(ours.runs),
        "date": "" if ours is None else ours.date,
        "hardware": "" if ours is None else ours.hardware,
        "versions": "" if ours is None else ours.versions,
        "config_hash": "" if ours is None else ours.config_hash,
        "status": str(entry.status.kind),
        "difference": "" if entry.status.difference is None else f"{entry.status.difference:.6g}",
        "reason": entry.status.reason,
    }


def _entry(row: Published, answer: tuple[Series, str] | None, results: Mapping[str, Results | None]) -> Entry:
    if answer is not None:
        series, name = answer
        found = results.get(name)
        measured, number = measure(series, found), row.number
        if found is None or measured is None or number is None:
            return Entry(row, measured, series.exact, _not_run(row, f"python -m paper_repro run {name}"))
        if series.up_to:
            readings = [list(found.values_of(key).values()) for key in series.up_to]
            return Entry(row, measured, series.exact, judge_up_to(number, readings))
        status = judge(number, row.half_width, measured.interval, len(measured.runs))
        return Entry(row, measured, series.exact, status)
    if row.dataset not in NEEDS:
        rule, remedy = "must have an experiment or an entry in NEEDS", "Say what it needs."
        raise DataError(f"row {row.row}", rule, repr(row.dataset), remedy)
    need = need_of(row.row, row.dataset)
    return Entry(row, None, None, Status(need.kind, reason=str(need)))


def _not_run(row: Published, command: str) -> Status:
    """Say what an experiment that is written waits for: its data, or only somebody who runs it."""
    if row.dataset in NEEDS:
        need = replace(NEEDS[row.dataset], command=command)
        return Status(need.kind, reason=str(need))
    return Status(Kind.NOT_RUN, reason=command)
