"""The published numbers, one a row of ``published.csv``, and how sure it is that they were published."""

import csv
import io
from dataclasses import dataclass, fields
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Final

from bogc.errors import BogcError, ConfigError, DataError, RangeError

PUBLISHED: Final = Path(__file__).with_name("published.csv")
PROVENANCES: Final[dict[str, str]] = {
    "paper-table": "read from the paper's own table",
    "official": "from the authors' repository or supplement",
    "abstract": "from the paper's abstract",
    "quoted": "quoted second-hand, the paper's table not seen",
    "issue": "quoted by a user in an issue of a repository",
    "third-party": "reported by somebody other than the authors",
    "aggregator": "from a site that collects results, whose labels can be wrong",
    "unverified": "UNVERIFIED: from memory, the table could not be read",
    "not available": "no number is known to us",
}
VERIFIED: Final = ("paper-table", "official", "abstract")


@dataclass(frozen=True)
class Published:
    """A published number, kept as it was printed.

    Attributes:
        row: Its name in this ledger.
        paper: Short name of the paper.
        table: Where in the paper; empty if not known.
        dataset: What was measured on.
        metric: In which unit.
        method: Of what.
        value: Decimal number as printed; empty if not available.
        spread: Published half-width, standard deviation or standard error: papers rarely say; may be empty.
        provenance: Key of ``PROVENANCES``.
        source: Where the number was seen.
        note: What else to know.

    Raises:
        ConfigError: The provenance is unknown, or contradicts the value.
        DataError: A number cannot be read, or a name is missing.
        RangeError: The spread is negative.
    """

    row: str
    paper: str
    table: str
    dataset: str
    metric: str
    method: str
    value: str
    spread: str
    provenance: str
    source: str
    note: str

    def __post_init__(self) -> None:
        for name in ("row", "paper", "dataset", "metric", "method"):
            if not getattr(self, name):
                raise DataError(name, "must not be empty", repr(self.row), "Fill it in.")
        if self.provenance not in PROVENANCES:
            rule = f"must be one of {', '.join(PROVENANCES)}"
            raise ConfigError("provenance", rule, repr(self.provenance), f"Correct row {self.row}.")
        if (self.provenance == "not available") != (self.value == ""):
            rule = "must be empty exactly if provenance is 'not available'"
            raise ConfigError("value", rule, repr(self.value), f"Correct row {self.row}.")
        for name in ("value", "spread"):
            if getattr(self, name):
                _decimal(name, getattr(self, name))
        if self.spread and Decimal(self.spread) < 0:
            raise RangeError("spread", "must not be negative", self.spread, f"Correct row {self.row}.")

    @property
    def number(self) -> float | None:
        """The value; None if not available."""
        return float(self.value) if self.value else None

    @property
    def half_width(self) -> float:
        """The spread; without one, half a unit of the last printed digit, which is what rounding hides."""
        if self.spread:
            return float(self.spread)
        exponent = _decimal("value", self.value).as_tuple().exponent
        return 0.5 * 10.0 ** int(exponent)

    @property
    def printed(self) -> str:
        """The value with its spread, and a warning if it is not verified by anything."""
        text = f"{self.value} ± {self.spread}" if self.spread else self.value
        return f"{text} (unverified)" if self.provenance == "unverified" else text

    @property
    def known(self) -> str:
        """Provenance, source and table."""
        return f"{self.provenance}: {' '.join((self.source, self.table)).strip()}"

    @property
    def verified(self) -> bool:
        """Whether the number was seen in something that its authors wrote."""
        return self.provenance in VERIFIED


def read_published(path: Path = PUBLISHED) -> list[Published]:
    """Read the ledger.

    Raises:
        DataError: The file has other columns, a row is there twice, or a row breaks a rule of Published.
    """
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        if reader.fieldnames != [field.name for field in fields(Published)]:
            rule = f"must have the columns {', '.join(field.name for field in fields(Published))}"
            raise DataError(str(path), rule, reader.fieldnames, "Restore the first line.")
        rows = [_row(path, reader.line_num, line) for line in reader]
    names = [row.row for row in rows]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(str(path), "must name each row once", twice, "Rename one of them.")
    return rows


def csv_text(rows: list[dict[str, object]]) -> str:
    """Rows with the same keys as CSV, lines ending in a newline."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _row(path: Path, line: int, values: dict[str, str]) -> Published:
    try:
        return Published(**values)
    except (BogcError, TypeError) as error:
        raise DataError(f"{path}, line {line}", "must be a row", str(error), "Correct it.") from error


def _decimal(name: str, text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise DataError(name, "must be a decimal number", repr(text), "Write it as printed.") from None
    if not value.is_finite():
        raise DataError(name, "must be finite", repr(text), "Write it as printed.")
    return value
