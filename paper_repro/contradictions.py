"""Published and released results that contradict themselves or each other, out of the ledger."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bogc.errors import DataError
from paper_repro.document import Block, Heading, Paragraph, Table
from paper_repro.entries import Entry


@dataclass(frozen=True)
class Contradiction:
    """Ledger rows that cannot all hold.

    Attributes:
        title: Of what.
        why: What contradicts what.
        rows: Their names in the ledger; two or more, of one metric.
    """

    title: str
    why: str
    rows: tuple[str, ...]


CONTRADICTIONS: Final = (
    Contradiction(
        "Plain joint training on CREMA-D",
        "One baseline, many numbers: a gain over a baseline that another source measured means nothing.",
        (
            "ogm-ge-crema-d-concat-baseline",
            "ogm-ge-crema-d-released-checkpoint-baseline",
            "balancebenchmark-crema-d-baseline",
            "diagnosing-relearning-crema-d-users-baseline",
            "lfm-crema-d-users-baseline",
        ),
    ),
    Contradiction(
        "OGM and OGM-GE on CREMA-D",
        "The released checkpoint is better than what is quoted from the paper, a benchmark better than both.",
        (
            "ogm-ge-crema-d-concat-ogm-ge",
            "ogm-ge-crema-d-sum-ogm-ge",
            "ogm-ge-crema-d-released-checkpoint-ogm-ge",
            "balancebenchmark-crema-d-ogm",
        ),
    ),
    Contradiction(
        "Plain joint training on Kinetics-Sounds",
        "As on CREMA-D.",
        (
            "balancebenchmark-kinetics-sounds-baseline",
            "cggm-kinetics-sounds-plain-joint-third-party-rerun",
        ),
    ),
    Contradiction(
        "CGGM on Kinetics-Sounds",
        "Made to improve joint training; below it in an independent re-run.",
        (
            "cggm-kinetics-sounds-plain-joint-third-party-rerun",
            "cggm-kinetics-sounds-cggm-third-party-rerun",
        ),
    ),
    Contradiction(
        "CGGM on CMU-MOSI",
        "Made to improve joint training; below it in an independent re-run.",
        ("cggm-cmu-mosi-plain-joint-third-party-rerun", "cggm-cmu-mosi-cggm-third-party-rerun"),
    ),
    Contradiction(
        "Text with video or with audio on IEMOCAP, Huang et al. 2021",
        "Tables 2 and 3 of the paper give to TV what Table 1 gives to TA, and the other way round.",
        ("huang2021-iemocap-tv", "huang2021-iemocap-ta"),
    ),
    Contradiction(
        "TMC on Handwritten",
        "The released code does not give the published number, in an independent run nor in ours.",
        ("tmc-handwritten-tmc", "tmc-handwritten-official-code-lr-0.003"),
    ),
)
INTRODUCTION: Final = (
    "Generated from the ledger. *Apart* is the largest minus the smallest published value. Where a row says "
    "*needs data*, we measured nothing on that data; what the same methods give in one code base, on other "
    "data and with equal tuning budgets for all, stands in the comparison tables, `docs/*_table.json`."
)


def blocks(entries: Sequence[Entry], contradictions: Sequence[Contradiction] = CONTRADICTIONS) -> list[Block]:
    """Section of the report: one table of contradictions, one of their rows.

    Raises:
        DataError: A row is not in the ledger, or has no number.
    """
    named = {entry.published.row: entry for entry in entries}
    header = ("contradiction", "ledger row", "published", "known from", "ours, 95 %", "status")
    return [
        Heading(2, "Contradictions"),
        Paragraph(INTRODUCTION),
        Table(
            ("contradiction", "why", "metric", "from", "to", "apart"),
            tuple(_summary(each, named) for each in contradictions),
        ),
        Table(
            header,
            tuple((each.title, *_line(_entry(named, row))) for each in contradictions for row in each.rows),
        ),
    ]


def _summary(each: Contradiction, named: Mapping[str, Entry]) -> tuple[str, ...]:
    rows = [_entry(named, name).published for name in each.rows]
    rows.sort(key=lambda row: row.number or 0.0)
    least, most = rows[0], rows[-1]
    apart = (most.number or 0.0) - (least.number or 0.0)
    return each.title, each.why, least.metric, least.value, most.value, f"{apart:.4g}"


def _line(entry: Entry) -> tuple[str, ...]:
    row, ours = entry.published, entry.measured
    known = f"{row.known} ({row.note})" if row.note else row.known
    return (
        f"`{row.row}`",
        row.printed,
        known,
        "" if ours is None else str(ours.interval),
        str(entry.status),
    )


def _entry(named: Mapping[str, Entry], name: str) -> Entry:
    if name not in named or named[name].published.number is None:
        raise DataError("rows", "must be rows of the ledger with a number", repr(name), "Correct the name.")
    return named[name]
