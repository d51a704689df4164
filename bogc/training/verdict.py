"""What the paired differences of a comparison show, in words, whatever it is."""

from collections.abc import Sequence
from typing import Final

from bogc.training.statistics import Difference
from bogc.training.summary import Row

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
