"""What the fused opinion allows, kappa / M in [0, 1], one for each rule, frame and kind of conservatism.

Evidence over W of the fused opinion is R = prod (1 + r) - 1 by Dempster's rule, hypothesis by hypothesis, and
the sum of r by the cumulative one; certainty is R / (1 + R), summed over hypotheses. Products are expanded so
that only positive terms are added, R <- R + r + R r, and kept below ``ENOUGH``: beyond it 1 / R is nothing.
"""

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from bogc.calibration.accumulator import Accumulator, Source, State
from bogc.calibration.error_function import erf

ENOUGH: Final = 1e30
MOST: Final = 1024


class Certainty(Accumulator):
    """Of one source alone, every rule leaves its own belief."""

    def only(self, source: Source) -> Tensor:
        """See the base class."""
        return source.belief


@dataclass(frozen=True)
class FullCertainty(Accumulator):
    """1: the shrinkage of the posterior means alone."""

    def only(self, source: Source) -> Tensor:
        """See the base class."""
        return source.scale.new_ones(())

    def first(self, source: Source) -> State:
        """See the base class."""
        return ()

    def add(self, state: State, source: Source) -> State:
        """See the base class."""
        return ()

    def finish(self, state: State, last: Source, sources: int) -> Tensor:
        """See the base class."""
        return last.scale.new_ones(())


@dataclass(frozen=True)
class SupportCertainty(Certainty):
    """1 - u by Dempster's rule without conflict, where u multiplies: B <- B + b (1 - B)."""

    def first(self, source: Source) -> State:
        """See the base class."""
        return (source.belief,)

    def add(self, state: State, source: Source) -> State:
        """See the base class."""
        return (torch.addcmul(state[0], source.belief, 1 - state[0]),)

    def finish(self, state: State, last: Source, sources: int) -> Tensor:
        """See the base class."""
        return self.add(state, last)[0]


@dataclass(frozen=True)
class SumCertainty(Certainty):
    """1 - u by the cumulative rule, whatever the frame."""

    def first(self, source: Source) -> State:
        """See the base class."""
        return (source.odds(),)

    def add(self, state: State, source: Source) -> State:
        """See the base class."""
        return (state[0].add_(source.odds()),)

    def finish(self, state: State, last: Source, sources: int) -> Tensor:
        """See the base class."""
        return share(self.add(state, last)[0])


@dataclass(frozen=True)
class SignCertainty(Certainty):
    """1 - u by Dempster's rule on the sign, where conflict makes R smaller.

    With t = P(g > 0) - P(g < 0), the sources' r (1 + t) / 2 and r (1 - t) / 2 give the sum s and the
    difference d of the fused R of the two signs: s <- s + r + r (s + t d) / 2 and
    d <- d + r t + r (d + t s) / 2. Where sources disagree s + t d is a difference, with an error of some
    eps s; as u is below 1 / r, that of the certainty is some eps.
    """

    def first(self, source: Source) -> State:
        """See the base class."""
        odds = source.odds()
        return odds, erf(source.score()).mul_(odds)

    def add(self, state: State, source: Source) -> State:
        """See the base class."""
        total, difference = state
        odds, sign = source.odds(), erf(source.score())
        same, other = torch.addcmul(total, sign, difference), torch.addcmul(difference, sign, total)
        total = total.add_(odds).addcmul_(odds, same, value=0.5)
        difference = difference.addcmul_(odds, sign).addcmul_(odds, other, value=0.5)
        scale = (ENOUGH / total).clamp_max_(1)
        return total.mul_(scale), difference.mul_(scale)

    def finish(self, state: State, last: Source, sources: int) -> Tensor:
        """See the base class; the difference is no longer needed."""
        total, difference = state
        odds, sign = last.odds(), erf(last.score())
        same = torch.addcmul(total, sign, difference)
        return share(total.add_(odds).addcmul_(odds, same, value=0.5))


@dataclass(frozen=True)
class SumAgreement(Accumulator):
    """|b+ - b-| by the cumulative rule: sum of r t over 1 + sum of r, where the ratios of large r count.

    They count however large r is, so it is cut only where the sum over ``MOST`` sources would overflow.
    """

    def only(self, source: Source) -> Tensor:
        """See the base class."""
        return erf(source.score()).abs_().mul_(source.belief)

    def first(self, source: Source) -> State:
        """See the base class."""
        odds = (source.scale / source.noise).clamp_max_(torch.finfo(source.noise.dtype).max / MOST)
        return odds, erf(source.score()).mul_(odds)

    def add(self, state: State, source: Source) -> State:
        """See the base class."""
        odds, signed = self.first(source)
        return state[0].add_(odds), state[1].add_(signed)

    def finish(self, state: State, last: Source, sources: int) -> Tensor:
        """See the base class."""
        total, difference = self.add(state, last)
        return difference.abs_().div_(total.add_(1))


@dataclass(frozen=True)
class SignAgreement(Accumulator):
    """|b+ - b-| by Dempster's rule: by shares, because under conflict the small r of a sign decides."""

    def only(self, source: Source) -> Tensor:
        """See the base class."""
        return erf(source.score()).abs_().mul_(source.belief)

    def first(self, source: Source) -> State:
        """See the base class; b+, b- and u."""
        score = source.score()
        positive, negative = torch.erfc(-score).mul_(0.5), torch.erfc(score).mul_(0.5)
        uncertainty = source.noise / (source.noise + source.scale)
        return positive.mul_(source.belief), negative.mul_(source.belief), uncertainty

    def add(self, state: State, source: Source) -> State:
        """See the base class."""
        (p1, n1, u1), (p2, n2, u2) = state, self.first(source)
        positive, negative = p1 * p2 + p1 * u2 + u1 * p2, n1 * n2 + n1 * u2 + u1 * n2
        uncertainty = u1 * u2
        total = positive + negative + uncertainty
        return positive.div_(total), negative.div_(total), uncertainty.div_(total)

    def finish(self, state: State, last: Source, sources: int) -> Tensor:
        """See the base class."""
        positive, negative, _ = self.add(state, last)
        return positive.sub_(negative).abs_()


def share(odds: Tensor) -> Tensor:
    """R / (1 + R)."""
    return odds / (odds + 1)
