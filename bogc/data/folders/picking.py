"""Which frames of a clip are used."""

from collections.abc import Callable
from typing import Final, TypeAlias

import numpy as np

from bogc.checks import check_number

Pick: TypeAlias = Callable[[int, np.random.Generator | None], list[int]]
"""Number of frames to the indices of those that are used; with a generator at random, for training."""

PIECES: Final = 3  # of a clip of Kinetics-Sounds or VGGSound
FEW: Final = 6  # up to as many frames, the first one stands for all pieces
LAST: Final = 8  # largest index that is used


def all_frames(count: int, random: np.random.Generator | None = None) -> list[int]:
    """Use every frame."""
    return list(range(count))


def one_a_piece(pieces: int, count: int, random: np.random.Generator | None = None) -> list[int]:
    """Cut ``count`` frames into equal pieces, leaving out the rest, and use one of each.

    With a generator it is drawn; without one it is the middle frame, of an even number the earlier one of the
    two, as in the released code of BalanceBenchmark for UCF101.

    Raises:
        RangeError: There are fewer frames than pieces.
    """
    enough = f"must be at least {pieces}, one a piece"
    check_number("count", count, count >= pieces >= 1, enough, "Use fewer pieces, or extract more frames.")
    length = count // pieces
    middle = max(length // 2, 1) - 1
    within = [middle] * pieces if random is None else random.integers(0, length, pieces).tolist()
    return [piece * length + offset for piece, offset in enumerate(within)]


def one_a_third(count: int, random: np.random.Generator | None = None) -> list[int]:
    """Use one frame of each third, as BalanceBenchmark does for Kinetics-Sounds and VGGSound.

    With six frames or fewer the first one is used three times; no frame after the ninth is used.

    Raises:
        RangeError: There is no frame.
    """
    check_number("count", count, count >= 1, "must be at least 1", "Extract the frames again.")
    if count <= FEW:
        return [0] * PIECES
    return [min(index, LAST) for index in one_a_piece(PIECES, count, random)]
