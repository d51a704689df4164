"""What is trained on what, for how long, in both experiments."""

from dataclasses import dataclass
from typing import Final

from bogc.checks import check_number
from paper_repro.bogc_mml.variants import SINGLE


@dataclass(frozen=True)
class Task:
    """A data set and how long it is trained on.

    Attributes:
        dataset: Registered name.
        epochs: Passes over the training part.
        noisy: The modality that the condition "one noisy modality" spoils.
    """

    dataset: str
    epochs: int
    noisy: str


FOLDS: Final = 5
TASKS: Final = (
    Task("watch", 5, "gyroscope"),
    Task("mfeat", 3, "pix"),
    Task("emoji", 5, "text"),
    Task("kipan", 10, "rna"),
)
SYNTHETIC: Final = Task("synthetic", 4, "strong")
TINY: Final = Task("synthetic", 1, "strong")


@dataclass(frozen=True)
class Design:
    """Data sets, folds and learning rates; the seed of a run is the number of its fold.

    Attributes:
        tasks: Data sets.
        folds: The first so many of five are tested, or validated, on.
        rates: Learning rates that every method and variant is given in every fold; the better one counts.
        features: Width of each encoder's output.

    Raises:
        RangeError: A number is out of range.
    """

    tasks: tuple[Task, ...]
    folds: int
    rates: tuple[float, ...]
    features: int = 64

    def __post_init__(self) -> None:
        check_number("tasks", len(self.tasks), len(self.tasks) >= 1, "must name at least one", "Use TASKS.")
        check_number("folds", self.folds, 1 <= self.folds <= FOLDS, f"must lie in 1 .. {FOLDS}", "Use 5.")
        check_number("rates", len(self.rates), len(self.rates) >= 1, "must name at least one", "Use 0.05.")
        for rate in self.rates:
            check_number("rates", rate, rate > 0, "must be positive", "Choose a positive rate.")


@dataclass(frozen=True)
class AblationConfig:
    """Two designs: one choice changed at a time, and all combinations of four choices.

    Attributes:
        single: One choice at a time.
        variants: Those that are compared, of ``variants.SINGLE``.
        factorial: Posterior x evidence x frame x weights; None to leave it out.
    """

    single: Design = Design((*TASKS, SYNTHETIC), folds=1, rates=(0.03, 0.12), features=32)
    variants: tuple[str, ...] = tuple(SINGLE)
    factorial: Design | None = Design((TASKS[2], TASKS[3]), folds=1, rates=(0.06,), features=32)
