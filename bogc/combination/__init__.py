"""Rules that fuse opinions or mass functions; each module has one ``combine``."""

from collections.abc import Callable, Sequence
from typing import Final

from bogc.belief import Opinion
from bogc.combination import cumulative, dempster, reduced

Fold = Callable[[Sequence[Opinion]], Opinion]
FOLDS: Final[dict[str, Fold]] = {"dempster": reduced.fold, "cumulative": cumulative.fold}

__all__ = ["FOLDS", "Fold", "cumulative", "dempster", "reduced"]
